"""Go, pilot first, or don't: one rule, on measured evidence only.

The decision hidden here: the rule. Each of five criteria is graded on its own; the verdict
is the worst of the grades, so worse evidence can never lead to a better verdict. What is
missing or only estimated is graded like what is undecided and can never lead to "go".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from osscar_core.checks.records import ABReport, Conclusion, Light, ShiftReport
from osscar_core.records import BeforeAfter, SpeedComparison
from osscar_core.savings import Range, SavingsReport, Source

SMALLER = 0.99
"""A model counts as smaller if its file is at most this share of the dense one's."""


class Choice(StrEnum):
    """What to do."""

    GO = "go"
    PILOT = "pilot"
    DONT = "dont"


class Criterion(StrEnum):
    """What the rule looks at, in its order."""

    SPEED = "speed"
    QUALITY = "quality"
    PROTECTED = "protected"
    SHIFT = "shift"
    SAVINGS = "savings"


class Grade(StrEnum):
    """What one criterion allows, from best to worst."""

    GOOD = "good"
    OPEN = "open"
    MISSING = "missing"
    BAD = "bad"


class Protection(StrEnum):
    """Whether the groups that may not lose did not, by measurement."""

    NONE_DEMANDED = "none-demanded"
    KEPT = "kept"
    NOT_PROVEN = "not-proven"
    NOT_KEPT = "not-kept"


@dataclass(frozen=True, slots=True)
class SpeedEvidence:
    """A speed-up with its 95% interval, and whether it was measured."""

    low: float
    typical: float
    high: float
    source: Source = Source.MEASURED


@dataclass(frozen=True, slots=True)
class QualityEvidence:
    """What an A/B comparison concluded.

    Attributes:
        conclusion: On all items, against the margin.
        metric: Measure of quality.
        loss: How much worse the pruned model is; see `osscar_core.checks.records`.
        low: Lower end of its interval.
        high: Upper end.
        margin: The loss that is acceptable, fixed before.
        lost_slices: Slices in which a loss beyond chance was found.
        source: Whether it was measured.
    """

    conclusion: Conclusion
    metric: str
    loss: float
    low: float
    high: float
    margin: float
    lost_slices: tuple[str, ...] = ()
    source: Source = Source.MEASURED


@dataclass(frozen=True, slots=True)
class ShiftEvidence:
    """How far the data in use lies from the reference.

    Attributes:
        light: In a word.
        is_extra_loss: Whether the pruned model loses more there than the dense one;
            ``None`` if that was not measured.
    """

    light: Light
    is_extra_loss: bool | None


@dataclass(frozen=True, slots=True)
class SavingsEvidence:
    """The net saving over the horizon, and whether its speed-up was measured."""

    net: Range
    source: Source = Source.MEASURED


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the rule looks at; each piece may be missing.

    Attributes:
        speed: From timing both models in turns.
        size: Bytes of both weights files, which are exact.
        quality: From an A/B comparison.
        protected: Whether protected groups were kept; ``None`` if some are demanded and
            were not measured, or nobody said that there are none.
        shift: From comparing new data with the reference.
        savings: From the savings.
    """

    speed: SpeedEvidence | None = None
    size: BeforeAfter | None = None
    quality: QualityEvidence | None = None
    protected: Protection | None = None
    shift: ShiftEvidence | None = None
    savings: SavingsEvidence | None = None


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the evidence is: a page, and a place on it."""

    page: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Finding:
    """How one criterion was graded, and why.

    Attributes:
        criterion: What was looked at.
        grade: What it allows.
        key: The case that applied: the last part of the phrase ``finding.CRITERION.KEY``.
        pointer: Where its evidence is, or can be made.
        low: Lower end of the interval it rests on, where there is one.
        high: Upper end.
        names: Names it speaks of, such as slices.
    """

    criterion: Criterion
    grade: Grade
    key: str
    pointer: Pointer
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why.

    Attributes:
        choice: The verdict.
        findings: One a criterion, in the order of the rule.
        metric: Measure of the quality that was compared; ``None`` without a comparison.
    """

    choice: Choice
    findings: tuple[Finding, ...]
    metric: str | None = None

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The three findings that decided: the worst grades, then the rule's order."""
        ordered = sorted(self.findings, key=lambda finding: -_SEVERITY[finding.grade])
        return tuple(ordered[:3])

    @property
    def missing(self) -> tuple[Criterion, ...]:
        """What was not measured."""
        return tuple(f.criterion for f in self.findings if f.grade is Grade.MISSING)


POINTERS = {
    Criterion.SPEED: Pointer("explore", "speed"),
    Criterion.QUALITY: Pointer("check", "quality"),
    Criterion.PROTECTED: Pointer("check", "protected"),
    Criterion.SHIFT: Pointer("check", "shift"),
    Criterion.SAVINGS: Pointer("decide", "savings"),
}

_SEVERITY = {Grade.GOOD: 0, Grade.OPEN: 1, Grade.MISSING: 1, Grade.BAD: 2}
_CHOICES = (Choice.GO, Choice.PILOT, Choice.DONT)

RULE: tuple[tuple[Criterion, Grade], ...] = tuple(
    (criterion, grade) for criterion in Criterion for grade in (Grade.GOOD, Grade.OPEN, Grade.BAD)
)
"""Cells of the printed rule: the phrase ``rule.CRITERION.GRADE`` says when one applies."""


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict: "go" if all is good, "don't" if anything is bad, else "pilot"."""
    findings = (
        _speed(evidence.speed, evidence.size),
        _quality(evidence.quality),
        _protected(evidence.protected),
        _shift(evidence.shift),
        _savings(evidence.savings),
    )
    choice = _CHOICES[max(_SEVERITY[finding.grade] for finding in findings)]
    return Verdict(choice, findings, evidence.quality.metric if evidence.quality else None)


def gather(
    *,
    speed: SpeedComparison | None = None,
    size: BeforeAfter | None = None,
    ab: ABReport | None = None,
    protected: Protection | None = None,
    shift: ShiftReport | None = None,
    savings: SavingsReport | None = None,
) -> Evidence:
    """Return the evidence that measured records hold."""
    return Evidence(
        speed=None if speed is None else SpeedEvidence(*_ordered(speed)),
        size=size,
        quality=None if ab is None else _compared(ab),
        protected=protected,
        shift=None if shift is None else _shifted(shift),
        savings=None
        if savings is None
        else SavingsEvidence(savings.net, savings.inputs.speedup.source),
    )


def _ordered(speed: SpeedComparison) -> tuple[float, float, float]:
    return speed.interval[0], speed.speedup, speed.interval[1]


def _compared(ab: ABReport) -> QualityEvidence:
    overall = ab.overall
    lost = tuple(one.name for one in ab.slices if one.conclusion is Conclusion.LOSS_FOUND)
    conclusion = Conclusion.of(overall.low, overall.high, ab.margin)
    return QualityEvidence(
        # Too few items are never judged, however narrow their interval.
        conclusion=Conclusion.NOT_PROVEN if overall.is_small else conclusion,
        metric=ab.metric,
        loss=overall.loss,
        low=overall.low,
        high=overall.high,
        margin=ab.margin,
        lost_slices=lost,
    )


def _shifted(shift: ShiftReport) -> ShiftEvidence:
    return ShiftEvidence(shift.light, None if shift.extra is None else shift.extra.is_found)


def _found(
    criterion: Criterion,
    grade: Grade,
    key: str,
    ends: tuple[float, float] | None = None,
    names: tuple[str, ...] = (),
) -> Finding:
    low, high = ends or (None, None)
    return Finding(criterion, grade, key, POINTERS[criterion], low, high, names)


def _absent(criterion: Criterion, *, is_estimated: bool = False) -> Finding:
    return _found(criterion, Grade.MISSING, "estimated" if is_estimated else "missing")


def _speed(speed: SpeedEvidence | None, size: BeforeAfter | None) -> Finding:
    what = Criterion.SPEED
    if speed is None or speed.source is not Source.MEASURED:
        return _absent(what, is_estimated=speed is not None)
    ends = (speed.low, speed.high)
    if speed.low > 1:
        return _found(what, Grade.GOOD, "faster", ends)
    if size is not None and size.pruned > SMALLER * size.dense:
        return _found(what, Grade.BAD, "neither", ends)
    key = "slower" if speed.high < 1 else "same"
    return _found(what, Grade.OPEN, key, ends)


def _quality(quality: QualityEvidence | None) -> Finding:
    what = Criterion.QUALITY
    if quality is None or quality.source is not Source.MEASURED:
        return _absent(what, is_estimated=quality is not None)
    ends = (quality.low, quality.high)
    match quality.conclusion:
        case Conclusion.LOSS_FOUND:
            return _found(what, Grade.BAD, "loss", ends)
        case Conclusion.NOT_PROVEN:
            return _found(what, Grade.OPEN, "unproven", ends)
        case _ if quality.lost_slices:
            return _found(what, Grade.OPEN, "slices", ends, quality.lost_slices)
        case _:
            return _found(what, Grade.GOOD, "confirmed", ends)


def _protected(protected: Protection | None) -> Finding:
    what = Criterion.PROTECTED
    match protected:
        case None:
            return _absent(what)
        case Protection.NOT_KEPT:
            return _found(what, Grade.BAD, "broken")
        case Protection.NOT_PROVEN:
            return _found(what, Grade.OPEN, "unproven")
        case Protection.KEPT:
            return _found(what, Grade.GOOD, "kept")
        case Protection.NONE_DEMANDED:
            return _found(what, Grade.GOOD, "none")


def _shift(shift: ShiftEvidence | None) -> Finding:
    what = Criterion.SHIFT
    if shift is None:
        return _absent(what)
    if shift.is_extra_loss:
        is_far = shift.light is Light.RED
        return _found(what, Grade.BAD if is_far else Grade.OPEN, "far" if is_far else "extra")
    if shift.light is not Light.GREEN:
        return _found(what, Grade.OPEN, "alarm")
    if shift.is_extra_loss is None:
        return _found(what, Grade.OPEN, "unlabelled")
    return _found(what, Grade.GOOD, "calm")


def _savings(savings: SavingsEvidence | None) -> Finding:
    what = Criterion.SAVINGS
    if savings is None:
        return _absent(what)
    # A loss is a loss on any evidence; a gain counts only if the speed behind it was measured.
    ends = (savings.net.low, savings.net.high)
    if savings.net.is_negative:
        return _found(what, Grade.BAD, "negative", ends)
    if savings.source is not Source.MEASURED:
        return _absent(what, is_estimated=True)
    if savings.net.is_positive:
        return _found(what, Grade.GOOD, "positive", ends)
    return _found(what, Grade.OPEN, "unclear", ends)
