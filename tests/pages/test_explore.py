"""The what-if screen through Streamlit's own harness: slider, verdict, actions, links."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from osscar_core.catalogue import own_data
from osscar_core.goals import Goal, GoalKind
from osscar_core.guards import Guard, GuardReport, GuardResult, GuardTry
from osscar_core.records import Intercept, Method, PruneSpec, Structure
from osscar_core.studio import briefs, guarding, scene
from osscar_core.studio.actions import COMPARED
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.numbers import ALMOST, TIMES
from osscar_core.studio.requests import JobKind, JobRequest
from osscar_core.studio.wishes import Aim

OWN = "20260101-000000-000000"
LANGUAGES = ["en", "ja"]
BADGES = {"en": ("measured", "≈ estimate"), "ja": ("実測", "≈ 推定値")}


def words(at) -> str:
    kinds = (at.title, at.markdown, at.error, at.warning, at.info)
    return "\n".join(item.value for kind in kinds for item in kind)


def sentence(at) -> str:
    """The verdict: the first text below the title."""
    return at.markdown[next(i for i, m in enumerate(at.markdown) if "**" in m.value)].value


def labels(at) -> list[str]:
    return [metric.label for metric in at.metric]


def traces(at) -> dict[str, dict]:
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    return {trace["meta"]: trace for trace in drawn}


def yours(at) -> tuple[float, float]:
    mark = traces(at)["yours"]
    return tuple(json.loads(json.dumps(mark[axis]))[0] for axis in ("x", "y"))


def button(at, text: str):
    return next((each for each in at.button if text in each.label), None)


def link(at) -> str:
    return next(html.proto.body for html in at.get("html") if "copylink" in html.proto.body)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[JobRequest]:
    """Take note of what is submitted instead of computing it."""
    asked: list[JobRequest] = []
    monkeypatch.setattr(RunStore, "submit", lambda _, request, *_about: asked.append(request))
    return asked


class TestSlider:
    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("model", ["demo/resnet50", "demo/opt"])
    def test_it_opens_on_a_measured_example(self, home: Path, open_page, model, lang) -> None:
        at = open_page(m=model, lang=lang)
        assert not at.exception
        assert not at.error
        assert at.slider(key="w_removed").value == 30
        assert all(BADGES[lang][0] in label for label in labels(at))
        assert "example-" in at.get("plotly_chart")[0].proto.spec
        assert ALMOST not in sentence(at)
        assert ("Example ·" if lang == "en" else "サンプル ·") in words(at)
        assert not home.exists()

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_a_move_changes_sentence_mark_numbers_and_link(
        self, home: Path, open_page, lang
    ) -> None:
        at = open_page(m="demo/opt", lang=lang)
        before, mark = sentence(at), yours(at)
        assert traces(at)["yours"]["marker"]["symbol"] == "diamond"
        at.slider(key="w_removed").set_value(45.0).run()
        assert not at.exception
        assert sentence(at) != before
        assert ALMOST in sentence(at)
        assert "45%" in sentence(at)
        assert yours(at) != mark
        assert traces(at)["yours"]["marker"]["symbol"] == "diamond-open"
        assert [BADGES[lang][1] in label for label in labels(at)] == [True, True, False]
        assert at.query_params["val"] == "45"
        at.slider(key="w_removed").set_value(46.0).run()
        assert at.query_params["val"] == "46"
        assert yours(at)[0] != mark[0]

    @pytest.mark.parametrize("lang", LANGUAGES)
    @pytest.mark.parametrize("aim", ["speed", "loss", "size"])
    def test_another_aim_describes_the_same_point(
        self, home: Path, open_page, aim: str, lang: str
    ) -> None:
        at = open_page(m="demo/opt", goal="removed", val="60", lang=lang)
        size = at.metric[2].value
        at.segmented_control(key="w_goal").set_value(Aim(aim)).run()
        assert not at.exception
        assert not at.error
        assert at.session_state["goal"] == aim
        slider = at.slider(key=f"w_{aim}")
        assert f"{slider.value:.10g}" == at.query_params["val"]
        if aim == "size":
            assert abs(int(at.metric[2].value[1:-1]) - int(size[1:-1])) <= 1
        at.segmented_control(key="w_goal").set_value(Aim.REMOVED).run()
        assert abs(at.slider(key="w_removed").value - 60) <= 6

    def test_a_target_is_drawn_with_its_limit_and_the_best_measured_model(
        self, home: Path, open_page
    ) -> None:
        at = open_page(m="demo/resnet50", goal="speed", val="1.05")
        spec = json.loads(at.get("plotly_chart")[0].proto.spec)
        assert [shape["type"] for shape in spec["layout"]["shapes"]] == ["rect", "line"]
        assert "best" in traces(at)
        at = open_page(m="demo/resnet50", goal="removed", val="33")
        spec = json.loads(at.get("plotly_chart")[0].proto.spec)
        assert "shapes" not in spec["layout"]
        assert "best" not in traces(at)

    def test_the_axis_can_be_the_size(self, home: Path, open_page) -> None:
        at = open_page(m="demo/opt", x="size")
        layout = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]
        assert "Size, MB" in layout["xaxis"]["title"]["text"]
        at.segmented_control(key="w_x").set_value("latency").run()
        layout = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]
        assert "Latency, ms" in layout["xaxis"]["title"]["text"]
        assert "x" not in at.query_params

    def test_the_figure_is_described_with_its_numbers(self, home: Path, open_page) -> None:
        at = open_page(m="demo/opt", val="45")
        alt = at.get("plotly_chart")[0].proto.alt
        assert "45%" in alt
        assert "estimate" in alt
        assert "MB" in alt


class TestReach:
    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_out_of_reach_offers_what_is_near(self, home: Path, open_page, lang) -> None:
        at = open_page(m="demo/opt", goal="speed", val="4", lang=lang)
        assert not at.exception
        assert not at.error
        assert ("not reachable" if lang == "en" else "届きません") in sentence(at)
        options = [each for each in at.button if each.key and each.key.startswith("option_")]
        assert 1 <= len(options) <= 2
        assert button(at, "Measure this") is None
        options[0].click().run()
        assert at.session_state["goal"] == "speed"
        assert 1 < float(at.session_state["val"]) < 4
        assert ALMOST in sentence(at)
        assert not at.error

    def test_a_value_beyond_the_slider_is_not_clipped(self, home: Path, open_page) -> None:
        at = open_page(m="demo/opt", goal="speed", val="50")
        assert at.slider(key="w_speed").value == 50
        assert f"**50.0{TIMES}**" in sentence(at)

    @pytest.mark.parametrize(
        "query",
        [
            {"goal": "nonsense", "val": "30"},
            {"goal": "removed", "val": "abc"},
            {"goal": "removed", "val": "-5"},
            {"goal": "loss", "val": "0"},
            {"goal": "size", "val": "1e9"},
        ],
    )
    def test_bad_values_of_a_link_are_told_and_replaced(
        self, home: Path, open_page, query: dict[str, str]
    ) -> None:
        at = open_page(m="demo/opt", **query)
        assert not at.exception
        assert not at.error
        assert at.toast


class TestMeasure:
    @pytest.mark.parametrize(("model", "samples_used"), [("demo/opt", 24), ("demo/resnet50", 64)])
    def test_one_click_asks_for_the_point_with_quick_settings(
        self, home: Path, open_page, submitted, model, samples_used
    ) -> None:
        at = open_page(m=model, goal="removed", val="45")
        shown = button(at, "Measure this point")
        assert re.search(r"\(≈.\d+ s\)", shown.label)
        shown.click().run()
        (request,) = submitted
        spec = request.spec
        assert (spec.model, spec.method, spec.sparsity) == (model, Method.OSSCAR, 0)
        assert spec.goal == Goal(GoalKind.REMOVED, 0.45)
        assert (spec.samples, request.repeats) == (samples_used, 20)
        assert spec.calibration == request.data == own_data(model)
        brief = briefs.find_brief(PruneSpec(model, own_data(model)))
        assert set(request.widths) == {unit.name for unit in brief.record.units}
        assert request.estimate.speedup > 1
        assert request.estimate.low < request.estimate.loss < request.estimate.high

    def own_run(self, home: Path, samples, request: JobRequest, **numbers) -> None:
        result = samples.result(request, **numbers)
        report = result.prune
        units = tuple(
            dataclasses.replace(report.units[0], name=name, groups=10**6, kept=kept)
            for name, kept in request.widths.items()
        )
        report = dataclasses.replace(report, units=units)
        samples.write_run(home, OWN, request, dataclasses.replace(result, prune=report))

    def test_a_finished_run_of_the_point_speaks_instead_of_the_estimate(
        self, home: Path, open_page, submitted, samples
    ) -> None:
        at = open_page(m="demo/resnet50", goal="speed", val="1.2")
        button(at, "Measure this point").click().run()
        self.own_run(home, samples, submitted[0], speedup=1.3, interval=(1.25, 1.35))
        at = open_page(m="demo/resnet50", goal="speed", val="1.2")
        assert not at.exception
        assert not at.error
        assert f"For at least 1.20{TIMES} the speed: **1.30{TIMES} faster**" in sentence(at)
        assert "measured 1.30× (1.25× to 1.35×): **met**" in words(at)
        assert OWN in words(at)
        assert all("measured" in label for label in labels(at))
        assert button(at, "Measure") is None
        assert traces(at)["yours"]["marker"]["symbol"] == "diamond"
        assert f"{OWN}" in json.dumps(traces(at)["osscar-own"])
        button(at, "See what was removed").click().run()
        assert at.session_state["run"] == OWN

    def test_estimates_are_set_against_what_was_measured(
        self, home: Path, open_page, submitted, samples
    ) -> None:
        for index, val in enumerate(("45", "55")):
            at = open_page(m="demo/resnet50", goal="removed", val=val)
            button(at, "Measure this point").click().run()
            result = samples.result(submitted[-1], speedup=1.5)
            samples.write_run(home, f"20260101-00000{index}-000000", submitted[-1], result)
        at = open_page(m="demo/resnet50", goal="removed", val="45")
        assert "Our estimates of 2 runs were off by" in words(at)

    def test_no_measurable_gain_is_stated(self, home: Path, open_page, submitted, samples) -> None:
        at = open_page(m="demo/resnet50", goal="removed", val="45")
        button(at, "Measure this point").click().run()
        self.own_run(home, samples, submitted[0], speedup=1.01, interval=(0.95, 1.07))
        at = open_page(m="demo/resnet50", goal="removed", val="45")
        assert "not measurably faster on this device**" in sentence(at)

    def test_a_failed_run_says_why_and_can_be_tried_again(
        self, home: Path, open_page, submitted, samples
    ) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        button(at, "Measure this point").click().run()
        failed = Status(State.FAILED, reason="a weight_is odd", remedy="Use another")
        samples.write_run(home, OWN, submitted[0], None, failed)
        at = open_page(m="demo/opt", goal="removed", val="45")
        assert "a weight\\_is odd" in words(at)
        assert "Use another" in words(at)
        assert button(at, "Measure this point") is not None

    def test_wrong_settings_are_explained_and_nothing_starts(
        self, home: Path, open_page, submitted
    ) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        at.text_input(key="f_data").set_value("images:/nowhere").run()
        button(at, "Measure this point").click().run()
        assert submitted == []
        assert at.expander[0].proto.expanded
        assert "does not exist" in words(at)
        at.text_input(key="f_data").set_value("demo:factory").run()
        assert "This model reads text" in words(at)
        assert not at.exception

    def test_the_settings_are_those_of_the_form(self, home: Path, open_page, submitted) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        at.number_input(key="f_samples").set_value(8).run()
        at.number_input(key="f_repeats").set_value(5).run()
        at.number_input(key="f_limit").set_value(16).run()
        at.multiselect(key="f_structures").set_value(["feed-forward neurons"]).run()
        button(at, "Measure this point").click().run()
        (request,) = submitted
        assert (request.spec.samples, request.repeats, request.limit) == (8, 5, 16)
        assert request.spec.structures == ("neurons",)
        assert "another number" in words(at)

    def test_what_plain_transformers_can_load(self, home: Path, open_page, submitted) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        free = yours(at)
        at.checkbox(key="f_plain").check().run()
        assert not at.exception
        assert yours(at) != free
        button(at, "Measure this point").click().run()
        (request,) = submitted
        assert request.spec.plain_loadable
        assert request.spec.structures is None
        assert len(set(request.widths.values())) == 1
        assert all(name.endswith(".fc2") for name in request.widths)
        at.multiselect(key="f_structures").set_value([Structure.HEADS]).run()
        at.selectbox(key="f_intercept").set_value(Intercept.ON).run()
        assert not at.exception
        button(at, "Measure this point").click().run()
        assert len(submitted) == 1
        assert "cannot load this model with fewer attention heads" in words(at)
        assert "cannot load a bias that a layer did not have" in words(at)

    def test_pictures_have_no_plain_library(self, home: Path, open_page, submitted) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        at.checkbox(key="f_plain").check().run()
        at.selectbox(key="g_model").set_value("demo/resnet50").run()
        assert not at.exception
        assert "f_plain" not in {box.key for box in at.checkbox}
        at.slider(key="w_removed").set_value(46.0).run()
        button(at, "Measure this point").click().run()
        assert [request.spec.plain_loadable for request in submitted] == [False]


class TestCompare:
    def test_all_methods_are_asked_for_at_equal_widths(
        self, home: Path, open_page, submitted
    ) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        button(at, "Compare methods").click().run()
        assert [request.spec.method for request in submitted] == list(COMPARED)
        first = submitted[0]
        for request in submitted:
            assert request.widths == first.widths
            same = dataclasses.replace(request.spec, method=Method.OSSCAR)
            assert same == first.spec
            assert (request.data, request.repeats) == (first.data, first.repeats)
        assert [request.estimate is not None for request in submitted].count(True) == 1

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_what_was_measured_is_set_beside_each_other(
        self, home: Path, open_page, submitted, samples, lang
    ) -> None:
        at = open_page(m="demo/opt", goal="removed", val="45")
        button(at, "Compare methods").click().run()
        for index, request in enumerate(submitted[:2]):
            result = samples.result(request, dense=20.0, pruned=21.0 + index, half=0.05)
            units = tuple(
                dataclasses.replace(result.prune.units[0], name=name, groups=10**6, kept=kept)
                for name, kept in request.widths.items()
            )
            prune = dataclasses.replace(result.prune, units=units)
            result = dataclasses.replace(result, prune=prune)
            samples.write_run(home, f"20260101-00000{index}-000000", request, result)
        at = open_page(m="demo/opt", goal="removed", val="45", lang=lang)
        assert not at.error
        said = "OSSCAR keeps most quality here" if lang == "en" else "OSSCARの品質が最も高く"
        assert said in words(at)
        method = "Method" if lang == "en" else "方法"
        assert len(at.dataframe[0].value[method]) == 2


class TestProtect:
    def held(self, open_page, caps: dict[str, float], **query):
        at = open_page(m="demo/opt", **query)
        at.session_state[scene.PROTECT] = caps
        return at.run()

    def test_limits_go_into_the_request_and_are_counted(
        self, home: Path, open_page, submitted
    ) -> None:
        name = "model.decoder.layers.3.fc2"
        caps = {name: 0.0, "heads": 0.5, "elsewhere.*": 0.0}
        at = self.held(open_page, caps, goal="removed", val="45")
        assert button(at, "Protect (2)") is not None
        button(at, "Measure this point").click().run()
        (request,) = submitted
        assert request.spec.caps == (("heads", 0.5), (name, 0.0))
        assert request.widths[name] == 1536
        assert all(kept >= 4 for unit, kept in request.widths.items() if unit.endswith("out_proj"))
        assert "travels with measured runs only" in link(at)

    def test_an_impossible_combination_is_explained_before_anything_runs(
        self, home: Path, open_page
    ) -> None:
        at = self.held(open_page, {"*": 0.0}, goal="removed", val="45")
        assert not at.error
        assert "Everything is protected" in sentence(at)
        assert button(at, "Measure") is None
        at = self.held(open_page, {"neurons": 0.0}, goal="speed", val="2.5")
        assert "Without the protection it would be." in sentence(at)
        assert button(at, "at a loss of") is not None

    def test_the_dialog_shows_what_limits_cost(self, home: Path, open_page) -> None:
        at = self.held(open_page, {"neurons": 0.6}, goal="removed", val="50")
        button(at, "Protect (1)").click().run()
        assert not at.exception
        assert not at.error
        assert "At this point the protection means:" in words(at)
        assert at.button(key="protect_apply") is not None

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_a_limit_of_what_is_not_removed_at_all_waits(
        self, home: Path, open_page, lang: str
    ) -> None:
        at = open_page(m="demo/opt", lang=lang)
        at.session_state[scene.PROTECT] = {"heads": 0.25}
        at.run()
        assert at.button(key="protect_open").label in {"Protect (1)", "保護（1）"}
        at.multiselect(key="f_structures").set_value([Structure.NEURONS]).run()
        assert not at.exception
        assert not at.error
        assert "(1)" not in at.button(key="protect_open").label.replace("（", "(").replace(
            "）", ")"
        )
        at.multiselect(key="f_structures").set_value(list(Structure)[:2]).run()
        assert at.button(key="protect_open").label in {"Protect (1)", "保護（1）"}

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_groups_of_the_test_data_may_lose_only_so_much(
        self, home: Path, open_page, submitted, lang: str
    ) -> None:
        at = open_page(m="demo/resnet50", goal="removed", val="45", lang=lang)
        at.session_state[guarding.GUARDS] = {"class=crack": 0.01, "tier=bronze": 0.01}
        at.run()
        assert at.button(key="protect_open").label in {"Protect (1)", "保護（1）"}
        at.button(key="protect_open").click().run()
        assert not at.exception
        assert not at.error
        assert ("Groups of the test data" if lang == "en" else "テストデータのグループ") in words(
            at
        )
        at.button(key="measure").click().run()
        (request,) = submitted
        assert request.spec.guards == (Guard("class", "crack", 0.01),)
        assert request.spec.data == request.data == "demo:factory"

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_what_protected_groups_lost_is_told_with_the_price(
        self, home: Path, open_page, submitted, samples, lang: str
    ) -> None:
        at = open_page(m="demo/resnet50", goal="removed", val="45")
        at.session_state[guarding.GUARDS] = {"class=crack": 0.01}
        at.run()
        at.button(key="measure").click().run()
        guard = submitted[0].spec.guards[0]
        tries = tuple(
            GuardTry(
                share,
                10**6,
                size,
                (GuardResult(guard, 250, 0.95, 0.95 - loss, loss, loss - 0.01, loss + 0.01),),
            )
            for share, size, loss in ((1.0, 9_000_000, 0.04), (0.5, 20_000_000, 0.004))
        )
        report = GuardReport(tries, 1, "top1", "demo:factory", "mix:demo:factory", "how")
        result = samples.result(submitted[0], dense=0.95, pruned=0.94)
        result = dataclasses.replace(result, prune=dataclasses.replace(result.prune, guards=report))
        samples.write_run(home, OWN, submitted[0], result)
        at = open_page(run=OWN, lang=lang)
        assert not at.exception
        said = words(at)
        assert "class=crack" in said.replace("\\", "")
        assert "50%" in said
        assert "20.0 MB" in said
        assert "9.00 MB" in said
        assert ("not proof" if lang == "en" else "証明にはなりません") in said
        assert at.session_state[guarding.GUARDS] == {"class=crack": 0.01}

    def test_a_protected_run_proves_itself(self, home: Path, open_page, submitted, samples) -> None:
        name = "model.decoder.layers.3.fc2"
        at = self.held(open_page, {name: 0.0}, goal="removed", val="45")
        button(at, "Measure this point").click().run()
        result = samples.result(submitted[0], dense=20.0, pruned=21.0)
        unit = dataclasses.replace(result.prune.units[0], name=name, groups=1536, kept=1536)
        prune = dataclasses.replace(result.prune, units=(unit,))
        samples.write_run(home, OWN, submitted[0], dataclasses.replace(result, prune=prune))
        at = open_page(run=OWN)
        assert "Limits kept in 1 layer; 1 kept all groups." in words(at)
        assert at.session_state[scene.PROTECT] == {name: 0.0}


class TestLinks:
    def test_a_run_in_the_link_speaks_and_moving_on_lets_it_go(self, home: Path, open_page) -> None:
        at = open_page(run="example-opt-paper-removed-0.5")
        assert "OSSCAR as published · At 50% removed" in sentence(at)
        assert at.slider(key="w_removed").value == 50
        assert at.selectbox(key="g_model").value == "demo/opt"
        at.slider(key="w_removed").set_value(44.0).run()
        assert at.session_state["run"] == ""
        assert at.query_params["val"] == "44"
        assert "run" not in at.query_params

    def test_the_copied_link_names_everything(self, home: Path, open_page) -> None:
        at = open_page(m="demo/opt", val="45", lang="ja")
        query = re.search(r'data-query="([^"]*)"', link(at))[1].replace("&amp;", "&")
        assert query == "lang=ja&m=demo%2Fopt&goal=removed&val=45&x=latency"
        at = open_page()
        assert "m=demo%2F" in link(at)
        assert "val=30" in link(at)

    def test_a_stale_link_of_the_menu_does_not_undo_the_slider(self, home: Path, open_page) -> None:
        at = open_page(m="demo/opt", val="40")
        at.session_state["val"] = "47"
        at.switch_page("pages/explain.py")
        at.query_params["m"], at.query_params["val"] = "demo/opt", "40"
        at.run()
        assert at.session_state["val"] == "47"
        # The browser's entry is corrected in its place; a further one would trap Back.
        assert at.query_params["val"] == "40"
        (script,) = [h.proto.body for h in at.get("html") if "replaceState" in h.proto.body]
        assert '"?m=demo%2Fopt&val=47"' in script


class TestNoSurvey:
    MODEL = "facebook/opt-125m"

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_only_removal_can_be_asked_for_and_nothing_is_invented(
        self, home: Path, open_page, lang
    ) -> None:
        at = open_page(m=self.MODEL, lang=lang)
        assert not at.exception
        assert not at.error
        assert len(at.segmented_control(key="w_goal").options) == 1
        assert all(metric.value == "\N{EN DASH}" for metric in at.metric)
        assert not at.get("plotly_chart")
        assert at.button(key="survey") is not None

    def test_it_can_be_surveyed_or_measured_plainly(self, home: Path, open_page, submitted) -> None:
        at = open_page(m=self.MODEL, val="40")
        at.button(key="survey").click().run()
        at.button(key="measure_plain").click().run()
        survey, plain = submitted
        assert (survey.kind, survey.data) == (JobKind.SURVEY, "")
        assert survey.spec == briefs.survey_request(survey.spec)
        assert plain.kind is JobKind.PRUNE
        assert (plain.spec.sparsity, plain.spec.goal, plain.widths) == (0.4, None, None)

    def test_after_the_survey_everything_is_there(self, home: Path, open_page) -> None:
        demo = PruneSpec("demo/opt", own_data("demo/opt"))
        data = "demo:python-docs"
        at = open_page(m="demo/opt")
        at.text_input(key="f_calibration").set_value(data).run()
        assert "No survey was made" in words(at)
        assert at.button(key="survey") is not None
        briefs.keep_brief(
            briefs.find_brief(demo), dataclasses.replace(demo, calibration=data), home
        )
        at.run()
        assert len(at.segmented_control(key="w_goal").options) == 4
        assert ALMOST in sentence(at)

    def test_a_finished_run_is_shown_without_a_survey(
        self, finished_run: str, home: Path, open_page
    ) -> None:
        at = open_page(run=finished_run)
        assert not at.error
        assert "At 50% removed:" in sentence(at)
        assert set(traces(at)) == {"band", "estimate", "dense-own", "osscar-own", "yours"}
        assert at.text_input(key="f_data").value == "images:/nowhere/test"

    def test_a_model_without_weights_says_what_to_do_and_has_no_dead_button(
        self, home: Path, no_assets: Path, open_page
    ) -> None:
        at = open_page(m="demo/opt")
        assert "weights missing" in words(at)
        assert "full copy of the project" in words(at)
        assert button(at, "Measure") is None
        assert button(at, "Survey") is None
        at = open_page(m="cifar/resnet20")
        at.text_input(key="f_calibration").set_value("images:/nowhere").run()
        assert "needs weights file" in words(at)
        assert button(at, "Survey") is None
        at.text_input(key="f_weights").set_value("/nowhere/w.pth").run()
        assert "There is no file at /nowhere/w" in words(at)
        at.text_input(key="f_weights").set_value("random").run()
        assert button(at, "Survey") is not None
        assert not at.exception


class TestTiming:
    def test_speeds_of_another_machine_can_be_timed_here(
        self, home: Path, open_page, submitted
    ) -> None:
        at = open_page(m="demo/opt", val="45")
        assert "another machine" in words(at)
        button(at, "Time this machine").click().run()
        (job,) = submitted
        assert (job.kind, job.data) == (JobKind.TIMING, "")
        brief = briefs.find_brief(job.spec)
        table = dataclasses.replace(brief.table, dense_ms=2 * brief.table.dense_ms)
        briefs.keep_table(table, job.spec, home)
        at = open_page(m="demo/opt", val="45")
        assert button(at, "Time this machine") is None
        assert "(this machine)" in words(at)
        assert max(traces(at)["estimate"]["x"]) == pytest.approx(table.dense_ms, rel=0.05)


def test_another_method_is_not_estimated(home: Path, open_page) -> None:
    at = open_page(m="demo/opt", val="45")
    at.selectbox(key="f_method").select_index(list(Method).index(Method.MAGNITUDE)).run()
    assert not at.exception
    assert "quality not estimated for this method" in sentence(at)
    assert traces(at)["yours"].get("x", []) in ([], None)
