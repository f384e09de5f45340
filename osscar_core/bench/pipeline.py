"""A whole pruning run on random weights of a real model's shape: time and memory.

The decision hidden here: what counts as the run. It begins with a request in memory and
ends when the last block is written; the libraries are imported and the devices are warm
before. Weights are made block by block while it runs, as they would be read. Of a model
too large to run to its end, some blocks can be run and the rest be extrapolated: blocks
are equal, so a block more costs what a block costs.
"""

from __future__ import annotations

import importlib
import itertools
import tempfile
import time
from collections.abc import Mapping
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
from osscar_core.team import ALONE, Team
from osscar_core.together import work_together
from osscar_core.widths import caps, uniform_widths

_SEED = 0
_CALIBRATION = ("forward", "statistics", "exchange")


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
        gpus: Devices that shared the calibration data.
        torch: Version.
        load_seconds: Time to make what lies outside the blocks.
        enter_seconds: Time from there until the first block.
        block_seconds: Wall time of every block, in order.
        seconds: Wall time of the run.
        all_seconds: The same for all blocks; extrapolated if not all were run.
        stages: Where the time went.
        allocated_bytes: Most device memory in use by tensors.
        disk_bytes: Bytes written.
        kept: The groups that each unit keeps, by its name: the bits of a hexadecimal number.
        errors: Relative error of each unit after its re-fit, by its name.
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
    gpus: int
    torch: str
    load_seconds: float
    enter_seconds: float
    block_seconds: tuple[float, ...]
    seconds: float
    all_seconds: float
    stages: tuple[StageTime, ...]
    allocated_bytes: int
    disk_bytes: int
    kept: Mapping[str, str]
    errors: Mapping[str, float]
    resources: Resources | None

    @property
    def is_extrapolated(self) -> bool:
        """Whether the time of the whole model is an extrapolation."""
        return self.blocks < self.all_blocks

    @property
    def calibration_seconds(self) -> float:
        """Time that data took to pass, to be summed up and to be added up between devices."""
        return sum(one.seconds for one in self.stages if one.stage in _CALIBRATION)


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
    gpus: int = 1,
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
        gpus: Devices of this machine that share the calibration data.
        progress: Callback.

    Raises:
        SpecError: There is no such shape, fewer GPUs, or nothing fits the budget.
    """
    spec = bench_request(
        shape, samples=samples, seqlen=seqlen, sparsity=sparsity, device=str(device),
        gpu_memory=gpu_memory, host_memory=host_memory, gpus=gpus,
    )  # fmt: skip
    if gpus == 1:
        return bench_member(ALONE, device, progress, (spec, blocks))
    found: PipelineBench = work_together(bench_member, (spec, blocks), str(device), gpus, progress)
    return found


def bench_request(shape: str, *, sparsity: float = 0.5, **settings: Any) -> PruneSpec:
    """Return the request for a run on random weights of a shape; see `bench_pipeline`."""
    return PruneSpec(
        model=shape,
        weights="random",
        calibration="random:",
        structures=(Structure.HEADS, Structure.NEURONS),
        sparsity=sparsity,
        **settings,
    )


def bench_member(
    team: Team, device: torch.device, progress: Progress | None, given: tuple[PruneSpec, int | None]
) -> PipelineBench:
    """Be one member of a team, or all of it, from beginning to end."""
    spec, blocks = given
    with held_to(device, spec.gpu_memory), tempfile.TemporaryDirectory() as folder:
        _warm_up(device)
        # The first exchange starts the connection between devices.
        team.share_tensors((torch.ones(1, device=device),), device)
        began = time.perf_counter()
        model = shaped_model(spec.model, layers=blocks, dtype="auto", device=device)
        loaded = time.perf_counter()
        allotment = allot(model, spec, device)
        watch = Stopwatch(device)
        run = _Run(model, spec, allotment, watch, Path(folder), team, progress)
        marks = run.execute(device)
        ended = time.perf_counter()
        written = sum(file.stat().st_size for file in Path(folder).rglob("*"))
    steps = tuple(after - before for before, after in itertools.pairwise(marks))
    seconds = ended - began
    all_blocks, parameters = public_size(spec.model)
    typical = sorted(steps)[len(steps) // 2]
    is_cuda = device.type == "cuda"
    reserved = torch.cuda.max_memory_reserved(device) if is_cuda else None
    return PipelineBench(
        shape=spec.model,
        parameters=parameters,
        blocks=len(steps),
        all_blocks=all_blocks,
        samples=spec.samples or 1,
        seqlen=spec.seqlen or 1,
        sparsity=spec.sparsity,
        device=device_name(device),
        gpus=team.size,
        torch=torch.__version__,
        load_seconds=loaded - began,
        enter_seconds=marks[0] - loaded,
        block_seconds=steps,
        seconds=seconds,
        all_seconds=seconds + (all_blocks - len(steps)) * typical,
        stages=tuple(StageTime(name, value) for name, value in watch.seconds().items()),
        allocated_bytes=torch.cuda.max_memory_allocated(device) if is_cuda else 0,
        disk_bytes=written,
        kept=run.kept(),
        errors=run.errors(),
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
        team: Team,
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
            team=team,
            progress=progress,
        )

    def kept(self) -> dict[str, str]:
        """Return the groups that each unit keeps, by its name, as bits."""
        return {
            unit.name: f"{sum(1 << group for group in unit.kept):x}" for unit in self._pass.plans
        }

    def errors(self) -> dict[str, float]:
        """Return the relative error of each unit, by its name."""
        return {unit.name: unit.relative_error for unit in self._pass.reports}

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
