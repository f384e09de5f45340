"""CSV and JSON Lines as one thing: named columns and numbered rows.

The decision hidden here: how strictly a table is read. Nothing is guessed but the
delimiter; a row that does not fit its header is a mistake and never shifted into place.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from osscar_core.datasets.own.decoding import Encoding, decode
from osscar_core.datasets.own.limits import Limits
from osscar_core.datasets.own.problems import (
    Problem,
    Problems,
    column_letter,
    listed,
    refuse,
    short,
)

_DELIMITERS = (",", ";", "\t")
_SAMPLED = 50  # rows looked at to find the delimiter
_BLANK_ROWS = 10  # times as many rows may be blank, before a file counts as too long
_FIRST_ROW = "The first row must name the columns"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number as a spreadsheet shows it, and a value per column."""

    number: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as read.

    Attributes:
        kind: ``csv`` or ``jsonl``.
        columns: Their names.
        rows: All rows that are not blank.
        encoding: Which it was read with.
        delimiter: What stands between fields; empty for JSON Lines.
    """

    kind: Literal["csv", "jsonl"]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    encoding: Encoding
    delimiter: str = ""

    def where(self, row: Row, column: str) -> str:
        """Return in words where a value stands."""
        if self.kind == "jsonl":
            return f"line {row.number}, field '{short(column)}'"
        letter = column_letter(self.columns.index(column))
        return f"row {row.number}, column {letter} ({short(column)})"

    def problem(self, row: Row, column: str, what: str, remedy: str) -> Problem:
        """Return a mistake at one place."""
        index = self.columns.index(column)
        return Problem(
            self.where(row, column),
            what,
            remedy,
            row=row.number,
            column=index + 1,
            value=short(row.values[index]),
        )

    def values(self, column: str) -> Iterator[str]:
        """Yield all values of one column."""
        index = self.columns.index(column)
        return (row.values[index] for row in self.rows)


def read_table(data: bytes, name: str, limits: Limits) -> Table:
    """Return the table in a CSV or JSON Lines file.

    Args:
        data: The file.
        name: What it is called; only its ending is looked at.
        limits: What is too much.

    Raises:
        OwnDataError: It is no such file, or there is something wrong with its form.
    """
    decoded = decode(data)
    beginning = decoded.text.lstrip()[:1]
    is_json = name.lower().endswith((".jsonl", ".ndjson", ".json"))
    if beginning == "{":
        return _read_lines(decoded.text, decoded.encoding, limits)
    if is_json:
        what = "a JSON list" if beginning == "[" else "not JSON Lines"
        refuse(
            f"the file is {what}",
            'Write one object a line, such as {"text": "..."}',
            where="line 1",
            row=1,
        )
    return _read_csv(decoded.text, decoded.encoding, limits)


def _read_csv(text: str, encoding: Encoding, limits: Limits) -> Table:
    delimiter = _delimiter(text)
    records = _records(text, delimiter, limits)
    number, header = next(records, (1, ()))
    columns = tuple(cell.strip() for cell in header)
    problems = Problems()
    rows: list[Row] = []
    for number, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        _check_rows(len(rows) + 1, limits)
        if len(cells) != len(columns):
            problems.add(_ragged(number, len(cells), len(columns)))
            continue
        _check_lengths(number, columns, cells, limits, problems)
        rows.append(Row(number, cells))
    columns, rows = _without_blank_columns(columns, rows)
    _check_columns(columns, limits)
    problems.check()
    return _filled(Table("csv", columns, tuple(rows), encoding, delimiter))


def _records(text: str, delimiter: str, limits: Limits) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield every record with its number from 1, blank ones included."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            _check_rows(number // _BLANK_ROWS, limits)
            if len(cells) > 2 * limits.columns:
                refuse(
                    f"{len(cells)} columns, more than {limits.columns}",
                    "Remove columns that are not needed",
                    where=f"row {number}",
                    row=number,
                )
            yield number, tuple(cells)
    except csv.Error as error:
        if "field limit" in str(error):
            what = f"a field is longer than {limits.field_characters:,} characters"
            remedy = "Split it into several rows; a quotation mark may be missing before it"
        else:
            what = "a quotation mark is not closed, or text follows a closed one"
            remedy = 'Put a field that holds quotation marks in "..." and double those inside'
        refuse(what, remedy, where=f"row {number + 1}", row=number + 1)


def _delimiter(text: str) -> str:
    """Return what stands between fields: what most rows agree on with the header."""
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        counts: list[int] = []
        try:
            for cells in itertools.islice(reader, _SAMPLED * _BLANK_ROWS):
                if any(cell.strip() for cell in cells):
                    counts.append(len(cells))
                if len(counts) > _SAMPLED:
                    break
        except csv.Error:
            pass  # what is wrong is told when the table is read
        if counts and counts[0] > 1:
            score = (sum(count == counts[0] for count in counts) / len(counts), counts[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


def _read_lines(text: str, encoding: Encoding, limits: Limits) -> Table:
    _check_rows(text.count("\n") // _BLANK_ROWS, limits)
    problems = Problems()
    objects: list[tuple[int, dict[str, str]]] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        _check_rows(len(objects) + 1, limits)
        found = _object(line, number, problems)
        if found is None:
            continue
        columns.update(dict.fromkeys(found))
        _check_columns(tuple(columns), limits)
        names, values = tuple(found), tuple(found.values())
        _check_lengths(number, names, values, limits, problems, is_json=True)
        objects.append((number, found))
    problems.check()
    rows = tuple(
        Row(number, tuple(found.get(column, "") for column in columns)) for number, found in objects
    )
    return _filled(Table("jsonl", tuple(columns), rows, encoding))


def _object(line: str, number: int, problems: Problems) -> dict[str, str] | None:
    """Return one line's fields as text; ``None``, with the mistake noted, if it has none."""
    where = f"line {number}"
    try:
        pairs = json.loads(line, object_pairs_hook=_Pairs, parse_constant=_no_constant)
    except _NotANumberError as error:
        problems.add(
            Problem(where, f"{error} is no value", "Fill or remove that field", row=number)
        )
        return None
    except (ValueError, RecursionError):
        problems.add(
            Problem(where, "not JSON", "Every line must be one object", number, None, short(line))
        )
        return None
    if not isinstance(pairs, _Pairs):
        what = "not an object"
        problems.add(Problem(where, what, 'Write it as {"text": "..."}', number, None, short(line)))
        return None
    found: dict[str, str] = {}
    for name, value in pairs:
        plain = _plain(value)
        if name in found or plain is None or not _is_writable(name):
            what = "named twice" if name in found else "not text or a number"
            place = f"{where}, field '{short(name)}'"
            remedy = "Give every field once, as text or a number"
            problems.add(Problem(place, what, remedy, row=number, value=short(str(value))))
            return None
        found[name] = plain
    return found


class _Pairs(list[tuple[str, Any]]):
    """The fields of one object, those named twice still there."""


class _NotANumberError(ValueError):
    """NaN or an infinity, which JSON does not have."""


def _no_constant(name: str) -> float:
    raise _NotANumberError(name)


def _plain(value: Any) -> str | None:
    """Return a value as text; ``None`` if it is of a kind that a table has no place for."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    return value if isinstance(value, str) and _is_writable(value) else None


def _number(value: float) -> str | None:
    try:
        found = str(value)
    except ValueError:  # an integer of more digits than Python writes
        return None
    return None if found in {"inf", "-inf", "nan"} else found


def _is_writable(text: str) -> bool:
    """Return whether text has no half surrogate and no control character of a binary file."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _filled(table: Table) -> Table:
    if not table.rows:
        refuse("the file has a header and no rows", "Add rows below the header")
    return table


def _without_blank_columns(
    columns: tuple[str, ...], rows: list[Row]
) -> tuple[tuple[str, ...], list[Row]]:
    """Leave out columns of which neither the header nor any row says anything."""
    kept = [
        index
        for index, name in enumerate(columns)
        if name or any(row.values[index].strip() for row in rows)
    ]
    if len(kept) == len(columns):
        return columns, rows
    return (
        tuple(columns[index] for index in kept),
        [Row(row.number, tuple(row.values[index] for index in kept)) for row in rows],
    )


def _check_columns(columns: tuple[str, ...], limits: Limits) -> None:
    if not columns:
        refuse("the file has no header", _FIRST_ROW, where="row 1", row=1)
    if len(columns) > limits.columns:
        refuse(
            f"{len(columns)} columns, more than {limits.columns}",
            "Remove columns that are not needed",
        )
    for index, name in enumerate(columns):
        where = f"row 1, column {column_letter(index)}"
        if not name:
            refuse("the column has no name", _FIRST_ROW, where=where, row=1)
        if len(name) > limits.value_characters:
            refuse(f"'{short(name)}' is too long for a name", _FIRST_ROW, where=where, row=1)
    twice = tuple(name for name in dict.fromkeys(columns) if columns.count(name) > 1)
    if twice:
        refuse(
            f"the column {listed(twice)} is there more than once",
            "Give every column a name of its own",
            where="row 1",
            row=1,
        )


def _check_rows(count: int, limits: Limits) -> None:
    if count > limits.rows:
        refuse(
            f"the file has more than {limits.rows:,} rows",
            "Use a part of them; a few thousand are plenty",
        )


def _check_lengths(
    number: int,
    columns: tuple[str, ...],
    cells: tuple[str, ...],
    limits: Limits,
    problems: Problems,
    *,
    is_json: bool = False,
) -> None:
    for index, cell in enumerate(cells):
        if len(cell) > limits.field_characters:
            name = short(columns[index])
            place = f"line {number}, field '{name}'"
            if not is_json:
                place = f"row {number}, column {column_letter(index)} ({name})"
            what = f"{len(cell):,} characters, more than {limits.field_characters:,}"
            problems.add(
                Problem(place, what, "Split it into several rows", number, index + 1, short(cell))
            )


def _ragged(number: int, got: int, expected: int) -> Problem:
    fields = "1 field" if got == 1 else f"{got} fields"
    return Problem(
        f"row {number}",
        f"{fields}, the header has {expected}",
        'Put a field that holds commas or line breaks in "..."',
        row=number,
    )
