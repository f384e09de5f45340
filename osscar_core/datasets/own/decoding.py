"""Bytes to characters, strictly.

The decision hidden here: which encodings there are, UTF-8 and the Shift-JIS of Japanese
Windows (CP932), in which order they are tried, and what counts as no text at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osscar_core.datasets.own.problems import refuse

Encoding = Literal["utf-8", "cp932"]

_SAVE_AS_TEXT = "Save it as CSV (UTF-8) or JSON Lines"
# The first bytes of what is often taken for a table by mistake, and what it is.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"MZ", "a Windows program", _SAVE_AS_TEXT),
    (b"\x7fELF", "a Linux program", _SAVE_AS_TEXT),
    (b"PK\x03\x04", "a zip file", "A text model reads CSV or JSON Lines"),
    (b"%PDF", "a PDF document", _SAVE_AS_TEXT),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", _SAVE_AS_TEXT),
    (b"\x89PNG", "a single picture", "Put the pictures into one zip file"),
    (b"\xff\xd8\xff", "a single picture", "Put the pictures into one zip file"),
    (b"GIF8", "a single picture", "Put the pictures into one zip file"),
    (b"\x1f\x8b", "a gzip file", "Unpack it first"),
    (b"BZh", "a bzip2 file", "Unpack it first"),
    (b"\xfd7zXZ", "an xz file", "Unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip file", "Pack it as .zip"),
    (b"Rar!", "a RAR file", "Pack it as .zip"),
    (b"SQLite format 3", "a database", _SAVE_AS_TEXT),
    (b"PAR1", "a parquet file", "Use text:PATH or images:PATH on the command line"),
)
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_CONTROLS = frozenset(chr(code) for code in (*range(32), 127)) - frozenset("\t\n\r\v\f")
# What Python's CP932 makes of bytes that the encoding does not define.
_UNDEFINED = frozenset(chr(code) for code in (*range(0x80, 0xA1), *range(0xF8F0, 0xF8F4)))


@dataclass(frozen=True, slots=True)
class Decoded:
    """Characters, and the encoding that they were read with."""

    text: str
    encoding: Encoding


def decode(data: bytes) -> Decoded:
    """Return the text that the bytes spell.

    Raises:
        OwnDataError: They spell none.
    """
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        refuse("the file is empty", "Choose a file with a header and rows")
    for beginning, kind, remedy in _OTHERS:
        if data.startswith(beginning):
            refuse(f"this is {kind}, not a table of text", remedy)
    if data.startswith(_WIDE):
        refuse("the file is UTF-16 text", "Save it as CSV UTF-8")
    nul = data.find(b"\0")
    if nul >= 0:
        refuse(
            f"byte {nul + 1} is NUL: this is not text",
            _SAVE_AS_TEXT,
            where=f"line {_line(data, nul)}",
            row=_line(data, nul),
        )
    decoded = _decoded(data)
    _check_characters(decoded)
    return decoded


def _decoded(data: bytes) -> Decoded:
    try:
        return Decoded(data.decode("utf-8-sig"), "utf-8")
    except UnicodeDecodeError as error:
        at = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
    try:
        return Decoded(data.decode("cp932"), "cp932")
    except UnicodeDecodeError as error:
        # The encoding that got further is the likelier one.
        at = min(max(at, error.start), len(data) - 1)
        refuse(
            f"byte {at + 1} (0x{data[at]:02x}) is neither UTF-8 nor Shift-JIS",
            "Save the file as CSV UTF-8",
            where=f"line {_line(data, at)}",
            row=_line(data, at),
        )


def _check_characters(decoded: Decoded) -> None:
    refused = _CONTROLS | _UNDEFINED if decoded.encoding == "cp932" else _CONTROLS
    found = refused.intersection(decoded.text)
    if found:
        at = min(decoded.text.index(character) for character in found)
        line = decoded.text.count("\n", 0, at) + 1
        refuse(
            f"character {at + 1} is a control character (0x{ord(decoded.text[at]):02x}): "
            "this is not text",
            _SAVE_AS_TEXT,
            where=f"line {line}",
            row=line,
        )


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1
