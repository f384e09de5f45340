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
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from osscar_core.bench.problems import SyntheticProblem
from osscar_core.checkpoint import Checkpoint
from osscar_core.evaluation.speed import device_name
from osscar_core.models import LoadedModel
from osscar_core.models.text import public_size, shaped_model
from osscar_core.progress import Progress
from osscar_core.records import Method, PruneSpec, Structure
from osscar_core.resources import Place, Placement
from osscar_core.sequential import SequentialPass
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
        placement: What stayed where.
        device: Name of the device.
        torch: Version.
        load_seconds: Time to make what lies outside the blocks.
        enter_seconds: Time until the first block.
        block_seconds: Wall time of every block, in order.
        seconds: Wall time of the run.
        all_seconds: The same for all blocks; extrapolated if not all were run.
        stages: Where the time went.
        device_bytes: Most device memory that torch held, cached memory included.
        allocated_bytes: Most device memory in use by tensors.
        host_bytes: Largest resident size of the process.
        disk_bytes: Bytes written.
    """

    shape: str
    parameters: int
    blocks: int
    all_blocks: int
    samples: int
    seqlen: int
    sparsity: float
    placement: Placement
    device: str
    torch: str
    load_seconds: float
    enter_seconds: float
    block_seconds: tuple[float, ...]
    seconds: float
    all_seconds: float
    stages: tuple[StageTime, ...]
    device_bytes: int
    allocated_bytes: int
    host_bytes: int
    disk_bytes: int

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
    dtype: str = "auto",
    placement: Placement | None = None,
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
        dtype: See `osscar_core.records.PruneSpec`.
        placement: What stays where.
        progress: Callback.
    """
    where = placement or Placement(True, Place.DEVICE, max(1, 16384 // seqlen), Place.DEVICE)
    _warm_up(device)
    began = time.perf_counter()
    model = shaped_model(shape, layers=blocks, dtype=dtype, device=device)
    all_blocks, parameters = public_size(shape)
    loaded = time.perf_counter()
    spec = PruneSpec(
        model=shape, weights="random", calibration="random:", sparsity=sparsity,
        samples=samples, seqlen=seqlen, device=str(device), dtype=dtype,
        structures=(Structure.HEADS, Structure.NEURONS),
    )  # fmt: skip
    watch = Stopwatch(device)
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(model, spec, where, watch, Path(folder), progress)
        marks = run.execute(device)
        written = sum(file.stat().st_size for file in Path(folder).rglob("*"))
        ended = time.perf_counter()
    marks = [one - loaded for one in marks]
    steps = tuple(after - before for before, after in itertools.pairwise(marks))
    seconds = ended - began
    missing = all_blocks - len(steps)
    typical = sorted(steps)[len(steps) // 2]
    is_cuda = device.type == "cuda"
    return PipelineBench(
        shape=shape,
        parameters=parameters,
        blocks=len(steps),
        all_blocks=all_blocks,
        samples=samples,
        seqlen=seqlen,
        sparsity=sparsity,
        placement=where,
        device=device_name(device),
        torch=torch.__version__,
        load_seconds=loaded - began,
        enter_seconds=marks[0],
        block_seconds=steps,
        seconds=seconds,
        all_seconds=seconds + missing * typical,
        stages=tuple(StageTime(name, value) for name, value in watch.seconds().items()),
        device_bytes=torch.cuda.max_memory_reserved(device) if is_cuda else 0,
        allocated_bytes=torch.cuda.max_memory_allocated(device) if is_cuda else 0,
        host_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        disk_bytes=written,
    )


class _Run:
    """One pass whose blocks are timed from outside."""

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        placement: Placement,
        watch: Stopwatch,
        folder: Path,
        progress: Progress | None,
    ) -> None:
        self._model = model
        self._spec = spec
        units = model.adapter.units(model.module)
        widths = uniform_widths(units, spec.sparsity, caps(spec, units), spec.round_to)
        self._batch = placement.batch
        self._pass = SequentialPass(
            model,
            spec,
            units,
            widths,
            checkpoint=Checkpoint.open(folder, {}),
            placement=placement,
            watch=watch,
            progress=progress,
        )

    def execute(self, device: torch.device) -> list[float]:
        """Run; return when the first block was begun, and when each was finished."""
        generator = torch.Generator().manual_seed(_SEED)
        vocabulary = self._model.module.get_parameter(
            "model.decoder.embed_tokens.weight"
            if self._model.adapter.family == "opt"
            else "model.embed_tokens.weight"
        ).shape[0]
        size = (self._spec.samples or 1, self._spec.seqlen or 1)
        ids = torch.randint(0, vocabulary, size, generator=generator)
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
