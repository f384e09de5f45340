from __future__ import annotations

from layers import make_case

__all__ = ["make_case"]
