"""How far apart two samples are, and how far chance alone puts them.

The decision hidden here: the energy distance. It needs no bandwidth, sees every difference
between two distributions, and is a quadratic form in the weights of the items:
``D^2 = -(w - v)^T A (w - v)`` with ``A`` the Euclidean distances between all items and
``w``, ``v`` the shares of the two samples. Told is its root, in units of the mean distance
between two items of the reference: 0 is alike.

The threshold is what the reference does to itself: both samples are drawn from it, with
replacement and at their own sizes, and the (1 - rate) quantile of their distances is taken.
Drawing both keeps the noise of the reference in; an item drawn twice is at distance 0 from
itself in the observed distance as well (the sums run over all pairs), so that nothing is
favoured. The p-value permutes the labels of the pooled items, which is exact for samples
that are exchangeable.

Reference:
    G. J. Székely and M. L. Rizzo, "Energy statistics: a class of statistics based on
    distances", Journal of Statistical Planning and Inference 143 (2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osscar_core.checks.records import Light

RESAMPLES = 999
RED = 3.0
"""So many times the threshold is red."""

_Floats = NDArray[np.float64]
_ROWS_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two samples compared.

    Attributes:
        distance: Between them; 0 for equal samples.
        threshold: What two samples of the reference exceed with the alarm rate.
        p_value: By permutation, at least 1 / 1000.
        light: Green up to the threshold, red from `RED` times it, amber between.
    """

    distance: float
    threshold: float
    p_value: float
    light: Light


def compare_samples(
    reference: NDArray[np.floating], new: NDArray[np.floating], alarm_rate: float, seed: int = 0
) -> Comparison:
    """Compare two samples of features.

    Args:
        reference: (n, d).
        new: (m, d).
        alarm_rate: False alarms allowed, in (0, 1).
        seed: Of the resamples.
    """
    n, m = len(reference), len(new)
    rng = np.random.default_rng(seed)
    A = pairwise(np.concatenate([reference, new]))
    distance, threshold = with_threshold(A, n, alarm_rate, rng)
    shuffled = rng.permuted(np.broadcast_to(_own(n, m), (RESAMPLES, n + m)), axis=1)
    beyond = int((_roots(A, shuffled) / spread(A[:n, :n]) >= distance - 1e-12).sum())
    return Comparison(
        distance=distance,
        threshold=threshold,
        p_value=(beyond + 1) / (RESAMPLES + 1),
        light=light_of(distance, threshold),
    )


def with_threshold(
    A: _Floats, n: int, alarm_rate: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the distance of two samples, and what the reference alone exceeds by chance.

    Args:
        A: Distances between all items, the ``n`` of the reference first.
        n: Items of the reference.
        alarm_rate: Share of samples of the reference that exceed the threshold.
        rng: Where chance comes from.
    """
    m = len(A) - n
    scale = spread(A[:n, :n])
    chance = reference_distances(A[:n, :n], m, rng) / scale
    return float(_roots(A, _own(n, m)[None])[0] / scale), float(np.quantile(chance, 1 - alarm_rate))


def light_of(distance: float, threshold: float) -> Light:
    """Return how serious a distance is."""
    if distance <= threshold:
        return Light.GREEN
    return Light.RED if distance >= RED * threshold else Light.AMBER


def pairwise(items: NDArray[np.floating]) -> _Floats:
    """Return the Euclidean distances between all items, (n, n), float64 with a zero diagonal."""
    X = np.asarray(items, dtype=np.float64)
    X = X - X.mean(axis=0)
    squares = (X * X).sum(axis=1)
    products = squares[:, None] + squares - 2 * (X @ X.T)
    np.fill_diagonal(products, 0.0)
    distances: _Floats = np.sqrt(np.maximum(products, 0.0))
    return distances


def spread(A: _Floats) -> float:
    """Return the root of the mean distance between two different items; 1 if all are equal."""
    n = len(A)
    mean = A.sum() / max(1, n * (n - 1))
    return float(np.sqrt(mean)) or 1.0


def reference_distances(
    A: _Floats, size: int, rng: np.random.Generator, count: int = RESAMPLES
) -> _Floats:
    """Return distances between samples of the reference: its own size against ``size``.

    Args:
        A: Distances between the items of the reference, (n, n).
        size: Items of the other sample.
        rng: Where chance comes from.
        count: Number of pairs of samples.

    Returns:
        (count,), not yet in units of `spread`.
    """
    n = len(A)
    even = np.full(n, 1 / n)
    weights = rng.multinomial(n, even, count) / n - rng.multinomial(size, even, count) / size
    # Drawn with replacement, items of a sample are 1 - 1/n times as far apart as new ones.
    distances: _Floats = _roots(A, weights) / np.sqrt(1 - 1 / n)
    return distances


def _own(n: int, m: int) -> _Floats:
    """Return the weights of the items of two samples in their difference."""
    return np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)])


def _roots(A: _Floats, weights: _Floats) -> _Floats:
    """Return the root of ``-w^T A w`` for every row of weights that sums to 0."""
    found = [
        np.einsum("ij,ij->i", -(rows @ A), rows)
        for rows in np.array_split(weights, max(1, len(weights) // _ROWS_AT_ONCE))
    ]
    roots: _Floats = np.sqrt(np.maximum(np.concatenate(found), 0.0))
    return roots
