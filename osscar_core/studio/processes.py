"""Processes that outlive whoever started them.

The decision hidden here: how a process is told apart from a later one of the same number,
how it is started so that it does not end with its starter, and how it is surely ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LOG_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told apart from a later one with the same number.

    Attributes:
        pid: Its number.
        started: Its start time in clock ticks since boot.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has a number now."""
        return cls(pid, start_ticks(pid) or 0)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; one that ended and was not collected does not."""
        return start_ticks(self.pid) == self.started

    def ask_to_stop(self) -> None:
        """Send the signal that a program may answer by tidying up."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill_group(self) -> None:
        """End it and all that it started, at once; it has to lead a group of its own."""
        # With the leader gone its number may be another's by now, who is left alone.
        if start_ticks(self.pid) in (None, self.started):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def start_ticks(pid: int) -> int | None:
    """Return a live process's start time in clock ticks; ``None`` if dead or defunct."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def start(
    module: str, arguments: Sequence[str], log: Path, *, keep_open: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` in a session of its own.

    Args:
        module: The module.
        arguments: What it is given.
        log: File that its output is added to; begun afresh once it is large.
        keep_open: Descriptors that it inherits.

    Raises:
        OSError: It cannot be started, or the log not be written.
    """
    mode = "wb" if log.exists() and log.stat().st_size > _LOG_BYTES else "ab"
    with log.open(mode) as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            env=_environment(),
        )


def collect(child: subprocess.Popen[bytes]) -> None:
    """See to it that a child is collected when it ends, or it would stay defunct."""
    threading.Thread(target=child.wait, daemon=True).start()


def try_lock(path: Path) -> int | None:
    """Take an exclusive lock without waiting; return its descriptor, or ``None`` if taken.

    The lock is held until the last process that inherited the descriptor is gone.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
