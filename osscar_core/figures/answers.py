"""A classifier's best answers to one picture.

The decision hidden here: which answer stands out. The true class is hatched; the bar's
length is the probability, which is also written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from osscar_core.figures.style import apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def answers(guesses: Sequence[tuple[str, float, bool]], *, title: str, dark: bool) -> Figure:
    """Draw answers as horizontal bars, the best on top.

    Args:
        guesses: Per answer its name, its probability and whether it is the true class.
        title: Of the axis.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    tone = ink(dark)
    figure = go.Figure()
    figure.add_bar(
        x=[100 * share for _, share, _ in guesses],
        y=list(range(len(guesses))),
        orientation="h",
        marker={
            "color": ["#009E73" if is_true else "#999999" for _, _, is_true in guesses],
            "line": {"color": tone, "width": 0.8},
            "pattern": {"shape": ["/" if is_true else "" for _, _, is_true in guesses]},
        },
        text=[f"{100 * share:.1f}%" for _, share, _ in guesses],
        textposition="outside",
        cliponaxis=False,
        customdata=[[escape(name)] for name, _, _ in guesses],
        hovertemplate="%{customdata[0]}: %{text}<extra></extra>",
    )
    apply(figure, dark=dark)
    figure.update_layout(
        height=76 + 30 * len(guesses),
        margin={"t": 4, "r": 16},
        showlegend=False,
        xaxis={"range": [0, 118], "tickvals": [0, 50, 100], "title": title, "fixedrange": True},
        yaxis={
            "range": [len(guesses) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(len(guesses))),
            "ticktext": [escape(name) for name, _, _ in guesses],
            "showgrid": False,
            "fixedrange": True,
        },
    )
    return figure
