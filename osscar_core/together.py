"""One piece of work on several GPUs of this machine.

The decision hidden here: how the processes of a team live and die. There is one a GPU,
started afresh; the one that asked only watches them. If any of them ends early, or the run
is stopped, all are ended, so that none waits for what will not come.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import multiprocessing
import queue
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from osscar_core import errors
from osscar_core.errors import OsscarError, SpecError
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import Plan, PruneReport, PruneSpec
from osscar_core.team import Team

Task = Callable[[Team, torch.device, Progress | None, tuple[Any, ...]], Any]
"""What each member does with the same plain data; a function of a module, by its name."""

_POLL = 0.2
_FAREWELL = 10.0
# A member waits for the others through the leader's search, and while blocks are read.
_PATIENCE = datetime.timedelta(hours=2)


def prune_together(
    spec: PruneSpec,
    *,
    out: Path | None,
    repeat: Plan | None,
    widths: Mapping[str, int] | None,
    checkpoint: Path | None,
    progress: Progress | None,
) -> PruneReport:
    """Prune a model with one process a GPU; see `osscar_core.pruner.prune`.

    On a CPU, as many processes share its cores: of use to tests alone.

    Raises:
        SpecError: There are fewer GPUs.
        OsscarError: What a member of the team raised, or that one ended without a word.
    """
    given = (spec, out, repeat, widths, checkpoint)
    found: PruneReport = work_together(_prune, given, spec.device, spec.gpus, progress)
    return found


def work_together(
    task: Task, given: tuple[Any, ...], device: str, count: int, progress: Progress | None
) -> Any:
    """Do one task with one process a GPU, and return what the leader found.

    Args:
        task: The work.
        given: What each of the processes gets; it can be pickled.
        device: ``auto``, ``cuda`` or ``cpu``.
        count: GPUs, the first of this machine.
        progress: Callback for what the leader tells; raising from it ends all.

    Raises:
        SpecError: There are fewer GPUs.
        OsscarError: What a member of the team raised, or that one ended without a word.
    """
    devices = _devices(device, count)
    context = multiprocessing.get_context("spawn")
    said: Any = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        members = [
            context.Process(
                target=_member,
                args=(rank, devices, meeting, task, given, said),
                name=f"gpu-{rank}",
                daemon=True,
            )
            for rank in range(len(devices))
        ]
        with _started(members):
            return _watch(members, said, progress)


def _devices(device: str, gpus: int) -> list[str]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count):
        return ["cpu"] * gpus
    if device.startswith("cuda:"):
        raise SpecError(
            f"device is {device} and gpus is {gpus}",
            "Name one GPU, or how many to use with --device cuda",
        )
    if gpus > count:
        raise SpecError(
            f"gpus is {gpus}, and this machine has {count}", f"Use --gpus {count} or less"
        )
    return [f"cuda:{rank}" for rank in range(gpus)]


@contextlib.contextmanager
def _started(members: Sequence[BaseProcess]) -> Iterator[None]:
    """Start all processes, and end those that are left."""
    try:
        for member in members:
            member.start()
        yield
        for member in members:
            member.join(_FAREWELL)
    finally:
        for member in members:
            if member.is_alive():
                member.kill()
        for member in members:
            if member.pid is not None:
                member.join()


def _watch(members: Sequence[BaseProcess], said: Any, progress: Progress | None) -> Any:
    """Pass on what the leader says until it is done."""
    while True:
        try:
            word = said.get(timeout=_POLL)
        except queue.Empty:
            gone = [one for one in members if one.exitcode not in (None, 0)]
            if gone:
                raise OsscarError(
                    f"the process of {gone[0].name} ended with the code {gone[0].exitcode}",
                    "It may have been out of memory; use a smaller budget, or look at its output",
                ) from None
            continue
        match word:
            case ProgressEvent():
                if progress is not None:
                    progress(word)
            case _Done(found):
                return found
            case (name, problem, remedy):
                raise getattr(errors, name, OsscarError)(problem, remedy)


@dataclass(frozen=True, slots=True)
class _Done:
    """The leader's last word."""

    found: Any


def _member(
    rank: int,
    devices: Sequence[str],
    meeting: Path,
    task: Task,
    given: tuple[Any, ...],
    said: Any,
) -> None:
    """Be one member of a team from beginning to end."""
    import torch.distributed as dist

    device = torch.device(devices[rank])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=f"file://{meeting}",
            rank=rank,
            world_size=len(devices),
            timeout=_PATIENCE,
        )
        team = Team(rank, len(devices))
        found = task(team, device, said.put if team.is_leader else None, given)
        if team.is_leader:
            said.put(_Done(found))
        dist.destroy_process_group()
    except OsscarError as error:
        said.put((type(error).__name__, error.problem, error.remedy))


def _prune(
    team: Team, device: torch.device, progress: Progress | None, given: tuple[Any, ...]
) -> PruneReport:
    from osscar_core.pruner import prune

    spec, out, repeat, widths, checkpoint = given
    return prune(
        dataclasses.replace(spec, device=str(device)),
        out=out,
        repeat=repeat,
        widths=widths,
        checkpoint=checkpoint,
        progress=progress,
        team=team,
    )
