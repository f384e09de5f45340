"""A grid of pruning runs over one model, each measured, resumable at any point.

The decision hidden here: what makes two points the same, and so need no second run.
A point is stored as soon as it is finished, under a digest of every setting it rests
on, including this release and the size and age of the local files it read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from osscar_core import __version__
from osscar_core.errors import DataError, OsscarError, OutputError, SpecError
from osscar_core.goals import Goal, GoalKind
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import (
    Certify,
    DensePoint,
    EvaluationReport,
    Method,
    PruneSpec,
    SpeedComparison,
    SweepPoint,
    SweepReport,
    UnreachablePoint,
    check_range,
    from_json,
    to_dict,
    to_json,
)
from osscar_core.storage import read_sealed, write_sealed

if TYPE_CHECKING:
    from osscar_core.cluster import Machines
    from osscar_core.models import LoadedModel
    from osscar_core.survey import Survey

_Record = TypeVar("_Record")
_TIMED_ROUNDS = 10

Point = SweepPoint | UnreachablePoint


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A grid of runs: every method at every sparsity and goal with every seed.

    Attributes:
        base: The request whose ``sparsity``, ``goal``, ``method`` and ``seed`` are replaced.
        sparsities: Shares of groups to remove; may be empty beside goals.
        methods: Selection methods.
        data: Data specification to evaluate on, and for goals of quality to measure on.
        seeds: Seeds; see `PruneSpec`.
        limit: Evaluate on at most this many windows or images; ``None`` for all.
        latency: Whether each small model is also timed against the dense one.
        goals: What to reach; may be empty beside sparsities.
    """

    base: PruneSpec
    sparsities: tuple[float, ...]
    methods: tuple[Method, ...]
    data: str
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    latency: bool = True
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        """Check that every axis has values, and every point is a legal request."""
        if not self.sparsities and not self.goals:
            raise SpecError(
                "the list of sparsities is empty, and so is that of goals",
                "Give at least one of either, such as sparsities 0.3,0.5 or goals speedup=2",
            )
        for name in ("methods", "seeds"):
            if not getattr(self, name):
                raise SpecError(f"the list of {name} is empty", "Give at least one")
        if self.limit is not None:
            check_range("limit", self.limit, 1)
        self.points()

    def points(self) -> tuple[PruneSpec, ...]:
        """Return the request of every point: by method, sparsities, goals, then seed."""
        amounts: list[dict[str, Any]] = [
            *({"sparsity": share, "goal": None} for share in dict.fromkeys(self.sparsities)),
            *(self._amount(goal) for goal in dict.fromkeys(self.goals)),
        ]
        return tuple(
            dataclasses.replace(self.base, method=method, seed=seed, **amount)
            for method in dict.fromkeys(self.methods)
            for amount in amounts
            for seed in dict.fromkeys(self.seeds)
        )

    def _amount(self, goal: Goal) -> dict[str, Any]:
        data = self.base.data
        if goal.kind is GoalKind.QUALITY_LOSS:
            data = data or self.data
        return {"sparsity": 0.0, "goal": goal, "data": data}


def sweep(
    spec: SweepSpec,
    *,
    out: Path,
    survey: Survey | None = None,
    machines: Machines | None = None,
    progress: Progress | None = None,
) -> SweepReport:
    """Run every point that is not stored yet, and return all of them.

    Points that need a survey share one, which is made once, kept in ``out`` and made
    better by every point that was measured.

    Args:
        spec: The grid.
        out: Directory that collects the points; made if needed. One that holds other
            things than a sweep is refused.
        survey: A survey of the model, instead of making one for every seed.
        machines: A cluster to run the points on, instead of this process. Points are stored
            here as soon as they are finished, in any order.
        progress: Callback; raising `osscar_core.errors.Cancelled` from it stops. The
            points finished by then stay and are not computed again.

    Returns:
        The dense model's quality, every point, and those that no widths lead to.

    Raises:
        OsscarError: With the reason in words; finished points stay.
    """
    requests = spec.points()
    if survey is not None and not any(request.needs_survey for request in requests):
        raise SpecError(
            "no point of this sweep uses a survey",
            "Leave it out, or add goals or a loss-weighted budget",
        )
    folder = _points_folder(out)
    slots = [Slot.of(spec, request, survey, folder) for request in requests]
    if machines is not None:
        from osscar_core.spread import spread

        dense, found = spread(machines, spec, slots, out=out, survey=survey, progress=progress)
        return _report(dense, found)
    lab = Lab(spec, out, survey)
    found = []
    for number, slot in enumerate(slots, start=1):
        point = slot.stored()
        if point is None:
            point = lab.run(slot.request, labelled(progress, f"point {number}/{len(slots)}"))
            slot.store(point)
        found.append(point)
    return _report(lab.dense_point(dense_seqlen(spec, found), progress), found)


def dense_seqlen(spec: SweepSpec, found: Sequence[Point]) -> int | None:
    """Return the length of window that the dense model is judged with.

    The evaluation uses the calibration's window length, which only a finished point knows
    when it was left open, so the dense model is judged after a point; where there is none,
    the evaluation takes the same length by itself.
    """
    measured = next((point for point in found if isinstance(point, SweepPoint)), None)
    return spec.base.seqlen if measured is None else measured.prune.plan.spec.seqlen


def _report(dense: DensePoint, found: Sequence[Point]) -> SweepReport:
    return SweepReport(
        dense,
        tuple(point for point in found if isinstance(point, SweepPoint)),
        tuple(point for point in found if isinstance(point, UnreachablePoint)),
    )


def pareto(points: Sequence[SweepPoint]) -> tuple[bool, ...]:
    """Return which points are on the Pareto front of speed and quality.

    A point is on it if no other is at least as fast and at least as good, and better in one
    of the two. Speed is the measured speed-up if all points were timed, else fewer FLOPs. A
    model that predicts nothing, at an infinite perplexity or none, is never on it.

    Args:
        points: Points of one model, evaluated on the same data.
    """
    is_timed = all(point.speed is not None for point in points)
    marks = [(_speed(point, is_timed=is_timed), _quality(point)) for point in points]
    return tuple(
        own[1] > -math.inf
        and not any(
            speed >= own[0] and quality >= own[1] and (speed, quality) != own
            for speed, quality in marks
        )
        for own in marks
    )


def _speed(point: SweepPoint, *, is_timed: bool) -> float:
    if is_timed and point.speed is not None:
        return point.speed.speedup
    return -point.prune.flops.pruned


def _quality(point: SweepPoint) -> float:
    """Return a figure that grows with quality."""
    value = point.evaluation.value
    if math.isnan(value):
        return -math.inf
    return value if point.evaluation.metric == "top1" else -value


@dataclass(frozen=True, slots=True)
class Slot:
    """A point's place in a sweep.

    Attributes:
        request: What it is asked for.
        path: File that it is stored in, named after all that it rests on.
    """

    request: PruneSpec
    path: Path

    @classmethod
    def of(cls, spec: SweepSpec, request: PruneSpec, survey: Survey | None, folder: Path) -> Slot:
        """Return the place of a request's point in the folder of points."""
        return cls(request, folder / f"{_point_name(spec, request, survey)}.json")

    def stored(self) -> Point | None:
        """Return the point, if it was finished."""
        return read_stored(SweepPoint, self.path) or read_stored(UnreachablePoint, self.path)

    def store(self, point: Point) -> None:
        """Keep a finished point."""
        write_sealed(self.path, to_json(point))


class Lab:
    """Prunes, evaluates and times single points. The dense model is loaded at most once."""

    def __init__(self, spec: SweepSpec, out: Path, survey: Survey | None) -> None:
        self._spec = spec
        self._out = out
        self._given = survey
        self._survey: tuple[str, Survey] | None = None
        self._dense: LoadedModel | None = None

    def run(self, request: PruneSpec, progress: Progress | None) -> Point:
        """Measure one point, and let its survey learn from it."""
        survey = self._surveyed(request, progress) if request.needs_survey else None
        point = self.measure(request, survey, progress)
        if survey is not None and isinstance(point, SweepPoint) and is_lesson(request, point):
            dense = self.dense_point(point.prune.plan.spec.seqlen, progress)
            survey_learns(survey, point, dense)
        return point

    def measure(
        self, request: PruneSpec, survey: Survey | None, progress: Progress | None
    ) -> Point:
        """Measure one point with a survey, if it needs one."""
        if not request.needs_survey and request.goal is None:
            return self._measure(request, None, progress)
        from osscar_core.explorer import UnreachableGoal

        try:
            return self._measure(request, survey, progress)
        except UnreachableGoal as error:
            return UnreachablePoint(
                request.method, request.sparsity, request.seed, request.goal, error.nearest
            )

    def _measure(
        self, request: PruneSpec, survey: Survey | None, progress: Progress | None
    ) -> SweepPoint:
        from osscar_core.models import load_model
        from osscar_core.pruner import prune

        with tempfile.TemporaryDirectory(dir=self._out, prefix=".work-") as folder:
            small = Path(folder) / "model"
            report = prune(request, out=small, survey=survey, progress=progress)
            loaded = load_model(str(small), device=request.device, dtype=request.dtype)
            evaluation = self._evaluate(loaded, report.plan.spec.seqlen, progress)
            speed = self._time(loaded, request, progress) if self._spec.latency else None
        return SweepPoint(
            method=request.method,
            sparsity=request.sparsity,
            seed=request.seed,
            prune=dataclasses.replace(report, out=None),
            evaluation=dataclasses.replace(evaluation, model=request.model),
            speed=speed,
            goal=request.goal,
        )

    def _surveyed(self, request: PruneSpec, progress: Progress | None) -> Survey:
        """Return the survey that a request shares with others: given, stored, or made now."""
        if self._given is not None:
            return self._given
        about = survey_request(request)
        name = survey_name(about)
        if self._survey is not None and self._survey[0] == name:
            return self._survey[1]
        folder = self._out / name
        survey = stored_survey(folder)
        if survey is None:
            from osscar_core.pruner import dense_model
            from osscar_core.survey import make_survey

            survey = make_survey(dense_model(request), about, progress=progress)
            survey.save(folder)
        self._survey = name, survey
        return survey

    def dense_point(self, seqlen: int | None, progress: Progress | None) -> DensePoint:
        """Return the dense model's quality, stored or evaluated now."""
        path = dense_path(self._spec, self._out)
        point = read_stored(DensePoint, path)
        if point is None:
            evaluation = self._evaluate(self.dense(), seqlen, labelled(progress, "dense"))
            point = DensePoint(evaluation)
            write_sealed(path, to_json(point))
        return point

    def dense(self) -> LoadedModel:
        """Return the dense model, loaded at the first call."""
        from osscar_core.models import load_model

        if self._dense is None:
            base = self._spec.base
            self._dense = load_model(
                base.model,
                weights=base.weights,
                device=base.device,
                dtype=base.dtype,
                image_size=base.image_size,
                trust_remote_code=base.trust_remote_code,
            )
        return self._dense

    def _evaluate(
        self, loaded: LoadedModel, seqlen: int | None, progress: Progress | None
    ) -> EvaluationReport:
        from osscar_core.evaluation import evaluate

        return evaluate(
            loaded,
            self._spec.data,
            limit=self._spec.limit,
            seqlen=seqlen,
            batch_size=self._spec.base.batch_size,
            progress=progress,
        )

    def _time(
        self, loaded: LoadedModel, request: PruneSpec, progress: Progress | None
    ) -> SpeedComparison:
        from osscar_core.evaluation import compare

        result = compare(
            self.dense(),
            loaded,
            batch_size=request.batch_size,
            repeats=_TIMED_ROUNDS,
            progress=progress,
        )
        return dataclasses.replace(
            result, pruned=dataclasses.replace(result.pruned, model=request.model)
        )


def stored_survey(folder: Path) -> Survey | None:
    """Return a survey that was kept; one that is damaged is removed."""
    from osscar_core.survey import load_survey

    try:
        return load_survey(folder)
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def tells_survey_itself(request: PruneSpec) -> bool:
    """Return whether a run tells its survey what it lost, as those for a quality do."""
    return request.goal is not None and request.goal.kind is GoalKind.QUALITY_LOSS


def is_lesson(request: PruneSpec, point: SweepPoint) -> bool:
    """Return whether a survey learns from a point, and was not told by the run itself."""
    # A refined run loses less than is predicted for its widths; plain ones are foretold.
    return (
        point.prune.budget is not None
        and not tells_survey_itself(request)
        and not request.refine
        and request.method is Method.OSSCAR
    )


def survey_learns(survey: Survey, point: SweepPoint, dense: DensePoint) -> None:
    """Tell a survey what a point lost."""
    from osscar_core.estimates import lost_quality, measured_point

    budget = point.prune.budget
    lost = lost_quality(dense.evaluation, point.evaluation)
    if budget is not None and math.isfinite(lost):
        survey.add(measured_point(budget.predicted, lost, point.evaluation))


def _points_folder(out: Path) -> Path:
    folder = out / "points"
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", "Name a directory with --out")
    if out.is_dir() and any(out.iterdir()) and not folder.is_dir():
        raise OutputError(
            f"{out} holds other files", "Name a new directory, or that of an earlier sweep"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror})", "Name a directory that can be written"
        ) from error
    return folder


def _point_name(spec: SweepSpec, request: PruneSpec, survey: Survey | None) -> str:
    settings = {"spec": to_dict(request), "latency": spec.latency}
    if survey is not None and request.needs_survey:
        settings["survey"] = to_dict(survey.record)
    settings |= {"data": spec.data, "limit": spec.limit}
    return _digest(spec.base, settings, spec.data, request.calibration)


def survey_request(request: PruneSpec) -> PruneSpec:
    """Return a request without what says how much to remove, or what a survey does not use."""
    return dataclasses.replace(
        request,
        method=Method.OSSCAR,
        sparsity=0.0,
        goal=None,
        budget=None,
        caps=(),
        refine=0,
        data=None,
        target=None,
        swaps=None,
        certify=Certify.AUTO,
        round_to=1,
        refit_head=True,
        plain_loadable=False,
    )


def survey_name(request: PruneSpec) -> str:
    """Return the name of the survey that a request of `survey_request` leads to."""
    return "survey-" + _digest(request, to_dict(request), request.calibration)


def dense_path(spec: SweepSpec, out: Path) -> Path:
    """Return the file of the dense model's quality, which pruning settings do not touch."""
    names = ("model", "weights", "device", "dtype", "seqlen", "batch_size", "image_size")
    settings = {name: getattr(spec.base, name) for name in names}
    settings |= {"data": spec.data, "limit": spec.limit}
    return out / f"dense-{_digest(spec.base, settings, spec.data)}.json"


def _digest(request: PruneSpec, settings: dict[str, Any], *sources: str) -> str:
    """Return a name for settings, this release, and the files of a model and of data."""
    files = (request.model, request.weights or "", *sources)
    complete = {
        **settings,
        "release": __version__,
        "files": [list(_fingerprint(name)) for name in files],
    }
    text = json.dumps(complete, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _fingerprint(name: str) -> Iterator[tuple[str, int, int]]:
    """Yield size and age of the local files that a model name or data specification names."""
    for location in filter(None, (name, name.partition(":")[2])):
        with contextlib.suppress(OSError, ValueError):
            path = Path(location)
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                stat = file.stat()
                yield (file.name, stat.st_size, stat.st_mtime_ns)


def read_stored(record_type: type[_Record], path: Path) -> _Record | None:
    """Return a stored record; one that is damaged or absent counts as not computed."""
    try:
        return from_json(record_type, read_sealed(path))
    except (OSError, OsscarError):
        return None


def labelled(progress: Progress | None, label: str) -> Progress | None:
    """Return a callback that says in front of every stage where in the sweep it is."""
    if progress is None:
        return None

    def forward(event: ProgressEvent) -> None:
        progress(ProgressEvent(f"{label}: {event.stage}", event.done, event.total, event.detail))

    return forward
