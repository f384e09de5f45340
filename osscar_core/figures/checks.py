"""What checks found: losses by group, quality under disturbance, shift over the months.

The decision hidden here: shapes for verdicts. A group that loses is a square, one that is
proven a circle, one that is open a hollow diamond, one of too few items a cross; of two
models the dense one has a solid line and crosses, the pruned one a dashed line and circles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from osscar_core.figures.style import BEST, LINE, YOURS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Verdict = Literal["confirmed", "not-proven", "loss-found", "small"]
Action = Literal["none", "watch", "recheck"]

_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "loss-found": (YOURS, "square"),
    "not-proven": (LINE, "diamond-open"),
    "confirmed": (BEST, "circle"),
    "small": ("#8A8A8A", "x-thin-open"),
}
_ACTIONS: dict[Action, tuple[str, str]] = {
    "none": (BEST, "circle"),
    "watch": ("#E69F00", "diamond"),
    "recheck": (YOURS, "square"),
}
_ROW, _AROUND = 38, 128
_LONGEST = 26
_DAYS, _HOURS = "%Y-%m-%d", "%Y-%m-%d\n%H:%M"
_FEW_DAYS = 2


@dataclass(frozen=True, slots=True)
class ForestRow:
    """The loss of one group of items.

    Attributes:
        label: What the group is called, with its number of items.
        loss: How much worse the pruned model is, in points or per cent.
        low: Lower end of its interval.
        high: Upper end.
        verdict: What that says of the margin.
        told: The numbers in words.
    """

    label: str
    loss: float
    low: float
    high: float
    verdict: Verdict
    told: str


@dataclass(frozen=True, slots=True)
class QualityLine:
    """Quality over the strength of a disturbance.

    Attributes:
        strengths: From 0 to 100.
        dense: Quality of the dense model.
        pruned: Quality of the pruned one.
    """

    strengths: tuple[float, ...]
    dense: tuple[float, ...]
    pruned: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """One check of the shift.

    Attributes:
        when: In ISO form, in the reader's time.
        ratio: Distance over threshold.
        action: What is to be done about it.
        told: The numbers in words.
    """

    when: str
    ratio: float
    action: Action
    told: str


def forest(
    rows: Sequence[ForestRow], *, margin: float, words: Mapping[str, str], dark: bool
) -> Figure:
    """Draw losses with their intervals, the first row on top.

    Args:
        rows: All items first, then groups.
        margin: The loss that is acceptable, drawn as a line.
        words: ``axis``, ``margin``, and a name for every verdict there is.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    for verdict, (colour, symbol) in _VERDICTS.items():
        mine = [(place, row) for place, row in enumerate(rows) if row.verdict == verdict]
        if not mine:
            continue
        is_small = verdict == "small"
        figure.add_scatter(
            x=[row.loss for _, row in mine],
            y=[place for place, _ in mine],
            mode="markers",
            name=words[verdict],
            marker={
                "color": colour,
                "symbol": symbol,
                "size": 11,
                "line": {"color": colour if "open" in symbol else ink(dark), "width": 1.6},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row.high - row.loss for _, row in mine],
                "arrayminus": [row.loss - row.low for _, row in mine],
                "color": colour,
                "thickness": 1 if is_small else 2,
                "width": 3 if is_small else 6,
            },
            customdata=[[escape(row.told)] for _, row in mine],
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
    apply(figure, dark=dark)
    figure.add_vline(x=0, line={"color": ink(dark), "width": 1})
    figure.add_vline(
        x=margin,
        line={"color": YOURS, "width": 2, "dash": "dash"},
        annotation={"text": words["margin"], "yanchor": "bottom", "xanchor": "center"},
        annotation_position="top",
    )
    labels = [_short(row.label) for row in rows]
    figure.update_layout(
        height=_AROUND + _ROW * len(rows),
        margin={"t": 24, "b": 84},
        showlegend=True,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        xaxis={"title": words["axis"], "fixedrange": True},
        yaxis={
            "range": [len(rows) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(len(rows))),
            "ticktext": [f"<b>{labels[0]}</b>", *labels[1:]] if labels else [],
            "fixedrange": True,
        },
    )
    return figure


def stress_curve(line: QualityLine, *, words: Mapping[str, str], dark: bool) -> Figure:
    """Draw the quality of both models over the strength of one disturbance.

    Args:
        line: The points.
        words: ``strength``, ``quality``, ``dense`` and ``pruned``.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    looks = (
        ("dense", line.dense, ink(dark), "cross", "solid"),
        ("pruned", line.pruned, LINE, "circle-open", "dash"),
    )
    for name, values, colour, symbol, dash in looks:
        figure.add_scatter(
            x=list(line.strengths),
            y=list(values),
            mode="lines+markers",
            name=words[name],
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.6}},
            hovertemplate=f"{words[name]}: %{{y:.3g}} (%{{x:.0f}}%)<extra></extra>",
        )
    apply(figure, dark=dark)
    figure.update_layout(
        height=260,
        margin={"t": 30},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": words["strength"], "fixedrange": True, "tickvals": [0, 25, 50, 75, 100]},
        yaxis={"title": words["quality"], "fixedrange": True},
    )
    return figure


def shift_timeline(
    dots: Sequence[Dot], *, limits: Mapping[str, float], words: Mapping[str, str], dark: bool
) -> Figure:
    """Draw the distance of every check over its threshold.

    Args:
        dots: By time.
        limits: Heights of lines by what is to be done above them.
        words: ``axis``, ``when``, a name for every action, and for the limits.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=[dot.when for dot in dots],
        y=[dot.ratio for dot in dots],
        mode="lines",
        line={"color": ink(dark), "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
    for action, (colour, symbol) in _ACTIONS.items():
        mine = [dot for dot in dots if dot.action == action]
        if mine:
            figure.add_scatter(
                x=[dot.when for dot in mine],
                y=[dot.ratio for dot in mine],
                mode="markers",
                name=words[action],
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 13,
                    "line": {"color": ink(dark), "width": 1},
                },
                customdata=[[escape(dot.told)] for dot in mine],
                hovertemplate="%{customdata[0]}<extra></extra>",
            )
    apply(figure, dark=dark)
    for name, height in limits.items():
        figure.add_hline(
            y=height,
            line={"color": _ACTIONS[name][0], "width": 2, "dash": "dash"},  # type: ignore[index]
            annotation={"text": words[f"limit.{name}"], "xanchor": "left", "yanchor": "bottom"},
            annotation_position="top left",
        )
    days = {dot.when[:10] for dot in dots}
    is_long = len(days) > _FEW_DAYS
    top = max([*limits.values(), *(dot.ratio for dot in dots)])
    figure.update_layout(
        height=340,
        showlegend=True,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={
            "title": words["when"],
            "fixedrange": True,
            "type": "date",
            "tickformat": _DAYS if is_long else _HOURS,
            "nticks": 5,
        },
        yaxis={"title": words["axis"], "fixedrange": True, "range": [0, 1.15 * top]},
    )
    if len(dots) == 1:
        figure.update_xaxes(tickvals=[dots[0].when])
    return figure


def _short(text: str) -> str:
    """Return a label that leaves room for the figure on a phone, in two lines."""
    name, _, count = text.rpartition("\n")
    cut = f"{name[: _LONGEST - 1]}…" if len(name) > _LONGEST else name
    return f"{escape(cut)}<br>{escape(count)}" if cut else escape(text)
