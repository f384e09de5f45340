"""What each picture shows, decided before anything is drawn.

The decision hidden here: how often things occur together. Every eight consecutive
pictures of a line show each class once. Customers of the gold tier order mostly from line
A and inspect early, so that their defects are slighter; standard customers see the
defects that grew. Line C came later: another material, and nobody trained for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from osscar_core.datasets.spec import Split

Line = Literal["A", "B", "C"]
Background = Literal["machined", "cast", "painted", "woven"]
Level = Literal["none", "minor", "moderate", "severe"]
Tier = Literal["gold", "silver", "standard"]
_Choice = TypeVar("_Choice", bound=str)

CLASSES = ("good", "scratch", "pit", "crack", "stain", "dent", "inclusion", "scale")
LINES: tuple[Line, ...] = ("A", "B", "C")
TRAINED_LINES: tuple[Line, ...] = ("A", "B")
"""The lines that the demo model is trained on; line C is the data shift."""

PICTURES: dict[Split, int] = {"calibration": 25_000, "evaluation": 1_000}
"""Pictures a line has for training and calibration, and for evaluation."""

DEFAULT_SEED = 0

_STREAMS: dict[Split, int] = {"calibration": 1, "evaluation": 2}
_ORDER, _PICTURE = 0, 1
_BACKGROUNDS: dict[Line, tuple[tuple[Background, float], ...]] = {
    "A": (("machined", 0.7), ("cast", 0.3)),
    "B": (("painted", 0.7), ("cast", 0.3)),
    "C": (("woven", 1.0),),
}
_TIERS: dict[Line, tuple[tuple[Tier, float], ...]] = {
    "A": (("gold", 0.35), ("silver", 0.35), ("standard", 0.30)),
    "B": (("gold", 0.10), ("silver", 0.35), ("standard", 0.55)),
    "C": (("gold", 0.20), ("silver", 0.40), ("standard", 0.40)),
}
# Severity is a uniform number to this power: above 1, slight defects prevail.
_SEVERITY_POWER: dict[Tier, float] = {"gold": 1.6, "silver": 1.0, "standard": 0.8}
_LEVELS: tuple[tuple[Level, float], ...] = (("minor", 1 / 3), ("moderate", 2 / 3), ("severe", 1.0))


@dataclass(frozen=True, slots=True)
class Item:
    """What one picture shows.

    Attributes:
        line: Production line.
        label: Class id, an index into `CLASSES`.
        background: Surface.
        severity: How pronounced the defect is, in [0, 1]; 0 on good parts.
        level: The same in words.
        tier: Whom the part is made for.
    """

    line: Line
    label: int
    background: Background
    severity: float
    level: Level
    tier: Tier

    @property
    def name(self) -> str:
        """The class in words."""
        return CLASSES[self.label]

    def attributes(self) -> dict[str, str | float]:
        """Return everything but the class, by name, to slice results by."""
        return {
            "line": self.line,
            "background": self.background,
            "severity": self.severity,
            "level": self.level,
            "tier": self.tier,
        }


def generator(split: Split, line: Line, index: int, seed: int) -> np.random.Generator:
    """Return the source of randomness of one picture; no two pictures share one."""
    key = (seed, _PICTURE, _STREAMS[split], LINES.index(line), index)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def draw_item(rng: np.random.Generator, line: Line, label: int) -> Item:
    """Draw what a picture shows besides its class; the first thing taken from ``rng``."""
    surface, customer, amount = rng.random(3).tolist()
    tier = _pick(_TIERS[line], customer)
    severity = 0.0 if label == 0 else amount ** _SEVERITY_POWER[tier]
    level: Level = "none" if label == 0 else _pick_level(severity)
    return Item(line, label, _pick(_BACKGROUNDS[line], surface), severity, level, tier)


def label_of(split: Split, line: Line, index: int, seed: int) -> int:
    """Return the class of one picture."""
    block, place = divmod(index, len(CLASSES))
    return _block_labels(split, line, block, seed)[place]


def labels(split: Split, line: Line, count: int, seed: int) -> list[int]:
    """Return the classes of the first ``count`` pictures of a line."""
    blocks = -(-count // len(CLASSES))
    found = [label for b in range(blocks) for label in _block_labels(split, line, b, seed)]
    return found[:count]


def _block_labels(split: Split, line: Line, block: int, seed: int) -> list[int]:
    key = (seed, _ORDER, _STREAMS[split], LINES.index(line), block)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    order: list[int] = rng.random(len(CLASSES)).argsort().tolist()
    return order


def _pick(choices: tuple[tuple[_Choice, float], ...], draw: float) -> _Choice:
    for choice, share in choices[:-1]:
        if draw < share:
            return choice
        draw -= share
    return choices[-1][0]


def _pick_level(severity: float) -> Level:
    return next((level for level, top in _LEVELS if severity <= top), "severe")
