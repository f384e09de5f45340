"""What pruning takes, as text for a terminal.

The decision hidden here: which of a plan's figures a person sees first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osscar_core.cli.console import scaled, table
from osscar_core.notation import gibibytes

if TYPE_CHECKING:
    from osscar_core.planning import ResourcePlan
    from osscar_core.resources import Forecast, Phase

_MINUTE = 60
_SHOWN = 0.05  # seconds
_HOUR = 3600


def plan_text(plan: ResourcePlan) -> str:
    """Return a plan as text."""
    found = plan.forecast
    items = f"{found.samples} windows of {found.seqlen} tokens"
    if found.seqlen is None:
        items = f"{found.samples} images"
    several = f", {found.gpus} of them" if found.gpus > 1 else ""
    asked = f"{found.sparsity:.0%} of the groups to go, {items}"
    stored = ", ".join(f"{part.name} {gibibytes(part.bytes)}" for part in found.disk)
    lines = [
        f"{found.model}: {scaled(found.parameters)} parameters, {asked}",
        f"Machine: {found.machine}{several} ({plan.chosen})",
        f"Placement: {found.placement.describe()}",
        "",
        *_memory(plan),
        f"Disk: {gibibytes(found.disk_bytes)} ({stored})",
        f"Time: {duration(found.seconds.total)} ({_times(found)})",
        "",
        _elsewhere(plan),
        "",
        found.basis,
    ]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    return f"{seconds / _HOUR:.1f} h"


def _memory(plan: ResourcePlan) -> list[str]:
    found = plan.forecast
    lines = []
    if found.gpu:
        lines += _peak("GPU memory", found.gpu_bytes, plan.gpu_memory, found.gpu)
    return [*lines, *_peak("Host memory", found.host_bytes, plan.host_memory, found.host)]


def _peak(what: str, peak: int, budget: int | None, phases: tuple[Phase, ...]) -> list[str]:
    allowed = "" if budget is None else f" of {gibibytes(budget)}"
    fullest = max(phases, key=lambda phase: phase.bytes)
    parts = [(part.name, part.bytes) for part in fullest.parts]
    parts.append(("CUDA itself and what its allocator loses", peak - fullest.bytes))
    rows = (f"  {name}: {gibibytes(size)}" for name, size in parts if size)
    during = "" if len(phases) == 1 else f", most during {fullest.name}"
    return [f"{what}: {gibibytes(peak, up=True)}{allowed}{during}", *rows]


def _times(found: Forecast) -> str:
    seconds = found.seconds
    names = ("read", "forward", "move", "statistics", "search", "write")
    parts = ((name, getattr(seconds, name)) for name in names)
    return ", ".join(f"{name} {duration(value)}" for name, value in parts if value >= _SHOWN)


def _elsewhere(plan: ResourcePlan) -> str:
    rows = []
    for one in plan.machines:
        if one.forecast is None:
            rows.append((one.machine, "does not fit", "", ""))
            continue
        found = one.forecast
        gpu = gibibytes(found.gpu_bytes) if found.gpu else "-"
        rows.append((one.machine, gpu, gibibytes(found.host_bytes), duration(found.seconds.total)))
    return table(("elsewhere", "GPU memory", "host memory", "time"), rows)
