"""Finished runs as evidence: which belong together, and what they were measured to change.

The decision hidden here: when two runs may be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osscar_core.difference import Change as Change
from osscar_core.difference import difference as difference
from osscar_core.records import Method, PruneSpec
from osscar_core.studio.requests import JobRequest, RunResult
from osscar_core.studio.runs import Run


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run with its result."""

    run: Run
    result: RunResult

    @property
    def spec(self) -> PruneSpec:
        """What was asked for."""
        return self.run.request.spec

    @property
    def widths(self) -> dict[str, int]:
        """Groups that every unit kept."""
        return {unit.name: unit.kept for unit in self.result.prune.units}


def group_of(request: JobRequest) -> tuple[object, ...]:
    """Return what two runs must share for their points to be comparable."""
    spec = request.spec
    return (
        spec.model,
        spec.weights,
        request.data,
        request.limit,
        request.batch_size,
        spec.seqlen,
        spec.device,
        spec.dtype,
    )


def lost(result: RunResult) -> Change:
    """Return what a small model lost: points of accuracy, or per cent of perplexity gained."""
    change = difference(result.dense, result.pruned)
    return change.times(-1 if result.pruned.metric == "top1" else 100)


@dataclass(frozen=True, slots=True)
class Rival:
    """One method of a comparison.

    Attributes:
        method: The method.
        finished: Its run.
        behind: What it lost beyond the product's own method; ``None`` for that itself.
    """

    method: Method
    finished: Finished
    behind: Change | None


def compared(finished: Sequence[Finished], widths: dict[str, int]) -> tuple[Rival, ...]:
    """Return the methods that were measured on equal terms at given widths, the best first.

    Equal terms are the same widths, calibration items and seed. Where several sets of runs
    qualify, the one with most methods counts, and of these the first.

    Args:
        finished: Comparable runs, one's own and the newest first.
        widths: Groups that every unit keeps.

    Returns:
        Nothing unless the product's own method and another one are among them.
    """
    sets: dict[tuple[object, ...], dict[Method, Finished]] = {}
    for item in finished:
        if item.widths == widths:
            sets.setdefault(_terms(item), {}).setdefault(item.spec.method, item)
    fullest = max(sets.values(), key=len, default={})
    ours = fullest.get(Method.OSSCAR)
    if ours is None or len(fullest) < 2:
        return ()
    rivals = [
        Rival(method, item, None if item is ours else _behind(ours, item))
        for method, item in fullest.items()
    ]
    return tuple(sorted(rivals, key=lambda rival: lost(rival.finished.result).value))


def _terms(item: Finished) -> tuple[object, ...]:
    calibration = item.result.prune.plan.calibration
    return (calibration.spec, calibration.count, calibration.digest, item.spec.seed)


def _behind(ours: Finished, other: Finished) -> Change:
    change = difference(ours.result.pruned, other.result.pruned)
    return change.times(-1) if other.result.pruned.metric == "top1" else change
