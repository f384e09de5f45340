"""Names of classes as written by a person, and the ids that a model gives.

The decision hidden here: when a name means a class. Case, width and spaces at the ends do
not matter; a number is an id, unless a class is called so. Without the model's names, names
are numbered in sorted order, as they are for folders of pictures everywhere.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from osscar_core.datasets.own.problems import listed, short

_MOST_DIGITS = 6


class ClassReader:
    """Reads what was written for a class.

    Args:
        class_names: The model's names, in the order of their ids; ``None`` if it has none.
        written: All that was written for a class, to number it where there are no names.
    """

    def __init__(self, class_names: tuple[str, ...] | None, written: Iterable[str]) -> None:
        found = {value.strip() for value in written} - {""}
        are_numbers = all(_as_number(value) is not None for value in found)
        self.names = class_names
        if class_names is None and not are_numbers:
            self.names = tuple(sorted(found))
        self._ids = {}
        for index, name in reversed(tuple(enumerate(self.names or ()))):
            self._ids[_plain(name)] = index

    def read(self, value: str) -> int | None:
        """Return the id of a class; ``None`` if there is no such class."""
        known = self._ids.get(_plain(value))
        if known is not None:
            return known
        number = _as_number(value)
        if number is None or (self.names is not None and number >= len(self.names)):
            return None
        return number

    def name(self, label: int) -> str:
        """Return what to call a class."""
        return self.names[label] if self.names else str(label)

    def fault(self, value: str) -> tuple[str, str]:
        """Return what is wrong with what was written, and what to do about it."""
        names = self.names or ()
        near = difflib.get_close_matches(value.strip()[:100], names, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        return (
            f"'{short(value)}' is not a class of the model{hint}",
            f"The classes are: {listed(names, most=30)}",
        )


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _as_number(value: str) -> int | None:
    text = value.strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None
