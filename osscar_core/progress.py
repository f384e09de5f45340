"""How long work reports where it is, and how it is stopped.

The decision hidden here: progress is a plain callback. Whoever started the work passes
one in; raising `osscar_core.errors.Cancelled` from it stops the work cleanly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step of a longer piece of work.

    Attributes:
        stage: What is being done, such as ``prune`` or ``evaluate``.
        done: Work finished so far, in the unit of ``total``.
        total: All the work of this stage; at least ``done``.
        detail: What is at hand, such as a unit's name.
    """

    stage: str
    done: float
    total: float
    detail: str = ""


Progress = Callable[[ProgressEvent], None]


def report(progress: Progress | None, stage: str, done: float, total: float, detail: str) -> None:
    """Send one event, if anyone listens."""
    if progress is not None:
        progress(ProgressEvent(stage, done, total, detail))


def in_stage(progress: Progress | None, stage: str) -> Progress | None:
    """Return what takes events of one stage for those of another; ``None`` for nobody."""
    if progress is None:
        return None
    return lambda event: progress(dataclasses.replace(event, stage=stage))
