"""The charts of a report, drawn once and for paper.

The decision hidden here: which numbers stand beside each other, and with which axes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osscar_core.checks.records import ABReport, SliceResult, StressReport, StressRow
from osscar_core.notation import percent, significant
from osscar_core.phrases import Words
from osscar_core.records import UnitReport
from osscar_core.report.markup import Safe, join
from osscar_core.report.svg import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    Scale,
    box,
    columns,
    dot,
    label,
    line,
    path,
    picture,
    scale_of,
    shortened,
    square,
    triangle,
)
from osscar_core.savings import Range, SavingsReport

MOST_SLICES = 8
MOST_SWINGS = 6
MOST_STRESSES = 4
_SMALL = 9.0
_NAME = 13


@dataclass(frozen=True, slots=True)
class TradePoint:
    """One measured model on the chart of speed and quality.

    Attributes:
        name: What to call it.
        speed: Speed-up with the ends of its interval: low, value, high.
        quality: Quality likewise.
        is_ours: Whether the report is about it.
        is_dense: Whether it is the model before pruning.
    """

    name: str
    speed: tuple[float, float, float]
    quality: tuple[float, float, float]
    is_ours: bool = False
    is_dense: bool = False


def tradeoff(points: Sequence[TradePoint], metric: str, words: Words) -> Safe:
    """Return speed against quality, each with its 95% whiskers."""
    width, height = 340.0, 215.0
    xs = scale_of([end for point in points for end in point.speed], 50, width - 10)
    ys = scale_of(usual_qualities(points), height - 34, 20)
    marks = [_grid(xs, ys, words.factor, lambda value: words.quality(value, metric))]
    ours_last = sorted(points, key=lambda point: point.is_ours)
    marks += [
        _beyond(point, xs, ys) if is_far(point, ys) else _whiskers(point, xs, ys)
        for point in ours_last
    ]
    marks += [_named(point, xs, ys) for point in points if point.is_ours]
    marks.append(label((50 + width) / 2, height - 4, words.say("chart.speed"), anchor="middle"))
    better = words.say(f"chart.better.{metric}")
    upwards = words.say("chart.quality", metric=words.say(f"metric.{metric}"), better=better)
    marks.append(label(13, height / 2 - 10, upwards, anchor="middle", turn=-90))
    title = words.say("chart.tradeoff")
    return picture(
        width, height, title, words.say("chart.tradeoff.desc", count=len(points)), *marks
    )


def _tick(x: float, y: float, words: str, width: float) -> Safe:
    """Return a tick's label, kept within the picture."""
    is_last = x + 2.8 * columns(words) > width
    return label(
        width if is_last else x, y, words, anchor="end" if is_last else "middle", size=_SMALL
    )


def _grid(
    xs: Scale, ys: Scale, write_x: Callable[[float], str], write_y: Callable[[float], str]
) -> Safe:
    marks = []
    for value in xs.ticks():
        marks.append(line((xs(value), ys.start), (xs(value), ys.end), stroke=FAINT))
        marks.append(_tick(xs(value), ys.start + 13, write_x(value), xs.end + 10))
    for value in ys.ticks():
        marks.append(line((xs.start, ys(value)), (xs.end, ys(value)), stroke=FAINT))
        marks.append(label(xs.start - 4, ys(value) + 3, write_y(value), anchor="end", size=_SMALL))
    return join(marks)


def usual_qualities(points: Sequence[TradePoint]) -> list[float]:
    """Return the ends of quality that the axis has to hold: far-off points are left out.

    The dense model and ours always count.
    """
    fixed = [end for p in points if p.is_ours or p.is_dense for end in p.quality]
    middle = sorted(point.quality[1] for point in points)
    median, count = middle[len(middle) // 2], len(middle)
    spread = middle[(3 * count) // 4 if count > 1 else 0] - middle[count // 4]
    reach = 4 * max(spread, (max(fixed) - min(fixed)) if fixed else 0.0)
    near = [p for p in points if abs(p.quality[1] - median) <= reach]
    return [*fixed, *(end for point in near for end in point.quality)]


def is_far(point: TradePoint, ys: Scale) -> bool:
    """Return whether a point lies off an axis of quality."""
    return not ys.low <= point.quality[1] <= ys.high


def far_points(points: Sequence[TradePoint]) -> int:
    """Return how many points the chart shows at its edge only."""
    ys = scale_of(usual_qualities(points), 1, 0)
    return sum(is_far(point, ys) for point in points)


def _beyond(point: TradePoint, xs: Scale, ys: Scale) -> Safe:
    """Return the mark of a point off the axis: a triangle at its edge."""
    x, y, is_low = xs(point.speed[1]), ys(point.quality[1]), point.quality[1] < ys.low
    return triangle(x, y - 5 if is_low else y + 5, points_down=is_low)


def _named(point: TradePoint, xs: Scale, ys: Scale) -> Safe:
    x, y = xs(point.speed[1]), ys(point.quality[1])
    is_right = x > (xs.start + xs.end) / 2
    side, anchor = (-7, "end") if is_right else (7, "start")
    return label(x + side, y - 8, point.name, anchor=anchor, size=_SMALL, bold=True)


def _whiskers(point: TradePoint, xs: Scale, ys: Scale) -> Safe:
    (x0, x, x1), (y0, y, y1) = (xs(v) for v in point.speed), (ys(v) for v in point.quality)
    colour = ORANGE if point.is_ours else INK if point.is_dense else GREY
    width = 1.6 if point.is_ours else 0.8
    mark = square(x, y, fill=INK) if point.is_dense else dot(x, y, fill=colour)
    if point.is_ours:
        mark = dot(x, y, fill=ORANGE, radius=5)
    return join(
        (
            line((x0, y), (x1, y), stroke=colour, width=width),
            line((x, y0), (x, y1), stroke=colour, width=width),
            mark,
        )
    )


def shown_slices(report: ABReport) -> tuple[SliceResult, ...]:
    """Return the rows of the forest plot: all items, then the slices, the worst first."""
    return (report.overall, *report.slices[:MOST_SLICES])


def forest(report: ABReport, words: Words) -> Safe:
    """Return the loss of every slice with its interval, beside zero and the margin."""
    rows = shown_slices(report)
    width, height = 340.0, 46.0 + 18 * len(rows)
    values = [end for row in rows for end in (row.low, row.high)]
    xs = scale_of([*values, 0.0, report.margin], 118, width - 12)
    bottom = height - 30
    marks = [
        label(width - 12, 11, words.say("chart.margin"), anchor="end", size=_SMALL, fill=ORANGE)
    ]
    ticks = xs.ticks(3)
    step = min((high - low for low, high in itertools.pairwise(ticks)), default=1.0)
    # Two ticks must not read alike; values are fractions, labels per cent.
    digits = 1 if step >= 0.001 else 2
    for value in ticks:
        marks.append(line((xs(value), 14), (xs(value), bottom), stroke=FAINT))
        marks.append(_tick(xs(value), bottom + 12, words.loss(value, report.metric, digits), width))
    marks.append(line((xs(0), 14), (xs(0), bottom), stroke=INK))
    margin = xs(report.margin)
    marks.append(line((margin, 14), (margin, bottom), stroke=ORANGE, width=1.4, dash="4 2"))
    for place, row in enumerate(rows):
        marks.append(_forest_row(row, 25 + 18 * place, xs, words))
    marks.append(label(229, height - 4, words.say("chart.loss"), anchor="middle"))
    return picture(
        width,
        height,
        words.say("chart.forest"),
        words.say("chart.forest.desc", count=len(rows) - 1),
        *marks,
    )


def _forest_row(row: SliceResult, y: float, xs: Scale, words: Words) -> Safe:
    is_all = not row.column
    # Of a long name the value tells more than the attribute, which the others share.
    is_long = columns(row.name) > _NAME
    name = words.say("chart.all") if is_all else row.value if is_long else row.name
    ink = GREY if row.is_small else INK
    counted = f" ({row.count:,})" + ("*" if row.is_small else "")
    mark = square if is_all else dot
    return join(
        (
            label(2, y + 3, shortened(name, _NAME) + counted, size=_SMALL, fill=ink, bold=is_all),
            line((xs(row.low), y), (xs(row.high), y), stroke=ink, width=1.4),
            mark(xs(row.loss), y, fill="#FFFFFF" if row.is_small else BLUE),
        )
    )


def layers(units: Sequence[UnitReport], words: Words) -> Safe:
    """Return the share removed from every unit, and its output error below."""
    width, height, left = 700.0, 182.0, 52.0
    step = (width - left - 6) / max(1, len(units))
    shares = [1 - unit.kept / unit.groups for unit in units]
    errors = [unit.relative_error for unit in units]
    top = Scale(0, max(0.1, *shares) if shares else 1.0, 84, 14)
    low = Scale(0, max(errors, default=0) or 1.0, 164, 96)
    marks = []
    for scale, write in ((top, percent), (low, significant)):
        marks += [
            line((left, scale(scale.high)), (width - 6, scale(scale.high)), stroke=FAINT),
            line((left, scale(0)), (width - 6, scale(0)), stroke=INK),
            label(left - 4, scale(scale.high) + 7, write(scale.high), anchor="end", size=_SMALL),
            label(left - 4, scale(0), "0", anchor="end", size=_SMALL),
        ]
    for place, (share, error) in enumerate(zip(shares, errors, strict=True)):
        x, wide = left + place * step + step * 0.12, step * 0.76
        marks.append(box(x, top(share), wide, top(0) - top(share), fill=BLUE))
        marks.append(box(x, low(error), wide, low(0) - low(error), fill=ORANGE))
    marks += [
        label(left + 2, 12, words.say("chart.removed"), size=_SMALL, bold=True),
        label(left + 2, 94, words.say("chart.error"), size=_SMALL, bold=True),
        label(left, height - 5, words.say("chart.first"), size=_SMALL),
        label(width - 6, height - 5, words.say("chart.last"), anchor="end", size=_SMALL),
    ]
    title = words.say("chart.layers")
    return picture(width, height, title, words.say("chart.layers.desc", count=len(units)), *marks)


def stress(report: StressReport, words: Words) -> Safe:
    """Return one small chart a disturbance: both models over its strength."""
    rows = report.rows[:MOST_STRESSES]
    width, height, gap = 700.0, 158.0, 14.0
    each = (width - gap * (MOST_STRESSES - 1)) / MOST_STRESSES
    ends = [value for row in rows for point in row.points for value in (point.dense, point.pruned)]
    ys = scale_of(ends, height - 44, 22)
    marks = [
        _stress_panel(row, place * (each + gap), each, ys, report.metric, words)
        for place, row in enumerate(rows)
    ]
    y = height - 6
    marks += [
        path([(2, y - 3), (24, y - 3)], stroke=INK, dash="4 2"),
        square(13, y - 3, fill=INK, side=5),
        label(29, y, words.say("report.dense"), size=_SMALL),
        path([(120, y - 3), (142, y - 3)], stroke=BLUE),
        dot(131, y - 3, fill=BLUE, radius=3),
        label(147, y, words.say("report.pruned"), size=_SMALL),
        label(width, y, words.say("chart.strength"), anchor="end", size=_SMALL),
    ]
    return picture(
        width,
        height,
        words.say("chart.stress"),
        words.say("chart.stress.desc", count=len(rows)),
        *marks,
    )


def _stress_panel(
    row: StressRow, left: float, width: float, ys: Scale, metric: str, words: Words
) -> Safe:
    xs = Scale(0, 1, left + 34, left + width - 6)
    marks = [label(left + 34, 12, shortened(disturbance(row, words), 24), size=_SMALL, bold=True)]
    for value in ys.ticks(3):
        marks.append(line((xs.start, ys(value)), (xs.end, ys(value)), stroke=FAINT))
        written = words.quality(value, metric)
        marks.append(label(xs.start - 3, ys(value) + 3, written, anchor="end", size=8))
    for value in (0, 1):
        anchor = "start" if value == 0 else "end"
        marks.append(label(xs(value), ys.start + 11, str(value), anchor=anchor, size=8))
    dense = [(xs(point.strength), ys(point.dense)) for point in row.points]
    pruned = [(xs(point.strength), ys(point.pruned)) for point in row.points]
    marks += [path(dense, stroke=INK, dash="4 2"), path(pruned, stroke=BLUE)]
    marks += [square(x, y, fill=INK, side=5) for x, y in dense]
    marks += [dot(x, y, fill=BLUE, radius=3) for x, y in pruned]
    return join(marks)


def disturbance(row: StressRow, words: Words) -> str:
    """Return a disturbance's name in words, if it is a known one."""
    key = f"stress.{row.disturbance}"
    return words.say(key) if words.has(key) else row.disturbance


def savings_range(report: SavingsReport, words: Words) -> Safe:
    """Return the ranges of the yearly saving, the effort and the net result on one axis."""
    money = report.currency
    years = words.number(report.inputs.horizon_years.typical)
    rows = [
        (words.say("savings.result.money"), report.money),
        (words.say("savings.result.one_time"), _negative(report.one_time)),
        (words.say("savings.result.net", years=years), report.net),
    ]
    width, height = 340.0, 106.0
    ends = [end for _, row in rows for end in (row.low, row.high)]
    xs = scale_of([*ends, 0.0], 112, width - 14)
    bottom = height - 24
    marks = []
    for value in xs.ticks(3):
        marks.append(line((xs(value), 6), (xs(value), bottom), stroke=FAINT))
        marks.append(_tick(xs(value), bottom + 13, words.money(value, money), width))
    marks.append(line((xs(0), 6), (xs(0), bottom), stroke=INK))
    for place, (name, row) in enumerate(rows):
        y = 20 + 24 * place
        colour = ORANGE if row.typical < 0 else BLUE
        marks += [
            label(2, y + 3, shortened(name, 24), size=_SMALL),
            box(xs(row.low), y - 5, xs(row.high) - xs(row.low), 10, fill=colour),
            line((xs(row.typical), y - 8), (xs(row.typical), y + 8), stroke=INK, width=2),
        ]
    return picture(width, height, words.say("chart.range"), words.say("chart.range.desc"), *marks)


def _negative(row: Range) -> Range:
    return Range(-row.high, -row.typical, -row.low)


def tornado(report: SavingsReport, words: Words) -> Safe:
    """Return how far the net result moves with each input, the most important first."""
    rows = [swing for swing in report.swings[:MOST_SWINGS] if swing.size > 0]
    money = report.currency
    width, height = 340.0, 34.0 + 19 * len(rows)
    ends = [end for row in rows for end in (row.at_low, row.at_high)]
    xs = scale_of([*ends, report.net.typical], 122, width - 14)
    bottom = height - 22
    marks = []
    for value in xs.ticks(3):
        marks.append(line((xs(value), 4), (xs(value), bottom), stroke=FAINT))
        marks.append(_tick(xs(value), bottom + 13, words.money(value, money), width))
    middle = xs(report.net.typical)
    for place, row in enumerate(rows):
        y = 7 + 19 * place
        low, high = xs(row.at_low), xs(row.at_high)
        name = words.say(f"savings.short.{row.name}")
        marks += [
            label(2, y + 9, shortened(name, 23), size=_SMALL),
            box(min(low, middle), y, abs(middle - low), 11, fill="#A9CBE3", stroke=INK),
            box(min(high, middle), y, abs(high - middle), 11, fill=BLUE, stroke=INK),
        ]
    marks.append(line((middle, 3), (middle, bottom), stroke=INK, width=1.2))
    title = words.say("chart.tornado")
    return picture(width, height, title, words.say("chart.tornado.desc", count=len(rows)), *marks)


def is_drawable(point: TradePoint) -> bool:
    """Return whether all numbers of a point are finite."""
    return all(math.isfinite(end) for end in (*point.speed, *point.quality))
