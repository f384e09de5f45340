"""A person's own data in the workspace: whose it is, and how a request names it.

The decision hidden here: a request says ``own:ID`` and no path, so that nothing about the
machine stands in a record, and an id of somebody else's leads nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from osscar_core.datasets.own import (
    OwnInfo,
    delete_expired,
    delete_own,
    import_own,
    list_own,
    own_folder,
    own_pictures,
)
from osscar_core.datasets.own.mapping import Mapping
from osscar_core.errors import DataError, OsscarError
from osscar_core.records import Task
from osscar_core.storage import workspace

PREFIX = "own:"

KEPT_DAYS = 30
"""Own data is removed so many days after it was brought."""


def folder(home: Path | None = None) -> Path:
    """Return where all sets of a workspace are."""
    return (home or workspace()) / "data"


def tidy(home: Path | None = None) -> None:
    """Remove what is older than `KEPT_DAYS`."""
    # Another process may be quicker; what is left is met again.
    with contextlib.suppress(OsscarError, OSError):
        delete_expired(folder(home), KEPT_DAYS)


def mine(owner: str, task: Task | None = None) -> tuple[OwnInfo, ...]:
    """Return the sets of one owner, the newest first; of one kind, if asked for."""
    tidy()
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


def find(spec: str, owner: str) -> OwnInfo | None:
    """Return the set of an owner that a request names; ``None`` if there is none any more."""
    return next((info for info in mine(owner) if spec_of(info) == spec), None)


def pictures_of(info: OwnInfo, names: Collection[str]) -> dict[str, bytes]:
    """Return the encoded pictures of some names.

    Raises:
        OsscarError: The set is damaged or gone.
    """
    found = own_pictures(str(own_folder(folder(), info.id)))
    return {
        plain: found.read(index)
        for index, name in enumerate(found.names)
        if (plain := name.strip("'")) in names
    }


def located(spec: str, home: Path) -> str:
    """Return a data specification that says where own data is; any other as it stands.

    Raises:
        DataError: There is no such set any more.
    """
    if not spec.startswith(PREFIX):
        return spec
    return f"{PREFIX}{own_folder(folder(home), spec.removeprefix(PREFIX))}"
