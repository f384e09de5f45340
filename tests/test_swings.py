"""The figure of what moves a result: lengths, places, and shapes beside colours."""

from __future__ import annotations

from osscar_core.figures import SwingBar, swings

WORDS = {"axis": "Net, ¥", "low": "at low", "high": "at high", "format": "~s"}
BARS = [
    SwingBar("Machines", -50.0, 300.0, "machines = 2: net -50", "machines = 8: net 300"),
    SwingBar("Effort", 120.0, 90.0, "effort = 1: net 120", "effort = 9: net 90"),
]


def test_bars_reach_from_the_typical_result_to_both_ends() -> None:
    figure = swings(BARS, typical=100.0, words=WORDS, dark=False)
    low, high = figure.data
    assert [base + x for base, x in zip(low.base, low.x, strict=True)] == [-50.0, 120.0]
    assert [base + x for base, x in zip(high.base, high.x, strict=True)] == [300.0, 90.0]
    assert list(low.y) == ["Machines", "Effort"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert {shape.x0 for shape in figure.layout.shapes} == {100.0, 0}


def test_ends_are_told_apart_without_colour_and_in_words() -> None:
    low, high = swings(BARS, typical=100.0, words=WORDS, dark=True).data
    assert (low.name, high.name) == ("at low", "at high")
    assert low.marker.pattern.shape != high.marker.pattern.shape
    assert low.customdata[0][0] == "machines = 2: net -50"
