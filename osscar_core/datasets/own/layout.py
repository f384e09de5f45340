"""How pictures and their labels lie in a zip file or folder.

The decision hidden here: what the folders mean. A table beside the pictures counts;
without one, the first folder is the class. One folder around everything is looked through.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from dataclasses import dataclass

from osscar_core.datasets.own.archive import Bundle
from osscar_core.datasets.own.limits import Limits
from osscar_core.datasets.own.problems import listed, refuse, short
from osscar_core.datasets.own.tables import Row, Table, read_table

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_NOTES = (".txt", ".md")
_LABELS = "labels"
FILE, LABEL = "file", "label"


@dataclass(frozen=True, slots=True)
class Layout:
    """Pictures and what is known of them.

    Attributes:
        base: Folder around everything, with ``/`` at its end; mostly empty.
        pictures: Names of what should be pictures, below ``base``.
        table: The table beside them; ``None`` where folders are classes.
        known: The pictures once more, to look them up.
    """

    base: str
    pictures: tuple[str, ...]
    table: Table | None
    known: frozenset[str]

    def as_table(self) -> Table:
        """Return the table, or one made of the folders' names."""
        if self.table is not None:
            return self.table
        rows = tuple(
            Row(number, (name, name.partition("/")[0]))
            for number, name in enumerate(self.pictures, start=1)
        )
        return Table("csv", (FILE, LABEL), rows, "utf-8", "")

    def find(self, written: str) -> str | None:
        """Return the full name of the picture that a table means; ``None`` if none is there."""
        name = unicodedata.normalize("NFC", written.strip()).replace("\\", "/").removeprefix("./")
        full = self.base + name.removeprefix(self.base)
        return full if full.removeprefix(self.base) in self.known else None

    def shown(self, name: str) -> str:
        """Return a picture's name without the folder around everything."""
        return name.removeprefix(self.base)

    def is_first_of_folder(self, row: Row) -> bool:
        """Return whether a row of `as_table` is the first picture in its folder."""
        at = row.number - 1
        return at == 0 or self.pictures[at - 1].partition("/")[0] != row.values[1]

    def unlisted(self, seen: Container[str]) -> tuple[str, ...]:
        """Return a warning of pictures that the table does not name."""
        count = sum(self.base + name not in seen for name in self.pictures)
        return (f"{count} pictures are not in the table and were left out",) if count else ()


def find_layout(bundle: Bundle, limits: Limits) -> Layout:
    """Return how a zip file or folder is laid out.

    Raises:
        OwnDataError: It holds no pictures, or none with a label.
    """
    base = _base(bundle.names)
    names = [name.removeprefix(base) for name in bundle.names]
    tables = [name for name in names if "/" not in name and name.lower().endswith(_TABLES)]
    pictures = tuple(
        name
        for name in names
        if name not in tables and not ("/" not in name and name.lower().endswith(_NOTES))
    )
    if len(pictures) > limits.pictures:
        refuse(
            f"{len(pictures):,} pictures, more than {limits.pictures:,}",
            "Use a part of them; a few thousand are plenty",
        )
    if not pictures:
        refuse(f"the {_what(bundle)} holds no pictures", "Put pictures and labels.csv into it")
    table = _chosen_table(tables)
    known = frozenset(pictures)
    if table is not None:
        return Layout(base, pictures, read_table(bundle.read(base + table), table, limits), known)
    loose = tuple(name for name in pictures if "/" not in name)
    if loose:
        refuse(
            f"{len(loose)} files have no label, such as '{short(loose[0])}'",
            "Add labels.csv (file,label), or put the pictures into one folder per class",
        )
    return Layout(base, pictures, None, known)


def _base(names: tuple[str, ...]) -> str:
    """Return the folder around everything, if there is one."""
    firsts = {name.partition("/")[0] for name in names}
    if len(firsts) != 1 or any("/" not in name for name in names):
        return ""
    inner = [name.partition("/")[2] for name in names]
    loose = [name for name in inner if "/" not in name]
    if any(name.lower().endswith(_TABLES) for name in loose) or not [
        name for name in loose if not name.lower().endswith(_NOTES)
    ]:
        return f"{firsts.pop()}/"
    return ""


def _chosen_table(tables: list[str]) -> str | None:
    named = [name for name in tables if name.rpartition(".")[0].casefold() == _LABELS]
    found = named if len(tables) > 1 else tables
    if len(tables) > 1 and len(named) != 1:
        refuse(f"there are several tables: {listed(tuple(tables))}", "Call the one labels.csv")
    return found[0] if found else None


def _what(bundle: Bundle) -> str:
    return "zip file" if bundle.kind == "zip" else "folder"
