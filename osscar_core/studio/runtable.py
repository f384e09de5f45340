"""The table of runs: what it says of each, and which columns there is room for.

The decision hidden here: what of a result the list keeps. A result is read once, reduced to
a few numbers and remembered for as long as its file stays as it is; one that cannot be read
costs its run the numbers and no other run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from osscar_core.goals import GoalKind
from osscar_core.studio import examples
from osscar_core.studio.choices import shown_name
from osscar_core.studio.desk import Desk
from osscar_core.studio.evidence import difference
from osscar_core.studio.frame import run_title
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import date, signed
from osscar_core.studio.requests import JobKind, RunResult
from osscar_core.studio.summary import asked, kind_name, method_name
from osscar_core.studio.texts import say

STAR = "\N{BLACK STAR}"

_read: dict[Path, tuple[int, Figures | None]] = {}


class Standing(StrEnum):
    """What became of a run, as the list tells it."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    IMPORTED = "imported"
    EXAMPLE = "example"
    DAMAGED = "damaged"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the list tells of a result.

    Attributes:
        removed: Share of the heads, neurons or channels that is gone.
        speedup: Dense over pruned latency.
        speedup_half: The longer half of its 95% interval.
        metric: What quality is.
        change: Change of quality: points of accuracy, or per cent of perplexity.
        change_half: The longer half of its 95% interval.
        megabytes: Size of the weights file in units of 10^6 bytes.
        device: What it was timed on.
        made: When the plan was made, in ISO form.
    """

    removed: float
    speedup: float
    speedup_half: float
    metric: Literal["perplexity", "top1"]
    change: float
    change_half: float
    megabytes: float
    device: str
    made: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A run in the list, with its figures if its result could be read."""

    run: Run
    figures: Figures | None = None

    @property
    def standing(self) -> Standing:
        """What became of it."""
        state = self.run.status.state
        if examples.is_example(self.run):
            return Standing.EXAMPLE
        if state is not State.FINISHED or self.run.kind is not JobKind.PRUNE:
            return Standing(state.value)
        if self.figures is None:
            return Standing.DAMAGED
        return Standing.IMPORTED if self.run.is_imported else Standing.FINISHED


def entry_of(store: Desk, run: Run) -> Entry:
    """Return a run with what the list tells of its result."""
    if run.kind is not JobKind.PRUNE or run.status.state is not State.FINISHED:
        return Entry(run)
    return Entry(run, _kept(store, run))


def figures_of(result: RunResult) -> Figures:
    """Return what the list tells of a result."""
    change, low, high = difference(result.dense, result.pruned)
    scale = 1.0 if result.pruned.metric == "top1" else 100.0
    return Figures(
        removed=removed_share(result),
        speedup=result.speedup,
        speedup_half=_longer_half(result.speedup, *result.speedup_interval),
        metric=result.pruned.metric,
        change=scale * change,
        change_half=scale * _longer_half(change, low, high),
        megabytes=result.prune.bytes.pruned / 1e6,
        device=result.pruned_speed.conditions.get("device", ""),
        made=result.prune.plan.created,
    )


def removed_share(result: RunResult) -> float:
    """Return the share of what can be removed that is gone, in [0, 1).

    A run that was asked for a share measured it; otherwise every group counts alike.
    """
    reached = result.asked or result.prune.goal
    if reached is not None and reached.goal.kind is GoalKind.REMOVED:
        return reached.achieved
    groups = sum(unit.groups for unit in result.prune.units)
    return 1 - sum(unit.kept for unit in result.prune.units) / groups if groups else 0.0


Value = str | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        key: What it is called in the code.
        width: Its width in pixels.
        format: How its numbers are written; empty for text.
    """

    key: str
    width: int
    format: str = ""


# In the order on screen.
_COLUMNS = (
    Column("star", 36),
    Column("name", 132),
    Column("model", 125),
    Column("asked", 118),
    Column("method", 112),
    Column("removed", 84, "%.0f"),
    Column("speedup", 76, "%.2f"),
    Column("speedup_half", 56, "%.2f"),
    Column("quality", 122),
    Column("accuracy", 96, "%+.1f"),
    Column("accuracy_half", 56, "%.1f"),
    Column("perplexity", 118, "%+.1f"),
    Column("perplexity_half", 56, "%.1f"),
    Column("size", 76, "%.3g"),
    Column("state", 88),
    Column("when", 112),
    Column("owner", 150),
    Column("device", 140),
)
_METRICS = ("accuracy", "perplexity")
# What goes first where there is no room for all.
_LEAST_NEEDED = (
    *("device", "removed", "size", "when", "method", "name"),
    *("speedup_half", "accuracy_half", "perplexity_half", "model"),
)


def values_of(entry: Entry) -> dict[str, Value]:
    """Return what the table says of a run, by column."""
    run, figures = entry.run, entry.figures
    spec = run.request.spec
    is_prune = run.kind is JobKind.PRUNE
    found: dict[str, Value] = {
        "star": STAR if run.is_starred else "",
        "name": run.name,
        "model": shown_name(spec.model),
        "asked": asked(spec) if is_prune else kind_name(run.request),
        "method": method_name(spec.method) if is_prune else "",
        "state": say(f"runs.state.{entry.standing.value}"),
        "when": _day(entry),
        "owner": "" if examples.is_example(run) else run.owner,
        "quality": "",
    }
    numbers = dict.fromkeys(column.key for column in _COLUMNS if column.format)
    device = ""
    if figures is not None:
        quality = "accuracy" if figures.metric == "top1" else "perplexity"
        device = figures.device
        unit = "pt" if figures.metric == "top1" else "percent"
        found["quality"] = say(
            f"runs.change.{unit}",
            change=signed(figures.change),
            half=f"{figures.change_half:.1f}",
        )
        numbers |= {
            "removed": 100 * figures.removed,
            "speedup": figures.speedup,
            "speedup_half": figures.speedup_half,
            quality: figures.change,
            f"{quality}_half": figures.change_half,
            "size": figures.megabytes,
        }
    return {**found, "device": device, **numbers}


def _day(entry: Entry) -> str:
    """Return when a run was asked for; of an example, when it was computed."""
    if entry.run.created:
        return date(entry.run.created)
    return date(entry.figures.made) if entry.figures is not None else ""


def title_of(entry: Entry) -> str:
    """Return a run in a few words, for where there is room for one column only."""
    star = f"{STAR} " if entry.run.is_starred else ""
    return f"{star}{run_title(entry.run)}"


def columns_for(rows: Sequence[Mapping[str, Value]], room: float) -> tuple[Column, ...]:
    """Return the columns that say something and fit.

    Args:
        rows: What `values_of` gave.
        room: Pixels there are.
    """
    chosen = [column for column in _COLUMNS if _says_something(column, rows)]
    for key in _LEAST_NEEDED:
        if sum(column.width for column in chosen) <= room:
            break
        chosen = [column for column in chosen if column.key != key]
    return tuple(chosen)


def common_to_all(rows: Sequence[Mapping[str, Value]], key: str) -> str:
    """Return what all rows that have a value there say; empty if they differ."""
    values = {row[key] for row in rows if row[key]}
    return str(values.pop()) if len(values) == 1 else ""


def _says_something(column: Column, rows: Sequence[Mapping[str, Value]]) -> bool:
    key = column.key
    if key in ("model", "device", "owner"):
        return len({row[key] for row in rows if row[key]}) > 1
    # Numbers of one unit can be sorted; of two, they stand in one column as text.
    is_mixed = all(any(row[each] is not None for row in rows) for each in _METRICS)
    if key == "quality":
        return is_mixed
    if is_mixed and key.removesuffix("_half") in _METRICS:
        return False
    if key in ("star", "name") or column.format:
        return any(row[key] not in ("", None) for row in rows)
    return True


def _longer_half(value: float, low: float, high: float) -> float:
    return max(value - low, high - value)


def _kept(store: Desk, run: Run) -> Figures | None:
    if examples.is_example(run):
        result = examples.result_of(store, run)
        return None if result is None else figures_of(result)
    try:
        written = (run.folder / "result.json").stat().st_mtime_ns
    except OSError:
        return None
    known = _read.get(run.folder)
    if known is None or known[0] != written:
        result = store.result(run)
        known = written, None if result is None else figures_of(result)
        _read[run.folder] = known
    return known[1]
