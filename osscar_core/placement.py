"""What stays where under a memory budget, and what that costs.

The decision hidden here: the model of a run's memory and time. Every placement has a
forecast, made from shapes alone; the one chosen is the fastest whose forecast fits. A block
goes through three phases, which need the device one after another:

- ``statistics``: the block and its dense twin, one micro-batch's values, gram and cross in
  float64 with the float32 products that are added to them;
- ``search``: the inverse hessian P and the square of the weights M, both (p, p) float64,
  with W, its target and the panels, beside the statistics unless those wait in host memory;
- ``refit``: the hessian of the kept features, its factor and the weights.

The re-fit is counted for the case that everything is kept, since widths may be chosen by a
goal and are not known before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from osscar_core.errors import SpecError
from osscar_core.machines import (
    BUS_EFFICIENCY,
    DEFAULT_CPU,
    DEFAULT_GPU,
    DISK_BYTES_A_SECOND,
    FORWARD_EFFICIENCY,
    SEARCH_EFFICIENCY,
    SECONDS_A_PASS,
    SECONDS_A_REMOVAL,
    STATISTICS_EFFICIENCY,
    Machine,
)
from osscar_core.notation import gibibytes
from osscar_core.resources import Forecast, Part, Phase, Place, Placement, Resources, Seconds
from osscar_core.shapes import BlockShape, ModelShape, UnitShape, default_batch

__all__ = [
    "BlockShape",
    "Forecast",
    "ModelShape",
    "Place",
    "Placement",
    "Resources",
    "UnitShape",
    "forecast",
    "place",
]

DeviceKind = Literal["cuda", "cpu"]

_FLOAT64 = 8
_FLOAT32 = 4
_PANEL = 128
_INVERSE_ROWS = 512
_IN_FLIGHT = 4  # micro-batches on their way between device and host or disk
_DEVICE_BATCHES = 4  # usual micro-batches that a GPU takes at once; fewer leave it waiting
_ROWS_AT_ONCE = 8192  # rows whose products are taken in float32
CONTEXT_BYTES = int(0.6 * 2**30)
"""What CUDA itself takes of a GPU."""

_SLACK = 1.05  # what the allocator loses between blocks of memory
_HOST_WITH_CUDA = 3 * 2**30
_HOST_ALONE = int(1.1e9)

_BASIS = (
    "An estimate from the model's shapes: memory at the block that takes most, with everything "
    "kept; time from the data sheet of {machine}, of which forward passes are taken to reach "
    "{forward:.0%}, statistics {statistics:.0%} and the search {search:.0%}, and a disk of "
    "{disk:.0f} GB/s. Downloading and swaps are not counted."
)
_SEVERAL = " On several GPUs the micro-batches are divided; the search stays on one."


@dataclass(frozen=True, slots=True)
class _Work:
    """A model and what it is calibrated on."""

    shape: ModelShape
    samples: int
    seqlen: int | None
    with_dense: bool
    kind: DeviceKind
    gpus: int
    kinds: tuple[tuple[BlockShape, int], ...]

    @classmethod
    def of(
        cls,
        shape: ModelShape,
        samples: int,
        seqlen: int | None,
        with_dense: bool,
        kind: DeviceKind,
        gpus: int,
    ) -> _Work:
        """Count the blocks that are alike, which most are."""
        kinds = tuple(Counter(shape.blocks).items())
        return cls(shape, samples, seqlen, with_dense, kind, gpus, kinds)

    @property
    def widest(self) -> int:
        """Parameters of the largest block."""
        return max(block.parameters for block, _ in self.kinds)

    @property
    def units(self) -> tuple[tuple[BlockShape, UnitShape], ...]:
        """The units that differ, each with its block."""
        return tuple((block, unit) for block, _ in self.kinds for unit in block.units)

    @property
    def items_a_sample(self) -> int:
        return self.seqlen or 1

    @property
    def items(self) -> int:
        return self.samples * self.items_a_sample

    @property
    def streams(self) -> int:
        return 2 if self.with_dense else 1

    @property
    def value(self) -> int:
        """Bytes of a value that is computed with."""
        stored = self.shape.bytes_per_value
        return stored if self.kind == "cuda" else max(stored, _FLOAT32)

    @property
    def state(self) -> int:
        """Values of the widest hidden state per item."""
        return max(block.state for block, _ in self.kinds)

    @property
    def activations(self) -> int:
        """Bytes of all streams between two blocks."""
        return self.streams * self.items * self.state * self.value


def place(
    shape: ModelShape,
    *,
    samples: int,
    seqlen: int | None,
    gpu_memory: int | None,
    host_memory: int | None,
    with_dense: bool = True,
    device_kind: DeviceKind = "cuda",
    gpus: int = 1,
    batch: int | None = None,
    may_stream: bool = True,
    machine: Machine | None = None,
) -> Placement:
    """Return the fastest placement whose predicted peaks fit.

    Args:
        shape: The model.
        samples: Calibration windows or images.
        seqlen: Tokens a window; ``None`` for images.
        gpu_memory: Bytes of each GPU that may be used; ``None`` for no limit.
        host_memory: Bytes that the process may use; ``None`` for no limit.
        with_dense: Whether the dense stream travels beside the pruned one.
        device_kind: ``cuda``, or ``cpu`` where the host's budget holds everything.
        gpus: GPUs that share the micro-batches.
        batch: Windows or images a micro-batch, if that is given; ``None`` to choose.
        may_stream: Whether weights may be read block by block.
        machine: What "fastest" is judged on; ``None`` for a default of its kind.

    Raises:
        SpecError: None fits; the message says what the least needed is.
    """
    work = _Work.of(shape, samples, seqlen, with_dense, device_kind, gpus)
    judge = machine or (DEFAULT_GPU if device_kind == "cuda" else DEFAULT_CPU)
    choices = tuple(_candidates(work, batch, may_stream))
    fitting = choices
    if gpu_memory is not None and device_kind == "cuda":
        fitting = tuple(one for one in choices if _device_peak(work, one) <= gpu_memory)
        if not fitting:
            least = min(choices, key=lambda one: _device_peak(work, one))
            raise _refusal(
                work, least, "GPU memory", _device_peak(work, least), "gpu-memory", gpu_memory
            )
    if host_memory is not None:
        near = fitting
        fitting = tuple(one for one in near if _host_peak(work, one) <= host_memory)
        if not fitting:
            least = min(near, key=lambda one: _host_peak(work, one))
            raise _refusal(
                work, least, "host memory", _host_peak(work, least), "host-memory", host_memory
            )
    # The first of equals wins: candidates come with what is plainest first.
    return min(fitting, key=lambda one: _seconds(work, one, judge, 0.5).total)


def forecast(
    shape: ModelShape,
    placement: Placement,
    *,
    samples: int,
    seqlen: int | None,
    machine: Machine,
    with_dense: bool = True,
    gpus: int = 1,
    sparsity: float = 0.5,
) -> Forecast:
    """Say what a run is expected to need.

    Args:
        shape: The model.
        placement: What stays where.
        samples: Calibration windows or images.
        seqlen: Tokens a window; ``None`` for images.
        machine: What it would run on.
        with_dense: Whether the dense stream travels beside the pruned one.
        gpus: GPUs that share the micro-batches.
        sparsity: Share of the groups that goes, for time and disk; memory does not
            depend on it.
    """
    work = _Work.of(shape, samples, seqlen, with_dense, machine.kind, gpus)
    disk = _disk(work, placement, sparsity)
    basis = _BASIS.format(
        machine=machine.name,
        forward=FORWARD_EFFICIENCY,
        statistics=STATISTICS_EFFICIENCY,
        search=SEARCH_EFFICIENCY,
        disk=DISK_BYTES_A_SECOND / 1e9,
    )
    return Forecast(
        model=shape.name,
        parameters=shape.parameters,
        machine=machine.name,
        gpus=gpus,
        samples=samples,
        seqlen=seqlen,
        sparsity=sparsity,
        placement=placement,
        gpu_bytes=_device_peak(work, placement) if machine.kind == "cuda" else 0,
        host_bytes=_host_peak(work, placement),
        disk_bytes=sum(part.bytes for part in disk),
        gpu=_device_phases(work, placement) if machine.kind == "cuda" else (),
        host=_host_phases(work, placement),
        disk=disk,
        seconds=_seconds(work, placement, machine, sparsity),
        basis=basis + (_SEVERAL if gpus > 1 else ""),
    )


def _candidates(work: _Work, batch: int | None, may_stream: bool) -> Iterator[Placement]:
    """Yield the placements to choose from, those that move least first."""
    streamed = may_stream and work.shape.is_streamable
    # On a CPU host memory is the device's, so there is nothing between it and the disk.
    places = tuple(Place) if work.kind == "cuda" else (Place.DEVICE, Place.DISK)
    searches = (Place.DEVICE, Place.HOST) if work.kind == "cuda" else (Place.DEVICE,)
    for activations in places:
        for search in searches:
            for size in _batches(work, batch):
                yield Placement(streamed, activations, size, search)


def _batches(work: _Work, batch: int | None) -> tuple[int, ...]:
    """Return sizes of a micro-batch, descending; the first is what a run takes by default."""
    if batch is not None:
        return (batch,)
    usual = default_batch(seqlen=work.seqlen, pixels=work.shape.pixels or 1)
    sizes = [usual * (_DEVICE_BATCHES if work.kind == "cuda" else 1)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes)


def _refusal(
    work: _Work, least: Placement, what: str, needed: int, option: str, given: int
) -> SpecError:
    whose = " of each GPU" if work.gpus > 1 and what.startswith("GPU") else ""
    return SpecError(
        f"pruning {work.shape.name} takes at least {gibibytes(needed, up=True)} of {what}{whose} "
        f"with {least.describe()}, and --{option} is {gibibytes(given)}",
        f"Raise --{option}, or use fewer --samples or a shorter --seqlen",
    )


def _device_phases(work: _Work, placement: Placement) -> tuple[Phase, ...]:
    """Return the phases on the device, each at the block and unit that takes most there."""
    found: list[Phase] = []
    for name in ("statistics", "search", "refit"):
        phases = (
            _phase(name, _device_parts(work, placement, block, unit, name))
            for block, unit in work.units
        )
        found.append(max(phases, key=lambda one: one.bytes))
    return tuple(found)


def _device_parts(
    work: _Work, placement: Placement, block: BlockShape, unit: UnitShape, phase: str
) -> tuple[Part, ...]:
    p, m, value = unit.features, unit.outputs, work.value
    square, wide = _FLOAT64 * p * p, _FLOAT64 * p * m
    widest = work.widest
    resident = (
        Part(
            "block" + (" and dense twin" if work.with_dense else ""), work.streams * widest * value
        ),
        Part("activations", _device_activations(work, placement)),
    )
    statistics = (Part("gram", square), Part("cross", wide))
    if phase == "statistics":
        rows = placement.batch * work.items_a_sample * unit.rows
        piece = min(rows, _ROWS_AT_ONCE) * (p + m) * _FLOAT32
        unfolded = rows * p * value if unit.rows > 1 else 0
        passing = placement.batch * work.items_a_sample * block.working * value
        return (
            *resident,
            *statistics,
            Part("values of a micro-batch", passing + unfolded + piece),
            Part("float32 products", _FLOAT32 * (p * p + p * m)),
        )
    staying = statistics if placement.search is Place.DEVICE else ()
    dense = (Part("dense weights", wide),) if placement.search is Place.DEVICE else ()
    if phase == "search":
        return (
            *resident,
            *staying,
            *dense,
            Part("inverse hessian and square of weights", 2 * square),
            Part("weights and target", 2 * wide),
            Part("panels and blocks of the inverse", _FLOAT64 * 2 * p * (_PANEL + _INVERSE_ROWS)),
        )
    return (
        *resident,
        *staying,
        *dense,
        Part("hessian and factor of what is kept", 2 * square),
        Part("right side and weights", 2 * wide),
    )


def _device_activations(work: _Work, placement: Placement) -> int:
    if placement.activations is Place.DEVICE:
        return -(-work.activations // work.gpus)
    batch = min(placement.batch, work.samples) * work.items_a_sample
    return _IN_FLIGHT * work.streams * batch * work.state * work.value


def _device_peak(work: _Work, placement: Placement) -> int:
    """Return the bytes of a GPU that a run takes at most, CUDA's own included."""
    most = max(phase.bytes for phase in _device_phases(work, placement))
    return int(most * _SLACK) + CONTEXT_BYTES


def _host_phases(work: _Work, placement: Placement) -> tuple[Phase, ...]:
    shape, value = work.shape, work.value
    widest = work.widest
    weights = (
        (Part("embeddings and head", shape.outer_parameters * value),)
        if placement.is_streamed
        else (Part("whole model", shape.parameters * value),)
    )
    # The block that is read ahead, its copy for the transfer, and the one being written.
    ahead = (Part("blocks read ahead and written", 3 * widest * value),)
    base = (
        Part("libraries", _HOST_WITH_CUDA if work.kind == "cuda" else _HOST_ALONE),
        *weights,
        *(ahead if placement.is_streamed else ()),
    )
    if work.kind == "cpu":
        return tuple(
            _phase(phase.name, (*base, *phase.parts)) for phase in _device_phases(work, placement)
        )
    streams = {
        Place.DEVICE: 0,
        Place.HOST: work.activations,
        Place.DISK: work.gpus * _device_activations(work, placement),
    }
    waiting = 0
    if placement.search is Place.HOST:
        # gram, cross and the dense weights
        waiting = max(
            _FLOAT64 * (unit.features**2 + 2 * unit.features * unit.outputs)
            for _, unit in work.units
        )
    parts = (
        *base,
        Part("activations", streams[placement.activations]),
        Part("statistics that wait", waiting),
    )
    return (_phase("run", tuple(part for part in parts if part.bytes)),)


def _host_peak(work: _Work, placement: Placement) -> int:
    return max(phase.bytes for phase in _host_phases(work, placement))


def _phase(name: str, parts: tuple[Part, ...]) -> Phase:
    return Phase(name, sum(part.bytes for part in parts), parts)


def _disk(work: _Work, placement: Placement, sparsity: float) -> tuple[Part, ...]:
    shape = work.shape
    gone = sum(int(block.removable * sparsity) for block in shape.blocks)
    spilled = work.activations if placement.activations is Place.DISK else 0
    parts = (
        Part("source", shape.parameters * shape.bytes_per_value if shape.has_source else 0),
        Part(
            "result, with the blocks finished so far",
            (shape.parameters - gone) * shape.bytes_per_value,
        ),
        Part("activations", spilled),
    )
    return tuple(part for part in parts if part.bytes)


def _seconds(work: _Work, placement: Placement, machine: Machine, sparsity: float) -> Seconds:
    """Return the time by what it is spent on, nothing overlapping anything."""
    shape = work.shape
    passes = -(-work.samples // placement.batch)
    forward = move = statistics = search = 0.0
    bus = machine.bus_bandwidth * BUS_EFFICIENCY
    spilled = placement.activations is not Place.DEVICE
    way = DISK_BYTES_A_SECOND if placement.activations is Place.DISK else bus
    half = machine.half_flops if work.value < _FLOAT32 else machine.single_flops
    for block, count in work.kinds:
        attention = 4 * (work.seqlen or 0) * block.state if shape.heads else 0
        streams = work.items * block.state * work.value
        # Each unit sees the pruned block up to its consumer and the dense one as a whole;
        # then the pruned one is carried through.
        whole = sum(unit.share for unit in block.units) + 1
        runs = 1 + len(block.units)
        if work.with_dense:
            whole += max(1, len(block.units))
            runs += max(1, len(block.units))
        work_done = work.items * (block.flops + attention) * whole
        forward += count * work_done / (half * FORWARD_EFFICIENCY) / work.gpus
        forward += count * passes * runs * SECONDS_A_PASS / work.gpus
        if spilled:
            move += count * streams * (runs + work.streams) / way
        for unit in block.units:
            p, m = unit.features, unit.outputs
            products = 2 * work.items * unit.rows * p * (p + m)
            rate = half * STATISTICS_EFFICIENCY * work.gpus
            # Each micro-batch's float32 products are added to the float64 sums once a piece.
            pieces = -(
                -min(placement.batch, work.samples)
                * work.items_a_sample
                * unit.rows
                // _ROWS_AT_ONCE
            )
            added = passes * max(1, pieces) * 24 * p * (p + m) / machine.bandwidth / work.gpus
            statistics += count * (products / rate + added)
            search += count * _search_seconds(unit, machine, sparsity)
            if placement.search is Place.HOST and work.kind == "cuda":
                move += count * 3 * _FLOAT64 * (p * p + 2 * p * m) / bus
    stored = shape.parameters * shape.bytes_per_value
    removed = sum(block.removable * sparsity for block in shape.blocks)
    read = stored / DISK_BYTES_A_SECOND if shape.has_source else 0.0
    write = (shape.parameters - removed) * shape.bytes_per_value / DISK_BYTES_A_SECOND
    parts = (read, forward, move, statistics, search, write)
    return Seconds(*parts, total=sum(parts))


def _search_seconds(unit: UnitShape, machine: Machine, sparsity: float) -> float:
    """Return the time of one unit's search and its two re-fits.

    The flops are those that `osscar_core.solver.elimination` states. Besides, every step
    reads half a panel of P and M.
    """
    p, m = unit.features, unit.outputs
    removed = int(unit.groups * sparsity)
    gone = removed * p // unit.groups
    kept = p - gone
    flops = 3 * p * p * gone + 1.1 * p**3 + 3 * p * p * m
    flops += 2 * (kept**3 / 3 + 2 * kept**2 * m)
    reading = removed * _PANEL * p * _FLOAT64 / machine.bandwidth
    launching = removed * SECONDS_A_REMOVAL if machine.kind == "cuda" else 0.0
    return flops / (machine.double_flops * SEARCH_EFFICIENCY) + reading + launching
