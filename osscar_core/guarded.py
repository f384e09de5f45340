"""Pruning under protected groups: make, measure, remove less where a group lost too much.

The decision hidden here: how protection is enforced. The groups get as much weight in the
calibration as all the data, so that the re-fit looks to them; what that leaves is settled by
removing less, along a line from the request to the dense model, until the measured loss of
every group is allowed. What is searched for is measured on the data that the report names;
nothing is extrapolated.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from osscar_core.catalogue import own_data
from osscar_core.checks.records import FEWEST_ITEMS, ABReport, SliceResult
from osscar_core.datasets.groups import LOOKED_AT, groups
from osscar_core.errors import DataError, SpecError
from osscar_core.goals import Goal, GoalKind
from osscar_core.guards import Guard, GuardReport, GuardResult, GuardTry
from osscar_core.records import GoalReport, PruneReport, PruneSpec

MOST_TRIES = 5
"""Models that are made and measured at most."""

Maker = Callable[[PruneSpec, float, Path], PruneReport]
"""Prunes as a request says, which removes such a share of what was asked; writes a folder."""

Judge = Callable[[Path, str, Sequence[str]], ABReport]
"""Compares the model of a folder with the dense one: on which data, by which attributes."""

_NEAREST, _FARTHEST = 0.15, 0.9
"""Of the distance between a share that is kept and one that is not, where the next may lie."""

_CLOSE = 0.05
"""Shares nearer to each other than this are not told apart."""

_LARGER_IS_MORE = (GoalKind.REMOVED, GoalKind.SPEEDUP)


def prune_guarded(
    spec: PruneSpec, out: Path, make: Maker, judge: Judge
) -> tuple[PruneReport, GuardReport]:
    """Make the smallest model on the way to a request under which protected groups keep.

    Args:
        spec: The request, with its guards.
        out: Folder of the model that is chosen.
        make: See `Maker`.
        judge: See `Judge`.

    Returns:
        The report of the chosen model, and what became of the groups. If no try kept them,
        the one that removed least is chosen, and the report says so.

    Raises:
        SpecError: Guards that cannot be enforced, or that contradict the data.
        OsscarError: What making and measuring raise.
    """
    data = guarded_data(spec)
    check_guards(spec.guards, data)
    calibration = guarded_calibration(spec.calibration, spec.guards)
    bare = dataclasses.replace(spec, guards=(), calibration=calibration)
    columns = tuple(dict.fromkeys(guard.column for guard in spec.guards))
    tries: list[GuardTry] = []
    reports: list[PruneReport] = []
    protocol, metric = "", ""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-tries-") as place:
        share: float | None = 1.0
        while share is not None:
            folder = Path(place) / str(len(tries))
            wanted = bare if share == 1.0 else lessened(bare, share, reports[0])
            report = make(wanted, share, folder)
            found = judge(folder, data, columns)
            protocol, metric = found.protocol, found.metric
            results = tuple(_result(guard, found.slices) for guard in spec.guards)
            tries.append(GuardTry(share, report.parameters.pruned, report.bytes.pruned, results))
            reports.append(report)
            share = next_share(tries)
        chosen = _best(tries)
        if out.exists():
            shutil.rmtree(out)
        (Path(place) / str(chosen)).rename(out)
    guards = GuardReport(tuple(tries), chosen, metric, data, calibration, protocol)
    return _about(spec, reports[chosen], reports[0], guards, out), guards


def guarded_data(spec: PruneSpec) -> str:
    """Return the data that protected groups are measured on.

    Raises:
        SpecError: The model brings none, and none was named.
    """
    data = spec.data or own_data(spec.model)
    if data is None:
        raise SpecError(
            f"{len(spec.guards)} groups are protected, and no data to measure them on is named",
            "Add --data, with the attributes of the groups",
        )
    return data


def check_guards(guards: Sequence[Guard], data: str) -> None:
    """Refuse guards that the data cannot speak of, before anything runs.

    Raises:
        SpecError: An attribute or a value that the data does not have, or one guard twice.
        DataError: A group of too few items.
    """
    known = groups(data)
    names = [guard.name for guard in guards]
    for guard in guards:
        if names.count(guard.name) > 1:
            raise SpecError(f"{guard.name} is protected twice", "Give one allowed loss a group")
        if guard.column not in known:
            raise SpecError(
                f"'{data}' has no attribute '{guard.column}'",
                f"It has: {', '.join(known) or 'none'}",
            )
        values = known[guard.column]
        if guard.value not in values:
            listed = ", ".join(sorted(values)[:12])
            raise SpecError(
                f"'{data}' has no item with {guard.name} among its first {LOOKED_AT}",
                f"Its values of {guard.column}: {listed}",
            )
        if values[guard.value] < FEWEST_ITEMS:
            raise DataError(
                f"the group {guard.name} of '{data}' has {values[guard.value]} items",
                f"A loss can be told from {FEWEST_ITEMS} items on; use more data",
            )


def guarded_calibration(calibration: str, guards: Sequence[Guard]) -> str:
    """Return calibration data in which the groups weigh as much as all of it.

    Groups that the data does not know are left out: they are protected by the budget alone.
    """
    if calibration.startswith("mix:"):
        return calibration
    try:
        known = groups(calibration, split="calibration")
    except (DataError, SpecError):
        return calibration
    held = [g for g in guards if known.get(g.column, {}).get(g.value)]
    if not held:
        return calibration
    parts = [f"{len(held)}*{calibration}", *(f"1*{calibration}[{g.name}]" for g in held)]
    return f"mix:{'+'.join(parts)}"


def lessened(spec: PruneSpec, share: float, first: PruneReport) -> PruneSpec:
    """Return a request for a share of the removal of another.

    Args:
        spec: The request.
        share: In (0, 1].
        first: What the request itself led to: it knows the dense model's sizes.
    """
    goal = spec.goal
    if goal is None:
        return dataclasses.replace(spec, sparsity=spec.sparsity * share)
    return dataclasses.replace(spec, goal=lessened_goal(goal, share, _dense(goal, first)))


def lessened_goal(goal: Goal, share: float, dense: float | None = None) -> Goal:
    """Return a goal that asks for a share of what another does.

    Args:
        goal: The other one.
        share: In (0, 1].
        dense: Its quantity of the dense model, where the goal is a number of its own.

    Raises:
        SpecError: The quantity of the dense model is needed and not known.
    """
    value = goal.value
    if goal.kind in (GoalKind.REMOVED, GoalKind.QUALITY_LOSS):
        return Goal(goal.kind, value * share)
    if goal.kind is GoalKind.SPEEDUP:
        return Goal(goal.kind, 1 + (value - 1) * share)
    if goal.kind is not GoalKind.LATENCY and value <= 1:
        return Goal(goal.kind, 1 - (1 - value) * share)
    if dense is None:
        raise SpecError(
            f"the goal {goal.describe()} cannot be lessened without the dense model's value",
            "Use speedup, or a share of the dense model",
        )
    return Goal(goal.kind, dense - (dense - value) * share)


def next_share(tries: Sequence[GuardTry]) -> float | None:
    """Return the share to try next; ``None`` if the search is over.

    The loss of a group is taken to grow as the square of the share, which is about how the
    divergence of the outputs grows; the next share lies between the largest that is kept and
    the smallest that is not.
    """
    if tries[0].is_kept or len(tries) >= MOST_TRIES:
        return None
    low = max((each.share for each in tries if each.is_kept), default=0.0)
    broken = min((each for each in tries if not each.is_kept), key=lambda each: each.share)
    if broken.share - low < _CLOSE:
        return None
    ratio = min(
        max(result.guard.allowed, 0.0) / result.loss
        for result in broken.results
        if not result.is_kept
    )
    guess = broken.share * math.sqrt(ratio)
    span = broken.share - low
    return min(max(guess, low + _NEAREST * span), low + _FARTHEST * span)


def _best(tries: Sequence[GuardTry]) -> int:
    """Return which try is the result: the most that was removed and kept, else the least."""
    kept = [index for index, each in enumerate(tries) if each.is_kept]
    if kept:
        return max(kept, key=lambda index: tries[index].share)
    return min(range(len(tries)), key=lambda index: tries[index].share)


def _result(guard: Guard, slices: Sequence[SliceResult]) -> GuardResult:
    found = next((s for s in slices if (s.column, s.value) == (guard.column, guard.value)), None)
    if found is None:
        raise DataError(
            f"nothing was measured for the group {guard.name}",
            "Use data in which it occurs as text, in fewer than 20 values",
        )
    return GuardResult(
        guard, found.count, found.dense, found.pruned, found.loss, found.low, found.high
    )


def _dense(goal: Goal, report: PruneReport) -> float | None:
    """Return a goal's quantity of the dense model, from what a run measured."""
    sizes = {
        GoalKind.PARAMETERS: report.parameters,
        GoalKind.BYTES: report.bytes,
        GoalKind.FLOPS: report.flops,
    }.get(goal.kind)
    if sizes is not None:
        return sizes.dense
    return None if report.goal is None else report.goal.dense


def _about(
    spec: PruneSpec, chosen: PruneReport, first: PruneReport, guards: GuardReport, out: Path
) -> PruneReport:
    """Return a report on the request itself, not on the lesser one that became of it."""
    warnings = chosen.warnings
    if not guards.is_kept:
        broken = [result for result in guards.final.results if not result.is_kept]
        names = ", ".join(f"{r.guard.name} lost {r.loss:.3g}" for r in broken)
        warnings = (*warnings, f"protected groups could not be kept: {names}")
    return dataclasses.replace(
        chosen,
        out=str(out),
        goal=_reached(spec.goal, chosen.goal, first),
        guards=guards,
        warnings=warnings,
    )


def _reached(goal: Goal | None, found: GoalReport | None, first: PruneReport) -> GoalReport | None:
    if goal is None or found is None or found.goal == goal:
        return found
    asked = first.goal.asked if first.goal is not None else goal.value
    is_met = found.achieved >= asked if goal.kind in _LARGER_IS_MORE else found.achieved <= asked
    return dataclasses.replace(found, goal=goal, asked=asked, is_met=is_met)
