"""Bad tables are told with place, value and remedy; good ones are read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from osscar_core.datasets.own import Limits, Mapping, OwnDataError, import_own, preview
from osscar_core.datasets.own.limits import LIMITS
from osscar_core.datasets.own.problems import MOST_TOLD, column_letter
from osscar_core.datasets.own.tables import read_table
from osscar_core.errors import SpecError
from ownfiles import packed, png, reports

GOOD = "".join(f"Document number {i} is fine,north\n" for i in range(12))
SMALL = Limits(upload_bytes=3_000, rows=20, columns=5, field_characters=500)


def _csv(rows: str, header: str = "text,plant\n") -> bytes:
    return (header + rows).encode()


BAD_CSV: list[tuple[str, bytes, list[str]]] = [
    ("nothing", b"", ["the file is empty", "header and rows"]),
    ("blank", b"\xef\xbb\xbf \r\n\r\n", ["the file is empty"]),
    ("header only", b"text,plant\n", ["a header and no rows"]),
    ("one row", _csv("Only this one,north\n"), ["1 document.", "At least 10", "compare"]),
    ("no such column", _csv(GOOD, "remark,plant\n").replace(b"Document number", b"D"),
     ["row 1", "no column holds the text", "remark, plant", "Name one 'text'"]),
    ("no header", b"".join(b"%d,x\n" % i for i in range(12)),
     ["no column holds the text"]),
    ("no header, prose", b"".join(b"Pump %d leaks at the flange,n\n" % i for i in range(12)),
     ["no column holds the text", "Pump 0 leaks"]),
    ("empty text", _csv(GOOD + ",south\n"), ["row 14, column A (text): no text", "Fill or remove"]),
    ("blank text", _csv("  ,south\n" + GOOD), ["row 2, column A (text): no text"]),
    ("NaN", _csv(GOOD + "NaN,south\n"), ["row 14, column A (text): 'NaN' where the text should"]),
    ("two names alike", _csv(GOOD, "text,text\n"), ["column text is there more than once"]),
    ("unnamed column", _csv(GOOD, "text,\n"), ["row 1, column B: the column has no name"]),
    ("ragged", _csv(GOOD + "one, two, three,north\n"),
     ["row 14: 4 fields, the header has 2", 'holds commas or line breaks in "..."']),
    ("short row", _csv(GOOD + "alone\n"), ["row 14: 1 field, the header has 2"]),
    ("open quote", _csv(GOOD + '"never closed,north\n'), ["row 14", "quotation mark"]),
    ("text after quote", _csv(GOOD + '"a"b,north\n'), ["row 14", "quotation mark"]),
    ("NUL", _csv(GOOD + "a\0b,north\n"), ["line 14: byte", "is NUL"]),
    ("control", _csv(GOOD + "a\x01b,north\n"), ["line 14", "control character (0x01)"]),
    ("neither encoding", _csv(GOOD) + b"caf\xe9,north\n",
     ["line 14", "(0xe9) is neither UTF-8 nor Shift-JIS", "Save the file as CSV UTF-8"]),
    ("UTF-16", "text\nabc\n".encode("utf-16"), ["UTF-16", "Save it as CSV UTF-8"]),
    ("exe", b"MZ\x90\0" + bytes(range(256)), ["a Windows program"]),
    ("elf", b"\x7fELF\x02\x01", ["a Linux program"]),
    ("pdf", b"%PDF-1.7\n", ["a PDF document"]),
    ("picture", png(), ["a single picture", "one zip file"]),
    ("zip", packed({"a.csv": "text\n"}), ["a zip file", "CSV or JSON Lines"]),
    ("excel", packed({"[Content_Types].xml": "<x/>", "xl/a.xml": "b"}),
     ["an Excel workbook", "Save it as CSV UTF-8"]),
    ("old excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["an old Excel"]),
    ("gzip", b"\x1f\x8b\x08\0", ["a gzip file", "Unpack it"]),
    ("junk", bytes(range(1, 256)) * 4, ["line 2", "neither UTF-8 nor Shift-JIS"]),
    ("long field", _csv(GOOD + "x" * 501 + ",north\n"),
     ["row 14, column A (text): 501 characters, more than 500"]),
    ("very long field", _csv(GOOD + "x" * 2_000 + ",n\n"), ["2,000 characters, more than 500"]),
    ("many rows", _csv("a b c,north\n" * 21), ["more than 20 rows"]),
    ("many columns", b"text,a,b,c,d,e\n" + b"1,2,3,4,5,6\n" * 12, ["6 columns, more than 5"]),
    ("large", b"text\n" + b"a" * 4_000, ["more than"]),
]  # fmt: skip

BAD_LINES: list[tuple[str, str, list[str]]] = [
    ("not JSON", '{"text": "a"}\n{"text": \n', ["line 2: not JSON", "one object"]),
    ("not an object", '{"text": "a"}\n["a"]\n', ["line 2: not an object"]),
    ("a list", '[{"text": "a"}]', ["a JSON list", "one object a line"]),
    ("NaN", '{"text": NaN}\n', ["line 1: NaN is no value"]),
    ("infinity", '{"text": "a", "x": -Infinity}\n', ["-Infinity is no value"]),
    ("nested", '{"text": {"a": 1}}\n', ["line 1, field 'text': not text or a number"]),
    ("twice", '{"text": "a", "text": "b"}\n', ["field 'text': named twice"]),
    ("surrogate", '{"text": "\\ud800"}\n', ["field 'text': not text"]),
    ("NUL", '{"text": "a\\u0000b"}\n', ["field 'text': not text"]),
    ("deep", '{"text": ' + "[" * 100_000 + "\n", ["line 1: not JSON"]),
    ("null", '{"text": null}\n' + '{"text": "abc"}\n' * 12, ["line 1, field 'text': no text"]),
    ("missing field", '{"plant": "n"}\n' + '{"text": "abc"}\n' * 12, ["line 1, field 'text'"]),
    ("no text at all", '{"plant": "n"}\n' * 12, ["no column holds the text"]),
    ("huge number", '{"text": "a", "x": 1e999}\n', ["line 1, field 'x': not text or a number"]),
    ("endless number", '{"text": "a", "x": ' + "9" * 5_000 + "}\n", ["line 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), [b[1:] for b in BAD_CSV], ids=[b[0] for b in BAD_CSV])
def test_bad_csv(data: bytes, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(OwnDataError) as caught:
        import_own(data, "bad.csv", task="text", into=tmp_path / "own", limits=SMALL)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("text", "words"), [b[1:] for b in BAD_LINES], ids=[b[0] for b in BAD_LINES]
)
def test_bad_json_lines(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(OwnDataError) as caught:
        import_own(text.encode(), "bad.jsonl", task="text", into=tmp_path / "own")
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.rglob("*")) == []


def test_all_mistakes_are_told_at_once_the_first_ones_in_full(tmp_path: Path) -> None:
    with pytest.raises(OwnDataError) as caught:
        import_own(_csv(GOOD + ",x\n" * 15), "a.csv", task="text", into=tmp_path)
    assert caught.value.total == 15
    assert len(caught.value.problems) == MOST_TOLD
    first = caught.value.problems[0]
    assert (first.row, first.column, first.value) == (14, 1, "")
    assert "the file has 15 errors: row 14" in str(caught.value)
    assert "and 5 more" in str(caught.value)
    assert str(caught.value).count("Fill or remove") == 1


def test_rows_are_counted_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    """A line break inside quotation marks is no new row; a blank line is one."""
    rows = '"two\nlines",north\n\n' + GOOD + ",south\n"
    with pytest.raises(OwnDataError, match="row 16, column A"):
        import_own(_csv(rows), "a.csv", task="text", into=tmp_path)


def test_sixty_megabytes_are_refused_by_size_alone(tmp_path: Path) -> None:
    file = tmp_path / "big.csv"
    with file.open("wb") as sparse:
        sparse.truncate(60 * 1024 * 1024)
    with pytest.raises(OwnDataError, match="60 MB, more than 50 MB"):
        preview(file, "big.csv")


@pytest.mark.parametrize("data", [b"text,x\n" + b",\n" * 300, b'{"text": "a"}' + b"\n" * 300])
def test_endless_blank_rows_are_not_read_to_the_end(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(OwnDataError, match="more than 20 rows"):
        import_own(data, "a", task="text", into=tmp_path, limits=SMALL)


def test_a_field_beyond_what_the_csv_module_reads() -> None:
    data = _csv("x" * 140_000 + ",north\n")
    with pytest.raises(OwnDataError, match="row 2: a field is longer than 100,000 characters"):
        read_table(data, "a.csv", LIMITS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters(delimiter: str) -> None:
    rows = "\n".join(f'"a, b; c\t{i}"{delimiter}north' for i in range(12))
    found = read_table(f"text{delimiter}plant\n{rows}".encode(), "a.csv", LIMITS)
    assert found.delimiter == delimiter
    assert found.columns == ("text", "plant")
    assert found.rows[3].values == ("a, b; c\t3", "north")


def test_a_comma_in_prose_is_no_second_delimiter() -> None:
    rows = "\n".join(f"a, b, c {i};north" for i in range(12))
    found = read_table(f"text;plant\n{rows}".encode(), "a.csv", LIMITS)
    assert found.rows[0].values == ("a, b, c 0", "north")


def test_blank_columns_and_rows_of_a_spreadsheet_are_left_out() -> None:
    found = read_table(b"text,plant,,\nabc,n,,\n,,,\ndef,s,,\n", "a.csv", LIMITS)
    assert found.columns == ("text", "plant")
    assert [(row.number, row.values) for row in found.rows] == [
        (2, ("abc", "n")),
        (4, ("def", "s")),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_japanese(encoding: str) -> None:
    text = "本文,工場\r\nポンプの圧力が低下。表を参照,北\r\n"
    found = read_table(text.encode(encoding), "a.csv", LIMITS)
    assert found.columns == ("本文", "工場")
    assert found.rows[0].values == ("ポンプの圧力が低下。表を参照", "北")
    assert found.encoding == ("cp932" if encoding == "cp932" else "utf-8")


def test_json_lines_may_lack_fields_and_hold_any_separator_inside() -> None:
    lines = [{"text": "a\u2028b\nc", "shift": 2}, {"plant": "n", "text": "d", "ok": True}]
    data = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    found = read_table(data, "a.jsonl", LIMITS)
    assert found.columns == ("text", "shift", "plant", "ok")
    assert [row.values for row in found.rows] == [
        ("a\u2028b\nc", "2", "", ""),
        ("d", "", "n", "true"),
    ]


@pytest.mark.parametrize(("index", "letter"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ")])
def test_column_letters(index: int, letter: str) -> None:
    assert column_letter(index) == letter


def test_preview_says_what_the_columns_seem_to_be() -> None:
    found = preview(reports().encode(), "a.csv")
    assert (found.kind, found.task, found.count, found.encoding) == ("csv", "text", 12, "utf-8")
    assert found.mapping == Mapping(text="text", attributes=("plant",))
    assert found.rows[0] == ("Pump 0 leaks, seal replaced.", "south")
    assert len(found.rows) == 5


def test_a_lone_column_of_prose_is_the_text() -> None:
    rows = "".join(f"{i},The pump number {i} lost its pressure again,n\n" for i in range(12))
    found = preview(f"no,what happened,plant\n{rows}".encode(), "a.csv")
    assert found.mapping == Mapping(text="what happened", attributes=("plant",))


def test_personal_data_is_hinted_at_and_never_guessed_as_a_slice() -> None:
    rows = "".join(
        f"Call 03-1234-567{i % 10} on 2024-01-15,k.sato@example.co.jp\n" for i in range(12)
    )
    found = preview(f"text,who\n{rows}".encode(), "a.csv")
    assert {(hint.column, hint.kind, hint.rows) for hint in found.personal} == {
        ("text", "phone", 12),
        ("who", "email", 12),
    }
    assert found.mapping.attributes == ()


@pytest.mark.parametrize(
    "text", ["P-101 at 2024-01-15", "part 0012-3456 7", "at 12:30, 5 bar", "a@b"]
)
def test_numbers_of_parts_and_dates_are_not_personal(text: str) -> None:
    assert preview(f'text\n"{text}"\n'.encode(), "a.csv").personal == ()


@pytest.mark.parametrize(
    "number", ["090-1234-5678", "09012345678", "+81 3 1234 5678", "(03) 1234-5678"]
)
def test_telephone_numbers_are(number: str) -> None:
    found = preview(f'text\n"call {number} now"\n'.encode(), "a.csv").personal
    assert [hint.kind for hint in found] == ["phone"]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (Mapping(text="body"), "no column 'body'. Choose from: text, plant"),
        (Mapping(attributes=("x",)), "no column 'x'"),
        (Mapping(text="text", attributes=("text",)), "'text' is chosen twice"),
    ],
)
def test_a_mapping_that_does_not_fit(mapping: Mapping, words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        import_own(reports().encode(), "a.csv", task="text", mapping=mapping, into=tmp_path)
