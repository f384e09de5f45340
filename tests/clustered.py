"""Work for the machines of a test's cluster, which import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from osscar_core.artifacts import Artifacts
from osscar_core.errors import DataError
from osscar_core.progress import Progress, ProgressEvent


def crash_once(artifacts: Artifacts, progress: Progress, folder: Path) -> str:
    """Take the process away in the first attempt, and say in which one it ended well."""
    attempts = len(list(folder.iterdir()))
    (folder / str(attempts)).touch()
    if attempts == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"attempt {attempts}"


def crash(artifacts: Artifacts, progress: Progress) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def fail(artifacts: Artifacts, progress: Progress) -> str:
    raise DataError("the data is broken", "Mend it")


def wait(artifacts: Artifacts, progress: Progress, folder: Path) -> str:
    """Tell progress until it is ended from outside; note that it went in order."""
    try:
        for count in range(600):
            progress(ProgressEvent("wait", count, 600))
            time.sleep(0.1)
    finally:
        (folder / "tidied").touch()
    return "waited"
