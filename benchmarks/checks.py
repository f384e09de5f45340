"""Does the statistics of the checks keep its promises: false alarms, power, coverage.

Simulated outcomes, no model. A seeded short form of the same runs is a test.

    python -m benchmarks.checks
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osscar_core.checks.paired import (
    FEWEST_FLIPS,
    PairedLabels,
    PairedText,
    label_power,
    score_interval,
    text_power,
)
from osscar_core.cli.console import table

LEVEL = 0.95
_ALPHA = 1 - LEVEL
_BOOTSTRAP = 999
_TOKENS = (4.5, 0.6)  # of the logarithm of a document's length
_NOISE = 0.5  # nats, of the difference on one token
_SKEW = 0.05  # nats, of the difference from document to document


@dataclass(frozen=True)
class Counts:
    """Flips of a comparison of labels, and how often it was drawn."""

    lost: int
    gained: int
    times: int


def draw_counts(n: int, flips: float, loss: float, runs: int, seed: int) -> Iterator[Counts]:
    """Draw flips of two models of which one has lost ``loss``."""
    rng = np.random.default_rng(seed)
    shares = [(flips + loss) / 2, (flips - loss) / 2, 1 - flips]
    drawn, times = np.unique(
        rng.multinomial(n, shares, size=runs)[:, :2], axis=0, return_counts=True
    )
    for (lost, gained), count in zip(drawn.tolist(), times.tolist(), strict=True):
        yield Counts(lost, gained, count)


def labels_of(counts: Counts, n: int) -> PairedLabels:
    """Return outcomes with these flips; the other items are right both times."""
    dense, pruned = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    pruned[: counts.lost] = False
    dense[counts.lost : counts.lost + counts.gained] = False
    return PairedLabels(dense, pruned)


def draw_text(
    n: int, loss: float, rng: np.random.Generator, resamples: int, *, is_skewed: bool = True
) -> PairedText:
    """Draw documents of uneven length on which one model has lost ``loss``, unevenly.

    Without skew the two models are exchangeable where nothing is lost.
    """
    tokens = np.ceil(rng.lognormal(*_TOKENS, n))
    uneven = rng.exponential(_SKEW, n) - _SKEW if is_skewed else rng.laplace(0, _SKEW / 2**0.5, n)
    drift = (math.log1p(loss) + uneven) * tokens + rng.normal(0, _NOISE * np.sqrt(tokens))
    dense = tokens * rng.normal(1.5, 0.2, n)
    return PairedText(dense, dense + drift, tokens, int(rng.integers(2**31)), resamples)


def document_spread() -> float:
    """Standard deviation of a document's mean difference that weighs as the ratio does."""
    rng = np.random.default_rng(0)
    tokens = np.ceil(rng.lognormal(*_TOKENS, 1_000_000))
    per_token = _SKEW**2 * np.square(tokens) + _NOISE**2 * tokens
    return float(np.sqrt(per_token.mean()) / tokens.mean())


def labels_found(n: int, flips: float, loss: float, runs: int, seed: int = 0) -> float:
    """Return how often McNemar's test says that there is a loss."""
    found = sum(
        one.times
        for one in draw_counts(n, flips, loss, runs, seed)
        if one.lost > one.gained and labels_of(one, n).p_value() < _ALPHA
    )
    return found / runs


def labels_alarmed(n: int, flips: float, runs: int, seed: int = 0) -> float:
    """Return how often two equally good models are said to differ."""
    alarms = sum(
        one.times
        for one in draw_counts(n, flips, 0.0, runs, seed)
        if labels_of(one, n).p_value() < _ALPHA
    )
    return alarms / runs


def labels_covered(
    n: int, flips: float, loss: float, runs: int, level: float = LEVEL, seed: int = 0
) -> tuple[float, float, float]:
    """Return coverage of our interval, of the bootstrap's and of the score's alone."""
    hits = np.zeros(3)
    for one in draw_counts(n, flips, loss, runs, seed):
        paired = labels_of(one, n)
        ours = paired.interval(level)
        plain = paired._bootstrap(level)  # noqa: SLF001 - to show why it is not used alone
        score = score_interval(one.lost, one.gained, n, level)
        hits += one.times * np.array(
            [low - 1e-9 <= loss <= high + 1e-9 for low, high in (ours, plain, score)]
        )
    ours_share, plain_share, score_share = (hits / runs).tolist()
    return ours_share, plain_share, score_share


def text_found(n: int, loss: float, runs: int, seed: int = 0, *, is_skewed: bool = True) -> float:
    """Return how often documents say that there is a loss, or with none, a difference."""
    rng = np.random.default_rng(seed)
    drawn = (draw_text(n, loss, rng, _BOOTSTRAP, is_skewed=is_skewed) for _ in range(runs))
    found = sum(one.p_value() < _ALPHA and (loss == 0 or one.loss > 0) for one in drawn)
    return found / runs


def text_covered(n: int, loss: float, runs: int, seed: int = 0) -> float:
    """Return how often the interval of documents holds the true loss."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(runs):
        low, high = draw_text(n, loss, rng, _BOOTSTRAP).interval(LEVEL)
        held += low <= loss <= high
    return held / runs


def percentile_covered(n: int, loss: float, runs: int, seed: int = 0) -> float:
    """Return the coverage of the plain percentile bootstrap over documents."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(runs):
        paired = draw_text(n, loss, rng, _BOOTSTRAP)
        rows: NDArray[np.int64] = rng.integers(0, n, (_BOOTSTRAP, n))
        means = paired.differences[rows].sum(axis=1) / paired.tokens[rows].sum(axis=1)
        low, high = np.expm1(np.quantile(means, [_ALPHA / 2, 1 - _ALPHA / 2]))
        held += low <= loss <= high
    return held / runs


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _show(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"\n{title}\n{table(header, rows)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    runs = parser.parse_args().runs
    rows = [
        ("labels", str(n), f"{flips:.1%}", _percent(1 - labels_alarmed(n, flips, runs)))
        for n, flips in ((200, 0.1), (1000, 0.005), (1000, 0.02), (2000, 0.05), (2000, 0.2))
    ]
    rows += [
        (name, str(n), "", _percent(1 - text_found(n, 0.0, runs, is_skewed=is_skewed)))
        for name, is_skewed in (("text, exchangeable", False), ("text, equal means", True))
        for n in (30, 60, 240)
    ]
    _show("Equal models called not different", ("outcome", "items", "flips", "share"), rows)

    cases = ((500, 0.05, 0.02), (1000, 0.02, 0.01), (2000, 0.02, 0.01), (2000, 0.05, 0.01),
             (2000, 0.05, 0.02), (5000, 0.05, 0.01))  # fmt: skip
    rows = [
        ("labels", str(n), f"{flips:.0%}", f"{100 * loss:g} points",
         _percent(label_power(n, loss, flips)), _percent(labels_found(n, flips, loss, runs)))
        for n, flips, loss in cases
    ]  # fmt: skip
    spread = document_spread()
    for n, loss in ((30, 0.03), (60, 0.02), (60, 0.03), (240, 0.01), (240, 0.02)):
        predicted, found = text_power(n, loss, spread), text_found(n, loss, runs)
        rows.append(("text", str(n), "", f"{loss:.0%}", _percent(predicted), _percent(found)))
    header = ("outcome", "items", "flips", "damage", "predicted", "simulated")
    _show("Damage found", header, rows)

    cells = ((40, 0.05, 0.05), (200, 0.005, 0.0), (1000, 0.005, 0.0), (1000, 0.005, 0.005),
             (1000, 0.02, 0.0), (1000, 0.02, 0.01), (2000, 0.01, 0.005), (2000, 0.05, 0.01),
             (200, 0.1, 0.05), (2000, 0.2, 0.02))  # fmt: skip
    rows = []
    for n, flips, loss in cells:
        for level in (LEVEL, 1 - _ALPHA / 12):
            shares = labels_covered(n, flips, loss, runs, level)
            head = (f"{n:,}", f"{flips:.1%}", f"{100 * loss:g}", f"{level:.2%}")
            rows.append((*head, *map(_percent, shares)))
    header = ("items", "flips", "true loss, points", "level", "ours", "bootstrap", "score")
    _show(f"Coverage, labels (ours: bootstrap from {FEWEST_FLIPS} flips on)", header, rows)

    rows = [
        (str(n), _percent(text_covered(n, 0.01, runs, seed=1)),
         _percent(percentile_covered(n, 0.01, runs, seed=1)))
        for n in (30, 60, 240)
    ]  # fmt: skip
    _show("Coverage, text, level 95%", ("documents", "ours", "percentile"), rows)


if __name__ == "__main__":
    main()
