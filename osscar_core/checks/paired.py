"""Statistics of two models on the same items: how much is lost, and how sure that is.

The decision hidden here: which test and which interval belong to which outcome.

- Labels: McNemar's exact test. The interval is the paired bootstrap's where at least
  `FEWEST_FLIPS` items flipped, and Tango's score interval below that. The bootstrap
  resamples the flips that were seen: without any it gives [0, 0] and would confirm every
  margin, and with few that all go one way it covers the truth in 87 of 100 cases instead
  of 95. The score interval keeps its level there (``benchmarks/checks.py``).
- Text: the permutation test that flips the signs of the documents' differences, exact if
  the two models are exchangeable. The interval is the studentised bootstrap's over
  documents, of the ratio of sums.

A loss is found only where interval and test both say so. Libraries of statistics are
imported when needed. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from osscar_core.checks.records import FEWEST_ITEMS, Conclusion, SliceResult
from osscar_core.errors import NumericalError, SpecError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_FLIPS = 20
"""With fewer items that flipped, the bootstrap of labels does not keep its level."""

RESAMPLES = 9_999
ROUNDING = 1e-6
"""A difference of losses of at most so many nats a token is float32 rounding: none at all."""

_MOST_NEEDED = 10**9
_CELLS_AT_ONCE = 2**21
_EDGE = 1e-12
_NO_SPREAD = 1e-6  # of the standard error; what rounding leaves of a spread that is none
_MOST_NATS = 100.0  # two or three documents can make the end of an interval anything


class Outcomes(Protocol):
    """What two models made of the same items."""

    @property
    def count(self) -> int:
        """Items."""

    @property
    def dense(self) -> float:
        """Quality of the dense model."""

    @property
    def pruned(self) -> float:
        """Quality of the pruned model."""

    @property
    def loss(self) -> float:
        """How much worse the pruned model is, in the units of a margin."""

    def select(self, mask: Bools) -> Self:
        """Return the outcomes of some of the items."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the loss."""

    def p_value(self) -> float:
        """Return that of the two-sided paired test that there is no loss."""

    def needed(self, margin: float, level: float) -> int | None:
        """Return how many more items would decide, if what was seen goes on."""


@dataclass(frozen=True)
class PairedLabels:
    """Hits and misses of two classifiers on the same items.

    Attributes:
        dense_right: Whether the dense model was right, bool, (n,).
        pruned_right: Whether the pruned model was right, bool, (n,).
        seed: Of the bootstrap.
    """

    dense_right: Bools
    pruned_right: Bools
    seed: int = 0

    def __post_init__(self) -> None:
        _check_lengths(len(self.dense_right), len(self.pruned_right))

    @property
    def count(self) -> int:
        """Items."""
        return len(self.dense_right)

    @cached_property
    def lost(self) -> int:
        """Items that were right and are wrong now."""
        return int((self.dense_right & ~self.pruned_right).sum())

    @cached_property
    def gained(self) -> int:
        """Items that were wrong and are right now."""
        return int((~self.dense_right & self.pruned_right).sum())

    @property
    def dense(self) -> float:
        """Accuracy of the dense model."""
        return float(self.dense_right.mean())

    @property
    def pruned(self) -> float:
        """Accuracy of the pruned model."""
        return float(self.pruned_right.mean())

    @property
    def loss(self) -> float:
        """Difference of the accuracies."""
        return (self.lost - self.gained) / self.count

    def select(self, mask: Bools) -> PairedLabels:
        """Return the outcomes of some of the items."""
        return PairedLabels(self.dense_right[mask], self.pruned_right[mask], self.seed)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the difference of accuracies."""
        if self.lost + self.gained < FEWEST_FLIPS:
            return score_interval(self.lost, self.gained, self.count, level)
        return self._bootstrap(level)

    def p_value(self) -> float:
        """Return the p-value of McNemar's exact test."""
        from statsmodels.stats.contingency_tables import mcnemar

        # The test looks at nothing but the items that flipped.
        return float(mcnemar([[0, self.lost], [self.gained, 0]], exact=True).pvalue)

    def needed(self, margin: float, level: float) -> int | None:
        """Return how many more items would decide, if what was seen goes on.

        With the shares of lost and gained items as seen, the smallest N whose score
        interval lies at or below the margin or above zero, less the items there are.
        """
        shares = self.lost / self.count, self.gained / self.count

        def decides(total: int) -> bool:
            low, high = score_interval(shares[0] * total, shares[1] * total, total, level)
            return high <= margin or low > 0

        return _more(self.count, decides)

    def _bootstrap(self, level: float) -> tuple[float, float]:
        # Resampling items is drawing the counts of lost, gained and other items.
        n, lost, gained = self.count, self.lost, self.gained
        rng = np.random.default_rng(self.seed)
        shares = [lost / n, gained / n, (n - lost - gained) / n]
        draws = rng.multinomial(n, shares, size=RESAMPLES)  # (R, 3)
        tail = (1 - level) / 2
        low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class PairedText:
    """Losses of two language models on the same documents.

    Attributes:
        dense_sums: Sum of the token losses of the dense model in nats, (n,).
        pruned_sums: The same of the pruned model.
        tokens: Tokens predicted, (n,); above zero.
        seed: Of the bootstrap.
        resamples: Resamples of the bootstrap.
    """

    dense_sums: Floats
    pruned_sums: Floats
    tokens: Floats
    seed: int = 0
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        _check_lengths(len(self.dense_sums), len(self.pruned_sums))
        _check_lengths(len(self.dense_sums), len(self.tokens))
        if not (self.tokens > 0).all():
            raise SpecError("a document has no predicted token", "Leave it out of the comparison")

    @property
    def count(self) -> int:
        """Documents."""
        return len(self.tokens)

    @property
    def dense(self) -> float:
        """Perplexity of the dense model."""
        return _exponential(self.dense_sums.sum() / self.tokens.sum())

    @property
    def pruned(self) -> float:
        """Perplexity of the pruned model."""
        return _exponential(self.pruned_sums.sum() / self.tokens.sum())

    @cached_property
    def differences(self) -> Floats:
        """Loss of the pruned model beyond the dense one per document, in nats, (n,)."""
        raw = self.pruned_sums - self.dense_sums
        return np.where(np.abs(raw) <= ROUNDING * self.tokens, 0.0, raw)

    @property
    def loss(self) -> float:
        """Relative rise of the perplexity."""
        return math.expm1(min(_MOST_NATS, self._mean))

    def select(self, mask: Bools) -> PairedText:
        """Return the outcomes of some of the documents."""
        return PairedText(
            self.dense_sums[mask],
            self.pruned_sums[mask],
            self.tokens[mask],
            self.seed,
            self.resamples,
        )

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the relative rise of the perplexity."""
        if self._error == 0:
            return self.loss, self.loss
        tail = (1 - level) / 2
        left, right = np.quantile(self._studentised, [tail, 1 - tail])
        low, high = self._mean - right * self._error, self._mean - left * self._error
        low, high = (max(-_MOST_NATS, min(_MOST_NATS, end)) for end in (low, high))
        return math.expm1(low), math.expm1(high)

    def p_value(self) -> float:
        """Return that of the test by flipping signs: exact if the models are exchangeable."""
        if not self.differences.any():
            return 1.0
        rng = np.random.default_rng(self.seed)
        d, seen = self.differences, float(self.differences.sum())
        rounding = _EDGE * float(np.abs(d).sum())
        above = below = 1  # the signs as seen
        for rows in _chunks(self.resamples, self.count):
            sums = (2.0 * rng.integers(0, 2, (rows, self.count)) - 1) @ d  # (rows,)
            above += int((sums >= seen - rounding).sum())
            below += int((sums <= seen + rounding).sum())
        return min(1.0, 2 * min(above, below) / (self.resamples + 1))

    def needed(self, margin: float, level: float) -> int | None:
        """Return how many more documents would decide, if what was seen goes on.

        With the interval's ends at distances that shrink as the root of the number of
        documents, the smallest N at which it lies at or below the margin or above zero,
        less the documents there are.
        """
        mean, count = self._mean, self.count
        low, high = (math.log1p(end) for end in self.interval(level))
        limit = math.log1p(margin)

        def decides(total: int) -> bool:
            shrunk = math.sqrt(count / total)
            return mean + (high - mean) * shrunk <= limit or mean - (mean - low) * shrunk > 0

        return _more(count, decides)

    @cached_property
    def _mean(self) -> float:
        return float(self.differences.sum() / self.tokens.sum())

    @cached_property
    def _error(self) -> float:
        """Standard error of the mean, by the delta method for a ratio of sums."""
        residuals = self.differences - self._mean * self.tokens
        scale = self.count / max(1, self.count - 1)
        return math.sqrt(scale * float(np.square(residuals).sum())) / float(self.tokens.sum())

    @cached_property
    def _studentised(self) -> Floats:
        """Deviations of resampled means from the mean, in standard errors, (resamples,)."""
        rng = np.random.default_rng(self.seed)
        d, t, n = self.differences, self.tokens, self.count
        products = np.stack([d, t, d * d, d * t, t * t], axis=1)  # (n, 5)
        parts = []
        for rows in _chunks(self.resamples, n):
            sums = _resample(rng, rows, n) @ products  # (rows, 5)
            means = sums[:, 0] / sums[:, 1]
            squares = sums[:, 2] - 2 * means * sums[:, 3] + means**2 * sums[:, 4]
            errors = np.sqrt(np.maximum(squares, 0) * n / max(1, n - 1)) / sums[:, 1]
            # A resample of one document over and over has no spread: it says nothing.
            floor = self._error * _NO_SPREAD
            parts.append(np.where(errors > floor, (means - self._mean) / errors.clip(floor), 0.0))
        return np.concatenate(parts)


def judge(
    outcomes: Outcomes,
    margin: float,
    level: float,
    *,
    name: tuple[str, str] = ("", ""),
    tests: int = 1,
) -> SliceResult:
    """Return what outcomes say of a margin.

    Args:
        outcomes: Of all items or of one slice.
        margin: The acceptable loss.
        level: Confidence of all intervals together.
        name: Column and value of the slice.
        tests: Slices judged together. The interval is Bonferroni's: wide enough that all
            of them hold at once; the p-value is the plain one, for the caller to correct.
    """
    alpha = (1 - level) / tests
    low, high = outcomes.interval(1 - alpha)
    p_value = outcomes.p_value()
    conclusion = conclude(low, high, margin, is_significant=p_value < alpha)
    is_small = outcomes.count < FEWEST_ITEMS
    is_open = conclusion is Conclusion.NOT_PROVEN and not is_small
    return SliceResult(
        column=name[0],
        value=name[1],
        count=outcomes.count,
        dense=outcomes.dense,
        pruned=outcomes.pruned,
        loss=outcomes.loss,
        low=low,
        high=high,
        p_value=p_value,
        conclusion=None if is_small else conclusion,
        needed=outcomes.needed(margin, 1 - alpha) if is_open else None,
    )


def conclude(low: float, high: float, margin: float, *, is_significant: bool) -> Conclusion:
    """Return what an interval says of a margin; a loss is found only if the test agrees."""
    conclusion = Conclusion.of(low, high, margin)
    if conclusion is Conclusion.LOSS_FOUND and not is_significant:
        return Conclusion.NOT_PROVEN
    return conclusion


def score_interval(lost: float, gained: float, count: float, level: float) -> tuple[float, float]:
    """Return Tango's score interval of ``(lost - gained) / count`` for paired labels.

    It holds the differences that a score test would not reject. Without a single flip it
    is ``±z² / (count + z²)``.

    Args:
        lost: Items right before and wrong now.
        gained: Items wrong before and right now.
        count: All items.
        level: Confidence, such as 0.95.

    Reference:
        T. Tango, "Equivalence test and confidence interval for the difference in
        proportions for the paired-sample design", Statistics in Medicine 17 (1998).
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    seen = (lost - gained) / count

    def beyond(difference: float, sign: int) -> float:
        return _score(lost, gained, count, difference) * sign - z

    low, high = -1 + _EDGE, 1 - _EDGE
    if seen > low and beyond(low, 1) > 0:
        low = float(brentq(lambda d: beyond(d, 1), low, seen, xtol=_EDGE))
    if seen < high and beyond(high, -1) > 0:
        high = float(brentq(lambda d: beyond(d, -1), seen, high, xtol=_EDGE))
    return low, high


def _score(lost: float, gained: float, count: float, difference: float) -> float:
    """Return the score statistic of the hypothesis that ``difference`` is the true one."""
    # The gained share that is likeliest under the hypothesis solves a q^2 + b q + c = 0.
    a = 2 * count
    b = (2 * count - lost + gained) * difference - lost - gained
    c = -gained * difference * (1 - difference)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = count * (2 * share + difference * (1 - difference))
    distance = lost - gained - count * difference
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def label_power(count: int, loss: float, flips: float, level: float = 0.95) -> float:
    """Return the chance that McNemar's exact test finds a loss.

    Summed exactly over how many items flip, ``D ~ Binomial(count, flips)``, and how many
    of those are lost, ``Binomial(D, (flips + loss) / (2 flips))``.

    Args:
        count: Items.
        loss: True difference of the accuracies.
        flips: Share of items on which exactly one model is right; at least ``|loss|``.
        level: One minus the level of the two-sided test.

    Raises:
        SpecError: More is lost than flips.
    """
    from scipy.stats import binom

    if not 0 < flips <= 1 or abs(loss) > flips:
        raise SpecError(
            f"a loss of {loss:g} with a share of {flips:g} flipped items is not possible",
            "The share must be above 0, at most 1, and no smaller than the loss",
        )
    several = np.arange(count + 1)
    weights = binom.pmf(several, count, flips)
    several, weights = several[weights > _EDGE], weights[weights > _EDGE]
    # Rejected if at most `gained` flips are gains: the largest number still that unlikely.
    gained = binom.ppf((1 - level) / 2, several, 0.5)
    gained = np.where(2 * binom.cdf(gained, several, 0.5) < 1 - level, gained, gained - 1)
    found = binom.cdf(gained, several, (flips - loss) / (2 * flips))
    return float((weights * found).sum())


def text_power(count: int, loss: float, spread: float, level: float = 0.95) -> float:
    """Return the chance that a two-sided paired test finds a loss of a language model.

    Args:
        count: Documents, of about the same length.
        loss: True relative rise of the perplexity.
        spread: Standard deviation over documents of the difference of mean losses, in nats.
        level: One minus the level of the test.
    """
    from statsmodels.stats.power import TTestPower

    effect = math.log1p(loss) / spread
    return float(TTestPower().power(effect, count, 1 - level, alternative="two-sided"))


def _resample(rng: np.random.Generator, rows: int, n: int) -> Floats:
    """Return how often each of ``n`` items is drawn, in ``rows`` resamples, (rows, n)."""
    cells = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
    return np.bincount(cells.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _chunks(rows: int, width: int) -> Iterator[int]:
    """Yield counts that add up to ``rows``, each small enough for memory."""
    step = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, rows, step):
        yield min(step, rows - start)


def _more(count: int, decides: Callable[[int], bool]) -> int | None:
    """Return how many items beyond ``count`` it takes until ``decides`` holds; 1 at least."""
    high = count + 1
    while not decides(high):
        high *= 2
        if high > _MOST_NEEDED:
            return None
    low = max(count, high // 2)  # decides not, or is not asked
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high - count


def _exponential(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        raise NumericalError(
            f"a mean loss of {nats:.0f} nats has no finite perplexity",
            "The model is broken; prune less, or check its weights",
        ) from None


def _check_lengths(first: int, second: int) -> None:
    if first != second or not first:
        raise SpecError(
            f"{first} and {second} outcomes cannot be paired",
            "Both models must answer the same items, at least one",
        )
