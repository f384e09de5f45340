"""What somebody asks for, as a position of the slider.

The decision hidden here: the unit of each kind of wish, and on which side of a step it can
surely be had.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum

from osscar_core.goals import Goal, GoalKind
from osscar_core.records import Task
from osscar_core.studio.evidence import Finished

_TINY = 1e-9


class Aim(StrEnum):
    """What the slider sets.

    - ``removed``: per cent of what may be removed.
    - ``speed``: how many times faster at least.
    - ``loss``: points of accuracy, or per cent of perplexity, lost at most.
    - ``size``: per cent of the dense model's weights file left at most.
    """

    REMOVED = "removed"
    SPEED = "speed"
    LOSS = "loss"
    SIZE = "size"


KINDS = {
    Aim.REMOVED: GoalKind.REMOVED,
    Aim.SPEED: GoalKind.SPEEDUP,
    Aim.LOSS: GoalKind.QUALITY_LOSS,
    Aim.SIZE: GoalKind.BYTES,
}
"""The library's word for each of them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A position of the slider.

    Attributes:
        aim: What it sets.
        value: How much, in the unit of the aim.
    """

    aim: Aim
    value: float

    @property
    def goal(self) -> Goal:
        """The goal as the library understands it."""
        value = self.value if self.aim is Aim.SPEED else self.value / 100
        return Goal(KINDS[self.aim], round(value, 9))

    def is_same(self, other: Wish | None) -> bool:
        """Return whether both ask for the same."""
        return (
            other is not None
            and self.aim is other.aim
            and math.isclose(self.value, other.value, abs_tol=1e-6)
        )

    @property
    def is_nothing(self) -> bool:
        """Whether this is the dense model in other words."""
        nothing = {Aim.REMOVED: 0.0, Aim.SPEED: 1.0, Aim.SIZE: 100.0}
        return self.aim in nothing and self.is_same(Wish(self.aim, nothing[self.aim]))

    def is_reached(self, value: float) -> bool:
        """Return whether a value, in the unit of the aim, is as asked for."""
        if self.aim in (Aim.REMOVED, Aim.SPEED):
            return value >= self.value - _TINY
        return value <= self.value + _TINY


@dataclass(frozen=True, slots=True)
class Scale:
    """The slider of one aim."""

    low: float
    high: float
    step: float

    def holding(self, value: float) -> Scale:
        """Return the scale, made long enough for a value."""
        return dataclasses.replace(self, low=min(self.low, value), high=max(self.high, value))


def wish_of(item: Finished) -> Wish | None:
    """Return what a run was asked for as a position of the slider; ``None`` if it is none."""
    goal = item.spec.goal
    if goal is None:
        return Wish(Aim.REMOVED, 100 * item.spec.sparsity)
    aim = next((aim for aim, kind in KINDS.items() if kind is goal.kind), None)
    if aim is None:
        return None
    if goal.kind is GoalKind.BYTES and goal.value > 1:
        return Wish(aim, 100 * goal.value / item.result.prune.bytes.dense)
    return Wish(aim, goal.value if aim is Aim.SPEED else 100 * goal.value)


def loss_in_units(task: Task, loss: float) -> float:
    """Return a loss in points of accuracy, or in per cent of perplexity."""
    return 100 * (loss if task == "image" else math.expm1(loss))


def safely(aim: Aim, value: float, step: float) -> float:
    """Return a value on the slider's steps, on the side where it can be reached."""
    return down(value, step) if aim in (Aim.REMOVED, Aim.SPEED) else up(value, step)


def down(value: float, step: float) -> float:
    """Return the last step at or below a value."""
    return round(math.floor(value / step + 1e-6) * step, 6)


def up(value: float, step: float) -> float:
    """Return the first step at or above a value."""
    return round(math.ceil(value / step - 1e-6) * step, 6)
