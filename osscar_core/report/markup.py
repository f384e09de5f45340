"""HTML and SVG as text that cannot be broken out of.

The decision hidden here: escaping. Every text and every attribute is escaped, unless it was
made here.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence


class Safe(str):
    """Markup that was made here and needs no escaping."""

    __slots__ = ()


_EMPTY = {"meta", "br", "hr"}
# Characters that no HTML document may hold, whatever they are escaped to.
_FORBIDDEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32)), "\N{REPLACEMENT CHARACTER}")


def text(value: object) -> Safe:
    """Return a value as markup: escaped, unless it is markup already."""
    if isinstance(value, Safe):
        return value
    return Safe(html.escape(str(value).translate(_FORBIDDEN), quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Safe:
    """Return an element.

    Args:
        name: Its name.
        *children: Texts and elements; ``None`` is left out.
        **attributes: By name; ``_`` becomes ``-``, one at the end is dropped, ``None`` is
            left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Safe(f"<{name}{given}>")
    return Safe(f"<{name}{given}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Safe:
    """Return texts and elements one after the other; ``None`` is left out."""
    return Safe("".join(text(part) for part in parts if part is not None))


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    caption: str,
    words: int | Collection[int] = 1,
    is_titled: bool = False,
) -> Safe:
    """Return a table of words, to the left, and numbers, to the right.

    Args:
        header: Heads of the columns.
        rows: Cells.
        caption: What it shows.
        words: Which columns are words, aligned to the left: so many, or these.
        is_titled: Whether a heading above says what the caption says, which is then for
            those who hear the page only.
    """
    named = range(words) if isinstance(words, int) else words

    def side(column: int) -> str | None:
        return None if column in named else "number"

    heads = [
        tag("th", head, scope="col", class_=side(column)) for column, head in enumerate(header)
    ]
    body = [
        tag("tr", *(tag("td", cell, class_=side(column)) for column, cell in enumerate(row)))
        for row in rows
    ]
    return tag(
        "table",
        tag("caption", caption, class_="quiet" if is_titled else None),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *body),
    )
