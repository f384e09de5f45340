"""Stands in for the worker: the real life of a process, with work that does what it is told.

What to do is the request's data: ``quick``, ``gate``, ``sleep``, ``stubborn``, ``crash`` or
``broken``.
"""

import logging
import os
import signal
import sys
import time

from osscar_core.errors import DataError
from osscar_core.progress import ProgressEvent
from osscar_core.studio import worker
from osscar_core.studio.attempt import Attempt
from osscar_core.studio.requests import JobKind


def work(attempt: Attempt) -> None:
    mode, folder = attempt.request.data, attempt.folder
    logging.info("mode %s", mode)
    attempt.progress(ProgressEvent("load", 0, 1))
    attempt.begin("prune")
    (folder / "half-written").mkdir()
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "broken":
        raise DataError("the data is broken", "Mend it")
    if (folder / "checkpoint" / "block").exists():
        (folder / "went-on").touch()
        return
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "block").touch()
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    deadline = time.monotonic() + 60
    while mode != "quick" and time.monotonic() < deadline:
        if mode == "gate" and (attempt.home / "gate").exists():
            return
        attempt.progress(ProgressEvent("prune", 1, 2, "half"))
        time.sleep(0.02)


if __name__ == "__main__":
    worker._WORK[JobKind.PRUNE] = work
    sys.exit(worker.main(sys.argv[1:]))
