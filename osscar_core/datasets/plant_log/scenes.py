"""What happened on a shift, decided before a word is written.

The decision hidden here: how the numbers of a report hang together. Time lost follows from
when a machine stopped and ran again, output lost from time lost and the hourly rate, the
reading after a repair from that of a sound machine, and what is left to do from whether
the part was in store.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from osscar_core.datasets.plant_log.faults import FAULTS, Fault
from osscar_core.datasets.plant_log.plants import UNITS, Plant

_Choice = TypeVar("_Choice")
_FIRST_DAY = datetime.date(2021, 1, 4)
_DAYS = 1800


class Dice:
    """Random choices in words.

    Args:
        rng: Source of randomness.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return float(self._rng.random())

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return self.share() < probability

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return low + int(self.share() * (high - low + 1))

    def pick(self, choices: Sequence[_Choice]) -> _Choice:
        """Return one of the choices."""
        return choices[int(self.share() * len(choices))]

    def several(self, choices: Sequence[_Choice], count: int) -> list[_Choice]:
        """Return different choices, in random order."""
        order = self._rng.random(len(choices)).argsort()
        return [choices[index] for index in order[:count].tolist()]


@dataclass(frozen=True, slots=True)
class Event:
    """One fault on one machine.

    Attributes:
        fault: What went wrong.
        machine: Where.
        noticed: When it was noticed, in minutes after midnight.
        stopped: When the machine was stopped.
        running: When it ran again.
        finder: Who noticed.
        fixer: Who went to it.
        reading: The reading with the fault, as the plant writes it.
        usual: What it should be.
        after: What it was in the end.
        is_repaired: Whether it was mended for good; otherwise the part has to come.
        in_store: Spare parts left after the repair.
        wait_days: Until the part comes, if it has to.
        lost: Pieces not made meanwhile.
    """

    fault: Fault
    machine: str
    noticed: int
    stopped: int
    running: int
    finder: str
    fixer: str
    reading: str
    usual: str
    after: str
    is_repaired: bool
    in_store: int
    wait_days: int
    lost: int

    @property
    def minutes(self) -> int:
        """How long the machine stood."""
        return self.running - self.stopped


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift with its events, in the order of time.

    Attributes:
        plant: Where.
        day: When.
        shift: Name of the shift.
        starts: First hour.
        hours: Length.
        lead: Who leads it.
        successor: Who leads the next one.
        product: What was made.
        planned: How many were to be made.
        made: How many were.
        events: What went wrong.
    """

    plant: Plant
    day: datetime.date
    shift: str
    starts: int
    hours: int
    lead: str
    successor: str
    product: str
    planned: int
    made: int
    events: tuple[Event, ...]

    @property
    def lost_minutes(self) -> int:
        """Time lost over all events."""
        return sum(event.minutes for event in self.events)


def draw_shift(dice: Dice, plant: Plant, count: int) -> Shift:
    """Draw a shift with so many events."""
    day = _FIRST_DAY + datetime.timedelta(days=dice.whole(0, _DAYS - 1))
    shift, starts = dice.pick(plant.shifts)
    hours = 24 // len(plant.shifts)
    lead, successor = dice.several(plant.leads, 2)
    product, rate = dice.pick(plant.products)
    faults = dice.several([f for f in FAULTS if f.machine in plant.kinds], count)
    length = 60 * hours // max(1, count)
    events = tuple(
        _draw_event(dice, plant, fault, 60 * starts + turn * length, length, rate)
        for turn, fault in enumerate(faults)
    )
    planned = rate * hours
    made = planned - sum(event.lost for event in events)
    return Shift(plant, day, shift, starts, hours, lead, successor, product, planned, made, events)


def _draw_event(
    dice: Dice, plant: Plant, fault: Fault, start: int, length: int, rate: int
) -> Event:
    noticed = start + 5 + int(dice.share() * (length * 0.35))
    stopped = noticed + dice.whole(4, 20)
    running = stopped + min(dice.whole(14, 95), int(length * 0.45))
    finder, fixer = dice.several(plant.people, 2)
    unit = UNITS[plant.name][fault.quantity]
    swing = fault.faulty - fault.normal
    is_repaired = dice.chance(0.68)
    left = 0.02 if is_repaired else 0.45
    after = fault.normal + swing * (left + 0.06 * dice.share())
    return Event(
        fault=fault,
        machine=dice.pick(plant.machines[fault.machine]),
        noticed=noticed,
        stopped=stopped,
        running=running,
        finder=finder,
        fixer=fixer,
        reading=unit.write(fault.normal + swing * (0.9 + 0.25 * dice.share())),
        usual=unit.write(fault.normal),
        after=unit.write(after),
        is_repaired=is_repaired,
        in_store=dice.whole(0, 4),
        wait_days=dice.whole(2, 9),
        lost=round(rate * (running - stopped) / 60),
    )
