"""The table of all runs, and short safe transactions on it.

The decision hidden here: where run records are kept and what makes them safe to share. By
default that is a SQLite file in the workspace, written ahead, so that readers never wait
for the one writer; ``OSSCAR_DATABASE`` names another database. Whatever a database cannot
do is told in words, and one that cannot be read is never written to.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from osscar_core.errors import MissingDependencyError, OsscarError
from osscar_core.storage import FULL

VARIABLE = "OSSCAR_DATABASE"
SCHEMA = 3
"""The revision in `osscar_core.studio.migrations` that the tables below are."""

FILE = "studio.db"
"""Where records are unless they are put elsewhere."""

VERSION_TABLE = "runs_version"
"""Where Alembic keeps the revision."""

_WAIT_SECONDS = 10.0
_LITTLE_SPACE = 2**20
_LOG_BYTES, _LOG_PATIENCE = 4 * 2**20, 200  # the latter in milliseconds

logger = logging.getLogger(__name__)

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
    Column("files", Text),
    Index("runs_by_state", "state", "queued"),
    Index("runs_by_key", "key", "owner"),
    Index("runs_by_owner", "owner", "created"),
)
"""One row a run. Times are seconds since the epoch; ``queued`` orders the queue."""

_facts = Table(
    "runs_facts",
    _metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

# As Alembic makes it.
_version = Table(
    VERSION_TABLE,
    _metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

# What releases without a table of revisions are told, so that they leave this one alone.
_SINCE_REVISIONS = "2"

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
        file: A file to use whatever else is configured, such as the records of a backup.
    """

    def __init__(
        self, home: Path, on_open: Taken | None = None, *, file: Path | None = None
    ) -> None:
        self._home = home
        self._on_open = on_open
        self._url = _url_of(home) if file is None else _url_to(file)

    @property
    def exists(self) -> bool:
        """Whether there may be anything in it; looking must not create it."""
        return self.file is None or self.file.exists()

    @property
    def file(self) -> Path | None:
        """The file that it is; ``None`` for a server."""
        return _file_of(self._url)

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

    def copy_to(self, file: Path) -> None:
        """Write the records of one moment to a new SQLite file, while others go on writing.

        Raises:
            StoreError: This cannot be read, or the file not be written.
        """
        with self.read() as connection:
            if self.file is None:
                rows = [dict(row) for row in connection.execute(select(runs)).mappings()]
        if self.file is not None:
            try:
                copy_file(self.file, file)
            except sqlite3.Error as error:
                raise _meant(self._url, str(error)) from error
            return
        copy = Database(file.parent, file=file)
        copy.add(rows)
        copy.close()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in the records of another store, all or none.

        Raises:
            StoreError: There are records here already.
        """
        with self.write() as connection:
            if connection.execute(select(runs.c.id).limit(1)).first() is not None:
                raise StoreError(f"{_shown(self._url)} has runs already", "Use an empty one")
            for row in rows:
                connection.execute(insert(runs).values(dict(row)))

    def schema(self) -> int | None:
        """Return which schema a sound database has, and change nothing; ``None`` for no tables.

        Raises:
            StoreError: It cannot be used, or is something else's, or a newer release's.
        """
        with _in_words(self._url):
            connection = _engine(self._url).connect().execution_options(is_write=True)
            with connection, connection.begin():
                self._check_sound(connection)
                return self._schema(connection)

    def close(self) -> None:
        """Let go of this process's connections; they come back with the next use."""
        with _guard:
            engine = _engines.pop(self._url, None)
            if engine is not None:
                engine.dispose()
        _prepared.pop((self._url, self._home), None)

    @contextlib.contextmanager
    def _connected(self, *, is_write: bool) -> Iterator[Connection]:
        with _amidst(), _in_words(self._url):
            engine = _engine(self._url)
            self._prepare(engine)
            with engine.connect().execution_options(is_write=is_write) as connection:
                with connection.begin():
                    yield connection
                if is_write:
                    self._shorten_log(connection)

    def _shorten_log(self, connection: Connection) -> None:
        """Bring what SQLite has in its log into the file itself, if that is much.

        SQLite would do so after a commit, beside those of other processes. Until its release
        3.51.3 one that began the log anew at that moment could be lost (its WAL-reset bug).
        This way of doing it keeps all others from writing meanwhile.
        """
        file = self.file
        if file is None or _size_of(file.with_name(f"{file.name}-wal")) < _LOG_BYTES:
            return
        driver: Any = connection.connection.driver_connection
        try:
            # Whoever reads an older state is not waited for: the next change tries again.
            driver.execute(f"PRAGMA busy_timeout={_LOG_PATIENCE}")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            logger.info("the log of %s stays as it is: %s", file, error)
        finally:
            driver.execute(f"PRAGMA busy_timeout={round(1000 * _WAIT_SECONDS)}")

    def _prepare(self, engine: Engine) -> None:
        """Check the version, and bring tables into being, once a process and file."""
        found = _identity(self.file)
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
        _prepared[self._url, self._home] = _identity(self.file)

    def _check_sound(self, connection: Connection) -> None:
        if self.file is not None:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if found != "ok":
                raise _meant(self._url, f"malformed: {found}")

    def _bring_up_to_date(self, connection: Connection) -> None:
        found = self._schema(connection)
        if found is None:
            _metadata.create_all(connection)
            values = {"schema": _SINCE_REVISIONS, "home": str(self._home.resolve())}
            new = [{"name": name, "value": value} for name, value in values.items()]
            connection.execute(insert(_facts), new)
            connection.execute(insert(_version).values(version_num=str(SCHEMA)))
            return
        known = connection.execute(select(_facts.c.value).where(_facts.c.name == "home"))
        self._check_home(connection, known.scalar() or "")
        if found < SCHEMA:
            self._upgrade(connection, found)

    def _schema(self, connection: Connection) -> int | None:
        """Return which schema a database has; ``None`` for an empty one.

        Raises:
            StoreError: It is something else's, or a newer release's.
        """
        there = inspect(connection)
        if not there.has_table(_facts.name):
            if there.has_table(runs.name):
                raise StoreError(
                    f"{_shown(self._url)} has a table '{runs.name}' of something else",
                    f"Name another database in {VARIABLE}",
                )
            return None
        query = select(_facts.c.value).where(_facts.c.name == "schema")
        if there.has_table(VERSION_TABLE):
            query = select(_version.c.version_num)
        version = str(connection.execute(query).scalar() or "")
        if not version.isdecimal() or int(version) > SCHEMA:
            raise StoreError(
                f"{_shown(self._url)} was written by a newer release (version "
                f"{version or 'unknown'}, this one knows {SCHEMA})",
                "Update this installation; the database was left as it is",
            )
        return int(version)

    def _upgrade(self, connection: Connection, since: int) -> None:
        """Bring an older schema up to date, with a copy of a file kept beside it."""
        from alembic.util import CommandError

        from osscar_core.studio import migrations

        file, copy = self.file, None
        try:
            if file is not None:
                stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
                copy = file.with_name(f"{file.name}.schema-{since}-{stamp}")
                copy_file(file, copy)
            migrations.upgrade(connection, since, SCHEMA)
        except (SQLAlchemyError, CommandError, sqlite3.Error, OSError) as error:
            if copy is not None:
                copy.unlink(missing_ok=True)
            said = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StoreError(
                f"{_shown(self._url)} could not be brought from schema {since} to {SCHEMA} "
                f"({said:.200})",
                "It was left as it was: see that the disk has room, or use the release before",
            ) from error
        logger.info("schema %s became %s; the old one is kept in %s", since, SCHEMA, copy)

    def _check_home(self, connection: Connection, known: str) -> None:
        """Refuse a database elsewhere that another workspace uses: its runs are not here."""
        home = str(self._home.resolve())
        if known == home:
            return
        is_inside = self.file is not None and self.file.resolve().is_relative_to(home)
        if not is_inside and known and Path(known).is_dir():
            raise StoreError(
                f"{_shown(self._url)} belongs to the workspace {known}, not to {home}",
                f"Give each workspace a database of its own in {VARIABLE}",
            )
        _set_fact(connection, "home", home)


def is_amidst() -> bool:
    """Return whether the main thread is in the middle of something with a database.

    A handler of signals that raised there could leave a transaction open, with its lock, for
    as long as the process lives: the library expects no exception between its own lines.
    """
    return _depth > 0


@contextlib.contextmanager
def _amidst() -> Iterator[None]:
    global _depth
    # Handlers run in the main thread alone.
    is_counted = threading.current_thread() is threading.main_thread()
    _depth += is_counted
    try:
        yield
    finally:
        _depth -= is_counted


_depth = 0
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
        for pragma in (
            "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "wal_autocheckpoint=0",
        ):  # fmt: skip
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
        return _url_to(home / FILE)
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


def _url_to(file: Path) -> URL:
    return URL.create("sqlite", database=str(file))


def _file_of(url: URL) -> Path | None:
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(str(url.database)) if is_file else None


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _identity(file: Path | None) -> object:
    """Return what changes when a database file is replaced; ``None`` if there is none."""
    if file is None:
        return "server"
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def copy_file(source: Path, to: Path) -> None:
    """Copy a SQLite file as of the last commit, while others go on writing to it.

    Raises:
        sqlite3.Error: One of them cannot be read or written.
    """
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(to)) as new,
    ):
        old.backup(new)


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
    if error.errno in FULL:
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
