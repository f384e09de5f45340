"""How a run is written as a row of the table, and read back.

The decision hidden here: which device a request occupies, and so which runs wait for each
other.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from osscar_core.records import from_json, to_json
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.runs import Run, State, Status

# Without one of these, no library finds a GPU that it could compute on.
_GPU_FILES = ("nvidia[0-9]*", "kfd", "dxg")


def device_of(request: JobRequest) -> str:
    """Return what a run occupies: ``cpu``, or one GPU such as ``cuda:0``.

    ``auto`` is told from the machine's device files: asking torch takes seconds.
    """
    name = request.spec.device
    if name == "auto":
        return "cuda:0" if _has_gpu() else "cpu"
    return "cuda:0" if name == "cuda" else name


def row_of(run: Run, *, key: str | None = None) -> dict[str, Any]:
    """Return the columns of a new run.

    Args:
        run: The run.
        key: What tells it from others; ``None`` for its request's key.
    """
    status = dataclasses.asdict(run.status) | {"state": run.status.state.value}
    return status | {
        "id": run.id,
        "owner": run.owner,
        "created": run.created,
        "queued": run.created,
        "key": key or run.request.key,
        "kind": run.kind.value,
        "model": run.request.spec.model,
        "device": device_of(run.request),
        "request": to_json(run.request),
        "name": run.name,
        "note": run.note,
        "is_starred": run.is_starred,
        "is_imported": run.is_imported,
    }


def run_of(row: Row[Any], folder: Path, place: int) -> Run:
    """Return the run that a row describes.

    Args:
        row: All columns of the table.
        folder: The folder with one folder a run.
        place: Its place in the queue; 0 for none.

    Raises:
        SpecError: Its request is of a release that wrote others.
    """
    columns = row._mapping  # noqa: SLF001 - the documented way to read a row by name
    values = {field.name: columns[field.name] for field in dataclasses.fields(Status)}
    status = Status(**values | {"state": State(values["state"])})
    return Run(
        id=columns["id"],
        folder=folder / columns["id"],
        request=_request(columns["request"]),
        status=status,
        place=place,
        owner=columns["owner"],
        created=columns["created"],
        name=columns["name"],
        note=columns["note"],
        is_starred=columns["is_starred"],
        is_imported=columns["is_imported"],
        is_stopping=columns["cancel_asked"] is not None and status.state.is_live,
    )


@functools.lru_cache(maxsize=2048)
def _request(text: str) -> JobRequest:
    return from_json(JobRequest, text)


@functools.cache
def _has_gpu() -> bool:
    return any(True for pattern in _GPU_FILES for _ in Path("/dev").glob(pattern))
