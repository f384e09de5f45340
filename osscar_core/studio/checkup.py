"""What can be wrong with a store or a server, found without changing anything.

The decision hidden here: what a keeper has to know, and the remedy for each. A check never
raises, creates, upgrades or removes; what it finds is its result.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from osscar_core import __version__
from osscar_core.diagnosis import Check, Status
from osscar_core.errors import OsscarError
from osscar_core.records import from_json
from osscar_core.storage import nearest, read_sealed
from osscar_core.studio import logs, retention
from osscar_core.studio.access import ROOTS, roots_from
from osscar_core.studio.database import SCHEMA, Database, runs
from osscar_core.studio.health import LIVE_PATH
from osscar_core.studio.jobs import LOCK, RunStore
from osscar_core.studio.ledger import LIVE
from osscar_core.studio.processes import Process, try_lock
from osscar_core.studio.requests import CheckResult, JobKind, RunResult
from osscar_core.studio.runs import RUN_ID, State
from osscar_core.studio.serve import HOST, PORT, SCRIPT

_SKEW = 2.0
_OLD_REMAINS = 3600.0
_NAMED = 3
_AUTH_KEYS = ("redirect_uri", "cookie_secret")
_PROVIDER_KEYS = ("client_id", "client_secret", "server_metadata_url")
_REMAINS = (".backup-*", ".restore-*", "runs/*/.*")
# What a finished run has to have left, and what has to be in it.
_LEFT: dict[str, tuple[str, Callable[[bytes], object]]] = {
    JobKind.PRUNE: ("result.json", lambda text: from_json(RunResult, text)),
    JobKind.CHECK: ("check.json", lambda text: from_json(CheckResult, text)),
    JobKind.KIT: ("kit.json", json.loads),
    JobKind.EXPORT: ("export.json", json.loads),
}


def check_store(home: Path) -> Iterator[Check]:
    """Look at the records, the folders of runs, the locks, the clock and the settings.

    Args:
        home: The workspace; it is not created.
    """
    yield _settings()
    yield _clock(home)
    yield _remains(home)
    # Not the store's own way to open it, which tidies up.
    database = Database(home)
    is_readable, found = _database(database)
    yield found
    if is_readable:
        yield _dispatcher(database, home)
        yield from _folders(database, home / "runs")
        yield _results(database, home / "runs")


def check_server(port: int | None = None) -> Iterator[Check]:
    """Look at the port (the usual one without a word) and at what a sign-in needs."""
    yield _port(port or PORT)
    yield from _sign_in(
        [Path.home() / ".streamlit" / "secrets.toml", SCRIPT.parent / ".streamlit" / "secrets.toml"]
    )


def _settings() -> Check:
    for read in (retention.configured_age, retention.configured_quota, logs.form_asked):
        try:
            read()
        except OsscarError as error:
            return Check("settings", Status.FAIL, error.problem, error.remedy)
    lost = [root for root in roots_from(os.environ.get(ROOTS, "")) if not Path(root).is_dir()]
    if lost:
        return Check(
            "settings",
            Status.WARN,
            f"{ROOTS} names what is no folder: {_some(lost)}",
            "Correct it: nothing in there can be named",
        )
    return Check("settings", Status.OK, "retention, quota, log and roots can be used")


def _clock(home: Path) -> Check:
    """Compare the clock with that of the disk, which may be another machine's."""
    try:
        with tempfile.NamedTemporaryFile(dir=nearest(home)) as file:
            skew = Path(file.name).stat().st_mtime - time.time()
    except OSError as error:
        return Check("clock", Status.WARN, f"not compared ({error.strerror})", "Check the rights")
    if abs(skew) > _SKEW:
        return Check(
            "clock",
            Status.WARN,
            f"the disk's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            "Synchronise both machines by NTP: ages and heartbeats are told from it",
        )
    return Check("clock", Status.OK, "that of the disk is the same")


def _database(database: Database) -> tuple[bool, Check]:
    """Return whether the records can be read without making or upgrading them, and why."""
    name = "database"
    if not database.exists:
        return False, Check(name, Status.OK, "none yet; the first run makes it")
    try:
        schema = database.schema()
    except OsscarError as error:
        remedy = f"{error.remedy}{_holders(database)}"
        return False, Check(name, Status.FAIL, error.problem, remedy)
    if schema is None:
        return False, Check(name, Status.OK, "empty; the first run makes its tables")
    if schema < SCHEMA:
        found = f"it has schema {schema}, and {SCHEMA} is this release's"
        remedy = "The next start of the app upgrades it, and keeps a copy beside it"
        return False, Check(name, Status.WARN, found, remedy)
    return True, Check(name, Status.OK, f"sound, schema {SCHEMA}")


def _holders(database: Database) -> str:
    """Return which processes have the file open, for a remedy."""
    own, pids = os.getpid(), set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_it = database.file is not None and link.readlink() == database.file.resolve()
        except OSError:
            continue
        if is_it and int(link.parts[2]) != own:
            pids.add(int(link.parts[2]))
    return f". Open in process {', '.join(map(str, sorted(pids)))}" if pids else ""


def _remains(home: Path) -> Check:
    old = time.time() - _OLD_REMAINS
    found = []
    for pattern in _REMAINS:
        for path in home.glob(pattern):
            try:
                if path.lstat().st_mtime < old:
                    found.append(path.relative_to(home))
            except OSError:
                continue
    if found:
        return Check(
            "remains",
            Status.WARN,
            f"{len(found)} of work that was cut off: {_some(map(str, found))}",
            f"Remove them from {home} while nothing works",
        )
    return Check("remains", Status.OK, "none")


def _dispatcher(database: Database, home: Path) -> Check:
    name, lock_file = "dispatcher", home / LOCK
    query = select(runs.c.pid, runs.c.pid_started).where(runs.c.state.in_(LIVE))
    with database.read() as connection:
        live = [Process(pid, start) if pid else None for pid, start in connection.execute(query)]
    process = RunStore(home).dispatcher()
    if process is not None:
        if _is_stopped(process.pid):
            remedy = f"Let it go on: kill -CONT {process.pid}"
            return Check(name, Status.FAIL, f"process {process.pid} is stopped", remedy)
        return Check(name, Status.OK, f"process {process.pid}, {len(live)} runs in its care")
    if lock_file.exists():
        lock = try_lock(lock_file)
        if lock is None:
            return Check(
                name,
                Status.FAIL,
                f"its lock {lock_file} is held by something else",
                "Find the process by: fuser -v on that file; end it, and runs go on",
            )
        os.close(lock)
    if not live:
        return Check(name, Status.OK, "none, and none is needed")
    dead = sum(one is not None and not one.is_alive for one in live)
    return Check(
        name,
        Status.WARN,
        f"none, though {len(live)} runs wait or work ({dead} of them have lost their process)",
        "Open the app or start its server: what waits starts, what was lost can be resumed",
    )


def _folders(database: Database, folder: Path) -> Iterator[Check]:
    with database.read() as connection:
        rows = connection.execute(select(runs.c.id, runs.c.deleted_at)).all()
    there = {path.name for path in folder.glob("*") if RUN_ID.fullmatch(path.name)}
    orphans = sorted(there - {row.id for row in rows})
    bare = sorted({row.id for row in rows if row.deleted_at is None} - there)
    yield Check(
        "folders without a run",
        Status.WARN if orphans else Status.OK,
        f"{len(orphans)}: {_some(orphans)}" if orphans else "none",
        f"Nothing shows them; remove them from {folder}" if orphans else "",
    )
    yield Check(
        "runs without a folder",
        Status.WARN if bare else Status.OK,
        f"{len(bare)}: {_some(bare)}" if bare else "none",
        "Restore a backup, or delete them in the list of runs" if bare else "",
    )


def _results(database: Database, folder: Path) -> Check:
    wanted = select(runs.c.id, runs.c.kind).where(
        runs.c.state == State.FINISHED.value, runs.c.deleted_at.is_(None)
    )
    with database.read() as connection:
        finished = connection.execute(wanted).all()
    damaged = [name for row in finished for name in _damaged(folder / row.id, row.kind)]
    if damaged:
        return Check(
            "results",
            Status.FAIL,
            f"{len(damaged)} damaged or missing: {_some(damaged)}",
            "Run these again, or restore a backup",
        )
    return Check("results", Status.OK, f"{len(finished)} runs can be read")


def _damaged(folder: Path, kind: str) -> Iterator[str]:
    name, read = _LEFT.get(kind, ("", len))
    try:
        if name:
            read(read_sealed(folder / name))
    except (OSError, ValueError, OsscarError):
        yield f"{folder.name}/{name}"
    for path in sorted(folder.glob("model/*.safetensors")):
        try:
            is_whole = _is_whole(path)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            yield f"{folder.name}/model/{path.name}"


def _is_whole(path: Path) -> bool:
    """Return whether a file of weights is as long as its own header says."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if not 2 <= length <= size - 8:
            return False
        tensors: Mapping[str, Any] = json.loads(file.read(length))
    ends = [one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"]
    return bool(size == 8 + length + max(ends, default=0))


def _port(port: int) -> Check:
    name = f"port {port}"
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((HOST, port)) != 0:
            return Check(name, Status.OK, "free")
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{LIVE_PATH}", timeout=2) as answer:
            version = str(json.loads(answer.read(4096))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        remedy = f"End it, or serve on another: make run PORT={port + 1}"
        return Check(name, Status.WARN, "another program listens there", remedy)
    if version != __version__:
        remedy = "Start the server again to serve this release"
        return Check(name, Status.WARN, f"release {version} is served there", remedy)
    return Check(name, Status.OK, "the app is served there")


def _sign_in(files: Iterable[Path]) -> Iterator[Check]:
    name = "sign-in"
    there = [file for file in files if file.exists()]
    if not there:
        yield Check(name, Status.OK, "not configured: whoever reaches the app may use it")
    for file in there:
        try:
            secrets = tomllib.loads(file.read_text(encoding="utf8"))
        except OSError as error:
            yield Check(name, Status.FAIL, f"{file}: {error.strerror}", "Correct its rights")
            continue
        except ValueError:
            remedy = "Correct it: until then nobody gets past it"
            yield Check(name, Status.FAIL, f"{file} is no TOML", remedy)
            continue
        yield _auth(name, file, secrets.get("auth"))


def _auth(name: str, file: Path, auth: object) -> Check:
    if not isinstance(auth, Mapping):
        return Check(name, Status.OK, f"{file} has no [auth]: whoever reaches the app may use it")
    providers = [value for value in auth.values() if isinstance(value, Mapping)] or [auth]
    missing = [key for key in _AUTH_KEYS if not auth.get(key)]
    missing += [key for key in _PROVIDER_KEYS if not all(one.get(key) for one in providers)]
    if missing:
        remedy = f"Add {', '.join(missing)} as the provider gave them"
        return Check(name, Status.FAIL, f"[auth] in {file} is not complete", remedy)
    if importlib.util.find_spec("authlib") is None:
        remedy = 'Run: pip install "streamlit[auth]"'
        return Check(name, Status.FAIL, "configured, but Authlib is not installed", remedy)
    if file.stat().st_mode & 0o077:
        remedy = f"Run: chmod 600 {file}"
        return Check(name, Status.WARN, f"other users can read {file}", remedy)
    return Check(name, Status.OK, "configured")


def _is_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
