"""Pages with nothing but a sample run of made-up numbers: no survey, no weights."""

from __future__ import annotations

import json
from pathlib import Path

from osscar_core.studio.numbers import MINUS, TIMES

HALF = "example-resnet50-osscar-removed-0.5"
OWN = "20260101-000000-000000"


def words(at) -> str:
    return "\n".join(item.value for item in [*at.title, *at.markdown])


def traces(at) -> dict[str, dict]:
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    return {trace["meta"]: trace for trace in drawn}


def test_measured_results_are_there_without_running_anything(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page()
    assert not at.exception
    assert not at.error
    assert "Example · measured on Test CPU, 25 Nov 2026" in words(at)
    assert f"At 30% removed: **1.18{TIMES} faster**, **{MINUS}0.9 points**" in words(at)
    assert all("measured" in metric.label for metric in at.metric)
    assert not home.exists()


def test_the_methods_differ_in_shape_and_colour(home: Path, sample_run: Path, open_page) -> None:
    drawn = traces(open_page())
    series = {meta: trace for meta, trace in drawn.items() if "-" in meta}
    assert {meta: len(trace["customdata"]) for meta, trace in series.items()} == {
        "dense-own": 1, "osscar-example": 3, "magnitude-refit-example": 2,
    }  # fmt: skip
    looks = [(trace["marker"]["symbol"], trace["marker"]["color"]) for trace in series.values()]
    assert len({shape for shape, _ in looks}) == len({colour for _, colour in looks}) == 3


def test_a_run_of_ones_own_joins_the_figure_and_is_told_from_the_example(
    home: Path, sample_run: Path, samples, open_page
) -> None:
    from osscar_core.studio import examples

    request = examples.find(HALF).run.request
    samples.write_run(home, OWN, request, samples.result(request))
    at = open_page()
    assert "Example ·" not in words(at)
    assert f"Measured here · run {OWN}" in words(at)
    drawn = traces(at)
    assert drawn["osscar-own"]["name"] == "OSSCAR"
    assert drawn["osscar-example"]["marker"]["opacity"] < 1
    assert "Lighter marks are examples" in words(at)
    table = at.dataframe[-1].value
    assert list(table["Run"]).count(OWN) == 1
    assert sum(str(run).startswith("example-") for run in table["Run"]) == 5


def test_methods_of_the_example_are_compared_at_equal_widths(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page(run=HALF)
    assert "OSSCAR keeps most quality here" in words(at)
    table = at.dataframe[0].value
    assert list(table["Method"]) == ["OSSCAR", "Magnitude, re-fitted"]
    assert list(table["Measurable"]) == ["", "yes"]


def test_the_other_demo_model_brings_its_own_example_and_data(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page()
    at.selectbox(key="g_model").set_value("demo/opt").run()
    assert at.text_input(key="f_calibration").value == "demo:plant-log"
    assert at.text_input(key="f_data").value == "demo:plant-log"
    assert "Example · measured on" in words(at)
    at.selectbox(key="g_model").set_value("facebook/opt-125m").run()
    assert at.text_input(key="f_data").value == "demo:python-docs"
    assert "Example · measured on" not in words(at)
    assert not at.exception


def test_a_link_to_an_example_opens_it(home: Path, sample_run: Path, open_page) -> None:
    at = open_page(run="example-opt-magnitude-refit-removed-0.3")
    assert at.selectbox(key="g_model").value == "demo/opt"
    assert at.slider(key="w_removed").value == 30
    assert "Magnitude, re-fitted · At 30% removed" in words(at)
    assert not at.toast
    assert "does not exist" in open_page(run="example-opt-paper-99").toast[0].value


def test_explain_shows_the_example(home: Path, sample_run: Path, open_page) -> None:
    at = open_page("explain", run=HALF)
    assert not at.exception
    assert "32 of 64 convolution channels were removed" in words(at)
    assert at.session_state["run"] == HALF
