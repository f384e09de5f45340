"""Finished runs made by hand, for tests of what is shown."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from sqlalchemy import insert

from osscar_core.records import (
    BeforeAfter,
    DataInfo,
    EvaluationReport,
    ImagePreprocess,
    Latency,
    MeasureReport,
    Method,
    Plan,
    PruneReport,
    PruneSpec,
    SourceInfo,
    Structure,
    Target,
    UnitPlan,
    UnitReport,
    to_json,
)
from osscar_core.studio.database import runs
from osscar_core.studio.jobs import Run, RunStore, State, Status
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.rows import row_of

CONDITIONS = {
    "device": "Test CPU",
    "dtype": "float32",
    "batch": "256",
    "input": "3x32x32",
    "threads": "1",
}


def image_request(sparsity: float = 0.5, method: Method = Method.OSSCAR) -> JobRequest:
    spec = PruneSpec(
        model="cifar/resnet20",
        weights="random",
        calibration="images:/nowhere/train",
        sparsity=sparsity,
        method=method,
    )
    return JobRequest(spec, data="images:/nowhere/test", limit=2000)


def text_request(sparsity: float = 0.4) -> JobRequest:
    spec = PruneSpec("facebook/opt-125m", "demo:python-docs", sparsity)
    return JobRequest(spec, data="demo:python-docs", limit=64)


def _latency(median: float) -> Latency:
    return Latency(median=median, p95=median * 1.08, minimum=median * 0.97, repeats=30)


def _speed(median: float) -> MeasureReport:
    return MeasureReport("model", _latency(median), 1000 / median, "images/s", CONDITIONS, 3.0)


def result(
    request: JobRequest,
    *,
    dense: float = 0.82,
    pruned: float = 0.706,
    half: float = 0.017,
    speedup: float = 1.6,
    interval: tuple[float, float] = (1.52, 1.69),
    units: int = 9,
) -> RunResult:
    """Return a result with the given numbers."""
    is_text = dense > 1
    structure = Structure.NEURONS if is_text else Structure.CHANNELS
    groups = 512 if is_text else 16
    keep = max(1, groups - round(request.spec.sparsity * groups))
    names = [f"layer{1 + i // 3}.{i % 3}.conv2" for i in range(units)]
    source = SourceInfo(
        model=request.spec.model,
        family="opt" if is_text else "cifar-resnet",
        task="text" if is_text else "image",
        weights="weights.safetensors",
        sha256="ab" * 32,
        preprocess=None if is_text else ImagePreprocess((0.5,) * 3, (0.2,) * 3, 32),
    )
    data = DataInfo(request.data, source.task, 2000, "cd" * 32, seqlen=512 if is_text else None)
    plan = Plan(
        source=source,
        spec=dataclasses.replace(request.spec, target=Target.RESIDUAL),
        calibration=data,
        units=tuple(
            UnitPlan(name, structure, name[:8], groups, tuple(range(keep))) for name in names
        ),
        dtype="float32",
        environment={"osscar_core": "0.1.0", "torch": "2.14"},
        created="2026-11-24T02:00:00+00:00",
    )
    report = PruneReport(
        out=None,
        parameters=BeforeAfter(269_722, 168_000),
        bytes=BeforeAfter(1_094_320, 684_000),
        flops=BeforeAfter(41_000_000, 26_000_000),
        flops_input="one image",
        units=tuple(
            UnitReport(
                name, structure, name[:8], groups, keep, 0.01 * (i + 1), 0.02 * (i + 1), i, 0.05
            )
            for i, name in enumerate(names)
        ),
        seconds=12.0,
        peak_memory_bytes=900_000_000,
        plan=plan,
        warnings=("a warning of the pruner",),
    )

    def quality(value: float) -> EvaluationReport:
        return EvaluationReport(
            model="model",
            metric="perplexity" if is_text else "top1",
            value=value,
            count=2000,
            data=data,
            protocol="all images, one view",
            seconds=4.0,
            interval=(value - half, value + half),
            loss=1.0,
        )

    return RunResult(
        prune=report,
        dense=quality(dense),
        pruned=quality(pruned),
        dense_speed=_speed(100.0),
        pruned_speed=_speed(100.0 / speedup),
        speedup=speedup,
        speedup_interval=interval,
    )


def write_run(
    home: Path,
    run_id: str,
    request: JobRequest,
    found: RunResult | None,
    status: Status | None = None,
    **columns: object,
) -> Path:
    """Put a run into a workspace, finished if there is a result."""
    store = RunStore(home)
    folder = store.runs_folder / run_id
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("a line of the log\n")
    if found is not None:
        (folder / "result.json").write_text(to_json(found))
        status = Status(State.FINISHED, fraction=1.0, overall=1.0, seconds=30.0)
    created = time.mktime(time.strptime(run_id[:15], "%Y%m%d-%H%M%S"))
    run = Run(run_id, folder, request, status, created=created)
    with store.database.write() as connection:
        connection.execute(insert(runs).values(row_of(run) | columns))
    return folder
