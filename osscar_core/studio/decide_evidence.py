"""What speaks for and against a pruned model, gathered from what was measured.

The decision hidden here: which of several checks counts (the newest finished one of its
kind), what counts as protected, and that assumptions count only once somebody has
confirmed them. The page and the report are made from the same `Case`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from osscar_core.checks.records import ABReport, ShiftReport, StressReport
from osscar_core.errors import OsscarError
from osscar_core.records import SpeedComparison
from osscar_core.report import MeasuredRun, ReportContent
from osscar_core.savings import SavingsReport
from osscar_core.studio import chosen, examples
from osscar_core.studio.check_found import Subject
from osscar_core.studio.jobs import Run
from osscar_core.studio.requests import CheckKind, RunResult
from osscar_core.verdict import Criterion, Protection, Verdict, gather, judge

_MOST_OTHERS = 12


@dataclass(frozen=True, slots=True)
class Case:
    """A pruned model with all evidence and the verdict.

    Attributes:
        subject: The model.
        measured: The run in the form of the report.
        verdict: By the printed rule.
        ab: The check that compared quality, with its report.
        shift: The check that compared data, with its report.
        stress: The check on disturbed data, with its report.
        savings: As confirmed by the person.
    """

    subject: Subject
    measured: MeasuredRun
    verdict: Verdict
    ab: tuple[Run, ABReport] | None
    shift: tuple[Run, ShiftReport] | None
    stress: tuple[Run, StressReport] | None
    savings: SavingsReport | None

    @property
    def speed(self) -> SpeedComparison:
        """Both models timed in turns."""
        return speed_of(self.subject.result)

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether the run's own numbers were measured on another machine."""
        return examples.is_example(self.subject.run) or self.subject.run.is_imported

    def source(self, criterion: Criterion) -> Run | None:
        """Return the run that a criterion's evidence is from."""
        match criterion:
            case Criterion.QUALITY:
                return self.ab[0] if self.ab else None
            case Criterion.SHIFT:
                return self.shift[0] if self.shift else None
            case Criterion.SAVINGS:
                return None
            case _:
                return self.subject.run


def case_of(subject: Subject, savings: SavingsReport | None) -> Case:
    """Return a model's case with what there is."""
    result = subject.result
    ab = next(((run, r.ab) for run, r in subject.finished(CheckKind.AB) if r.ab), None)
    shift = next(((run, r.shift) for run, r in subject.finished(CheckKind.SHIFT) if r.shift), None)
    stress = next(
        ((run, r.stress) for run, r in subject.finished(CheckKind.STRESS) if r.stress), None
    )
    verdict = judge(
        gather(
            speed=speed_of(result),
            size=result.prune.bytes,
            ab=ab[1] if ab else None,
            protected=protection(result),
            shift=shift[1] if shift else None,
            savings=savings,
        )
    )
    return Case(subject, _measured(subject.run, result), verdict, ab, shift, stress, savings)


def content_of(case: Case) -> ReportContent:
    """Return what the report shows: what the page shows.

    Raises:
        SpecError: Two pieces of evidence are not of one run.
    """
    return ReportContent(
        run=case.measured,
        verdict=case.verdict,
        others=_others(case.subject),
        ab=case.ab[1] if case.ab else None,
        shift=case.shift[1] if case.shift else None,
        stress=case.stress[1] if case.stress else None,
        savings=case.savings,
        created=datetime.now(UTC).date().isoformat(),
    )


def speed_of(result: RunResult) -> SpeedComparison:
    """Return the timing of a run as one record."""
    return SpeedComparison(
        result.dense_speed, result.pruned_speed, result.speedup, result.speedup_interval
    )


def protection(result: RunResult) -> Protection | None:
    """Return whether protected groups kept to their limit, by measurement.

    ``None`` if some were demanded and not measured.
    """
    if not result.prune.plan.spec.guards:
        return Protection.NONE_DEMANDED
    report = result.prune.guards
    if report is None:
        return None
    results = report.final.results
    if not all(each.is_kept for each in results):
        return Protection.NOT_KEPT
    return Protection.KEPT if all(each.is_proven for each in results) else Protection.NOT_PROVEN


def _measured(run: Run, result: RunResult) -> MeasuredRun:
    return MeasuredRun(run.id, result.prune, result.dense, result.pruned, speed_of(result))


def _others(subject: Subject) -> tuple[MeasuredRun, ...]:
    """Return other measured models of the same data, for the chart of speed and quality."""
    own, found = subject.result.pruned, []
    for run in chosen.runs(subject.store):
        result = examples.result_of(subject.store, run)
        if run.id == subject.run.id or result is None:
            continue
        if (result.pruned.metric, result.pruned.data.digest) != (own.metric, own.data.digest):
            continue
        with contextlib.suppress(OsscarError):
            found.append(_measured(run, result))
    return tuple(found[:_MOST_OTHERS])
