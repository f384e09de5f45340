"""A store in one file: whole though it is in use, and back only where nothing is."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from osscar_core.studio import backup
from osscar_core.studio.backup import back_up, restore
from osscar_core.studio.commons import share
from osscar_core.studio.database import VARIABLE
from osscar_core.studio.jobs import Run, RunStore, State, Status, StoreError

FIRST, SECOND = "20260101-000000-000001", "20260102-000000-000002"


@pytest.fixture
def filled(still: RunStore, samples) -> RunStore:
    """Return a store with runs of every kind and their files."""
    asked = samples.image_request()
    folder = samples.write_run(
        still.home, FIRST, asked, samples.result(asked, units=2), is_starred=True, name="日本語"
    )
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(os.urandom(3_000_000))
    text = samples.text_request()
    samples.write_run(
        still.home,
        SECOND,
        text,
        None,
        Status(State.FAILED, reason="memory ran out"),
        owner="user-1",
    )
    (still.home / "data" / "abc").mkdir(parents=True)
    (still.home / "data" / "abc" / "items.json").write_text("own data")
    (still.home / "surveys").mkdir()
    (still.home / "surveys" / "key.json").write_text("a survey")
    share(still.home, FIRST, True)
    return still


def plain(store: RunStore) -> list[Run]:
    return [dataclasses.replace(run, folder=Path()) for run in store.runs()]


def tree(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.parent != home
    }


def test_what_comes_back_is_what_was_there(filled: RunStore, tmp_path: Path) -> None:
    made = back_up(filled, tmp_path / "runs.tar")
    assert (made.runs, len(made.files)) == (2, 8)
    other = RunStore(tmp_path / "new" / "home")
    restore(other, tmp_path / "runs.tar")
    assert plain(other) == plain(filled)
    assert tree(other.home) == tree(filled.home)
    assert other.result(other.get(FIRST)) == filled.result(filled.get(FIRST)) is not None
    assert [path.name for path in filled.home.glob(".*")] == []
    assert [path.name for path in other.home.glob(".*")] == []
    assert (tmp_path / "runs.tar").stat().st_mode & 0o777 == 0o600


def test_own_data_stays_where_it_is_if_asked(filled: RunStore, tmp_path: Path) -> None:
    made = back_up(filled, tmp_path / "runs.tar", with_data=False)
    assert not [file.name for file in made.files if file.name.startswith("data/")]


def test_a_run_at_work_is_kept_as_interrupted(filled: RunStore, ask, tmp_path: Path) -> None:
    waiting, working = filled.submit(ask("one")), filled.submit(ask("two"))
    with filled.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET state = 'running', pid = 1 WHERE id = ?", (working.id,)
        )
    (working.folder / "half").write_text("half written")
    back_up(filled, tmp_path / "runs.tar")
    other = RunStore(tmp_path / "new")
    restore(other, tmp_path / "runs.tar")
    assert other.get(waiting.id).status.state is State.QUEUED
    assert other.get(working.id).status.state is State.INTERRUPTED
    assert list(other.get(working.id).folder.iterdir()) == []
    assert filled.get(working.id).status.state is State.RUNNING


def test_a_backup_is_whole_while_runs_come_and_go(
    filled: RunStore, samples, tmp_path: Path
) -> None:
    """One thread adds, deletes for good and rewrites runs while the backup is made."""
    asked = samples.image_request()
    found = samples.result(asked, units=2)
    for number in range(12):
        samples.write_run(filled.home, f"20260201-000000-0000{number:02x}", asked, found)
    ended = threading.Event()

    def disturb() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            samples.write_run(filled.home, f"20260301-000000-{number:06x}", asked, found)
            if number <= 12:
                run = filled.get(f"20260201-000000-0000{number - 1:02x}")
                filled.delete(run)
                filled.purge(0.0)
            filled.rename(filled.get(FIRST), f"name {number}")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for number in range(2):
            back_up(filled, tmp_path / f"{number}.tar")
    finally:
        ended.set()
        thread.join()
    for number in range(2):
        other = RunStore(tmp_path / f"home-{number}")
        restore(other, tmp_path / f"{number}.tar")
        runs = other.runs()
        assert len(runs) >= 2
        finished = [run for run in runs if run.status.state is State.FINISHED]
        assert all(other.result(run) == found for run in finished if run.id != FIRST)
        assert {path.name for path in other.runs_folder.iterdir()} == {run.id for run in runs}


def test_a_run_removed_meanwhile_is_left_out(filled: RunStore, tmp_path: Path, monkeypatch) -> None:
    link = backup._link

    def remove_first(path: Path, to: Path) -> None:
        if f"runs/{FIRST}" in str(path) and path.exists():
            filled.delete(filled.get(FIRST))
            filled.purge(0.0)
        link(path, to)

    monkeypatch.setattr(backup, "_link", remove_first)
    made = back_up(filled, tmp_path / "runs.tar")
    assert made.runs == 1
    assert not [file.name for file in made.files if f"runs/{FIRST}" in file.name]


def test_files_are_copied_where_they_cannot_be_linked(
    filled: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert len(back_up(filled, tmp_path / "runs.tar").files) == 8


def test_nothing_is_overwritten(filled: RunStore, tmp_path: Path, ask) -> None:
    file = tmp_path / "runs.tar"
    back_up(filled, file)
    with pytest.raises(StoreError, match="there already"):
        back_up(filled, file)
    before = tree(filled.home)
    with pytest.raises(StoreError, match=r"in use: it has records of runs, runs.*nothing was"):
        restore(filled, file)
    assert tree(filled.home) == before
    other = RunStore(tmp_path / "other")
    (other.home / "runs" / "something").mkdir(parents=True)
    with pytest.raises(StoreError, match="in use: it has runs"):
        restore(other, file)
    with pytest.raises(StoreError, match="there is no store"):
        back_up(RunStore(tmp_path / "nothing"), tmp_path / "nothing.tar")


def rewrite(source: Path, to: Path, change) -> None:
    """Write a tar file again with its members changed."""
    with tarfile.open(source) as old, tarfile.open(to, "w") as new:
        members = [(member, old.extractfile(member).read()) for member in old]
        for member, content in change(members):
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


def _named(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def _listed(members, name: str):
    """Add a file under a name, with the right digest."""
    (first, text), *rest = members
    values = json.loads(text)
    copied = next(file for file in values["files"] if file["name"].endswith("log.txt"))
    content = next(content for member, content in rest if member.name == copied["name"])
    values["files"].append({**copied, "name": name})
    return [(first, json.dumps(values).encode()), *rest, (_named(name), content)]


FAULTS = {
    "a bit": lambda m: [
        (one, content[:-1] + b"\x00" if one.name.endswith("safetensors") else content)
        for one, content in m
    ],
    "a missing file": lambda m: m[:-1],
    "another file": lambda m: [*m, (_named("runs/x"), b"x")],
    "no list": lambda m: m[1:],
    "a list of something": lambda m: [(m[0][0], b'{"format": 1}'), *m[1:]],
    "a way out": lambda m: _listed(m, "runs/../../../outside"),
    "an absolute name": lambda m: _listed(m, "/etc/outside"),
    "another place": lambda m: _listed(m, "pages/outside.py"),
    "twice": lambda m: [*m, m[-1]],
}


@pytest.mark.parametrize("fault", [*FAULTS, "cut", "text", "a link", "newer"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(
    filled: RunStore, tmp_path: Path, fault: str
) -> None:
    good, bad = tmp_path / "good.tar", tmp_path / "bad.tar"
    back_up(filled, good)
    if fault in FAULTS:
        rewrite(good, bad, FAULTS[fault])
    elif fault == "cut":
        bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif fault == "text":
        bad.write_text("no archive at all")
    elif fault == "newer":
        text = {"format": 1}, {"format": 2}
        rewrite(
            good,
            bad,
            lambda m: [(m[0][0], json.dumps(json.loads(m[0][1]) | text[1]).encode()), *m[1:]],
        )
    else:
        link = _named("runs/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        shutil.copy(good, bad)
        with tarfile.open(bad, "a") as tar:
            tar.addfile(link)
    other = RunStore(tmp_path / "new")
    told = "layout of its own" if fault == "newer" else "no whole backup"
    with pytest.raises(StoreError, match=told):
        restore(other, bad)
    assert not other.home.exists()
    restore(other, good)
    assert len(other.runs()) == 2


def test_a_run_of_a_backup_leads_nowhere_else(filled: RunStore, tmp_path: Path) -> None:
    with filled.database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET id = '../../x' WHERE id = ?", (SECOND,))
    back_up(filled, tmp_path / "runs.tar")
    with pytest.raises(StoreError, match=r"a run is called '\.\./\.\./x'"):
        restore(RunStore(tmp_path / "new"), tmp_path / "runs.tar")


def test_a_backup_of_files_goes_into_another_database(
    filled: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plain(filled)
    back_up(filled, tmp_path / "runs.tar")
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'elsewhere.db'}")
    other = RunStore(tmp_path / "new")
    restore(other, tmp_path / "runs.tar")
    assert plain(other) == before
    assert not (other.home / "studio.db").exists()


def test_records_that_are_not_in_a_file_are_copied_row_by_row(
    filled: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(filled.database), "file", None)
    (tmp_path / "to").mkdir()
    filled.database.copy_to(tmp_path / "to" / "studio.db")
    monkeypatch.undo()
    other = RunStore(tmp_path / "to")
    assert [run.id for run in other.runs()] == [SECOND, FIRST]


def test_an_old_backup_is_upgraded(filled: RunStore, tmp_path: Path) -> None:
    from studio.test_migrations import lay_database

    old = tmp_path / "old"
    lay_database(old / "studio.db", "schema-1-first.sql")
    digest = backup.FileDigest.of(old / "studio.db", old)
    manifest = backup.Manifest(1, "0.1.0", 0.0, 6, (digest,))
    (old / "backup.json").write_text(backup.to_json(manifest))
    backup._write_tar(tmp_path / "old.tar", old, ["backup.json", "studio.db"])
    other = RunStore(tmp_path / "new")
    restore(other, tmp_path / "old.tar")
    assert len(other.runs()) == 5
