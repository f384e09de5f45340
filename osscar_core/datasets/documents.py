"""Text as documents with what is known of each, to compare and slice results by.

The decision hidden here: what one document is, where a file does not say.

- JSON Lines and parquet: a row, named by its place; its other plain fields are attributes.
- One ``.txt`` file: a paragraph, as blank lines part them; a line where it has no blank
  line. A folder of such files: a file.
- Own data: a row, named by its number, with the columns chosen.
- Demo and hub texts: a text as it comes; reports of the plant log know their plant.

Documents without a letter are left out, and counted. No torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osscar_core.datasets.corpus import TEXT_COLUMN, document_rows, read_text, text_files
from osscar_core.datasets.demo import demo_corpus
from osscar_core.datasets.disturb import disturb_text
from osscar_core.datasets.hub import hub_corpus
from osscar_core.datasets.mix import (
    PART,
    MixPart,
    check_columns,
    interleaved,
    most_without_repeats,
    part_note,
    shares,
)
from osscar_core.datasets.own import own_documents
from osscar_core.datasets.spec import (
    DataSpec,
    Split,
    check_split,
    demo_part,
    mix_parts,
    parse_data_spec,
    shown_part,
    shown_spec,
)
from osscar_core.errors import DataError, SpecError
from osscar_core.records import DataInfo, check_range

MOST_OF_A_STREAM = 1_000
"""Documents read of a text without an end, unless told otherwise."""

_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents in a fixed order.

    Attributes:
        texts: Their texts.
        names: What to call each.
        attributes: What is known of each besides the text.
        info: What they are; the digest is over the texts.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]
    attributes: tuple[dict[str, str | float], ...]
    info: DataInfo

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class _Document:
    text: str
    name: str
    attributes: dict[str, str | float]


@dataclass(frozen=True, slots=True)
class _Source:
    documents: Iterator[_Document]
    notes: tuple[str, ...]
    has_end: bool = True


def load_documents(
    spec: str, *, limit: int | None = None, split: Split = "evaluation"
) -> Documents:
    """Read text as documents.

    Args:
        spec: ``text:PATH``, ``own:PATH``, ``hf:NAME`` or a demo text; see `parse_data_spec`.
        limit: Use the first so many at most; ``None`` for all (of a stream, the first
            `MOST_OF_A_STREAM`).
        split: Which part of the data, where it has parts.

    Raises:
        SpecError: A setting outside its range, or a specification of images.
        DataError: Data missing, unreadable or empty.
    """
    if limit is not None:
        check_range("limit", limit, 1)
    parsed = parse_data_spec(spec)
    shown = shown_spec(spec)
    source = _mixed(parsed, check_split(split), limit) if parsed.kind == "mix" else None
    source = source or _open(parsed, check_split(split))
    wanted = limit if limit is not None or source.has_end else MOST_OF_A_STREAM
    kept: list[_Document] = []
    empty = 0
    is_complete = True
    for document in source.documents:
        if not document.text.strip():
            empty += 1
            continue
        if wanted is not None and len(kept) == wanted:
            is_complete = False
            break
        kept.append(document)
    if not kept:
        raise DataError(f"'{shown}' holds no text", "Name a file or folder that has some")
    texts = tuple(document.text for document in kept)
    dropped = (f"{empty} empty documents left out",) if empty else ()
    info = DataInfo(
        spec=shown,
        kind="text",
        count=len(kept),
        digest=_digest(texts),
        available=len(kept) if is_complete else None,
        notes=(*source.notes, *dropped),
    )
    names = tuple(document.name for document in kept)
    return Documents(texts, names, tuple(document.attributes for document in kept), info)


def _open(spec: DataSpec, split: Split) -> _Source:
    if spec.kind == "text":
        return _files(spec)
    if spec.kind == "own":
        rows = zip(*own_documents(spec.location), strict=True)
        return _Source((_Document(*row) for row in rows), ("every row a document",))
    if spec.kind == "hf":
        return _corpus_of_hub(spec, split)
    if spec.kind == "demo":
        return _demo(spec, split)
    raise SpecError(
        f"'{spec}' is images, and the model reads text",
        "Use text:PATH, own:PATH, hf:NAME, demo:plant-log or demo:python-docs",
    )


def _mixed(spec: DataSpec, split: Split, limit: int | None) -> _Source:
    """Return the documents of a mix in the proportion of the weights, none of them twice."""
    parts = mix_parts(spec)
    opened = [_part(part, split) for part in parts]
    weights, available = [part.weight for part in parts], [len(one) for one in opened]
    unrepeated = most_without_repeats(weights, available)
    counts = shares(weights, min(unrepeated, limit or unrepeated))
    total = sum(weights)
    notes = tuple(
        part_note(shown_part(part), n, have, total, "documents")
        for part, n, have in zip(parts, counts, available, strict=True)
    )
    return _Source((opened[part][k] for part, k in interleaved(counts)), notes)


def _part(part: MixPart, split: Split) -> list[_Document]:
    documents = load_documents(part.data, split=split)
    known = dict.fromkeys(name for one in documents.attributes for name in one)
    check_columns(shown_part(part), known)
    kept = [
        _Document(text, name, {**attributes, PART: str(shown_part(part))})
        for text, name, attributes in zip(
            documents.texts, documents.names, documents.attributes, strict=True
        )
        if part.keeps(attributes)
    ]
    if not kept:
        raise DataError(
            f"no text meets the conditions of '{shown_part(part)}'", "Change or drop one of them"
        )
    change = part.change
    if change is None:
        return kept
    return [
        dataclasses.replace(one, text=disturb_text(one.text, change, key))
        for key, one in enumerate(kept)
    ]


def _files(spec: DataSpec) -> _Source:
    files = text_files(spec)
    if not files[0].name.lower().endswith(".txt"):
        rows = (_row(place, row) for file in files for place, row in document_rows(file))
        return _Source(rows, ("every row a document",))
    if len(files) > 1:
        whole = (_Document(read_text(file), file.name, {}) for file in files)
        return _Source(whole, ("every file a document",))
    return _parts(files[0])


def _parts(file: Path) -> _Source:
    text = read_text(file).replace("\r\n", "\n")
    kind = "paragraph" if _BLANK_LINE.search(text.strip()) else "line"
    parts = _BLANK_LINE.split(text) if kind == "paragraph" else text.split("\n")
    documents = (
        _Document(part, f"{kind} {number} of {file.name}", {})
        for number, part in enumerate(parts, start=1)
    )
    return _Source(documents, (f"every {kind} a document",))


def _row(place: str, row: dict[str, Any]) -> _Document:
    attributes = {
        str(name): _plain(value)
        for name, value in row.items()
        if name != TEXT_COLUMN and isinstance(value, str | int | float)
    }
    return _Document(row[TEXT_COLUMN], place, attributes)


def _plain(value: str | float) -> str | float:
    return json.dumps(value) if isinstance(value, bool) else value


def _corpus_of_hub(spec: DataSpec, split: Split) -> _Source:
    corpus = hub_corpus(spec.location, split, 0)
    documents = (
        _Document(text, f"document {number} of {spec}", {})
        for number, text in enumerate(corpus.texts, start=1)
    )
    notes = ("every text a document", *corpus.notes)
    return _Source(documents, notes, has_end=corpus.window_cap is None)


def _demo(spec: DataSpec, split: Split) -> _Source:
    name, part = demo_part(spec.location)
    if name == "plant-log":
        return _plant_log(part, split)
    corpus = demo_corpus(spec.location, split)
    documents = (
        _Document(text, f"topic {number}", {}) for number, text in enumerate(corpus.texts, start=1)
    )
    return _Source(documents, ("every topic a document", *corpus.notes))


def _plant_log(part: str | None, split: Split) -> _Source:
    from osscar_core.datasets.plant_log import DOCUMENTS, PLANT_NAMES, TRAINED_PLANTS, document

    plants = tuple(plant for plant in PLANT_NAMES if plant == part) or TRAINED_PLANTS
    documents = (
        _Document(document(split, plant, number), f"{plant} report {number}", {"plant": plant})
        for number, plant in itertools.product(range(DOCUMENTS[split]), plants)
    )
    note = f"every report a document, {split} part of {' and '.join(plants)}"
    return _Source(documents, (note,), has_end=split == "evaluation")


def _digest(texts: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()
