"""Finished runs as evidence: which belong together, and what they were measured to change.

The decision hidden here: when two runs may be compared, and how far apart two measurements
have to be before a difference is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from osscar_core.records import EvaluationReport, Method, PruneSpec
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.runs import Run


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run with its result."""

    run: Run
    result: RunResult

    @property
    def spec(self) -> PruneSpec:
        """What was asked for."""
        return self.run.request.spec

    @property
    def widths(self) -> dict[str, int]:
        """Groups that every unit kept."""
        return {unit.name: unit.kept for unit in self.result.prune.units}


@dataclass(frozen=True, slots=True)
class Change:
    """A measured difference with its 95% interval.

    Attributes:
        value: The difference.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_measurable(self) -> bool:
        """Whether the interval excludes no difference at all."""
        return not self.low <= 0 <= self.high

    def __neg__(self) -> Change:
        """Return the difference the other way round."""
        return Change(-self.value, -self.high, -self.low)


def group_of(request: JobRequest) -> tuple[object, ...]:
    """Return what two runs must share for their points to be comparable."""
    spec = request.spec
    return (
        spec.model,
        spec.weights,
        request.data,
        request.limit,
        request.batch_size,
        spec.seqlen,
        spec.device,
        spec.dtype,
    )


def difference(first: EvaluationReport, second: EvaluationReport) -> Change:
    """Return how the quality changes from one model to another.

    Accuracy: the difference in percentage points. Perplexity: the relative change in per
    cent. The two models are treated as if judged on different items, so the interval is
    wide rather than narrow; both saw the same ones.
    """
    if second.metric == "top1":
        change = 100 * (second.value - first.value)
        low = 100 * math.hypot(second.value - second.interval[0], first.interval[1] - first.value)
        high = 100 * math.hypot(second.interval[1] - second.value, first.value - first.interval[0])
        return Change(change, change - low, change + high)
    ratio = math.log(second.value / first.value)
    below = math.hypot(
        math.log(second.value / second.interval[0]), math.log(first.interval[1] / first.value)
    )
    above = math.hypot(
        math.log(second.interval[1] / second.value), math.log(first.value / first.interval[0])
    )
    ends = (100 * math.expm1(ratio + shift) for shift in (0.0, -below, above))
    return Change(*ends)


def lost(result: RunResult) -> Change:
    """Return what a small model lost: points of accuracy, or per cent of perplexity gained."""
    change = difference(result.dense, result.pruned)
    return -change if result.pruned.metric == "top1" else change


@dataclass(frozen=True, slots=True)
class Rival:
    """One method of a comparison.

    Attributes:
        method: The method.
        finished: Its run.
        behind: What it lost beyond the product's own method; ``None`` for that itself.
    """

    method: Method
    finished: Finished
    behind: Change | None


def compared(finished: Sequence[Finished], widths: dict[str, int]) -> tuple[Rival, ...]:
    """Return the methods that were measured on equal terms at given widths, the best first.

    Equal terms are the same widths, calibration items and seed. Where several sets of runs
    qualify, the one with most methods counts, and of these the first.

    Args:
        finished: Comparable runs, one's own and the newest first.
        widths: Groups that every unit keeps.

    Returns:
        Nothing unless the product's own method and another one are among them.
    """
    sets: dict[tuple[object, ...], dict[Method, Finished]] = {}
    for item in finished:
        if item.widths == widths:
            sets.setdefault(_terms(item), {}).setdefault(item.spec.method, item)
    fullest = max(sets.values(), key=len, default={})
    ours = fullest.get(Method.OSSCAR)
    if ours is None or len(fullest) < 2:
        return ()
    rivals = [
        Rival(method, item, None if item is ours else _behind(ours, item))
        for method, item in fullest.items()
    ]
    return tuple(sorted(rivals, key=lambda rival: lost(rival.finished.result).value))


def _terms(item: Finished) -> tuple[object, ...]:
    calibration = item.result.prune.plan.calibration
    return (calibration.spec, calibration.count, calibration.digest, item.spec.seed)


def _behind(ours: Finished, other: Finished) -> Change:
    change = difference(ours.result.pruned, other.result.pruned)
    return -change if other.result.pruned.metric == "top1" else change
