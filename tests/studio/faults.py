"""Many things going wrong, one after the other, in one workspace; what must hold is checked.

Run it for as long as wanted::

    PYTHONPATH=. python tests/studio/faults.py --seed 1 --faults 2000

The seed decides what goes wrong, to whom, and at which call of a process. Where a small
volume may be mounted, the workspace lies on one and its disk really is full at times.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import faulty
import samples
from sqlalchemy import select, update

from osscar_core.records import PruneSpec, to_json
from osscar_core.studio import jobs
from osscar_core.studio.database import StoreError, runs
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.processes import Process, start_ticks
from osscar_core.studio.requests import JobRequest

ROOT = Path(__file__).resolve().parents[2]
DEVICES = ("cpu", "cuda:0", "cuda:1")
WAITING = 6
EPOCH = 50
VOLUME_BYTES = 24 * 2**20  # each run takes some 50 kB, and an epoch sees a hundred
PATIENCE = 60.0

_T = TypeVar("_T")


class Broken(AssertionError):  # noqa: N818 - what it says, not who raised it
    """Something that must hold does not."""


@dataclasses.dataclass
class Seen:
    """What is known of the runs from outside."""

    finished: dict[str, str] = dataclasses.field(default_factory=dict)
    damaged: set[str] = dataclasses.field(default_factory=set)
    deleted: set[str] = dataclasses.field(default_factory=set)


class Trial:
    """One workspace in trouble.

    Args:
        home: The workspace.
        control: Where things lie that are in no trouble.
        seed: Decides what goes wrong.
    """

    def __init__(self, home: Path, control: Path, seed: int) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.ends: collections.Counter[str] = collections.Counter()
        self.told: collections.Counter[str] = collections.Counter()
        self.log: list[str] = []
        self._home, self._control = home, control
        self._random = random.Random(seed)
        self._seen = Seen()
        self._endless: set[str] = set()
        self._started: list[int] = []
        self._number = 0
        control.mkdir(exist_ok=True)
        (control / "claims").touch()
        asked = samples.image_request()
        (control / "result.json").write_text(to_json(samples.result(asked, units=3)))
        faulty.make_impatient()
        faulty.adopt_orphans()
        # Before this process has the database open; see `faulty.Nursery`.
        roles = {
            jobs.DISPATCHER: functools.partial(faulty.be_dispatcher, control),
            "client": functools.partial(faulty.be_client, home),
        }
        self._nursery = faulty.Nursery(roles)
        jobs.start = self._nursery.start
        self._store = RunStore(home, faulty.WORKER)

    def run(self, faults: int) -> None:
        """Let so many things go wrong."""
        for number in range(faults):
            self._submit_some()
            name = self._random.choices(list(FAULTS), [weight for _, weight in FAULTS.values()])[0]
            self.log.append(f"{number} {name}")
            FAULTS[name][0](self)
            self.counts[name] += 1
            time.sleep(self._random.choice((0.0, 0.005, 0.02, 0.05)))
            self._check()
            if (number + 1) % EPOCH == 0:
                self.settle()
        self.settle()

    def settle(self) -> None:
        """Let nothing go wrong any more: everything comes to an end, and devices are free."""
        faulty.set_clock(0.0)
        faulty.doom_next_worker(0)
        # One that was stopped amidst a change of the database would lock it for ever.
        for _, process in self._working():
            _signal(process, signal.SIGCONT)
        self._until("all clients are gone", lambda: not self._clients())
        last: list[str] = []
        for device in DEVICES:
            request = self._ask(device)
            self._until("a run is taken", lambda request=request: self._accepted(request, last))
        self._until("all runs end", lambda: self._cancel_endless() and not self._live())
        self._check()
        for run_id in last:
            run = self._store.get(run_id)
            if run is None or run.status.state is not State.FINISHED:
                free = shutil.disk_usage(self._home).free
                raise Broken(f"a run without a fault is no result, with {free:,} bytes free: {run}")
        self._until("no process is left but those that wait", lambda: not self._strangers())
        for run in self._store.runs():
            self.ends[run.status.state.value] += run.id not in self._seen.deleted
            self._store.delete(run)
            self._seen.deleted.add(run.id)
        self._store.purge(older_than=-1.0)

    def end(self) -> None:
        """End all processes that were started."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self._reap()
            every = {process.pid: process for process in _processes()}
            mine = [each for each in every.values() if _descends(each, os.getpid(), every)]
            if not mine:
                return
            for each in mine:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
            time.sleep(0.01)

    # Faults.

    def kill_worker(self, how: int = signal.SIGKILL) -> None:
        working = self._working()
        if working:
            _signal(self._random.choice(working)[1], how)

    def stop_machine(self) -> None:
        self.kill_worker(signal.SIGTERM)

    def freeze_worker(self) -> None:
        """Stop a worker so that it answers nothing, and cancel its run."""
        working = self._working()
        if working:
            run_id, process = self._random.choice(working)
            _signal(process, signal.SIGSTOP)
            self._endless.add(run_id)
            self._cancel(run_id)

    def doom_worker(self) -> None:
        faulty.doom_next_worker(self._moment(8000))

    def kill_dispatcher(self) -> None:
        process = self._store.dispatcher()
        if process is not None:
            _signal(process, signal.SIGKILL)

    def kill_both(self) -> None:
        self.kill_worker()
        self.kill_dispatcher()

    def cancel_at_the_end(self) -> None:
        """Cancel a run once its result is written, before it is declared complete."""
        for run_id, _ in self._working():
            if (self._home / "runs" / run_id / "result.json").exists():
                self._cancel(run_id)
                return
        live = self._live()
        if live:
            self._cancel(self._random.choice(live))

    def client(self, dies_at: int | None = None) -> None:
        """Let another server do a few things at the same time, and perhaps die amidst."""
        known = [run.id for run in self._store.runs()] or ["20260101-000000-000000"]
        deeds: list[tuple[str, ...]] = []
        for _ in range(self._random.randint(1, 4)):
            name = self._random.choice(CLIENT_DEEDS)
            if name == "submit":
                deeds.append((name, to_json(self._ask())))
            elif name == "rename":
                deeds.append((name, self._random.choice(known), f"name {self._number}"))
            else:
                deeds.append((name, self._random.choice(known)))
                self._seen.deleted |= {deeds[-1][1]} if name == "delete" else set()
        at = str(self._moment(20_000) if dies_at is None else dies_at)
        arguments = [json.dumps(deeds), at]
        started = self._nursery.start("client", arguments, self._control / "clients.log")
        self._started.append(started.pid)

    def second_server(self) -> None:
        for _ in range(2):
            self.client(dies_at=0)

    def lock_database(self) -> None:
        """Hold the database for longer than anyone here waits, or for a moment."""
        with contextlib.closing(sqlite3.connect(self._home / "studio.db", timeout=2)) as held:
            held.isolation_level = None
            with contextlib.suppress(sqlite3.OperationalError):
                held.execute("BEGIN IMMEDIATE")
                time.sleep(self._random.choice((0.02, 0.1, 0.5)))
                held.execute("ROLLBACK")

    def fill_disk(self) -> None:
        """Leave no byte on the volume for a while; without one of its own, do nothing."""
        if not self._home.is_mount():
            return
        ballast = self._home / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        try:
            time.sleep(self._random.choice((0.02, 0.1, 0.4)))
            with contextlib.suppress(StoreError):
                self._told(lambda: self._store.submit(self._ask()))
        finally:
            ballast.unlink()

    def corrupt_result(self) -> None:
        """Damage the result of a finished run in one of several ways."""
        whole = [run for run in self._finished() if run.id not in self._seen.damaged]
        if not whole:
            return
        run = self._random.choice(whole)
        file = run.folder / "result.json"
        content = bytearray(file.read_bytes())
        at = self._random.randrange(len(content))
        how = self._random.choice(("flip", "cut", "remove", "empty", "double"))
        if how == "flip":
            content[at] ^= 1 << self._random.randrange(8)
        self._seen.damaged.add(run.id)
        if how == "remove":
            file.unlink()
        else:
            changed = {"cut": content[:at], "empty": b"", "double": content * 2}
            file.write_bytes(changed.get(how, content))
        again = self._told(lambda: self._store.again(run))
        if again is not None and again.id == run.id:
            raise Broken(f"the damaged run {run.id} ({how}) answers the request for it")

    def corrupt_request(self) -> None:
        queued = runs.c.state == State.QUEUED.value
        with contextlib.suppress(StoreError), self._store.database.write() as connection:
            found = connection.execute(select(runs.c.id).where(queued)).scalars().all()
            if found:
                chosen = runs.c.id == self._random.choice(found)
                broken = self._random.choice(("", "{", '{"unknown": 1}', "null"))
                connection.execute(update(runs).where(chosen).values(request=broken))

    def remove_folder(self) -> None:
        """Remove the folder of a run that waits, as somebody who tidies up might."""
        waiting = [run for run in self._store.live() if run.status.state is State.QUEUED]
        if waiting:
            shutil.rmtree(self._random.choice(waiting).folder, ignore_errors=True)

    def set_clock(self) -> None:
        offset = self._random.choice((-86400.0, -3600.0, -5.0, 0.0, 5.0, 3600.0, 86400.0, 4e8))
        faulty.set_clock(offset)

    def resume(self) -> None:
        stopped = [run for run in self._store.runs() if run.can_resume]
        if stopped:
            chosen = self._random.choice(stopped)
            self._told(lambda: self._store.resume(chosen))

    # What is done and looked at.

    def _ask(self, device: str | None = None) -> JobRequest:
        """Return a request unlike any other, with something that goes wrong amidst perhaps."""
        self._number += 1
        parts = [f"run {self._number}", f"takes={self._random.choice((0, 1, 5, 20))}"]
        if device is None:
            trouble = self._random.choice(TROUBLE)
            if trouble:
                parts.append(f"{trouble}={self._moment(TROUBLE_AT.get(trouble, 1))}")
        spec = PruneSpec("m", "demo:x", 0.5, device=device or self._random.choice(DEVICES))
        return JobRequest(spec, ",".join(parts))

    def _moment(self, most: int) -> int:
        """Return a number of calls, small ones as likely as large ones."""
        return round(most ** self._random.random())

    def _submit_some(self) -> None:
        for _ in range(WAITING - len(self._live())):
            self._told(lambda: self._store.submit(self._ask()))
        self._told(self._store.ensure_dispatched)

    def _cancel(self, run_id: str) -> None:
        run = self._store.get(run_id)
        if run is not None:
            self._told(lambda: self._store.cancel(run))

    def _accepted(self, request: JobRequest, last: list[str]) -> bool:
        run = self._told(lambda: self._store.submit(request))
        last.extend([] if run is None else [run.id])
        return run is not None

    def _clients(self) -> list[int]:
        self._reap()
        return [pid for pid in self._started if start_ticks(pid) is not None]

    def _cancel_endless(self) -> bool:
        """Cancel what would not end; return whether all of it is asked to."""
        live = [run for run in self._store.live() if not run.is_stopping]
        endless = [run for run in live if "stays" in run.request.data or run.id in self._endless]
        for run in endless:
            self._cancel(run.id)
        if endless:
            for _, process in self._working():
                _signal(process, signal.SIGCONT)
        return not endless

    def _told(self, act: Callable[[], _T]) -> _T | None:
        """Do something that may be refused in words, and in no other way."""
        try:
            return act()
        except StoreError as error:
            self.told[error.problem.replace(str(self._home), "")] += 1
            return None

    def _rows(self) -> list[tuple[str, State, Process | None]]:
        query = select(runs.c.id, runs.c.state, runs.c.pid, runs.c.pid_started)
        with self._store.database.read() as connection:
            return [
                (run_id, State(state), None if pid is None else Process(pid, since))
                for run_id, state, pid, since in connection.execute(query)
            ]

    def _live(self) -> list[str]:
        return [run_id for run_id, state, _ in self._rows() if state.is_live]

    def _working(self) -> list[tuple[str, Process]]:
        return [(one, worker) for one, state, worker in self._rows()
                if state is State.RUNNING and worker is not None]  # fmt: skip

    def _finished(self) -> list[Run]:
        return [run for run in self._store.runs() if run.status.state is State.FINISHED]

    def _check(self) -> None:
        """Check that nothing finished is lost and nothing half is shown as whole."""
        shown = {run.id: run for run in self._store.runs()}
        claims = faulty.claims(self._control)
        for run in shown.values():
            if run.status.state is State.FINISHED:
                self._check_finished(run, claims.get(run.id))
            elif run.id in self._seen.finished:
                raise Broken(f"the finished run {run.id} has become {run.status.state}")
        for run_id in self._seen.finished:
            if run_id not in shown and run_id not in self._seen.deleted:
                raise Broken(f"the finished run {run_id} is gone")

    def _check_finished(self, run: Run, claimed: str | None) -> None:
        self._seen.finished.setdefault(run.id, claimed or "")
        result = self._store.result(run)
        if run.id in self._seen.damaged:
            if result is not None:
                raise Broken(f"the damaged result of {run.id} is shown")
            return
        if result is None:
            raise Broken(f"the finished run {run.id} has no result")
        content = (run.folder / "result.json").read_bytes()
        if hashlib.sha256(content).hexdigest() != claimed:
            raise Broken(f"the result of {run.id} is not what its worker wrote")
        if not any(run.id in warning for warning in result.prune.warnings):
            raise Broken(f"the result of {run.id} is another run's")

    def _strangers(self) -> list[str]:
        """Return processes that nobody needs any more, and what ended and was not collected."""
        self._reap()
        dispatcher = self._store.dispatcher()
        leads = 0 if dispatcher is None else dispatcher.pid
        every = {process.pid: process for process in _processes()}
        return [
            f"{process.pid} {process.state} of {process.parent}: {_told_of(process)}"
            for process in every.values()
            if _descends(process, os.getpid(), every)
            and process.pid != self._nursery.pid
            # The dispatcher, and what it has its workers from.
            and (process.session != leads or process.state == "Z")
        ]

    def _reap(self) -> None:
        """Collect orphans that ended, as the first process of a machine does."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not condition():
            self._told(self._store.ensure_dispatched)
            if time.monotonic() - began > PATIENCE:
                rows = [row for row in self._rows() if row[1].is_live]
                raise Broken(f"waited in vain until {what}: {rows}, {self._strangers()}")
            time.sleep(0.02)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A process, as the system lists it."""

    pid: int
    state: str
    parent: int
    session: int


def _processes() -> Iterator[_Entry]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            yield _Entry(int(path.parent.name), fields[0], int(fields[1]), int(fields[3]))


def _told_of(process: _Entry) -> str:
    """Return where in the system a process waits, and what it has open."""
    place, found = Path(f"/proc/{process.pid}"), []
    with contextlib.suppress(OSError):
        found = [(place / "wchan").read_text(), (place / "comm").read_text().strip()]
        found += [str(path.readlink()) for path in (place / "fd").iterdir()]
    return " ".join(found)


def _descends(process: _Entry, ancestor: int, every: dict[int, _Entry]) -> bool:
    parent = process.parent
    while parent in every and parent != ancestor:
        parent = every[parent].parent
    return parent == ancestor


def _signal(process: Process, how: int) -> None:
    if process.is_alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how)


TROUBLE = ("", "", "", "dies", "dies", "starves", "fills", "deaf", "stays")
TROUBLE_AT = {"dies": 6000, "starves": 6000, "fills": 9}
CLIENT_DEEDS = ("submit", "submit", "cancel", "rename", "delete", "undelete", "resume")
FAULTS: dict[str, tuple[Callable[[Trial], None], int]] = {
    "worker killed": (Trial.kill_worker, 4),
    "worker killed at a call": (Trial.doom_worker, 4),
    "worker told to end": (Trial.stop_machine, 2),
    "worker frozen, run cancelled": (Trial.freeze_worker, 2),
    "dispatcher killed": (Trial.kill_dispatcher, 3),
    "worker and dispatcher killed": (Trial.kill_both, 2),
    "server killed amidst a change": (Trial.client, 4),
    "two more servers": (Trial.second_server, 2),
    "cancelled at the end": (Trial.cancel_at_the_end, 3),
    "database locked": (Trial.lock_database, 2),
    "disk full": (Trial.fill_disk, 2),
    "result damaged": (Trial.corrupt_result, 3),
    "request damaged": (Trial.corrupt_request, 2),
    "folder removed": (Trial.remove_folder, 1),
    "clock set": (Trial.set_clock, 3),
    "run resumed": (Trial.resume, 2),
}


@contextlib.contextmanager
def volume(folder: Path, size: int) -> Iterator[bool]:
    """Put a small volume at a folder, if this user may; tell whether there is one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", str(folder)]
    is_mounted = os.getuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def main(arguments: Sequence[str]) -> int:
    """Let things go wrong; return 0 if all that must hold did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=200)
    given = parser.parse_args(arguments)
    began, problem = time.monotonic(), ""
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        home, control = Path(place) / "home", Path(place) / "control"
        with volume(home, VOLUME_BYTES) as is_small:
            trial = Trial(home, control, given.seed)
            try:
                trial.run(given.faults)
            except Broken as error:
                problem = str(error)
                logs = [*sorted(home.glob("*.log")), *sorted(control.glob("*.log"))]
                tails = {path.name: path.read_text().splitlines()[-40:] for path in logs}
                _say("\n".join((*trial.log[-60:], json.dumps(tails, indent=1))))
            finally:
                trial.end()
    found = {
        "seed": given.seed,
        "faults": sum(trial.counts.values()),
        "seconds": round(time.monotonic() - began, 1),
        "disk really full": is_small,
        "by kind": trial.counts,
        "runs ended": trial.ends,
        "refused in words": trial.told,
        "problem": problem,
    }
    _say(json.dumps(found, indent=1))
    if problem:
        file = Path(__file__).relative_to(ROOT)
        _say(f"again: PYTHONPATH=. python {file} --seed {given.seed} --faults {given.faults}")
    return 1 if problem else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
