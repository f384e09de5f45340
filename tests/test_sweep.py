"""Sweeps: the grid, what is stored, what is not computed twice."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import families
from osscar_core.errors import Cancelled, DataError, OutputError, SpecError
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.progress import ProgressEvent
from osscar_core.records import (
    BeforeAfter,
    DataInfo,
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
    from_json,
    to_json,
)
from osscar_core.storage import read_sealed
from osscar_core.survey import Survey, load_survey
from osscar_core.sweep import SweepSpec, pareto, sweep

FLOPS = Goal(GoalKind.FLOPS, 0.8)
DATA = DataInfo("text:test.txt", "text", 4, "0" * 64)


def evaluation(model: str, value: float) -> EvaluationReport:
    return EvaluationReport(
        model, "perplexity", value, 10, DATA, "windows of 24", 0.1, (value - 1, value + 1), 0.5
    )


def timing(model: str) -> MeasureReport:
    return MeasureReport(model, Latency(1, 1, 1, 3), 10.0, "tokens/s", {"device": "cpu"}, 0.1)


class Library:
    """Stands in for the calls behind a sweep; perplexity is 20 plus ten times the sparsity."""

    def __init__(self) -> None:
        self.pruned: list[PruneSpec] = []
        self.loaded: list[str] = []
        self.seqlens: list[int | None] = []
        self.fail_at: int | None = None

    def prune(
        self, spec: PruneSpec, *, out: Path, progress: Any, survey: Any = None
    ) -> PruneReport:
        assert survey is None
        if len(self.pruned) == self.fail_at:
            raise DataError("the disk was pulled", "Plug it in")
        self.pruned.append(spec)
        if progress is not None:
            progress(ProgressEvent("prune", 1, 2, "fc2"))
        out.mkdir()
        (out / "sparsity").write_text(str(spec.sparsity), encoding="utf8")
        resolved = dataclasses.replace(spec, seqlen=24)
        unit = UnitPlan("fc2", Structure.NEURONS, "block", 4, (0, 1))
        source = SourceInfo(spec.model, "opt", "text", spec.model)
        both = BeforeAfter(10, 5)
        plan = Plan(source, resolved, DATA, (unit,), "float32")
        return PruneReport(str(out), both, both, both, "24 tokens", (), 0.1, 1000, plan)

    def load_model(self, name: str, **_: Any) -> str:
        self.loaded.append(name)
        return name

    def evaluate(self, loaded: str, data: str, *, seqlen: int | None, **_: Any) -> EvaluationReport:
        self.seqlens.append(seqlen)
        file = Path(loaded) / "sparsity"
        sparsity = float(file.read_text(encoding="utf8")) if file.exists() else 0.0
        return evaluation(loaded, 20 + 10 * sparsity)

    def compare(self, dense: str, pruned: str, **_: Any) -> SpeedComparison:
        return SpeedComparison(timing(dense), timing(pruned), 1.5, (1.4, 1.6))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    members = {"pruner": ["prune"], "models": ["load_model"], "evaluation": ["evaluate", "compare"]}
    for home, names in members.items():
        module = types.ModuleType(f"osscar_core.{home}")
        for name in names:
            setattr(module, name, getattr(library, name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return library


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    file = tmp_path / "calibration.txt"
    file.write_text("words", encoding="utf8")
    base = PruneSpec("facebook/opt-125m", f"text:{file}", 0.0)
    return SweepSpec(base, (0.3, 0.5), (Method.OSSCAR, Method.MAGNITUDE), "demo:python-docs")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


def stored(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "points").iterdir())


def test_points_cover_the_grid_in_order(spec: SweepSpec) -> None:
    grid = dataclasses.replace(spec, seeds=(0, 1), sparsities=(0.3, 0.5, 0.3))
    assert [(p.method, p.sparsity, p.seed) for p in grid.points()] == [
        (method, sparsity, seed)
        for method in (Method.OSSCAR, Method.MAGNITUDE)
        for sparsity in (0.3, 0.5)
        for seed in (0, 1)
    ]
    assert {point.calibration for point in grid.points()} == {spec.base.calibration}


def test_points_cover_goals_behind_sparsities(spec: SweepSpec) -> None:
    goals = (FLOPS, Goal(GoalKind.QUALITY_LOSS, 0.1), FLOPS)
    grid = dataclasses.replace(spec, seeds=(0, 1), sparsities=(0.3,), goals=goals)
    amounts = [(0.3, None), (0.0, goals[0]), (0.0, goals[1])]
    assert [(p.method, p.sparsity, p.goal, p.seed) for p in grid.points()] == [
        (method, *amount, seed)
        for method in (Method.OSSCAR, Method.MAGNITUDE)
        for amount in amounts
        for seed in (0, 1)
    ]
    # Only a goal of quality rests on data beside the calibration.
    assert [p.data for p in grid.points()[::2]] == [None, None, spec.data] * 2
    assert len(dataclasses.replace(spec, sparsities=(), goals=goals).points()) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sparsities": ()}, "sparsities is empty, and so is that of goals"),
        ({"methods": ()}, "methods is empty"),
        ({"seeds": ()}, "seeds is empty"),
        ({"sparsities": (0.5, 1.0)}, "sparsity is 1.0"),
        ({"seeds": (-1,)}, "seed is -1"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_illegal_grids(spec: SweepSpec, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        dataclasses.replace(spec, **changes)


def test_every_point_is_measured_and_stored(library: Library, spec: SweepSpec, out: Path) -> None:
    report = sweep(spec, out=out)
    assert library.pruned == list(spec.points())
    assert [point.evaluation.value for point in report.points] == [23, 25, 23, 25]
    assert [point.method for point in report.points][1:3] == [Method.OSSCAR, Method.MAGNITUDE]
    assert report.dense.evaluation.value == 20
    assert all(point.speed and point.speed.speedup == 1.5 for point in report.points)
    files = list((out / "points").iterdir())
    found = [from_json(SweepPoint, read_sealed(file)) for file in files]
    assert sorted(found, key=repr) == sorted(report.points, key=repr)
    assert from_json(SweepReport, to_json(report)) == report


def test_nothing_names_the_passing_work_folder(
    library: Library, spec: SweepSpec, out: Path
) -> None:
    report = sweep(spec, out=out)
    assert ".work" not in to_json(report)
    assert {point.prune.out for point in report.points} == {None}
    assert sorted(path.name.split("-")[0] for path in out.iterdir()) == ["dense", "points"]


def test_dense_model_is_loaded_once_and_judged_alike(
    library: Library, spec: SweepSpec, out: Path
) -> None:
    sweep(spec, out=out)
    assert library.loaded.count(spec.base.model) == 1
    assert library.seqlens == [24] * 5


def test_without_latency_nothing_is_timed(library: Library, spec: SweepSpec, out: Path) -> None:
    report = sweep(dataclasses.replace(spec, latency=False), out=out)
    assert [point.speed for point in report.points] == [None] * 4


def test_finished_sweep_computes_nothing(library: Library, spec: SweepSpec, out: Path) -> None:
    first = sweep(spec, out=out)
    library.pruned.clear()
    library.loaded.clear()
    assert sweep(spec, out=out) == first
    assert library.pruned == []
    assert library.loaded == []


def test_interrupted_sweep_goes_on(library: Library, spec: SweepSpec, out: Path) -> None:
    library.fail_at = 2
    with pytest.raises(DataError, match="the disk was pulled"):
        sweep(spec, out=out)
    assert len(stored(out)) == 2
    library.fail_at = None
    report = sweep(spec, out=out)
    assert library.pruned == list(spec.points())
    assert len(report.points) == 4


def test_cancelling_leaves_finished_points_only(
    library: Library, spec: SweepSpec, out: Path
) -> None:
    labels: list[str] = []

    def stop_at_third(event: ProgressEvent) -> None:
        labels.append(event.stage)
        if event.stage == "point 3/4: prune":
            raise Cancelled

    with pytest.raises(Cancelled):
        sweep(spec, out=out, progress=stop_at_third)
    assert labels == [f"point {number}/4: prune" for number in (1, 2, 3)]
    assert len(stored(out)) == 2
    assert [path.name for path in out.iterdir()] == ["points"]


def test_grid_can_grow(library: Library, spec: SweepSpec, out: Path) -> None:
    sweep(spec, out=out)
    library.pruned.clear()
    grown = dataclasses.replace(spec, sparsities=(0.3, 0.5, 0.7))
    assert len(sweep(grown, out=out).points) == 6
    assert [(p.method, p.sparsity) for p in library.pruned] == [
        (Method.OSSCAR, 0.7),
        (Method.MAGNITUDE, 0.7),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: dataclasses.replace(spec, limit=5),
        lambda spec: dataclasses.replace(spec, latency=False),
        lambda spec: dataclasses.replace(spec, data="hf:wikitext2"),
        lambda spec: dataclasses.replace(spec, base=dataclasses.replace(spec.base, damping=0.5)),
    ],
)
def test_other_settings_are_other_points(
    library: Library, spec: SweepSpec, out: Path, change: Any
) -> None:
    sweep(spec, out=out)
    library.pruned.clear()
    sweep(change(spec), out=out)
    assert len(library.pruned) == 4


def test_other_calibration_content_is_another_point(
    library: Library, spec: SweepSpec, out: Path
) -> None:
    sweep(spec, out=out)
    library.pruned.clear()
    file = Path(spec.base.calibration.removeprefix("text:"))
    file.write_text("other", encoding="utf8")
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    sweep(spec, out=out)
    assert len(library.pruned) == 4


def test_damaged_point_is_computed_again(library: Library, spec: SweepSpec, out: Path) -> None:
    first = sweep(spec, out=out)
    library.pruned.clear()
    (out / "points" / stored(out)[0]).write_text("{", encoding="utf8")
    assert sweep(spec, out=out) == first
    assert len(library.pruned) == 1


def test_foreign_directory_is_refused(library: Library, spec: SweepSpec, out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("x", encoding="utf8")
    with pytest.raises(OutputError, match="holds other files"):
        sweep(spec, out=out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_file_as_output_is_refused(library: Library, spec: SweepSpec, out: Path) -> None:
    out.write_text("x", encoding="utf8")
    with pytest.raises(OutputError, match="is a file"):
        sweep(spec, out=out)
    with pytest.raises(OutputError, match="cannot write"):
        sweep(spec, out=out / "below")
    assert library.pruned == []


def test_real_sweep(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()
    family.loaded(tmp_path)
    calibration = family.calibration_spec(tmp_path)
    base = PruneSpec(str(tmp_path / "dense"), calibration, 0.0, samples=4, seqlen=24, device="cpu")
    spec = SweepSpec(base, (0.0, 0.5), (Method.OSSCAR, Method.RANDOM), calibration, limit=3)
    report = sweep(spec, out=tmp_path / "sweep")
    untouched, osscar, also_untouched, _ = report.points
    dense = report.dense.evaluation.value
    assert untouched.evaluation.value == pytest.approx(dense, rel=1e-4)
    assert also_untouched.evaluation.value == pytest.approx(dense, rel=1e-4)
    assert osscar.evaluation.value != pytest.approx(dense, rel=1e-3)
    assert osscar.prune.parameters.pruned < osscar.prune.parameters.dense
    # Reports name the dense model's tokenizer, not the place where a copy of it lay for a while.
    assert osscar.evaluation.data.tokenizer == str(tmp_path / "dense")
    assert str(tmp_path / "sweep") not in osscar.evaluation.protocol
    assert osscar.speed is not None
    assert osscar.speed.dense.latency_ms.median > 0


# Goals, on a tiny model


REMOVED = Goal(GoalKind.REMOVED, 0.4)
TOO_FEW = Goal(GoalKind.FLOPS, 0.01)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    """Return a sweep over a tiny text model: two goals that can be reached, one that cannot."""
    folder = tmp_path_factory.mktemp("tiny")
    family = families.FAMILIES["opt"]()
    family.loaded(folder)
    data = family.calibration_spec(folder)
    base = PruneSpec(str(folder / "dense"), data, samples=4, device="cpu")
    goals = (REMOVED, TOO_FEW, FLOPS)
    return SweepSpec(base, (), (Method.OSSCAR,), data, limit=2, latency=False, goals=goals)


@pytest.fixture(scope="module")
def finished(tiny: SweepSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of that sweep with one more method; not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "sweep"
    sweep(dataclasses.replace(tiny, methods=(Method.OSSCAR, Method.PAPER)), out=out)
    return out


class Stages(list[str]):
    """The stages that a sweep went through, for a progress callback."""

    def __call__(self, event: ProgressEvent) -> None:
        self.append(event.stage)

    def said(self, word: str) -> bool:
        return any(stage.endswith(word) for stage in self)


def surveys(out: Path) -> list[Path]:
    return sorted(out.glob("survey-*"))


def added(report: SweepReport, point: SweepPoint) -> float:
    return math.log(point.evaluation.value / report.dense.evaluation.value)


def test_goals_are_pursued_and_measured(tiny: SweepSpec, finished: Path) -> None:
    spec = dataclasses.replace(tiny, methods=(Method.OSSCAR, Method.PAPER))
    stages = Stages()
    report = sweep(spec, out=finished, progress=stages)
    assert stages == []
    assert [(point.method, point.goal) for point in report.points] == [
        (method, goal) for method in spec.methods for goal in (REMOVED, FLOPS)
    ]
    for point in report.points:
        goal = point.prune.goal
        assert goal is not None
        assert (goal.goal, goal.is_met, point.sparsity) == (point.goal, True, 0.0)
        assert point.prune.budget is not None
        assert point.prune.budget.budget is Budget.LOSS_WEIGHTED
    assert report.points[1].prune.flops.pruned <= 0.8 * report.points[1].prune.flops.dense
    assert from_json(SweepReport, to_json(report)) == report


def test_unreachable_goals_name_what_can_be_reached(
    tiny: SweepSpec, finished: Path, tmp_path: Path
) -> None:
    report = sweep(dataclasses.replace(tiny, methods=(Method.OSSCAR, Method.PAPER)), out=finished)
    assert [(one.method, one.goal) for one in report.unreachable] == [
        (Method.OSSCAR, TOO_FEW),
        (Method.PAPER, TOO_FEW),
    ]
    far, near = report.unreachable[0].nearest
    assert TOO_FEW.value < far.value <= near.value < 1
    again = sweep(dataclasses.replace(tiny, goals=(far,)), out=tmp_path / "sweep")
    assert again.unreachable == ()
    assert again.points[0].prune.goal is not None
    assert again.points[0].prune.goal.is_met


def test_where_nothing_can_be_reached_the_dense_model_is_judged(
    tiny: SweepSpec, finished: Path, tmp_path: Path
) -> None:
    spec = dataclasses.replace(tiny, goals=(TOO_FEW,))
    report = sweep(spec, out=tmp_path / "sweep")
    assert report.points == ()
    assert len(report.unreachable) == 1
    known = sweep(tiny, out=finished).dense.evaluation
    assert report.dense.evaluation.value == known.value
    assert report.dense.evaluation.protocol == known.protocol


def test_one_survey_learns_from_all_points(tiny: SweepSpec, finished: Path) -> None:
    report = sweep(tiny, out=finished)
    (folder,) = surveys(finished)
    survey = load_survey(folder)
    # The points of the other method are none of its own.
    assert len(survey.points.sequential) == 2
    for point, known in zip(report.points, survey.points.sequential, strict=True):
        assert point.prune.budget is not None
        assert known.predicted == point.prune.budget.predicted
        assert known.added == pytest.approx(added(report, point))
    # It says nothing of how much was removed, so that anything can be deployed from it.
    assert survey.record.spec.goal is None
    assert survey.record.spec.budget is None


def test_a_goal_of_quality_tells_the_survey_itself(tiny: SweepSpec, tmp_path: Path) -> None:
    goal = Goal(GoalKind.QUALITY_LOSS, 0.3)
    spec = dataclasses.replace(tiny, goals=(goal,), methods=(Method.OSSCAR, Method.PAPER))
    report = sweep(spec, out=tmp_path / "sweep")
    own, other = (point.prune.goal for point in report.points)
    assert own is not None
    assert other is not None
    assert "calibration.txt" in own.protocol
    (folder,) = surveys(tmp_path / "sweep")
    assert len(load_survey(folder).points.sequential) == own.tries
    assert other.tries >= 1


def test_an_interrupted_sweep_surveys_once(tiny: SweepSpec, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    first, second = Stages(), Stages()

    def stop(event: ProgressEvent) -> None:
        first(event)
        if event.stage.startswith("point 3/3"):
            raise Cancelled

    with pytest.raises(Cancelled):
        sweep(tiny, out=out, progress=stop)
    assert first.said(": survey")
    (folder,) = surveys(out)
    assert len(load_survey(folder).points.sequential) == 1
    report = sweep(tiny, out=out, progress=second)
    assert not second.said(": survey")
    assert {stage.partition(":")[0] for stage in second} == {"point 3/3"}
    assert surveys(out) == [folder]
    assert len(load_survey(folder).points.sequential) == len(report.points) == 2


@pytest.mark.parametrize(
    ("changes", "is_shared"),
    [
        ({"seed": 1}, False),
        ({"samples": 3}, False),
        ({"damping": 0.1}, False),
        ({"certify": "off"}, True),
        ({"caps": (("heads", 0.5),)}, True),
    ],
)
def test_only_what_a_survey_rests_on_makes_another_one(
    tiny: SweepSpec, tmp_path: Path, changes: dict[str, Any], is_shared: bool
) -> None:
    seeds = (changes.pop("seed", 0),)
    first = dataclasses.replace(tiny, goals=(REMOVED,))
    base = dataclasses.replace(tiny.base, **changes)
    second = dataclasses.replace(first, base=base, seeds=seeds, limit=3)
    out, stages = tmp_path / "sweep", Stages()
    sweep(first, out=out)
    sweep(second, out=out, progress=stages)
    assert stages.said(": prune")
    assert stages.said(": survey") is not is_shared
    assert len(surveys(out)) == (1 if is_shared else 2)


def test_a_damaged_survey_is_made_again(tiny: SweepSpec, tmp_path: Path) -> None:
    out, stages = tmp_path / "sweep", Stages()
    sweep(dataclasses.replace(tiny, goals=(REMOVED,)), out=out)
    (folder,) = surveys(out)
    file = folder / "unit-0000.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    sweep(dataclasses.replace(tiny, goals=(FLOPS,)), out=out, progress=stages)
    assert stages.said(": survey")
    assert surveys(out) == [folder]
    assert len(load_survey(folder).points.sequential) == 1


@pytest.fixture
def given(finished: Path) -> Survey:
    """Return a survey in memory only, with nothing learnt yet."""
    survey = load_survey(surveys(finished)[0])
    survey.folder, survey.points = None, type(survey.points)()
    return survey


def test_a_given_survey_spares_another_one(
    tiny: SweepSpec, finished: Path, given: Survey, tmp_path: Path
) -> None:
    out, stages = tmp_path / "sweep", Stages()
    report = sweep(tiny, out=out, survey=given, progress=stages)
    assert not stages.said(": survey")
    assert surveys(out) == []
    assert len(given.points.sequential) == 2
    without = sweep(tiny, out=finished)
    assert [point.prune.plan.units for point in report.points] == [
        point.prune.plan.units for point in without.points
    ]


def test_points_of_another_survey_are_other_points(
    tiny: SweepSpec, given: Survey, tmp_path: Path
) -> None:
    spec = dataclasses.replace(tiny, goals=(REMOVED,), sparsities=(0.5,))
    out, stages = tmp_path / "sweep", Stages()
    sweep(spec, out=out, survey=given)
    given.record = dataclasses.replace(given.record, predictions=given.record.predictions + 1)
    sweep(spec, out=out, survey=given, progress=stages)
    # The point with a sparsity rests on no survey.
    assert {stage.partition(":")[0] for stage in stages} == {"point 2/2"}
    assert len(stored(out)) == 3


def test_a_survey_that_no_point_uses_is_refused(
    library: Library, spec: SweepSpec, given: Survey, out: Path
) -> None:
    with pytest.raises(SpecError, match="no point of this sweep uses a survey"):
        sweep(spec, out=out, survey=given)
    assert not out.exists()


def test_a_weighted_sparsity_uses_the_survey_too(tiny: SweepSpec, tmp_path: Path) -> None:
    base = dataclasses.replace(tiny.base, budget=Budget.LOSS_WEIGHTED, caps=(("neurons", 0.25),))
    spec = dataclasses.replace(tiny, base=base, sparsities=(0.2, 0.9), goals=())
    report = sweep(spec, out=tmp_path / "sweep")
    assert [point.goal for point in report.points] == [None]
    assert [(one.sparsity, one.goal) for one in report.unreachable] == [(0.9, None)]
    (folder,) = surveys(tmp_path / "sweep")
    assert len(load_survey(folder).points.sequential) == 1


def test_points_stored_before_there_were_goals_are_read(
    library: Library, spec: SweepSpec, out: Path
) -> None:
    (first, *_) = sweep(spec, out=out).points
    values = json.loads(to_json(first))
    del values["goal"]
    assert from_json(SweepPoint, json.dumps(values)) == first


# The Pareto front


@pytest.fixture
def point(library: Library, spec: SweepSpec, out: Path) -> SweepPoint:
    return sweep(spec, out=out).points[0]


def placed(
    point: SweepPoint, speed: float | None, quality: float, flops: int = 5, metric: Any = "top1"
) -> SweepPoint:
    """Return a point with another speed-up, quality and FLOPs."""
    compared = point.speed
    assert compared is not None
    return dataclasses.replace(
        point,
        speed=None if speed is None else dataclasses.replace(compared, speedup=speed),
        evaluation=dataclasses.replace(point.evaluation, value=quality, metric=metric),
        prune=dataclasses.replace(point.prune, flops=BeforeAfter(10, flops)),
    )


def test_nothing_on_the_front_is_beaten(point: SweepPoint) -> None:
    marks = [(1.0, 0.9), (1.5, 0.8), (1.4, 0.8), (2.0, 0.5), (1.5, 0.8), (1.2, 0.7), (2.0, 0.4)]
    found = pareto([placed(point, *mark) for mark in marks])
    assert found == (True, True, False, True, True, False, False)
    assert pareto([]) == ()
    assert pareto([point]) == (True,)


def test_low_perplexity_is_good(point: SweepPoint) -> None:
    marks = [(1.0, 20.0), (1.5, 25.0), (1.2, 30.0), (3.0, math.nan), (2.0, math.inf)]
    found = pareto([placed(point, *mark, metric="perplexity") for mark in marks])
    assert found == (True, True, False, False, False)


def test_flops_count_where_a_point_was_not_timed(point: SweepPoint) -> None:
    timed = [placed(point, 1.0, 0.8, flops=2), placed(point, 2.0, 0.8, flops=6)]
    assert pareto(timed) == (False, True)
    assert pareto([timed[0], dataclasses.replace(timed[1], speed=None)]) == (True, False)
