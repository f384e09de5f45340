"""Estimates of quality: exactness on synthetic relations, and honesty of the band."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.errors import DataError, SpecError
from osscar_core.estimates import Estimate, MeasuredPoint, Prior, QualityModel

PRIOR = Prior(intercept=-0.5, intercept_sd=1.0, slope=1.0, slope_sd=0.25, noise_sd=0.05)
DIVERGENCES = (0.05, 0.15, 0.5, 1.5)


def bent(
    predicted: float, intercept: float = 0.4, slope: float = 1.15, bend: float = 0.04
) -> float:
    """A relation that is slightly bent in logarithms."""
    x = math.log(predicted)
    return math.exp(intercept + slope * x + bend * x**2)


def measured(error: float = 0.01, **shape: float) -> tuple[MeasuredPoint, ...]:
    return tuple(MeasuredPoint(d, bent(d, **shape), error * bent(d, **shape)) for d in DIVERGENCES)


def width(estimate: Estimate) -> float:
    return math.log(estimate.high / estimate.low)


def test_four_points_recover_bent_relations() -> None:
    rng = np.random.default_rng(0)
    left_out, between = [], []
    for _ in range(40):
        shape = {
            "intercept": rng.normal(-0.5, 1.0),
            "slope": rng.normal(1.0, 0.2),
            "bend": rng.uniform(-0.05, 0.05),
        }
        points = [
            dataclasses.replace(one, added=one.added * math.exp(rng.normal(0, 0.02)))
            for one in measured(0.02, **shape)
        ]
        model = QualityModel(PRIOR, points)
        left_out.extend(model.leave_one_out())
        between.extend(
            abs(model.estimate(d).median / bent(d, **shape) - 1) for d in (0.08, 0.3, 0.9)
        )
    assert np.median(left_out) < 0.10
    assert np.median(between) < 0.03


def simulated(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and added losses of models drawn from the prior."""
    x = rng.uniform(math.log(0.03), math.log(3.0), count)
    bends = PRIOR.bend_sd**2 * np.exp(-(((x[:, None] - x) / PRIOR.bend_length) ** 2) / 2)
    factor = np.linalg.cholesky(bends + 1e-10 * np.eye(count))
    line = rng.normal(PRIOR.intercept, PRIOR.intercept_sd)
    line = line + rng.normal(PRIOR.slope, PRIOR.slope_sd) * x
    noise = rng.normal(0, PRIOR.noise_sd, count)
    return np.exp(x), np.exp(line + factor @ rng.normal(size=count) + noise)


@pytest.mark.parametrize("count", [0, 2, 5])
def test_the_band_holds_what_it_promises(count: int) -> None:
    rng = np.random.default_rng(count)
    inside = []
    for _ in range(200):
        predicted, added = simulated(rng, count + 3)
        points = []
        for d, a in zip(predicted[3:], added[3:], strict=True):
            error = a * rng.uniform(0.0, 0.3)
            points.append(MeasuredPoint(d, a + rng.normal(0, error), error))
        model = QualityModel(PRIOR, points)
        for d, a in zip(predicted[:3], added[:3], strict=True):
            estimate = model.estimate(d)
            inside.append(estimate.low <= a <= estimate.high)
    assert 0.90 < np.mean(inside) < 0.999


def test_the_band_holds_bent_relations() -> None:
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(200):
        shape = {"slope": rng.normal(1, 0.2), "bend": rng.uniform(-0.1, 0.1)}
        model = QualityModel(
            PRIOR,
            [
                dataclasses.replace(one, added=one.added * math.exp(rng.normal(0, 0.05)))
                for one in measured(0.05, **shape)
            ],
        )
        d = math.exp(rng.uniform(math.log(0.03), math.log(3)))
        new = bent(d, **shape) * math.exp(rng.normal(0, PRIOR.noise_sd))
        estimate = model.estimate(d)
        inside.append(estimate.low <= new <= estimate.high)
    assert np.mean(inside) > 0.90


def test_every_point_narrows_the_band() -> None:
    points = measured()
    for d in (0.02, 0.2, 1.0, 4.0):
        widths = [width(QualityModel(PRIOR, points[:n]).estimate(d)) for n in range(5)]
        assert all(a > b for a, b in itertools.pairwise(widths))


def test_the_band_is_narrowest_at_the_points() -> None:
    model = QualityModel(PRIOR, measured())
    near, between, far = (width(model.estimate(d)) for d in (0.5, 0.27, 20.0))
    assert near < between < far
    assert near == pytest.approx(2 * 1.96 * PRIOR.noise_sd, rel=0.5)


def test_without_points_the_prior_speaks() -> None:
    model = QualityModel(PRIOR)
    estimate = model.estimate(1.0)
    assert estimate.median == pytest.approx(math.exp(-0.5))
    spread = math.sqrt(1.0 + 0.3**2 + 0.05**2)
    assert math.log(estimate.high) == pytest.approx(-0.5 + 1.959964 * spread)
    assert math.log(estimate.low) == pytest.approx(-0.5 - 1.959964 * spread)
    assert not estimate.is_measured
    assert model.invert(0.3) == pytest.approx(0.3 * math.exp(0.5))
    assert model.leave_one_out() == ()


def test_a_point_without_noise_is_reproduced() -> None:
    prior = dataclasses.replace(PRIOR, noise_sd=0.0)
    points = [MeasuredPoint(0.1, 0.2, 0.0), MeasuredPoint(0.4, 0.5, 0.0)]
    model = QualityModel(prior, [*points, points[0]])  # one of them twice
    for one in points:
        estimate = model.estimate(one.predicted)
        assert estimate.median == pytest.approx(one.added, rel=1e-4)
        assert estimate.high / estimate.low < 1.001


def test_a_precise_point_counts_more_than_a_vague_one() -> None:
    precise, vague = MeasuredPoint(0.5, 0.2, 0.002), MeasuredPoint(0.5, 0.4, 0.15)
    assert QualityModel(PRIOR, [precise, vague]).estimate(0.5).median < 0.22


@pytest.mark.parametrize(
    "odd",
    [
        MeasuredPoint(0.05, 0.0, 0.01),
        MeasuredPoint(0.05, -0.02, 0.01),
        MeasuredPoint(0.05, 0.015, 0.01),
        MeasuredPoint(0.05, 0.0, 0.0),
        MeasuredPoint(0.05, -0.1, 0.0),
        MeasuredPoint(0.0, 0.001, 0.01),
        MeasuredPoint(0.0, 0.0, 0.0),
    ],
)
def test_points_without_a_clear_loss_do_no_harm(odd: MeasuredPoint) -> None:
    points = measured()[1:]
    plain, model = QualityModel(PRIOR, points), QualityModel(PRIOR, [odd, *points])
    assert len(model.leave_one_out()) == 3
    for d in DIVERGENCES[1:]:
        assert model.estimate(d).median == pytest.approx(plain.estimate(d).median, rel=0.03)
    before, after = plain.estimate(0.05), model.estimate(0.05)  # its own place, known to nobody
    assert before.low < after.median < before.high
    alone = QualityModel(PRIOR, [odd]).estimate(0.5)
    assert 0 < alone.low < alone.median < alone.high < math.inf


def test_an_unclear_point_still_lowers_the_estimate() -> None:
    plain, model = QualityModel(PRIOR), QualityModel(PRIOR, [MeasuredPoint(0.5, -0.001, 0.001)])
    assert model.estimate(0.5).median < 0.5 * plain.estimate(0.5).median


@given(st.floats(1e-4, 50), st.integers(0, 4), st.floats(-0.05, 0.05))
@settings(deadline=None)
def test_inversion(predicted: float, count: int, bend: float) -> None:
    model = QualityModel(PRIOR, measured(bend=bend)[:count])
    median = model.estimate(predicted).median
    assert model.invert(median) == pytest.approx(predicted, rel=1e-9)


def test_the_smallest_prediction_is_returned_where_the_median_dips() -> None:
    points = [MeasuredPoint(0.3, 0.6, 0.001), MeasuredPoint(0.4, 0.3, 0.001)]
    model = QualityModel(dataclasses.replace(PRIOR, bend_sd=1.0), points)
    assert model.estimate(0.3).median > model.estimate(0.4).median
    found = model.invert(0.4)
    assert model.estimate(found).median == pytest.approx(0.4)
    assert found < 0.3
    assert all(model.estimate(found * share).median < 0.4 for share in (0.5, 0.8, 0.99))


def test_nothing_predicted_is_nothing_lost() -> None:
    model = QualityModel(PRIOR, measured())
    assert model.estimate(0.0) == Estimate(0.0, 0.0, 0.0)
    assert model.invert(0.0) == 0.0


@pytest.mark.parametrize("predicted", [1e-300, 1e300])
def test_extreme_predictions_stay_finite(predicted: float) -> None:
    estimate = QualityModel(PRIOR, measured()).estimate(predicted)
    assert 0 < estimate.low <= estimate.median <= estimate.high < math.inf


def test_leaving_out_is_refitting() -> None:
    points = [*measured(0.05, bend=0.1), MeasuredPoint(0.02, 0.01, 0.02)]
    expected = []
    for index, one in enumerate(points[:4]):
        others = [*points[:index], *points[index + 1 :]]
        median = QualityModel(PRIOR, others).estimate(one.predicted).median
        expected.append(abs(median - one.added) / one.added)
    assert QualityModel(PRIOR, points).leave_one_out() == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_falls_cannot_be_inverted() -> None:
    prior = dataclasses.replace(PRIOR, slope_sd=3.0)
    points = [MeasuredPoint(0.01, 1.0, 0.001), MeasuredPoint(1.0, 0.01, 0.0001)]
    with pytest.raises(DataError, match="to the power -"):
        QualityModel(prior, points).invert(0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("predicted", -1.0), ("predicted", math.nan), ("added", math.inf), ("error", -0.1)],
)
def test_bad_points(name: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"{name} is"):
        MeasuredPoint(**{"predicted": 1.0, "added": 1.0, "error": 0.1, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("slope", math.nan), ("slope_sd", -1.0), ("noise_sd", math.inf), ("bend_length", 0.0)],
)
def test_bad_priors(name: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"{name} is"):
        dataclasses.replace(PRIOR, **{name: value})


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_bad_questions(value: float) -> None:
    model = QualityModel(PRIOR)
    with pytest.raises(SpecError, match="predicted is"):
        model.estimate(value)
    with pytest.raises(SpecError, match="added is"):
        model.invert(value)
