from __future__ import annotations

from pathlib import Path

import pytest

import families
from checks.test_shift import logs
from command import Main, runner
from osscar_core.checks.records import (
    AttributeShift,
    ExtraLoss,
    Light,
    ShiftReport,
    StressPoint,
    StressReport,
    StressRow,
)
from osscar_core.cli.shift_reports import shift_text, stress_text
from osscar_core.records import DataInfo, from_json, to_json

PLAIN, LOUD = "pump valve leaks holds the seal", "PUMP 17 VALVE 20 LEAKS 35"


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cli-shift")
    families.FAMILIES["opt"]().loaded(made)
    logs(made / "old.jsonl", 0, PLAIN)
    logs(made / "loud.jsonl", 1, LOUD)
    return made


def test_shift_says_its_answer_first(main: Main, folder: Path) -> None:
    data = ("--reference", f"text:{folder}/old.jsonl", "--new", f"text:{folder}/loud.jsonl")
    result = main("check", "shift", folder / "dense", *data, "--pruned", folder / "dense")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith(("AMBER: ", "RED: "))
    assert lines[1].startswith("Distance ")
    assert lines[2].startswith("No extra loss of the pruned model beyond chance: +0.0 %")
    payload = main("check", "shift", folder / "dense", *data, "--json").payload
    assert payload["light"] in ("amber", "red")
    assert payload["extra"] is None
    assert payload["attributes"][0]["distance"] > payload["attributes"][0]["threshold"]


def test_stress_prints_both_curves(main: Main, folder: Path) -> None:
    models = (folder / "dense", folder / "dense")
    options = ("--data", f"text:{folder}/old.jsonl", "--strengths", "0,1", "--limit", 10)
    result = main("check", "stress", *models, *options)
    assert result.code == 0, result.err
    assert result.out.startswith("The pruned model does not suffer more")
    assert "typos: at 1, one letter in ten" in result.out
    payload = main("check", "stress", *models, *options, "--disturbances", "case", "--json").payload
    assert [row["disturbance"] for row in payload["rows"]] == ["case"]
    assert [point["strength"] for point in payload["rows"][0]["points"]] == [0, 1]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("shift", "{m}"), "--reference, --new"),
        (("shift", "{m}", "--reference", "text:no", "--new", "text:no"), "does not exist"),
        (
            ("shift", "{m}", "--reference", "demo:factory", "--new", "text:{d}"),
            "reads text, and 'demo:factory' is images",
        ),
        (
            ("shift", "{m}", "--reference", "text:{d}", "--new", "text:{d}"),
            "are the same items",
        ),
        (
            ("shift", "{m}", "--reference", "text:{d}", "--new", "text:{d}", "--alarm-rate", "7"),
            "alarm_rate is 7",
        ),
        (
            ("shift", "{m}", "--reference", "text:{d}", "--new", "mix:text:{d}~typo"),
            "Did you mean 'typos'",
        ),
        (
            (
                *("shift", "{m}", "--reference", "text:{d}", "--new", "text:{d}"),
                *("--reference-part", "test"),
            ),
            "unknown split 'test'",
        ),
        (("stress", "{m}", "{m}", "--data", "text:{d}", "--strengths", "1,0"), "Begin with 0"),
        (("stress", "{m}", "{m}", "--data", "text:{d}", "--disturbances", "blur"), "typos"),
        (("stress", "{m}", "{m}", "--data", "text:{d}", "--strengths", "0,x"), "not a number"),
    ],
)
def test_bad_input_is_one_line(main: Main, folder: Path, argv: tuple[str, ...], words: str) -> None:
    filled = [word.format(m=folder / "dense", d=folder / "old.jsonl") for word in argv]
    result = main("check", *filled)
    assert result.code == 2
    assert words in result.reason


INFO = DataInfo(spec="demo:factory", kind="image", count=10, digest="0")


def shift_report(light: Light, extra: ExtraLoss | None) -> ShiftReport:
    attributes = tuple(
        AttributeShift(f"a{i}", 0.5, 0.1, 0.0001, light, "1", "2", ("x",)) for i in range(10)
    )
    return ShiftReport(
        model="m",
        reference=INFO,
        new=INFO,
        distance=0.3,
        threshold=0.1,
        alarm_rate=0.05,
        p_value=0.001,
        light=light,
        attributes=attributes,
        extra=extra,
        warnings=("class unseen in the reference: 3",),
        protocol="how",
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.01, 0.09, "The pruned model loses more on the new data: +5.0 points"),
        (-0.09, -0.01, "The pruned model loses less on the new data"),
        (-0.01, 0.09, "No extra loss of the pruned model beyond chance"),
    ],
)
def test_the_extra_loss_in_words(low: float, high: float, answer: str) -> None:
    extra = ExtraLoss("top1", 0.01, 0.06, 0.05, low, high, 0.9, 0.8, 0.89, 0.74)
    text = shift_text(shift_report(Light.RED, extra))
    assert text.startswith("RED: far from the reference.")
    assert answer in text
    assert "reference 90.0% > 89.0%, new data 80.0% > 74.0%" in text
    assert "2 more attributes differ less." in text
    assert "warning: class unseen in the reference: 3" in text


def test_what_the_pruned_model_suffers_from_is_named() -> None:
    points = (StressPoint(0, 0.9, 0.9, 0, 0, 0), StressPoint(1, 0.8, 0.6, 0.2, 0.1, 0.3))
    rows = (
        StressRow("blur", "Gaussian blur", points, 0.2, 0.1, 0.3),
        StressRow("noise", "noise", points, 0.01, -0.1, 0.1),
    )
    report = StressReport("d", "p", "top1", INFO, rows, "how", 0, 1.0)
    text = stress_text(report)
    assert text.startswith("The pruned model suffers more than the dense one from: blur.\n")
    assert "80.0% > 60.0%" in text
    assert from_json(StressReport, to_json(report)) == report
