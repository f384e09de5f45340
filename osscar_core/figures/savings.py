"""Which assumption matters most, drawn.

The decision hidden here: one row an input, with the result at its low value hatched and at
its high value plain, both from the line of the typical result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osscar_core.figures.style import LINE, YOURS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_ROW, _AROUND = 34, 120


@dataclass(frozen=True, slots=True)
class SwingBar:
    """How far one input moves the result.

    Attributes:
        label: What it is called.
        at_low: Result at its low value.
        at_high: Result at its high one.
        told_low: The first in words.
        told_high: The second.
    """

    label: str
    at_low: float
    at_high: float
    told_low: str
    told_high: str


def swings(
    bars: Sequence[SwingBar], *, typical: float, words: Mapping[str, str], dark: bool
) -> Figure:
    """Draw what moves a result, the first bar on top.

    Args:
        bars: One an input.
        typical: The result with all inputs typical.
        words: ``axis``, ``low``, ``high``, and the ``format`` of numbers on the axis.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    figure = go.Figure()
    labels = [bar.label for bar in bars]
    looks = (
        ("low", YOURS, "/", [(bar.at_low, bar.told_low) for bar in bars]),
        ("high", LINE, "", [(bar.at_high, bar.told_high) for bar in bars]),
    )
    for name, colour, pattern, ends in looks:
        figure.add_bar(
            y=labels,
            x=[value - typical for value, _ in ends],
            base=[typical] * len(bars),
            orientation="h",
            name=words[name],
            marker={
                "color": colour,
                "pattern": {
                    "shape": pattern,
                    "fgcolor": ink(dark),
                    "fillmode": "overlay",
                    "size": 6,
                },
                "line": {"color": ink(dark), "width": 1},
            },
            customdata=[[told] for _, told in ends],
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
    apply(figure, dark=dark)
    figure.add_vline(x=typical, line={"color": ink(dark), "width": 2})
    figure.add_vline(x=0, line={"color": ink(dark), "width": 1, "dash": "dot"})
    figure.update_layout(
        height=_AROUND + _ROW * len(bars),
        barmode="overlay",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": words["axis"], "fixedrange": True, "tickformat": words["format"]},
        yaxis={"autorange": "reversed", "fixedrange": True},
    )
    return figure
