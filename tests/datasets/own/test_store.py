"""What is kept comes back as it was, is deletable, and is nobody else's business."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from osscar_core.datasets.own import (
    Mapping,
    OwnDataError,
    delete_expired,
    delete_own,
    expired,
    import_own,
    list_own,
    own_documents,
    own_folder,
    own_name,
    own_pictures,
    own_task,
)
from osscar_core.datasets.own.store import INFO_FILE, ITEMS_FILE, OwnInfo, plain_name
from osscar_core.datasets.spec import existing_path, parse_data_spec, shown_spec
from osscar_core.errors import DataError, OutputError, SpecError
from osscar_core.records import from_json, to_json
from ownfiles import CLASSES, class_folders, labelled, packed, reports


def _reports(into: Path, name: str = "reports.csv", **settings: object) -> OwnInfo:
    return import_own(reports().encode(), name, task="text", into=into, **settings)


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_documents_come_back_as_they_were(encoding: str, tmp_path: Path) -> None:
    texts = [f"ポンプ{i}号の表面に傷。\n「交換」済み, 確認" for i in range(12)]
    rows = "".join(f'"{text}",{"北" if i % 2 else ""}\r\n' for i, text in enumerate(texts))
    kept = import_own(
        f"本文,工場\r\n{rows}".encode(encoding), "日報.csv", task="text", into=tmp_path, owner="k"
    )
    found, names, attributes = own_documents(str(tmp_path / kept.id))
    assert list(found) == texts
    assert names[0] == "row 2"
    assert attributes[:2] == ({}, {"工場": "北"})
    assert (kept.name, kept.owner, kept.columns) == ("日報.csv", "k", ("工場",))
    assert kept.encoding == encoding
    assert any("Shift-JIS" in warning for warning in kept.warnings) == (encoding == "cp932")


def test_a_mapping_given_counts(tmp_path: Path) -> None:
    rows = "".join(f"Pump {i},north,The pump number {i} leaks\n" for i in range(12))
    data = f"text,plant,remark\n{rows}".encode()
    mapping = Mapping(text="remark", attributes=("text",))
    kept = import_own(data, "a.csv", task="text", mapping=mapping, into=tmp_path)
    texts, _, attributes = own_documents(str(tmp_path / kept.id))
    assert texts[3] == "The pump number 3 leaks"
    assert attributes[3] == {"text": "Pump 3"}


def test_a_file_read_on_the_spot_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "reports.csv"
    file.write_text(reports(), encoding="utf8")
    kept = _reports(tmp_path / "own")
    assert own_documents(str(file)) == own_documents(str(tmp_path / "own" / kept.id))
    packed_file = tmp_path / "set.zip"
    packed_file.write_bytes(packed(labelled()))
    pictures = own_pictures(str(packed_file), CLASSES)
    assert pictures.labels[:4] == (0, 1, 2, 0)
    assert pictures.attributes[1] == {"line": "B"}


def test_record_survives_json(tmp_path: Path) -> None:
    kept = import_own(packed(labelled()), "a.zip", task="image", class_names=CLASSES, into=tmp_path)
    assert from_json(OwnInfo, to_json(kept)) == kept
    assert list_own(tmp_path) == (kept,)
    folder = own_folder(tmp_path, kept.id)
    assert sorted(p.name for p in folder.iterdir()) == ["images", ITEMS_FILE, INFO_FILE]
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert kept.bytes == size - (folder / INFO_FILE).stat().st_size


def test_the_same_items_have_the_same_digest_whatever_the_name(tmp_path: Path) -> None:
    first, second = _reports(tmp_path), _reports(tmp_path, "other.csv")
    assert first.digest == second.digest
    assert first.id != second.id
    changed = import_own(
        reports().replace("Pump 3", "Pump 4").encode(), "a.csv", task="text", into=tmp_path
    )
    assert changed.digest != first.digest


def test_the_name_is_kept_in_one_place_only_and_the_owner_with_it(tmp_path: Path) -> None:
    kept = _reports(tmp_path, "C:\\secret plans\\geheim-42.csv", owner="somebody")
    assert kept.name == "geheim-42.csv"
    for file in tmp_path.rglob("*"):
        assert "geheim" not in str(file)
        if file.is_file() and file.name != INFO_FILE:
            assert b"geheim" not in file.read_bytes()
            assert b"somebody" not in file.read_bytes()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("a/b/", "b"),
        ("a\x00\x1b[31m.csv", "a[31m.csv"),
        ("", "data"),
        ("x" * 500, "x" * 100),
        ("\ud800", "data"),
    ],
)
def test_names_are_plain(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_only_the_person_can_read_it(tmp_path: Path) -> None:
    kept = _reports(tmp_path / "own")
    for folder in (tmp_path / "own", tmp_path / "own" / kept.id):
        assert folder.stat().st_mode & 0o077 == 0


def test_newest_first_and_damaged_ones_left_out(tmp_path: Path) -> None:
    kept = [_reports(tmp_path) for _ in range(3)]
    assert [info.id for info in list_own(tmp_path)] == [info.id for info in reversed(kept)]
    (tmp_path / kept[1].id / INFO_FILE).write_text("{", encoding="utf8")
    (tmp_path / "not an id").mkdir()
    assert [info.id for info in list_own(tmp_path)] == [kept[2].id, kept[0].id]
    assert list_own(tmp_path / "nowhere") == ()


def test_deleted_is_gone(tmp_path: Path) -> None:
    kept, other = _reports(tmp_path), _reports(tmp_path)
    delete_own(tmp_path, kept.id)
    assert [p.name for p in tmp_path.iterdir()] == [other.id]
    with pytest.raises(DataError, match="no longer there"):
        delete_own(tmp_path, kept.id)
    with pytest.raises(DataError, match=r"'own:.*' is not there"):
        own_documents(str(tmp_path / kept.id))


@pytest.mark.parametrize(
    "identity", ["..", "../own", "", ".", "/etc", "a" * 15, "A" * 16, "0" * 17]
)
def test_no_id_leads_elsewhere(identity: str, tmp_path: Path) -> None:
    kept = _reports(tmp_path / "own")
    with pytest.raises(SpecError, match="no id of own data"):
        delete_own(tmp_path / "own", identity)
    assert list_own(tmp_path / "own") == (kept,)


def test_a_link_is_no_set(tmp_path: Path) -> None:
    kept = _reports(tmp_path / "own")
    link = tmp_path / "own" / ("0" * 16)
    link.symlink_to(tmp_path / "own" / kept.id)
    assert list_own(tmp_path / "own") == (kept,)
    with pytest.raises(DataError, match="no longer there"):
        delete_own(tmp_path / "own", link.name)


def test_old_ones_go_and_leftovers_of_an_interrupted_import(tmp_path: Path) -> None:
    old, new = _reports(tmp_path), _reports(tmp_path)
    file = tmp_path / old.id / INFO_FILE
    stored = json.loads(file.read_text(encoding="utf8"))
    del stored["sha256"]  # or it would count as damaged
    stored["created"] = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    file.write_text(json.dumps(stored), encoding="utf8")
    leftovers = [tmp_path / f".new-{'0' * 16}", tmp_path / f".new-{'1' * 16}"]
    for folder in leftovers:
        folder.mkdir()
    os.utime(leftovers[0], (0, 0))
    assert [info.id for info in expired(tmp_path, 7)] == [old.id]
    assert expired(tmp_path, 9) == ()
    assert [info.id for info in delete_expired(tmp_path, 7)] == [old.id]
    assert list_own(tmp_path) == (new,)
    assert [folder.exists() for folder in leftovers] == [False, True]
    assert delete_expired(tmp_path / "nowhere", 7) == ()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"cannot be kept \(No space left"):
        import_own(packed(class_folders()), "a.zip", task="image", into=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:-3],
        lambda line: "",
        lambda line: line.replace("000001.png", "../own.json"),
        lambda line: line.replace('"label": ', '"label": "x'),
        lambda line: "[]",
        lambda line: line.replace('"label": 0', '"label": 1').replace('"label": 2', '"label": 0'),
    ],
)
def test_damage_is_told(damage: object, tmp_path: Path) -> None:
    kept = import_own(packed(labelled()), "a.zip", task="image", class_names=CLASSES, into=tmp_path)
    file = tmp_path / kept.id / ITEMS_FILE
    first, *others = file.read_text(encoding="utf8").splitlines(keepends=True)
    changed = damage(first.rstrip("\n"))
    assert changed != first.rstrip("\n")
    file.write_text((f"{changed}\n" if changed else "") + "".join(others), encoding="utf8")
    with pytest.raises(DataError, match=r"'a\.zip' is (damaged|incomplete)"):
        own_pictures(str(tmp_path / kept.id))


def test_a_picture_that_is_gone_is_told(tmp_path: Path) -> None:
    kept = import_own(packed(class_folders()), "a.zip", task="image", into=tmp_path)
    shutil.rmtree(tmp_path / kept.id / "images")
    with pytest.raises(DataError, match=r"a picture of 'a\.zip' is gone"):
        own_pictures(str(tmp_path / kept.id)).read(0)


def test_neither_path_nor_id_is_told(tmp_path: Path) -> None:
    kept = _reports(tmp_path / "own")
    spec = f"own:{tmp_path / 'own' / kept.id}"
    assert shown_spec(spec) == "own:reports.csv"
    assert own_name(str(tmp_path / "x" / "a.zip")) == "a.zip"
    assert shown_spec("text:/a/b.txt") == "text:/a/b.txt"
    delete_own(tmp_path / "own", kept.id)
    with pytest.raises(DataError) as caught:
        existing_path(parse_data_spec(spec))
    assert "'own:data' is not there" in str(caught.value)
    assert shown_spec(spec) == "own:data"


def test_which_model_reads_it(tmp_path: Path) -> None:
    kept = _reports(tmp_path / "own")
    assert own_task(str(tmp_path / "own" / kept.id)) == "text"
    assert own_task("a.CSV") == "text"
    assert own_task("a.zip") == "image"
    assert own_task(str(tmp_path)) == "image"
    assert own_task("a.bin") is None
    with pytest.raises(SpecError, match=r"'own:reports\.csv' is text, and the model reads images"):
        own_pictures(str(tmp_path / "own" / kept.id))


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(OwnDataError, match="a text model reads one file"):
        import_own(tmp_path, "x", task="text", into=tmp_path / "own")
    with pytest.raises(DataError, match=r"'gone\.csv' cannot be read"):
        import_own(tmp_path / "gone.csv", "x", task="text", into=tmp_path / "own")
