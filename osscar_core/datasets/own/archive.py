"""A zip file or a folder as a list of named files that are safe to read.

The decision hidden here: what is refused before a single byte is unpacked. Nothing is ever
written under a name that comes from outside, and nothing is read that was not counted.
"""

from __future__ import annotations

import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from osscar_core.datasets.own.limits import MIB, Limits, in_mb
from osscar_core.datasets.own.problems import Problem, Problems, refuse, short

_CENTRAL_ENTRY = b"PK\x01\x02"
_UTF8_FLAG = 0x800
_ENCRYPTED_FLAG = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SMALL = 10 * MIB  # below this, no ratio makes a bomb
_JUNK = {".ds_store", "thumbs.db", "desktop.ini"}
_PACK_AGAIN = "Pack the folder again as a plain .zip"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by name.

    Attributes:
        kind: ``zip`` or ``folder``.
        names: Relative names with ``/``, sorted, what systems leave behind left out.
        read: Returns the content of a file by name.
    """

    kind: str
    names: tuple[str, ...]
    read: Callable[[str], bytes]


def is_zip(data: bytes) -> bool:
    """Return whether a file says that it is a zip file."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def open_zip(data: bytes, limits: Limits) -> Bundle:
    """Return the files in a zip file.

    Raises:
        OwnDataError: It is damaged, too large, or holds what may not be in it.
    """
    if data.count(_CENTRAL_ENTRY) > limits.members:
        _too_many(limits)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, LookupError):
        refuse("the zip file is damaged or incomplete", _PACK_AGAIN)
    if len(entries) > limits.members:
        _too_many(limits)
    problems = Problems()
    members: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _entry_name(entry)
        what = _fault(name) or _entry_fault(entry)
        if name is not None and not what and name in members:
            what = "there twice"
        if what or name is None:
            problems.add(Problem(f"'{short(name or entry.filename)}'", what, _PACK_AGAIN))
        elif not entry.is_dir() and not name.endswith("/") and not _is_junk(name):
            members[name] = entry
    problems.check()
    if "[Content_Types].xml" in members:
        refuse("this is an Office file, such as an Excel workbook", "Save it as CSV UTF-8")
    _check_sizes(members, len(data), limits)
    read = partial(_read_entry, archive, members, limits)
    return Bundle("zip", tuple(sorted(members)), read)


def open_folder(path: Path, limits: Limits) -> Bundle:
    """Return the files below a folder.

    Raises:
        OwnDataError: It is too large, or holds a link.
    """
    files: dict[str, Path] = {}
    total = 0
    for number, file in enumerate(path.rglob("*"), start=1):
        if number > limits.members:
            _too_many(limits)
        name = unicodedata.normalize("NFC", file.relative_to(path).as_posix())
        if _is_junk(name):
            continue
        if file.is_symlink():
            refuse("a link, not a file", "Put the file itself there", where=f"'{short(name)}'")
        if file.is_file():
            files[name] = file
            total += file.stat().st_size
    if total > limits.unpacked_bytes:
        _too_large(total, limits)
    return Bundle("folder", tuple(sorted(files)), lambda name: _read_file(files[name], limits))


def _entry_name(entry: zipfile.ZipInfo) -> str | None:
    """Return an entry's name; ``None`` if its encoding is unknown.

    Zip files made on Windows carry names in the encoding of that machine, unmarked.
    """
    name = entry.orig_filename
    if not entry.flag_bits & _UTF8_FLAG:
        raw = name.encode("cp437", errors="replace")
        for encoding in ("utf-8", "cp932"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
        else:
            return None
    return unicodedata.normalize("NFC", name)


def _fault(name: str | None) -> str:
    """Return what is wrong with a name; empty if nothing is."""
    if name is None:
        return "its name is neither UTF-8 nor Shift-JIS"
    if not name or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        return "its name holds control characters"
    if "\\" in name:
        return "its name holds a backslash"
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return "its name is an absolute path"
    parts = name.rstrip("/").split("/")
    if ".." in parts:
        return "its name leads out of the zip file"
    return "its name is a broken path" if "" in parts or "." in parts else ""


def _entry_fault(entry: zipfile.ZipInfo) -> str:
    """Return why an entry may not be unpacked; empty if it may."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "a link or device, not a file"
    if entry.flag_bits & _ENCRYPTED_FLAG:
        return "locked with a password"
    return "" if entry.compress_type in _METHODS else "packed by a method other than Deflate"


def _check_sizes(members: dict[str, zipfile.ZipInfo], packed: int, limits: Limits) -> None:
    total = sum(entry.file_size for entry in members.values())
    if total > limits.unpacked_bytes:
        _too_large(total, limits)
    if total > max(_SMALL, limits.ratio * packed):
        refuse(
            f"the zip file would grow {total / packed:.0f} times when unpacked, more than "
            f"{limits.ratio} times",
            "Pack pictures, which hardly shrink",
        )


def _read_entry(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], limits: Limits, name: str
) -> bytes:
    try:
        with archive.open(members[name]) as file:
            data = file.read(limits.picture_bytes + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        refuse("damaged in the zip file", _PACK_AGAIN, where=f"'{short(name)}'")
    return _checked(data, name, limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limits.picture_bytes + 1)
    except OSError as error:
        refuse(f"cannot be read ({error.strerror})", "Check it", where=f"'{short(path.name)}'")
    return _checked(data, path.name, limits)


def _checked(data: bytes, name: str, limits: Limits) -> bytes:
    if len(data) > limits.picture_bytes:
        refuse(
            f"larger than {in_mb(limits.picture_bytes)}",
            "Scale it down",
            where=f"'{short(name)}'",
        )
    return data


def _is_junk(name: str) -> bool:
    parts = [part.casefold() for part in name.split("/")]
    return parts[-1] in _JUNK or "__macosx" in parts or parts[-1].startswith("._")


def _too_many(limits: Limits) -> NoReturn:
    refuse(f"more than {limits.members:,} files", "Use a part of them; a few thousand are plenty")


def _too_large(total: int, limits: Limits) -> NoReturn:
    refuse(
        f"{in_mb(total)} when unpacked, more than {in_mb(limits.unpacked_bytes)}",
        "Use fewer or smaller pictures",
    )
