"""Labels of marks: beside their mark, clear of each other, left out where there is no room."""

from __future__ import annotations

import pytest

from osscar_core.figures.labels import Mark, places

HEIGHT = 220.0


def test_a_mark_that_stands_alone_has_its_label_where_it_is_wanted() -> None:
    marks = [Mark(0.5, 0.5, 11, "50%"), Mark(0.9, 0.5, 13, "dense", "bottom left")]
    assert places(marks, HEIGHT) == ["top right", "bottom left"]


def test_a_mark_without_a_label_has_no_place_but_takes_room() -> None:
    marks = [Mark(0.5, 0.5, 11, "50%"), Mark(0.52, 0.56, 11)]
    assert places(marks, HEIGHT) == ["bottom right", ""]


def test_neighbours_share_the_room_around_them() -> None:
    marks = [Mark(0.5 + 0.002 * k, 0.5, 11, "50%") for k in range(3)]
    found = places(marks, HEIGHT)
    assert len(set(found)) == 3
    assert "" not in found


def test_the_label_that_matters_least_is_left_out_where_there_is_no_room() -> None:
    marks = [Mark(0.5, 0.5, 11, "a long label of a mark") for _ in range(6)]
    found = places(marks, HEIGHT)
    assert found[0] != ""
    assert found[-1] == ""


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.99, 0.5, "top left"), (0.01, 0.5, "top right"), (0.5, 0.99, "bottom right")],
)
def test_a_label_stays_between_the_axes(x: float, y: float, expected: str) -> None:
    assert places([Mark(x, y, 11, "50%")], HEIGHT) == [expected]


def test_a_wide_script_takes_more_room() -> None:
    x = 1 - 60 / 280
    assert places([Mark(x, 0.5, 11, "Models")], HEIGHT) == ["top right"]
    assert places([Mark(x, 0.5, 11, "元のモデル")], HEIGHT) == ["top left"]
