"""Quality against what it takes: the trade-off of all models that can be compared.

The decision hidden here: the direction of the axes, and what is said on hover.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from osscar_core.figures.style import MARKS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, slots=True)
class TradePoint:
    """One model in the trade-off figure.

    Attributes:
        label: Short text beside the mark.
        series: ``dense`` or a method, a key of `MARKS`.
        metric: What ``quality`` is.
        quality: Its value; accuracy as a fraction.
        interval: 95% interval of the quality.
        latency: Median in milliseconds.
        latency_interval: 95% interval of the latency relative to the dense model's.
        megabytes: Size of the weights file in units of 10^6 bytes.
        hover: Text shown on hover, with ``<br>`` between lines.
        run_id: The run it comes from; empty for the dense model.
    """

    label: str
    series: str
    metric: Literal["perplexity", "top1"]
    quality: float
    interval: tuple[float, float]
    latency: float
    latency_interval: tuple[float, float]
    megabytes: float
    hover: str
    run_id: str


def tradeoff(
    points: Sequence[TradePoint],
    *,
    by: Literal["latency", "size"] = "latency",
    shown: str = "",
    names: Callable[[str], str] = str,
    dark: bool = False,
) -> Figure:
    """Draw quality (up is better) against latency or size (left is better).

    Args:
        points: All of one metric.
        by: What the horizontal axis is.
        shown: Run whose mark is emphasised.
        names: Gives the name of a series for the legend.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    tone = ink(dark)
    figure = go.Figure()
    # Methods at the same share of removal lie close together: their labels go to other sides.
    sides = itertools.cycle(("top right", "top right", "bottom right", "bottom left", "top left"))
    for series, side in zip(dict.fromkeys(point.series for point in points), sides, strict=False):
        mine = [point for point in points if point.series == series]
        colour, symbol = MARKS[series]
        is_dense = series == "dense"
        figure.add_scatter(
            x=[_across(point, by) for point in mine],
            y=[_quality(point) for point in mine],
            error_x=None if by == "size" or is_dense else _whiskers(mine, _latency_ends, colour),
            error_y=_whiskers(mine, _quality_ends, tone if is_dense else colour),
            mode="markers+text",
            name=names(series),
            text=[point.label for point in mine],
            textposition=side,
            textfont={"color": tone, "size": 12},
            marker={
                "symbol": "cross" if is_dense else symbol,
                "size": [17 if point.run_id and point.run_id == shown else 12 for point in mine],
                "color": tone if is_dense else colour,
                "line": {"color": tone, "width": 1.2},
                "opacity": 1.0,
            },
            customdata=[[point.hover, point.run_id] for point in mine],
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
    is_perplexity = bool(points) and points[0].metric == "perplexity"
    if is_perplexity:
        upward = "Perplexity (axis reversed: up is better)"
    else:
        upward = "Accuracy, % (up is better)"
    across = "Latency, ms (left is better)" if by == "latency" else "Size, MB (left is better)"
    apply(figure, dark=dark)
    figure.update_layout(
        height=400,
        uirevision=by,
        xaxis={"title": across, "range": _range([x for p in points for x in _x_ends(p, by)])},
        yaxis={
            "title": upward,
            "range": _range([y for p in points for y in _y_ends(p)], flip=is_perplexity),
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def _across(point: TradePoint, by: Literal["latency", "size"]) -> float:
    return point.latency if by == "latency" else point.megabytes


def _quality(point: TradePoint) -> float:
    return point.quality if point.metric == "perplexity" else 100 * point.quality


def _y_ends(point: TradePoint) -> tuple[float, float]:
    scale = 1 if point.metric == "perplexity" else 100
    return scale * point.interval[0], scale * point.interval[1]


def _x_ends(point: TradePoint, by: Literal["latency", "size"]) -> tuple[float, float]:
    ends = point.latency_interval if by == "latency" else (point.megabytes, point.megabytes)
    return min(ends[0], _across(point, by)), max(ends[1], _across(point, by))


def _quality_ends(point: TradePoint) -> tuple[float, float]:
    low, high = _y_ends(point)
    return _quality(point) - low, high - _quality(point)


def _latency_ends(point: TradePoint) -> tuple[float, float]:
    low, high = _x_ends(point, "latency")
    return point.latency - low, high - point.latency


def _whiskers(
    points: Sequence[TradePoint],
    ends: Callable[[TradePoint], tuple[float, float]],
    colour: str,
) -> dict[str, Any]:
    pairs = [ends(point) for point in points]
    return {
        "type": "data",
        "symmetric": False,
        "arrayminus": [max(0.0, low) for low, _ in pairs],
        "array": [max(0.0, high) for _, high in pairs],
        "color": colour,
        "thickness": 1.2,
        "width": 4,
    }


def _range(values: Sequence[float], *, flip: bool = False) -> list[float] | None:
    """Return the axis' ends with some air for the labels; from high to low if flipped."""
    if not values:
        return None
    low, high = min(values), max(values)
    air = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    ends = [low - air, high + 1.4 * air]
    if flip:
        ends = [high + air, low - 1.4 * air]
    return ends
