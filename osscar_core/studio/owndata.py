"""A person's own data in the workspace: whose it is, and how a request names it.

The decision hidden here: a request says ``own:ID`` and no path, so that nothing about the
machine stands in a record, and an id of somebody else's leads nowhere.
"""

from __future__ import annotations

from pathlib import Path

from osscar_core.datasets.own import OwnInfo, delete_own, import_own, list_own, own_folder
from osscar_core.datasets.own.mapping import Mapping
from osscar_core.errors import DataError
from osscar_core.records import Task
from osscar_core.storage import workspace

PREFIX = "own:"


def folder(home: Path | None = None) -> Path:
    """Return where all sets of a workspace are."""
    return (home or workspace()) / "data"


def mine(owner: str, task: Task | None = None) -> tuple[OwnInfo, ...]:
    """Return the sets of one owner, the newest first; of one kind, if asked for."""
    return tuple(
        info for info in list_own(folder()) if info.owner == owner and task in (None, info.task)
    )


def keep(
    source: bytes,
    name: str,
    *,
    task: Task,
    owner: str,
    mapping: Mapping | None = None,
    class_names: tuple[str, ...] | None = None,
) -> OwnInfo:
    """Check a file strictly and keep it for its owner.

    Raises:
        DataError: It cannot be used; with all that is wrong.
        SpecError: The mapping names a column that there is not.
        OutputError: It cannot be written.
    """
    return import_own(
        source,
        name,
        task=task,
        mapping=mapping,
        class_names=class_names,
        into=folder(),
        owner=owner,
    )


def remove(identity: str, owner: str) -> None:
    """Remove a set for good.

    Raises:
        DataError: This owner has no such set.
    """
    if not any(info.id == identity for info in mine(owner)):
        raise DataError("this data is not here any more", "Reload the page")
    delete_own(folder(), identity)


def spec_of(info: OwnInfo) -> str:
    """Return how a request names a set."""
    return f"{PREFIX}{info.id}"


def located(spec: str, home: Path) -> str:
    """Return a data specification that says where own data is; any other as it stands.

    Raises:
        DataError: There is no such set any more.
    """
    if not spec.startswith(PREFIX):
        return spec
    return f"{PREFIX}{own_folder(folder(home), spec.removeprefix(PREFIX))}"
