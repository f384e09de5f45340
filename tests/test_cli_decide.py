"""The commands savings and report, from files as other commands write them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from command import Main, runner
from decisions import ab_report, measured_runs, sample, shift_report, stress_report
from osscar_core.records import from_dict, to_dict
from osscar_core.report import MeasuredRun
from osscar_core.savings import SavingsReport, Source
from osscar_core.verdict import Choice, Verdict


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(scope="module")
def run() -> MeasuredRun:
    return measured_runs("demo/resnet50")[5]


def write(file: Path, values: Any) -> Path:
    file.write_text(json.dumps(values), encoding="utf8")
    return file


@pytest.fixture
def folder(tmp_path: Path, run: MeasuredRun) -> Path:
    """A finished run as the app keeps it."""
    assert run.dense is not None
    assert run.pruned is not None
    assert run.speed is not None
    found = tmp_path / "run-7"
    found.mkdir()
    values = {
        "prune": to_dict(run.prune),
        "dense": to_dict(run.dense),
        "pruned": to_dict(run.pruned),
        "dense_speed": to_dict(run.speed.dense),
        "pruned_speed": to_dict(run.speed.pruned),
        "speedup": run.speed.speedup,
        "speedup_interval": list(run.speed.interval),
        "asked": None,
    }
    write(found / "result.json", values)
    return found


def flat(run: MeasuredRun) -> dict[str, Any]:
    """As ``measure --compare --json`` writes it."""
    values = to_dict(run.speed)
    return {**values.pop("pruned"), **values}


def test_savings_of_an_assumed_speed(main: Main) -> None:
    result = main(
        *("savings", "--speedup", "2", "--model-share", "1", "--machines", "10"),
        *("--capacity-bound", "--price-per-machine-hour", "100", "--json"),
    )
    report = from_dict(SavingsReport, result.payload)
    assert report.inputs.speedup.source is Source.ASSUMED
    assert report.money.typical == pytest.approx(5 * 8760 * 100)


def test_savings_of_a_run_are_measured(main: Main, folder: Path, run: MeasuredRun) -> None:
    report = from_dict(SavingsReport, main("savings", "--run", folder, "--json").payload)
    assert run.speed is not None
    assert (report.inputs.speedup.low, report.inputs.speedup.high) == run.speed.interval
    assert report.inputs.speedup.source is Source.MEASURED
    assert report.inputs.size == run.prune.bytes


def test_savings_of_a_measurement(main: Main, tmp_path: Path, run: MeasuredRun) -> None:
    file = write(tmp_path / "measured.json", flat(run))
    report = from_dict(SavingsReport, main("savings", "--measure", file, "--json").payload)
    assert run.speed is not None
    assert report.inputs.speedup.typical == run.speed.speedup


def test_a_range_and_what_was_measured(main: Main) -> None:
    result = main(
        *("savings", "--speedup", "1.2,1.5,1.6", "--busy-watts", "180,200,220"),
        *("--measured", "busy-watts", "--price-per-kwh", "30", "--seed", "3", "--draws", "50"),
        "--json",
    )
    report = from_dict(SavingsReport, result.payload)
    assert report.inputs.busy_watts.source is Source.MEASURED
    assert report.inputs.idle_watts.source is Source.ASSUMED
    assert (report.inputs.speedup.low, report.inputs.speedup.high) == (1.2, 1.6)
    assert not report.inputs.is_power_included
    assert (report.draws, report.seed) == (50, 3)


def test_savings_in_words(main: Main) -> None:
    text = main("savings", "--speedup", "0.8", "--prices-in", "dollar").out
    assert "assumption" in text
    assert "The smaller model is slower" in text
    assert "How it is computed" in text
    assert "−$" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "0 of --speedup, --run and --measure"),
        (("--speedup", "2", "--measure", "x"), "2 of --speedup"),
        (("--speedup", "1,2"), "'1,2' is neither a number nor LOW,TYPICAL,HIGH"),
        (("--speedup", "fast"), "'fast' is not a number"),
        (("--speedup", "3,2,1"), "not in order"),
        (("--speedup", "0"), "speedup (low) is 0"),
        (("--speedup", "nan"), "not finite"),
        (("--speedup", "2", "--machines", "1.5"), "whole machines"),
        (("--speedup", "2", "--currency", "euro"), "unknown currency 'euro'"),
        (("--speedup", "2", "--measured", "busy-watts"), "Add --busy-watts"),
        (("--speedup", "2", "--measured", "wats"), "unknown input 'wats'"),
        (("--speedup", "2", "--draws", "0"), "draws is 0"),
        (("--measure", "nowhere.json"), "cannot read the file nowhere.json"),
        (("--run", "nowhere"), "cannot read the file nowhere"),
    ],
)
def test_bad_inputs_are_one_line(main: Main, arguments: tuple[str, ...], reason: str) -> None:
    result = main("savings", *arguments)
    assert result.code == 2
    assert reason in result.reason


def test_a_measurement_of_one_model_is_refused(
    main: Main, tmp_path: Path, run: MeasuredRun
) -> None:
    assert run.speed is not None
    file = write(tmp_path / "one.json", to_dict(run.speed.pruned))
    assert "one model only" in main("savings", "--measure", file).reason


def test_a_report_of_everything_is_go(
    main: Main, tmp_path: Path, folder: Path, run: MeasuredRun
) -> None:
    savings = main(
        *("savings", "--run", folder, "--machines", "20", "--capacity-bound", "--json")
    ).payload
    sweep = {**to_dict(sample("demo/resnet50").report), "pareto": []}
    out = tmp_path / "report.html"
    result = main(
        *("report", "--run", folder, "--out", out, "--language", "ja", "--json"),
        *("--ab", write(tmp_path / "ab.json", to_dict(ab_report()))),
        *("--shift", write(tmp_path / "shift.json", to_dict(shift_report()))),
        *("--stress", write(tmp_path / "stress.json", to_dict(stress_report()))),
        *("--savings", write(tmp_path / "savings.json", savings)),
        *("--sweep", write(tmp_path / "sweep.json", sweep)),
        *("--protected", "none-demanded"),
    )
    assert from_dict(Verdict, result.payload["verdict"]).choice is Choice.GO
    text = out.read_text(encoding="utf8")
    assert '<html lang="ja">' in text
    assert "run-7" in text
    assert result.payload["bytes"] == len(text.encode())


def test_a_report_from_the_files_of_single_commands(
    main: Main, tmp_path: Path, run: MeasuredRun
) -> None:
    assert run.dense is not None
    assert run.pruned is not None
    out = tmp_path / "report.html"
    result = main(
        *("report", "--out", out, "--id", "mine"),
        *("--prune", write(tmp_path / "prune.json", to_dict(run.prune))),
        *("--dense", write(tmp_path / "dense.json", to_dict(run.dense))),
        *("--pruned", write(tmp_path / "pruned.json", to_dict(run.pruned))),
        *("--speed", write(tmp_path / "speed.json", flat(run))),
    )
    assert result.code == 0, result.err
    assert "Verdict: ◐ Pilot first" in result.out
    assert "Quality was not compared" in result.out
    assert "mine" in out.read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("values", "reason"),
    [("no json", "is not JSON"), ("[1]", "holds a list"), ("{}", "lacks")],
)
def test_a_wrong_file_is_one_line(
    main: Main, tmp_path: Path, folder: Path, values: str, reason: str
) -> None:
    file = tmp_path / "ab.json"
    file.write_text(values, encoding="utf8")
    result = main("report", "--run", folder, "--ab", file, "--out", tmp_path / "x.html")
    assert result.code == 2
    assert reason in result.reason
    assert "ab.json" in result.reason
    assert not (tmp_path / "x.html").exists()


def test_savings_of_another_speed_are_refused(
    main: Main, tmp_path: Path, folder: Path, run: MeasuredRun
) -> None:
    other = measured_runs("demo/resnet50")[3]
    measured = write(tmp_path / "other.json", flat(other))
    savings = main("savings", "--measure", measured, "--json").payload
    file = write(tmp_path / "savings.json", savings)
    result = main("report", "--run", folder, "--savings", file, "--out", tmp_path / "x.html")
    assert result.code == 2
    assert "the savings rest on a speed-up of" in result.reason


def test_contradictions_are_refused(
    main: Main, tmp_path: Path, folder: Path, run: MeasuredRun
) -> None:
    out = ("--out", tmp_path / "x.html")
    assert "no run was given" in main("report", *out).reason
    file = write(tmp_path / "prune.json", to_dict(run.prune))
    assert (
        "--prune was given beside --run"
        in main("report", "--run", folder, "--prune", file, *out).reason
    )
    assert (
        "unknown language 'fr'" in main("report", "--run", folder, "--language", "fr", *out).reason
    )
    assert (
        "state of protection"
        in main("report", "--run", folder, "--protected", "maybe", *out).reason
    )
    assert "no finished run" in main("report", "--run", file, *out).reason
    other = dataclasses.replace(shift_report(), distance=0.5)
    swapped = write(tmp_path / "shift.json", to_dict(other))
    assert "unknown fields" in main("report", "--run", folder, "--ab", swapped, *out).reason
