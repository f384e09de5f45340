"""What the checks find: plain records, no torch.

The decision hidden here: in which units a loss is told. Everywhere ``loss`` is how much
worse the pruned model is, in the units of a margin: a difference of top-1 accuracies as a
fraction (0.01 is one point), or the relative rise of perplexity (0.01 is 1%). Below zero,
the pruned model is better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from osscar_core.errors import SpecError
from osscar_core.records import DataInfo, check_range

Metric = Literal["top1", "perplexity"]

FEWEST_ITEMS = 30
"""A slice with fewer items than this is shown, marked, and never judged."""


class Conclusion(StrEnum):
    """What a comparison says of a margin that was fixed before.

    With the interval of the loss from ``low`` to ``high``:

    - ``confirmed``: no loss beyond the margin, ``high <= margin``.
    - ``loss-found``: there is a loss, ``low > 0``, and it is not shown to stay within the
      margin.
    - ``not-proven``: neither; more items would tell.
    """

    CONFIRMED = "confirmed"
    NOT_PROVEN = "not-proven"
    LOSS_FOUND = "loss-found"

    @classmethod
    def of(cls, low: float, high: float, margin: float) -> Conclusion:
        """Return what an interval of the loss says of a margin."""
        if high <= margin:
            return cls.CONFIRMED
        return cls.LOSS_FOUND if low > 0 else cls.NOT_PROVEN


@dataclass(frozen=True, slots=True)
class SliceResult:
    """Dense against pruned on the items that share one attribute, or on all of them.

    Attributes:
        column: The attribute, such as ``line``; empty for all items.
        value: Its value, such as ``A``; empty for all items.
        count: Items.
        dense: Quality of the dense model: top-1 as a fraction, or perplexity.
        pruned: Quality of the pruned model.
        loss: How much worse the pruned model is; see the module.
        low: Lower end of its interval, at the level of the report and corrected for the
            number of slices.
        high: Upper end.
        p_value: Of the two-sided paired test that there is no difference, corrected for the
            number of slices.
        conclusion: What that says of the margin; ``None`` where items are too few.
        needed: How many more items of this slice would decide, if what was seen goes on;
            ``None`` if it is decided or too small to judge, or no number would.
    """

    column: str
    value: str
    count: int
    dense: float
    pruned: float
    loss: float
    low: float
    high: float
    p_value: float
    conclusion: Conclusion | None
    needed: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether its items are too few to judge by."""
        return self.count < FEWEST_ITEMS

    @property
    def name(self) -> str:
        """Return ``column=value``; empty for all items."""
        return f"{self.column}={self.value}" if self.column else ""


@dataclass(frozen=True, slots=True)
class Flip:
    """An item of which one model was right and the other was not.

    Attributes:
        position: Its place among the items looked at, from 0.
        name: What to call it: a file, a row.
        is_lost: Right before and wrong now; otherwise wrong before and right now.
        truth: What is right.
        dense: The dense model's answer.
        pruned: The pruned model's answer.
        dense_share: Probability that the dense model gave its answer.
        pruned_share: Probability that the pruned model gave its answer.
        attributes: What else is known of the item.
    """

    position: int
    name: str
    is_lost: bool
    truth: str
    dense: str
    pruned: str
    dense_share: float
    pruned_share: float
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drift:
    """A document on which the loss of the two models differs much.

    Attributes:
        position: Its place among the documents, from 0.
        name: What to call it.
        is_lost: Whether the pruned model is the worse one.
        beginning: The start of the text, shortened.
        tokens: Tokens predicted.
        dense: Mean loss of the dense model, in nats a token.
        pruned: Mean loss of the pruned model.
        attributes: What else is known of it.
    """

    position: int
    name: str
    is_lost: bool
    beginning: str
    tokens: int
    dense: float
    pruned: float
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ABReport:
    """Two models on the same items, against a margin fixed before.

    Attributes:
        dense: The reference, as asked for.
        pruned: The model compared with it.
        metric: Measure of quality.
        margin: The loss that is acceptable; see the module.
        level: Confidence of the intervals, such as 0.95.
        data: The data.
        overall: All items.
        slices: By attribute, the worst first; small ones last.
        correction: How many slices were allowed for and how, in words.
        lost: Items that were right and are wrong now; for text, documents that got worse.
        gained: The reverse.
        flips: Those items, for images.
        drifts: The documents that changed most, for text.
        protocol: Everything needed to repeat it, in words.
        seed: Of the bootstrap.
        seconds: Wall time.
    """

    dense: str
    pruned: str
    metric: Metric
    margin: float
    level: float
    data: DataInfo
    overall: SliceResult
    slices: tuple[SliceResult, ...]
    correction: str
    lost: int
    gained: int
    flips: tuple[Flip, ...]
    drifts: tuple[Drift, ...]
    protocol: str
    seed: int
    seconds: float

    @property
    def is_different(self) -> bool:
        """Whether the two models differ in quality beyond chance."""
        return self.overall.p_value < 1 - self.level


class Light(StrEnum):
    """How far new data lies from the reference."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class AttributeShift:
    """How one attribute, or one property of the inputs, differs between two sets of data.

    Attributes:
        name: The attribute.
        distance: Between the two distributions, in [0, 1].
        threshold: What chance alone reaches in one of 20 cases.
        p_value: Corrected for the number of attributes.
        light: In a word.
        reference: What is typical of the reference, in words.
        new: What is typical of the new data.
        unseen: Values that the reference does not have.
    """

    name: str
    distance: float
    threshold: float
    p_value: float
    light: Light
    reference: str
    new: str
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtraLoss:
    """Does the pruned model lose more than the dense one when the data shifts.

    Attributes:
        metric: Measure of quality.
        reference_loss: Loss of pruned over dense on the reference; see the module.
        new_loss: The same on the new data.
        extra: The difference: what the shift costs the pruned model beyond the dense one.
        low: Lower end of its interval.
        high: Upper end.
        dense_reference: Quality of the dense model on the reference.
        dense_new: And on the new data.
        pruned_reference: Quality of the pruned model on the reference.
        pruned_new: And on the new data.
    """

    metric: Metric
    reference_loss: float
    new_loss: float
    extra: float
    low: float
    high: float
    dense_reference: float
    dense_new: float
    pruned_reference: float
    pruned_new: float

    @property
    def is_found(self) -> bool:
        """Whether the pruned model loses more beyond chance."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """How far new data lies from the reference, and what that does to the pruned model.

    Attributes:
        model: The model in whose features the distance is taken.
        reference: The data it was calibrated on, or like it.
        new: The data in question.
        distance: Two-sample distance in the model's own features.
        threshold: What samples of the reference itself exceed with ``alarm_rate``.
        alarm_rate: False alarms allowed, as a share.
        p_value: By permutation.
        light: Green below the threshold; amber beyond it; red where it is several times that.
        attributes: What differs, the most first.
        extra: The question that matters; ``None`` without a second model or labels.
        warnings: What a reader should know, such as classes unseen in the reference.
        protocol: Everything needed to repeat it, in words.
        seconds: Wall time.
    """

    model: str
    reference: DataInfo
    new: DataInfo
    distance: float
    threshold: float
    alarm_rate: float
    p_value: float
    light: Light
    attributes: tuple[AttributeShift, ...]
    extra: ExtraLoss | None
    warnings: tuple[str, ...]
    protocol: str
    seconds: float

    @property
    def is_alarm(self) -> bool:
        """Whether the new data is beyond the threshold."""
        return self.distance > self.threshold


@dataclass(frozen=True, slots=True)
class StressPoint:
    """Both models at one strength of one disturbance.

    Attributes:
        strength: From 0, none, to 1, the strongest.
        dense: Quality of the dense model: top-1 as a fraction, or perplexity.
        pruned: Quality of the pruned model.
        loss: How much worse the pruned model is; see the module.
        low: Lower end of its 95% interval.
        high: Upper end.
    """

    strength: float
    dense: float
    pruned: float
    loss: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class StressRow:
    """One disturbance over its strengths.

    Attributes:
        disturbance: Such as ``blur`` or ``typos``.
        meaning: What its strongest form is, in words, such as ``Gaussian blur, sigma 3 px``.
        points: By rising strength; the first is undisturbed.
        extra: Loss at the strongest form beyond the undisturbed one.
        low: Lower end of its 95% interval.
        high: Upper end.
    """

    disturbance: str
    meaning: str
    points: tuple[StressPoint, ...]
    extra: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class StressReport:
    """Both models on disturbed copies of the same items.

    Attributes:
        dense: The reference, as asked for.
        pruned: The model compared with it.
        metric: Measure of quality.
        data: The undisturbed data.
        rows: One a disturbance, the greatest extra loss first.
        protocol: Everything needed to repeat it, in words.
        seed: Of the disturbances and the bootstrap.
        seconds: Wall time.
    """

    dense: str
    pruned: str
    metric: Metric
    data: DataInfo
    rows: tuple[StressRow, ...]
    protocol: str
    seed: int
    seconds: float


def check_margin(margin: float) -> float:
    """Return ``margin`` if it is a possible one.

    Raises:
        SpecError: It is not in [0, 1).
    """
    if margin >= 1:
        raise SpecError(
            f"the margin is {margin}", "It is a fraction: 0.01 is one point of accuracy, or 1%"
        )
    check_range("margin", margin, 0.0)
    return margin
