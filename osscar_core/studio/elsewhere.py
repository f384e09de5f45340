"""Whether runs are computed on the machines of a Ray cluster instead of this one.

The decision hidden here: how that is said, and which runs stay on this machine all the same.
"""

from __future__ import annotations

import os

from osscar_core.errors import SpecError
from osscar_core.records import check_range
from osscar_core.studio.requests import JobKind

ADDRESS = "OSSCAR_RAY_ADDRESS"
ARTIFACTS = "OSSCAR_ARTIFACTS"
AT_ONCE = "OSSCAR_RAY_RUNS"

LOCAL = (JobKind.TIMING,)
"""Kinds of work that are about this very machine."""

_USUALLY_AT_ONCE = 4


def is_elsewhere(kind: str) -> bool:
    """Return whether runs of a kind are to be computed on a cluster."""
    return kind not in LOCAL and any(given(name) for name in (ADDRESS, ARTIFACTS))


def at_once() -> int:
    """Return how many runs are handed out at a time.

    Raises:
        SpecError: The setting is no such number.
    """
    said = given(AT_ONCE)
    if not said:
        return _USUALLY_AT_ONCE
    if not said.isdecimal():
        raise SpecError(f"{AT_ONCE} is '{said}'", "Give a whole number of runs, such as 4")
    check_range(AT_ONCE, int(said), 1)
    return int(said)


def given(name: str) -> str:
    """Return what the environment says; empty if nothing."""
    return os.environ.get(name, "").strip()
