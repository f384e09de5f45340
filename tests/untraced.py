"""What coverage need not watch: Python takes up to twice as long under it.

Whatever is left out here makes the figure lower than it is, and never higher: lines count
where they are watched, and the gate holds for those alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from coverage import Coverage

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


@contextmanager
def unwatched() -> Iterator[None]:
    """Let coverage look away, in every thread; nothing happens where it does not watch."""
    watching = Coverage.current()
    if watching is None:
        yield
        return
    watching.stop()
    try:
        yield
    finally:
        watching.start()


def _resume() -> None:
    """Be called: coverage takes up its own, fast way of tracing at the first call it sees."""
