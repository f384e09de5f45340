"""A figure's legend as text with small drawings, so that it wraps and leaves the figure its room.

The decision hidden here: how the marks of a figure are drawn outside of it.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_SIZE = 16
_HALF = _SIZE / 2
_REACH = 6.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend.

    Attributes:
        symbol: A Plotly symbol, or ``line-dash``.
        colour: Its colour.
        name: What it stands for.
    """

    symbol: str
    colour: str
    name: str


def legend(entries: Sequence[Entry], ink: str) -> str:
    """Return a legend as HTML.

    Args:
        entries: What is told.
        ink: Colour of outlines.
    """
    items = "".join(
        f"<li>{_drawing(entry, ink)}{html.escape(entry.name)}</li>" for entry in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _drawing(entry: Entry, ink: str) -> str:
    symbol, is_open = entry.symbol.removesuffix("-open"), entry.symbol.endswith("-open")
    fill, stroke = ("none", entry.colour) if is_open else (entry.colour, ink)
    style = f'fill="{fill}" stroke="{stroke}" stroke-width="{2 if is_open else 1}"'
    if symbol == "line-dash":
        shape = (
            f'<line x1="0" y1="{_HALF}" x2="{2 * _SIZE}" y2="{_HALF}" stroke="{entry.colour}" '
            'stroke-width="2" stroke-dasharray="7 4"/>'
        )
        return _image(shape, 2 * _SIZE)
    if symbol == "circle":
        return _image(f'<circle cx="{_HALF}" cy="{_HALF}" r="{_REACH - 1}" {style}/>')
    drawn = f'<polygon points="{_path(symbol)}" {style}/>'
    if symbol == "square-cross":
        low, high = _HALF - 5, _HALF + 5
        drawn += f'<path d="M{low} {_HALF}H{high}M{_HALF} {low}V{high}" stroke="{ink}"/>'
    return _image(drawn)


def _image(shape: str, width: int = _SIZE) -> str:
    """Return a drawing as an image, which passes where drawings in a page do not."""
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_SIZE}">{shape}</svg>'
    )
    data = base64.b64encode(drawing.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" width="{width}" height="{_SIZE}" alt="">'


def _path(symbol: str) -> str:
    """Return the corners of a symbol.

    Raises:
        KeyError: No such symbol can be drawn.
    """
    third = _REACH / 3
    corners = {
        "square": _around(4, 45.0, 1.2),
        "square-cross": _around(4, 45.0, 1.2),
        "diamond": _around(4, 0.0, 1.15),
        "pentagon": _around(5, -90.0),
        "hexagon": _around(6, -90.0),
        "triangle-up": _around(3, -90.0, 1.1),
        "triangle-down": _around(3, 90.0, 1.1),
        "star": _star(5, 0.4),
        "star-triangle-up": _star(3, 0.35),
        "cross": [
            *[(-third, -_REACH), (third, -_REACH), (third, -third), (_REACH, -third)],
            *[(_REACH, third), (third, third), (third, _REACH), (-third, _REACH)],
            *[(-third, third), (-_REACH, third), (-_REACH, -third), (-third, -third)],
        ],
    }[symbol]
    return " ".join(f"{_HALF + x:.1f},{_HALF + y:.1f}" for x, y in corners)


def _around(count: int, start: float, reach: float = 1.0) -> list[tuple[float, float]]:
    turns = (math.radians(start + 360 * index / count) for index in range(count))
    return [(reach * _REACH * math.cos(turn), reach * _REACH * math.sin(turn)) for turn in turns]


def _star(count: int, inner: float) -> list[tuple[float, float]]:
    outer, notches = _around(count, -90.0, 1.2), _around(count, -90.0 + 180 / count, inner * 1.2)
    return [corner for pair in zip(outer, notches, strict=True) for corner in pair]
