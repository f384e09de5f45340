"""Measuring the sample run, with the work of the library replaced by records."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from osscar_core.brief import read_brief
from osscar_core.catalogue import ASSETS_VARIABLE
from osscar_core.demo import sample_run
from osscar_core.explorer import Explorer
from osscar_core.goals import Goal, GoalKind
from osscar_core.records import Method, PruneSpec
from osscar_core.sample import brief_file, read_sample_run
from test_sample import sample, shown

GRID = ((Method.OSSCAR, 0.5), (Method.MAGNITUDE_REFIT, 0.5), (Method.OSSCAR, 0.3))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace pruning, judging and timing; return the list of what was done."""
    made = sample(grid=GRID)
    by_point = {(p.method, p.goal.value): p for p in made.report.points}
    brief = read_brief(brief_file("demo/resnet50"))
    done: list[str] = []
    asked: dict[float, dict[str, int]] = {}

    class Loaded:
        def __init__(self, name: str) -> None:
            self.name = name

    def prune(spec, *, out: Path, widths: dict[str, int]):
        out.mkdir()
        share = spec.goal.value
        assert (
            widths
            == Explorer.of(brief, PruneSpec("m", "d", goal=spec.goal)).choose(spec.goal).widths
        )
        asked.setdefault(share, widths)
        assert asked[share] == widths
        (out / "which").write_text(f"{spec.method} {share}")
        done.append(f"prune {spec.method} {share}")
        return by_point[spec.method, share].prune

    def make_survey(loaded: Loaded, spec):
        done.append("survey")
        return SimpleNamespace(brief=lambda: brief)

    def latency_table(loaded: Loaded, *, refresh: bool):
        done.append("time blocks")
        return brief.table

    def point_of(loaded: Loaded):
        method, share = (Path(loaded.name) / "which").read_text().split()
        return by_point[Method(method), float(share)]

    def evaluate(loaded: Loaded, data: str, *, limit, seqlen):
        if loaded.name == "demo/resnet50":
            done.append("judge dense")
            return made.report.dense.evaluation
        return point_of(loaded).evaluation

    def compare(dense: Loaded, small: Loaded, *, repeats: int):
        assert dense.name == "demo/resnet50"
        point = point_of(small)
        done.append(f"time {point.method} {point.goal.value}")
        return point.speed

    def make_showcase(dense: Loaded, small: Loaded, data: str, *, seqlen):
        assert dense.name == "demo/resnet50"
        point = point_of(small)
        done.append(f"show {point.method} {point.goal.value}")
        return shown(point.goal.value)

    grid = tuple((method, Goal(GoalKind.REMOVED, share)) for method, share in GRID)
    monkeypatch.setitem(sample_run.GRIDS, "demo/resnet50", grid)
    monkeypatch.setattr(sample_run, "prune", prune)
    monkeypatch.setattr(sample_run, "make_survey", make_survey)
    monkeypatch.setattr(sample_run, "latency_table", latency_table)
    monkeypatch.setattr(sample_run, "load_model", Loaded)
    monkeypatch.setattr(sample_run, "evaluate", evaluate)
    monkeypatch.setattr(sample_run, "compare", compare)
    monkeypatch.setattr(sample_run, "make_showcase", make_showcase)
    monkeypatch.setenv(ASSETS_VARIABLE, str(tmp_path / "assets"))
    return done


def arguments(tmp_path: Path, *more: str) -> list[str]:
    folders = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    return [*folders, "--models", "demo/resnet50", *more]


def test_every_point_is_measured_once_and_stored_in_order(
    tmp_path: Path, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_run.main(arguments(tmp_path)) == 0
    assert [call for call in calls if call.startswith("prune")] == [
        "prune osscar 0.5", "prune magnitude-refit 0.5", "prune osscar 0.3",
    ]  # fmt: skip
    assert calls.count("judge dense") == 1
    run = read_sample_run(tmp_path / "out" / "demo-resnet50.json")
    order = [(point.method, point.goal.value) for point in run.report.points]
    assert order == [(Method.OSSCAR, 0.3), (Method.OSSCAR, 0.5), (Method.MAGNITUDE_REFIT, 0.5)]
    assert "load before" in run.report.points[0].speed.pruned.conditions
    assert run.conditions["threads"] == "2"
    assert [call for call in calls if call.startswith("show")] == [
        "show osscar 0.5", "show osscar 0.3",
    ]  # fmt: skip
    assert run.showcases == (shown(0.3), shown(0.5), None)
    assert all(point.prune.plan.units[0].kept for point in run.report.points)
    brief = read_brief(tmp_path / "out" / "survey-demo-resnet50.json")
    assert brief.table is not None
    assert calls.count("survey") == calls.count("time blocks") == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[-1]["file"] == "demo-resnet50.json"
    calls.clear()
    assert sample_run.main(arguments(tmp_path)) == 0
    assert calls == []


def test_work_of_a_release_without_showcases_gets_them(tmp_path: Path, calls: list[str]) -> None:
    assert sample_run.main(arguments(tmp_path)) == 0
    for file in (tmp_path / "work").rglob("showcase.json"):
        file.unlink()
    calls.clear()
    assert sample_run.main(arguments(tmp_path)) == 0
    assert calls == ["show osscar 0.5", "show osscar 0.3"]


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = sample_run.compare

    def fails(*arguments, **options):
        if sum(call.startswith("time ") for call in calls) == 2:
            raise KeyboardInterrupt
        return work(*arguments, **options)

    monkeypatch.setattr(sample_run, "compare", fails)
    with pytest.raises(KeyboardInterrupt):
        sample_run.main(arguments(tmp_path))
    monkeypatch.setattr(sample_run, "compare", work)
    calls.clear()
    assert sample_run.main(arguments(tmp_path)) == 0
    assert calls == ["time magnitude-refit 0.5", "time osscar 0.3"]


def test_speed_can_be_measured_later_and_again(tmp_path: Path, calls: list[str]) -> None:
    assert sample_run.main(arguments(tmp_path, "--only", "quality")) == 0
    assert "survey" in calls
    # Goals of speed need to know how fast blocks are; models are timed later.
    assert [call for call in calls if call.startswith("time")] == ["time blocks"]
    assert not (tmp_path / "out").exists()
    for more in (["--only", "speed"], ["--only", "speed", "--again"]):
        calls.clear()
        assert sample_run.main(arguments(tmp_path, *more)) == 0
        times = [call for call in calls if call != "time blocks"]
        assert [call.partition(" ")[0] for call in times] == ["time"] * len(GRID)
        assert calls.count("time blocks") == ("--again" in more)


def test_new_weights_are_measured_anew(tmp_path: Path, calls: list[str]) -> None:
    assert sample_run.main(arguments(tmp_path)) == 0
    record = tmp_path / "assets" / "models" / "resnet50" / "training.json"
    record.parent.mkdir(parents=True)
    record.write_text("trained again")
    calls.clear()
    assert sample_run.main(arguments(tmp_path)) == 0
    assert len(calls) == 2 * len(GRID) + 3 + 2


def test_what_cannot_be_done_is_said_in_words(
    tmp_path: Path, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample_run.main([*arguments(tmp_path), "--models", "demo/vgg"]) == 2
    assert "no demo model is called 'demo/vgg'" in capsys.readouterr().err
    assert sample_run.main(arguments(tmp_path, "--only", "speed")) == 2
    assert "both judged and timed" in capsys.readouterr().err
