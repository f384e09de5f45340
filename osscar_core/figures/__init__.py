"""Records to Plotly figures.

No Streamlit, no torch; plotly is imported when a figure is made. Words come from the
caller, who knows the reader's language.
"""

from osscar_core.figures.layers import short_names, unit_errors, unit_shares
from osscar_core.figures.style import MARKS
from osscar_core.figures.tradeoff import (
    CurvePoint,
    Limit,
    TradePoint,
    TradeWords,
    YourPoint,
    tradeoff,
)

__all__ = [
    "MARKS",
    "CurvePoint",
    "Limit",
    "TradePoint",
    "TradeWords",
    "YourPoint",
    "short_names",
    "tradeoff",
    "unit_errors",
    "unit_shares",
]
