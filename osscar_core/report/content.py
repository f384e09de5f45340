"""What a report is made from.

The decision hidden here: which records belong together, and how each is named so that a
number can be traced to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from osscar_core.checks.records import ABReport, ShiftReport, StressReport
from osscar_core.difference import Change, difference
from osscar_core.errors import SpecError
from osscar_core.records import EvaluationReport, PruneReport, SpeedComparison, to_json
from osscar_core.report.charts import TradePoint
from osscar_core.savings import SavingsReport, Source, measured_speedup
from osscar_core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One pruned model and what was measured of it.

    Attributes:
        id: What to call the run.
        prune: The pruning report with its plan.
        dense: Quality of the dense model.
        pruned: Quality of the pruned model on the same data.
        speed: Both models timed in turns.
    """

    id: str
    prune: PruneReport
    dense: EvaluationReport | None = None
    pruned: EvaluationReport | None = None
    speed: SpeedComparison | None = None

    def __post_init__(self) -> None:
        """Refuse two qualities that can't be compared."""
        if self.dense is None or self.pruned is None:
            return
        if self.dense.metric != self.pruned.metric:
            raise SpecError(
                f"the dense model has a {self.dense.metric} and the pruned a {self.pruned.metric}",
                "Evaluate both models in the same way",
            )
        if self.dense.data.digest != self.pruned.data.digest:
            raise SpecError(
                f"the two qualities rest on different data ({self.dense.data.spec} and "
                f"{self.pruned.data.spec})",
                "Evaluate both models on the same data",
            )

    @property
    def change(self) -> Change | None:
        """How the quality changes; ``None`` unless both were measured."""
        if self.dense is None or self.pruned is None:
            return None
        return difference(self.dense, self.pruned)


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that one report shows; what is ``None`` is named as not measured.

    Attributes:
        run: The model that the report is about.
        verdict: What to do with it.
        others: Other measured models for the chart of speed and quality.
        ab: Dense against pruned on the same items.
        shift: New data against the reference.
        stress: Both models on disturbed items.
        savings: What it saves.
        created: Day of the report, as ``2026-11-28``.
    """

    run: MeasuredRun
    verdict: Verdict
    others: tuple[MeasuredRun, ...] = ()
    ab: ABReport | None = None
    shift: ShiftReport | None = None
    stress: StressReport | None = None
    savings: SavingsReport | None = None
    created: str = ""

    def __post_init__(self) -> None:
        """Refuse a comparison or savings that are not of this run."""
        pruned, speed = self.run.pruned, self.run.speed
        if self.ab is not None and pruned is not None and self.ab.metric != pruned.metric:
            raise SpecError(
                f"the comparison is of {self.ab.metric} and the run of {pruned.metric}",
                "Compare the models of this run",
            )
        if self.savings is None or speed is None:
            return
        used = self.savings.inputs.speedup
        if used.source is Source.MEASURED and used != measured_speedup(speed):
            raise SpecError(
                f"the savings rest on a speed-up of {used.typical:.3g} and the run has one of "
                f"{speed.speedup:.3g}",
                "Compute the savings from this run's measurement",
            )


def record_id(record: Any) -> str:
    """Return a short name of a record: the beginning of the SHA-256 of its JSON."""
    return hashlib.sha256(to_json(record).encode()).hexdigest()[:10]


def trade_point(run: MeasuredRun, name: str, *, is_ours: bool = False) -> TradePoint | None:
    """Return a run's place on the chart; ``None`` if speed or quality was not measured."""
    if run.speed is None or run.pruned is None:
        return None
    (low, high), quality = run.speed.interval, run.pruned
    return TradePoint(
        name,
        (low, run.speed.speedup, high),
        (quality.interval[0], quality.value, quality.interval[1]),
        is_ours=is_ours,
    )
