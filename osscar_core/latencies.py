"""The latency of a model at any widths, from the times of its blocks, once they are measured.

The decision hidden here: how times between and beyond the measured widths follow. Plain
values, to be stored and shared; `osscar_core.evaluation` measures them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osscar_core.errors import SpecError, unknown_name
from osscar_core.records import Structure

TABLE_VERSION = 1

Widths = tuple[int, ...]
"""Groups kept of each unit of one block, in the order of its units."""

# A table with larger errors, or a factor further from 1, was measured on a busy machine.
_MAX_NOISE = 0.1
_MAX_RESIDUAL = 0.15
_MAX_SCALE = 2.0
# A larger width is as fast as another if it takes at most this share longer.
_SAME = 0.01


@dataclass(frozen=True, slots=True)
class BlockUnit:
    """A unit inside a block, wherever in the model the block is.

    Attributes:
        offset: The consumer's module path below the block's.
        structure: What a group is.
        groups: The complete width.
        widths: Ascending widths of the grid; the last is the complete one.
    """

    offset: str
    structure: Structure
    groups: int
    widths: Widths

    def __post_init__(self) -> None:
        """Check that the widths ascend from at least 1 to the complete width."""
        widths = self.widths
        ascending = all(a < b for a, b in itertools.pairwise(widths))
        if not widths or not ascending or widths[0] < 1 or widths[-1] != self.groups:
            raise SpecError(
                f"unit {self.offset} of {self.groups} groups has the grid {widths}",
                "Widths must ascend, start at 1 or more and end at the complete width",
            )


@dataclass(frozen=True, slots=True)
class BlockTable:
    """Times of one kind of block on a grid of widths.

    Attributes:
        signature: What blocks of equal time have in common.
        units: The block's units, in forward order.
        ms: Milliseconds at every point of the product of the units' widths, the last unit's
            fastest: the median where it was measured, else filled in.
    """

    signature: str
    units: tuple[BlockUnit, ...]
    ms: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that there is one positive time for every point."""
        points = math.prod(self.shape)
        if len(self.ms) != points or not all(math.isfinite(t) and t > 0 for t in self.ms):
            raise SpecError(
                f"block {self.signature} has {len(self.ms)} times for {points} points",
                "Every point needs one positive time",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of widths of each unit."""
        return tuple(len(unit.widths) for unit in self.units)

    @property
    def complete_ms(self) -> float:
        """Time of the complete block."""
        return self.ms[-1]

    def at(self, widths: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the time at any widths, multilinear between the points of the grid.

        Args:
            widths: Widths by the units' offsets, as numbers or as arrays that broadcast;
                units that are absent are complete.

        Returns:
            Milliseconds, in the shape that the widths broadcast to.

        Raises:
            SpecError: There is no such unit, or a width is outside [1, groups].
        """
        known = tuple(unit.offset for unit in self.units)
        for name in widths:
            if name not in known:
                raise unknown_name("unit", name, known)
        given = [_checked(unit, widths.get(unit.offset, unit.groups)) for unit in self.units]
        shape = np.broadcast_shapes(*(values.shape for values in given))
        grid = np.array(self.ms).reshape(self.shape)
        cells = [
            cell(unit.widths, np.broadcast_to(values, shape))
            for unit, values in zip(self.units, given, strict=True)
        ]
        total = np.zeros(shape)
        for corner in itertools.product((0, 1), repeat=len(cells)):
            weight = np.ones(shape)
            index = []
            for side, (below, above, share) in zip(corner, cells, strict=True):
                weight = weight * (share if side else 1 - share)
                index.append(above if side else below)
            total += weight * grid[tuple(index)]
        return total


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Predicts the latency of one model at any widths, under fixed conditions.

    Widths are numbers of groups kept, by the units' names; a unit that is absent is
    complete. Text is timed as one prompt; decoding is not predicted.

    Attributes:
        conditions: Device, dtype, batch, input size, threads, warm-up and versions.
        dense_ms: Median latency of the complete model.
        blocks: Signature of every block by module path, in forward order.
        tables: Times of one block of each signature, alone.
        scale: Milliseconds of the model for one of a block alone.
        residual: Largest error left at the narrowed models that ``scale`` was fitted to, as
            a share of their latency.
        noise: Error of a typical time of a block, as a share.
        seconds: Wall time of the measurement.
        created: Time of creation, ISO 8601 UTC.
        version: Version of this format.
    """

    conditions: dict[str, str]
    dense_ms: float
    blocks: dict[str, str]
    tables: dict[str, BlockTable]
    scale: float
    residual: float
    noise: float
    seconds: float
    created: str = ""
    version: int = TABLE_VERSION

    def __post_init__(self) -> None:
        """Refuse a table written by a newer format, or one that lacks a block's times."""
        if not 1 <= self.version <= TABLE_VERSION:
            raise SpecError(
                f"the latency table has format version {self.version}",
                f"This release reads versions 1 to {TABLE_VERSION}; measure again",
            )
        lacking = sorted({name for name in self.blocks.values() if name not in self.tables})
        if lacking:
            raise SpecError(f"the latency table lacks {lacking}", "Measure again")
        for name in ("dense_ms", "scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SpecError(f"{name} is {value}", "It must be positive; measure again")

    @property
    def overhead_ms(self) -> float:
        """Time of the complete model outside its blocks."""
        inside = sum(self.tables[name].complete_ms for name in self.blocks.values())
        return self.dense_ms - self.scale * inside

    @property
    def is_steady(self) -> bool:
        """Whether the machine was quiet enough for the predictions to be relied on."""
        is_plausible = 1 / _MAX_SCALE <= self.scale <= _MAX_SCALE
        return self.noise <= _MAX_NOISE and self.residual <= _MAX_RESIDUAL and is_plausible

    def block_ms(self, block: str, widths: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return a block's share of the model's time.

        Args:
            block: Module path.
            widths: Widths of units of this block, as numbers or as arrays that broadcast.

        Returns:
            Milliseconds, in the shape that the widths broadcast to.

        Raises:
            SpecError: There is no such block or unit, or a width is outside [1, groups].
        """
        table = self._table(block)
        offsets = {f"{block}.{unit.offset}": unit.offset for unit in table.units}
        for name in widths:
            if name not in offsets:
                raise unknown_name(f"unit of {block}", name, tuple(offsets))
        return self.scale * table.at({offsets[name]: values for name, values in widths.items()})

    def model_ms(self, widths: Mapping[str, int]) -> float:
        """Return the latency of the model in milliseconds.

        Raises:
            SpecError: There is no such unit, or a width is outside [1, groups].
        """
        names = self._names()
        inside: dict[str, dict[str, int]] = {block: {} for block in self.blocks}
        for name, width in widths.items():
            block, _ = _known(name, names)
            inside[block][name] = width
        times = (float(self.block_ms(block, own)) for block, own in inside.items())
        return self.overhead_ms + sum(times)

    def speedup(self, widths: Mapping[str, int]) -> float:
        """Return how many times faster than the complete model the narrowed one is.

        Raises:
            SpecError: There is no such unit, or a width is outside [1, groups].
        """
        return self.dense_ms / self.model_ms(widths)

    def fast_widths(self, unit: str) -> tuple[int, ...]:
        """Return the widths of a unit's grid that are worth choosing.

        They are those for which no larger one is as fast, the block's other units being
        complete; times that differ by less than 1%, or less than can be told apart, count as
        equal. Whoever would keep another width might as well keep more.

        Args:
            unit: The unit's name.

        Returns:
            Ascending widths; the last is the complete one.

        Raises:
            SpecError: There is no such unit.
        """
        block, own = _known(unit, self._names())
        times = self._table(block).at({own.offset: np.array(own.widths)})
        kept = [own.widths[-1]]
        fastest = times[-1]
        margin = max(_SAME, 2 * self.noise)
        for width, spent in zip(own.widths[-2::-1], times[-2::-1], strict=True):
            if spent < (1 - margin) * fastest:
                kept.append(width)
                fastest = spent
        return tuple(reversed(kept))

    def _table(self, block: str) -> BlockTable:
        if block not in self.blocks:
            raise unknown_name("block", block, tuple(self.blocks))
        return self.tables[self.blocks[block]]

    def _names(self) -> dict[str, tuple[str, BlockUnit]]:
        return {
            f"{block}.{unit.offset}": (block, unit)
            for block, signature in self.blocks.items()
            for unit in self.tables[signature].units
        }


def cell(
    widths: Sequence[int], values: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the grid's neighbours of each value and how far it is on the way up.

    The way continues in a straight line below the first width.
    """
    knots = np.array(widths, dtype=np.float64)
    last = len(knots) - 1
    above = np.clip(np.searchsorted(knots, values, side="right"), min(1, last), last)
    below = np.maximum(above - 1, 0)
    span = np.where(above > below, knots[above] - knots[below], 1.0)
    return below, above, (values - knots[below]) / span


def _checked(unit: BlockUnit, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    inside = (array >= 1) & (array <= unit.groups)
    if not inside.all():
        raise SpecError(
            f"a width of {unit.offset} is {array[~inside].flat[0]:g}",
            f"It must be in [1, {unit.groups}]",
        )
    return array


def _known(name: str, names: Mapping[str, tuple[str, BlockUnit]]) -> tuple[str, BlockUnit]:
    if name not in names:
        raise unknown_name("unit", name, tuple(names))
    return names[name]
