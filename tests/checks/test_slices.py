"""Slices by attribute: which there are, what is allowed for, and their order."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from osscar_core.checks.paired import PairedLabels, judge
from osscar_core.checks.records import Conclusion
from osscar_core.checks.slices import MOST_VALUES, NOT_GIVEN, judge_slices, make_slices
from osscar_core.errors import SpecError


def outcomes(losses: dict[str, tuple[int, int, int]]) -> tuple[PairedLabels, list[dict]]:
    """Return outcomes by line: items, lost, gained."""
    dense, pruned, attributes = [], [], []
    for line, (count, lost, gained) in losses.items():
        dense += [True] * lost + [False] * gained + [True] * (count - lost - gained)
        pruned += [False] * lost + [True] * gained + [True] * (count - lost - gained)
        attributes += [{"line": line}] * count
    return PairedLabels(np.array(dense), np.array(pruned)), attributes


def test_worst_first_and_small_last() -> None:
    paired, attributes = outcomes({"A": (300, 2, 2), "B": (300, 40, 0), "C": (29, 29, 0)})
    results, correction = judge_slices(paired, make_slices(attributes), 0.01, 0.95)
    assert [result.name for result in results] == ["line=B", "line=A", "line=C"]
    assert [result.count for result in results] == [300, 300, 29]
    assert results[0].conclusion is Conclusion.LOSS_FOUND
    assert results[2].conclusion is None
    assert results[2].is_small
    assert correction == (
        "2 slices judged together: intervals by Bonferroni, p-values by Holm; "
        "1 with fewer than 30 items shown, not judged"
    )


def test_only_judged_slices_are_allowed_for() -> None:
    paired, attributes = outcomes({"A": (300, 9, 2), "B": (300, 12, 2), "C": (10, 1, 0)})
    results, _ = judge_slices(paired, make_slices(attributes), 0.01, 0.95)
    lines = np.array([one["line"] for one in attributes])
    alone = {line: paired.select(lines == line) for line in "AB"}
    raw = [alone[line].p_value() for line in "BA"]
    expected = multipletests(raw, method="holm")[1]
    assert [result.p_value for result in results[:2]] == pytest.approx(list(expected))
    two = judge(alone["B"], 0.01, 0.95, tests=2)
    assert (results[0].low, results[0].high) == (two.low, two.high)


def test_numbers_become_thirds() -> None:
    attributes = [{"severity": float(value)} for value in range(90)]
    labels = make_slices(attributes).labels["severity"]
    assert [labels.count(name) for name in dict.fromkeys(labels)] == [30, 30, 30]
    assert list(dict.fromkeys(labels)) == ["up to 29", "29 to 59", "above 59"]


def test_tied_numbers_make_fewer_bins() -> None:
    attributes = [{"severity": 0.0}] * 60 + [{"severity": float(value)} for value in range(1, 31)]
    labels = make_slices(attributes).labels["severity"]
    assert set(labels) == {"up to 0", "above 0"}
    assert labels.count("up to 0") == 60


def test_few_numbers_and_missing_values_are_values() -> None:
    attributes = [{"line": 1}, {"line": 2}, {}, {"line": 2.0}]
    assert make_slices(attributes).labels["line"] == ("1", "2", NOT_GIVEN, "2")
    many = [{"x": float(value)} for value in range(9)] + [{}]
    assert make_slices(many).labels["x"][-1] == NOT_GIVEN


def test_columns_that_make_no_slices_are_named() -> None:
    attributes = [
        {"serial": f"n{number}", "site": "one", "line": "AB"[number % 2]}
        for number in range(MOST_VALUES + 1)
    ]
    slices = make_slices(attributes)
    assert set(slices.labels) == {"line"}
    assert slices.left_out == (
        "serial (21 different values)",
        "site (one value for all items)",
    )
    assert set(make_slices(attributes, ["line"]).labels) == {"line"}
    with pytest.raises(SpecError, match="'serial' has 21 different values"):
        make_slices(attributes, ["serial"])


def test_unknown_columns_are_told() -> None:
    with pytest.raises(SpecError, match="Did you mean 'line'"):
        make_slices([{"line": "A"}], ["lime"])
    with pytest.raises(SpecError, match="says nothing of its items"):
        make_slices([{}], ["line"])


def test_data_without_attributes_has_no_slices() -> None:
    paired, _ = outcomes({"A": (50, 1, 0)})
    results, correction = judge_slices(paired, make_slices([{}] * 50), 0.01, 0.95)
    assert results == ()
    assert correction == "no slices judged"
