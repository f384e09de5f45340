"""How numbers, times and dates look on screen.

The decision hidden here: units and order, by language, and whose clock counts. What all
languages share is in `osscar_core.notation`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from osscar_core.notation import MINUS as MINUS
from osscar_core.notation import change as change
from osscar_core.notation import megabytes as megabytes
from osscar_core.notation import milliseconds as milliseconds
from osscar_core.notation import percent as percent
from osscar_core.notation import ratio
from osscar_core.notation import signed as signed
from osscar_core.notation import signed_percent as signed_percent
from osscar_core.notation import significant as significant
from osscar_core.notation import tiny as tiny
from osscar_core.notation import whole as whole
from osscar_core.studio.texts import language, say

TIMES = "\N{MULTIPLICATION SIGN}"
ALMOST = "\N{ALMOST EQUAL TO}"
_NO_BREAK = "\N{NO-BREAK SPACE}"

_SCALES = {
    "en": ((1e9, "B"), (1e6, "M"), (1e3, "k")),
    "ja": ((1e8, "億"), (1e4, "万")),
}


def _server_zone() -> tzinfo | None:
    return None


_zone: Callable[[], tzinfo | None] = _server_zone


def tell_time(source: Callable[[], tzinfo | None]) -> None:
    """Let ``source`` say, at every date, whose time zone counts; ``None`` is the server's."""
    global _zone
    _zone = source


def points(value: float, digits: int = 1) -> str:
    """Return a difference of percentages, in points, with its sign."""
    return say("unit.points", value=signed(value, digits))


def factor(value: float) -> str:
    """Return a ratio such as ``1.62`` and a multiplication sign."""
    return say("unit.factor", value=ratio(value))


def between(low: str, high: str) -> str:
    """Return an interval of two numbers that are written already."""
    return say("unit.between", low=low, high=high)


def about(text: str) -> str:
    """Return a number that was estimated, never measured, with the mark of all estimates."""
    return f"{ALMOST}{_NO_BREAK}{text}"


def counted(count: float) -> str:
    """Return a large count in a readable unit, such as ``134M``."""
    for size, unit in _SCALES[language()]:
        if count >= size:
            return f"{significant(count / size)}{unit}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Return a wall time."""
    if 0.05 <= seconds < 0.95:
        return say("unit.seconds", value=f"{seconds:.1f}")
    rounded = round(seconds)
    if rounded < 60:
        return say("unit.seconds", value=f"{rounded}")
    if rounded < 3600:
        return say("unit.minutes", minutes=rounded // 60, seconds=f"{rounded % 60:02d}")
    return say("unit.hours", hours=rounded // 3600, minutes=f"{rounded % 3600 // 60:02d}")


def date(when: float | str) -> str:
    """Return a day in the reader's time zone.

    Args:
        when: Seconds since the epoch, or a moment in ISO form; UTC if that names no zone.
    """
    day = _local(when)
    return say("unit.date", year=day.year, month=say(f"unit.month.{day.month}"), day=day.day)


def date_time(when: float | str) -> str:
    """Return a moment, to the minute, in the reader's time zone; see `date`."""
    return say("unit.date_time", date=date(when), time=f"{_local(when):%H:%M}")


def local_iso(when: float | str) -> str:
    """Return a moment in the reader's time zone in ISO form, for an axis; see `date`."""
    return _local(when).replace(tzinfo=None).isoformat(timespec="seconds")


def _local(when: float | str) -> datetime:
    if isinstance(when, str):
        moment = datetime.fromisoformat(when)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        moment = datetime.fromtimestamp(when, UTC)
    return moment.astimezone(_zone())
