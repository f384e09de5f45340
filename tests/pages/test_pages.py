"""Every page, empty and with finished runs, through Streamlit's own test harness."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from osscar_core.studio.choices import LOCAL

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["", "explain", "check", "decide", "runs"]


def words(at) -> str:
    return "\n".join(
        item.value for item in [*at.title, *at.markdown, *at.error, *at.warning, *at.info]
    )


def clicked(at, label: str):
    return next(button for button in at.button if button.label == label).click()


@pytest.mark.parametrize("path", [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))])
def test_every_page_calls_frame_first_and_stays_short(path: Path) -> None:
    source = path.read_text(encoding="utf8")
    body = ast.parse(source).body
    first = next(node for node in body[1:] if not isinstance(node, ast.Import | ast.ImportFrom))
    assert ast.unparse(first).startswith("frame(")
    assert len(source.splitlines()) <= 100
    assert "torch" not in source


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_workspace_is_met_with_help(
    home: Path, no_assets: Path, open_page, page: str
) -> None:
    at = open_page(page)
    assert not at.exception
    assert not at.error
    expected = {
        "": "Nothing of this model was measured",
        "explain": "No finished run yet",
        "check": "No pruned model yet",
        "decide": "here you decide about it",
        "runs": "No runs yet",
    }
    assert expected[page] in words(at)
    assert not home.exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_finished_run_is_shown(finished_run: str, open_page, page: str) -> None:
    at = open_page(page, run=finished_run)
    assert not at.exception
    assert not at.error
    expected = {
        "": "37% smaller",
        "explain": "72 of 144",
        "check": "the pruned model of **cifar/resnet20",
        "decide": "the pruned model of **cifar/resnet20",
        "runs": "37% smaller",
    }
    assert expected[page] in words(at)


@pytest.mark.parametrize("page", PAGES)
def test_bad_links_are_told_and_ignored(home: Path, no_assets: Path, open_page, page: str) -> None:
    at = open_page(page, run="../../etc/passwd", m="no/such", x="sideways", lang="XX")
    assert not at.exception
    assert not at.error
    told = " ".join(toast.value for toast in open_page(m="no/such", run="x").toast)
    assert "does not exist here" in told
    assert "model in the link does not exist" in told
    assert at.session_state["run"] == ""
    assert at.session_state["x"] == "latency"


def test_without_a_run_in_the_link_the_newest_of_the_model_is_shown(
    finished_run: str, home: Path, samples, open_page
) -> None:
    text = samples.text_request()
    found = samples.result(text, dense=20.0, pruned=30.0, half=1.0)
    samples.write_run(home, "20260101-000009-000000", text, found)
    at = open_page()
    assert at.selectbox(key="g_model").value == "facebook/opt-125m"
    assert at.text_input(key="f_data").value == text.data
    at = open_page(m="cifar/resnet20")
    assert at.text_input(key="f_data").value == "images:/nowhere/test"
    assert "37% smaller" in words(at)
    assert "Nothing of this model" in words(open_page(m="facebook/opt-350m"))


def test_the_models_state_what_they_need(home: Path, open_page) -> None:
    at = open_page(m="cifar/resnet20")
    assert "cifar/resnet20 · needs weights file" in at.selectbox(key="g_model").options
    assert at.multiselect(key="f_structures").options == ["convolution channels"]


def test_a_local_model_is_asked_for_by_path(home: Path, open_page, tmp_path: Path) -> None:
    at = open_page()
    at.selectbox(key="g_model").set_value(LOCAL).run()
    at.text_input(key="g_path").set_value(str(tmp_path)).run()
    assert "no config.json" in words(at)
    (tmp_path / "config.json").write_text('{"model_type": "opt"}')
    at.text_input(key="g_path").set_value(f"{tmp_path}/").run()
    assert at.multiselect(key="f_structures").options == [
        "attention heads", "feed-forward neurons",
    ]  # fmt: skip
    assert not at.exception
