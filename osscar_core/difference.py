"""How far apart two measured qualities are.

The decision hidden here: the unit of a change, and how its interval follows from those of
two measurements.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from osscar_core.records import EvaluationReport


class Change(NamedTuple):
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

    def times(self, factor: float) -> Change:
        """Return the difference in another unit, or the other way round."""
        low, high = sorted((factor * self.low, factor * self.high))
        return Change(factor * self.value, low, high)


def difference(first: EvaluationReport, second: EvaluationReport) -> Change:
    """Return how the quality changes from one model to another.

    Accuracy: the difference in percentage points. Perplexity: the relative change. The two
    models are treated as if judged on different items, so the interval is wide rather than
    narrow; both saw the same ones.
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
    return Change(*(math.expm1(ratio + shift) for shift in (0.0, -below, above)))
