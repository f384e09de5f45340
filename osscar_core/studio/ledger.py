"""The life of a run after it was asked for: claimed, worked on, ended.

The decision hidden here: which change of state is allowed, and to whom. Each is one
conditional change of the run's row, so that of two processes that want the same thing one
gets it, and a process that lost its run cannot speak for it any more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from osscar_core.export.records import ExportFormat
from osscar_core.records import from_json
from osscar_core.studio.access import NamedFiles
from osscar_core.studio.database import Database, StoreError, runs
from osscar_core.studio.pace import STEPS, Pace, customary_seconds, steps_of
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import JobKind, JobRequest
from osscar_core.studio.runs import State, Status

logger = logging.getLogger(__name__)

_REMEMBERED, _LOOKED_AT = 5, 100
_PATIENCE, _AGAIN_AFTER = 600.0, 0.5
_T = TypeVar("_T")

LIVE = tuple(state.value for state in State if state.is_live)
_NOBODYS = runs.c.pid.is_(None)


@dataclass(frozen=True, slots=True)
class Work:
    """A run that is being worked on, as the dispatcher sees it.

    Attributes:
        id: Its name.
        device: What it was asked to be computed on.
        process: Its worker, once that has taken it up.
        cancel_asked: When somebody asked for its end; ``None`` if nobody did.
        kind: What is done.
    """

    id: str
    device: str
    process: Process | None
    cancel_asked: float | None
    kind: str = JobKind.PRUNE.value

    @property
    def end(self) -> State:
        """How it ends if its worker is gone."""
        return State.INTERRUPTED if self.cancel_asked is None else State.CANCELLED


def insist(act: Callable[[], _T]) -> _T:
    """Do something to a database, again and again while it cannot be used.

    It may be locked, or its disk full, for longer than one attempt waits; what took hours to
    compute is not thrown away for that.

    Raises:
        StoreError: It could not be used for ten minutes.
    """
    began = time.monotonic()
    while True:
        try:
            return act()
        except StoreError as error:
            if time.monotonic() - began > _PATIENCE:
                raise
            logger.warning("tried again soon: %s", error)
            time.sleep(_AGAIN_AFTER)


class Ledger:
    """Changes of state in one database.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_idle(self) -> bool:
        """Return whether nothing works or waits."""
        if not self._database.exists:
            return True
        query = select(func.count()).select_from(runs).where(runs.c.state.in_(LIVE))
        with self._database.read() as connection:
            return not connection.execute(query).scalar()

    def working(self) -> list[Work]:
        """Return the runs that are being worked on."""
        return self._works(runs.c.state == State.RUNNING.value)

    def worked_on(self) -> list[Work]:
        """Return the runs that are over, and had a worker of this machine."""
        return self._works(and_(runs.c.state.not_in(LIVE), runs.c.pid.is_not(None)))

    def _works(self, where: ColumnElement[bool]) -> list[Work]:
        columns = (
            runs.c.id, runs.c.device, runs.c.pid, runs.c.pid_started, runs.c.cancel_asked,
            runs.c.kind,
        )  # fmt: skip
        with self._database.read() as connection:
            return [
                Work(run_id, device, None if pid is None else Process(pid, started), asked, kind)
                for run_id, device, pid, started, asked, kind in connection.execute(
                    select(*columns).where(where)
                )
            ]

    def claim(
        self, busy: Collection[str], kinds: Collection[str] = (), *, has_room: bool = True
    ) -> Work | None:
        """Take the run that waits longest for a free place out of the queue, to be started.

        Args:
            busy: The devices that are occupied.
            kinds: Kinds of runs that occupy none, as they are computed elsewhere.
            has_room: Whether there is room for one more of those.
        """
        has_place = and_(runs.c.kind.not_in(kinds), runs.c.device.not_in(busy))
        if has_room:
            has_place = or_(has_place, runs.c.kind.in_(kinds))
        waiting = (
            select(runs.c.id, runs.c.device, runs.c.kind)
            .where(runs.c.state == State.QUEUED.value, has_place)
            .order_by(runs.c.queued, runs.c.id)
            .limit(1)
        )
        with self._database.read() as connection:
            if connection.execute(waiting).first() is None:
                return None
        with self._database.write() as connection:
            found = connection.execute(waiting).first()
            if found is None:
                return None
            now = time.time()
            connection.execute(
                update(runs)
                .where(runs.c.id == found.id)
                .values(
                    state=State.RUNNING.value,
                    step=next(iter(STEPS.get(found.kind, ())), ""),
                    step_started=now,
                    updated=now,
                )
            )
        logger.info("its turn on %s", found.device, extra={"run": found.id})
        return Work(found.id, found.device, None, None, found.kind)

    def give_back(self, work: Work) -> None:
        """Put a claimed run that no worker took up back to its place in the queue."""
        never = and_(runs.c.id == work.id, runs.c.state == State.RUNNING.value, _NOBODYS)
        self._change(never, state=State.QUEUED.value, step="", step_started=0.0)

    def take_up(self, run_id: str, process: Process) -> JobRequest | None:
        """Make a process the worker of a claimed run; ``None`` if it is not to be that."""
        mine = and_(runs.c.id == run_id, runs.c.state == State.RUNNING.value, _NOBODYS)
        own = {"pid": process.pid, "pid_started": process.started}
        # In one transaction: if the request cannot be read now, the run is not taken either.
        with self._database.write() as connection:
            if not connection.execute(update(runs).where(mine).values(**own)).rowcount:
                return None
            text = connection.execute(select(runs.c.request).where(runs.c.id == run_id)).scalar()
        return from_json(JobRequest, str(text))

    def files_of(self, run_id: str) -> NamedFiles | None:
        """Return which files of this machine a run may read; ``None`` if nobody limits it."""
        with self._database.read() as connection:
            text = connection.execute(select(runs.c.files).where(runs.c.id == run_id)).scalar()
        return None if text is None else from_json(NamedFiles, text)

    def note(self, run_id: str, process: Process, status: Status) -> bool:
        """Write where a run is; return whether its worker is to go on."""
        values = {
            name: getattr(status, name)
            for name in (
                "step", "fraction", "overall", "detail", "step_started", "updated",
                "run_seconds_left",
            )
        }  # fmt: skip
        wanted = and_(_held(run_id, process), runs.c.cancel_asked.is_(None))
        return self._change(wanted, **values)

    def end(
        self,
        run_id: str,
        process: Process | None,
        state: State,
        *,
        reason: str = "",
        remedy: str = "",
        error_id: str = "",
        seconds: float = 0.0,
        step_seconds: Mapping[str, float] | None = None,
    ) -> bool:
        """End a run that is being worked on; return whether it was.

        Args:
            run_id: The run.
            process: Its worker; ``None`` if it never had one.
            state: How it ends.
            reason: What was wrong, for a failure.
            remedy: What to do about it.
            error_id: The mark in the log.
            seconds: What it took.
            step_seconds: What each step took.
        """
        values: dict[str, Any] = {
            "state": state.value,
            "updated": time.time(),
            "run_seconds_left": None,
            "reason": reason,
            "remedy": remedy,
            "error_id": error_id,
            "seconds": seconds,
            "step_seconds": json.dumps(dict(step_seconds or {})),
        }
        if state is State.FINISHED:
            values |= {"step": "", "detail": "", "fraction": 1.0, "overall": 1.0}
        is_ended = self._change(_held(run_id, process), **values)
        if is_ended:
            took = f" after {seconds:.1f} s" if seconds else ""
            why = f": {reason}" if reason else ""
            about = {"run": run_id, "error_id": error_id}
            logger.info("%s%s%s", state, took, why, extra=about)
        return is_ended

    def is_held(self, work: Work) -> bool:
        """Return whether a run still is that of the worker it was seen with."""
        query = select(runs.c.id).where(_held(work.id, work.process))
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def pace(self, run_id: str) -> Pace:
        """Return what earlier runs of the same model, kind, format and device lead to expect.

        Only those of the same owner: nobody learns from it that others work on a model.
        """
        columns = (runs.c.owner, runs.c.kind, runs.c.model, runs.c.device, runs.c.request)
        own = select(*columns).where(runs.c.id == run_id)
        with self._database.read() as connection:
            row = connection.execute(own).one()
            query = (
                select(runs.c.request, runs.c.step_seconds)
                .where(
                    runs.c.state == State.FINISHED.value,
                    runs.c.owner == row.owner,
                    runs.c.kind == row.kind,
                    runs.c.model == row.model,
                    runs.c.device == row.device,
                    # Of a run that went on from a checkpoint the steps say little.
                    runs.c.resumes == 0,
                    runs.c.is_imported.is_(False),
                    runs.c.step_seconds != "{}",
                )
                .order_by(runs.c.updated.desc())
                .limit(_LOOKED_AT)
            )
            found = connection.execute(query).all()
        format_, int8 = _writes(row.request)
        alike = [one.step_seconds for one in found if _writes(one.request) == (format_, int8)]
        kind = JobKind(row.kind)
        writes = ExportFormat(format_) if kind is JobKind.EXPORT else None
        habit = customary_seconds(row.model, kind, writes, int8=int8)
        earlier = [json.loads(text) for text in alike[:_REMEMBERED]]
        return Pace.learned(steps_of(kind, writes), earlier, habit)

    def _change(self, where: ColumnElement[bool], **values: Any) -> bool:
        with self._database.write() as connection:
            return bool(connection.execute(update(runs).where(where).values(**values)).rowcount)


def _held(run_id: str, process: Process | None) -> ColumnElement[bool]:
    """Return the condition that a run is being worked on by a process, or taken up by none."""
    own: ColumnElement[bool] = _NOBODYS
    if process is not None:
        own = and_(runs.c.pid == process.pid, runs.c.pid_started == process.started)
    return and_(runs.c.id == run_id, runs.c.state == State.RUNNING.value, own)


def _writes(request: str) -> tuple[str, bool]:
    """Return what a request says of its format, without asking whether all of it can be read.

    Databases do not agree on how to look into a text, so it is done here. Exports did not
    always say what they write; see `JobRequest.writes`.
    """
    try:
        values = json.loads(request)
    except ValueError:
        values = None
    said = values if isinstance(values, dict) else {}
    return str(said.get("format") or ExportFormat.ONNX.value), bool(said.get("int8"))
