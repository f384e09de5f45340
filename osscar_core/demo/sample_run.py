"""Measures the sample run that comes with the project: both demo models, all the way.

The decisions hidden here: which points there are, and quality first, speed afterwards. A
survey spreads what is removed over the layers; all methods get the same widths. Pruning and
judging a model give the same on a busy machine, timing it does not; so all small models are
kept until they are timed together, and a timing can be repeated alone. What the product's own
method leaves is also shown beside the dense model. Finished steps are found again.

    python -m osscar_core.demo.sample_run
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from osscar_core import __version__
from osscar_core.brief import Brief, write_brief
from osscar_core.catalogue import DEMO_MODELS, demo_folder
from osscar_core.demo.training import RECORD_FILE, say
from osscar_core.errors import OsscarError, SpecError
from osscar_core.evaluation import compare, evaluate, latency_table, make_showcase
from osscar_core.evaluation.speed import device_name
from osscar_core.explorer import Explorer
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.latencies import LatencyTable
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune
from osscar_core.records import (
    DensePoint,
    EvaluationReport,
    Method,
    PruneSpec,
    SpeedComparison,
    SweepPoint,
    SweepReport,
    Task,
    from_json,
    to_json,
)
from osscar_core.sample import SampleRun, brief_path, sample_folder, write_sample_run
from osscar_core.showcase import Showcase
from osscar_core.storage import read_sealed, workspace, write_sealed
from osscar_core.survey import make_survey

COMMAND = "python -m osscar_core.demo.sample_run"

_SHOWCASE = "showcase.json"
_BASELINES = (Method.PAPER, Method.MAGNITUDE_REFIT, Method.MAGNITUDE)


def _grid(
    shares: Sequence[float], compared: Sequence[float], speeds: Sequence[float]
) -> tuple[tuple[Method, Goal], ...]:
    """Return the points of a model: its own method's first, so that a run cut short has them."""
    own = [*(_removed(share) for share in shares), *(Goal(GoalKind.SPEEDUP, x) for x in speeds)]
    others = [(method, _removed(share)) for method in _BASELINES for share in compared]
    return (*((Method.OSSCAR, goal) for goal in own), *others)


def _removed(share: float) -> Goal:
    return Goal(GoalKind.REMOVED, share)


# Each up to where its quality falls steeply: the image model bears far more.
GRIDS = {
    "demo/resnet50": _grid((0.3, 0.5, 0.7, 0.9, 0.8), (0.5, 0.7, 0.9), (1.5, 2.0)),
    "demo/opt": _grid((0.3, 0.5, 0.7, 0.1, 0.6), (0.3, 0.5, 0.7), (1.5, 2.0)),
}
ROUNDS: dict[Task, int] = {"image": 10, "text": 20}

_Record = TypeVar("_Record")


class Bench:
    """The measurements of one model.

    Args:
        model: A key of `DEMO_MODELS`.
        work: Folder that keeps small models and finished steps.
        limit: Judge on at most this many items; ``None`` for all.
    """

    def __init__(self, model: str, work: Path, *, limit: int | None = None) -> None:
        self.base = PruneSpec(model, DEMO_MODELS[model].data, budget=Budget.LOSS_WEIGHTED)
        self.data = DEMO_MODELS[model].data
        self._grid = GRIDS[model]
        self._limit = limit
        self._dense: LoadedModel | None = None
        record = demo_folder(model) / RECORD_FILE
        training = record.read_text(encoding="utf8") if record.is_file() else ""
        self._marks = (__version__, training, str(limit))
        self._folder = work / model.replace("/", "-")

    def measure_quality(self) -> None:
        """Survey the model, prune and judge every unfinished point, and judge the dense model."""
        self._survey()
        self._time_blocks(again=False)  # goals of speed need it
        for request in self._requests():
            folder = self._place(request)
            if _stored(SweepPoint, folder / "point.json") is None:
                shutil.rmtree(folder, ignore_errors=True)
                self._prune(request, folder)
            if request.method is Method.OSSCAR:
                self._show(request, folder)
        if self._stored_dense() is None:
            dense = DensePoint(self._judge(self._load_dense(), self._seqlen()))
            write_sealed(self._dense_file(), to_json(dense))
            say(model=self.base.model, point="dense", quality=dense.evaluation.value)

    def measure_speed(self, *, again: bool = False) -> None:
        """Time every point in turns with the dense model, and its blocks, unless that was done."""
        self._time_blocks(again=again)
        for request in self._requests():
            folder = self._place(request)
            done = _stored(SpeedComparison, folder / "speed.json")
            if not (folder / "model").is_dir() or (done is not None and not again):
                continue
            load = os.getloadavg()[0]
            small = load_model(str(folder / "model"))
            speed = compare(
                self._load_dense(), small, repeats=ROUNDS[DEMO_MODELS[self.base.model].task]
            )
            pruned = dataclasses.replace(speed.pruned, model=self.base.model)
            speed = dataclasses.replace(
                speed,
                dense=_with_load(speed.dense, load),
                pruned=_with_load(pruned, load),
            )
            write_sealed(folder / "speed.json", to_json(speed))
            say(**_named(request), speedup=round(speed.speedup, 3), load=round(load, 2))

    def collected(self) -> SampleRun:
        """Return what is finished: every point with quality and speed.

        Raises:
            SpecError: Nothing is.
        """
        points = []
        for request in self._requests():
            point = _stored(SweepPoint, self._place(request) / "point.json")
            speed = _stored(SpeedComparison, self._place(request) / "speed.json")
            if point is not None and speed is not None:
                points.append(dataclasses.replace(point, speed=speed))
        dense = self._stored_dense()
        if dense is None or not points:
            raise SpecError(
                f"nothing of {self.base.model} is both judged and timed", "Leave --only out"
            )
        methods = list(dict.fromkeys(method for method, _ in self._grid))
        points.sort(key=lambda p: (methods.index(p.method), _goal(p).kind, _goal(p).value))
        shown = {
            (request.method, request.goal): _stored(Showcase, self._place(request) / _SHOWCASE)
            for request in self._requests()
        }
        return SampleRun(
            base=self.base,
            data=self.data,
            report=SweepReport(dense, tuple(points)),
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=COMMAND,
            conditions=_conditions(points),
            showcases=tuple(shown[point.method, point.goal] for point in points),
        )

    def write(self, folder: Path) -> Path:
        """Store what is finished, and the survey with the latencies; return the run's file."""
        run, table = self.collected(), _stored(LatencyTable, self._table_file())
        brief = dataclasses.replace(self._survey(), table=table)
        write_brief(brief, brief_path(self.base.model, folder))
        return write_sample_run(run, folder)

    def _survey(self) -> Brief:
        """Return the model's survey, made now or before."""
        file = self._place(self.base).with_suffix(".survey.json")
        brief = _stored(Brief, file)
        if brief is None:
            brief = make_survey(load_model(self.base.model), self.base).brief()
            write_brief(brief, file)
            say(model=self.base.model, survey=round(brief.record.survey_seconds, 1))
        return brief

    def _table_file(self) -> Path:
        return self._place(self.base).with_suffix(".timing.json")

    def _time_blocks(self, *, again: bool) -> None:
        file = self._table_file()
        if again or _stored(LatencyTable, file) is None:
            table = latency_table(self._load_dense(), refresh=again)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(file, to_json(table))
            say(model=self.base.model, dense_ms=round(table.dense_ms, 2))

    def _requests(self) -> Iterator[PruneSpec]:
        for method, goal in self._grid:
            yield dataclasses.replace(self.base, method=method, goal=goal)

    def _widths(self, request: PruneSpec) -> dict[str, int]:
        """Return the widths of a request, which do not depend on its method."""
        table = _stored(LatencyTable, self._table_file())
        return Explorer.of(self._survey(), self.base, table=table).choose(_goal(request)).widths

    def _place(self, request: PruneSpec) -> Path:
        text = "\n".join((to_json(request), *self._marks))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        asked = "dense" if request.goal is None else request.goal.describe()
        return self._folder / f"{request.method}-{asked}-{digest}"

    def _dense_file(self) -> Path:
        return self._place(self.base).with_suffix(".json")

    def _stored_dense(self) -> DensePoint | None:
        return _stored(DensePoint, self._dense_file())

    def _prune(self, request: PruneSpec, folder: Path) -> None:
        folder.mkdir(parents=True)
        report = prune(request, out=folder / "model", widths=self._widths(request))
        small = load_model(str(folder / "model"))
        quality = self._judge(small, report.plan.spec.seqlen)
        point = SweepPoint(
            method=request.method,
            sparsity=0.0,
            seed=request.seed,
            prune=dataclasses.replace(report, out=None),
            evaluation=dataclasses.replace(quality, model=request.model),
            goal=request.goal,
        )
        write_sealed(folder / "point.json", to_json(point))
        say(**_named(request), quality=quality.value, seconds=round(report.seconds, 1))

    def _show(self, request: PruneSpec, folder: Path) -> None:
        """Keep what the dense and the small model say to the same input, unless that was done."""
        model, file = folder / "model", folder / _SHOWCASE
        if model.is_dir() and _stored(Showcase, file) is None:
            small = load_model(str(model))
            shown = make_showcase(self._load_dense(), small, self.data, seqlen=self._seqlen())
            write_sealed(file, to_json(shown))
            say(**_named(request), shown=len(shown.items), of=shown.seen)

    def _judge(self, loaded: LoadedModel, seqlen: int | None) -> EvaluationReport:
        return evaluate(loaded, self.data, limit=self._limit, seqlen=seqlen)

    def _seqlen(self) -> int | None:
        for file in sorted(self._folder.glob("*/point.json")):
            point = _stored(SweepPoint, file)
            if point is not None:
                return point.prune.plan.spec.seqlen
        return None

    def _load_dense(self) -> LoadedModel:
        if self._dense is None:
            self._dense = load_model(self.base.model)
        return self._dense


def _goal(asked: PruneSpec | SweepPoint) -> Goal:
    if asked.goal is None:
        raise SpecError("a point of the sample run has no goal", "Measure it again")
    return asked.goal


def _named(request: PruneSpec) -> dict[str, str | float]:
    return {
        "model": request.model,
        "method": request.method,
        "goal": _goal(request).describe(),
    }


_Timed = TypeVar("_Timed")


def _with_load(report: _Timed, load: float) -> _Timed:
    conditions = {**report.conditions, "load before": f"{load:.2f}"}  # type: ignore[attr-defined]
    return dataclasses.replace(report, conditions=conditions)  # type: ignore[type-var]


def _conditions(points: Sequence[SweepPoint]) -> dict[str, str]:
    """Return where and with what all of it was measured."""
    speeds = [point.speed for point in points if point.speed is not None]
    loads = [float(speed.pruned.conditions["load before"]) for speed in speeds]
    return {
        "device": device_name(torch.device("cpu")),
        "cores": str(os.cpu_count()),
        "threads": speeds[0].pruned.conditions["threads"],
        "highest load average before a timing": f"{max(loads):.2f}",
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "osscar_core": __version__,
    }


def _stored(record_type: type[_Record], path: Path) -> _Record | None:
    """Return a stored record; one that is damaged or absent counts as not measured."""
    try:
        return from_json(record_type, read_sealed(path))
    except (OSError, OsscarError):
        return None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the sample run of both demo models.")
    parser.add_argument("--out", type=Path, help="folder for the result (default: assets/sample)")
    parser.add_argument("--work", type=Path, help="folder for unfinished work, to go on from")
    parser.add_argument("--models", default=",".join(DEMO_MODELS), help="such as demo/opt")
    parser.add_argument("--only", choices=("quality", "speed"), help="leave the other for later")
    parser.add_argument("--again", action="store_true", help="repeat timings that are there")
    args = parser.parse_args(argv)
    work = args.work or workspace() / "sample-run"
    try:
        benches = [Bench(model, work) for model in _known(args.models)]
        for bench in benches:
            if args.only != "speed":
                bench.measure_quality()
        for bench in benches:
            if args.only != "quality":
                bench.measure_speed(again=args.again)
                file = bench.write(args.out or sample_folder())
                say(file=file.name, bytes=file.stat().st_size)
    except OsscarError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _known(names: str) -> list[str]:
    models = [name.strip() for name in names.split(",") if name.strip()]
    for name in models:
        if name not in DEMO_MODELS:
            raise SpecError(f"no demo model is called '{name}'", f"Use {', '.join(DEMO_MODELS)}")
    return models


if __name__ == "__main__":
    sys.exit(main())
