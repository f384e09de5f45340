"""The table of all runs, and short safe transactions on it.

The decision hidden here: where run records are kept and what makes them safe to share. By
default that is a SQLite file in the workspace, written ahead, so that readers never wait
for the one writer; ``OSSCAR_DATABASE`` names another database. Whatever a database cannot
do is told in words, and one that cannot be read is never written to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from osscar_core.errors import MissingDependencyError, OsscarError

VARIABLE = "OSSCAR_DATABASE"
SCHEMA = 1
_WAIT_SECONDS = 10.0
_LITTLE_SPACE = 2**20

_metadata = MetaData()

runs = Table(
    "runs",
    _metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("created", Float, nullable=False),
    Column("queued", Float, nullable=False),
    Column("key", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("model", Text, nullable=False),
    Column("device", String(32), nullable=False),
    Column("request", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("step", String(32), nullable=False, default=""),
    Column("fraction", Float, nullable=False, default=0.0),
    Column("overall", Float, nullable=False, default=0.0),
    Column("detail", Text, nullable=False, default=""),
    Column("step_started", Float, nullable=False, default=0.0),
    Column("updated", Float, nullable=False, default=0.0),
    Column("run_seconds_left", Float),
    Column("reason", Text, nullable=False, default=""),
    Column("remedy", Text, nullable=False, default=""),
    Column("error_id", String(16), nullable=False, default=""),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("step_seconds", Text, nullable=False, default="{}"),
    Column("name", String(200), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("is_starred", Boolean, nullable=False, default=False),
    Column("is_imported", Boolean, nullable=False, default=False),
    Column("deleted_at", Float),
    Column("cancel_asked", Float),
    Column("pid", Integer),
    Column("pid_started", BigInteger),
    Column("resumes", Integer, nullable=False, default=0),
    Index("runs_by_state", "state", "queued"),
    Index("runs_by_key", "key", "owner"),
)
"""One row a run. Times are seconds since the epoch; ``queued`` orders the queue."""

_facts = Table(
    "runs_facts",
    _metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

# By the version that they start from, the statements that lead to the next one.
_MIGRATIONS: dict[int, tuple[str, ...]] = {}

# What drivers say, and what it means to a person: problem and remedy.
_MEANINGS = (
    (
        ("not a database", "malformed", "corrupt"),
        "is damaged",
        (
            "It was left as it is: put a copy of it in its place, or move it away to begin "
            "with an empty list; the folders of the runs are not touched"
        ),
    ),
    (("is full", "no space"), "cannot grow: the disk is full", "Free some disk space"),
    (
        ("readonly", "read-only", "unable to open", "permission denied"),
        "cannot be written to",
        "Check the rights of the folder, or set OSSCAR_HOME to one that can be written",
    ),
    (("locked", "busy"), "was busy for too long", "Try again in a moment"),
)

Taken = Callable[[Connection], Callable[[], None]]
"""Work to be done once a process opens the database; gives what follows the commit."""


class StoreError(OsscarError):
    """The records of runs cannot be used in this way, or not at all."""


class Database:
    """The database of one workspace.

    Args:
        home: The workspace.
        on_open: Called inside a transaction when this process first opens the database;
            what it returns is called after the commit.
    """

    def __init__(self, home: Path, on_open: Taken | None = None) -> None:
        self._home = home
        self._on_open = on_open
        self._url = _url_of(home)

    @property
    def exists(self) -> bool:
        """Whether there may be anything in it; looking must not create it."""
        return self._file is None or self._file.exists()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one consistent state.

        Raises:
            StoreError: The database cannot be used; the message says why.
        """
        with self._connected(is_write=False) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection whose changes are kept if the block ends well, else undone.

        Only one such block runs at a time in the whole workspace: keep it short.

        Raises:
            StoreError: The database cannot be used; the message says why.
        """
        with self._connected(is_write=True) as connection:
            # SQLite takes turns anyway; elsewhere this row is what writers queue for.
            connection.execute(select(_facts.c.value).with_for_update())
            yield connection

    @property
    def _file(self) -> Path | None:
        return _file_of(self._url)

    @contextlib.contextmanager
    def _connected(self, *, is_write: bool) -> Iterator[Connection]:
        with _in_words(self._url):
            engine = _engine(self._url)
            self._prepare(engine)
            connection = engine.connect().execution_options(is_write=is_write)
            with connection, connection.begin():
                yield connection

    def _prepare(self, engine: Engine) -> None:
        """Check the version, and bring tables into being, once a process and file."""
        found = _identity(self._file)
        if found is not None and _prepared.get((self._url, self._home)) == found:
            return
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "open.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine.dispose()  # its connections may be to a file that is gone
            with engine.connect().execution_options(is_write=True) as connection:
                with connection.begin():
                    self._check_sound(connection)
                    self._bring_up_to_date(connection)
                    after = self._on_open(connection) if self._on_open else None
                if after is not None:
                    after()
        _prepared[self._url, self._home] = _identity(self._file)

    def _check_sound(self, connection: Connection) -> None:
        if self._file is not None:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise _meant(self._url, f"malformed: {found}")

    def _bring_up_to_date(self, connection: Connection) -> None:
        there = inspect(connection)
        if not there.has_table(_facts.name):
            if there.has_table(runs.name):
                raise StoreError(
                    f"{_shown(self._url)} has a table '{runs.name}' of something else",
                    f"Name another database in {VARIABLE}",
                )
            _metadata.create_all(connection)
            values = {"schema": str(SCHEMA), "home": str(self._home.resolve())}
            new = [{"name": name, "value": value} for name, value in values.items()]
            connection.execute(insert(_facts), new)
            return
        rows = connection.execute(select(_facts.c.name, _facts.c.value))
        facts = {row.name: row.value for row in rows}
        self._check_home(connection, facts.get("home", ""))
        version = facts.get("schema", "")
        if not version.isdecimal() or int(version) > SCHEMA:
            raise StoreError(
                f"{_shown(self._url)} was written by a newer release (version "
                f"{version or 'unknown'}, this one knows {SCHEMA})",
                "Update this installation; the database was left as it is",
            )
        for step in range(int(version), SCHEMA):
            for statement in _MIGRATIONS[step]:
                connection.execute(text(statement))
            _set_fact(connection, "schema", str(step + 1))

    def _check_home(self, connection: Connection, known: str) -> None:
        """Refuse a database elsewhere that another workspace uses: its runs are not here."""
        home = str(self._home.resolve())
        if known == home:
            return
        is_inside = self._file is not None and self._file.resolve().is_relative_to(home)
        if not is_inside and known and Path(known).is_dir():
            raise StoreError(
                f"{_shown(self._url)} belongs to the workspace {known}, not to {home}",
                f"Give each workspace a database of its own in {VARIABLE}",
            )
        _set_fact(connection, "home", home)


_engines: dict[URL, Engine] = {}
_prepared: dict[tuple[URL, Path], object] = {}
_guard = threading.Lock()


def _engine(url: URL) -> Engine:
    """Return this process's engine for an address; connections are not shared beyond it."""
    with _guard:
        if url not in _engines:
            _engines[url] = _new_engine(url)
        return _engines[url]


def _forget_engines() -> None:
    """In a forked child, leave the parent's connections alone and start afresh."""
    global _guard
    _guard = threading.Lock()
    for engine in _engines.values():
        engine.dispose(close=False)
    _engines.clear()


os.register_at_fork(after_in_child=_forget_engines)


def _new_engine(url: URL) -> Engine:
    if _file_of(url) is None:
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # Transactions begin where we say so, not where the driver thinks.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns writer could fail at once instead of waiting for its turn.
        is_write = connection.get_execution_options().get("is_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


def _url_of(home: Path) -> URL:
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return URL.create("sqlite", database=str(home / "studio.db"))
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise StoreError(
            f"{VARIABLE} is no address of a database",
            "Write it as sqlite:////path/to/file.db or postgresql://user@host/name",
        ) from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError(
            f"{VARIABLE} is a database in memory, which no other process can see",
            "Give it a file, as in sqlite:////path/to/file.db",
        )
    return url


def _file_of(url: URL) -> Path | None:
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(str(url.database)) if is_file else None


def _identity(file: Path | None) -> object:
    """Return what changes when a database file is replaced; ``None`` if there is none."""
    if file is None:
        return "server"
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _set_fact(connection: Connection, name: str, value: str) -> None:
    changed = connection.execute(update(_facts).where(_facts.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(insert(_facts).values(name=name, value=value))


def _shown(url: URL) -> str:
    """Return an address without its password, which some drivers take as an option, too."""
    file = _file_of(url)
    return str(file) if file else url.set(query={}).render_as_string(hide_password=True)


@contextlib.contextmanager
def _in_words(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise _meant(url, str(getattr(error, "orig", None) or error)) from error
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the driver '{error.name}' of {_shown(url)} is not installed",
            f"Install it, or leave {VARIABLE} out to use a file in the workspace",
        ) from error
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> StoreError:
    """Return in words why the workspace cannot be written to."""
    place = error.filename or "the workspace"
    if error.errno == errno.ENOSPC:
        return StoreError(f"{place} cannot be written: the disk is full", "Free some disk space")
    return StoreError(
        f"{place} cannot be written ({error.strerror or error})",
        "Check its rights, or set OSSCAR_HOME to a folder that can be written",
    )


def _is_full(url: URL, said: str) -> bool:
    """Return whether a full disk is behind what SQLite calls an error of input or output."""
    file = _file_of(url)
    if file is None or "i/o error" not in said.lower():
        return False
    return shutil.disk_usage(file.parent).free < _LITTLE_SPACE


def _meant(url: URL, said: str) -> StoreError:
    low = "is full" if _is_full(url, said) else said.lower()
    for marks, problem, remedy in _MEANINGS:
        if any(mark in low for mark in marks):
            return StoreError(f"the database of runs {_shown(url)} {problem}", remedy)
    return StoreError(
        f"the database of runs {_shown(url)} cannot be used ({said.splitlines()[0]:.200})",
        f"Check that it runs and that {VARIABLE} is right",
    )
