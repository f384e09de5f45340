"""The appendix: every number with where it comes from.

The decision hidden here: what is needed to check or repeat a report.
"""

from __future__ import annotations

from collections.abc import Iterator

from osscar_core import __version__
from osscar_core.checks.records import ABReport, ShiftReport, StressReport
from osscar_core.notation import milliseconds, percent, significant, whole
from osscar_core.phrases import Words
from osscar_core.phrases.sentences import (
    formula_lines,
    input_rows,
    method_text,
    remark_texts,
    rule_header,
    rule_rows,
)
from osscar_core.records import DataInfo, MeasureReport
from osscar_core.report import charts
from osscar_core.report.content import MeasuredRun, ReportContent, record_id
from osscar_core.report.front import trade_points
from osscar_core.report.markup import Safe, table, tag
from osscar_core.savings import SavingsReport

_SHORT = 16


def appendix(content: ReportContent, words: Words) -> Safe:
    """Return everything behind the two pages."""
    parts = [
        _rule(words),
        _sources(content, words),
        _run(content.run, words),
        _conditions(content.run, words),
        _points(content, words),
        None if content.ab is None else _slices(content.ab, words),
        None if content.shift is None else _attributes(content.shift, words),
        None if content.stress is None else _stress(content.stress, words),
        None if content.savings is None else _savings(content.savings, words),
        _layers(content.run, words),
        _warnings(content, words),
    ]
    return tag("section", tag("h2", words.say("report.appendix")), *parts, class_="appendix")


def _part(words: Words, key: str, *children: object) -> Safe:
    return tag("div", tag("h3", words.say(key)), *children)


def _heads(words: Words, *names: str) -> list[str]:
    return [words.say(f"report.head.{name}") for name in names]


def _rule(words: Words) -> Safe:
    return _part(
        words,
        "rule.title",
        tag("p", words.say("rule.text")),
        table(
            rule_header(words),
            rule_rows(words),
            caption=words.say("rule.title"),
            is_titled=True,
            words=4,
        ),
    )


def _sources(content: ReportContent, words: Words) -> Safe:
    return _part(
        words,
        "report.sources",
        table(
            _heads(words, "what", "id", "data", "count", "digest", "seed"),
            list(_source_rows(content, words)),
            caption=words.say("report.sources.caption", version=__version__),
            words=6,
        ),
    )


def _source_rows(content: ReportContent, words: Words) -> Iterator[tuple[str, ...]]:
    run, nothing = content.run, "–"
    plan = run.prune.plan

    def row(name: str, ident: str, data: DataInfo, seed: object) -> tuple[str, ...]:
        return (words.say(f"report.source.{name}"), ident, data.spec, *_of(data), str(seed))

    yield row("calibration", run.id, plan.calibration, plan.spec.seed)
    if run.dense is not None:
        yield row("dense", run.id, run.dense.data, nothing)
    if run.pruned is not None:
        yield row("pruned", run.id, run.pruned.data, nothing)
    if content.ab is not None:
        yield row("ab", record_id(content.ab), content.ab.data, content.ab.seed)
    if content.shift is not None:
        ident = record_id(content.shift)
        yield row("reference", ident, content.shift.reference, nothing)
        yield row("new", ident, content.shift.new, nothing)
    if content.stress is not None:
        yield row("stress", record_id(content.stress), content.stress.data, content.stress.seed)
    if content.savings is not None:
        name, ident = words.say("report.source.savings"), record_id(content.savings)
        yield name, ident, nothing, nothing, nothing, str(content.savings.seed)


def _of(data: DataInfo) -> tuple[str, str]:
    return f"{data.count:,}", data.digest[:_SHORT]


def _run(run: MeasuredRun, words: Words) -> Safe:
    plan, prune = run.prune.plan, run.prune
    spec = plan.spec
    goal = "–" if spec.goal is None else spec.goal.describe()
    structures = ", ".join(words.say(f"structure.{one}") for one in spec.structures or ())
    rows = [
        (words.say("report.field.run"), run.id),
        (words.say("report.field.model"), plan.source.model),
        (words.say("report.field.weights"), plan.source.weights),
        (words.say("report.field.digest"), plan.source.sha256 or "–"),
        (words.say("report.field.method"), words.say(f"method.{spec.method}")),
        (words.say("report.field.goal"), goal),
        (words.say("report.field.sparsity"), f"{spec.sparsity:g}"),
        (words.say("report.field.structures"), structures or "–"),
        (words.say("report.field.seed"), str(spec.seed)),
        (words.say("report.field.dtype"), plan.dtype),
        (
            words.say("report.field.parameters"),
            _both(prune.parameters.dense, prune.parameters.pruned),
        ),
        (words.say("report.field.bytes"), _both(prune.bytes.dense, prune.bytes.pruned)),
        (
            words.say("report.field.flops"),
            f"{_both(prune.flops.dense, prune.flops.pruned)} ({prune.flops_input})",
        ),
        (words.say("report.field.created"), plan.created or "–"),
        (
            words.say("report.field.environment"),
            ", ".join(f"{key} {value}" for key, value in plan.environment.items()) or "–",
        ),
        *_protocols(run, words),
    ]
    heads = _heads(words, "field", "value")
    return _part(
        words,
        "report.request",
        table(heads, rows, caption=words.say("report.request"), is_titled=True, words=2),
    )


def _both(dense: int, pruned: int) -> str:
    return f"{whole(dense)} → {whole(pruned)}"


def _protocols(run: MeasuredRun, words: Words) -> Iterator[tuple[str, str]]:
    for name, report in (("dense", run.dense), ("pruned", run.pruned)):
        if report is not None:
            low, high = (words.quality(end, report.metric) for end in report.interval)
            value = words.quality(report.value, report.metric)
            text = f"{value} ({words.between(low, high)}); {report.protocol}"
            yield words.say(f"report.source.{name}"), text


def _conditions(run: MeasuredRun, words: Words) -> Safe | None:
    if run.speed is None:
        return None
    both = (("report.dense", run.speed.dense), ("report.pruned", run.speed.pruned))
    rows = [_timing(words.say(key), report) for key, report in both]
    heads = _heads(
        words,
        "model",
        "median",
        "p95",
        "minimum",
        "n",
        "device",
        "batch",
        "dtype",
        "threads",
        "other",
    )
    caption = words.say("report.conditions.caption", run=run.id)
    return _part(
        words, "report.timing", table(heads, rows, caption=caption, words=(0, *range(5, 10)))
    )


_NAMED = ("device", "batch", "dtype", "threads")


def _timing(name: str, report: MeasureReport) -> tuple[str, ...]:
    latency = report.latency_ms
    others = ", ".join(
        f"{key} {value}" for key, value in report.conditions.items() if key not in _NAMED
    )
    return (
        name,
        milliseconds(latency.median),
        milliseconds(latency.p95),
        milliseconds(latency.minimum),
        str(latency.repeats),
        *(report.conditions.get(key, "–") for key in _NAMED),
        others,
    )


def _points(content: ReportContent, words: Words) -> Safe | None:
    points, pruned = trade_points(content, words), content.run.pruned
    if pruned is None or len(points) < 2:
        return None
    rows = [
        (
            point.name,
            words.factor(point.speed[1]),
            words.between(f"{point.speed[0]:.2f}", f"{point.speed[2]:.2f}"),
            words.quality(point.quality[1], pruned.metric),
            words.between(*(words.quality(point.quality[end], pruned.metric) for end in (0, 2))),
        )
        for point in points
    ]
    heads = _heads(words, "model", "speed", "interval", "quality", "interval")
    return _part(
        words,
        "chart.tradeoff",
        table(heads, rows, caption=words.say("chart.tradeoff"), is_titled=True),
    )


def _slices(report: ABReport, words: Words) -> Safe:
    metric = report.metric
    rows = [
        (
            one.name or words.say("chart.all"),
            f"{one.count:,}" + ("*" if one.is_small else ""),
            words.quality(one.dense, metric),
            words.quality(one.pruned, metric),
            words.loss(one.loss, metric, 2),
            words.loss_range(one.low, one.high, metric, 2),
            f"{one.p_value:.3g}",
            words.say(f"conclusion.short.{one.conclusion or 'none'}"),
        )
        for one in (report.overall, *report.slices)
    ]
    heads = _heads(
        words, "slice", "count", "dense", "pruned", "loss", "interval", "p", "conclusion"
    )
    facts = words.say(
        "report.ab.facts",
        level=percent(report.level),
        margin=words.loss(report.margin, metric, 2).lstrip("+"),
        lost=f"{report.lost:,}",
        gained=f"{report.gained:,}",
    )
    note = f"{facts} {report.correction} {report.protocol}"
    return _part(
        words,
        "report.slices",
        table(heads, rows, caption=words.say("report.slices"), words=(0, 7), is_titled=True),
        tag("p", note, class_="note"),
    )


def _attributes(report: ShiftReport, words: Words) -> Safe:
    rows = [
        (
            one.name,
            f"{one.distance:.3g}",
            f"{one.threshold:.3g}",
            f"{one.p_value:.3g}",
            words.say(f"light.{one.light}"),
            one.reference,
            one.new,
        )
        for one in report.attributes
    ]
    heads = _heads(words, "attribute", "distance", "threshold", "p", "light", "reference", "new")
    return _part(
        words,
        "report.attributes",
        table(heads, rows, caption=words.say("report.attributes"), is_titled=True)
        if rows
        else None,
        tag("p", report.protocol, class_="note"),
    )


def _stress(report: StressReport, words: Words) -> Safe:
    metric = report.metric
    rows = [
        (
            charts.disturbance(row, words),
            row.meaning,
            f"{point.strength:g}",
            words.quality(point.dense, metric),
            words.quality(point.pruned, metric),
            words.loss(point.loss, metric, 2),
            words.loss_range(point.low, point.high, metric, 2),
        )
        for row in report.rows
        for point in row.points
    ]
    heads = _heads(
        words, "disturbance", "meaning", "strength", "dense", "pruned", "loss", "interval"
    )
    return _part(
        words,
        "report.stress",
        table(heads, rows, caption=words.say("report.stress"), is_titled=True, words=2),
        tag("p", report.protocol, class_="note"),
    )


def _savings(report: SavingsReport, words: Words) -> Safe:
    heads = _heads(words, "input", "low", "typical", "high", "from", "why")
    swings = [
        (
            words.say(f"savings.short.{swing.name}"),
            words.money(swing.at_low, report.currency),
            words.money(swing.at_high, report.currency),
            words.money(swing.size, report.currency),
        )
        for swing in report.swings
    ]
    before, after = (f"{each.seconds_per_request:.3g}" for each in (report.before, report.after))
    return _part(
        words,
        "report.inputs",
        table(
            heads,
            input_rows(report.inputs, words),
            caption=words.say("report.inputs"),
            words=(0, 4, 5),
            is_titled=True,
        ),
        tag("ul", *(tag("li", line) for line in remark_texts(report, words))),
        tag("h3", words.say("savings.formula.title")),
        tag("ul", *(tag("li", line) for line in formula_lines(report.inputs, words))),
        tag("p", words.say("savings.result.request", before=before, after=after), class_="note"),
        tag("p", method_text(report, words), class_="note"),
        tag("h3", words.say("chart.tornado")),
        table(
            _heads(words, "input", "at_low", "at_high", "swing"),
            swings,
            caption=words.say("chart.tornado"),
            is_titled=True,
        )
        if swings
        else None,
    )


def _layers(run: MeasuredRun, words: Words) -> Safe:
    rows = [
        (
            unit.name,
            words.say(f"structure.{unit.structure}"),
            whole(unit.groups),
            whole(unit.kept),
            percent(1 - unit.kept / unit.groups, 1),
            significant(unit.relative_error),
            significant(unit.magnitude_error),
        )
        for unit in run.prune.units
    ]
    heads = _heads(words, "layer", "structure", "groups", "kept", "removed", "error", "magnitude")
    return _part(
        words,
        "chart.layers",
        table(heads, rows, caption=words.say("chart.layers"), is_titled=True, words=2),
    )


def _warnings(content: ReportContent, words: Words) -> Safe | None:
    found = [*content.run.prune.warnings]
    if content.shift is not None:
        found += content.shift.warnings
    if content.ab is not None:
        found += content.ab.data.warnings
    if not found:
        return None
    return _part(words, "report.warnings", tag("ul", *(tag("li", line) for line in found)))
