"""What a run removed, in sentences, rows and facts; no widgets.

The decision hidden here: which facts of a pruning report make someone trust it, and which
claims its numbers do not carry.
"""

from __future__ import annotations

import functools
import itertools
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osscar_core.brief import Brief
from osscar_core.figures import Cell, Layer, short_names
from osscar_core.notation import in_code
from osscar_core.records import Method, UnitReport
from osscar_core.studio.evidence import difference
from osscar_core.studio.numbers import between, percent, signed_percent, significant, whole
from osscar_core.studio.numbers import points as in_points
from osscar_core.studio.requests import RunResult
from osscar_core.studio.summary import value_of
from osscar_core.studio.texts import say
from osscar_core.widths import caps

# A bound that leaves more than this open says nothing.
_USELESS_GAP = 0.995
_NAMED_LAYERS = 3
_EVEN = 0.02
_HALF = 0.5
_NUMBER = re.compile(r"(\d+)(\.|$)")


def layers_of(result: RunResult) -> tuple[Layer, ...]:
    """Return the layers of a run as the figures draw them, in forward order."""
    report = result.prune
    plans = {unit.name: unit.kept for unit in report.plan.units}
    most = caps(report.plan.spec, report.units)
    has_baseline = report.plan.spec.method is not Method.MAGNITUDE_REFIT
    labels = _labels(report.units)
    is_mixed = len({unit.structure for unit in report.units}) > 1
    return tuple(
        Layer(
            id=short,
            label=label,
            name=_name(label, unit, is_mixed=is_mixed),
            structure=say(f"structure.{unit.structure.value}"),
            groups=unit.groups,
            kept=unit.kept,
            support=plans.get(unit.name),
            error=unit.relative_error,
            baseline=unit.magnitude_error if has_baseline else None,
            is_protected=most[unit.name] == 0,
        )
        for unit, short, label in zip(report.units, ids(report.units), labels, strict=True)
    )


def ids(units: Sequence[UnitReport]) -> list[str]:
    """Return what links call the units of one run."""
    return short_names([unit.name for unit in units])


def _labels(units: Sequence[UnitReport]) -> list[str]:
    """Return names for an axis: the layer's number where that is enough."""
    short = ids(units)
    numbers = [match[1] if (match := _NUMBER.match(name)) else "" for name in short]
    told = {(number, unit.structure) for number, unit in zip(numbers, units, strict=True)}
    return numbers if all(numbers) and len(told) == len(units) else short


def _name(label: str, unit: UnitReport, *, is_mixed: bool) -> str:
    name = say("explain.layer.number", number=label) if label.isdigit() else label
    if not is_mixed:
        return name
    return say(
        "explain.layer.named", layer=name, structure=say(f"structure.{unit.structure.value}")
    )


def lead(layers: Sequence[Layer]) -> str:
    """Return how much went, from where most of it, and where the output changed most."""
    parts = []
    for structure in dict.fromkeys(layer.structure for layer in layers):
        mine = [layer for layer in layers if layer.structure == structure]
        parts.append(
            say(
                "explain.lead.part",
                removed=whole(sum(layer.groups - layer.kept for layer in mine)),
                groups=whole(sum(layer.groups for layer in mine)),
                structure=structure,
            )
        )
    start = say(
        "explain.lead",
        parts=joined(parts, "explain.and"),
        units=len({layer.label for layer in layers}),
    )
    cut = [layer for layer in layers if layer.kept < layer.groups]
    if not cut:
        return start
    worst = max(cut, key=lambda layer: layer.error)
    best = min(cut, key=lambda layer: layer.error)
    sentences = [
        start,
        _spread(layers, cut),
        say(
            "explain.lead.change",
            worst=worst.name,
            error=share(worst.error),
            best=best.name,
            least=share(best.error),
        ),
    ]
    return joined(sentences, "explain.sentences")


def _spread(layers: Sequence[Layer], cut: Sequence[Layer]) -> str:
    """Return from where most was removed, and whether the output changed less there."""
    if _is_even(cut):
        removed, untouched = percent(_whole_share(cut)), len(layers) - len(cut)
        if untouched:
            return say("explain.spread.others", untouched=untouched, removed=removed)
        return say("explain.spread.even", removed=removed)
    low, high = min(x.removed for x in cut), max(x.removed for x in cut)
    most = [layer for layer in cut if layer.removed >= high - (high - low) / 4]
    rest = [layer for layer in cut if layer not in most]
    there, elsewhere = (statistics.median(x.error for x in part) for part in (most, rest))
    removed = percent(min(x.removed for x in most))
    if removed != percent(high):
        removed = between(removed, percent(high))
    return say(
        "explain.spread.less" if there < elsewhere else "explain.spread.more",
        layers=_places(most, is_mixed=len({layer.structure for layer in layers}) > 1),
        removed=removed,
        there=share(there),
        elsewhere=share(elsewhere),
    )


def _places(layers: Sequence[Layer], *, is_mixed: bool) -> str:
    """Return some layers as words, with their structures where a run has several."""
    if not is_mixed:
        return named(layers)
    return joined(
        (
            say("explain.layers.structure", layers=named(part), structure=part[0].structure)
            for part in by_structure(layers)
        ),
        "explain.and",
    )


def _is_even(layers: Sequence[Layer]) -> bool:
    """Return whether all layers lost the same share, but for rounding to whole groups."""
    middle = _whole_share(layers)
    return all(abs(x.removed - middle) <= 0.5 / x.groups + _EVEN for x in layers)


def _whole_share(layers: Sequence[Layer]) -> float:
    return sum(x.groups - x.kept for x in layers) / sum(x.groups for x in layers)


def named(layers: Sequence[Layer]) -> str:
    """Return some layers as words: numbers as ranges, of other names the first few."""
    labels = dict.fromkeys(layer.label for layer in layers)
    if all(label.isdigit() for label in labels):
        numbers = ranges(sorted({int(label) for label in labels}))
        return say("explain.layers.one" if len(labels) == 1 else "explain.layers", names=numbers)
    ordered = sorted(layers, key=lambda layer: -layer.removed)[:_NAMED_LAYERS]
    names = joined(f"**{layer.label}**" for layer in ordered)
    rest = len(labels) - len(ordered)
    return say("explain.layers.more", names=names, count=rest) if rest > 0 else names


def ranges(indices: Sequence[int]) -> str:
    """Return ascending integers with runs drawn together, such as ``0-3, 7``, the dash long."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(
        str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in runs
    )


def joined(parts: Iterable[str], key: str = "explain.comma") -> str:
    """Return parts as one text, joined two by two by the sentence of that key."""
    return functools.reduce(lambda first, second: say(key, first=first, second=second), parts)


def share(value: float) -> str:
    """Return a relative error as per cent with three digits."""
    return f"{significant(100 * value)}%"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason to trust a run, or not to.

    Attributes:
        text: The reason.
        is_good: Whether it speaks for the run; ``None`` if for neither side.
    """

    text: str
    is_good: bool | None


def evidence(result: RunResult) -> list[Evidence]:
    """Return what speaks for a run and what against it: quality, baseline, bounds."""
    found = [_quality(result)]
    units = result.prune.units
    compared = [unit for unit in units if unit.magnitude_error > 0]
    if compared and result.prune.plan.spec.method is not Method.MAGNITUDE_REFIT:
        better = sum(unit.relative_error < unit.magnitude_error for unit in compared)
        ratio = statistics.median(x.relative_error / x.magnitude_error for x in compared)
        text = say("explain.beats", better=better, count=len(compared), factor=percent(ratio))
        found.append(Evidence(text, ratio < 1 if ratio != 1 else None))
    if bounds := _bounds(units):
        found.append(bounds)
    return found


def _quality(result: RunResult) -> Evidence:
    before, after = result.dense, result.pruned
    change, low, high = difference(before, after)
    is_accuracy = after.metric == "top1"
    is_unclear = low <= 0 <= high
    is_worse = (change < 0) == is_accuracy
    written = [in_points(x) if is_accuracy else signed_percent(x, 1) for x in (change, low, high)]
    verdict = "same" if is_unclear else "worse" if is_worse else "better"
    text = say(
        f"explain.quality.{verdict}",
        metric=say(f"metric.name.{after.metric}"),
        dense=value_of(before),
        pruned=value_of(after),
        change=written[0],
        interval=between(written[1], written[2]),
    )
    return Evidence(text, None if is_unclear else not is_worse)


def _bounds(units: Sequence[UnitReport]) -> Evidence | None:
    cut = [unit for unit in units if unit.kept < unit.groups]
    if not cut or all(unit.gap is None and not unit.is_proven for unit in cut):
        return None
    proven = sum(unit.is_proven for unit in cut)
    gaps = [u.gap for u in cut if u.gap is not None and not u.is_proven and u.gap < _USELESS_GAP]
    rest = len(cut) - proven - len(gaps)
    sentences = []
    if proven:
        sentences.append(say("explain.bounds.proven", proven=proven, count=len(cut)))
    if gaps:
        gap = share(statistics.median(gaps))
        sentences.append(say("explain.bounds.some", bounded=len(gaps), count=len(cut), gap=gap))
    if rest:
        sentences.append(say("explain.bounds.loose", rest=rest, count=len(cut)))
    is_good = True if proven == len(cut) else None
    return Evidence(joined(sentences, "explain.sentences"), is_good)


def gap_of(unit: UnitReport) -> str:
    """Return how far a unit's choice may be from the best one, in words."""
    if unit.kept == unit.groups:
        return say("explain.gap.whole")
    if unit.is_proven:
        return say("explain.gap.proven")
    if unit.gap is None:
        return say("explain.gap.unknown")
    if unit.gap >= _USELESS_GAP:
        return say("explain.gap.useless")
    return say("explain.gap.bounded", gap=share(unit.gap))


def rank(values: Sequence[float], index: int) -> int:
    """Return the place of a value among all, 1 for the largest."""
    return 1 + sum(value > values[index] for value in values)


def sensitivities(units: Sequence[UnitReport], brief: Brief | None) -> list[float] | None:
    """Return, per unit, the predicted divergence with half of its groups gone.

    ``None`` without a survey that knows them all.
    """
    if brief is None:
        return None
    curves = brief.curves()
    if any(unit.name not in curves or curves[unit.name].groups != unit.groups for unit in units):
        return None
    found = []
    for unit in units:
        curve = curves[unit.name]
        found.append(float(curve.at([max(curve.widths[0], round(_HALF * unit.groups))])[0]))
    return found


def facts(
    unit: UnitReport, layer: Layer, result: RunResult, brief: Brief | None
) -> list[tuple[str, str]]:
    """Return what is known of one layer, as pairs of a name and a value."""
    units = result.prune.units
    index = units.index(unit)
    found = [
        (say("explain.removed"), removed_of(layer)),
        (say("explain.relative"), share(layer.error)),
    ]
    if layer.baseline is not None:
        found.append((say("explain.magnitude"), share(layer.baseline)))
    found.append((say("explain.gap"), gap_of(unit)))
    values = sensitivities(units, brief)
    key = "explain.rank.error" if values is None else "explain.rank.sensitivity"
    place = rank(values or [each.relative_error for each in units], index)
    found.append((say(key), say("explain.rank", place=place, count=len(units))))
    if layer.is_protected:
        found.append((say("explain.protected"), say("explain.protected.all")))
    found.append((say("explain.path"), f"`{in_code(unit.name)}`"))
    return found


def describe_layer(layer: Layer) -> str:
    """Return what the bar of a layer says."""
    return f"{layer.name}<br>{removed_of(layer)}"


def removed_of(layer: Layer) -> str:
    """Return how much of a layer went."""
    return say(
        "explain.detail.removed",
        removed=whole(layer.groups - layer.kept),
        groups=whole(layer.groups),
        structure=layer.structure,
        share=percent(layer.removed, 1),
    )


def describe_cell(cell: Cell) -> str:
    """Return what the kept map says of one square."""
    layer = cell.layer
    if layer.support is None:
        return say(
            "explain.cell.total",
            layer=layer.name,
            kept=whole(layer.kept),
            groups=whole(layer.groups),
        )
    if cell.first == cell.last:
        key = "explain.cell.kept" if cell.kept else "explain.cell.removed"
        return say(key, layer=layer.name, group=cell.first)
    return say(
        "explain.cell.bin",
        layer=layer.name,
        groups=f"{cell.first}\N{EN DASH}{cell.last}",
        kept=int(cell.kept),
        count=cell.last - cell.first + 1,
        share=percent(cell.share),
    )


def rows(result: RunResult) -> list[dict[str, object]]:
    """Return one row a unit with everything the figures draw, for the table."""
    plans = {unit.name: unit.kept for unit in result.prune.plan.units}
    return [
        {
            say("explain.layer"): unit.name,
            say("explain.structure"): say(f"structure.{unit.structure.value}"),
            say("explain.before"): unit.groups,
            say("explain.after"): unit.kept,
            say("explain.removed"): percent(1 - unit.kept / unit.groups, 1),
            say("explain.relative"): 100 * unit.relative_error,
            say("explain.magnitude"): 100 * unit.magnitude_error,
            say("explain.swaps"): unit.swaps,
            say("explain.gap"): gap_of(unit),
            say("explain.seconds"): unit.seconds,
            say("explain.groups"): ranges(plans.get(unit.name, ()))
            or say("explain.groups.unknown"),
        }
        for unit in result.prune.units
    ]


def bin_size(layers: Sequence[Layer], squares: int) -> int:
    """Return the most groups that one square of the kept map stands for."""
    return max((-(-layer.groups // squares) for layer in layers), default=1)


def by_structure(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the layers apart by structure, each in forward order."""
    kinds = list(dict.fromkeys(layer.structure for layer in layers))
    ordered = sorted(layers, key=lambda layer: kinds.index(layer.structure))
    return [list(part) for _, part in itertools.groupby(ordered, lambda layer: layer.structure)]
