"""Both models on disturbed copies of the same items.

The decision hidden here: what is compared. An item is disturbed in the same way for both
models and, by `osscar_core.datasets.disturb`, ever more of the same with the strength. At
each strength the models are compared in pairs; whether the pruned one loses more under the
strongest disturbance than without is told by resampling items with all four of their
answers.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from osscar_core.checks.observed import (
    Answers,
    Items,
    Paired,
    answer,
    check_pair,
    common_context,
    load_items,
    pair,
)
from osscar_core.checks.paired import FEWEST_FLIPS, PairedLabels, PairedText
from osscar_core.checks.records import Metric, StressPoint, StressReport, StressRow
from osscar_core.checks.shift import extra_loss
from osscar_core.datasets.disturb import disturb_text
from osscar_core.datasets.documents import Documents
from osscar_core.datasets.mix import DISTURBANCES, Change
from osscar_core.errors import SpecError, unknown_name
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DEFAULT_LIMIT = 500
LEVEL = 0.95
RESAMPLES = 2_000
_STAGE = "stress"
_CELLS_AT_ONCE = 2**21


def check_stress(
    dense: LoadedModel,
    pruned: LoadedModel,
    data: str,
    *,
    disturbances: Sequence[str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    limit: int | None = DEFAULT_LIMIT,
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> StressReport:
    """Disturb inputs more and more, and compare two models at every step.

    Args:
        dense: The reference.
        pruned: The model compared with it.
        data: Data specification.
        disturbances: Names in `osscar_core.datasets.mix.DISTURBANCES`; ``None`` for all that
            suit the models.
        strengths: From 0, none, to 1, the strongest; rising, and beginning with 0.
        limit: Use the first so many items at most; ``None`` for all.
        batch_size: Items a forward pass; ``None`` to choose.
        seed: Of the disturbances and the bootstrap.
        progress: Called after every pass over the data.

    Raises:
        SpecError: A setting outside its range, or data of another kind than the models'.
        DataError: Data missing, unreadable or empty.
        NumericalError: Outputs that are not finite.
    """
    started = time.perf_counter()
    names = _names(dense, pruned, disturbances)
    steps = _steps(strengths)
    check_range("seed", seed, 0)
    items = load_items(dense, data, limit=limit, split="evaluation")
    changes = [Change(name, strength) for name in names for strength in steps[1:]]
    passes = _Passes((dense, pruned), 2 * (1 + len(changes)), batch_size, progress)
    start = pair(*passes.both(items, "undisturbed"), seed)
    rows = []
    for name in names:
        found = [start]
        for strength in steps[1:]:
            change = Change(name, strength)
            copies = disturbed(items, change, seed)
            found.append(pair(*passes.both(copies, f"{name} {strength:g}"), seed))
        rows.append(_row(name, steps, found, seed))
    return StressReport(
        dense=dense.source.model,
        pruned=pruned.source.model,
        metric=_metric(start),
        data=items.info,
        rows=tuple(sorted(rows, key=lambda row: -row.extra)),
        protocol=(
            f"{len(items)} {'documents' if isinstance(items, Documents) else 'images'}, each "
            f"disturbed alike for both models at strengths "
            f"{', '.join(f'{strength:g}' for strength in steps)}; paired intervals at "
            f"{LEVEL:.0%}; the extra loss by {RESAMPLES} resamples of items; seed {seed}"
        ),
        seed=seed,
        seconds=time.perf_counter() - started,
    )


def disturbed(items: Items, change: Change, seed: int) -> Items:
    """Return disturbed copies of images or documents."""
    if not isinstance(items, Documents):
        return items.disturbed(change, seed)
    texts = tuple(disturb_text(text, change, key, seed) for key, text in enumerate(items.texts))
    return dataclasses.replace(items, texts=texts)


@dataclasses.dataclass
class _Passes:
    """Runs both models over the data, and tells how far that is."""

    models: tuple[LoadedModel, LoadedModel]
    total: int
    batch_size: int | None
    progress: Progress | None
    done: int = 0

    def both(self, items: Items, what: str) -> tuple[Answers, Answers]:
        dense, pruned = (self._one(model, items, what) for model in self.models)
        return dense, pruned

    def _one(self, model: LoadedModel, items: Items, what: str) -> Answers:
        def told(event: ProgressEvent) -> None:
            if self.progress is not None:
                share = event.done / event.total if event.total else 1.0
                self.progress(ProgressEvent(_STAGE, self.done + share, self.total, what))

        found = answer(
            model,
            items,
            context=common_context(*self.models),
            batch_size=self.batch_size,
            progress=told,
        )
        self.done += 1
        return found


def _row(name: str, strengths: tuple[float, ...], found: list[Paired], seed: int) -> StressRow:
    extra, low, high = extra_of_pairs(found[0], found[-1], seed)
    return StressRow(
        disturbance=name,
        meaning=DISTURBANCES[name].meaning,
        points=tuple(_point(s, one) for s, one in zip(strengths, found, strict=True)),
        extra=extra,
        low=low,
        high=high,
    )


def _point(strength: float, found: Paired) -> StressPoint:
    low, high = found.interval(LEVEL)
    return StressPoint(strength, found.dense, found.pruned, found.loss, low, high)


def extra_of_pairs(before: Paired, after: Paired, seed: int = 0) -> tuple[float, float, float]:
    """Return how much more is lost after a disturbance, with its interval.

    Args:
        before: Both models on the undisturbed items.
        after: Both models on the same items, disturbed.
        seed: Of the resampling.

    Returns:
        The extra loss and the ends of its 95% interval: by resampling items where items are
        the same and enough of them tell something, otherwise as for two independent sets,
        which is wider.
    """
    if isinstance(before, PairedLabels) and isinstance(after, PairedLabels):
        changes = _lost(after) - _lost(before)
        counts = np.array([(changes == step).sum() for step in range(-2, 3)])
        if len(changes) - counts[2] >= FEWEST_FLIPS:
            rng = np.random.default_rng(seed)
            draws = rng.multinomial(len(changes), counts / len(changes), RESAMPLES)
            return _told(float(changes.mean()), draws @ np.arange(-2, 3) / len(changes))
    elif isinstance(before, PairedText) and isinstance(after, PairedText):
        same = before.count == after.count
        if same:
            return _text_extra(before, after, seed)
    apart = extra_loss(before, after, LEVEL)
    return apart.extra, apart.low, apart.high


def _text_extra(before: PairedText, after: PairedText, seed: int) -> tuple[float, float, float]:
    rng = np.random.default_rng(seed)
    n = before.count
    columns = np.stack(
        [before.differences, before.tokens, after.differences, after.tokens], axis=1
    )  # (n, 4)
    step = max(1, _CELLS_AT_ONCE // n)
    drawn = [
        rng.multinomial(n, np.full(n, 1 / n), min(step, RESAMPLES - start)) @ columns
        for start in range(0, RESAMPLES, step)
    ]
    sums = np.concatenate(drawn)  # (RESAMPLES, 4)
    extras = np.exp(sums[:, 2] / sums[:, 3]) - np.exp(sums[:, 0] / sums[:, 1])
    return _told(after.loss - before.loss, extras)


def _told(extra: float, resampled: np.ndarray) -> tuple[float, float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]).tolist()
    return extra, min(low, extra), max(high, extra)


def _lost(pairs: PairedLabels) -> np.ndarray:
    """Return 1 for items right before and wrong now, -1 for the reverse, else 0."""
    return pairs.dense_right.astype(np.int64) - pairs.pruned_right.astype(np.int64)


def _names(
    dense: LoadedModel, pruned: LoadedModel, disturbances: Sequence[str] | None
) -> tuple[str, ...]:
    check_pair(dense, pruned)
    suited = tuple(name for name, known in DISTURBANCES.items() if known.task == dense.task)
    for name in disturbances or ():
        if name not in suited:
            raise unknown_name("disturbance of such data", name, suited)
    return tuple(dict.fromkeys(disturbances)) if disturbances else suited


def _steps(strengths: Sequence[float]) -> tuple[float, ...]:
    steps = tuple(strengths)
    for strength in steps:
        check_range("strength", strength, 0.0, 1.0)
    if len(steps) < 2 or steps[0] != 0 or any(a >= b for a, b in itertools.pairwise(steps)):
        raise SpecError(
            f"the strengths are {', '.join(f'{s:g}' for s in steps) or 'none'}",
            "Begin with 0, then rise, such as 0,0.5,1",
        )
    return steps


def _metric(found: Paired) -> Metric:
    return "top1" if isinstance(found, PairedLabels) else "perplexity"
