"""One pass over the blocks: calibrate, search, shrink and re-fit, unit after unit.

The decision hidden here: which unit is calibrated, searched, shrunk and re-fitted when.
Blocks are visited in forward order; inside a block each unit sees the statistics of the
model as pruned so far. How many groups each unit keeps was decided before.
"""

from __future__ import annotations

import dataclasses
import datetime
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core import __version__
from osscar_core.calibration import BlockPass, BlockRunner, norm_scale
from osscar_core.checkpoint import Checkpoint, FinishedBlock
from osscar_core.errors import SpecError
from osscar_core.evaluation.memory import PeakMemory
from osscar_core.evaluation.size import count_flops, count_parameters
from osscar_core.evaluation.speed import device_name
from osscar_core.methods import InterceptPlace, default_target, fits_intercept, refits
from osscar_core.models import LoadedModel, resolve_device, state_bytes
from osscar_core.progress import Progress, report
from osscar_core.records import (
    BeforeAfter,
    DataInfo,
    Intercept,
    Method,
    Plan,
    PruneReport,
    PruneSpec,
    Target,
    UnitPlan,
    UnitReport,
)
from osscar_core.resources import Place, Placement
from osscar_core.solver import (
    Certificate,
    LayerProblem,
    Statistics,
    refit,
    solve,
    solve_given,
)
from osscar_core.stopwatch import Stopwatch
from osscar_core.surgery import consumer_matrix, install_, intercept_place, write_layer_
from osscar_core.team import ALONE, Team
from osscar_core.units import Unit

# Below this many calibration rows per input feature, what earlier layers lost is fitted
# mostly as noise: on a 135M language model 5 rows made `residual` lose to `layer`, 43 made
# it win (benchmarks/README.md).
_ROWS_PER_FEATURE = 16
Observer = Callable[[str, LayerProblem], None]
"""Called with each unit's name and problem before it is solved; must change nothing."""

# Units draw different random groups; no model has as many units as this.
_SEEDS_APART = 100_003


def prune_to_widths_(
    model: LoadedModel,
    spec: PruneSpec,
    widths: Mapping[str, int],
    inputs: Sequence[dict[str, Any]],
    data: DataInfo,
    *,
    repeat: Plan | None = None,
    checkpoint: Path | None = None,
    placement: Placement | None = None,
    team: Team = ALONE,
    progress: Progress | None = None,
    observe: Observer | None = None,
) -> PruneReport:
    """Prune a loaded model to given widths, in place.

    Args:
        model: A dense model on the host; it is changed.
        spec: The request, resolved.
        widths: Groups that each unit of the request keeps.
        inputs: Calibration inputs, one mapping per micro-batch.
        data: What they are.
        repeat: A stored plan whose kept groups are used instead of a search.
        checkpoint: Folder that keeps finished blocks; see `osscar_core.pruner.prune`.
        placement: What stays where; ``None`` for everything on the device.
        team: The processes that share the work, of which the leader keeps the checkpoint.
        progress: Callback; raising from it stops.
        observe: Called with every unit's problem before it is solved.

    Returns:
        The report, with ``out=None``.

    Raises:
        OutputError: The checkpoint cannot be written.
        NumericalError: Statistics that no re-fit can use.
    """
    started = time.perf_counter()
    device = resolve_device(spec.device)
    units = [unit for unit in model.adapter.units(model.module) if unit.name in widths]
    kept = None
    if checkpoint is not None:
        about = {
            # Memory decides where things are, not what comes out.
            "request": dataclasses.replace(spec, gpu_memory=None, host_memory=None, gpus=1),
            "choice of widths": dict(widths),
            "plan": None if repeat is None else {unit.name: unit.kept for unit in repeat.units},
            "model": model.source,
            "calibration data": data,
            "environment": environment(device),
        }
        kept = _opened(checkpoint, about, team)
    with PeakMemory(device) as memory:
        dense = Sizes.of(model)
        work = SequentialPass(
            model,
            spec,
            units,
            widths,
            repeat=repeat,
            checkpoint=kept,
            placement=placement,
            folder=checkpoint,
            team=team,
            progress=progress,
            observe=observe,
        )
        work.execute(inputs, device)
        model.plan = plan_of(model, spec, data, work.plans, device)
    return size_report(
        dense,
        model,
        work.reports,
        seconds=time.perf_counter() - started,
        peak_memory_bytes=memory.peak_bytes,
        warnings=(*data.warnings, *work.warnings()),
        head=work.head,
    )


def _opened(folder: Path, about: Mapping[str, Any], team: Team) -> Checkpoint:
    """Return the checkpoint as the leader of the team found it."""
    own = Checkpoint.open(folder, about) if team.is_leader else None
    blocks, warning = team.share(None if own is None else (own.blocks, own.warning))
    return own or Checkpoint(folder, {}, blocks, warning)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a model is."""

    parameters: int
    bytes: int
    flops: int
    flops_input: str

    @classmethod
    def of(cls, model: LoadedModel) -> Sizes:
        """Count a model."""
        flops, described = count_flops(model)
        size = state_bytes(model.module, model.dtype)
        return cls(count_parameters(model.module), size, flops, described)


def plan_of(
    model: LoadedModel,
    spec: PruneSpec,
    data: DataInfo,
    units: Sequence[UnitPlan],
    device: torch.device,
) -> Plan:
    """Return the plan of a run that is done."""
    return Plan(
        source=model.source,
        spec=spec,
        calibration=data,
        units=tuple(units),
        dtype=str(model.dtype).removeprefix("torch."),
        environment=environment(device),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def size_report(
    dense: Sizes,
    small: LoadedModel,
    units: Sequence[UnitReport],
    *,
    seconds: float,
    peak_memory_bytes: int,
    warnings: tuple[str, ...] = (),
    head: str | None = None,
) -> PruneReport:
    """Return the report of a run that is done and not written.

    Raises:
        SpecError: ``small`` was never pruned.
    """
    if small.plan is None:
        raise SpecError(f"{small.source.model} has no plan", "Prune it first")
    after = Sizes.of(small)
    return PruneReport(
        out=None,
        parameters=BeforeAfter(dense.parameters, after.parameters),
        bytes=BeforeAfter(dense.bytes, after.bytes),
        flops=BeforeAfter(dense.flops, after.flops),
        flops_input=dense.flops_input,
        units=tuple(units),
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes,
        plan=small.plan,
        warnings=warnings,
        head=head,
    )


def environment(device: torch.device) -> dict[str, str]:
    """Return the versions and the device of a run, by name."""
    return {
        "osscar_core": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
    }


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well one unit was re-fitted, and what it took."""

    relative_error: float
    magnitude_error: float
    swaps: int
    seconds: float
    certificate: Certificate | None = None

    @property
    def gap(self) -> float | None:
        """The certificate's gap, where there is one."""
        return None if self.certificate is None else self.certificate.gap


_UNTOUCHED = _Fit(0.0, 0.0, 0, 0.0)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search found, beside the tensors."""

    fit: _Fit
    adds_bias: bool
    rows: int
    features: int


class SequentialPass:
    """One pass over the blocks. Collects the plan and the report of every unit.

    Args:
        model: The model, changed in place.
        spec: The request, resolved.
        units: What may be pruned, in forward order.
        widths: Groups that each of them keeps.
        repeat: A stored plan whose kept groups are used instead of a search.
        checkpoint: Keeps every finished block; those it holds already are not searched.
        placement: What stays where; ``None`` for everything on the device.
        folder: Existing folder for activations on disk; ``None`` for the system's own.
        watch: Times the stages, those of `BlockRunner` and ``search``, ``baseline``,
            ``install`` and ``write``; in a team also ``exchange``.
        team: The processes that share the micro-batches; `execute` gets all of them.
        progress: Callback; see `osscar_core.pruner.prune`.
        observe: Called with every unit's problem before it is solved.

    Attributes:
        plans: What is kept of every unit, after `execute`.
        reports: How every unit fared, after `execute`.
        head: Path of the classifier that was re-fitted, if one was.
        began: When each block was begun, as `time.perf_counter` counts.
    """

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        units: Sequence[Unit],
        widths: Mapping[str, int],
        *,
        repeat: Plan | None = None,
        checkpoint: Checkpoint | None = None,
        placement: Placement | None = None,
        folder: Path | None = None,
        watch: Stopwatch | None = None,
        team: Team = ALONE,
        progress: Progress | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._team = team
        self._watch = watch or Stopwatch(torch.device("cpu"))
        self.plans: list[UnitPlan] = []
        self.reports: list[UnitReport] = []
        self._rows: list[tuple[str, int, int]] = []
        self._model = model
        self._spec = spec
        self._target = spec.target or default_target(spec.method)
        self._units = units
        self._widths = widths
        self._given = {unit.name: unit.kept for unit in repeat.units} if repeat else {}
        self._checkpoint = checkpoint
        self._placement = placement
        self._folder = folder
        self._finished = () if checkpoint is None else checkpoint.blocks
        self._progress = progress
        self._observe = observe
        self._batches = 0
        self._passes_done = 0
        self._passes_total = 1
        self._at = ""
        self.head: str | None = None
        self.began: list[float] = []

    def execute(self, inputs: Sequence[dict[str, Any]], device: torch.device) -> None:
        """Prune the model on these inputs, computing on ``device``."""
        blocks = self._model.adapter.blocks(self._model.module)
        head = self._head()
        last = max(blocks.index(unit.block) for unit in self._units)
        end = last + 1 if head is None else len(blocks)
        passes = len(self._units) + end + (head is not None)
        own = self._team.part(inputs)
        self._batches = len(own)
        self._passes_total = passes * self._batches
        runner = BlockRunner(
            self._model.module,
            blocks,
            own,
            device=device,
            with_dense=self._target is not Target.LAYER,
            batch_done=self._batch_done,
            weights=self._model.blocks,
            folder=self._folder,
            place=Place.DEVICE if self._placement is None else self._placement.activations,
            watch=self._watch,
            team=self._team,
        )
        with runner:
            if self._finished:
                self._take_over()
            for index, path in enumerate(blocks[:end]):
                self.began.append(time.perf_counter())
                with runner.block(index) as block:
                    if index < len(self._finished):
                        self._restore(self._finished[index])
                    else:
                        self._prune_block(path, block)
            if head is not None:
                self._at = head
                self._refit_head(head, runner)

    def _take_over(self) -> None:
        """Count what a checkpoint holds as done."""
        for block in self._finished:
            self.plans.extend(block.plans)
            self.reports.extend(block.reports)
            self._rows.extend(block.rows)
        self._at = self._finished[-1].path
        self._skip(len(self.plans))

    def _restore(self, block: FinishedBlock) -> None:
        self._at = block.path
        if self._checkpoint is not None:
            self._checkpoint.restore_(block, self._model.module, self._model.adapter)

    def _prune_block(self, path: str, block: BlockPass) -> None:
        units = [unit for unit in self._units if unit.block == path]
        for unit in units:
            self._prune_unit(unit, block, is_last=unit is units[-1])
        if self._checkpoint is None or not self._team.is_leader:
            return
        plans = tuple(plan for plan in self.plans if plan.block == path)
        names = {plan.name for plan in plans}
        finished = FinishedBlock(
            path=path,
            plans=plans,
            reports=tuple(one for one in self.reports if one.name in names),
            rows=tuple(row for row in self._rows if row[0] in names),
        )
        with self._watch.stage("write"):
            self._checkpoint.add(finished, self._model.module)

    def _head(self) -> str | None:
        """Return the classifier to re-fit, if this run does that."""
        wanted = self._spec.refit_head and refits(self._spec.method)
        if not wanted or self._target is Target.LAYER:
            return None
        return self._model.adapter.head(self._model.module)

    def _refit_head(self, path: str, runner: BlockRunner) -> None:
        """Make the classifier give the dense outputs from the features that are left.

        It sees one row per item, often fewer rows than features, so its ridge grows with
        the features per row.
        """
        if not self._rows:
            self._skip(1)  # nothing before it changed
            return
        layer = self._model.module.get_submodule(path)
        statistics = runner.head(path)
        found = self._fit_head(layer, statistics) if self._team.is_leader else None
        weights, *changed = self._team.share_tensors(found, statistics.gram.device)
        write_layer_(layer, weights, changed[0] if changed else None)
        self.head = path

    def _fit_head(self, layer: nn.Module, statistics: Statistics) -> tuple[Tensor, ...]:
        """Return a classifier's new weights and, if it is re-fitted too, its intercept."""
        features = statistics.gram.shape[0]
        problem = LayerProblem.build(
            statistics,
            consumer_matrix(layer),
            features,
            damping=self._spec.damping + features / statistics.count,
            intercept=self._spec.intercept is not Intercept.OFF,
        )
        every = torch.arange(features, device=problem.device)
        weights, bias_change = refit(problem, every)
        return (weights,) if bias_change is None else (weights, bias_change)

    def warnings(self) -> Iterator[str]:
        """Say what to know of a checkpoint, and where the calibration data was too small."""
        if self._checkpoint is not None and self._checkpoint.warning:
            yield self._checkpoint.warning
        if self._finished:
            yield (
                f"{self._finished[-1].path} and the blocks before it were pruned by an earlier "
                f"run that was interrupted; time and memory are those of the rest"
            )
        if not self._rows:
            return
        count = len(self._rows)
        name, rows, features = min(self._rows, key=lambda item: item[1] / item[2])
        worst = f"worst: {name}, {rows} rows for {features} features"
        short = sum(rows < features for _, rows, features in self._rows)
        if short:
            yield (
                f"{short} of {count} units have fewer calibration rows than input features "
                f"({worst}); there the ridge decides what the data cannot. Use more --samples."
            )
            return
        doubtful = self._target is not Target.LAYER and refits(self._spec.method)
        few = sum(rows < _ROWS_PER_FEATURE * features for _, rows, features in self._rows)
        if doubtful and few:
            yield (
                f"{few} of {count} units have fewer than {_ROWS_PER_FEATURE} calibration rows per "
                f"input feature ({worst}): the target {self._target} may fit noise there. "
                f"Use more --samples, or --target layer."
            )

    def _skip(self, passes: int) -> None:
        """Count passes over all the data that need not be made."""
        self._passes_done += passes * self._batches
        report(self._progress, "prune", self._passes_done, self._passes_total, self._at)

    def _batch_done(self) -> None:
        self._passes_done += 1
        report(self._progress, "prune", self._passes_done, self._passes_total, self._at)

    def _prune_unit(self, unit: Unit, block: BlockPass, *, is_last: bool) -> None:
        self._at = unit.name
        keep = self._widths[unit.name]
        if keep == unit.groups and not self._rows:
            # Both streams are still equal, so the re-fit would return the dense weights.
            self._skip(1)
            self._record(unit, tuple(range(unit.groups)), False, _UNTOUCHED)
            return
        module = self._model.module
        scale = norm_scale(module.get_submodule(unit.norm)) if unit.norm else None
        statistics = block.collect(unit, self._target, scale, is_last=is_last)
        device = statistics.gram.device
        found, tensors = None, None
        if self._team.is_leader:
            found, tensors = self._search(unit, statistics, scale)
        with self._watch.stage("exchange", is_timed=self._team.size > 1):
            found = self._team.share(found)
            tensors = self._team.share_tensors(tensors, device)
        support, W, *changes = tensors
        with self._watch.stage("install"):
            install_(module, unit, support, W, changes[0] if changes else None)
        self._rows.append((unit.name, found.rows, found.features))
        self._record(unit, tuple(support.tolist()), found.adds_bias, found.fit)

    def _search(
        self, unit: Unit, statistics: Statistics, scale: Tensor | None
    ) -> tuple[_Found, tuple[Tensor, ...]]:
        """Return what was found for one unit: in words, and support, weights and intercept."""
        spec, keep, module = self._spec, self._widths[unit.name], self._model.module
        device = statistics.gram.device
        if self._placement is not None and self._placement.search is Place.HOST:
            statistics = statistics.to(torch.device("cpu"))
        place = intercept_place(module, unit)
        intercept = fits_intercept(spec, place)
        began = time.perf_counter()
        with self._watch.stage("search"):
            problem = LayerProblem.build(
                statistics,
                consumer_matrix(module.get_submodule(unit.consumer)),
                unit.groups,
                damping=spec.damping,
                intercept=intercept,
                output_weights=scale,
            )
            if self._observe is not None:
                self._observe(unit.name, problem)
            if unit.name in self._given:
                support = torch.tensor(self._given[unit.name], device=problem.device)
                solution = solve_given(problem, support, spec.method, device=device)
            else:
                seed = spec.seed * _SEEDS_APART + len(self.plans)
                solution = solve(
                    problem,
                    keep,
                    spec.method,
                    seed=seed,
                    swaps=spec.swaps,
                    certify=spec.certify,
                    device=device,
                )
        seconds = time.perf_counter() - began
        with self._watch.stage("baseline"):
            baseline = solution
            if spec.method is not Method.MAGNITUDE_REFIT or unit.name in self._given:
                baseline = solve(problem, keep, Method.MAGNITUDE_REFIT, device=device)
        change = solution.bias_change if intercept else None
        fit = _Fit(
            solution.relative_error,
            baseline.relative_error,
            solution.swaps,
            seconds,
            solution.certificate,
        )
        adds_bias = change is not None and place is InterceptPlace.NEW_BIAS
        changes = () if change is None else (change,)
        found = _Found(fit, adds_bias, statistics.count, problem.features)
        return found, (solution.support, solution.W, *changes)

    def _record(self, unit: Unit, kept: tuple[int, ...], adds_bias: bool, fit: _Fit) -> None:
        self.plans.append(
            UnitPlan(unit.name, unit.structure, unit.block, unit.groups, kept, adds_bias)
        )
        self.reports.append(
            UnitReport(
                name=unit.name,
                structure=unit.structure,
                block=unit.block,
                groups=unit.groups,
                kept=len(kept),
                relative_error=fit.relative_error,
                magnitude_error=fit.magnitude_error,
                swaps=fit.swaps,
                seconds=fit.seconds,
                gap=fit.gap,
                is_proven=fit.certificate is not None and fit.certificate.proven,
            )
        )
