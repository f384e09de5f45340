"""What ``check shift`` and ``check stress`` say in a terminal.

The decision hidden here: the answer comes first and in words; then what supports it.
"""

from __future__ import annotations

from osscar_core.checks.records import (
    AttributeShift,
    ExtraLoss,
    Light,
    Metric,
    ShiftReport,
    StressReport,
    StressRow,
)
from osscar_core.cli.console import table

_ANSWERS = {
    Light.GREEN: "GREEN: no more different from the reference than chance makes it",
    Light.AMBER: "AMBER: different from the reference beyond chance",
    Light.RED: "RED: far from the reference",
}
_ATTRIBUTES = 8


def shift_text(report: ShiftReport) -> str:
    """Return the light, the extra loss, what differs most, and how it was found."""
    lines = [
        f"{_ANSWERS[report.light]}.",
        (
            f"Distance {report.distance:.3f}, threshold {report.threshold:.3f} "
            f"({report.alarm_rate:.0%} false alarms), p {_p_value(report.p_value)}."
        ),
    ]
    if report.extra is not None:
        lines += _extra(report.extra)
    if report.attributes:
        header = ("attribute", "light", "distance", "by chance", "p", "reference", "new")
        shown = report.attributes[:_ATTRIBUTES]
        lines += ["", table(header, [_attribute(one) for one in shown])]
        more = len(report.attributes) - len(shown)
        lines += [f"{more} more attributes differ less."] if more else []
    lines += ["", *(f"warning: {warning}" for warning in report.warnings)]
    lines.append(f"Reference: {report.reference.spec}; new: {report.new.spec}; {report.protocol}.")
    return "\n".join(lines)


def stress_text(report: StressReport) -> str:
    """Return a line a disturbance, the greatest extra loss first, and both curves below."""
    worst = [row for row in report.rows if row.low > 0]
    if worst:
        names = ", ".join(row.disturbance for row in worst)
        lines = [f"The pruned model suffers more than the dense one from: {names}."]
    else:
        lines = ["The pruned model does not suffer more than the dense one, beyond chance."]
    strengths = [point.strength for point in report.rows[0].points]
    header = ("disturbance", "extra loss", "95% interval", *(f"{s:g}" for s in strengths))
    rows = [_stress_row(row, report.metric) for row in report.rows]
    lines += ["", table(header, rows)]
    lines.append("Under each strength: quality of dense > pruned.")
    lines += [f"{row.disturbance}: at 1, {row.meaning}" for row in report.rows]
    return "\n".join([*lines, f"{report.data.spec}; {report.protocol}."])


def _extra(extra: ExtraLoss) -> list[str]:
    interval = f"{_loss(extra.low, extra.metric)} to {_loss(extra.high, extra.metric)}"
    if extra.is_found:
        answer = "The pruned model loses more on the new data"
    elif extra.high < 0:
        answer = "The pruned model loses less on the new data"
    else:
        answer = "No extra loss of the pruned model beyond chance"
    qualities = [
        f"{which} {_quality(dense, extra.metric)} > {_quality(pruned, extra.metric)}"
        for which, dense, pruned in (
            ("reference", extra.dense_reference, extra.pruned_reference),
            ("new data", extra.dense_new, extra.pruned_new),
        )
    ]
    return [
        f"{answer}: {_loss(extra.extra, extra.metric)} (95% interval {interval}).",
        f"Dense > pruned: {', '.join(qualities)}.",
    ]


def _attribute(one: AttributeShift) -> tuple[str, ...]:
    return (
        one.name,
        one.light.value,
        f"{one.distance:.3f}",
        f"{one.threshold:.3f}",
        _p_value(one.p_value),
        one.reference,
        one.new,
    )


def _stress_row(row: StressRow, metric: Metric) -> tuple[str, ...]:
    return (
        row.disturbance,
        _loss(row.extra, metric),
        f"{_loss(row.low, metric)} to {_loss(row.high, metric)}",
        *(
            f"{_quality(point.dense, metric)} > {_quality(point.pruned, metric)}"
            for point in row.points
        ),
    )


def _loss(loss: float, metric: Metric) -> str:
    return f"{100 * loss:+.1f} {'points' if metric == 'top1' else '%'}"


def _quality(value: float, metric: Metric) -> str:
    return f"{value:.1%}" if metric == "top1" else f"{value:.3f}"


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
