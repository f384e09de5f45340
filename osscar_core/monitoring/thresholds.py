"""What an alarm takes: thresholds at a stated rate of false alarms.

The decision hidden here: how chance is imitated. The reference items are divided once, at
random: most set the thresholds, the first of them are the baseline that the kit keeps,
and the rest is held out. For every batch size, baseline and batch are drawn anew from the
former, without a common item, some thousand times. Both vary, as they did in life, so the
rate holds on average over baselines. Of each draw the smallest p-value of the tests
counts (the min-P procedure of Westfall and Young), so that all tests together, however
they depend on each other, raise a false alarm at the stated rate. The held-out items then
measure it against the one baseline that was kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from osscar_core.errors import DataError
from osscar_core.evaluation.accuracy import wilson_interval
from osscar_core.monitoring.kit import monitor
from osscar_core.monitoring.kit.monitor import Observed
from osscar_core.monitoring.records import FalseAlarms
from osscar_core.progress import Progress, report

FEWEST_ITEMS = 120
LEAST_BATCH = 16
MOST_BATCH = 512
MOST_BASELINE = 1000
_HELD_OUT = 0.25
_BASELINE = 2 / 3
_FEWEST_RESAMPLES = 2000
_TAIL = 40  # resamples beyond the threshold of a single test
_AT_ONCE = 500
_MEASURED = 500


@dataclass(frozen=True, slots=True)
class Division:
    """Which reference items do what.

    Attributes:
        pool: Items that set the thresholds; the first ``baseline`` are kept.
        held_out: Items that measure the rate.
        baseline: Size of the baseline.
        sizes: Batch sizes to calibrate, ascending.
    """

    pool: Tensor
    held_out: Tensor
    baseline: int
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, count: int, seed: int) -> Division:
        """Divide ``count`` items.

        Raises:
            DataError: There are too few.
        """
        if count < FEWEST_ITEMS:
            raise DataError(
                f"the reference data has {count} items",
                f"A baseline takes {FEWEST_ITEMS} or more, better 2,000",
            )
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        held_out = round(count * _HELD_OUT)
        pool = order[held_out:]
        baseline = min(MOST_BASELINE, int(len(pool) * _BASELINE))
        most = min(MOST_BATCH, len(pool) - baseline)
        powers = (LEAST_BATCH * 2**step for step in range(10))
        sizes = (*(size for size in powers if size < most), most)
        return cls(pool, order[:held_out], baseline, sizes)


def select(seen: Observed, rows: Tensor) -> Observed:
    """Return some of the items."""
    return Observed(seen.features[rows], seen.predicted[rows], seen.confidence[rows])


def calibrate(
    seen: Observed,
    division: Division,
    *,
    classes: int | None,
    alarm_rate: float,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Return the baseline with its thresholds, as the kit keeps them.

    Args:
        seen: All reference items.
        division: Which of them do what.
        classes: Number of classes; ``None`` for text, which has no class mix.
        alarm_rate: Wanted rate of false alarms of all tests together.
        seed: Of the resamples.
        progress: Called after every batch size.
    """
    pool = select(seen, division.pool)
    baseline = _baseline(pool, division.baseline, classes)
    k = monitor.kernel(pool.features, pool.features, float(baseline["unit"]))
    k = (k - k.mean()).float()  # a constant cancels in the distance, and costs digits
    resamples = max(_FEWEST_RESAMPLES, math.ceil(_TAIL / alarm_rate))
    generator = torch.Generator().manual_seed(seed)
    nulls, smallest, allowed = [], [], []
    for done, size in enumerate(division.sizes):
        report(progress, "thresholds", done, len(division.sizes), f"batches of {size}")
        null = torch.cat(
            [
                resampled(pool, k, batch, base, baseline, classes)
                for batch, base in _draws(
                    len(pool.features), size, division.baseline, resamples, generator
                )
            ]
        )  # (resamples, tests)
        ranked = _smallest_p(null)
        nulls.append(null.T.sort(dim=1).values)
        smallest.append(ranked)
        allowed.append(_allowed(ranked, alarm_rate))
    report(progress, "thresholds", len(division.sizes), len(division.sizes), "")
    return {
        **baseline,
        "sizes": torch.tensor(division.sizes),
        "null": torch.stack(nulls).float(),
        "smallest_p": torch.stack(smallest).double(),
        "allowed": torch.tensor(allowed),
    }


def measure_false_alarms(
    seen: Observed, division: Division, baseline: dict[str, Tensor], seed: int = 0
) -> tuple[FalseAlarms, ...]:
    """Draw batches from the held-out items and count the alarms.

    Sizes that take more than half of the held-out items are left out: such batches hardly
    differ from each other.
    """
    held_out = select(seen, division.held_out)
    count = len(division.held_out)
    inside, across = monitor.kernels(baseline, held_out)
    generator = torch.Generator().manual_seed(seed + 1)
    found = []
    for size in division.sizes:
        if 2 * size > count and size != division.sizes[0]:
            continue
        alarms = 0
        for _ in range(_MEASURED):
            rows = torch.randperm(count, generator=generator)[:size]
            known = inside[rows][:, rows], across[rows]
            values = monitor.statistics(baseline, select(held_out, rows), known)
            alarms += monitor.judge(baseline, values, size).is_alarm
        low, high = wilson_interval(alarms, _MEASURED)
        found.append(FalseAlarms(size, _MEASURED, alarms, low, high))
    return tuple(found)


def _baseline(pool: Observed, count: int, classes: int | None) -> dict[str, Tensor]:
    kept = select(pool, torch.arange(count))
    unit = float(torch.nn.functional.pdist(kept.features.double()).mean())
    if not unit > 0:
        raise DataError(
            "the reference items are all alike in the model's features",
            "Give items that differ, as those in use do",
        )
    found = {
        "features": kept.features,
        "unit": torch.tensor(unit, dtype=torch.float64),
        "kernel_mean": torch.tensor(-1.0, dtype=torch.float64),  # by the choice of the unit
        "confidence_mean": kept.confidence.double().mean(),
        "confidence_sd": pool.confidence.double().std().clamp_min(1e-12),
    }
    if classes is not None:
        found["class_shares"] = monitor.class_shares(kept.predicted, classes)
        everywhere = monitor.class_shares(pool.predicted, classes)
        found["class_weights"] = 1 / everywhere.clamp_min(1 / len(pool.predicted))
    return found


def _draws(
    items: int, size: int, base: int, resamples: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield disjoint batches and baselines as rows of 0 and 1, float32, (some, items)."""
    for start in range(0, resamples, _AT_ONCE):
        some = min(_AT_ONCE, resamples - start)
        order = torch.rand(some, items, generator=generator).argsort(dim=1)
        ones = torch.ones(some, items)
        batch = torch.zeros(some, items).scatter_(1, order[:, :size], ones)
        baseline = torch.zeros(some, items).scatter_(1, order[:, size : size + base], ones)
        yield batch, baseline


def resampled(
    pool: Observed,
    k: Tensor,
    batch: Tensor,
    base: Tensor,
    baseline: dict[str, Tensor],
    classes: int | None,
) -> Tensor:
    """Return `monitor.statistics` of many batches against many baselines at once.

    Args:
        pool: The items.
        k: Their kernel matrix, up to a constant, float32, (N, N).
        batch: Which items are the batch, one draw a row, 0 or 1, float32, (B, N).
        base: Which are the baseline.
        baseline: What stays fixed: the spread of the confidence and the weights of classes.
        classes: As for `calibrate`.

    Returns:
        float64, (B, tests).
    """
    n, m = float(batch[0].sum()), float(base[0].sum())
    scale = n * m / (n + m)
    diagonal = k.diagonal()
    by_batch = batch @ k  # (B, N)
    inside = ((by_batch * batch).sum(1) - batch @ diagonal) / (n * (n - 1))
    across = (by_batch * base).sum(1) / (n * m)
    reference = (((base @ k) * base).sum(1) - base @ diagonal) / (m * (m - 1))
    found = [scale * (inside - 2 * across + reference).double()]
    confidence = pool.confidence.double()
    gap = batch.double() @ confidence / n - base.double() @ confidence / m
    found.append(math.sqrt(scale) * gap.abs() / baseline["confidence_sd"])
    if classes is not None:
        hot = torch.nn.functional.one_hot(pool.predicted, classes).float()
        moved = (batch @ hot / n - base @ hot / m).double().square()
        found.append(scale * moved @ baseline["class_weights"])
    return torch.stack(found, dim=1)


def _smallest_p(null: Tensor) -> Tensor:
    """Return the smallest p-value over the tests of each draw among all draws, ascending."""
    count = len(null)
    ordered = null.T.contiguous().sort(dim=1).values  # (tests, B)
    below = torch.searchsorted(ordered, null.T.contiguous())  # draws strictly smaller
    return ((count - below) / count).amin(0).double().sort().values


def _allowed(smallest: Tensor, alarm_rate: float) -> int:
    """Return how many resamples of one test may reach what raises an alarm.

    The largest number for which at most the share ``alarm_rate`` of all draws has an alarm
    in any test.
    """
    count = len(smallest)
    values = (smallest * count).round().long()
    within = int(alarm_rate * count)
    # Alarm where fewer than `first` draws are as large; none beyond `within` may have one.
    first = int(values[within])
    return max(0, first - 1)
