"""Watching a pruned model once it is in use: a folder to take away that needs torch only.

The decision hidden here: which names the rest of the program may use. Those that need
torch are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from osscar_core.monitoring.records import FalseAlarms, KitReport

if TYPE_CHECKING:
    from osscar_core.monitoring.export import export_kit

__all__ = ["FalseAlarms", "KitReport", "export_kit"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use."""
    if name != "export_kit":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.export").export_kit
