"""The list of runs, one run and several of them, through Streamlit's own test harness."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from osscar_core.records import Method
from osscar_core.studio import runcard, runlist
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.requests import JobKind
from osscar_core.studio.runcard import SELECTED

NAME = "20260101-00000{}-000000"


def words(at) -> str:
    return "\n".join(
        item.value
        for item in [*at.title, *at.subheader, *at.markdown, *at.error, *at.warning, *at.info]
    )


def table(at):
    return at.dataframe[0].value


def select(at, *ids: str):
    at.session_state[SELECTED] = ids
    return at.run()


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start nothing."""
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)


@pytest.fixture
def seven(home: Path, samples) -> list[str]:
    """Put seven finished runs of one model into the workspace."""
    names = []
    for index, method in enumerate(list(Method)[:7]):
        asked = samples.image_request(0.1 * (index + 1), method)
        found = samples.result(asked, pruned=0.8 - 0.05 * index, speedup=1.6, half=0.01)
        samples.write_run(home, NAME.format(index), asked, found)
        names.append(NAME.format(index))
    return names


def test_the_newest_is_first_and_states_are_told(home: Path, samples, seven, open_page) -> None:
    failed = Status(State.FAILED, reason="a weight_is odd", remedy="Use another", error_id="ab12")
    samples.write_run(home, NAME.format(8), samples.image_request(), None, failed)
    at = open_page("runs")
    assert not at.exception
    assert not at.error
    assert list(table(at)["state"])[:2] == ["failed", "finished"]
    assert "8 runs in this workspace" in words(at)
    assert "All of cifar/resnet20." in words(at)
    shown = words(open_page("runs", run=NAME.format(8)))
    assert "a weight\\_is odd" in shown
    assert "ab12" in shown


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_kind_of_run_is_listed_without_trouble(
    home: Path, samples, seven, open_page, lang: str
) -> None:
    asked = samples.image_request()
    for index, kind in enumerate((JobKind.SURVEY, JobKind.TIMING)):
        samples.write_run(
            home,
            f"20260102-00000{index}-000000",
            dataclasses.replace(asked, kind=kind),
            None,
            Status(State.FINISHED),
        )
    for index, state in enumerate((State.CANCELLED, State.INTERRUPTED)):
        samples.write_run(
            home, f"20260103-00000{index}-000000", asked, None, Status(state, step="prune")
        )
    (home / "runs" / seven[0] / "result.json").write_text("{")
    at = open_page("runs", lang=lang)
    assert len(table(at)) == 11
    for run in RunStore(home).runs():
        select(at, run.id)
        assert not at.exception
        assert not at.error
    damaged = "damaged" if lang == "en" else "破損"
    assert damaged in list(table(at)["state"])


def test_search_and_filters_narrow_down_and_survive_a_page(
    home: Path, samples, seven, open_page
) -> None:
    text = samples.text_request()
    samples.write_run(
        home, NAME.format(9), text, samples.result(text, dense=20.0, pruned=30.0), is_starred=True
    )
    at = open_page("runs")
    at.text_input(key="runs_text").set_value("ZIPLM resnet").run()
    assert list(table(at)["method"]) == ["ZipLM"]
    assert "1 of 8 runs" in words(at)
    at.switch_page("pages/explain.py").run()
    at.switch_page("pages/runs.py").run()
    assert at.text_input(key="runs_text").value == "ZIPLM resnet"
    at.text_input(key="runs_text").set_value("nothing of the kind").run()
    assert "No run matches" in words(at)
    at.text_input(key="runs_text").set_value("").run()
    at.toggle(key="runs_starred").set_value(True).run()
    assert len(table(at)) == 1
    at.toggle(key="runs_starred").set_value(False).run()
    at.selectbox(key="runs_model").set_value("facebook/opt-125m").run()
    assert len(table(at)) == 1
    assert not at.exception


def test_examples_are_apart_and_marked(seven, sample_run: Path, open_page) -> None:
    at = open_page("runs")
    assert len(table(at)) == 7
    at.toggle(key="runs_examples").set_value(True).run()
    states = list(table(at)["state"])
    assert states[:7] == ["finished"] * 7
    assert len(states) > 7
    assert set(states[7:]) == {"example"}
    select(at, "example-resnet50-osscar-removed-0.5")
    labels = [button.label for button in at.button]
    assert "Open in Explore" in labels
    assert "Run again" in labels
    assert "Delete" not in labels
    assert not at.exception


def test_without_runs_of_ones_own_the_examples_are_shown(
    home: Path, sample_run: Path, open_page
) -> None:
    at = open_page("runs")
    assert "No runs yet" in words(at)
    assert set(table(at)["state"]) == {"example"}
    assert not home.exists()


def test_the_run_of_the_link_is_selected_and_a_choice_becomes_the_link(seven, open_page) -> None:
    at = open_page("runs", run=seven[3])
    assert seven[3] in words(at)
    assert "37% smaller" in words(at)
    assert at.session_state[SELECTED] == (seven[3],)


def test_only_results_that_are_seen_are_read(
    seven, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runlist, "PAGE", 3)
    at = open_page()
    read = []
    result = RunStore.result
    monkeypatch.setattr(
        RunStore, "result", lambda store, run: (read.append(run.id), result(store, run))[1]
    )
    at.switch_page("pages/runs.py").run()
    at.run()
    assert len(table(at)) == 3
    assert sorted(read) == sorted(seven[-3:])
    next(button for button in at.button if button.label == "Show 3 more").click().run()
    assert len(table(at)) == 6
    assert len(read) == 6


def test_a_run_is_renamed_noted_and_starred_in_place(seven, home: Path, open_page) -> None:
    at = open_page("runs", run=seven[0])
    at.text_input(key=f"name_{seven[0]}").set_value("  For the  line ").run()
    at.text_area(key=f"note_{seven[0]}").set_value("Try it <b>soon</b>").run()
    at.button(key=f"star_{seven[0]}").click().run()
    run = RunStore(home).get(seven[0])
    assert (run.name, run.note, run.is_starred) == ("For the line", "Try it <b>soon</b>", True)
    assert "For the line" in words(at)
    assert at.text_input(key=f"name_{seven[0]}").value == "For the line"
    at.text_input(key=f"name_{seven[0]}").set_value("").run()
    assert RunStore(home).get(seven[0]).name == ""


def test_what_cannot_be_done_is_told_and_changes_nothing(
    seven, home: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("runs", run=seven[0])
    RunStore(home).delete(RunStore(home).get(seven[0]))
    at.button(key=f"delete_{seven[0]}").click().run()
    assert "It may have been deleted" in words(at)
    assert not at.exception
    at.run()
    assert not at.error


def test_a_deletion_can_be_taken_back_on_a_later_visit(
    seven, home: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = open_page("runs", run=seven[0])
    at.button(key=f"delete_{seven[0]}").click().run()
    assert RunStore(home).get(seven[0]) is None
    assert at.session_state["run"] == ""
    at.switch_page("pages/explain.py").run()
    at.switch_page("pages/runs.py").run()
    at.button(key=f"undo_{seven[0]}").click().run()
    assert RunStore(home).get(seven[0]) is not None
    assert at.session_state["run"] == seven[0]
    assert "Deleted" not in words(at)
    at.button(key=f"delete_{seven[0]}").click().run()
    monkeypatch.setattr(runcard, "UNDO_SECONDS", 0.0)
    at.run()
    assert "Deleted" not in words(at)


def test_what_failed_is_asked_for_again_and_what_was_interrupted_goes_on(
    home: Path, samples, open_page
) -> None:
    asked = samples.image_request()
    failed = Status(State.FAILED, reason="no", remedy="Yes")
    samples.write_run(home, NAME.format(0), asked, None, failed)
    samples.write_run(
        home, NAME.format(1), samples.image_request(0.3), None, Status(State.INTERRUPTED)
    )
    at = open_page("runs", run=NAME.format(0))
    assert "Resume" not in [button.label for button in at.button]
    at.button(key=f"again_{NAME.format(0)}").click().run()
    (live,) = RunStore(home).live()
    assert live.request == asked
    assert at.session_state["run"] == live.id
    assert "0 runs at work, 1 waiting" in words(at)
    select(at, NAME.format(1))
    at.button(key=f"resume_{NAME.format(1)}").click().run()
    assert RunStore(home).get(NAME.format(1)).status.state is State.QUEUED
    assert not at.exception


def test_a_damaged_run_makes_way_for_another_try(seven, home: Path, open_page) -> None:
    (home / "runs" / seven[0] / "result.json").write_text("{")
    at = open_page("runs", run=seven[0])
    assert "cannot be read" in words(at)
    at.button(key=f"again_{seven[0]}").click().run()
    assert len(RunStore(home).live()) == 1
    assert RunStore(home).get(seven[0]) is None
    assert "Deleted" in words(at)


def test_the_queue_is_there_while_something_is_at_work(home: Path, samples, open_page) -> None:
    store = RunStore(home)
    for share in (0.3, 0.4):
        store.submit(samples.image_request(share))
    at = open_page("runs")
    assert "0 runs at work, 2 waiting" in words(at)
    cancels = [button for button in at.button if button.key and "cancel_queue" in button.key]
    assert len(cancels) == 2
    for run in store.live():
        store.cancel(run)
    at.run()
    assert "waiting" not in words(at)
    assert not at.exception


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_several_runs_are_compared(seven, open_page, lang: str) -> None:
    at = open_page("runs", lang=lang)
    select(at, *seven[:2])
    assert not at.exception
    assert not at.error
    shown = at.dataframe[-1].value
    assert shown.shape[1] == 4
    assert not at.get("plotly_chart")
    rows = len(shown)
    at.toggle(key="compare_all").set_value(True).run()
    assert len(at.dataframe[-1].value) > rows
    if lang == "en":
        assert "2 runs compared" in words(at)
        assert "A has the better quality" in words(at)


def test_more_than_six_are_drawn_with_up_as_better(seven, open_page) -> None:
    at = select(open_page("runs"), *seven)
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert len(drawn["data"]) == 7
    assert drawn["data"][0]["customdata"][0][1] == seven[0]
    titles = " ".join(drawn["layout"]["xaxis"]["ticktext"])
    assert "axis reversed" in titles
    assert at.dataframe[-1].value.iloc[0, 0] == "dense"


def test_a_bundle_is_taken_in_and_marked(
    seven, home: Path, samples, open_page, tmp_path: Path
) -> None:
    asked = samples.image_request(0.25)
    other = RunStore(tmp_path / "other")
    samples.write_run(other.home, NAME.format(5), asked, samples.result(asked))
    data = other.pack(other.get(NAME.format(5)))
    at = open_page("runs")
    at.file_uploader[0].upload("run.zip", data, "application/zip").run()
    assert not at.exception
    (run,) = [run for run in RunStore(home).runs() if run.is_imported]
    assert at.session_state["run"] == run.id
    assert "imported" in list(table(at)["state"])
    assert "was imported" in at.toast[0].value
    at.file_uploader[0].upload("run.zip", b"no zip", "application/zip").run()
    assert "cannot be imported" in words(at)
    assert not at.exception
    assert len(RunStore(home).runs()) == 8


def test_a_new_run_does_not_move_the_selection(seven, home: Path, samples, open_page) -> None:
    at = open_page("runs", run=seven[2])
    asked = samples.image_request(0.9)
    samples.write_run(home, NAME.format(9), asked, samples.result(asked))
    at.run()
    assert at.session_state[SELECTED] == (seven[2],)
    assert seven[2] in words(at)


def test_five_hundred_runs_stay_usable(home: Path, samples, open_page) -> None:
    for index in range(500):
        asked = samples.image_request(0.001 * (index + 1))
        failed = Status(State.CANCELLED)
        name = f"20260101-{index // 60:04d}{index % 60:02d}-{index:06x}"
        samples.write_run(home, name, asked, None, failed)
    at = open_page("runs")
    assert len(table(at)) == runlist.PAGE
    assert not at.exception
