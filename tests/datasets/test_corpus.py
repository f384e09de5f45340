from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osscar_core.datasets.corpus import Corpus, read_corpus
from osscar_core.datasets.spec import parse_data_spec
from osscar_core.errors import DataError

TEXTS = ["Pump runs.\r\n", "", "Grüße, 世界"]


def read(path: Path) -> Corpus:
    return read_corpus(parse_data_spec(f"text:{path}"))


def failure(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read(path).texts)
    return str(caught.value)


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": t, "source": "s"}) + "\n" for t in texts).encode()


def test_txt_is_one_string_exactly_as_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXTS[0].encode())
    corpus = read(path)
    assert corpus.is_whole
    assert list(corpus.texts) == [TEXTS[0]]


def test_folder_takes_all_txt_files_sorted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.txt", "b/a.txt", "b/c.TXT", "a.txt"):
        (tmp_path / name).write_text(name, encoding="utf8")
    (tmp_path / "c.jsonl").write_bytes(jsonl(["ignored beside plain text"]))
    corpus = read(tmp_path)
    assert corpus.is_whole
    assert corpus.glue == "\n\n"
    assert list(corpus.texts) == ["a.txt", "b/a.txt", "b/c.TXT", "z.txt"]
    assert corpus.notes == ("text of 4 files joined by blank lines",)


@pytest.mark.parametrize(
    ("ending", "pack"),
    [(".jsonl", bytes), (".jsonl.xz", lzma.compress), (".jsonl.gz", gzip.compress)],
)
def test_jsonl_rows_are_documents(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(pack(jsonl(TEXTS) + b"\n"))
    corpus = read(path)
    assert not corpus.is_whole
    assert list(corpus.texts) == TEXTS


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "text": TEXTS}), path)
    corpus = read(path)
    assert not corpus.is_whole
    assert list(corpus.texts) == TEXTS


def test_folder_of_shards(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl.xz").write_bytes(lzma.compress(jsonl(["c"])))
    (tmp_path / "0.jsonl").write_bytes(jsonl(["a", "b"]))
    corpus = read(tmp_path)
    assert list(corpus.texts) == ["a", "b", "c"]
    assert corpus.notes == ("documents from 2 files",)


def test_wrong_byte_names_file_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"Stra" + "ße".encode("latin1"))
    message = failure(path)
    assert "latin.txt' is not UTF-8 text: byte 0xdf at offset 4" in message
    assert "Convert the file to UTF-8" in message


def test_wrong_byte_in_jsonl_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = jsonl(["fine"])
    path.write_bytes(first + b'{"text": "\xff"}\n')
    assert f"byte 0xff at offset {len(first) + 10}" in failure(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"text": "cut off', "line 3 of"),
        (b'{"body": "no text"}', "has no text"),
        (b'{"text": 3}', "has no text"),
        (b'["text"]', "has no text"),
    ],
)
def test_bad_jsonl_line_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(["one"]) + b"\n" + line + b"\n")
    message = failure(path)
    assert words in message
    assert "line 3 of" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.xz", lzma.compress(jsonl(TEXTS * 50))[:-20]),
        ("a.jsonl.gz", gzip.compress(jsonl(TEXTS * 50))[:-20]),
        ("a.jsonl.xz", b"not xz at all"),
        ("a.jsonl.gz", b"not gzip at all"),
        ("a.parquet", b"not parquet at all"),
    ],
)
def test_damaged_archive(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert f"{name}' cannot be read" in failure(path)


def test_parquet_without_text_lists_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "id": [1]}), path)
    assert "has no column 'text', only body, id" in failure(path)


def test_parquet_null_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x", None]}), path)
    assert "row 1 of" in failure(path)


def test_missing_unknown_and_empty_places(tmp_path: Path) -> None:
    assert "does not exist (asked for as text:" in failure(tmp_path / "none.txt")
    other = tmp_path / "a.docx"
    other.write_bytes(b"x")
    assert "a.docx' is not a known kind of text file" in failure(other)
    assert ".txt, .jsonl, .jsonl.xz, .jsonl.gz, .parquet" in failure(other)
    assert "holds no text" in failure(tmp_path)
