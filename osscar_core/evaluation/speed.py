"""Speed of a model on this machine.

The decision hidden here: what is timed and when enough is enough. A round is one forward
pass, and for text the decoding of a few tokens after it, with random input; the device
is waited for. Rounds repeat until a time budget is spent, but ten times at least. Two
models are compared by taking turns, so that a machine that warms up or is shared slows
both.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch
from torch import Tensor, nn

from osscar_core.errors import SpecError
from osscar_core.evaluation.size import image_side, prompt_length
from osscar_core.progress import Progress, report
from osscar_core.records import Latency, MeasureReport, SpeedComparison, check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

_Result = TypeVar("_Result")

WARM_UP = 3
DECODE_STEPS = 16
_MIN_ROUNDS = 10
_MAX_ROUNDS = 50
_BUDGET_SECONDS = 10.0
_IMAGES = {"cpu": 32, "cuda": 128}
_RESAMPLES = 2000
# From glibc's malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD (32 MiB at most).
_MALLOC_OPTIONS = ((-1, 2**31 - 1), (-2, 2**26), (-3, 2**25))


def measure(
    loaded: LoadedModel,
    *,
    batch_size: int | None = None,
    seqlen: int | None = None,
    repeats: int | None = None,
    progress: Progress | None = None,
) -> MeasureReport:
    """Time a model's forward pass, and for text also the decoding of further tokens.

    Args:
        loaded: The model, on the device where it is timed.
        batch_size: Images or prompts at once; ``None`` for 32 images (128 on a GPU) or
            one prompt.
        seqlen: Tokens a prompt, for text; ``None`` for the smaller of 128 and the model's
            limit.
        repeats: Number of timed rounds; ``None`` for 10 to 50, as many as fit in ten
            seconds.
        progress: Called after every round.

    Raises:
        SpecError: A setting outside its range.
    """
    started = time.perf_counter()
    bench = _Bench(Workload.build(loaded, batch_size, seqlen))
    _rounds((bench,), repeats, progress)
    return bench.summary(time.perf_counter() - started)


def compare(
    dense: LoadedModel,
    pruned: LoadedModel,
    *,
    batch_size: int | None = None,
    seqlen: int | None = None,
    repeats: int | None = None,
    progress: Progress | None = None,
) -> SpeedComparison:
    """Time two models in turns and say how much faster the second is.

    Args:
        dense: The reference.
        pruned: The model to compare with it, of the same task.
        batch_size: As in `measure`.
        seqlen: As in `measure`; the default fits both models.
        repeats: As in `measure`; the time budget is per model.
        progress: Called after every round.

    Returns:
        Both measurements and the ratio of their medians. Its interval comes from
        resampling rounds, both models' times of a round together.

    Raises:
        SpecError: A setting outside its range, or models of different tasks.
    """
    if dense.task != pruned.task:
        raise SpecError(
            f"{dense.source.model} reads {dense.task} and {pruned.source.model} {pruned.task}",
            "Compare two models of the same task",
        )
    length = seqlen
    if dense.task == "text" and seqlen is None:
        length = min(prompt_length(dense, None), prompt_length(pruned, None))
    started = time.perf_counter()
    benches = tuple(
        _Bench(Workload.build(loaded, batch_size, length)) for loaded in (dense, pruned)
    )
    _rounds(benches, repeats, progress)
    seconds = time.perf_counter() - started
    first, second = benches
    speedup, interval = ratio_of(first.forward, second.forward)
    decode: tuple[float, tuple[float, float]] | tuple[None, None] = (None, None)
    if first.decode and second.decode:
        decode = ratio_of(first.decode, second.decode)
    return SpeedComparison(
        dense=first.summary(seconds),
        pruned=second.summary(seconds),
        speedup=speedup,
        interval=interval,
        decode_speedup=decode[0],
        decode_interval=decode[1],
    )


def device_name(device: torch.device) -> str:
    """Return what a person calls the device, such as its processor's model name."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "CPU"


@dataclass(frozen=True, slots=True)
class Workload:
    """What one round runs: a model on random input of the size that is asked about.

    Attributes:
        loaded: The model, on the device where it is timed.
        inputs: (B, 3, side, side) pixels or (B, length) token ids.
        steps: (B, steps) further token ids, for text whose model has positions left.
    """

    loaded: LoadedModel
    inputs: Tensor
    steps: Tensor | None = None

    @classmethod
    def build(cls, loaded: LoadedModel, batch_size: int | None, seqlen: int | None) -> Self:
        """Make the input that `measure` uses for these settings.

        Raises:
            SpecError: A setting outside its range.
        """
        if batch_size is not None:
            check_range("batch_size", batch_size, 1)
        _keep_freed_memory()
        parameter = next(loaded.module.parameters())
        generator = torch.Generator().manual_seed(0)
        if loaded.task == "image":
            if seqlen is not None:
                raise SpecError(
                    f"{loaded.source.model} reads images, not tokens", "Leave --seqlen out"
                )
            place = "cpu" if parameter.device.type == "cpu" else "cuda"
            side = image_side(loaded)
            shape = (batch_size or _IMAGES[place], 3, side, side)
            return cls(loaded, torch.randn(shape, generator=generator).to(parameter))
        length = prompt_length(loaded, seqlen)
        limit = loaded.max_length
        steps = DECODE_STEPS if limit is None else min(DECODE_STEPS, limit - length)
        vocabulary = loaded.module.get_input_embeddings().num_embeddings  # type: ignore[operator]
        ids = torch.randint(vocabulary, (batch_size or 1, length + steps), generator=generator).to(
            parameter.device
        )
        return cls(loaded, ids[:, :length], ids[:, length:] if steps else None)

    @property
    def device(self) -> torch.device:
        """Where the model and its input are."""
        return self.inputs.device

    def forward(self, module: nn.Module | None = None, *, use_cache: bool = True) -> Any:
        """Run the forward pass that is timed.

        Args:
            module: A network to run in place of the model's own.
            use_cache: Whether a language model fills a key-value cache, as it does when
                it is timed.
        """
        network = self.loaded.module if module is None else module
        if self.loaded.task == "image":
            return network(self.inputs)
        return network(input_ids=self.inputs, use_cache=use_cache)

    def conditions(self) -> dict[str, str]:
        """Return what a time of the forward pass depends on, in words."""
        shape = self.inputs.shape
        conditions = {
            "device": device_name(self.device),
            "dtype": str(next(self.loaded.module.parameters()).dtype).removeprefix("torch."),
            "batch": str(shape[0]),
            "threads": str(torch.get_num_threads()),
            "warm-up": f"{WARM_UP} rounds",
            "torch": str(torch.__version__),
        }
        if self.device.type == "cpu" and _keep_freed_memory():
            conditions["memory"] = "kept by malloc"
        if self.loaded.task == "image":
            return conditions | {"input": " x ".join(str(n) for n in shape[1:])}
        return conditions | {"prompt": f"{shape[1]} tokens"}


@functools.cache
def _keep_freed_memory() -> bool:
    """Let the C library keep freed memory, as in a server that has run for a while.

    A fresh process otherwise gives every activation back to the system and fetches it
    again, page by page: 20% of the time of a ResNet50 on two cores, none of it the
    model's, and a larger share the smaller the model. Holds for the whole process; only
    glibc has the settings.

    Returns:
        Whether it took effect.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    accepted = [mallopt(option, value) == 1 for option, value in _MALLOC_OPTIONS]
    return all(accepted)


def elapsed(work: Callable[[], _Result], device: torch.device) -> tuple[float, _Result]:
    """Run ``work`` and wait for the device; return milliseconds and the result."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - started) * 1e3, result


@dataclass(slots=True)
class _Bench:
    """A workload and its times so far in milliseconds, one per round."""

    work: Workload
    forward: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The model as asked for."""
        return self.work.loaded.source.model

    def run(self, *, is_kept: bool) -> None:
        """Run one round; keep its times unless it is a warm-up."""
        work = self.work
        spent, output = elapsed(work.forward, work.device)
        if is_kept:
            self.forward.append(spent)
        cache = getattr(output, "past_key_values", None)
        if work.steps is None or cache is None:
            return
        steps = work.steps
        del output

        def decode() -> None:
            for token in torch.split(steps, 1, dim=1):
                work.loaded.module(input_ids=token, past_key_values=cache, use_cache=True)

        spent, _ = elapsed(decode, work.device)
        if is_kept:
            self.decode.append(spent / steps.shape[1])

    def summary(self, seconds: float) -> MeasureReport:
        """Return what was measured."""
        latency = summary_of(self.forward)
        inputs, steps = self.work.inputs, self.work.steps
        is_image = self.work.loaded.task == "image"
        items = inputs.shape[0] if is_image else inputs.numel()
        conditions = self.work.conditions()
        if self.decode and steps is not None:
            conditions["decode"] = f"mean of {steps.shape[1]} tokens after the prompt"
        return MeasureReport(
            model=self.model,
            latency_ms=latency,
            throughput=items / latency.median * 1e3,
            throughput_unit="images/s" if is_image else "tokens/s",
            conditions=conditions,
            seconds=seconds,
            decode_ms=summary_of(self.decode) if self.decode else None,
        )


def _rounds(benches: Sequence[_Bench], repeats: int | None, progress: Progress | None) -> None:
    """Run the benches in turns, the order reversed every round."""
    if repeats is not None:
        check_range("repeats", repeats, 1)
    total = repeats or _MAX_ROUNDS
    names = " and ".join(dict.fromkeys(bench.model for bench in benches))
    report(progress, "measure", 0, total, names)
    with torch.inference_mode():
        for _ in range(WARM_UP):
            for bench in benches:
                bench.run(is_kept=False)
        deadline = time.perf_counter() + _BUDGET_SECONDS * len(benches)
        for number in range(total):
            is_enough = number >= _MIN_ROUNDS and time.perf_counter() > deadline
            if repeats is None and is_enough:
                break
            for bench in benches if number % 2 == 0 else reversed(benches):
                bench.run(is_kept=True)
            report(progress, "measure", number + 1, total, names)
    report(progress, "measure", total, total, names)


def summary_of(times: Sequence[float]) -> Latency:
    """Return what repeated times of one operation come to, in milliseconds."""
    values = torch.tensor(times, dtype=torch.float64)
    return Latency(
        median=float(values.quantile(0.5)),
        p95=float(values.quantile(0.95)),
        minimum=float(values.min()),
        repeats=len(times),
    )


def ratio_of(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the ratio of medians and its 95% percentile bootstrap interval over rounds."""
    pairs = torch.tensor([slow, fast], dtype=torch.float64)  # (2, rounds)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(pairs.shape[1], (_RESAMPLES, pairs.shape[1]), generator=generator)
    medians = pairs[:, drawn].quantile(0.5, dim=2)  # (2, resamples)
    ratios = medians[0] / medians[1]
    centre = pairs.quantile(0.5, dim=1)
    low, high = ratios.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return float(centre[0] / centre[1]), (low, high)
