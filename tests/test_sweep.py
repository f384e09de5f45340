"""Sweeps: the grid, what is stored, what is not computed twice."""

from __future__ import annotations

import dataclasses
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import families
from osscar_core.errors import Cancelled, DataError, OutputError, SpecError
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
from osscar_core.sweep import SweepSpec, sweep

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

    def prune(self, spec: PruneSpec, *, out: Path, progress: Any) -> PruneReport:
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sparsities": ()}, "sparsities is empty"),
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
    found = [from_json(SweepPoint, file.read_text(encoding="utf8")) for file in files]
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
