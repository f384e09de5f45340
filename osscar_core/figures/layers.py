"""What became of the layers of one model.

The decision hidden here: how a layer's fate is drawn. A group that stays is a filled square
and one that went a hollow one, so nothing rests on colour. Squares are drawn in units of the
axes, so that they fit any width of the page; what is clicked are invisible markers on them,
since only markers and bars report a click. Every mark carries the id of its layer.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osscar_core.figures.style import MARKS, apply, ink

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_SQUARES = 64
"""Squares in a row of the kept map; layers of more groups are binned."""

_KEPT = "#0072B2"
_SELECTED = "rgba(213,94,0,0.20)"
_FULL = 0.42  # half the side of a square, in units of the axes
_MOST_TICKS = 24
_MOST_DECADES = 2.2  # with ticks between the powers of ten
_WIDE = 20.0  # from this ratio of errors on, their axis is logarithmic


@dataclass(frozen=True, slots=True)
class Layer:
    """One unit as the figures draw it, with the words for it.

    Attributes:
        id: What a click on it reports.
        label: Its name on an axis, where its structure is known.
        name: Its name in a sentence.
        structure: What its groups are called.
        groups: Groups before.
        kept: Groups that stay.
        support: Which; ``None`` where only their number is known.
        error: Relative change of its output, as a fraction.
        baseline: The same with the baseline; ``None`` for no comparison.
        is_protected: Whether nothing might be removed from it.
    """

    id: str
    label: str
    name: str
    structure: str
    groups: int
    kept: int
    support: tuple[int, ...] | None
    error: float
    baseline: float | None
    is_protected: bool = False

    @property
    def removed(self) -> float:
        """Share of the groups that went."""
        return 1 - self.kept / self.groups


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the kept map.

    Attributes:
        layer: The layer.
        column: Its place in the row.
        first: Its first group.
        last: Its last group.
        kept: How many of them stay; a fraction where only the layer's total is known.
    """

    layer: Layer
    column: int
    first: int
    last: int
    kept: float

    @property
    def share(self) -> float:
        """Share of its groups that stay."""
        return self.kept / (self.last - self.first + 1)


def cells(layer: Layer) -> list[Cell]:
    """Return the squares of a layer: one a group, or at most `MOST_SQUARES` bins of groups."""
    count = min(layer.groups, MOST_SQUARES)
    edges = [index * layer.groups // count for index in range(count + 1)]
    stays = sorted(set(layer.support or ()))
    found = []
    for column, (first, end) in enumerate(itertools.pairwise(edges)):
        kept = float(bisect_left(stays, end) - bisect_left(stays, first))
        if layer.support is None:
            kept = (end - first) * layer.kept / layer.groups
        found.append(Cell(layer, column, first, end - 1, kept))
    return found


def kept_map(
    layers: Sequence[Layer],
    *,
    words: Mapping[str, str],
    describe: Callable[[Cell], str],
    selected: str = "",
    dark: bool = False,
) -> Figure:
    """Draw which groups of every layer stay: one row a layer, one square a group or bin.

    A square of several groups is filled from below as far as they stay. Where only the number
    of groups kept is known, a row is one bar, filled as far as groups stay.

    Args:
        layers: From the top down, all of one structure.
        words: ``kept``, ``removed``, and the titles ``layer`` and ``group``.
        describe: Text shown on hover.
        selected: Id of the layer spoken about.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    tone = ink(dark)
    figure = go.Figure()
    rows = [(row, cell) for row, layer in enumerate(layers) for cell in cells(layer)]
    told = [(row, cell) for row, cell in rows if cell.layer.support is not None]
    hollow = [_square(cell.column, row) for row, cell in told if cell.share < 1]
    filled = [_square(cell.column, row, cell.share) for row, cell in told if cell.kept]
    for row, layer in enumerate(layers):
        if layer.support is None:
            columns = min(layer.groups, MOST_SQUARES)
            hollow.append(_bar(row, columns))
            filled.append(_bar(row, columns * layer.kept / layer.groups))
    common: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip"}
    figure.add_scatter(
        **_outlines(hollow), name=words["removed"], line={"color": tone, "width": 0.8}, **common
    )
    figure.add_scatter(
        **_outlines(filled),
        name=words["kept"],
        fill="toself",
        fillcolor=_KEPT,
        line={"color": _KEPT, "width": 0.5},
        **common,
    )
    figure.add_scatter(
        x=[cell.column for _, cell in rows],
        y=[row for row, _ in rows],
        mode="markers",
        showlegend=False,
        marker={"symbol": "square", "size": 12, "opacity": 0},
        **_unchanged(opacity=0.0),
        customdata=[[cell.layer.id] for _, cell in rows],
        text=[describe(cell) for _, cell in rows],
        hovertemplate="%{text}<extra></extra>",
    )
    columns = max((min(layer.groups, MOST_SQUARES) for layer in layers), default=1)
    has_lock = any(layer.is_protected for layer in layers)
    apply(figure, dark=dark)
    figure.update_layout(
        height=74 + len(layers) * (16 if len(layers) > 12 else 24),
        margin={"t": 4},
        showlegend=False,
        hovermode="closest",
        shapes=[
            *_bands([row for row, each in enumerate(layers) if each.id == selected], "y"),
            *(_lock(row, tone) for row, layer in enumerate(layers) if layer.is_protected),
        ],
        xaxis={
            "title": words["group"],
            "range": [-2.2 if has_lock else -0.8, columns - 0.2],
            "showgrid": False,
            "fixedrange": True,
            "tickmode": "array",
            **_group_ticks(layers, columns),
        },
        yaxis={
            "title": words["layer"],
            "range": [len(layers) - 0.4, -0.6],
            "showgrid": False,
            "fixedrange": True,
            "tickmode": "array",
            "tickvals": list(range(len(layers))),
            "ticktext": _labels(layers, selected),
        },
    )
    return figure


def removed_shares(
    layers: Sequence[Layer],
    *,
    words: Mapping[str, str],
    describe: Callable[[Layer], str],
    selected: str = "",
    dark: bool = False,
) -> Figure:
    """Draw the share removed from every layer as a bar.

    Args:
        layers: In forward order.
        words: The titles ``layer`` and ``removed``.
        describe: Text shown on hover.
        selected: Id of the layer spoken about.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    ordered, places = _places(layers)
    figure = go.Figure()
    figure.add_bar(
        x=places,
        y=[100 * layer.removed for layer in ordered],
        marker={
            "color": "rgba(153,153,153,0.35)",
            "line": {"color": ink(dark), "width": 1},
            "pattern": {"shape": "/", "size": 6, "solidity": 0.3},
        },
        **_unchanged(),
        customdata=[[layer.id] for layer in ordered],
        text=[describe(layer) for layer in ordered],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    apply(figure, dark=dark)
    figure.update_layout(
        showlegend=False,
        margin={"t": 24},
        yaxis={"title": words["removed"], "range": [0, 100], "fixedrange": True},
    )
    return _layer_axis(figure, ordered, places, words["layer"], selected)


def is_wide(layers: Sequence[Layer]) -> bool:
    """Return whether the errors differ so much that their axis is logarithmic."""
    errors = [error for layer in layers for error in (layer.error, layer.baseline) if error]
    return bool(errors) and max(errors) > _WIDE * min(errors)


def output_errors(
    layers: Sequence[Layer],
    *,
    words: Mapping[str, str],
    series: str,
    selected: str = "",
    dark: bool = False,
) -> Figure:
    """Draw how much every layer's output changed, next to the same with the baseline.

    A change of exactly nothing has no place on a logarithmic axis and is left out there.

    Args:
        layers: In forward order.
        words: The titles ``layer``, ``error`` and, for a logarithmic axis, ``error_log``; the
            names ``method`` and ``baseline``.
        series: The method, a key of `MARKS`.
        selected: Id of the layer spoken about.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    ordered, places = _places(layers)
    is_log = is_wide(layers)
    tone = ink(dark)
    figure = go.Figure()

    def height(error: float | None) -> float | None:
        return None if error is None or (is_log and error == 0) else 100 * error

    pairs = [(height(layer.error), height(layer.baseline)) for layer in ordered]
    figure.add_scatter(
        x=[x for place in places for x in (place, place, None)],
        y=[y for pair in pairs for y in (*pair, None)],
        mode="lines",
        line={"color": tone, "width": 1},
        opacity=0.5,
        hoverinfo="skip",
        showlegend=False,
    )
    drawn = [(words["method"], series, [first for first, _ in pairs])]
    if any(second is not None for _, second in pairs):
        drawn.append((words["baseline"], "magnitude", [second for _, second in pairs]))
    for label, kind, values in drawn:
        colour, symbol = MARKS[kind]
        figure.add_scatter(
            x=places,
            y=values,
            mode="markers",
            name=label,
            marker={
                "symbol": symbol,
                "color": colour,
                "size": 9,
                "line": {"color": tone, "width": 0.8},
            },
            **_unchanged(),
            customdata=[[layer.id, layer.name] for layer in ordered],
            hovertemplate="%{customdata[1]}<br>" + label + ": %{y:.3g}%<extra></extra>",
        )
    apply(figure, dark=dark)
    axis: dict[str, Any] = {"title": words["error"], "rangemode": "tozero", "fixedrange": True}
    if is_log:
        ticks = _log_ticks([y for pair in pairs for y in pair if y])
        axis = {
            "title": words["error_log"],
            "type": "log",
            "tickmode": "array",
            "tickvals": ticks,
            "ticktext": [f"{tick:g}" for tick in ticks],
            "fixedrange": True,
        }
    figure.update_layout(yaxis=axis)
    return _layer_axis(figure, ordered, places, words["layer"], selected)


def sensitivity(
    groups: int,
    widths: Sequence[int],
    divergences: Sequence[float],
    *,
    curve: Sequence[tuple[int, float]],
    here: tuple[int, float] | None,
    words: Mapping[str, str],
    dark: bool = False,
) -> Figure:
    """Draw how far the model's answers drift when one layer alone is cut.

    Args:
        groups: The layer's groups.
        widths: Groups that stayed where it was measured.
        divergences: The divergence measured there.
        curve: Further widths with the divergence predicted there.
        here: The width of the run spoken about, with the divergence predicted there; ``None``
            to leave it out.
        words: The titles ``removed`` and ``divergence``; the names ``measured``,
            ``estimate`` and ``here``.
        dark: Whether the page is dark.
    """
    from plotly import graph_objects as go

    def share(width: float) -> float:
        return 100 * (1 - width / groups)

    tone = ink(dark)
    figure = go.Figure()
    figure.add_scatter(
        x=[share(width) for width, _ in curve],
        y=[predicted for _, predicted in curve],
        mode="lines",
        name=words["estimate"],
        line={"color": _KEPT, "width": 1.5, "dash": "dash"},
        hovertemplate="%{x:.0f}%: %{y:.3g}<extra></extra>",
    )
    figure.add_scatter(
        x=[share(width) for width in widths],
        y=list(divergences),
        mode="markers",
        name=words["measured"],
        marker={"color": _KEPT, "size": 9, "line": {"color": tone, "width": 0.8}},
        hovertemplate="%{x:.0f}%: %{y:.3g}<extra></extra>",
    )
    if here is not None:
        figure.add_scatter(
            x=[share(here[0])],
            y=[here[1]],
            mode="markers",
            name=words["here"],
            marker={
                "symbol": "diamond-open",
                "color": "#D55E00",
                "size": 13,
                "line": {"width": 2.2},
            },
            hovertemplate="%{x:.0f}%: %{y:.3g}<extra></extra>",
        )
    apply(figure, dark=dark)
    figure.update_layout(
        height=260,
        margin={"t": 8},
        xaxis={"title": words["removed"], "range": [-3, 103], "fixedrange": True},
        yaxis={"title": words["divergence"], "rangemode": "tozero", "fixedrange": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def _square(column: int, row: int, share: float = 1.0) -> tuple[float, float, float, float]:
    """Return the sides of a square, or of its lower part; rows count downwards."""
    low = row + _FULL
    return column - _FULL, column + _FULL, low, low - 2 * _FULL * share


def _bar(row: int, length: float) -> tuple[float, float, float, float]:
    return -0.5, length - 0.5, row + _FULL / 2, row - _FULL / 2


def _outlines(boxes: Sequence[tuple[float, float, float, float]]) -> dict[str, Any]:
    """Return boxes as one line with gaps: thousands of them are one element to draw."""
    import numpy as np

    left, right, low, high = np.array(boxes, np.float32).reshape(-1, 4).T
    gap = np.full_like(left, np.nan)
    return {
        "x": np.stack((left, right, right, left, left, gap), axis=1).ravel(),
        "y": np.stack((low, low, high, high, low, gap), axis=1).ravel(),
    }


def _lock(row: int, tone: str) -> dict[str, Any]:
    """Return a padlock at the beginning of a row; fonts cannot be relied on for one."""
    return {
        "type": "path",
        "path": "M -4,-4 L 4,-4 L 4,2 L 2.5,2 L 2.5,6 L -2.5,6 L -2.5,2 L -4,2 Z "
        "M -1.2,2 L 1.2,2 L 1.2,4.6 L -1.2,4.6 Z",
        "xsizemode": "pixel",
        "ysizemode": "pixel",
        "xanchor": -1.3,
        "yanchor": row,
        "fillcolor": tone,
        "fillrule": "evenodd",
        "line": {"width": 0},
    }


def _bands(places: Sequence[float], axis: str) -> Iterator[dict[str, Any]]:
    """Yield a band behind what is selected."""
    other = "x" if axis == "y" else "y"
    for place in places:
        yield {
            "type": "rect",
            "layer": "below",
            "fillcolor": _SELECTED,
            "line": {"color": "#D55E00", "width": 1},
            f"{other}ref": "paper",
            f"{other}0": 0,
            f"{other}1": 1,
            f"{axis}0": place - 0.5,
            f"{axis}1": place + 0.5,
        }


def _log_ticks(heights: Sequence[float]) -> list[float]:
    """Return where a logarithmic axis has ticks: 1, 2 and 5 of every power of ten, or 1 alone.

    Written in full by the caller: the library abbreviates the ones between.
    """
    low, high = math.log10(min(heights)), math.log10(max(heights))
    steps = (1, 2, 5) if high - low <= _MOST_DECADES else (1,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    return [step * 10.0**exponent for exponent in exponents for step in steps]


def _unchanged(opacity: float = 1.0) -> dict[str, Any]:
    """Return what keeps a click from fading everything else: the selection is a band."""
    same = {"marker": {"opacity": opacity}}
    return {"selected": same, "unselected": same}


def _labels(layers: Sequence[Layer], selected: str) -> list[str]:
    return [f"<b>{each.label}</b>" if each.id == selected else each.label for each in layers]


def _group_ticks(layers: Sequence[Layer], columns: int) -> dict[str, list[Any]]:
    """Return ticks with the groups' own numbers; none where rows are binned unlike."""
    counts = {layer.groups for layer in layers if layer.groups > MOST_SQUARES}
    if counts and (len(counts) > 1 or min(layer.groups for layer in layers) <= MOST_SQUARES):
        return {"tickvals": [], "ticktext": []}
    step = max(1, columns // 8)
    vals = list(range(0, columns, step))
    scale = max((layer.groups for layer in layers), default=1)
    return {
        "tickvals": vals,
        "ticktext": [str(value * scale // columns if counts else value) for value in vals],
    }


def _places(layers: Sequence[Layer]) -> tuple[list[Layer], list[float]]:
    """Return the layers by structure, and their places along the axis, with gaps between."""
    kinds = list(dict.fromkeys(layer.structure for layer in layers))
    ordered = sorted(layers, key=lambda layer: kinds.index(layer.structure))
    return ordered, [i + kinds.index(layer.structure) for i, layer in enumerate(ordered)]


def _layer_axis(
    figure: Figure, layers: Sequence[Layer], places: Sequence[float], title: str, selected: str
) -> Figure:
    """Label the layers, thinned out when there are many, and name their structures."""
    step = max(1, math.ceil(len(layers) / _MOST_TICKS))
    shown = [
        index for index, layer in enumerate(layers) if index % step == 0 or layer.id == selected
    ]
    labels = _labels(layers, selected)
    kinds = list(dict.fromkeys(layer.structure for layer in layers))
    notes = []
    if len(kinds) > 1:
        for kind in kinds:
            mine = [p for layer, p in zip(layers, places, strict=True) if layer.structure == kind]
            is_last = kind == kinds[-1]
            # One above the other, from both ends: long names on a phone do not meet.
            notes.append(
                {
                    "text": kind,
                    "x": mine[-1] + 0.5 if is_last else mine[0] - 0.5,
                    "xanchor": "right" if is_last else "left",
                    "y": 1,
                    "yref": "paper",
                    "yanchor": "bottom",
                    "yshift": 16 * (len(kinds) - 1 - kinds.index(kind)),
                    "showarrow": False,
                }
            )
    chosen = [p for layer, p in zip(layers, places, strict=True) if layer.id == selected]
    extra = 16 * len(notes)
    figure.update_layout(
        height=340 + extra,
        margin={"t": (figure.layout.margin.t or 0) + extra},
        hovermode="closest",
        shapes=list(_bands(chosen, "x")),
        annotations=notes,
        xaxis={
            "tickmode": "array",
            "tickvals": [places[index] for index in shown],
            "ticktext": [labels[index] for index in shown],
            "range": [-0.7, (places[-1] if places else 0) + 0.7],
            "title": title,
            "showgrid": False,
            "fixedrange": True,
        },
        legend={
            "orientation": "h",
            "y": 1.2 if notes else 1.02,
            "yanchor": "bottom",
            "x": 0,
        },
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
