"""The sample run that comes with the project: measured once, stored, shown to everyone.

The decision hidden here: how a sample run is kept small. A point's plan is stored without
the indices that it keeps, which are most of its size; the run that is shown needs only how
many there are. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from osscar_core.catalogue import DEMO_MODELS, assets_folder
from osscar_core.errors import OsscarError
from osscar_core.records import PruneSpec, SweepPoint, SweepReport, from_json, to_json
from osscar_core.storage import write_atomically


@dataclass(frozen=True, slots=True)
class SampleRun:
    """Everything that was measured of one model.

    Attributes:
        base: The request of every point, but for sparsity, goal, method and seed.
        data: Data specification that quality was measured on.
        report: The dense model and all points, each with its speed; the plans name no groups.
        created: When it was put together, ISO 8601 UTC.
        command: What repeats it.
        conditions: Of the machine: device, threads, load, versions.
    """

    base: PruneSpec
    data: str
    report: SweepReport
    created: str
    command: str
    conditions: dict[str, str] = field(default_factory=dict)

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
    points = tuple(_slim(point) for point in run.report.points)
    slim = dataclasses.replace(run, report=dataclasses.replace(run.report, points=points))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _file_name(run.base.model)
    write_atomically(path, to_json(slim) + "\n")
    return path


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "-", model) + ".json"


@functools.lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> tuple[SampleRun, ...]:
    return tuple(_readable(files))


def _readable(files: tuple[tuple[Path, int], ...]) -> Iterator[SampleRun]:
    """Yield the runs that can be read; one of another release is left out, as if absent."""
    for file, _ in files:
        try:
            yield from_json(SampleRun, file.read_bytes())
        except (OSError, OsscarError):
            continue


def _slim(point: SweepPoint) -> SweepPoint:
    plan = dataclasses.replace(point.prune.plan, units=())
    return dataclasses.replace(point, prune=dataclasses.replace(point.prune, plan=plan))
