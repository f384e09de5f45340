"""Files as people bring them, made on the spot."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image

CLASSES = ("good", "scratch", "pit")


def png(seed: int = 0, side: int = 8, kind: str = "PNG") -> bytes:
    """Return a small picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def packed(files: dict[str, bytes | str]) -> bytes:
    """Return a zip file of the given files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def class_folders(count: int = 12, classes: tuple[str, ...] = CLASSES) -> dict[str, bytes | str]:
    """Return pictures in one folder per class."""
    return {f"{classes[i % len(classes)]}/{i:02d}.png": png(i) for i in range(count)}


def labelled(count: int = 12, classes: tuple[str, ...] = CLASSES) -> dict[str, bytes | str]:
    """Return pictures with a table of labels and lines."""
    rows = [f"p/{i:02d}.png,{classes[i % len(classes)]},{'AB'[i % 2]}" for i in range(count)]
    files: dict[str, bytes | str] = {"labels.csv": "file,label,line\n" + "\n".join(rows)}
    return {**files, **{f"p/{i:02d}.png": png(i) for i in range(count)}}


def reports(count: int = 12) -> str:
    """Return a table of short documents with a column to slice by."""
    rows = [
        f'"Pump {i} leaks, seal replaced.",{"north" if i % 2 else "south"}' for i in range(count)
    ]
    return "text,plant\n" + "\n".join(rows) + "\n"
