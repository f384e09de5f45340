"""Text as documents: what a document is, what is known of it, what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osscar_core.datasets.documents import load_documents
from osscar_core.datasets.plant_log import document
from osscar_core.errors import DataError, SpecError


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf8")
    return f"text:{path}"


def test_rows_are_documents_with_their_plain_fields(tmp_path: Path) -> None:
    rows = [
        {"text": "a pump", "line": "A", "age": 3.5, "parts": [1], "new": True, "note": None},
        {"text": "  "},
        {"text": "a valve", "line": "B"},
    ]
    spec = written(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows) + "\n")
    found = load_documents(spec)
    assert found.texts == ("a pump", "a valve")
    assert found.names == ("line 1 of a.jsonl", "line 3 of a.jsonl")
    assert found.attributes == ({"line": "A", "age": 3.5, "new": "true"}, {"line": "B"})
    assert (found.info.count, found.info.available) == (2, 2)
    assert found.info.notes == ("every row a document", "1 empty documents left out")


def test_parquet_rows_keep_plain_columns(tmp_path: Path) -> None:
    columns = {"text": ["one", "two"], "line": ["A", "B"], "age": [1, 2], "list": [[1], [2]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = load_documents(f"text:{tmp_path / 'a.parquet'}")
    assert found.texts == ("one", "two")
    assert found.attributes == ({"line": "A", "age": 1}, {"line": "B", "age": 2})


def test_plain_text_is_cut_at_blank_lines(tmp_path: Path) -> None:
    found = load_documents(written(tmp_path / "a.txt", "one\nmore\n\ntwo\n \nthree\n"))
    assert found.texts == ("one\nmore", "two", "three\n")
    assert found.info.notes == ("every paragraph a document",)
    assert found.names[1] == "paragraph 2 of a.txt"


def test_plain_text_without_blank_lines_is_cut_at_lines(tmp_path: Path) -> None:
    found = load_documents(written(tmp_path / "a.txt", "one\r\ntwo\r\n"))
    assert found.texts == ("one", "two")
    assert found.info.notes == ("every line a document", "1 empty documents left out")


def test_every_file_of_a_folder_is_a_document(tmp_path: Path) -> None:
    for name in ("b", "a"):
        written(tmp_path / f"{name}.txt", f"{name}\n\n{name}")
    found = load_documents(f"text:{tmp_path}")
    assert found.texts == ("a\n\na", "b\n\nb")
    assert found.names == ("a.txt", "b.txt")


def test_limit_takes_the_first_ones(tmp_path: Path) -> None:
    spec = written(tmp_path / "a.txt", "one\n\ntwo\n\nthree")
    found = load_documents(spec, limit=2)
    assert found.texts == ("one", "two")
    assert found.info.available is None
    assert load_documents(spec, limit=3).info.available == 3
    assert found.info.digest != load_documents(spec).info.digest


def test_reports_know_their_plant() -> None:
    found = load_documents("demo:plant-log", limit=4)
    assert [one["plant"] for one in found.attributes] == ["plant-1", "plant-2"] * 2
    assert found.texts[3] == document("evaluation", "plant-2", 1)
    third = load_documents("demo:plant-log/plant-3")
    assert len(third) == third.info.available == 120
    assert {one["plant"] for one in third.attributes} == {"plant-3"}


def test_python_docs_come_by_topic() -> None:
    found = load_documents("demo:python-docs", limit=3)
    assert len(found) == 3
    assert "every topic a document" in found.info.notes


def test_what_holds_no_documents_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        load_documents(written(tmp_path / "a.txt", "\n\n"))
    with pytest.raises(SpecError, match="is images"):
        load_documents("images:somewhere")
    with pytest.raises(SpecError, match="demo:factory' is images"):
        load_documents("demo:factory")
