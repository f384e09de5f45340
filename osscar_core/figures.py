"""Records to Plotly figures.

The decision hidden here: how a trade-off and a layer's fate are drawn: colours and
shapes of the methods, the direction of the axes, what is said on hover. No Streamlit,
no torch; plotly is imported when a figure is made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from osscar_core.records import UnitReport

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MARKS = {
    "dense": ("#000000", "x-thin"),
    "osscar": ("#0072B2", "circle"),
    "paper": ("#56B4E9", "hexagon"),
    "ziplm": ("#CC79A7", "pentagon"),
    "flap": ("#009E73", "triangle-down"),
    "wanda": ("#F0E442", "star-triangle-up"),
    "magnitude-refit": ("#E69F00", "square-cross"),
    "magnitude": ("#E69F00", "square"),
    "random": ("#999999", "triangle-up"),
}
"""Colour (Okabe and Ito) and shape of every series; never told apart by colour alone."""


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

    ink = "#ECEAE6" if dark else "#1B1F24"
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
            error_y=_whiskers(mine, _quality_ends, ink if is_dense else colour),
            mode="markers+text",
            name=names(series),
            text=[point.label for point in mine],
            textposition=side,
            textfont={"color": ink, "size": 12},
            marker={
                "symbol": "cross" if is_dense else symbol,
                "size": [17 if point.run_id and point.run_id == shown else 12 for point in mine],
                "color": ink if is_dense else colour,
                "line": {"color": ink, "width": 1.2},
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
    _style(figure, ink, dark)
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


def unit_shares(units: Sequence[UnitReport], *, words: dict[str, str], dark: bool) -> Figure:
    """Draw the kept and removed share of every unit as one stacked bar each.

    Args:
        units: In forward order.
        words: Names for ``kept`` and ``removed``.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    names = [unit.name for unit in units]
    kept = [100 * unit.kept / unit.groups for unit in units]
    texts = [f"{u.name}: {u.kept} of {u.groups} {u.structure.value}" for u in units]
    figure = go.Figure()
    common: dict[str, Any] = {"x": names, "customdata": [[text] for text in texts]}
    hover = "%{customdata[0]}<extra></extra>"
    figure.add_bar(
        y=kept, name=words["kept"], marker={"color": "#0072B2"}, hovertemplate=hover, **common
    )
    figure.add_bar(
        y=[100 - share for share in kept],
        name=words["removed"],
        marker={
            "color": "rgba(153,153,153,0.35)",
            "pattern": {"shape": "/", "size": 6, "solidity": 0.3},
        },
        hovertemplate=hover,
        **common,
    )
    _style(figure, "#ECEAE6" if dark else "#1B1F24", dark)
    figure.update_layout(barmode="stack", height=300, yaxis={"title": "Share, %"})
    return _layer_axis(figure, names)


def unit_errors(units: Sequence[UnitReport], *, method: str, baseline: str, dark: bool) -> Figure:
    """Draw every unit's output error beside that of the magnitude baseline.

    Args:
        units: In forward order.
        method: Name of the method used.
        baseline: Name of the baseline.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    names = [unit.name for unit in units]
    figure = go.Figure()
    ink = "#ECEAE6" if dark else "#1B1F24"
    for label, series, values in (
        (method, "osscar", [unit.relative_error for unit in units]),
        (baseline, "magnitude", [unit.magnitude_error for unit in units]),
    ):
        figure.add_bar(
            x=names,
            y=[100 * value for value in values],
            name=label,
            marker={
                "color": MARKS[series][0],
                "line": {"color": ink, "width": 0.5},
                "pattern": {"shape": "" if series == "osscar" else "/", "solidity": 0.25},
            },
            hovertemplate="%{x}<br>" + label + ": %{y:.3g}%<extra></extra>",
        )
    _style(figure, ink, dark)
    figure.update_layout(barmode="group", height=300, yaxis={"title": "Output error, %"})
    return _layer_axis(figure, names)


def _layer_axis(figure: Figure, names: Sequence[str]) -> Figure:
    """Label the layers by what tells them apart, thinned out when there are many."""
    step = max(1, math.ceil(len(names) / 24))
    short = short_names(names)
    figure.update_layout(
        xaxis={
            "tickmode": "array",
            "tickvals": list(names[::step]),
            "ticktext": list(short[::step]),
            "title": "Layer",
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def short_names(names: Sequence[str]) -> list[str]:
    """Return module paths without the leading and trailing parts that all have in common."""
    split = [name.split(".") for name in names]
    if len(split) < 2:
        return list(names)
    shortest = min(len(parts) for parts in split)
    first = 0
    while first < shortest - 1 and len({parts[first] for parts in split}) == 1:
        first += 1
    last = 0
    while last < shortest - first - 1 and len({parts[-1 - last] for parts in split}) == 1:
        last += 1
    return [".".join(parts[first : len(parts) - last]) for parts in split]


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


def _style(figure: Figure, ink: str, dark: bool) -> None:
    grid = "rgba(236,234,230,0.14)" if dark else "rgba(27,31,36,0.10)"
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        font={"color": ink, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="fixed",
        hoverlabel={"align": "left"},
        bargap=0.25,
    )
    figure.update_xaxes(gridcolor=grid, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
