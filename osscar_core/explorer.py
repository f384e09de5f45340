"""What-if answers: which widths a goal leads to, how large, how fast and how good that is.

The decision hidden here: how a goal becomes a budget on a price, and what is exact in the
answer (parameters, file size, FLOPs), measured block by block (latency) or an estimate
with a band (quality). Nothing here runs a model, so an answer takes milliseconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osscar_core.brief import Brief
from osscar_core.budget import (
    Allocation,
    BlockOptions,
    Frontier,
    LossCurve,
    UnreachableError,
    candidate_widths,
    common_options,
    product_options,
)
from osscar_core.costs import CostModel, Price
from osscar_core.errors import SpecError
from osscar_core.estimates import Estimate, QualityModel
from osscar_core.goals import TIMED, Goal, GoalKind
from osscar_core.latencies import LatencyTable
from osscar_core.loadable import check_alike, refuse_biases, removable_from_survey
from osscar_core.methods import gains_bias
from osscar_core.records import PruneSpec, Structure, Task
from osscar_core.units import Unit
from osscar_core.widths import caps, least_kept, round_width, uniform_widths

# Options a block at most: with two units of 24 widths each a budget is met to a percent.
_LEVELS = {1: 64, 2: 24, 3: 10}
_BISECTIONS = 24
# Sums of floating-point numbers that ought to be equal differ by no more than this share.
ROUNDING = 1e-12
# Steps of an exchange between units, as a share of a unit's groups.
_STEP = 1 / 16
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
        quality: Estimated loss of quality: top-1 accuracy as a fraction, or log-perplexity;
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
        options = " or ".join(dict.fromkeys(each.describe() for each in nearest))
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
        task: Decides in which unit quality is counted.
        curves: Predicted divergence of every unit; needed for all but uniform budgets
            without a goal of quality.
        table: Latencies; needed for goals of speed.
        quality: Relates divergence to loss of quality.
        is_deployed: Whether models are made from the survey alone.

    Attributes:
        quality: As given; it may be replaced by one that knows more.

    Raises:
        SpecError: A loss-weighted budget without curves, a cap on nothing, or a request for
            what plain `transformers` can load that this model or its biases rule out.
    """

    def __init__(
        self,
        costs: CostModel,
        spec: PruneSpec,
        units: Sequence[Unit],
        *,
        task: Task,
        curves: Mapping[str, LossCurve] | None = None,
        table: LatencyTable | None = None,
        quality: QualityModel | None = None,
        is_deployed: bool = False,
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
        self._task = task
        self._is_deployed = is_deployed
        self._gaining = tuple(unit for unit in self._units if _gains_bias(unit, costs, spec))
        if spec.plain_loadable:
            refuse_biases([unit.name for unit in self._gaining])
            check_alike(self._units)
        self.quality = quality
        # `costs.removed` weighs all units of the model, a goal only those of the request.
        self._share = costs.share_of(unit.name for unit in self._units)

    @classmethod
    def of(
        cls,
        brief: Brief,
        spec: PruneSpec,
        *,
        table: LatencyTable | None = None,
        is_deployed: bool = False,
    ) -> Explorer:
        """Return what answers goals from a survey.

        Args:
            brief: What the survey found.
            spec: Its request; structures, caps, rounding and budget may differ.
            table: Latencies of the model, for goals of speed; ``None`` for the brief's own.
            is_deployed: Whether quality is that of models made from the survey alone.

        Raises:
            SpecError: A structure that was not surveyed, a cap on nothing, or a request for
                what plain `transformers` can load that the family rules out.
        """
        record = brief.record
        known = {unit.name for unit in record.units}
        surveyed = [unit for unit in record.costs.units if unit.name in known]
        there = tuple(dict.fromkeys(unit.structure for unit in surveyed))
        for structure in spec.structures or there:
            if structure not in there:
                raise SpecError(
                    f"the survey of {record.source.model} says nothing of {structure}",
                    f"It covers {', '.join(there)}; survey again with all that may be removed",
                )
        wanted = removable_from_survey(spec, record.source.family, there)
        units = [unit for unit in surveyed if unit.structure in wanted]
        return cls(
            record.costs,
            spec,
            units,
            task=record.source.task,
            curves=brief.curves(),
            table=table or brief.table,
            quality=brief.quality(is_deployed=is_deployed),
            is_deployed=is_deployed,
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
        if not self._spec.is_weighted:
            return self._uniform(goal, factor)
        try:
            return self._proven(self._frontier(goal.kind).allocate(self._budget(goal) * factor))
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
        new_biases = self.new_biases(widths)
        latency = None if table is None else table.model_ms(widths)
        return WhatIf(
            goal=goal,
            widths=dict(widths),
            removed=self.removed(widths),
            parameters=self._costs.parameters(widths, new_biases),
            bytes=self._costs.bytes(widths, new_biases),
            flops=self._costs.flops(widths),
            predicted=choice.loss,
            bound=choice.bound,
            latency_ms=latency,
            speedup=None if table is None or latency is None else table.dense_ms / latency,
            quality=None if self.quality is None else self.quality.estimate(choice.loss),
        )

    def removed(self, widths: Mapping[str, int]) -> float:
        """Return the share removed of what the request may remove, in [0, 1)."""
        return self._costs.removed(widths) / self._share if self._share else 0.0

    def predicted(self, widths: Mapping[str, int]) -> float:
        """Return the sum of the units' divergences at widths; not a number without a survey.

        Below the smallest width that was measured, a unit counts as it does there.
        """
        if self._curves is None:
            return math.nan
        curves = ((self._curves[name], width) for name, width in widths.items())
        return sum(float(curve.at(max(width, curve.widths[0]))) for curve, width in curves)

    def new_biases(self, widths: Mapping[str, int]) -> tuple[str, ...]:
        """Return the units whose consumers gain a bias at widths that they did not have."""
        cut = [unit for unit in self._units if widths.get(unit.name, unit.groups) < unit.groups]
        if not cut:
            return ()
        # A run re-fits every unit behind the first cut, and a deployed model those that are cut.
        first = self._units.index(cut[0])
        touched = cut if self._is_deployed else self._units[first:]
        return tuple(unit.name for unit in touched if unit in self._gaining)

    def neighbours(self, unit: str, width: int) -> tuple[int, ...]:
        """Return a width and the permitted ones some groups below and above it, ascending.

        Args:
            unit: The unit's name.
            width: Its present width.
        """
        (own,) = (one for one in self._units if one.name == unit)
        multiple = self._multiple(own)
        step = max(1, round(_STEP * own.groups / multiple)) * multiple
        least = least_kept(own.groups, self._caps[unit])
        fewer = round_width(max(least, width - step), own.groups, multiple)
        more = round_width(width + step, own.groups, multiple)
        return tuple(sorted({min(fewer, width), width, more}))

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

    def _limit(self, goal: Goal) -> float:
        """Return the most that a goal allows, in the unit of `_total`."""
        match goal.kind:
            case GoalKind.REMOVED:
                return 1 - goal.value * self._share
            case GoalKind.SPEEDUP:
                return self._timed().dense_ms / goal.value
            case GoalKind.LATENCY:
                return goal.value
            case _:
                return goal.absolute(self._total(goal.kind, {}))

    def _budget(self, goal: Goal) -> float:
        """Return what a goal allows to spend, in the unit of its price."""
        limit = self._limit(goal) * (1 + ROUNDING)
        # Complete models are no dearer than they are: they gain no biases.
        return (
            math.inf if limit >= self._total(goal.kind, {}) else limit - self._unpriced(goal.kind)
        )

    def _unpriced(self, kind: GoalKind) -> float:
        """Return the most that a pruned model has beside what blocks are priced at."""
        costs = self._costs
        new_biases = [unit.name for unit in self._gaining]
        match kind:
            case GoalKind.PARAMETERS:
                return costs.parameters({}, new_biases) - costs.parameters({})
            case GoalKind.BYTES:
                data = costs.bytes({}) - costs.header_bytes({})
                return costs.bytes({}, new_biases) - data
            case _:
                return 0.0

    def _reached(self, goal: Goal, total: float) -> Goal:
        """Return the goal of the same kind that a total reaches; the inverse of `_limit`."""
        dense = self._total(goal.kind, {})
        total = min(total, dense)
        match goal.kind:
            case GoalKind.REMOVED:
                value = (1 - total) / self._share if self._share else 0.0
            case GoalKind.SPEEDUP:
                value = self._timed().dense_ms / total
            case GoalKind.LATENCY:
                value = total
            case _:
                value = total / dense if goal.value <= 1 else total
        return Goal(goal.kind, _outward(goal.kind, value))

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
        total = self._total(kind, {})
        if kind is GoalKind.BYTES:
            total -= self._costs.header_bytes({})
        inside = (
            float(np.asarray(self._price(kind, block)(self._whole(block))))
            for block in self._blocks()
        )
        return total - sum(inside)

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
            if self._spec.plain_loadable:
                options = [self._common_options(kind, self._curves)]
            else:
                options = [
                    self._block_options(kind, block, self._curves) for block in self._blocks()
                ]
            self._frontiers[kind] = Frontier(options, self.fixed(kind))
        return self._frontiers[kind]

    def _block_options(
        self, kind: GoalKind, block: str, curves: Mapping[str, LossCurve]
    ) -> BlockOptions:
        here = [unit for unit in self._units if unit.block == block]
        levels = _LEVELS.get(len(here), 6)
        offered = {unit.name: self._candidates(unit, levels, kind) for unit in here}
        return product_options(block, offered, curves, self._price(kind, block))

    def _common_options(self, kind: GoalKind, curves: Mapping[str, LossCurve]) -> BlockOptions:
        """Return the options of the whole model, of one width for each structure."""
        members: dict[str, list[Unit]] = {}
        for unit in self._units:
            members.setdefault(unit.structure, []).append(unit)
        prices = {block: self._price(kind, block) for block in self._blocks()}

        def price(widths: Mapping[str, NDArray[np.int64]]) -> ArrayLike:
            return sum(
                np.asarray(prices[block]({name: widths[name] for name in self._whole(block)}))
                for block in self._blocks()
            )

        return common_options(
            "all layers",
            {name: self._common_candidates(units, kind) for name, units in members.items()},
            {name: [unit.name for unit in units] for name, units in members.items()},
            curves,
            price,
        )

    def _common_candidates(self, units: Sequence[Unit], kind: GoalKind) -> tuple[int, ...]:
        """Return all widths that units of one structure may have in common."""
        curves, first = self._curves or {}, units[0]
        cap, least = self._caps[first.name], max(curves[unit.name].widths[0] for unit in units)
        offered = candidate_widths(
            first.groups,
            most_removed=cap,
            multiple=self._multiple(first),
            levels=first.groups + 1,
            protected=least,
        )
        if kind in TIMED and self._spec.round_to == 1:
            fast = (width for unit in units for width in self._timed().fast_widths(unit.name))
            offered = candidate_widths(
                first.groups, most_removed=cap, fast=(*offered, *fast), protected=least
            )
        if first.said is None:
            return offered
        return tuple(each for each in offered if each in first.said or each == first.groups)

    def _proven(self, choice: Allocation) -> Allocation:
        """Return a choice with what is known of the best one: all common widths were compared."""
        if not self._spec.plain_loadable:
            return choice
        return dataclasses.replace(choice, bound=choice.loss)

    def _candidates(self, unit: Unit, levels: int, kind: GoalKind) -> tuple[int, ...]:
        """Return the widths offered for a unit: for goals of speed those that are fast here."""
        curve = None if self._curves is None else self._curves[unit.name]
        least = 1 if curve is None else curve.widths[0]
        cap = self._caps[unit.name]
        offered = candidate_widths(
            unit.groups,
            most_removed=cap,
            multiple=self._multiple(unit),
            levels=levels,
            protected=least,
        )
        if kind not in TIMED or self._spec.round_to > 1:
            return offered
        # The smallest width is offered too: whether it was timed must not limit what can be had.
        fast = (*self._timed().fast_widths(unit.name), offered[0])
        return candidate_widths(unit.groups, most_removed=cap, fast=fast, protected=least)

    def _multiple(self, unit: Unit) -> int:
        if self._spec.round_to > 1:
            return min(self._spec.round_to, unit.groups)
        if unit.structure is Structure.HEADS:
            return 1
        return next((each for most, each in _CUSTOMARY if unit.groups >= most), 1)

    def _choose_quality(self, goal: Goal, factor: float) -> Allocation:
        if self.quality is None or self._curves is None:
            raise SpecError("a goal of quality needs a survey", "Make one first")
        allowed = math.log1p(goal.value) if self._task == "text" else goal.value
        divergence = self.quality.invert(allowed) * factor
        if self._spec.is_weighted:
            return self._proven(self._frontier(self.saved).at_loss(divergence))
        return self._bisect(
            lambda widths: self._is_measured(widths) and self.predicted(widths) <= divergence,
            is_least=False,
        )

    def _is_measured(self, widths: Mapping[str, int]) -> bool:
        """Return whether no width is below the smallest that was measured."""
        curves = self._curves or {}
        return all(width >= curves[name].widths[0] for name, width in widths.items())

    def _uniform(self, goal: Goal, factor: float) -> Allocation:
        limit = self._limit(goal) * factor * (1 + ROUNDING)
        cheapest = self._total(goal.kind, self._widths(1.0))
        if cheapest > limit:
            half = self._total(goal.kind, self._widths(0.5))
            raise UnreachableGoal(
                goal, [self._reached(goal, total / factor) for total in (cheapest, half)]
            )
        return self._bisect(lambda widths: self._total(goal.kind, widths) <= limit, is_least=True)

    def _bisect(self, fits: Callable[[dict[str, int]], bool], *, is_least: bool) -> Allocation:
        """Return the least (or most) equal share that fits."""
        low, high = 0.0, 1.0
        if is_least and fits(self._widths(0.0)):
            high = 0.0  # the first biases gained may cost more than the first groups save
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if fits(self._widths(middle)) is is_least:
                high = middle
            else:
                low = middle
        widths = self._widths(high if is_least else low)
        predicted = self.predicted(widths)
        return Allocation(widths, math.nan, predicted, predicted)

    def _widths(self, share: float) -> dict[str, int]:
        spec = self._spec
        return uniform_widths(
            self._units, share, self._caps, spec.round_to, is_plain=spec.plain_loadable
        )

    def _total(self, kind: GoalKind, widths: Mapping[str, int]) -> float:
        """Return what a model of these widths has of what a goal limits, exactly."""
        costs = self._costs
        match kind:
            case GoalKind.REMOVED:
                return 1 - costs.removed(widths)
            case GoalKind.PARAMETERS:
                return costs.parameters(widths, self.new_biases(widths))
            case GoalKind.BYTES:
                return costs.bytes(widths, self.new_biases(widths))
            case GoalKind.FLOPS:
                return costs.flops(widths)
            case _:
                return self._timed().model_ms(widths)

    def _nearest(self, goal: Goal, cheapest: float, factor: float) -> list[Goal]:
        """Return the two nearest goals that can be reached, from the smallest price."""
        frontier = self._frontier(goal.kind)
        prices, losses = frontier.curve()
        bearable = float(prices[losses <= _BEARABLE].min())
        second = bearable if bearable > cheapest else (cheapest + frontier.dearest) / 2
        unpriced = self._unpriced(goal.kind)
        return [self._reached(goal, price / factor + unpriced) for price in (cheapest, second)]


def _gains_bias(unit: Unit, costs: CostModel, spec: PruneSpec) -> bool:
    """Return whether a re-fit adds a bias to a unit's consumer."""
    has_place = unit.norm is not None or any(
        tensor.name == f"{unit.consumer}.bias" for tensor in costs.tensors
    )
    return not has_place and gains_bias(spec)


def _outward(kind: GoalKind, value: float) -> float:
    """Return a value rounded to three digits, to the side where it is surely reachable."""
    if value <= 0:
        return 0.0
    digits = 2 - math.floor(math.log10(value))
    is_floor = kind in (GoalKind.REMOVED, GoalKind.SPEEDUP)
    count = value * 10.0**digits
    # What is a round number but for the last bits stays one.
    whole = math.floor(count + ROUNDING) if is_floor else math.ceil(count - ROUNDING)
    rounded = round(whole / 10.0**digits, digits)
    return max(1.0, rounded) if kind is GoalKind.SPEEDUP else rounded
