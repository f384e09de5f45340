"""Work on the machines of a Ray cluster.

The decision hidden here: how work reaches other machines and how its result comes back.
Ray places tasks and tells when one is lost with its machine; it is then handed out again,
a limited number of times. A result comes back through the artifact store, not through Ray,
so it outlives the machine that computed it and the process that asked for it: work whose
result is in the store already is not done again. Ray is imported here only, and only once
a cluster is used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from osscar_core import __version__, errors
from osscar_core.artifacts import Artifacts
from osscar_core.errors import MissingDependencyError, OsscarError, OutputError, SpecError
from osscar_core.progress import Progress, ProgressEvent

logger = logging.getLogger(__name__)

_POLL = 0.2
_TELL_EVERY = 0.3
_STOP_WITHIN = 2.0
_CONNECT_WITHIN = 10.0

Work = Callable[..., str]
"""A function of a module, called as ``work(artifacts, progress, *arguments)`` elsewhere.

It returns its result as text; folders it leaves in the store.
"""


class ClusterError(OsscarError):
    """The machines of a cluster did not do what they were asked for."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Where work may run.

    Attributes:
        address: The Ray cluster, such as ``10.0.0.5:6379``, ``ray://...`` or ``auto``.
        artifacts: Folder or URL that all machines reach; results come back through it.
        retries: How often work is handed out again after its machine was lost.
    """

    address: str
    artifacts: str
    retries: int = 3

    def __post_init__(self) -> None:
        """Check that both places are named."""
        for name, what in (("address", "the Ray cluster"), ("artifacts", "the artifact store")):
            if not getattr(self, name).strip():
                raise SpecError(f"the address of {what} is empty", "Name one, or leave it out")
        if self.retries < 0:
            raise SpecError(f"retries is {self.retries}", "Give 0 or more")


@dataclass(frozen=True, slots=True)
class _Failure:
    """What was wrong with work, in words."""

    kind: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: OsscarError) -> Self:
        return cls(type(error).__name__, error.problem, error.remedy)

    def error(self) -> OsscarError:
        kind = getattr(errors, self.kind, OsscarError)
        if kind is errors.Cancelled:
            return errors.Cancelled()
        error: OsscarError = kind(self.problem, self.remedy)
        return error


@dataclass(slots=True)
class _Task:
    """Work that was handed out.

    Attributes:
        name: Its name.
        work: The function.
        arguments: What it is given.
        on_gpu: Whether it wants a GPU.
        progress: Who is told where it is.
        lost: How often its machine was lost.
    """

    name: str
    work: Work
    arguments: tuple[Any, ...]
    on_gpu: bool
    progress: Progress | None
    lost: int = field(default=0)


class Cluster:
    """Hands work out to the machines of a cluster; a context that ends what is left of it.

    Args:
        machines: Where.
    """

    def __init__(self, machines: Machines) -> None:
        self.artifacts = Artifacts(machines.artifacts)
        self._machines = machines
        self._ray = _ray()
        self._running: dict[Any, _Task] = {}
        self._is_own = False
        self._channel: Any = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            ClusterError: There is no cluster at the address, or it cannot be used.
        """
        self._is_own = not self._ray.is_initialized()
        if self._is_own:
            self._connect()
        self._open_channel()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all work that is not done, and disconnect."""
        try:
            self._stop()
            self._ray.kill(self._channel)
        except self._ray.exceptions.RayError as failure:
            logger.warning("the cluster could not be left in order: %s", failure)
        finally:
            if self._is_own:
                self._ray.shutdown()

    @property
    def is_busy(self) -> bool:
        """Whether work is handed out."""
        return bool(self._running)

    def submit(
        self, name: str, work: Work, *arguments: Any, device: str, progress: Progress | None = None
    ) -> None:
        """Hand work out.

        Args:
            name: Tells its result from all others; the same name means the same result.
            work: The function.
            arguments: What it is given behind store and progress.
            device: As in a request: ``cpu``, ``cuda`` or ``auto``.
            progress: Called here with its events; what that raises ends `next_result`.

        Raises:
            SpecError: No machine has such a device.
        """
        on_gpu = self._wants_gpu(device)
        self._start(_Task(name, work, arguments, on_gpu, progress))

    def next_result(self) -> tuple[str, str]:
        """Wait until any work is done; return its name and its result.

        Raises:
            OsscarError: What the work raised; or its machines were lost too often.
        """
        while True:
            self._tell()
            done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_POLL)
            for reference in done:
                task = self._running.pop(reference)
                if self._is_done(task, reference):
                    return task.name, self._result(task)

    def forget(self, name: str) -> None:
        """Remove a result from the store, once it is kept elsewhere."""
        self.artifacts.remove(_place(name))

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _knock(self._machines.address)
            self._ray.init(
                address=self._machines.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"the Ray cluster at '{self._machines.address}' cannot be used ({error!s:.300})",
                "Check the address, and that all machines have the same Python and Ray",
            ) from error

    def _open_channel(self) -> None:
        node = self._ray.get_runtime_context().get_node_id()
        here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        # Beside this process, so that it is not lost with another machine.
        self._channel = (
            self._ray.remote(_Channel)
            .options(num_cpus=0, scheduling_strategy=here, runtime_env=_environment())
            .remote()
        )

    def _wants_gpu(self, device: str) -> bool:
        has_gpus = bool(self._ray.cluster_resources().get("GPU", 0) >= 1)
        if device == "auto":
            return has_gpus
        if not device.startswith("cuda"):
            return False
        if device != "cuda":
            raise SpecError(
                f"the device '{device}' is one of a single machine",
                "On a cluster choose cuda, auto or cpu: every run gets a GPU of its own",
            )
        if not has_gpus:
            raise SpecError("the cluster has no GPU", "Choose the device auto or cpu")
        return True

    def _start(self, task: _Task) -> None:
        # Ray itself would try again without a limit where memory runs out.
        execute = self._ray.remote(_execute).options(
            num_cpus=1,
            num_gpus=1 if task.on_gpu else 0,
            max_retries=0,
            runtime_env=_environment(),
        )
        reference = execute.remote(
            __version__,
            task.name,
            task.work,
            task.arguments,
            self._machines.artifacts,
            self._channel,
        )
        self._running[reference] = task

    def _is_done(self, task: _Task, reference: Any) -> bool:
        """Return whether work ended by itself; if its machine was lost, hand it out again."""
        lost = self._ray.exceptions
        try:
            failure = self._ray.get(reference)
        except (
            lost.WorkerCrashedError,
            lost.NodeDiedError,
            lost.LocalRayletDiedError,
            lost.OutOfMemoryError,
            lost.ObjectLostError,
        ) as error:
            reason = str(error).strip().partition("\n")[0]
            logger.warning("%s was lost: %s", task.name, reason)
            task.lost += 1
            if task.lost > self._machines.retries:
                raise ClusterError(
                    f"the machine that computed it was lost {task.lost} times ({reason:.200})",
                    "Look into the cluster; memory may have run out",
                ) from error
            self._start(task)
            return False
        except lost.RuntimeEnvSetupError as error:
            raise ClusterError(
                f"a machine could not begin ({error!s:.200})", "Look into the cluster's log"
            ) from error
        if isinstance(failure, _Failure):
            raise failure.error()
        return True

    def _result(self, task: _Task) -> str:
        text = self.artifacts.text(_place(task.name))
        if text is None:
            raise OutputError(
                f"a machine stored its result in {self.artifacts.address}, and it is not there",
                "Name an artifact store that all machines reach under the same address",
            )
        return text

    def _tell(self) -> None:
        """Pass on what was said since the last time."""
        listeners = {task.name: task.progress for task in self._running.values()}
        try:
            said = self._ray.get(self._channel.take.remote())
        except self._ray.exceptions.RayActorError as error:
            logger.warning("progress was lost with its machine: %s", error)
            self._open_channel()
            return
        for name, event in said:
            listener = listeners.get(name)
            if listener is not None:
                listener(event)

    def _stop(self) -> None:
        """End what is at work: in order first, then by force."""
        left = list(self._running)
        self._running.clear()
        for is_forced in (False, True):
            for reference in left:
                self._ray.cancel(reference, force=is_forced)
            if left:
                _, left = self._ray.wait(left, num_returns=len(left), timeout=_STOP_WITHIN)


class _Channel:
    """What is said on all machines, until it is asked for; an actor."""

    def __init__(self) -> None:
        self._said: dict[str, ProgressEvent] = {}

    def say(self, name: str, event: ProgressEvent) -> None:
        """Note an event; of several from one task only the latest counts."""
        self._said[name] = event

    def take(self) -> list[tuple[str, ProgressEvent]]:
        """Return what was said since the last time."""
        said, self._said = self._said, {}
        return list(said.items())


def _execute(
    version: str, name: str, work: Work, arguments: tuple[Any, ...], address: str, channel: Any
) -> _Failure | None:
    """Do work on the machine that Ray has chosen; leave its result in the store."""
    last = 0.0
    stage = ""

    def say(event: ProgressEvent) -> None:
        nonlocal last, stage
        now = time.monotonic()
        if now - last >= _TELL_EVERY or event.stage != stage:
            last, stage = now, event.stage
            channel.say.remote(name, event)

    try:
        if version != __version__:
            raise ClusterError(
                f"a machine has release {__version__}, and the work is of {version}",
                "Install the same release on all machines",
            )
        artifacts = Artifacts(address)
        # Its machine may have been lost after the result was stored, and before it said so.
        if artifacts.text(_place(name)) is None:
            artifacts.put_text(_place(name), work(artifacts, say, *arguments))
    except OsscarError as error:
        return _Failure.of(error)
    return None


def _knock(address: str) -> None:
    """See whether anybody listens: Ray itself would try for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_WITHIN).close()


def _place(name: str) -> str:
    return f"results/{name}.json"


def _environment() -> dict[str, Any]:
    """Return what Ray gives to workers: where this package lies, where it is not installed."""
    root = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return {"env_vars": {"PYTHONPATH": path}}


def _ray() -> Any:
    with contextlib.suppress(ImportError):
        import ray
        import ray.util.scheduling_strategies

        return ray
    raise MissingDependencyError(
        "a cluster needs the package 'ray', which is not installed",
        "Install it with: pip install -r requirements-cluster.txt",
    )
