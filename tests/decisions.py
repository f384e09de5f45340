"""Records for the tests of savings, verdict and report: real runs, made-up checks.

The runs are the sample runs of the project. No comparison, shift or stress record here was
measured: they only test how such records are judged and shown.
"""

from __future__ import annotations

import dataclasses

from osscar_core.checks.records import (
    ABReport,
    AttributeShift,
    Conclusion,
    ExtraLoss,
    Light,
    Metric,
    ShiftReport,
    SliceResult,
    StressPoint,
    StressReport,
    StressRow,
)
from osscar_core.records import DataInfo
from osscar_core.report import MeasuredRun, ReportContent
from osscar_core.sample import SampleRun, sample_runs
from osscar_core.savings import (
    Currency,
    Quantity,
    SavingsInputs,
    SavingsReport,
    Source,
    compute_savings,
    measured_speedup,
)
from osscar_core.verdict import Protection, gather, judge

MADE_UP = DataInfo(
    "images:made-up-for-tests", "image", 1200, "0123456789abcdef" * 4, notes=("made up",)
)


def sample(model: str) -> SampleRun:
    return next(run for run in sample_runs() if run.base.model == model)


def measured_runs(model: str) -> tuple[MeasuredRun, ...]:
    """The points of a sample run that were timed."""
    run = sample(model)
    dense = run.report.dense.evaluation
    return tuple(
        MeasuredRun(f"sample-{place}", point.prune, dense, point.evaluation, point.speed)
        for place, point in enumerate(run.report.points)
    )


def slice_result(
    name: str, loss: float, width: float, *, margin: float = 0.01, count: int = 200
) -> SliceResult:
    column, _, value = name.partition("=")
    low, high = loss - width, loss + width
    conclusion = None if count < 30 else Conclusion.of(low, high, margin)
    return SliceResult(column, value, count, 0.95, 0.95 - loss, loss, low, high, 0.2, conclusion)


def ab_report(
    loss: float = 0.002,
    width: float = 0.005,
    slices: tuple[SliceResult, ...] | None = None,
    metric: Metric = "top1",
) -> ABReport:
    found = slices
    if found is None:
        lines = (
            slice_result(f"line={letter}", 0.004 - 0.001 * place, 0.005)
            for place, letter in enumerate("ABCDEFGHI")
        )
        found = (*lines, slice_result("shift=night", 0.05, 0.09, count=12))
    return ABReport(
        dense="made-up-dense",
        pruned="made-up-pruned",
        metric=metric,
        margin=0.01,
        level=0.95,
        data=MADE_UP,
        overall=slice_result("", loss, width, count=1200),
        slices=found,
        correction="Holm over 9 slices",
        lost=14,
        gained=11,
        flips=(),
        drifts=(),
        protocol="made up for tests",
        seed=7,
        seconds=1.0,
    )


def shift_report(
    light: Light = Light.GREEN, *, extra: float | None = 0.001, width: float = 0.01
) -> ShiftReport:
    distance = {Light.GREEN: 0.004, Light.AMBER: 0.03, Light.RED: 0.4}[light]
    found = None
    if extra is not None:
        ends = (extra - width, extra + width)
        found = ExtraLoss("top1", 0.002, 0.002 + extra, extra, *ends, 0.95, 0.9, 0.948, 0.89)
    return ShiftReport(
        model="made-up-dense",
        reference=MADE_UP,
        new=MADE_UP,
        distance=distance,
        threshold=0.02,
        alarm_rate=0.05,
        p_value=0.3,
        light=light,
        attributes=(
            AttributeShift("brightness", 0.2, 0.1, 0.01, light, "mean 0.5", "mean 0.6"),
            AttributeShift("sharpness", 0.05, 0.1, 0.6, Light.GREEN, "as usual", "as usual"),
        ),
        extra=found,
        warnings=(),
        protocol="made up for tests",
        seconds=1.0,
    )


def stress_report() -> StressReport:
    rows = tuple(
        StressRow(
            name,
            f"{name}, made up",
            tuple(
                StressPoint(
                    step / 4,
                    0.95 - slope * step / 4,
                    0.948 - 1.2 * slope * step / 4,
                    0.002 + 0.2 * slope * step / 4,
                    0.0,
                    0.02 + 0.2 * slope,
                )
                for step in range(5)
            ),
            0.2 * slope,
            0.01,
            0.3 * slope,
        )
        for name, slope in (
            ("blur", 0.5),
            ("noise", 0.4),
            ("rotation", 0.3),
            ("brightness", 0.2),
            ("compression", 0.1),
        )
    )
    return StressReport(
        "made-up-dense", "made-up-pruned", "top1", MADE_UP, rows, "made up for tests", 3, 1.0
    )


def inputs(speedup: Quantity, **values: object) -> SavingsInputs:
    return SavingsInputs(speedup=speedup, is_capacity_bound=True, **values)  # type: ignore[arg-type]


def savings_of(run: MeasuredRun, **values: object) -> SavingsReport:
    assert run.speed is not None
    machines = Quantity.exact(20)
    speedup = measured_speedup(run.speed)
    return compute_savings(inputs(speedup, machines=machines, size=run.prune.bytes, **values))


def full_content(model: str = "demo/resnet50", place: int = 5) -> ReportContent:
    runs = measured_runs(model)
    run, shift = runs[place], shift_report()
    ab = ab_report(metric="perplexity" if model == "demo/opt" else "top1")
    savings = savings_of(run)
    evidence = gather(
        speed=run.speed,
        size=run.prune.bytes,
        ab=ab,
        protected=Protection.NONE_DEMANDED,
        shift=shift,
        savings=savings,
    )
    others = tuple(other for other in runs if other is not run)
    return ReportContent(
        run, judge(evidence), others, ab, shift, stress_report(), savings, "2026-11-28"
    )


def bare_content(model: str = "demo/opt") -> ReportContent:
    """A run of which nothing was measured."""
    prune = measured_runs(model)[0].prune
    return ReportContent(MeasuredRun("bare", prune), judge(gather(size=prune.bytes)))


def worst_content() -> ReportContent:
    """Bad news everywhere, and long names: the fullest that the two pages get."""
    runs = measured_runs("demo/resnet50")
    run = runs[5]
    assert run.speed is not None
    slow = dataclasses.replace(run.speed, speedup=0.9, interval=(0.8, 0.97))
    name = "a-very-long-organisation/a-model-with-a-name-that-does-not-end-anywhere-soon"
    spec = dataclasses.replace(run.prune.plan.spec, model=name)
    prune = dataclasses.replace(run.prune, plan=dataclasses.replace(run.prune.plan, spec=spec))
    run = MeasuredRun("run-20261128-abcdef0123456789abcdef", prune, run.dense, run.pruned, slow)
    savings = compute_savings(
        SavingsInputs(
            dataclasses.replace(measured_speedup(slow), source=Source.ASSUMED),
            utilisation=Quantity(0.9, 0.95, 1.0),
            prices_in=Currency.DOLLAR,
            price_per_machine_hour=Quantity(10, 20, 40),
            price_per_kwh=Quantity(0.1, 0.2, 0.3),
            cost_per_day=Quantity(400, 600, 901),
        )
    )
    long = tuple(
        slice_result(f"production line={'long name ' * 3}{place}", 0.02, 0.005)
        for place in range(12)
    )
    ab = ab_report(0.02, 0.005, slices=long)
    shift = shift_report(Light.RED, extra=0.05)
    attribute = shift.attributes[0]
    attributes = (dataclasses.replace(attribute, name=f"attribute {n}") for n in range(20))
    shift = dataclasses.replace(shift, attributes=tuple(attributes))
    evidence = gather(speed=slow, size=prune.bytes, ab=ab, shift=shift, savings=savings)
    return ReportContent(
        run, judge(evidence), runs[6:], ab, shift, stress_report(), savings, "2026-11-28"
    )
