"""Light and camera: from a surface to the picture of it.

The decision hidden here: how the stations of the three lines differ. Line C has a hard,
warm light from the side and a camera that is soft, noisy and badly balanced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osscar_core.datasets.factory.fields import SIDE, Field, X, Y
from osscar_core.datasets.factory.items import Line

_HALF = (SIDE - 1) / 2


@dataclass(frozen=True, slots=True)
class _Station:
    """How one line takes its pictures; pairs are the lowest and highest value drawn.

    Attributes:
        exposure: Overall brightness.
        gradient: How much brighter the lit side is.
        vignette: Light lost in the corners.
        cast: Mean gains of red, green and blue.
        balance: Spread of those gains from picture to picture.
        blur: Standard deviation of the blur, in pixels.
        noise: Standard deviation of the sensor's noise.
    """

    exposure: tuple[float, float]
    gradient: tuple[float, float]
    vignette: tuple[float, float]
    cast: tuple[float, float, float]
    balance: float
    blur: tuple[float, float]
    noise: tuple[float, float]


_STATIONS: dict[Line, _Station] = {
    "A": _Station(
        (0.85, 1.20),
        (0.05, 0.30),
        (0.0, 0.30),
        (1.00, 1.00, 1.02),
        0.03,
        (0.25, 0.55),
        (0.008, 0.022),
    ),
    "B": _Station(
        (0.80, 1.15),
        (0.05, 0.35),
        (0.0, 0.35),
        (1.03, 1.00, 0.97),
        0.04,
        (0.25, 0.60),
        (0.010, 0.026),
    ),
    "C": _Station(
        (0.80, 1.25),
        (0.25, 0.60),
        (0.2, 0.55),
        (1.16, 0.99, 0.82),
        0.05,
        (0.60, 0.85),
        (0.018, 0.034),
    ),
}


def light_direction(rng: np.random.Generator) -> float:
    """Draw where the light comes from, in radians: from above, give or take."""
    return float(-np.pi / 2 + (rng.random() - 0.5) * 1.6)


def photograph(
    rng: np.random.Generator, line: Line, albedo: Field, light: float
) -> NDArray[np.uint8]:
    """Return the picture of a surface.

    Args:
        rng: Source of randomness.
        line: Whose station takes it.
        albedo: The surface, (SIDE, SIDE, 3).
        light: Direction that light comes from, in radians.

    Returns:
        RGB, uint8, (SIDE, SIDE, 3).
    """
    station = _STATIONS[line]
    shares = rng.random(5)
    exposure, gradient, vignette, blur, noise = (
        low + (high - low) * share
        for (low, high), share in zip(
            (station.exposure, station.gradient, station.vignette, station.blur, station.noise),
            shares.tolist(),
            strict=True,
        )
    )
    dx, dy = (X - _HALF) / _HALF, (Y - _HALF) / _HALF
    lit = 1 + gradient * (dx * np.cos(light) + dy * np.sin(light))
    lit = exposure * lit * (1 - vignette * (dx**2 + dy**2) / 2)
    gains = np.array(station.cast) + station.balance * (2 * rng.random(3) - 1)
    seen = _blurred(albedo * lit[..., None] * gains, blur)
    # Shot noise grows with the light, read noise does not; part of it is common to all colours.
    common = rng.standard_normal((SIDE, SIDE, 1))
    own = rng.standard_normal((SIDE, SIDE, 3))
    grain = noise * (0.6 * common + 0.8 * own) * np.sqrt(0.4 + np.clip(seen, 0, 1))
    picture: NDArray[np.uint8] = np.rint(np.clip(seen + grain, 0, 1) * 255).astype(np.uint8)
    return picture


def _blurred(picture: Field, sigma: float) -> Field:
    """Return the picture behind a lens of Gaussian blur, edges repeated."""
    side = np.exp(-0.5 / sigma**2)
    far = np.exp(-2.0 / sigma**2)
    total = 1 + 2 * side + 2 * far
    for axis in (0, 1):
        pad = [(2, 2) if other == axis else (0, 0) for other in range(3)]
        wide = np.pad(picture, pad, mode="edge")
        if axis == 1:
            wide = wide.swapaxes(0, 1)
        mixed = wide[2:-2] + side * (wide[1:-3] + wide[3:-1]) + far * (wide[:-4] + wide[4:])
        picture = (mixed / total) if axis == 0 else (mixed / total).swapaxes(0, 1)
    return picture
