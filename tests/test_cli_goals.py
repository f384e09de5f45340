"""The command line from a goal to a model, with the real library behind it, on tiny models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import families
from command import Main, runner
from osscar_core import cli
from osscar_core.brief import SurveyRecord
from osscar_core.loadable import why_not_plain
from osscar_core.models import load_model
from osscar_core.records import Plan, PruneReport, from_dict, from_json
from osscar_core.survey import load_survey

GOALS = ("removed=0.5", "flops=70%", "bytes=90kB", "parameters=0.8", "quality_loss=0.05")


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep latency tables of tests out of the workspace."""
    monkeypatch.setenv("OSSCAR_HOME", str(tmp_path_factory.mktemp("home")))


class Case:
    """A tiny model with its calibration data and a survey."""

    def __init__(self, name: str, folder: Path) -> None:
        family = families.FAMILIES[name]()
        family.loaded(folder)
        self.data = family.calibration_spec(folder)
        self.survey = folder / "survey"
        text = family.catalogue_name is None
        weights = ("--weights", str(folder / "dense.safetensors"))
        self.model = str(folder / "dense") if text else family.catalogue_name
        samples = str(family.samples)
        settings = ("--calibration", self.data, "--samples", samples, "--device", "cpu")
        self.arguments = (self.model, *settings, *(("--seqlen", "24") if text else weights))

    def surveyed(self) -> Case:
        assert cli.main(["survey", *map(str, self.arguments), "--out", str(self.survey)]) == 0
        return self


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case("opt", tmp_path_factory.mktemp("opt")).surveyed()


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case("cifar-resnet20", tmp_path_factory.mktemp("resnet")).surveyed()


@pytest.fixture
def survey(opt: Case, tmp_path: Path) -> Path:
    """Return a copy of the text model's survey that may be changed."""
    return Path(shutil.copytree(opt.survey, tmp_path / "survey"))


def goals(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--goal", text)]


# What works


def test_a_survey_is_told_and_kept(main: Main, opt: Case, tmp_path: Path) -> None:
    out = tmp_path / "survey"
    payload = main("survey", *opt.arguments, "--out", out, "--json").payload
    assert payload.pop("out") == str(out)
    assert payload.pop("bytes") == sum(file.stat().st_size for file in out.iterdir())
    assert from_dict(SurveyRecord, payload) == load_survey(out).record
    header, *lines = main("survey", *opt.arguments, "--out", tmp_path / "again").out.splitlines()
    assert header.split()[:4] == ["unit", "groups", "rows", "divergence"]
    heads, neurons = lines[0], lines[1]
    # Both end at the largest width that was measured, and are aligned there.
    assert len(heads) == len(neurons)
    assert heads.split()[-2] == "3:"
    assert neurons.split()[-2] == "36:"
    assert neurons.split()[1:4] == ["48", "192", "3:"]
    assert lines[-1].startswith(f"{tmp_path / 'again'}: ")


def test_estimates_foretell_the_sizes_of_what_is_made(
    main: Main, opt: Case, survey: Path, tmp_path: Path
) -> None:
    answers = main("estimate", survey, *goals(*GOALS[:4]), "--json").payload["estimates"]
    for number, (goal, answer) in enumerate(zip(GOALS, answers, strict=False)):
        deployed, pruned = tmp_path / f"deployed{number}", tmp_path / f"pruned{number}"
        reports = (
            main("deploy", survey, "--goal", goal, "--out", deployed, "--json").payload,
            main(
                *("prune", *opt.arguments, "--goal", goal, "--survey", survey),
                *("--out", pruned, "--json"),
            ).payload,
        )
        for report, out in zip(reports, (deployed, pruned), strict=True):
            assert from_dict(PruneReport, report).goal is not None
            assert report["goal"]["is_met"]
            for name in ("parameters", "bytes", "flops"):
                assert report[name]["pruned"] == answer[name]
            kept = {unit["name"]: unit["kept"] for unit in report["units"]}
            assert kept == answer["widths"]
            assert (out / "model.safetensors").stat().st_size == answer["bytes"]
            small = load_model(str(out))
            assert sum(one.numel() for one in small.module.parameters()) == answer["parameters"]
        # The given survey was used: nothing was surveyed again.
        assert reports[1]["budget"]["survey_seconds"] == load_survey(survey).record.survey_seconds


def test_limits_of_a_goal_are_kept(main: Main, opt: Case, survey: Path, tmp_path: Path) -> None:
    limits = ("--cap", "neurons=0.25", "--protect", "*layers.1*", "--goal", "parameters=0.97")
    (answer,) = main("estimate", survey, *limits, "--json").payload["estimates"]
    report = main("prune", *opt.arguments, *limits, "--out", tmp_path / "out", "--json").payload
    for unit in report["units"]:
        if "layers.1" in unit["name"]:
            assert unit["kept"] == unit["groups"]
        if unit["structure"] == "neurons":
            assert unit["kept"] >= 36
    assert report["parameters"]["pruned"] == answer["parameters"]


def test_a_survey_deploys_what_plain_transformers_loads(
    main: Main, survey: Path, tmp_path: Path
) -> None:
    asked = ("--goal", "removed=0.25", "--plain-loadable")
    (answer,) = main("estimate", survey, *asked, "--json").payload["estimates"]
    assert set(answer["widths"].values()) == {36}
    told = main("deploy", survey, *asked, "--out", tmp_path / "small").out
    assert "all heads stay: OPTConfig cannot say" in told
    plan = from_json(Plan, (tmp_path / "small" / "plan.json").read_text(encoding="utf8"))
    assert plan.spec.plain_loadable
    assert why_not_plain(plan) is None


def test_estimates_as_text(main: Main, survey: Path) -> None:
    header, *rows, _, footnote = main("estimate", survey, *goals(*GOALS)).out.splitlines()
    assert header.split() == [
        *("goal", "removed", "parameters", "file", "FLOPs", "perplexity", "95%", "band")
    ]
    assert [row.split()[0] for row in rows] == [
        *("removed=0.5", "flops=0.7", "bytes=90000", "parameters=0.8", "quality_loss=0.05")
    ]
    assert all("≈+" in row for row in rows)
    assert len({len(row) for row in (header, *rows)}) == 1
    assert footnote.startswith("≈ is an estimate")


def test_a_goal_of_speed_is_estimated_from_latencies(main: Main, survey: Path) -> None:
    arguments = (*goals("speedup=1", "removed=0.25"), "--json")
    answers = main("estimate", survey, *arguments).payload["estimates"]
    assert answers[0]["speedup"] >= 1
    # One goal of speed is enough: the table then answers the others too.
    assert all(answer["latency_ms"] > 0 for answer in answers)
    text = main("estimate", survey, *goals("removed=0.25"), "--latency").out
    header, row, *_ = text.splitlines()
    assert "speed-up" in header
    assert re.search(r"≈\d+\.\d\dx +≈\+", row)


def test_equal_shares_are_estimated_too(main: Main, survey: Path) -> None:
    arguments = (*goals("removed=0.5"), "--budget", "uniform", "--json")
    (answer,) = main("estimate", survey, *arguments).payload["estimates"]
    assert sorted(answer["widths"].values()) == [2, 2, 24, 24]
    (best,) = main("estimate", survey, *goals("removed=0.5"), "--json").payload["estimates"]
    assert best["predicted"] < answer["predicted"]


def test_an_image_model_all_the_way(main: Main, resnet: Case, tmp_path: Path) -> None:
    header, _, row, *_ = main(
        "estimate", resnet.survey, *goals("flops=0.5", "removed=0.9")
    ).out.splitlines()
    assert "points lost" in header
    # Nothing loses more points than there are.
    assert float(row.split()[-1]) <= 100
    out = tmp_path / "small"
    report = main("deploy", resnet.survey, "--goal", "flops=0.5", "--out", out, "--json").payload
    assert report["flops"]["pruned"] <= 0.5 * report["flops"]["dense"]
    quality = main("evaluate", out, "--data", resnet.data, "--json").payload
    assert 0 <= quality["value"] <= 1


def test_a_goal_run_as_text(main: Main, opt: Case, survey: Path, tmp_path: Path) -> None:
    arguments = ("--goal", "quality_loss=0.5", "--data", opt.data, "--survey", survey)
    out = main("prune", *opt.arguments, *arguments, "--out", tmp_path / "out").out
    lines = out.splitlines()
    budget = next(index for index, line in enumerate(lines) if line.startswith("budget"))
    assert lines[budget].startswith("budget loss-weighted: predicted divergence 0.")
    assert "(no choice is below 0." in lines[budget]
    assert lines[budget].endswith("measured on 8 items")
    assert lines[budget + 1].startswith("  survey ")
    goal = lines[budget + 2]
    assert goal.startswith("goal quality_loss: asked 50.00%, achieved ")
    assert "(95% interval " in goal
    assert goal.endswith(": reached")
    assert lines[budget + 3].startswith("  dense ")
    # What the run measured makes the next estimate better.
    assert load_survey(survey).points.sequential


def test_exchanges_are_told(main: Main, opt: Case, survey: Path, tmp_path: Path) -> None:
    arguments = ("--goal", "removed=0.3", "--refine", 1, "--survey", survey)
    out = main("prune", *opt.arguments, *arguments, "--out", tmp_path / "out").out
    assert "kept: measured divergence 0." in out
    assert (tmp_path / "out" / "plan.json").is_file()


def test_a_sweep_over_goals(main: Main, opt: Case, survey: Path, tmp_path: Path) -> None:
    arguments = (
        *("sweep", *opt.arguments, "--goals", "removed=0.3,flops=0.01", "--sparsities", "0.3"),
        *("--survey", survey, "--data", opt.data, "--no-latency", "--out", tmp_path / "sweep"),
    )
    payload = main(*arguments, "--json").payload
    assert [point["sparsity"] for point in payload["points"]] == [0.3, 0.0]
    assert len(payload["pareto"]) == 2
    assert any(payload["pareto"])
    assert len(payload["unreachable"][0]["nearest"]) == 2
    text = main(*arguments)
    assert text.code == 0
    assert "unreachable: osscar flops=0.01, seed 0: nearest are flops=0." in text.out
    assert len(load_survey(survey).points.sequential) == 1


# What does not

Mistake = Callable[[Path, Path], None]
"""What is done to the survey, and where the output is to go, before the command runs."""


def _nothing(_survey: Path, _out: Path) -> None:
    pass


def _remove(survey: Path, _out: Path) -> None:
    shutil.rmtree(survey)


def _noise(survey: Path, _out: Path) -> None:
    (survey / "survey.json").write_bytes(b"\xff\x00not a survey")


def _truncate(survey: Path, _out: Path) -> None:
    file = survey / "unit-0001.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def _lose(survey: Path, _out: Path) -> None:
    (survey / "unit-0001.safetensors").unlink()


def _age(survey: Path, _out: Path) -> None:
    record = json.loads((survey / "survey.json").read_text(encoding="utf8"))
    (survey / "survey.json").write_text(json.dumps({**record, "version": 99}), encoding="utf8")


def _bad_points(survey: Path, _out: Path) -> None:
    (survey / "points.json").write_text("{", encoding="utf8")


def _occupy(_survey: Path, out: Path) -> None:
    out.mkdir()
    (out / "precious.txt").write_text("keep me", encoding="utf8")


def _occupy_by_file(_survey: Path, out: Path) -> None:
    out.write_text("keep me", encoding="utf8")


DAMAGE: dict[str, tuple[Mistake, str]] = {
    "missing": (_remove, "holds no readable survey"),
    "noise": (_noise, "holds no readable survey"),
    "truncated": (_truncate, "unit-0001.safetensors"),
    "incomplete": (_lose, "unit-0001.safetensors"),
    "newer": (_age, "version 99"),
    "points": (_bad_points, "points.json"),
}
PRUNE_MISTAKES: dict[str, tuple[str, str]] = {
    "unknown unit": ("--goal removed=0.5 --protect nothing-like-this", "'nothing-like-this'"),
    "unknown structure": ("--goal removed=0.5 --cap channels=0.5", "'channels'"),
    "unreachable": ("--goal flops=0.01", "Ask for flops=0."),
    "unreachable within caps": ("--goal removed=0.9 --cap neurons=0.5", "Ask for removed=0."),
    "unreachable alike": ("--goal bytes=1kB --budget uniform", "Ask for bytes="),
    "a plan too": ("--goal removed=0.5 --plan PLAN", "--goal does not go with --plan"),
    "a survey for a plan": ("--plan PLAN --survey SURVEY", "--survey is of no use"),
    "no data": ("--goal quality_loss=0.1", "needs data to measure quality on"),
    "missing data": ("--goal quality_loss=0.1 --data text:/no/such", "does not exist"),
    "images to judge text": ("--goal quality_loss=0.1 --data images:/tmp", "images"),
    "heads that no configuration can say": (
        "--goal removed=0.5 --plain-loadable --structures heads",
        "--structures neurons",
    ),
    "exchanges between layers": ("--goal removed=0.5 --plain-loadable --refine 1", "unequal width"),
    "a plan has its widths": ("--plan PLAN --plain-loadable", "--plain-loadable does not go with"),
    "another model's survey": ("--goal removed=0.5 --survey OTHER", "the survey of cifar/resnet20"),
}
DEPLOY_MISTAKES: dict[str, tuple[Mistake, str, str]] = {
    "occupied": (_occupy, "removed=0.5", "is not empty"),
    "file": (_occupy_by_file, "removed=0.5", "is a file"),
    "unreachable": (_nothing, "parameters=1000", "Ask for parameters="),
    "no data": (_nothing, "quality_loss=0.1", "needs data to measure quality on"),
    "bad goal": (_nothing, "removed=2", "[0, 1)"),
}


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Yield the output's place; afterwards nothing is there but what was before."""
    place = tmp_path / "place" / "out"
    place.parent.mkdir()
    yield place
    if place.is_file():
        assert place.read_text(encoding="utf8") == "keep me"
    elif place.exists():
        assert [file.name for file in place.iterdir()] == ["precious.txt"]
    assert {file.name for file in place.parent.iterdir()} <= {"out"}


@pytest.mark.parametrize("name", sorted(DAMAGE))
@pytest.mark.parametrize("command", ["estimate", "deploy", "prune"])
def test_damaged_surveys_are_told(
    main: Main, opt: Case, survey: Path, out: Path, command: str, name: str
) -> None:
    damage, clue = DAMAGE[name]
    damage(survey, out)
    goal = ("--goal", "removed=0.5", "--json")
    if command == "prune":
        result = main("prune", *opt.arguments, *goal, "--survey", survey, "--out", out)
    else:
        result = main(command, survey, *goal, *(("--out", out) if command == "deploy" else ()))
    assert result.code == 2, result.err
    assert result.reason.startswith("error: ")
    assert clue in result.reason


@pytest.fixture(scope="module")
def plan(opt: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a model that was deployed from the survey."""
    folder = tmp_path_factory.mktemp("planned") / "small"
    arguments = ["deploy", str(opt.survey), "--goal", "removed=0.3", "--out", str(folder)]
    assert cli.main(arguments) == 0
    return folder


@pytest.mark.parametrize("name", sorted(PRUNE_MISTAKES))
def test_mistakes_of_a_goal_run_are_told(
    main: Main, opt: Case, resnet: Case, plan: Path, out: Path, name: str
) -> None:
    arguments, clue = PRUNE_MISTAKES[name]
    places = {"PLAN": plan, "SURVEY": opt.survey, "OTHER": resnet.survey}
    words = [places.get(word, word) for word in arguments.split()]
    result = main("prune", *opt.arguments, *words, "--out", out)
    assert result.code == 2, result.err
    assert result.reason.startswith("error: ")
    assert clue in result.reason


@pytest.mark.parametrize("name", sorted(DEPLOY_MISTAKES))
def test_mistakes_of_a_deployment_are_told(main: Main, survey: Path, out: Path, name: str) -> None:
    prepare, goal, clue = DEPLOY_MISTAKES[name]
    prepare(survey, out)
    result = main("deploy", survey, "--goal", goal, "--out", out, "--json")
    assert result.code == 2, result.err
    assert clue in result.reason


@pytest.mark.parametrize(
    ("arguments", "clue"),
    [
        ("--goal removed=0.5 --structures channels", "says nothing of channels"),
        ("--goal removed=0.5 --protect fc9", "'fc9'"),
        ("--goal removed=0.5 --plain-loadable --structures heads", "OPTConfig cannot say"),
        ("--goal flops=0.01 --goal removed=0.5", "Ask for flops=0."),
        ("--goal removed=0.5 --budget fair", "unknown budget 'fair'"),
        ("--goal speedup=2 --device tpu", "tpu"),
    ],
)
def test_mistakes_of_a_question_are_told(main: Main, opt: Case, arguments: str, clue: str) -> None:
    result = main("estimate", opt.survey, *arguments.split())
    assert result.code == 2, result.err
    assert clue in result.reason


@pytest.mark.parametrize(
    ("prepare", "arguments", "clue"),
    [
        (_occupy, "", "is not empty"),
        (_occupy_by_file, "", "is a file"),
        (_nothing, "--structures channels", "Choose from: heads, neurons"),
        (_nothing, "--samples 999", "999"),
    ],
)
def test_mistakes_of_a_survey_are_told(
    main: Main, opt: Case, out: Path, prepare: Mistake, arguments: str, clue: str
) -> None:
    prepare(out, out)
    result = main("survey", *opt.arguments, *arguments.split(), "--out", out)
    assert result.code == 2, result.err
    assert clue in result.reason


def test_what_was_pruned_is_not_surveyed(main: Main, opt: Case, plan: Path, out: Path) -> None:
    result = main("survey", plan, *opt.arguments[1:], "--out", out)
    assert result.code == 2, result.err
    assert "is already pruned" in result.reason
