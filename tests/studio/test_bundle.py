"""A finished run as a file: what goes in, and what is not believed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import zipfile

import pytest

from hostilefiles import picture, png
from osscar_core.errors import OsscarError
from osscar_core.records import to_json
from osscar_core.showcase import Guess, Picture, Showcase
from osscar_core.studio import bundle
from osscar_core.studio.jobs import Run, RunStore, State, Status, StoreError

NAME = "20260101-000000-000000"


@pytest.fixture
def finished(still: RunStore, samples) -> Run:
    asked = samples.image_request()
    found = samples.result(asked)
    found = dataclasses.replace(found, prune=dataclasses.replace(found.prune, out="/my/own/path"))
    samples.write_run(still.home, NAME, asked, found)
    run = still.rename(still.get(NAME), "the best")
    return still.annotate(run, "for Monday")


def rebuilt(data: bytes, change=None, *, is_signed: bool = True, extra=()) -> bytes:
    """Pack a bundle again with its members changed, its manifest made to agree or not."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change is not None:
        change(members)
    if is_signed and "bundle.json" in members:
        manifest = json.loads(members["bundle.json"])
        others = {name: raw for name, raw in members.items() if name != "bundle.json"}
        manifest["sha256"] = {n: hashlib.sha256(raw).hexdigest() for n, raw in others.items()}
        members["bundle.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in [*members.items(), *extra]:
            archive.writestr(name, raw)
    return out.getvalue()


def edited(member: str, *path: str, value: object):
    def change(members: dict[str, bytes]) -> None:
        whole = inner = json.loads(members[member])
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        members[member] = json.dumps(whole).encode()

    return change


def replaced(member: str, raw: bytes):
    return lambda members: members.update({member: raw})


def test_a_run_travels_with_its_name_and_note_but_without_its_paths(
    still: RunStore, finished: Run, tmp_path
) -> None:
    data = still.pack(finished)
    assert b"/my/own/path" not in rebuilt(data)
    assert {info.filename for info in zipfile.ZipFile(io.BytesIO(data)).infolist()} == {
        "bundle.json", "request.json", "result.json",
    }  # fmt: skip
    other = RunStore(tmp_path / "other")
    run = other.unpack(data, "bob")
    assert run == other.get(run.id, "bob")
    assert (run.name, run.note, run.owner) == ("the best", "for Monday", "bob")
    assert (run.is_imported, run.status.state) == (True, State.FINISHED)
    assert run.status.seconds == finished.status.seconds
    assert not run.can_resume
    assert run.request == finished.request
    assert other.result(run).speedup == still.result(finished).speedup
    assert other.result(run).prune.out is None
    assert other.unpack(data, "bob").id == run.id
    assert other.unpack(data, "ann").id != run.id
    assert other.unpack(other.pack(run), "bob").id == run.id


def test_an_imported_run_does_not_answer_a_request_for_a_measurement(still, finished) -> None:
    run = still.unpack(still.pack(finished), "bob")
    assert still.submit(run.request, "bob").id != run.id


def test_only_a_finished_run_travels(still: RunStore, ask) -> None:
    with pytest.raises(StoreError, match="no result to export"):
        still.pack(still.submit(ask()))


def shown(image: bytes = picture("PNG")) -> Showcase:
    guess = (Guess(1, "scratch", 0.9),)
    text = base64.b64encode(image).decode()
    picture = Picture(0, text, "image/png", 1, "scratch", guess, guess)
    return Showcase("image", "images:x", seen=1, pictures=(picture,))


def test_a_showcase_travels_along(still: RunStore, finished: Run, tmp_path) -> None:
    assert still.showcase(finished) is None
    (finished.folder / "showcase.json").write_text(to_json(shown()))
    other = RunStore(tmp_path / "other")
    run = other.unpack(still.pack(finished))
    assert other.showcase(run) == shown()
    bad = rebuilt(still.pack(finished), edited("showcase.json", "seen", value="many"))
    with pytest.raises(OsscarError, match=r"Showcase\.seen"):
        other.unpack(bad)


@pytest.mark.parametrize(
    "image",
    [
        b"<svg onload='alert(1)'/>",
        b"",
        b"\x89PNG\r\n and so on",
        png(10**5, 10**5),
        picture("JPEG"),
        picture("PNG")[:50],
    ],
)
def test_a_picture_that_is_none_is_refused(still, finished: Run, image: bytes) -> None:
    (finished.folder / "showcase.json").write_text(to_json(shown(image)))
    with pytest.raises(StoreError, match="picture 0 is no image/png"):
        still.unpack(still.pack(finished), "bob")


def swap_request(members: dict[str, bytes]) -> None:
    edited("request.json", "spec", "sparsity", value=0.25)(members)


ATTACKS = {
    "not a zip": (lambda data: b"PK nothing", "no readable zip"),
    "cut short": (lambda data: data[: len(data) // 2], "no readable zip"),
    "empty": (lambda data: b"", "no readable zip"),
    "too large": (lambda data: data + b"\0" * bundle.MAX_BYTES, "more than"),
    "path out": (
        lambda data: rebuilt(data, extra=[("../../evil.json", b"{}")]), "does not hold",
    ),
    "absolute path": (lambda data: rebuilt(data, extra=[("/etc/x", b"")]), "does not hold"),
    "weights": (lambda data: rebuilt(data, extra=[("model.pkl", b"x")]), "does not hold"),
    "missing member": (
        lambda data: rebuilt(data, lambda members: members.pop("result.json")), "does not hold",
    ),
    "no manifest": (
        lambda data: rebuilt(data, lambda members: members.pop("bundle.json")), "does not hold",
    ),
    "changed": (
        lambda data: rebuilt(data, edited("result.json", "speedup", value=9.0), is_signed=False),
        "checksum of result.json is wrong",
    ),
    "other files signed": (
        lambda data: rebuilt(data, edited("bundle.json", "sha256", value={}), is_signed=False),
        "other files than it holds",
    ),
    "newer": (lambda data: rebuilt(data, edited("bundle.json", "format", value=7)), "version 7"),
    "no version": (
        lambda data: rebuilt(data, edited("bundle.json", "format", value=0)), "version is 0",
    ),
    "bomb": (
        lambda data: rebuilt(data, replaced("result.json", b" " * (40 * 2**20))), "unpacks to",
    ),
    "deep": (
        lambda data: rebuilt(data, replaced("result.json", b"[" * 200_000)), "not valid JSON",
    ),
    "not text": (lambda data: rebuilt(data, replaced("result.json", b"\xff\xfe")), "not valid"),
    "pickle": (lambda data: rebuilt(data, replaced("result.json", b"\x80\x04K.")), "not valid"),
    "unknown field": (
        lambda data: rebuilt(data, edited("result.json", "run_me", value="x")), "unknown fields",
    ),
    "wrong type": (
        lambda data: rebuilt(data, edited("result.json", "speedup", value="fast")), "speedup",
    ),
    "not a number": (
        lambda data: rebuilt(data, edited("result.json", "speedup", value=float("nan"))), "NaN",
    ),
    "infinite": (
        lambda data: rebuilt(
            data, lambda m: m.update({"result.json": m["result.json"].replace(b"12.0", b"1e999")})
        ),
        "1e999",
    ),
    "endless digits": (
        lambda data: rebuilt(data, replaced("request.json", b'{"limit": 1' + b"0" * 99 + b"}")),
        "no number",
    ),
    "nothing divided": (
        lambda data: rebuilt(data, edited("result.json", "prune", "bytes", "dense", value=0)),
        "a size is 0",
    ),
    "no units": (
        lambda data: rebuilt(data, edited("result.json", "prune", "units", value=[])), "groups",
    ),
    "another's result": (lambda data: rebuilt(data, swap_request), "request asks for 0.25"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_is_not_what_it_should_be_is_refused_in_words(
    still: RunStore, finished: Run, tmp_path, attack: str
) -> None:
    make, told = ATTACKS[attack]
    other = RunStore(tmp_path / "other")
    with pytest.raises(OsscarError, match=told):
        other.unpack(make(still.pack(finished)))
    assert other.runs() == []
    assert not other.runs_folder.exists() or not list(other.runs_folder.iterdir())
    assert not list(tmp_path.rglob("evil*"))


def test_twice_the_same_member_is_refused(still: RunStore, finished: Run) -> None:
    data = still.pack(finished)
    with pytest.warns(UserWarning, match="Duplicate"):
        doubled = rebuilt(data, extra=[("result.json", b"{}")])
    with pytest.raises(StoreError, match="does not hold"):
        still.unpack(doubled)


def test_a_bundle_whose_directory_lies_about_sizes_is_stopped(still, finished) -> None:
    data = rebuilt(still.pack(finished), replaced("result.json", b" " * (40 * 2**20)))
    size = (40 * 2**20).to_bytes(4, "little")
    assert data.count(size) == 2
    with pytest.raises(OsscarError):
        still.unpack(data.replace(size, (1000).to_bytes(4, "little")))


def test_a_bundle_whose_directory_lies_about_places_is_refused(still, finished) -> None:
    """The end of a zip file tells where its list begins, and by that where it itself began."""
    data = bytearray(still.pack(finished))
    place = len(data) - 6  # of the list, before the length of the comment
    data[place : place + 4] = (int.from_bytes(data[place : place + 4], "little") + 256).to_bytes(
        4, "little"
    )
    with pytest.raises(StoreError, match="no readable zip file"):
        still.unpack(bytes(data))


def test_a_run_of_a_damaged_folder_is_not_packed(still: RunStore, finished: Run) -> None:
    (finished.folder / "result.json").unlink()
    with pytest.raises(StoreError, match="no result"):
        still.pack(finished)


def test_a_survey_is_no_run_to_export(still: RunStore, samples) -> None:
    from osscar_core.studio.requests import JobKind

    asked = dataclasses.replace(samples.image_request(), kind=JobKind.SURVEY)
    name = "20260102-000000-000000"
    samples.write_run(still.home, name, asked, None, Status(State.FINISHED))
    with pytest.raises(StoreError, match="no result"):
        still.pack(still.get(name))
