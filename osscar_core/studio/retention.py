"""How long runs are kept, and how much room they may take.

The decision hidden here: which runs may go by themselves. Never one that works or waits, and
by itself never one with a star; nothing at all unless a person has set a time, since what is
gone is gone. A limit of room deletes nothing: it refuses new runs.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select

from osscar_core.errors import OsscarError, SpecError
from osscar_core.goals import parse_bytes
from osscar_core.studio.database import Database, StoreError, runs
from osscar_core.studio.ledger import LIVE

logger = logging.getLogger(__name__)

VARIABLE = "OSSCAR_RETENTION"
"""How long ended runs are kept, such as ``90d``; for ever where it is not set."""

QUOTA_VARIABLE = "OSSCAR_QUOTA"
"""How much the runs of a workspace may take, such as ``500GB``."""

_DAY = 86_400.0
_UNITS = {"h": 3600.0, "d": _DAY, "w": 7 * _DAY, "y": 365.25 * _DAY}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([hdwy])")


@dataclass(frozen=True, slots=True)
class Expired:
    """A run that has been over for long enough.

    Attributes:
        id: The run.
        name: What its owner calls it.
        ended: When it was over, in seconds since the epoch.
        bytes: What its files take.
    """

    id: str
    name: str
    ended: float
    bytes: int


def parse_age(text: str) -> float:
    """Return the seconds of an age such as ``90d``, ``12h``, ``4w`` or ``1y``.

    Raises:
        SpecError: It is none.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise SpecError(f"'{text}' is no age", "Write it as 90d, 12h, 4w or 1y")
    return float(match[1]) * _UNITS[match[2]]


def configured_age() -> float | None:
    """Return how long runs are kept; ``None`` for ever.

    Raises:
        SpecError: What is set is no age, or so short that it must be a mistake.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    age = parse_age(text)
    if age < _DAY:
        raise SpecError(f"{VARIABLE} is {text}, less than a day", "Set it to 1d or more, as in 90d")
    return age


def configured_quota() -> int | None:
    """Return how many bytes runs may take; ``None`` for as many as there are.

    Raises:
        SpecError: What is set is no size.
    """
    text = os.environ.get(QUOTA_VARIABLE, "").strip()
    return parse_bytes(text) if text else None


def expired(database: Database, folder: Path, age: float, *, keep_starred: bool) -> list[Expired]:
    """Return the runs that have been over for longer than an age, the oldest first.

    Args:
        database: The records.
        folder: Holds one folder a run.
        age: In seconds.
        keep_starred: Whether runs with a star stay.
    """
    if not database.exists:
        return []
    # SQLite has a word of its own for the largest of several values in a row.
    largest = func.max if database.file else func.greatest
    ended = largest(runs.c.updated, runs.c.created, runs.c.queued)
    wanted = (ended <= time.time() - age) & runs.c.state.not_in(LIVE)
    if keep_starred:
        wanted &= runs.c.is_starred.is_(False)
    query = select(runs.c.id, runs.c.name, ended.label("ended")).where(wanted).order_by("ended")
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [Expired(row.id, row.name, row.ended, size_of(folder / row.id)) for row in rows]


def remove(database: Database, folder: Path, found: list[Expired], *, keep_starred: bool) -> int:
    """Remove runs for good; return how many still could go.

    One that went on, or got a star, since it was found stays.
    """
    gone = []
    with database.write() as connection:
        for one in found:
            still = (runs.c.id == one.id) & runs.c.state.not_in(LIVE)
            if keep_starred:
                still &= runs.c.is_starred.is_(False)
            if connection.execute(delete(runs).where(still)).rowcount:
                gone.append(one.id)
    for run_id in gone:
        shutil.rmtree(folder / run_id, ignore_errors=True)
        logger.info("removed for its age", extra={"run": run_id})
    return len(gone)


def apply(database: Database, folder: Path) -> None:
    """Remove what has been kept for as long as is set; a mistake in that removes nothing."""
    try:
        age = configured_age()
    except OsscarError as error:
        logger.warning("no run is removed for its age: %s", error)
        return
    if age is None:
        return
    if found := expired(database, folder, age, keep_starred=True):
        remove(database, folder, found, keep_starred=True)


def check_room(folder: Path) -> None:
    """Refuse more runs where they take as much as they may.

    Raises:
        SpecError: What is set is no size.
        StoreError: There is no room left.
    """
    quota = configured_quota()
    if quota is not None and (taken := size_of(folder)) >= quota:
        raise StoreError(
            f"the runs here take {taken / 1e9:.1f} GB, and {quota / 1e9:.1f} GB is what they may",
            "Delete runs that nobody needs",
        )


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).lstat().st_size
            except OSError:
                continue
    return total
