"""How much a person may bring.

The decision hidden here: the numbers. They keep one upload from filling the memory or the
disk of a machine that others use too.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The most, and the least, of everything.

    Attributes:
        upload_bytes: Size of the file itself; the app's own limit of an upload is the same.
        rows: Rows of a table.
        columns: Columns of a table.
        field_characters: Characters of one field, such as one document.
        value_characters: Characters of a value that results are sliced by.
        pictures: Pictures in a zip file or folder.
        members: Entries of a zip file or folder, pictures or not.
        unpacked_bytes: Size of a zip file or folder once unpacked.
        ratio: How many times larger a zip file may become when unpacked.
        picture_bytes: Size of one encoded picture.
        pixels: Pixels of one picture.
        fewest: Items without which nothing can be compared.
    """

    upload_bytes: int = 50 * MIB
    rows: int = 100_000
    columns: int = 100
    field_characters: int = 100_000
    value_characters: int = 200
    pictures: int = 20_000
    members: int = 25_000
    unpacked_bytes: int = 500 * MIB
    ratio: int = 100
    picture_bytes: int = 30 * MIB
    pixels: int = 25_000_000
    fewest: int = 10


LIMITS = Limits()


def in_mb(count: int) -> str:
    """Return a number of bytes in words, such as ``50 MB``."""
    return f"{count / MIB:.1f}".removesuffix(".0") + " MB"
