"""What one wish leads to: answered from a survey, or by a run that was measured for it.

The decision hidden here: when a measurement speaks instead of an estimate, and how wide the
band of an estimate is. Plain values, no Streamlit; a page draws what stands in a `View`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from statistics import fmean

from osscar_core.brief import Brief
from osscar_core.errors import SpecError
from osscar_core.explorer import Explorer, UnreachableGoal, WhatIf
from osscar_core.goals import Goal, GoalKind
from osscar_core.latencies import LatencyTable
from osscar_core.records import PruneSpec, Structure, Task, UnitReport
from osscar_core.studio.briefs import explorer_for
from osscar_core.studio.evidence import Change, Finished, lost
from osscar_core.studio.orders import point_request
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.wishes import (
    KINDS,
    Aim,
    Scale,
    Wish,
    loss_in_units,
    safely,
    up,
    wish_of,
)

_TINY = 1e-9
# What lies far beyond any model, to ask how far one goes.
_BEYOND = {GoalKind.REMOVED: 0.999, GoalKind.SPEEDUP: 1e3, GoalKind.BYTES: 1e-4}
# How far the slider goes beyond what can be reached, so that a person sees that it cannot.
_MARGIN = 1.5
_MOST_REMOVED = 95.0
_MOST_LOST: dict[Task, float] = {"image": 10.0, "text": 50.0}
_LOSS_STEP: dict[Task, float] = {"image": 0.1, "text": 0.5}
# A loss that most would accept: where the second of two nearest options lies.
_BEARABLE: dict[Task, float] = {"image": 1.0, "text": 5.0}
_CURVE = {GoalKind.REMOVED: 40, GoalKind.SPEEDUP: 20}
_BAND = 1.96
_FEW = 3


class Standing(StrEnum):
    """What a measurement says about a wish."""

    MET = "met"
    UNPROVEN = "unproven"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Achieved:
    """What was asked for against what came of it.

    Attributes:
        wish: What was asked for.
        value: What was measured, in the unit of the aim.
        low: Lower end of its 95% interval; the value itself where that is exact.
        high: Upper end.
        standing: Whether the interval lies inside, outside, or on both sides.
    """

    wish: Wish
    value: float
    low: float
    high: float
    standing: Standing


@dataclass(frozen=True, slots=True)
class Misses:
    """How far estimates were off that were made before a run was measured.

    Attributes:
        count: Runs.
        speed: Mean error of the speed-up as a share; ``None`` if none was estimated.
        quality: Mean error of the loss in the unit of the aim ``loss``; likewise.
    """

    count: int
    speed: float | None
    quality: float | None


@dataclass(frozen=True, slots=True)
class Option:
    """A wish that can be reached, instead of one that cannot."""

    wish: Wish
    answer: WhatIf


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the what-if screen says about one position of the slider.

    Attributes:
        wish: The position.
        answer: The estimate; ``None`` where there is no survey, or no way to reach the wish.
        shown: The measured run that speaks instead of the estimate, if there is one.
        options: What can be reached instead, where the wish cannot be; the farther one first.
        is_unreachable: Whether no widths within the limits lead to the wish.
        achieved: What was asked for against what was measured, where a run is shown.
        best: The best measured model within the wish's limit.
    """

    wish: Wish
    answer: WhatIf | None = None
    shown: Finished | None = None
    options: tuple[Option, ...] = ()
    is_unreachable: bool = False
    achieved: Achieved | None = None
    best: Finished | None = None


class Answers:
    """What a survey says about a request, taught by runs that were measured.

    Args:
        brief: The survey.
        spec: The request, with its caps and structures.
        finished: Comparable runs.

    Attributes:
        brief: As given.
        task: Decides in which unit quality is counted.
        dense_bytes: Size of the dense model's weights file.
        taught_by: Number of measured models that the estimates of quality rest on.
        speed_spread: Share by which a speed-up may be off either way: the band that holds 95%
            of the models measured so far.

    Raises:
        SpecError: A cap or structure that the survey knows nothing of.
    """

    def __init__(self, brief: Brief, spec: PruneSpec, finished: Sequence[Finished]) -> None:
        results = [item.result for item in finished]
        self.brief = brief
        self.task: Task = brief.record.source.task
        self.dense_bytes = brief.record.costs.bytes({})
        self._explorer = explorer_for(brief, spec, results)
        free = dataclasses.replace(spec, caps=())
        self._free = explorer_for(brief, free, results) if spec.caps else self._explorer
        self.taught_by = len(self._free.quality.points) if self._free.quality else 0
        self.speed_spread = _speed_spread(brief.table, finished)
        self._curves: dict[GoalKind, tuple[WhatIf, ...]] = {}
        self._scales: dict[Aim, Scale] = {}

    @property
    def aims(self) -> tuple[Aim, ...]:
        """What may be asked for; not a speed where no block was timed."""
        return tuple(aim for aim in Aim if aim is not Aim.SPEED or self.brief.table is not None)

    @property
    def dense_ms(self) -> float | None:
        """Latency of the dense model; ``None`` where no block was timed."""
        return None if self.brief.table is None else self.brief.table.dense_ms

    def at(self, wish: Wish) -> WhatIf:
        """Return what a wish leads to.

        Raises:
            UnreachableGoal: Nothing within the limits reaches it.
        """
        return self._explorer.what_if(wish.goal)

    def unprotected(self, wish: Wish) -> WhatIf | None:
        """Return what a wish would lead to without caps; ``None`` if it is out of reach."""
        try:
            return self._free.what_if(wish.goal)
        except UnreachableGoal:
            return None

    def removed(self, widths: Mapping[str, int]) -> float:
        """Return the share removed at widths, as a wish counts it."""
        return self._free.removed(widths)

    def scale(self, aim: Aim) -> Scale:
        """Return the slider of an aim; it does not depend on caps, so that it stays put."""
        if aim not in self._scales:
            self._scales[aim] = self._scale(aim)
        return self._scales[aim]

    def reworded(self, answer: WhatIf, aim: Aim) -> Wish:
        """Return the wish in another unit that describes the same model."""
        scale = self.scale(aim)
        return Wish(aim, max(scale.low, safely(aim, self.value_of(answer, aim), scale.step)))

    def value_of(self, answer: WhatIf, aim: Aim) -> float:
        """Return an answer in the unit of an aim."""
        match aim:
            case Aim.REMOVED:
                return 100 * answer.removed
            case Aim.SPEED:
                return answer.speedup or 1.0
            case Aim.SIZE:
                return 100 * answer.bytes / self.dense_bytes
            case Aim.LOSS:
                return 0.0 if answer.quality is None else self.units_lost(answer.quality.median)

    def units_lost(self, loss: float) -> float:
        """Return an estimated loss in the unit of the aim ``loss``."""
        return loss_in_units(self.task, loss)

    def options(self, wish: Wish) -> tuple[Option, ...]:
        """Return up to two wishes that can be reached instead of one that cannot.

        The first goes as far as possible, the second as far as most would accept.
        """
        aim = wish.aim
        if aim is Aim.LOSS:
            return ()
        bearable = self._explorer.what_if(Wish(Aim.LOSS, _BEARABLE[self.task]).goal)
        found: list[Option] = []
        for value in (_farthest(self._explorer, aim), self.value_of(bearable, aim)):
            near = Wish(aim, safely(aim, value, self.scale(aim).step))
            is_new = all(not near.is_same(option.wish) for option in found)
            if is_new and not near.is_nothing:
                found.append(Option(near, self.at(near)))
        return tuple(found)

    def curve(self, aim: Aim) -> tuple[WhatIf, ...]:
        """Return estimates from the dense model to the smallest one, for a line to be drawn.

        Wishes for speed and for a loss lead to widths that are fast, the others to widths
        that are few; each of the two has its own line.
        """
        is_fast = aim in (Aim.SPEED, Aim.LOSS) and self.brief.table is not None
        kind = GoalKind.SPEEDUP if is_fast else GoalKind.REMOVED
        if kind not in self._curves:
            first = 1.0 if is_fast else 0.0
            span = _extreme(self._explorer, kind) - first
            steps = _CURVE[kind]
            goals = (Goal(kind, first + span * index / steps) for index in range(steps + 1))
            self._curves[kind] = tuple(self._explorer.what_if(goal) for goal in goals)
        return self._curves[kind]

    def _scale(self, aim: Aim) -> Scale:
        match aim:
            case Aim.REMOVED:
                most = float(math.floor(_farthest(self._free, aim)))
                return Scale(1.0, max(2.0, min(_MOST_REMOVED, most)), 1.0)
            case Aim.SPEED:
                fastest = math.ceil(10 * _MARGIN * _farthest(self._free, aim)) / 10
                return Scale(1.0, fastest, 0.05)
            case Aim.SIZE:
                least = float(math.floor(_farthest(self._free, aim) / _MARGIN))
                return Scale(max(1.0, least), 100.0, 1.0)
            case Aim.LOSS:
                step = _LOSS_STEP[self.task]
                smallest = self._free.what_if(
                    Goal(GoalKind.REMOVED, _extreme(self._free, GoalKind.REMOVED))
                )
                worst = up(self.value_of(smallest, aim), step)
                return Scale(step, max(10 * step, min(_MOST_LOST[self.task], worst)), step)


def look(
    wish: Wish,
    request: JobRequest,
    finished: Sequence[Finished],
    answers: Answers | None,
    selected: Finished | None = None,
) -> View:
    """Return what the screen says about a position of the slider.

    Args:
        wish: The position.
        request: What would be measured, but for the goal.
        finished: Comparable runs: one's own, the newest first, then examples.
        answers: What the survey says; ``None`` where there is none.
        selected: The run that the person chose, if any: it speaks whatever the position.
    """
    answer: WhatIf | None = None
    options: tuple[Option, ...] = ()
    is_unreachable = False
    if answers is not None:
        try:
            answer = answers.at(wish)
        except UnreachableGoal:
            is_unreachable, options = True, answers.options(wish)
    widths = None if answer is None else answer.widths
    shown = selected or measured(finished, request, wish, widths)
    return View(
        wish=wish,
        answer=answer,
        shown=shown,
        options=options,
        is_unreachable=is_unreachable and shown is None,
        achieved=None if shown is None else achieved(shown, wish, answers),
        best=best(finished, wish),
    )


def measured(
    finished: Sequence[Finished],
    request: JobRequest,
    wish: Wish,
    widths: Mapping[str, int] | None,
) -> Finished | None:
    """Return the run that was measured for a wish, by the method of the request.

    A run counts if it was asked for the same, or if it left the very widths that the survey
    proposes. Without a survey, so does one that took the same share from every unit.

    Args:
        finished: Comparable runs in the order of preference.
        request: What would be measured, but for the goal.
        wish: The wish.
        widths: What the survey proposes; ``None`` without one, or if nothing reaches it.
    """
    spec = request.spec
    found = [item for item in finished if _is_alike(item.spec, spec)]
    if widths is not None:
        request = point_request(request, wish, widths)
        exact = [item for item in found if item.run.request.key == request.key]
        same = [item for item in found if item.widths == widths or _asks(item, wish)]
        return next(iter([*exact, *same]), None)
    return next((item for item in found if wish.is_same(wish_of(item))), None)


def achieved(item: Finished, wish: Wish, answers: Answers | None) -> Achieved | None:
    """Return what was asked for against what a run was measured to be."""
    result = item.result
    match wish.aim:
        case Aim.SPEED:
            found = Change(result.speedup, *result.speedup_interval)
        case Aim.LOSS:
            found = lost(result)
        case Aim.SIZE:
            value = 100 * result.prune.bytes.pruned / result.prune.bytes.dense
            found = Change(value, value, value)
        case Aim.REMOVED:
            if answers is None or not wish.is_same(wish_of(item)):
                return None
            value = 100 * answers.removed(item.widths)
            found = Change(value, value, value)
    inside = {wish.is_reached(found.low), wish.is_reached(found.high)}
    standing = Standing.UNPROVEN if len(inside) == 2 else None
    standing = standing or (Standing.MET if inside == {True} else Standing.MISSED)
    return Achieved(wish, found.value, found.low, found.high, standing)


def best(finished: Sequence[Finished], wish: Wish) -> Finished | None:
    """Return the best measured model within a wish's limit: the fastest, or the truest."""
    if wish.aim is Aim.REMOVED:
        return None
    within = []
    for item in finished:
        found = achieved(item, wish, None)
        if found is not None and wish.is_reached(found.value):
            within.append(item)
    if wish.aim is Aim.LOSS:
        return max(within, key=lambda item: item.result.speedup, default=None)
    return min(within, key=lambda item: lost(item.result).value, default=None)


def misses(finished: Sequence[Finished]) -> Misses | None:
    """Return how far off the estimates of measured runs were; ``None`` for fewer than two."""
    pairs = [
        (item.run.request.estimate, item.result)
        for item in finished
        if item.run.request.estimate is not None
    ]
    speeds = [
        abs(estimate.speedup / result.speedup - 1)
        for estimate, result in pairs
        if estimate.speedup is not None
    ]
    losses = [
        abs(loss_in_units(_task_of(result), estimate.loss) - lost(result).value)
        for estimate, result in pairs
        if estimate.loss is not None
    ]
    if len(pairs) < 2:
        return None
    return Misses(len(pairs), fmean(speeds) if speeds else None, fmean(losses) if losses else None)


def is_named(name: str, structure: Structure, pattern: str) -> bool:
    """Return whether a cap is about a unit of that name and structure."""
    return pattern == structure or fnmatchcase(name, pattern)


def exceeding(caps: Mapping[str, float], units: Sequence[UnitReport]) -> tuple[str, ...]:
    """Return the units of which more was removed than their caps allow: none, if all is well."""
    return tuple(
        unit.name
        for unit in units
        for pattern, most in caps.items()
        if is_named(unit.name, unit.structure, pattern)
        and unit.kept < unit.groups * (1 - most) - _TINY
    )


def _task_of(result: RunResult) -> Task:
    return "image" if result.pruned.metric == "top1" else "text"


def _asks(item: Finished, wish: Wish) -> bool:
    """Return whether a run was asked for a wish, spread by a survey."""
    return item.spec.goal is not None and wish.is_same(wish_of(item))


def _is_alike(spec: PruneSpec, other: PruneSpec) -> bool:
    """Return whether two requests differ in nothing that a person would see in the result."""
    names = ("calibration", "method", "structures", "target", "intercept", "guards")
    same = all(getattr(spec, each) == getattr(other, each) for each in (*names, "plain_loadable"))
    return same and dict(spec.caps) == dict(other.caps)


def _extreme(explorer: Explorer, kind: GoalKind) -> float:
    """Return how far a goal can be driven, in the goal's own unit."""
    goal = Goal(kind, _BEYOND[kind])
    try:
        explorer.choose(goal)
    except UnreachableGoal as error:
        return error.nearest[0].value
    return goal.value


def _farthest(explorer: Explorer, aim: Aim) -> float:
    """Return how far an aim can be driven, in the aim's unit."""
    value = _extreme(explorer, KINDS[aim])
    return value if aim is Aim.SPEED else 100 * value


def _speed_spread(table: LatencyTable | None, finished: Sequence[Finished]) -> float:
    """Return the share by which a speed-up from the table may be off either way."""
    if table is None:
        return 0.0
    misses = []
    for item in finished:
        # Units of another model, or a request for another one, have other names.
        with contextlib.suppress(SpecError):
            misses.append(math.log(item.result.speedup / table.speedup(item.widths)))
    if len(misses) < _FEW:
        return _BAND * max(table.residual, table.noise)
    return _BAND * math.sqrt(fmean(miss**2 for miss in misses))
