"""The store of runs as pages use it; nothing is ever started here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from osscar_core import __version__
from osscar_core.errors import SpecError
from osscar_core.export.records import ExportFormat
from osscar_core.records import PruneSpec, from_json, to_json
from osscar_core.storage import write_sealed
from osscar_core.studio import jobs
from osscar_core.studio.database import StoreError, runs
from osscar_core.studio.jobs import Run, RunStore, State, Status
from osscar_core.studio.processes import Process, try_lock
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest, RunResult

FIRST = "20260101-000000-000000"


def request(sparsity: float = 0.5) -> JobRequest:
    return JobRequest(PruneSpec("m", "demo:python-docs", sparsity), "demo:python-docs")


def put(store: RunStore, run: Run, state: State, **columns: object) -> Run:
    """Bring a run into a state, as its worker would."""
    with store.database.write() as connection:
        values = columns | {"state": state.value}
        connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    return store.get(run.id)


@pytest.fixture
def finished(still: RunStore, samples) -> Run:
    asked = samples.image_request()
    samples.write_run(still.home, FIRST, asked, samples.result(asked))
    return still.get(FIRST)


def test_a_request_and_a_result_survive_the_disk(samples) -> None:
    asked = samples.image_request()
    found = samples.result(asked)
    assert from_json(JobRequest, to_json(asked)) == asked
    assert from_json(RunResult, to_json(found)) == found


@pytest.mark.parametrize("name", ["limit", "batch_size"])
def test_a_request_refuses_what_is_out_of_range(name: str) -> None:
    with pytest.raises(SpecError, match=f"{name} is 0"):
        JobRequest(request().spec, "demo:python-docs", **{name: 0})


def test_the_key_depends_on_every_setting() -> None:
    keys = {request(0.5).key, request(0.4).key, JobRequest(request().spec, "text:x").key}
    assert len(keys) == 3
    assert request(0.5).key == request(0.5).key


def test_only_an_export_has_a_format_and_without_one_it_writes_onnx() -> None:
    check = CheckRequest(CheckKind.AB, FIRST)
    old = dataclasses.replace(request(), kind=JobKind.EXPORT, check=check)
    values = json.loads(to_json(old))
    del values["format"], values["int8"]
    read = from_json(JobRequest, json.dumps(values))
    assert read.writes is ExportFormat.ONNX
    assert read.key == dataclasses.replace(old, format=ExportFormat.ONNX).key
    assert read.key != dataclasses.replace(old, format=ExportFormat.HF).key
    assert read.key != dataclasses.replace(old, int8=True).key
    assert request().writes is None
    with pytest.raises(SpecError, match="of the kind 'prune' has the format 'hf'"):
        dataclasses.replace(request(), format=ExportFormat.HF)
    with pytest.raises(SpecError, match="with the format 'hf' has eight bits"):
        dataclasses.replace(old, format=ExportFormat.HF, int8=True)


def test_the_key_of_a_request_is_that_of_stores_without_formats() -> None:
    values = dataclasses.asdict(request())
    del values["format"], values["int8"]
    text = f"{json.dumps(values, ensure_ascii=False)}\n{__version__}"
    assert request().key == hashlib.sha256(text.encode()).hexdigest()


def test_a_submitted_run_is_what_was_asked_for(still: RunStore) -> None:
    run = still.submit(request(0.3), owner="ann")
    assert run == still.get(run.id)
    assert run.request == request(0.3)
    assert (run.owner, run.status.state, run.place, run.name) == ("ann", State.QUEUED, 1, "")
    assert run.folder.is_dir()
    assert not run.can_resume


def test_two_clicks_give_one_run(still: RunStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        names = {run.id for run in pool.map(lambda _: still.submit(request()), range(8))}
    assert len(names) == 1
    assert len(still.runs()) == 1


def test_another_request_gives_another_run_and_the_newest_comes_first(still: RunStore) -> None:
    first, second = still.submit(request(0.5)), still.submit(request(0.6))
    assert [run.id for run in still.runs()] == [second.id, first.id]
    assert [run.id for run in still.live()] == [first.id, second.id]


def test_a_finished_run_answers_the_same_request(still: RunStore, finished: Run) -> None:
    run = still.submit(finished.request)
    assert run.id == finished.id
    assert still.result(run).speedup == 1.6
    assert still.again(finished).id == finished.id


@pytest.mark.parametrize("ended", [State.FAILED, State.CANCELLED, State.INTERRUPTED])
def test_a_run_without_a_result_does_not_answer(still: RunStore, ended: State) -> None:
    run = put(still, still.submit(request()), ended)
    assert still.again(run).id != run.id


def test_a_run_that_is_being_stopped_does_not_answer(still: RunStore) -> None:
    run = put(still, still.submit(request()), State.RUNNING)
    still.cancel(run)
    assert still.get(run.id).is_stopping
    assert still.submit(request()).id != run.id


def test_owners_neither_see_nor_answer_nor_stop_each_other(still: RunStore) -> None:
    hers, his = still.submit(request(), "ann"), still.submit(request(), "bob")
    assert hers.id != his.id
    assert [run.id for run in still.runs("ann")] == [hers.id]
    assert [run.id for run in still.live("bob")] == [his.id]
    assert still.get(hers.id, "bob") is None
    assert his.place == 2  # the place counts everybody
    with pytest.raises(StoreError, match="no run"):
        still.cancel(hers, "bob")
    assert still.get(hers.id).status.state is State.QUEUED
    still.cancel(hers, "ann")
    assert still.get(hers.id).status.state is State.CANCELLED
    assert still.get(his.id).place == 1
    assert len(still.runs()) == 2


def test_places_are_counted_by_device(still: RunStore) -> None:
    def on(device: str, sparsity: float) -> JobRequest:
        return JobRequest(PruneSpec("m", "demo:x", sparsity, device=device), "demo:x")

    asked = [("cpu", 0.1), ("cuda", 0.2), ("cpu", 0.3), ("cuda:0", 0.4), ("cuda:1", 0.5)]
    places = [still.submit(on(*each)).place for each in asked]
    assert places == [1, 1, 2, 2, 1]


def test_the_queue_is_bounded_for_each_owner(still: RunStore, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "QUEUE_LIMIT", 2)
    known = still.submit(request(0.1))
    still.submit(request(0.2))
    with pytest.raises(StoreError, match=r"2 runs are waiting.*cancel some"):
        still.submit(request(0.3))
    assert still.submit(request(0.1)).id == known.id
    assert still.submit(request(0.3), "bob").place == 3
    assert len(list(still.runs_folder.iterdir())) == 3


def test_only_an_interrupted_run_is_resumed_and_goes_to_the_end_of_the_queue(still) -> None:
    run = put(still, still.submit(request(0.1)), State.INTERRUPTED, pid=1, pid_started=2)
    other = still.submit(request(0.2))
    assert run.can_resume
    again = still.resume(run)
    assert (again.id, again.status.state, again.place) == (run.id, State.QUEUED, 2)
    assert still.get(other.id).place == 1
    with pytest.raises(StoreError, match="goes on"):
        still.resume(run)
    with pytest.raises(StoreError, match="not interrupted"):
        still.resume(again)


def test_a_deleted_run_comes_back_until_it_is_purged(still: RunStore, finished: Run) -> None:
    still.delete(finished)
    assert still.get(finished.id) is None
    assert still.runs() == []
    assert finished.folder.is_dir()
    assert still.submit(finished.request).id != finished.id
    assert still.undelete(finished).id == finished.id
    assert still.result(still.get(finished.id)) is not None
    still.delete(still.get(finished.id))
    still.purge(older_than=0.0)
    assert not finished.folder.exists()
    with pytest.raises(StoreError, match=f"no run {finished.id}"):
        still.undelete(finished)


def test_a_live_run_is_not_deleted(still: RunStore) -> None:
    run = still.submit(request())
    with pytest.raises(StoreError, match="cancel it first"):
        still.delete(run)
    with pytest.raises(StoreError, match="was not deleted"):
        still.undelete(run)
    assert still.get(run.id) == run


def test_what_was_deleted_long_ago_goes_at_the_next_start(
    still: RunStore, finished: Run, monkeypatch
) -> None:
    from osscar_core.studio import database

    still.delete(finished)
    with still.database.write() as connection:
        connection.execute(update(runs).values(deleted_at=1.0))
    database._prepared.clear()
    assert RunStore(still.home).runs() == []
    assert not finished.folder.exists()


def test_a_run_is_named_annotated_and_starred(still: RunStore, finished: Run) -> None:
    assert still.rename(finished, "  the \n best ").name == "the best"
    assert still.annotate(finished, " for Monday\nor later ").note == "for Monday\nor later"
    assert still.star(finished, True).is_starred
    assert not still.star(finished, False).is_starred
    shown = still.get(finished.id)
    assert (shown.name, shown.note) == ("the best", "for Monday\nor later")
    with pytest.raises(StoreError, match="201 characters"):
        still.rename(finished, "x" * 201)
    still.delete(shown)
    with pytest.raises(StoreError, match="deleted"):
        still.rename(shown, "y")


@pytest.mark.parametrize("name", ["", "..", "../../etc", "20260101-000000-00000g", "nothing"])
def test_a_name_that_is_no_run_finds_nothing(still: RunStore, name: str) -> None:
    still.submit(request())
    assert still.get(name) is None


def test_damaged_records_are_passed_over(still: RunStore, finished: Run) -> None:
    other = still.submit(request())
    with still.database.write() as connection:
        connection.execute(update(runs).where(runs.c.id == other.id).values(request="{"))
    assert [run.id for run in still.runs()] == [finished.id]
    (finished.folder / "result.json").write_text("{")
    assert still.result(finished) is None


def test_a_damaged_result_is_not_shown_and_asking_again_starts_anew(
    still: RunStore, samples
) -> None:
    asked = samples.image_request()
    folder = samples.write_run(still.home, FIRST, asked, samples.result(asked))
    write_sealed(folder / "result.json", to_json(samples.result(asked)))
    finished = still.get(FIRST)
    assert still.result(finished).speedup == 1.6
    assert still.again(finished).id == FIRST
    content = (folder / "result.json").read_bytes()
    (folder / "result.json").write_bytes(content.replace(b'"speedup": 1.6', b'"speedup": 1.9'))
    assert still.result(still.get(FIRST)) is None
    again = still.again(finished)
    assert (again.id != FIRST, again.status.state) == (True, State.QUEUED)


def test_a_file_that_cannot_be_removed_stops_no_dispatcher(still: RunStore, monkeypatch) -> None:
    run = still.submit(request())
    (run.folder / "stuck").touch()

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    still.cancel(run)
    assert still.get(run.id).status.state is State.CANCELLED


def test_a_clock_that_is_set_back_lets_nobody_jump_the_queue(still: RunStore, monkeypatch) -> None:
    first = still.submit(request(0.1))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86400.0)
    # All of one moment: no two runs have one name.
    others = [still.submit(request(share)) for share in (0.2, 0.3, 0.4, 0.5, 0.6)]
    assert [still.get(run.id).place for run in (first, *others)] == [1, 2, 3, 4, 5, 6]


def test_an_empty_workspace_has_no_runs_and_is_not_created_by_looking(still: RunStore) -> None:
    assert still.runs() == []
    assert still.live() == []
    assert still.get(FIRST) is None
    assert not still.home.exists()


def test_the_end_of_a_log_is_short(still: RunStore, finished: Run) -> None:
    assert finished.log_tail == "a line of the log"
    lines = [f"line {number}" for number in range(2000)]
    (finished.folder / "log.txt").write_text("\n".join(lines))
    assert finished.log_tail.splitlines() == lines[-12:]
    assert still.log(finished).count("\n") == 1999


def test_the_lock_is_exclusive(tmp_path) -> None:
    first = try_lock(tmp_path / "lock")
    assert first is not None
    assert try_lock(tmp_path / "lock") is None
    os.close(first)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_process_is_told_from_a_later_one() -> None:
    mine = Process.of(os.getpid())
    assert mine.is_alive
    assert not Process(mine.pid, mine.started - 1).is_alive
    Process(mine.pid, mine.started - 1).kill_group()
    Process(mine.pid, mine.started - 1).ask_to_stop()


def test_time_left_is_counted_down_from_what_the_worker_said() -> None:
    now = time.time()
    assert Status(State.RUNNING, step="prune", updated=now).seconds_left is None
    told = Status(State.RUNNING, step="prune", updated=now - 10, run_seconds_left=40.0)
    assert told.seconds_left == pytest.approx(30.0, abs=1.0)
    late = dataclasses.replace(told, updated=now - 60)
    assert late.seconds_left == 1.0
