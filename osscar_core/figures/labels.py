"""Where the labels of marks stand, so that none covers another one or a mark.

The decision hidden here: how much room a label takes, which places beside its mark are
tried in which order, and that a label without room is left out: its mark tells on hover.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# A page decides how wide its figure is: a label must have room on a phone and on a screen.
_WIDTHS = (280.0, 480.0, 720.0, 1100.0)
_LINE = 14.0
_LETTER, _WIDE_LETTER = 7.2, 12.5
_PLACES = ("top right", "bottom right", "top left", "bottom left", "top center", "bottom center")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in the figure.

    Attributes:
        x: Where it is across, from 0 at the left to 1 at the right.
        y: Where it is upward, from 0 at the bottom to 1 at the top.
        size: Its height and width in pixels.
        label: What is to stand beside it; empty for none.
        place: Where that stands if there is room, as Plotly calls it.
    """

    x: float
    y: float
    size: float
    label: str = ""
    place: str = "top right"


def places(marks: Sequence[Mark], height: float) -> list[str]:
    """Return where each mark's label stands; empty where there is no room or no label.

    Args:
        marks: All marks of the figure, those first whose labels matter most.
        height: Height of the area between the axes in pixels.
    """
    bodies = [[_body(mark, width, height) for mark in marks] for width in _WIDTHS]
    taken: list[list[Box]] = [[] for _ in _WIDTHS]
    found = []
    for index, mark in enumerate(marks):
        chosen = ""
        for place in (mark.place, *_PLACES) if mark.label else ():
            boxes = [_label(mark, place, width, height) for width in _WIDTHS]
            has_room = all(
                _is_inside(box, width, height)
                and not any(_overlap(box, other) for other in taken[at])
                and not any(_overlap(box, each) for k, each in enumerate(bodies[at]) if k != index)
                for at, (box, width) in enumerate(zip(boxes, _WIDTHS, strict=True))
            )
            if has_room:
                chosen = place
                for at, box in enumerate(boxes):
                    taken[at].append(box)
                break
        found.append(chosen)
    return found


def _body(mark: Mark, width: float, height: float) -> Box:
    x, y, half = mark.x * width, mark.y * height, mark.size / 2
    return x - half, y - half, x + half, y + half


def _label(mark: Mark, place: str, width: float, height: float) -> Box:
    """Return the box of a label, as Plotly puts it beside a mark."""
    left, bottom, right, top = _body(mark, width, height)
    long = sum(
        _WIDE_LETTER if unicodedata.east_asian_width(letter) in "WF" else _LETTER
        for letter in mark.label
    )
    upright, _, sideways = place.partition(" ")
    low = top if upright == "top" else bottom - _LINE
    start = {"right": right, "left": left - long, "center": (left + right - long) / 2}[sideways]
    return start, low, start + long, low + _LINE


def _is_inside(box: Box, width: float, height: float) -> bool:
    left, bottom, right, top = box
    return left >= 0 and bottom >= 0 and right <= width and top <= height


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
