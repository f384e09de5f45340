"""Waiting for other processes, and ending those that a test has started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from osscar_core.studio.jobs import LOCK, RunStore
from osscar_core.studio.processes import try_lock


def end_dispatcher(store: RunStore) -> None:
    """Kill the dispatcher of a workspace, as a crash would, be it fully started or not."""

    def is_gone() -> bool:
        process = store.dispatcher()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        lock = try_lock(store.home / LOCK)
        if lock is not None:
            os.close(lock)
        return lock is not None

    if store.home.is_dir():
        wait_for(is_gone)


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - began
