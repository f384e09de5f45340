"""The run store with a stand-in for the worker: life, death and cancelling of processes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from osscar_core.errors import SpecError
from osscar_core.records import PruneSpec, from_json, to_json
from osscar_core.studio.jobs import Run, RunStore, State, Status, start_ticks, try_lock
from osscar_core.studio.requests import JobRequest, RunResult

FAKE_WORKER = """
import os, pathlib, signal, sys, time
from osscar_core.records import to_json
from osscar_core.storage import write_atomically
from osscar_core.studio.jobs import State, Status
folder = pathlib.Path(sys.argv[1])
mode = os.environ["FAKE_MODE"]
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode != "crash":
    (folder / "half-written").mkdir()
    write_atomically(folder / "status.json", to_json(Status(State.RUNNING, step="prune")))
    time.sleep(60)
"""


@pytest.fixture
def store(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    (tmp_path / "fake_worker.py").write_text(FAKE_WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("FAKE_MODE", "sleep")
    found = RunStore(home, worker="fake_worker")
    yield found
    for run in found.live():
        found.cancel(run)
    wait_for(lambda: not found.live())


def wait_for(condition, seconds: float = 20.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - began


def request(sparsity: float = 0.5) -> JobRequest:
    return JobRequest(PruneSpec("m", "demo:python-docs", sparsity), "demo:python-docs")


def state(store: RunStore, run: Run) -> State:
    return store.get(run.id).status.state


def pid(run: Run) -> int:
    from osscar_core.studio.jobs import Process

    return from_json(Process, (run.folder / "process.json").read_text()).pid


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


def test_two_clicks_give_one_run(store: RunStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        names = {run.id for run in pool.map(lambda _: store.submit(request()), range(4))}
    assert len(names) == 1
    assert len(store.runs()) == 1


def test_another_request_gives_another_run_and_the_newest_comes_first(store: RunStore) -> None:
    first, second = store.submit(request(0.5)), store.submit(request(0.6))
    assert [run.id for run in store.runs()] == [second.id, first.id]
    assert [run.id for run in store.live()] == [first.id, second.id]


def test_a_finished_run_answers_the_same_request(store: RunStore, samples) -> None:
    asked = samples.image_request()
    samples.write_run(store.home, "20260101-000000-000000", asked, samples.result(asked))
    run = store.submit(asked)
    assert run.id == "20260101-000000-000000"
    assert store.result(run).speedup == 1.6


@pytest.mark.parametrize("ended", [State.FAILED, State.CANCELLED, State.INTERRUPTED])
def test_a_run_without_a_result_does_not_answer(store: RunStore, samples, ended: State) -> None:
    samples.write_run(store.home, "20260101-000000-000000", request(), None, Status(ended))
    assert store.submit(request()).id != "20260101-000000-000000"


def test_a_run_goes_on_and_is_cancelled_within_three_seconds(store: RunStore) -> None:
    run = store.submit(request())
    wait_for(lambda: state(store, run) is State.RUNNING)
    number = pid(run)
    assert os.getpgid(number) == number
    store.cancel(run)
    assert wait_for(lambda: not state(store, run).is_live) < 3.0
    assert state(store, run) is State.CANCELLED
    assert not (run.folder / "half-written").exists()
    wait_for(lambda: not Path(f"/proc/{number}").exists(), 2.0)


def test_a_process_that_ignores_the_signal_is_killed_within_three_seconds(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MODE", "stubborn")
    run = store.submit(request())
    wait_for(lambda: state(store, run) is State.RUNNING)
    store.cancel(run)
    taken = wait_for(lambda: not state(store, run).is_live)
    assert 1.0 < taken < 3.0
    assert state(store, run) is State.CANCELLED


def test_a_dead_worker_is_noticed_and_leaves_no_zombie(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MODE", "crash")
    run = store.submit(request())
    wait_for(lambda: state(store, run) is State.INTERRUPTED)
    wait_for(lambda: not Path(f"/proc/{pid(run)}").exists(), 2.0)
    assert from_json(Status, (run.folder / "status.json").read_text()).state is State.INTERRUPTED


def test_another_process_with_the_same_number_is_not_mistaken_for_the_worker(
    store: RunStore, samples
) -> None:
    live = Status(State.RUNNING, step="prune")
    folder = samples.write_run(store.home, "20260101-000000-000000", request(), None, live)
    (folder / "process.json").write_text(f'{{"pid": {os.getpid()}, "started": 1}}')
    assert store.get(folder.name).status.state is State.INTERRUPTED
    assert start_ticks(os.getpid()) is not None


def test_only_queued_runs_have_a_place(store: RunStore, samples) -> None:
    ticks = start_ticks(os.getpid())
    waiting = Status(State.QUEUED)
    for index, status in enumerate([Status(State.RUNNING, step="prune"), waiting, waiting]):
        name = f"20260101-00000{index}-000000"
        folder = samples.write_run(store.home, name, request(), None, status)
        (folder / "process.json").write_text(f'{{"pid": {os.getpid()}, "started": {ticks}}}')
    assert [run.place for run in store.live()] == [0, 1, 2]
    for run in store.live():
        (run.folder / "process.json").write_text('{"pid": 1, "started": 0}')


def test_delete_removes_a_run_but_never_a_live_one(store: RunStore, samples) -> None:
    run = store.submit(request())
    store.delete(run)
    assert run.folder.is_dir()
    name = "20260101-000000-000000"
    asked = samples.image_request()
    samples.write_run(store.home, name, asked, samples.result(asked))
    store.delete(store.get(name))
    assert store.get(name) is None


@pytest.mark.parametrize("name", ["", "..", "../../etc", "20260101-000000-00000g", "nothing"])
def test_a_name_that_is_no_run_finds_nothing(store: RunStore, name: str) -> None:
    assert store.get(name) is None


def test_damaged_files_are_passed_over(store: RunStore, samples) -> None:
    asked = samples.image_request()
    good = samples.write_run(store.home, "20260101-000000-000000", asked, samples.result(asked))
    (store.runs_folder / "20260101-000001-000000").mkdir()
    assert [run.id for run in store.runs()] == [good.name]
    (good / "result.json").write_text("{")
    assert store.result(store.get(good.name)) is None


def test_an_empty_workspace_has_no_runs_and_is_not_created_by_looking(home: Path) -> None:
    assert RunStore(home).runs() == []
    assert not home.exists()


def test_the_lock_is_exclusive(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "lock")
    assert first is not None
    assert try_lock(tmp_path / "lock") is None
    os.close(first)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_time_left_is_told_only_when_it_can_be_known() -> None:
    early = Status(State.RUNNING, step="prune", fraction=0.01, step_started=0.0, updated=10.0)
    later = Status(State.RUNNING, step="prune", fraction=0.25, step_started=0.0, updated=10.0)
    assert early.seconds_left is None
    assert later.seconds_left == pytest.approx(30.0)
