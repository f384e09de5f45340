"""From a predicted loss to a figure of quality, with an honest band.

The decision hidden here: that the loss added by pruning follows the predicted one along a
nearly straight line in logarithms. With D the prediction and a the added loss,

    log a = intercept + slope * log D + bend(log D) + noise,

where the line has a normal prior, the bend is a Gaussian process that lets measured points
correct the line around themselves, and the noise is what two models of equal D differ by.
The posterior is then normal in closed form. Nothing forces the median to grow with D: two
measurements close together that contradict each other can make it dip between them.

Reference: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006),
sections 2.7 (explicit basis functions) and 5.4.2 (leaving one out).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osscar_core.errors import DataError, NumericalError, SpecError
from osscar_core.records import EvaluationReport, check_range

_Floats = NDArray[np.float64]

# Standard deviations on either side that hold 95% of a normal distribution.
_BAND = 1.959964
# An added loss within this many standard errors of 0 has no usable logarithm.
_CLEAR = 2.0
_LARGEST_LOG = 700.0
_SCAN = 2048


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """What was measured on one pruned model.

    Attributes:
        predicted: Its predicted loss, at least 0.
        added: What was lost against the dense model, in the unit of the estimates; by
            chance it may be 0 or negative.
        error: Standard error of ``added``, in the same unit.
    """

    predicted: float
    added: float
    error: float

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SpecError: One is not finite, or negative where it must not be.
        """
        check_range("predicted", self.predicted, 0.0)
        _check_finite("added", self.added)
        check_range("error", self.error, 0.0)


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed about the relation before anything is measured.

    Attributes:
        intercept: Logarithm of the added loss at a predicted loss of 1.
        intercept_sd: Its standard deviation.
        slope: Growth of the logarithm per unit of log D.
        slope_sd: Its standard deviation.
        noise_sd: Standard deviation of log a around the curve.
        bend_sd: Standard deviation of the curve around the line.
        bend_length: Distance in log D over which the bend changes.
    """

    intercept: float
    intercept_sd: float
    slope: float
    slope_sd: float
    noise_sd: float
    bend_sd: float = 0.3
    bend_length: float = 0.7

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SpecError: One is not finite, a deviation is negative, or the length is not
                positive.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _check_finite(field.name, value)
            if field.name.endswith("_sd"):
                check_range(field.name, value, 0.0)
        if self.bend_length <= 0:
            raise SpecError(f"bend_length is {self.bend_length}", "It must be positive")


@dataclass(frozen=True, slots=True)
class Estimate:
    """An added loss that was not measured.

    Attributes:
        median: As likely too high as too low.
        low: Lower end of the band that holds a new model of this prediction in 95% of cases.
        high: Upper end.
        is_measured: Whether this is a measurement after all.
    """

    median: float
    low: float
    high: float
    is_measured: bool = False


class QualityModel:
    """The relation between predicted and added loss, given some measured models.

    A point's logarithm has the variance ``noise_sd^2 + (error / added)^2``. One whose
    ``added`` is at most twice its ``error`` says little more than that the loss is small:
    it enters as ``max(added, error)`` with a relative standard deviation of 1. Points at
    the prediction 0, and those without a loss and without an error, have no logarithm and
    are left out.

    Args:
        prior: The belief before the measurements.
        points: The measurements, in any order; a few dozen at most.

    Raises:
        NumericalError: The prior and the points contradict numerically.
    """

    def __init__(self, prior: Prior, points: Sequence[MeasuredPoint] = ()) -> None:
        self.prior = prior
        self.points = tuple(points)
        self._used = tuple(
            one for one in points if one.predicted > 0 and max(one.added, one.error) > 0
        )
        self._x: _Floats = np.array([math.log(one.predicted) for one in self._used])
        covariance = self._covariance(self._x, self._x)  # (points, points)
        size = float(covariance.diagonal().max(initial=0.0))
        noise = np.array([_variance(one) for one in self._used]) + prior.noise_sd**2
        # The last term separates equal points without noise; it is far below any real noise.
        covariance[np.diag_indices_from(covariance)] += noise + 1e-10 * size + 1e-12
        y = np.array([math.log(max(one.added, one.error)) for one in self._used])
        self._residual: _Floats = y - self._line(self._x)
        try:
            factor = np.linalg.inv(np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"the {len(self._used)} measured points make a singular covariance",
                "Give the prior a noise_sd above 0",
            ) from None
        self._whiten: _Floats = factor  # (points, points), K^-1 = whiten^T whiten
        self._weights: _Floats = factor.T @ (factor @ self._residual)

    def estimate(self, predicted: float) -> Estimate:
        """Return the added loss to expect at a predicted loss; exactly 0 at 0.

        Raises:
            SpecError: The prediction is negative or not finite.
        """
        check_range("predicted", predicted, 0.0)
        if predicted == 0:
            return Estimate(0.0, 0.0, 0.0)
        x = np.array([math.log(predicted)])
        across = self._whiten @ self._covariance(self._x, x)  # (points, 1)
        variance = self._covariance(x, x).item() - float(np.sum(across**2))
        spread = _BAND * math.sqrt(max(variance, 0.0) + self.prior.noise_sd**2)
        mean = self._mean(x).item()
        return Estimate(_exp(mean), _exp(mean - spread), _exp(mean + spread))

    def invert(self, added: float) -> float:
        """Return the smallest predicted loss whose median estimate is ``added``.

        Raises:
            SpecError: ``added`` is negative or not finite.
            DataError: The points say that the loss falls where the prediction grows.
        """
        check_range("added", added, 0.0)
        if added == 0:
            return 0.0
        prior, weights = self.prior, self._weights
        intercept = prior.intercept + prior.intercept_sd**2 * float(weights.sum())
        slope = prior.slope + prior.slope_sd**2 * float(weights @ self._x)
        if slope <= 0:
            raise DataError(
                f"the measured loss grows as the predicted one to the power {slope:.2g}",
                "Measure more models, further apart in size",
            )
        # The bend is at most this large, so that all solutions lie between the two ends.
        bend = prior.bend_sd**2 * float(np.abs(weights).sum()) + 1e-9
        centre = (math.log(added) - intercept) / slope
        grid = np.linspace(centre - bend / slope, centre + bend / slope, _SCAN)
        above = np.flatnonzero(self._mean(grid) >= math.log(added))
        right = int(above[0]) if len(above) else _SCAN - 1
        low, high = float(grid[max(right - 1, 0)]), float(grid[right])
        while low < (middle := (low + high) / 2) < high:
            if self._mean(np.array([middle])).item() < math.log(added):
                low = middle
            else:
                high = middle
        return _exp(high)

    def leave_one_out(self) -> tuple[float, ...]:
        """Return how far every point's estimate from the other points is off.

        Returns:
            ``|estimate - added| / added`` of the points whose ``added`` is more than twice
            its ``error``, in the order of the points.
        """
        precision = np.sum(self._whiten**2, axis=0)  # the diagonal of K^-1, (points,)
        missed = self._weights / precision  # log a minus its mean given the other points
        return tuple(
            abs(math.expm1(-float(miss)))
            for one, miss in zip(self._used, missed, strict=True)
            if _is_clear(one)
        )

    def _line(self, x: _Floats) -> _Floats:
        return np.asarray(self.prior.intercept + self.prior.slope * x)

    def _mean(self, x: _Floats) -> _Floats:
        """Return the posterior mean of log a at log D, float64 of the same shape (n,)."""
        return np.asarray(self._line(x) + self._covariance(x, self._x) @ self._weights)

    def _covariance(self, x: _Floats, z: _Floats) -> _Floats:
        """Return the prior covariance of the curve at log D of shapes (n,) and (m,): (n, m)."""
        prior = self.prior
        apart = (x[:, None] - z[None, :]) / prior.bend_length  # (n, m)
        line = prior.intercept_sd**2 + prior.slope_sd**2 * np.outer(x, z)
        return np.asarray(line + prior.bend_sd**2 * np.exp(-(apart**2) / 2))


def lost_quality(
    dense: EvaluationReport, small: EvaluationReport, value: float | None = None
) -> float:
    """Return what a small model lost: points of accuracy as a fraction, or log-perplexity.

    Args:
        dense: Quality of the dense model.
        small: Quality of the small one on the same data.
        value: Another value of the small one, such as an end of its interval.
    """
    value = small.value if value is None else value
    if small.metric == "top1":
        return dense.value - value
    return math.log(value / dense.value)


def measured_point(predicted: float, lost: float, quality: EvaluationReport) -> MeasuredPoint:
    """Return a measured loss with its error.

    Both models saw the same items, so that only those on which they differ make the error:
    for accuracy about twice as many as are lost; for perplexity a share of the loss.
    """
    if quality.metric == "top1":
        differing = max(2 * lost, 4 / quality.count)
        return MeasuredPoint(predicted, lost, math.sqrt(differing / quality.count))
    return MeasuredPoint(predicted, lost, 0.02 * abs(lost) + 1e-3)


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise SpecError(f"{name} is {value}", "It must be finite")


def _is_clear(point: MeasuredPoint) -> bool:
    return point.added > _CLEAR * point.error


def _variance(point: MeasuredPoint) -> float:
    """Return the variance of log a that the measurement leaves, by the delta method."""
    return (point.error / point.added) ** 2 if _is_clear(point) else 1.0


def _exp(value: float) -> float:
    return math.exp(min(max(value, -_LARGEST_LOG), _LARGEST_LOG))
