"""Runs: asked for, found again, stopped, tidied up.

The decision hidden here: how a run outlives the page that asked for it, and who may see it.
Records are rows of one table, and that table is also the queue: a run waits by being in
the state ``queued``. A library for queues beside it would be a second source of truth about
what runs, to be kept in step with the first through every crash; the table needs no server
and loses nothing. What computes is started by one small process a workspace, see
`osscar_core.studio.dispatcher`. Nothing here imports torch or Streamlit, and all of it may
be called from several processes at once.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from osscar_core.errors import OsscarError
from osscar_core.records import from_json, to_json
from osscar_core.showcase import Showcase
from osscar_core.storage import read_sealed, workspace, write_sealed
from osscar_core.studio import bundle, legacy, logs, owndata, retention
from osscar_core.studio.access import NamedFiles
from osscar_core.studio.attempt import discard
from osscar_core.studio.briefs import find_brief, is_timed_here
from osscar_core.studio.database import Database, StoreError, runs, unwritable
from osscar_core.studio.ledger import LIVE, Ledger
from osscar_core.studio.processes import Process, collect, start, try_lock
from osscar_core.studio.requests import JobKind, JobRequest, RunResult
from osscar_core.studio.rows import row_of, run_of
from osscar_core.studio.runs import LOCAL, RUN_ID, Run, State, Status, new_run_id

__all__ = ["LOCAL", "Run", "RunStore", "State", "Status", "StoreError", "unknown"]

logger = logging.getLogger(__name__)

WORKER = "osscar_core.studio.worker"
DISPATCHER = "osscar_core.studio.dispatcher"
LOCK = "dispatcher.lock"
"""File of the workspace that the dispatcher holds locked for as long as it lives."""

QUEUE_LIMIT = 50
"""Runs that one owner may have waiting."""

_KEEP_DELETED = 600.0
_RESTART_AFTER = 2.0
_MAX_NAME, _MAX_NOTE, _MAX_OWNER = 200, 10_000, 200
_NEXT = 1e-6

_RECORDS = {
    JobKind.PRUNE: "result.json",
    JobKind.CHECK: "check.json",
    JobKind.KIT: "kit.json",
    JobKind.EXPORT: "export.json",
}
"""What a finished run leaves in its folder, by its kind."""


class RunStore:
    """The runs of one workspace.

    Args:
        home: The workspace folder; created when the first run is submitted.
        worker: Module that computes a run, started as ``python -m worker HOME ID``.
    """

    def __init__(self, home: Path | None = None, worker: str = WORKER) -> None:
        self.home = home or workspace()
        self._worker = worker
        self.database = Database(self.home, self._opened)

    @property
    def runs_folder(self) -> Path:
        """The folder with one folder a run."""
        return self.home / "runs"

    def submit(
        self, request: JobRequest, owner: str = LOCAL, files: NamedFiles | None = None
    ) -> Run:
        """Queue a run, or return the one of this owner that answers this request.

        Asking twice (a double click, a second tab) gives the same run. Runs that failed,
        were cancelled, interrupted, deleted or computed elsewhere do not count: asking
        again starts anew.

        Args:
            request: What is asked for.
            owner: Who asks.
            files: What it names of this machine's files, which is looked at again when they
                are read; ``None`` to read whatever it names.

        Raises:
            StoreError: Too much is waiting already, or the workspace cannot be written to.
        """
        _check_length("the owner", owner, _MAX_OWNER, least=1)
        with self.database.write() as connection:
            rows = connection.execute(_answering(request, owner)).all()
            known = next((row.id for row in rows if self._answers(row, request)), None)
            run_id = known or self._enqueue(connection, request, owner, files)
        if known is None:
            _note(run_id, owner, f"asked for ({request.kind})")
        self.ensure_dispatched()
        return self._existing(run_id)

    def runs(self, owner: str | None = None, also: Collection[str] = ()) -> list[Run]:
        """Return all runs of an owner and some others, or of everybody, the newest first."""
        wanted = (
            [or_(*_of(owner), runs.c.id.in_(also))] if owner is not None and also else _of(owner)
        )
        return list(reversed(self._find(*wanted)))

    def get(self, run_id: str, owner: str | None = None) -> Run | None:
        """Return one run, or ``None`` if the owner has none of that name."""
        if not RUN_ID.fullmatch(run_id):
            return None
        return next(iter(self._find(runs.c.id == run_id, *_of(owner))), None)

    def live(self, owner: str | None = None) -> list[Run]:
        """Return the runs that are working or waiting, the oldest first."""
        return self._find(runs.c.state.in_(LIVE), *_of(owner))

    def result(self, run: Run) -> RunResult | None:
        """Return what a finished run found; ``None`` for any other or a damaged one."""
        if run.status.state is not State.FINISHED:
            return None
        path = run.folder / "result.json"
        try:
            return _read_result(path, path.stat().st_mtime_ns)
        except (OSError, OsscarError):
            return None

    def showcase(self, run: Run) -> Showcase | None:
        """Return what both models answer to a few inputs; ``None`` where that is not known."""
        try:
            return from_json(Showcase, read_sealed(run.folder / "showcase.json"))
        except (OSError, OsscarError):
            return None

    def log(self, run: Run) -> str:
        """Return what the worker printed."""
        try:
            text = (run.folder / "log.txt").read_text(encoding="utf8", errors="replace")
        except OSError:
            return ""
        return logs.readable(text)

    def cancel(self, run: Run, owner: str = LOCAL) -> None:
        """Stop a run: one that waits at once, one that works within three seconds.

        Raises:
            StoreError: It is not this owner's.
        """
        if run.owner != owner:
            raise unknown(run.id)
        now = time.time()
        mine = (runs.c.id == run.id) & (runs.c.owner == owner)
        waiting = mine & (runs.c.state == State.QUEUED.value)
        working = mine & (runs.c.state == State.RUNNING.value) & runs.c.cancel_asked.is_(None)
        ended = {"state": State.CANCELLED.value, "step": "", "updated": now}
        with self.database.write() as connection:
            was_waiting = connection.execute(update(runs).where(waiting).values(**ended)).rowcount
            connection.execute(update(runs).where(working).values(cancel_asked=now))
        _note(run.id, owner, "is to stop")
        if was_waiting:
            discard(run.folder, is_resumable=False)
        else:
            self.ensure_dispatched()

    def delete(self, run: Run) -> None:
        """Hide a run that is not live; its files go some minutes later or at the next start.

        Raises:
            StoreError: It is live, or there is no such run.
        """
        ended = runs.c.state.not_in(LIVE) & runs.c.deleted_at.is_(None)
        self._change(run, ended, "it is still at work: cancel it first", deleted_at=time.time())
        _note(run.id, run.owner, "deleted")
        self.purge()

    def undelete(self, run: Run) -> Run:
        """Bring a run back that was deleted a moment ago.

        Raises:
            StoreError: It is gone for good.
        """
        self._change(run, runs.c.deleted_at.is_not(None), "it was not deleted", deleted_at=None)
        return self._existing(run.id)

    def rename(self, run: Run, name: str) -> Run:
        """Call a run something; an empty name takes that back."""
        clean = " ".join(name.split())
        _check_length("the name", clean, _MAX_NAME)
        return self._set(run, name=clean)

    def annotate(self, run: Run, note: str) -> Run:
        """Write a note on a run, in place of the one there was."""
        _check_length("the note", note.strip(), _MAX_NOTE)
        return self._set(run, note=note.strip())

    def star(self, run: Run, is_starred: bool) -> Run:
        """Mark a run, or take the mark off."""
        return self._set(run, is_starred=is_starred)

    def again(self, run: Run) -> Run:
        """Ask for what a run was asked for once more; see `submit`."""
        return self.submit(run.request, run.owner)

    def resume(self, run: Run, files: NamedFiles | None = None) -> Run:
        """Queue an interrupted run again; it goes on from what it had finished.

        Args:
            run: The run.
            files: See `submit`.

        Raises:
            StoreError: It was not interrupted, or too much is waiting already.
        """
        if not run.can_resume:
            raise StoreError(
                f"the run {run.id} is {run.status.state}, not interrupted", "Start it again"
            )
        with self.database.write() as connection:
            _check_room(connection, run.owner)
            turn = _next_turn(connection)
        queued = {
            "state": State.QUEUED.value,
            "queued": turn,
            "step": "",
            "detail": "",
            "fraction": 0.0,
            "overall": 0.0,
            "pid": None,
            "pid_started": None,
            "cancel_asked": None,
            "resumes": runs.c.resumes + 1,
            "files": None if files is None else to_json(files),
        }
        is_interrupted = runs.c.state == State.INTERRUPTED.value
        self._change(run, is_interrupted & runs.c.deleted_at.is_(None), "it goes on", **queued)
        _note(run.id, run.owner, "asked to go on")
        self.ensure_dispatched()
        return self._existing(run.id)

    def pack(self, run: Run) -> bytes:
        """Return a finished run as a file for another installation: records, no weights.

        Raises:
            StoreError: There is nothing to take along.
        """
        result = self.result(run)
        if result is None or run.kind is not JobKind.PRUNE:
            raise StoreError(
                f"the run {run.id} has no result to export", "Export one that finished"
            )
        manifest = bundle.Manifest(
            bundle.FORMAT,
            created=run.created,
            seconds=run.status.seconds,
            name=run.name,
            note=run.note,
        )
        return bundle.pack(bundle.Bundle(manifest, run.request, result, self.showcase(run)))

    def unpack(self, data: bytes, owner: str = LOCAL) -> Run:
        """Take in a run that was computed elsewhere; the same one twice is one run.

        Raises:
            OsscarError: The file is no run, is damaged, or was made to do harm.
        """
        _check_length("the owner", owner, _MAX_OWNER, least=1)
        found = bundle.unpack(data)
        manifest = found.manifest
        mine = runs.c.is_imported & (runs.c.owner == owner) & (runs.c.key == found.digest)
        with self.database.write() as connection:
            known = connection.execute(
                select(runs.c.id).where(mine & runs.c.deleted_at.is_(None))
            ).scalar()
            if known is not None:
                return self._existing(known)
            folder = self._new_folder()
            run = Run(
                id=folder.name,
                folder=folder,
                request=found.request,
                status=Status(
                    State.FINISHED,
                    fraction=1.0,
                    overall=1.0,
                    updated=time.time(),
                    seconds=manifest.seconds,
                ),
                owner=owner,
                created=time.time(),
                name=manifest.name,
                note=manifest.note,
                is_imported=True,
            )
            try:
                write_sealed(run.folder / "result.json", to_json(found.result))
                if found.showcase is not None:
                    write_sealed(run.folder / "showcase.json", to_json(found.showcase))
                connection.execute(insert(runs).values(row_of(run, key=found.digest)))
            except BaseException:
                shutil.rmtree(run.folder, ignore_errors=True)
                raise
        _note(run.id, owner, "taken in from a bundle")
        return self._existing(run.id)

    def ensure_dispatched(self) -> None:
        """See to it that somebody starts what waits and watches what works.

        Cheap enough for every refresh of a page: mostly one look at a lock.

        Raises:
            StoreError: The process for it cannot be started.
        """
        if not self.database.exists:
            return
        last = _started.get(self.home, 0.0)
        if time.monotonic() - last < _RESTART_AFTER:
            return
        try:
            # Whoever holds the lock is the dispatcher: it inherits it, so that there is no
            # moment in which two could be started, or none.
            lock = try_lock(self.home / LOCK)
            if lock is None:
                return
            with contextlib.closing(os.fdopen(lock)):
                if Ledger(self.database).is_idle():
                    return
                _started[self.home] = time.monotonic()
                arguments = [str(self.home), "--worker", self._worker, "--lock", str(lock)]
                log = self.home / "dispatcher.log"
                collect(start(DISPATCHER, arguments, log, keep_open=[lock]))
        except OSError as error:
            raise unwritable(error) from error

    def dispatcher(self) -> Process | None:
        """Return the process that starts runs, if it lives."""
        try:
            text = (self.home / LOCK).read_text()
            found = from_json(Process, text)
        except (OSError, OsscarError):
            return None
        return found if found.is_alive else None

    def purge(self, older_than: float = _KEEP_DELETED) -> None:
        """Remove for good what was deleted longer ago than so many seconds, and what is too old."""
        with self.database.write() as connection:
            gone = _purge(connection, older_than)
        for run_id in gone:
            shutil.rmtree(self.runs_folder / run_id, ignore_errors=True)
        retention.apply(self.database, self.runs_folder)

    def _opened(self, connection: Connection) -> Callable[[], None]:
        """Bring the table in line with the workspace when a process first opens it."""
        clear = legacy.take_in(connection, self.runs_folder)
        gone = _purge(connection, _KEEP_DELETED)

        def follow() -> None:
            clear()
            owndata.tidy(self.home)
            for run_id in gone:
                shutil.rmtree(self.runs_folder / run_id, ignore_errors=True)

        return follow

    def _enqueue(
        self, connection: Connection, request: JobRequest, owner: str, files: NamedFiles | None
    ) -> str:
        _check_room(connection, owner)
        retention.check_room(self.runs_folder)
        folder = self._new_folder()
        now = time.time()
        run = Run(
            folder.name, folder, request, Status(State.QUEUED, updated=now), owner=owner,
            created=now,
        )  # fmt: skip
        row = row_of(run) | {"queued": _next_turn(connection)}
        if files is not None:
            row["files"] = to_json(files)
        connection.execute(insert(runs).values(row))
        return run.id

    def _new_folder(self) -> Path:
        """Make the folder of a new run, under a name that none had before."""
        while True:
            folder = self.runs_folder / new_run_id()
            # The clock may have been set back to when another run was made.
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder

    def _answers(self, row: Row[Any], request: JobRequest) -> bool:
        """Return whether a run will have, or has, what its request asks for, undamaged."""
        if row.state != State.FINISHED.value:
            return True
        if request.kind is JobKind.SURVEY:
            return find_brief(request.spec, self.home) is not None
        if request.kind is JobKind.TIMING:
            return is_timed_here(request.spec, self.home)
        try:
            json.loads(read_sealed(self.runs_folder / row.id / _RECORDS[request.kind]))
        except (OSError, ValueError, OsscarError):
            return False
        return True

    def _find(self, *conditions: Any) -> list[Run]:
        """Return the runs that are not deleted and meet all conditions, the oldest first."""
        if not self.database.exists and not self.runs_folder.is_dir():
            return []
        wanted = select(runs).where(runs.c.deleted_at.is_(None), *conditions)
        waiting = (
            select(runs.c.id, runs.c.device)
            .where(runs.c.state == State.QUEUED.value)
            .order_by(runs.c.queued, runs.c.id)
        )
        with self.database.read() as connection:
            rows = connection.execute(wanted.order_by(runs.c.created, runs.c.id)).all()
            queue = [(run_id, device) for run_id, device in connection.execute(waiting)]
        lines: dict[str, int] = {}
        places: dict[str, int] = {}
        for run_id, device in queue:
            lines[device] = places[run_id] = lines.get(device, 0) + 1
        found = (self._readable(row, places.get(row.id, 0)) for row in rows)
        return [run for run in found if run is not None]

    def _readable(self, row: Row[Any], place: int) -> Run | None:
        try:
            return run_of(row, self.runs_folder, place)
        except OsscarError as error:
            logger.warning("run %s cannot be read: %s", row.id, error)
            return None

    def _existing(self, run_id: str) -> Run:
        run = self.get(run_id)
        if run is None:
            raise unknown(run_id)
        return run

    def _set(self, run: Run, **values: Any) -> Run:
        self._change(run, runs.c.deleted_at.is_(None), "it was deleted", **values)
        return self._existing(run.id)

    def _change(self, run: Run, condition: Any, otherwise: str, **values: Any) -> None:
        """Change a run's row if it meets a condition, and say in words why not."""
        mine = (runs.c.id == run.id) & (runs.c.owner == run.owner)
        with self.database.write() as connection:
            changed = connection.execute(update(runs).where(mine & condition).values(**values))
            if changed.rowcount:
                return
            if connection.execute(select(runs.c.id).where(mine)).first() is None:
                raise unknown(run.id)
        raise StoreError(f"nothing was done with the run {run.id}: {otherwise}", "Reload the page")


_started: dict[Path, float] = {}


def _of(owner: str | None) -> tuple[Any, ...]:
    return () if owner is None else (runs.c.owner == owner,)


def _answering(request: JobRequest, owner: str) -> Any:
    """Return the query for the runs that may answer a request already, the newest first.

    One from elsewhere does not: it has a key of its own.
    """
    useful = (*LIVE, State.FINISHED.value)
    return (
        select(runs.c.id, runs.c.state)
        .where(
            runs.c.key == request.key,
            runs.c.owner == owner,
            runs.c.state.in_(useful),
            runs.c.cancel_asked.is_(None),
            runs.c.deleted_at.is_(None),
        )
        .order_by(runs.c.created.desc())
    )


def _check_room(connection: Connection, owner: str) -> None:
    waiting = (runs.c.owner == owner) & (runs.c.state == State.QUEUED.value)
    count = connection.execute(select(func.count()).select_from(runs).where(waiting)).scalar()
    if count is not None and count >= QUEUE_LIMIT:
        raise StoreError(
            f"{count} runs are waiting, and that is as many as may",
            "Wait until some have finished, or cancel some",
        )


def _next_turn(connection: Connection) -> float:
    """Return when a run is queued that comes after all that wait, whatever the clock says."""
    waiting = runs.c.state == State.QUEUED.value
    last = connection.execute(select(func.max(runs.c.queued)).where(waiting)).scalar()
    return time.time() if last is None else max(time.time(), last + _NEXT)


def _purge(connection: Connection, older_than: float) -> list[str]:
    """Remove the rows of what was deleted long enough ago; return whose folders may go."""
    old = runs.c.deleted_at <= time.time() - older_than
    gone = list(connection.execute(select(runs.c.id).where(old)).scalars())
    if gone:
        connection.execute(delete(runs).where(old))
    return gone


def _check_length(what: str, text: str, most: int, least: int = 0) -> None:
    if not least <= len(text) <= most:
        raise StoreError(f"{what} has {len(text)} characters", f"It must have {least} to {most}")


def _note(run_id: str, owner: str, what: str) -> None:
    """Write into the log what somebody did with a run."""
    logger.info("run %s: %s", run_id, what, extra={"run": run_id, "owner": owner})


def unknown(run_id: str) -> StoreError:
    """Return the error for a run that is not there, or not for whoever asks."""
    return StoreError(
        f"there is no run {run_id} here", "It may have been deleted; look into the list of runs"
    )


@functools.lru_cache(maxsize=256)
def _read_result(path: Path, _written: int) -> RunResult:
    return from_json(RunResult, read_sealed(path))
