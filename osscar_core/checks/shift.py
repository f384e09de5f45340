"""How far new data lies from the reference, and what that does to a pruned model.

The decision hidden here: what may be compared. The reference is taken from the calibration
part of its data and the new data from its evaluation part, where data has parts. Items that
stand in both sets tell nothing of a shift and are left out of the reference. Only the model
itself says how far two items are apart (`osscar_core.checks.distance`); attributes and
simple properties say in words what differs (`osscar_core.checks.attributes`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osscar_core.checks.attributes import attribute_shifts
from osscar_core.checks.distance import RED, RESAMPLES, compare_samples
from osscar_core.checks.observed import (
    PREDICTED,
    TRUE_CLASS,
    Answers,
    Items,
    Observed,
    Paired,
    answer,
    check_pair,
    common_context,
    load_items,
    observe,
    pair,
)
from osscar_core.checks.paired import PairedLabels
from osscar_core.checks.records import (
    FEWEST_ITEMS,
    AttributeShift,
    ExtraLoss,
    Metric,
    ShiftReport,
)
from osscar_core.datasets.spec import Split, shown_spec
from osscar_core.errors import DataError, SpecError
from osscar_core.progress import Progress, report
from osscar_core.records import check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

DEFAULT_LIMIT = 1000
LEVEL = 0.95
_LARGEST = 5000  # the distances of all pairs of items are held in memory
_MOST_NAMED = 5


def check_shift(
    model: LoadedModel,
    reference: str,
    new: str,
    *,
    pruned: LoadedModel | None = None,
    alarm_rate: float = 0.05,
    limit: int = DEFAULT_LIMIT,
    reference_split: Split = "calibration",
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ShiftReport:
    """Compare new data with a reference, as a model sees both.

    Args:
        model: The model whose features are compared; with ``pruned``, the dense one.
        reference: Data specification of what the model is known to handle.
        new: Data specification of the data in question.
        pruned: A smaller version of the model: does it lose more on the new data?
        alarm_rate: False alarms allowed, as a share in (0, 0.5].
        limit: Use the first so many items of each at most.
        reference_split: The part of the reference to use, where it has parts. A model knows
            the very items that it was trained on better than any others; ``evaluation``
            keeps that from looking like a shift.
        batch_size: Items a forward pass; ``None`` to choose.
        seed: Of the resamples.
        progress: Called after every batch; may raise `osscar_core.errors.Cancelled`.

    Raises:
        SpecError: A setting outside its range, or data of another kind than the model's.
        DataError: Data missing, unreadable or too small, or both sets are the same items.
        NumericalError: Outputs that are not finite.
    """
    started = time.perf_counter()
    check_range("alarm_rate", alarm_rate, 0.0, 0.5)
    if alarm_rate < 1 / (RESAMPLES + 1):
        raise SpecError(f"alarm_rate is {alarm_rate:g}", f"It must be at least {1e-3:g}")
    check_range("limit", limit, 2, _LARGEST)
    check_range("seed", seed, 0)
    if pruned is not None:
        check_pair(model, pruned)
    models = (model,) if pruned is None else (model, pruned)
    run = _Run(common_context(*models), batch_size, seed, progress)
    old_items = load_items(model, reference, limit=limit, split=reference_split)
    new_items = load_items(model, new, limit=limit, split="evaluation")
    old, old_answers = run.observe(model, old_items)
    fresh, new_answers = run.observe(model, new_items)
    known = set(fresh.keys)
    kept = np.array([key not in known for key in old.keys])
    if kept.sum() < 2 or len(fresh) < 2:
        raise DataError(
            f"the reference '{shown_spec(reference)}' and the new data '{shown_spec(new)}' are "
            "the same items",
            "Name data that the other does not hold",
        )
    report(progress, "compare", 0, 1, "distances")
    apart = compare_samples(old.features[kept], fresh.features, alarm_rate, seed)
    rows = tuple(row for row, is_kept in zip(old.rows, kept, strict=True) if is_kept)
    shifts = attribute_shifts(rows, fresh.rows, seed)
    extra = None
    if pruned is not None:
        before = run.pair(pruned, old_items, old_answers)
        after = run.pair(pruned, new_items, new_answers)
        extra = extra_loss(before.select(_told(old_answers.tokens, kept)), after)
    return ShiftReport(
        model=model.source.model,
        reference=old_items.info,
        new=new_items.info,
        distance=apart.distance,
        threshold=apart.threshold,
        alarm_rate=alarm_rate,
        p_value=apart.p_value,
        light=apart.light,
        attributes=shifts,
        extra=extra,
        warnings=_warnings(old, fresh, kept, shifts),
        protocol=_protocol(int(kept.sum()), len(fresh), alarm_rate, seed),
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """How models are run over items, the same for all of them."""

    context: int | None
    batch_size: int | None
    seed: int
    progress: Progress | None

    def observe(self, model: LoadedModel, items: Items) -> tuple[Observed, Answers]:
        return observe(
            model,
            items,
            context=self.context,
            batch_size=self.batch_size,
            progress=self.progress,
        )

    def pair(self, pruned: LoadedModel, items: Items, dense: Answers) -> Paired:
        answers = answer(
            pruned,
            items,
            context=self.context,
            batch_size=self.batch_size,
            progress=self.progress,
        )
        return pair(dense, answers, self.seed)


def extra_loss(reference: Paired, new: Paired, level: float = LEVEL) -> ExtraLoss:
    """Return how much more the pruned model loses on the new data than on the reference.

    Within a set both models answer the same items; the sets are independent. The interval of
    the difference comes from the two paired intervals (the bootstrap's, or the score's where
    few items flipped): each end takes the distances of both losses from their own ends, as
    the root of the sum of squares.

    Args:
        reference: Answers of both models on the reference.
        new: The same on the new data.
        level: Confidence of the interval.

    Reference:
        G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a
        general approach", Statistics in Medicine 27 (2008).
    """
    old_low, old_high = reference.interval(level)
    new_low, new_high = new.interval(level)
    extra = new.loss - reference.loss
    metric: Metric = "top1" if isinstance(new, PairedLabels) else "perplexity"
    return ExtraLoss(
        metric=metric,
        reference_loss=reference.loss,
        new_loss=new.loss,
        extra=extra,
        low=extra - math.hypot(new.loss - new_low, old_high - reference.loss),
        high=extra + math.hypot(new_high - new.loss, reference.loss - old_low),
        dense_reference=reference.dense,
        dense_new=new.dense,
        pruned_reference=reference.pruned,
        pruned_new=new.pruned,
    )


def _told(tokens: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return which of the paired answers are kept: documents without a prediction have none."""
    return kept[tokens > 0] if len(tokens) else kept


def _warnings(
    old: Observed, new: Observed, kept: np.ndarray, shifts: tuple[AttributeShift, ...]
) -> tuple[str, ...]:
    found = []
    dropped = int(len(kept) - kept.sum())
    if dropped:
        found.append(f"{dropped} items stand in both sets and are left out of the reference")
    for what, count in (("reference", int(kept.sum())), ("new data", len(new))):
        if count < FEWEST_ITEMS:
            found.append(f"the {what} has {count} items: too few to rely on")
    for column in (TRUE_CLASS, PREDICTED):
        known = {row[column] for row in old.rows if column in row}
        unseen = sorted({str(row[column]) for row in new.rows if column in row} - known)
        if unseen:
            found.append(f"{column} unseen in the reference: {_listed(unseen)}")
    found += [
        f"{shift.name} unseen in the reference: {_listed(shift.unseen)}"
        for shift in shifts
        if shift.unseen and shift.name not in (TRUE_CLASS, PREDICTED)
    ]
    sets = (("the reference", old), ("the new data", new))
    return (*found, *(f"{which}: {text}" for which, one in sets for text in one.info.warnings))


def _listed(values: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(values[:_MOST_NAMED])
    return f"{shown} and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else shown


def _protocol(old: int, new: int, alarm_rate: float, seed: int) -> str:
    return (
        f"energy distance between the model's own features of {old} and {new} items, in units "
        f"of the mean distance within the reference; the threshold is exceeded by "
        f"{alarm_rate:.1%} of {RESAMPLES} pairs of samples of these sizes drawn from the "
        f"reference; p by {RESAMPLES} permutations; red from {RED:g} times the threshold, amber "
        f"beyond it; attributes by Kolmogorov-Smirnov or total variation, corrected by Holm's "
        f"method; seed {seed}"
    )
