"""A whole pruning run on random weights of a real model's shape: time and memory.

The decision hidden here: what counts as the run. It begins with a request in memory and
ends when the last block is written; the libraries are imported and the device is warm
before. Weights are made block by block while it runs, as they would be read. Of a model
too large to run to its end, some blocks can be run and the rest be extrapolated: blocks
are equal, so a block more costs what a block costs.
"""

from __future__ import annotations

import importlib
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from osscar_core.allotment import Allotment, allot, held_to
from osscar_core.bench.problems import SyntheticProblem
from osscar_core.checkpoint import Checkpoint
from osscar_core.evaluation.speed import device_name
from osscar_core.models import LoadedModel
from osscar_core.models.text import public_size, shaped_model
from osscar_core.progress import Progress
from osscar_core.records import Method, PruneSpec, Structure
from osscar_core.resources import Resources
from osscar_core.sequential import SequentialPass
from osscar_core.shapes import default_batch
from osscar_core.solver import solve
from osscar_core.stopwatch import Stopwatch
from osscar_core.widths import caps, uniform_widths

_SEED = 0


@dataclass(frozen=True, slots=True)
class StageTime:
    """Seconds of one stage over all blocks that were run."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PipelineBench:
    """One run.

    Attributes:
        shape: Name of the model whose shape it has.
        parameters: Of the dense model, all blocks counted.
        blocks: Blocks that were run.
        all_blocks: Blocks that the model has.
        samples: Calibration windows.
        seqlen: Tokens a window.
        sparsity: Share of groups removed.
        device: Name of the device.
        torch: Version.
        load_seconds: Time to make what lies outside the blocks.
        enter_seconds: Time from there until the first block.
        block_seconds: Wall time of every block, in order.
        seconds: Wall time of the run.
        all_seconds: The same for all blocks; extrapolated if not all were run.
        stages: Where the time went.
        allocated_bytes: Most device memory in use by tensors.
        disk_bytes: Bytes written.
        resources: What stayed where, and memory and time of the blocks that were run beside
            what was foreseen.
    """

    shape: str
    parameters: int
    blocks: int
    all_blocks: int
    samples: int
    seqlen: int
    sparsity: float
    device: str
    torch: str
    load_seconds: float
    enter_seconds: float
    block_seconds: tuple[float, ...]
    seconds: float
    all_seconds: float
    stages: tuple[StageTime, ...]
    allocated_bytes: int
    disk_bytes: int
    resources: Resources | None

    @property
    def is_extrapolated(self) -> bool:
        """Whether the time of the whole model is an extrapolation."""
        return self.blocks < self.all_blocks


def bench_pipeline(
    shape: str,
    *,
    device: torch.device,
    blocks: int | None = None,
    samples: int = 128,
    seqlen: int = 2048,
    sparsity: float = 0.5,
    gpu_memory: int | None = None,
    host_memory: int | None = None,
    progress: Progress | None = None,
) -> PipelineBench:
    """Prune a never-trained model of a real shape, equal shares of heads and neurons.

    Args:
        shape: See `osscar_core.models.text.shaped_model`.
        device: Where to compute.
        blocks: Blocks to run; ``None`` for all.
        samples: Calibration windows.
        seqlen: Tokens a window.
        sparsity: Share of the groups to remove.
        gpu_memory: See `osscar_core.records.PruneSpec`.
        host_memory: See `osscar_core.records.PruneSpec`.
        progress: Callback.

    Raises:
        SpecError: There is no such shape, or nothing fits the budget.
    """
    with held_to(device, gpu_memory), tempfile.TemporaryDirectory() as folder:
        _warm_up(device)
        began = time.perf_counter()
        model = shaped_model(shape, layers=blocks, dtype="auto", device=device)
        loaded = time.perf_counter()
        spec = PruneSpec(
            model=shape, weights="random", calibration="random:", sparsity=sparsity,
            samples=samples, seqlen=seqlen, device=str(device), gpu_memory=gpu_memory,
            structures=(Structure.HEADS, Structure.NEURONS), host_memory=host_memory,
        )  # fmt: skip
        allotment = allot(model, spec, device)
        watch = Stopwatch(device)
        run = _Run(model, spec, allotment, watch, Path(folder), progress)
        marks = run.execute(device)
        ended = time.perf_counter()
        written = sum(file.stat().st_size for file in Path(folder).rglob("*"))
    steps = tuple(after - before for before, after in itertools.pairwise(marks))
    seconds = ended - began
    all_blocks, parameters = public_size(shape)
    typical = sorted(steps)[len(steps) // 2]
    is_cuda = device.type == "cuda"
    reserved = torch.cuda.max_memory_reserved(device) if is_cuda else None
    return PipelineBench(
        shape=shape,
        parameters=parameters,
        blocks=len(steps),
        all_blocks=all_blocks,
        samples=samples,
        seqlen=seqlen,
        sparsity=sparsity,
        device=device_name(device),
        torch=torch.__version__,
        load_seconds=loaded - began,
        enter_seconds=marks[0] - loaded,
        block_seconds=steps,
        seconds=seconds,
        all_seconds=seconds + (all_blocks - len(steps)) * typical,
        stages=tuple(StageTime(name, value) for name, value in watch.seconds().items()),
        allocated_bytes=torch.cuda.max_memory_allocated(device) if is_cuda else 0,
        disk_bytes=written,
        resources=None if allotment is None else allotment.resources(reserved, seconds),
    )


class _Run:
    """One pass whose blocks are timed from outside."""

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        allotment: Allotment | None,
        watch: Stopwatch,
        folder: Path,
        progress: Progress | None,
    ) -> None:
        self._model = model
        self._spec = spec
        units = model.adapter.units(model.module)
        widths = uniform_widths(units, spec.sparsity, caps(spec, units), spec.round_to)
        usual = default_batch(seqlen=spec.seqlen)
        self._batch = usual if allotment is None else allotment.placement.batch
        self._pass = SequentialPass(
            model,
            spec,
            units,
            widths,
            checkpoint=Checkpoint.open(folder, {}),
            placement=None if allotment is None else allotment.placement,
            folder=folder,
            watch=watch,
            progress=progress,
        )

    def execute(self, device: torch.device) -> list[float]:
        """Run; return when the first block was begun, and when each was finished."""
        generator = torch.Generator().manual_seed(_SEED)
        module: Any = self._model.module
        size = (self._spec.samples or 1, self._spec.seqlen or 1)
        ids = torch.randint(0, module.config.vocab_size, size, generator=generator)
        inputs = [{"input_ids": one, "use_cache": False} for one in torch.split(ids, self._batch)]
        self._pass.execute(inputs, device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return [*self._pass.began, time.perf_counter()]


def _warm_up(device: torch.device) -> None:
    """Import libraries, start the device, and forget what that took."""
    importlib.import_module("transformers.models.opt.modeling_opt")
    importlib.import_module("transformers.models.llama.modeling_llama")
    if device.type != "cuda":
        return
    problem = SyntheticProblem(512, 64).build(device)
    solve(problem, 256, Method.OSSCAR)
    half = torch.ones(64, 64, dtype=torch.float16, device=device)
    torch.mm(half, half, out_dtype=torch.float32)
    del problem, half
    torch.cuda.empty_cache()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
