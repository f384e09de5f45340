"""``data check`` says what is in a file, or all that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import Main, runner
from ownfiles import class_folders, labelled, packed, reports


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


def test_a_good_table(main: Main, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(reports().encode("cp932"))
    found = main("data", "check", file, "--model", "demo/opt", "--json").payload
    assert (found["usable"], found["kind"], found["count"]) == (True, "csv", 12)
    assert (found["columns"], found["errors"]) == (["plant"], [])
    text = main("data", "check", file, "--model", "demo/opt").out
    assert text.startswith("12 documents (csv, UTF-8)\nslices: plant\n")
    assert "warning: 12 items are few" in text


def test_a_column_by_name_and_a_hint_of_personal_data(main: Main, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"m{i}@example.com,Pump {i} leaks\n" for i in range(12))
    file.write_text(f"who,what\n{rows}", encoding="utf8")
    result = main("data", "check", file, "--model", "demo/opt", "--text", "what")
    assert result.code == 0
    assert "personal: column 'who' seems to hold e-mail addresses (12 rows)" in result.out
    wrong = main("data", "check", file, "--model", "demo/opt", "--text", "no")
    assert wrong.code == 2
    assert wrong.reason == "error: the file has no column 'no'. Choose from: who, what."


def test_pictures_are_read_by_the_classes_of_the_model(main: Main, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(packed(class_folders()))
    result = main("data", "check", file, "--model", "demo/resnet50")
    assert result.code == 0
    assert "12 pictures (zip)" in result.out
    assert "classes: good 4, pit 4, scratch 4" in result.out
    assert "no picture of 5 classes: crack, stain, dent, inclusion, scale" in result.out


def test_every_error_and_exit_code_2(main: Main, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(packed(labelled(24, ("good", "rust"))))
    result = main("data", "check", file, "--model", "demo/resnet50")
    assert result.code == 2
    lines = result.out.splitlines()
    assert lines[0] == "12 errors"
    assert lines[1].startswith("  row 3, column B (label): 'rust' is not a class of the model")
    assert len(lines) == 12
    assert lines[-1] == "  and 2 more"
    as_json = main("data", "check", file, "--model", "demo/resnet50", "--json")
    found = json.loads(as_json.out)
    assert as_json.code == 2
    assert (found["usable"], found["count"], len(found["errors"])) == (False, 12, 10)
    assert {key: found["errors"][0][key] for key in ("row", "column", "value")} == {
        "row": 3,
        "column": 2,
        "value": "rust",
    }


def test_what_is_no_mistake_in_the_file_is_one_line(main: Main, tmp_path: Path) -> None:
    missing = main("data", "check", tmp_path / "no.csv", "--model", "demo/opt")
    assert (missing.code, "'no.csv' cannot be read" in missing.reason) == (2, True)
    model = main("data", "check", tmp_path, "--model", "resnet")
    assert (model.code, "unknown model 'resnet'" in model.reason) == (2, True)
    data = main("evaluate", "demo/opt", "--data", f"own:{tmp_path / 'gone.csv'}")
    assert data.code == 2
    assert data.reason.startswith("error: the data 'own:gone.csv' is not there")
