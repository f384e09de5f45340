"""Are halved models really faster? Dense against halved, in PyTorch and in onnxruntime.

    python -m benchmarks.exports [--device cuda] [--cases resnet50,opt-125m,smollm2,opt-1.3b]
                                 [--seconds 6] [--json]

Half of every unit is removed (of SmolLM2's three key-value heads, one): random weights in the real
shapes, since no time here depends on their values. Both models take turns on the same input.
Images: 224 x 224, one and 64 at a time. Text: a prompt of 128 tokens is read, and one token
after it, for one prompt and for 32. "Possible" is what the FLOPs allow, dense over halved, and
the share is the speed-up over that; for a token at batch 1 the bytes of the weights count
instead, since every one of them is read for it.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from osscar_core.cli.console import table
from osscar_core.evaluation.size import count_flops
from osscar_core.evaluation.speed import device_name, ratio_of
from osscar_core.export.items import Items
from osscar_core.export.job import Logits
from osscar_core.export.onnx_graph import Decoder, write_onnx
from osscar_core.export.vision import Classifier
from osscar_core.models import LoadedModel, load_model
from osscar_core.records import DataInfo
from osscar_core.surgery import shrink_

PROMPT = 128
BATCHES = {"image": (1, 64), "text": (1, 32)}
# SmolLM2-135M's shape, which no package here holds as a configuration alone.
SMOLLM2 = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}
NAMES = {
    "resnet50": "torchvision/resnet50",
    "opt-125m": "facebook/opt-125m",
    "opt-1.3b": "facebook/opt-1.3b",
}


@dataclass
class Row:
    """One piece of work in one program."""

    model: str
    program: str
    work: str
    batch: int
    dense_ms: float
    halved_ms: float
    speedup: float
    interval: tuple[float, float]
    possible: float
    floor: float | None = None

    @property
    def share(self) -> float:
        return self.speedup / self.possible


def loaded(name: str, folder: Path) -> LoadedModel:
    if name == "smollm2":
        (folder / "config.json").write_text(json.dumps(SMOLLM2), encoding="utf8")
        return load_model(str(folder), weights="random", dtype="float32")
    return load_model(NAMES[name], weights="random", dtype="float32")


def halved(dense: LoadedModel) -> LoadedModel:
    module = copy.deepcopy(dense.module)
    for unit in dense.adapter.units(module):
        shrink_(module, unit, torch.arange(unit.groups - unit.groups // 2))
    return dataclasses.replace(dense, module=module)


def in_turns(
    runs: Sequence[Callable[[], object]], seconds: float, wait: Callable[[], None]
) -> list[list[float]]:
    """Return milliseconds of every round of each run, after three rounds of warm-up."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(-3, 200):
        if number == 0:
            deadline = time.perf_counter() + seconds
        if number >= 5 and time.perf_counter() > deadline:
            break
        for spent, run in zip(times, runs, strict=True):
            wait()
            started = time.perf_counter()
            run()
            wait()
            if number >= 0:
                spent.append((time.perf_counter() - started) * 1e3)
    return times


class Floor(TorchDispatchMode):
    """Sums up the least time of every operation, by its flops or by the bytes it moves.

    Args:
        peak: Flops a second.
        bandwidth: Bytes a second.
    """

    def __init__(self, peak: float, bandwidth: float) -> None:
        super().__init__()
        self.peak, self.bandwidth = peak, bandwidth
        self.seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        if func.is_view or not pytree.tree_flatten(out)[0]:
            return out
        counted = flop_registry.get(func._overloadpacket)  # noqa: SLF001 - as torch does
        flops = counted(*args, **given, out_val=out) if counted else 0
        tensors = [
            each
            for each in pytree.tree_flatten((args, given, out))[0]
            if isinstance(each, torch.Tensor)
        ]
        moved = sum(each.numel() * each.element_size() for each in tensors)
        self.seconds += max(flops / self.peak, moved / self.bandwidth)
        return out


def floor_of(module: Any, inputs: dict[str, Any], peak: float, bandwidth: float) -> float:
    """Return seconds of the floor of one pass, found on the meta device."""
    empty = copy.deepcopy(module).to("meta")
    with Floor(peak, bandwidth) as floor:
        empty(**{name: each.to("meta") for name, each in inputs.items()})
    return floor.seconds


def torch_programs(task: str, device: str) -> dict[str, Callable[[Any], Any]]:
    def as_loaded(module: Any) -> Any:
        return copy.deepcopy(module).float().to(device)

    def folded(module: Any) -> Any:
        return Classifier(module.float()).eval().to(device)

    def half(module: Any) -> Any:
        made = Classifier(module.float()).eval() if task == "image" else copy.deepcopy(module)
        return made.to(device, torch.float16)

    programs = {"torch": as_loaded}
    if task == "image":
        programs["torch, as exported"] = folded
    if device != "cpu":
        programs["torch, float16"] = half
    return programs


def torch_works(
    module: Any, task: str, batch: int, device: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    kind = next(module.parameters()).dtype
    generator = torch.Generator().manual_seed(0)
    if task == "image":
        pixels = torch.randn(batch, 3, 224, 224, generator=generator).to(device, kind)
        yield "images", lambda: module(pixels)
        return
    ids = torch.randint(10, 1000, (batch, PROMPT), generator=generator).to(device)
    yield "prompt", lambda: module(input_ids=ids, use_cache=True)
    cache = module(input_ids=ids, use_cache=True).past_key_values

    def step() -> object:
        found = module(input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
        cache.crop(-1)
        return found

    yield "token", step


def graph_works(module: Any, task: str, batch: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Record every piece of work once; what is timed is its replay."""
    kind = next(module.parameters()).dtype
    if task == "image":
        pixels = torch.randn(batch, 3, 224, 224, device="cuda", dtype=kind)
        yield "images", recorded(lambda: module(pixels))
        return
    decoder = Decoder(module)
    ids = torch.randint(10, 1000, (batch, PROMPT), device="cuda")
    layers = module(input_ids=ids[:1, :2], use_cache=True).past_key_values.layers
    for work, tokens, past in (("prompt", PROMPT, 0), ("token", 1, PROMPT)):
        cache = [
            torch.zeros(batch, each.shape[1], past, each.shape[3], device="cuda", dtype=kind)
            for layer in layers
            for each in (layer.keys, layer.values)
        ]
        mask = torch.ones(batch, past + tokens, dtype=torch.int64, device="cuda")
        yield work, recorded(lambda t=tokens, m=mask, c=cache: decoder(ids[:, :t], m, *c))


def recorded(run: Callable[[], object]) -> Callable[[], object]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.device("cuda"):
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()

    def replay(_keeps: Callable[[], object] = run) -> None:  # what it was recorded from, too
        graph.replay()

    return replay


def onnx_works(
    file: Path, task: str, batch: int, device: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Bind inputs and outputs to the device, so that only the work is timed."""
    import onnxruntime as ort

    if device != "cpu":
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.force_spinning_stop", "1")
    provider = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
    session = ort.InferenceSession(str(file), options, providers=[provider])
    if session.get_providers()[0] != provider:
        raise SystemExit(f"onnxruntime has no {provider} here")
    inputs = session.get_inputs()
    random = np.random.default_rng(0)

    def bound(given: dict[str, Any]) -> Callable[[], object]:
        binding = session.io_binding()
        for name, value in given.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value, device, 0))
        for output in session.get_outputs():
            binding.bind_output(output.name, device)
        return lambda: session.run_with_iobinding(binding)

    if task == "image":
        pixels = random.standard_normal((batch, 3, 224, 224), np.float32)
        yield "images", bound({inputs[0].name: pixels})
        return
    for work, tokens, past in (("prompt", PROMPT, 0), ("token", 1, PROMPT)):
        given: dict[str, Any] = {
            "input_ids": random.integers(10, 1000, (batch, tokens)),
            "attention_mask": np.ones((batch, past + tokens), np.int64),
        }
        for one in inputs:
            if one.name.startswith("past_key_values."):
                shape = (batch, one.shape[1], past, one.shape[3])
                given[one.name] = np.zeros(shape, np.float32)
        yield work, bound(given)


def items_of(model: LoadedModel) -> Items:
    """Return items that the exporter can trace with; nothing is compared here."""
    info = DataInfo("random", model.task, 4, "")
    if model.task == "text":
        ids = torch.randint(10, 1000, (4, 24), generator=torch.Generator().manual_seed(0))
        return Items(info, {"max_tokens": model.max_length}, 4, ids=ids)

    class Pixels:
        def batches(self, _count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            yield torch.randn(4, 3, 224, 224), torch.zeros(4)

    return Items(info, {"size": 224}, 4, images=Pixels())  # type: ignore[arg-type]


def rows_of(
    name: str, device: str, seconds: float, folder: Path, peaks: tuple[float, float] | None
) -> Iterator[Row]:
    dense = loaded(name, folder)
    small = halved(dense)
    pair = (dense, small)
    task = dense.task
    flops = [count_flops(one, seqlen=PROMPT if task == "text" else None)[0] for one in pair]
    weights = [sum(p.numel() for p in one.module.parameters()) for one in pair]

    def row(program: str, work: str, batch: int, times: list[list[float]]) -> Row:
        speedup, interval = ratio_of(*times)
        by_bytes = work == "token" and batch == 1
        first, second = weights if by_bytes else flops
        medians = [statistics.median(one) for one in times]
        floor = None
        if peaks is not None and work == "images":
            pixels = {"x": torch.empty(batch, 3, 224, 224)}
            floors = [floor_of(one.module.float(), pixels, *peaks) for one in pair]
            floor = floors[0] / floors[1]
        return Row(name, program, work, batch, *medians, speedup, interval, first / second, floor)

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    for program, build in torch_programs(task, device).items():
        modules = [build(one.module) for one in pair]
        for batch in BATCHES[task]:
            works = [dict(torch_works(one, task, batch, device)) for one in modules]
            for work in works[0]:
                yield row(program, work, batch, in_turns([w[work] for w in works], seconds, wait))
            if device == "cpu" or next(modules[0].parameters()).dtype != torch.float16:
                continue
            works = [dict(graph_works(one, task, batch)) for one in modules]
            for work in works[0]:
                times = in_turns([w[work] for w in works], seconds, wait)
                yield row(f"{program}, CUDA graph", work, batch, times)
        del modules, works
        gc.collect()
    if not has_onnxruntime(device):
        return
    files = []
    for one, called in zip(pair, ("dense.onnx", "halved.onnx"), strict=True):
        files.append(folder / called)
        module = Logits(one.module.float(), is_text=task == "text").eval()
        write_onnx(module, items_of(one), files[-1], name)
    for batch in BATCHES[task]:
        works = [dict(onnx_works(file, task, batch, device)) for file in files]
        for work in works[0]:
            yield row("onnxruntime", work, batch, in_turns([w[work] for w in works], seconds, wait))


def has_onnxruntime(device: str) -> bool:
    import onnxruntime as ort

    return device == "cpu" or "CUDAExecutionProvider" in ort.get_available_providers()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", default="resnet50,opt-125m,smollm2")
    parser.add_argument("--seconds", type=float, default=6.0, help="of rounds, each pair of models")
    parser.add_argument("--peak-tflops", type=float, help="of the device, for the floor")
    parser.add_argument("--bandwidth", type=float, help="of its memory, GB/s, for the floor")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    peaks = None
    if args.peak_tflops and args.bandwidth:
        peaks = args.peak_tflops * 1e12, args.bandwidth * 1e9
    torch.set_grad_enabled(mode=False)
    found = []
    for name in args.cases.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(name, args.device, args.seconds, Path(folder), peaks):
                found.append(row)
                print(dataclasses.asdict(row) | {"share": row.share}, file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in found]))
        return 0
    print(f"{device_name(torch.device(args.device))}, {torch.get_num_threads()} threads")
    header = ("model", "program", "work", "batch", "dense ms", "halved ms", "faster", "possible")
    lines = [
        (
            row.model,
            row.program,
            row.work,
            str(row.batch),
            f"{row.dense_ms:.3g}",
            f"{row.halved_ms:.3g}",
            f"{row.speedup:.2f} ({row.interval[0]:.2f} to {row.interval[1]:.2f})",
            f"{row.possible:.2f}",
            f"{row.share:.0%}",
            "" if row.floor is None else f"{row.floor:.2f}",
        )
        for row in found
    ]
    print(table((*header, "share", "floor"), lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
