"""Stores of every schema ever released come to the present one, whole or not at all.

The files in ``stores`` were written by the code of those releases: the first and the last
with each schema.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from osscar_core.studio import database, migrations
from osscar_core.studio.database import VARIABLE, StoreError
from osscar_core.studio.jobs import RunStore, State
from reopening import forget

STORES = Path(__file__).parent / "stores"
USER = "user-0123456789abcdef"


@pytest.fixture(autouse=True)
def fresh() -> None:
    forget()


def lay_files(home: Path, name: str) -> None:
    """Put down a store of files as a release left it."""
    for path, text in json.loads((STORES / name).read_text(encoding="utf8")).items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text, encoding="utf8")


def lay_database(file: Path, name: str) -> None:
    """Put down a database as a release left it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = sqlite3.connect(file)
    plain.executescript((STORES / name).read_text(encoding="utf8"))
    plain.close()


def shape(file: Path) -> list[tuple[str, ...]]:
    """Return all tables with their columns, and all indexes."""
    plain = sqlite3.connect(file)
    tables = [row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    columns = [
        (table, *map(str, row))
        for table in sorted(tables)
        for row in plain.execute(f"PRAGMA table_info({table})")
    ]
    indexes = plain.execute(
        "SELECT name, tbl_name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL"
    )
    found = columns + sorted(indexes.fetchall())
    plain.close()
    return found


def version(file: Path) -> list[tuple[str]]:
    plain = sqlite3.connect(file)
    found = plain.execute("SELECT version_num FROM runs_version").fetchall()
    plain.close()
    return found


@pytest.mark.parametrize("name", ["schema-0-first.json", "schema-0-last.json"])
def test_a_store_of_files_is_taken_in(still: RunStore, name: str) -> None:
    lay_files(still.home, name)
    last, running, failed, first = still.runs()
    assert [run.status.state for run in (first, failed, running, last)] == [
        State.FINISHED,
        State.FAILED,
        State.INTERRUPTED,
        State.CANCELLED,
    ]
    assert still.result(first).speedup == 1.6
    assert (failed.status.reason, failed.status.error_id) == ("memory ran out", "0a1b2c3d")
    assert version(still.home / "studio.db") == [(str(database.SCHEMA),)]


@pytest.mark.parametrize("name", ["schema-1-first.sql", "schema-1-last.sql"])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_database_is_brought_up_to_date(
    still: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_elsewhere: bool
) -> None:
    file = still.home / "studio.db"
    if is_elsewhere:
        file = tmp_path / "50% of it" / "runs.db"
        monkeypatch.setenv(VARIABLE, f"sqlite:///{file}")
    lay_database(file, name)
    store = RunStore(still.home)
    found = store.runs()
    assert [(run.id[-1], run.owner, run.status.state) for run in found] == [
        ("6", USER, State.FINISHED),
        ("4", USER, State.QUEUED),
        ("3", USER, State.INTERRUPTED),
        ("2", "local", State.FAILED),
        ("1", "local", State.FINISHED),
    ]
    assert (found[0].is_imported, found[4].is_starred) == (True, True)
    assert (found[4].name, found[4].note) == ("the first", "a note\nof two lines, 日本語")
    hidden = dataclasses.replace(found[4], id="20251125-160400-000005")
    assert store.undelete(hidden).status.state is State.CANCELLED
    (copy,) = file.parent.glob("*.schema-1-*")
    plain = sqlite3.connect(copy)
    assert plain.execute("SELECT value FROM runs_facts WHERE name = 'schema'").fetchone() == ("1",)
    assert plain.execute("SELECT count(*) FROM runs").fetchone() == (6,)
    plain.close()
    monkeypatch.delenv(VARIABLE, raising=False)
    RunStore(tmp_path / "new").submit(found[4].request)
    assert shape(file) == shape(tmp_path / "new" / "studio.db")
    # A release before would refuse it, and that is what it looks at.
    plain = sqlite3.connect(file)
    assert plain.execute("SELECT value FROM runs_facts WHERE name = 'schema'").fetchone() == ("2",)
    plain.close()


def test_a_database_of_any_revision_is_brought_up_to_date(
    still: RunStore, ask, tmp_path: Path
) -> None:
    for since in range(2, database.SCHEMA):
        home = tmp_path / str(since)
        lay_database(home / "studio.db", "schema-1-last.sql")
        engine = create_engine(f"sqlite:///{home / 'studio.db'}")
        with engine.begin() as connection:
            migrations.upgrade(connection, 1, since)
        engine.dispose()
        assert version(home / "studio.db") == [(str(since),)]
        store = RunStore(home)
        assert len(store.runs()) == 5
        store.submit(ask())
        still.submit(ask())
        assert version(home / "studio.db") == [(str(database.SCHEMA),)]
        assert shape(home / "studio.db") == shape(still.home / "studio.db")


def test_all_revisions_lead_to_what_a_new_store_has(still: RunStore, ask, tmp_path: Path) -> None:
    still.submit(ask())
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    with engine.begin() as connection:
        migrations.upgrade(connection, 0, database.SCHEMA)
    engine.dispose()
    assert shape(tmp_path / "made.db") == shape(still.home / "studio.db")
    assert version(tmp_path / "made.db") == version(still.home / "studio.db")


def test_a_new_store_has_the_last_revision() -> None:
    names = [path.stem for path in (migrations.FOLDER / "versions").glob("schema_*.py")]
    assert sorted(int(name.removeprefix("schema_")) for name in names) == [
        *range(1, database.SCHEMA + 1)
    ]


BROKEN = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "{to}", "{since}"
def upgrade():
    op.add_column("runs", sa.Column("colour", sa.Text))
    op.execute("UPDATE runs SET colour = 'red'")
    op.execute("ALTER TABLE nothing ADD COLUMN x TEXT")
"""


@pytest.mark.parametrize("fault", ["statement", "no revision", "no room for a copy"])
def test_an_upgrade_that_fails_changes_nothing(
    still: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    file = still.home / "studio.db"
    lay_database(file, "schema-1-last.sql")
    before = [*sqlite3.connect(file).iterdump()]
    since = database.SCHEMA
    with monkeypatch.context() as patch:
        folder = tmp_path / "migrations"
        shutil.copytree(migrations.FOLDER, folder)
        if fault == "statement":
            text = BROKEN.format(since=since, to=since + 1)
            (folder / "versions" / "broken.py").write_text(text)
        patch.setattr(migrations, "FOLDER", folder)
        patch.setattr(database, "SCHEMA", since + 1)
        if fault == "no room for a copy":

            def full(*_: object) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            patch.setattr(database, "copy_file", full)
        with pytest.raises(StoreError, match=rf"from schema 1 to {since + 1} .*left as it was"):
            still.runs()
    assert [*sqlite3.connect(file).iterdump()] == before
    assert list(still.home.glob("studio.db.schema-*")) == []
    forget()
    assert len(still.runs()) == 5


def test_two_processes_upgrade_once(still: RunStore) -> None:
    lay_database(still.home / "studio.db", "schema-1-last.sql")
    waiting, go = os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            count = 0
            try:
                os.read(waiting, 1)
                count = len(RunStore(still.home).runs())
            finally:
                os._exit(count)
        children.append(child)
    os.write(go, b"..")
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [5, 5]
    assert len(list(still.home.glob("studio.db.schema-1-*"))) == 1
    assert version(still.home / "studio.db") == [(str(database.SCHEMA),)]
    os.close(waiting)
    os.close(go)


def test_a_present_store_needs_no_alembic(still: RunStore, ask) -> None:
    """It takes time to import, and every process of the app opens the store."""
    still.submit(ask())
    code = (
        "import sys; from osscar_core.studio.jobs import RunStore; "
        "print(len(RunStore().runs()), 'alembic' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "False"]
