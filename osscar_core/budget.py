"""How much to remove where, so that a budget is met at the smallest predicted loss.

The decision hidden here: that this is a multiple-choice knapsack. Blocks do not know each
other; within a block every combination of widths of its units is one option, with a price
and a predicted loss. One option per block is chosen so that the losses sum to as little as
possible while the prices stay within the budget. The lower convex hull of every block gives
the solutions of the Lagrangian relaxation, which are optimal at their own prices, and a
bound at all others; what a budget between two of them leaves over is spent by changing the
options of up to two blocks.

Reference: Kellerer, Pferschy and Pisinger, "Knapsack Problems" (2004), chapter 11.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osscar_core.errors import SpecError
from osscar_core.records import check_range

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

MOST_OPTIONS = 1_000_000
# Vertices on either side of a budget from which two blocks may change.
_REACH = 4


class UnreachableError(SpecError):
    """No choice of widths is cheap enough, or none loses so little.

    Args:
        problem: As `OsscarError`.
        remedy: As `OsscarError`.
        nearest: The smallest budget, or the smallest loss, that can be met.
    """

    def __init__(self, problem: str, remedy: str, nearest: float = math.nan) -> None:
        super().__init__(problem, remedy)
        self.nearest = nearest


@dataclass(frozen=True, slots=True)
class LossCurve:
    """The predicted loss of removing groups from one unit alone, by the width that stays.

    Example: ``LossCurve("fc2", 8, (2, 4, 8), (1.0, 0.2, 0.0)).at([2, 3, 8])`` is
    ``[1.0, 0.6, 0.0]``.

    Attributes:
        unit: The unit's name.
        groups: Its complete width.
        widths: Ascending widths where the loss is known, the complete one last.
        losses: The losses there, 0 at the last. They are made non-increasing in the width:
            negative ones count as 0, and neighbours in the wrong order are replaced by
            their mean (isotonic regression).
        scale: For every width from 1 to ``groups`` a monotone coordinate along which the
            loss is interpolated piecewise linearly, such as the unit's own output error;
            ``None`` for the width itself.
    """

    unit: str
    groups: int
    widths: tuple[int, ...]
    losses: tuple[float, ...]
    scale: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Check lengths, order and values, and put the losses in order.

        Raises:
            SpecError: Widths that do not ascend from at least 1 to ``groups``, losses that
                are not finite or not 0 at the end, or a scale that is not monotone.
        """
        widths, losses = self.widths, self.losses
        ascending = all(a < b for a, b in itertools.pairwise(widths))
        if not widths or not ascending or widths[0] < 1 or widths[-1] != self.groups:
            raise SpecError(
                f"the loss of {self.unit} is known at the widths {list(widths)}",
                f"They must ascend from at least 1 and end with all {self.groups} groups",
            )
        if len(losses) != len(widths):
            raise SpecError(
                f"{self.unit} has {len(losses)} losses at {len(widths)} widths",
                "Give one for every width",
            )
        wrong = [one for one in losses if not math.isfinite(one)]
        if wrong or losses[-1] != 0:
            raise SpecError(
                f"{self.unit} has a loss of {wrong[0] if wrong else losses[-1]}",
                "Losses must be finite, and 0 at the complete width; "
                "leave out widths where the model fails",
            )
        object.__setattr__(self, "losses", _non_increasing(losses))
        if self.scale is not None:
            steps = np.diff(np.asarray(self.scale, np.float64))
            is_monotone = bool((steps >= 0).all() or (steps <= 0).all())
            if len(self.scale) != self.groups or not is_monotone:
                raise SpecError(
                    f"the scale of {self.unit} has {len(self.scale)} values"
                    f"{'' if is_monotone else ' that go up and down'}",
                    f"It needs {self.groups}, one a width, that never turn back",
                )

    def at(self, widths: ArrayLike) -> _Floats:
        """Return the losses at widths, interpolated between the known ones.

        Args:
            widths: Integers of any shape, from the first known width to the complete one.

        Returns:
            float64 of that shape. Where the scale stands still between two known widths,
            the width itself is the coordinate.

        Raises:
            SpecError: A width outside that range.
        """
        asked = np.asarray(widths, np.int64)
        known = np.asarray(self.widths, np.int64)
        bad = (asked < known[0]) | (asked > known[-1])
        if bad.any():
            raise SpecError(
                f"the loss of {self.unit} is asked for at the width {asked[bad][0]}",
                f"It is known from {known[0]} to {known[-1]}; measure it at a smaller width",
            )
        if len(known) == 1:
            return np.zeros(asked.shape)
        losses = np.asarray(self.losses)
        left = np.clip(np.searchsorted(known, asked, side="right") - 1, 0, len(known) - 2)
        low, high = known[left], known[left + 1]
        share = np.asarray((asked - low) / (high - low))  # of a single width, too
        if self.scale is not None:
            scale = np.asarray(self.scale, np.float64)
            span = scale[high - 1] - scale[low - 1]
            along = scale[asked - 1] - scale[low - 1]
            share = np.divide(along, span, out=share, where=span != 0)
        return np.asarray((1 - share) * losses[left] + share * losses[left + 1])


@dataclass(frozen=True, slots=True, eq=False)
class BlockOptions:
    """The options of one block, of which one is chosen.

    Attributes:
        block: The block's name.
        units: Names of its units.
        widths: int64 (options, units), the groups that each unit keeps.
        prices: float64 (options,), what of the total price depends on the block.
        losses: float64 (options,), the predicted losses.
    """

    block: str
    units: tuple[str, ...]
    widths: _Integers
    prices: _Floats
    losses: _Floats

    def __post_init__(self) -> None:
        """Check shapes and values.

        Raises:
            SpecError: No option, shapes that do not fit together, or values not finite.
        """
        count = len(self.prices)
        shapes = (self.widths.shape, self.prices.shape, self.losses.shape)
        if count == 0 or shapes != ((count, len(self.units)), (count,), (count,)):
            raise SpecError(
                f"the options of {self.block} have shapes {', '.join(map(str, shapes))}",
                f"Widths must be (options, {len(self.units)}), prices and losses (options,)",
            )
        if not np.isfinite(self.prices).all() or not np.isfinite(self.losses).all():
            raise SpecError(
                f"{self.block} has an option whose price or loss is not finite",
                "Leave that option out",
            )


@dataclass(frozen=True, slots=True)
class Allocation:
    """One choice of widths.

    Attributes:
        widths: Groups kept, of every unit.
        price: Its price, the fixed part included.
        loss: Its predicted loss.
        bound: No choice within the budget, or at this price where a loss was asked for,
            has a loss below it.
    """

    widths: dict[str, int]
    price: float
    loss: float
    bound: float

    @property
    def gap(self) -> float:
        """Share of the loss that a perfect choice might save at most, in [0, 1]."""
        return (self.loss - self.bound) / self.loss if self.loss > 0 else 0.0


class Frontier:
    """All sensible choices over the blocks of a network, prepared for any budget.

    A choice is a vertex of the frontier if it is optimal for some exchange rate between
    loss and price. Between two neighbouring vertices every choice is considered that
    differs in at most two blocks from a vertex nearby. What is considered grows with the
    budget, so a larger budget never has a larger loss.

    Sums are correctly rounded, so that equal choices have equal prices. Equal losses are
    resolved towards the wider option, equal rates in the order of the blocks.

    Args:
        blocks: The options of every block.
        fixed: The part of the price that no option changes.

    Attributes:
        cheapest: Price of the cheapest choice, fixed part included.
        dearest: Price of the choice with the smallest loss, usually the dense model; a
            budget above it changes nothing.

    Raises:
        SpecError: No block, a block or unit named twice, or a fixed part not finite.
    """

    def __init__(self, blocks: Sequence[BlockOptions], fixed: float = 0.0) -> None:
        names = [one.block for one in blocks]
        units = [unit for one in blocks for unit in one.units]
        for each in (names, units):
            twice = {name for name in each if each.count(name) > 1}
            if not blocks or twice:
                raise SpecError(
                    f"{sorted(twice)[0]} has options twice" if twice else "no block has options",
                    "Give the options of every block once",
                )
        if not math.isfinite(fixed):
            raise SpecError(f"the fixed price is {fixed}", "It must be finite")
        self._blocks = tuple(blocks)
        self._fixed = float(fixed)
        kept = [_undominated(one) for one in blocks]
        sizes = [len(rows) for rows in kept]
        self._block: _Integers = np.repeat(np.arange(len(blocks)), sizes)
        self._row: _Integers = np.concatenate(kept)
        self._price: _Floats = np.concatenate(
            [one.prices[rows] for one, rows in zip(blocks, kept, strict=True)]
        )
        self._loss: _Floats = np.concatenate(
            [one.losses[rows] for one, rows in zip(blocks, kept, strict=True)]
        )
        starts = np.concatenate([[0], np.cumsum(sizes)])
        self._first: _Integers = starts[:-1]
        self._step_block, self._step_to = self._steps(starts)
        self._prices, self._losses = self._vertices()
        self.cheapest = float(self._prices[-1])
        self.dearest = float(self._prices[0])

    def allocate(self, budget: float) -> Allocation:
        """Return a choice of small loss whose price is at most ``budget``.

        It is never worse than the best vertex within the budget.

        Raises:
            UnreachableError: Even the cheapest choice is dearer.
        """
        if not budget >= self.cheapest:
            raise UnreachableError(
                f"the budget is {_shown(budget)}",
                f"The cheapest choice within the limits costs {_shown(self.cheapest)}; "
                "allow that much, or let more be removed",
                self.cheapest,
            )
        vertex = int(np.searchsorted(-self._prices, -budget, side="left"))
        choice = self._choice(vertex)
        if vertex > 0:
            saved = self._prices[vertex - 1] - self._prices[vertex]
            rate = float((self._losses[vertex] - self._losses[vertex - 1]) / saved)
            choice = self._refined(vertex, budget, rate, self._price, self._loss, self._fixed, 0.0)
        return self._allocation(choice, budget)

    def at_loss(self, loss: float) -> Allocation:
        """Return a cheap choice whose predicted loss is at most ``loss``.

        It is never dearer than the cheapest vertex with such a loss.

        Raises:
            UnreachableError: Every choice has a larger loss.
        """
        if not loss >= self._losses[0]:
            least = float(self._losses[0])
            raise UnreachableError(
                f"the predicted loss is to be at most {_shown(loss)}",
                f"The smallest within the limits is {_shown(least)}; allow that much",
                least,
            )
        vertex = int(np.searchsorted(self._losses, loss, side="right")) - 1
        choice = self._choice(vertex)
        if vertex < len(self._losses) - 1:
            added = self._losses[vertex + 1] - self._losses[vertex]
            rate = float((self._prices[vertex] - self._prices[vertex + 1]) / added)
            choice = self._refined(vertex, loss, rate, self._loss, self._price, 0.0, self._fixed)
        return self._allocation(choice, _total(self._price[choice], self._fixed))

    def curve(self) -> tuple[_Floats, _Floats]:
        """Return prices and losses of all vertices, float64 (vertices,), dense first."""
        return self._prices.copy(), self._losses.copy()

    def _steps(self, starts: _Integers) -> tuple[_Integers, _Integers]:
        """Return blocks and new options of the steps between vertices, by falling worth."""
        rates: list[float] = []
        steps: list[tuple[int, int]] = []
        for block, (low, high) in enumerate(itertools.pairwise(starts.tolist())):
            prices, losses = self._price[low:high].tolist(), self._loss[low:high].tolist()
            for rate, point in _hull(prices, losses):
                rates.append(rate)
                steps.append((block, low + point))
        order = np.argsort(np.asarray(rates), kind="stable")
        table = np.asarray(steps, np.int64).reshape(-1, 2)[order]
        return table[:, 0], table[:, 1]

    def _vertices(self) -> tuple[_Floats, _Floats]:
        prices, losses = self._price.tolist(), self._loss.tolist()
        choice = self._first.tolist()
        now_prices = [*(prices[each] for each in choice), self._fixed]
        now_losses = [losses[each] for each in choice]
        sums = [(math.fsum(now_prices), math.fsum(now_losses))]
        for block, option in zip(self._step_block.tolist(), self._step_to.tolist(), strict=True):
            now_prices[block], now_losses[block] = prices[option], losses[option]
            sums.append((math.fsum(now_prices), math.fsum(now_losses)))
        table = np.asarray(sums, np.float64)
        return table[:, 0].copy(), table[:, 1].copy()

    def _choice(self, vertex: int) -> _Integers:
        """Return the option that every block has at a vertex, (blocks,)."""
        choice = self._first.copy()
        choice[self._step_block[:vertex]] = self._step_to[:vertex]  # the last of a block stays
        return choice

    def _refined(
        self,
        vertex: int,
        limit: float,
        rate: float,
        spend: _Floats,
        value: _Floats,
        spend_fixed: float,
        value_fixed: float,
    ) -> _Integers:
        """Return the choice of least value near a vertex that spends at most ``limit``.

        An option's reduced value is what it adds to the relaxation's optimum, which lies
        ``gap`` below the vertex: one that adds that much cannot be part of a better choice.

        Args:
            vertex: The best vertex within the limit.
            limit: What may be spent.
            rate: Value saved per amount spent, between the vertex and its neighbour.
            spend: What every option spends, (all options,).
            value: What is to be small, (all options,).
            spend_fixed: Spent by any choice.
            value_fixed: Value of any choice.
        """
        best = self._choice(vertex)
        least = _total(value[best], value_fixed)
        gap = rate * (limit - _total(spend[best], spend_fixed))
        reference = best[self._block]
        reduced = (value - value[reference]) + rate * (spend - spend[reference])
        useful = reduced < gap
        moves = np.flatnonzero(useful)
        first = max(0, vertex - _REACH)
        for near in range(first, min(len(self._prices), vertex + _REACH + 1)):
            choice = self._choice(near)
            if not useful[choice].all():
                continue
            slack = limit - _total(spend[choice], spend_fixed)
            now = choice[self._block[moves]]
            changed = _best_pair(
                self._block[moves], spend[moves] - spend[now], value[moves] - value[now], slack
            )
            options = moves[changed]
            choice[self._block[options]] = options
            total = _total(value[choice], value_fixed)
            if total < least and _total(spend[choice], spend_fixed) <= limit:
                best, least = choice, total
        return best

    def _allocation(self, choice: _Integers, budget: float) -> Allocation:
        widths = {
            unit: int(width)
            for block, option in zip(self._blocks, choice, strict=True)
            for unit, width in zip(block.units, block.widths[self._row[option]], strict=True)
        }
        loss = _total(self._loss[choice], 0.0)
        bound = float(np.interp(budget, self._prices[::-1], self._losses[::-1]))
        return Allocation(widths, _total(self._price[choice], self._fixed), loss, min(bound, loss))


def candidate_widths(
    groups: int,
    *,
    most_removed: float = 1.0,
    multiple: int = 1,
    levels: int = 24,
    fast: Sequence[int] | None = None,
    protected: int = 0,
) -> tuple[int, ...]:
    """Return the ascending widths to offer for a unit, the complete one last.

    Args:
        groups: The complete width.
        most_removed: Largest share of the groups that may go, in [0, 1]; one always stays.
        multiple: Widths below the complete one are multiples of this.
        levels: About how many widths are offered, evenly spaced.
        fast: If given, its widths are offered instead, whatever ``multiple`` says.
        protected: Groups that have to stay.

    Raises:
        SpecError: A number outside its range.
    """
    check_range("groups", groups, 1)
    check_range("most_removed", most_removed, 0.0, 1.0)
    check_range("multiple", multiple, 1)
    check_range("levels", levels, 1)
    check_range("protected", protected, 0, groups)
    # A product such as 0.29 * 100 may lie just below the whole number that is meant.
    least = max(1, protected, groups - math.floor(most_removed * groups + 1e-9))
    if fast is not None:
        return tuple(sorted({int(each) for each in fast if least <= each < groups} | {groups}))
    low, high = -(-least // multiple), (groups - 1) // multiple
    if levels == 1 or low > high:
        return (groups,)
    if high - low + 1 < levels:
        return (*range(low * multiple, groups, multiple), groups)
    spaced = np.linspace(low, groups / multiple, levels)[:-1]
    chosen = np.unique(np.minimum(np.rint(spaced), high).astype(np.int64)) * multiple
    return (*chosen.tolist(), groups)


def product_options(
    block: str,
    candidates: Mapping[str, Sequence[int]],
    curves: Mapping[str, LossCurve],
    price: Callable[[Mapping[str, _Integers]], ArrayLike],
) -> BlockOptions:
    """Return all combinations of widths of a block's units.

    Args:
        block: The block's name.
        candidates: The widths to combine, by unit.
        curves: The loss of every unit; those of a block add up.
        price: Returns the block's prices at int64 arrays of widths by unit, all of shape
            (options,), such as ``partial(costs.block_prices, block, Price.FLOPS)``.

    Raises:
        SpecError: A unit without a curve or out of its range, or too many combinations.
    """
    lacking = [unit for unit in candidates if unit not in curves]
    if lacking:
        raise SpecError(f"{lacking[0]} has no loss curve", "Measure every unit that has options")
    count = math.prod(len(each) for each in candidates.values())
    if count > MOST_OPTIONS:
        raise SpecError(
            f"{block} has {count:,} combinations of widths",
            f"At most {MOST_OPTIONS:,} are compared; offer fewer widths a unit",
        )
    axes = np.meshgrid(*(np.asarray(each, np.int64) for each in candidates.values()), indexing="ij")
    widths = {unit: axis.ravel() for unit, axis in zip(candidates, axes, strict=True)}
    losses = np.zeros(count)
    for unit, each in widths.items():
        losses += curves[unit].at(each)
    return BlockOptions(
        block,
        tuple(candidates),
        np.stack(list(widths.values()), axis=1),
        np.asarray(price(widths), np.float64),
        losses,
    )


def common_options(
    block: str,
    candidates: Mapping[str, Sequence[int]],
    members: Mapping[str, Sequence[str]],
    curves: Mapping[str, LossCurve],
    price: Callable[[Mapping[str, _Integers]], ArrayLike],
) -> BlockOptions:
    """Return the combinations of widths that sets of units have in common, as one block's.

    Combinations that are no cheaper than another of at most their loss are left out.

    Args:
        block: What to call all units together.
        candidates: The ascending widths to combine, by the name of a set, the complete one last.
        members: The units of every set.
        curves: The loss of every unit; all of them add up.
        price: Returns total prices at int64 arrays of widths by unit, all of shape (options,).

    Raises:
        SpecError: A unit without a curve or out of its range, or too many combinations.
    """
    units = [unit for name in candidates for unit in members[name]]
    lacking = [unit for unit in units if unit not in curves]
    if lacking:
        raise SpecError(f"{lacking[0]} has no loss curve", "Measure every unit that has options")
    summed = {
        name: LossCurve(
            name,
            widths[-1],
            tuple(widths),
            tuple(np.sum([curves[unit].at(widths) for unit in members[name]], axis=0).tolist()),
        )
        for name, widths in candidates.items()
    }
    of_sets = product_options(
        block,
        candidates,
        summed,
        lambda widths: price({unit: widths[name] for name in widths for unit in members[name]}),
    )
    rows = _undominated(of_sets)
    columns = np.repeat(np.arange(len(candidates)), [len(members[name]) for name in candidates])
    return BlockOptions(
        block,
        tuple(units),
        of_sets.widths[rows][:, columns],
        of_sets.prices[rows],
        of_sets.losses[rows],
    )


def _non_increasing(losses: Sequence[float]) -> tuple[float, ...]:
    """Return the non-increasing sequence nearest in squares, by pooling neighbours."""
    pools: list[tuple[float, int]] = []
    for loss in losses:
        mean, count = max(0.0, float(loss)), 1
        while pools and pools[-1][0] < mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    return tuple(mean for mean, count in pools for _ in range(count))


def _undominated(options: BlockOptions) -> _Integers:
    """Return the rows worth choosing, by falling price and rising loss.

    First comes the widest of those with the smallest loss, then what is cheaper than all
    with a smaller loss.
    """
    prices, losses = options.prices, options.losses
    start = np.lexsort((prices, -options.widths.sum(axis=1), losses))[0]
    order = np.lexsort((prices, losses))
    before = np.minimum.accumulate(np.concatenate([[prices[start]], prices[order]]))[:-1]
    rows = order[prices[order] < before]
    return np.concatenate([[start], rows]).astype(np.int64)


def _hull(prices: Sequence[float], losses: Sequence[float]) -> Iterator[tuple[float, int]]:
    """Yield the points of the lower convex hull after the first, each with its rate.

    The rate is the loss added per price saved since the point before; it never falls.
    """
    hull: list[tuple[float, int]] = [(-math.inf, 0)]
    for point in range(1, len(prices)):
        while True:
            last = hull[-1][1]
            rate = (losses[point] - losses[last]) / (prices[last] - prices[point])
            if rate >= hull[-1][0]:
                break
            hull.pop()
        hull.append((rate, point))
    yield from hull[1:]


def _best_pair(blocks: _Integers, spends: _Floats, values: _Floats, slack: float) -> _Integers:
    """Return the one or two moves, in different blocks, of least value that fit the slack.

    Two blocks differ in a bit of their numbers, so for every bit the moves of one side are
    matched with the best affordable move of the other.

    Args:
        blocks: int64 (moves,).
        spends: float64 (moves,), what each adds to what is spent.
        values: float64 (moves,), what each adds to the value.
        slack: What may be added to what is spent, which may be negative.

    Returns:
        int64 of length 0 (nothing fits) to 2.
    """
    order = np.argsort(spends, kind="stable")
    codes, spends, values = blocks[order] + 1, spends[order], values[order]
    best = math.inf
    found: tuple[int, ...] = ()
    for bit in range(int(codes.max()).bit_length()):
        is_other = (codes >> bit) & 1 == 1
        ours, others = np.flatnonzero(~is_other), np.flatnonzero(is_other)
        if len(others) == 0:
            continue
        lowest = np.minimum.accumulate(values[others])
        # The last of ours changes nothing, so that the other may also change alone.
        our_spends = np.append(spends[ours], 0.0)
        our_values = np.append(values[ours], 0.0)
        fits = np.searchsorted(spends[others], slack - our_spends, side="right") - 1
        sums = np.where(fits >= 0, our_values + lowest[fits], np.inf)
        mine = int(np.argmin(sums))
        if sums[mine] < best:
            best = float(sums[mine])
            other = others[int(np.argmin(values[others[: fits[mine] + 1]]))]
            found = (*ours[mine : mine + 1].tolist(), int(other))
    return order[np.asarray(found, np.int64)]


def _total(values: _Floats, fixed: float) -> float:
    return math.fsum([*values.tolist(), fixed])


def _shown(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}"
