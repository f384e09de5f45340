"""The first screen with nothing but the sample run that comes with the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from osscar_core.records import Method
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.numbers import MINUS, TIMES

HALF = "example-resnet50-osscar-50"


def words(at) -> str:
    return "\n".join(item.value for item in [*at.title, *at.markdown])


def traces(at) -> list[dict]:
    return json.loads(at.get("plotly_chart")[0].proto.spec)["data"]


def test_measured_results_are_there_without_running_anything(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page()
    assert not at.exception
    assert not at.error
    assert "Example, measured on Test CPU, 25 Nov 2026" in words(at)
    assert f"At 50% removed: **1.33{TIMES} faster**, **{MINUS}2.5 points**" in words(at)
    assert [metric.label for metric in at.metric] == ["Speed", "Quality: accuracy", "Size"]
    assert not home.exists()


def test_the_methods_differ_in_shape_and_colour(home: Path, sample_run: Path, open_page) -> None:
    drawn = traces(open_page())
    assert [trace["name"] for trace in drawn] == ["dense", "OSSCAR", "Magnitude, re-fitted"]
    assert [len(trace["y"]) if isinstance(trace["y"], list) else 0 for trace in drawn] == [1, 3, 2]
    looks = {(trace["marker"]["symbol"], trace["marker"]["color"]) for trace in drawn}
    assert len({shape for shape, _ in looks}) == len({colour for _, colour in looks}) == 3


def test_one_click_measures_the_point_that_the_form_shows(
    home: Path, sample_run: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def submit(store: RunStore, request, owner):
        asked.append(request)
        raise RuntimeError

    monkeypatch.setattr(RunStore, "submit", submit)
    at = open_page()
    next(button for button in at.button if button.label == "Prune and measure").click().run()
    assert [request.spec.model for request in asked] == ["demo/resnet50"]
    assert asked[0].spec.sparsity == 0.5
    assert asked[0].spec.method is Method.OSSCAR
    assert asked[0].spec.calibration == asked[0].data == "demo:factory"


def test_a_run_of_ones_own_joins_the_figure_and_is_told_from_the_example(
    home: Path, sample_run: Path, samples, open_page
) -> None:
    from osscar_core.studio import examples

    request = examples.find(HALF).run.request
    samples.write_run(home, "20260101-000000-000000", request, samples.result(request))
    at = open_page()
    assert "Example, measured" not in words(at)
    assert "Examples come with the project" in words(at)
    table = at.dataframe[0].value
    assert list(table["Run"]).count("20260101-000000-000000") == 1
    assert sum(str(run).startswith("example-") for run in table["Run"]) == 5


def test_the_other_demo_model_brings_its_own_example_and_data(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page()
    at.selectbox(key="g_model").set_value("demo/opt").run()
    assert at.text_input(key="f_calibration").value == "demo:plant-log"
    assert at.text_input(key="f_data").value == "demo:plant-log"
    assert "Example, measured on" in words(at)
    at.selectbox(key="g_model").set_value("facebook/opt-125m").run()
    assert at.text_input(key="f_data").value == "demo:python-docs"
    assert "Example, measured on" not in words(at)
    assert not at.exception


def test_a_link_to_an_example_opens_it(home: Path, sample_run: Path, open_page) -> None:
    at = open_page(run="example-opt-magnitude-refit-30")
    assert at.selectbox(key="g_model").value == "demo/opt"
    assert at.slider(key="f_sparsity").value == 30
    assert "At 30% removed" in words(at)
    assert not at.toast
    assert "does not exist" in open_page(run="example-opt-paper-99").toast[0].value
