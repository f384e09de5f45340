"""Figures: what is drawn where, and which way is better."""

from __future__ import annotations

import pytest

from osscar_core.figures import MARKS, TradePoint, tradeoff
from osscar_core.records import Method


def point(series: str, quality: float, latency: float, metric: str = "top1") -> TradePoint:
    return TradePoint(
        label="50%",
        series=series,
        metric=metric,
        quality=quality,
        interval=(quality * 0.9, quality * 1.2),
        latency=latency,
        latency_interval=(latency * 0.8, latency * 1.1),
        megabytes=2 * latency,
        hover="text",
        run_id="" if series == "dense" else f"run-{latency}",
    )


def test_every_method_has_a_mark_of_its_own() -> None:
    assert {method.value for method in Method} | {"dense"} == set(MARKS)
    assert len({symbol for _, symbol in MARKS.values()}) == len(MARKS)


def test_points_of_one_series_share_a_trace_and_carry_their_run() -> None:
    points = [point("dense", 0.8, 100), point("osscar", 0.7, 60), point("osscar", 0.6, 50)]
    figure = tradeoff(points, shown="run-60", names=str.upper)
    assert [trace.name for trace in figure.data] == ["DENSE", "OSSCAR"]
    assert list(figure.data[1].x) == [60, 50]
    assert list(figure.data[1].y) == pytest.approx([70, 60])
    assert [item[1] for item in figure.data[1].customdata] == ["run-60", "run-50"]
    assert figure.data[1].marker.size[0] > figure.data[1].marker.size[1]


def test_the_whiskers_are_the_intervals() -> None:
    figure = tradeoff([point("osscar", 0.5, 60)])
    assert figure.data[0].error_y.array == pytest.approx((10.0,))
    assert figure.data[0].error_y.arrayminus == pytest.approx((5.0,))
    assert figure.data[0].error_x.array == pytest.approx((6.0,))
    assert figure.data[0].error_x.arrayminus == pytest.approx((12.0,))


def test_up_is_better_for_accuracy_and_for_perplexity() -> None:
    accuracy = tradeoff([point("dense", 0.8, 100), point("osscar", 0.5, 60)])
    low, high = accuracy.layout.yaxis.range
    assert low < high
    perplexity = tradeoff(
        [point("dense", 20, 100, "perplexity"), point("osscar", 30, 60, "perplexity")]
    )
    bottom, top = perplexity.layout.yaxis.range
    assert bottom > 36
    assert top < 18
    assert "reversed" in perplexity.layout.yaxis.title.text


def test_the_axis_can_be_the_size() -> None:
    figure = tradeoff([point("osscar", 0.5, 60)], by="size")
    assert list(figure.data[0].x) == [120]
    assert "MB" in figure.layout.xaxis.title.text
    assert figure.data[0].error_x.array is None


def test_every_point_lies_within_the_axes() -> None:
    points = [point("dense", 0.8, 100), point("random", 0.1, 40)]
    layout = tradeoff(points).layout
    for item in points:
        assert layout.xaxis.range[0] < item.latency_interval[0]
        assert layout.xaxis.range[1] > item.latency_interval[1]
        assert layout.yaxis.range[0] < 100 * item.interval[0]
        assert layout.yaxis.range[1] > 100 * item.interval[1]
