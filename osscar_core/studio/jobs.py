"""Runs on disk and the worker processes that compute them.

The decision hidden here: how a run outlives the page that asked for it. Every run is a
directory of small JSON files, written atomically; the computation is a process of its
own session that this module starts, watches and, if asked, stops. Nothing here imports
torch or Streamlit, and all of it may be called from several processes at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from osscar_core.errors import OsscarError
from osscar_core.records import from_json, to_json
from osscar_core.storage import workspace, write_atomically
from osscar_core.studio.requests import JobRequest, RunResult

WORKER = "osscar_core.studio.worker"
_KILL_AFTER = 2.0
_START_GRACE = 15.0
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


class State(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_live(self) -> bool:
        """Whether more will happen without anyone asking for it."""
        return self in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status.json`` says.

    Attributes:
        state: Where the run is in its life.
        step: Which step of the work is at hand, such as ``prune``.
        fraction: Share of that step that is done.
        overall: Share of the whole run that is done.
        detail: What is being worked on, such as a unit's name.
        step_started: When the step began, in seconds since the epoch.
        updated: When this was written, in seconds since the epoch.
        reason: For failed runs, what was wrong.
        remedy: For failed runs, what to do about it.
        error_id: For unexpected failures, the mark under which the log has the details.
        seconds: For finished runs, the wall time from the start of the work.
    """

    state: State
    step: str = ""
    fraction: float = 0.0
    overall: float = 0.0
    detail: str = ""
    step_started: float = 0.0
    updated: float = 0.0
    reason: str = ""
    remedy: str = ""
    error_id: str = ""
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end of the step; ``None`` while too early to say."""
        elapsed = self.updated - self.step_started
        if self.fraction < 0.05 or elapsed < 1.0:
            return None
        return elapsed * (1.0 - self.fraction) / self.fraction


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one with the same number.

    Attributes:
        pid: Its number.
        started: Its start time in clock ticks since boot.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the app shows it.

    Attributes:
        id: Name of its directory.
        folder: The directory.
        request: What was asked for.
        status: Where it is.
        place: Place in the queue, 1 for the next; 0 if not queued.
    """

    id: str
    folder: Path
    request: JobRequest
    status: Status
    place: int = 0

    @property
    def created(self) -> float:
        """When it was asked for, in seconds since the epoch."""
        return (self.folder / "request.json").stat().st_mtime

    @property
    def silent_seconds(self) -> float:
        """Seconds since the worker's last sign of life; 0 before its first."""
        try:
            return max(0.0, time.time() - (self.folder / "heartbeat").stat().st_mtime)
        except OSError:
            return 0.0

    @property
    def model_folder(self) -> Path:
        """Where the pruned model is, once it is written."""
        return self.folder / "model"


def start_ticks(pid: int) -> int | None:
    """Return a live process's start time in clock ticks; ``None`` if dead or defunct."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class RunStore:
    """The runs of one workspace.

    Args:
        home: The workspace folder; created when the first run is submitted.
        worker: Module that computes a run, started as ``python -m worker FOLDER``.
    """

    def __init__(self, home: Path | None = None, worker: str = WORKER) -> None:
        self.home = home or workspace()
        self._worker = worker

    @property
    def runs_folder(self) -> Path:
        """The folder with one directory a run."""
        return self.home / "runs"

    def submit(self, request: JobRequest) -> Run:
        """Start a run, or return the one that already answers this request.

        Asking twice (a double click, a second tab) gives the same run. Runs that
        failed, were cancelled or interrupted do not count: asking again starts anew.
        """
        self.runs_folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.home / "submit.lock"):
            for run in self.runs():
                same = run.request.key == request.key
                if same and (run.status.state.is_live or run.status.state is State.FINISHED):
                    return run
            return self._start(request)

    def runs(self) -> list[Run]:
        """Return all runs, the newest first, after marking those whose worker died."""
        if not self.runs_folder.is_dir():
            return []
        names = sorted(p.name for p in self.runs_folder.iterdir() if _RUN_ID.fullmatch(p.name))
        found = [run for name in names if (run := self._read(name)) is not None]
        queued = [run.id for run in found if run.status.state is State.QUEUED]
        return [
            replace(run, place=queued.index(run.id) + 1) if run.id in queued else run
            for run in reversed(found)
        ]

    def get(self, run_id: str) -> Run | None:
        """Return one run, or ``None`` if there is none of that name."""
        if not _RUN_ID.fullmatch(run_id):
            return None
        run = self._read(run_id)
        if run is None or run.status.state is not State.QUEUED:
            return run
        return next((other for other in self.runs() if other.id == run_id), None)

    def live(self) -> list[Run]:
        """Return the runs that are working or waiting, the oldest first."""
        return [run for run in reversed(self.runs()) if run.status.state.is_live]

    def result(self, run: Run) -> RunResult | None:
        """Return what a finished run found; ``None`` for any other or a damaged one."""
        if run.status.state is not State.FINISHED:
            return None
        path = run.folder / "result.json"
        try:
            return _read_result(path, path.stat().st_mtime_ns)
        except (OSError, OsscarError):
            return None

    def log(self, run: Run) -> str:
        """Return what the worker printed."""
        try:
            return (run.folder / "log.txt").read_text(encoding="utf8", errors="replace")
        except OSError:
            return ""

    def cancel(self, run: Run) -> None:
        """Ask a run to stop, and make it stop: it is gone within three seconds."""
        if not run.status.state.is_live:
            return
        (run.folder / "cancel").touch()
        process = _process_of(run.folder)
        if process is None or start_ticks(process.pid) != process.started:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        threading.Thread(target=_kill_later, args=(process,), daemon=True).start()

    def delete(self, run: Run) -> None:
        """Remove a run that is not live, with its model."""
        if not run.status.state.is_live:
            shutil.rmtree(run.folder, ignore_errors=True)

    def _start(self, request: JobRequest) -> Run:
        run_id = _new_run_id()
        folder = self.runs_folder / run_id
        folder.mkdir()
        write_atomically(folder / "status.json", to_json(Status(State.QUEUED, updated=time.time())))
        write_atomically(folder / "request.json", to_json(request, indent=1))
        with (folder / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", self._worker, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_worker_environment(),
            )
        process = Process(child.pid, start_ticks(child.pid) or 0)
        write_atomically(folder / "process.json", to_json(process))
        # Somebody has to collect the exit status, or the child stays defunct.
        threading.Thread(target=child.wait, daemon=True).start()
        run = self.get(run_id)
        if run is None:
            raise OsscarError(
                f"the run's folder {folder} cannot be read back", "Check the disk and its rights"
            )
        return run

    def _read(self, run_id: str) -> Run | None:
        folder = self.runs_folder / run_id
        # Look at the process first: it may finish between the two looks, never un-finish.
        is_alive = _is_alive(folder)
        try:
            request = from_json(JobRequest, (folder / "request.json").read_text(encoding="utf8"))
            status = from_json(Status, (folder / "status.json").read_text(encoding="utf8"))
        except (OSError, OsscarError):
            return None
        if status.state.is_live and not is_alive:
            status = self._close(folder, status)
        return Run(run_id, folder, request, status)

    def _close(self, folder: Path, status: Status) -> Status:
        was_cancelled = (folder / "cancel").exists()
        state = State.CANCELLED if was_cancelled else State.INTERRUPTED
        final = replace(status, state=state, updated=time.time())
        discard_output(folder)
        with contextlib.suppress(OSError):
            write_atomically(folder / "status.json", to_json(final))
        return final


def _new_run_id() -> str:
    """Return a name that sorts by time: runs queue in the order of their names."""
    now = time.time()
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{second}-{int(now % 1 * 1e6):05x}{secrets.randbelow(16):x}"


def discard_output(folder: Path) -> None:
    """Remove everything that an unfinished run has written, but its request and log."""
    keep = {"request.json", "status.json", "process.json", "log.txt", "cancel", "heartbeat"}
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in keep:
            path.unlink(missing_ok=True)


def try_lock(path: Path) -> int | None:
    """Take an exclusive lock without waiting; return its descriptor, or ``None`` if taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@functools.lru_cache(maxsize=256)
def _read_result(path: Path, _written: int) -> RunResult:
    return from_json(RunResult, path.read_text(encoding="utf8"))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _process_of(folder: Path) -> Process | None:
    try:
        return from_json(Process, (folder / "process.json").read_text(encoding="utf8"))
    except (OSError, OsscarError):
        return None


def _is_alive(folder: Path) -> bool:
    process = _process_of(folder)
    if process is None:
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime < _START_GRACE
        return False
    return start_ticks(process.pid) == process.started


def _kill_later(process: Process) -> None:
    deadline = time.monotonic() + _KILL_AFTER
    while time.monotonic() < deadline:
        if start_ticks(process.pid) != process.started:
            return
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _worker_environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
