"""Does half a model really load, weigh and run like half a model? One row per family.

    python -m benchmarks.families [--device cuda] [--batch-size 32] [--families opt-125m] [--json]

Real shapes with random weights: neither file size nor latency depends on the values, so
nothing is calibrated; half of every unit's groups is cut off, the result is written as
``prune`` writes it, and it is timed in turns with the dense model.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from osscar_core.adapters import find_adapter
from osscar_core.evaluation import compare, count_flops, count_parameters
from osscar_core.models import LoadedModel, load_model, resolve_device, save_pruned, state_bytes
from osscar_core.records import DataInfo, Plan, PruneSpec, SourceInfo, UnitPlan
from osscar_core.surgery import shrink_


def from_config(name: str, kind: str, **shape: Any) -> LoadedModel:
    import transformers

    config = getattr(transformers, f"{kind}Config")(**shape)
    torch.manual_seed(0)
    module = getattr(transformers, f"{kind}ForCausalLM")(config).eval().requires_grad_(False)
    adapter = find_adapter(module)
    return LoadedModel(
        module=module,
        adapter=adapter,
        source=SourceInfo(model=name, family=adapter.family, task="text", weights="random"),
        dtype=torch.float32,
    )


FAMILIES: dict[str, Callable[[], LoadedModel]] = {
    "opt-125m": lambda: load_model("facebook/opt-125m", weights="random"),
    "opt-350m": lambda: load_model("facebook/opt-350m", weights="random"),
    "llama (SmolLM2-135M)": lambda: from_config(
        "SmolLM2-135M",
        "Llama",
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    ),
    "mistral (300M)": lambda: from_config(
        "mistral-300m",
        "Mistral",
        vocab_size=32000,
        hidden_size=1024,
        intermediate_size=3584,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=4,
    ),
    "qwen2 (Qwen2-0.5B)": lambda: from_config(
        "Qwen2-0.5B",
        "Qwen2",
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    ),
    "resnet18": lambda: load_model("torchvision/resnet18", weights="random"),
    "resnet50": lambda: load_model("torchvision/resnet50", weights="random"),
    "wide_resnet50_2": lambda: load_model("torchvision/wide_resnet50_2", weights="random"),
    "cifar resnet20": lambda: load_model("cifar/resnet20", weights="random"),
    "cifar resnet110": lambda: load_model("cifar/resnet110", weights="random"),
}


def halve(dense: LoadedModel) -> LoadedModel:
    """Return a copy with every second group of every unit gone, and its plan."""
    module = copy.deepcopy(dense.module)
    plans = []
    for unit in dense.adapter.units(module):
        kept = torch.arange(0, unit.groups, 2)
        shrink_(module, unit, kept)
        plans.append(
            UnitPlan(unit.name, unit.structure, unit.block, unit.groups, tuple(kept.tolist()))
        )
    plan = Plan(
        source=dense.source,
        spec=PruneSpec(model=dense.source.model, calibration="none:", sparsity=0.5),
        calibration=DataInfo(spec="none:", kind=dense.task, count=0, digest=""),
        units=tuple(plans),
        dtype="float32",
    )
    return dataclasses.replace(dense, module=module, plan=plan)


def row(
    name: str, device: torch.device, seqlen: int, batch_size: int | None, repeats: int | None
) -> dict[str, Any]:
    dense = FAMILIES[name]()
    pruned = halve(dense)
    assert pruned.plan is not None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "half"
        size = save_pruned(pruned, pruned.plan, out)
        assert size == (out / "model.safetensors").stat().st_size
    flops = count_flops(dense)[0], count_flops(pruned)[0]
    dense.module.to(device)
    pruned.module.to(device)
    is_text = dense.task == "text"
    speed = compare(
        dense,
        pruned,
        batch_size=batch_size,
        seqlen=seqlen if is_text else None,
        repeats=repeats,
    )
    return {
        "family": name,
        "parameters": [count_parameters(dense.module), count_parameters(pruned.module)],
        "file_bytes": [state_bytes(dense.module, dense.dtype), size],
        "flops": list(flops),
        "latency_ms": [speed.dense.latency_ms.median, speed.pruned.latency_ms.median],
        "speedup": speed.speedup,
        "interval": list(speed.interval),
        "decode_ms": [
            report.decode_ms.median if report.decode_ms else None
            for report in (speed.dense, speed.pruned)
        ],
        "decode_speedup": speed.decode_speedup,
        "conditions": speed.pruned.conditions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seqlen", type=int, default=256)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    device = resolve_device(args.device)
    rows = []
    heading = f"{'family':22} {'parameters':>17} {'file MB':>15} {'FLOPs':>6} {'latency ms':>17}"
    print(f"{heading} {'speed-up (95% interval)':>24} {'decode':>7}", file=sys.stderr)
    for name in args.families.split(","):
        one = row(name, device, args.seqlen, args.batch_size, args.repeats)
        rows.append(one)
        (p0, p1), (b0, b1), (l0, l1) = one["parameters"], one["file_bytes"], one["latency_ms"]
        low, high = one["interval"]
        decode = f"{one['decode_speedup']:.2f}x" if one["decode_speedup"] else "-"
        print(
            f"{name:22} {p0 / 1e6:7.1f}M {p1 / 1e6:7.1f}M {b0 / 1e6:7.1f} {b1 / 1e6:7.1f} "
            f"{1 - one['flops'][1] / one['flops'][0]:6.0%} {l0:8.1f} {l1:8.1f} "
            f"{one['speedup']:9.2f}x ({low:.2f} to {high:.2f}) {decode:>7}",
            file=sys.stderr,
        )
    print(f"\nconditions of the last row: {rows[-1]['conditions']}", file=sys.stderr)
    if args.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
