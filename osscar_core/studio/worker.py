"""The process that computes one run: ``python -m osscar_core.studio.worker HOME ID``.

The decision hidden here: what becomes of a run when its work ends in one way or another.
What the work is stands in modules of their own, the only ones of the app that import
torch, and only once a run has begun.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from osscar_core.errors import Cancelled, OsscarError, SpecError
from osscar_core.shortage import is_shortage
from osscar_core.storage import FULL
from osscar_core.studio import logs
from osscar_core.studio.attempt import Attempt, Job
from osscar_core.studio.database import is_amidst
from osscar_core.studio.elsewhere import is_elsewhere
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import JobKind
from osscar_core.studio.runs import State

logger = logging.getLogger(__name__)

_NICENESS = 10


def _prune(attempt: Job) -> None:
    from osscar_core.studio.worker_prune import prune_and_measure

    prune_and_measure(attempt)


def _survey(attempt: Job) -> None:
    from osscar_core.studio.worker_survey import survey

    survey(attempt)


def _time_blocks(attempt: Job) -> None:
    from osscar_core.studio.worker_survey import time_blocks

    time_blocks(attempt)


def _check(attempt: Job) -> None:
    from osscar_core.studio.worker_check import check

    check(attempt)


def _make_kit(attempt: Job) -> None:
    from osscar_core.studio.worker_check import make_kit

    make_kit(attempt)


def _export(attempt: Job) -> None:
    from osscar_core.studio.worker_check import make_export

    make_export(attempt)


def _compute_elsewhere(attempt: Attempt) -> None:
    from osscar_core.studio.worker_elsewhere import compute_elsewhere

    compute_elsewhere(attempt)


_WORK: dict[JobKind, Callable[[Job], None]] = {
    JobKind.PRUNE: _prune,
    JobKind.SURVEY: _survey,
    JobKind.TIMING: _time_blocks,
    JobKind.CHECK: _check,
    JobKind.KIT: _make_kit,
    JobKind.EXPORT: _export,
}
"""What is done for each kind of run: it writes its results into the run's folder."""


def work_of(kind: JobKind) -> Callable[[Job], None]:
    """Return what is done for a kind of run, on whichever machine.

    Raises:
        SpecError: This release knows no such kind.
    """
    work = _WORK.get(kind)
    if work is None:
        raise SpecError(
            f"this release does not know the kind of work '{kind}'",
            f"Choose from: {', '.join(_WORK)}",
        )
    return work


def main(arguments: Sequence[str]) -> int:
    """Compute the run given by workspace and name; return the process's exit status."""
    home, run_id = Path(arguments[0]), arguments[1]
    logs.set_up("worker", run=run_id)
    store, process = RunStore(home), Process.of(os.getpid())
    ledger = Ledger(store.database)
    try:
        attempt = Attempt.take_up(ledger, home, run_id, process)
    except OsscarError as error:
        # Such as a request that another release has written.
        ledger.end(run_id, process, State.FAILED, reason=error.problem, remedy=error.remedy)
        return 1
    if attempt is None:
        logger.info("run %s is another worker's", run_id)
        return 0
    # The page that a person looks at comes first.
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    _start_heartbeat(attempt.folder / "heartbeat")
    status = _compute(attempt)
    # If the dispatcher was killed, what waits still gets its turn.
    with contextlib.suppress(OsscarError):
        store.ensure_dispatched()
    return status


def _compute(attempt: Attempt) -> int:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        attempt.is_stopped = True
        if not is_amidst():
            raise Cancelled

    try:
        signal.signal(signal.SIGTERM, stop)
        work = work_of(attempt.request.kind)
        attempt.start()
        attempt.check_files()
        if is_elsewhere(attempt.request.kind):
            _compute_elsewhere(attempt)
        else:
            work(attempt)
        # From here on the result counts, even if somebody asked to stop a moment ago.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        attempt.finish()
    except Cancelled:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        attempt.stop()
    except OsscarError as error:
        logger.info("failed: %s", error)
        attempt.fail(error.problem, error.remedy)
        return 1
    # The end of a process: whatever was not foreseen becomes a mark in the log.
    except Exception as error:
        error_id = secrets.token_hex(4)
        logger.exception("unexpected failure %s", error_id, extra={"error_id": error_id})
        attempt.fail(*_unexpected(error), error_id)
        return 1
    return 0


def _unexpected(raised: Exception) -> tuple[str, str]:
    # What was raised on another machine comes wrapped.
    cause = getattr(raised, "cause", None)
    error = cause if isinstance(cause, Exception) else raised
    name = type(error).__name__
    if is_shortage(error):
        return (
            "memory ran out",
            "Use fewer calibration items, a smaller batch or a smaller model",
        )
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full", "Free some disk space, then run again"
    return f"an unexpected {name} stopped the run", "Look into the run's log"


def _start_heartbeat(path: Path) -> None:
    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):
                path.touch()
            time.sleep(1.0)

    threading.Thread(target=beat, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
