"""The sample run of the project, as finished runs that the pages can show.

The decision hidden here: what tells an example from a run of one's own: its id, which no
workspace gives. Everything else about it is like any other finished run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from osscar_core.records import Method, SweepPoint
from osscar_core.sample import SampleRun, sample_folder, sample_runs
from osscar_core.showcase import Showcase
from osscar_core.studio.evidence import Finished
from osscar_core.studio.jobs import Run, State, Status
from osscar_core.studio.requests import JobRequest, RunResult

if TYPE_CHECKING:
    from osscar_core.studio.desk import Desk

OPENING_SHARE = 0.3
_PREFIX = "example-"

_known: tuple[tuple[SampleRun, ...], tuple[Finished, ...]] = ((), ())


def examples() -> tuple[Finished, ...]:
    """Return all points of the sample runs, by model, method and goal."""
    global _known
    runs = sample_runs()
    # The very same records again mean the very same files.
    if _known[0] is not runs:
        _known = runs, tuple(item for run in runs for item in _of(run))
    return _known[1]


def is_example(run: Run) -> bool:
    """Return whether a run came with the project instead of being computed here."""
    return run.id.startswith(_PREFIX)


def find(run_id: str) -> Finished | None:
    """Return the example of that id."""
    return next((item for item in examples() if item.run.id == run_id), None)


def opening(items: Sequence[Finished]) -> Finished | None:
    """Return the example to begin with, by the product's own method."""
    return min(items, key=_distance, default=None)


def of_model(model: str) -> list[Finished]:
    """Return the examples of a model; of the first one there is for an empty name."""
    found = examples()
    name = model or next((item.run.request.spec.model for item in found), "")
    return [item for item in found if item.run.request.spec.model == name]


def result_of(store: Desk, run: Run) -> RunResult | None:
    """Return what a run found, be it of the workspace or an example."""
    if not is_example(run):
        return store.result(run)
    item = find(run.id)
    return None if item is None else item.result


def showcase_of(store: Desk, run: Run) -> Showcase | None:
    """Return what both models say to the same input, as far as a run or an example has it."""
    if not is_example(run):
        return store.showcase(run)
    pairs = ((sample, point) for sample in sample_runs() for point in sample.report.points)
    found = (sample.showcase(point) for sample, point in pairs if _id(sample, point) == run.id)
    return next(found, None)


def _distance(item: Finished) -> tuple[bool, float]:
    spec = item.run.request.spec
    share = spec.sparsity if spec.goal is None else spec.goal.value
    return spec.method is not Method.OSSCAR, abs(share - OPENING_SHARE)


def _of(run: SampleRun) -> Iterator[Finished]:
    folder = sample_folder()
    for point in run.report.points:
        if point.speed is None:
            continue
        widths = {unit.name: unit.kept for unit in point.prune.units}
        request = JobRequest(run.request(point), data=run.data, widths=widths)
        yield Finished(
            Run(_id(run, point), folder, request, Status(State.FINISHED)),
            RunResult(
                prune=point.prune,
                dense=run.report.dense.evaluation,
                pruned=point.evaluation,
                dense_speed=point.speed.dense,
                pruned_speed=point.speed.pruned,
                speedup=point.speed.speedup,
                speedup_interval=point.speed.interval,
            ),
        )


def _id(run: SampleRun, point: SweepPoint) -> str:
    tail = run.base.model.rpartition("/")[2]
    asked = str(round(100 * point.sparsity))
    if point.goal is not None:
        asked = f"{point.goal.kind}-{point.goal.value:g}"
    return f"{_PREFIX}{tail}-{point.method}-{asked}"
