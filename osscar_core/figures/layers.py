"""What became of the layers of one model.

The decision hidden here: how a layer's fate is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from osscar_core.figures.style import MARKS, apply, ink
from osscar_core.records import UnitReport

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


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
    apply(figure, dark=dark)
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
    colour = ink(dark)
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
                "line": {"color": colour, "width": 0.5},
                "pattern": {"shape": "" if series == "osscar" else "/", "solidity": 0.25},
            },
            hovertemplate="%{x}<br>" + label + ": %{y:.3g}%<extra></extra>",
        )
    apply(figure, dark=dark)
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
