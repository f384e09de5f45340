"""A file that a person brought as items that a model can be measured on.

The decision hidden here: what makes a whole file usable. All rows and pictures are looked
at, all mistakes are told together, and nothing is left out silently.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from osscar_core.datasets.own.archive import Bundle, is_zip, open_folder, open_zip
from osscar_core.datasets.own.classes import ClassReader
from osscar_core.datasets.own.decoding import decode
from osscar_core.datasets.own.layout import Layout, find_layout
from osscar_core.datasets.own.limits import LIMITS, Limits, in_mb
from osscar_core.datasets.own.mapping import (
    Mapping,
    PersonalHint,
    complete_mapping,
    guess_mapping,
    personal_hints,
)
from osscar_core.datasets.own.pictures import PictureError, picture_ending
from osscar_core.datasets.own.problems import OwnDataError, Problem, Problems, refuse, short
from osscar_core.datasets.own.tables import Row, Table, read_table
from osscar_core.errors import DataError
from osscar_core.records import Task

_ROWS_SHOWN = 5
_SHOWN_CHARACTERS = 200
# What programs write for a value that is not there; words of people among them only where a
# text or a file name should be: a defect of the level "none" is one.
_NOTHING = {"nan", "null", "<na>", "#n/a", "#value!", "#ref!"}
_MISSING = _NOTHING | {"none", "na", "n/a"}
_FEW = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One document or picture.

    Attributes:
        name: What to call it in a message: a row or a file.
        attributes: What results can be sliced by.
        text: The document; empty for a picture.
        label: Class id of a picture.
        file: Under which name its bytes are read.
        ending: Customary ending of its format.
    """

    name: str
    attributes: dict[str, str]
    text: str = ""
    label: int | None = None
    file: str = ""
    ending: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """All of a file.

    Attributes:
        task: The kind of model that reads it.
        items: Documents or pictures, at least the fewest allowed.
        columns: Names of the attributes.
        class_names: What the class ids mean, where that is known.
        encoding: Of the table, if there is one.
        warnings: What makes it doubtful.
        read: Returns the bytes of a picture by its item's ``file``.
    """

    task: Task
    items: tuple[Item, ...]
    columns: tuple[str, ...]
    class_names: tuple[str, ...] | None
    encoding: str | None
    warnings: tuple[str, ...]
    read: Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Preview:
    """What is in a file, before it is imported.

    Attributes:
        kind: ``csv``, ``jsonl``, ``zip`` or ``folder``.
        task: The kind of model that could read it.
        count: Rows or pictures.
        columns: Columns of its table; ``file`` and ``label`` for folders of classes.
        rows: The first rows, values shortened.
        mapping: What the columns seem to be.
        encoding: Of its table, ``utf-8`` or ``cp932``; ``None`` without a table.
        delimiter: What stands between the fields of a CSV file.
        classes: How many pictures there are of what is written for a class.
        personal: Columns that seem to hold personal data.
    """

    kind: str
    task: Task
    count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    mapping: Mapping
    encoding: str | None
    delimiter: str
    classes: dict[str, int]
    personal: tuple[PersonalHint, ...]


def preview(source: bytes | Path, name: str, *, limits: Limits = LIMITS) -> Preview:
    """Return what is in a file, without looking into its pictures.

    Args:
        source: The file's content, or a path of a file or folder.
        name: What the file is called.
        limits: What is too much.

    Raises:
        DataError: It cannot be read; `OwnDataError` with all mistakes of its form.
    """
    content = _content(source, limits)
    if isinstance(content, Path) or is_zip(content):
        bundle = _bundle(content, limits)
        layout = find_layout(bundle, limits)
        encoding = layout.table.encoding if layout.table is not None else None
        return _preview(layout.as_table(), bundle.kind, "image", encoding)
    table = read_table(content, name, limits)
    return _preview(table, table.kind, "text", table.encoding)


def _preview(table: Table, kind: str, task: Task, encoding: str | None) -> Preview:
    mapping = guess_mapping(table, task)
    counts = Counter[str]()
    if task == "image" and mapping.label is not None:
        counts.update(value.strip() for value in table.values(mapping.label))
    return Preview(
        kind=kind,
        task=task,
        count=len(table.rows),
        columns=table.columns,
        rows=tuple(
            tuple(value[:_SHOWN_CHARACTERS] for value in row.values)
            for row in table.rows[:_ROWS_SHOWN]
        ),
        mapping=mapping,
        encoding=encoding,
        delimiter=table.delimiter,
        classes=dict(sorted(counts.items())),
        personal=personal_hints(table),
    )


def parse(
    source: bytes | Path,
    name: str,
    *,
    task: Task,
    mapping: Mapping | None = None,
    class_names: tuple[str, ...] | None = None,
    limits: Limits = LIMITS,
) -> Parsed:
    """Return everything that is in a file.

    Args:
        source: The file's content, or a path of a file or folder.
        name: What the file is called.
        task: The kind of model that is to read it.
        mapping: What its columns are; ``None`` to guess.
        class_names: The model's classes in the order of their ids, for pictures.
        limits: What is too much.

    Raises:
        DataError: It cannot be read; `OwnDataError` with all that is wrong.
        SpecError: The mapping names a column that there is not.
    """
    content = _content(source, limits)
    if task == "text":
        return _parse_texts(content, name, mapping, limits)
    if isinstance(content, bytes) and not is_zip(content):
        decode(content)  # tells what else it is
        refuse(
            "the file is a table without pictures",
            "Pack the pictures and the table, called labels.csv, into one zip file",
        )
    return _parse_pictures(_bundle(content, limits), mapping, class_names, limits)


def _content(source: bytes | Path, limits: Limits) -> bytes | Path:
    """Return a file's bytes, or a folder as it is."""
    if isinstance(source, bytes):
        size = len(source)
    elif source.is_dir():
        return source
    else:
        if source.exists() and not source.is_file():
            refuse("a device or a pipe, not a file", "Name a file or a folder")
        try:
            size = source.stat().st_size
        except OSError as error:
            raise DataError(
                f"the file '{source.name}' cannot be read ({error.strerror})", "Check its path"
            ) from error
    if size > limits.upload_bytes:
        refuse(
            f"the file has {in_mb(size)}, more than {in_mb(limits.upload_bytes)}",
            "Use a part of it; a few thousand items are plenty",
        )
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise DataError(
            f"the file '{source.name}' cannot be read ({error.strerror})", "Check its path"
        ) from error


def _bundle(content: bytes | Path, limits: Limits) -> Bundle:
    return open_folder(content, limits) if isinstance(content, Path) else open_zip(content, limits)


def _parse_texts(
    content: bytes | Path, name: str, mapping: Mapping | None, limits: Limits
) -> Parsed:
    if isinstance(content, Path):
        refuse("this is a folder, and a text model reads one file", "Choose a CSV or JSON Lines")
    if is_zip(content) and b"[Content_Types].xml" in content:
        refuse("this is an Office file, such as an Excel workbook", "Save it as CSV UTF-8")
    table = read_table(content, name, limits)
    columns = complete_mapping(mapping, table, "text")
    text = columns.text or ""
    slices = columns.attributes or ()
    problems = Problems()
    items = []
    at = table.columns.index(text)
    for row in table.rows:
        value = row.values[at]
        _check_given(table, row, text, value, "text", problems)
        attributes = _attributes(table, row, slices, limits, problems)
        unit = "row" if table.kind == "csv" else "line"
        items.append(Item(f"{unit} {row.number}", attributes, text=value))
    problems.check()
    _check_count(len(items), "document", limits)
    repeated = len(items) - len({item.text for item in items})
    warnings = (f"{repeated} documents are repeated",) if repeated else ()
    return Parsed(
        "text",
        tuple(items),
        slices,
        None,
        table.encoding,
        (*_table_warnings(table), *warnings, *_count_warnings(len(items))),
        _no_bytes,
    )


def _parse_pictures(
    bundle: Bundle,
    mapping: Mapping | None,
    class_names: tuple[str, ...] | None,
    limits: Limits,
) -> Parsed:
    layout = find_layout(bundle, limits)
    table = layout.as_table()
    columns = complete_mapping(None if layout.table is None else mapping, table, "image")
    label, file, slices = columns.label or "", columns.file or "", columns.attributes or ()
    reader = ClassReader(class_names, _given(table, label))
    problems = Problems()
    items: list[Item] = []
    seen: dict[str, int] = {}
    for row in table.rows:
        values = dict(zip(table.columns, row.values, strict=True))
        member = layout.find(values[file])
        _check_file(table, row, file, member, seen, problems)
        number = _label(layout, table, row, label, reader, problems)
        attributes = _attributes(table, row, slices, limits, problems)
        ending = _ending(bundle, layout, member, limits, problems)
        name = layout.shown(member or values[file])
        items.append(Item(name, attributes, label=number, file=member or "", ending=ending))
    problems.check()
    _check_count(len(items), "picture", limits)
    if layout.table is None:
        # A fair sample of all classes comes first, as in any folder of pictures.
        items.sort(key=lambda item: hashlib.sha256(item.name.encode()).digest())
    warnings = (
        *_class_warnings(items, reader),
        *layout.unlisted(seen),
        *_count_warnings(len(items)),
    )
    return Parsed(
        "image",
        tuple(items),
        slices,
        reader.names,
        table.encoding if layout.table is not None else None,
        (*_table_warnings(table), *warnings),
        bundle.read,
    )


def _check_given(
    table: Table, row: Row, column: str, value: str, what: str, problems: Problems
) -> bool:
    """Note a field that holds nothing; return whether it holds something."""
    if not value.strip():
        problems.add(
            table.problem(row, column, f"no {what}", "Fill or remove the rows without one")
        )
    elif value.strip().casefold() in _MISSING:
        fault = f"'{short(value)}' where the {what} should be"
        problems.add(table.problem(row, column, fault, "Fill or remove the rows without one"))
    else:
        return True
    return False


def _check_file(
    table: Table,
    row: Row,
    column: str,
    member: str | None,
    seen: dict[str, int],
    problems: Problems,
) -> None:
    value = row.values[table.columns.index(column)]
    if not _check_given(table, row, column, value, "file name", problems):
        return
    if member is None:
        fault = f"there is no picture '{short(value)}'"
        remedy = "Write the name with its folders, as in the zip file"
        problems.add(table.problem(row, column, fault, remedy))
    elif member in seen:
        fault = f"'{short(value)}' stands in row {seen[member]} already"
        problems.add(table.problem(row, column, fault, "List every picture once"))
    else:
        seen[member] = row.number


def _label(
    layout: Layout, table: Table, row: Row, column: str, reader: ClassReader, problems: Problems
) -> int | None:
    value = row.values[table.columns.index(column)]
    found = reader.read(value)
    if found is None and layout.table is None:
        if layout.is_first_of_folder(row):
            what, remedy = reader.fault(value)
            problems.add(Problem(f"folder '{short(value)}'", what, remedy, value=short(value)))
    elif found is None and _check_given(table, row, column, value, "class", problems):
        problems.add(table.problem(row, column, *reader.fault(value)))
    return found


def _ending(
    bundle: Bundle, layout: Layout, member: str | None, limits: Limits, problems: Problems
) -> str:
    if member is None:
        return ""
    try:
        return picture_ending(bundle.read(member), limits)
    except PictureError as error:
        remedy = "Repair it or leave it out"
        problems.add(Problem(f"'{short(layout.shown(member))}'", str(error), remedy))
    except OwnDataError as error:
        for problem in error.problems:
            problems.add(problem)
    return ""


def _attributes(
    table: Table, row: Row, columns: tuple[str, ...], limits: Limits, problems: Problems
) -> dict[str, str]:
    """Return the values that results can be sliced by; those missing are left out."""
    found = {}
    for column in columns:
        value = " ".join(row.values[table.columns.index(column)].split())
        if len(value) > limits.value_characters:
            fault = f"{len(value):,} characters, more than {limits.value_characters}, for a slice"
            problems.add(table.problem(row, column, fault, "Choose columns of short values"))
        elif value and value.casefold() not in _NOTHING:
            found[column] = value
    return found


def _check_count(count: int, kind: str, limits: Limits) -> None:
    if count < limits.fewest:
        refuse(
            f"the file has {count} {kind}{'' if count == 1 else 's'}",
            f"At least {limits.fewest} are needed to compare two models, and {_FEW} to say much",
        )


def _count_warnings(count: int) -> tuple[str, ...]:
    return (f"{count} items are few: differences will hardly be certain",) if count < _FEW else ()


def _table_warnings(table: Table) -> tuple[str, ...]:
    if table.encoding != "cp932":
        return ()
    return ("read as Shift-JIS (CP932); check that the characters are right",)


def _class_warnings(items: list[Item], reader: ClassReader) -> tuple[str, ...]:
    present = {item.label for item in items}
    missing = [name for index, name in enumerate(reader.names or ()) if index not in present]
    return (
        (f"no picture of {len(missing)} classes: {short(', '.join(missing))}",) if missing else ()
    )


def _given(table: Table, column: str) -> Iterator[str]:
    return (value for value in table.values(column) if value.strip().casefold() not in _NOTHING)


def _no_bytes(name: str) -> bytes:
    raise KeyError(name)
