"""Real processes with a stand-in for the work: the queue, cancelling, and sudden deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dispatched import end_dispatcher, wait_for
from osscar_core.records import to_json
from osscar_core.studio import dispatcher
from osscar_core.studio.database import StoreError, runs
from osscar_core.studio.jobs import LOCK, Run, RunStore, State, Status
from osscar_core.studio.processes import Process, start_ticks, try_lock

ROOT = Path(__file__).resolve().parents[2]


def state(store: RunStore, run: Run) -> State:
    return store.get(run.id).status.state


def worker_of(store: RunStore, run: Run) -> Process | None:
    """Return the worker of a run once it has taken it up."""
    with store.database.read() as connection:
        row = connection.execute(runs.select().where(runs.c.id == run.id)).one()
    return None if row.pid is None else Process(row.pid, row.pid_started)


def started(store: RunStore, run: Run) -> Process:
    """Wait until a run's worker is in the midst of its work."""
    wait_for(lambda: store.get(run.id).status.step == "prune")
    process = worker_of(store, run)
    assert process is not None
    return process


def is_gone(process: Process) -> bool:
    """Return whether nothing of a process is left, not even a defunct entry of ours."""
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return True
    # An orphan is collected by whoever adopts orphans here, which may be nobody.
    parent = stat.rpartition(")")[2].split()[1]
    return not process.is_alive and parent == "1"


def test_runs_come_one_after_the_other_in_the_order_they_were_asked_for(
    store: RunStore, ask, home: Path
) -> None:
    asked = [store.submit(ask("gate", share)) for share in (0.1, 0.2, 0.3)]
    started(store, asked[0])
    assert [state(store, run) for run in asked] == [State.RUNNING, State.QUEUED, State.QUEUED]
    assert [run.place for run in store.live()] == [0, 1, 2]
    workers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_worker(path, home)]
    assert len(workers) == 1  # what waits costs no process
    (home / "gate").touch()
    wait_for(lambda: not store.live())
    ended = [store.get(run.id).status for run in asked]
    assert [status.state for status in ended] == [State.FINISHED] * 3
    assert ended[0].updated < ended[1].updated < ended[2].updated
    assert ended[0].overall == 1.0
    assert "mode gate" in store.log(asked[0])


def _is_worker(cmdline: Path, home: Path) -> bool:
    try:
        words = cmdline.read_text().split("\0")
    except OSError:
        return False
    return "fake_worker" in words and str(home) in words and "--worker" not in words


def test_devices_work_side_by_side(store: RunStore, ask, home: Path) -> None:
    first = store.submit(ask("gate", 0.1, "cpu"))
    waiting = store.submit(ask("gate", 0.2, "cpu"))
    beside = store.submit(ask("gate", 0.3, "cuda:1"))
    started(store, first)
    started(store, beside)
    assert state(store, waiting) is State.QUEUED
    assert store.get(waiting.id).place == 1
    (home / "gate").touch()
    wait_for(lambda: not store.live())


def test_a_worker_leads_a_session_of_its_own_and_is_polite(store: RunStore, ask) -> None:
    process = started(store, store.submit(ask("sleep")))
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("mode", ["sleep", "stubborn"])
def test_a_run_at_work_is_gone_within_three_seconds(store: RunStore, ask, mode: str) -> None:
    run = store.submit(ask(mode))
    process = started(store, run)
    store.cancel(run)
    assert store.get(run.id).is_stopping
    assert wait_for(lambda: not state(store, run).is_live) < 3.0
    assert state(store, run) is State.CANCELLED
    wait_for(lambda: not process.is_alive, 1.0)
    assert sorted(path.name for path in run.folder.iterdir()) == ["heartbeat", "log.txt"]
    assert store.get(run.id).request == run.request
    wait_for(lambda: is_gone(process), 2.0)


def test_a_run_that_has_just_been_started_is_cancelled_too(store: RunStore, ask) -> None:
    run = store.submit(ask("sleep"))
    wait_for(lambda: state(store, run) is State.RUNNING)
    store.cancel(run)
    assert wait_for(lambda: not state(store, run).is_live) < 3.0
    assert state(store, run) is State.CANCELLED


def test_a_waiting_run_is_cancelled_at_once_and_the_next_one_moves_up(store, ask) -> None:
    first, second, third = (store.submit(ask("sleep", share)) for share in (0.1, 0.2, 0.3))
    started(store, first)
    store.cancel(second)
    assert state(store, second) is State.CANCELLED
    assert store.get(third.id).place == 1
    assert store.get(second.id).place == 0


def test_a_killed_worker_leaves_an_interrupted_run_that_goes_on(store: RunStore, ask) -> None:
    run = store.submit(ask("sleep"))
    process = started(store, run)
    wait_for((run.folder / "checkpoint" / "block").exists)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: state(store, run) is State.INTERRUPTED)
    assert store.get(run.id).can_resume
    assert (run.folder / "checkpoint" / "block").exists()
    assert not (run.folder / "half-written").exists()
    assert store.resume(store.get(run.id)).id == run.id
    wait_for(lambda: state(store, run) is State.FINISHED)
    assert (run.folder / "went-on").exists()
    assert store.log(run).count("mode sleep") == 2


def test_a_machine_that_goes_down_interrupts_a_run_nobody_cancelled(store, ask) -> None:
    run = store.submit(ask("sleep"))
    process = started(store, run)
    wait_for((run.folder / "checkpoint" / "block").exists)
    os.kill(process.pid, signal.SIGTERM)
    wait_for(lambda: state(store, run) is State.INTERRUPTED)
    assert (run.folder / "checkpoint").is_dir()


def test_a_crash_is_noticed_and_the_queue_goes_on(store: RunStore, ask) -> None:
    crashing, following = store.submit(ask("crash")), store.submit(ask("quick"))
    wait_for(lambda: state(store, following) is State.FINISHED)
    assert state(store, crashing) is State.INTERRUPTED


def test_a_worker_that_cannot_even_begin_fails_in_words(home: Path, store, ask) -> None:
    other = RunStore(home, worker="no_such_module")
    run = other.submit(ask("quick"))
    wait_for(lambda: not state(other, run).is_live)
    status = other.get(run.id).status
    assert status.state is State.FAILED
    assert "before it began" in status.reason
    assert "no_such_module" in other.get(run.id).log_tail


def test_what_was_wrong_is_told(store: RunStore, ask) -> None:
    run = store.submit(ask("broken"))
    wait_for(lambda: not state(store, run).is_live)
    status = store.get(run.id).status
    assert (status.state, status.reason, status.remedy) == (
        State.FAILED, "the data is broken", "Mend it",
    )  # fmt: skip
    assert not (run.folder / "half-written").exists()


def test_a_result_arrives_although_the_dispatcher_was_killed(store, ask, home: Path) -> None:
    run, waiting = store.submit(ask("gate", 0.1)), store.submit(ask("gate", 0.2))
    process = started(store, run)
    end_dispatcher(store)
    assert process.is_alive
    store.ensure_dispatched()
    wait_for(lambda: store.dispatcher() is not None)
    time.sleep(0.6)  # long enough for a mistaken second start
    assert worker_of(store, run) == process
    assert state(store, waiting) is State.QUEUED
    (home / "gate").touch()
    wait_for(lambda: state(store, waiting) is State.FINISHED)
    assert state(store, run) is State.FINISHED
    assert store.log(run).count("mode gate") == 1


def test_an_adopted_worker_that_does_not_listen_is_cancelled_too(store: RunStore, ask) -> None:
    run = store.submit(ask("stubborn"))
    process = started(store, run)
    end_dispatcher(store)
    store.cancel(run)
    wait_for(lambda: not state(store, run).is_live)
    assert not process.is_alive  # it was killed, and only then the run was closed


@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_worker_that_outlives_its_run_is_ended_whoever_started_it(
    still: RunStore, samples, ask, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """It would keep its memory, and the device, for as long as it hangs."""
    monkeypatch.setattr(dispatcher, "_LEAVE_AFTER", 0.0)
    name = "20260101-000000-000000"
    hangs = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    process = Process.of(hangs.pid)
    own = {"pid": process.pid, "pid_started": process.started}
    live = Status(State.RUNNING, step="prune")
    samples.write_run(still.home, name, ask(), None, live, **own)
    ended = runs.update().values(state=State.FINISHED.value)
    successor = dispatcher.Dispatcher(still)
    if ends == "before":
        with still.database.write() as connection:
            connection.execute(ended)
    successor.adopt()
    assert successor.step()
    if ends == "after":
        assert process.is_alive
        with still.database.write() as connection:
            connection.execute(ended)
    wait_for(lambda: (successor.step(), hangs.poll() is not None)[1])
    assert still.get(name).status.state is State.FINISHED
    wait_for(lambda: not successor.step())


def test_a_child_that_ended_is_collected_though_its_run_is_another_processs(
    still: RunStore, samples, ask
) -> None:
    name = "20260101-000000-000000"
    own = {"pid": os.getpid(), "pid_started": start_ticks(os.getpid())}
    live = Status(State.RUNNING, step="prune")
    samples.write_run(still.home, name, ask(), None, live, **own)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    keeper = dispatcher.Dispatcher(still)
    keeper._workers[name] = dispatcher._Worker(Process.of(ended.pid), {"cpu"}, ended)
    wait_for(lambda: (keeper.step(), ended.returncode is not None)[1])
    assert still.get(name).status.state is State.RUNNING


def test_a_dispatcher_that_cannot_tell_what_waits_leaves_in_words(
    still: RunStore, ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    still.submit(ask())
    monkeypatch.setattr(dispatcher, "serve", lambda *_: None)
    monkeypatch.setattr(dispatcher.logs, "set_up", lambda *_, **__: None)

    def away(_: object) -> bool:
        raise StoreError("the database of runs is away", "Bring it back")

    monkeypatch.setattr(dispatcher.Ledger, "is_idle", away)
    assert dispatcher.main([str(still.home)]) == 0
    assert "the database of runs is away" in caplog.text


def test_a_clock_that_is_set_back_lets_no_worker_stay(store: RunStore, ask, home: Path) -> None:
    run = store.submit(ask("stubborn"))
    process = started(store, run)
    with store.database.write() as connection:
        # As a cancellation of an hour ahead looks once the clock was set back.
        connection.execute(runs.update().values(cancel_asked=time.time() + 3600))
    assert wait_for(lambda: not state(store, run).is_live) < 5.0
    assert state(store, run) is State.CANCELLED
    assert not process.is_alive


def test_a_run_claimed_by_a_dispatcher_that_died_waits_again(store, ask, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "ensure_dispatched", lambda _: None)
        run = store.submit(ask("quick"))
    with store.database.write() as connection:
        connection.execute(runs.update().values(state="running", step="load"))
    store.ensure_dispatched()
    wait_for(lambda: state(store, run) is State.FINISHED)


def test_another_process_with_the_same_number_is_not_mistaken_for_the_worker(
    store: RunStore, samples, ask
) -> None:
    live = Status(State.RUNNING, step="prune")
    name = "20260101-000000-000000"
    samples.write_run(store.home, name, ask(), None, live, pid=os.getpid(), pid_started=1)
    store.ensure_dispatched()
    wait_for(lambda: store.get(name).status.state is State.INTERRUPTED)
    assert start_ticks(os.getpid()) is not None


def test_a_job_outlives_the_server_that_took_it(store: RunStore, ask, home: Path) -> None:
    (home).mkdir()
    request = home / "request.json"
    request.write_text(to_json(ask("gate")))
    code = (
        "import sys, time, pathlib\n"
        "from osscar_core.records import from_json\n"
        "from osscar_core.studio.jobs import RunStore\n"
        "from osscar_core.studio.requests import JobRequest\n"
        "asked = from_json(JobRequest, pathlib.Path(sys.argv[2]).read_text())\n"
        "print(RunStore(pathlib.Path(sys.argv[1]), 'fake_worker').submit(asked).id, flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(home), str(request)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    run = store.get(server.stdout.readline().strip())
    started(store, run)
    os.killpg(server.pid, signal.SIGKILL)
    server.communicate()
    (home / "gate").touch()
    wait_for(lambda: state(store, run) is State.FINISHED)


def test_two_processes_that_ask_for_the_same_get_one_run(store: RunStore, ask, home) -> None:
    home.mkdir()
    request = home / "request.json"
    request.write_text(to_json(ask("quick")))
    code = (
        "import sys, time, pathlib\n"
        "from osscar_core.records import from_json\n"
        "from osscar_core.studio.jobs import RunStore\n"
        "from osscar_core.studio.requests import JobRequest\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "asked = from_json(JobRequest, (home / 'request.json').read_text())\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "store = RunStore(home, 'fake_worker')\n"
        "print(*{store.submit(asked).id for _ in range(20)}, flush=True)\n"
    )
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for asker in askers:
        assert asker.stdout.readline() == "ready\n"
    for asker in askers:
        asker.stdin.write("go\n")
        asker.stdin.flush()
    names = {name for asker in askers for name in asker.communicate()[0].split()}
    assert len(names) == 1
    assert {run.id for run in store.runs()} == names
    assert [path.name for path in store.runs_folder.iterdir()] == [*names]


def dispatch(home: Path, *arguments: str) -> subprocess.Popen:
    command = ["-m", "osscar_core.studio.dispatcher", str(home), "--worker", "fake_worker"]
    return subprocess.Popen([sys.executable, *command, *arguments], cwd=ROOT)


def test_there_is_one_dispatcher_and_it_leaves_when_nothing_is_left(store, ask) -> None:
    run = store.submit(ask("sleep"))
    started(store, run)
    first = store.dispatcher()
    assert dispatch(store.home).wait(20) == 0
    store.ensure_dispatched()
    assert store.dispatcher() == first
    store.cancel(run)
    wait_for(lambda: not store.live())
    end_dispatcher(store)
    brief = dispatch(store.home, "--idle", "0.3")
    assert brief.wait(20) == 0
    lock = try_lock(store.home / LOCK)
    assert lock is not None
    os.close(lock)
    store.ensure_dispatched()
    assert store.dispatcher() is None  # with nothing to do, none is started


def test_a_run_queued_while_the_dispatcher_leaves_is_not_forgotten(store, ask, monkeypatch):
    from osscar_core.studio import dispatcher

    runs_seen = []

    def serve(serving: RunStore, worker: str, idle: float) -> None:
        runs_seen.append(len(serving.live()))
        if len(runs_seen) == 1:
            # The lock is held, so the page believes that somebody will take care of it.
            serving.submit(ask("quick"))
        else:
            serving.cancel(serving.live()[0])

    store.submit(ask("quick"))
    wait_for(lambda: not store.live())
    end_dispatcher(store)
    store.delete(store.runs()[0])
    monkeypatch.setattr(dispatcher, "serve", serve)
    monkeypatch.setattr(dispatcher, "_sign", lambda _: None)  # or the clean-up would end us
    assert dispatcher.main([str(store.home)]) == 0
    assert runs_seen == [0, 1]


def test_a_workspace_that_was_removed_is_left_alone(tmp_path: Path) -> None:
    from osscar_core.studio.dispatcher import serve

    store = RunStore(tmp_path / "gone")
    serve(store, "fake_worker", 60.0)
    assert not store.home.exists()
