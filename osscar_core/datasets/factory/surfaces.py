"""The materials: what a part looks like where nothing is wrong with it.

The decision hidden here: how machined, cast, painted and woven surfaces are told apart.
"""

from __future__ import annotations

import numpy as np

from osscar_core.datasets.factory.fields import (
    SIDE,
    Field,
    X,
    Y,
    distance_to_path,
    elliptic_radius,
    fractal_noise,
    profile_noise,
    ramp,
    smooth_noise,
)
from osscar_core.datasets.factory.items import Background

_CENTRE = (SIDE - 1) / 2
_PAINTS = (
    (0.30, 0.42, 0.56),
    (0.33, 0.50, 0.38),
    (0.72, 0.62, 0.30),
    (0.62, 0.30, 0.26),
    (0.70, 0.71, 0.70),
    (0.44, 0.46, 0.49),
)


def surface(rng: np.random.Generator, background: Background) -> Field:
    """Return a flawless surface.

    Args:
        rng: Source of randomness.
        background: The material.

    Returns:
        Share of light reflected, about 0 to 1, (SIDE, SIDE, 3).
    """
    match background:
        case "machined":
            return _machined(rng)
        case "cast":
            return _cast(rng)
        case "painted":
            return _painted(rng)
        case "woven":
            return _woven(rng)


def clutter(rng: np.random.Generator, albedo: Field) -> Field:
    """Return the surface with what is on good parts too: dust, lint, a finger's smear."""
    shown = albedo
    for _ in range(int(rng.integers(0, 5))):
        x, y, radius, tone, alpha = rng.random(5).tolist()
        spot = ramp(elliptic_radius(x * SIDE, y * SIDE, 0.5 + 0.5 * radius), 1.3, 0.5)
        shown = _blend(shown, spot * (0.15 + 0.3 * alpha), 0.15 + 0.75 * tone)
    if rng.random() < 0.15:
        start = rng.random(2) * SIDE
        steps = np.cumsum(rng.standard_normal((5, 2)) * 2.2, axis=0)
        distance, _ = distance_to_path(start + steps)
        shown = _blend(shown, 0.25 * rng.random() * ramp(distance, 1.1, 0.3), 0.75)
    if rng.random() < 0.25:
        x, y, stretch, angle = rng.random(4).tolist()
        smear = elliptic_radius(x * SIDE, y * SIDE, 16.0, 1 + 2 * stretch, np.pi * angle)
        shown = shown * (1 - 0.05 * ramp(smear, 1.2, 0.2))[..., None]
    return shown


def _blend(albedo: Field, alpha: Field, tone: float) -> Field:
    return albedo + alpha[..., None] * (tone - albedo)


def _machined(rng: np.random.Generator) -> Field:
    """Tool marks around a far centre, with finer and coarser feed marks."""
    angle, far, tone = rng.random(3).tolist()
    reach = 70 + 500 * far**2
    direction = 2 * np.pi * angle
    r = np.hypot(X - _CENTRE - reach * np.cos(direction), Y - _CENTRE - reach * np.sin(direction))
    fine = profile_noise(rng, r, 0.9)
    coarse = profile_noise(rng, r, 3.5)
    patchy = 1 + 0.25 * smooth_noise(rng, 5, 5)
    gray = 0.50 + 0.14 * tone + 0.032 * fine * patchy + 0.030 * coarse
    gray = gray + 0.012 * rng.standard_normal((SIDE, SIDE))
    shown: Field = gray[..., None] * np.array([0.98, 1.0, 1.03])
    return shown


def _cast(rng: np.random.Generator) -> Field:
    """Sand-cast skin: isotropic grain over slow unevenness."""
    tone, warmth = rng.random(2).tolist()
    grain = fractal_noise(rng, 16, 3, 0.9)
    uneven = smooth_noise(rng, 4, 4)
    gray = 0.33 + 0.12 * tone + 0.036 * grain + 0.02 * uneven
    gray = gray + 0.014 * rng.standard_normal((SIDE, SIDE))
    shown: Field = gray[..., None] * np.array([1.0 + 0.05 * warmth, 1.0, 1.0 - 0.06 * warmth])
    return shown


def _painted(rng: np.random.Generator) -> Field:
    """A coat of paint: one colour, orange peel, a soft reflection."""
    paint = np.array(_PAINTS[int(rng.integers(len(_PAINTS)))])
    brightness, x, y, gloss = rng.random(4).tolist()
    peel = smooth_noise(rng, 20, 20)
    gray = 0.85 + 0.3 * brightness + 0.028 * peel + 0.010 * rng.standard_normal((SIDE, SIDE))
    shine = ramp(elliptic_radius(x * SIDE, y * SIDE, 22, 1.5, np.pi * y), 1.5, 0.0)
    shown: Field = gray[..., None] * paint + (0.10 * gloss * shine * (1 + 0.1 * peel))[..., None]
    return shown


def _woven(rng: np.random.Generator) -> Field:
    """A plain weave of two sets of yarns, coated, seen at an angle."""
    turn, pitch, tone, tint = rng.random(4).tolist()
    angle = (turn - 0.5) * 0.9
    period = 5.0 + 2.5 * pitch
    c, s = np.cos(angle), np.sin(angle)
    warp = 0.7 * smooth_noise(rng, 3, 3)
    u = np.pi * (c * X + s * Y + warp) / period
    v = np.pi * (c * Y - s * X + warp) / period
    over = np.sin(u) * np.sin(v) > 0
    yarn = np.where(over, np.abs(np.sin(u)) ** 0.6, np.abs(np.sin(v)) ** 0.6)
    fibres = np.where(over, smooth_noise(rng, 50, 12), smooth_noise(rng, 12, 50))
    gray = 0.30 + 0.16 * tone + 0.11 * (yarn - 0.75) + 0.03 * fibres
    gray = gray + 0.03 * smooth_noise(rng, 6, 6)
    shown: Field = gray[..., None] * np.array([1.04, 1.0, 0.90 + 0.1 * tint])
    return shown
