"""The Explain page: its numbers against the run's file, its states, and the choice of a layer."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from osscar_core.catalogue import ASSETS_VARIABLE
from osscar_core.records import Method, to_json
from osscar_core.sample import sample_runs
from osscar_core.storage import write_sealed
from osscar_core.studio import explain
from osscar_core.studio.jobs import State, Status
from test_sample import shown

RUN = "20260101-000000-000000"
HALF = "example-resnet50-osscar-removed-0.5"
LANGUAGES = ["en", "ja"]


def words(at) -> str:
    items = [*at.title, *at.markdown, *at.error, *at.warning, *at.info, *at.get("html")]
    return "\n".join(getattr(item, "value", "") or item.proto.body for item in items)


def charts(at) -> dict[str, dict]:
    """Return the figures by their keys."""
    found = {}
    for chart in at.get("plotly_chart"):
        key = chart.proto.id.rpartition("-")[2]
        found[key] = json.loads(chart.proto.spec) | {"alt": chart.proto.alt}
    return found


def numbers(packed: dict[str, str]) -> list[float]:
    """Return numbers as Plotly packs them."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()


def click(monkeypatch: pytest.MonkeyPatch, at, chart: str, layer: str) -> None:
    """Do what the app does when a mark of a figure is clicked."""
    chosen = {chart: {"selection": {"points": [{"customdata": [layer]}]}}}
    with monkeypatch.context() as patch:
        patch.setattr(explain, "st", SimpleNamespace(session_state=chosen))
        explain._clicked(chart)
    at.session_state["layer"] = chosen["layer"]
    at.run()


@pytest.fixture
def uneven_run(home: Path, samples) -> str:
    """Write a run in which every layer fared differently."""
    asked = samples.image_request(0.5)
    result = samples.result(asked)
    kept = [16, 2, 5, 8, 8, 8, 3, 9, 1]
    units = tuple(
        dataclasses.replace(unit, kept=left, gap=0.1 if left < 16 else None)
        for unit, left in zip(result.prune.units, kept, strict=True)
    )
    plans = tuple(
        dataclasses.replace(unit, kept=tuple(range(16 - left, 16)))
        for unit, left in zip(result.prune.plan.units, kept, strict=True)
    )
    plan = dataclasses.replace(
        result.prune.plan,
        units=plans,
        spec=dataclasses.replace(result.prune.plan.spec, caps=(("layer1.0.*", 0.0),)),
    )
    report = dataclasses.replace(result.prune, units=units, plan=plan)
    samples.write_run(home, RUN, asked, dataclasses.replace(result, prune=report))
    return RUN


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_figures_show_the_numbers_of_the_file(
    uneven_run: str, home: Path, open_page, lang: str
) -> None:
    at = open_page("explain", run=uneven_run, lang=lang)
    assert not at.exception
    assert not at.error
    report = json.loads((home / "runs" / RUN / "result.json").read_text())["prune"]
    drawn = charts(at)
    shares, errors, squares = drawn["shares"], drawn["errors"], drawn["map_0"]
    names = [unit["name"].removesuffix(".conv2") for unit in report["units"]]
    (bars,) = shares["data"]
    assert [point[0] for point in bars["customdata"]] == names
    removed = [100 * (1 - unit["kept"] / unit["groups"]) for unit in report["units"]]
    assert bars["y"] == pytest.approx(removed)
    ours, theirs = errors["data"][1:]
    for trace, field in ((ours, "relative_error"), (theirs, "magnitude_error")):
        assert trace["y"] == pytest.approx([100 * unit[field] for unit in report["units"]])
    lower_left = (numbers(squares["data"][1][axis])[::6] for axis in "xy")
    corners = {(round(x + 0.42), round(y - 0.42)) for x, y in zip(*lower_left, strict=True)}
    stored = {
        (group, row) for row, unit in enumerate(report["plan"]["units"]) for group in unit["kept"]
    }
    assert corners == stored
    table = at.dataframe[0].value
    assert list(table.iloc[:, 2]) == [unit["groups"] for unit in report["units"]]
    assert list(table.iloc[:, 3]) == [unit["kept"] for unit in report["units"]]
    assert list(table.iloc[:, 5]) == pytest.approx(
        [100 * unit["relative_error"] for unit in report["units"]]
    )
    text = words(at)
    for expected in (RUN, "cd" * 32, "ab" * 32, "a warning of the pruner", "900 MB"):
        assert expected in text
    gone = sum(unit["groups"] - unit["kept"] for unit in report["units"])
    assert str(gone) in text
    assert all(chart["alt"] for chart in drawn.values())


def test_axes_are_named_in_the_language_of_the_page(uneven_run: str, open_page) -> None:
    for lang, expected in (("en", "Removed, %"), ("ja", "削減率（%）")):
        layout = charts(open_page("explain", run=uneven_run, lang=lang))["shares"]["layout"]
        assert layout["yaxis"]["title"]["text"] == expected


def test_a_protected_layer_has_a_lock(uneven_run: str, open_page) -> None:
    at = open_page("explain", run=uneven_run)
    kinds = [shape["type"] for shape in charts(at)["map_0"]["layout"]["shapes"]]
    assert kinds.count("path") == 1
    assert ":material/lock: protected" in words(at)


def test_the_layer_that_changed_most_is_shown_first_and_a_click_shows_another(
    uneven_run: str, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("explain", run=uneven_run)
    assert at.selectbox(key="_layer").value == "layer3.2"
    assert "|Removed|15 of 16 convolution channels (93.8%)|" in words(at)
    assert "layer" not in at.query_params
    click(monkeypatch, at, "map_0", "layer1.2")
    assert at.selectbox(key="_layer").value == "layer1.2"
    assert "|Removed|11 of 16 convolution channels (68.8%)|" in words(at)
    assert "|Output error|3.00%|" in words(at)
    assert "|Gap to the best|at most 10.0%|" in words(at)
    assert "|Rank by error|7 of 9|" in words(at)
    assert at.query_params["layer"] == "layer1.2"
    band = charts(at)["shares"]["layout"]["shapes"][0]
    assert (band["x0"], band["x1"]) == (1.5, 2.5)


def test_the_list_does_what_a_click_does(uneven_run: str, open_page) -> None:
    at = open_page("explain", run=uneven_run)
    at.selectbox(key="_layer").set_value("layer2.0").run()
    assert at.session_state["layer"] == "layer2.0"
    assert "|Output error|4.00%|" in words(at)


def test_a_link_opens_a_layer_and_an_unknown_one_is_told(uneven_run: str, open_page) -> None:
    at = open_page("explain", run=uneven_run, layer="layer2.1")
    assert at.selectbox(key="_layer").value == "layer2.1"
    at = open_page("explain", run=uneven_run, layer="layer9")
    assert at.selectbox(key="_layer").value == "layer3.2"
    assert "layer" in at.toast[0].value
    assert at.session_state["layer"] == ""


def test_protecting_a_layer_keeps_it_for_the_next_run(uneven_run: str, open_page) -> None:
    at = open_page("explain", run=uneven_run, layer="layer2.1")
    at.button(key="protect_layer").click().run()
    assert at.session_state["protect"] == {"layer2.1.conv2": 0.0}
    assert at.session_state["run"] == uneven_run
    at.switch_page("pages/explain.py").run()
    at.selectbox(key="_layer").set_value("layer2.1").run()
    assert "Protected in the next run" in words(at)
    at.button(key="unprotect").click().run()
    assert at.session_state["protect"] == {}
    assert at.button(key="protect_layer")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_example_is_marked_and_shows_both_models(
    home: Path, sample_run: Path, open_page, lang: str
) -> None:
    at = open_page("explain", run=HALF, lang=lang)
    assert not at.exception
    assert not at.error
    text = words(at)
    assert "Test CPU" in text
    assert ("2026年11月25日" if lang == "ja" else "25 Nov 2026") in text
    assert ("64個のうち32個" if lang == "ja" else "32 of 64 convolution channels") in text
    found = shown(0.5).pictures[0]
    for which, guesses in (("dense", found.dense), ("pruned", found.pruned)):
        chart = charts(at)[f"answers_{which}"]
        assert chart["data"][0]["x"] == pytest.approx([100 * g.probability for g in guesses])
        assert chart["layout"]["yaxis"]["ticktext"] == [guess.name for guess in guesses]
    assert len(at.get("image")) == 1


def test_without_indices_the_page_says_so(home: Path, sample_run: Path, open_page) -> None:
    file = sample_run / "sample" / "demo-resnet50.json"
    values = json.loads(file.read_text())
    del values["units"], values["showcases"], values["sha256"]
    write_sealed(file, json.dumps(values))
    at = open_page("explain", run=HALF)
    assert not at.exception
    assert "says how many groups stay in each layer, not which" in words(at)
    assert "There is nothing to look at for this run" in words(at)
    assert at.dataframe[0].value["Which stay"][0] == "not stored"


def test_a_run_of_ones_own_shows_its_own_pictures(uneven_run: str, home: Path, open_page) -> None:
    (home / "runs" / RUN / "showcase.json").write_text(to_json(shown(0.2)))
    at = open_page("explain", run=uneven_run)
    assert "Of the first 256 test pictures of `demo:factory`" in words(at)
    assert at.button_group(key="_showcase").value == 0


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "state", [State.FAILED, State.CANCELLED, State.INTERRUPTED, State.QUEUED, State.RUNNING]
)
def test_a_run_without_a_result_is_told_with_a_way_out(
    home: Path, samples, open_page, lang: str, state: State, monkeypatch
) -> None:
    monkeypatch.setattr("osscar_core.studio.jobs.RunStore.ensure_dispatched", lambda _: None)
    asked = samples.image_request()
    status = Status(state, step="prune", reason="a weight is odd", remedy="Use another")
    samples.write_run(home, RUN, asked, None, status)
    at = open_page("explain", run=RUN, lang=lang)
    assert not at.exception
    assert not charts(at)
    assert "すべての実行" if lang == "ja" else "All runs" in [each.label for each in at.button]
    if state is State.FAILED:
        assert "a weight is odd" in words(at)


def test_a_damaged_result_is_told(uneven_run: str, home: Path, open_page) -> None:
    (home / "runs" / RUN / "result.json").write_text("{")
    at = open_page("explain", run=uneven_run)
    assert "cannot be read" in at.error[0].proto.title + words(at)
    assert not at.exception
    assert not charts(at)


def test_nothing_at_all_is_met_with_a_way_to_explore(
    home: Path, no_assets: Path, open_page
) -> None:
    at = open_page("explain")
    assert "No finished run yet" in words(at)
    assert "Go to Explore" in [button.label for button in at.button]


class TestShipped:
    """With the sample runs and surveys that come with the project."""

    @pytest.fixture(autouse=True)
    def own_assets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(ASSETS_VARIABLE, raising=False)

    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("model", ["resnet50", "opt"])
    def test_every_number_is_that_of_the_sample_run(
        self, home: Path, open_page, model: str, lang: str
    ) -> None:
        at = open_page("explain", run=f"example-{model}-osscar-removed-0.5", lang=lang)
        assert not at.exception
        assert not at.error
        run = next(run for run in sample_runs() if run.base.model == f"demo/{model}")
        point = next(
            p for p in run.report.points if (p.method, p.goal.value) == (Method.OSSCAR, 0.5)
        )
        drawn = charts(at)
        (bars,) = drawn["shares"]["data"]
        removed = {unit.name: 100 * (1 - unit.kept / unit.groups) for unit in point.prune.units}
        assert sorted(bars["y"]) == pytest.approx(sorted(removed.values()))
        table = at.dataframe[0].value
        assert list(table.iloc[:, 3]) == [unit.kept for unit in point.prune.units]
        assert "sensitivity" in drawn
        measured = drawn["sensitivity"]["data"][1]
        assert measured["mode"] == "markers"
        assert len(measured["y"]) >= 4
