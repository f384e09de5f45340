"""Smooth random fields on the pixel grid, and distances to drawn lines.

The decision hidden here: how a picture's randomness becomes shapes. Everything is
float64, so that pictures agree between machines: differences between mathematical
libraries are far below what rounding to a byte can show.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float64]

SIDE = 64
"""Side of every picture, in pixels."""

Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)


def smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """Return a smooth random field.

    Args:
        rng: Source of randomness.
        rows: Random values along y; the more, the finer the field.
        columns: Random values along x.

    Returns:
        Values of mean about 0 and standard deviation about 1, (SIDE, SIDE).
    """
    grid = rng.standard_normal((rows + 3, columns + 3))
    field: Field = _spline(rows) @ grid @ _spline(columns).T
    return field


def fractal_noise(rng: np.random.Generator, coarsest: int, octaves: int, gain: float) -> Field:
    """Return smooth noise summed over octaves, each twice as fine and ``gain`` as strong.

    Returns:
        Values of standard deviation about 1, (SIDE, SIDE).
    """
    total = np.zeros((SIDE, SIDE))
    power = 0.0
    for octave in range(octaves):
        weight = gain**octave
        cells = min(SIDE, coarsest * 2**octave)
        total += weight * smooth_noise(rng, cells, cells)
        power += weight**2
    field: Field = total / np.sqrt(power)
    return field


def profile_noise(rng: np.random.Generator, where: Field, step: float) -> Field:
    """Return noise that depends on one coordinate only, such as marks of a tool.

    Args:
        rng: Source of randomness.
        where: The coordinate of every pixel, (SIDE, SIDE).
        step: Distance between two independent values.

    Returns:
        Values of standard deviation at most 1, (SIDE, SIDE).
    """
    scaled = (where - where.min()) / step
    values = rng.standard_normal(int(scaled.max()) + 2)
    below = scaled.astype(np.int64)
    share = scaled - below
    field: Field = values[below] * (1 - share) + values[below + 1] * share
    return field


def ramp(values: Field, low: float, high: float) -> Field:
    """Return 0 below ``low``, 1 above ``high``, and a smooth step between; either may be larger."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    step: Field = t * t * (3 - 2 * t)
    return step


def distance_to_path(points: Field) -> tuple[Field, Field]:
    """Return how far every pixel is from a polyline, and where along it the nearest point is.

    Args:
        points: Corners (x, y) in pixels, (n, 2), n at least 2.

    Returns:
        Distance in pixels and position along the path in [0, 1], both (SIDE, SIDE).
    """
    start, end = points[:-1], points[1:]
    step = end - start  # (n-1, 2)
    squared = np.maximum((step**2).sum(axis=1), 1e-9)
    from_x = X[None] - start[:, 0, None, None]  # (n-1, SIDE, SIDE)
    from_y = Y[None] - start[:, 1, None, None]
    dx, dy = step[:, 0, None, None], step[:, 1, None, None]
    along = np.clip((from_x * dx + from_y * dy) / squared[:, None, None], 0.0, 1.0)
    gaps = (from_x - along * dx) ** 2 + (from_y - along * dy) ** 2
    nearest = gaps.argmin(axis=0)[None]  # (1, SIDE, SIDE)
    distance: Field = np.sqrt(np.take_along_axis(gaps, nearest, axis=0)[0])
    position: Field = np.take_along_axis(along, nearest, axis=0)[0] + nearest[0]
    return distance, position / len(step)


def elliptic_radius(
    cx: float, cy: float, radius: float, stretch: float = 1.0, angle: float = 0.0
) -> Field:
    """Return the distance from a centre in units of an ellipse's radius, (SIDE, SIDE).

    Args:
        cx: Centre in pixels from the left.
        cy: Centre in pixels from the top.
        radius: Geometric mean of the two half axes, in pixels.
        stretch: Long over short half axis.
        angle: Of the long axis, in radians.
    """
    c, s = np.cos(angle), np.sin(angle)
    dx, dy = X - cx, Y - cy
    long, short = radius * np.sqrt(stretch), radius / np.sqrt(stretch)
    distance: Field = np.sqrt(((c * dx + s * dy) / long) ** 2 + ((c * dy - s * dx) / short) ** 2)
    return distance


@functools.cache
def _spline(cells: int) -> Field:
    """Return the matrix that interpolates ``cells + 3`` values by cubic B-splines.

    Rows are scaled so that independent values of variance 1 give values of variance 1.
    """
    at = np.arange(SIDE) * (cells / SIDE)
    base = np.floor(at).astype(np.int64)
    t = at - base
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    matrix = np.zeros((SIDE, cells + 3))
    np.put_along_axis(matrix, base[:, None] + np.arange(4), weights, axis=1)
    return matrix
