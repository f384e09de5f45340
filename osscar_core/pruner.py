"""The way from a request to a smaller model on disk.

The decision hidden here: what a run consists of, whether it has a goal or a plain
sparsity. The widths come from an equal share, from a stored plan, from whoever chose
them beforehand, or from a `osscar_core.pursuit.Pursuit`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from osscar_core.allotment import Allotment, allot, held_to, is_streamed
from osscar_core.checkpoint import check_checkpoint, discard, kept_files
from osscar_core.checks.ab import check_ab
from osscar_core.checks.records import ABReport
from osscar_core.errors import SpecError, unknown_name
from osscar_core.evaluation.memory import PeakMemory
from osscar_core.guarded import Judge, prune_guarded
from osscar_core.loadable import check_widths, notes, removable_from_survey
from osscar_core.models import (
    LoadedModel,
    check_output,
    load_model,
    resolve_device,
    save_pruned,
    save_streamed,
)
from osscar_core.preparation import calibration_inputs, chosen_units, resolve
from osscar_core.probe import placed
from osscar_core.progress import Progress, report
from osscar_core.pursuit import Pursuit
from osscar_core.records import BeforeAfter, Plan, PruneReport, PruneSpec
from osscar_core.resources import Resources
from osscar_core.sequential import Observer, prune_to_widths_
from osscar_core.shortage import halving
from osscar_core.survey import Survey, make_survey
from osscar_core.team import ALONE, Team
from osscar_core.together import prune_together
from osscar_core.units import Unit
from osscar_core.widths import caps, least_kept, uniform_widths

# What a survey's statistics and paths depend on.
_CALIBRATED = (
    "model", "weights", "calibration", "method", "samples", "seqlen", "seed", "dtype", "damping",
    "intercept", "image_size",
)  # fmt: skip


def prune(
    spec: PruneSpec,
    *,
    out: Path | None = None,
    repeat: Plan | None = None,
    widths: Mapping[str, int] | None = None,
    checkpoint: Path | None = None,
    survey: Survey | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
    team: Team = ALONE,
) -> PruneReport:
    """Load a model, prune it as asked, and write the result if ``out`` is given.

    Args:
        spec: The request.
        out: Directory to create; it must not exist or be empty. Nothing is left there
            if anything fails.
        repeat: A stored plan whose kept groups are used instead of a search.
        widths: Groups that every unit keeps, chosen beforehand (by a what-if answer); see
            `prune_`.
        checkpoint: Folder that keeps what is finished, block after block, so that the same
            request goes on from there after an interruption, with the same result; removed
            at the end. What another run left there, or what is damaged, is replaced. Only
            for runs whose widths are known: by a sparsity, a plan or ``widths``, not by a
            goal or a loss-weighted budget.
        survey: A survey of the model, which spares a request with a goal or a
            loss-weighted budget its own.
        progress: Callback; raising `osscar_core.errors.Cancelled` from it stops.
        observe: Called with every unit's problem, to keep or to study; not with several GPUs.
        team: The processes of which this is one; for `osscar_core.together`.

    Returns:
        The report; load the small model from ``out``.

    Raises:
        OsscarError: With the reason in words; see the children of that class.
    """
    started = time.perf_counter()
    if out is not None and team.is_leader:
        check_output(out)
    if spec.guards:
        return _prune_guarded(spec, _guarded_out(out, repeat, widths, survey), progress)
    _check_choice(spec, repeat, widths, checkpoint)
    _check_budget(spec, repeat, widths)
    streams = is_streamed(spec) and not _needs_pursuit(spec, repeat, widths)
    if streams and checkpoint is None and out is not None:
        # The finished blocks have to lie somewhere: there, an interrupted run finds them too.
        checkpoint = out.with_name(f"{out.name}.unfinished")
    if checkpoint is not None and team.is_leader:
        check_checkpoint(checkpoint)
        if out is not None and checkpoint.resolve().is_relative_to(out.resolve()):
            raise SpecError(
                f"the checkpoint {checkpoint} lies in {out}, which is made at the end",
                "Choose a folder beside it",
            )
    if spec.gpus > 1 and team.size == 1:
        _check_observed(observe)
        return prune_together(
            spec, out=out, repeat=repeat, widths=widths, checkpoint=checkpoint, progress=progress
        )
    device = resolve_device(spec.device)

    def attempt(batch: int | None) -> tuple[LoadedModel, PruneReport]:
        """Prune a fresh model with micro-batches of so many items."""
        if batch != spec.batch_size and checkpoint is not None:
            discard(checkpoint)  # what was kept is of another size
        report(progress, "load", 0, 1, spec.model)
        model = dense_model(spec, is_streamed=streams)
        asked = dataclasses.replace(spec, batch_size=batch)
        made = prune_(
            model,
            asked,
            repeat=repeat,
            widths=widths,
            checkpoint=checkpoint,
            survey=survey,
            progress=progress,
            observe=observe,
            team=team,
        )
        if batch == spec.batch_size:
            return model, made
        told = f"memory did not suffice for larger micro-batches; {batch} items were taken at once"
        return model, dataclasses.replace(made, warnings=(*made.warnings, told))

    with PeakMemory(device) as memory, held_to(device, spec.gpu_memory):
        # The members of a team have to be of one mind, and a watcher sees each problem once.
        is_alone = team.size == 1 and observe is None
        model, result = (halving(attempt, spec.batch_size) if is_alone
                         else attempt(spec.batch_size))  # fmt: skip
        size = result.bytes.pruned
        if out is not None and team.is_leader:
            report(progress, "save", 0, 1, str(out))
            if model.blocks is None or checkpoint is None:
                size = save_pruned(model, result.plan, out)
            else:
                size = save_streamed(model, result.plan, out, kept_files(checkpoint).get)
    if checkpoint is not None and team.is_leader:
        discard(checkpoint)
    return dataclasses.replace(
        result,
        out=None if out is None else str(out),
        bytes=BeforeAfter(result.bytes.dense, size),
        seconds=time.perf_counter() - started,
        peak_memory_bytes=memory.peak_bytes,
    )


def _guarded_out(
    out: Path | None,
    repeat: Plan | None,
    widths: Mapping[str, int] | None,
    survey: Survey | None,
) -> Path:
    """Return where to write; refuse what leaves no room for protected groups."""
    if out is None:
        raise SpecError(
            "groups are protected, and the model is not to be written", "Name where to write it"
        )
    for name, value in {"a plan": repeat, "widths": widths, "a survey": survey}.items():
        if value is not None:
            raise SpecError(
                f"groups are protected beside {name}",
                "Protection weighs the calibration and finds the widths itself: leave it out",
            )
    return out


def _prune_guarded(spec: PruneSpec, out: Path, progress: Progress | None) -> PruneReport:
    """Prune so that protected groups keep; see `osscar_core.guarded`."""
    started = time.perf_counter()
    surveys: list[Survey] = []

    def make(wanted: PruneSpec, _share: float, folder: Path) -> PruneReport:
        if wanted.needs_survey and not surveys:
            surveys.append(make_survey(dense_model(wanted), wanted, progress=progress))
        return prune(wanted, out=folder, survey=surveys[0] if surveys else None, progress=progress)

    report, _ = prune_guarded(spec, out, make, judge_with(spec, progress=progress))
    return dataclasses.replace(report, seconds=time.perf_counter() - started)


def judge_with(
    spec: PruneSpec, *, limit: int | None = None, progress: Progress | None = None
) -> Judge:
    """Return what compares a stored model with the dense one of a request.

    Args:
        spec: The request; its guards set the margin.
        limit: Items at most; ``None`` for all.
        progress: Callback; raising from it stops.
    """
    device = resolve_device(spec.device)
    margin = max(guard.allowed for guard in spec.guards)

    def judge(folder: Path, data: str, columns: Sequence[str]) -> ABReport:
        small = load_model(str(folder), device=spec.device, dtype=spec.dtype)
        dense = dense_model(spec)
        with placed(dense.module, device):
            return check_ab(
                dense, small, data, margin=margin, columns=columns, limit=limit, progress=progress
            )

    return judge


def dense_model(spec: PruneSpec, *, is_streamed: bool = False) -> LoadedModel:
    """Load the model of a request, on the host.

    Args:
        spec: The request.
        is_streamed: See `load_model`.

    Raises:
        OsscarError: It cannot be loaded.
    """
    return load_model(
        spec.model,
        weights=spec.weights,
        device="cpu",
        dtype=spec.dtype,
        compute_device=resolve_device(spec.device),
        image_size=spec.image_size,
        trust_remote_code=spec.trust_remote_code,
        is_streamed=is_streamed,
    )


def deploy(
    survey: Survey,
    spec: PruneSpec,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> PruneReport:
    """Make a small model from a survey, without calibrating again.

    Args:
        survey: The survey.
        spec: Its own request, with a goal; structures, caps and rounding may differ too.
        out: Directory to create; ``None`` for the report alone.
        progress: Callback; raising from it stops.

    Returns:
        The report. Errors of units are those on the dense model's statistics.

    Raises:
        UnreachableGoal: No widths within the limits reach the goal.
        OsscarError: With the reason in words.
    """
    started = time.perf_counter()
    _check_same_calibration(survey, spec)
    if out is not None:
        check_output(out)
    report(progress, "load", 0, 1, spec.model)
    model = surveyed_model(survey, spec)
    surveyed = survey.record.spec.structures or model.adapter.structures
    wanted = removable_from_survey(spec, model.adapter.family, surveyed)
    spec = dataclasses.replace(spec, structures=wanted)
    outcome = Pursuit(model, spec, survey=survey, is_deployed=True, progress=progress).run()
    result, plan = outcome.report, outcome.model.plan
    size = result.bytes.pruned
    if out is not None and plan is not None:
        report(progress, "save", 0, 1, str(out))
        size = save_pruned(outcome.model, plan, out)
    return dataclasses.replace(
        result,
        out=None if out is None else str(out),
        bytes=BeforeAfter(result.bytes.dense, size),
        seconds=time.perf_counter() - started,
    )


def surveyed_model(survey: Survey, spec: PruneSpec) -> LoadedModel:
    """Load the dense model of a survey, on the host.

    Raises:
        OsscarError: It cannot be loaded, or its weights changed since.
    """
    model = dense_model(dataclasses.replace(survey.record.spec, device=spec.device))
    survey.check_source(model.source)
    return model


def _check_same_calibration(survey: Survey, spec: PruneSpec) -> None:
    """Raise `SpecError` where a request contradicts the survey it is to be met from."""
    for name in _CALIBRATED:
        made, given = getattr(survey.record.spec, name), getattr(spec, name)
        if given is not None and given != made:
            raise SpecError(
                f"{name} is {given}, and the survey was made with {made}",
                "Start from the survey's own request, or survey again",
            )


def prune_(
    model: LoadedModel,
    spec: PruneSpec,
    *,
    repeat: Plan | None = None,
    widths: Mapping[str, int] | None = None,
    checkpoint: Path | None = None,
    survey: Survey | None = None,
    progress: Progress | None = None,
    observe: Observer | None = None,
    team: Team = ALONE,
) -> PruneReport:
    """Prune a loaded model in place.

    Args:
        model: A dense model on the host, in evaluation mode; it is changed. If an
            error is raised on the way, it is left partly pruned: load it again.
        spec: The request; its ``model`` and ``weights`` are only recorded.
        repeat: A stored plan whose kept groups are used instead of a search.
        widths: Groups that every unit keeps, by name, chosen beforehand; units that are
            left out stay complete. The request's goal or sparsity is then only recorded:
            nothing is surveyed or timed, and the report says neither whether a goal is met
            nor how a budget was spent. Caps hold; widths are not rounded.
        checkpoint: See `prune`; it stays, for `osscar_core.checkpoint.discard` to remove
            once the model is safe.
        survey: See `prune`.
        progress: Callback; see `prune`.
        observe: Called with every unit's problem, to keep or to study; not with a goal or
            a loss-weighted budget, which take several passes, and not for blocks that a
            checkpoint holds.
        team: See `prune`.

    Returns:
        The report, with ``out=None``.

    Raises:
        SpecError: A structure that the family does not have, a plan or widths that do not
            fit, a goal that cannot be reached, or a result that plain `transformers` could
            not load, where that is asked for.
        DataError: Calibration data missing, unreadable or too small.
        NumericalError: Statistics that no re-fit can use.
        OutputError: The checkpoint cannot be written.
    """
    if model.plan is not None:
        raise SpecError(
            f"{spec.model} is already pruned", "Start from the dense model that its plan names"
        )
    _check_choice(spec, repeat, widths, checkpoint)
    if _needs_pursuit(spec, repeat, widths):
        outcome = Pursuit(model, spec, survey=survey, progress=progress).run()
        model.module, model.plan = outcome.model.module, outcome.model.plan
        return outcome.report
    exactly, adapter, asked = spec.samples is not None, model.adapter, spec
    spec = resolve(model, spec)
    units = chosen_units(model, spec, repeat)
    if repeat is not None:
        chosen = {unit.name: len(unit.kept) for unit in repeat.units}
    elif widths is not None:
        chosen = _given_widths(spec, units, widths)
    else:
        most, is_plain = caps(spec, units), spec.plain_loadable
        chosen = uniform_widths(units, spec.sparsity, most, spec.round_to, is_plain=is_plain)
    check_widths(spec, adapter.family, adapter.units(model.module), chosen)
    said = notes(asked, adapter.family, adapter.structures, units)
    allotment = allot(model, spec, resolve_device(spec.device))
    placement = None if allotment is None else allotment.placement
    spec = spec if allotment is None else allotment.spec
    inputs, data = calibration_inputs(model, spec, exactly=exactly)
    spec = dataclasses.replace(spec, samples=data.count)
    result = prune_to_widths_(
        model,
        spec,
        chosen,
        inputs,
        data,
        repeat=repeat,
        checkpoint=checkpoint,
        placement=placement,
        team=team,
        progress=progress,
        observe=observe,
    )
    needed = None if allotment is None else _needed(allotment, result)
    return dataclasses.replace(result, warnings=(*result.warnings, *said), resources=needed)


def _needed(allotment: Allotment, result: PruneReport) -> Resources:
    """Return what a run needed, beside what was foreseen."""
    device = resolve_device(allotment.spec.device)
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
    return allotment.resources(peak, result.seconds)


def _check_budget(spec: PruneSpec, repeat: Plan | None, widths: Mapping[str, int] | None) -> None:
    """Raise `SpecError` where a memory budget is given that would not be held to."""
    given = spec.gpu_memory is not None or spec.host_memory is not None or spec.gpus > 1
    if given and _needs_pursuit(spec, repeat, widths):
        what = "a loss-weighted budget" if spec.goal is None else f"the goal {spec.goal.describe()}"
        raise SpecError(
            f"{what} needs the whole model at once, and a memory budget or several GPUs are given",
            "Fix the widths by a sparsity, a plan or a what-if answer, or leave those out",
        )


def _check_observed(observe: Observer | None) -> None:
    if observe is not None:
        raise SpecError(
            "problems are to be observed, and several GPUs are given", "Use one GPU for that"
        )


def _check_choice(
    spec: PruneSpec,
    repeat: Plan | None,
    widths: Mapping[str, int] | None,
    checkpoint: Path | None,
) -> None:
    """Raise `SpecError` where what decides the widths contradicts something else."""
    if widths is not None and repeat is not None:
        raise SpecError("widths are given beside a plan, which has its own", "Give one of the two")
    if widths is not None and spec.refine:
        raise SpecError(
            f"refine is {spec.refine}, and groups are not exchanged between given widths",
            "Set refine to 0, or leave the widths out",
        )
    if checkpoint is not None and _needs_pursuit(spec, repeat, widths):
        what = "a loss-weighted budget" if spec.goal is None else f"the goal {spec.goal.describe()}"
        raise SpecError(
            f"{what} may take several passes, of which no checkpoint is kept",
            "Leave the checkpoint out, or fix the widths by a sparsity, a plan or a what-if answer",
        )


def _needs_pursuit(spec: PruneSpec, repeat: Plan | None, widths: Mapping[str, int] | None) -> bool:
    """Return whether widths have to be found by more than an equal share."""
    return repeat is None and widths is None and (spec.goal is not None or spec.is_weighted)


def _given_widths(
    spec: PruneSpec, units: Sequence[Unit], given: Mapping[str, int]
) -> dict[str, int]:
    """Return the width of every unit of a request, where some were chosen beforehand.

    Raises:
        SpecError: An unknown unit, or a width that it cannot have or that its cap forbids.
    """
    widths = {unit.name: unit.groups for unit in units}
    for name in given:
        if name not in widths:
            raise unknown_name("unit of the request", name, tuple(widths))
    most = caps(spec, units)
    for unit in units:
        width = given.get(unit.name, unit.groups)
        if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= unit.groups:
            raise SpecError(
                f"the width of {unit.name} is {width}",
                f"It must be an integer in [1, {unit.groups}]",
            )
        least = least_kept(unit.groups, most[unit.name])
        if width < least:
            raise SpecError(
                f"the width of {unit.name} is {width}, and its cap of {most[unit.name]:g} "
                f"leaves {least} of {unit.groups} groups at least",
                "Keep more of it, or raise the cap",
            )
        widths[unit.name] = width
    return widths
