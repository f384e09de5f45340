"""Figures: what is drawn where, and which way is better."""

from __future__ import annotations

import base64
import re

import pytest

from osscar_core.figures import (
    MARKS,
    CurvePoint,
    Limit,
    TradePoint,
    TradeWords,
    YourPoint,
    tradeoff,
    tradeoff_legend,
)
from osscar_core.figures.legend import Entry, legend
from osscar_core.records import Method


def point(series: str, quality: float, latency: float | None, **changes) -> TradePoint:
    fields = {
        "label": "50%",
        "series": series,
        "quality": quality,
        "interval": (quality * 0.9, quality * 1.2),
        "latency": latency,
        "latency_interval": None if latency is None else (latency * 0.8, latency * 1.1),
        "megabytes": 2 * (latency or 10.0),
        "hover": "text",
        "run_id": "" if series == "dense" else f"run-{latency}",
    }
    return TradePoint(**{**fields, **changes})


WORDS = TradeWords(
    across="ACROSS",
    upward="UPWARD",
    estimate="ESTIMATE",
    band="BAND",
    yours="YOURS",
    best="BEST",
    outside=lambda count: f"{count} OUTSIDE",
)
LINE = [
    CurvePoint(100.0, 200.0, 80.0, (80.0, 80.0)),
    CurvePoint(60.0, 120.0, 70.0, (75.0, 60.0)),
]


def drawn(points, metric: str = "top1", by: str = "latency", **more):
    return tradeoff(points, metric=metric, by=by, words=WORDS, **more)


def named(figure, name: str):
    return next(trace for trace in figure.data if trace.name == name)


def test_every_method_has_a_mark_of_its_own() -> None:
    assert {method.value for method in Method} | {"dense"} == set(MARKS)
    assert len({symbol for _, symbol in MARKS.values()}) == len(MARKS)


def test_points_of_one_series_share_a_trace_and_carry_their_run() -> None:
    points = [point("dense", 80, 100), point("osscar", 70, 60), point("osscar", 60, 50)]
    ours = named(drawn(points, names=str.upper), "OSSCAR")
    assert list(ours.x) == [60, 50]
    assert list(ours.y) == [70, 60]
    assert [item[1] for item in ours.customdata] == ["run-60", "run-50"]


def test_the_order_of_traces_does_not_depend_on_that_of_points() -> None:
    points = [point("random", 20, 60), point("osscar", 70, 60), point("dense", 80, 100)]
    expected = ["BAND", "ESTIMATE", "dense", "osscar", "random", "YOURS"]
    for order in (points, points[::-1]):
        assert [trace.name for trace in drawn(order).data] == expected
    assert len({trace.meta for trace in drawn(points).data}) == len(expected)


def test_the_whiskers_are_the_intervals() -> None:
    ours = named(drawn([point("osscar", 50, 60)]), "osscar")
    assert ours.error_y.array == pytest.approx((10.0,))
    assert ours.error_y.arrayminus == pytest.approx((5.0,))
    assert ours.error_x.array == pytest.approx((6.0,))
    assert ours.error_x.arrayminus == pytest.approx((12.0,))


def test_estimates_are_a_dashed_line_in_a_band_and_measured_marks_are_filled() -> None:
    figure = drawn([point("osscar", 70, 60)], curve=LINE)
    line, band = named(figure, "ESTIMATE"), named(figure, "BAND")
    assert line.line.dash == "dash"
    assert list(line.x) == [100, 60]
    assert list(line.y) == [80, 70]
    assert list(band.x) == [100, 60, 60, 100]
    assert list(band.y) == [80, 60, 75, 80]
    assert "open" not in named(figure, "osscar").marker.symbol


@pytest.mark.parametrize(("is_measured", "symbol"), [(False, "diamond-open"), (True, "diamond")])
def test_your_point_is_hollow_until_it_is_measured(is_measured: bool, symbol: str) -> None:
    yours = YourPoint(55.0, 110.0, 65.0, "hover", is_measured)
    mark = named(drawn([point("osscar", 70, 60)], yours=yours), "YOURS")
    assert mark.marker.symbol == symbol
    assert (mark.x[0], mark.y[0]) == (55.0, 65.0)


def test_examples_are_told_from_one_s_own_runs() -> None:
    own, example = point("osscar", 70, 60), point("osscar", 60, 50, is_own=False)
    traces = {trace.meta: trace for trace in drawn([own, example]).data}
    mine, shipped = traces["osscar-own"], traces["osscar-example"]
    assert mine.marker.opacity > shipped.marker.opacity
    assert mine.marker.line.width > shipped.marker.line.width
    assert mine.marker.symbol == shipped.marker.symbol


def test_the_legend_names_what_is_there_once_and_escapes_it() -> None:
    points = [
        point("osscar", 70, 60),
        point("osscar", 60, 50, is_own=False),
        point("dense", 80, 100),
        point("random", 10, 50),
    ]
    yours = YourPoint(55.0, 110.0, 65.0, "hover", False)
    text = tradeoff_legend(
        points, words=WORDS, names=lambda name: f"<{name}>", curve=LINE, yours=yours, best="run-50"
    )
    names = re.findall(r'alt="">(.*?)</li>', text)
    assert names == [
        "ESTIMATE", "&lt;dense&gt;", "&lt;osscar&gt;", "&lt;random&gt;", "BEST", "YOURS",
    ]  # fmt: skip
    alone = tradeoff_legend(points[:1], words=WORDS)
    assert re.findall(r'alt="">(.*?)</li>', alone) == ["osscar"]


def test_every_mark_can_be_drawn_outside_of_the_figure() -> None:
    def drawing(symbol: str) -> str:
        text = legend([Entry(symbol, "#123456", "x")], "#654321")
        return base64.b64decode(re.search(r"base64,([^\"]*)", text)[1]).decode()

    drawings = {drawing(symbol) for _, symbol in MARKS.values()}
    assert len(drawings) == len(MARKS)
    assert all("#123456" in each and "#654321" in each for each in drawings)
    assert 'fill="none"' in drawing("diamond-open")
    assert "stroke-dasharray" in drawing("line-dash")


def test_the_best_has_a_star() -> None:
    figure = drawn([point("osscar", 70, 60), point("osscar", 60, 50)], best="run-50")
    star = named(figure, "BEST")
    assert star.marker.symbol == "star-open"
    assert (star.x[0], star.y[0]) == (50, 60)
    assert "BEST" not in [trace.name for trace in drawn([point("osscar", 70, 60)]).data]


def test_up_is_better_whatever_quality_is() -> None:
    low, high = drawn([point("dense", 80, 100), point("osscar", 50, 60)]).layout.yaxis.range
    assert low < high
    points = [point("dense", 20, 100), point("osscar", 30, 60)]
    for metric in ("perplexity", "lost"):
        bottom, top = drawn(points, metric).layout.yaxis.range
        assert bottom > 36
        assert top < 18


def test_the_axes_have_the_titles_that_they_are_given() -> None:
    layout = drawn([point("osscar", 50, 60)]).layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("ACROSS", "UPWARD")


def test_the_axis_can_be_the_size() -> None:
    ours = named(drawn([point("osscar", 50, 60)], by="size"), "osscar")
    assert list(ours.x) == [120]
    assert ours.error_x.array is None


def test_a_model_without_a_latency_is_only_drawn_by_its_size() -> None:
    points = [point("osscar", 50, None), point("osscar", 60, 50)]
    assert list(named(drawn(points), "osscar").x) == [50]
    assert list(named(drawn(points, by="size"), "osscar").x) == [20, 100]


@pytest.mark.parametrize(
    ("limit", "forbidden"),
    [
        (Limit("latency", 70.0, "asked"), lambda x0, x1, y0, y1: x0 == 70 and x1 > 100),
        (Limit("quality", 60.0, "asked"), lambda x0, x1, y0, y1: y0 == 60 and y1 < 45),
    ],
)
def test_the_side_beyond_the_limit_is_shaded(limit: Limit, forbidden) -> None:
    points = [point("dense", 80, 100), point("osscar", 50, 50)]
    figure = drawn(points, limit=limit)
    area = next(shape for shape in figure.layout.shapes if shape.type == "rect")
    assert forbidden(area.x0, area.x1, area.y0, area.y1)
    assert "asked" in [note.text for note in figure.layout.annotations]


def test_a_limit_of_the_other_axis_is_not_drawn() -> None:
    figure = drawn([point("osscar", 50, 50)], by="size", limit=Limit("latency", 70.0, "asked"))
    assert figure.layout.shapes == ()


def test_the_axes_follow_our_models_and_say_how_many_marks_lie_outside() -> None:
    points = [point("dense", 80, 100), point("osscar", 70, 60), point("random", 5, 60)]
    figure = drawn(points)
    layout = figure.layout
    for item in points[:2]:
        assert layout.xaxis.range[0] < item.latency_interval[0]
        assert layout.xaxis.range[1] > item.latency_interval[1]
        assert layout.yaxis.range[0] < item.interval[0]
        assert layout.yaxis.range[1] > item.interval[1]
    assert layout.yaxis.range[0] > 5
    assert [note.text for note in layout.annotations] == ["1 OUTSIDE"]
    assert drawn(points[:2]).layout.annotations == ()


def test_labels_of_neighbours_stand_apart_and_one_beyond_the_axes_is_not_written() -> None:
    near = [
        point("osscar", 70, 60, label="50%"),
        point("osscar", 70, 60.1, label="1.5x", interval=(69, 71)),
        point("dense", 80, 100, label="dense"),
        point("random", 5, 60, label="far"),
    ]
    figure = drawn(near)
    ours = named(figure, "osscar")
    assert list(ours.text) == ["50%", "1.5x"]
    assert len(set(ours.textposition)) == 2
    assert list(named(figure, "random").text) == [""]
    assert named(figure, "dense").textposition == ("bottom left",)


def test_your_point_is_always_inside() -> None:
    yours = YourPoint(20.0, 40.0, 10.0, "hover", False)
    layout = drawn([point("osscar", 70, 60)], yours=yours).layout
    assert layout.xaxis.range[0] < 20 < layout.xaxis.range[1]
    assert layout.yaxis.range[0] < 10 < layout.yaxis.range[1]


def test_a_line_without_any_measurement_is_drawn() -> None:
    layout = drawn([], "lost", curve=LINE).layout
    assert layout.xaxis.range[0] < 60 < 100 < layout.xaxis.range[1]
