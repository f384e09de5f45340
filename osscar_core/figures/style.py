"""What all figures share: colours, shapes, ink, grid, margins.

The decision hidden here: the look. Colours are those of Okabe and Ito; nothing is told
apart by colour alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MARKS = {
    "dense": ("#000000", "cross"),
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

LINE = "#0072B2"
"""Colour of the line of estimates."""

YOURS = "#D55E00"
"""Colour of the mark where the slider stands."""

BEST = "#009E73"
"""Colour of the star at the best model within a limit."""


def ink(dark: bool) -> str:
    """Return the colour of text and outlines."""
    return "#ECEAE6" if dark else "#1B1F24"


def apply(figure: Figure, *, dark: bool) -> None:
    """Give a figure the common look, on a light or a dark page."""
    grid = "rgba(236,234,230,0.14)" if dark else "rgba(27,31,36,0.10)"
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        font={"color": ink(dark), "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="fixed",
        hoverlabel={"align": "left"},
        bargap=0.25,
    )
    figure.update_xaxes(gridcolor=grid, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=grid, zeroline=False, automargin=True)
