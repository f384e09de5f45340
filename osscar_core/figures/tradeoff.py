"""Quality against what it takes: measured models, and the line on which others are expected.

The decision hidden here: the direction of the axes, how far they reach, and how what was
measured is told from what is only expected. Measured models are filled marks with whiskers;
estimates are a dashed line, a band and a hollow mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from osscar_core.figures.labels import Mark, places
from osscar_core.figures.legend import Entry, legend
from osscar_core.figures.style import BEST, LINE, MARKS, YOURS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Axis = Literal["latency", "size"]
Metric = Literal["top1", "perplexity", "lost"]

_HEIGHT = 300
# Room above the axes for the words about what lies outside of them.
_NOTE = 24
# What the axis below takes of the height.
_BELOW = 60
# The figure is about these series: its axes reach as far as they do.
_FOCUS = ("dense", "osscar")
_AIR = 0.09
# Room for the labels beside the best models.
_AIR_ABOVE = 0.16
_EXAMPLE_OPACITY = 0.65
_YOURS = 17
_PLACE = "top right"


@dataclass(frozen=True, slots=True)
class TradePoint:
    """One measured model in the figure.

    Attributes:
        label: Short text beside the mark; empty for none.
        series: ``dense`` or a method, a key of `MARKS`.
        quality: Its value, as the axis counts it.
        interval: 95% interval of the quality.
        latency: Milliseconds; ``None`` where no latency is known.
        latency_interval: 95% interval of the latency relative to the dense model's.
        megabytes: Size of the weights file in units of 10^6 bytes.
        hover: Text shown on hover, with ``<br>`` between lines.
        run_id: The run it comes from; empty for the dense model.
        is_own: Whether it was measured here, and does not come with the project.
    """

    label: str
    series: str
    quality: float
    interval: tuple[float, float]
    latency: float | None
    latency_interval: tuple[float, float] | None
    megabytes: float
    hover: str
    run_id: str
    is_own: bool = True


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the line of estimates.

    Attributes:
        latency: Milliseconds; ``None`` where no block was timed.
        megabytes: Size of the weights file.
        quality: Estimated quality, as the axis counts it.
        band: The band that holds 95% of new models.
    """

    latency: float | None
    megabytes: float
    quality: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True)
class YourPoint:
    """Where the slider stands.

    Attributes:
        latency: Milliseconds; ``None`` where none is known.
        megabytes: Size of the weights file.
        quality: Its quality.
        hover: Text shown on hover.
        is_measured: Whether these numbers were measured.
    """

    latency: float | None
    megabytes: float
    quality: float
    hover: str
    is_measured: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """What a person asked for: the side beyond it is shaded.

    Attributes:
        axis: What is limited.
        value: Where, in the unit of that axis.
        label: What to write at the line.
    """

    axis: Literal["latency", "size", "quality"]
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class TradeWords:
    """The figure's own words, in the reader's language.

    Attributes:
        across: Title of the horizontal axis, with unit and direction.
        upward: Title of the vertical axis, likewise.
        estimate: Name of the line.
        band: Name of the band around it.
        yours: Name of the mark where the slider stands.
        best: Name of the mark of the best measured model within the limit.
        outside: Says how many marks lie beyond the axes, with ``{count}``.
    """

    across: str
    upward: str
    estimate: str
    band: str
    yours: str
    best: str
    outside: Callable[[int], str]


def tradeoff(
    points: Sequence[TradePoint],
    *,
    metric: Metric,
    by: Axis,
    words: TradeWords,
    names: Callable[[str], str] = str,
    curve: Sequence[CurvePoint] = (),
    yours: YourPoint | None = None,
    best: str = "",
    limit: Limit | None = None,
    dark: bool = False,
) -> Figure:
    """Draw quality (up is better) against latency or size (left is better).

    Args:
        points: Measured models.
        metric: What quality is; perplexity and what was lost grow downwards.
        by: What the horizontal axis is.
        words: What is written on it.
        names: Gives the name of a series for the legend.
        curve: The line of estimates, from the dense model to the smallest one.
        yours: Where the slider stands; ``None`` where nothing is known of that.
        best: Run whose mark gets a star.
        limit: What was asked for, if that can be drawn.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    tone = ink(dark)
    figure = go.Figure()
    drawn = [point for point in points if _across(point, by) is not None]
    line = [point for point in curve if _across(point, by) is not None]
    _add_curve(figure, line, by, words)
    mark = yours if yours is not None and _across(yours, by) is not None else None
    x_range, y_range = _ranges(drawn, line, mark, limit, by, metric != "top1")
    outside = _outside(drawn, by, x_range, y_range)
    above = _NOTE if outside else 8
    placed = _placed(drawn, mark, by, x_range, y_range, _HEIGHT - _BELOW - above)
    for series in MARKS:
        for is_own in (False, True):
            mine = [p for p in drawn if p.series == series and p.is_own is is_own]
            if mine:
                _add_series(figure, mine, by, names(series), tone, placed)
    _add_best(figure, [point for point in drawn if best and point.run_id == best], by, words)
    _add_yours(figure, mark, by, words, tone)
    apply(figure, dark=dark)
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 8, "r": 12, "t": above, "b": 8},
        uirevision=f"{by}-{metric}",
        xaxis={"title": words.across, "range": x_range},
        yaxis={"title": words.upward, "range": y_range},
        showlegend=False,
        hovermode="closest",
    )
    if limit is not None and limit.axis in ("quality", by) and x_range and y_range:
        _shade(figure, limit, x_range, y_range, dark)
    if outside:
        _tell_outside(figure, words.outside(outside), tone)
    return figure


def tradeoff_legend(
    points: Sequence[TradePoint],
    *,
    words: TradeWords,
    names: Callable[[str], str] = str,
    curve: Sequence[CurvePoint] = (),
    yours: YourPoint | None = None,
    best: str = "",
    dark: bool = False,
) -> str:
    """Return the legend of `tradeoff` for the same arguments, as HTML to stand above it."""
    entries = [Entry("line-dash", LINE, words.estimate)] if curve else []
    there = {point.series for point in points}
    for series, (colour, symbol) in MARKS.items():
        if series in there:
            shown = ink(dark) if series == "dense" else colour
            entries.append(Entry(symbol, shown, names(series)))
    if best:
        entries.append(Entry("star-open", BEST, words.best))
    if yours is not None:
        symbol = "diamond" if yours.is_measured else "diamond-open"
        entries.append(Entry(symbol, YOURS, words.yours))
    return legend(entries, ink(dark))


def _add_curve(figure: Any, line: Sequence[CurvePoint], by: Axis, words: TradeWords) -> None:
    """Draw the band, then the dashed line on it; both are there even if empty, to stay in order."""
    x = [_across(point, by) for point in line]
    band = [point.band for point in line]
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*(high for _, high in band), *(low for low, _ in reversed(band))],
        fill="toself",
        fillcolor="rgba(0,114,178,0.13)",
        line={"width": 0},
        mode="lines",
        name=words.band,
        hoverinfo="skip",
        meta="band",
    )
    figure.add_scatter(
        x=x,
        y=[point.quality for point in line],
        mode="lines",
        line={"color": LINE, "width": 2, "dash": "dash"},
        name=words.estimate,
        hoverinfo="skip",
        meta="estimate",
    )


def _add_series(
    figure: Any,
    mine: Sequence[TradePoint],
    by: Axis,
    name: str,
    tone: str,
    placed: Mapping[TradePoint, str],
) -> None:
    series, is_own = mine[0].series, mine[0].is_own
    colour, symbol = MARKS[series]
    is_dense = series == "dense"
    colour = tone if is_dense else colour
    figure.add_scatter(
        x=[_across(point, by) for point in mine],
        y=[point.quality for point in mine],
        error_x=None if by == "size" or is_dense else _whiskers(mine, _latency_ends, colour),
        error_y=_whiskers(mine, _quality_ends, colour),
        mode="markers+text",
        name=name,
        text=[point.label if placed[point] else "" for point in mine],
        textposition=[placed[point] or _PLACE for point in mine],
        textfont={"color": tone, "size": 12},
        cliponaxis=True,
        marker={
            "symbol": symbol,
            "size": _size(mine[0]),
            "color": colour,
            "line": {"color": tone, "width": 1.8 if is_own else 1.0},
            "opacity": 1.0 if is_own else _EXAMPLE_OPACITY,
        },
        customdata=[[point.hover, point.run_id] for point in mine],
        hovertemplate="%{customdata[0]}<extra></extra>",
        meta=f"{series}-{'own' if is_own else 'example'}",
    )


def _add_best(figure: Any, found: Sequence[TradePoint], by: Axis, words: TradeWords) -> None:
    if not found:
        return
    figure.add_scatter(
        x=[_across(point, by) for point in found],
        y=[point.quality for point in found],
        mode="markers",
        name=words.best,
        marker={"symbol": "star-open", "size": 24, "color": BEST, "line": {"width": 2}},
        customdata=[[point.hover, point.run_id] for point in found],
        hovertemplate="%{customdata[0]}<extra></extra>",
        meta="best",
    )


def _add_yours(figure: Any, mark: YourPoint | None, by: Axis, words: TradeWords, tone: str) -> None:
    marks = [] if mark is None else [mark]
    is_measured = mark is not None and mark.is_measured
    figure.add_scatter(
        x=[_across(one, by) for one in marks],
        y=[one.quality for one in marks],
        mode="markers",
        name=words.yours,
        marker={
            "symbol": "diamond" if is_measured else "diamond-open",
            "size": _YOURS,
            "color": YOURS,
            "line": {"color": tone if is_measured else YOURS, "width": 1.2 if is_measured else 3},
        },
        customdata=[[one.hover, ""] for one in marks],
        hovertemplate="%{customdata[0]}<extra></extra>",
        meta="yours",
    )


def _shade(
    figure: Any, limit: Limit, x_range: Sequence[float], y_range: Sequence[float], dark: bool
) -> None:
    """Shade what was asked not to be: slower, larger or worse than the limit."""
    colour = "rgba(236,234,230,0.10)" if dark else "rgba(27,31,36,0.08)"
    edge = {"color": ink(dark), "width": 1.2, "dash": "dot"}
    shared = {"fillcolor": colour, "line": {"width": 0}, "layer": "below"}
    note = {"text": limit.label, "showarrow": False, "font": {"size": 12, "color": ink(dark)}}
    if limit.axis == "quality":
        bottom = y_range[0]
        figure.add_shape(type="rect", xref="paper", x0=0, x1=1, y0=limit.value, y1=bottom, **shared)
        figure.add_shape(
            type="line", xref="paper", x0=0, x1=1, y0=limit.value, y1=limit.value, line=edge
        )
        figure.add_annotation(
            xref="paper", x=1, xanchor="right", y=limit.value, yanchor="top", **note
        )
    else:
        right = x_range[1]
        figure.add_shape(type="rect", yref="paper", y0=0, y1=1, x0=limit.value, x1=right, **shared)
        figure.add_shape(
            type="line", yref="paper", y0=0, y1=1, x0=limit.value, x1=limit.value, line=edge
        )
        figure.add_annotation(
            yref="paper", y=0.5, yanchor="middle", x=limit.value, xanchor="left", **note
        )


def _outside(
    points: Sequence[TradePoint],
    by: Axis,
    x_range: Sequence[float] | None,
    y_range: Sequence[float] | None,
) -> int:
    """Return how many marks the axes leave out."""
    if x_range is None or y_range is None:
        return 0
    return sum(
        not (_is_between(point.quality, y_range) and _is_between(_across(point, by), x_range))
        for point in points
    )


def _tell_outside(figure: Any, text: str, tone: str) -> None:
    """Say above the axes how many marks they leave out, so that nothing is hidden silently."""
    figure.add_annotation(
        text=text,
        xref="paper",
        yref="paper",
        x=1.0,
        y=1.0,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 12, "color": tone},
    )


def _placed(
    points: Sequence[TradePoint],
    yours: YourPoint | None,
    by: Axis,
    x_range: Sequence[float] | None,
    y_range: Sequence[float] | None,
    height: float,
) -> dict[TradePoint, str]:
    """Return where each point's label stands; empty where it is left out."""
    found = dict.fromkeys(points, "")
    if x_range is None or y_range is None:
        return found
    shown = [
        point
        for point in sorted(points, key=lambda point: (point.series != "dense", not point.is_own))
        if _is_between(point.quality, y_range) and _is_between(_across(point, by), x_range)
    ]
    marks = [
        Mark(
            _share(_across(point, by), x_range),
            _share(point.quality, y_range),
            _size(point),
            point.label,
            "bottom left" if point.series == "dense" else _PLACE,
        )
        for point in shown
    ]
    if yours is not None:
        # Where it was measured, it stands on a mark whose label goes past its corners.
        x, y = _share(_across(yours, by), x_range), _share(yours.quality, y_range)
        marks.append(Mark(x, y, _YOURS / 1.6))
    return found | dict(zip(shown, places(marks, height), strict=False))


def _share(value: float | None, ends: Sequence[float]) -> float:
    return 0.0 if value is None else (value - ends[0]) / (ends[1] - ends[0])


def _size(point: TradePoint) -> int:
    return 13 if point.is_own else 11


def _ranges(
    points: Sequence[TradePoint],
    line: Sequence[CurvePoint],
    mark: YourPoint | None,
    limit: Limit | None,
    by: Axis,
    is_flipped: bool,
) -> tuple[list[float] | None, list[float] | None]:
    """Return the ends of both axes: as far as the product's own models and the slider reach."""
    focus = [point for point in points if point.series in _FOCUS] or list(points)
    upward = [*(end for point in focus for end in (*point.interval, point.quality))]
    if mark is not None:
        upward.append(mark.quality)
    if not points:
        upward += [point.quality for point in line]
    if limit is not None and limit.axis == "quality":
        upward.append(limit.value)
    y_range = _padded(upward, is_flipped, _AIR_ABOVE)
    if y_range is None:
        return None, None
    across = list(_x_ends(focus, by))
    across += [
        x for point in line if (x := _across(point, by)) and _is_between(point.quality, y_range)
    ]
    if mark is not None and (x := _across(mark, by)) is not None:
        across.append(x)
    if limit is not None and limit.axis == by:
        across.append(limit.value)
    return _padded(across, False, _AIR), y_range


def _x_ends(points: Sequence[TradePoint], by: Axis) -> Iterator[float]:
    for point in points:
        if by == "latency" and point.latency_interval is not None:
            yield from point.latency_interval
        if (x := _across(point, by)) is not None:
            yield x


def _across(point: TradePoint | CurvePoint | YourPoint, by: Axis) -> float | None:
    return point.latency if by == "latency" else point.megabytes


def _quality_ends(point: TradePoint) -> tuple[float, float]:
    return point.quality - point.interval[0], point.interval[1] - point.quality


def _latency_ends(point: TradePoint) -> tuple[float, float]:
    if point.latency is None or point.latency_interval is None:
        return 0.0, 0.0
    return point.latency - point.latency_interval[0], point.latency_interval[1] - point.latency


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


def _is_between(value: float | None, ends: Sequence[float]) -> bool:
    return value is not None and min(ends) <= value <= max(ends)


def _padded(values: Sequence[float], is_flipped: bool, above: float) -> list[float] | None:
    """Return the ends of an axis with some air, most at the far end; high to low if flipped."""
    if not values:
        return None
    low, high = min(values), max(values)
    span = high - low or 0.1 * abs(high) or 1.0
    if is_flipped:
        return [high + _AIR * span, low - above * span]
    return [low - _AIR * span, high + above * span]
