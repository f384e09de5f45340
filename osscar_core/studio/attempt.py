"""A worker's hold on its run: what was asked, where to write, how to say where it is.

The decision hidden here: how often progress is told, and what of an unfinished run is kept.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from osscar_core.errors import Cancelled
from osscar_core.progress import ProgressEvent
from osscar_core.studio.database import StoreError
from osscar_core.studio.ledger import Ledger, Work, insist
from osscar_core.studio.pace import Pace
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.runs import State, Status

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"
"""Folder of what a pruner has finished, in a run's folder."""

MODEL = "model"
"""Folder of the pruned model."""

KIT = "kit"
"""Folder with which a pruned model is watched elsewhere."""

PRUNED = "pruned.json"
"""How the pruned model was made, once it is complete."""

_NOTE_EVERY = 0.35
_ALWAYS_KEPT = ("log.txt", "heartbeat")
_STAGES = ("prune", "survey", "probe", "latency")


class Job:
    """A piece of work: what was asked for, where its results go, how to say where it is.

    Args:
        request: What was asked for.
        home: The workspace.
        run_id: The run.
        pace: What is expected of such a run.
        tell: Is told where the work is; says whether it is to go on.

    Attributes:
        request: What was asked for.
        home: The workspace.
        folder: Where the run's artifacts go.
        is_stopped: Whether the work is to end at the next occasion.
    """

    def __init__(
        self,
        request: JobRequest,
        home: Path,
        run_id: str,
        pace: Pace,
        tell: Callable[[Status], bool],
    ) -> None:
        self.request = request
        self.home = home
        self.folder = home / "runs" / run_id
        self.is_stopped = False
        self._pace = pace
        self._tell = tell
        self._began = time.time()
        first = next(iter(pace.shares))
        self._status = Status(
            State.RUNNING, step=first, step_started=self._began, updated=self._began
        )
        self._seconds: dict[str, float] = {}
        self._noted = 0.0

    def start(self) -> None:
        """Tell that the work has begun and how long it is expected to take.

        Raises:
            Cancelled: The run is to end.
        """
        self._note(self._status)

    def begin(self, step: str) -> None:
        """Enter a step of the run's kind.

        Raises:
            Cancelled: The run is to end.
        """
        now = time.time()
        self._close_step(now)
        self._note(Status(State.RUNNING, step=step, step_started=now, updated=now))

    def progress(self, event: ProgressEvent) -> None:
        """Take note of an event of the computation.

        Raises:
            Cancelled: The run is to end.
        """
        if self.is_stopped:
            raise Cancelled
        following = self._step_of(event.stage)
        if following != self._status.step:
            self.begin(following)
            return
        now = time.time()
        if now - self._noted < _NOTE_EVERY:
            return
        status = replace(self._status, detail=event.detail, updated=now)
        # A step with a stage of its name is made of more than that; only the stage is counted.
        is_counted = event.stage == status.step or status.step not in _STAGES
        if is_counted and event.total > 0:
            status = replace(status, fraction=min(1.0, max(0.0, event.done / event.total)))
        self._note(status)

    def _step_of(self, stage: str) -> str:
        """Return the step that an event of a stage belongs to: the one at hand or a later one."""
        steps, at = list(self._pace.shares), self._status.step
        if stage in steps and steps.index(stage) > steps.index(at):
            return stage
        # Loading and the step after it are one call of the library.
        return steps[1] if at == steps[0] and stage != at else at

    def _close_step(self, now: float) -> None:
        status = self._status
        if status.step:
            spent = self._seconds.get(status.step, 0.0)
            # A clock that was set back meanwhile tells nothing.
            self._seconds[status.step] = spent + max(0.0, now - status.step_started)

    def _note(self, status: Status) -> None:
        overall = max(self._status.overall, self._pace.overall(status.step, status.fraction))
        left = self._pace.left(overall, status.updated - self._began)
        self._status = replace(status, overall=overall, run_seconds_left=left)
        self._noted = status.updated
        if not self._tell(self._status) or self.is_stopped:
            raise Cancelled


class Attempt(Job):
    """One worker's work on one run.

    Args:
        ledger: Where the run's state is kept.
        run_id: The run.
        home: The workspace.
        process: This process.
        request: What was asked for.
        pace: What is expected of such a run.

    Attributes:
        id: The run.
        pace: What is expected of such a run.
    """

    def __init__(
        self,
        ledger: Ledger,
        run_id: str,
        home: Path,
        process: Process,
        request: JobRequest,
        pace: Pace,
    ) -> None:
        super().__init__(request, home, run_id, pace, self._record)
        self.id = run_id
        self.pace = pace
        self._ledger = ledger
        self._process = process

    @classmethod
    def take_up(cls, ledger: Ledger, home: Path, run_id: str, process: Process) -> Self | None:
        """Take a run that was started for this process; ``None`` if it is another's."""
        request = insist(lambda: ledger.take_up(run_id, process))
        if request is None:
            return None
        pace = insist(lambda: ledger.pace(run_id))
        return cls(ledger, run_id, home, process, request, pace)

    def check_files(self) -> None:
        """Look again whether the files that were named lie where they may.

        Raises:
            AccessError: One leads elsewhere by now.
        """
        files = insist(lambda: self._ledger.files_of(self.id))
        if files is not None:
            files.check()

    def finish(self) -> None:
        """Declare the result complete."""
        now = time.time()
        self._close_step(now)
        insist(
            lambda: self._ledger.end(
                self.id,
                self._process,
                State.FINISHED,
                seconds=max(0.0, now - self._began),
                step_seconds=self._seconds,
            )
        )

    def stop(self) -> None:
        """End without a result because somebody asked for it, or the machine goes down."""
        for work in insist(self._ledger.working):
            if work.process == self._process:
                discard(self.folder, is_resumable=work.end is State.INTERRUPTED)
                self._end(work.end)

    def fail(self, reason: str, remedy: str, error_id: str = "") -> None:
        """End without a result because something was wrong, unless the run has ended."""
        mine = Work(self.id, "", self._process, None)
        # What went wrong after the result was declared complete must not cost it.
        if not insist(lambda: self._ledger.is_held(mine)):
            return
        discard(self.folder, is_resumable=False)
        self._end(State.FAILED, reason=reason, remedy=remedy, error_id=error_id)

    def _end(self, state: State, *, reason: str = "", remedy: str = "", error_id: str = "") -> None:
        insist(
            lambda: self._ledger.end(
                self.id, self._process, state, reason=reason, remedy=remedy, error_id=error_id
            )
        )

    def _record(self, status: Status) -> bool:
        """Write where the run is; say whether it is to go on."""
        try:
            return self._ledger.note(self.id, self._process, status)
        except StoreError as error:
            # It can be told later; a full disk is met again by the result.
            logger.warning("progress could not be written: %s", error)
            return True


def discard(folder: Path, *, is_resumable: bool) -> None:
    """Remove what an unfinished run has written, but its log.

    Args:
        folder: The run's folder.
        is_resumable: Whether to keep what another attempt can go on from.
    """
    if not folder.is_dir():
        return
    keep = set(_ALWAYS_KEPT)
    if is_resumable:
        keep |= {CHECKPOINT, *((PRUNED, MODEL) if (folder / PRUNED).is_file() else ())}
    # A file that cannot be removed is no reason not to end a run, which has no result.
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
