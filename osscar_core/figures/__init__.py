"""Records to Plotly figures.

No Streamlit, no torch; plotly is imported when a figure is made. Words come from the
caller, who knows the reader's language.
"""

from osscar_core.figures.answers import answers
from osscar_core.figures.checks import (
    Dot,
    ForestRow,
    QualityLine,
    forest,
    shift_timeline,
    stress_curve,
)
from osscar_core.figures.layers import (
    MOST_SQUARES,
    Cell,
    Layer,
    cells,
    is_wide,
    kept_map,
    output_errors,
    removed_shares,
    sensitivity,
    short_names,
)
from osscar_core.figures.parallel import ParallelAxis, ParallelLine, parallel
from osscar_core.figures.savings import SwingBar, swings
from osscar_core.figures.style import MARKS
from osscar_core.figures.tradeoff import (
    CurvePoint,
    Limit,
    TradePoint,
    TradeWords,
    YourPoint,
    tradeoff,
    tradeoff_legend,
)

__all__ = [
    "MARKS",
    "MOST_SQUARES",
    "Cell",
    "CurvePoint",
    "Dot",
    "ForestRow",
    "Layer",
    "Limit",
    "ParallelAxis",
    "ParallelLine",
    "QualityLine",
    "SwingBar",
    "TradePoint",
    "TradeWords",
    "YourPoint",
    "answers",
    "cells",
    "forest",
    "is_wide",
    "kept_map",
    "output_errors",
    "parallel",
    "removed_shares",
    "sensitivity",
    "shift_timeline",
    "short_names",
    "stress_curve",
    "swings",
    "tradeoff",
    "tradeoff_legend",
]
