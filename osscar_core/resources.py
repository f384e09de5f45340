"""What a pruning run is expected to need, and what it did need.

The decision hidden here: the words in which memory and time are told, before a run and
after it. Plain records; how the figures are found is `osscar_core.placement`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where something is kept while a run needs it."""

    DEVICE = "device"
    HOST = "host"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Placement:
    """What stays where during a run.

    On a CPU the device's memory is the host's.

    Attributes:
        is_streamed: Whether weights are read block by block; otherwise the whole model is
            in host memory.
        activations: Where the streams between two blocks are kept.
        batch: Windows or images a micro-batch.
        search: ``device`` where the statistics stay beside the search; ``host`` where
            they wait in host memory while the search has the device to itself.
    """

    is_streamed: bool
    activations: Place
    batch: int
    search: Place

    def describe(self) -> str:
        """Return the placement in words."""
        weights = "weights read block by block" if self.is_streamed else "the whole model loaded"
        where = {
            Place.DEVICE: "on the device",
            Place.HOST: "in host memory",
            Place.DISK: "on disk",
        }
        return (
            f"{weights}, activations {where[self.activations]}, "
            f"micro-batches of {self.batch}, statistics {where[self.search]} during the search"
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that takes room.

    Attributes:
        name: What it is.
        bytes: How much.
    """

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Memory of one device in one phase of a block, at the block that takes most.

    Attributes:
        name: ``statistics``, ``search`` or ``refit``; ``run`` for what does not change.
        bytes: Sum of the parts.
        parts: What it is made of.
    """

    name: str
    bytes: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Seconds:
    """Time of a run, by what it is spent on; the parts are taken one after another.

    Attributes:
        read: Weights from disk.
        forward: Passes through the blocks.
        move: Activations and statistics between device, host and disk.
        statistics: Products behind gram and cross.
        search: Choosing the groups, and the re-fits.
        write: The result to disk.
        total: Their sum.
    """

    read: float
    forward: float
    move: float
    statistics: float
    search: float
    write: float
    total: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to need; nothing here was measured on the run itself.

    Attributes:
        model: The model.
        machine: What it would run on.
        gpu_bytes: Most memory of each GPU, 0 on a CPU.
        host_bytes: Most memory of the process.
        disk_bytes: Source, result and spilled activations.
        parameters: The model's number of parameters.
        gpus: How many of them.
        samples: Calibration windows or images.
        seqlen: Tokens a window; ``None`` for images.
        sparsity: Share of the groups that goes.
        placement: What stays where.
        gpu: The phases of the block that takes most, each with its parts.
        host: The same of the host.
        disk: What the disk holds.
        seconds: Wall time.
        basis: How the figures were made, in words.
    """

    model: str
    machine: str
    gpu_bytes: int
    host_bytes: int
    disk_bytes: int
    parameters: int
    gpus: int
    samples: int
    seqlen: int | None
    sparsity: float
    placement: Placement
    gpu: tuple[Phase, ...]
    host: tuple[Phase, ...]
    disk: tuple[Part, ...]
    seconds: Seconds
    basis: str


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run needed, beside what had been foreseen and allowed.

    Attributes:
        placement: What stayed where.
        predicted_gpu_bytes: Foreseen peak of each GPU, 0 on a CPU.
        measured_gpu_bytes: Highest peak of a GPU; ``None`` on a CPU.
        predicted_host_bytes: Foreseen peak of the process.
        measured_host_bytes: Peak of the process.
        predicted_seconds: Foreseen wall time.
        measured_seconds: Wall time.
        gpu_memory: Budget of each GPU in bytes; ``None`` if there was none.
        host_memory: Budget of the process in bytes; ``None`` if there was none.
    """

    placement: Placement
    predicted_gpu_bytes: int
    measured_gpu_bytes: int | None
    predicted_host_bytes: int
    measured_host_bytes: int
    predicted_seconds: float
    measured_seconds: float
    gpu_memory: int | None = None
    host_memory: int | None = None

    @property
    def is_within(self) -> bool:
        """Whether no budget that was given was exceeded."""
        gpu = self.gpu_memory is None or (self.measured_gpu_bytes or 0) <= self.gpu_memory
        return gpu and (self.host_memory is None or self.measured_host_bytes <= self.host_memory)

    @property
    def is_foreseen(self) -> bool:
        """Whether no more memory was needed than predicted."""
        gpu = (self.measured_gpu_bytes or 0) <= self.predicted_gpu_bytes
        on_cpu = self.measured_gpu_bytes is None
        return (on_cpu or gpu) and self.measured_host_bytes <= self.predicted_host_bytes

    @classmethod
    def of(
        cls,
        forecast: Forecast,
        *,
        gpu_bytes: int | None,
        host_bytes: int,
        seconds: float,
        gpu_memory: int | None = None,
        host_memory: int | None = None,
    ) -> Resources:
        """Put what was measured beside a forecast.

        Args:
            forecast: What had been foreseen.
            gpu_bytes: Measured peak of the fullest GPU; ``None`` on a CPU.
            host_bytes: Measured peak of the process.
            seconds: Measured wall time.
            gpu_memory: The budget of each GPU, if there was one.
            host_memory: The budget of the process, if there was one.
        """
        return cls(
            placement=forecast.placement,
            predicted_gpu_bytes=forecast.gpu_bytes,
            measured_gpu_bytes=gpu_bytes,
            predicted_host_bytes=forecast.host_bytes,
            measured_host_bytes=host_bytes,
            predicted_seconds=forecast.seconds.total,
            measured_seconds=seconds,
            gpu_memory=gpu_memory,
            host_memory=host_memory,
        )
