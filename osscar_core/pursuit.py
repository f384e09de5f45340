"""From a goal to a small model that was measured to reach it, or the news that none does.

The decision hidden here: what happens between asking and having. Sizes are exact, so one
run suffices. Times are corrected before anything is pruned, since a model of random
support is just as fast. Quality is approached by whole runs, each of which makes the
estimate better. Exchanges between units are tried on whole runs too.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osscar_core.budget import Allocation, Frontier
from osscar_core.catalogue import own_data
from osscar_core.errors import DataError, NumericalError, SpecError
from osscar_core.estimates import MeasuredPoint, QualityModel, lost_quality, measured_point
from osscar_core.evaluation import compare, evaluate
from osscar_core.evaluation.latency_table import latency_table
from osscar_core.evaluation.memory import PeakMemory
from osscar_core.explorer import ROUNDING, Explorer, UnreachableGoal
from osscar_core.goals import TIMED, Budget, Goal, GoalKind
from osscar_core.latencies import LatencyTable
from osscar_core.loadable import notes
from osscar_core.models import LoadedModel, resolve_device
from osscar_core.preparation import calibration_inputs, chosen_units, resolve
from osscar_core.pricing import cost_model
from osscar_core.probe import Probe, placed
from osscar_core.progress import Progress, report
from osscar_core.records import (
    BudgetReport,
    EvaluationReport,
    GoalReport,
    Method,
    PruneReport,
    PruneSpec,
    SpeedComparison,
)
from osscar_core.sequential import Sizes, plan_of, prune_to_widths_, size_report
from osscar_core.solver import LayerProblem, eliminate, refit
from osscar_core.surgery import detached, install_, shrink_
from osscar_core.survey import Survey, first_items, make_survey, probe_count
from osscar_core.units import Unit
from osscar_core.widths import caps

# A time counts as reached within this share of what was asked.
TOLERANCE = 0.05
# The speed aimed at, as a share of what was asked, and how near is near enough: a little
# faster, because a machine does not repeat its own timings to better than some percent.
_AIM = 1.03
_AIMED = (0.999, 1.05)
_SLIGHT = 0.005
_TIMED_TRIES = 5
_QUALITY_TRIES = 4
# A goal of quality is reached well enough when this share of what was allowed is lost.
_NEAR = 0.8
# After a miss the middle between that and all that was allowed is aimed at.
_MIDDLE = 0.9
# Units that grow, and units that shrink, in one exchange at most.
_MOVES = 6

_UNSTEADY = (
    "the machine was busy while blocks were timed, so the widths chosen for speed may not be "
    "the best; run again when it is quiet"
)


@dataclass(slots=True)
class Outcome:
    """A pruned model and how it came about.

    Attributes:
        model: The model.
        report: How it was made.
        quality: Its quality, once that was measured.
    """

    model: LoadedModel
    report: PruneReport
    quality: EvaluationReport | None = None


@dataclass(frozen=True, slots=True)
class _Try:
    """One whole run for a goal of quality."""

    outcome: Outcome
    choice: Allocation
    lost: float
    is_met: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """The larger the better: most is removed of those that meet, least is lost else."""
        return self.is_met, self.choice.loss if self.is_met else -self.lost


class Pursuit:
    """One run towards a goal.

    Args:
        model: The dense model on the host; it is not changed.
        spec: The request, with a goal or a loss-weighted budget.
        survey: A survey of this model under these settings, if there is one.
        is_deployed: Whether small models are made from the survey alone, without
            calibrating again: quicker, at some cost in quality, since no layer is told what
            those before it lost.
        progress: Callback; raising from it stops.

    Raises:
        SpecError: The request contradicts itself or the survey is another model's.
    """

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        *,
        survey: Survey | None = None,
        is_deployed: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if is_deployed and survey is None:
            raise SpecError("there is no survey to deploy from", "Make one with 'survey'")
        if is_deployed and spec.refine:
            raise SpecError(
                f"refine is {spec.refine}, and a deployed model is not calibrated again",
                "Use prune with --survey",
            )
        self._started = time.perf_counter()
        self._is_deployed = is_deployed
        self._model = model
        self._progress = progress
        exactly = spec.samples is not None
        # What is deployed is about what was surveyed, which nobody chose for this model.
        asked = dataclasses.replace(spec, structures=None) if is_deployed else spec
        spec = resolve(model, spec)
        self._goal = spec.goal or Goal(GoalKind.REMOVED, spec.sparsity)
        self._quality_data = self._data_to_evaluate(spec)
        self._units = chosen_units(model, spec)
        caps(spec, self._units)  # a pattern that names nothing is refused before any work
        adapter = model.adapter
        self._notes = notes(asked, adapter.family, adapter.structures, self._units)
        self._inputs: list[dict[str, Tensor | bool]] = []
        if survey is not None:
            self._check_survey(survey)
        if survey is not None and is_deployed:
            self._data = survey.record.calibration
        else:
            self._inputs, self._data = calibration_inputs(model, spec, exactly=exactly)
        self._spec = spec = dataclasses.replace(spec, samples=self._data.count)
        self._device = resolve_device(spec.device)
        if survey is None and spec.needs_survey:
            survey = make_survey(model, spec, progress=progress)
        self._survey = survey
        self._budget_seconds = 0.0
        self._believed = None if survey is None else survey.quality(is_deployed=is_deployed)
        table = self._latencies()
        self._is_steady = table is None or table.is_steady
        self._explorer = Explorer(
            cost_model(model) if survey is None else survey.record.costs,
            spec,
            self._units,
            task=model.task,
            curves=None if survey is None else survey.curves(),
            table=table,
            quality=self._believed,
            is_deployed=is_deployed,
        )
        self._dense_quality: EvaluationReport | None = None
        self._tries = 1

    def run(self) -> Outcome:
        """Reach the goal.

        Raises:
            UnreachableGoal: No widths within the limits reach it.
            OsscarError: With the reason in words.
        """
        if self._goal.kind is GoalKind.QUALITY_LOSS:
            outcome, choice = self._approach_quality()
        else:
            choice = self._choose_timed() if self._goal.kind in TIMED else self._choose()
            outcome = self._prune(choice.widths)
        budget = self._budget_report(choice)
        if self._spec.refine:
            outcome, choice, budget = self._refine(outcome, choice, budget)
        goal = self._goal_report(outcome, choice)
        warnings = (*outcome.report.warnings, *self._notes)
        if not self._is_steady:
            warnings = (*warnings, _UNSTEADY)
        if not goal.is_met:
            warnings = (*warnings, _missed(goal))
        outcome.report = dataclasses.replace(
            outcome.report,
            goal=goal if self._spec.goal is not None else None,
            budget=budget,
            warnings=warnings,
            seconds=time.perf_counter() - self._started,
        )
        return outcome

    def _data_to_evaluate(self, spec: PruneSpec) -> str | None:
        """Return the data that quality is measured on, if the goal needs any."""
        if self._goal.kind is not GoalKind.QUALITY_LOSS:
            return None
        data = spec.data or own_data(spec.model)
        if data is None:
            raise SpecError(
                "the goal quality_loss needs data to measure quality on",
                "Add --data text:PATH, images:PATH, own:PATH, hf:NAME or demo:NAME",
            )
        return data

    def _check_survey(self, survey: Survey) -> None:
        known = {unit.name: unit.groups for unit in survey.record.units}
        for unit in self._units:
            if known.get(unit.name) != unit.groups:
                raise SpecError(
                    f"the survey of {survey.record.source.model} does not know {unit.name} "
                    f"with {unit.groups} groups",
                    "Use the survey of this model, with all structures that may be removed",
                )
        survey.check_source(self._model.source)

    def _latencies(self) -> LatencyTable | None:
        if self._goal.kind not in TIMED:
            return None
        return measured_latencies(self._model, self._spec, self._progress)

    def _choose(self) -> Allocation:
        began = time.perf_counter()
        choice = self._explorer.choose(self._goal)
        self._budget_seconds += time.perf_counter() - began
        return choice

    def _choose_timed(self) -> Allocation:
        """Return widths whose speed was measured to be as asked, before anything is pruned."""
        began = time.perf_counter()
        factor = 1.0
        best: tuple[float, Allocation] | None = None
        timed: list[dict[str, int]] = []
        with placed(self._model.module, self._device):
            for number in range(_TIMED_TRIES):
                try:
                    choice = self._explorer.choose(self._goal, factor)
                except UnreachableGoal:
                    if best is None or best[0] > 2 * TOLERANCE:
                        raise
                    break
                if choice.widths in timed:
                    break
                timed.append(choice.widths)
                speed = self._time(_cut(self._model, self._units, choice.widths))
                reached = _reached(self._goal, speed)
                # Too slow is worse than too fast by as much.
                miss = abs(math.log(reached / _AIM)) * (2 if reached < 1 - _SLIGHT else 1)
                if best is None or miss < best[0]:
                    best = miss, choice
                self._tries = number + 1
                if _AIMED[0] <= reached <= _AIMED[1]:
                    break
                factor *= min(1.3, max(0.7, reached / _AIM))
        self._budget_seconds += time.perf_counter() - began
        return best[1] if best is not None else self._explorer.choose(self._goal)

    def _time(self, small: LoadedModel) -> SpeedComparison:
        with placed(small.module, self._device):
            return compare(
                self._model, small, batch_size=self._spec.batch_size, progress=self._progress
            )

    def _prune(self, widths: Mapping[str, int], observe: _Variants | None = None) -> Outcome:
        if self._is_deployed:
            return self._deploy(widths)
        small = _copied(self._model)
        result = prune_to_widths_(
            small,
            self._spec,
            widths,
            self._inputs,
            self._data,
            progress=self._progress,
            observe=None if observe is None else observe.add,
        )
        return Outcome(small, result)

    def _deploy(self, widths: Mapping[str, int]) -> Outcome:
        """Make a small model from the survey alone."""
        survey = self._survey
        if survey is None:
            raise SpecError("there is no survey to deploy from", "Make one with 'survey'")
        began = time.perf_counter()
        small = _copied(self._model)
        with PeakMemory(self._device) as memory:
            results = survey.apply_(small, widths, self._device)
        plans, units = zip(*results, strict=True)
        small.plan = plan_of(self._model, self._spec, self._data, plans, self._device)
        return Outcome(
            small,
            size_report(
                Sizes.of(self._model),
                small,
                units,
                seconds=time.perf_counter() - began,
                peak_memory_bytes=memory.peak_bytes,
                warnings=self._data.warnings,
            ),
        )

    def _approach_quality(self) -> tuple[Outcome, Allocation]:
        """Prune, measure and correct until what is lost is just below what was allowed."""
        believed = self._believed
        if believed is None:
            raise SpecError("a goal of quality needs a survey", "Make one first")
        allowed = _allowed(self._goal, is_text=self._model.task == "text")
        points = list(believed.points)
        best: _Try | None = None
        tried: list[dict[str, int]] = []
        met, missed = 0.0, math.inf  # the predicted losses between which the answer lies
        while len(tried) < _QUALITY_TRIES:
            try:
                self._explorer.quality = QualityModel(believed.prior, points)
                choice = self._choose_between(met, missed)
            except (DataError, NumericalError):
                if best is None:
                    raise
                break  # what was measured contradicts itself; the runs done still count
            if choice.widths in tried:
                break
            outcome = self._prune(choice.widths)
            lost, point = self._measure(outcome, choice)
            one = _Try(outcome, choice, lost, lost <= allowed)
            best = one if best is None else max(best, one, key=lambda each: each.rank)
            tried.append(choice.widths)
            points.append(point)
            if _NEAR * allowed <= lost <= allowed:
                break
            if one.is_met:
                met = max(met, choice.loss)
            else:
                missed = min(missed, choice.loss)
        if best is None:
            raise SpecError("no widths were tried", "Report this as a bug")
        self._tries = len(tried)
        return best.outcome, best.choice

    def _choose_between(self, met: float, missed: float) -> Allocation:
        """Return the widths that are believed to reach a goal of quality.

        Args:
            met: Predicted loss that was measured to be within the goal.
            missed: Predicted loss that was measured to be beyond it.
        """
        began = time.perf_counter()
        aim = _MIDDLE if math.isfinite(missed) else 1.0
        choice = self._explorer.choose(self._goal, aim)
        if missed <= choice.loss or choice.loss <= met:
            # Measurements contradict the belief: halve the range that they leave.
            between = math.sqrt(met * missed) if met > 0 else missed / 2
            if math.isfinite(between) and choice.loss > 0:
                choice = self._explorer.choose(self._goal, aim * between / choice.loss)
        self._budget_seconds += time.perf_counter() - began
        return choice

    def _measure(self, outcome: Outcome, choice: Allocation) -> tuple[float, MeasuredPoint]:
        """Measure what a run lost, and let the survey know."""
        dense, quality = self._qualities(outcome)
        lost = lost_quality(dense, quality)
        point = measured_point(choice.loss, lost, quality)
        # Estimates are about the product's own method.
        if self._survey is not None and self._spec.method is Method.OSSCAR:
            self._survey.add(point, is_deployed=self._is_deployed)
        return lost, point

    def _qualities(self, outcome: Outcome) -> tuple[EvaluationReport, EvaluationReport]:
        """Return the quality of the dense model and of a pruned one, each measured once."""
        if self._dense_quality is None:
            self._dense_quality = self._evaluate(self._model)
        if outcome.quality is None:
            outcome.quality = self._evaluate(outcome.model)
        return self._dense_quality, outcome.quality

    def _evaluate(self, model: LoadedModel) -> EvaluationReport:
        data = self._quality_data or ""
        with placed(model.module, self._device):
            return evaluate(model, data, seqlen=self._spec.seqlen, progress=self._progress)

    def _goal_report(self, outcome: Outcome, choice: Allocation) -> GoalReport:
        goal = self._goal
        speed = None
        if goal.kind in TIMED:
            with placed(self._model.module, self._device):
                speed = self._time(outcome.model)
        is_quality = goal.kind is GoalKind.QUALITY_LOSS
        return goal_report(
            goal,
            outcome.report,
            removed=self._explorer.removed({u.name: u.kept for u in outcome.report.units}),
            qualities=self._qualities(outcome) if is_quality else None,
            speed=speed,
            estimate=self._estimate(choice),
            tries=self._tries,
        )

    def _estimate(self, choice: Allocation) -> float | None:
        """Return what had been predicted of the quantity that the goal is about."""
        if self._goal.kind is GoalKind.QUALITY_LOSS:
            return None if self._believed is None else self._believed.estimate(choice.loss).median
        what = self._explorer.describe(self._goal, choice)
        predicted: dict[GoalKind, float | None] = {
            GoalKind.REMOVED: what.removed,
            GoalKind.PARAMETERS: what.parameters,
            GoalKind.BYTES: what.bytes,
            GoalKind.FLOPS: what.flops,
            GoalKind.SPEEDUP: what.speedup,
            GoalKind.LATENCY: what.latency_ms,
        }
        return predicted[self._goal.kind]

    def _budget_report(self, choice: Allocation) -> BudgetReport | None:
        if self._survey is None:
            return None
        record = self._survey.record
        is_weighted = self._spec.is_weighted
        return BudgetReport(
            budget=Budget.LOSS_WEIGHTED if is_weighted else Budget.UNIFORM,
            predicted=choice.loss,
            bound=choice.bound,
            probes=record.probes,
            survey_seconds=record.survey_seconds,
            probe_seconds=record.probe_seconds,
            budget_seconds=self._budget_seconds,
        )

    def _refine(
        self, outcome: Outcome, choice: Allocation, budget: BudgetReport | None
    ) -> tuple[Outcome, Allocation, BudgetReport | None]:
        """Exchange groups between units as long as the divergence of whole runs falls."""
        count = probe_count(self._model, self._spec, len(self._units))
        inputs = list(first_items(self._inputs, 2 * count))
        blocks = self._model.adapter.blocks(self._model.module)
        with placed(self._model.module, self._device) as module:
            probe = Probe(module, blocks, inputs)
        widths = dict(choice.widths)
        start = now = self._divergence(probe, outcome)
        moves, kept = _MOVES, 0
        variants: _Variants | None = None
        rejected: list[dict[str, int]] = []
        for number in range(self._spec.refine):
            report(self._progress, "refine", number, self._spec.refine, f"divergence {now:.4f}")
            if variants is None:
                # The run is repeated once to see its problems; a search is deterministic.
                variants = self._variants(widths)
                self._prune(widths, variants)
            changes = self._changes(probe, outcome, widths, variants)
            proposal = self._propose(changes, widths, moves)
            while proposal in rejected and moves > 1:
                moves //= 2
                proposal = self._propose(changes, widths, moves)
            if proposal is None or proposal in rejected:
                break
            fresh = self._variants(proposal)
            other = self._prune(proposal, fresh)
            divergence = self._divergence(probe, other)
            if divergence < now:
                outcome, widths, now, variants = other, proposal, divergence, fresh
                rejected = []
                kept += 1
            else:
                rejected.append(proposal)
                moves = max(1, moves // 2)
        if kept:
            choice = dataclasses.replace(
                choice, widths=widths, loss=self._explorer.predicted(widths)
            )
        if budget is not None:
            budget = dataclasses.replace(
                budget, predicted=choice.loss, exchanges=kept, divergence=(start, now)
            )
        return outcome, choice, budget

    def _variants(self, widths: Mapping[str, int]) -> _Variants:
        return _Variants(
            {name: self._explorer.neighbours(name, width) for name, width in widths.items()}
        )

    def _divergence(self, probe: Probe, outcome: Outcome) -> float:
        with placed(outcome.model.module, self._device) as module:
            return probe.divergence(module)

    def _propose(
        self, changes: Mapping[str, Mapping[int, float]], widths: Mapping[str, int], moves: int
    ) -> dict[str, int] | None:
        """Return widths at no higher price with a smaller measured sum of divergences.

        Args:
            changes: By unit, by width, the measured change of the divergence.
            widths: The present widths.
            moves: How many units may grow, and how many may shrink: those that promise most.
        """
        kind = self._goal.kind
        ups = sorted(changes, key=lambda name: min(changes[name].values()))[:moves]
        downs = sorted(
            (name for name in changes if min(changes[name]) < widths[name]),
            key=lambda name: changes[name][min(changes[name])],
        )[:moves]
        movable = {*ups, *downs}
        fixed = self._explorer.fixed(kind)
        options, prices = [], [fixed]
        for block in dict.fromkeys(unit.block for unit in self._units):
            here = [unit.name for unit in self._units if unit.block == block]
            now = {name: {widths[name]: 0.0} for name in here}
            offered = {name: changes[name] if name in movable else now[name] for name in here}
            options.append(self._explorer.local_options(kind, block, offered))
            prices += self._explorer.local_options(kind, block, now).prices.tolist()
        found = Frontier(options, fixed).allocate(math.fsum(prices))
        return None if found.loss >= 0 or found.widths == dict(widths) else found.widths

    def _changes(
        self,
        probe: Probe,
        outcome: Outcome,
        widths: Mapping[str, int],
        variants: _Variants,
    ) -> dict[str, dict[int, float]]:
        """Measure, unit by unit, how the divergence changes with a few groups more or less."""
        blocks = self._model.adapter.blocks(self._model.module)
        changes: dict[str, dict[int, float]] = {}
        with placed(outcome.model.module, self._device) as module:
            entries = probe.entries(module)
            for unit in self._units:
                known = variants.fits.get(unit.name)
                changes[unit.name] = {widths[unit.name]: 0.0}
                if known is None:
                    continue
                values = {
                    width: probe.divergence_with(
                        entries,
                        blocks.index(unit.block),
                        self._rebuilt(unit, width, widths, variants),
                    )
                    for width in known
                }
                base = values[widths[unit.name]]
                for width, value in values.items():
                    changes[unit.name][width] = value - base
        return changes

    def _rebuilt(
        self, changed: Unit, width: int, widths: Mapping[str, int], variants: _Variants
    ) -> nn.Module:
        """Return the block of a unit as the run left it, but for the width of that unit."""
        block = self._model.module.get_submodule(changed.block)
        root = detached(block, changed.block).to(self._device)
        for unit in self._units:
            if unit.block != changed.block or unit.name not in variants.fits:
                continue
            kept = width if unit.name == changed.name else widths[unit.name]
            support, W, bias = variants.fits[unit.name][kept]
            install_(root, unit, support, W, bias)
        return root.get_submodule(changed.block)


class _Variants:
    """The fits of every unit at its width and at neighbouring ones, in a whole run.

    Args:
        wanted: The widths by unit.

    Attributes:
        fits: By unit, by width, the support, the weights and the change of the bias.
    """

    def __init__(self, wanted: Mapping[str, Sequence[int]]) -> None:
        self.fits: dict[str, dict[int, tuple[Tensor, Tensor, Tensor | None]]] = {}
        self._wanted = wanted

    def add(self, name: str, problem: LayerProblem) -> None:
        """Fit one unit; called before it is solved."""
        wanted = self._wanted[name]
        path = eliminate(problem, min(wanted))
        self.fits[name] = {}
        for keep in wanted:
            support = path.support(keep)
            W, bias = refit(problem, support)
            change = None if bias is None else bias.float().cpu()
            self.fits[name][keep] = support.cpu(), W.float().cpu(), change


def measured_latencies(
    model: LoadedModel, spec: PruneSpec, progress: Progress | None = None
) -> LatencyTable:
    """Return the latencies of a dense model of the host, measured now or before.

    Args:
        model: The model.
        spec: The request, whose device and batch size count.
        progress: Callback; raising from it stops.
    """
    with placed(model.module, resolve_device(spec.device)):
        return latency_table(model, batch_size=spec.batch_size, progress=progress)


def goal_report(
    goal: Goal,
    report: PruneReport,
    *,
    removed: float,
    qualities: tuple[EvaluationReport, EvaluationReport] | None = None,
    speed: SpeedComparison | None = None,
    estimate: float | None = None,
    tries: int = 1,
) -> GoalReport:
    """Return what was asked for against what was measured.

    Args:
        goal: What was asked for.
        report: How the small model was made.
        removed: Share removed of what might be, each unit weighed by its parameters.
        qualities: Quality of the dense and of the small model; for a goal of quality.
        speed: Speed of both; for a goal of time.
        estimate: What had been predicted of the goal's quantity; a loss of quality as
            `osscar_core.estimates.lost_quality` counts it.
        tries: Attempts that were measured.

    Raises:
        SpecError: What the goal is about was not measured.
    """
    if goal.kind is GoalKind.REMOVED:
        is_met = removed >= goal.value - 1e-9
        return GoalReport(goal, goal.value, removed, is_met, 0.0, estimate=estimate)
    if goal.kind is GoalKind.QUALITY_LOSS and qualities is not None:
        return _quality_report(goal, *qualities, estimate, tries)
    if goal.kind in TIMED and speed is not None:
        return _timed_report(goal, speed, estimate, tries)
    sizes = {
        GoalKind.PARAMETERS: report.parameters,
        GoalKind.BYTES: report.bytes,
        GoalKind.FLOPS: report.flops,
    }.get(goal.kind)
    if sizes is None:
        raise SpecError(f"nothing was measured for {goal.describe()}", "Measure it first")
    asked = goal.absolute(sizes.dense)
    is_met = sizes.pruned <= asked * (1 + ROUNDING)
    return GoalReport(goal, asked, sizes.pruned, is_met, sizes.dense, estimate=estimate)


def _quality_report(
    goal: Goal,
    dense: EvaluationReport,
    small: EvaluationReport,
    estimate: float | None,
    tries: int,
) -> GoalReport:
    is_text = small.metric == "perplexity"
    lost = lost_quality(dense, small)
    ends = [lost_quality(dense, small, value) for value in small.interval]
    shown = math.expm1 if is_text else float
    return GoalReport(
        goal=goal,
        asked=goal.value,
        achieved=shown(lost),
        is_met=lost <= _allowed(goal, is_text=is_text),
        dense=dense.value,
        interval=(shown(min(ends)), shown(max(ends))),
        estimate=None if estimate is None else shown(estimate),
        tries=tries,
        protocol=f"dense {dense.value:.4g}, pruned {small.value:.4g}; {small.protocol}",
    )


def _timed_report(
    goal: Goal, speed: SpeedComparison, estimate: float | None, tries: int
) -> GoalReport:
    conditions = ", ".join(f"{k} {v}" for k, v in speed.pruned.conditions.items())
    is_speedup = goal.kind is GoalKind.SPEEDUP
    median = speed.pruned.latency_ms.median
    low, high = speed.interval
    dense_ms = speed.dense.latency_ms.median
    return GoalReport(
        goal=goal,
        asked=goal.value,
        achieved=speed.speedup if is_speedup else median,
        is_met=_reached(goal, speed) >= 1 - TOLERANCE,
        dense=1.0 if is_speedup else dense_ms,
        interval=speed.interval if is_speedup else (dense_ms / high, dense_ms / low),
        estimate=estimate,
        tries=tries,
        protocol=f"in turns with the dense model; {conditions}",
    )


def _reached(goal: Goal, speed: SpeedComparison) -> float:
    """Return how much faster a model is than was asked; 1 is exactly as asked."""
    if goal.kind is GoalKind.SPEEDUP:
        return speed.speedup / goal.value
    return goal.value / speed.pruned.latency_ms.median


def _allowed(goal: Goal, *, is_text: bool) -> float:
    """Return what a goal of quality allows to lose, in the unit of `lost_quality`."""
    return math.log1p(goal.value) if is_text else goal.value


def _missed(goal: GoalReport) -> str:
    tries = "1 measured try" if goal.tries == 1 else f"{goal.tries} measured tries"
    return f"asked for {goal.goal.describe()}, achieved {goal.achieved:.4g} after {tries}"


def _copied(model: LoadedModel) -> LoadedModel:
    return dataclasses.replace(model, module=copy.deepcopy(model.module))


def _cut(model: LoadedModel, units: Sequence[Unit], widths: Mapping[str, int]) -> LoadedModel:
    """Return a copy cut to widths without any search, which is as fast as a searched one."""
    small = _copied(model)
    small.module.to("cpu")
    for unit in units:
        if widths[unit.name] < unit.groups:
            shrink_(small.module, unit, torch.arange(widths[unit.name]))
    return small
