"""The checks of a pruned model, found again.

The decision hidden here: what belongs to a model. A check names the run, or the example,
whose pruned model it is about; the list of runs is the only place where checks are kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osscar_core.checks.records import ABReport, Metric, ShiftReport, StressReport
from osscar_core.errors import OsscarError
from osscar_core.records import PruneSpec, Task, from_json
from osscar_core.storage import read_sealed
from osscar_core.studio import examples
from osscar_core.studio.desk import Desk
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.requests import CheckKind, CheckResult, JobKind, RunResult


@dataclass(frozen=True, slots=True)
class Subject:
    """A pruned model that is checked.

    Attributes:
        store: The runs of the workspace.
        run: The run that made it, or an example.
        result: What that run found.
        checks: Its checks, the newest first.
        opened: The check that a link is about, if any.
    """

    store: Desk
    run: Run
    result: RunResult
    checks: tuple[Run, ...]
    opened: Run | None = None

    @property
    def spec(self) -> PruneSpec:
        """What the run was asked for."""
        return self.run.request.spec

    @property
    def task(self) -> Task:
        """What the model reads."""
        return self.result.prune.plan.source.task

    @property
    def metric(self) -> Metric:
        """How its quality is measured."""
        return self.result.pruned.metric

    @property
    def has_model(self) -> bool:
        """Whether its weights are here, or can be made again."""
        return examples.is_example(self.run) or self.run.model_folder.is_dir()

    @property
    def is_made_first(self) -> bool:
        """Whether it is an example whose model has to be made before the first check."""
        made = self.store.home / "cache" / "examples" / self.run.id
        return examples.is_example(self.run) and not made.is_dir()

    def of_kind(self, *kinds: CheckKind) -> list[Run]:
        """Return the checks that ask one of these questions."""
        return [run for run in self.checks if question(run) in kinds]

    def finished(self, kind: CheckKind) -> list[tuple[Run, CheckResult]]:
        """Return the checks that have an answer, with it."""
        pairs = ((run, result_of(run)) for run in self.of_kind(kind))
        return [(run, result) for run, result in pairs if result is not None]


def question(run: Run) -> CheckKind | None:
    """Return what a check asks; ``None`` for any other run."""
    check = run.request.check
    return check.kind if check is not None and run.kind is JobKind.CHECK else None


def checks_of(runs: Sequence[Run], subject: str) -> tuple[Run, ...]:
    """Return the checks of the model of a run, in the order of ``runs``."""
    return tuple(
        run
        for run in runs
        if question(run) is not None
        and run.request.check is not None
        and run.request.check.run == subject
    )


def result_of(run: Run) -> CheckResult | None:
    """Return what a finished check found; ``None`` for any other or a damaged one."""
    if run.kind is not JobKind.CHECK or run.status.state is not State.FINISHED:
        return None
    path = run.folder / "check.json"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, OsscarError):
        return None


def report_of(result: CheckResult) -> ABReport | ShiftReport | StressReport | None:
    """Return the one report that there is."""
    return result.ab or result.shift or result.stress


@functools.lru_cache(maxsize=128)
def _read(path: Path, _written: int) -> CheckResult:
    return from_json(CheckResult, read_sealed(path))
