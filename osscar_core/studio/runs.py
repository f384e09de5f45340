"""A run as the app shows it: what was asked, where it is, what its owner wrote on it.

The decision hidden here: what may be asked of a run in which state.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from osscar_core.studio.logs import readable
from osscar_core.studio.requests import JobKind, JobRequest

LOCAL = "local"
"""The owner of all runs where nobody signs in."""

RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
"""What a run of a workspace is called."""

_TAIL_BYTES = 4096
_TAIL_LINES = 12


class State(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_live(self) -> bool:
        """Whether more will happen without anyone asking for it."""
        return self in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run is.

    Attributes:
        state: Where it is in its life.
        step: Which step of the work is at hand, such as ``prune``.
        fraction: Share of that step that is done.
        overall: Share of the whole run that is done.
        detail: What is being worked on, such as a unit's name.
        step_started: When the step began, in seconds since the epoch.
        updated: When this was written, in seconds since the epoch.
        reason: For failed runs, what was wrong.
        remedy: For failed runs, what to do about it.
        error_id: For unexpected failures, the mark under which the log has the details.
        seconds: For finished runs, the wall time from the start of the work.
        run_seconds_left: Estimated seconds until the end of the run; ``None`` while too
            early to say.
    """

    state: State
    step: str = ""
    fraction: float = 0.0
    overall: float = 0.0
    detail: str = ""
    step_started: float = 0.0
    updated: float = 0.0
    reason: str = ""
    remedy: str = ""
    error_id: str = ""
    seconds: float = 0.0
    run_seconds_left: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end of the run, from now; ``None`` while too early to say.

        A run that takes longer than expected is said to be nearly done, not done.
        """
        if self.run_seconds_left is None:
            return None
        return max(1.0, self.run_seconds_left - (time.time() - self.updated))


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the app shows it.

    Attributes:
        id: Its name, and that of its folder.
        folder: Where what it computed is.
        request: What was asked for.
        status: Where it is.
        place: How many runs start on its device until it does; 0 if it is not queued. All
            owners' count.
        owner: Whose it is.
        created: When it was asked for, in seconds since the epoch.
        name: What its owner calls it; empty for nothing.
        note: What its owner wrote about it.
        is_starred: Whether its owner marked it.
        is_imported: Whether it was computed elsewhere and came as a bundle.
        is_stopping: Whether it was asked to stop and has not yet.
    """

    id: str
    folder: Path
    request: JobRequest
    status: Status
    place: int = 0
    owner: str = LOCAL
    created: float = 0.0
    name: str = ""
    note: str = ""
    is_starred: bool = False
    is_imported: bool = False
    is_stopping: bool = False

    @property
    def kind(self) -> JobKind:
        """What it does."""
        return self.request.kind

    @property
    def can_resume(self) -> bool:
        """Whether it was interrupted and can go on from what it had finished."""
        return self.status.state is State.INTERRUPTED and not self.is_imported

    @property
    def silent_seconds(self) -> float:
        """Seconds since the worker's last sign of life; 0 before its first."""
        try:
            return max(0.0, time.time() - (self.folder / "heartbeat").stat().st_mtime)
        except OSError:
            return 0.0

    @property
    def model_folder(self) -> Path:
        """Where the pruned model is, once it is written."""
        return self.folder / "model"

    @property
    def log_tail(self) -> str:
        """The last lines that the worker printed."""
        try:
            with (self.folder / "log.txt").open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - _TAIL_BYTES))
                text = log.read().decode("utf8", errors="replace")
        except OSError:
            return ""
        whole = text.splitlines(keepends=True)[1 if size > _TAIL_BYTES else 0 :]
        return "\n".join(readable("".join(whole)).splitlines()[-_TAIL_LINES:])


def new_run_id() -> str:
    """Return a name that sorts by time."""
    now = time.time()
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{second}-{int(now % 1 * 1e6):05x}{secrets.randbelow(16):x}"
