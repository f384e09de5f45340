"""The two pages that a manager reads.

The decision hidden here: what fits on them, and in which order it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from osscar_core.checks.records import ABReport, Light, ShiftReport
from osscar_core.notation import change as arrow
from osscar_core.notation import megabytes, milliseconds, percent, signed_percent
from osscar_core.phrases import Words
from osscar_core.phrases.sentences import (
    SYMBOLS,
    chance_text,
    finding_text,
    matters_text,
    remark_texts,
    result_rows,
)
from osscar_core.records import Latency
from osscar_core.report import charts
from osscar_core.report.charts import TradePoint
from osscar_core.report.content import MeasuredRun, ReportContent, record_id, trade_point
from osscar_core.report.markup import Safe, join, table, tag
from osscar_core.report.svg import shortened
from osscar_core.savings import Currency, SavingsReport
from osscar_core.verdict import Finding, Grade

_MARKS = {Grade.GOOD: "✓", Grade.OPEN: "?", Grade.MISSING: "–", Grade.BAD: "✕"}
MOST_OTHERS = 40
MOST_REMARKS = 4
_LONG_NAME = 60
_LONG_FINDING = 150


def first_page(content: ReportContent, words: Words) -> Safe:
    """Return the page with verdict, numbers, trade-off, comparison and layers."""
    return tag(
        "section",
        _head(content, words),
        _verdict(content, words),
        _numbers(content.run, words),
        tag("div", _tradeoff(content, words), _comparison(content.ab, words), class_="two"),
        _layers(content.run, words),
        _foot(content, words, 1),
        class_="page",
    )


def second_page(content: ReportContent, words: Words) -> Safe:
    """Return the page with savings, new data and disturbances."""
    return tag(
        "section",
        _savings(content.savings, words),
        _shift(content.shift, words),
        _stress(content, words),
        _criteria(content, words),
        _foot(content, words, 2),
        class_="page",
    )


def currency_of(content: ReportContent) -> Currency:
    """Return the currency of the report's amounts."""
    return Currency.YEN if content.savings is None else content.savings.currency


def _head(content: ReportContent, words: Words) -> Safe:
    spec = content.run.prune.plan.spec
    facts = words.say(
        "report.subtitle",
        method=words.say(f"method.{spec.method}"),
        run=content.run.id,
        date=content.created,
    )
    return tag(
        "header",
        tag("h1", words.say("report.title", model=shortened(spec.model, _LONG_NAME))),
        tag("p", facts, class_="facts"),
    )


def _verdict(content: ReportContent, words: Words) -> Safe:
    verdict = content.verdict
    reasons = [
        tag(
            "li",
            tag("span", _MARKS[finding.grade], class_=f"mark {finding.grade}", aria_hidden="true"),
            tag("strong", _graded(finding, words)),
            shortened(finding_text(finding, verdict, currency_of(content), words), _LONG_FINDING),
            " ",
            tag("a", words.say("report.see"), href=f"#{finding.pointer.anchor}"),
        )
        for finding in verdict.reasons
    ]
    title = f"{SYMBOLS[verdict.choice]} {words.say(f'verdict.{verdict.choice}')}"
    return tag(
        "div",
        tag("h2", words.say("report.verdict", choice=title)),
        tag("p", words.say(f"verdict.{verdict.choice}.text")),
        tag("ul", *reasons),
        class_=f"verdict {verdict.choice}",
    )


def _graded(finding: Finding, words: Words) -> str:
    return words.say(
        "report.graded",
        criterion=words.say(f"criterion.{finding.criterion}"),
        grade=words.say(f"grade.{finding.grade}"),
    )


def _numbers(run: MeasuredRun, words: Words) -> Safe:
    return tag(
        "div",
        _speed_tile(run, words),
        _quality_tile(run, words),
        _size_tile(run, words),
        class_="tiles",
        id="speed",
    )


def _tile(name: str, value: str, lines: Sequence[str], source: str) -> Safe:
    return tag(
        "div",
        tag("h3", name),
        tag("p", value, class_="big"),
        *(tag("p", line) for line in lines if line),
        tag("p", source, class_="id"),
        class_="tile",
    )


def _speed_tile(run: MeasuredRun, words: Words) -> Safe:
    name, speed = words.say("criterion.speed"), run.speed
    if speed is None:
        return _tile(name, words.say("report.unmeasured"), (), words.say("report.run", run=run.id))
    low, high = speed.interval
    dense, pruned = speed.dense.latency_ms, speed.pruned.latency_ms
    lines = (
        words.say("report.interval", interval=words.between(f"{low:.2f}", f"{high:.2f}")),
        arrow(milliseconds(dense.median), milliseconds(pruned.median)),
        conditions_line(speed.pruned.conditions, pruned, words),
    )
    return _tile(name, words.factor(speed.speedup), lines, words.say("report.run", run=run.id))


def conditions_line(conditions: dict[str, str], latency: Latency, words: Words) -> str:
    """Return what a latency holds for, in one line."""
    return words.say(
        "report.conditions",
        device=shortened(conditions.get("device", "?"), 34),
        batch=conditions.get("batch", "?"),
        dtype=conditions.get("dtype", "?"),
        threads=conditions.get("threads", "?"),
        count=latency.repeats,
    )


def _quality_tile(run: MeasuredRun, words: Words) -> Safe:
    source, change = words.say("report.run", run=run.id), run.change
    if change is None or run.dense is None or run.pruned is None:
        name = words.say("criterion.quality")
        return _tile(name, words.say("report.unmeasured"), (), source)
    metric = run.pruned.metric
    value, interval = words.change(change, metric)
    before, after = (words.quality(each.value, metric) for each in (run.dense, run.pruned))
    items = words.say(f"report.items.{metric}", count=f"{run.pruned.count:,}")
    data = shortened(run.pruned.data.spec, 34)
    lines = (words.say("report.interval", interval=interval), f"{before} → {after}", items, data)
    return _tile(words.say(f"metric.{metric}"), value, lines, source)


def _size_tile(run: MeasuredRun, words: Words) -> Safe:
    sizes, parameters, flops = run.prune.bytes, run.prune.parameters, run.prune.flops
    share = sizes.pruned / sizes.dense - 1
    lines = (
        words.say("report.exact"),
        arrow(megabytes(sizes.dense), megabytes(sizes.pruned)),
        words.say(
            "report.parameters", change=signed_percent(parameters.pruned / parameters.dense - 1)
        ),
        words.say("report.flops", change=signed_percent(flops.pruned / flops.dense - 1)),
    )
    source = words.say("report.run", run=run.id)
    return _tile(words.say("report.size"), signed_percent(share), lines, source)


def trade_points(content: ReportContent, words: Words) -> list[TradePoint]:
    """Return the points of the chart: the dense model, the others, and ours last."""
    run = content.run
    ours = trade_point(run, words.say("report.this"), is_ours=True)
    found = [trade_point(other, _title(other, words)) for other in content.others[:MOST_OTHERS]]
    points = [point for point in (*found, ours) if point is not None]
    if run.dense is not None:
        low, high = run.dense.interval
        one = (1.0, 1.0, 1.0)
        points.insert(
            0,
            TradePoint(words.say("report.dense"), one, (low, run.dense.value, high), is_dense=True),
        )
    return [point for point in points if charts.is_drawable(point)]


def _title(run: MeasuredRun, words: Words) -> str:
    return f"{run.id} · {words.say(f'method.{run.prune.plan.spec.method}')}"


def _tradeoff(content: ReportContent, words: Words) -> Safe:
    title = tag("h3", words.say("chart.tradeoff"))
    points = trade_points(content, words)
    pruned = content.run.pruned
    if pruned is None or len(points) < 2:
        return tag("div", title, _absent(words, "report.absent.tradeoff"))
    note = words.say("report.tradeoff.note", count=len(points) - 1)
    if charts.far_points(points):
        note += words.say("report.tradeoff.far")
    return tag(
        "div", title, charts.tradeoff(points, pruned.metric, words), tag("p", note, class_="note")
    )


def _comparison(report: ABReport | None, words: Words) -> Safe:
    title = tag("h3", words.say("chart.forest"))
    if report is None:
        return tag("div", title, _absent(words, "report.absent.ab"), id="quality")
    overall = report.overall
    line = words.say(
        "report.ab",
        conclusion=words.say(f"conclusion.{overall.conclusion or 'none'}"),
        loss=words.loss(overall.loss, report.metric),
        interval=words.loss_range(overall.low, overall.high, report.metric),
        margin=words.loss(report.margin, report.metric).lstrip("+"),
        count=f"{overall.count:,}",
    )
    more = len(report.slices) - charts.MOST_SLICES
    small = words.say("report.small") if any(one.is_small for one in report.slices) else ""
    rest = words.say("report.more_slices", count=more) if more > 0 else ""
    source = words.say("report.record", id=record_id(report), data=shortened(report.data.spec, 30))
    return tag(
        "div",
        title,
        tag("p", line),
        charts.forest(report, words),
        tag("p", " ".join(filter(None, (small, rest, source))), class_="note"),
        id="quality",
    )


def _layers(run: MeasuredRun, words: Words) -> Safe:
    title = tag("h3", words.say("chart.layers"))
    if not run.prune.units:
        return tag("div", title, _absent(words, "report.absent.layers"))
    note = words.say("report.layers.note", run=run.id)
    return tag(
        "div",
        title,
        charts.layers(run.prune.units, words),
        tag("p", note, class_="note"),
        class_="wide",
    )


def _savings(report: SavingsReport | None, words: Words) -> Safe:
    title = tag("h2", words.say("criterion.savings"))
    if report is None:
        return tag(
            "div", title, _absent(words, "report.absent.savings", "report.uncomputed"), id="savings"
        )
    header = [words.say(f"report.head.{name}") for name in ("result", "low", "typical", "high")]
    caption = words.say("report.savings.caption", id=record_id(report))
    rows = [*result_rows(report, words)]
    rows.append((words.say("savings.result.chance"), "", chance_text(report), ""))
    remarks = [tag("li", line) for line in remark_texts(report, words)[:MOST_REMARKS]]
    return tag(
        "div",
        title,
        tag(
            "div",
            tag("div", table(header, rows, caption=caption)),
            tag(
                "div",
                tag("h3", words.say("chart.range")),
                charts.savings_range(report, words),
                tag("h3", words.say("chart.tornado")),
                charts.tornado(report, words) if report.matters_most else None,
                tag(
                    "p",
                    f"{words.say('chart.tornado.note')} {matters_text(report, words)}",
                    class_="note",
                ),
            ),
            class_="two money",
        ),
        tag("ul", *remarks, class_="remarks") if remarks else None,
        id="savings",
    )


def _shift(report: ShiftReport | None, words: Words) -> Safe:
    title = tag("h2", words.say("criterion.shift"))
    if report is None:
        return tag("div", title, _absent(words, "report.absent.shift"), id="shift")
    lines = [
        tag("p", tag("strong", _light(report.light, words)), " ", shift_sentence(report, words)),
        tag("p", extra_sentence(report, words)),
    ]
    named = ", ".join(one.name for one in report.attributes if one.light is not Light.GREEN)
    if named:
        lines.append(tag("p", words.say("report.shift.attributes", names=shortened(named, 110))))
    source = words.say("report.record", id=record_id(report), data=shortened(report.new.spec, 60))
    return tag("div", title, *lines, tag("p", source, class_="note"), id="shift")


def _light(light: Light, words: Words) -> str:
    symbol = {Light.GREEN: "●", Light.AMBER: "▲", Light.RED: "■"}[light]
    return f"{symbol} {words.say(f'light.{light}')}"


def shift_sentence(report: ShiftReport, words: Words) -> str:
    """Return how far the new data lies from the reference."""
    return words.say(
        "report.shift",
        distance=f"{report.distance:.3g}",
        threshold=f"{report.threshold:.3g}",
        rate=percent(report.alarm_rate),
        new=f"{report.new.count:,}",
        reference=f"{report.reference.count:,}",
    )


def extra_sentence(report: ShiftReport, words: Words) -> str:
    """Return whether the pruned model loses more than the dense one on the new data."""
    extra = report.extra
    if extra is None:
        return words.say("report.extra.unknown")
    return words.say(
        "report.extra.found" if extra.is_found else "report.extra.none",
        extra=words.loss(extra.extra, extra.metric),
        interval=words.loss_range(extra.low, extra.high, extra.metric),
    )


def _stress(content: ReportContent, words: Words) -> Safe:
    title, report = tag("h2", words.say("report.stress")), content.stress
    if report is None or not report.rows:
        return tag("div", title, _absent(words, "report.absent.stress"))
    worst = report.rows[0]
    line = words.say(
        "report.stress.worst",
        name=charts.disturbance(worst, words),
        extra=words.loss(worst.extra, report.metric),
        interval=words.loss_range(worst.low, worst.high, report.metric),
    )
    source = words.say("report.record", id=record_id(report), data=shortened(report.data.spec, 40))
    return tag(
        "div",
        title,
        tag("p", line),
        charts.stress(report, words),
        tag("p", source, class_="note"),
        class_="wide",
    )


def _criteria(content: ReportContent, words: Words) -> Safe:
    rows = []
    for finding in content.verdict.findings:
        text = finding_text(finding, content.verdict, currency_of(content), words)
        grade = f"{_MARKS[finding.grade]} {words.say(f'grade.{finding.grade}')}"
        name = words.say(f"criterion.{finding.criterion}")
        rows.append((name, grade, shortened(text, _LONG_FINDING)))
    heads = [words.say(f"report.head.{name}") for name in ("criterion", "grade", "why")]
    caption = words.say("report.criteria.caption")
    return tag(
        "div",
        tag("h2", words.say("report.findings")),
        table(heads, rows, caption=caption, words=3),
        id="protected",
        class_="criteria",
    )


def _absent(words: Words, key: str, what: str = "report.unmeasured") -> Safe:
    return tag("p", tag("strong", words.say(what)), ". ", words.say(key), class_="absent")


def _foot(content: ReportContent, words: Words, page: int) -> Safe:
    return tag("footer", join((words.say("report.foot", run=content.run.id), f" · {page} / 2")))
