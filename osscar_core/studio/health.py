"""Is the server alive, and can it do its work: ``/healthz``, for what watches it.

The decision hidden here: what counts as unfit, and how little is told to whoever asks.
Anybody who can reach the address may ask, without a session: so there are no paths, names or
messages in the answer, and asking often costs nothing, since what was found holds for a
second and one look is taken at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from osscar_core import __version__
from osscar_core.diagnosis import NO_DISK
from osscar_core.errors import OsscarError
from osscar_core.storage import free_bytes
from osscar_core.studio.database import runs
from osscar_core.studio.gate import Application, Message, Receive, Send
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.runs import State

PATH = "/healthz"
"""Whether the app can work: 200, or 503."""

LIVE_PATH = "/healthz/live"
"""Whether the process answers at all: always 200."""

_HOLDS = 1.0
_PATIENCE = 3.0

Found = Mapping[str, Any]

logger = logging.getLogger(__name__)


def look(store: RunStore) -> dict[str, Any]:
    """Look at everything that a run needs; return what was found, without a word too many.

    If work waits and nobody sees to it, the process for that is started, as a visit would.
    """
    checks = {"disk": _disk(store.home), "database": _database(store)}
    if checks["database"]["status"] == "ok":
        checks["queue"] = _queue(store)
        checks["dispatcher"] = _dispatcher(store, checks["queue"])
    is_fit = all(check["status"] == "ok" for check in checks.values())
    return {"status": "ok" if is_fit else "unfit", "version": __version__, "checks": checks}


class Health:
    """Answers for an application what its state is; everything else is the application's.

    Args:
        app: The application.
        find: Looks at the state; runs in a thread.
    """

    def __init__(self, app: Application, find: Callable[[], Found] | None = None) -> None:
        self._app = app
        self._find = find or (lambda: look(RunStore()))
        self._found: Found = {}
        self._looked = -_HOLDS
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer if it is the state that is asked for, else pass the request on."""
        if scope["type"] != "http" or scope["path"] not in (PATH, LIVE_PATH):
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, {"status": "ask by GET"})
        elif scope["path"] == LIVE_PATH:
            await _answer(send, 200, {"status": "ok", "version": __version__}, scope["method"])
        else:
            found = await self._current()
            await _answer(send, 200 if found["status"] == "ok" else 503, found, scope["method"])

    async def _current(self) -> Found:
        """Return what was found within the last second, or look now."""
        if time.monotonic() - self._looked >= _HOLDS:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            # Many may wait for the same look, and one that gives up must not end it.
            done, _ = await asyncio.wait({self._looking}, timeout=_PATIENCE)
            if not done:
                return {"status": "unfit", "version": __version__, "checks": {"look": _bad("slow")}}
        return self._found

    async def _look(self) -> None:
        try:
            self._found = await asyncio.to_thread(self._find)
        # Whatever it is, the server is not well, and the one who asks is to know that.
        except Exception:
            logger.exception("the state of the server cannot be found out")
            broken = {"look": _bad("failed")}
            self._found = {"status": "unfit", "version": __version__, "checks": broken}
        self._looked = time.monotonic()


async def _answer(send: Send, status: int, found: Found, method: str = "GET") -> None:
    body = json.dumps(found).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _disk(home: Path) -> dict[str, Any]:
    try:
        free = free_bytes(home)
    except OSError:
        return _bad("cannot be written")
    if free < NO_DISK:
        return {**_bad("full"), "free_bytes": free}
    return {"status": "ok", "free_bytes": free}


def _database(store: RunStore) -> dict[str, Any]:
    if not store.database.exists:
        return {"status": "ok"}  # nothing was ever asked for
    try:
        with store.database.write():
            return {"status": "ok"}
    except OsscarError as error:
        logger.warning("%s", error)
        return _bad("cannot be used")


def _queue(store: RunStore) -> dict[str, Any]:
    if not store.database.exists:
        return {"status": "ok", "waiting": 0, "working": 0}
    query = select(runs.c.state, func.count()).group_by(runs.c.state)
    with store.database.read() as connection:
        counts = {row.state: row[1] for row in connection.execute(query)}
    waiting, working = counts.get(State.QUEUED.value, 0), counts.get(State.RUNNING.value, 0)
    return {"status": "ok", "waiting": waiting, "working": working}


def _dispatcher(store: RunStore, queue: Mapping[str, Any]) -> dict[str, Any]:
    if store.dispatcher() is not None:
        return {"status": "ok", "state": "running"}
    if not queue["waiting"] and not queue["working"]:
        return {"status": "ok", "state": "not needed"}
    try:
        store.ensure_dispatched()
    except OsscarError as error:
        logger.warning("%s", error)
        return _bad("cannot be started")
    return {"status": "ok", "state": "started"}


def _bad(state: str) -> dict[str, Any]:
    return {"status": "unfit", "state": state}
