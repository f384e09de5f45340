"""What a finished run says, in one sentence, three numbers, one point and one table row.

The decision hidden here: how measured records become statements, and when a difference
is too uncertain to be claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from osscar_core.figures import TradePoint
from osscar_core.goals import GoalKind
from osscar_core.records import EvaluationReport, Latency, MeasureReport, Method, PruneSpec
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import (
    between,
    counted,
    factor,
    megabytes,
    milliseconds,
    percent,
    signed,
    signed_percent,
    whole,
)
from osscar_core.studio.numbers import change as arrow
from osscar_core.studio.numbers import significant as digits3
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.texts import say


@dataclass(frozen=True, slots=True)
class Metric:
    """One of the three numbers at the top.

    Attributes:
        label: What it is.
        value: Dense -> pruned.
        delta: The change.
        note: Its interval, or what else belongs beside it.
        is_good: Whether the change is welcome; ``None`` if it is neither.
        help: How it was measured.
    """

    label: str
    value: str
    delta: str
    note: str
    is_good: bool | None
    help: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run with its result."""

    run: Run
    result: RunResult


def group_of(request: JobRequest) -> tuple[object, ...]:
    """Return what two runs must share for their points to be comparable."""
    spec = request.spec
    return (
        spec.model,
        spec.weights,
        request.data,
        request.limit,
        request.batch_size,
        spec.seqlen,
        spec.device,
        spec.dtype,
    )


def difference(dense: EvaluationReport, pruned: EvaluationReport) -> tuple[float, float, float]:
    """Return the change of quality and its 95% interval.

    Accuracy: the difference in percentage points. Perplexity: the relative change. The
    two models are treated as if judged on different items, so the interval is wide
    rather than narrow; both saw the same ones.
    """
    if pruned.metric == "top1":
        change = 100 * (pruned.value - dense.value)
        low = 100 * math.hypot(pruned.value - pruned.interval[0], dense.interval[1] - dense.value)
        high = 100 * math.hypot(pruned.interval[1] - pruned.value, dense.value - dense.interval[0])
        return change, change - low, change + high
    ratio = math.log(pruned.value / dense.value)
    below = math.hypot(
        math.log(pruned.value / pruned.interval[0]), math.log(dense.interval[1] / dense.value)
    )
    above = math.hypot(
        math.log(pruned.interval[1] / pruned.value), math.log(dense.value / dense.interval[0])
    )
    return math.expm1(ratio), math.expm1(ratio - below), math.expm1(ratio + above)


def _speed_words(result: RunResult) -> str:
    low, high = result.speedup_interval
    if low <= 1.0 <= high:
        return say("verdict.same")
    if result.speedup > 1.0:
        return say("verdict.faster", factor=factor(result.speedup))
    return say("verdict.slower", factor=factor(1 / result.speedup))


def _change_words(result: RunResult) -> tuple[str, str, str]:
    change = difference(result.dense, result.pruned)
    if result.pruned.metric == "top1":
        first, low, high = (signed(value) for value in change)
    else:
        first, low, high = (signed_percent(value, 1) for value in change)
    return first, low, high


def verdict(result: RunResult) -> str:
    """Return the one sentence, from measured numbers only."""
    change, low, high = _change_words(result)
    key = "verdict.points" if result.pruned.metric == "top1" else "verdict.perplexity"
    sizes = result.prune.bytes
    smaller = 1 - sizes.pruned / sizes.dense
    if abs(smaller) < 0.005:
        size = say("verdict.size_same")
    elif smaller > 0:
        size = say("verdict.smaller", share=percent(smaller))
    else:
        size = say("verdict.larger", share=percent(-smaller))
    return say(
        "verdict.sentence",
        lead=say("verdict.lead", sparsity=percent(result.prune.plan.spec.sparsity)),
        speed=_speed_words(result),
        quality=say(key, change=change, low=low, high=high),
        size=size,
    )


def is_untrained(result: RunResult) -> bool:
    """Return whether the weights were never trained, so that quality means nothing."""
    return result.prune.plan.source.weights == "random"


def value_of(report: EvaluationReport, value: float | None = None) -> str:
    """Return a value in the form customary for the report's metric."""
    number = report.value if value is None else value
    return percent(number, 1) if report.metric == "top1" else digits3(number)


def metrics(result: RunResult) -> tuple[Metric, Metric, Metric]:
    """Return speed, quality and size, each dense against pruned."""
    dense, pruned = result.dense_speed.latency_ms, result.pruned_speed.latency_ms
    low, high = result.speedup_interval
    task = result.prune.plan.source.task
    speed = Metric(
        say("metric.speed"),
        arrow(milliseconds(dense.median), milliseconds(pruned.median)),
        say(
            "metric.delta.speed",
            factor=factor(result.speedup),
            low=f"{low:.2f}",
            high=f"{high:.2f}",
        ),
        "",
        None if low <= 1.0 <= high else result.speedup > 1.0,
        say(
            "metric.speed.help",
            operation=say(f"operation.{task}"),
            conditions=conditions_in_words(result.pruned_speed),
        ),
    )
    before, after = result.dense, result.pruned
    change, lowest, highest = _change_words(result)
    _, below, above = difference(before, after)
    is_accuracy = after.metric == "top1"
    quality = Metric(
        f"{say('metric.quality')}: {say(f'metric.name.{after.metric}').lower()}",
        f"{value_of(before)} → {value_of(after)}",
        say(
            "metric.delta.points" if is_accuracy else "metric.delta.perplexity",
            change=change,
            low=lowest,
            high=highest,
        ),
        "",
        None if below <= 0 <= above else (below > 0) == is_accuracy,
        say(
            "metric.quality.help",
            metric=say(f"metric.name.{after.metric}"),
            count=whole(after.count),
            items=say(f"metric.items.{after.metric}"),
            dense_low=value_of(before, before.interval[0]),
            dense_high=value_of(before, before.interval[1]),
            low=value_of(after, after.interval[0]),
            high=value_of(after, after.interval[1]),
            protocol=after.protocol,
        ),
    )
    sizes, parameters = result.prune.bytes, result.prune.parameters
    share = sizes.pruned / sizes.dense - 1
    size = Metric(
        say("metric.size"),
        arrow(megabytes(sizes.dense), megabytes(sizes.pruned)),
        say("metric.delta.size", change=signed_percent(share)),
        say(
            "metric.parameters",
            dense=counted(parameters.dense),
            pruned=counted(parameters.pruned),
        ),
        None if abs(share) < 0.005 else share < 0,
        say(
            "metric.size.help",
            dense=whole(parameters.dense),
            pruned=whole(parameters.pruned),
        ),
    )
    return speed, quality, size


def conditions_in_words(speed: MeasureReport) -> str:
    """Return the conditions of a timing as one line."""
    return ", ".join(f"{key} {value}" for key, value in speed.conditions.items()) + "."


def points(finished: Sequence[Finished], shown: Finished) -> list[TradePoint]:
    """Return the dense point (of the run shown) and one point a run, for the figure.

    Every run timed its pruned model in turns with the dense one, and only that ratio
    means something on another day: a busy machine slows both. So a point stands at the
    dense latency of the run shown, divided by the point's own speed-up.
    """
    newest = shown.result
    dense_ms = newest.dense_speed.latency_ms.median
    dense = TradePoint(
        label=say("table.dense"),
        series="dense",
        metric=newest.dense.metric,
        quality=newest.dense.value,
        interval=newest.dense.interval,
        latency=dense_ms,
        latency_interval=(dense_ms, dense_ms),
        megabytes=newest.prune.bytes.dense / 1e6,
        hover=_hover(say("table.dense"), newest.dense, newest.dense_speed.latency_ms),
        run_id="",
    )
    return [dense, *(_point(item, dense_ms) for item in finished)]


def _point(item: Finished, dense_ms: float) -> TradePoint:
    result, spec = item.result, item.result.prune.plan.spec
    low, high = result.speedup_interval
    label = f"{method_name(spec.method)}, {percent(spec.sparsity)} {say('table.removed').lower()}"
    return TradePoint(
        label=percent(spec.sparsity),
        series=spec.method.value,
        metric=result.pruned.metric,
        quality=result.pruned.value,
        interval=result.pruned.interval,
        latency=dense_ms / result.speedup,
        latency_interval=(dense_ms / high, dense_ms / low),
        megabytes=result.prune.bytes.pruned / 1e6,
        hover=_hover(label, result.pruned, result.pruned_speed.latency_ms)
        + f"<br>{factor(result.speedup)} ({between(factor(low), factor(high))})"
        + f"<br>{megabytes(result.prune.bytes.pruned)}",
        run_id=item.run.id,
    )


def _hover(label: str, quality: EvaluationReport, latency: Latency) -> str:
    low, high = (value_of(quality, bound) for bound in quality.interval)
    return (
        f"<b>{label}</b><br>{say(f'metric.name.{quality.metric}')} "
        f"{value_of(quality)} ({between(low, high)})<br>{milliseconds(latency.median)}, "
        f"p95 {milliseconds(latency.p95)}, n = {latency.repeats}"
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


def rows(finished: Sequence[Finished]) -> list[dict[str, object]]:
    """Return every number of the figure, one row a point."""
    found: list[dict[str, object]] = []
    if finished:
        newest = finished[0].result
        found.append(
            _row(say("table.dense"), newest.dense, newest.dense_speed)
            | {
                say("table.size"): newest.prune.bytes.dense / 1e6,
                say("table.parameters"): newest.prune.parameters.dense,
            }
        )
    for item in finished:
        result, spec = item.result, item.result.prune.plan.spec
        low, high = result.speedup_interval
        found.append(
            _row(say("table.pruned"), result.pruned, result.pruned_speed)
            | {
                say("table.method"): method_name(spec.method),
                say("table.removed"): percent(spec.sparsity),
                say("table.speedup"): factor(result.speedup),
                say("table.speedup_ci"): between(f"{low:.2f}", f"{high:.2f}"),
                say("table.size"): result.prune.bytes.pruned / 1e6,
                say("table.parameters"): result.prune.parameters.pruned,
                say("table.run"): item.run.id,
            }
        )
    order = [say(f"table.{name}") for name in _COLUMNS]
    return [{name: row.get(name, "") for name in order} for row in found]


_COLUMNS = (
    *("model", "method", "removed", "quality", "ci", "median", "p95", "n"),
    *("speedup", "speedup_ci", "size", "parameters"),
    *("device", "batch", "dtype", "threads", "run"),
)


def _row(name: str, quality: EvaluationReport, speed: MeasureReport) -> dict[str, object]:
    low, high = quality.interval
    latency = speed.latency_ms
    found = {
        say("table.model"): name,
        say("table.quality"): value_of(quality),
        say("table.ci"): between(value_of(quality, low), value_of(quality, high)),
        say("table.median"): latency.median,
        say("table.p95"): latency.p95,
        say("table.n"): latency.repeats,
    }
    for condition in ("device", "batch", "dtype", "threads"):
        found[say(f"table.{condition}")] = speed.conditions.get(condition, "")
    return found
