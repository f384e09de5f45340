"""The statistics of paired outcomes: against brute force, libraries and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, bootstrap, norm

from benchmarks.checks import (
    document_spread,
    draw_text,
    labels_alarmed,
    labels_covered,
    labels_found,
    text_covered,
    text_found,
)
from osscar_core.checks.paired import (
    FEWEST_FLIPS,
    ROUNDING,
    PairedLabels,
    PairedText,
    conclude,
    judge,
    label_power,
    score_interval,
    text_power,
)
from osscar_core.checks.records import Conclusion
from osscar_core.errors import SpecError

CONFIRMED, NOT_PROVEN, LOSS_FOUND = (
    Conclusion.CONFIRMED,
    Conclusion.NOT_PROVEN,
    Conclusion.LOSS_FOUND,
)


def labels(n: int, lost: int, gained: int, both_wrong: int = 0) -> PairedLabels:
    dense, pruned = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    pruned[:lost] = False
    dense[lost : lost + gained] = False
    end = lost + gained
    dense[end : end + both_wrong] = pruned[end : end + both_wrong] = False
    return PairedLabels(dense, pruned)


def score_by_brute_force(lost: int, gained: int, n: int, difference: float) -> float:
    """Maximise the likelihood under the hypothesis numerically instead of by the formula."""

    def unlikely(q: float) -> float:
        p = q + difference
        cells = ((lost, p), (gained, q), (n - lost - gained, 1 - p - q))
        return -sum(count * math.log(share) for count, share in cells if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    inside = 1e-12
    best = minimize_scalar(
        unlikely, bounds=(low + inside, high - inside), method="bounded", options={"xatol": 1e-12}
    ).x
    variance = n * (2 * best + difference - difference**2)
    return (lost - gained - n * difference) / math.sqrt(variance)


def test_labels_are_counted() -> None:
    paired = labels(100, 7, 3, both_wrong=10)
    assert (paired.count, paired.lost, paired.gained) == (100, 7, 3)
    assert (paired.dense, paired.pruned) == pytest.approx((0.87, 0.83))
    assert paired.loss == pytest.approx(0.04)


@pytest.mark.parametrize(("lost", "gained"), [(7, 3), (12, 2), (0, 5), (30, 30)])
def test_p_value_is_the_exact_binomial_one(lost: int, gained: int) -> None:
    expected = min(1.0, 2 * binom.cdf(min(lost, gained), lost + gained, 0.5))
    assert labels(100, lost, gained).p_value() == pytest.approx(expected)


def test_no_flip_is_no_difference() -> None:
    assert labels(100, 0, 0).p_value() == 1.0


@pytest.mark.parametrize(("lost", "gained", "n"), [(12, 2, 50), (5, 0, 1000), (3, 9, 200)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
def test_ends_of_the_score_interval_are_just_not_rejected(
    lost: int, gained: int, n: int, level: float
) -> None:
    z = norm.ppf((1 + level) / 2)
    low, high = score_interval(lost, gained, n, level)
    assert score_by_brute_force(lost, gained, n, low) == pytest.approx(z, abs=1e-3)
    assert score_by_brute_force(lost, gained, n, high) == pytest.approx(-z, abs=1e-3)


def test_score_interval_without_flips_is_wide() -> None:
    z = norm.ppf(0.975)
    end = z**2 / (1000 + z**2)
    assert score_interval(0, 0, 1000, 0.95) == pytest.approx((-end, end))
    assert labels(1000, 0, 0).interval(0.95) == pytest.approx((-end, end))


def test_score_interval_reaches_the_ends_of_the_scale() -> None:
    low, high = score_interval(10, 0, 10, 0.95)
    assert 0 < low < high
    assert high == pytest.approx(1)
    mirrored = score_interval(0, 10, 10, 0.95)
    assert mirrored == pytest.approx((-high, -low))


def test_interval_of_many_flips_is_the_bootstrap_of_items() -> None:
    paired = labels(500, 30, 15)
    values = paired.dense_right.astype(float) - paired.pruned_right
    rng = np.random.default_rng(5)
    expected = bootstrap((values,), np.mean, method="percentile", rng=rng).confidence_interval
    assert paired.interval(0.95) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_few_flips_get_the_score_interval() -> None:
    paired = labels(500, FEWEST_FLIPS - 4, 3)
    assert paired.interval(0.95) == score_interval(FEWEST_FLIPS - 4, 3, 500, 0.95)


def test_needed_labels_decide_and_one_fewer_would_not() -> None:
    paired = labels(200, 2, 2)
    more = paired.needed(0.01, 0.95)
    assert more is not None
    for extra, decides in ((more, True), (more - 1, False)):
        total = 200 + extra
        _, high = score_interval(0.01 * total, 0.01 * total, total, 0.95)
        assert (high <= 0.01) is decides


def test_no_number_of_items_decides_no_loss_against_no_margin() -> None:
    assert labels(200, 2, 2).needed(0.0, 0.95) is None


def documents(differences: list[float], tokens: list[float]) -> PairedText:
    sizes = np.array(tokens)
    dense = 1.5 * sizes
    return PairedText(dense, dense + np.array(differences) * sizes, sizes)


def test_text_is_weighted_by_tokens() -> None:
    paired = documents([0.1, 0.0], [100, 300])
    assert paired.dense == pytest.approx(math.exp(1.5))
    assert paired.pruned == pytest.approx(math.exp(1.525))
    assert paired.loss == pytest.approx(math.exp(0.025) - 1)
    assert paired.loss == pytest.approx(paired.pruned / paired.dense - 1)


def test_text_is_tested_by_flipping_signs() -> None:
    paired = documents([0.05, 0.01, -0.02, 0.03], [10, 40, 30, 20])
    d = paired.differences
    sums = [np.dot(signs, d) for signs in itertools.product((-1, 1), repeat=4)]
    expected = 2 * np.mean([total >= d.sum() - 1e-12 for total in sums])
    assert paired.p_value() == pytest.approx(expected, abs=0.03)


def test_text_interval_is_near_the_delta_method_for_many_documents() -> None:
    paired = draw_text(2_000, 0.01, np.random.default_rng(1), 1_999)
    means = paired.differences - math.log1p(paired.loss) * paired.tokens
    error = math.sqrt((means**2).sum()) / paired.tokens.sum()
    low, high = (math.log1p(end) for end in paired.interval(0.95))
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_identical_text_is_no_difference() -> None:
    paired = documents([0.0] * 40, [50.0] * 40)
    assert paired.p_value() == 1.0
    assert paired.interval(0.95) == (0.0, 0.0)
    assert judge(paired, 0.01, 0.95).conclusion is CONFIRMED


def test_rounding_is_no_difference() -> None:
    paired = documents([ROUNDING / 2] * 40, [50.0] * 40)
    assert paired.p_value() == 1.0
    assert documents([3 * ROUNDING] * 40, [50.0] * 40).p_value() < 0.001


def test_needed_documents_shrink_the_interval_to_the_margin() -> None:
    paired = draw_text(40, 0.0, np.random.default_rng(2), 1_999)
    _, high = paired.interval(0.95)
    margin = (paired.loss + high) / 2  # half the way: about four times the documents
    more = paired.needed(margin, 0.95)
    assert more == pytest.approx(3 * 40, abs=3)


def test_loss_needs_interval_and_test() -> None:
    assert conclude(-0.01, 0.01, 0.01, is_significant=False) is CONFIRMED
    assert conclude(0.001, 0.02, 0.01, is_significant=True) is LOSS_FOUND
    assert conclude(0.001, 0.02, 0.01, is_significant=False) is NOT_PROVEN
    assert conclude(-0.001, 0.02, 0.01, is_significant=True) is NOT_PROVEN


def test_few_items_are_never_judged() -> None:
    result = judge(labels(29, 20, 0), 0.01, 0.95)
    assert result.is_small
    assert result.conclusion is None
    assert result.needed is None
    assert judge(labels(30, 20, 0), 0.01, 0.95).conclusion is LOSS_FOUND


def test_more_tests_widen_the_interval() -> None:
    alone = judge(labels(500, 30, 15), 0.01, 0.95)
    among = judge(labels(500, 30, 15), 0.01, 0.95, tests=12)
    assert among.low < alone.low
    assert among.high > alone.high


@pytest.mark.parametrize(
    ("dense", "pruned"), [(np.ones(3, dtype=bool), np.ones(4, dtype=bool)), (np.ones(0),) * 2]
)
def test_outcomes_that_cannot_be_paired(dense: np.ndarray, pruned: np.ndarray) -> None:
    with pytest.raises(SpecError, match="cannot be paired"):
        PairedLabels(dense, pruned)


def test_documents_without_tokens_are_refused() -> None:
    with pytest.raises(SpecError, match="no predicted token"):
        documents([0.1, 0.1], [10, 0])


def test_impossible_power_is_refused() -> None:
    with pytest.raises(SpecError, match="not possible"):
        label_power(100, 0.1, 0.05)


# Seeded short forms of benchmarks/checks.py; bounds are three standard errors or more.


@pytest.mark.parametrize(("n", "flips"), [(1000, 0.005), (1000, 0.02), (2000, 0.2)])
def test_equal_labels_are_seldom_called_different(n: int, flips: float) -> None:
    assert labels_alarmed(n, flips, runs=1_000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)


def test_equal_texts_are_seldom_called_different() -> None:
    alarms = text_found(60, 0.0, runs=300, is_skewed=False)
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(("n", "flips", "loss"), [(500, 0.05, 0.02), (2000, 0.02, 0.01)])
def test_damage_is_found_with_the_power_predicted(n: int, flips: float, loss: float) -> None:
    power = label_power(n, loss, flips)
    assert 0.3 < power < 0.95
    assert labels_found(n, flips, loss, runs=2_000) == pytest.approx(power, abs=0.035)


def test_damaged_text_is_found_with_about_the_power_predicted() -> None:
    power = text_power(60, 0.02, document_spread())
    assert 0.3 < power < 0.8
    assert text_found(60, 0.02, runs=300) == pytest.approx(power, abs=0.12)


@pytest.mark.parametrize(
    ("n", "flips", "loss"), [(40, 0.05, 0.05), (1000, 0.005, 0.005), (500, 0.05, 0.02)]
)
@pytest.mark.parametrize("level", [0.95, 0.995])
def test_interval_of_labels_covers(n: int, flips: float, loss: float, level: float) -> None:
    ours, _, _ = labels_covered(n, flips, loss, runs=500, level=level)
    assert ours >= level - 3 * math.sqrt(level * (1 - level) / 500)


def test_bootstrap_alone_would_not_cover_with_few_flips() -> None:
    ours, plain, _ = labels_covered(40, 0.05, 0.05, runs=1_000)
    assert plain < 0.91 < ours


def test_interval_of_text_covers_with_few_documents() -> None:
    ours = text_covered(60, 0.01, runs=300, seed=1)
    assert ours >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 300)
