"""The Check page: whose model, which data, and what each question's answer looks like."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from checked import (
    ab_report,
    flip,
    group,
    shift_report,
    stress_report,
    text_report,
    write_check,
)
from osscar_core.datasets.own import sample_own
from osscar_core.storage import write_sealed
from osscar_core.studio import check_ab, examples, owndata, texts
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.numbers import MINUS
from osscar_core.studio.requests import CheckKind, JobKind

EXAMPLE = "example-resnet50-osscar-removed-0.5"
TEXT_EXAMPLE = "example-opt-osscar-removed-0.5"
CHECK = "20260202-000000-000000"
LANGUAGES = ["en", "ja"]
CSV = "text,plant\n" + "".join(
    f"Pump P-{number} lost pressure at the start of the shift.,{plant}\n"
    for number, plant in enumerate(["north", "south"] * 10)
)


def words(at) -> str:
    items = [*at.title, *at.markdown, *at.error, *at.warning, *at.info, *at.get("html")]
    return "\n".join(getattr(item, "value", "") or item.proto.body for item in items)


def titles(at) -> str:
    return "\n".join(item.proto.title for item in [*at.error, *at.warning])


def charts(at) -> dict[str, dict]:
    found = {}
    for chart in at.get("plotly_chart"):
        key = chart.proto.id.rpartition("-")[2]
        found[key] = json.loads(chart.proto.spec) | {"alt": chart.proto.alt}
    return found


def spec_of(run_id: str):
    return examples.find(run_id).run.request.spec


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, sample_run: Path) -> None:
    """Let nothing be computed: runs wait."""
    monkeypatch.setattr("osscar_core.studio.jobs.RunStore.ensure_dispatched", lambda _: None)


@pytest.fixture
def sample_pictures(home: Path) -> owndata.OwnInfo:
    name, content = sample_own("image")
    return owndata.keep(content, name, task="image", owner="local")


def keep_text(owner: str = "local", name: str = "reports.csv") -> owndata.OwnInfo:
    return owndata.keep(CSV.encode(), name, task="text", owner=owner)


def put(home: Path, found, run_id: str = CHECK, subject: str = EXAMPLE, **more) -> Path:
    return write_check(home, run_id, spec_of(subject), subject, found, **more)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_sample_is_two_clicks_from_a_comparison(home: Path, open_page, lang: str) -> None:
    at = open_page("check", run=TEXT_EXAMPLE, lang=lang)
    assert not at.exception
    at.button(key="check_sample").click().run()
    assert not at.exception
    assert not at.error
    (info,) = owndata.mine("local", "text")
    assert at.selectbox(key="check_data").value == owndata.spec_of(info)
    at.button(key="check_run_ab").click().run()
    (run,) = RunStore().runs("local")
    request = run.request
    assert (request.kind, request.check.kind) == (JobKind.CHECK, CheckKind.AB)
    assert (request.check.run, request.data) == (TEXT_EXAMPLE, f"own:{info.id}")
    assert request.spec == spec_of(TEXT_EXAMPLE)
    assert (request.check.margin, request.check.columns) == (0.01, None)
    assert "check_run_ab" not in [button.key for button in at.button]
    assert info.id not in json.dumps(dict(at.query_params))


def test_a_second_click_on_the_sample_keeps_one_set(home: Path, open_page) -> None:
    at = open_page("check", run=TEXT_EXAMPLE)
    at.button(key="check_sample").click().run()
    at.button(key="check_sample").click().run()
    assert len(owndata.mine("local")) == 1


def test_margin_and_groups_are_fixed_before(home: Path, open_page) -> None:
    keep_text()
    at = open_page("check", run=TEXT_EXAMPLE)
    at.number_input(key="check_margin").set_value(2.5).run()
    at.multiselect[0].set_value([]).run()
    at.button(key="check_run_ab").click().run()
    (run,) = RunStore().runs("local")
    assert (run.request.check.margin, run.request.check.columns) == (0.025, ())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_verdict_comes_with_its_numbers(home: Path, open_page, lang: str) -> None:
    put(home, ab_report())
    at = open_page("check", run=EXAMPLE, lang=lang)
    assert not at.exception
    text = words(at)
    if lang == "en":
        assert "No loss beyond 1 pt: not proven." in text
        assert (
            f"1.5 pt (95% interval {MINUS}0.5 pt to 3.5 pt) on 200 items: 90.0% before, 88.5% now"
            in text
        )
        assert "About 790 more items would decide" in text
        assert "Right before and wrong now: 12. The reverse: 9." in text
        assert "Correction for many groups: 2 slices judged together" in text
        assert "Worst: line=B, loss 6.0 pt" in text
    else:
        assert "1ポイントを超える損失がないこと：証明できていません。" in text
        assert "あと約790件" in text
    assert CHECK in text
    assert "seed 0" in text


@pytest.mark.parametrize(
    ("loss", "half", "words_of_it"),
    [
        (0.0, 0.005, "No loss beyond 1 pt: confirmed."),
        (0.03, 0.01, "Loss found. That it stays within 1 pt is not shown."),
        (0.0, 0.05, "No loss beyond 1 pt: not proven."),
    ],
)
def test_each_verdict_has_its_words(
    home: Path, open_page, loss: float, half: float, words_of_it: str
) -> None:
    overall = group(count=200, loss=loss, half=half)
    put(home, ab_report(overall=overall, slices=(), flips=(), lost=0, gained=0))
    text = words(open_page("check", run=EXAMPLE))
    assert words_of_it in text
    assert "No item changed" in text
    assert ("No difference between the models" in text) == (loss - half <= 0)


def test_the_forest_shows_every_group_worst_first(home: Path, open_page) -> None:
    report = ab_report()
    put(home, report)
    at = open_page("check", run=EXAMPLE)
    forest = charts(at)["forest"]
    names = {trace["name"]: trace for trace in forest["data"]}
    assert set(names) == {"not proven", "loss found", "confirmed", "too few"}
    assert names["loss found"]["y"] == [1]
    assert names["loss found"]["x"] == pytest.approx([6.0])
    assert names["loss found"]["error_x"]["array"] == pytest.approx([5.0])
    assert names["too few"]["y"] == [3]
    symbols = {trace["marker"]["symbol"] for trace in forest["data"]}
    assert len(symbols) == 4
    ticks = forest["layout"]["yaxis"]["ticktext"]
    assert "n = 200" in ticks[0]
    assert "line=B" in ticks[1]
    assert "too few" in ticks[3]
    lines = [shape["x0"] for shape in forest["layout"]["shapes"]]
    assert lines == [0, 1.0]
    assert "line=B" in forest["alt"]
    table = next(frame.value for frame in at.dataframe if "Verdict" in frame.value)
    assert list(table["Items"]) == [200, 90, 110, 12]
    assert table["Verdict"][3] == "too few"


def test_pictures_that_changed_are_shown_with_both_answers(
    home: Path, open_page, sample_pictures: owndata.OwnInfo
) -> None:
    lost = flip(0)
    gone = flip(5, name="images/9999.png")
    report = ab_report(flips=(lost, gone), lost=2, gained=0)
    put(home, report, data=owndata.spec_of(sample_pictures))
    at = open_page("check", run=EXAMPLE)
    assert not at.exception
    assert len(at.get("image")) + len(at.get("imgs")) == 1
    assert "before: crack, 81%" in words(at)
    assert "now: pit, 62%" in words(at)
    owndata.remove(sample_pictures.id, "local")
    at.run()
    assert not at.get("imgs")
    assert "not kept here" in words(at)


def test_more_items_are_shown_on_demand_and_the_other_way(home: Path, open_page) -> None:
    put(home, ab_report())
    at = open_page("check", run=EXAMPLE)
    assert words(at).count("Truly **crack**") == 8
    at.button(key=f"check_more_{CHECK}").click().run()
    assert words(at).count("Truly **crack**") == 12
    at.segmented_control(key=f"check_way_{CHECK}").set_value("gained").run()
    assert words(at).count("Truly **crack**") == 9
    assert "before: pit" in words(at)


def test_the_download_runs_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(check_ab._table(text_report()).decode("utf-8-sig"))))
    assert rows[1][-2] == "'=cmd|calc <b>Pump</b> lost pressure"
    assert len(rows) == 3


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_text_model_is_told_in_per_cent_and_documents(home: Path, open_page, lang: str) -> None:
    put(home, text_report(), subject=TEXT_EXAMPLE)
    at = open_page("check", run=TEXT_EXAMPLE, lang=lang)
    text = words(at)
    assert "5.0%" in text
    assert "2.00 → 2.60" in text
    assert "=cmd|calc &lt;b&gt;Pump&lt;/b&gt; lost pressure" in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("times", "extra", "light", "verdict"),
    [
        (0.5, 0.0, {"en": "Green", "ja": "青"}, {"en": "No extra loss", "ja": "示されていません"}),
        (2.0, 0.1, {"en": "Amber", "ja": "黄"}, {"en": "The shift costs", "ja": "ずれにより、"}),
        (
            5.0,
            None,
            {"en": "Red", "ja": "赤"},
            {"en": "was not measured", "ja": "測定していません"},
        ),
    ],
)
def test_a_shift_is_a_light_a_word_and_its_cost(
    home: Path, open_page, lang: str, times: float, extra, light, verdict
) -> None:
    put(home, shift_report(times, extra=extra))
    at = open_page("check", run=CHECK, lang=lang)
    assert not at.exception
    assert at.session_state["check_tab"] == "shift"
    text = words(at)
    assert light[lang] in text
    assert verdict[lang] in text
    assert "0.0200" in text
    column = "属性" if lang == "ja" else "Attribute"
    table = next(frame.value for frame in at.dataframe if column in frame.value)
    assert len(table) == 5
    assert "a warning of the measure" in text
    assert "attribute 0" in text
    assert "unseen in the reference" not in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_stress_draws_both_models_apart(home: Path, open_page, lang: str) -> None:
    put(home, stress_report())
    at = open_page("check", run=CHECK, lang=lang)
    assert not at.exception
    drawn = charts(at)
    assert {"stress_blur", "stress_dark"} <= set(drawn)
    dense, pruned = drawn["stress_blur"]["data"]
    assert dense["y"] == pytest.approx([90, 80, 70])
    assert pruned["y"] == pytest.approx([88, 73, 58])
    assert dense["line"]["dash"] != pruned["line"]["dash"]
    assert dense["marker"]["symbol"] != pruned["marker"]["symbol"]
    assert ("ぼけ" if lang == "ja" else "Most delicate: Blur") in words(at)
    assert drawn["stress_blur"]["alt"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_months_stand_on_one_line_with_what_to_do(home: Path, open_page, lang: str) -> None:
    for month, (times, extra) in enumerate([(0.5, 0.0), (2.0, 0.0), (0.6, 0.1), (4.0, 0.0)], 1):
        put(home, shift_report(times, extra=extra), f"20260{month}01-000000-000000")
    at = open_page("check", run=EXAMPLE, lang=lang)
    at.segmented_control(key="check_tab").set_value("monthly").run()
    assert not at.exception
    names = {trace.get("name"): trace for trace in charts(at)["timeline"]["data"]}
    said = {
        action: texts.sentences(lang)[f"check.action.{action}"]
        for action in ("none", "watch", "recheck")
    }
    assert names[said["none"]]["y"] == pytest.approx([0.5])
    assert names[said["watch"]]["y"] == pytest.approx([2.0])
    assert names[said["recheck"]]["y"] == pytest.approx([0.6, 4.0])
    limits = [shape["y0"] for shape in charts(at)["timeline"]["layout"]["shapes"]]
    assert limits == [1.0, 3.0]
    assert said["recheck"] in words(at)
    assert len(at.dataframe[0].value) == 4


def test_a_month_is_a_shift_against_the_calibration_data(home: Path, open_page) -> None:
    keep_text()
    at = open_page("check", run=TEXT_EXAMPLE)
    at.segmented_control(key="check_tab").set_value("monthly").run()
    at.button(key="check_run_monthly").click().run()
    (run,) = RunStore().runs("local")
    assert run.request.check.kind is CheckKind.SHIFT
    assert run.request.check.reference == spec_of(TEXT_EXAMPLE).calibration


def test_earlier_checks_are_found_again_and_chosen(home: Path, open_page) -> None:
    put(home, ab_report(), "20260101-000000-000000")
    newer = ab_report(0.05, data=ab_report().data)
    put(home, newer, "20260301-000000-000000")
    put(home, ab_report(), "20260302-000000-000000", owner="user-else")
    at = open_page("check", run=EXAMPLE)
    assert "No loss beyond 5 pt: confirmed" in words(at)
    assert "2 margins (1 pt, 5 pt)" in words(at)
    at.selectbox(key="check_pick_ab").set_value("20260101-000000-000000").run()
    assert "No loss beyond 1 pt: not proven" in words(at)
    assert len(at.selectbox(key="check_pick_ab").options) == 2
    at = open_page("check", run="20260101-000000-000000")
    assert "No loss beyond 1 pt: not proven" in words(at)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_runs_tells_the_verdict_and_opens_it(home: Path, open_page, lang: str) -> None:
    put(home, shift_report(5.0))
    put(home, ab_report(), "20260101-000000-000000")
    at = open_page("runs", run=CHECK, lang=lang)
    assert not at.exception
    assert ("大きく違います" if lang == "ja" else "differs strongly") in words(at)
    at.button(key=f"check_{CHECK}").click().run()
    at.switch_page("pages/check.py").run()
    assert at.session_state["check_tab"] == "shift"
    assert ("大きく違います" if lang == "ja" else "differs strongly") in words(at)


def test_a_switch_of_the_language_keeps_every_choice(home: Path, open_page) -> None:
    info = keep_text()
    put(home, shift_report(2.0), subject=TEXT_EXAMPLE)
    at = open_page("check", run=TEXT_EXAMPLE)
    at.number_input(key="check_margin").set_value(3.0).run()
    at.multiselect[0].set_value([]).run()
    at.segmented_control(key="g_lang").set_value("ja").run()
    assert not at.exception
    assert at.number_input(key="check_margin").value == 3.0
    assert at.multiselect[0].value == []
    at.segmented_control(key="check_tab").set_value("shift").run()
    at.segmented_control(key="g_lang").set_value("en").run()
    assert at.session_state["check_tab"] == "shift"
    assert "Amber" in words(at)
    assert at.selectbox(key="check_data").value == owndata.spec_of(info)


def upload(at, name: str, content: bytes):
    at.file_uploader[0].upload(name, content).run()
    return at


def test_own_files_are_kept_at_once_and_survive_a_change_of_page(home: Path, open_page) -> None:
    at = open_page("check", run=TEXT_EXAMPLE)
    upload(at, "parts.csv", CSV.encode())
    assert not at.error
    (info,) = owndata.mine("local")
    assert (info.name, info.count, info.columns) == ("parts.csv", 20, ("plant",))
    at.switch_page("pages/runs.py").run()
    at.switch_page("pages/check.py").run()
    assert at.selectbox(key="check_data").value == owndata.spec_of(info)
    at = open_page("check", run=TEXT_EXAMPLE)
    assert at.selectbox(key="check_data").value == owndata.spec_of(info)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_unclear_file_is_shown_before_it_is_kept(home: Path, open_page, lang: str) -> None:
    at = open_page("check", run=TEXT_EXAMPLE, lang=lang)
    rows = "".join(f"short {n},also {n},x{n}@example.com\n" for n in range(12))
    upload(at, "mine.csv", f"a,b,who\n{rows}".encode())
    assert not at.exception
    assert owndata.mine("local") == ()
    assert ("メールアドレス" if lang == "ja" else "e-mail addresses (12 rows)") in words(at)
    assert at.button(key="check_use").disabled
    at.selectbox(key="check_map_text").set_value("b").run()
    at.button(key="check_use").click().run()
    (info,) = owndata.mine("local")
    assert info.count == 12
    assert "who" not in info.columns


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.csv", b"", ""),
        ("one.csv", b"text\nonly one report\n", ""),
        ("nan.csv", CSV.replace("P-3", "P-3").encode() + b",north\n", "22"),
        ("program.csv", b"MZ\x90\x00\x03\x00\x00\x00" * 40, ""),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_its_place(
    home: Path, open_page, lang: str, name: str, content: bytes, expected: str
) -> None:
    at = open_page("check", run=TEXT_EXAMPLE, lang=lang)
    upload(at, name, content)
    assert not at.exception
    assert owndata.mine("local") == ()
    assert ("使えません" if lang == "ja" else "cannot be used") in titles(at)
    assert expected in words(at)
    assert str(home) not in words(at)
    assert at.button(key="check_sample")


def test_a_file_of_the_other_kind_is_refused_and_none_is_offered(home: Path, open_page) -> None:
    keep_text()
    at = open_page("check", run=EXAMPLE)
    assert "reports.csv" not in words(at)
    upload(at, "table.zip", CSV.encode())
    assert "This model reads pictures" in words(at)


def test_a_shift_jis_file_is_shown_first(home: Path, open_page) -> None:
    at = open_page("check", run=TEXT_EXAMPLE, lang="ja")
    rows = "".join(f"始業時にポンプ{n}の圧力が低下した。,北\n" for n in range(12))
    upload(at, "日報.csv", f"本文,工場\n{rows}".encode("cp932"))
    assert "Shift-JIS" in words(at)
    at.button(key="check_use").click().run()
    (info,) = owndata.mine("local")
    assert (info.name, info.encoding, info.columns) == ("日報.csv", "cp932", ("工場",))


def test_data_is_deleted_on_demand_and_belongs_to_its_owner(home: Path, open_page) -> None:
    info = keep_text()
    other = keep_text("user-else", "secret.csv")
    at = open_page("check", run=TEXT_EXAMPLE)
    assert "secret.csv" not in words(at) + str(at.selectbox(key="check_data").options)
    at.button(key=f"check_delete_{info.id}").click().run()
    assert owndata.mine("local") == ()
    assert [each.id for each in owndata.mine("user-else")] == [other.id]
    assert "No data yet" in words(at)


def test_expired_data_is_gone_when_the_page_opens(home: Path, open_page) -> None:
    info = keep_text()
    record = owndata.folder() / info.id / "info.json"
    files = list((owndata.folder() / info.id).glob("*.json"))
    record = next(path for path in files if "created" in path.read_text())
    values = json.loads(record.read_text())
    values["created"] = "2026-01-01T00:00:00+00:00"
    del values["sha256"]
    write_sealed(record, json.dumps(values))
    at = open_page("check", run=TEXT_EXAMPLE)
    assert not at.exception
    assert not (owndata.folder() / info.id).exists()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_imported_run_has_no_model_to_check(home: Path, samples, open_page, lang: str) -> None:
    asked = samples.image_request(0.5)
    samples.write_run(
        home,
        "20260101-000000-000000",
        asked,
        samples.result(asked),
        is_imported=True,
        key="elsewhere",
    )
    at = open_page("check", run="20260101-000000-000000", lang=lang)
    assert not at.exception
    assert ("重みがありません" if lang == "ja" else "no weights") in titles(at)
    assert "check_run_ab" not in [button.key for button in at.button]
    at.button(key="check_again").click().run()
    assert len(RunStore().live("local")) == 1


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.INTERRUPTED])
def test_a_check_that_failed_is_told(home: Path, open_page, state: State) -> None:
    keep_text()
    status = Status(state, reason="the columns are mixed up", remedy="Mend them")
    put(home, None, subject=TEXT_EXAMPLE, status=status)
    at = open_page("check", run=TEXT_EXAMPLE)
    assert not at.exception
    if state is State.FAILED:
        assert "the columns are mixed up" in words(at)
    assert at.button(key="check_run_ab")


def test_a_damaged_result_is_told(home: Path, open_page) -> None:
    folder = put(home, ab_report())
    (folder / "check.json").write_text("{")
    at = open_page("check", run=EXAMPLE)
    assert "cannot be read" in words(at)
    assert not at.exception


def test_a_check_outlives_its_run(home: Path, open_page, samples) -> None:
    write_check(home, CHECK, spec_of(EXAMPLE), "20250101-000000-000000", ab_report())
    at = open_page("check", run=CHECK)
    assert not at.exception
    assert "No loss beyond 1 pt: not proven" in words(at)
    assert "not here any more" in titles(at)


def test_nothing_at_all_is_met_with_a_way_to_explore(
    home: Path, sample_run: Path, open_page, monkeypatch
) -> None:
    for file in (sample_run / "sample").glob("*.json"):
        file.unlink()
    at = open_page("check")
    assert "No pruned model yet" in words(at)
    assert not at.exception
