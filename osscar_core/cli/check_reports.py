"""Reports of the checks as text for a terminal.

The decision hidden here: the verdict comes first and in words; then what supports it.
"""

from __future__ import annotations

from osscar_core.checks.records import FEWEST_ITEMS, ABReport, Conclusion, SliceResult
from osscar_core.cli.console import table


def ab_text(report: ABReport) -> str:
    """Return the verdict, the table with the worst slice first, and how it was found."""
    overall = report.overall
    lines = [_verdict(report), _difference(report)]
    if overall.needed is not None:
        lines.append(f"About {overall.needed:,} more items would decide, if what was seen goes on.")
    is_text = report.metric == "perplexity"
    header = (
        "slice",
        "items",
        "dense",
        "pruned",
        "loss",
        f"{report.level:.0%} interval",
        "p",
        "verdict",
        "more",
    )
    rows = [_row(result, is_text=is_text) for result in (overall, *report.slices)]
    lines += ["", table(header, rows), "", f"Slices: {report.correction}."]
    what = "documents got worse" if is_text else "items right before and wrong now"
    reverse = "better" if is_text else "wrong before and right now"
    lines.append(f"Changed: {report.lost:,} {what}, {report.gained:,} {reverse}.")
    lines += [f"warning: {warning}" for warning in report.data.warnings]
    lines.append(report.protocol)
    return "\n".join(lines)


def _verdict(report: ABReport) -> str:
    margin = _amount(report.margin, is_text=report.metric == "perplexity")
    interval = _interval(report.overall, is_text=report.metric == "perplexity")
    match report.overall.conclusion:
        case Conclusion.CONFIRMED:
            return f"No loss beyond {margin}: confirmed. The loss is {interval}."
        case Conclusion.LOSS_FOUND:
            return f"A loss was found, and {margin} is not kept for sure. It is {interval}."
        case Conclusion.NOT_PROVEN:
            return f"No loss beyond {margin}: not proven. The loss is {interval}."
        case None:
            return f"Not judged: {report.overall.count} items, fewer than {FEWEST_ITEMS}."


def _difference(report: ABReport) -> str:
    p_value = _p_value(report.overall.p_value)
    if report.is_different:
        return f"The two models differ beyond chance (p {p_value})."
    return f"No difference between the two models beyond chance (p {p_value})."


def _row(result: SliceResult, *, is_text: bool) -> tuple[str, ...]:
    conclusion = "too few" if result.conclusion is None else result.conclusion.value
    return (
        result.name or "all",
        f"{result.count:,}",
        f"{result.dense:.3f}" if is_text else f"{result.dense:.2%}",
        f"{result.pruned:.3f}" if is_text else f"{result.pruned:.2%}",
        _signed(result.loss, is_text=is_text),
        f"{_signed(result.low, is_text=is_text)} to {_signed(result.high, is_text=is_text)}",
        _p_value(result.p_value),
        conclusion.replace("-", " "),
        "" if result.needed is None else f"{result.needed:,}",
    )


def _signed(loss: float, *, is_text: bool) -> str:
    return f"{100 * loss:+.2f}{'%' if is_text else ''}"


def _interval(result: SliceResult, *, is_text: bool) -> str:
    ends = f"{100 * result.low:.2f} to {100 * result.high:.2f}"
    return f"{ends}% of perplexity" if is_text else f"{ends} points"


def _amount(margin: float, *, is_text: bool) -> str:
    if is_text:
        return f"{100 * margin:g}% of perplexity"
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
