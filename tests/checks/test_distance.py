from __future__ import annotations

import numpy as np
import pytest

from osscar_core.checks.distance import (
    RED,
    compare_samples,
    light_of,
    pairwise,
    reference_distances,
    spread,
)
from osscar_core.checks.records import Light


def sample(seed: int, count: int, shift: float = 0.0, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def energy_distance(X: np.ndarray, Y: np.ndarray) -> float:
    """By the definition: twice the mean distance between, less those within."""

    def mean(A: np.ndarray, B: np.ndarray) -> float:
        return float(np.linalg.norm(A[:, None] - B[None], axis=2).mean())

    return 2 * mean(X, Y) - mean(X, X) - mean(Y, Y)


def test_the_distance_is_the_energy_distance() -> None:
    X, Y = sample(0, 40), sample(1, 25, 0.5)
    within = np.linalg.norm(X[:, None] - X[None], axis=2)
    scale = within.sum() / (40 * 39)
    expected = np.sqrt(energy_distance(X, Y) / scale)
    assert compare_samples(X, Y, 0.05).distance == pytest.approx(expected, rel=1e-9)


def test_equal_samples_are_not_apart() -> None:
    X = sample(0, 50)
    found = compare_samples(X, X.copy(), 0.05)
    assert found.distance == pytest.approx(0, abs=1e-4)
    assert found.light is Light.GREEN
    assert found.p_value == 1.0


def test_the_scale_of_features_does_not_matter() -> None:
    X, Y = sample(0, 60), sample(1, 60, 0.3)
    one, other = compare_samples(X, Y, 0.05), compare_samples(100 * X + 7, 100 * Y + 7, 0.05)
    assert one.distance == pytest.approx(other.distance, rel=1e-9)
    assert one.threshold == pytest.approx(other.threshold, rel=1e-9)
    assert one.p_value == other.p_value


@pytest.mark.parametrize(("n", "m"), [(80, 80), (160, 40), (40, 120)])
def test_false_alarms_come_at_the_rate_asked_for(n: int, m: int) -> None:
    rate, runs = 0.1, 100
    alarms = 0
    for seed in range(runs):
        X, Y = sample(2 * seed, n), sample(2 * seed + 1, m)
        A = pairwise(np.concatenate([X, Y]))
        observed = np.sqrt(max(0.0, energy_of(A, n)))
        chance = reference_distances(A[:n, :n], m, np.random.default_rng(seed), 200)
        alarms += observed > np.quantile(chance, 1 - rate)
    # 10 expected; outside of [3, 20] is less likely than one in a hundred.
    assert 3 <= alarms <= 20


def energy_of(A: np.ndarray, n: int) -> float:
    return float(2 * A[:n, n:].mean() - A[:n, :n].mean() - A[n:, n:].mean())


def test_p_values_are_even_where_nothing_differs() -> None:
    found = [
        compare_samples(sample(2 * s, 30), sample(2 * s + 1, 30), 0.05).p_value for s in range(60)
    ]
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) <= 0.2) < 0.4


@pytest.mark.parametrize("change", ["mean", "spread", "shape"])
def test_every_kind_of_shift_is_found(change: str) -> None:
    X = sample(0, 200)
    Y = sample(1, 200)
    if change == "mean":
        Y = Y + 0.5
    elif change == "spread":
        Y = 1.6 * Y
    else:  # the same means and variances, two heaps instead of one
        rng = np.random.default_rng(2)
        Y = np.sign(Y) * np.sqrt(0.91) + 0.3 * rng.normal(size=Y.shape)
    found = compare_samples(X, Y, 0.05)
    assert found.distance > found.threshold
    assert found.p_value == 0.001


def test_lights_follow_the_rule() -> None:
    assert light_of(1.0, 1.0) is Light.GREEN
    assert light_of(1.01, 1.0) is Light.AMBER
    assert light_of(RED, 1.0) is Light.RED


def test_features_that_are_all_equal_are_not_apart() -> None:
    found = compare_samples(np.ones((40, 3)), np.ones((40, 3)), 0.05)
    assert (found.distance, found.light) == (0.0, Light.GREEN)
    assert spread(pairwise(np.ones((4, 2)))) == 1.0


def test_a_seed_repeats_it() -> None:
    X, Y = sample(0, 50), sample(1, 50, 0.2)
    assert compare_samples(X, Y, 0.05, 3) == compare_samples(X, Y, 0.05, 3)
    assert compare_samples(X, Y, 0.05, 3) != compare_samples(X, Y, 0.05, 4)
