"""Taking a model away: files that other programs load, compared before they are offered.

The decision hidden here: which names the rest of the program may use. Those that need
torch are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from osscar_core.export.records import ExportFormat, ExportReport

if TYPE_CHECKING:
    from osscar_core.export.writing import export_model

__all__ = ["ExportFormat", "ExportReport", "export_model"]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use."""
    if name != "export_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.writing").export_model
