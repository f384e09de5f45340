"""Pictures of a surface inspection, made on demand.

The decision hidden here: how hard the task is. A picture is a function of its split, line
and index alone (and the seed), so nothing is stored and every machine sees the same.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from osscar_core.datasets.factory.camera import light_direction, photograph
from osscar_core.datasets.factory.defects import add_defect
from osscar_core.datasets.factory.fields import SIDE
from osscar_core.datasets.factory.items import (
    CLASSES,
    DEFAULT_SEED,
    LINES,
    PICTURES,
    TRAINED_LINES,
    Item,
    Line,
    draw_item,
    generator,
    label_of,
    labels,
)
from osscar_core.datasets.factory.surfaces import clutter, surface
from osscar_core.datasets.spec import Split

__all__ = [
    "CLASSES",
    "DIFFICULTY",
    "LINES",
    "PICTURES",
    "SIDE",
    "TRAINED_LINES",
    "FactoryPictures",
    "Item",
    "Line",
]

DIFFICULTY = 1.2
"""Divides the contrast of every defect."""

FAINTEST = 0.22
"""Contrast of a defect of severity 0, as a share of that of severity 1."""

_PICTURES_KEPT = 4096  # 50 MB: a sweep sees the same pictures again and again


class FactoryPictures:
    """The pictures of one part of the data.

    Args:
        split: Training and calibration pictures, or those for evaluation. They have no
            picture in common: their random streams differ.
        lines: Production lines; with several, they take turns.
        difficulty: Divides the contrast of every defect; above 0.
        seed: Another seed gives other pictures of the same kind.
    """

    def __init__(
        self,
        split: Split,
        lines: tuple[Line, ...] = TRAINED_LINES,
        *,
        difficulty: float = DIFFICULTY,
        seed: int = DEFAULT_SEED,
    ) -> None:
        self.split = split
        self.lines = lines
        self.difficulty = difficulty
        self.seed = seed

    def __len__(self) -> int:
        return PICTURES[self.split] * len(self.lines)

    def labels(self) -> list[int]:
        """Return all class ids, in order."""
        each = [labels(self.split, line, PICTURES[self.split], self.seed) for line in self.lines]
        return [label for turn in zip(*each, strict=True) for label in turn]

    def item(self, index: int) -> Item:
        """Return what a picture shows, without drawing it."""
        line, number = self._where(index)
        return _drawn_item(self.split, line, number, self.seed)[0]

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return a picture as RGB, uint8, (SIDE, SIDE, 3), not to be written to."""
        line, number = self._where(index)
        return _render(self.split, line, number, self.seed, self.difficulty)

    def raw(self, index: int) -> bytes:
        """Return a picture as RGB bytes, kept in memory for the next time."""
        line, number = self._where(index)
        return _raw(self.split, line, number, self.seed, self.difficulty)

    def name(self, index: int) -> str:
        """Return what to call a picture in a message."""
        line, number = self._where(index)
        return f"{self.split} picture {number} of line {line}"

    def _where(self, index: int) -> tuple[Line, int]:
        number, turn = divmod(index, len(self.lines))
        return self.lines[turn], number


def _drawn_item(
    split: Split, line: Line, number: int, seed: int
) -> tuple[Item, np.random.Generator]:
    rng = generator(split, line, number, seed)
    return draw_item(rng, line, label_of(split, line, number, seed)), rng


def _render(
    split: Split, line: Line, number: int, seed: int, difficulty: float
) -> NDArray[np.uint8]:
    item, rng = _drawn_item(split, line, number, seed)
    light = light_direction(rng)
    part = clutter(rng, surface(rng, item.background))
    contrast = FAINTEST + (1 - FAINTEST) * item.severity
    part = add_defect(
        rng,
        item.label,
        part,
        severity=item.severity,
        visibility=min(1.0, contrast / difficulty),
        light=light,
    )
    return photograph(rng, line, part, light)


@functools.lru_cache(maxsize=_PICTURES_KEPT)
def _raw(split: Split, line: Line, number: int, seed: int, difficulty: float) -> bytes:
    return _render(split, line, number, seed, difficulty).tobytes()
