"""One calibration of a dense model, kept so that any goal can be answered from it.

The decisions hidden here: what is kept of a calibration (per unit the input statistics in
single precision, the order of elimination, and the divergence of the whole model's output
measured with that unit alone cut to a few widths), and how it lies on disk: checked by
format version and SHA-256.

Every unit is seen in the dense model, where all targets of `Target` mean the same, so the
targets follow from the statistics of the inputs and the dense weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from osscar_core.brief import SURVEY_VERSION, Brief, Points, SurveyRecord, UnitSurvey
from osscar_core.budget import LossCurve
from osscar_core.calibration import BlockRunner, norm_scale
from osscar_core.errors import (
    DamagedError,
    DataError,
    OsscarError,
    OutputError,
    SpecError,
    unknown_name,
)
from osscar_core.estimates import MeasuredPoint, QualityModel
from osscar_core.latencies import LatencyTable
from osscar_core.methods import InterceptPlace, fits_intercept
from osscar_core.models import LoadedModel, check_output, resolve_device
from osscar_core.preparation import calibration_inputs, chosen_units, resolve
from osscar_core.pricing import cost_model
from osscar_core.probe import Probe, placed
from osscar_core.progress import Progress, report
from osscar_core.records import (
    Method,
    PruneSpec,
    SourceInfo,
    Target,
    UnitPlan,
    UnitReport,
    from_json,
    to_json,
)
from osscar_core.shortage import halving, in_batches_of
from osscar_core.solver import (
    LayerProblem,
    Path,
    Statistics,
    eliminate,
    refit,
    relative_error,
    solve,
)
from osscar_core.storage import read_sealed, write_sealed
from osscar_core.surgery import consumer_matrix, detached, install_, intercept_place
from osscar_core.units import Unit

SURVEY_FILE = "survey.json"
POINTS_FILE = "points.json"

# Shares of a unit removed when its effect on the output is measured.
_PROBED_SHARES = (0.25, 0.5, 0.75, 0.9375)
# Units of so few groups are measured at every width.
_FEW_GROUPS = 5
_PROBED_TOKENS = 2048
# Pictures of the probe: an image is one prediction, so there must be some; the whole probe
# should take no longer than the calibration, so there must not be many.
_PROBED_IMAGES = (64, 256)
_IMAGES_PER_PROBE = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The tensors of one unit: the gram's lower triangle and mean in float32, and the path."""

    triangle: Tensor
    mean_x: Tensor
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One unit re-fitted at a width; without weights if it stays complete."""

    support: Tensor
    W: Tensor | None
    bias_change: Tensor | None
    report: UnitReport


class Survey:
    """One calibration of a dense model; made by `make_survey` or `load_survey`.

    Attributes:
        record: Everything but the tensors.
        points: What was measured since.
        folder: Where it lies on disk; ``None`` while it is in memory only.
    """

    def __init__(
        self,
        record: SurveyRecord,
        kept: Mapping[str, _Kept],
        points: Points | None = None,
        folder: FilePath | None = None,
    ) -> None:
        self.record = record
        self.points = points or Points()
        self.folder = folder
        self._kept = kept

    def add(self, point: MeasuredPoint, *, is_deployed: bool = False) -> None:
        """Keep what a run was measured to lose, on disk too where the survey lies there.

        Raises:
            OutputError: It cannot be written.
        """
        name = "deployed" if is_deployed else "sequential"
        known: tuple[MeasuredPoint, ...] = getattr(self.points, name)
        if point in known:
            return
        self.points = dataclasses.replace(self.points, **{name: (*known, point)})
        if self.folder is None:
            return
        try:
            write_sealed(self.folder / POINTS_FILE, to_json(self.points))
        except OSError as error:
            raise OutputError(
                f"cannot write to the survey {self.folder} ({error.strerror})",
                "Make the folder writable, or copy the survey",
            ) from error

    def quality(self, *, is_deployed: bool = False) -> QualityModel:
        """Return what is known of how much quality a predicted divergence costs.

        Args:
            is_deployed: For models made from the survey alone, instead of whole runs.
        """
        return Brief(self.record, {}, self.points).quality(is_deployed=is_deployed)

    def brief(self, table: LatencyTable | None = None) -> Brief:
        """Return what answers goals, without the tensors.

        Args:
            table: Latencies of the model, for goals of speed.
        """
        scales = {name: _scale_of(kept.path) for name, kept in self._kept.items()}
        return Brief(self.record, scales, self.points, table)

    def curves(self) -> dict[str, LossCurve]:
        """Return the predicted divergence of every unit at every width."""
        return self.brief().curves()

    def check_source(self, source: SourceInfo) -> None:
        """Raise `SpecError` unless a model has the weights that were surveyed."""
        known = self.record.source
        if known.sha256 not in (None, source.sha256) or (
            None not in (known.revision, source.revision) and known.revision != source.revision
        ):
            raise SpecError(
                f"the weights of {source.model} are not those that were surveyed",
                "Survey the model again",
            )

    def problem(self, model: LoadedModel, unit: Unit, device: torch.device) -> LayerProblem:
        """Return a unit's problem in the dense model.

        Args:
            model: The dense model that was surveyed.
            unit: One of its units.
            device: Where the problem is needed.

        Raises:
            SpecError: The survey does not cover the unit.
        """
        if unit.name not in self._kept:
            raise unknown_name("unit of the survey", unit.name, tuple(self._kept))
        kept = self._kept[unit.name]
        count = next(one.count for one in self.record.units if one.name == unit.name)
        gram = _square(kept.triangle.to(device), kept.mean_x.numel())
        return _dense_problem(
            model.module, unit, self.record.spec, gram, kept.mean_x.to(device), count
        )

    def apply_(
        self, model: LoadedModel, widths: Mapping[str, int], device: torch.device
    ) -> tuple[tuple[UnitPlan, UnitReport], ...]:
        """Cut a copy of the dense model to some widths from what is kept alone, in place.

        Args:
            model: The dense model on the host; it is changed.
            widths: Groups each unit keeps; units that are absent stay complete.
            device: Where the re-fits are computed.

        Returns:
            Of every unit in ``widths`` what is kept, and how it fared on the dense model's
            statistics.

        Raises:
            SpecError: A unit that was not surveyed, or a width that it cannot have; nothing
                was changed.
            NumericalError: A hessian that is not positive definite; likewise.
        """
        module = model.module
        units = [unit for unit in model.adapter.units(module) if unit.name in widths]
        for name in widths:
            if name not in self._kept:
                raise unknown_name("unit of the survey", name, tuple(self._kept))
        # All fits first: cutting one unit changes the weights that another one reads.
        fits = [self._fit(model, unit, widths[unit.name], device) for unit in units]
        results = []
        for unit, fit in zip(units, fits, strict=True):
            change = fit.bias_change
            adds_bias = change is not None and (
                intercept_place(module, unit) is InterceptPlace.NEW_BIAS
            )
            if fit.W is not None:
                install_(module, unit, fit.support, fit.W, change)
            kept = tuple(fit.support.tolist())
            plan = UnitPlan(unit.name, unit.structure, unit.block, unit.groups, kept, adds_bias)
            results.append((plan, fit.report))
        return tuple(results)

    def _fit(self, model: LoadedModel, unit: Unit, keep: int, device: torch.device) -> _Fit:
        began = time.perf_counter()
        support, W, change = torch.arange(unit.groups), None, None
        error = baseline = 0.0
        if keep != unit.groups:
            problem = self.problem(model, unit, device)
            support = self._kept[unit.name].path.support(keep)
            W, change = refit(problem, support)
            error = relative_error(problem, support.to(device), W, change)
            baseline = solve(problem, keep, Method.MAGNITUDE_REFIT).relative_error
        report = UnitReport(
            name=unit.name,
            structure=unit.structure,
            block=unit.block,
            groups=unit.groups,
            kept=keep,
            relative_error=error,
            magnitude_error=baseline,
            swaps=0,
            seconds=time.perf_counter() - began,
        )
        return _Fit(support, W, change, report)

    def save(self, folder: FilePath) -> SurveyRecord:
        """Write the survey as a directory, with what was measured since it was made.

        Raises:
            OutputError: Something is there already, or the place cannot be written; nothing
                is left.
        """
        check_output(folder)
        units = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for unit in self.record.units:
                file = folder / unit.file
                kept = self._kept[unit.name]
                tensors = {
                    "gram": kept.triangle,
                    "mean": kept.mean_x,
                    "order": kept.path.order.contiguous(),
                    "costs": kept.path.costs.contiguous(),
                }
                about = {"initial": kept.path.initial.hex(), "problem": kept.path.problem}
                save_file(tensors, file, metadata=about)
                units.append(dataclasses.replace(unit, sha256=_sha256(file)))
            record = dataclasses.replace(self.record, units=tuple(units))
            if self.points != Points():
                write_sealed(folder / POINTS_FILE, to_json(self.points))
            write_sealed(folder / SURVEY_FILE, to_json(record))
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, (OSError, SafetensorError)):
                raise
            raise OutputError(
                f"the survey cannot be written to {folder} ({error})", "Choose another place"
            ) from error
        self.record, self.folder = record, folder
        return record


def load_survey(folder: FilePath) -> Survey:
    """Read a survey that `Survey.save` wrote.

    Raises:
        DataError: A file is missing, damaged, or newer than this release.
    """
    for file in folder.iterdir() if folder.is_dir() else ():
        if not file.is_file():
            raise DataError(f"{file} is no file", "Make the survey again with 'survey'")
    try:
        values = json.loads((folder / SURVEY_FILE).read_bytes())
        # Before the fields are read, of which a newer format may have others.
        version = values.get("version") if isinstance(values, dict) else None
        if isinstance(version, int) and version > SURVEY_VERSION:
            raise DataError(
                f"the survey {folder} has format version {version}",
                f"This release reads up to {SURVEY_VERSION}; update it or survey again",
            )
        record = from_json(SurveyRecord, read_sealed(folder / SURVEY_FILE))
    except (OSError, ValueError, RecursionError, DamagedError) as error:
        raise DataError(
            f"{folder} holds no readable survey ({error})", "Make it again with 'survey'"
        ) from error
    points = None
    if (folder / POINTS_FILE).is_file():
        try:
            points = from_json(Points, read_sealed(folder / POINTS_FILE))
        except (OSError, OsscarError) as error:
            raise DataError(
                f"{folder / POINTS_FILE} cannot be read ({error})",
                "Delete it; only what was measured since the survey is lost",
            ) from error
    kept = {unit.name: _load_unit(folder, unit) for unit in record.units}
    return Survey(record, kept, points, folder)


def _load_unit(folder: FilePath, unit: UnitSurvey) -> _Kept:
    file = folder / FilePath(unit.file).name
    try:
        if _sha256(file) != unit.sha256:
            raise DataError(f"{file} is not what was written", "Copy it again, or survey again")
        with safe_open(file, framework="pt") as stored:
            about = stored.metadata() or {}
            path = Path(
                groups=unit.groups,
                order=stored.get_tensor("order"),
                initial=float.fromhex(about["initial"]),
                costs=stored.get_tensor("costs"),
                problem=about["problem"],
            )
            kept = _Kept(stored.get_tensor("gram"), stored.get_tensor("mean"), path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{file} cannot be read ({error})", "Survey again") from error
    path.check()
    return kept


def make_survey(model: LoadedModel, spec: PruneSpec, *, progress: Progress | None = None) -> Survey:
    """Calibrate a dense model, search every unit, and measure what each means to the output.

    Args:
        model: A dense model on the host; it is not changed.
        spec: The request: data, device, damping and what may be pruned. How much and by
            which method is left out of the survey's own request.
        progress: Callback; raising from it stops.

    Raises:
        SpecError: A structure that the family does not have, or a model already pruned.
        DataError: Calibration data missing, unreadable or too small.
        NumericalError: Statistics that no re-fit can use.
        MemoryShortageError: Memory does not suffice for one item at a time.
    """
    if model.plan is not None:
        raise SpecError(f"{spec.model} is already pruned", "Survey the dense model it came from")
    return halving(
        lambda size: _survey(model, dataclasses.replace(spec, batch_size=size), progress),
        spec.batch_size,
    )


def _survey(model: LoadedModel, spec: PruneSpec, progress: Progress | None) -> Survey:
    began = time.perf_counter()
    device = resolve_device(spec.device)
    exactly = spec.samples is not None
    open_ended = dataclasses.replace(
        spec, method=Method.OSSCAR, sparsity=0.0, goal=None, budget=None, refine=0
    )
    spec = resolve(model, open_ended)
    units = chosen_units(model, spec)
    inputs, data = calibration_inputs(model, spec, exactly=exactly)
    spec = dataclasses.replace(spec, samples=data.count)
    costs = cost_model(model)
    surveyor = _Surveyor(model, spec, units, device, progress)
    surveyor.calibrate(inputs)
    survey_seconds = time.perf_counter() - began
    probe_inputs = list(first_items(inputs, probe_count(model, spec, len(units))))
    began = time.perf_counter()
    with in_batches_of(max(_items(one) for one in probe_inputs)):
        records, predictions = surveyor.probe(probe_inputs)
    record = SurveyRecord(
        source=model.source,
        spec=spec,
        calibration=data,
        costs=costs,
        units=records,
        predictions=predictions,
        probes=sum(_items(one) for one in probe_inputs),
        survey_seconds=survey_seconds,
        probe_seconds=time.perf_counter() - began,
    )
    return Survey(record, surveyor.kept)


def probe_count(model: LoadedModel, spec: PruneSpec, units: int) -> int:
    """Return how many calibration items divergences are measured on.

    A fixed rule, not the clock, decides, so that the same request gives the same widths.
    """
    samples = spec.samples or 1
    if model.task == "text":
        return max(1, min(samples, -(-_PROBED_TOKENS // (spec.seqlen or _PROBED_TOKENS))))
    fewest, most = _PROBED_IMAGES
    wanted = samples * _IMAGES_PER_PROBE // (units * len(_PROBED_SHARES))
    return min(samples, max(fewest, min(most, wanted)))


def probed_widths(groups: int) -> tuple[int, ...]:
    """Return the widths at which a unit is measured, ascending, without the complete one."""
    if groups <= _FEW_GROUPS:
        return tuple(range(1, groups))
    return tuple(
        sorted({min(groups - 1, max(1, round(groups * (1 - share)))) for share in _PROBED_SHARES})
    )


class _Surveyor:
    """Collects what a survey keeps."""

    def __init__(
        self,
        model: LoadedModel,
        spec: PruneSpec,
        units: Sequence[Unit],
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self.kept: dict[str, _Kept] = {}
        self._model = model
        self._spec = spec
        self._units = units
        self._device = device
        self._progress = progress
        self._counts: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._fits: dict[tuple[str, int], tuple[Tensor, Tensor, Tensor | None]] = {}

    def calibrate(self, inputs: Sequence[dict[str, Tensor | bool]]) -> None:
        module = self._model.module
        blocks = self._model.adapter.blocks(module)
        last = max(blocks.index(unit.block) for unit in self._units)
        runner = BlockRunner(module, blocks, inputs, device=self._device, with_dense=False)
        done = 0
        for index in range(last + 1):
            with runner.block(index) as block:
                for unit in self._units:
                    if unit.block != blocks[index]:
                        continue
                    report(self._progress, "survey", done, len(self._units), unit.name)
                    began = time.perf_counter()
                    scale = _scale(module, unit)
                    self._keep(unit, block.collect(unit, Target.LAYER, scale))
                    self._seconds[unit.name] = time.perf_counter() - began
                    done += 1
        report(self._progress, "survey", done, len(self._units), "")

    def _keep(self, unit: Unit, statistics: Statistics) -> None:
        """Search one unit, fit it at the widths to probe, and pack what is needed later."""
        features = statistics.gram.shape[0]
        index = torch.tril_indices(features, features, device=statistics.gram.device)
        triangle = statistics.gram[index[0], index[1]].float()
        mean_x = statistics.mean_x.float()
        # From the rounded statistics, so that a stored survey gives the very same search.
        problem = _dense_problem(
            self._model.module,
            unit,
            self._spec,
            _square(triangle, features),
            mean_x,
            statistics.count,
        )
        path = eliminate(problem, 1)
        for width in probed_widths(unit.groups):
            support = path.support(width)
            W, change = refit(problem, support)
            self._fits[unit.name, width] = (
                support.cpu(),
                W.float().cpu(),
                None if change is None else change.float().cpu(),
            )
        self._counts[unit.name] = statistics.count
        path = dataclasses.replace(path, order=path.order.cpu(), costs=path.costs.cpu())
        self.kept[unit.name] = _Kept(triangle.cpu(), mean_x.cpu(), path)

    def probe(
        self, inputs: Sequence[dict[str, Tensor | bool]]
    ) -> tuple[tuple[UnitSurvey, ...], int]:
        """Measure the divergence of the output with each unit alone cut."""
        blocks = self._model.adapter.blocks(self._model.module)
        records = []
        with placed(self._model.module, self._device) as module:
            probe = Probe(module, blocks, inputs)
            entries = probe.entries(module)
            for number, unit in enumerate(self._units):
                report(self._progress, "probe", number, len(self._units), unit.name)
                widths = probed_widths(unit.groups)
                values = [
                    probe.divergence_with(
                        entries, blocks.index(unit.block), self._cut_block(unit, width)
                    )
                    for width in widths
                ]
                records.append(
                    UnitSurvey(
                        name=unit.name,
                        groups=unit.groups,
                        count=self._counts[unit.name],
                        widths=(*widths, unit.groups),
                        divergences=(*_falling(values), 0.0),
                        seconds=self._seconds[unit.name],
                        file=f"unit-{number:04d}.safetensors",
                    )
                )
        report(self._progress, "probe", len(self._units), len(self._units), "")
        return tuple(records), probe.predictions

    def _cut_block(self, unit: Unit, width: int) -> nn.Module:
        root = detached(self._model.module.get_submodule(unit.block), unit.block)
        support, W, change = self._fits[unit.name, width]
        install_(root, unit, support, W, change)
        return root.get_submodule(unit.block)


def _scale_of(path: Path) -> tuple[float, ...]:
    """Return what a unit's own output loses at every width, the complete one last."""
    removed = torch.cat((torch.zeros(1, dtype=torch.float64), path.costs - path.initial))
    return tuple(float(f"{cost:.6g}") for cost in removed.clamp_min(0.0).flip(0).tolist())


def _scale(module: nn.Module, unit: Unit) -> Tensor | None:
    return norm_scale(module.get_submodule(unit.norm)) if unit.norm else None


def _dense_problem(
    module: nn.Module, unit: Unit, spec: PruneSpec, gram: Tensor, mean_x: Tensor, count: int
) -> LayerProblem:
    """Return the problem whose target is what the unit gives in the dense model."""
    W0 = consumer_matrix(module.get_submodule(unit.consumer)).to(gram.device)
    mean_x = mean_x.double()
    cross = gram @ W0
    statistics = Statistics(
        count=count,
        gram=gram,
        cross=cross,
        mean_x=mean_x,
        mean_y=mean_x @ W0,
        power_y=(W0 * cross).sum(0),
    )
    return LayerProblem.build(
        statistics,
        W0,
        unit.groups,
        damping=spec.damping,
        intercept=fits_intercept(spec, intercept_place(module, unit)),
        output_weights=_scale(module, unit),
    )


def _square(triangle: Tensor, features: int) -> Tensor:
    """Return the symmetric matrix, float64, whose lower triangle is given row by row."""
    rows, columns = torch.tril_indices(features, features, device=triangle.device)
    square = torch.zeros(features, features, dtype=torch.float64, device=triangle.device)
    square[rows, columns] = triangle.double()
    return square + square.tril(-1).t()


def _falling(values: Sequence[float]) -> tuple[float, ...]:
    """Return values by ascending width, none above one of a smaller width."""
    # A wider unit can always do what a narrower one does; a rise is noise of the probe.
    rising = list(itertools.accumulate(reversed(values), max))
    return tuple(reversed(rising))


def _items(inputs: Mapping[str, Tensor | bool]) -> int:
    return max(value.shape[0] for value in inputs.values() if isinstance(value, Tensor))


def first_items(
    inputs: Sequence[dict[str, Tensor | bool]], count: int
) -> Iterator[dict[str, Tensor | bool]]:
    """Yield micro-batches that hold the first ``count`` items of given ones."""
    left = count
    for one in inputs:
        if left <= 0:
            return
        yield {
            name: value[:left] if isinstance(value, Tensor) else value
            for name, value in one.items()
        }
        left -= _items(one)


def _sha256(file: FilePath) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
