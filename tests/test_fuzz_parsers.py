"""Whatever the bytes are: a parser returns or refuses in words, and nothing else comes of it.

Valid files are flipped, cut, filled and doubled. The same few hundred each time here; with
``OSSCAR_FUZZ=N`` it is N times as many, and others every time.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import lzma
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import Tokenizer

from hostilefiles import Ground, picture, saved
from osscar_core.bench.problems import load_problem
from osscar_core.checks.export import safe_cell
from osscar_core.checks.records import ABReport, ShiftReport, StressReport
from osscar_core.datasets.corpus import read_corpus
from osscar_core.datasets.images import load_images
from osscar_core.datasets.spec import DataSpec, parse_data_spec
from osscar_core.errors import OsscarError
from osscar_core.evaluation.latency_table import LatencyTable
from osscar_core.goals import Goal, parse_bytes
from osscar_core.models.text import load_config, text_skeleton
from osscar_core.models.untrusted import check_gguf, check_tokenizer_file, indexed_files
from osscar_core.models.weights import read_state
from osscar_core.notation import as_markdown, in_code
from osscar_core.records import ImagePreprocess, Plan, SweepReport, from_json, to_json
from osscar_core.showcase import Showcase
from osscar_core.storage import given_path
from osscar_core.studio import bundle, frame
from osscar_core.studio.bundle import Bundle, Manifest
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.survey import load_survey

TIMES = int(os.environ.get("OSSCAR_FUZZ", "1"))
SMALL = ImagePreprocess((0.5,) * 3, (0.5,) * 3, size=8)


def fuzzed(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "put", "double", "zero", "huge"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)
# What values of JSON are replaced by.
_VALUES = st.sampled_from(
    [None, True, False, 0, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf,
     "", "x", "\0", "\u202e", "\ud800", "../../etc/passwd", "x" * 100_000, "{}", [], {}, [[[[]]]],
     {"a": {"a": {}}}, [None] * 1000, {"": None}]
)  # fmt: skip


def changed(raw: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """Return bytes after some changes, each at a share of the way through them."""
    data = bytearray(raw)
    for kind, share, extra in changes:
        at = int(share * max(0, len(data) - 1))
        if kind == "flip" and data:
            data[at] ^= extra[0] or 1
        elif kind == "cut":
            del data[at:]
        elif kind == "put":
            data[at:at] = extra
        elif kind == "double":
            data[at:at] = data[at : at + 64]
        else:
            data[at : at + 8] = (b"\0" if kind == "zero" else b"\xff") * 8
    return bytes(data)


def spoilt(values: Any, places: list[tuple[float, Any]]) -> Any:
    """Return values of JSON with some of them replaced."""
    whole = copy.deepcopy(values)
    for share, new in places:
        paths = list(_paths(whole))
        if not paths:
            break
        *outer, last = paths[int(share * (len(paths) - 1))]
        inner = whole
        for key in outer:
            inner = inner[key]
        inner[last] = copy.deepcopy(new)
    return whole


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _paths(item, (*path, key))


_PLACES = st.lists(st.tuples(st.floats(0, 1), _VALUES), min_size=1, max_size=3)


def refused(action: Callable[[], object]) -> bool:
    """Return whether something is refused, and check that it is in words."""
    words = ""
    try:
        action()
    except OsscarError as error:
        words = str(error)
    assert words.isprintable()
    assert len(words) < 9_000
    return bool(words)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground.made(tmp_path_factory.mktemp("fuzz"))


# ---------------------------------------------------------------- weights and models

_STATE = {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(3)}
_PICKLES = {
    ".pt": saved(_STATE),
    ".pth": saved({"state_dict": _STATE}, _use_new_zipfile_serialization=False),
}


@fuzzed(120)
@given(changes=_CHANGES)
def test_safetensors(ground: Ground, changes: Any) -> None:
    file = ground.folder / "fuzz.safetensors"
    save_file(_STATE, file)
    file.write_bytes(changed(file.read_bytes(), changes))
    refused(lambda: read_state(file))
    refused(lambda: load_problem(file, torch.device("cpu")))


@fuzzed(120)
@given(changes=_CHANGES, ending=st.sampled_from(list(_PICKLES)))
def test_pickles(ground: Ground, changes: Any, ending: str) -> None:
    file = ground.folder / f"fuzz{ending}"
    file.write_bytes(changed(_PICKLES[ending], changes))
    refused(lambda: read_state(file))


@fuzzed(40)
@given(places=_PLACES)
def test_configurations(ground: Ground, places: Any) -> None:
    values = json.loads((ground.model / "config.json").read_text())
    folder = ground.folder / "fuzz-config"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(spoilt(values, places)))
    refused(
        lambda: text_skeleton(load_config(folder, trust_remote_code=False), trust_remote_code=False)
    )


@fuzzed(60)
@given(changes=_CHANGES, places=_PLACES)
def test_indexes(ground: Ground, changes: Any, places: Any) -> None:
    file = ground.folder / "fuzz.index.json"
    values = {"metadata": {"total_size": 1}, "weight_map": {"a": "x.safetensors", "b": "y"}}
    for raw in (
        changed(json.dumps(values).encode(), changes), json.dumps(spoilt(values, places)).encode(),
    ):  # fmt: skip
        file.write_bytes(raw)
        if not refused(lambda: indexed_files(file)):
            assert all(
                (file.parent / n).parent == file.parent for n in indexed_files(file).values()
            )


@fuzzed(60)
@given(raw=st.binary(max_size=40), start=st.sampled_from([b"", b"GGUF", b"GGUF\3\0\0\0"]))
def test_heads_of_gguf(ground: Ground, raw: bytes, start: bytes) -> None:
    file = ground.folder / "fuzz.gguf"
    file.write_bytes(start + raw)
    refused(lambda: check_gguf(file))


# ---------------------------------------------------------------- data

_PICTURES = {
    ending: picture(kind, (24, 24))
    for ending, kind in {
        "png": "PNG", "jpg": "JPEG", "gif": "GIF", "tif": "TIFF", "webp": "WEBP", "bmp": "BMP",
    }.items()
}  # fmt: skip
_LINES = '{"text": "the pump leaks"}\n{"text": "a valve"}\n' * 4


def _rows() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["the pump leaks", "a valve"] * 4, "n": range(8)}), out)
    return out.getvalue()


_TEXTS = {
    "a.txt": _LINES.encode(),
    "a.jsonl": _LINES.encode(),
    "a.jsonl.gz": gzip.compress(_LINES.encode()),
    "a.jsonl.xz": lzma.compress(_LINES.encode()),
    "a.parquet": _rows(),
}


@fuzzed(150)
@given(changes=_CHANGES, ending=st.sampled_from(list(_PICTURES)))
def test_pictures(ground: Ground, changes: Any, ending: str) -> None:
    folder = ground.folder / "fuzz-pictures"
    (folder / "c0").mkdir(parents=True, exist_ok=True)
    file = folder / "c0" / f"a.{ending}"
    file.write_bytes(changed(_PICTURES[ending], changes))
    refused(lambda: list(load_images(f"images:{folder}", SMALL).batches(1)))
    file.unlink()


@fuzzed(120)
@given(changes=_CHANGES, name=st.sampled_from(list(_TEXTS)))
def test_texts(ground: Ground, changes: Any, name: str) -> None:
    file = ground.folder / name
    file.write_bytes(changed(_TEXTS[name], changes))
    refused(lambda: list(read_corpus(DataSpec("text", str(file))).texts))


_WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["mix:", "demo:factory", "text:", "own:", "3*", "1e400*", "+", "[", "]", "=", ",", "~",
             "blur", "0.5", "/line-a", ":", "\0", "x" * 300, "~root", "..", "\udc80", "GiB", "nan"]
        ),
        st.text(max_size=8),
    ),
    max_size=7,
).map("".join)  # fmt: skip


@fuzzed(250)
@given(text=_WORDS)
def test_what_a_person_writes(text: str) -> None:
    for read in (parse_data_spec, Goal.parse, parse_bytes, given_path):
        refused(lambda read=read: read(text))
    for goal in frame.GOALS:
        frame._is_value(text, {"goal": goal})
    for key in ("lang", "goal", "x", "layer"):
        frame.PARAMETERS[key].is_valid(text, {})


# ---------------------------------------------------------------- records and bundles


@pytest.fixture(scope="module")
def packed(samples: Any) -> bytes:
    asked = samples.image_request()
    return bundle.pack(Bundle(Manifest(1, created=1.0), asked, samples.result(asked)))


@fuzzed(60)
@given(changes=_CHANGES)
def test_bytes_of_a_bundle(packed: bytes, changes: Any) -> None:
    refused(lambda: bundle.unpack(changed(packed, changes)))


@fuzzed(120)
@given(places=_PLACES, name=st.sampled_from(["request.json", "result.json", "bundle.json"]))
def test_values_in_a_bundle(packed: bytes, places: Any, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    members[name] = json.dumps(spoilt(json.loads(members[name]), places)).encode()
    if name != "bundle.json":
        manifest = json.loads(members["bundle.json"])
        manifest["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
        members["bundle.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for one, raw in members.items():
            archive.writestr(one, raw)

    def taken_in() -> None:
        found = bundle.unpack(out.getvalue())
        # What was taken in can be kept, shown and packed again.
        to_json(found.result).encode()
        found.manifest.name.encode()
        bundle.pack(found)

    refused(taken_in)


@fuzzed(100)
@given(
    places=_PLACES,
    kind=st.sampled_from(
        [Plan, RunResult, JobRequest, SweepReport, LatencyTable, Showcase, ABReport, ShiftReport,
         StressReport]
    ),
)  # fmt: skip
def test_records(packed: bytes, places: Any, kind: type) -> None:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        result = json.loads(archive.read("result.json"))
        request = json.loads(archive.read("request.json"))
    values = {Plan: result["prune"]["plan"], RunResult: result}.get(kind, request)
    refused(lambda: from_json(kind, json.dumps(spoilt(values, places))))


@fuzzed(60)
@given(changes=_CHANGES)
def test_a_survey(ground: Ground, changes: Any) -> None:
    folder = ground.folder / "fuzz-survey"
    folder.mkdir(exist_ok=True)
    raw = b'{"version": 2, "spec": {"model": "x", "calibration": "text:y"}, "units": []}'
    (folder / "survey.json").write_bytes(changed(raw, changes))
    assert refused(lambda: load_survey(folder))


_LETTERS = st.text("ab", max_size=4)
_PATTERNS = st.builds(lambda text: {"String": text}, _LETTERS.filter(bool)) | st.sampled_from(
    [
        {"Regex": text}
        for text in ("a", "a*", "b?", "a|", "(?=a)", "(?<=b)", r"\b", r"\G", "[ab]{2}")
    ]
)
_LONG = st.builds(lambda text, times: text * times, _LETTERS, st.sampled_from([1, 8, 300]))
_RULE = st.one_of(
    st.builds(lambda p, c: {"type": "Replace", "pattern": p, "content": c}, _PATTERNS, _LONG),
    st.builds(lambda text: {"type": "Prepend", "prepend": text}, _LONG),
)
_RULES = st.lists(_RULE, max_size=12)


@fuzzed(300)
@given(rules=_RULES, text=st.text("ab", min_size=1, max_size=20))
def test_what_a_tokenizer_makes_of_a_text(ground: Ground, rules: Any, text: str) -> None:
    file = ground.folder / "tokenizer.json"
    normaliser = {"type": "Sequence", "normalizers": rules}
    model = {"type": "WordLevel", "vocab": {}, "unk_token": "?"}
    file.write_text(json.dumps({"model": model, "normalizer": normaliser}))
    if refused(lambda: check_tokenizer_file(file)):
        return
    made = Tokenizer.from_file(str(file)).normalizer.normalize_str(text)
    assert len(made) <= 1_000 * (len(text) + len(rules))


# ---------------------------------------------------------------- what is shown

_ANY = st.text(st.characters(), max_size=30) | _WORDS


@fuzzed(200)
@given(text=_ANY)
def test_what_is_shown(text: str) -> None:
    assert str(OsscarError(text, text)).isprintable()
    assert not set(in_code(text)) & set("`\n\r\u202e")
    as_markdown(text).encode()
    in_code(text).encode()
    cell = safe_cell(text)
    is_number = math.isfinite(_float(cell))
    assert is_number or not cell.lstrip(" ").startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def test_the_good_ones_do_get_in(ground: Ground, packed: bytes, tmp_path: Path) -> None:
    """The tests above would pass if everything were refused."""
    save_file(_STATE, tmp_path / "a.safetensors")
    assert set(read_state(tmp_path / "a.safetensors")) == set(_STATE)
    for ending, raw in _PICKLES.items():
        (tmp_path / f"a{ending}").write_bytes(raw)
        assert set(read_state(tmp_path / f"a{ending}")) == set(_STATE)
    (tmp_path / "c0").mkdir()
    for ending, raw in _PICTURES.items():
        (tmp_path / "c0" / f"a.{ending}").write_bytes(raw)
    assert len(list(load_images(f"images:{tmp_path}", SMALL).batches(1))) == len(_PICTURES)
    for name, raw in _TEXTS.items():
        (tmp_path / name).write_bytes(raw)
        assert list(read_corpus(DataSpec("text", str(tmp_path / name))).texts)
    assert bundle.unpack(packed).request
