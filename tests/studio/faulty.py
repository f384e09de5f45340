"""Processes in which things go wrong on purpose, and cheap ones: forked, not started afresh.

The real dispatcher and the real life of a worker, with work that takes milliseconds. What
goes wrong in a process is part of what it is asked to do, so that a run that dies at its
nine hundredth call dies there again.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import json
import mmap
import os
import secrets
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from osscar_core import storage
from osscar_core.progress import ProgressEvent
from osscar_core.studio import attempt as attempts
from osscar_core.studio import database, dispatcher, jobs, worker
from osscar_core.studio.attempt import Attempt
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.processes import start_ticks
from osscar_core.studio.requests import JobKind

WORKER = "faulty"
_PARTS = 6
_SUBREAPER, _DIE_WITH_PARENT, _NAME = 36, 1, 15

_real_time = time.time
_shared = mmap.mmap(-1, 16)  # by all that is forked from here


def set_clock(offset: float) -> None:
    """Let all processes see a clock that is so many seconds ahead of the machine's."""
    struct.pack_into("d", _shared, 0, offset)


def doom_next_worker(at: int) -> None:
    """Let the next worker that starts die at its so many-th call, before its work or amidst."""
    struct.pack_into("q", _shared, 8, at)


def _told_time() -> float:
    return _real_time() + float(struct.unpack_from("d", _shared, 0)[0])


def _early_death() -> int:
    (at,) = struct.unpack_from("q", _shared, 8)
    doom_next_worker(0)
    return int(at)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_impatient() -> None:
    """Shorten all waits, and look at the clock that can be set."""
    time.time = _told_time
    database._WAIT_SECONDS = 0.3
    jobs._RESTART_AFTER = 0.05
    attempts._NOTE_EVERY = 0.005
    for name, value in {
        "_POLL": 0.01, "_POLL_BROKEN": 0.05, "_KILL_AFTER": 0.2, "_LEAVE_AFTER": 0.5,
        "_PURGE_EVERY": 0.2, "_IDLE": 1.0,
    }.items():  # fmt: skip
        setattr(dispatcher, name, value)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, as the first process is."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


class Forked:
    """What was forked elsewhere, with the part of a `subprocess.Popen` that is used."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        with contextlib.suppress(ChildProcessError):
            return None if os.waitpid(self.pid, os.WNOHANG)[0] == 0 else 0
        return None if start_ticks(self.pid) is not None else 0

    def wait(self) -> int:
        return 0


class Nursery:
    """A process that has no database open, and forks others from there.

    SQLite's locks do not survive a fork, so whoever uses a database cannot fork others that
    use it. They become children of the process that made the nursery.
    """

    def __init__(self, roles: Mapping[str, Role]) -> None:
        # Of no folder, whose path may be longer than an address can be.
        self._address = f"\0nursery-{os.getpid()}-{secrets.token_hex(8)}"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(self._address)
        listening.listen(64)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(0)
            # Nothing else may be held open here, and least of all a dispatcher's lock.
            os.closerange(3, listening.fileno())
            os.closerange(listening.fileno() + 1, 4096)
            self._serve(listening, roles)
        listening.close()

    def start(
        self, role: str, arguments: Sequence[str], log: Path, *, keep_open: Sequence[int] = ()
    ) -> Forked:
        """Start a process; see `osscar_core.studio.processes.start`."""
        log.open("ab").close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.connect(self._address)
            asked = json.dumps([role, list(arguments), str(log), list(keep_open)])
            socket.send_fds(line, [asked.encode()], list(keep_open))
            return Forked(int(line.recv(32)))

    def _serve(self, listening: socket.socket, roles: Mapping[str, Role]) -> None:
        while True:
            line, _ = listening.accept()
            asked, given, _, _ = socket.recv_fds(line, 65536, 4)
            if asked:
                role, arguments, log, numbers = json.loads(asked)
                act = functools.partial(roles[role], self, arguments)
                ctypes.CDLL(None).prctl(_NAME, role.rpartition(".")[2].encode(), 0, 0, 0)
                with contextlib.suppress(OSError):  # whoever asked may be dead by now
                    line.send(str(_fork(act, log, given, numbers)).encode())
            for each in given:
                os.close(each)
            line.close()


Role = Callable[[Nursery, list[str]], int]
"""What a process does, given the nursery that it is from and arguments."""


def _fork(act: Callable[[], int], log: str, given: Sequence[int], numbers: Sequence[int]) -> int:
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child == 0:
            _be(act, log, given, numbers)
        os.write(writing, str(child).encode())
        os._exit(0)
    os.waitpid(between, 0)  # the child now is that of whoever adopts orphans
    try:
        return int(os.read(reading, 32))
    finally:
        os.close(reading)
        os.close(writing)


def _be(act: Callable[[], int], log: str, given: Sequence[int], numbers: Sequence[int]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, 0, 0, 0, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(output, number)
    top = 1000
    held = [os.dup2(each, top + place) for place, each in enumerate(given)]
    os.closerange(3, top)
    for each, number in zip(held, numbers, strict=True):
        os.dup2(each, number)
        os.close(each)
    status = 1
    try:
        status = act()
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(status)


def be_dispatcher(control: Path, nursery: Nursery, arguments: list[str]) -> int:
    """Be the dispatcher of a workspace, with children that are forked."""
    adopt_orphans()
    act = functools.partial(_be_worker, control, nursery)
    # A worker that starts a dispatcher knows of no stand-in for workers.
    dispatcher.start = Nursery({WORKER: act, jobs.WORKER: act}).start
    return dispatcher.main(arguments)


def _be_worker(control: Path, starter: Nursery, _: Nursery, arguments: list[str]) -> int:
    jobs.start = starter.start
    worker._WORK[JobKind.PRUNE] = functools.partial(_work, control)
    _watch_calls(_early_death(), _die)
    return worker.main(arguments)


def be_client(home: Path, nursery: Nursery, arguments: list[str]) -> int:
    """Be another server on the same store: do some things to its runs, or die amidst."""
    jobs.start = nursery.start
    deeds, dies_at = json.loads(arguments[0]), int(arguments[1])
    store = RunStore(home, WORKER)
    _watch_calls(dies_at, _die)
    for name, *rest in deeds:
        try:
            _do(store, name, *rest)
        except database.StoreError as error:
            print(f"{name}: {error}", flush=True)  # noqa: T201 - into its log
    return 0


def _do(store: RunStore, name: str, *rest: str) -> None:
    from osscar_core.records import from_json
    from osscar_core.studio.requests import JobRequest

    if name == "submit":
        store.submit(from_json(JobRequest, rest[0]))
        return
    run = store.get(rest[0])
    if run is None:
        return
    if name == "rename":
        store.rename(run, rest[1])
    elif name == "resume":
        if run.can_resume:
            store.resume(run)
    else:
        getattr(store, name)(run)


def _watch_calls(at: int, act: Callable[[], None]) -> None:
    """Do something at the so many-th call from here on in this thread; never, if 0."""
    if not at:
        return
    left = at

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal left
        if event.endswith("call"):
            left -= 1
            if left == 0:
                sys.setprofile(None)
                act()

    sys.setprofile(count)


def result_of(control: Path, run_id: str) -> str:
    """Return what the worker of a run writes: no two write the same."""
    text = (control / "result.json").read_text(encoding="utf8")
    return text.replace("a warning of the pruner", f"of {run_id}")


def claims(control: Path) -> dict[str, str]:
    """Return what each worker has said that it would write, as a digest of the file."""
    lines = (control / "claims").read_text().splitlines()
    return dict(line.split() for line in lines if line.count(" ") == 1)


def _work(control: Path, attempt: Attempt) -> None:
    """Take some steps and write a result, unless what was asked for says otherwise."""
    asked = {
        name: int(value)
        for name, _, value in (part.partition("=") for part in attempt.request.data.split(","))
        if value
    }
    run_id = attempt.folder.name
    _watch_calls(asked.get("dies", 0), _die)
    _watch_calls(asked.get("starves", 0), _starve)
    _fill(asked.get("fills", 0))
    if "deaf" in asked:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    attempt.progress(ProgressEvent("load", 0, 1))
    attempt.begin("prune")
    folder = attempt.folder / "checkpoint"
    folder.mkdir(exist_ok=True)
    (attempt.folder / "half-written").mkdir()
    for part in range(_PARTS):
        file = folder / f"block-{part}"
        if not file.exists():
            storage.write_atomically(file, run_id * 50)
        attempt.progress(ProgressEvent("prune", part + 1, _PARTS, file.name))
        time.sleep(asked.get("takes", 0) / 1000)
    if "stays" in asked:
        time.sleep(60)
    attempt.begin("speed")
    text = storage.sealed(result_of(control, run_id))
    with (control / "claims").open("a") as claimed:
        claimed.write(f"{run_id} {hashlib.sha256(text.encode()).hexdigest()}\n")
    storage.write_sealed(attempt.folder / "result.json", result_of(control, run_id))
    attempt.begin("showcase")


def _starve() -> None:
    raise MemoryError


def _fill(at: int) -> None:
    """Let the so many-th file and all later ones meet a full disk; never, if 0."""
    if not at:
        return
    left, real = at, Path.write_text

    def write_text(path: Path, text: str, **options: Any) -> int:
        nonlocal left
        left -= 1
        if left <= 0:
            path.write_bytes(text.encode()[: len(text) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, text, **options)

    Path.write_text = write_text
