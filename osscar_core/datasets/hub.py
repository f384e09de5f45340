"""Data sets in the hub's layout, from the hub itself or from a local directory.

The decision hidden here: which repository, configuration, part and column a short name
stands for, and how the many ways in which a download fails are told to a person.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from osscar_core.datasets.corpus import BLANK_LINE, Corpus
from osscar_core.datasets.spec import PART_NAMES, Split, import_optional, pick_part
from osscar_core.errors import DataError, SpecError
from osscar_core.storage import given_path

STREAM_WINDOWS = 256
_SHUFFLE_BUFFER = 10_000
_HTTP_CLIENTS = ("httpx", "httpx2")  # what huggingface_hub 1 and 2 stand on
_TEXT_COLUMNS = ("text", "sentence", "content")


@dataclass(frozen=True, slots=True)
class _Known:
    """What a short name stands for.

    ``files`` are given where the repository is read file by file, with ``{part}`` for the
    part; ``glue`` where the rows are one string by custom.
    """

    repository: str
    task: str
    parts: dict[Split, str]
    configuration: str | None = None
    files: str | None = None
    glue: str | None = None
    is_streamed: bool = False


# Penn Treebank's original repository holds only a loading script, which current releases
# of `datasets` refuse to run; the mirror holds the same sentences as parquet.
_KNOWN = {
    "wikitext2": _Known(
        "Salesforce/wikitext",
        "text",
        {"calibration": "train", "evaluation": "test"},
        configuration="wikitext-2-raw-v1",
        glue=BLANK_LINE,
    ),
    "ptb": _Known(
        "FALcon6/ptb_text_only",
        "text",
        {"calibration": "train", "evaluation": "test"},
        files="hf://datasets/FALcon6/ptb_text_only@main/penn_treebank/{part}/*.parquet",
        glue=" ",
    ),
    "c4": _Known(
        "allenai/c4",
        "text",
        {"calibration": "train", "evaluation": "validation"},
        configuration="en",
        is_streamed=True,
    ),
    "cifar10": _Known("uoft-cs/cifar10", "image", {"calibration": "train", "evaluation": "test"}),
}


@dataclass(frozen=True, slots=True)
class _Request:
    """A location taken apart: what to load, and which part of it."""

    name: str
    part: str | None
    known: _Known | None

    @property
    def repository(self) -> str:
        return self.known.repository if self.known else self.name

    @property
    def is_local(self) -> bool:
        return self.known is None and given_path(self.name).is_dir()


def hub_corpus(location: str, split: Split, seed: int = 0) -> Corpus:
    """Return the text of a data set.

    Args:
        location: ``wikitext2``, ``ptb``, ``c4``, a data set's name on the hub or a local
            directory in the hub's layout; optionally followed by ``/PART``.
        split: Which part to take if the location names none: ``train`` for calibration,
            ``test`` or ``validation`` for evaluation.
        seed: Streams other than 0 are shuffled with it.

    Returns:
        WikiText-2 and Penn Treebank as one string, joined by blank lines and by spaces, as
        published perplexities are computed; of any other data set, documents.

    Raises:
        DataError: It cannot be had; the message tells being offline from being wrong.
        SpecError: The data set is of images.
    """
    request = _take_apart(location)
    known = request.known
    if known is not None and known.task != "text":
        raise SpecError(
            f"'hf:{location}' is images, and the model reads text",
            f"Use hf:NAME with one of: {', '.join(_names('text'))}",
        )
    is_streamed = known.is_streamed if known else True
    data, part = _load(request, split, is_streamed=is_streamed, kind="text")
    is_endless = is_streamed and not request.is_local
    if is_endless and seed != 0:
        data = data.shuffle(seed=seed, buffer_size=_SHUFFLE_BUFFER)
    return Corpus(
        _texts(data, request),
        is_whole=known is not None and known.glue is not None,
        glue=known.glue or "" if known else "",
        window_cap=STREAM_WINDOWS if is_endless else None,
        notes=(f"part '{part}' of {request.repository}",),
    )


def hub_images(location: str, split: Split) -> tuple[Any, str, str, str]:
    """Return the images of a data set, still encoded.

    Args:
        location: ``cifar10``, a data set's name on the hub or a local directory in the
            hub's layout; optionally followed by ``/PART``.
        split: Which part to take if the location names none.

    Returns:
        The ``datasets.Dataset``, its image column (rows are ``{"bytes", "path"}``), its
        label column, and the part.

    Raises:
        DataError: It cannot be had, or has no images or labels.
        SpecError: The data set is text.
    """
    request = _take_apart(location)
    if request.known is not None and request.known.task != "image":
        raise SpecError(
            f"'hf:{location}' is text, and the model reads images",
            f"Use hf:NAME with one of: {', '.join(_names('image'))}",
        )
    datasets = import_optional("datasets", "data from the hub")
    data, part = _load(request, split, is_streamed=False, kind="images")
    image = _column(data.column_names, ("image", "img"), location, "images")
    label = _column(data.column_names, ("label", "labels", "fine_label"), location, "labels")
    return data.cast_column(image, datasets.Image(decode=False)), image, label, part


def _take_apart(location: str) -> _Request:
    head, slash, tail = location.rpartition("/")
    has_part = slash and tail in PART_NAMES
    # "owner/test" is a repository, "owner/name/test" one's part; a directory is itself.
    if has_part and (head in _KNOWN or "/" in head) and not given_path(location).is_dir():
        return _Request(head, tail, _KNOWN.get(head))
    return _Request(location, None, _KNOWN.get(location))


def _load(request: _Request, split: Split, *, is_streamed: bool, kind: str) -> tuple[Any, str]:
    datasets = import_optional("datasets", "data from the hub")
    known = request.known
    part = request.part or (known.parts[split] if known else None)
    try:
        if known is not None and known.files is not None:
            files = {part: known.files.format(part=part)}
            data = datasets.load_dataset(
                "parquet", data_files=files, split=part, streaming=is_streamed
            )
        elif known is not None:
            data = datasets.load_dataset(
                known.repository, known.configuration, split=part, streaming=is_streamed
            )
        else:
            path = str(given_path(request.name)) if request.is_local else request.name
            parts = datasets.load_dataset(path, streaming=is_streamed)
            part = part or pick_part(parts, split)
            if part not in parts:
                raise DataError(
                    f"'{request.name}' has no part '{part}'", f"Choose from: {', '.join(parts)}"
                )
            data = parts[part]
    except _failures() as error:
        raise _told(error, request, kind) from error
    return data, str(part)


def _texts(data: Any, request: _Request) -> Iterator[str]:
    try:
        column = None
        for number, row in enumerate(data):
            column = column or _column(tuple(row), _TEXT_COLUMNS, request.name, "text")
            if not isinstance(row[column], str):
                raise DataError(
                    f"row {number} of '{request.name}' has no text in column '{column}'",
                    "Use a data set whose rows all have text",
                )
            yield row[column]
    except _failures() as error:
        raise _told(error, request, "text") from error


def _column(columns: Any, wanted: tuple[str, ...], name: str, what: str) -> str:
    for column in wanted:
        if column in columns:
            return column
    raise DataError(
        f"'{name}' has no {what} in a column called {' or '.join(wanted)}, "
        f"only {', '.join(columns)}",
        "Use another data set, or save it as a file with that column",
    )


def _names(task: str) -> tuple[str, ...]:
    return tuple(name for name, known in _KNOWN.items() if known.task == task)


def _failures() -> tuple[type[Exception], ...]:
    """Return what `datasets` raises: its own errors and those of whichever client it used."""
    found: list[type[Exception]] = [OSError, ValueError, RuntimeError]
    for module, name in (
        ("datasets.exceptions", "DatasetsError"),
        ("aiohttp", "ClientError"),
        *((client, "HTTPError") for client in _HTTP_CLIENTS),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _told(error: Exception, request: _Request, kind: str) -> Exception:
    if isinstance(error, DataError | SpecError):
        return error
    local = f"use a local file: {kind}:PATH" + (" or demo:python-docs" if kind == "text" else "")
    if _is_offline(error):
        return DataError(
            f"the data set '{request.repository}' has to be downloaded, "
            f"and this machine seems to be offline ({_first_line(error)})",
            f"Connect it, or {local}",
        )
    names = ", ".join(_names("text" if kind == "text" else "image"))
    return DataError(
        f"the data set '{request.repository}' cannot be loaded ({_first_line(error)})",
        f"Check its name (short names: {names}), or {local}",
    )


def _is_offline(error: BaseException) -> bool:
    transport = (
        sys.modules[client].TransportError for client in _HTTP_CLIENTS if client in sys.modules
    )
    return isinstance(error, (ConnectionError, TimeoutError, *transport))


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
