"""Many runs as lines across axes: which way is better, and what tells them apart."""

from __future__ import annotations

import pytest

from osscar_core.figures import ParallelAxis, ParallelLine, parallel


def test_lines_across_axes_put_the_better_value_on_top() -> None:
    axes = [
        ParallelAxis("Accuracy, %", (60.0, 80.0, 70.0), is_flipped=False, write=str),
        ParallelAxis("Perplexity, reversed", (20.0, 40.0, 30.0), is_flipped=True, write=str),
        ParallelAxis("Size, MB", (5.0, 5.0, 5.0), is_flipped=True, write=str),
    ]
    lines = [ParallelLine("osscar", f"hover {n}", f"run-{n}") for n in range(2)]
    lines.append(ParallelLine("random", "hover 2", "run-2"))
    figure = parallel(axes, lines, names=str.upper, dark=True)
    heights = [list(trace.y) for trace in figure.data]
    assert heights == [[0, 1, 0.5], [1, 0, 0.5], pytest.approx([0.5, 0.5, 0.5])]
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    assert figure.data[0].marker.symbol != figure.data[2].marker.symbol
    assert figure.data[1].customdata[0][1] == "run-1"
    reversed_ticks = [note for note in figure.layout.annotations if note.x == 1]
    assert min(reversed_ticks, key=lambda note: note.y).text == "40.0"
