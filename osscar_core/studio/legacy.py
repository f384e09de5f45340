"""Runs of the layout before there was a database, taken into it.

The decision hidden here: what such a run looks like: a folder with ``request.json`` and
``status.json``, and ``process.json`` while a worker of its own lives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, insert, select

from osscar_core.errors import OsscarError
from osscar_core.records import from_json
from osscar_core.studio.database import runs
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.rows import row_of
from osscar_core.studio.runs import RUN_ID, Run, State, Status

_STATUS = "status.json"
_LEFT = (_STATUS, "process.json", "cancel")


def take_in(connection: Connection, folder: Path) -> Callable[[], None]:
    """Add the runs of a folder that the database does not know.

    One whose worker still lives is left for another time, and what cannot be read for ever.

    Args:
        connection: A transaction.
        folder: Holds one folder a run.

    Returns:
        What removes the files that nobody reads any more; for after the commit.
    """
    found = [run for path in sorted(folder.glob(f"*/{_STATUS}")) if (run := _read(path.parent))]
    known = set(connection.execute(select(runs.c.id)).scalars()) if found else set()
    rows = [row_of(run) for run in found if run.id not in known]
    if rows:
        connection.execute(insert(runs), rows)

    def clear() -> None:
        for run in found:
            for name in _LEFT:
                with contextlib.suppress(OSError):
                    (run.folder / name).unlink(missing_ok=True)

    return clear


def _read(folder: Path) -> Run | None:
    if not RUN_ID.fullmatch(folder.name) or _is_at_work(folder):
        return None
    request_file = folder / "request.json"
    try:
        request = from_json(JobRequest, request_file.read_text(encoding="utf8"))
        status = from_json(Status, (folder / _STATUS).read_text(encoding="utf8"))
        created = request_file.stat().st_mtime
    except (OSError, OsscarError):
        return None
    if status.state.is_live:
        was_cancelled = (folder / "cancel").exists()
        ended = State.CANCELLED if was_cancelled else State.INTERRUPTED
        status = replace(status, state=ended)
    return Run(folder.name, folder, request, status, created=created)


def _is_at_work(folder: Path) -> bool:
    try:
        text = (folder / "process.json").read_text(encoding="utf8")
        return from_json(Process, text).is_alive
    except (OSError, OsscarError):
        return False
