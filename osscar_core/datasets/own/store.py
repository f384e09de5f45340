"""Where a person's own data is kept.

The decision hidden here: the form on disk and how it comes and goes. ``ID/own.json`` says
what it is, ``ID/items.jsonl`` has a line per item, ``ID/images/000001.png`` and so on are the
pictures. No name from outside becomes a name on disk; a set is there as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from osscar_core.datasets.own.classes import ClassReader
from osscar_core.datasets.own.limits import LIMITS, Limits
from osscar_core.datasets.own.mapping import Mapping
from osscar_core.datasets.own.parsing import Item, Parsed, parse
from osscar_core.datasets.own.pictures import ENDINGS
from osscar_core.errors import DamagedError, DataError, OutputError, SpecError
from osscar_core.records import Task, check_range, from_json, to_json
from osscar_core.storage import read_sealed, write_sealed

INFO_FILE = "own.json"
ITEMS_FILE = "items.jsonl"
IMAGES = "images"
_ID = re.compile(r"[0-9a-f]{16}")
_PICTURE = re.compile(rf"[0-9]{{6}}\.({'|'.join(sorted(ENDINGS))})")
_HIDDEN = re.compile(r"\.(new|gone)-[0-9a-f]{16}")
_ABANDONED = 86_400  # seconds after which a half-written set is nobody's work any more
_LONGEST_NAME = 100
_IMPORT_AGAIN = "Import it again"


@dataclass(frozen=True, slots=True)
class OwnInfo:
    """What is known of one set of own data, contents left out.

    Attributes:
        id: Its name on disk; it cannot be guessed.
        name: The name of the file that it came from.
        task: The kind of model that reads it.
        count: Documents or pictures.
        digest: SHA-256 over all items.
        created: When it was imported, ISO 8601, UTC.
        owner: Whose it is, as the app says it; only for the app to filter by.
        columns: What results can be sliced by.
        class_names: What the class ids mean, where that is known.
        class_counts: Pictures a class that is there.
        encoding: Of the table: ``utf-8``, ``cp932``, or ``None`` without one.
        bytes: Size on disk, this record left out.
        warnings: What makes it doubtful.
        items_sha256: Digest of the file of items; empty for sets of an earlier release.
    """

    id: str
    name: str
    task: Task
    count: int
    digest: str
    created: str
    owner: str = ""
    columns: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    class_counts: dict[str, int] = field(default_factory=dict)
    encoding: str | None = None
    bytes: int = 0
    warnings: tuple[str, ...] = ()
    items_sha256: str = ""


def import_own(
    source: bytes | Path,
    name: str,
    *,
    task: Task,
    mapping: Mapping | None = None,
    class_names: tuple[str, ...] | None = None,
    into: Path,
    owner: str = "",
    limits: Limits = LIMITS,
) -> OwnInfo:
    """Check a file strictly and keep it in one form.

    Args:
        source: Its content, or a path of a file or folder.
        name: What it is called; a path's last part is kept.
        task: The kind of model that is to read it.
        mapping: What its columns are; ``None`` to guess.
        class_names: The model's classes in the order of their ids, for pictures.
        into: Folder of all sets; made if it is not there.
        owner: Whose it is.
        limits: What is too much.

    Raises:
        DataError: It cannot be used; `OwnDataError` with all that is wrong.
        SpecError: The mapping names a column that there is not.
        OutputError: It cannot be written.
    """
    parsed = parse(source, name, task=task, mapping=mapping, class_names=class_names, limits=limits)
    identity = secrets.token_hex(8)
    hidden = into / f".new-{identity}"
    try:
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        hidden.mkdir(mode=0o700)
        info = _write(parsed, hidden, identity, plain_name(name), owner)
        hidden.rename(into / identity)
    except OSError as error:
        raise OutputError(
            f"the data cannot be kept ({error.strerror})", "Make room, or choose another workspace"
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return info


def list_own(into: Path) -> tuple[OwnInfo, ...]:
    """Return all sets, the newest first; what is damaged is left out."""
    found = []
    for folder in _folders(into):
        try:
            found.append(read_info(folder))
        except DataError:
            continue
    return tuple(sorted(found, key=lambda info: (info.created, info.id), reverse=True))


def own_folder(into: Path, identity: str) -> Path:
    """Return where one set is.

    Raises:
        SpecError: That is no id.
        DataError: There is no such set.
    """
    if not is_id(identity):
        raise SpecError("that is no id of own data", "Choose one of the list")
    folder = into / identity
    if folder.is_symlink() or not folder.is_dir():
        raise DataError("this data is no longer there", _IMPORT_AGAIN)
    return folder


def delete_own(into: Path, identity: str) -> None:
    """Remove one set for good; it is gone from the list at once.

    Raises:
        SpecError: That is no id.
        DataError: There is no such set.
        OutputError: It cannot be removed.
    """
    hidden = into / f".gone-{identity}"
    folder = own_folder(into, identity)
    try:
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise OutputError(
            f"the data cannot be deleted ({error.strerror})", "Check the workspace's permissions"
        ) from error


def expired(into: Path, days: float) -> tuple[OwnInfo, ...]:
    """Return the sets that were imported more than so many days ago."""
    check_range("days", days, 0)
    limit = datetime.now(UTC) - timedelta(days=days)
    return tuple(info for info in list_own(into) if _when(info) < limit)


def delete_expired(into: Path, days: float) -> tuple[OwnInfo, ...]:
    """Remove what is older than so many days, and what an interrupted import left behind.

    Returns:
        The sets that were removed.
    """
    old = expired(into, days)
    for info in old:
        delete_own(into, info.id)
    if into.is_dir():
        for folder in into.iterdir():
            if _HIDDEN.fullmatch(folder.name):
                age = time.time() - folder.stat().st_mtime
                if age > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)
    return old


def is_kept(folder: Path) -> bool:
    """Return whether a folder is one set as it is kept here."""
    return (folder / INFO_FILE).is_file()


def is_id(name: str) -> bool:
    """Return whether a folder's name is one given here."""
    return _ID.fullmatch(name) is not None


def read_info(folder: Path) -> OwnInfo:
    """Return what is known of the set in a folder.

    Raises:
        DataError: It is damaged or gone.
    """
    try:
        info = from_json(OwnInfo, read_sealed(folder / INFO_FILE))
        _when(info)
    except (OSError, SpecError, DamagedError, ValueError) as error:
        raise DataError("this data is damaged or no longer there", _IMPORT_AGAIN) from error
    return info


def read_kept(folder: Path) -> Parsed:
    """Return the set in a folder, as it was imported.

    Raises:
        DataError: It is damaged or gone.
    """
    info = read_info(folder)
    try:
        digest = hashlib.sha256()
        lines: list[Item] = []
        with (folder / ITEMS_FILE).open("rb") as file:
            for line in file:
                digest.update(line)
                lines.append(_item(json.loads(line), info))
        items = tuple(lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the data '{info.name}' is damaged", _IMPORT_AGAIN) from error
    if len(items) != info.count:
        raise DataError(f"the data '{info.name}' is incomplete", _IMPORT_AGAIN)
    if info.items_sha256 not in ("", digest.hexdigest()):
        raise DataError(f"the data '{info.name}' is damaged", _IMPORT_AGAIN)
    return Parsed(
        info.task,
        items,
        info.columns,
        info.class_names,
        info.encoding,
        info.warnings,
        _reader(folder, info),
    )


def plain_name(name: str) -> str:
    """Return the last part of a file's name, without what no name should hold."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    kept = "".join(c for c in last if c.isprintable() and not 0xD800 <= ord(c) < 0xE000)
    return kept.strip()[:_LONGEST_NAME] or "data"


def _write(parsed: Parsed, folder: Path, identity: str, name: str, owner: str) -> OwnInfo:
    digest, listed = hashlib.sha256(), hashlib.sha256()
    size = 0
    counts = Counter[str]()
    names = ClassReader(parsed.class_names, ())
    if parsed.task == "image":
        (folder / IMAGES).mkdir(mode=0o700)
    with (folder / ITEMS_FILE).open("wb") as file:
        for number, item in enumerate(parsed.items, start=1):
            stored: dict[str, Any] = {"name": item.name, "attributes": item.attributes}
            if parsed.task == "image" and item.label is not None:
                picture = parsed.read(item.file)
                stored.update(label=item.label, file=f"{number:06d}.{item.ending}")
                (folder / IMAGES / stored["file"]).write_bytes(picture)
                digest.update(len(picture).to_bytes(8, "little") + picture)
                size += len(picture)
                counts[names.name(item.label)] += 1
            else:
                stored["text"] = item.text
            line = json.dumps(stored, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            digest.update(line)
            listed.update(line)
            size += len(line)
    info = OwnInfo(
        id=identity,
        name=name,
        task=parsed.task,
        count=len(parsed.items),
        digest=digest.hexdigest(),
        created=datetime.now(UTC).isoformat(),
        owner=owner,
        columns=parsed.columns,
        class_names=parsed.class_names,
        class_counts=dict(counts),
        encoding=parsed.encoding,
        bytes=size,
        warnings=parsed.warnings,
        items_sha256=listed.hexdigest(),
    )
    write_sealed(folder / INFO_FILE, to_json(info))
    return info


def _item(stored: dict[str, Any], info: OwnInfo) -> Item:
    name, attributes = stored["name"], stored["attributes"]
    if not isinstance(name, str) or not isinstance(attributes, dict):
        raise TypeError("an item of an unknown form")
    known = {str(key): str(value) for key, value in attributes.items()}
    if info.task == "text":
        return Item(name, known, text=str(stored["text"]))
    file = str(stored["file"])
    if not _PICTURE.fullmatch(file):
        raise ValueError("a picture of an unknown name")
    return Item(name, known, label=int(stored["label"]), file=file, ending=file[7:])


def _reader(folder: Path, info: OwnInfo) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return (folder / IMAGES / name).read_bytes()
        except OSError as error:
            raise DataError(f"a picture of '{info.name}' is gone", _IMPORT_AGAIN) from error

    return read


def _folders(into: Path) -> list[Path]:
    if not into.is_dir():
        return []
    return [p for p in into.iterdir() if is_id(p.name) and not p.is_symlink()]


def _when(info: OwnInfo) -> datetime:
    when = datetime.fromisoformat(info.created)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
