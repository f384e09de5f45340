"""The seven defects.

The decision hidden here: what makes each kind look like itself. A defect changes the
surface's colour (a scratch, a stain), its shading (a dent), or both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osscar_core.datasets.factory.fields import (
    SIDE,
    Field,
    X,
    Y,
    distance_to_path,
    elliptic_radius,
    fractal_noise,
    ramp,
    smooth_noise,
)
from osscar_core.datasets.factory.items import CLASSES

_MARGIN = 10.0
_STAINS = ((0.50, 0.36, 0.20), (0.28, 0.26, 0.24), (0.30, 0.38, 0.46), (0.62, 0.52, 0.30))
_PARTICLES = ((0.10, 0.10, 0.11), (0.88, 0.87, 0.84), (0.66, 0.46, 0.22), (0.22, 0.18, 0.16))
_OXIDES = ((0.42, 0.24, 0.15), (0.20, 0.19, 0.21), (0.52, 0.34, 0.22), (0.27, 0.22, 0.22))


def add_defect(
    rng: np.random.Generator,
    label: int,
    albedo: Field,
    *,
    severity: float,
    visibility: float,
    light: float,
) -> Field:
    """Return the surface with a defect.

    Args:
        rng: Source of randomness.
        label: Class id; 0 (good) changes nothing.
        albedo: The surface, (SIDE, SIDE, 3).
        severity: In [0, 1]; larger defects.
        visibility: In [0, 1]; contrast of the defect, 0 for none.
        light: Direction that light comes from, in radians.
    """
    if label == 0:
        return albedo
    return _DRAW[CLASSES[label]](rng, albedo, severity, visibility, light)


def _mix(albedo: Field, alpha: Field, colour: Field | float) -> Field:
    return albedo + alpha[..., None] * (colour - albedo)


def _place(rng: np.random.Generator, margin: float = _MARGIN) -> tuple[float, float]:
    x, y = (margin + (SIDE - 2 * margin) * rng.random(2)).tolist()
    return x, y


def _scratch(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A long, nearly straight line that bares bright material, dark on its shaded side."""
    x, y = _place(rng, 18.0)
    angle, bend, width, tone, twin = rng.random(5).tolist()
    angle *= np.pi
    length = 24 + 34 * severity
    t = np.linspace(-0.5, 0.5, 6)
    curve = (bend - 0.5) * 14 * (t**2)
    c, s = np.cos(angle), np.sin(angle)
    path = np.stack([x + c * length * t - s * curve, y + s * length * t + c * curve], axis=1)
    distance, along = distance_to_path(path)
    taper = ramp(along, 0.0, 0.2) * ramp(along, 1.0, 0.75)
    thick = (0.65 + 0.55 * width) * (0.5 + 0.5 * taper)
    line = np.exp(-((distance / thick) ** 2)) * taper
    if twin < 0.3:  # dragged chips leave a second, weaker groove
        shift = 2.2 + 1.8 * twin / 0.3
        second, _ = distance_to_path(path + np.array([-s, c]) * shift)
        line = np.maximum(line, 0.6 * np.exp(-((second / 0.6) ** 2)) * taper)
    side = np.sign(np.cos(light) * -s + np.sin(light) * c) or 1.0
    shadow, _ = distance_to_path(path - np.array([-s, c]) * 1.3 * side)
    dark = np.exp(-((shadow / 0.8) ** 2)) * taper
    shown = _mix(albedo, 0.45 * visibility * dark, 0.08)
    return _mix(shown, 0.95 * visibility * line, 0.80 + 0.18 * tone)


def _pit(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A cluster of small round holes, dark inside, their far rims lit."""
    x, y = _place(rng, 14.0)
    count = 2 + int(rng.integers(0, 3)) + int(3 * severity)
    spread = 4.0 + 6.0 * severity
    shown = albedo
    for dx, dy in (rng.standard_normal((count, 2)) * spread).tolist():
        radius = (1.0 + 1.2 * rng.random()) * (0.85 + 0.5 * severity)
        px, py = np.clip(x + dx, 3, SIDE - 4), np.clip(y + dy, 3, SIDE - 4)
        r = elliptic_radius(px, py, radius, 1 + 0.3 * rng.random(), np.pi * rng.random())
        rim = np.exp(-(((r - 1.35) / 0.35) ** 2))
        facing = -((X - px) * np.cos(light) + (Y - py) * np.sin(light)) / (radius * 1.35)
        shown = _mix(shown, 0.55 * visibility * rim * np.clip(facing, 0, 1), 0.92)
        shown = _mix(shown, 0.9 * visibility * ramp(r, 1.25, 0.6), 0.07)
    return shown


def _crack(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A dark, jagged, branching line of uneven width."""
    del light  # a gap is dark from everywhere
    x, y = _place(rng, 16.0)
    angle = 2 * np.pi * rng.random()
    count = 9 + int(6 * severity)
    step = 2.8 + 1.4 * severity
    headings = (
        angle + 0.25 * np.cumsum(rng.standard_normal(count)) + 0.75 * rng.standard_normal(count)
    )
    moves = step * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    path = np.cumsum(np.vstack([[0.0, 0.0], moves]), axis=0)
    path += np.array([x, y]) - path.mean(axis=0)
    distance, along = distance_to_path(path)
    width = (0.45 + 0.45 * rng.random() + 0.25 * severity) * (1 + 0.35 * smooth_noise(rng, 14, 14))
    width = np.maximum(0.3, width * (1.1 - 0.7 * along))
    gap = np.exp(-((distance / width) ** 2))
    for _ in range(1 + int(rng.random() < severity)):
        fork = int(rng.integers(2, count - 1))
        turn = headings[fork] + (0.9 if rng.random() < 0.5 else -0.9)
        turns = turn + 0.6 * rng.standard_normal(4)
        moves = 0.8 * step * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        branch = np.cumsum(np.vstack([path[fork], moves]), axis=0)
        away, out = distance_to_path(branch)
        gap = np.maximum(gap, np.exp(-((away / (0.6 * (1.1 - out))) ** 2)))
    return _mix(albedo, 0.95 * visibility * gap, 0.05)


def _stain(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A soft blot of liquid that dried: see-through, tinted, darker towards its edge."""
    del light  # it has no relief
    x, y = _place(rng, 16.0)
    stretch, angle, tint = rng.random(3).tolist()
    radius = 8.0 + 10.0 * severity
    r = elliptic_radius(x, y, radius, 1 + 0.8 * stretch, np.pi * angle)
    r = r + 0.16 * smooth_noise(rng, 5, 5) + 0.05 * smooth_noise(rng, 12, 12)
    colour = np.array(_STAINS[int(tint * len(_STAINS))])
    inside = ramp(r, 1.12, 0.82)
    ring = np.exp(-(((r - 0.92) / 0.11) ** 2))
    cloudy = 1 + 0.18 * smooth_noise(rng, 7, 7)
    alpha = visibility * np.clip(0.55 * inside * cloudy + 0.25 * ring, 0, 0.85)
    # A filter rather than a cover: the texture below stays visible.
    shown: Field = albedo * (1 - alpha[..., None] * (1 - colour * 1.35))
    return shown


def _dent(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A hollow: only light and shadow tell it, dark towards the light and bright behind."""
    x, y = _place(rng, 14.0)
    stretch, angle = rng.random(2).tolist()
    radius = 5.5 + 6.5 * severity
    r = elliptic_radius(x, y, radius, 1 + 0.7 * stretch, np.pi * angle)
    r = r + 0.05 * smooth_noise(rng, 8, 8)
    depth = np.exp(-(r**2) * 0.9)
    slope_y, slope_x = np.gradient(depth)
    slope = radius * (slope_x * np.cos(light) + slope_y * np.sin(light))  # about -0.8 to 0.8
    rim = np.exp(-(((r - 1.25) / 0.22) ** 2))
    shade = visibility * (-0.62 * slope - 0.10 * depth + 0.07 * rim)
    glint = visibility * 0.30 * np.clip(-slope - 0.35, 0, 1)
    shown: Field = albedo * (1 + shade[..., None]) + glint[..., None]
    return shown


def _inclusion(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """A foreign particle in the surface: one angular, sharply bounded body of another matter."""
    x, y = _place(rng)
    angle, tint, stretch = rng.random(3).tolist()
    radius = 2.6 + 3.2 * severity
    corners = 5 + int(rng.integers(0, 3))
    facets = 2 * np.pi * (np.arange(corners) + 0.35 * rng.standard_normal(corners)) / corners
    reach = 1 + 0.22 * rng.standard_normal(corners)
    c, s = np.cos(np.pi * angle), np.sin(np.pi * angle)
    dx = (c * (X - x) + s * (Y - y)) / (radius * (1 + 0.5 * stretch))
    dy = (c * (Y - y) - s * (X - x)) / radius
    planes = dx[..., None] * np.cos(facets) + dy[..., None] * np.sin(facets)
    inside = (planes / np.clip(reach, 0.6, 1.5)).max(axis=2)  # 1 on the boundary
    colour = np.array(_PARTICLES[int(tint * len(_PARTICLES))])
    body = ramp(inside, 1.12, 0.88)
    lit = 1 + 0.25 * (dx * np.cos(light) + dy * np.sin(light)) + 0.12 * smooth_noise(rng, 24, 24)
    gap = np.exp(-(((inside - 1.2) / 0.16) ** 2))
    shown = _mix(albedo, 0.45 * visibility * gap, 0.10)
    return _mix(shown, 0.95 * visibility * body, colour * lit[..., None])


def _scale(
    rng: np.random.Generator, albedo: Field, severity: float, visibility: float, light: float
) -> Field:
    """Flaking oxide: many ragged patches with hard edges, raised and blotchy."""
    x, y = _place(rng, 16.0)
    stretch, angle, tint = rng.random(3).tolist()
    envelope = elliptic_radius(x, y, 14.0 + 12.0 * severity, 1 + stretch, np.pi * angle)
    field = fractal_noise(rng, 9, 3, 0.75)
    height = field + 0.9 - 1.5 * envelope + 0.3 * severity
    flakes = ramp(height, -0.08, 0.12)
    slope_y, slope_x = np.gradient(ramp(height, -0.4, 0.5))
    edge = -(slope_x * np.cos(light) + slope_y * np.sin(light))
    colour = np.array(_OXIDES[int(tint * len(_OXIDES))])
    blotchy = 1 + 0.22 * smooth_noise(rng, 16, 16)
    shown = _mix(albedo, 0.85 * visibility * flakes, colour * blotchy[..., None])
    raised: Field = shown + (visibility * 0.45 * edge)[..., None]
    return raised


_Draw = Callable[[np.random.Generator, Field, float, float, float], Field]
_DRAW: dict[str, _Draw] = {
    "scratch": _scratch,
    "pit": _pit,
    "crack": _crack,
    "stain": _stain,
    "dent": _dent,
    "inclusion": _inclusion,
    "scale": _scale,
}
