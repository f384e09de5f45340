"""Which attributes of two sets of data differ, and how.

The decision hidden here: what is compared. Numbers by the Kolmogorov-Smirnov distance, the
largest difference between the shares below any value; categories by the total variation,
the share of items that would have to change theirs. Both lie in [0, 1]. p-values (the exact
or asymptotic one of Kolmogorov and Smirnov; chi-square, rare values taken together) are
corrected for the number of attributes by Holm's method.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osscar_core.checks.distance import RED
from osscar_core.checks.holm import holm
from osscar_core.checks.records import AttributeShift, Light

LEVEL = 0.05
MOST_VALUES = 100
"""A column of words with more different values names its items, and is left out."""

_NUMBERS_FROM = 12  # different values from which on numbers are not taken for categories
_RARE = 5.0  # expected items of a value below which chi-square cannot be relied on
_SIMULATIONS = 1999
_SHOWN = 3
_UNSEEN_SHOWN = 10

Value = str | float
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class _Finding:
    name: str
    distance: float
    threshold: float
    p_value: float
    reference: str
    new: str
    unseen: tuple[str, ...] = ()


def attribute_shifts(
    reference: Sequence[Row], new: Sequence[Row], seed: int = 0
) -> tuple[AttributeShift, ...]:
    """Compare every attribute that both sets of data have, what differs most first.

    Args:
        reference: What is known of each item, by name.
        new: The same of the new data.
        seed: Of the simulation behind the thresholds of categories.
    """
    rng = np.random.default_rng(seed)
    shared = [name for name in columns(reference) if name in columns(new)]
    found = [
        finding
        for name in shared
        if (finding := _compare(name, _column(reference, name), _column(new, name), rng))
    ]
    if not found:
        return ()
    corrected = holm([one.p_value for one in found])
    shifts = [
        AttributeShift(
            name=one.name,
            distance=one.distance,
            threshold=one.threshold,
            p_value=p,
            light=_light(one, p),
            reference=one.reference,
            new=one.new,
            unseen=one.unseen,
        )
        for one, p in zip(found, corrected, strict=True)
    ]
    order = [Light.RED, Light.AMBER, Light.GREEN]
    return tuple(
        sorted(shifts, key=lambda s: (order.index(s.light), -s.distance / s.threshold, s.name))
    )


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the names of all attributes, in the order in which they first appear."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def _column(rows: Sequence[Row], name: str) -> list[Value]:
    return [row[name] for row in rows if name in row]


def _light(one: _Finding, p: float) -> Light:
    if p >= LEVEL:
        return Light.GREEN
    return Light.RED if one.distance >= RED * one.threshold else Light.AMBER


def _compare(
    name: str, reference: list[Value], new: list[Value], rng: np.random.Generator
) -> _Finding | None:
    numbers = _numbers(reference), _numbers(new)
    if numbers[0] is not None and numbers[1] is not None:
        distinct = len(np.unique(np.concatenate([numbers[0], numbers[1]])))
        if distinct >= _NUMBERS_FROM:
            return _compare_numbers(name, numbers[0], numbers[1])
    counts = Counter(map(_spelled, reference)), Counter(map(_spelled, new))
    values = sorted({*counts[0], *counts[1]})
    if not 1 < len(values) <= MOST_VALUES:
        return None
    return _compare_categories(name, counts[0], counts[1], values, rng)


def _compare_numbers(
    name: str, reference: NDArray[np.float64], new: NDArray[np.float64]
) -> _Finding:
    from scipy import stats

    n, m = len(reference), len(new)
    result = stats.ks_2samp(reference, new)
    by_chance = float(stats.kstwobign.ppf(1 - LEVEL)) * math.sqrt((n + m) / (n * m))
    return _Finding(
        name=name,
        distance=float(result.statistic),
        threshold=min(1.0, by_chance),
        p_value=float(result.pvalue),
        reference=_middle(reference),
        new=_middle(new),
    )


def _compare_categories(
    name: str,
    reference: Counter[str],
    new: Counter[str],
    values: list[str],
    rng: np.random.Generator,
) -> _Finding:
    table = np.array([[reference[v] for v in values], [new[v] for v in values]])
    n, m = table.sum(axis=1).tolist()
    shares = table.sum(axis=0) / (n + m)
    apart = (
        rng.multinomial(n, shares, _SIMULATIONS) / n - rng.multinomial(m, shares, _SIMULATIONS) / m
    )
    by_chance = float(np.quantile(np.abs(apart).sum(axis=1) / 2, 1 - LEVEL))
    unseen = sorted((v for v in values if not reference[v]), key=lambda v: (-new[v], v))
    return _Finding(
        name=name,
        distance=float(np.abs(table[0] / n - table[1] / m).sum() / 2),
        threshold=max(by_chance, 1 / max(n, m)),
        p_value=_chi_square(table),
        reference=_commonest(reference),
        new=_commonest(new),
        unseen=tuple(unseen[:_UNSEEN_SHOWN]),
    )


def _chi_square(table: NDArray[np.int64]) -> float:
    """Return the p-value of two rows of counts, values with few items taken together."""
    from scipy import stats

    expected = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum())
    rare = expected < _RARE
    merged = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)]) if rare.any() else table
    merged = merged[:, merged.sum(axis=0) > 0]
    if merged.shape[1] < 2:
        return 1.0
    if merged.shape[1] == 2:
        return float(stats.fisher_exact(merged).pvalue)
    return float(stats.chi2_contingency(merged, correction=False).pvalue)


def _numbers(values: list[Value]) -> NDArray[np.float64] | None:
    """Return the values as numbers; ``None`` if one is not a finite number."""
    try:
        found = np.array([float(value) for value in values])
    except ValueError:
        return None
    return found if len(found) and np.isfinite(found).all() else None


def _spelled(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _middle(values: NDArray[np.float64]) -> str:
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _commonest(counts: Counter[str]) -> str:
    total = sum(counts.values())
    shown = [f"{value} {n / total:.0%}" for value, n in counts.most_common(_SHOWN)]
    return ", ".join([*shown, "..."] if len(counts) > _SHOWN else shown)
