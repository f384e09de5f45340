"""How numbers are written, whatever the language.

The decision hidden here: rounding, signs and units that every reader shares, so that a
report and a screen show the same digits. Three significant digits unless the quantity has a
customary form; a real minus sign.
"""

from __future__ import annotations

MINUS = "\N{MINUS SIGN}"


def significant(value: float, digits: int = 3) -> str:
    """Return a number with that many significant digits and no exponent."""
    if value == 0:
        return "0"
    text = f"{value:#.{digits}g}"
    if "e" in text:
        text = f"{float(text):,.0f}" if abs(value) >= 1 else f"{float(text):.{digits + 5}f}"
    return text.rstrip(".").replace("-", MINUS)


def tiny(value: float) -> str:
    """Return a number near zero with two significant digits, such as ``2.1e-6``."""
    if value == 0:
        return "0"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}e{int(exponent)}".replace("-", MINUS)


def whole(count: int) -> str:
    """Return an exact count with separators between the thousands."""
    return f"{count:,}".replace("-", MINUS)


def percent(share: float, digits: int = 0) -> str:
    """Return a share in [0, 1] as per cent."""
    return f"{100 * share:.{digits}f}%".replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign, a zero without."""
    text = f"{value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", MINUS)


def signed_percent(share: float, digits: int = 0) -> str:
    """Return a relative change as per cent with its sign."""
    return f"{signed(100 * share, digits)}%"


def ratio(value: float) -> str:
    """Return a ratio such as ``1.62``, without its sign of multiplication."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def milliseconds(value: float) -> str:
    """Return a time given in milliseconds."""
    return f"{significant(value / 1000)} s" if value >= 1000 else f"{significant(value)} ms"


def megabytes(count: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{significant(count / size)} {unit}"
    return f"{count:.0f} B"


def gibibytes(count: int, *, up: bool = False) -> str:
    """Return a number of bytes in binary units, as memory is told.

    Args:
        count: The number.
        up: Whether to round up, so that what is told suffices.
    """
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            tenths = -(-10 * count // size) if up else round(10 * count / size)
            return f"{tenths / 10:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} B"


def change(before: str, after: str) -> str:
    """Return two quantities with an arrow between, their unit once if they share it."""
    number, _, unit = before.partition(" ")
    shared = unit and unit == after.partition(" ")[2]
    return f"{number if shared else before} → {after}"


# What no reader shows but obeys, or no encoding can hold: marks that turn a line around,
# controls and halves of characters.
_UNSEEN = (
    *(*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F),
    *(*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000), 0xFEFF),
)
_SEEN = dict.fromkeys(_UNSEEN, "\N{REPLACEMENT CHARACTER}")
_ESCAPES = _SEEN | {ord(mark): f"\\{mark}" for mark in "\\`*_{}[]<>#$~|:"}
_CODE = _SEEN | {ord("`"): "'", ord("\n"): " ", ord("\r"): " "}


def as_markdown(text: str) -> str:
    """Return text from elsewhere, such as a name, so that Markdown shows it as it is."""
    return text.translate(_ESCAPES)


def in_code(text: str) -> str:
    """Return text from elsewhere so that it stays between the backticks it is put between."""
    return text.translate(_CODE)
