"""What a pruning run consists of: prune, judge and time both models, keep examples.

The decision hidden here: in what order a run is computed, and which of it need not be: a
finished model is not made again after an interruption, and the dense model is not judged
again where that was done before, here or for the sample run of the project.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from osscar_core import __version__
from osscar_core.errors import Cancelled, OsscarError, UnknownModelError
from osscar_core.evaluation import compare, evaluate
from osscar_core.evaluation.showcase import make_showcase
from osscar_core.goals import TIMED, GoalKind
from osscar_core.guarded import prune_guarded
from osscar_core.models import LoadedModel, load_model, resolve_device
from osscar_core.pricing import cost_model
from osscar_core.probe import placed
from osscar_core.pruner import dense_model, judge_with, prune
from osscar_core.pursuit import goal_report
from osscar_core.records import (
    EvaluationReport,
    GoalReport,
    PruneReport,
    PruneSpec,
    SpeedComparison,
    from_json,
    to_json,
)
from osscar_core.sample import sample_runs
from osscar_core.storage import FileDigest, read_sealed, write_sealed
from osscar_core.studio.attempt import CHECKPOINT, MODEL, PRUNED, Job
from osscar_core.studio.briefs import explorer_for, find_brief
from osscar_core.studio.owndata import located
from osscar_core.studio.requests import JobRequest, PointEstimate, RunResult
from osscar_core.studio.takehome import RECORD, digests, model_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Made:
    """A pruned model that is complete and need not be made again.

    Attributes:
        report: How it was made.
        files: What it consists of.
    """

    report: PruneReport
    files: tuple[FileDigest, ...]


def prune_and_measure(attempt: Job) -> None:
    """Compute a run of the kind ``prune``; leave model, result and showcase in its folder.

    Raises:
        Cancelled: The run is to end.
        OsscarError: With the reason in words.
    """
    request, folder = attempt.request, attempt.folder
    spec = request.spec
    report = _pruned(attempt)
    seqlen = report.plan.spec.seqlen
    attempt.begin("pruned")
    # What is measured is what was written: it is loaded from these very files.
    files = digests(folder / MODEL)
    small = _small_model(attempt)
    after = _quality(attempt, small, seqlen)
    # Read again: a copy kept from before would double the memory that pruning is said to take.
    dense = dense_model(spec)
    with placed(dense.module, resolve_device(spec.device)):
        before = _dense_quality(attempt, dense, after, seqlen)
        attempt.begin("speed")
        speed = compare(
            dense,
            small,
            batch_size=request.batch_size,
            repeats=request.repeats,
            progress=attempt.progress,
        )
        result = RunResult(
            prune=report,
            dense=before,
            pruned=after,
            dense_speed=speed.dense,
            pruned_speed=speed.pruned,
            speedup=speed.speedup,
            speedup_interval=speed.interval,
            asked=_asked(request, report, dense, (before, after), speed),
        )
        write_sealed(folder / RECORD, to_json(model_record(files, after)))
        write_sealed(folder / "result.json", to_json(result))
        _keep_showcase(attempt, dense, small, seqlen)


def _pruned(attempt: Job) -> PruneReport:
    """Return how the pruned model was made: in an attempt before, or now."""
    request, folder = attempt.request, attempt.folder
    done = folder / PRUNED
    with contextlib.suppress(OSError, OsscarError):
        before = from_json(_Made, read_sealed(done))
        if digests(folder / MODEL) == before.files:
            return before.report
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    spec = request.spec
    if spec.guards:
        return _noted(done, _guarded(attempt))
    # Where widths are searched for, a run has several passes, and none is gone on from.
    is_searched = request.widths is None and (spec.goal is not None or spec.is_weighted)
    report = prune(
        spec,
        out=folder / MODEL,
        widths=request.widths,
        checkpoint=None if is_searched else folder / CHECKPOINT,
        progress=attempt.progress,
    )
    _noted(done, report)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return report


def _noted(done: Path, report: PruneReport) -> PruneReport:
    """Note that the pruned model is complete, and which files it consists of."""
    write_sealed(done, to_json(_Made(report, digests(done.parent / MODEL))))
    return report


def _guarded(attempt: Job) -> PruneReport:
    """Prune so that protected groups keep what they may lose.

    Where the widths were chosen beforehand, those of lesser goals are chosen as they were.
    """
    request, home = attempt.request, attempt.home
    spec = dataclasses.replace(request.spec, data=located(request.spec.data or request.data, home))
    explorer = None
    if request.widths is not None and spec.goal is not None:
        brief = find_brief(spec, home)
        explorer = None if brief is None else explorer_for(brief, request.spec, ())

    def make(wanted: PruneSpec, share: float, folder: Path) -> PruneReport:
        widths: Mapping[str, int] | None = request.widths
        if share < 1:
            widths = None
            if explorer is not None and wanted.goal is not None:
                widths = explorer.what_if(wanted.goal).widths
        return prune(wanted, out=folder, widths=widths, progress=attempt.progress)

    judge = judge_with(spec, limit=request.limit, progress=attempt.progress)
    report, _ = prune_guarded(spec, attempt.folder / MODEL, make, judge)
    return report


def _small_model(attempt: Job) -> LoadedModel:
    """Load the pruned model as it was written, under a name that tells no folder."""
    spec = attempt.request.spec
    small = load_model(str(attempt.folder / MODEL), device=spec.device, dtype=spec.dtype)
    small.source = dataclasses.replace(small.source, model=f"{spec.model}, pruned")
    return small


def _quality(attempt: Job, model: LoadedModel, seqlen: int | None) -> EvaluationReport:
    return evaluate(
        model,
        attempt.request.data,
        limit=attempt.request.limit,
        seqlen=seqlen,
        progress=attempt.progress,
    )


def _dense_quality(
    attempt: Job, dense: LoadedModel, pruned: EvaluationReport, seqlen: int | None
) -> EvaluationReport:
    """Return the dense model's quality on the very items that the pruned one was judged on."""
    key = _dense_key(dense, pruned)
    cached = attempt.home / "cache" / f"dense-{key}.json"
    found = _read_evaluation(cached) or _shipped(dense, pruned)
    if found is not None:
        logger.info("quality of the dense model is known: %s", found.protocol)
        return found
    attempt.begin("dense")
    found = _quality(attempt, dense, seqlen)
    if key is not None:
        cached.parent.mkdir(exist_ok=True)
        write_sealed(cached, to_json(found))
    return found


def _dense_key(dense: LoadedModel, pruned: EvaluationReport) -> str | None:
    """Return a digest of all that the dense model's quality depends on.

    The items are told from the pruned model's evaluation. ``None`` where the weights cannot
    be told from others of the same name.
    """
    source = dense.source
    if not (source.sha256 or source.revision or source.weights == "random"):
        return None
    data = pruned.data
    items = [pruned.metric, pruned.count, data.digest, data.count, data.seqlen, data.preprocess]
    parts = [source, *items, *_arithmetic(dense), __version__]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _arithmetic(model: LoadedModel) -> tuple[str, str]:
    """Return the kind of device and the type of number that a model computes in."""
    parameter = next(model.module.parameters())
    return parameter.device.type, str(parameter.dtype).removeprefix("torch.")


def _shipped(dense: LoadedModel, pruned: EvaluationReport) -> EvaluationReport | None:
    """Return the dense model's quality from the sample run, if it is about the same."""
    wanted = (dense.source.sha256, pruned.data.digest, pruned.data.count, pruned.data.seqlen)
    for run in sample_runs():
        found = run.report.dense.evaluation
        points = [point for point in run.report.points if point.speed is not None]
        if dense.source.sha256 is None or not points or points[0].speed is None:
            continue
        data, source = found.data, points[0].prune.plan.source
        computed_in = points[0].speed.dense.conditions.get("dtype")
        is_same = (source.sha256, data.digest, data.count, data.seqlen) == wanted
        is_release = run.conditions.get("osscar_core") == __version__
        is_metric = (found.metric, found.count) == (pruned.metric, pruned.count)
        if is_same and is_release and is_metric and computed_in == _arithmetic(dense)[1]:
            return found
    return None


def _read_evaluation(path: Path) -> EvaluationReport | None:
    try:
        return from_json(EvaluationReport, read_sealed(path))
    except (OSError, OsscarError):
        return None


def _asked(
    request: JobRequest,
    report: PruneReport,
    dense: LoadedModel,
    qualities: tuple[EvaluationReport, EvaluationReport],
    speed: SpeedComparison,
) -> GoalReport | None:
    """Return the request's goal against what this run measured; ``None`` without a goal."""
    goal = request.spec.goal
    if goal is None:
        return None
    found = goal_report(
        goal,
        report,
        removed=_removed(report, dense),
        qualities=qualities,
        speed=speed,
        estimate=_estimate(goal.kind, request.estimate, speed),
    )
    if report.goal is None:
        return found
    # A search knows what it tried and believed; what it measured is measured again here.
    return dataclasses.replace(found, tries=report.goal.tries, estimate=report.goal.estimate)


def _removed(report: PruneReport, dense: LoadedModel) -> float:
    """Return the share removed of what might be, each unit weighed by its parameters."""
    kept = {unit.name: unit.kept for unit in report.units}
    try:
        costs = cost_model(dense)
    except UnknownModelError:
        # Units that cannot be weighed count by their groups.
        return 1 - sum(kept.values()) / sum(unit.groups for unit in report.units)
    return costs.removed(kept) / costs.share_of(kept)


def _estimate(
    kind: GoalKind, estimate: PointEstimate | None, speed: SpeedComparison
) -> float | None:
    """Return what had been predicted of the quantity that a goal is about."""
    if estimate is None:
        return None
    if kind is GoalKind.BYTES:
        return estimate.bytes
    if kind is GoalKind.QUALITY_LOSS:
        return estimate.loss
    if kind not in TIMED or estimate.speedup is None:
        return None
    dense_ms = speed.dense.latency_ms.median
    return estimate.speedup if kind is GoalKind.SPEEDUP else dense_ms / estimate.speedup


def _keep_showcase(
    attempt: Job, dense: LoadedModel, small: LoadedModel, seqlen: int | None
) -> None:
    """Store what both models make of a few inputs; the run counts without it, too."""
    attempt.begin("showcase")
    try:
        showcase = make_showcase(
            dense, small, attempt.request.data, seqlen=seqlen, progress=attempt.progress
        )
        write_sealed(attempt.folder / "showcase.json", to_json(showcase))
    except Cancelled:
        raise
    # Whatever goes wrong with the examples, the measurements are made.
    except Exception:
        logger.exception("no showcase could be made")
