"""Many runs at once: one line a run across several axes.

The decision hidden here: every axis of a result points up for better, and says so where
that turns it over. Lines are drawn as scatters: their marks have shapes as well as colours,
and each tells its run on hover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osscar_core.figures.style import MARKS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_TICKS = 4


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """One axis.

    Attributes:
        title: What it is, with its unit and direction.
        values: One a line.
        is_flipped: Whether small values are at the top.
        write: Writes a number of the axis.
    """

    title: str
    values: tuple[float, ...]
    is_flipped: bool
    write: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class ParallelLine:
    """One run.

    Attributes:
        series: A method, a key of `MARKS`.
        hover: Text shown on hover, with ``<br>`` between lines.
        run_id: The run.
    """

    series: str
    hover: str
    run_id: str


def parallel(
    axes: Sequence[ParallelAxis],
    lines: Sequence[ParallelLine],
    *,
    names: Callable[[str], str] = str,
    dark: bool = False,
) -> Figure:
    """Draw every run as a line across all axes.

    Args:
        axes: From left to right, each with one value a line.
        lines: The runs.
        names: Gives the name of a series for the legend.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    tone = ink(dark)
    figure = go.Figure()
    at = list(range(len(axes)))
    heights = [_heights(axis) for axis in axes]
    seen: set[str] = set()
    for index, line in enumerate(lines):
        colour, symbol = MARKS[line.series]
        figure.add_scatter(
            x=at,
            y=[height[index] for height in heights],
            mode="lines+markers",
            name=names(line.series),
            legendgroup=line.series,
            showlegend=line.series not in seen,
            line={"color": colour, "width": 1.6},
            marker={
                "symbol": symbol,
                "size": 10,
                "color": colour,
                "line": {"color": tone, "width": 1},
            },
            opacity=0.85,
            customdata=[[line.hover, line.run_id]] * len(at),
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
        seen.add(line.series)
    apply(figure, dark=dark)
    figure.update_layout(
        height=420,
        xaxis={
            "tickvals": at,
            "ticktext": [_in_lines(axis.title) for axis in axes],
            "range": [-0.35, len(axes) - 0.65],
            "showgrid": False,
            "side": "bottom",
        },
        yaxis={"visible": False, "range": [-0.05, 1.08]},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    for place, axis in zip(at, axes, strict=True):
        figure.add_shape(
            type="line", x0=place, x1=place, y0=0, y1=1, line={"color": tone, "width": 1}
        )
        low, high = _ends(axis)
        for step in range(_TICKS + 1):
            share = step / _TICKS
            value = high - share * (high - low) if axis.is_flipped else low + share * (high - low)
            figure.add_annotation(
                x=place,
                y=share,
                text=axis.write(value),
                showarrow=False,
                xanchor="left" if place < len(axes) - 1 else "right",
                xshift=8 if place < len(axes) - 1 else -8,
                font={"size": 11, "color": tone},
                bgcolor="rgba(23,22,20,0.7)" if dark else "rgba(255,255,255,0.7)",
            )
    return figure


def _in_lines(title: str) -> str:
    """Return a title broken where its language pauses: between axes there is little room."""
    for pause, broken in ((", ", ",<br>"), ("、", "、<br>"), (" (", "<br>("), ("（", "<br>（")):
        title = title.replace(pause, broken)
    return title


def _ends(axis: ParallelAxis) -> tuple[float, float]:
    low, high = min(axis.values), max(axis.values)
    if low == high:
        air = 0.1 * abs(low) or 1.0
        return low - air, high + air
    return low, high


def _heights(axis: ParallelAxis) -> list[float]:
    """Return where on the axis each value stands, from 0 at the bottom to 1 at the top."""
    low, high = _ends(axis)
    shares = [(value - low) / (high - low) for value in axis.values]
    return [1 - share for share in shares] if axis.is_flipped else shares
