"""Which runs their owners show to everybody who may sign in.

The decision hidden here: a run is shared by an empty file of its name in the workspace. It
takes no column of the table, so that older and newer releases can use one store, and what is
shared is known with one look at one folder.
"""

from __future__ import annotations

from pathlib import Path

from osscar_core.studio.database import unwritable
from osscar_core.studio.runs import RUN_ID

FOLDER = "shared"


def shared(home: Path) -> frozenset[str]:
    """Return the ids of all runs that are shared; some may be gone since."""
    try:
        return frozenset(
            path.name for path in (home / FOLDER).iterdir() if RUN_ID.fullmatch(path.name)
        )
    except OSError:
        return frozenset()


def share(home: Path, run_id: str, is_shared: bool) -> None:
    """Show a run to everybody, or stop that.

    Raises:
        StoreError: The workspace cannot be written to.
    """
    file = home / FOLDER / run_id
    try:
        if is_shared:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error) from error
