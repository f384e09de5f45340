"""What the app asks a worker for, and what it gets back: plain records, no torch.

The decision hidden here: what makes two requests the same, so that nothing is computed
twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from osscar_core import __version__
from osscar_core.checks.records import ABReport, ShiftReport, StressReport, check_margin
from osscar_core.errors import SpecError
from osscar_core.export.availability import IN_EIGHT_BITS
from osscar_core.export.records import ExportFormat
from osscar_core.records import (
    EvaluationReport,
    GoalReport,
    MeasureReport,
    PruneReport,
    PruneSpec,
    check_range,
)


class JobKind(StrEnum):
    """What a worker is to do."""

    PRUNE = "prune"
    """Make one small model and measure it."""

    SURVEY = "survey"
    """Calibrate a dense model once, so that what-if answers need no worker."""

    TIMING = "timing"
    """Time a dense model's blocks on this machine, so that speed can be estimated."""

    CHECK = "check"
    """Compare the pruned model of a run with the dense one on data of one's own."""

    KIT = "kit"
    """Make the folder with which the pruned model of a run is watched elsewhere."""

    EXPORT = "export"
    """Write the pruned model of a run for other programs, and compare that with it."""


_ASKING = (JobKind.CHECK, JobKind.KIT, JobKind.EXPORT)
"""Kinds of work on a pruned model that is there."""


class CheckKind(StrEnum):
    """Which question a check answers."""

    AB = "ab"
    """What do I lose on this data."""

    SHIFT = "shift"
    """Is this data like the data that the model was made with, and does it matter."""

    STRESS = "stress"
    """What happens when the inputs get worse."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What is asked about the pruned model of a run.

    Attributes:
        kind: The question.
        run: The run whose pruned model it is about, or an example.
        margin: The loss that is acceptable, fixed before: points of accuracy or the rise of
            perplexity, as a fraction.
        columns: Attributes to look at groups by; ``None`` for all there are.
        reference: What data is compared with, for a shift.
    """

    kind: CheckKind
    run: str
    margin: float = 0.01
    columns: tuple[str, ...] | None = None
    reference: str = ""

    def __post_init__(self) -> None:
        """Check the margin and what a shift needs."""
        check_margin(self.margin)
        if self.kind is CheckKind.SHIFT and not self.reference:
            raise SpecError("a shift has no reference", "Name the data to compare with")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a finished check found; one of the three."""

    ab: ABReport | None = None
    shift: ShiftReport | None = None
    stress: StressReport | None = None


@dataclass(frozen=True, slots=True)
class PointEstimate:
    """What was predicted of a point when it was asked for; an estimate, never a result.

    Attributes:
        speedup: Dense over pruned latency; ``None`` if latencies were not known.
        bytes: Size of the weights file.
        loss: Lost quality: top-1 accuracy as a fraction, or log-perplexity; ``None`` if
            there was no survey.
        low: Lower end of the band that holds 95% of new models.
        high: Upper end.
    """

    speedup: float | None
    bytes: int
    loss: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One request of the app.

    Attributes:
        spec: What to prune and how. Its goal, if any, is what the person asked for.
        data: Data specification for the evaluation or the check; ``own:ID`` is one's own data
            in the workspace. Empty for a survey or timing.
        limit: Evaluate on at most this many windows or images; ``None`` for all.
        batch_size: Batch of the latency measurement; ``None`` for its default.
        repeats: Rounds of the latency measurement; ``None`` for its default.
        kind: What to do.
        widths: Groups that every unit keeps, as a what-if answer chose them for the goal;
            ``None`` to let the run find them.
        estimate: What was predicted; not part of the identity.
        check: What is asked about a pruned model, for a check, a kit or an export.
        format: What an export writes; ``None`` is ONNX, as exports did not always say.
        int8: Whether an export has weights of eight bits, where its format can hold them.
    """

    spec: PruneSpec
    data: str
    limit: int | None = None
    batch_size: int | None = None
    repeats: int | None = None
    kind: JobKind = JobKind.PRUNE
    widths: dict[str, int] | None = None
    estimate: PointEstimate | None = None
    check: CheckRequest | None = None
    format: ExportFormat | None = None
    int8: bool = False

    def __post_init__(self) -> None:
        """Check the ranges, that a check says what it asks, and that only exports have a format."""
        if (self.check is not None) != (self.kind in _ASKING):
            raise SpecError(
                f"a run of the kind '{self.kind}' {'has' if self.check else 'lacks'} a question",
                "Ask something about a pruned model in a check, and in nothing else",
            )
        if self.format is not None and self.kind is not JobKind.EXPORT:
            raise SpecError(
                f"a run of the kind '{self.kind}' has the format '{self.format}'",
                "Only an export has one",
            )
        if self.int8 and self.writes not in IN_EIGHT_BITS:
            raise SpecError(
                f"a run of the kind '{self.kind}' with the format '{self.format}' has eight bits",
                f"Only exports as {' or '.join(IN_EIGHT_BITS)} can have them",
            )
        for name in ("limit", "batch_size", "repeats"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 1)

    @property
    def writes(self) -> ExportFormat | None:
        """What an export writes; ``None`` for anything else."""
        return (self.format or ExportFormat.ONNX) if self.kind is JobKind.EXPORT else None

    @property
    def key(self) -> str:
        """Digest of everything that determines the result, this release included."""
        bare = dataclasses.asdict(dataclasses.replace(self, estimate=None))
        # A request is the same whether it says what went without saying or not.
        if bare["format"] in (None, ExportFormat.ONNX):
            del bare["format"]
        if not bare["int8"]:
            del bare["int8"]
        text = json.dumps(bare, ensure_ascii=False)
        return hashlib.sha256(f"{text}\n{__version__}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a finished pruning run found.

    Attributes:
        prune: The pruning report with the plan.
        dense: Quality of the dense model.
        pruned: Quality of the pruned model on the same data.
        dense_speed: Latency of the dense model, timed alternately with the pruned one.
        pruned_speed: Latency of the pruned model.
        speedup: Dense over pruned latency.
        speedup_interval: Its approximate 95% interval.
        asked: The goal against what was achieved; ``None`` without a goal.
    """

    prune: PruneReport
    dense: EvaluationReport
    pruned: EvaluationReport
    dense_speed: MeasureReport
    pruned_speed: MeasureReport
    speedup: float
    speedup_interval: tuple[float, float]
    asked: GoalReport | None = None
