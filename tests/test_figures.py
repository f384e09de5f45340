"""Figures: what is drawn where, and which way is better."""

from __future__ import annotations

import pytest

from osscar_core.figures import (
    MARKS,
    ParallelAxis,
    ParallelLine,
    TradePoint,
    parallel,
    short_names,
    tradeoff,
    unit_errors,
    unit_shares,
)
from osscar_core.records import Method, Structure, UnitReport


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


def unit(name: str, kept: int = 4) -> UnitReport:
    return UnitReport(name, Structure.NEURONS, "b", 16, kept, 0.02, 0.05, 3, 0.1)


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


def test_shares_add_up_to_the_whole() -> None:
    figure = unit_shares(
        [unit("a.0.x"), unit("a.1.x", 12)], words={"kept": "K", "removed": "R"}, dark=False
    )
    assert list(figure.data[0].y) == [25, 75]
    assert list(figure.data[1].y) == [75, 25]
    assert "4 of 16 neurons" in figure.data[0].customdata[0][0]


def test_errors_stand_beside_the_baseline_as_per_cent() -> None:
    figure = unit_errors([unit("a.0.x")], method="OSSCAR", baseline="base", dark=True)
    assert [trace.name for trace in figure.data] == ["OSSCAR", "base"]
    assert list(figure.data[0].y) == pytest.approx([2])
    assert list(figure.data[1].y) == pytest.approx([5])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.layers.0.mlp.down", "model.layers.1.mlp.down"], ["0", "1"]),
        (["m.0.attn", "m.0.mlp", "m.1.attn"], ["0.attn", "0.mlp", "1.attn"]),
        (["only.one"], ["only.one"]),
        (["a", "a.b"], ["a", "a.b"]),
    ],
)
def test_names_are_shortened_to_what_tells_them_apart(names, expected) -> None:
    assert short_names(names) == expected


def test_many_layers_get_few_labels() -> None:
    units = [unit(f"m.{index}.x") for index in range(60)]
    figure = unit_errors(units, method="a", baseline="b", dark=False)
    assert len(figure.layout.xaxis.tickvals) <= 24
    assert len(figure.data[0].x) == 60


def test_lines_across_axes_put_the_better_value_on_top() -> None:
    axes = [
        ParallelAxis("Accuracy, %", (60.0, 80.0, 70.0), is_flipped=False, write=str),
        ParallelAxis("Perplexity, reversed", (20.0, 40.0, 30.0), is_flipped=True, write=str),
        ParallelAxis("Size, MB", (5.0, 5.0, 5.0), is_flipped=True, write=str),
    ]
    lines = [ParallelLine("osscar", f"hover {n}", f"run-{n}") for n in range(2)]
    lines.append(ParallelLine("random", "hover 2", "run-2"))
    figure = parallel(axes, lines, names=str.upper, dark=True)
    assert [list(trace.y) for trace in figure.data] == [
        pytest.approx([0, 1, 0.5]), pytest.approx([1, 0, 0.5]), pytest.approx([0.5, 0.5, 0.5]),
    ]  # fmt: skip
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    assert figure.data[0].marker.symbol != figure.data[2].marker.symbol
    assert figure.data[1].customdata[0][1] == "run-1"
    reversed_ticks = [note for note in figure.layout.annotations if note.x == 1]
    assert min(reversed_ticks, key=lambda note: note.y).text == "40.0"
