"""The process that computes one run: ``python -m osscar_core.studio.worker FOLDER``.

The decision hidden here: in what order a run is computed and how it tells the app where
it is. It is the only module of the app that imports torch, and only once its turn came.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from osscar_core import __version__
from osscar_core.errors import Cancelled, OsscarError
from osscar_core.progress import ProgressEvent
from osscar_core.records import EvaluationReport, from_json, to_json
from osscar_core.storage import write_atomically
from osscar_core.studio.jobs import RunStore, State, Status, discard_output, try_lock
from osscar_core.studio.requests import JobRequest, RunResult

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

logger = logging.getLogger(__name__)

STEPS = {"load": 0.1, "prune": 0.4, "dense": 0.15, "pruned": 0.15, "speed": 0.2}
"""The steps in order, with their customary shares of the time."""

_STATUS_EVERY = 0.2


class StatusWriter:
    """Keeps ``status.json`` up to date, and notices when the run is to stop.

    Args:
        folder: The run's directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._status = Status(State.QUEUED, updated=time.time())
        self._began = time.time()
        self._written = 0.0

    def begin(self, step: str) -> None:
        """Enter one of `STEPS`."""
        now = time.time()
        if not self._status.step:
            self._began = now
        names = list(STEPS)
        before = sum(STEPS[name] for name in names[: names.index(step)])
        self._write(Status(State.RUNNING, step=step, overall=before, step_started=now, updated=now))

    def progress(self, event: ProgressEvent) -> None:
        """Take note of an event of the computation.

        Raises:
            Cancelled: Somebody asked for the end of this run.
        """
        self.check_cancel()
        if self._status.step == "load" and event.stage == "prune":
            self.begin("prune")
        now = time.time()
        fraction = min(1.0, event.done / event.total) if event.total > 0 else 0.0
        names = list(STEPS)
        step = self._status.step
        before = sum(STEPS[name] for name in names[: names.index(step)])
        if now - self._written >= _STATUS_EVERY:
            self._write(
                Status(
                    State.RUNNING,
                    step=step,
                    fraction=fraction,
                    overall=before + STEPS[step] * fraction,
                    detail=event.detail,
                    step_started=self._status.step_started,
                    updated=now,
                )
            )

    def check_cancel(self) -> None:
        """Raise `Cancelled` if somebody asked for the end of this run."""
        if (self._folder / "cancel").exists():
            raise Cancelled

    def finish(self) -> None:
        """Declare the result complete."""
        now = time.time()
        self._write(
            Status(
                State.FINISHED, fraction=1.0, overall=1.0, updated=now, seconds=now - self._began
            )
        )

    def fail(self, state: State, reason: str, remedy: str, error_id: str = "") -> None:
        """End the run without a result."""
        self._write(
            Status(
                state,
                step=self._status.step,
                updated=time.time(),
                reason=reason,
                remedy=remedy,
                error_id=error_id,
            )
        )

    def _write(self, status: Status) -> None:
        self._status = status
        self._written = time.time()
        write_atomically(self._folder / "status.json", to_json(status))


def main(arguments: list[str]) -> int:
    """Compute the run in the folder given; return the process's exit status."""
    folder = Path(arguments[0])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    status = StatusWriter(folder)
    signal.signal(signal.SIGTERM, _raise_cancelled)
    _start_heartbeat(folder / "heartbeat")
    try:
        with _turn(folder, status):
            status.begin("load")
            result = _compute(folder, status)
        write_atomically(folder / "result.json", to_json(result))
        status.finish()
    except Cancelled:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        discard_output(folder)
        # Without a request to cancel, the signal came from a machine that shuts down.
        asked = (folder / "cancel").exists()
        status.fail(State.CANCELLED if asked else State.INTERRUPTED, "", "")
        return 0
    except OsscarError as error:
        logger.info("failed: %s", error)
        discard_output(folder)
        status.fail(State.FAILED, error.problem, error.remedy)
        return 1
    except Exception as error:
        error_id = secrets.token_hex(4)
        logger.exception("unexpected failure %s", error_id)
        discard_output(folder)
        status.fail(*_unexpected(error), error_id)
        return 1
    return 0


def _unexpected(error: Exception) -> tuple[State, str, str]:
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return (
            State.FAILED,
            "memory ran out",
            "Use fewer calibration items, a smaller batch or a smaller model",
        )
    return State.FAILED, f"an unexpected {name} stopped the run", "Look into the run's log"


def _compute(folder: Path, status: StatusWriter) -> RunResult:
    from osscar_core.evaluation import compare, evaluate
    from osscar_core.models import load_model
    from osscar_core.pruner import prune

    request = from_json(JobRequest, (folder / "request.json").read_text(encoding="utf8"))
    spec = request.spec
    report = prune(spec, out=folder / "model", progress=status.progress)
    seqlen = report.plan.spec.seqlen

    def quality(model: LoadedModel) -> EvaluationReport:
        return evaluate(
            model,
            request.data,
            limit=request.limit,
            seqlen=seqlen,
            progress=status.progress,
        )

    status.begin("dense")
    dense = load_model(
        spec.model,
        weights=spec.weights,
        device=spec.device,
        dtype=spec.dtype,
        image_size=spec.image_size,
        trust_remote_code=spec.trust_remote_code,
    )
    cached = folder.parents[1] / "cache" / f"dense-{_dense_key(request, seqlen)}.json"
    before = _read_evaluation(cached)
    if before is None:
        before = quality(dense)
        cached.parent.mkdir(exist_ok=True)
        write_atomically(cached, to_json(before))
    status.begin("pruned")
    pruned = load_model(str(folder / "model"), device=spec.device, dtype=spec.dtype)
    after = quality(pruned)
    status.begin("speed")
    speed = compare(dense, pruned, batch_size=request.batch_size, progress=status.progress)
    return RunResult(
        prune=report,
        dense=before,
        pruned=after,
        dense_speed=speed.dense,
        pruned_speed=speed.pruned,
        speedup=speed.speedup,
        speedup_interval=speed.interval,
    )


@contextlib.contextmanager
def _turn(folder: Path, status: StatusWriter) -> Iterator[None]:
    """Wait until no other run of the workspace works and none asked earlier waits."""
    store = RunStore(folder.parents[1])
    descriptor = None
    while descriptor is None:
        status.check_cancel()
        waiting = [run.id for run in store.live() if run.status.state is State.QUEUED]
        if not waiting or waiting[0] == folder.name:
            descriptor = try_lock(store.home / "worker.lock")
        if descriptor is None:
            time.sleep(0.2)
    try:
        yield
    finally:
        os.close(descriptor)


def _dense_key(request: JobRequest, seqlen: int | None) -> str:
    """Digest of all that the dense model's quality depends on, files by size and age."""
    spec = request.spec
    parts = [spec.model, spec.weights, request.data, request.limit, seqlen, spec.device]
    parts += [spec.dtype, spec.image_size, __version__]
    for name in (spec.model, spec.weights, request.data.partition(":")[2]):
        with contextlib.suppress(OSError, ValueError):
            stat = Path(name or "").stat()
            parts += [stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _read_evaluation(path: Path) -> EvaluationReport | None:
    try:
        return from_json(EvaluationReport, path.read_text(encoding="utf8"))
    except (OSError, OsscarError):
        return None


def _start_heartbeat(path: Path) -> None:
    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):
                path.touch()
            time.sleep(1.0)

    threading.Thread(target=beat, daemon=True).start()


def _raise_cancelled(_signal: int, _frame: FrameType | None) -> None:
    raise Cancelled


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
