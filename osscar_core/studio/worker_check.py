"""What a worker does with a pruned model that is there: check it, pack its kit, export it.

The decision hidden here: where the pruned model of a run comes from. That of a run lies in
its folder; that of an example is made once by its plan and kept. Only workers import this:
it needs torch.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from osscar_core.checks.ab import check_ab
from osscar_core.checks.shift import DEFAULT_LIMIT as MOST_COMPARED
from osscar_core.checks.shift import check_shift
from osscar_core.checks.stress import DEFAULT_LIMIT as MOST_DISTURBED
from osscar_core.checks.stress import check_stress
from osscar_core.errors import DataError, OsscarError, SpecError, WeightsError
from osscar_core.export import export_model
from osscar_core.models import LoadedModel, load_model, resolve_device
from osscar_core.monitoring import export_kit
from osscar_core.probe import placed
from osscar_core.pruner import dense_model, prune
from osscar_core.records import PruneSpec, from_json, to_json
from osscar_core.storage import FileDigest, read_sealed, write_sealed
from osscar_core.studio import examples
from osscar_core.studio.attempt import KIT, MODEL, Job
from osscar_core.studio.owndata import located
from osscar_core.studio.requests import CheckKind, CheckRequest, CheckResult
from osscar_core.studio.takehome import digests

logger = logging.getLogger(__name__)


def check(attempt: Job) -> None:
    """Answer a question about a pruned model; leave the answer in the run's folder.

    Raises:
        Cancelled: The run is to end.
        OsscarError: With the reason in words.
    """
    wanted, spec = _wanted(attempt), attempt.request.spec
    small = _pruned_model(attempt, wanted.run)
    data = located(attempt.request.data, attempt.home)
    dense = dense_model(spec)
    attempt.begin("check")
    with placed(dense.module, resolve_device(spec.device)):
        result = _answer(attempt, wanted, dense, small, data)
    write_sealed(attempt.folder / "check.json", to_json(result))


def make_kit(attempt: Job) -> None:
    """Make the folder with which a pruned model is watched elsewhere.

    Raises:
        Cancelled: The run is to end.
        OsscarError: With the reason in words.
    """
    wanted, spec = _wanted(attempt), attempt.request.spec
    small = _pruned_model(attempt, wanted.run)
    dense = dense_model(spec)
    attempt.begin("kit")
    with placed(dense.module, resolve_device(spec.device)):
        report = export_kit(
            small,
            located(attempt.request.data, attempt.home),
            attempt.folder / KIT,
            dense=dense,
            progress=attempt.progress,
        )
    write_sealed(attempt.folder / "kit.json", to_json(report))


def make_export(attempt: Job) -> None:
    """Write a pruned model for other programs and compare what was written with it.

    Raises:
        Cancelled: The run is to end.
        OsscarError: With the reason in words.
    """
    request = attempt.request
    kind = request.writes
    if kind is None:
        raise SpecError(f"a run of the kind '{request.kind}' writes nothing", "Export a model")
    small = _pruned_model(attempt, _wanted(attempt).run)
    dense = _dense_if_here(request.spec)
    attempt.begin("export")
    report = export_model(
        small,
        attempt.folder / kind.value,
        kind,
        data=located(request.data, attempt.home),
        limit=request.limit,
        dense=dense,
        int8=request.int8,
        progress=attempt.progress,
    )
    write_sealed(attempt.folder / "export.json", to_json(report))


def _dense_if_here(spec: PruneSpec) -> LoadedModel | None:
    """Return the dense model; without it there is no quality to state, and still an export."""
    try:
        return dense_model(spec)
    except WeightsError as error:
        logger.warning("the dense model is not compared: %s", error)
        return None


def _wanted(attempt: Job) -> CheckRequest:
    wanted = attempt.request.check
    if wanted is None:
        raise SpecError("nothing is asked about a pruned model", "Start the check again")
    return wanted


def _answer(
    attempt: Job, wanted: CheckRequest, dense: LoadedModel, small: LoadedModel, data: str
) -> CheckResult:
    request = attempt.request
    seed, limit = request.spec.seed, request.limit
    match wanted.kind:
        case CheckKind.AB:
            return CheckResult(
                ab=check_ab(
                    dense,
                    small,
                    data,
                    margin=wanted.margin,
                    columns=wanted.columns,
                    limit=limit,
                    seed=seed,
                    progress=attempt.progress,
                )
            )
        case CheckKind.SHIFT:
            return CheckResult(
                shift=check_shift(
                    dense,
                    located(wanted.reference, attempt.home),
                    data,
                    pruned=small,
                    limit=limit or MOST_COMPARED,
                    seed=seed,
                    progress=attempt.progress,
                )
            )
        case CheckKind.STRESS:
            return CheckResult(
                stress=check_stress(
                    dense,
                    small,
                    data,
                    limit=limit or MOST_DISTURBED,
                    seed=seed,
                    progress=attempt.progress,
                )
            )


def _pruned_model(attempt: Job, run_id: str) -> LoadedModel:
    """Load the pruned model of a run or an example, under a name that tells no folder."""
    spec = attempt.request.spec
    folder = attempt.home / "runs" / run_id / MODEL
    if not folder.is_dir():
        folder = _remade(attempt, run_id)
    small = load_model(str(folder), device=spec.device, dtype=spec.dtype)
    small.source = dataclasses.replace(small.source, model=f"{spec.model}, pruned")
    return small


def _remade(attempt: Job, run_id: str) -> Path:
    """Make the model of an example by its own plan, once."""
    item = examples.find(run_id)
    if item is None:
        raise DataError(
            f"the pruned model of the run {run_id} is not here",
            "A run that was imported brings no weights, and a deleted one has none: run it again",
        )
    folder = attempt.home / "cache" / "examples" / run_id
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        attempt.begin("prune")
        making = attempt.folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        prune(
            item.spec,
            out=making,
            repeat=item.result.prune.plan,
            progress=attempt.progress,
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Another worker may have been quicker; its folder is the same.
        if not folder.is_dir():
            making.rename(folder)
            write_sealed(_listed(folder), to_json(_Files(digests(folder))))
    return folder


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a model that was made and is kept."""

    files: tuple[FileDigest, ...]


def _listed(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _is_whole(folder: Path) -> bool:
    """Return whether the model that is kept in a folder is, byte for byte, what was made."""
    try:
        return digests(folder) == from_json(_Files, read_sealed(_listed(folder))).files
    except (OSError, OsscarError):
        return False
