"""The command line: what it passes on, what it prints where, and how it fails."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Main, runner
from osscar_core import __version__, cli
from osscar_core.cli.console import (
    PLAIN_INTERVAL,
    ProgressDisplay,
    change,
    json_ready,
    list_table,
    scaled,
    table,
)
from osscar_core.errors import Cancelled, DataError
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.progress import ProgressEvent
from osscar_core.records import (
    BeforeAfter,
    DataInfo,
    EvaluationReport,
    GoalReport,
    Intercept,
    Latency,
    MeasureReport,
    Method,
    Plan,
    PruneReport,
    PruneSpec,
    SourceInfo,
    SpeedComparison,
    Structure,
    Target,
    UnitPlan,
    UnitReport,
    UnreachablePoint,
    from_dict,
    to_dict,
    to_json,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


def data_info(spec: str) -> DataInfo:
    return DataInfo(spec, "image", 8, "0" * 64, notes=("2 classes are missing",))


def prune_report(spec: PruneSpec, out: Path | None) -> PruneReport:
    plan = Plan(
        SourceInfo(spec.model, "cifar-resnet", "image", "w.safetensors", classes=10),
        spec,
        data_info(spec.calibration),
        (UnitPlan("layer1.0.conv2", Structure.CHANNELS, "layer1.0", 4, (0, 2)),),
        "float32",
    )
    unit = UnitReport("layer1.0.conv2", Structure.CHANNELS, "layer1.0", 4, 2, 0.01234, 0.5, 3, 0.1)
    return PruneReport(
        out=None if out is None else str(out),
        parameters=BeforeAfter(1_000_000, 500_000),
        bytes=BeforeAfter(4_000_000, 2_000_000),
        flops=BeforeAfter(80_000_000, 20_000_000),
        flops_input="one image of 32 x 32",
        units=(unit,),
        seconds=2.5,
        peak_memory_bytes=2_000_000_000,
        plan=plan,
        warnings=("few samples",),
    )


def evaluation_report(model: str, data: str, value: float = 0.75) -> EvaluationReport:
    return EvaluationReport(
        model, "top1", value, 100, data_info(data), "first 100", 1.0, (0.7, 0.8), 0.9, top5=0.99
    )


def measure_report(model: str, median: float = 2.0) -> MeasureReport:
    latency = Latency(median, 2 * median, median / 2, 20)
    conditions = {"device": "cpu", "batch": "1"}
    return MeasureReport(model, latency, 1234.0, "images/s", conditions, 1.0, decode_ms=latency)


def speed_comparison(dense: str, pruned: str) -> SpeedComparison:
    return SpeedComparison(
        measure_report(dense, 4.0), measure_report(pruned), 2.0, (1.5, 2.5), 1.25, (1.0, 1.5)
    )


class Calls(list[tuple[Any, dict[str, Any]]]):
    """The calls that a stand-in received."""


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> types.SimpleNamespace:
    """Replace the calls behind the commands by ones that record and answer at once."""

    def prune(spec: PruneSpec, **rest: Any) -> PruneReport:
        calls.append((spec, rest))
        return prune_report(spec, rest["out"])

    def load_model(name: str, **rest: Any) -> str:
        calls.append((name, rest))
        return name

    def evaluate(loaded: str, data: str, **rest: Any) -> EvaluationReport:
        calls.append(((loaded, data), rest))
        return evaluation_report(loaded, data)

    def measure(loaded: str, **rest: Any) -> MeasureReport:
        calls.append((loaded, rest))
        return measure_report(loaded)

    def compare(dense: str, pruned: str, **rest: Any) -> SpeedComparison:
        calls.append(((dense, pruned), rest))
        return speed_comparison(dense, pruned)

    def stand_in(name: str, **members: Any) -> types.ModuleType:
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return types.SimpleNamespace(
        pruner=stand_in("osscar_core.pruner", prune=prune),
        survey=stand_in("osscar_core.survey", load_survey=lambda folder: f"survey in {folder}"),
        models=stand_in("osscar_core.models", load_model=load_model),
        evaluation=stand_in(
            "osscar_core.evaluation", evaluate=evaluate, measure=measure, compare=compare
        ),
    )


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "calibration.txt"
    path.write_text("some words " * 50, encoding="utf8")
    return f"text:{path}"


# Passing on


def test_prune_passes_every_option(library: object, calls: Calls, main: Main, text: str) -> None:
    result = main(
        *("prune", "facebook/opt-125m", "--sparsity", "0.25", "--calibration", text),
        *("--structures", "heads, neurons", "--method", "paper", "--target", "dense"),
        *("--samples", 7, "--seqlen", 64, "--device", "cpu", "--dtype", "bfloat16"),
        *("--seed", 3, "--damping", "1e-3", "--intercept", "on", "--swaps", 2, "--round-to", 8),
        *("--batch-size", 4, "--weights", "w.safetensors", "--image-size", 64),
        *("--budget", "uniform", "--trust-remote-code", "--out", "small", "--json"),
        *("--checkpoint", "kept", "--plain-loadable"),
    )
    ((spec, rest),) = calls
    assert spec == PruneSpec(
        "facebook/opt-125m",
        text,
        0.25,
        weights="w.safetensors",
        structures=(Structure.HEADS, Structure.NEURONS),
        method=Method.PAPER,
        target=Target.DENSE,
        samples=7,
        seqlen=64,
        batch_size=4,
        device="cpu",
        dtype="bfloat16",
        seed=3,
        damping=1e-3,
        intercept=Intercept.ON,
        swaps=2,
        round_to=8,
        image_size=64,
        trust_remote_code=True,
        budget=Budget.UNIFORM,
        plain_loadable=True,
    )
    assert rest["out"] == Path("small")
    assert rest["repeat"] is None
    assert rest["survey"] is None
    assert rest["checkpoint"] == Path("kept")
    assert from_dict(PruneReport, result.payload) == prune_report(spec, Path("small"))


def test_prune_passes_a_goal(library: object, calls: Calls, main: Main, text: str) -> None:
    main(
        *("prune", "m", "--goal", "bytes=50MB", "--budget", "loss-weighted", "--refine", 2),
        *("--cap", "layer4.* = 0.5, heads=0.25", "--protect", "fc2,layer1.*", "--data", text),
        *("--calibration", text, "--survey", "surveyed", "--out", "o"),
    )
    ((spec, rest),) = calls
    assert spec == PruneSpec(
        "m",
        text,
        goal=Goal(GoalKind.BYTES, 50e6),
        budget=Budget.LOSS_WEIGHTED,
        caps=(("layer4.*", 0.5), ("heads", 0.25), ("fc2", 0.0), ("layer1.*", 0.0)),
        refine=2,
        data=text,
    )
    assert rest["survey"] == "survey in surveyed"


def test_prune_options_cover_the_specification() -> None:
    args = vars(cli.build_parser().parse_args(["prune", "m", "--out", "o"]))
    missing = {field.name for field in dataclasses.fields(PruneSpec)} - set(args)
    assert missing == {"caps"}
    assert {"cap", "protect"} <= set(args)


def test_prune_leaves_defaults_to_the_specification(
    library: object, calls: Calls, main: Main, text: str
) -> None:
    main("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o")
    assert calls[0][0] == PruneSpec("m", text, 0.5)
    assert calls[0][1]["checkpoint"] is None


def test_prune_repeats_a_plan(
    library: object, calls: Calls, main: Main, text: str, tmp_path: Path
) -> None:
    plan = prune_report(PruneSpec("m", text, 0.5, samples=9, method=Method.PAPER), None).plan
    file = tmp_path / "stored.json"
    file.write_text(to_json(plan), encoding="utf8")
    result = main("prune", "other", "--plan", file, "--samples", 5, "--out", "o", "--json")
    ((spec, rest),) = calls
    assert result.code == 0
    assert rest["repeat"] == plan
    assert spec == dataclasses.replace(plan.spec, model="other", samples=5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--sparsity", "0"),
        ("--round-to", "0"),
        ("--swaps", "0"),
        ("--goal", "removed=0.5"),
        ("--budget", "uniform"),
        ("--refine", "1"),
    ],
)
def test_plan_excludes_what_it_fixes(
    main: Main, text: str, tmp_path: Path, option: str, value: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(to_json(prune_report(PruneSpec("m", text, 0.5), None).plan), encoding="utf8")
    result = main("prune", "m", "--plan", file, option, value, "--out", "o")
    assert result.code == 2
    assert result.reason == f"error: {option} does not go with --plan. The plan fixes it."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the plan"),
        ("", "not valid JSON"),
        ("{}", "Plan lacks"),
        ('{"version": 99}', "Plan lacks"),
    ],
)
def test_bad_plans(main: Main, tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "plan.json"
    if content is not None:
        file.write_text(content, encoding="utf8")
    result = main("prune", "m", "--plan", file, "--out", "o")
    assert result.code == 2
    assert words in result.reason


def test_evaluate_passes_every_option(library: object, calls: Calls, main: Main, text: str) -> None:
    result = main(
        *("evaluate", "small", "--data", text, "--weights", "w", "--limit", 10, "--seqlen", 32),
        *("--stride", 16, "--batch-size", 2, "--device", "cpu", "--dtype", "float32"),
        *("--image-size", 64, "--trust-remote-code", "--json"),
    )
    loading, evaluating = calls
    assert loading == (
        "small",
        {
            "weights": "w",
            "device": "cpu",
            "dtype": "float32",
            "image_size": 64,
            "trust_remote_code": True,
        },
    )
    del evaluating[1]["progress"]
    assert evaluating == (
        ("small", text),
        {"limit": 10, "seqlen": 32, "stride": 16, "batch_size": 2},
    )
    assert result.payload == to_dict(evaluation_report("small", text))
    assert result.payload["value"] == 0.75


def test_measure_passes_what_was_given(library: object, calls: Calls, main: Main) -> None:
    result = main("measure", "small", "--repeats", 5, "--device", "cpu", "--json")
    assert set(calls[1][1]) == {"repeats", "progress"}
    assert result.payload["latency_ms"]["median"] == 2.0


def test_measure_compares(library: object, calls: Calls, main: Main) -> None:
    arguments = ("--compare", "big", "--weights", "w", "--batch-size", 4, "--json")
    payload = main("measure", "small", *arguments).payload
    loading = {name: settings.get("weights") for name, settings in calls[:2]}
    assert loading == {"small": None, "big": "w"}
    assert calls[2][0] == ("big", "small")
    assert calls[2][1]["batch_size"] == 4
    assert payload["latency_ms"]["median"] == 2.0
    assert payload["dense"]["latency_ms"]["median"] == 4.0
    assert (payload["speedup"], payload["interval"]) == (2.0, [1.5, 2.5])


def test_measure_sets_threads_for_the_call_only(
    library: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, main: Main
) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    seen: list[int] = []

    def measure(loaded: str, **_: Any) -> MeasureReport:
        seen.append(torch.get_num_threads())
        return measure_report(loaded)

    monkeypatch.setattr(library.evaluation, "measure", measure)
    main("measure", "small", "--threads", before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_sweep_builds_the_grid(
    monkeypatch: pytest.MonkeyPatch, main: Main, text: str, tmp_path: Path
) -> None:
    from osscar_core import sweep as module

    seen: list[module.SweepSpec] = []

    def sweep(spec: module.SweepSpec, **rest: Any) -> module.SweepReport:
        seen.append(spec)
        assert rest["out"] == tmp_path
        assert rest["survey"] is None
        points = tuple(
            module.SweepPoint(
                request.method,
                request.sparsity,
                request.seed,
                prune_report(request, None),
                evaluation_report("m", text),
                speed_comparison("m", "m"),
            )
            for request in spec.points()
        )
        return module.SweepReport(module.DensePoint(evaluation_report("m", text, 0.9)), points)

    monkeypatch.setattr(module, "sweep", sweep)
    arguments = (
        *("sweep", "m", "--sparsities", "0.3,0.5", "--methods", "osscar,magnitude"),
        *("--seeds", "0,1", "--calibration", text, "--data", text, "--out", tmp_path),
        *("--limit", 10, "--samples", 4, "--no-latency"),
    )
    payload = main(*arguments, "--json").payload
    assert seen[0] == module.SweepSpec(
        PruneSpec("m", text, 0.0, samples=4),
        (0.3, 0.5),
        (Method.OSSCAR, Method.MAGNITUDE),
        text,
        seeds=(0, 1),
        limit=10,
        latency=False,
    )
    assert payload["dense"]["evaluation"]["value"] == 0.9
    assert len(payload["points"]) == 8
    assert payload["points"][0]["speed"]["speedup"] == 2.0
    # All are equally good, so none beats another.
    assert payload["pareto"] == [True] * 8
    lines = main(*arguments).out.splitlines()
    assert len(lines) == 1 + 1 + 8 + 2
    assert lines[0].split()[:2] == ["method", "sparsity"]
    assert lines[1].split()[:2] == ["dense", "0"]
    assert lines[2].split()[:5] == ["osscar", "0.3", "0", "-50.0%", "-75.0%"]
    assert lines[2].split()[-2:] == ["2.00x", "*"]
    assert lines[-1] == "* on the front of speed and top1"


def test_sweep_takes_goals(
    library: object, monkeypatch: pytest.MonkeyPatch, main: Main, text: str
) -> None:
    from osscar_core import sweep as module

    flops, speedup = Goal(GoalKind.FLOPS, 0.5), Goal(GoalKind.SPEEDUP, 99.0)

    def sweep(spec: module.SweepSpec, **rest: Any) -> module.SweepReport:
        assert rest["survey"] == "survey in surveyed"
        assert spec.base == PruneSpec("m", text, caps=(("heads", 0.0),))
        assert (spec.sparsities, spec.goals) == ((0.3,), (flops, speedup))
        points = []
        for number, request in enumerate(spec.points()[:2]):
            report = prune_report(request, None)
            if request.goal is not None:
                reached = GoalReport(request.goal, 40e6, 20e6, is_met=False)
                report = dataclasses.replace(report, goal=reached)
            quality = evaluation_report("m", text, 0.75 + number / 100)
            amount = (request.method, request.sparsity, request.seed)
            points.append(module.SweepPoint(*amount, report, quality, None, request.goal))
        near = (Goal(GoalKind.SPEEDUP, 3.0), Goal(GoalKind.SPEEDUP, 2.0))
        missed = UnreachablePoint(Method.OSSCAR, 0.0, 0, speedup, near)
        dense = module.DensePoint(evaluation_report("m", text, 0.9))
        return module.SweepReport(dense, tuple(points), (missed,))

    monkeypatch.setattr(module, "sweep", sweep)
    arguments = (
        *("sweep", "m", "--sparsities", 0.3, "--goals", "flops=0.5,speedup=99"),
        *("--survey", "surveyed", "--protect", "heads", "--no-latency"),
        *("--calibration", text, "--data", text, "--out", "o"),
    )
    payload = main(*arguments, "--json").payload
    assert payload["pareto"] == [False, True]
    assert payload["points"][1]["goal"] == {"kind": "flops", "value": 0.5}
    assert payload["unreachable"][0]["nearest"][0] == {"kind": "speedup", "value": 3.0}
    header, dense, by_share, by_goal, _, legend, unreachable = main(*arguments).out.splitlines()
    assert header.split()[:3] == ["method", "asked", "achieved"]
    assert dense.split()[:2] == ["dense", "90.00%"]
    assert by_share.split()[:3] == ["osscar", "sparsity=0.3", "0"]
    assert by_goal.split()[:5] == ["osscar", "flops=0.5", "20.0", "M", "(missed)"]
    assert (by_share[-1], by_goal[-1]) == ("%", "*")
    assert legend == "* on the front of FLOPs and top1"
    assert unreachable == (
        "unreachable: osscar speedup=99, seed 0: nearest are speedup=3 or speedup=2"
    )


# Printing


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argument, words in (("--version", __version__), ("--help", "prune")):
        with pytest.raises(SystemExit) as stop:
            cli.main([argument])
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_models_lists_the_catalogue(main: Main) -> None:
    models = main("models", "--json").payload["models"]
    names = [entry["name"] for entry in models]
    assert {"cifar/resnet20", "torchvision/resnet50", "facebook/opt-125m"} <= set(names)
    assert names[:2] == ["demo/resnet50", "demo/opt"]
    assert models[0]["data"] == "demo:factory"
    assert 2e9 < models[0]["memory_bytes"] < 2.5e9
    text = main("models").out
    assert all(name in text for name in names)


def test_prune_text(library: object, main: Main, text: str) -> None:
    out = main("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o").out
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines() if line}
    assert rows["layer1.0.conv2 (channels)"][2:] == ["2/4", "0.0123", "0.5000", "3"]
    assert rows["parameters"][1:] == ["1.00", "M", "500", "k", "-50.0%"]
    assert rows["file"][1:] == ["4.00", "MB", "2.00", "MB", "-50.0%"]
    assert rows["FLOPs"][1:] == ["80.0", "M", "20.0", "M", "-75.0%"]
    assert "warning: few samples" in out
    assert "o: 2.5 s, peak memory 2.00 GB" in out


def test_evaluate_text(library: object, main: Main, text: str) -> None:
    out = main("evaluate", "small", "--data", text).out
    assert "top1 75.00% (95% interval 70.00% to 80.00%), top5 99.00%, loss 0.9000" in out
    assert "first 100; n = 100" in out
    assert "note: 2 classes are missing" in out


def test_measure_text(library: object, main: Main) -> None:
    out = main("measure", "small", "--compare", "big").out
    assert "forward pass 2.00 ms (median of 20, p95 4.00, minimum 1.00)" in out
    assert "next token 2.00 ms" in out
    assert "throughput 1.23 k images/s" in out
    assert "device cpu, batch 1" in out
    assert out.splitlines()[-2:] == [
        "speed-up 2.00 (95% interval 1.50 to 2.50)",
        "speed-up of the next token 1.25 (95% interval 1.00 to 1.50)",
    ]


def test_stray_output_of_libraries_stays_off_stdout(
    library: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, main: Main, text: str
) -> None:
    def prune(spec: PruneSpec, **_: Any) -> PruneReport:
        sys.stdout.write("downloading\n")
        warnings.warn("old", stacklevel=1)
        logging.getLogger("library").warning("odd")
        return prune_report(spec, None)

    monkeypatch.setattr(library.pruner, "prune", prune)
    arguments = ("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o", "--json")
    result = main(*arguments)
    assert result.payload["parameters"] == {"dense": 1_000_000, "pruned": 500_000}
    assert result.err == "downloading\n"


def test_numbers_that_json_lacks_become_null(
    library: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, main: Main, text: str
) -> None:
    def evaluate(loaded: str, data: str, **_: Any) -> EvaluationReport:
        return evaluation_report(loaded, data, float("inf"))

    monkeypatch.setattr(library.evaluation, "evaluate", evaluate)
    assert main("evaluate", "small", "--data", text, "--json").payload["value"] is None


def test_json_ready() -> None:
    nan, infinity = float("nan"), float("inf")
    found = json_ready({"a": [nan, 1.5, (infinity, "x")], "b": {"c": -infinity}, "d": None})
    assert found == {"a": [None, 1.5, [None, "x"]], "b": {"c": None}, "d": None}


def test_tables() -> None:
    assert table(("", "n"), [("long", "1"), ("s", "22")]).splitlines() == [
        "       n",
        "long   1",
        "s     22",
    ]
    assert list_table(("a", "b"), [("xx", "y")]).splitlines() == ["a   b", "xx  y"]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (999.9, "", "1.00 k"),
        (1_000, "B", "1.00 kB"),
        (9_996, "", "10.0 k"),
        (99_960, "", "100 k"),
        (272_474, "", "272 k"),
        (1.5e9, "B", "1.50 GB"),
        (6.7e13, "", "67.0 T"),
    ],
)
def test_scaled(value: float, unit: str, words: str) -> None:
    assert scaled(value, unit) == words


def test_change() -> None:
    assert change(200, 150) == "-25.0%"
    assert change(0, 0) == "-"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_lines_are_sparse() -> None:
    now = [0.0]
    stream = io.StringIO()
    display = ProgressDisplay(stream, lambda: now[0])
    for step in range(100):
        now[0] = step * PLAIN_INTERVAL / 10
        display(ProgressEvent("prune", step, 100, "layer"))
    display.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "prune 10% layer"
    assert len(lines) == 9


def test_progress_on_a_terminal_is_a_bar_that_goes_away() -> None:
    stream = Terminal()
    display = ProgressDisplay(stream)
    display(ProgressEvent("prune", 1, 2, "layer"))
    display(ProgressEvent("evaluate", 1, 4))
    display.close()
    shown = stream.getvalue()
    assert "prune" in shown
    assert "evaluate" in shown
    assert "\n" not in shown
    assert shown.endswith("\r")


# Failing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "required: COMMAND"),
        ("prun", "invalid choice: 'prun'"),
        ("prune m --sparsity 0.5", "required: --out"),
        ("prune m --sparsity abc --calibration TEXT --out o", "'abc' is not a number"),
        ("prune m --sparsity 1.0 --calibration TEXT --out o", "sparsity is 1.0. It must be in"),
        ("prune m --sparsity -1 --calibration TEXT --out o", "sparsity is -1"),
        ("prune m --sparsity nan --calibration TEXT --out o", "sparsity is nan"),
        ("prune m --calibration TEXT --out o", "neither a goal nor a sparsity was"),
        ("prune m --sparsity 0.5 --goal flops=0.5 --calibration TEXT --out o", "one of the two"),
        ("prune m --goal speed --calibration TEXT --out o", "'speed' is no goal. Write KIND=VALUE"),
        ("prune m --goal sped=2 --calibration TEXT --out o", "Did you mean 'speedup'?"),
        ("prune m --goal speedup=0.5 --calibration TEXT --out o", "It must be at least 1"),
        ("prune m --goal removed=1 --calibration TEXT --out o", "It must be in [0, 1)"),
        ("prune m --goal bytes=much --calibration TEXT --out o", "such as bytes=50MB"),
        ("prune m --goal latency=5MB --calibration TEXT --out o", "no unit 'MB'"),
        ("prune m --goal flops=0.5 --cap x --calibration TEXT --out o", "not a list of NAME=SHARE"),
        ("prune m --goal flops=0.5 --cap x=y --calibration TEXT --out o", "'y' is not a number"),
        ("prune m --goal flops=0.5 --cap x=2 --calibration TEXT --out o", "the cap of x is 2"),
        ("prune m --goal flops=0.5 --refine 2 --budget uniform --calibration TEXT --out o", "refi"),
        ("prune m --sparsity 0.5 --refine 2 --calibration TEXT --out o", "--budget loss-weighted"),
        ("prune m --sparsity 0.5 --survey s --calibration TEXT --out o", "--survey is of no use"),
        ("prune m --goal quality_loss=0.1 --data text:/no --calibration TEXT --out o", "not exist"),
        ("prune m --sparsity 0.5 --out o", "no calibration data"),
        ("prune m --sparsity 0.5 --calibration TEXT --samples 1.5 --out o", "not a whole number"),
        ("prune m --sparsity 0.5 --calibration TEXT --samples 0 --out o", "samples is 0"),
        ("prune m --sparsity 0.5 --calibration TEXT --structures head --out o", "'heads'"),
        ("prune m --sparsity 0.5 --calibration TEXT --structures , --out o", "is empty"),
        ("prune m --sparsity 0.5 --calibration TEXT --method osscr --out o", "'osscar'"),
        ("prune m --sparsity 0.5 --calibration TEXT --target x --out o", "unknown target 'x'"),
        ("prune m --sparsity 0.5 --calibration TEXT --intercept x --out o", "unknown intercept"),
        ("prune m --sparsity 0.5 --calibration TEXT --budget x --out o", "unknown budget 'x'"),
        ("prune m --sparsity 0.5 --calibration TEXT --dtype float --out o", "unknown dtype"),
        ("prune m --sparsity 0.5 --calibration txt:a --out o", "unknown data prefix 'txt'"),
        ("prune m --sparsity 0.5 --calibration text:/no/such --out o", "does not exist"),
        ("prune m --sparsity 0.5 --calibration TEXT --out o --bugdet x", "--bugdet"),
        ("prune m --sparsity 0.5 --calib TEXT --out o", "--calib"),
        ("evaluate m", "no data was given to evaluate m on. Add --data text:PATH"),
        ("evaluate m --data TEXT --limit 0", "limit is 0"),
        ("evaluate m --data nowhere", "does not say what it is"),
        ("measure m --repeats 0", "repeats is 0"),
        ("measure m --threads 0", "threads is 0"),
        ("sweep m --sparsities 0.5,x --data TEXT --out o", "'x' is not a number"),
        ("sweep m --sparsities 0.5,1 --calibration TEXT --data TEXT --out o", "sparsity is 1"),
        ("sweep m --sparsities , --calibration TEXT --data TEXT --out o", "sparsities is empty"),
        ("sweep m --calibration TEXT --data TEXT --out o", "so is that of goals"),
        ("sweep m --goals flops --calibration TEXT --data TEXT --out o", "'flops' is no goal"),
        ("sweep m --goals flops=-1 --calibration TEXT --data TEXT --out o", "no value of the goal"),
        ("estimate s", "required: --goal"),
        ("estimate s --goal flops=0", "the goal flops is 0"),
        ("deploy s --goal flops=0.5", "required: --out"),
        ("survey m --out o", "no calibration data"),
        ("sweep m --sparsities 0.5 --methods x --data TEXT --calibration TEXT --out o", "method"),
        ("sweep m --sparsities 0.5 --seeds -2 --data TEXT --calibration TEXT --out o", "seed"),
        ("sweep m --sparsities 0.5 --data TEXT --out o", "no calibration data"),
    ],
)
def test_bad_arguments_are_one_line(main: Main, text: str, arguments: str, words: str) -> None:
    result = main(*arguments.replace("TEXT", text).split())
    assert result.code == 2
    assert result.reason.startswith("error: ")
    assert words in result.reason


def failing(error: BaseException) -> Callable[..., PruneReport]:
    def prune(spec: PruneSpec, **rest: Any) -> PruneReport:
        rest["progress"](ProgressEvent("prune", 1, 2))
        raise error

    return prune


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("bad file", "Mend it"), 2, "error: bad file. Mend it."),
        (Cancelled(), 130, str(Cancelled())),
        (KeyboardInterrupt(), 130, str(Cancelled())),
        (MemoryError(), 2, "error: memory ran out."),
        (OutOfMemoryError("CUDA out of memory"), 2, "error: memory ran out."),
        (OSError(28, "No space left on device", "/o/x"), 2, "error: /o/x: No space left on"),
        (ValueError("so\nbad"), 70, "internal error: ValueError: so bad (run with --verbose"),
    ],
)
def test_failures_are_one_line(
    library: types.SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    main: Main,
    text: str,
    error: BaseException,
    code: int,
    line: str,
) -> None:
    monkeypatch.setattr(library.pruner, "prune", failing(error))
    arguments = ("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o")
    result = main(*arguments, "--json")
    assert result.code == code
    assert result.reason.startswith(line)
    assert main(*arguments).reason == result.reason


def test_verbose_shows_the_traceback_before_the_line(
    library: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, main: Main, text: str
) -> None:
    monkeypatch.setattr(library.pruner, "prune", failing(ValueError("bad")))
    arguments = ("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o")
    lines = main(*arguments, "--verbose").err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("internal error: ValueError: bad")
    assert len(lines) > 5


def test_main_leaves_the_process_as_it_was(library: object, main: Main, text: str) -> None:
    def state() -> tuple[object, ...]:
        return (
            signal.getsignal(signal.SIGTERM),
            signal.getsignal(signal.SIGINT),
            logging.root.manager.disable,
            list(warnings.filters),
            sys.stdout,
        )

    before = state()
    main("prune", "m", "--sparsity", 0.5, "--calibration", text, "--out", "o")
    assert state() == before


def test_doctor_failure_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, main: Main) -> None:
    from osscar_core import doctor
    from osscar_core.studio import checkup

    bad = doctor.Check("disk", doctor.Status.FAIL, "full", "Free some")
    good = doctor.Check("python", doctor.Status.OK, "3.11")
    monkeypatch.setattr(doctor, "diagnose", lambda _: doctor.Diagnosis((good, bad)))
    monkeypatch.setattr(checkup, "check_server", lambda _: ())
    monkeypatch.setattr(checkup, "check_store", lambda _: ())
    result = main("doctor")
    assert result.code == 1
    assert result.out.splitlines() == ["ok    python: 3.11", "fail  disk: full", "      Free some"]
    as_json = main("doctor", "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["fit"] is False
    monkeypatch.setattr(doctor, "diagnose", lambda _: doctor.Diagnosis((good,)))
    assert main("doctor", "--json").payload["checks"][0]["status"] == "ok"
    monkeypatch.setattr(checkup, "check_store", lambda _: (bad,))
    assert main("doctor").code == 1


def test_doctor_works_where_the_app_cannot_start(
    monkeypatch: pytest.MonkeyPatch, main: Main
) -> None:
    from osscar_core import doctor, studio

    monkeypatch.setattr(doctor, "diagnose", lambda _: doctor.Diagnosis(()))
    monkeypatch.delattr(studio, "checkup", raising=False)
    monkeypatch.setitem(sys.modules, "osscar_core.studio.checkup", None)
    result = main("doctor")
    assert result.code == 0
    assert result.out.startswith("warn  store: not looked at")


# Processes

_SLOW = """
import sys, time, types
from pathlib import Path
module = types.ModuleType("osscar_core.pruner")
def prune(spec, *, out, **_):
    part = Path(str(out) + ".part")
    part.touch()
    try:
        print("started", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        part.unlink()
module.prune = prune
sys.modules["osscar_core.pruner"] = module
from osscar_core.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_politely(text: str, tmp_path: Path, kind: signal.Signals) -> None:
    out = tmp_path / "o"
    arguments = ["prune", "m", "--sparsity", "0.5", "--calibration", text, "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "started\n"
    began = time.monotonic()
    process.send_signal(kind)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr == f"{Cancelled()}\n"
    assert time.monotonic() - began < 10
    assert list(tmp_path.glob("o*")) == []


def test_a_reader_that_left_is_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-m", "osscar_core", "models", "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    os.close(write_end)
    assert result.returncode == 141
    assert result.stderr == ""


def test_module_runs_as_a_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "osscar_core", "prune"], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: the following arguments are required: MODEL")
    assert result.stderr.count("\n") == 1
