"""A run's memory budget: turned into a placement, held to, and checked afterwards.

The decision hidden here: what a run may use when nobody said, and how a limit is enforced.
A limit of GPU memory binds torch's allocator, so that more is refused and not taken from
others; one of host memory decides what stays where, and is compared with the peak.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from osscar_core.catalogue import OPT_SHAPES
from osscar_core.driver import gpu_name
from osscar_core.errors import SpecError
from osscar_core.evaluation.memory import process_peak
from osscar_core.machines import DEFAULT_CPU, DEFAULT_GPU, match_machine
from osscar_core.models import LoadedModel, can_stream
from osscar_core.placement import CONTEXT_BYTES, forecast, place
from osscar_core.planning import shape_of
from osscar_core.records import PruneSpec, Target
from osscar_core.resources import Forecast, Placement, Resources
from osscar_core.storage import given_path

# Of the memory that is free, the share that a run takes without being told.
_SHARE_OF_HOST = 0.7


@dataclass(frozen=True, slots=True)
class Allotment:
    """What stays where during a run, and what that is expected to take.

    Attributes:
        spec: The request, with the batch size that was chosen.
        forecast: What the run is expected to need.
    """

    spec: PruneSpec
    forecast: Forecast

    @property
    def placement(self) -> Placement:
        """What stays where."""
        return self.forecast.placement

    def resources(self, gpu_bytes: int | None, seconds: float) -> Resources:
        """Return what the run needed beside what was foreseen.

        Args:
            gpu_bytes: Peak of the GPU, without what CUDA itself takes; ``None`` on a CPU.
            seconds: Wall time of the run.
        """
        return Resources.of(
            self.forecast,
            gpu_bytes=None if gpu_bytes is None else gpu_bytes + CONTEXT_BYTES,
            host_bytes=process_peak(),
            seconds=seconds,
            gpu_memory=self.spec.gpu_memory,
            host_memory=self.spec.host_memory,
        )


def allot(model: LoadedModel, spec: PruneSpec, device: torch.device) -> Allotment | None:
    """Choose what stays where.

    Args:
        model: The dense model.
        spec: The request, resolved.
        device: Where it runs.

    Returns:
        The choice; ``None`` on a CPU without a budget, where there is nothing to choose.

    Raises:
        SpecError: Nothing fits the budget.
    """
    is_cuda = device.type == "cuda"
    has_budget = spec.gpu_memory is not None or spec.host_memory is not None
    if not is_cuda and not has_budget and model.blocks is None:
        return None
    machine = (match_machine(gpu_name()) or DEFAULT_GPU) if is_cuda else DEFAULT_CPU
    shape = shape_of(
        model, is_streamable=model.blocks is not None, has_source=spec.weights != "random"
    )
    samples = spec.samples or shape.default_samples
    with_dense = spec.target is not Target.LAYER

    def choose(gpu_memory: int | None, host_memory: int | None) -> Placement:
        return place(
            shape,
            samples=samples,
            seqlen=spec.seqlen,
            gpu_memory=gpu_memory,
            host_memory=host_memory,
            with_dense=with_dense,
            device_kind=machine.kind,
            gpus=spec.gpus,
            batch=spec.batch_size,
            may_stream=model.blocks is not None,
            machine=machine,
        )

    free_gpu = spec.gpu_memory
    if free_gpu is None and is_cuda:
        free_gpu = torch.cuda.mem_get_info(device)[0]
    free_host = spec.host_memory or int(_SHARE_OF_HOST * available_memory()) or None
    try:
        placement = choose(free_gpu, free_host)
    except SpecError:
        # What is free is no limit that was given, and the estimate may be too high: try.
        placement = choose(spec.gpu_memory, spec.host_memory)
    found = forecast(
        shape,
        placement,
        samples=samples,
        seqlen=spec.seqlen,
        machine=machine,
        with_dense=with_dense,
        gpus=spec.gpus,
        sparsity=spec.sparsity,
    )
    return Allotment(dataclasses.replace(spec, batch_size=placement.batch), found)


def is_streamed(spec: PruneSpec) -> bool:
    """Return whether a request's model is read block by block.

    It is if a budget is given, or if it would fill most of the memory that is free.
    """
    if not can_stream(spec.model, spec.weights):
        return False
    if spec.gpu_memory is not None or spec.host_memory is not None or spec.gpus > 1:
        return True
    return _stored_bytes(spec.model) > _SHARE_OF_HOST * available_memory()


@contextlib.contextmanager
def held_to(device: torch.device, gpu_memory: int | None) -> Iterator[None]:
    """Keep torch from taking more of a GPU than a budget, for the length of the context."""
    if gpu_memory is None or device.type != "cuda":
        yield
        return
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        # Memory in one growing piece: what one phase leaves free fits what the next one needs.
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    torch.cuda.empty_cache()
    index = torch.cuda.current_device() if device.index is None else device.index
    total = torch.cuda.get_device_properties(index).total_memory
    share = min(1.0, max(gpu_memory - CONTEXT_BYTES, 0) / total)
    torch.cuda.set_per_process_memory_fraction(share, index)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, index)


def available_memory() -> int:
    """Return the bytes of host memory that are free for this process, as the system says."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # no such file, or another form: not this kind of system
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _stored_bytes(model: str) -> int:
    """Return the size of a model's weights, as far as it is known without loading."""
    if model in OPT_SHAPES:
        return 2 * OPT_SHAPES[model].parameters
    folder = given_path(model)
    if not folder.is_dir():
        return 0
    kinds = (".safetensors", ".bin")
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in kinds)
