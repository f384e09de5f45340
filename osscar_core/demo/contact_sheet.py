"""Draws a sheet of inspection pictures, so that a person can judge the task.

The decision hidden here: how the sheet is laid out: a row a class, a group of columns a
line, severity growing to the right.

    python -m osscar_core.demo.contact_sheet --out sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from osscar_core.datasets.factory import (
    CLASSES,
    DIFFICULTY,
    LINES,
    SIDE,
    FactoryPictures,
    Line,
)

_GAP = 2
_LABELS = 60
_HEADER = 14
_LOOKED_AT = 400  # pictures of a line among which suitable ones are found


def contact_sheet(
    lines: Sequence[Line] = LINES,
    *,
    columns: int = 4,
    zoom: int = 1,
    difficulty: float = DIFFICULTY,
) -> Image.Image:
    """Return a sheet: every class, on every line, from slight to severe.

    Args:
        lines: Groups of columns.
        columns: Pictures of a class and line.
        zoom: Screen pixels a picture's pixel.
        difficulty: See `FactoryPictures`.
    """
    cell = SIDE * zoom + _GAP
    group = columns * cell + 4 * _GAP
    size = (_LABELS + group * len(lines), _HEADER + cell * len(CLASSES))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for turn, line in enumerate(lines):
        left = _LABELS + turn * group
        pen.text((left, 1), f"line {line}", fill="black")
        pictures = FactoryPictures("evaluation", (line,), difficulty=difficulty)
        items = [pictures.item(index) for index in range(_LOOKED_AT)]
        for label, name in enumerate(CLASSES):
            top = _HEADER + label * cell
            pen.text((2, top + cell // 2 - 6), name, fill="black")
            found = [index for index, item in enumerate(items) if item.label == label]
            found.sort(key=lambda index: items[index].severity)
            for column, place in enumerate(np.linspace(0.06, 0.97, columns)):
                index = found[int(place * len(found))]
                tile = Image.fromarray(pictures.pixels(index))
                tile = tile.resize((SIDE * zoom, SIDE * zoom), Image.Resampling.NEAREST)
                sheet.paste(tile, (left + column * cell, top))
    return sheet


def main(argv: Sequence[str] | None = None) -> None:
    """Write the sheet that the arguments ask for."""
    parser = argparse.ArgumentParser(description="Draw a contact sheet of demo:factory.")
    parser.add_argument("--out", type=Path, required=True, help="PNG or JPEG file to write")
    parser.add_argument("--lines", default="ABC", help="such as AB")
    parser.add_argument("--columns", type=int, default=4, help="pictures of a class and line")
    parser.add_argument("--zoom", type=int, default=1, help="enlargement")
    parser.add_argument("--difficulty", type=float, default=DIFFICULTY)
    args = parser.parse_args(argv)
    sheet = contact_sheet(
        [line for line in LINES if line in args.lines],
        columns=args.columns,
        zoom=args.zoom,
        difficulty=args.difficulty,
    )
    sheet.save(args.out, optimize=True)


if __name__ == "__main__":
    main()
