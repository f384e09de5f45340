"""Runs that are computed on the machines of a Ray cluster instead of this one.

The decision hidden here: what of a workspace goes with a run, and what comes back. The
worker of this machine stays the run's worker, so that queue, progress, cancelling and
resuming are as ever; it only has the work done elsewhere. There it is done by the same code
in a workspace made for it, with the models and data that the request names in this one.
What was measured about that machine, such as timings of blocks, does not come back.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from osscar_core.artifacts import Artifacts
from osscar_core.brief import Brief, read_brief
from osscar_core.cluster import Cluster, Machines
from osscar_core.errors import Cancelled, SpecError
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import from_json, to_json
from osscar_core.studio.access import data_named
from osscar_core.studio.attempt import MODEL, Attempt, Job
from osscar_core.studio.briefs import find_brief, keep_brief
from osscar_core.studio.elsewhere import ADDRESS, ARTIFACTS, at_once, given
from osscar_core.studio.owndata import PREFIX
from osscar_core.studio.pace import Pace
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.runs import Status

_ARRIVING = "arriving"
_RUN, _SURVEYS = "run", "surveys"


def compute_elsewhere(attempt: Attempt) -> None:
    """Have a run computed on the cluster, and bring its results into its folder.

    Raises:
        Cancelled: The run is to end.
        OsscarError: With the reason in words.
    """
    request = attempt.request
    place = f"jobs/{attempt.id}"
    at_once()
    with Cluster(_machines()) as cluster:
        store = cluster.artifacts
        needed = list(_needed(request, attempt.home))
        try:
            for number, relative in enumerate(needed):
                store.put_folder(f"{place}/{number}", attempt.home / relative)
            cluster.submit(
                attempt.id,
                _compute,
                attempt.id,
                to_json(request),
                attempt.pace,
                needed,
                _brief_for(request, attempt.home),
                device=request.spec.device,
                progress=_followed(attempt),
            )
            _, text = cluster.next_result()
            _bring_back(store, place, text.split(), attempt)
        finally:
            store.remove(place)
            cluster.forget(attempt.id)


def _machines() -> Machines:
    for name, other in ((ADDRESS, ARTIFACTS), (ARTIFACTS, ADDRESS)):
        if not given(name):
            raise SpecError(f"{other} is set and {name} is not", "Set both, or neither")
    return Machines(given(ADDRESS), given(ARTIFACTS))


def _needed(request: JobRequest, home: Path) -> Iterator[str]:
    """Yield the folders of a workspace that a request names, relative to it."""
    asked = request.check
    if asked is not None and (home / "runs" / asked.run / MODEL).is_dir():
        yield f"runs/{asked.run}/{MODEL}"
    for name in dict.fromkeys(data_named(request)):
        own = f"data/{name.removeprefix(PREFIX)}"
        if name.startswith(PREFIX) and (home / own).is_dir():
            yield own


def _brief_for(request: JobRequest, home: Path) -> str | None:
    """Return the survey by which widths for protected groups are chosen, if there is one."""
    brief = find_brief(request.spec, home) if request.spec.guards else None
    return None if brief is None else to_json(brief)


def _followed(attempt: Attempt) -> Progress:
    """Return what makes a run's steps those of the work elsewhere."""
    at = next(iter(attempt.pace.shares))

    def follow(event: ProgressEvent) -> None:
        nonlocal at
        if attempt.is_stopped:
            raise Cancelled
        if event.stage != at:
            at = event.stage
            attempt.begin(at)
        attempt.progress(event)

    return follow


def _bring_back(store: Artifacts, place: str, folders: list[str], attempt: Attempt) -> None:
    arriving = attempt.folder / _ARRIVING
    shutil.rmtree(arriving, ignore_errors=True)
    for name in folders:
        store.get_folder(f"{place}/{name}", arriving / name)
    for path in (arriving / _RUN).iterdir():
        target = attempt.folder / path.name
        if target.is_dir():
            shutil.rmtree(target)
        path.replace(target)
    # Stored anew: the files of the model may have other ages there.
    for path in (arriving / _SURVEYS).glob("*.json"):
        keep_brief(read_brief(path), attempt.request.spec, attempt.home)
    shutil.rmtree(arriving)


def _compute(
    artifacts: Artifacts,
    progress: Progress,
    run_id: str,
    request_text: str,
    pace: Pace,
    needed: list[str],
    brief: str | None,
) -> str:
    """Compute a run, on the machine that the cluster chose; name what it leaves in the store."""
    from osscar_core.studio.worker import work_of

    request, place = from_json(JobRequest, request_text), f"jobs/{run_id}"

    def tell(status: Status) -> bool:
        progress(ProgressEvent(status.step, status.fraction, 1.0, status.detail))
        return True

    with tempfile.TemporaryDirectory(prefix="osscar-") as folder:
        home = Path(folder)
        for number, relative in enumerate(needed):
            artifacts.get_folder(f"{place}/{number}", home / relative)
        if brief is not None:
            keep_brief(from_json(Brief, brief), request.spec, home)
        job = Job(request, home, run_id, pace, tell)
        job.folder.mkdir(parents=True, exist_ok=True)
        work_of(request.kind)(job)
        left = {_RUN: job.folder, _SURVEYS: home / _SURVEYS}
        found = [name for name, source in left.items() if source.is_dir()]
        for name in found:
            artifacts.put_folder(f"{place}/{name}", left[name])
    return " ".join(found)
