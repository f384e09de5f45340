"""How numbers look on screen.

The decision hidden here: rounding, signs and units. Three significant digits unless the
quantity has a customary form; a real minus sign.
"""

from __future__ import annotations

from osscar_core.studio.texts import say

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def significant(value: float, digits: int = 3) -> str:
    """Return a number with that many significant digits and no exponent."""
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}"
    if "e" in text:
        text = f"{float(text):,.0f}" if abs(value) >= 1 else f"{float(text):.{digits + 5}f}"
    return text.rstrip(".").replace("-", MINUS)


def percent(share: float, digits: int = 0) -> str:
    """Return a share in [0, 1] as per cent."""
    return f"{100 * share:.{digits}f}%".replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign, a zero without."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", MINUS)


def factor(value: float) -> str:
    """Return a ratio such as ``1.62`` and a multiplication sign."""
    return f"{value:.2f}{TIMES}" if value < 10 else f"{value:.1f}{TIMES}"


def milliseconds(value: float) -> str:
    """Return a time given in milliseconds."""
    return f"{significant(value / 1000)} s" if value >= 1000 else f"{significant(value)} ms"


def change(before: str, after: str) -> str:
    """Return two quantities with an arrow between, their unit once if they share it."""
    number, _, unit = before.partition(" ")
    shared = unit and unit == after.partition(" ")[2]
    return f"{number if shared else before} → {after}"


def megabytes(count: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def counted(count: float) -> str:
    """Return a large count in a readable unit, such as ``134M``."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{significant(count / size)}{unit}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Return a wall time."""
    whole = round(seconds)
    if whole < 60:
        return say("unit.seconds", value=seconds)
    if whole < 3600:
        return say("unit.minutes", minutes=whole // 60, seconds=whole % 60)
    return say("unit.hours", hours=whole // 3600, minutes=whole % 3600 // 60)
