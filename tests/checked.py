"""Checks made up by hand, for tests of what is shown."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import insert

from osscar_core.checks.records import (
    ABReport,
    AttributeShift,
    Conclusion,
    Drift,
    ExtraLoss,
    Flip,
    Light,
    ShiftReport,
    SliceResult,
    StressPoint,
    StressReport,
    StressRow,
)
from osscar_core.records import DataInfo, PruneSpec, to_json
from osscar_core.studio.database import runs
from osscar_core.studio.jobs import Run, RunStore, State, Status
from osscar_core.studio.requests import (
    CheckKind,
    CheckRequest,
    CheckResult,
    JobKind,
    JobRequest,
)
from osscar_core.studio.rows import row_of


def group(
    column: str = "",
    value: str = "",
    count: int = 100,
    loss: float = 0.02,
    half: float = 0.03,
    margin: float = 0.01,
    needed: int | None = None,
    dense: float = 0.9,
) -> SliceResult:
    """Return a group whose numbers agree with each other."""
    low, high = loss - half, loss + half
    pruned = dense - loss if dense <= 1 else dense * (1 + loss)
    conclusion = Conclusion.of(low, high, margin) if count >= 30 else None
    p_value = 0.001 if low > 0 else 0.4
    return SliceResult(
        column, value, count, dense, pruned, loss, low, high, p_value, conclusion, needed
    )


def flip(position: int, is_lost: bool = True, name: str = "") -> Flip:
    """Return an item that changed."""
    right, wrong = ("crack", "pit") if is_lost else ("pit", "crack")
    shown = name or f"images/{position + 1:04d}.png"
    return Flip(position, shown, is_lost, "crack", right, wrong, 0.81, 0.62, {"line": "A"})


def ab_report(margin: float = 0.01, **changed: object) -> ABReport:
    """Return a comparison of an image model."""
    values: dict[str, object] = {
        "dense": "demo/resnet50",
        "pruned": "demo/resnet50, pruned",
        "metric": "top1",
        "margin": margin,
        "level": 0.95,
        "data": DataInfo("own:parts.zip", "image", 200, "ef" * 32),
        "overall": group(count=200, loss=0.015, half=0.02, margin=margin, needed=783),
        "slices": (
            group("line", "B", 90, 0.06, 0.05, margin),
            group("line", "A", 110, -0.02, 0.025, margin),
            group("tier", "premium", 12, 0.3, 0.4, margin),
        ),
        "correction": "2 slices judged together: intervals by Bonferroni, p-values by Holm",
        "lost": 12,
        "gained": 9,
        "flips": (
            *(flip(position) for position in range(12)),
            *(flip(position, is_lost=False) for position in range(20, 29)),
        ),
        "drifts": (),
        "protocol": "top-1 accuracy on 200 pictures; seed 0",
        "seed": 0,
        "seconds": 12.0,
    }
    return ABReport(**values | changed)  # type: ignore[arg-type]


def text_report(margin: float = 0.01) -> ABReport:
    """Return a comparison of a text model."""
    drifts = (
        Drift(
            3, "row 5", True, "=cmd|calc <b>Pump</b> lost pressure", 40, 2.0, 2.6, {"plant": "1"}
        ),
        Drift(4, "row 6", False, "Checked the oil", 30, 2.2, 2.0),
    )
    return ab_report(
        margin,
        metric="perplexity",
        data=DataInfo("own:reports.csv", "text", 60, "ef" * 32),
        overall=group(count=60, loss=0.05, half=0.02, margin=margin, dense=12.3),
        slices=(),
        lost=40,
        gained=20,
        flips=(),
        drifts=drifts,
    )


def shift_report(
    times: float = 0.5, *, extra: float | None = 0.0, name: str = "own:parts.zip"
) -> ShiftReport:
    """Return a shift of so many times the threshold."""
    light = Light.GREEN if times <= 1 else Light.AMBER if times < 3 else Light.RED
    attributes = tuple(
        AttributeShift(
            f"attribute {number}",
            0.5 - 0.05 * number,
            0.2,
            0.01,
            Light.AMBER,
            "mostly A",
            "mostly C",
            ("C",) if number == 0 else (),
        )
        for number in range(7)
    )
    found = None
    if extra is not None:
        found = ExtraLoss(
            "top1", 0.01, 0.01 + extra, extra, extra - 0.02, extra + 0.02, 0.9, 0.8, 0.89, 0.75
        )
    return ShiftReport(
        model="demo/resnet50",
        reference=DataInfo("demo:factory", "image", 256, "ab" * 32),
        new=DataInfo(name, "image", 200, "ef" * 32),
        distance=0.02 * times,
        threshold=0.02,
        alarm_rate=0.05,
        p_value=0.2 if times <= 1 else 0.001,
        light=light,
        attributes=attributes,
        extra=found,
        warnings=("attribute 0 unseen in the reference: C", "a warning of the measure"),
        protocol="energy distance in the model's features",
        seconds=8.0,
    )


def stress_report() -> StressReport:
    """Return two disturbances, of which one is worse for the pruned model."""

    def row(name: str, extra: float, low: float) -> StressRow:
        points = tuple(
            StressPoint(s, 0.9 - 0.2 * s, 0.88 - (0.2 + extra) * s, 0.02 + extra * s, 0.0, 0.1)
            for s in (0.0, 0.5, 1.0)
        )
        return StressRow(name, f"strong {name}", points, extra, low, extra + 0.05)

    return StressReport(
        "demo/resnet50",
        "demo/resnet50, pruned",
        "top1",
        DataInfo("own:parts.zip", "image", 200, "ef" * 32),
        (row("blur", 0.1, 0.05), row("dark", 0.0, -0.05)),
        "both models on disturbed copies",
        0,
        30.0,
    )


def write_check(
    home: Path,
    run_id: str,
    spec: PruneSpec,
    subject: str,
    found: ABReport | ShiftReport | StressReport | None,
    *,
    data: str = "own:0123456789abcdef",
    status: Status | None = None,
    kind: CheckKind = CheckKind.AB,
    owner: str = "local",
) -> Path:
    """Put a check of the model of a run into a workspace, finished if something was found."""
    result = CheckResult()
    reference = ""
    if isinstance(found, ABReport):
        result = CheckResult(ab=found)
    elif isinstance(found, ShiftReport):
        kind, result = CheckKind.SHIFT, CheckResult(shift=found)
        reference = spec.calibration
    elif isinstance(found, StressReport):
        kind, result = CheckKind.STRESS, CheckResult(stress=found)
    if kind is CheckKind.SHIFT:
        reference = spec.calibration
    check = CheckRequest(kind, subject, reference=reference)
    request = JobRequest(spec, data=data, kind=JobKind.CHECK, check=check)
    store = RunStore(home)
    folder = store.runs_folder / run_id
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("a line of the log\n")
    if found is not None:
        (folder / "check.json").write_text(to_json(result))
    ended = status or Status(State.FINISHED, fraction=1.0, overall=1.0, seconds=12.0)
    created = time.mktime(time.strptime(run_id[:15], "%Y%m%d-%H%M%S"))
    run = Run(run_id, folder, request, ended, created=created, owner=owner)
    with store.database.write() as connection:
        connection.execute(insert(runs).values(row_of(run)))
    return folder
