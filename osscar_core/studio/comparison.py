"""Several runs side by side: where they differ, which is better, and whether that can be told.

The decision hidden here: which runs may be compared in what. Quality counts between runs of
the same weights judged on the same items; speed between runs timed under the same
conditions; sizes between runs of the same weights; settings always.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from osscar_core.checks.export import safe_cell
from osscar_core.records import EvaluationReport
from osscar_core.studio.evidence import difference
from osscar_core.studio.jobs import Run
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.runtable import removed_share

_CONDITIONS = ("device", "dtype", "batch", "input", "threads")


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the runs.

    Attributes:
        run: The run.
        result: What it found; ``None`` if it has no result that can be read.
    """

    run: Run
    result: RunResult | None

    @property
    def settings(self) -> dict[str, object]:
        """What it was told to do, what a default became included, by name."""
        return settings_of(self.run.request, self.result)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far one run is from another.

    Attributes:
        value: Points of accuracy, relative change of perplexity, or ratio of speeds.
        low: Lower end of its 95% interval.
        high: Upper end.
        neutral: The value of no difference: 0, or 1 for a ratio.
    """

    value: float
    low: float
    high: float
    neutral: float = 0.0

    @property
    def is_measurable(self) -> bool:
        """Whether the interval leaves no difference out."""
        return not self.low <= self.neutral <= self.high


def settings_of(request: JobRequest, result: RunResult | None = None) -> dict[str, object]:
    """Return the settings of a request, with what defaults were resolved to."""
    spec = request.spec if result is None else result.prune.plan.spec
    found = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    # What is spread and sought is said by the request; a plan has it worked out.
    found |= {"sparsity": request.spec.sparsity, "goal": request.spec.goal}
    found |= {"data": request.data, "limit": request.limit}
    found |= {"measure_batch": request.batch_size, "repeats": request.repeats}
    if result is not None:
        found["release"] = result.prune.plan.environment.get("osscar_core", "")
    return found


def differing(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the names whose values are not the same in all rows, in the order of the first."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) != rows[0].get(name) for row in rows[1:])]


def with_results(runs: Sequence[Compared]) -> list[RunResult]:
    """Return the results there are."""
    return [item.result for item in runs if item.result is not None]


def is_same_model(results: Sequence[RunResult]) -> bool:
    """Return whether all were made from the same weights."""
    return len({(r.prune.plan.source.family, r.prune.plan.source.sha256) for r in results}) <= 1


def is_same_test(results: Sequence[RunResult]) -> bool:
    """Return whether all were judged by the same measure on the same items."""
    return len({_test(result.pruned) for result in results}) <= 1


def is_same_timing(results: Sequence[RunResult]) -> bool:
    """Return whether all were timed on the same kind of device under the same conditions."""
    conditions = {
        tuple(result.pruned_speed.conditions.get(name, "") for name in _CONDITIONS)
        for result in results
    }
    return len(conditions) <= 1


def quality_gap(reference: RunResult, other: RunResult) -> Gap:
    """Return by how much the quality of another pruned model differs, see `difference`."""
    return Gap(*difference(reference.pruned, other.pruned))


def speed_gap(reference: RunResult, other: RunResult) -> Gap:
    """Return how many times as fast another pruned model is.

    Each was timed against the dense model, so this is the ratio of two ratios.
    """
    ratio = math.log(other.speedup / reference.speedup)
    below = math.hypot(
        math.log(other.speedup / other.speedup_interval[0]),
        math.log(reference.speedup_interval[1] / reference.speedup),
    )
    above = math.hypot(
        math.log(other.speedup_interval[1] / other.speedup),
        math.log(reference.speedup / reference.speedup_interval[0]),
    )
    return Gap(math.exp(ratio), math.exp(ratio - below), math.exp(ratio + above), neutral=1.0)


def best_quality(results: Sequence[RunResult]) -> int:
    """Return which has the best quality."""
    is_accuracy = results[0].pruned.metric == "top1"
    values = [result.pruned.value if is_accuracy else -result.pruned.value for result in results]
    return values.index(max(values))


def best_speed(results: Sequence[RunResult]) -> int:
    """Return which is the fastest, measured against its dense model."""
    values = [result.speedup for result in results]
    return values.index(max(values))


def tied(
    results: Sequence[RunResult], best: int, gap: Callable[[RunResult, RunResult], Gap]
) -> frozenset[int]:
    """Return the best and all that cannot be told from it."""
    return frozenset(
        index
        for index, result in enumerate(results)
        if index == best or not gap(results[best], result).is_measurable
    )


def smallest(values: Sequence[float]) -> frozenset[int]:
    """Return which values are the smallest."""
    return frozenset(index for index, value in enumerate(values) if value == min(values))


def as_csv(runs: Sequence[Compared]) -> str:
    """Return all settings and numbers of the runs, one row a run, for a spreadsheet."""
    rows = [_flat(item) for item in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue()


def _flat(item: Compared) -> dict[str, object]:
    run, result = item.run, item.result
    row: dict[str, object] = {
        "run": run.id,
        "name": run.name,
        "state": run.status.state.value,
        "kind": run.kind.value,
        **item.settings,
    }
    if result is None:
        return row
    change, low, high = difference(result.dense, result.pruned)
    return row | {
        "removed_share": removed_share(result),
        "metric": result.pruned.metric,
        "quality_dense": result.dense.value,
        "quality_pruned": result.pruned.value,
        "quality_low": result.pruned.interval[0],
        "quality_high": result.pruned.interval[1],
        "quality_change": change,
        "quality_change_low": low,
        "quality_change_high": high,
        "test_items": result.pruned.count,
        "latency_dense_ms": result.dense_speed.latency_ms.median,
        "latency_pruned_ms": result.pruned_speed.latency_ms.median,
        "latency_pruned_p95_ms": result.pruned_speed.latency_ms.p95,
        "timings": result.pruned_speed.latency_ms.repeats,
        "speedup": result.speedup,
        "speedup_low": result.speedup_interval[0],
        "speedup_high": result.speedup_interval[1],
        "bytes_dense": result.prune.bytes.dense,
        "bytes_pruned": result.prune.bytes.pruned,
        "parameters_dense": result.prune.parameters.dense,
        "parameters_pruned": result.prune.parameters.pruned,
        "flops_dense": result.prune.flops.dense,
        "flops_pruned": result.prune.flops.pruned,
        **{f"timed_{name}": result.pruned_speed.conditions.get(name, "") for name in _CONDITIONS},
    }


def _cell(value: object) -> object:
    """Return a value as a cell that no spreadsheet takes for a formula."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    described = getattr(value, "describe", None)
    text = described() if described is not None else _joined(value)
    return safe_cell(text)


def _joined(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(_joined(part) for part in value)
    return str(value)


def _test(report: EvaluationReport) -> tuple[object, ...]:
    return report.metric, report.count, report.data.digest, report.data.seqlen
