"""What a finished run says, in one sentence, three numbers and one table row.

The decision hidden here: how measured records become statements, and when a difference
is too uncertain to be claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osscar_core.goals import GoalKind
from osscar_core.records import EvaluationReport, MeasureReport, Method, PruneSpec, Task
from osscar_core.studio.evidence import Change, Finished, Rival, difference
from osscar_core.studio.export_words import format_name
from osscar_core.studio.numbers import (
    between,
    counted,
    factor,
    megabytes,
    milliseconds,
    percent,
    points,
    signed,
    signed_percent,
    whole,
)
from osscar_core.studio.numbers import change as arrow
from osscar_core.studio.numbers import significant as digits3
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.texts import say

SAME_SIZE = 0.005
"""A change of the size by less than this share is none worth speaking of."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One of the three numbers at the top.

    Attributes:
        label: What it is.
        standing: Whether it was measured, estimated, is exact or unknown: a key of the words
            ``metric.is``.
        value: The change.
        span: Its interval.
        note: Before and after.
        is_good: Whether the change is welcome; ``None`` if it is neither, or not known.
        help: How it was found out.
    """

    label: str
    standing: str
    value: str
    span: str
    note: str
    is_good: bool | None
    help: str


def verdict(result: RunResult) -> str:
    """Return the one sentence, from measured numbers only."""
    spec = result.prune.plan.spec
    change = difference(result.dense, result.pruned)
    lead = lead_of(spec, result.prune.plan.source.task)
    if spec.method is not Method.OSSCAR:
        lead = say("verdict.lead.method", method=method_name(spec.method), lead=lead)
    key = "verdict.points" if result.pruned.metric == "top1" else "verdict.perplexity"
    value, low, high = (changed(end, result.pruned.metric) for end in change)
    return say(
        "verdict.sentence",
        lead=lead,
        speed=_speed_words(result),
        quality=say(key, change=value, interval=between(low, high)),
        size=size_words(result.prune.bytes.pruned / result.prune.bytes.dense),
    )


def lead_of(spec: PruneSpec, task: Task) -> str:
    """Return the beginning of a sentence: what was asked for."""
    goal = spec.goal
    if goal is None:
        return say("verdict.lead.removed", value=percent(spec.sparsity))
    match goal.kind:
        case GoalKind.REMOVED:
            return say("verdict.lead.removed", value=percent(goal.value))
        case GoalKind.SPEEDUP:
            return say("verdict.lead.speed", value=factor(goal.value))
        case GoalKind.QUALITY_LOSS:
            return say("verdict.lead.loss", value=loss_words(100 * goal.value, task))
        case GoalKind.BYTES if goal.value <= 1:
            return say("verdict.lead.size", value=percent(goal.value))
        case _:
            return say("verdict.lead.other", asked=asked(spec))


def _speed_words(result: RunResult) -> str:
    low, high = result.speedup_interval
    if low <= 1.0 <= high:
        return say("verdict.same")
    if result.speedup > 1.0:
        return say("verdict.faster", factor=factor(result.speedup))
    return say("verdict.slower", factor=factor(1 / result.speedup))


def size_words(left: float) -> str:
    """Return how much smaller a file is of which that share is left."""
    smaller = 1 - left
    if abs(smaller) < SAME_SIZE:
        return say("verdict.size_same")
    if smaller > 0:
        return say("verdict.smaller", share=percent(smaller))
    return say("verdict.larger", share=percent(-smaller))


def loss_words(value: float, task: Task) -> str:
    """Return a loss without its sign: points of accuracy, or per cent of perplexity."""
    return say("unit.points", value=f"{value:.1f}") if task == "image" else f"{value:.1f}%"


def changed(value: float, metric: str) -> str:
    """Return a change of quality with its sign: points, or a share as per cent."""
    return signed(value) if metric == "top1" else signed_percent(value, 1)


def changed_in_unit(value: float, metric: str) -> str:
    """Return a change of quality with its sign and unit; see `changed`."""
    return points(value) if metric == "top1" else signed_percent(value, 1)


def is_untrained(result: RunResult) -> bool:
    """Return whether the weights were never trained, so that quality means nothing."""
    return result.prune.plan.source.weights == "random"


def value_of(report: EvaluationReport, value: float | None = None) -> str:
    """Return a value in the form customary for the report's metric."""
    number = report.value if value is None else value
    return percent(number, 1) if report.metric == "top1" else digits3(number)


def metrics(result: RunResult) -> tuple[Metric, Metric, Metric]:
    """Return speed, quality and size as measured."""
    return _speed(result), _quality(result), _size(result)


def _speed(result: RunResult) -> Metric:
    dense, pruned = result.dense_speed.latency_ms, result.pruned_speed.latency_ms
    low, high = result.speedup_interval
    return Metric(
        label=say("metric.speed"),
        standing="measured",
        value=factor(result.speedup),
        span=say("metric.ci", interval=between(f"{low:.2f}", f"{high:.2f}")),
        note=arrow(milliseconds(dense.median), milliseconds(pruned.median)),
        is_good=None if low <= 1.0 <= high else result.speedup > 1.0,
        help=say(
            "metric.speed.help",
            operation=say(f"operation.{result.prune.plan.source.task}"),
            dense=latency_words(result.dense_speed),
            pruned=latency_words(result.pruned_speed),
            conditions=conditions_in_words(result.pruned_speed),
        ),
    )


def _quality(result: RunResult) -> Metric:
    before, after = result.dense, result.pruned
    change = difference(before, after)
    is_accuracy = after.metric == "top1"
    _, low, high = (changed(end, after.metric) for end in change)
    return Metric(
        label=say(f"metric.name.{after.metric}"),
        standing="measured",
        value=changed_in_unit(change.value, after.metric),
        span=say("metric.ci", interval=between(low, high)),
        note=f"{value_of(before)} → {value_of(after)}",
        is_good=(change.value > 0) == is_accuracy if change.is_measurable else None,
        help=say(
            "metric.quality.help",
            metric=say(f"metric.name.{after.metric}"),
            count=whole(after.count),
            items=say(f"metric.items.{after.metric}"),
            dense=between(*(value_of(before, end) for end in before.interval)),
            pruned=between(*(value_of(after, end) for end in after.interval)),
            protocol=after.protocol,
        ),
    )


def _size(result: RunResult) -> Metric:
    sizes, parameters = result.prune.bytes, result.prune.parameters
    words = say("metric.size.help", dense=whole(parameters.dense), pruned=whole(parameters.pruned))
    return size_metric("measured", sizes.dense, sizes.pruned, words)


def size_metric(standing: str, dense: int, pruned: int, words: str) -> Metric:
    """Return the number of the size.

    Args:
        standing: As in `Metric`.
        dense: Bytes of the dense model's weights file.
        pruned: Bytes of the pruned one's.
        words: What the help says.
    """
    share = pruned / dense - 1
    return Metric(
        label=say("metric.size"),
        standing=standing,
        value=signed_percent(share),
        span="",
        note=arrow(megabytes(dense), megabytes(pruned)),
        is_good=None if abs(share) < SAME_SIZE else share < 0,
        help=words,
    )


def conditions_in_words(speed: MeasureReport) -> str:
    """Return the conditions of a timing as one line."""
    return ", ".join(f"{key} {value}" for key, value in speed.conditions.items()) + "."


def latency_words(speed: MeasureReport) -> str:
    """Return median, 95th percentile and number of timings."""
    latency = speed.latency_ms
    return say(
        "metric.latency",
        median=milliseconds(latency.median),
        p95=milliseconds(latency.p95),
        count=latency.repeats,
    )


def asked(spec: PruneSpec) -> str:
    """Return what was asked for, in a few words."""
    goal = spec.goal
    if goal is None:
        return say("asked.removed", value=percent(spec.sparsity))
    match goal.kind:
        case GoalKind.REMOVED:
            value = percent(goal.value)
        case GoalKind.SPEEDUP:
            value = factor(goal.value)
        case GoalKind.LATENCY:
            value = milliseconds(goal.value)
        case GoalKind.QUALITY_LOSS:
            value = percent(goal.value, 1)
        case GoalKind.BYTES if goal.value > 1:
            value = megabytes(goal.value)
        case _:
            value = percent(goal.value) if goal.value <= 1 else counted(goal.value)
    return say(f"asked.{goal.kind.value}", value=value)


def method_name(method: Method) -> str:
    """Return a method's name as shown."""
    return say(f"method.{method.value}")


def kind_name(request: JobRequest) -> str:
    """Return what a request does in a word or two: for an export, what it writes."""
    if request.writes is not None:
        return format_name(request.writes)
    return say(f"runs.kind.{request.kind.value}")


def winner(rivals: Sequence[Rival]) -> str:
    """Return which method kept most quality at equal widths, if that can be told.

    Args:
        rivals: The methods, the best first; the product's own is among them.
    """
    ours = next(rival for rival in rivals if rival.behind is None)
    others = [rival for rival in rivals if rival.behind is not None]
    metric = ours.finished.result.pruned.metric
    first = rivals[0]
    if first is not ours and first.behind is not None:
        ahead = first.behind.times(-1)
        key = "rivals.beaten" if ahead.is_measurable else "rivals.level"
        return say(key, method=method_name(first.method), gap=_gap_words(ahead, metric))
    nearest = others[0]
    gap = nearest.behind
    name = method_name(nearest.method)
    if gap is not None and gap.is_measurable:
        return say("rivals.best", method=name, gap=_gap_words(gap, metric))
    return say("rivals.level", method=name, gap=_gap_words(gap or Change(0, 0, 0), metric))


def _gap_words(gap: Change, metric: str) -> str:
    low, high = (changed(end, metric) for end in (gap.low, gap.high))
    value = changed_in_unit(abs(gap.value), metric).lstrip("+")
    return say("rivals.gap", value=value, interval=between(low, high))


def rival_rows(rivals: Sequence[Rival]) -> list[dict[str, object]]:
    """Return one row a method, with what differs between them only."""
    rows = []
    for rival in rivals:
        report, result = rival.finished.result.pruned, rival.finished.result
        row: dict[str, object] = {
            say("table.method"): method_name(rival.method),
            say(f"metric.name.{report.metric}"): value_of(report),
            say("table.ci"): between(*(value_of(report, end) for end in report.interval)),
            say("rivals.behind"): "",
            say("rivals.behind.ci"): "",
            say("rivals.measurable"): "",
            say("table.speedup"): factor(result.speedup),
            say("table.run"): rival.finished.run.id,
        }
        if rival.behind is not None:
            value, low, high = (changed_in_unit(end, report.metric) for end in rival.behind)
            row[say("rivals.behind")] = value
            row[say("rivals.behind.ci")] = between(low, high)
            is_told = rival.behind.is_measurable
            row[say("rivals.measurable")] = say("rivals.yes" if is_told else "rivals.no")
        rows.append(row)
    return rows


def rows(finished: Sequence[Finished]) -> list[dict[str, object]]:
    """Return every number of the figure, one row a point."""
    found: list[dict[str, object]] = []
    if finished:
        newest = finished[0].result
        sizes = newest.prune
        found.append(
            {
                "model": say("table.dense"),
                **_row(newest.dense, newest.dense_speed),
                "size": sizes.bytes.dense / 1e6,
                "parameters": sizes.parameters.dense,
            }
        )
    pruned = say("table.pruned")
    for item in finished:
        result, spec = item.result, item.spec
        low, high = result.speedup_interval
        found.append(
            {
                "model": pruned,
                **_row(result.pruned, result.pruned_speed),
                "method": method_name(spec.method),
                "asked": asked(spec),
                "speedup": factor(result.speedup),
                "speedup_ci": between(f"{low:.2f}", f"{high:.2f}"),
                "size": result.prune.bytes.pruned / 1e6,
                "parameters": result.prune.parameters.pruned,
                "run": item.run.id,
            }
        )
    titles = {name: say(f"table.{name}") for name in _COLUMNS}
    return [{titles[name]: row.get(name, "") for name in _COLUMNS} for row in found]


_COLUMNS = (
    *("model", "method", "asked", "quality", "ci", "median", "p95", "n"),
    *("speedup", "speedup_ci", "size", "parameters"),
    *("device", "batch", "dtype", "threads", "run"),
)


def _row(quality: EvaluationReport, speed: MeasureReport) -> dict[str, object]:
    low, high = quality.interval
    latency = speed.latency_ms
    conditions = ("device", "batch", "dtype", "threads")
    return {
        "quality": value_of(quality),
        "ci": between(value_of(quality, low), value_of(quality, high)),
        "median": latency.median,
        "p95": latency.p95,
        "n": latency.repeats,
        **{name: speed.conditions.get(name, "") for name in conditions},
    }
