"""Whatever a file holds: it is used or refused in words, and nothing else happens."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osscar_core.datasets.own import import_own, list_own, own_documents, own_pictures, preview
from osscar_core.datasets.own.problems import short
from osscar_core.errors import DataError, SpecError
from osscar_core.records import Task
from ownfiles import CLASSES, labelled, packed, reports

_BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_PIECES = [
    "text",
    ",",
    ";",
    "\t",
    '"',
    "\r\n",
    "\n",
    "\r",
    "\0",
    "本文",
    "\ufeff",
    "a b c",
    "NaN",
    "",
]
_CSV = st.lists(st.one_of(st.sampled_from(_PIECES), _TEXT), max_size=60).map("".join)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.lists(st.dictionaries(st.just("text") | _TEXT, _VALUES, max_size=4), max_size=14)
_NAMES = (
    st.lists(
        st.sampled_from(
            ["..", ".", "", "good", "pit", "a.png", "labels.csv", "C:", "/", "\\", "表"]
        ),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(bool)
)


def _refusal(action: Callable[[], object]) -> str:
    """Return in which words something is refused; empty if it is not."""
    try:
        action()
    except (DataError, SpecError) as error:
        return str(error)
    return ""


def _import(data: bytes, name: str, task: Task) -> None:
    """Import a file; whatever comes of it, look at what is on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "deep" / "own"
        assert _refusal(lambda: preview(data, name)).isprintable()
        refusal = _refusal(
            lambda: import_own(data, name, task=task, class_names=CLASSES, into=into)
        )
        files = [p for p in Path(folder).rglob("*") if p.is_file()]
        if refusal:
            assert refusal.isprintable()
            assert files == []
            assert not into.exists() or list(into.iterdir()) == []
            return
        (kept,) = list_own(into)
        assert all(into / kept.id in file.parents for file in files)
        place = str(into / kept.id)
        if task == "text":
            texts, names, attributes = own_documents(place)
            assert len(texts) == len(names) == len(attributes) == kept.count
            assert all(text.strip() for text in texts)
        else:
            assert all(0 <= label < len(CLASSES) for label in own_pictures(place).labels)


@_BOUNDED
@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.jsonl", "a.zip"]))
def test_any_bytes(data: bytes, name: str) -> None:
    _import(data, name, "text")
    _import(data, name, "image")


@_BOUNDED
@given(_CSV, st.sampled_from(["utf-8", "cp932"]))
def test_any_table(text: str, encoding: str) -> None:
    _import(text.encode(encoding, errors="replace"), "a.csv", "text")
    _import(("text,x\n" + "abc,1\n" * 12 + text).encode(encoding, errors="replace"), "a", "text")


@_BOUNDED
@given(_OBJECTS)
def test_any_json_lines(rows: list[dict[str, object]]) -> None:
    _import("\n".join(json.dumps(row) for row in rows).encode(), "a.jsonl", "text")


@_BOUNDED
@given(st.lists(st.tuples(_NAMES, st.binary(max_size=30)), max_size=4), st.booleans())
def test_any_names_in_a_zip(entries: list[tuple[str, bytes]], is_good: bool) -> None:
    _import(packed({**(labelled() if is_good else {}), **dict(entries)}), "a.zip", "image")


_GOOD_ZIP = packed(labelled())


@_BOUNDED
@given(st.lists(st.tuples(st.integers(0, len(_GOOD_ZIP) - 1), st.integers(0, 255)), max_size=6))
def test_a_zip_with_a_few_bytes_changed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_GOOD_ZIP)
    for at, value in changes:
        data[at] = value
    _import(bytes(data), "a.zip", "image")


@_BOUNDED
@given(st.integers(0, 400), st.binary(max_size=4))
def test_a_table_with_a_few_bytes_put_in(at: int, put: bytes) -> None:
    data = reports().encode()
    _import(data[:at] + put + data[at:], "a.csv", "text")


@given(st.text())
def test_what_is_shown_of_a_value_is_one_short_line(value: str) -> None:
    shown = short(value)
    assert shown.isprintable()
    assert len(shown) <= 40


@pytest.mark.parametrize("task", ["text", "image"])
def test_the_good_ones_do_get_in(task: Task) -> None:
    """The tests above would pass if everything were refused."""
    with tempfile.TemporaryDirectory() as folder:
        data = reports().encode() if task == "text" else _GOOD_ZIP
        import_own(data, "a", task=task, class_names=CLASSES, into=Path(folder))
        assert len(list_own(Path(folder))) == 1
