"""The sample run: what is stored of it, and the one that comes with the project."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
from pathlib import Path

import pytest

from osscar_core.catalogue import ASSETS_VARIABLE, DEMO_MODELS
from osscar_core.errors import SpecError
from osscar_core.goals import Goal, GoalKind
from osscar_core.records import (
    BeforeAfter,
    DataInfo,
    DensePoint,
    EvaluationReport,
    Latency,
    MeasureReport,
    Method,
    Plan,
    PruneReport,
    PruneSpec,
    SourceInfo,
    SpeedComparison,
    Structure,
    SweepPoint,
    SweepReport,
    UnitPlan,
    UnitReport,
)
from osscar_core.sample import (
    SampleRun,
    read_sample_run,
    sample_folder,
    sample_runs,
    write_sample_run,
)
from osscar_core.showcase import Guess, Picture, Showcase
from osscar_core.storage import read_sealed, write_sealed

# A white picture of one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"
)


def sample(model: str = "demo/resnet50", grid: tuple[tuple[Method, float], ...] = ()) -> SampleRun:
    """Return a sample run with made-up numbers: quality falls, speed rises."""
    base = PruneSpec(model, DEMO_MODELS[model].data, sparsity=0.0)
    task = DEMO_MODELS[model].task
    data = DataInfo(base.calibration, task, 2000, "cd" * 32)

    def quality(value: float) -> EvaluationReport:
        interval = (value - 0.01, value + 0.01)
        return EvaluationReport(model, "top1", value, 2000, data, "all", 1.0, interval, 0.2)

    def speed(median: float) -> MeasureReport:
        conditions = {"device": "Test CPU", "batch": "32", "dtype": "float32", "threads": "2"}
        times = Latency(median, median * 1.1, median * 0.9, 20)
        return MeasureReport(model, times, 32e3 / median, "images/s", conditions, 3.0)

    points = []
    for method, sparsity in grid or (
        *((Method.OSSCAR, share) for share in (0.3, 0.5, 0.7)),
        *((Method.MAGNITUDE_REFIT, share) for share in (0.3, 0.5)),
    ):
        loss = 0.1 * sparsity**2 * (1 if method is Method.OSSCAR else 4)
        groups, kept = 64, round(64 * (1 - sparsity))
        name = "layer1.0.conv2"
        unit = UnitPlan(name, Structure.CHANNELS, "layer1.0", groups, tuple(range(kept)))
        plan = Plan(
            source=SourceInfo(model, DEMO_MODELS[model].family, task, weights=model),
            spec=dataclasses.replace(base, method=method, goal=Goal(GoalKind.REMOVED, sparsity)),
            calibration=data,
            units=(unit,),
            dtype="float16",
            created="2026-11-25T09:00:00+00:00",
        )
        fate = UnitReport(
            name, Structure.CHANNELS, "layer1.0", groups, kept, sparsity / 10, sparsity / 5, 0, 0.1
        )
        report = PruneReport(
            out=None,
            parameters=BeforeAfter(1000, round(1000 * (1 - sparsity))),
            bytes=BeforeAfter(2_000_000, round(2e6 * (1 - sparsity))),
            flops=BeforeAfter(1000, round(1000 * (1 - sparsity))),
            flops_input="one image",
            units=(fate,),
            seconds=1.0,
            peak_memory_bytes=1,
            plan=plan,
        )
        factor = 1 / (1 - sparsity / 2)
        ratio = SpeedComparison(
            speed(100.0), speed(100.0 / factor), factor, (factor - 0.05, factor + 0.05)
        )
        asked = Goal(GoalKind.REMOVED, sparsity)
        points.append(SweepPoint(method, 0.0, 0, report, quality(0.95 - loss), ratio, asked))
    return SampleRun(
        base=base,
        data=base.calibration,
        report=SweepReport(DensePoint(quality(0.95)), tuple(points)),
        created="2026-11-25T10:00:00+00:00",
        command="python -m osscar_core.demo.sample_run",
        conditions={"device": "Test CPU", "threads": "2"},
    )


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ASSETS_VARIABLE, str(tmp_path))
    return tmp_path


def shown(sparsity: float) -> Showcase:
    """Return a showcase of one picture whose answer was lost."""
    answers = ((Guess(label, name, 0.9 - sparsity),) for label, name in ((2, "pit"), (3, "crack")))
    picture = Picture(5, PIXEL, "image/png", 2, "pit", *answers)
    fates = {"lost": 1, "right": 255}
    return Showcase("image", "demo:factory", 256, fates=fates, pictures=(picture,))


def with_showcases(run: SampleRun) -> SampleRun:
    """Return the run with a showcase for every point of the product's own method."""
    found = (
        shown(point.goal.value) if point.method is Method.OSSCAR else None
        for point in run.report.points
    )
    return dataclasses.replace(run, showcases=tuple(found))


def test_what_is_stored_comes_back(assets: Path) -> None:
    run = with_showcases(sample())
    path = write_sample_run(run, sample_folder())
    assert path == assets / "sample" / "demo-resnet50.json"
    assert sample_runs() == (run,)
    assert run.report.points[0].prune.plan.units[0].kept == tuple(range(45))
    assert run.date == "2026-11-25"
    assert run.showcase(run.report.points[1]) == shown(0.5)
    assert run.showcase(run.report.points[-1]) is None


@pytest.mark.parametrize("groups", [1, 7, 8, 9, 64, 1537])
def test_kept_groups_survive_as_bits(assets: Path, groups: int) -> None:
    rng = random.Random(groups)
    kept = tuple(i for i in range(groups) if i == groups - 1 or rng.random() < 0.4)
    run = sample(grid=((Method.OSSCAR, 0.5),))
    (point,) = run.report.points
    unit = dataclasses.replace(point.prune.plan.units[0], groups=groups, kept=kept, adds_bias=True)
    plan = dataclasses.replace(point.prune.plan, units=(unit,))
    fate = dataclasses.replace(point.prune.units[0], groups=groups, kept=len(kept))
    point = dataclasses.replace(
        point, prune=dataclasses.replace(point.prune, plan=plan, units=(fate,))
    )
    run = dataclasses.replace(run, report=dataclasses.replace(run.report, points=(point,)))
    path = write_sample_run(run, sample_folder())
    assert read_sample_run(path) == run
    (stored,) = json.loads(read_sealed(path))["units"]
    assert len(stored[0]["kept"]) == 4 * math.ceil(math.ceil(groups / 8) / 3)


def test_a_file_that_names_no_groups_is_read_as_well(assets: Path) -> None:
    run = with_showcases(sample())
    path = write_sample_run(run, sample_folder())
    old = json.loads(read_sealed(path))
    del old["units"], old["showcases"]
    write_sealed(path, json.dumps(old))
    read = read_sample_run(path)
    assert all(point.prune.plan.units == () for point in read.report.points)
    assert [p.prune.units for p in read.report.points] == [p.prune.units for p in run.report.points]
    assert read.showcases == ()
    assert read.showcase(read.report.points[0]) is None
    assert read_sample_run(write_sample_run(read, sample_folder())) == read


@pytest.mark.parametrize("kept", ["", "!", "AAAA", "/////w==", "AAAAAAAAAAA="])
def test_bits_that_do_not_fit_the_report_are_refused(assets: Path, kept: str) -> None:
    path = write_sample_run(sample(), sample_folder())
    values = json.loads(read_sealed(path))
    values["units"][0][0]["kept"] = kept
    write_sealed(path, json.dumps(values))
    with pytest.raises(SpecError, match=r"kept of layer1\.0\.conv2 cannot be read"):
        read_sample_run(path)
    assert sample_runs() == ()


@pytest.mark.parametrize("key", ["units", "showcases"])
def test_a_point_without_its_part_is_refused(assets: Path, key: str) -> None:
    path = write_sample_run(with_showcases(sample()), sample_folder())
    values = json.loads(read_sealed(path))
    values[key].pop()
    write_sealed(path, json.dumps(values))
    with pytest.raises(SpecError, match="there are 5 points"):
        read_sample_run(path)


def test_the_request_of_a_point_is_the_one_that_was_asked(assets: Path) -> None:
    run = sample()
    request = run.request(run.report.points[-1])
    assert request == PruneSpec(
        "demo/resnet50",
        "demo:factory",
        goal=Goal(GoalKind.REMOVED, 0.5),
        method=Method.MAGNITUDE_REFIT,
    )


def test_models_come_in_the_order_of_the_catalogue_and_damaged_files_are_left_out(
    assets: Path,
) -> None:
    assert sample_runs() == ()
    for model in reversed(DEMO_MODELS):
        write_sample_run(sample(model), sample_folder())
    assert [run.base.model for run in sample_runs()] == list(DEMO_MODELS)
    (sample_folder() / "demo-opt.json").write_text("{", encoding="utf8")
    assert [run.base.model for run in sample_runs()] == ["demo/resnet50"]


class TestShipped:
    """The sample run in the project's own assets."""

    @pytest.fixture(autouse=True)
    def own_assets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(ASSETS_VARIABLE, raising=False)

    def test_both_models_are_there_with_four_methods(self) -> None:
        runs = {run.base.model: run for run in sample_runs()}
        assert set(runs) == set(DEMO_MODELS)
        for run in runs.values():
            compared = {(p.method, p.goal.value) for p in run.report.points}
            for method in (Method.OSSCAR, Method.PAPER, Method.MAGNITUDE_REFIT, Method.MAGNITUDE):
                assert {(method, 0.5), (method, 0.7)} <= compared
            assert all(point.speed is not None for point in run.report.points)
            assert run.device
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", run.date)

    def test_quality_falls_with_sparsity_and_osscar_leads(self) -> None:
        for run in sample_runs():
            loss = {(p.method, p.goal.value): p.evaluation.loss for p in run.report.points}
            dense = run.report.dense.evaluation
            ours = [loss[Method.OSSCAR, s] for s in (0.3, 0.5, 0.7)]
            # Where hardly anything is lost, the order is chance.
            assert dense.loss < 1.01 * ours[0]
            assert ours[0] < 1.01 * ours[1]
            assert ours[1] < 1.01 * ours[2]
            assert dense.loss < ours[2]
            most = max(share for method, share in loss if method is Method.PAPER)
            for sparsity in (0.7, most):
                for other in (Method.PAPER, Method.MAGNITUDE_REFIT, Method.MAGNITUDE):
                    assert loss[Method.OSSCAR, sparsity] < 1.01 * loss[other, sparsity]
                    if sparsity == most:
                        assert loss[Method.OSSCAR, sparsity] < loss[other, sparsity]

    def test_half_of_the_channels_go_at_little_cost(self) -> None:
        run = next(run for run in sample_runs() if run.base.model == "demo/resnet50")
        half = next(
            p for p in run.report.points if (p.method, p.goal.value) == (Method.OSSCAR, 0.5)
        )
        assert half.evaluation.value >= 0.95 * run.report.dense.evaluation.value
        assert half.prune.bytes.pruned < 0.5 * half.prune.bytes.dense

    def test_goals_of_speed_are_met_by_measurement(self) -> None:
        for run in sample_runs():
            timed = [p for p in run.report.points if p.goal.kind is GoalKind.SPEEDUP]
            assert len(timed) == 2
            for point in timed:
                assert point.speed.speedup >= 0.95 * point.goal.value

    def test_all_methods_got_the_same_widths(self) -> None:
        for run in sample_runs():
            widths: dict[float, set[tuple[int, ...]]] = {}
            for point in run.report.points:
                kept = tuple(unit.kept for unit in point.prune.units)
                widths.setdefault(point.goal.value, set()).add(kept)
            assert all(len(different) == 1 for different in widths.values())

    def test_the_files_are_small_and_name_no_machine(self) -> None:
        files = sorted(sample_folder().glob("*.json"))
        assert sum(file.stat().st_size for file in files) < 1_000_000
        for file in files:
            text = file.read_text(encoding="utf8")
            assert not re.search(
                r'["\s](/(home|mnt|opt|root|tmp|usr|var|work|Users)/|~/|[A-Z]:\\\\)', text
            )
