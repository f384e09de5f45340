from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from osscar_core.checks.attributes import attribute_shifts
from osscar_core.checks.records import AttributeShift, Light


def rows(seed: int, count: int, **columns: object) -> list[dict[str, str | float]]:
    rng = np.random.default_rng(seed)
    drawn = {
        name: rng.normal(*spec, count).tolist()
        if isinstance(spec, tuple)
        else rng.choice(spec, count).tolist()
        for name, spec in columns.items()
    }
    return [dict(zip(drawn, row, strict=True)) for row in zip(*drawn.values(), strict=True)]


def by_name(shifts: tuple[AttributeShift, ...]) -> dict[str, AttributeShift]:
    return {shift.name: shift for shift in shifts}


def test_numbers_are_compared_by_kolmogorov_and_smirnov() -> None:
    old, new = rows(0, 200, size=(0, 1)), rows(1, 150, size=(1, 1))
    (shift,) = attribute_shifts(old, new)
    expected = stats.ks_2samp([r["size"] for r in old], [r["size"] for r in new])
    assert shift.distance == pytest.approx(expected.statistic)
    assert shift.p_value == pytest.approx(expected.pvalue)
    assert shift.threshold == pytest.approx(1.358 * np.sqrt(350 / (200 * 150)), rel=1e-3)
    assert shift.light is not Light.GREEN
    assert "(" in shift.reference


def test_categories_are_compared_by_total_variation() -> None:
    old = [{"line": "A"}] * 60 + [{"line": "B"}] * 40
    new = [{"line": "A"}] * 10 + [{"line": "B"}] * 40 + [{"line": "C"}] * 50
    (shift,) = attribute_shifts(old, new)
    assert shift.distance == pytest.approx(0.5)
    assert shift.unseen == ("C",)
    assert shift.reference == "A 60%, B 40%"
    assert shift.light is Light.RED
    table = [[60, 40, 0], [10, 40, 50]]
    assert shift.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


def test_what_differs_most_comes_first_and_p_values_are_corrected() -> None:
    columns = {"a": (0, 1), "b": (0, 1), "c": ["x", "y"]}
    old = rows(0, 300, **columns)
    new = rows(1, 300, **{**columns, "b": (1, 1)})
    shifts = attribute_shifts(old, new)
    assert shifts[0].name == "b"
    alone = by_name(attribute_shifts([{"b": r["b"]} for r in old], [{"b": r["b"]} for r in new]))
    assert shifts[0].p_value == pytest.approx(3 * alone["b"].p_value)
    assert [shift.light for shift in shifts[1:]] == [Light.GREEN] * 2


def test_false_alarms_are_rare_over_all_attributes() -> None:
    columns = {"a": (0, 1), "b": (0, 2), "c": ["x", "y", "z"], "d": list("abcdefgh")}
    alarms = sum(
        any(
            shift.light is not Light.GREEN
            for shift in attribute_shifts(
                rows(2 * s, 100, **columns), rows(2 * s + 1, 100, **columns)
            )
        )
        for s in range(60)
    )
    assert alarms <= 8  # 3 expected


def test_thresholds_of_categories_are_what_chance_reaches() -> None:
    spec = {"c": ["x", "x", "y", "z"]}
    beyond = 0
    for s in range(100):
        (shift,) = attribute_shifts(rows(2 * s, 100, **spec), rows(2 * s + 1, 100, **spec))
        beyond += shift.distance > shift.threshold
    assert beyond <= 12  # 5 expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([{"id": f"item {i}"} for i in range(200)], [{"id": f"item {i}"} for i in range(200)]),
        ([{"same": "x"}] * 9, [{"same": "x"}] * 9),
        ([{"only": "x"}] * 9, [{"other": "x"}] * 9),
        ([{}] * 9, [{}] * 9),
    ],
)
def test_what_tells_nothing_is_left_out(old: list[dict], new: list[dict]) -> None:
    assert attribute_shifts(old, new) == ()


def test_numbers_as_words_are_numbers() -> None:
    old = [{"age": str(i)} for i in range(50)]
    new = [{"age": str(i + 40)} for i in range(50)]
    (shift,) = attribute_shifts(old, new)
    assert shift.distance == pytest.approx(0.8)


def test_rare_values_do_not_alarm() -> None:
    old = [{"kind": "usual"}] * 500
    new = [{"kind": "usual"}] * 499 + [{"kind": "odd"}]
    (shift,) = attribute_shifts(old, new)
    assert shift.light is Light.GREEN
    assert shift.unseen == ("odd",)
