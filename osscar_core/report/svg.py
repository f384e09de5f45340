"""Marks of a static chart.

The decision hidden here: ink, sizes of type, and how an axis finds its ticks. Marks differ in
shape and fill, never in colour alone.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osscar_core.report.markup import Safe, tag

INK = "#1B1F24"
FAINT = "#D5D9DE"
GREY = "#6B7280"
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
SIZE = 10.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis: values from ``low`` to ``high`` lie from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies, kept within the axis."""
        span = self.high - self.low or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """Return round values within the axis."""
        step = nice_step((self.high - self.low) / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def nice_step(raw: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is at least ``raw``."""
    if raw <= 0 or not math.isfinite(raw):
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(
        (power * step for step in (1, 2, 2.5, 5) if power * step >= raw * (1 - 1e-9)), 10 * power
    )


def scale_of(values: Iterable[float], start: float, end: float, *, margin: float = 0.06) -> Scale:
    """Return an axis that holds all finite values with some room beside them."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    room = (high - low) * margin or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, start, end)


def picture(width: float, height: float, title: str, description: str, *marks: Safe | None) -> Safe:
    """Return a picture with a title and a description for those who can't see it."""
    drawn = "\0".join((title, description, *(mark or "" for mark in marks)))
    name = f"c{hashlib.sha256(drawn.encode()).hexdigest()[:10]}"
    return tag(
        "svg",
        tag("title", title, id=f"{name}t"),
        tag("desc", description, id=f"{name}d"),
        *marks,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}t {name}d",
    )


def label(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: float = SIZE,
    fill: str = INK,
    bold: bool = False,
    turn: float | None = None,
) -> Safe:
    """Return a text whose baseline is at ``y``."""
    return tag(
        "text",
        words,
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        text_anchor=anchor,
        font_size=f"{size:g}",
        fill=fill,
        font_weight="600" if bold else None,
        transform=None if turn is None else f"rotate({turn:g} {x:.1f} {y:.1f})",
    )


def line(
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    stroke: str = INK,
    width: float = 1.0,
    dash: str | None = None,
) -> Safe:
    """Return a straight line."""
    return tag(
        "line",
        x1=f"{start[0]:.1f}",
        y1=f"{start[1]:.1f}",
        x2=f"{end[0]:.1f}",
        y2=f"{end[1]:.1f}",
        stroke=stroke,
        stroke_width=f"{width:g}",
        stroke_dasharray=dash,
    )


def path(
    points: Sequence[tuple[float, float]],
    *,
    stroke: str,
    width: float = 1.6,
    dash: str | None = None,
) -> Safe:
    """Return a line through points."""
    return tag(
        "polyline",
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        fill="none",
        stroke=stroke,
        stroke_width=f"{width:g}",
        stroke_dasharray=dash,
    )


def box(
    x: float, y: float, width: float, height: float, *, fill: str, stroke: str | None = None
) -> Safe:
    """Return a rectangle; widths and heights below zero are taken as zero."""
    return tag(
        "rect",
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        width=f"{max(0.0, width):.1f}",
        height=f"{max(0.0, height):.1f}",
        fill=fill,
        stroke=stroke,
        stroke_width=None if stroke is None else "0.8",
    )


def dot(x: float, y: float, *, fill: str, radius: float = 3.5, stroke: str = INK) -> Safe:
    """Return a filled circle."""
    return tag(
        "circle",
        cx=f"{x:.1f}",
        cy=f"{y:.1f}",
        r=f"{radius:g}",
        fill=fill,
        stroke=stroke,
        stroke_width="0.8",
    )


def square(x: float, y: float, *, fill: str, side: float = 6.5) -> Safe:
    """Return a small square around a point."""
    return box(x - side / 2, y - side / 2, side, side, fill=fill, stroke=INK)


def triangle(x: float, y: float, *, points_down: bool) -> Safe:
    """Return a hollow triangle around a point."""
    tip = 4.0 if points_down else -4.0
    corners = ((x - 4, y - tip), (x + 4, y - tip), (x, y + tip))
    return tag(
        "polygon",
        points=" ".join(f"{left:.1f},{top:.1f}" for left, top in corners),
        fill="#FFFFFF",
        stroke=GREY,
    )


def columns(words: str) -> int:
    """Return how many columns of type a text takes: two for a wide character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in words)


def shortened(words: str, most: int) -> str:
    """Return a text that takes at most so many columns, with an ellipsis where it was cut."""
    if columns(words) <= most:
        return words
    kept = ""
    for letter in words:
        if columns(kept + letter) > most - 1:
            break
        kept += letter
    return kept + "…"
