"""The Decide page: the verdict and its links, savings, and what can be taken home."""

from __future__ import annotations

import hashlib
import html
import io
import re
import zipfile
from pathlib import Path

import pytest

from checked import ab_report, group, shift_report, write_check
from osscar_core.monitoring import FalseAlarms, KitReport
from osscar_core.records import DataInfo, to_json
from osscar_core.storage import FileDigest
from osscar_core.studio import decide_evidence, examples, takehome
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from osscar_core.verdict import Protection

EXAMPLE = "example-resnet50-osscar-removed-0.5"
RUN = "20260101-000000-000000"
KIT = "20260303-000000-000000"
LANGUAGES = ["en", "ja"]


def words(at) -> str:
    items = [*at.title, *at.header, *at.markdown, *at.error, *at.warning, *at.info, *at.code]
    return "\n".join(item.value for item in items)


def verdict(at) -> str:
    """Return the word of the verdict."""
    return next(item.value for item in at.markdown if item.value.startswith("## :"))


def plain(text: str) -> str:
    """Return Markdown or HTML as the words that are read."""
    bare = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return re.sub(r"\s+", " ", re.sub(r"\\(.)", r"\1", bare))


def links(at) -> dict[str, str]:
    return {item.proto.label: item.proto.query_string for item in at.get("page_link")}


def downloads(at) -> dict[str, str]:
    return {
        item.proto.id.rpartition("-")[2]: item.proto.label for item in at.get("download_button")
    }


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, sample_run: Path) -> None:
    """Let nothing be computed: runs wait."""
    monkeypatch.setattr("osscar_core.studio.jobs.RunStore.ensure_dispatched", lambda _: None)


def put(home: Path, found, run_id: str, subject: str = RUN) -> Path:
    spec = RunStore().get(subject).request.spec
    return write_check(home, run_id, spec, subject, found)


def good_evidence(home: Path) -> None:
    overall = group(count=400, loss=0.0, half=0.005)
    put(home, ab_report(overall=overall, slices=()), "20260202-000000-000000")
    put(home, shift_report(0.5, extra=0.0), "20260202-000001-000000")


def compute(at, **values: tuple[float, float, float]):
    """Fill in the form as a person does, and send it."""
    for name, ends in values.items():
        for end, value in zip(("low", "typical", "high"), ends, strict=True):
            (key,) = [f.key for f in at.number_input if f.key.startswith(f"sv_{name}_{end}_")]
            at.number_input(key=key).set_value(value)
    return at.button(key="savings_compute").click().run()


def paying(at):
    (key,) = [box.key for box in at.checkbox if box.key.startswith("sv_is_capacity_bound")]
    at.checkbox(key=key).check()
    return compute(at, machines=(40, 40, 40), effort_days=(1, 2, 3))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_empty_workspace_is_met_with_help(home: Path, no_assets, open_page, lang: str) -> None:
    (no_assets / "sample").rename(no_assets / "gone")
    at = open_page("decide", lang=lang)
    assert not at.exception
    assert not at.error
    assert {"en": "Make one on Explore", "ja": "「検討」で作成"}[lang] in words(at)


def test_missing_new_data_leads_to_its_question_on_check(finished_run, open_page) -> None:
    at = open_page("decide", run=finished_run)
    at.button(key="to_shift").click().run()
    assert not at.exception
    assert at.session_state["check_tab"] == "shift"
    assert at.session_state["run"] == finished_run
    assert "Does it hold on our data?" in [item.value for item in at.title]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_missing_is_named_with_the_way_to_it(finished_run, open_page, lang: str) -> None:
    at = open_page("decide", run=finished_run, lang=lang)
    assert not at.exception
    assert not at.error
    text = plain(words(at))
    if lang == "en":
        assert "Pilot first" in text
        assert (
            "3 of 5 pieces of evidence missing. Not measured yet: Quality, New data, Savings."
            in (text.replace("**", ""))
        )
        assert "Faster by measurement: 1.52 to 1.69×" in text
        assert "Measured here, on Test CPU" in text
        assert f"run={finished_run}" in links(at)["Measure it on Check"]
        assert f"run={finished_run}" in links(at)["Show on Explore"]
        assert "[To the savings](#savings)" in words(at)
    else:
        assert "まず試験導入" in text
        assert "根拠5件のうち3件が不足しています" in text
        assert "1.52～1.69倍" in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_all_good_is_go_and_links_lead_to_the_checks(
    finished_run, home: Path, open_page, lang: str
) -> None:
    good_evidence(home)
    at = paying(open_page("decide", run=finished_run, lang=lang))
    assert not at.exception
    assert not at.error
    text = plain(words(at))
    assert {"en": "Go", "ja": "導入"}[lang] == verdict(at).rpartition(" ")[2]
    assert {"en": "All 5 pieces of evidence", "ja": "すべて測定済み"}[lang] in text
    shown = " ".join(item.proto.query_string for item in at.get("page_link"))
    assert "run=20260202-000000-000000" in shown
    assert "run=20260202-000001-000000" in shown


def test_a_loss_is_dont_in_friendly_words(finished_run, home: Path, open_page) -> None:
    overall = group(count=400, loss=0.2, half=0.02)
    put(home, ab_report(overall=overall), "20260202-000000-000000")
    at = open_page("decide", run=finished_run)
    text = plain(words(at))
    assert "Don\u2019t" in verdict(at)
    assert "That is a useful answer" in text
    assert "Margin 1 pt, fixed before." in text


def test_the_newest_comparison_counts_and_margins_tried_are_told(
    finished_run, home: Path, open_page
) -> None:
    put(home, ab_report(overall=group(count=400, loss=0.2, half=0.02)), "20260202-000000-000000")
    good = group(count=400, loss=0.0, half=0.005, margin=0.05)
    put(home, ab_report(0.05, overall=good, slices=()), "20260203-000000-000000")
    text = plain(words(open_page("decide", run=finished_run)))
    assert "No loss beyond the margin" in text
    assert "Margin 5 pt, fixed before." in text
    assert "1 pt, 5 pt" in text


def test_checks_of_another_run_do_not_count(finished_run, home: Path, samples, open_page) -> None:
    other = "20260101-000005-000000"
    asked = samples.image_request(0.3)
    samples.write_run(home, other, asked, samples.result(asked))
    put(home, ab_report(overall=group(count=400, loss=0.2, half=0.02)), KIT, other)
    assert "Pilot first" in verdict(open_page("decide", run=finished_run))
    assert "Don\u2019t" in verdict(open_page("decide", run=other))


def test_numbers_measured_elsewhere_name_their_device(home: Path, open_page) -> None:
    at = open_page("decide", run=EXAMPLE)
    device = examples.find(EXAMPLE).result.pruned_speed.conditions["device"]
    assert f"Measured elsewhere, on **{device}**" in plain(words(at))
    assert not at.exception


@pytest.mark.parametrize("lang", LANGUAGES)
def test_savings_wait_for_the_button_and_a_loss_is_shown(
    finished_run, open_page, lang: str
) -> None:
    at = open_page("decide", run=finished_run, lang=lang)
    assert at.get("plotly_chart") == []
    at = compute(at, effort_days=(100, 200, 300))
    assert not at.exception
    text = plain(words(at))
    expected = {"en": "it does not pay: it costs ¥", "ja": "採算が取れません"}
    assert expected[lang] in text
    assert {"en": "Don\u2019t", "ja": "見送り"}[lang] in verdict(at)
    (chart,) = at.get("plotly_chart")
    assert {"en": "What matters most", "ja": "最も影響が大きい"}[lang] in chart.proto.alt
    assert {"en": "machines after =", "ja": "導入後の台数＝"}[lang] in text


def test_values_are_kept_on_other_pages_and_for_the_next_run(
    finished_run, home: Path, samples, open_page
) -> None:
    other = "20260101-000005-000000"
    asked = samples.image_request(0.3)
    samples.write_run(home, other, asked, samples.result(asked))
    at = compute(open_page("decide", run=finished_run), requests_per_day=(1000, 7000, 9000))
    at.switch_page("pages/runs.py").run()
    at.switch_page("pages/decide.py").run()
    field = f"sv_requests_per_day_typical_{finished_run}"
    assert at.number_input(key=field).value == 7000
    assert len(at.get("plotly_chart")) == 1
    at.selectbox(key="g_run").set_value(other).run()
    assert at.number_input(key=f"sv_requests_per_day_typical_{other}").value == 7000
    assert at.get("plotly_chart") == []


def test_wrong_values_are_refused_and_the_result_stays(finished_run, open_page) -> None:
    at = compute(open_page("decide", run=finished_run))
    at = compute(at, utilisation=(0.9, 0.5, 0.7))
    assert "cannot be computed with" in " ".join(item.proto.title for item in at.warning)
    assert len(at.get("plotly_chart")) == 1
    at = compute(at, utilisation=(0.3, 0.5, 0.7), busy_watts=(1, 2, 3))
    assert "below the power" in " ".join(item.proto.title for item in at.warning)


def test_money_is_told_in_the_other_currency(finished_run, open_page) -> None:
    at = compute(open_page("decide", run=finished_run), price_per_machine_hour=(150, 300, 450))
    assert "¥" in plain(words(at))
    at.segmented_control(key="decide_currency").set_value("dollar").run()
    assert not at.exception
    key = f"sv_price_per_machine_hour_typical_dollar_{finished_run}"
    assert at.number_input(key=key).value == 2.0
    key = f"sv_price_per_kwh_typical_dollar_{finished_run}"
    assert at.number_input(key=key).value == 0.18
    table = next(item.value for item in at.markdown if "Saved per year" in item.value)
    assert r"\$" in table
    assert "¥" not in table


def test_one_currency_counts_for_all_runs(finished_run, home: Path, samples, open_page) -> None:
    other = "20260101-000005-000000"
    asked = samples.image_request(0.3)
    samples.write_run(home, other, asked, samples.result(asked))
    at = compute(open_page("decide", run=finished_run))
    at.selectbox(key="g_run").set_value(other).run()
    at.segmented_control(key="decide_currency").set_value("dollar").run()
    at = compute(at)
    at.switch_page("pages/runs.py").run()
    at.switch_page("pages/decide.py").run()
    at.selectbox(key="g_run").set_value(finished_run).run()
    assert at.segmented_control(key="decide_currency").value == "dollar"
    table = next(item.value for item in at.markdown if "Saved per year" in item.value)
    assert r"\$" in table
    assert "¥" not in table


def test_tags_are_assumptions_until_said_otherwise(finished_run, open_page) -> None:
    at = open_page("decide", run=finished_run)
    tags = [box for box in at.selectbox if (box.key or "").startswith("sv_")]
    assert len(tags) == 13
    assert {box.value for box in tags} == {"assumed"}
    key = f"sv_machines_source_{finished_run}"
    at.selectbox(key=key).set_value("measured")
    at = compute(at)
    report = at.session_state["_decide_savings"][finished_run]
    assert report.inputs.machines.source == "measured"
    assert report.inputs.speedup.source == "measured"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_has_the_numbers_of_the_screen(
    with_model, home: Path, open_page, lang: str
) -> None:
    good_evidence(home)
    at = paying(open_page("decide", run=RUN, lang=lang))
    reports = at.session_state["_decide_reports"]
    report = next(data for (_, code), data in reports.items() if code == lang).decode()
    read = plain(report)
    table = next(item.value for item in at.markdown if item.value.count("\n") == 11)
    rows = [[plain(cell).strip() for cell in row.split("|")[1:-1]] for row in table.split("\n")[2:]]
    assert len(rows) == 10
    for _, *values in rows:
        for value in values:
            assert value in read
    findings = [item.value for item in at.markdown if re.match(r":\w+\[:material/", item.value)]
    told = [plain(f.split("**")[2].split("\n")[0]).strip() for f in findings if f.count("**") >= 2]
    assert len([each for each in told if each and each in read]) >= 5
    assert not re.search(r"""(?:src|href)=["'](?!#)""", report)
    assert "http-equiv" in report


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_model_is_taken_home_as_it_was_measured(with_model, open_page, lang: str) -> None:
    at = open_page("decide", run=RUN, lang=lang)
    text = plain(words(at))
    sha256 = hashlib.sha256(b"weights" * 100).hexdigest()
    assert f"{sha256}  {RUN}-model/model.safetensors" in "\n".join(code.value for code in at.code)
    assert {"en": "Reloaded and measured", "ja": "再読み込みして測定済み"}[lang] in text
    assert "70.6%" in text
    packed = takehome.pack_model(RunStore().get(RUN))
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == [
            f"{RUN}-model/config.json", f"{RUN}-model/model.safetensors",
        ]  # fmt: skip
        assert archive.read(f"{RUN}-model/model.safetensors") == b"weights" * 100
    assert takehome.pack_model(RunStore().get(RUN)) == packed


def test_a_changed_model_is_not_handed_out(with_model) -> None:
    (with_model / "model" / "model.safetensors").write_bytes(b"changed" * 100)
    with pytest.raises(takehome.StoreError, match="not the file that was measured"):
        takehome.pack_model(RunStore().get(RUN))
    assert not list(with_model.glob("*.zip"))
    assert not list(with_model.glob(".model*"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_cannot_be_had_says_why_and_can_be_made(home: Path, open_page, lang: str) -> None:
    at = open_page("decide", run=EXAMPLE, lang=lang)
    assert {"en": "and no weights", "ja": "重みはありません"}[lang] in plain(words(at))
    labels = " ".join(item.proto.label for item in at.get("download_button"))
    assert {"en": "Download the model", "ja": "モデルをダウンロード"}[lang] not in labels
    at.button(key="take_make_model").click().run()
    (run,) = RunStore().runs("local")
    assert run.kind is JobKind.PRUNE
    assert run.request == examples.find(EXAMPLE).run.request
    assert at.session_state["run"] == run.id


def test_a_run_of_another_release_has_no_check_mark(with_model, open_page) -> None:
    (with_model / takehome.RECORD).unlink()
    text = plain(words(open_page("decide", run=RUN)))
    assert "older than the record of checksums" in text
    assert "Reloaded and measured" not in text


def test_a_kit_is_one_click_away(with_model, open_page) -> None:
    at = open_page("decide", run=RUN)
    at.button(key="take_make_kit").click().run()
    assert not at.exception
    (kit,) = [run for run in RunStore().runs("local") if run.kind is JobKind.KIT]
    assert kit.request.check.run == RUN
    assert kit.request.data == kit.request.spec.calibration
    assert "take_make_kit" not in [button.key for button in at.button]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_made_kit_tells_its_false_alarms(
    with_model, home: Path, samples, open_page, lang: str
) -> None:
    spec = RunStore().get(RUN).request.spec
    request = JobRequest(
        spec, data=spec.calibration, kind=JobKind.KIT, check=CheckRequest(CheckKind.AB, RUN)
    )
    ended = Status(State.FINISHED, fraction=1.0, overall=1.0, seconds=31.0)
    folder = samples.write_run(home, KIT, request, None, ended)
    (folder / "kit").mkdir()
    (folder / "kit" / "monitor.py").write_text("print(1)\n")
    (folder / "kit" / "manifest.json").write_text("{}\n")
    digest = {file.name: file.sha256 for file in takehome.digests(folder / "kit")}
    kit = KitReport(
        "kit", "small", "dense", DataInfo("demo:factory", "image", 256, "ab"), 100, 200, 56, (32,),
        (0.1,), 0.01, (FalseAlarms(32, 200, 3, 0.005, 0.043),), 2e-6, None, 0.97,
        (FileDigest("monitor.py", 9, digest["monitor.py"]),), digest["manifest.json"], 31.0,
    )  # fmt: skip
    (folder / "kit.json").write_text(to_json(kit))
    at = open_page("decide", run=RUN, lang=lang)
    assert not at.exception
    assert not at.error
    text = plain(words(at))
    expected = {
        "en": "3 of 200 = 1.5% (95% interval 0.5% to 4.3%; set for 1%)",
        "ja": "200回中3回＝1.5%",
    }
    assert expected[lang] in text
    with zipfile.ZipFile(takehome.pack_kit(RunStore().get(KIT), kit)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2


def test_a_damaged_kit_is_told_and_leaves_no_dead_button(
    with_model, home: Path, samples, open_page
) -> None:
    spec = RunStore().get(RUN).request.spec
    request = JobRequest(
        spec, data=spec.calibration, kind=JobKind.KIT, check=CheckRequest(CheckKind.AB, RUN)
    )
    samples.write_run(home, KIT, request, None, Status(State.FINISHED, fraction=1.0, overall=1.0))
    at = open_page("decide", run=RUN)
    assert "cannot be read" in at.warning[0].value
    assert "take_make_kit" not in [button.key for button in at.button]


def test_the_bundle_is_the_same_file_every_time(finished_run) -> None:
    store = RunStore()
    run = store.get(finished_run)
    packed = store.pack(run)
    assert packed == store.pack(run)
    assert "result.json" in zipfile.ZipFile(io.BytesIO(packed)).namelist()


def test_protection_is_what_was_measured(samples) -> None:
    asked = samples.image_request(0.5)
    assert decide_evidence.protection(samples.result(asked)) is Protection.NONE_DEMANDED


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, None),
        ([(True, True)], Protection.KEPT),
        ([(True, True), (True, False)], Protection.NOT_PROVEN),
        ([(True, True), (False, False)], Protection.NOT_KEPT),
    ],
)
def test_demanded_protection_needs_a_measurement(found, expected) -> None:
    from types import SimpleNamespace as Record

    results = [Record(is_kept=kept, is_proven=proven) for kept, proven in found or ()]
    guards = None if found is None else Record(final=Record(results=results))
    spec = Record(guards=("tier=gold:0.01",))
    result = Record(prune=Record(plan=Record(spec=spec), guards=guards))
    assert decide_evidence.protection(result) is expected
