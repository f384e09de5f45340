"""The sample run that comes with the project: measured once, stored, shown to everyone.

The decision hidden here: how a sample run is kept small. The indices that a point's plan
keeps would be most of its size, so they are stored as bits; all else about a unit is in its
report. Files of a release that left the indices out are read as well: their plans name no
units. Nothing here imports torch.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osscar_core.catalogue import DEMO_MODELS, assets_folder
from osscar_core.errors import OsscarError, SpecError
from osscar_core.records import (
    PruneSpec,
    SweepPoint,
    SweepReport,
    UnitPlan,
    UnitReport,
    from_json,
    to_json,
)
from osscar_core.showcase import Showcase
from osscar_core.storage import read_sealed, write_sealed

_MAKE_AGAIN = "The file is damaged; make it again"


@dataclass(frozen=True, slots=True)
class SampleRun:
    """Everything that was measured of one model.

    Attributes:
        base: The request of every point, but for sparsity, goal, method and seed.
        data: Data specification that quality was measured on.
        report: The dense model and all points, each with its speed.
        created: When it was put together, ISO 8601 UTC.
        command: What repeats it.
        conditions: Of the machine: device, threads, load, versions.
        showcases: For every point in turn, what both models say to the same input; ``None``
            for points that have none. Empty if none has.
    """

    base: PruneSpec
    data: str
    report: SweepReport
    created: str
    command: str
    conditions: dict[str, str] = field(default_factory=dict)
    showcases: tuple[Showcase | None, ...] = ()

    def __post_init__(self) -> None:
        """Check that every point has its place among the showcases."""
        points, shown = len(self.report.points), len(self.showcases)
        if shown not in (0, points):
            raise SpecError(f"there are {points} points and {shown} showcases", _MAKE_AGAIN)

    @property
    def date(self) -> str:
        """The day, as ``2026-11-25``."""
        return self.created[:10]

    @property
    def device(self) -> str:
        """Where it was measured."""
        return self.conditions.get("device", "")

    def request(self, point: SweepPoint) -> PruneSpec:
        """Return what was asked for to get a point."""
        return dataclasses.replace(
            self.base,
            sparsity=point.sparsity,
            goal=point.goal,
            method=point.method,
            seed=point.seed,
        )

    def showcase(self, point: SweepPoint) -> Showcase | None:
        """Return what there is to look at of a point, which is one of this very report."""
        pairs = zip(self.report.points, self.showcases, strict=False)
        return next((found for each, found in pairs if each is point), None)


@dataclass(frozen=True, slots=True)
class _Packed:
    """What is kept of one unit, as base64 of its bits; all else is in the unit's report."""

    kept: str
    adds_bias: bool = False


@dataclass(frozen=True, slots=True)
class _Stored(SampleRun):
    """A sample run as it lies on disk: the plans' units apart, for every point in turn."""

    units: tuple[tuple[_Packed, ...], ...] = ()


def sample_folder() -> Path:
    """Return the folder of the sample runs."""
    return assets_folder() / "sample"


def brief_file(model: str) -> Path | None:
    """Return the file of the survey that comes with a demo model; ``None`` without one."""
    file = brief_path(model, sample_folder())
    return file if model in DEMO_MODELS and file.is_file() else None


def brief_path(model: str, folder: Path) -> Path:
    """Return where a model's survey belongs in a folder of sample runs."""
    return folder / f"survey-{_file_name(model)}"


def sample_runs() -> tuple[SampleRun, ...]:
    """Return the sample runs that are there and can be read, in the order of the catalogue."""
    folder = sample_folder()
    files = [path for name in DEMO_MODELS if (path := folder / _file_name(name)).is_file()]
    return _read(tuple((file, file.stat().st_mtime_ns) for file in files))


def write_sample_run(run: SampleRun, folder: Path) -> Path:
    """Store a sample run; return its file."""
    values = {each.name: getattr(run, each.name) for each in dataclasses.fields(SampleRun)}
    points = run.report.points
    values["report"] = dataclasses.replace(
        run.report, points=tuple(_with_units(point, ()) for point in points)
    )
    stored = _Stored(**values, units=tuple(_packed(point) for point in points))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _file_name(run.base.model)
    write_sealed(path, to_json(stored) + "\n")
    return path


def read_sample_run(file: Path) -> SampleRun:
    """Read a stored sample run.

    Raises:
        OSError: There is no such file, or it cannot be read.
        DamagedError: It is not what was written.
        SpecError: It is of another release.
    """
    stored = from_json(_Stored, read_sealed(file))
    values = {each.name: getattr(stored, each.name) for each in dataclasses.fields(SampleRun)}
    points = stored.report.points
    if stored.units:
        if len(stored.units) != len(points):
            raise SpecError(
                f"there are {len(points)} points and units of {len(stored.units)}", _MAKE_AGAIN
            )
        points = tuple(
            _with_units(point, _unpacked(point, units))
            for point, units in zip(points, stored.units, strict=True)
        )
    values["report"] = dataclasses.replace(stored.report, points=points)
    return SampleRun(**values)


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "-", model) + ".json"


@functools.lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> tuple[SampleRun, ...]:
    return tuple(_readable(files))


def _readable(files: tuple[tuple[Path, int], ...]) -> Iterator[SampleRun]:
    """Yield the runs that can be read; one of another release is left out, as if absent."""
    for file, _ in files:
        try:
            yield read_sample_run(file)
        except (OSError, OsscarError):
            continue


def _with_units(point: SweepPoint, units: tuple[UnitPlan, ...]) -> SweepPoint:
    plan = dataclasses.replace(point.prune.plan, units=units)
    return dataclasses.replace(point, prune=dataclasses.replace(point.prune, plan=plan))


def _packed(point: SweepPoint) -> tuple[_Packed, ...]:
    """Return the units of a point's plan, without what their reports say as well."""
    return tuple(_Packed(_to_bits(unit), unit.adds_bias) for unit in point.prune.plan.units)


def _unpacked(point: SweepPoint, units: Sequence[_Packed]) -> tuple[UnitPlan, ...]:
    reports = point.prune.units
    if not units:
        return ()
    if len(units) != len(reports):
        raise SpecError(f"{len(reports)} units have reports, {len(units)} plans", _MAKE_AGAIN)
    return tuple(
        UnitPlan(
            report.name,
            report.structure,
            report.block,
            report.groups,
            _from_bits(unit.kept, report),
            unit.adds_bias,
        )
        for unit, report in zip(units, reports, strict=True)
    )


def _to_bits(unit: UnitPlan) -> str:
    """Return one bit a group, set if it is kept, the first group in the highest bit."""
    bits = bytearray(-(-unit.groups // 8))
    for group in unit.kept:
        bits[group // 8] |= 128 >> group % 8
    return base64.b64encode(bytes(bits)).decode("ascii")


def _from_bits(text: str, report: UnitReport) -> tuple[int, ...]:
    try:
        bits = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        bits = b""
    kept = tuple(i for i in range(8 * len(bits)) if bits[i // 8] & 128 >> i % 8)
    if len(bits) != -(-report.groups // 8) or len(kept) != report.kept:
        raise SpecError(f"the groups kept of {report.name} cannot be read", _MAKE_AGAIN)
    return kept
