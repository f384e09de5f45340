"""The process that starts runs: ``python -m osscar_core.studio.dispatcher HOME``.

The decision hidden here: when a run starts, and when one is given up. There is one such
process a workspace, which holds a lock for as long as it lives; it starts a worker when a
device is free, ends what was cancelled, closes what died, and leaves when nothing is left
to do. Everything that it knows is in the table of runs. If it is killed, workers go on,
and the next one finds them there.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from osscar_core.errors import SpecError
from osscar_core.records import to_json
from osscar_core.studio import logs
from osscar_core.studio.attempt import discard
from osscar_core.studio.database import StoreError, unwritable
from osscar_core.studio.elsewhere import at_once, is_elsewhere
from osscar_core.studio.jobs import LOCK, WORKER, RunStore
from osscar_core.studio.ledger import Ledger, Work
from osscar_core.studio.processes import Process, start, try_lock
from osscar_core.studio.requests import JobKind
from osscar_core.studio.runs import State

logger = logging.getLogger(__name__)

_POLL, _POLL_BROKEN = 0.2, 2.0
_KILL_AFTER = 1.2
_LEAVE_AFTER = 10.0
_IDLE = 60.0
_PURGE_EVERY = 60.0
_PATIENCE = 600.0
_NEVER_BEGAN = "the worker ended before it began", "Look into the run's log"


@dataclass(slots=True)
class _Worker:
    """A worker that is looked after here.

    Attributes:
        process: The process.
        devices: What it occupies until it is gone.
        handle: Its handle, if it was started here and has to be collected.
        leaving: Since when its run is over, as `time.monotonic` counts; 0 before.
    """

    process: Process
    devices: set[str]
    handle: subprocess.Popen[bytes] | None = None
    leaving: float = 0.0

    @property
    def is_over(self) -> bool:
        if self.handle is not None:
            return self.handle.poll() is not None
        return not self.process.is_alive


class Dispatcher:
    """Starts and ends the workers of one workspace.

    Args:
        store: The runs.
        worker: Module that computes a run.
    """

    def __init__(self, store: RunStore, worker: str = WORKER) -> None:
        self._store = store
        self._ledger = Ledger(store.database)
        self._worker = worker
        self._workers: dict[str, _Worker] = {}
        self._asked: dict[str, float] = {}
        self._purged = 0.0
        self._elsewhere = tuple(kind.value for kind in JobKind if is_elsewhere(kind))
        self._at_once = _room_elsewhere()

    def adopt(self) -> None:
        """Find what another dispatcher left: what it claimed and did not start waits again.

        A worker that it did start may be about to take its run up; it will then find that
        it came too late.
        """
        if not self._store.database.exists:
            return
        for work in self._ledger.working():
            if work.process is None:
                self._ledger.give_back(work)
        # A worker may not come to its end though its run has.
        for work in self._ledger.worked_on():
            self._look_after(work)

    def step(self) -> bool:
        """Look once at everything; return whether anything works or waits."""
        if not self._store.database.exists:
            self._collect(())
            return bool(self._workers)
        working = self._ledger.working()
        busy, away = set(), 0
        for work in working:
            if self._is_over(work):
                self._close(work)
                continue
            away += work.kind in self._elsewhere
            busy |= self._occupied(work)
            self._look_after(work)
            if work.cancel_asked is not None:
                self._stop(work)
        busy |= self._collect({work.id for work in working})
        while True:
            has_room = away < self._at_once
            claimed = self._ledger.claim(busy, self._elsewhere, has_room=has_room)
            if claimed is None:
                break
            self._start(claimed)
            away += claimed.kind in self._elsewhere
            busy |= self._occupied(claimed)
        if time.monotonic() - self._purged > _PURGE_EVERY:
            self._store.purge()
            self._purged = time.monotonic()
        return bool(busy or self._workers) or not self._ledger.is_idle()

    def _occupied(self, work: Work) -> set[str]:
        """Return the devices of this machine that a run occupies."""
        return set() if work.kind in self._elsewhere else {work.device}

    def _start(self, work: Work) -> None:
        folder = self._store.runs_folder / work.id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "heartbeat").unlink(missing_ok=True)
            arguments = [str(self._store.home), work.id]
            handle = start(self._worker, arguments, folder / "log.txt")
            process = Process.of(handle.pid)
            self._workers[work.id] = _Worker(process, self._occupied(work), handle)
        except OSError as error:
            logger.exception("the worker cannot be started", extra={"run": work.id})
            told = unwritable(error)
            self._ledger.end(work.id, None, State.FAILED, reason=told.problem, remedy=told.remedy)

    def _look_after(self, work: Work) -> None:
        """Take care of a worker that another dispatcher started, if it is there."""
        process = work.process
        if work.id not in self._workers and process is not None and process.is_alive:
            self._workers[work.id] = _Worker(process, self._occupied(work))

    def _is_over(self, work: Work) -> bool:
        if work.process is not None:
            return not work.process.is_alive
        # Started here, and not so far yet that it would have taken its run up.
        worker = self._workers.get(work.id)
        return worker is None or worker.is_over

    def _stop(self, work: Work) -> None:
        """Ask a worker to end; once it has had its time, end it."""
        worker = self._workers.get(work.id)
        process = work.process or (None if worker is None else worker.process)
        if process is None or work.cancel_asked is None:
            return
        # Counted here: the clock that the request was noted by may be set meanwhile.
        asked = self._asked.get(work.id)
        if asked is None:
            self._asked[work.id] = time.monotonic()
            process.ask_to_stop()
        elif time.monotonic() - asked > _KILL_AFTER:
            process.kill_group()

    def _close(self, work: Work) -> None:
        """End a run whose worker is gone."""
        if work.process is not None:
            work.process.kill_group()
        # It was dead before it is looked up here, so it cannot have ended its run since.
        if not self._ledger.is_held(work):
            return
        folder = self._store.runs_folder / work.id
        state, reason, remedy = work.end, "", ""
        if work.process is None and state is State.INTERRUPTED:
            state, (reason, remedy) = State.FAILED, _NEVER_BEGAN
        discard(folder, is_resumable=state is State.INTERRUPTED)
        self._ledger.end(work.id, work.process, state, reason=reason, remedy=remedy)

    def _collect(self, working: Collection[str]) -> set[str]:
        """Let workers go whose runs are over; return the devices of those still leaving.

        One that ended and is not collected would stay defunct, and one that does not end
        would keep its memory.
        """
        self._asked = {name: at for name, at in self._asked.items() if name in working}
        leaving: set[str] = set()
        for run_id, worker in list(self._workers.items()):
            is_over = worker.is_over
            if run_id in working:
                continue
            if is_over:
                del self._workers[run_id]
                continue
            leaving |= worker.devices
            worker.leaving = worker.leaving or time.monotonic()
            if time.monotonic() - worker.leaving > _LEAVE_AFTER:
                worker.process.kill_group()
        return leaving


def _room_elsewhere() -> int:
    try:
        return at_once()
    except SpecError as error:
        # Every run that goes there says so itself.
        logger.warning("%s", error)
        return 1


def serve(store: RunStore, worker: str, idle: float) -> None:
    """Start and end workers until there has been nothing to do for a while."""
    dispatcher = Dispatcher(store, worker)
    last_good = last_busy = time.monotonic()
    is_new = True
    while store.home.is_dir():
        now = time.monotonic()
        try:
            if is_new:
                dispatcher.adopt()
                is_new = False
            if dispatcher.step():
                last_busy = now
            last_good = now
        except StoreError as error:
            logger.warning("%s", error)
            if now - last_good > _PATIENCE:
                return
            time.sleep(_POLL_BROKEN)
        if now - last_busy > idle:
            return
        time.sleep(_POLL)


def main(arguments: Sequence[str]) -> int:
    """Be the dispatcher of a workspace, unless another process is; return the exit status."""
    parser = argparse.ArgumentParser(prog="osscar_core.studio.dispatcher", description=__doc__)
    parser.add_argument("home", type=Path, help="the workspace")
    parser.add_argument("--worker", default=WORKER, help="module that computes a run")
    parser.add_argument("--idle", type=float, default=_IDLE, help="seconds to wait for more work")
    parser.add_argument("--lock", type=int, help="descriptor of the lock, if it is held already")
    given = parser.parse_args(arguments)
    logs.set_up("dispatcher")
    store = RunStore(given.home, given.worker)
    lock = given.lock if given.lock is not None else try_lock(given.home / LOCK)
    while lock is not None:
        _sign(lock)
        serve(store, given.worker, given.idle)
        os.close(lock)
        # Whoever queued a run before that saw the lock held and left it to this process.
        if not _has_work(store):
            break
        lock = try_lock(given.home / LOCK)
    return 0


def _has_work(store: RunStore) -> bool:
    """Return whether anything works or waits, as far as can be told."""
    try:
        return store.home.is_dir() and not Ledger(store.database).is_idle()
    except StoreError as error:
        logger.warning("%s", error)
        return False


def _sign(lock: int) -> None:
    """Write into the lock's file who holds it."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, to_json(Process.of(os.getpid())).encode(), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
