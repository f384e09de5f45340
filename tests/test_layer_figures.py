"""Figures of layers: which squares are filled, what a click reports, which axis is used."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

from osscar_core.figures import (
    Layer,
    answers,
    cells,
    is_wide,
    kept_map,
    output_errors,
    removed_shares,
    sensitivity,
    short_names,
)

WORDS = {
    "kept": "K",
    "removed": "R",
    "layer": "L",
    "group": "G",
    "error": "E",
    "error_log": "E log",
    "method": "ours",
    "baseline": "theirs",
    "divergence": "D",
    "measured": "M",
    "estimate": "P",
    "here": "H",
}


def layer(name: str, groups: int = 8, kept: tuple[int, ...] = (0, 2, 3, 7), **more) -> Layer:
    settings = {
        "id": name,
        "label": name,
        "name": f"layer {name}",
        "structure": "heads",
        "groups": groups,
        "kept": len(kept),
        "support": kept,
        "error": 0.02,
        "baseline": 0.05,
    }
    return Layer(**{**settings, **more})


def drawn(figure) -> dict[str, object]:
    return {trace.name or "": trace for trace in figure.data}


def squares(trace) -> list[list[tuple[float, float]]]:
    """Return the shapes of an outline: five corners each, then a gap."""
    corners = np.stack((trace.x, trace.y), axis=1).reshape(-1, 6, 2)
    assert np.isnan(corners[:, 5]).all()
    return [[(float(x), float(y)) for x, y in shape[:5]] for shape in corners]


def a_map(layers, **more):
    return kept_map(layers, words=WORDS, describe=lambda cell: f"{cell.first}-{cell.last}", **more)


def test_every_group_has_its_square_filled_if_it_stays() -> None:
    figure = a_map([layer("a"), layer("b", kept=(5,))])
    kept, removed, targets = figure.data[1], figure.data[0], figure.data[2]
    filled = {(round(s[0][0] + 0.42), round(s[0][1] - 0.42)) for s in squares(kept)}
    hollow = {(round(s[0][0] + 0.42), round(s[0][1] - 0.42)) for s in squares(removed)}
    assert filled == {(0, 0), (2, 0), (3, 0), (7, 0), (5, 1)}
    assert filled | hollow == {(x, y) for x in range(8) for y in range(2)}
    assert not filled & hollow
    assert kept.fill == "toself"
    assert removed.fill is None
    assert [point[0] for point in targets.customdata] == ["a"] * 8 + ["b"] * 8
    assert list(targets.text)[:2] == ["0-0", "1-1"]


def test_many_groups_share_squares_that_are_filled_as_far_as_they_stay() -> None:
    many = layer("a", groups=200, kept=tuple(range(50)))
    found = cells(many)
    assert len(found) == 64
    assert found[0].first == 0
    assert found[-1].last == 199
    assert all(a.last + 1 == b.first for a, b in itertools.pairwise(found))
    assert sum(cell.kept for cell in found) == 50
    assert {cell.last - cell.first + 1 for cell in found} == {3, 4}
    (filled,) = (trace for trace in a_map([many]).data if trace.name == "K")
    heights = [max(y for _, y in s) - min(y for _, y in s) for s in squares(filled)]
    assert sum(height / 0.84 * (c.last - c.first + 1) for height, c in zip(
        heights, [cell for cell in found if cell.kept], strict=True
    )) == pytest.approx(50, abs=0.5)  # fmt: skip


def test_where_only_the_number_is_known_a_row_is_a_bar() -> None:
    figure = a_map([layer("a", kept=(0, 1), support=None)])
    (filled,) = squares(drawn(figure)["K"])
    (whole,) = squares(drawn(figure)["R"])
    assert max(x for x, _ in filled) - min(x for x, _ in filled) == pytest.approx(2)
    assert max(x for x, _ in whole) - min(x for x, _ in whole) == pytest.approx(8)


def test_the_selected_layer_has_a_band_and_a_protected_one_a_lock() -> None:
    figure = a_map([layer("a"), layer("b", is_protected=True)], selected="b")
    kinds = Counter(shape.type for shape in figure.layout.shapes)
    assert kinds == {"rect": 1, "path": 1}
    (band,) = (shape for shape in figure.layout.shapes if shape.type == "rect")
    assert (band.y0, band.y1) == (0.5, 1.5)
    assert list(figure.layout.yaxis.ticktext) == ["a", "<b>b</b>"]
    assert not a_map([layer("a")]).layout.shapes


def test_rows_binned_unlike_have_no_numbers_below() -> None:
    same = a_map([layer("a", groups=128, kept=tuple(range(128)))]).layout.xaxis
    assert list(same.ticktext)[:3] == ["0", "16", "32"]
    mixed = [layer("a"), layer("b", groups=128, kept=(1,))]
    assert list(a_map(mixed).layout.xaxis.ticktext) == []
    assert list(a_map([layer("a")]).layout.xaxis.ticktext) == [str(index) for index in range(8)]


def test_a_click_leaves_everything_else_as_it_was() -> None:
    figures = [
        a_map([layer("a")]),
        removed_shares([layer("a")], words=WORDS, describe=str),
        output_errors([layer("a")], words=WORDS, series="osscar"),
    ]
    for figure in figures:
        for trace in figure.data:
            if trace.customdata is not None:
                assert trace.unselected.marker.opacity == trace.selected.marker.opacity
                assert trace.customdata[0][0] == "a"


def test_shares_are_those_removed_with_a_gap_between_structures() -> None:
    layers = [layer("a"), layer("b", structure="neurons", kept=(1, 2)), layer("c")]
    figure = removed_shares(
        layers, words=WORDS, describe=lambda each: f"{each.kept} stay", selected="c"
    )
    (bars,) = figure.data
    assert [point[0] for point in bars.customdata] == ["a", "c", "b"]
    assert list(bars.y) == [50, 50, 75]
    assert list(bars.x) == [0, 1, 3]
    assert list(bars.text) == ["4 stay", "4 stay", "2 stay"]
    assert [note.text for note in figure.layout.annotations] == ["heads", "neurons"]
    (band,) = figure.layout.shapes
    assert (band.x0, band.x1) == (0.5, 1.5)


def test_errors_stand_beside_the_baseline_as_per_cent() -> None:
    figure = output_errors([layer("a")], words=WORDS, series="osscar", dark=True)
    assert list(drawn(figure)["ours"].y) == pytest.approx([2])
    assert list(drawn(figure)["theirs"].y) == pytest.approx([5])
    assert drawn(figure)["ours"].marker.symbol != drawn(figure)["theirs"].marker.symbol
    assert figure.layout.yaxis.title.text == "E"
    alone = output_errors([layer("a", baseline=None)], words=WORDS, series="magnitude-refit")
    assert "theirs" not in drawn(alone)


def test_a_wide_range_is_drawn_on_a_logarithmic_axis() -> None:
    layers = [layer("a", error=1e-5), layer("b", error=0.5), layer("c", error=0.0)]
    assert is_wide(layers)
    assert not is_wide([layer("a"), layer("b", error=0.0)])
    figure = output_errors(layers, words=WORDS, series="osscar")
    axis = figure.layout.yaxis
    assert axis.type == "log"
    assert axis.title.text == "E log"
    assert list(drawn(figure)["ours"].y) == [pytest.approx(1e-3), pytest.approx(50), None]
    assert list(axis.ticktext) == ["0.001", "0.01", "0.1", "1", "10", "100"]
    near = [layer("a", error=0.01), layer("b", error=0.4)]
    ticks = output_errors(near, words=WORDS, series="osscar").layout.yaxis.ticktext
    assert {"1", "2", "5", "10", "20", "50"} <= set(ticks)


def test_the_curve_of_one_layer_tells_measured_from_estimated() -> None:
    curve = [(8, 0.0), (6, 0.05), (4, 0.1), (2, 0.4)]
    figure = sensitivity(8, (2, 4, 8), (0.4, 0.1, 0.0), curve=curve, here=(6, 0.05), words=WORDS)
    measured, between, here = (drawn(figure)[name] for name in "MPH")
    assert list(measured.x) == [75, 50, 0]
    assert list(measured.y) == [0.4, 0.1, 0.0]
    assert measured.mode == "markers"
    assert list(between.x) == [0, 25, 50, 75]
    assert (between.mode, between.line.dash) == ("lines", "dash")
    assert (list(here.x), list(here.y)) == ([25], [0.05])
    assert here.marker.symbol == "diamond-open"
    without = sensitivity(8, (8,), (0.0,), curve=curve, here=None, words=WORDS)
    assert "H" not in drawn(without)


def test_answers_are_bars_with_the_true_class_hatched() -> None:
    figure = answers([("pit", 0.7, False), ("crack", 0.2, True)], title="T", dark=False)
    (bars,) = figure.data
    assert list(bars.x) == pytest.approx([70, 20])
    assert list(bars.marker.pattern.shape) == ["", "/"]
    assert list(bars.text) == ["70.0%", "20.0%"]
    assert list(figure.layout.yaxis.ticktext) == ["pit", "crack"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.layers.0.mlp.down", "model.layers.1.mlp.down"], ["0", "1"]),
        (["m.0.attn", "m.0.mlp", "m.1.attn"], ["0.attn", "0.mlp", "1.attn"]),
        (["only.one"], ["only.one"]),
        (["a", "a.b"], ["a", "a.b"]),
    ],
)
def test_names_are_shortened_to_what_tells_them_apart(names, expected) -> None:
    assert short_names(names) == expected


def test_many_layers_get_few_labels_but_the_selected_one_has_its_own() -> None:
    layers = [layer(str(index)) for index in range(60)]
    figure = removed_shares(layers, words=WORDS, describe=str, selected="31")
    assert len(figure.layout.xaxis.tickvals) <= 25
    assert "<b>31</b>" in figure.layout.xaxis.ticktext
    assert len(figure.data[0].x) == 60


def test_a_layer_knows_what_share_went() -> None:
    assert layer("a").removed == 0.5
    assert dataclasses.replace(layer("a"), kept=8).removed == 0
