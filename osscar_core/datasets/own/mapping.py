"""Which column is what, and which look personal.

The decision hidden here: the guesses. They are shown to a person before anything is
imported, and whatever the person says instead counts.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Literal

from osscar_core.datasets.own.problems import listed, refuse
from osscar_core.datasets.own.tables import Table
from osscar_core.errors import SpecError
from osscar_core.records import Task

_TEXT = ("text", "content", "document", "message", "body", "report", "sentence")
_TEXT_JA = ("本文", "テキスト", "文章", "内容", "報告", "コメント", "日報")
_LABEL = ("label", "class", "category", "ラベル", "クラス", "分類", "種類", "判定")
_FILE = (
    "file",
    "filename",
    "file_name",
    "image",
    "picture",
    "path",
    "ファイル",
    "ファイル名",
    "画像",
)
_MOST_VALUES = 50
_LONGEST_VALUE = 60
_LOOKED_AT = 2_000  # rows, and characters of each
_LEAST_PROSE = 20  # characters on average, for a lone column of unknown name to be the text

# Both begin where a word does, so that no text makes them slow.
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"
)
# A leading zero or a country code, so that dates and part numbers are no telephones.
_PHONE = re.compile(
    r"(?<![\w.-])(?:\+\d{1,3}[ -]?\(?0?\)?\d{1,4}|\(?0\d{1,4}\)?)[ -]\d{1,4}[ -]\d{3,4}(?![\w-])"
    r"|(?<![\w.-])0[5789]0\d{8}(?!\w)"
)


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the columns of a table are.

    Attributes:
        text: Column with the text, for a text model.
        label: Column with the class, for pictures.
        file: Column with the name of the picture.
        attributes: Columns that results can be sliced by; ``None`` to guess them.
    """

    text: str | None = None
    label: str | None = None
    file: str | None = None
    attributes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PersonalHint:
    """A column that seems to hold personal data.

    Attributes:
        column: Its name.
        kind: What was seen.
        rows: In how many of the rows looked at.
    """

    column: str
    kind: Literal["email", "phone"]
    rows: int


def guess_mapping(table: Table, task: Task) -> Mapping:
    """Return what the columns seem to be; ``None`` where nothing seems right."""
    main = _main_columns(table, task)
    return Mapping(main.text, main.label, main.file, _slices(table, main))


def complete_mapping(given: Mapping | None, table: Table, task: Task) -> Mapping:
    """Return what the columns are: as given, and guessed where nothing was.

    Raises:
        SpecError: A column was given that there is not, or one twice.
        OwnDataError: A column that is needed was neither given nor found.
    """
    given = given or Mapping()
    guess = _main_columns(table, task)
    named = (given.text, given.label, given.file, *(given.attributes or ()))
    for column in named:
        if column is not None and column not in table.columns:
            raise SpecError(
                f"the file has no column '{column}'", f"Choose from: {listed(table.columns)}"
            )
    if task == "text":
        found = Mapping(text=given.text or guess.text)
        needed = {"text": found.text}
    else:
        found = Mapping(label=given.label or guess.label, file=given.file or guess.file)
        needed = {"file": found.file, "label": found.label}
    for name, column in needed.items():
        if column is None:
            refuse(
                f"no column holds the {name}; there are: {listed(table.columns)}",
                f"Name one '{name}' in the first row, or choose it",
                where="row 1",
                row=1,
            )
    taken = [column for column in needed.values() if column is not None]
    slices = _slices(table, found) if given.attributes is None else given.attributes
    twice = [column for column in (*taken, *slices) if (*taken, *slices).count(column) > 1]
    if twice:
        raise SpecError(f"the column '{twice[0]}' is chosen twice", "Choose each column once")
    return Mapping(found.text, found.label, found.file, tuple(slices))


def personal_hints(table: Table) -> tuple[PersonalHint, ...]:
    """Return which columns seem to hold e-mail addresses or telephone numbers."""
    hints = []
    for column in table.columns:
        for kind, pattern in (("email", _EMAIL), ("phone", _PHONE)):
            values = itertools.islice(table.values(column), _LOOKED_AT)
            rows = sum(pattern.search(value[:_LOOKED_AT]) is not None for value in values)
            if rows:
                hints.append(PersonalHint(column, "email" if kind == "email" else "phone", rows))
    return tuple(hints)


def _main_columns(table: Table, task: Task) -> Mapping:
    if task == "text":
        return Mapping(text=_named(table, (*_TEXT, *_TEXT_JA)) or _longest(table))
    return Mapping(label=_named(table, _LABEL), file=_named(table, _FILE))


def _named(table: Table, names: tuple[str, ...]) -> str | None:
    known = {column.casefold(): column for column in reversed(table.columns)}
    return next((known[name] for name in names if name in known), None)


def _longest(table: Table) -> str | None:
    """Return the one column that is obviously prose."""
    rows = table.rows[:_LOOKED_AT]
    means = [sum(len(row.values[i]) for row in rows) / len(rows) for i in range(len(table.columns))]
    best = max(range(len(means)), key=means.__getitem__)
    others = [mean for index, mean in enumerate(means) if index != best]
    is_clear = means[best] >= _LEAST_PROSE and all(means[best] > 2 * mean for mean in others)
    # A header as long as prose is the first row of a table without one.
    return table.columns[best] if is_clear and len(table.columns[best]) < _LEAST_PROSE else None


def _slices(table: Table, main: Mapping) -> tuple[str, ...]:
    """Return the columns of few and short values, none of them personal."""
    found = []
    for column in table.columns:
        if column in {main.text, main.label, main.file}:
            continue
        values: set[str] = set()
        for value in table.values(column):
            values.add(value.strip())
            if len(values) > _MOST_VALUES or len(value) > _LONGEST_VALUE:
                break
        else:
            are_few = len(values) <= max(2, len(table.rows) // 2)
            is_personal = any(_EMAIL.search(value) or _PHONE.search(value) for value in values)
            if values - {""} and are_few and not is_personal:
                found.append(column)
    return tuple(found)
