"""What a text source is before a tokenizer has seen it, and how local files become one.

The decisions hidden here: file formats, encodings, and whether texts form one string or
separate documents. A ``.txt`` file, or a folder of them joined by blank lines, is one
string. The rows of JSON Lines and parquet files are documents.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from osscar_core.datasets.spec import DataSpec, existing_path, import_optional
from osscar_core.errors import DataError

BLANK_LINE = "\n\n"
TEXT_COLUMN = "text"
_LINE_BYTES = 64 * 2**20  # a document of ten thousand pages
_HALVES = re.compile("[\ud800-\udfff]")
_JSONL = (".jsonl", ".jsonl.xz", ".jsonl.gz")
_DOCUMENTS = (*_JSONL, ".parquet")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Text, not yet tokenised.

    Attributes:
        texts: The texts, in order; read lazily, once.
        is_whole: Whether the texts are one string, to be joined by ``glue`` and tokenised
            at once; otherwise they are documents, each tokenised on its own.
        glue: What is put between the parts of one string.
        window_cap: Windows used when nobody said how many; for practically endless streams.
        notes: What a reader of a result should know.
    """

    texts: Iterable[str]
    is_whole: bool
    glue: str = BLANK_LINE
    window_cap: int | None = None
    notes: tuple[str, ...] = ()


def read_corpus(spec: DataSpec) -> Corpus:
    """Return the text in a local file or folder.

    Raises:
        DataError: Missing, of an unknown format, or holding none; what a file contains is
            checked as it is read.
    """
    return _corpus_of_files(text_files(spec))


def text_files(spec: DataSpec) -> tuple[Path, ...]:
    """Return the files of text that ``spec`` names: plain ones, or else files of documents.

    Raises:
        DataError: There is none, or the file is of an unknown format.
    """
    path = existing_path(spec)
    if path.is_file():
        if path.name.lower().endswith((".txt", *_DOCUMENTS)):
            return (path,)
        raise DataError(
            f"'{path}' is not a known kind of text file",
            f"Text is read from files that end in .txt, {', '.join(_DOCUMENTS)}",
        )
    plain = _files_below(path, (".txt",))
    files = plain or _files_below(path, _DOCUMENTS)
    if not files:
        raise DataError(
            f"the folder '{path}' holds no text",
            f"Text is read from files that end in .txt, {', '.join(_DOCUMENTS)}",
        )
    return files


def _files_below(folder: Path, endings: tuple[str, ...]) -> tuple[Path, ...]:
    found = (p for p in folder.rglob("*") if p.name.lower().endswith(endings) and p.is_file())
    return tuple(sorted(found, key=lambda p: p.relative_to(folder).as_posix()))


def _corpus_of_files(files: tuple[Path, ...]) -> Corpus:
    name = files[0].name.lower()
    count = f" from {len(files)} files" if len(files) > 1 else ""
    if name.endswith(".txt"):
        notes = (f"text of {len(files)} files joined by blank lines",) if count else ()
        return Corpus(map(read_text, files), is_whole=True, notes=notes)
    documents = (row[TEXT_COLUMN] for file in files for _, row in document_rows(file))
    return Corpus(documents, is_whole=False, notes=(f"documents{count}",) if count else ())


def read_text(path: Path) -> str:
    """Return the text of a plain file.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        return _decode(path.read_bytes(), path)
    except OSError as error:
        raise _unreadable(path, error) from error


def document_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file of documents, each with its place in words.

    Every row has a text under `TEXT_COLUMN`; of parquet, other columns of plain values too.

    Raises:
        DataError: The file cannot be read, or a row has no text.
    """
    if path.name.lower().endswith(".parquet"):
        return _parquet_rows(path)
    return _jsonl_rows(path)


def _jsonl_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    offset = 0
    try:
        with _open_packed(path) as file:
            for number, line in enumerate(_lines(file, path), start=1):
                if line.strip():
                    row = _json_row(_decode(line, path, offset), path, number)
                    yield f"line {number} of {path.name}", row
                offset += len(line)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that may unpack to a single one without an end."""
    number = 0
    while line := file.readline(_LINE_BYTES + 1):
        number += 1
        if len(line) > _LINE_BYTES:
            raise DataError(
                f"line {number} of '{path}' is longer than {_LINE_BYTES:,} bytes",
                "Split the document into several lines",
            )
        yield line


def _open_packed(path: Path) -> BinaryIO:
    ending = path.suffix.lower()
    if ending == ".xz":
        return cast("BinaryIO", lzma.open(path, "rb"))
    if ending == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _json_row(line: str, path: Path, number: int) -> dict[str, Any]:
    where = f"line {number} of '{path}'"
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error})", "Repair or remove that line") from error
    if not isinstance(row, dict) or not isinstance(row.get(TEXT_COLUMN), str):
        raise DataError(
            f"{where} has no text", f'Every line must be an object like {{"{TEXT_COLUMN}": "..."}}'
        )
    if _HALVES.search(row[TEXT_COLUMN]):
        raise DataError(
            f"{where} holds half of a character, as \\ud800 is one", "Repair or remove that line"
        )
    return row


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    pyarrow = import_optional("pyarrow", "reading parquet files")
    parquet = import_optional("pyarrow.parquet", "reading parquet files")
    row = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            if TEXT_COLUMN not in columns:
                raise DataError(
                    f"'{path}' has no column '{TEXT_COLUMN}', only {', '.join(columns)}",
                    f"Rename the column that holds the text to '{TEXT_COLUMN}'",
                )
            plain = [
                field.name
                for field in file.schema_arrow
                if field.name == TEXT_COLUMN or _is_plain(field.type, pyarrow.types)
            ]
            for batch in file.iter_batches(batch_size=256, columns=plain):
                for values in batch.to_pylist():
                    if not isinstance(values.get(TEXT_COLUMN), str):
                        raise DataError(
                            f"row {row} of '{path}' has no text", "Fill or remove that row"
                        )
                    yield f"row {row} of {path.name}", values
                    row += 1
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from error


def _is_plain(kind: Any, types: Any) -> bool:
    """Return whether a column holds text, numbers or truth values."""
    tests = (
        types.is_string,
        types.is_large_string,
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_dictionary,
    )
    return any(test(kind) for test in tests)


def _decode(raw: bytes, path: Path, offset: int = 0) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is not UTF-8 text: byte 0x{raw[error.start]:02x} "
            f"at offset {offset + error.start}",
            "Convert the file to UTF-8",
        ) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"'{path}' cannot be read ({error})", "It may be damaged; get it again")
