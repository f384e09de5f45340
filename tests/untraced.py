"""What coverage need not watch: work of libraries, line by line, takes twice as long under it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function such that nothing inside of it counts as covered.

    Meant for functions of libraries. Lines of ours that they call back count only where
    another test reaches them, so that coverage is never said to be higher than it is.
    """

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(tracer)
            _resume()

    return called


def _resume() -> None:
    """Be called: coverage takes up its own, fast way of tracing at the first call it sees."""
