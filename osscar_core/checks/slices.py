"""Results by attribute: who bears the loss.

The decision hidden here: which columns make slices, how numbers are binned, and how many
comparisons at once are allowed for. Numbers become thirds; a column with more than
`MOST_VALUES` values, or with one, makes none. Slices of fewer than `FEWEST_ITEMS` items
are shown but neither judged nor allowed for.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from osscar_core.checks.holm import holm
from osscar_core.checks.paired import Bools, Outcomes, judge
from osscar_core.checks.records import FEWEST_ITEMS, SliceResult
from osscar_core.errors import SpecError, unknown_name

MOST_VALUES = 20
NOT_GIVEN = "not given"
_FEW_NUMBERS = 5

Attributes = Sequence[dict[str, str | float]]


@dataclass(frozen=True, slots=True)
class Slices:
    """Items grouped by their attributes.

    Attributes:
        labels: By column, the value of every item.
        left_out: Columns that make no slices, and why, in words.
    """

    labels: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()


def make_slices(attributes: Attributes, columns: Sequence[str] | None = None) -> Slices:
    """Group items by their attributes.

    Args:
        attributes: What is known of each item.
        columns: Which attributes to use; ``None`` for all that can be.

    Raises:
        SpecError: A column that no item has, or one asked for that makes no slices.
    """
    known = tuple(dict.fromkeys(name for one in attributes for name in one))
    labels: dict[str, tuple[str, ...]] = {}
    left_out: list[str] = []
    for column in known if columns is None else columns:
        if column not in known:
            raise _unknown_column(column, known)
        values = _labels([one.get(column) for one in attributes])
        number = len(set(values))
        if 1 < number <= MOST_VALUES:
            labels[column] = values
            continue
        reason = f"{number} different values" if number > 1 else "one value for all items"
        if columns is not None:
            raise SpecError(
                f"'{column}' has {reason}", f"Slice by a column with 2 to {MOST_VALUES} values"
            )
        left_out.append(f"{column} ({reason})")
    return Slices(labels, tuple(left_out))


def judge_slices(
    outcomes: Outcomes, slices: Slices, margin: float, level: float
) -> tuple[tuple[SliceResult, ...], str]:
    """Judge every slice against a margin, allowing for how many there are.

    Returns:
        The slices, the worst first and small ones last, and in words what was allowed for.
        The intervals are Bonferroni's, the p-values Holm's; those of small slices are
        multiplied by the number of judged slices.
    """
    masks: dict[tuple[str, str], Bools] = {}
    for column, values in slices.labels.items():
        array = np.array(values)
        masks.update({(column, value): array == value for value in sorted(set(values))})
    tests = max(1, sum(int(mask.sum()) >= FEWEST_ITEMS for mask in masks.values()))
    results = [
        judge(outcomes.select(mask), margin, level, name=name, tests=tests)
        for name, mask in masks.items()
    ]
    judged = _holm([result for result in results if not result.is_small])
    small = [
        dataclasses.replace(result, p_value=min(1.0, result.p_value * tests))
        for result in results
        if result.is_small
    ]
    ordered = (*sorted(judged, key=_worst_first), *sorted(small, key=_worst_first))
    return ordered, _in_words(len(judged), len(small), slices.left_out)


def _labels(values: Sequence[str | float | None]) -> tuple[str, ...]:
    numbers = [value for value in values if _is_number(value)]
    is_numeric = numbers and all(value is None or _is_number(value) for value in values)
    if is_numeric and len(set(numbers)) > _FEW_NUMBERS:
        return _thirds(values)
    return tuple(NOT_GIVEN if value in (None, "") else _text(value) for value in values)


def _thirds(values: Sequence[str | float | None]) -> tuple[str, ...]:
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    given = numbers[np.isfinite(numbers)]
    # Borders are values seen. Ties may make them one, or the greatest: then there are fewer bins.
    cuts = np.quantile(given, [1 / 3, 2 / 3], method="inverted_cdf")
    borders = [border for border in np.unique(cuts) if border < given.max()]
    shown = [f"{border:.4g}" for border in borders]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(shown)]
    names = [f"up to {shown[0]}", *between, f"above {shown[-1]}"] if shown else ["all"]
    places = np.searchsorted(borders, numbers, side="left")
    return tuple(
        names[place] if np.isfinite(number) else NOT_GIVEN
        for place, number in zip(places.tolist(), numbers.tolist(), strict=True)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: str | float | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _holm(results: list[SliceResult]) -> list[SliceResult]:
    if not results:
        return []
    corrected = holm([result.p_value for result in results])
    return [
        dataclasses.replace(result, p_value=p_value)
        for result, p_value in zip(results, corrected, strict=True)
    ]


def _worst_first(result: SliceResult) -> tuple[float, str]:
    return -result.loss, result.name


def _in_words(judged: int, small: int, left_out: tuple[str, ...]) -> str:
    parts = []
    if judged:
        parts.append(f"{judged} slices judged together: intervals by Bonferroni, p-values by Holm")
    else:
        parts.append("no slices judged")
    if small:
        parts.append(f"{small} with fewer than {FEWEST_ITEMS} items shown, not judged")
    if left_out:
        parts.append(f"no slices by {', '.join(left_out)}")
    return "; ".join(parts)


def _unknown_column(column: str, known: tuple[str, ...]) -> SpecError:
    if known:
        return unknown_name("column", column, known)
    return SpecError(
        f"there is no column '{column}': the data says nothing of its items",
        "Leave the slices out, or use data with attributes",
    )
