"""The store in PostgreSQL: upgraded, worked with, backed up, as in a file."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from osscar_core.studio import migrations, retention
from osscar_core.studio.backup import back_up, restore
from osscar_core.studio.database import SCHEMA, VARIABLE, StoreError
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.processes import Process
from reopening import forget

PROGRAMS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), shutil.which("pg_ctl")]
FIRST = "20260101-000000-000001"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a server of its own, which only this machine can reach."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    program = PROGRAMS[0] and Path(PROGRAMS[0]).resolve()
    if not program:
        pytest.skip("PostgreSQL is not installed")
    # Its socket's name must be short, and it refuses to be the administrator's.
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        user = {"user": "postgres"} if os.getuid() == 0 else {}
        if user:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        make = [program.with_name("initdb"), "-D", data, "-A", "trust", "-U", "me", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **user)
        options = f"-c listen_addresses= -c fsync=off -k {folder}"
        control = [program, "-D", data, "-w", "-l", f"{folder}/log"]
        subprocess.run([*control, "-o", options, "start"], check=True, cwd=folder, **user)
        try:
            yield f"postgresql+psycopg://me:hunter2@/postgres?host={folder}"
        finally:
            forget()
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, capture_output=True, cwd=folder, **user)


@pytest.fixture
def server(address: str, still: RunStore, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """Return a store whose records are in an empty database of the server."""
    forget()
    monkeypatch.setenv(VARIABLE, address)
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return RunStore(still.home)


def test_an_older_schema_is_upgraded(server: RunStore, address: str) -> None:
    engine = create_engine(address)
    with engine.begin() as connection:
        migrations.upgrade(connection, 0, 1)
        connection.execute(text("DROP TABLE runs_version"))
        connection.execute(text("INSERT INTO runs_facts VALUES ('schema', '1')"))
    assert server.database.schema() == 1
    assert server.runs() == []
    assert server.database.schema() == SCHEMA
    engine.dispose()


def test_an_upgrade_that_fails_changes_nothing(
    server: RunStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(address)
    with engine.begin() as connection:
        migrations.upgrade(connection, 0, 1)
        connection.execute(text("DROP TABLE runs_version"))
        connection.execute(text("INSERT INTO runs_facts VALUES ('schema', '1')"))
        connection.execute(text("CREATE INDEX runs_by_owner ON runs (owner)"))  # in the way
    with pytest.raises(StoreError, match=r"from schema 1 to .*already exists.*left as it was"):
        server.runs()
    assert server.database.schema() == 1
    engine.dispose()


def test_a_run_lives_there_too(server: RunStore, ask) -> None:
    run = server.submit(ask())
    ledger, process = Ledger(server.database), Process.of(os.getpid())
    assert ledger.claim(()).id == run.id
    assert ledger.take_up(run.id, process) == run.request
    assert sum(ledger.pace(run.id).shares.values()) == pytest.approx(1.0)
    assert ledger.note(run.id, process, Status(State.RUNNING, "prune", 0.5))
    assert ledger.end(run.id, process, State.FINISHED, seconds=2.0, step_seconds={"prune": 2.0})
    again = server.submit(ask("other"))
    assert ledger.pace(again.id).left(0.0, 0.0) is not None
    assert [one.status.state for one in server.runs()] == [State.QUEUED, State.FINISHED]


def test_it_is_backed_up_and_restored(
    server: RunStore, samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = samples.image_request()
    samples.write_run(server.home, FIRST, asked, samples.result(asked, units=2), name="日本語")
    before = server.get(FIRST)
    back_up(server, tmp_path / "runs.tar")
    monkeypatch.delenv(VARIABLE)
    other = RunStore(tmp_path / "new")
    restore(other, tmp_path / "runs.tar")
    (after,) = other.runs()
    assert dataclasses.replace(after, folder=before.folder) == before
    assert other.result(after) == samples.result(asked, units=2)


def test_old_runs_go_there_too(server: RunStore, samples) -> None:
    asked = samples.image_request()
    samples.write_run(server.home, FIRST, asked, samples.result(asked, units=2))
    place = server.database, server.runs_folder
    (found,) = retention.expired(*place, 3600.0, keep_starred=True)
    assert retention.remove(*place, [found], keep_starred=True) == 1
    assert server.runs() == []


def test_a_server_that_is_not_there_is_told_without_its_password(
    server: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql+psycopg://me:hunter2@/postgres?host=/nowhere")
    with pytest.raises(StoreError, match="cannot be used") as caught:
        RunStore(server.home).runs()
    assert "hunter2" not in str(caught.value)
