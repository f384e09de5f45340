from __future__ import annotations

from layers import brute_force, make_case, make_statistics

__all__ = ["brute_force", "make_case", "make_statistics"]
