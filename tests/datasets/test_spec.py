from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from osscar_core.datasets import DataSpec, parse_data_spec
from osscar_core.datasets.spec import check_split, data_task, import_optional, pick_part
from osscar_core.errors import MissingDependencyError, SpecError


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("text:a/b.txt", "text", "a/b.txt"),
        ("images:/x/y.parquet", "images", "/x/y.parquet"),
        ("own:/x/y.zip", "own", "/x/y.zip"),
        ("hf:wikitext2/train", "hf", "wikitext2/train"),
        ("demo:python-docs", "demo", "python-docs"),
        ("demo:factory/line-c", "demo", "factory/line-c"),
        ("text:C:\\data\\a.txt", "text", "C:\\data\\a.txt"),
    ],
)
def test_known_forms(text: str, kind: str, location: str) -> None:
    spec = parse_data_spec(text)
    assert (spec.kind, spec.location) == (kind, location)
    assert str(spec) == text
    assert isinstance(spec, DataSpec)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("txt:a.txt", ["unknown data prefix 'txt'", "Did you mean 'text'", "demo:NAME"]),
        ("imagenet:val", ["unknown data prefix 'imagenet'", "images:PATH"]),
        ("notes.txt", ["does not say what it is", "Did you mean 'text:notes.txt'"]),
        ("reports.csv", ["Did you mean 'own:reports.csv'"]),
        ("parts.ZIP", ["Did you mean 'own:parts.ZIP'"]),
        ("own:", ["lacks a place", "own:PATH"]),
        ("a/b.jsonl.xz", ["Did you mean 'text:a/b.jsonl.xz'"]),
        ("x.parquet", ["'text:x.parquet' or 'images:x.parquet'"]),
        ("cat.PNG", ["named by the folder"]),
        ("c4", ["Did you mean 'hf:c4'"]),
        ("python-docs", ["Did you mean 'demo:python-docs'"]),
        ("C:\\data\\a.txt", ["Did you mean 'text:C:\\data\\a.txt'"]),
        ("factory/line-a", ["does not say what it is", "All forms"]),
        ("text:", ["lacks a place", "text:PATH"]),
        ("demo:", ["lacks a place", "demo:NAME"]),
        ("demo:factori", ["unknown demo data 'factori'", "Did you mean 'factory'?", "python-docs"]),
        (
            "demo:factory/line-d",
            ["unknown part of demo:factory 'line-d'", "Did you mean 'line-", "line-c"],
        ),
        ("demo:plant-log/plant4", ["Did you mean 'plant-", "plant-1, plant-2, plant-3"]),
        ("demo:python-docs/topics", ["has no part 'topics'", "Write it as demo:python-docs"]),
        ("", ["All forms: text:PATH"]),
    ],
)
def test_errors_help(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_data_spec(text)
    for word in words:
        assert word in str(caught.value)


def test_bare_folder_gets_both_readings(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"'text:{tmp_path}' or 'images:{tmp_path}'"):
        parse_data_spec(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "split", "expected"),
    [
        (["test", "train"], "calibration", "train"),
        (["train", "val"], "evaluation", "val"),
        (["train", "validation", "test"], "evaluation", "test"),
        (["val"], "calibration", "val"),
        (["train"], "evaluation", "train"),
    ],
)
def test_pick_part(names: list[str], split: str, expected: str) -> None:
    assert pick_part(names, check_split(split)) == expected


@pytest.mark.parametrize(
    ("spec", "task"),
    [
        ("text:a", "text"),
        ("images:a", "image"),
        ("own:a.csv", "text"),
        ("own:a.zip", "image"),
        ("own:a", None),
        ("hf:a", None),
        ("demo:factory/line-a", "image"),
        ("demo:plant-log", "text"),
    ],
)
def test_who_reads_it(spec: str, task: str | None) -> None:
    assert data_task(parse_data_spec(spec)) == task


def test_unknown_split() -> None:
    with pytest.raises(SpecError, match="unknown split 'train'"):
        check_split("train")


def test_missing_package_is_told() -> None:
    with pytest.raises(MissingDependencyError, match="reading x needs the package 'no_such'"):
        import_optional("no_such.module", "reading x")


def test_checking_a_specification_needs_no_torch() -> None:
    code = (
        "import sys; from osscar_core.datasets import parse_data_spec; "
        "parse_data_spec('text:a'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_has_no_other_names() -> None:
    import osscar_core.datasets

    with pytest.raises(AttributeError, match="no_such"):
        _ = osscar_core.datasets.no_such
