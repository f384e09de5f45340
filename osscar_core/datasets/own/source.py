"""Own data as the rest of the program reads it, behind ``own:PATH``.

The decision hidden here: that a path may be a set that was imported or a file that is
read on the spot, and that neither the path nor the folder's name is ever told: a report
calls the data by the name of the file and is certain of it by the digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osscar_core.datasets.own.classes import ClassReader
from osscar_core.datasets.own.parsing import Item, Parsed, parse
from osscar_core.datasets.own.problems import listed
from osscar_core.datasets.own.store import is_id, is_kept, plain_name, read_info, read_kept
from osscar_core.errors import DataError, SpecError
from osscar_core.records import Task
from osscar_core.storage import given_path

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)
_MOST_CODES = 12  # a column of numbers with fewer values is a code, such as a line's number
_UNNAMED = "data"  # what was deleted since
_WORDS: dict[Task, str] = {"text": "text", "image": "images"}


Attributes = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class OwnPictures:
    """Pictures with labels, not yet decoded.

    Attributes:
        labels: Class ids.
        read: Returns the encoded picture of an index.
        names: What to call each.
        attributes: What results can be sliced by.
        class_names: What the class ids mean, where that is known.
        notes: How they were read.
    """

    labels: tuple[int, ...]
    read: Callable[[int], bytes]
    names: tuple[str, ...]
    attributes: tuple[Attributes, ...]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def own_documents(
    location: str,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Attributes, ...]]:
    """Return texts, what to call each of them, and what results can be sliced by.

    Args:
        location: What stands behind ``own:``.

    Raises:
        SpecError: It is pictures.
        DataError: It is gone, or not usable.
    """
    items = _open(location, "text", None).items
    return (
        tuple(item.text for item in items),
        tuple(item.name for item in items),
        _typed(items),
    )


def own_pictures(location: str, class_names: tuple[str, ...] | None = None) -> OwnPictures:
    """Return labelled pictures.

    Args:
        location: What stands behind ``own:``.
        class_names: The classes of the model that is to read them, if they have names.

    Raises:
        SpecError: It is text.
        DataError: It is gone or not usable, or has a class that the model does not know.
    """
    parsed = _open(location, "image", class_names)
    labels = [item.label if item.label is not None else -1 for item in parsed.items]
    names = parsed.class_names
    if names and class_names and names != class_names:
        labels = _renumbered(labels, names, class_names)
        names = class_names
    files = tuple(item.file for item in parsed.items)
    return OwnPictures(
        tuple(labels),
        lambda index: parsed.read(files[index]),
        tuple(f"'{item.name}'" for item in parsed.items),
        _typed(parsed.items),
        names,
        ("own pictures", *parsed.warnings),
    )


def own_name(location: str) -> str:
    """Return what own data is called in reports: the name of the file, never its path."""
    path = given_path(location)
    try:
        if is_kept(path):
            return read_info(path).name
    except DataError:
        return _UNNAMED
    return _UNNAMED if is_id(path.name) else plain_name(path.name)


def own_task(location: str) -> Task | None:
    """Return the kind of model that reads the data; ``None`` where that cannot be told."""
    path = given_path(location)
    if is_kept(path):
        try:
            return read_info(path).task
        except DataError:
            return None
    if path.name.lower().endswith(_TABLES):
        return "text"
    return "image" if path.is_dir() or path.suffix.lower() == ".zip" else None


def _open(location: str, task: Task, class_names: tuple[str, ...] | None) -> Parsed:
    path = given_path(location)
    name = own_name(location)
    if not path.exists():
        raise DataError(f"the data 'own:{name}' is not there", "Import it again, or check its path")
    found = own_task(location) or task
    if found != task:
        raise SpecError(
            f"'own:{name}' is {_WORDS[found]}, and the model reads {_WORDS[task]}",
            "Choose data of the model's own kind",
        )
    if is_kept(path):
        return read_kept(path)
    return parse(path, path.name, task=task, class_names=class_names)


def _typed(items: Sequence[Item]) -> tuple[Attributes, ...]:
    """Return the attributes, those that measure something as numbers.

    Results are sliced by ranges of a number, and by every value of anything else.
    """
    values: dict[str, set[str]] = {}
    for item in items:
        for column, value in item.attributes.items():
            values.setdefault(column, set()).add(value)
    measured = {
        column
        for column, found in values.items()
        if len(found) > _MOST_CODES and all(_NUMBER.fullmatch(value) for value in found)
    }
    return tuple(
        {
            column: float(value) if column in measured else value
            for column, value in item.attributes.items()
        }
        for item in items
    )


def _renumbered(labels: list[int], names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Return the labels of one list of classes as those of another, by name."""
    reader = ClassReader(wanted, ())
    found = {label: reader.read(names[label]) for label in set(labels) if 0 <= label < len(names)}
    unknown = tuple(sorted(names[label] for label, other in found.items() if other is None))
    if unknown or len(found) < len(set(labels)):
        raise DataError(
            f"the data has classes that the model does not know: {listed(unknown)}",
            f"The model's classes are: {listed(wanted, most=30)}",
        )
    return [found[label] or 0 for label in labels]
