"""Orchestration: the only module that knows the order of things.

The decision hidden here: which unit is calibrated, searched, shrunk and re-fitted
when, and how every default of a request is resolved. Blocks are visited in forward
order; inside a block each unit sees the statistics of the model as pruned so far.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from osscar_core import __version__
from osscar_core.adapters.base import Unit
from osscar_core.calibration import BlockPass, BlockRunner, norm_scale
from osscar_core.catalogue import own_samples
from osscar_core.datasets import load_images, load_windows
from osscar_core.errors import SpecError
from osscar_core.evaluation.memory import PeakMemory
from osscar_core.evaluation.size import count_flops, count_parameters
from osscar_core.evaluation.speed import device_name
from osscar_core.models import (
    LoadedModel,
    check_output,
    load_model,
    resolve_device,
    save_pruned,
    state_bytes,
)
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
from osscar_core.solver import (
    Certificate,
    LayerProblem,
    default_target,
    refit,
    refits,
    round_width,
    solve,
    solve_given,
    wants_intercept,
)
from osscar_core.surgery import (
    InterceptPlace,
    consumer_matrix,
    intercept_place,
    shrink_,
    write_consumer_,
    write_layer_,
)

DEFAULT_WINDOWS = 64
DEFAULT_IMAGES = 512
DEFAULT_SEQLEN = 1024
_TOKENS_PER_BATCH = 4096
_PIXELS_PER_BATCH = 2**19
_IMAGES_PER_BATCH = 256
# Below this many calibration rows per input feature, what earlier layers lost is fitted
# mostly as noise: on a 135M language model 5 rows made `residual` lose to `layer`, 43 made
# it win (benchmarks/README.md).
_ROWS_PER_FEATURE = 16
Observer = Callable[[str, LayerProblem], None]
"""Called with each unit's name and problem before it is solved; must change nothing."""

# Units draw different random groups; no model has as many units as this.
_SEEDS_APART = 100_003


def prune(
    spec: PruneSpec,
    *,
    out: Path | None = None,
    repeat: Plan | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
) -> PruneReport:
    """Load a model, prune it as asked, and write the result if ``out`` is given.

    Args:
        spec: The request.
        out: Directory to create; it must not exist or be empty. Nothing is left there
            if anything fails.
        repeat: A stored plan whose kept groups are used instead of a search.
        progress: Callback; raising `osscar_core.errors.Cancelled` from it stops.
        observe: Called with every unit's problem, to keep or to study.

    Returns:
        The report; load the small model from ``out``.

    Raises:
        OsscarError: With the reason in words; see the children of that class.
    """
    started = time.perf_counter()
    if out is not None:
        check_output(out)
    device = resolve_device(spec.device)
    with PeakMemory(device) as memory:
        report(progress, "load", 0, 1, spec.model)
        model = load_model(
            spec.model,
            weights=spec.weights,
            device="cpu",
            dtype=spec.dtype,
            compute_device=device,
            image_size=spec.image_size,
            trust_remote_code=spec.trust_remote_code,
        )
        result = prune_(model, spec, repeat=repeat, progress=progress, observe=observe)
        size = result.bytes.pruned
        if out is not None:
            report(progress, "save", 0, 1, str(out))
            size = save_pruned(model, result.plan, out)
    return dataclasses.replace(
        result,
        out=None if out is None else str(out),
        bytes=BeforeAfter(result.bytes.dense, size),
        seconds=time.perf_counter() - started,
        peak_memory_bytes=memory.peak_bytes,
    )


def prune_(
    model: LoadedModel,
    spec: PruneSpec,
    *,
    repeat: Plan | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
) -> PruneReport:
    """Prune a loaded model in place.

    Args:
        model: A dense model on the host, in evaluation mode; it is changed. If an
            error is raised on the way, it is left partly pruned: load it again.
        spec: The request; its ``model`` and ``weights`` are only recorded.
        repeat: A stored plan whose kept groups are used instead of a search.
        progress: Callback; see `prune`.
        observe: Called with every unit's problem, to keep or to study.

    Returns:
        The report, with ``out=None``.

    Raises:
        SpecError: A structure that the family does not have, or a plan that does not fit.
        DataError: Calibration data missing, unreadable or too small.
        NumericalError: Statistics that no re-fit can use.
    """
    started = time.perf_counter()
    if model.plan is not None:
        raise SpecError(
            f"{spec.model} is already pruned", "Start from the dense model that its plan names"
        )
    device = resolve_device(spec.device)
    exactly = spec.samples is not None
    spec = _resolve(model, spec)
    units = _chosen_units(model, spec, repeat)
    with PeakMemory(device) as memory:
        dense_flops, flops_input = count_flops(model)
        dense_parameters = count_parameters(model.module)
        dense_bytes = state_bytes(model.module, model.dtype)
        inputs, data = _calibration_inputs(model, spec, exactly=exactly)
        spec = dataclasses.replace(spec, samples=data.count)
        run = _Run(model, spec, units, repeat, progress, observe)
        run.execute(inputs, device)
        plan = Plan(
            source=model.source,
            spec=spec,
            calibration=data,
            units=tuple(run.plans),
            dtype=str(model.dtype).removeprefix("torch."),
            environment=_environment(device),
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        model.plan = plan
    return PruneReport(
        out=None,
        parameters=BeforeAfter(dense_parameters, count_parameters(model.module)),
        bytes=BeforeAfter(dense_bytes, state_bytes(model.module, model.dtype)),
        flops=BeforeAfter(dense_flops, count_flops(model)[0]),
        flops_input=flops_input,
        units=tuple(run.reports),
        seconds=time.perf_counter() - started,
        peak_memory_bytes=memory.peak_bytes,
        plan=plan,
        warnings=(*data.warnings, *run.warnings()),
        head=run.head,
    )


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


class _Run:
    """One pass over the blocks. Collects the plan and the report of every unit."""

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        units: Sequence[Unit],
        repeat: Plan | None,
        progress: Progress | None,
        observe: Observer | None,
    ) -> None:
        self.plans: list[UnitPlan] = []
        self.reports: list[UnitReport] = []
        self._rows: list[tuple[str, int, int]] = []
        self._model = model
        self._spec = spec
        self._target = spec.target or default_target(spec.method)
        self._units = units
        self._given = {unit.name: unit.kept for unit in repeat.units} if repeat else {}
        self._progress = progress
        self._observe = observe
        self._passes_done = 0
        self._passes_total = 1
        self._at = ""
        self._touched = False
        self.head: str | None = None

    def execute(self, inputs: Sequence[dict[str, Any]], device: torch.device) -> None:
        blocks = self._model.adapter.blocks(self._model.module)
        head = self._head()
        last = max(blocks.index(unit.block) for unit in self._units)
        end = last + 1 if head is None else len(blocks)
        passes = len(self._units) + end + (head is not None)
        self._passes_total = passes * len(inputs)
        runner = BlockRunner(
            self._model.module,
            blocks,
            inputs,
            device=device,
            with_dense=self._target is not Target.LAYER,
            batch_done=self._batch_done,
        )
        for index in range(end):
            here = [unit for unit in self._units if unit.block == blocks[index]]
            with runner.block(index) as block:
                for unit in here:
                    self._prune_unit(unit, block)
        if head is not None and self._touched:
            self._at = head
            self._refit_head(head, runner)

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
        layer = self._model.module.get_submodule(path)
        statistics = runner.head(path)
        features = statistics.gram.shape[0]
        problem = LayerProblem.build(
            statistics,
            consumer_matrix(layer),
            features,
            damping=self._spec.damping + features / statistics.count,
            intercept=self._spec.intercept is not Intercept.OFF,
        )
        weights, bias_change = refit(problem, torch.arange(features, device=problem.H.device))
        write_layer_(layer, weights, bias_change)
        self.head = path

    def warnings(self) -> Iterator[str]:
        """Say where the calibration data was too small for what was asked of it."""
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

    def _batch_done(self) -> None:
        self._passes_done += 1
        report(self._progress, "prune", self._passes_done, self._passes_total, self._at)

    def _prune_unit(self, unit: Unit, block: BlockPass) -> None:
        self._at = unit.name
        keep = self._width(unit)
        if keep == unit.groups and not self._touched:
            # Both streams are still equal, so the re-fit would return the dense weights.
            self._record(unit, tuple(range(unit.groups)), False, _UNTOUCHED)
            return
        self._touched = True
        spec = self._spec
        module = self._model.module
        scale = norm_scale(module.get_submodule(unit.norm)) if unit.norm else None
        statistics = block.collect(unit, self._target, scale)
        place = intercept_place(module, unit)
        intercept = self._wants_intercept(place)
        began = time.perf_counter()
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
            support = torch.tensor(self._given[unit.name], device=problem.H.device)
            solution = solve_given(problem, support, spec.method)
        else:
            seed = spec.seed * _SEEDS_APART + len(self.plans)
            solution = solve(
                problem, keep, spec.method, seed=seed, swaps=spec.swaps, certify=spec.certify
            )
        seconds = time.perf_counter() - began
        is_baseline = spec.method is Method.MAGNITUDE_REFIT and unit.name not in self._given
        baseline = solution if is_baseline else solve(problem, keep, Method.MAGNITUDE_REFIT)
        shrink_(module, unit, solution.support.cpu())
        change = solution.bias_change if intercept else None
        write_consumer_(module, unit, solution.W, change)
        self._rows.append((unit.name, statistics.count, problem.features))
        kept = tuple(solution.support.tolist())
        adds_bias = change is not None and place is InterceptPlace.NEW_BIAS
        fit = _Fit(
            solution.relative_error,
            baseline.relative_error,
            solution.swaps,
            seconds,
            solution.certificate,
        )
        self._record(unit, kept, adds_bias, fit)

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

    def _width(self, unit: Unit) -> int:
        """Return how many groups of a unit stay: at least one, rounded up as asked."""
        if unit.name in self._given:
            return len(self._given[unit.name])
        removed = math.floor(self._spec.sparsity * unit.groups + 0.5)
        return round_width(max(1, unit.groups - removed), unit.groups, self._spec.round_to)

    def _wants_intercept(self, place: InterceptPlace) -> bool:
        match self._spec.intercept:
            case Intercept.ON:
                return True
            case Intercept.OFF:
                return False
            case Intercept.AUTO:
                wish = wants_intercept(self._spec.method)
                return place is not InterceptPlace.NEW_BIAS if wish is None else wish


def _resolve(model: LoadedModel, spec: PruneSpec) -> PruneSpec:
    """Return the request with every ``None`` that has a default replaced by it."""
    is_text = model.task == "text"
    seqlen = spec.seqlen
    if is_text:
        limit = model.max_length
        seqlen = seqlen or min(DEFAULT_SEQLEN, limit or DEFAULT_SEQLEN)
        if limit is not None and seqlen > limit:
            raise SpecError(
                f"seqlen is {seqlen}, more than the {limit} positions of {spec.model}",
                f"Use --seqlen {limit} or less",
            )
    usual = DEFAULT_WINDOWS if is_text else DEFAULT_IMAGES
    return dataclasses.replace(
        spec,
        structures=spec.structures or model.adapter.structures,
        target=spec.target or default_target(spec.method),
        samples=spec.samples or own_samples(spec.model) or usual,
        seqlen=seqlen if is_text else None,
    )


def _chosen_units(model: LoadedModel, spec: PruneSpec, repeat: Plan | None) -> tuple[Unit, ...]:
    available = model.adapter.structures
    wanted = spec.structures or available
    for structure in wanted:
        if structure not in available:
            raise SpecError(
                f"models of the family {model.adapter.family} have no {structure}",
                f"Choose from: {', '.join(available)}",
            )
    units = model.adapter.units(model.module)
    if repeat is None:
        return tuple(unit for unit in units if unit.structure in wanted)
    by_name = {unit.name: unit for unit in units}
    for given in repeat.units:
        if given.name not in by_name or by_name[given.name].groups != given.groups:
            raise SpecError(
                f"the plan's unit {given.name} with {given.groups} groups is not in {spec.model}",
                f"Use the plan with the model it was made for ({repeat.source.model})",
            )
    if not repeat.units:
        raise SpecError("the plan names no units", "Use a plan written by a pruning run")
    named = {given.name for given in repeat.units}
    return tuple(unit for unit in units if unit.name in named)


def _calibration_inputs(
    model: LoadedModel, spec: PruneSpec, *, exactly: bool
) -> tuple[list[dict[str, Tensor | bool]], DataInfo]:
    """Return the model's keyword arguments, one mapping per micro-batch, and their origin."""
    asked = spec.samples or DEFAULT_WINDOWS
    if model.task == "text":
        seqlen = spec.seqlen or DEFAULT_SEQLEN
        windows = load_windows(
            spec.calibration,
            model.tokenizer,
            seqlen=seqlen,
            samples=asked,
            seed=spec.seed,
            split="calibration",
            exactly=exactly,
        )
        size = spec.batch_size or max(1, _TOKENS_PER_BATCH // seqlen)
        return [
            {"input_ids": windows.ids[start : start + size], "use_cache": False}
            for start in range(0, len(windows.ids), size)
        ], windows.info
    preprocess = model.source.preprocess
    if preprocess is None:
        raise SpecError(
            f"{spec.model} does not say how its images are prepared",
            "Load it through load_model, which records the preprocessing",
        )
    images = load_images(
        spec.calibration,
        preprocess,
        limit=asked,
        seed=spec.seed,
        classes=model.source.classes,
        split="calibration",
        exactly=exactly,
    )
    size = spec.batch_size or min(
        _IMAGES_PER_BATCH, max(1, _PIXELS_PER_BATCH // preprocess.size**2)
    )
    dtype = next(model.module.parameters()).dtype
    return [{"x": pixels.to(dtype)} for pixels, _ in images.batches(size)], images.info


def _environment(device: torch.device) -> dict[str, str]:
    return {
        "osscar_core": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
    }
