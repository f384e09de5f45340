"""Take home: one card a format, and why the other formats do not suit the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from exported import MADE, RUN, export_request, write_export
from osscar_core.export import ExportFormat
from osscar_core.export.records import (
    FLOAT32,
    LEADING_SPACE,
    NEEDS_CODE,
    NO_CACHE,
    NO_DENSE,
    NO_PADDING,
    NO_TOKENIZER,
    NO_TOKENIZER_FILE,
    NOT_NFC,
    ONLY_PROGRAM,
    PLAIN,
    WITH_CODE,
    Contender,
    Contest,
    Timing,
)
from osscar_core.records import DataInfo, Latency, to_json
from osscar_core.studio import takehome
from osscar_core.studio.database import runs
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind

EXAMPLE = "example-resnet50-osscar-removed-0.5"
LANGUAGES = ["en", "ja"]


def words(at) -> str:
    items = [*at.markdown, *at.error, *at.warning, *at.code]
    return "\n".join(item.value for item in items)


def plain(text: str) -> str:
    """Return Markdown as the words that are read."""
    return re.sub(r"\s+", " ", re.sub(r"\\(.)", r"\1", text))


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, sample_run: Path) -> None:
    """Let nothing be computed: runs wait."""
    monkeypatch.setattr("osscar_core.studio.jobs.RunStore.ensure_dispatched", lambda _: None)


def orders(at) -> set[str]:
    """Return what can be ordered."""
    keys = {button.key.removeprefix("take_make_") for button in at.button if button.key}
    return keys & set(ExportFormat)


def unsuited(at) -> str:
    """Return the list of formats that do not suit the model."""
    return next(item.value for item in at.markdown if item.value.startswith("- **"))


def with_source(
    home: Path, samples, task: str, family: str, first_keeps: int | None = None
) -> None:
    """Put a run with a model of a family, made up, into the workspace."""
    asked = samples.image_request() if task == "image" else samples.text_request()
    found = samples.result(asked, **({} if task == "image" else {"dense": 20.0, "pruned": 22.0}))
    source = dataclasses.replace(found.prune.plan.source, task=task, family=family)
    plan = dataclasses.replace(found.prune.plan, source=source)
    if first_keeps is not None:
        first, *others = plan.units
        first = dataclasses.replace(first, kept=tuple(range(first_keeps)))
        plan = dataclasses.replace(plan, units=(first, *others))
    found = dataclasses.replace(found, prune=dataclasses.replace(found.prune, plan=plan))
    (samples.write_run(home, RUN, asked, found) / "model").mkdir()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("task", "family", "offered"),
    [
        ("image", "resnet", {"onnx", "torch"}),
        ("text", "opt", {"hf", "onnx"}),
        ("text", "llama", {"hf", "onnx", "gguf"}),
    ],
)
def test_formats_that_suit_are_offered_and_others_say_why(
    home: Path, samples, open_page, monkeypatch, task: str, family: str, offered: set, lang: str
) -> None:
    monkeypatch.setattr("osscar_core.studio.take_formats.missing_packages", lambda _: ())
    with_source(home, samples, task, family)
    at = open_page("decide", run=RUN, lang=lang)
    assert not at.exception
    assert not at.error
    assert orders(at) == offered
    lines = unsuited(at).splitlines()
    assert len(lines) == len(ExportFormat) - len(offered)
    assert "（英語）" not in unsuited(at)
    known = {
        "hf": {"en": "no configuration for this network", "ja": "設定はtransformersにありません"},
        "torch": {"en": "For image models", "ja": "画像モデル用"},
        "gguf": {"en": "the Llama family only", "ja": "Llama系のモデルだけ"},
    }
    for kind in set(known) - offered:
        assert known[kind][lang] in unsuited(at)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_layers_of_unlike_widths_are_no_gguf_file(
    home: Path, samples, open_page, monkeypatch, lang: str
) -> None:
    monkeypatch.setattr("osscar_core.studio.take_formats.missing_packages", lambda _: ())
    with_source(home, samples, "text", "llama", first_keeps=3)
    at = open_page("decide", run=RUN, lang=lang)
    assert orders(at) == {"hf", "onnx"}
    expected = {
        "en": "layers keep between 3 and 307 feed-forward neurons",
        "ja": "フィードフォワード層のニューロンの数が異なります（3～307）",
    }
    assert expected[lang] in unsuited(at)


def test_a_format_whose_package_is_missing_has_no_dead_button(
    with_model, open_page, monkeypatch
) -> None:
    monkeypatch.setattr(
        "osscar_core.studio.take_formats.missing_packages",
        lambda kind: ("onnxruntime",) if kind is ExportFormat.ONNX else (),
    )
    at = open_page("decide", run=RUN)
    assert "onnxruntime is not installed" in plain(words(at))
    assert orders(at) == {"torch"}


def test_each_format_is_one_click_away_and_lives_by_itself(with_model, home, open_page) -> None:
    at = open_page("decide", run=RUN)
    at.button(key="take_make_onnx").click().run()
    assert not at.exception
    (run,) = [run for run in RunStore().runs("local") if run.kind is JobKind.EXPORT]
    assert run.request.key == export_request(home).key
    assert orders(at) == {"torch"}
    at.button(key="take_make_torch").click().run()
    assert not at.exception
    made = {run.request.writes for run in RunStore().runs("local")} - {None}
    assert made == {ExportFormat.ONNX, ExportFormat.TORCH}
    assert orders(at) == set()


def test_an_onnx_file_can_have_one_of_eight_bits_beside_it(
    with_model, home: Path, open_page
) -> None:
    at = open_page("decide", run=RUN)
    assert [button.key for button in at.button if "richer" in str(button.key)] == [
        "take_richer_onnx"
    ]
    write_export(home, ExportFormat.ONNX)
    at.run()
    assert orders(at) == {"torch"}
    button = at.button(key="take_richer_onnx")
    assert button.label == "Make it again, and one with 8 bits"
    button.click().run()
    assert not at.exception
    (run,) = [run for run in RunStore().runs("local") if run.request.int8]
    assert run.status.state is State.QUEUED
    with RunStore().database.write() as connection:
        failed = {"state": State.FAILED.value, "reason": "it went wrong"}
        connection.execute(runs.update().where(runs.c.id == run.id).values(failed))
    at.run()
    assert "it went wrong" in at.error[0].value
    assert "70.4% re-loaded" in words(at)
    assert at.button(key="take_richer_onnx")


def test_the_time_of_an_order_is_that_of_its_format(
    with_model, home: Path, samples, open_page
) -> None:
    other = dataclasses.replace(
        export_request(home, ExportFormat.TORCH), check=CheckRequest(CheckKind.AB, EXAMPLE)
    )
    ended = Status(State.FINISHED, fraction=1.0, overall=1.0, seconds=61.0)
    samples.write_run(home, MADE, other, None, ended)
    at = open_page("decide", run=RUN)
    assert at.button(key="take_make_torch").label.endswith("1 min 00 s)")
    assert at.button(key="take_make_onnx").label == "Make the ONNX file"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_made_onnx_file_tells_how_it_was_compared(
    with_model, home: Path, samples, open_page, lang: str
) -> None:
    notes = (NO_PADDING, "some *warning*")
    folder, made = write_export(home, ExportFormat.ONNX, notes=notes)
    at = open_page("decide", run=RUN, lang=lang)
    assert not at.exception
    assert not at.error
    text = plain(words(at))
    expected = {
        "en": (
            "onnxruntime 1.32.0: largest difference 2.1e−6 (3.1e−7 of the largest output); 99.80%",
            "70.4% re-loaded and 70.2% in memory, on the same 500 images",
            "It has no padding",
            "some *warning*",
        ),
        "ja": (
            "onnxruntime 1.32.0で再読み込み済み：最大の差は2.1e−6（最大出力の3.1e−7）",
            "予測の99.80%が一致します",
            "再読み込み後は70.4%、メモリー上では70.2%です（同じ画像500件）",
            "パディングはありません",
            "（英語）some *warning*",
        ),
    }[lang]
    for each in (*expected, "opset 20 · torch 2.14.1 · onnxruntime 1.32.0", "3.50 MB"):
        assert each in text
    digest = hashlib.sha256(b"graph" * 300_000).hexdigest()
    assert f"{digest[:12]}…" in text
    sums = "\n".join(code.value for code in at.code)
    assert f"{digest}  {MADE}-onnx/model.onnx" in sums
    assert f"  {MADE}-onnx/README.md" in sums
    assert [code.value for code in at.code].count("import onnxruntime") == 1
    labels = " ".join(item.proto.label for item in at.get("download_button"))
    assert {"en": "Download the ONNX file", "ja": "ONNXファイルをダウンロード"}[lang] in labels
    run = RunStore().get(MADE)
    with zipfile.ZipFile(takehome.pack_export(run, made)) as archive:
        assert archive.testzip() is None
        assert f"{MADE}-onnx/model.onnx" in archive.namelist()
    (folder / "onnx.zip").unlink()
    (folder / "onnx" / "model.onnx").write_bytes(b"other")
    with pytest.raises(takehome.StoreError, match="not the file that was measured"):
        takehome.pack_export(run, made)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_files_that_were_measured_in_turns_are_a_table(
    with_model, home: Path, samples, open_page, lang: str
) -> None:
    def timed(size: int, median: float, speedup: float) -> Timing:
        latency = Latency(median, 1.1 * median, 0.9 * median, 20)
        return Timing("batch", size, latency, speedup, (speedup - 0.1, speedup + 0.1))

    found = Contest(
        contenders=(
            Contender("dense", 90_000_000, 0.82, (timed(1, 20.0, 1.0), timed(16, 200.0, 1.0))),
            Contender("pruned", 45_000_000, 0.704, (timed(1, 12.5, 1.6), timed(16, 100.0, 2.0))),
            Contender("pruned, int8", 12_000_000, 0.7, (timed(1, 8.0, 2.5), timed(16, 50.0, 4.0))),
        ),
        metric="top1",
        data=DataInfo("images:test", "image", 500, "ab"),
        count=500,
        conditions={"device": "Test CPU", "threads": "2", "onnxruntime": "1.32.0"},
        seconds=30.0,
    )
    write_export(home, ExportFormat.ONNX, contest=found)
    at = open_page("decide", run=RUN, lang=lang)
    assert not at.exception
    (table,) = [item.value for item in at.markdown if "20.0 ms" in item.value]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")]
    expected = {
        "en": [
            ["", "dense", "pruned", "pruned · 8 bits"],
            ["Size", "90.0 MB", "45.0 MB", "12.0 MB"],
            ["Accuracy", "82.0%", "70.4%", "70.0%"],
            ["1 image at once", "20.0 ms", "12.5 ms · 1.60× (1.50 to 1.70)"],
            ["16 images at once", "200 ms", "100 ms · 2.00× (1.90 to 2.10)"],
        ],
        "ja": [
            ["", "元のモデル", "小型モデル", "小型モデル · 8ビット"],
            ["サイズ", "90.0 MB", "45.0 MB", "12.0 MB"],
            ["正解率", "82.0%", "70.4%", "70.0%"],
            ["画像1枚ずつ", "20.0 ms", "12.5 ms · 1.60倍（1.50～1.70）"],
            ["画像16枚ずつ", "200 ms", "100 ms · 2.00倍（1.90～2.10）"],
        ],
    }[lang]
    shown = [rows[0], *rows[2:]]
    assert [row[: len(want)] for row, want in zip(shown, expected, strict=True)] == expected
    assert {"en": "Test CPU, 2 threads:", "ja": "Test CPU、2スレッド"}[lang] in words(at)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("has_code", [False, True])
def test_a_made_folder_says_whether_plain_transformers_will_do(
    home: Path, samples, open_page, has_code: bool, lang: str
) -> None:
    with_source(home, samples, "text", "opt")
    reason = "layers keep between 128 and 512 neurons"
    changes = {"needs": WITH_CODE, "notes": (f"{NEEDS_CODE}{reason}",)} if has_code else {}
    write_export(
        home, ExportFormat.HF,
        **{"needs": PLAIN, "metric": "perplexity", "quality": 22.0, "model_quality": 22.0,
           "dense_quality": 20.0, "continued": 4, **changes},
    )  # fmt: skip
    at = open_page("decide", run=RUN, lang=lang)
    assert not at.exception
    text = plain(words(at))
    expected = {
        ("en", False): "Loads in plain transformers",
        ("ja", False): "標準のtransformersで読み込めます",
        ("en", True): "layers keep between 128 and 512 feed-forward neurons",
        ("ja", True): "フィードフォワード層のニューロンの数が異なります（128～512）",
    }
    assert expected[lang, has_code] in text
    assert (expected[lang, False] in text) != has_code
    assert {"en": "4 of 4 prompts continued alike", "ja": "4件中4件が一致"}[lang] in text
    assert {"en": "the dense model has 20.0", "ja": "元のモデルは20.0"}[lang] in text
    assert orders(at) == {"onnx"}


def test_every_remark_of_an_export_has_a_sentence(home: Path, samples, open_page) -> None:
    with_source(home, samples, "text", "opt")
    remarks = (
        *(FLOAT32, NO_CACHE, NO_PADDING, NO_DENSE, NO_TOKENIZER, NO_TOKENIZER_FILE),
        *(NOT_NFC, LEADING_SPACE, ONLY_PROGRAM),
        f"{NEEDS_CODE}a bias was added to layers.0.fc2, which OPTConfig cannot say",
        f"{NEEDS_CODE}heads were removed, which the family's configuration cannot say",
        f"{NEEDS_CODE}OPTConfig cannot say 5 groups of heads in every layer",
    )
    write_export(home, ExportFormat.HF, needs=WITH_CODE, notes=remarks)
    text = words(open_page("decide", run=RUN, lang="ja"))
    assert "（英語）" not in text
    assert "どの層にもアテンションヘッドが5個あることは、`OPTConfig`では表せません" in text


def test_an_export_of_an_earlier_release_is_still_shown(
    with_model, home: Path, samples, open_page
) -> None:
    folder, _ = write_export(home, ExportFormat.ONNX)
    old = json.loads((folder / "export.json").read_bytes())
    for name in ("needs", "continued", "dense_quality"):
        del old[name]
    (folder / "export.json").write_text(json.dumps(old))
    asked = json.loads(to_json(export_request(home)))
    del asked["format"]
    with RunStore().database.write() as connection:
        old_row = runs.update().where(runs.c.id == MADE).values(request=json.dumps(asked))
        connection.execute(old_row)
    at = open_page("decide", run=RUN)
    assert not at.exception
    assert "70.4% re-loaded" in plain(words(at))
    assert orders(at) == {"torch"}


def test_a_failed_format_says_why_on_its_card_and_can_be_tried_again(
    with_model, home: Path, samples, open_page
) -> None:
    failed = Status(
        State.FAILED,
        reason="the exported small, read back, is not the model",
        remedy="Nothing was kept",
    )
    samples.write_run(home, MADE, export_request(home), None, failed)
    at = open_page("decide", run=RUN)
    (error,) = at.error
    assert "read back, is not the model" in error.value
    assert orders(at) == {"onnx", "torch"}


def test_a_damaged_record_of_an_export_leaves_no_dead_button(
    with_model, home: Path, samples, open_page
) -> None:
    ended = Status(State.FINISHED, fraction=1.0, overall=1.0)
    samples.write_run(home, MADE, export_request(home), None, ended)
    at = open_page("decide", run=RUN)
    assert "cannot be read" in at.warning[0].value
    assert orders(at) == {"torch"}


def test_an_export_of_somebody_else_is_not_shown(
    with_model, home: Path, samples, open_page
) -> None:
    ended = Status(State.FINISHED, fraction=1.0, overall=1.0)
    samples.write_run(home, MADE, export_request(home), None, ended, owner="other")
    at = open_page("decide", run=RUN)
    assert not at.warning
    assert orders(at) == {"onnx", "torch"}
