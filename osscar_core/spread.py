"""A sweep's points on the machines of a cluster.

The decision hidden here: which points wait for which. All are independent but those of a
goal of quality: how they are pursued rests on what their survey learned from the points
before them, so each waits for these and is given just that. Thus the points come out as
they would one after another in one process, whatever the order in which they finish. A
survey is made by one machine and read by all from the artifact store.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osscar_core.artifacts import Artifacts
from osscar_core.cluster import Cluster, Machines
from osscar_core.estimates import MeasuredPoint
from osscar_core.progress import Progress
from osscar_core.records import (
    DensePoint,
    PruneSpec,
    SweepPoint,
    UnreachablePoint,
    from_json,
    to_json,
)
from osscar_core.storage import write_sealed
from osscar_core.sweep import (
    Lab,
    Point,
    Slot,
    SweepSpec,
    dense_path,
    dense_seqlen,
    is_lesson,
    labelled,
    read_stored,
    stored_survey,
    survey_learns,
    survey_name,
    survey_request,
    tells_survey_itself,
)

if TYPE_CHECKING:
    from osscar_core.brief import Points
    from osscar_core.survey import Survey

_GIVEN = "survey-given"


def spread(
    machines: Machines,
    spec: SweepSpec,
    slots: Sequence[Slot],
    *,
    out: Path,
    survey: Survey | None,
    progress: Progress | None,
) -> tuple[DensePoint, list[Point]]:
    """Run every point that is not stored yet on a cluster.

    Args:
        machines: The cluster.
        spec: The grid.
        slots: Its points and where each is stored.
        out: Directory of the sweep.
        survey: A survey of the model, instead of making one for every seed.
        progress: Callback; see `osscar_core.sweep.sweep`.

    Returns:
        The dense model's quality, and all points in the order of ``slots``.

    Raises:
        OsscarError: With the reason in words; finished points stay.
    """
    with Cluster(machines) as cluster:
        return _Spread(cluster, spec, slots, out, survey, progress).run()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a machine found for one point.

    Attributes:
        measured: The point.
        unreachable: What there is instead, if no widths lead to it.
        told: What the run itself told its survey.
    """

    measured: SweepPoint | None
    unreachable: UnreachablePoint | None
    told: tuple[MeasuredPoint, ...]


class _Spread:
    """The state of one sweep on a cluster, in the process that asked for it."""

    def __init__(
        self,
        cluster: Cluster,
        spec: SweepSpec,
        slots: Sequence[Slot],
        out: Path,
        survey: Survey | None,
        progress: Progress | None,
    ) -> None:
        self._cluster = cluster
        self._spec = spec
        self._slots = slots
        self._out = out
        self._given = survey
        self._progress = progress
        self._found: dict[int, Point] = {}
        self._asked: set[int] = set()
        self._lessons: dict[int, tuple[MeasuredPoint, ...]] = {}
        self._surveys: dict[str, Survey] = {}
        self._known: dict[str, Points] = {}
        self._dense: DensePoint | None = None
        self._is_dense_asked = False

    def run(self) -> tuple[DensePoint, list[Point]]:
        self._dense = read_stored(DensePoint, dense_path(self._spec, self._out))
        for number, slot in enumerate(self._slots):
            point = slot.stored()
            if point is not None:
                self._found[number] = point
        try:
            self._prepare_surveys()
            while True:
                self._learn()
                self._submit_points()
                self._submit_dense()
                if not self._cluster.is_busy:
                    break
                self._take(*self._cluster.next_result())
        finally:
            for name in self._surveys:
                self._cluster.artifacts.remove(name)
        if self._dense is None:
            raise RuntimeError("the dense model is judged before a sweep is complete")
        return self._dense, [self._found[number] for number in range(len(self._slots))]

    def _prepare_surveys(self) -> None:
        """See to it that every survey which a missing point needs is made and in the store."""
        asked = set()
        for number, slot in enumerate(self._slots):
            name = self._survey_of(number)
            if number in self._found or name is None or name in asked:
                continue
            asked.add(name)
            survey = self._given or stored_survey(self._out / name)
            if survey is not None:
                self._share(name, survey)
                continue
            about = survey_request(slot.request)
            self._cluster.submit(
                name,
                _make_survey,
                name,
                slot.request,
                about,
                device=about.device,
                progress=self._told_as(number),
            )

    def _share(self, name: str, survey: Survey) -> None:
        """Put a survey where all machines can read it."""
        if survey.folder is not None:
            self._cluster.artifacts.put_folder(name, survey.folder)
        else:
            record = survey.record
            with tempfile.TemporaryDirectory() as folder:
                survey.save(Path(folder) / name)
                self._cluster.artifacts.put_folder(name, Path(folder) / name)
            survey.record, survey.folder = record, None  # it is in memory only, as before
        self._adopt(name, survey)

    def _adopt(self, name: str, survey: Survey) -> None:
        self._surveys[name] = survey
        self._known[name] = survey.points

    def _submit_points(self) -> None:
        """Hand out every point that waits for nothing any more."""
        for number, slot in enumerate(self._slots):
            if number in self._found or number in self._asked or not self._is_ready(number):
                continue
            self._asked.add(number)
            name = self._survey_of(number)
            self._cluster.submit(
                slot.path.stem,
                _measure,
                self._spec,
                slot.request,
                name,
                None if name is None else self._known_before(number, name),
                device=slot.request.device,
                progress=self._told_as(number),
            )

    def _is_ready(self, number: int) -> bool:
        name = self._survey_of(number)
        if name is None:
            return True
        if name not in self._surveys:
            return False
        return not tells_survey_itself(self._slots[number].request) or all(
            earlier in self._lessons for earlier in self._sharing(name) if earlier < number
        )

    def _known_before(self, number: int, name: str) -> Points:
        """Return what a survey knows of the points that come before one."""
        known = self._known[name]
        lessons = list(known.sequential)
        for earlier in self._sharing(name):
            if earlier < number:
                lessons += [one for one in self._lessons.get(earlier, ()) if one not in lessons]
        return dataclasses.replace(known, sequential=tuple(lessons))

    def _submit_dense(self) -> None:
        """Have the dense model judged once the length of window for it is known."""
        if self._dense is not None or self._is_dense_asked:
            return
        found = [self._found[number] for number in sorted(self._found)]
        is_known = any(isinstance(point, SweepPoint) for point in found)
        if not is_known and len(found) < len(self._slots):
            return
        self._is_dense_asked = True
        self._cluster.submit(
            dense_path(self._spec, self._out).stem,
            _judge_dense,
            self._spec,
            dense_seqlen(self._spec, found),
            device=self._spec.base.device,
            progress=self._progress,
        )

    def _take(self, name: str, text: str) -> None:
        """Keep a result here, then remove it from the store."""
        path = dense_path(self._spec, self._out)
        numbers = [number for number, slot in enumerate(self._slots) if slot.path.stem == name]
        if numbers:
            outcome = from_json(_Outcome, text)
            point = outcome.measured or outcome.unreachable
            if point is not None:
                self._keep(numbers[0], point, outcome.told)
        elif name == path.stem:
            self._dense = from_json(DensePoint, text)
            write_sealed(path, text)
        else:
            self._cluster.artifacts.get_folder(name, self._out / name)
            survey = stored_survey(self._out / name)
            if survey is not None:
                self._adopt(name, survey)
        self._cluster.forget(name)

    def _keep(self, number: int, point: Point, told: tuple[MeasuredPoint, ...]) -> None:
        name = self._survey_of(number)
        if told and name is not None:
            for lesson in told:
                self._surveys[name].add(lesson)
            self._lessons[number] = told
        self._slots[number].store(point)
        self._found[number] = point

    def _learn(self) -> None:
        """Let surveys learn from points, once the dense model's quality is known."""
        for number, point in sorted(self._found.items()):
            name = self._survey_of(number)
            if number in self._lessons or name not in self._surveys:
                continue
            request = self._slots[number].request
            if not isinstance(point, SweepPoint) or not is_lesson(request, point):
                self._lessons[number] = ()
            elif self._dense is not None:
                survey = self._surveys[name]
                before = survey.points.sequential
                survey_learns(survey, point, self._dense)
                self._lessons[number] = survey.points.sequential[len(before) :]

    def _sharing(self, name: str) -> Iterator[int]:
        return (number for number in range(len(self._slots)) if self._survey_of(number) == name)

    def _survey_of(self, number: int) -> str | None:
        """Return the name of the survey that a point rests on."""
        request = self._slots[number].request
        if not request.needs_survey:
            return None
        return _GIVEN if self._given is not None else survey_name(survey_request(request))

    def _told_as(self, number: int) -> Progress | None:
        return labelled(self._progress, f"point {number + 1}/{len(self._slots)}")


def _measure(
    artifacts: Artifacts,
    progress: Progress,
    spec: SweepSpec,
    request: PruneSpec,
    survey_name: str | None,
    known: Points | None,
) -> str:
    """Measure a point, elsewhere."""
    with tempfile.TemporaryDirectory(prefix="osscar-") as place:
        folder = Path(place)
        survey = None
        if survey_name is not None:
            from osscar_core.survey import load_survey

            artifacts.get_folder(survey_name, folder / survey_name)
            survey = load_survey(folder / survey_name)
            survey.points = known or survey.points
        before = () if survey is None else survey.points.sequential
        point = Lab(spec, folder, survey).measure(request, survey, progress)
        told = () if survey is None else survey.points.sequential[len(before) :]
    if isinstance(point, SweepPoint):
        return to_json(_Outcome(point, None, told))
    return to_json(_Outcome(None, point, told))


def _make_survey(
    artifacts: Artifacts, progress: Progress, name: str, request: PruneSpec, about: PruneSpec
) -> str:
    """Survey a model, elsewhere; leave the survey in the store."""
    from osscar_core.pruner import dense_model
    from osscar_core.survey import make_survey

    with tempfile.TemporaryDirectory(prefix="osscar-") as place:
        survey = make_survey(dense_model(request), about, progress=progress)
        survey.save(Path(place) / name)
        artifacts.put_folder(name, Path(place) / name)
    return name


def _judge_dense(
    _artifacts: Artifacts, progress: Progress, spec: SweepSpec, seqlen: int | None
) -> str:
    """Evaluate the dense model, elsewhere."""
    with tempfile.TemporaryDirectory(prefix="osscar-") as place:
        return to_json(Lab(spec, Path(place), None).dense_point(seqlen, progress))
