"""Where records are kept: versions, damage, other databases, and runs of the layout before."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select

from osscar_core.errors import MissingDependencyError
from osscar_core.records import to_json
from osscar_core.studio import database
from osscar_core.studio.database import VARIABLE, Database, StoreError, runs
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.processes import Process
from reopening import forget

NAME = "20260101-000000-000000"


@pytest.fixture(autouse=True)
def fresh() -> None:
    forget()


def write_old(home: Path, samples, status: Status, name: str = NAME) -> Path:
    """Write a run as the layout before did."""
    asked = samples.image_request()
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(to_json(asked))
    values = json.loads(to_json(status))
    del values["run_seconds_left"]  # it did not know of this
    (folder / "status.json").write_text(json.dumps(values))
    (folder / "result.json").write_text(to_json(samples.result(asked)))
    return folder


def test_a_workspace_is_written_ahead_and_keeps_its_version(still: RunStore, ask) -> None:
    run = still.submit(ask())
    plain = sqlite3.connect(still.home / "studio.db")
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    facts = dict(plain.execute("SELECT name, value FROM runs_facts"))
    assert facts == {"schema": "2", "home": str(still.home.resolve())}
    assert plain.execute("SELECT id, owner, state FROM runs").fetchall() == [
        (run.id, "local", "queued")
    ]
    plain.close()


def test_readers_do_not_wait_for_a_writer(still: RunStore, ask) -> None:
    still.submit(ask())
    with still.database.write() as connection:
        connection.execute(runs.update().values(name="half done"))
        assert [run.name for run in still.runs()] == [""]
    assert [run.name for run in still.runs()] == ["half done"]


def test_the_log_of_changes_is_taken_up_while_nobody_else_writes(
    still: RunStore, ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own way of it could lose a change of another process; see `_shorten_log`."""
    monkeypatch.setattr(database, "_LOG_BYTES", 2**18)
    run = still.submit(ask())
    log = still.home / "studio.db-wal"

    def write(text: str) -> None:
        with still.database.write() as connection:
            connection.execute(runs.update().values(note=text * 50_000))

    with still.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 0
    for number in range(20):
        write(str(number % 10))
        assert log.stat().st_size < 2**19
    # Somebody who reads an older state holds nobody up, and the next change makes up for it.
    plain = sqlite3.connect(still.home / "studio.db", isolation_level=None)
    plain.execute("BEGIN")
    before = plain.execute("SELECT note FROM runs").fetchone()
    for letter in "abcdefghij":
        write(letter)
    assert log.stat().st_size > 2**18
    assert plain.execute("SELECT note FROM runs").fetchone() == before
    plain.close()
    write("y")
    assert log.stat().st_size == 0
    assert still.get(run.id).note == "y" * 50_000
    with still.database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_a_failed_change_is_undone(still: RunStore, ask) -> None:
    still.submit(ask())

    def change() -> None:
        with still.database.write() as connection:
            connection.execute(runs.update().values(name="wrong"))
            raise KeyError

    with pytest.raises(KeyError):
        change()
    assert [run.name for run in still.runs()] == [""]


def test_a_newer_database_is_refused_and_left_as_it_is(still: RunStore, ask) -> None:
    still.submit(ask())
    plain = sqlite3.connect(still.home / "studio.db")
    plain.execute("UPDATE runs_version SET version_num = '99'")
    plain.commit()
    plain.close()
    forget()
    with pytest.raises(StoreError, match=r"newer release \(version 99.*Update"):
        still.runs()
    with pytest.raises(StoreError, match="newer release"):
        still.submit(ask("other"))


@pytest.mark.parametrize("damage", ["not sqlite", "torn"])
def test_a_damaged_database_is_told_in_words_and_not_overwritten(
    still: RunStore, ask, damage: str
) -> None:
    still.submit(ask())
    forget()
    file = still.home / "studio.db"
    content = file.read_bytes()
    torn = content[:4096] + b"\xff" * 4096 + content[8192:]
    file.write_bytes(b"nothing of the kind, but long enough" * 40 if damage != "torn" else torn)
    for side in ("-wal", "-shm"):
        file.with_name(file.name + side).unlink(missing_ok=True)
    before = file.read_bytes()
    for action in (still.runs, lambda: still.submit(ask("other")), lambda: still.get(NAME)):
        with pytest.raises(StoreError, match=r"studio\.db is damaged.*left as it is"):
            action()
    assert file.read_bytes() == before


def test_a_workspace_that_cannot_be_written_is_told_in_words(tmp_path, monkeypatch, ask) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written.*OSSCAR_HOME"):
        RunStore(tmp_path / "file" / "home").submit(ask())


@pytest.mark.skipif(os.getuid() == 0, reason="the administrator may write everywhere")
def test_a_read_only_workspace_is_told_in_words(still: RunStore, ask) -> None:
    still.submit(ask())
    forget()
    for path in (*still.home.iterdir(), still.home):
        path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            still.submit(ask("other"))
    finally:
        still.home.chmod(0o700)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("database or disk is full", "the disk is full"),
        ("attempt to write a readonly database", "cannot be written to"),
        ("database is locked", "busy for too long"),
        ("something\nelse", r"cannot be used \(something\)"),
    ],
)
def test_what_a_driver_says_becomes_words(still: RunStore, ask, said: str, told: str) -> None:
    from sqlalchemy.exc import OperationalError

    with pytest.raises(StoreError, match=told), still.database.write():
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError(said))


@pytest.mark.parametrize(("free", "told"), [(0, "disk is full"), (2**30, "disk I/O error")])
def test_a_full_disk_is_recognised(still: RunStore, ask, monkeypatch, free: int, told) -> None:
    from sqlalchemy.exc import OperationalError

    still.submit(ask())
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match=told), still.database.write():
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("disk I/O error"))


def test_a_deleted_database_begins_anew(still: RunStore, ask) -> None:
    still.submit(ask())
    for path in still.home.glob("studio.db*"):
        path.unlink()
    run = still.submit(ask("other"))
    assert [each.id for each in still.runs()] == [run.id]


def test_another_database_is_used_by_its_address(tmp_path, still, ask, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'elsewhere.db'}")
    store = RunStore(still.home)
    run = store.submit(ask())
    assert not (still.home / "studio.db").exists()
    assert (tmp_path / "elsewhere.db").is_file()
    assert run.folder.is_dir()
    other = RunStore(tmp_path / "other-home")
    with pytest.raises(StoreError, match=r"belongs to the workspace .*workspace"):
        other.submit(ask())
    forget()
    still.home.rename(tmp_path / "moved")
    assert [each.id for each in RunStore(tmp_path / "moved").runs()] == [run.id]


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("nonsense", StoreError, "no address of a database"),
        ("sqlite://", StoreError, "in memory"),
        ("nosuch://host/name", StoreError, "cannot be used"),
        ("oracle+cx_oracle://me:secret@host/name", MissingDependencyError, "is not installed"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_in_words(
    tmp_path, monkeypatch, ask, url: str, error: type[Exception], told: str
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(error, match=told) as caught:
        RunStore(tmp_path / "home").submit(ask())
    assert "secret" not in str(caught.value)


def test_a_database_of_something_else_is_refused(still: RunStore, ask) -> None:
    still.home.mkdir()
    plain = sqlite3.connect(still.home / "studio.db")
    plain.execute("CREATE TABLE runs (distance REAL)")
    plain.commit()
    plain.close()
    with pytest.raises(StoreError, match="table 'runs' of something else"):
        still.submit(ask())


def test_a_forked_child_has_connections_of_its_own(still: RunStore, ask) -> None:
    still.submit(ask())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(len(still.runs())).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"1"
    assert len(still.runs()) == 1
    os.close(reading)
    os.close(writing)


def test_the_engine_is_made_once(still: RunStore, ask) -> None:
    still.submit(ask())
    RunStore(still.home).runs()
    Database(still.home)
    assert len(database._engines) == 1


def test_runs_of_the_layout_before_are_taken_in(home: Path, still: RunStore, samples) -> None:
    done = write_old(home, samples, Status(State.FINISHED, seconds=30.0))
    dead = write_old(home, samples, Status(State.RUNNING, "prune"), "20260102-000000-000000")
    (dead / "process.json").write_text(to_json(Process(1, 0)))
    stopped = write_old(home, samples, Status(State.QUEUED), "20260103-000000-000000")
    (stopped / "cancel").touch()
    broken = write_old(home, samples, Status(State.FAILED), "20260104-000000-000000")
    (broken / "request.json").write_text("{")
    found = {run.id: run for run in still.runs()}
    states = [State.FINISHED, State.INTERRUPTED, State.CANCELLED]
    assert [found[path.name].status.state for path in (done, dead, stopped)] == states
    assert len(found) == 3
    assert still.result(found[NAME]).speedup == 1.6
    assert found[NAME].status.seconds == 30.0
    assert still.submit(found[NAME].request).id == NAME
    assert not (done / "status.json").exists()
    assert (broken / "status.json").exists()
    forget()
    assert len(still.runs()) == 3


def test_an_old_worker_that_still_lives_is_left_alone(home: Path, still, samples) -> None:
    folder = write_old(home, samples, Status(State.RUNNING, "prune"))
    (folder / "process.json").write_text(to_json(Process.of(os.getpid())))
    assert still.runs() == []
    (folder / "process.json").write_text(to_json(Process(1, 0)))
    forget()
    (run,) = still.runs()
    assert run.status.state is State.INTERRUPTED
    with still.database.read() as connection:
        assert connection.execute(select(runs.c.device)).scalar() in {"cpu", "cuda:0"}
