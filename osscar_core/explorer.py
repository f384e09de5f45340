"""What-if answers: which widths a goal leads to, how large, how fast and how good that is.

The decision hidden here: how a goal becomes a budget on a price, and what is exact in the
answer (parameters, file size, FLOPs), measured block by block (latency) or an estimate
with a band (quality). Nothing here runs a model, so an answer takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osscar_core.adapters.base import Unit
from osscar_core.budget import (
    Allocation,
    BlockOptions,
    Frontier,
    LossCurve,
    UnreachableError,
    candidate_widths,
    product_options,
)
from osscar_core.costs import CostModel, Price
from osscar_core.errors import SpecError
from osscar_core.estimates import Estimate, QualityModel
from osscar_core.evaluation.latency_table import LatencyTable
from osscar_core.goals import TIMED, Goal, GoalKind
from osscar_core.preparation import caps, uniform_widths
from osscar_core.records import PruneSpec, Structure
from osscar_core.survey import Survey

# Options a block at most: with two units of 24 widths each a budget is met to a percent.
_LEVELS = {1: 64, 2: 24, 3: 10}
_BISECTIONS = 24
# Wide layers keep multiples of these, which matrix kernels like, unless asked otherwise.
_CUSTOMARY = ((1024, 16), (256, 8), (128, 4))
# Predicted divergence, in nats a prediction, beyond which a model is a different one: an
# unreachable goal is answered with the farthest point and with the farthest short of this.
_BEARABLE = 0.25


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer to a goal before anything is pruned.

    Attributes:
        goal: The goal.
        widths: Groups that every unit of the request keeps.
        removed: Share removed of what may be removed, each unit weighed by its parameters.
        parameters: Number of parameters; exact.
        bytes: Size of the weights file; exact.
        flops: FLOPs of one forward pass; exact.
        predicted: Sum of the units' measured divergences, in nats per prediction.
        bound: No other choice at this price has a smaller predicted sum.
        latency_ms: From the latency table; ``None`` without one.
        speedup: Likewise.
        quality: Estimated loss of quality, in the unit of `GoalKind.QUALITY_LOSS`;
            ``None`` without a survey.
    """

    goal: Goal
    widths: dict[str, int]
    removed: float
    parameters: int
    bytes: int
    flops: int
    predicted: float
    bound: float
    latency_ms: float | None = None
    speedup: float | None = None
    quality: Estimate | None = None


class UnreachableGoal(SpecError):  # noqa: N818 - the words of the product
    """No widths within the limits reach a goal.

    Attributes:
        goal: The goal.
        nearest: The two nearest goals of the same kind that can be reached, the farther
            one first.
    """

    def __init__(self, goal: Goal, nearest: Sequence[Goal]) -> None:
        options = " or ".join(each.describe() for each in nearest)
        super().__init__(
            f"{goal.describe()} cannot be reached within these limits",
            f"Ask for {options}, or lift caps and protection",
        )
        self.goal = goal
        self.nearest = tuple(nearest)


class Explorer:
    """Answers goals for one model.

    Args:
        costs: Its sizes.
        spec: The request, resolved; its structures, caps, ``round_to`` and budget count.
        units: The units that may be pruned, in forward order.
        curves: Predicted divergence of every unit; needed for all but uniform budgets
            without a goal of quality.
        table: Latencies; needed for goals of speed.
        quality: Relates divergence to loss of quality.
    """

    def __init__(
        self,
        costs: CostModel,
        spec: PruneSpec,
        units: Sequence[Unit],
        *,
        curves: Mapping[str, LossCurve] | None = None,
        table: LatencyTable | None = None,
        quality: QualityModel | None = None,
    ) -> None:
        if spec.is_weighted and curves is None:
            raise SpecError("a loss-weighted budget needs a survey", "Make one first")
        self._costs = costs
        self._spec = spec
        self._units = tuple(units)
        self._curves = curves
        self._table = table
        self._caps = caps(spec, self._units)
        self._frontiers: dict[GoalKind, Frontier] = {}
        self.quality = quality
        # `costs.removed` weighs all units of the model, a goal only those of the request.
        self._share = sum(
            costs.removed({unit.name: 1}) / (1 - 1 / unit.groups)
            for unit in self._units
            if unit.groups > 1
        )

    @classmethod
    def of(
        cls,
        survey: Survey,
        spec: PruneSpec,
        *,
        table: LatencyTable | None = None,
        is_deployed: bool = False,
    ) -> Explorer:
        """Return what answers goals from a survey.

        Args:
            survey: The survey.
            spec: Its request; structures, caps, rounding and budget may differ.
            table: Latencies of the model, for goals of speed.
            is_deployed: Whether quality is that of models made from the survey alone.

        Raises:
            SpecError: A structure that was not surveyed, or a cap on nothing.
        """
        record = survey.record
        known = {unit.name for unit in record.units}
        surveyed = [unit for unit in record.costs.units if unit.name in known]
        there = tuple(dict.fromkeys(unit.structure for unit in surveyed))
        for structure in spec.structures or there:
            if structure not in there:
                raise SpecError(
                    f"the survey of {record.source.model} says nothing of {structure}",
                    f"It covers {', '.join(there)}; survey again with all that may be removed",
                )
        units = [unit for unit in surveyed if unit.structure in (spec.structures or there)]
        return cls(
            record.costs,
            spec,
            units,
            curves=survey.curves(),
            table=table,
            quality=survey.quality(is_deployed=is_deployed),
        )

    def choose(self, goal: Goal, factor: float = 1.0) -> Allocation:
        """Return the widths for a goal.

        Args:
            goal: The goal.
            factor: Correction of the price that may be spent, from earlier measurements.

        Raises:
            UnreachableGoal: Even the smallest model within the limits is too large.
            SpecError: The goal needs a latency table or a survey that is not there.
        """
        if goal.kind is GoalKind.QUALITY_LOSS:
            return self._choose_quality(goal, factor)
        budget = self._budget(goal) * factor
        if not self._spec.is_weighted:
            return self._uniform(goal, budget)
        try:
            return self._frontier(goal.kind).allocate(budget)
        except UnreachableError as error:
            raise UnreachableGoal(goal, self._nearest(goal, error.nearest, factor)) from error

    def what_if(self, goal: Goal) -> WhatIf:
        """Return what a goal would lead to.

        Raises:
            UnreachableGoal: Even the smallest model within the limits is too large.
            SpecError: The goal needs a latency table or a survey that is not there.
        """
        return self.describe(goal, self.choose(goal))

    def describe(self, goal: Goal, choice: Allocation) -> WhatIf:
        """Return sizes, speed and estimated quality of a choice of widths."""
        widths, table = choice.widths, self._table
        latency = None if table is None else table.model_ms(widths)
        return WhatIf(
            goal=goal,
            widths=dict(widths),
            removed=self.removed(widths),
            parameters=self._costs.parameters(widths),
            bytes=self._costs.bytes(widths),
            flops=self._costs.flops(widths),
            predicted=choice.loss,
            bound=choice.bound,
            latency_ms=latency,
            speedup=None if table is None or latency is None else table.dense_ms / latency,
            quality=None if self.quality is None else self.quality.estimate(choice.loss),
        )

    def removed(self, widths: Mapping[str, int]) -> float:
        """Return the share removed of what the request may remove, in [0, 1)."""
        return self._costs.removed(widths) / self._share

    def predicted(self, widths: Mapping[str, int]) -> float:
        """Return the sum of the units' divergences at widths; not a number without a survey."""
        if self._curves is None:
            return math.nan
        return sum(float(self._curves[name].at(width)) for name, width in widths.items())

    def local_options(
        self, kind: GoalKind, block: str, changes: Mapping[str, Mapping[int, float]]
    ) -> BlockOptions:
        """Return a block's options near the present widths, with measured changes.

        Args:
            kind: The goal's kind, which decides the price.
            block: Module path.
            changes: By unit of the block, by width, the measured change of the divergence.
        """
        axes = np.meshgrid(*(np.array(list(one), np.int64) for one in changes.values()))
        widths = {name: axis.ravel() for name, axis in zip(changes, axes, strict=True)}
        losses = sum(
            np.array([changes[name][int(width)] for width in each]) for name, each in widths.items()
        )
        prices = np.asarray(self._price(kind, block)(widths), np.float64)
        stacked = np.stack(list(widths.values()), axis=1)
        return BlockOptions(block, tuple(widths), stacked, prices, np.asarray(losses, np.float64))

    def _budget(self, goal: Goal) -> float:
        """Return what may be spent on a goal, in the unit of its price."""
        costs = self._costs
        match goal.kind:
            case GoalKind.REMOVED:
                return 1 - goal.value * self._share
            case GoalKind.PARAMETERS:
                return goal.absolute(costs.parameters({}))
            case GoalKind.BYTES:
                return goal.absolute(costs.bytes({})) - costs.header_bytes({})
            case GoalKind.FLOPS:
                return goal.absolute(costs.flops({}))
            case GoalKind.SPEEDUP:
                return self._timed().dense_ms / goal.value
            case _:
                return goal.value

    def _value(self, goal: Goal, price: float) -> float:
        """Return a goal's value at a price; the inverse of `_budget`."""
        costs = self._costs
        match goal.kind:
            case GoalKind.REMOVED:
                return (1 - price) / self._share
            case GoalKind.PARAMETERS:
                return price / costs.parameters({}) if goal.value <= 1 else price
            case GoalKind.BYTES:
                price += costs.header_bytes({})
                return price / costs.bytes({}) if goal.value <= 1 else price
            case GoalKind.FLOPS:
                return price / costs.flops({}) if goal.value <= 1 else price
            case GoalKind.SPEEDUP:
                return self._timed().dense_ms / price
            case _:
                return price

    def _timed(self) -> LatencyTable:
        if self._table is None:
            raise SpecError("a goal of speed needs latencies", "Measure a latency table first")
        return self._table

    def _price(
        self, kind: GoalKind, block: str
    ) -> Callable[[Mapping[str, NDArray[np.int64]]], ArrayLike]:
        if kind in TIMED:
            return partial(self._timed().block_ms, block)
        if kind is GoalKind.QUALITY_LOSS:
            return self._price(self.saved, block)
        return partial(self._costs.block_prices, block, Price(kind.value))

    @property
    def saved(self) -> GoalKind:
        """What a goal of quality saves most of: time where it is known, else FLOPs."""
        return GoalKind.FLOPS if self._table is None else GoalKind.LATENCY

    def fixed(self, kind: GoalKind) -> float:
        """Return the part of a price that no unit of the request changes."""
        if kind is GoalKind.QUALITY_LOSS:
            return self.fixed(self.saved)
        if kind in TIMED:
            table = self._timed()
            inside = sum(float(table.block_ms(block, {})) for block in self._blocks())
            return table.dense_ms - inside
        complete = sum(
            float(np.asarray(self._price(kind, block)(self._whole(block))))
            for block in self._blocks()
        )
        if kind is GoalKind.REMOVED:
            return 1 - complete
        price = Price(kind.value)
        whole = {unit.name: np.int64(unit.groups) for unit in self._costs.units}
        total = self._costs.constant(price)
        for block in self._costs.blocks:
            own = {u.name: whole[u.name] for u in self._costs.units if u.block == block}
            total += int(self._costs.block_prices(block, price, own))
        return total - complete

    def _whole(self, block: str) -> dict[str, NDArray[np.int64]]:
        return {
            unit.name: np.asarray(unit.groups, np.int64)
            for unit in self._units
            if unit.block == block
        }

    def _blocks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(unit.block for unit in self._units))

    def _frontier(self, kind: GoalKind) -> Frontier:
        if kind not in self._frontiers:
            if self._curves is None:
                raise SpecError("this goal needs a survey", "Make one first")
            options = []
            for block in self._blocks():
                here = [unit for unit in self._units if unit.block == block]
                levels = _LEVELS.get(len(here), 6)
                offered = {unit.name: self._candidates(unit, levels) for unit in here}
                options.append(
                    product_options(block, offered, self._curves, self._price(kind, block))
                )
            self._frontiers[kind] = Frontier(options, self.fixed(kind))
        return self._frontiers[kind]

    def _candidates(self, unit: Unit, levels: int) -> tuple[int, ...]:
        curve = None if self._curves is None else self._curves[unit.name]
        return candidate_widths(
            unit.groups,
            most_removed=self._caps[unit.name],
            multiple=self._multiple(unit),
            levels=levels,
            protected=1 if curve is None else curve.widths[0],
        )

    def _multiple(self, unit: Unit) -> int:
        if self._spec.round_to > 1:
            return min(self._spec.round_to, unit.groups)
        if unit.structure is Structure.HEADS:
            return 1
        return next((each for most, each in _CUSTOMARY if unit.groups >= most), 1)

    def _choose_quality(self, goal: Goal, factor: float) -> Allocation:
        if self.quality is None or self._curves is None:
            raise SpecError("a goal of quality needs a survey", "Make one first")
        divergence = self.quality.invert(goal.value) * factor
        if self._spec.is_weighted:
            return self._frontier(self.saved).at_loss(divergence)
        return self._bisect(lambda widths: self.predicted(widths) <= divergence, is_least=False)

    def _uniform(self, goal: Goal, budget: float) -> Allocation:
        smallest = self._widths(1.0)
        cheapest = self._total(goal.kind, smallest)
        if cheapest > budget:
            nearest = [Goal(goal.kind, self._value(goal, cheapest))]
            half = self._total(goal.kind, self._widths(0.5))
            nearest.append(Goal(goal.kind, self._value(goal, half)))
            raise UnreachableGoal(goal, nearest)
        return self._bisect(
            lambda widths: self._total(goal.kind, widths) <= budget * (1 + 1e-12), is_least=True
        )

    def _bisect(self, fits: Callable[[dict[str, int]], bool], *, is_least: bool) -> Allocation:
        """Return the least (or most) equal share that fits."""
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if fits(self._widths(middle)) is is_least:
                high = middle
            else:
                low = middle
        widths = self._widths(high if is_least else low)
        if is_least and fits(self._widths(0.0)):
            widths = self._widths(0.0)
        predicted = self.predicted(widths)
        return Allocation(widths, math.nan, predicted, predicted)

    def _widths(self, share: float) -> dict[str, int]:
        return uniform_widths(self._units, share, self._caps, self._spec.round_to)

    def _total(self, kind: GoalKind, widths: Mapping[str, int]) -> float:
        costs = self._costs
        match kind:
            case GoalKind.REMOVED:
                return 1 - costs.removed(widths)
            case GoalKind.PARAMETERS:
                return costs.parameters(widths)
            case GoalKind.BYTES:
                return costs.bytes(widths) - costs.header_bytes({})
            case GoalKind.FLOPS:
                return costs.flops(widths)
            case _:
                return self._timed().model_ms(widths)

    def _nearest(self, goal: Goal, cheapest: float, factor: float) -> list[Goal]:
        """Return the two nearest goals that can be reached."""
        frontier = self._frontier(goal.kind)
        prices, losses = frontier.curve()
        bearable = prices[losses <= _BEARABLE]
        found = [cheapest, float(bearable.min()) if len(bearable) else frontier.dearest]
        values = [self._value(goal, price / factor) for price in found]
        return [Goal(goal.kind, _outward(goal.kind, value)) for value in values]


def _outward(kind: GoalKind, value: float) -> float:
    """Return a value rounded to three digits, to the side where it is surely reachable."""
    if value <= 0:
        return value
    digits = 2 - math.floor(math.log10(value))
    is_floor = kind in (GoalKind.REMOVED, GoalKind.SPEEDUP)
    step = 10.0**-digits
    rounded = (math.floor if is_floor else math.ceil)(value / step) * step
    return max(1.0, rounded) if kind is GoalKind.SPEEDUP else rounded
