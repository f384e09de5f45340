"""Calibration and evaluation data: text and images, from files, hubs and built-in samples.

The decision hidden here: which names the rest of the program may use. Those that need
torch are loaded on first use, so that a specification can be checked without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from osscar_core.datasets.spec import DataSpec, Split, parse_data_spec

if TYPE_CHECKING:
    from osscar_core.datasets.images import ImageSet, load_images
    from osscar_core.datasets.text import TextWindows, load_windows

__all__ = [
    "DataSpec",
    "ImageSet",
    "Split",
    "TextWindows",
    "load_images",
    "load_windows",
    "parse_data_spec",
]

_HOMES = {
    "ImageSet": "images",
    "load_images": "images",
    "TextWindows": "text",
    "load_windows": "text",
}


def __getattr__(name: str) -> Any:
    """Load a name that needs torch from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
