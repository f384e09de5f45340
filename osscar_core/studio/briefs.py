"""Where what-if answers come from: surveys made here, or shipped with the demo models.

The decision hidden here: which survey speaks for a request, and which runs have taught it
how far its estimates are off. No torch, so that the app's own process can answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from osscar_core.brief import Brief, Points, read_brief, write_brief
from osscar_core.catalogue import own_samples
from osscar_core.errors import OsscarError
from osscar_core.estimates import MeasuredPoint, lost_quality, measured_point
from osscar_core.explorer import Explorer
from osscar_core.goals import Budget
from osscar_core.latencies import LatencyTable
from osscar_core.records import Method, PruneSpec, from_json, to_json
from osscar_core.sample import brief_file
from osscar_core.storage import read_sealed, workspace, write_sealed
from osscar_core.studio.requests import RunResult

# What a survey's statistics depend on; the rest of a request only asks questions of it.
_CALIBRATED = ("model", "weights", "calibration", "samples", "seqlen", "seed", "dtype")
_ALSO = ("damping", "intercept", "image_size")
_TIMED = ("model", "weights", "dtype", "device", "image_size")


def survey_request(spec: PruneSpec) -> PruneSpec:
    """Return the request whose survey answers a request's questions: about all it may remove."""
    kept = {name: getattr(spec, name) for name in (*_CALIBRATED, *_ALSO, "device")}
    return PruneSpec(**{**kept, "samples": spec.samples or own_samples(spec.model)})


def find_brief(spec: PruneSpec, home: Path | None = None) -> Brief | None:
    """Return the survey that answers a request's questions, with the latencies known here.

    A survey of the workspace comes before a shipped one, and a timing of this machine
    before that of another.

    Args:
        spec: The request; goal, caps, structures and method do not matter.
        home: The workspace; ``None`` for the usual one.
    """
    brief = _read(_brief_file(spec, home))
    if brief is None and (shipped := brief_file(spec.model)) is not None:
        brief = _read(shipped)
        if brief is not None and not _answers(brief.record.spec, spec):
            brief = None
    table = _read_table(_table_file(spec, home))
    return brief if brief is None or table is None else dataclasses.replace(brief, table=table)


def is_timed_here(spec: PruneSpec, home: Path | None = None) -> bool:
    """Return whether the latencies of a request's model were measured on this machine."""
    return _read_table(_table_file(spec, home)) is not None


def keep_brief(brief: Brief, spec: PruneSpec, home: Path | None = None) -> None:
    """Store a survey for all requests that it answers."""
    write_brief(brief, _brief_file(spec, home))


def keep_table(table: LatencyTable, spec: PruneSpec, home: Path | None = None) -> None:
    """Store the latencies of a request's model on this machine."""
    file = _table_file(spec, home)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(file, to_json(table) + "\n")


def explorer_for(brief: Brief, spec: PruneSpec, results: Sequence[RunResult]) -> Explorer:
    """Return what answers a request's questions, taught by what runs were measured to lose.

    Removal is spread by sensitivity, unless the request asks for another budget.

    Args:
        brief: The survey.
        spec: The request, with its caps and structures.
        results: Runs of this model, judged on the request's test data.

    Raises:
        SpecError: A cap or structure that the survey knows nothing of.
    """
    budget = spec.budget or Budget.LOSS_WEIGHTED
    asked = dataclasses.replace(spec, sparsity=0.0, budget=budget)
    plain = Explorer.of(brief, dataclasses.replace(asked, caps=()))
    points = [*brief.points.sequential, *measured_points(plain, results)]
    taught = dataclasses.replace(brief, points=Points(tuple(dict.fromkeys(points))))
    return Explorer.of(taught, asked)


def measured_points(explorer: Explorer, results: Sequence[RunResult]) -> list[MeasuredPoint]:
    """Return what runs by the product's own method were measured to lose."""
    points = []
    for result in results:
        if result.prune.plan.spec.method is not Method.OSSCAR:
            continue
        widths = {unit.name: unit.kept for unit in result.prune.units}
        lost = lost_quality(result.dense, result.pruned)
        predicted = explorer.predicted(widths)
        if predicted > 0:
            points.append(measured_point(predicted, lost, result.pruned))
    return points


def _survey_key(spec: PruneSpec) -> str:
    asked = survey_request(spec)
    parts = [str(getattr(asked, name)) for name in (*_CALIBRATED, *_ALSO)]
    return _digest(*parts, *_fingerprints(spec))


def _answers(surveyed: PruneSpec, spec: PruneSpec) -> bool:
    """Return whether a survey was made as a request asks; what it leaves open may be anything."""
    asked = survey_request(spec)
    pairs = ((getattr(asked, name), getattr(surveyed, name)) for name in (*_CALIBRATED, *_ALSO))
    return all(wanted is None or wanted == made for wanted, made in pairs)


def _brief_file(spec: PruneSpec, home: Path | None) -> Path:
    return (home or workspace()) / "surveys" / f"{_survey_key(spec)}.json"


def _table_file(spec: PruneSpec, home: Path | None) -> Path:
    parts = [getattr(spec, name) for name in _TIMED]
    return (home or workspace()) / "timings" / f"{_digest(*parts, *_fingerprints(spec))}.json"


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def _fingerprints(spec: PruneSpec) -> list[tuple[int, int]]:
    """Return size and age of the files that a request names, so that new ones count as new."""
    found = []
    for name in (spec.model, spec.weights, spec.calibration.partition(":")[2]):
        if not name:
            continue
        with contextlib.suppress(OSError, ValueError):
            stat = Path(name).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
    return found


def _read(file: Path) -> Brief | None:
    """Return a stored survey; one that is damaged or of another release counts as absent."""
    try:
        return _brief_at(file, file.stat().st_mtime_ns)
    except (OSError, OsscarError):
        return None


def _read_table(file: Path) -> LatencyTable | None:
    try:
        return _table_at(file, file.stat().st_mtime_ns)
    except (OSError, OsscarError):
        return None


@functools.lru_cache(maxsize=16)
def _brief_at(file: Path, _written: int) -> Brief:
    return read_brief(file)


@functools.lru_cache(maxsize=16)
def _table_at(file: Path, _written: int) -> LatencyTable:
    return from_json(LatencyTable, read_sealed(file))
