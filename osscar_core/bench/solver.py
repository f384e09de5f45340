"""The search against what it replaces: time, memory, objective, error and gap.

The decision hidden here: what is timed. Each contender starts from the same problem in
memory and ends with re-fitted weights; statistics and damping are formed before. A first
run on a small problem warms the device up, kernels included; times are the best of the
repeats, after the device has finished.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from osscar_core.bench.problems import SyntheticProblem
from osscar_core.bench.recipe import (
    PUBLISHED_ROUNDS,
    PUBLISHED_STEP,
    published_elimination,
    published_refit,
    published_swaps,
    tuned_elimination,
)
from osscar_core.errors import SpecError
from osscar_core.progress import Progress, report
from osscar_core.records import check_range
from osscar_core.solver import (
    SWAP_ROUNDS,
    Certificate,
    LayerProblem,
    certify_support,
    eliminate,
    objective,
    refit,
    relative_error,
    swap_search,
)

_WARM_UP_FEATURES = 1024
_T = TypeVar("_T")


class Contender(StrEnum):
    """What is compared.

    ``published`` is the recipe organised as its authors' program is, ``recipe`` the same
    formulas at their best, ``naive`` the latter with one group at a time.
    """

    OURS = "ours"
    OURS_SWAPS = "ours+swaps"
    PUBLISHED = "published"
    RECIPE = "recipe"
    RECIPE_SWAPS = "recipe+swaps"
    NAIVE = "naive"


@dataclass(frozen=True, slots=True)
class SolverRow:
    """One contender's result.

    Attributes:
        contender: Which.
        seconds: Best wall time of the repeats.
        peak_bytes: Memory beyond the problem's own: allocated by torch on a GPU, resident
            on a CPU; ``None`` where the system does not tell.
        objective: f of the support found, from a fresh factorisation; lower is better.
        relative_error: Undamped squared output error over the target's power.
        gap: Share of the cost of removal that may be avoidable, at most, in [0, 1].
        swaps: Groups exchanged after the elimination.
        speedup: Time of the published program over this one, where both ran.
        speedup_over_recipe: The same for the recipe at its best.
    """

    contender: Contender
    seconds: float
    peak_bytes: int | None
    objective: float
    relative_error: float
    gap: float | None
    swaps: int
    speedup: float | None = None
    speedup_over_recipe: float | None = None


@dataclass(frozen=True, slots=True)
class SolverBench:
    """A comparison on one problem.

    Attributes:
        problem: What was solved, in words.
        features: p.
        outputs: m.
        group_size: g.
        keep: Groups kept.
        device: Name of the device.
        threads: CPU threads.
        torch: Version.
        bound: Valid lower bound of f over all supports of that width, if asked for.
        bound_seconds: Time that took.
        rows: One a contender.
    """

    problem: str
    features: int
    outputs: int
    group_size: int
    keep: int
    device: str
    threads: int
    torch: str
    bound: float | None
    bound_seconds: float | None
    rows: tuple[SolverRow, ...]


def bench_solver(
    problem: LayerProblem | SyntheticProblem,
    *,
    remove: float,
    device: torch.device,
    device_name: str,
    contenders: tuple[Contender, ...] = tuple(Contender),
    repeats: int = 1,
    with_bound: bool = True,
    name: str = "",
    progress: Progress | None = None,
) -> SolverBench:
    """Compare the contenders on one problem.

    Args:
        problem: The problem, or the recipe of one.
        remove: Share of the groups to remove, in (0, 1).
        device: Where to compute.
        device_name: Its name, for the record.
        contenders: Which to run.
        repeats: Runs of each; the best time counts.
        with_bound: Whether to bound the optimum, which gives the gaps.
        name: What the problem is, in words.
        progress: Callback.

    Raises:
        SpecError: ``remove`` leaves nothing to do.
    """
    check_range("repeats", repeats, 1)
    if isinstance(problem, SyntheticProblem):
        name = name or f"generated, seed {problem.seed}"
        problem_of = problem.build(device)
    else:
        problem_of = problem
    keep = problem_of.groups - round(remove * problem_of.groups)
    if not 1 <= keep < problem_of.groups:
        raise SpecError(
            f"removing {remove} of {problem_of.groups} groups leaves {keep}",
            "Remove at least one group and keep at least one",
        )
    _warm_up(problem_of.width, device, contenders)
    rows, supports = [], []
    for done, contender in enumerate(contenders):
        report(progress, "bench", done, len(contenders) + 1, contender)
        row, support = _run(contender, problem_of, keep, device, repeats)
        rows.append(row)
        supports.append(support)
    bound = bound_seconds = None
    if with_bound and rows:
        report(progress, "bench", len(contenders), len(contenders) + 1, "lower bound")
        best = min(range(len(rows)), key=lambda place: rows[place].objective)
        proof, bound_seconds, _ = _timed(
            lambda: certify_support(problem_of, supports[best]), device
        )
        bound = proof.bound
        rows = [dataclasses.replace(row, gap=_gap(row.objective, proof)) for row in rows]
    seconds = {row.contender: row.seconds for row in rows}
    published, recipe = seconds.get(Contender.PUBLISHED), seconds.get(Contender.RECIPE)
    rows = [
        dataclasses.replace(
            row,
            speedup=None if published is None else published / row.seconds,
            speedup_over_recipe=None if recipe is None else recipe / row.seconds,
        )
        for row in rows
    ]
    return SolverBench(
        problem=name,
        features=problem_of.features,
        outputs=problem_of.G.shape[1],
        group_size=problem_of.width,
        keep=keep,
        device=device_name,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        bound=bound,
        bound_seconds=bound_seconds,
        rows=tuple(rows),
    )


def _run(
    contender: Contender,
    problem: LayerProblem,
    keep: int,
    device: torch.device,
    repeats: int,
) -> tuple[SolverRow, Tensor]:
    """Return one contender's result and the support that it found."""
    attempts = [_timed(lambda: _solve(contender, problem, keep), device) for _ in range(repeats)]
    seconds = min(seconds for _, seconds, _ in attempts)
    (support, W, bias, swaps), _, peak = attempts[-1]
    row = SolverRow(
        contender=contender,
        seconds=seconds,
        peak_bytes=peak,
        objective=objective(problem, support),
        relative_error=relative_error(problem, support, W, bias),
        gap=None,
        swaps=swaps,
    )
    return row, support


def _gap(value: float, proof: Certificate) -> float:
    """Return the share of the cost of this objective that may be avoidable at most."""
    cost = value - proof.full
    return min(1.0, max(0.0, (value - proof.bound) / cost)) if cost > 0 else 0.0


def _solve(
    contender: Contender, problem: LayerProblem, keep: int
) -> tuple[Tensor, Tensor, Tensor | None, int]:
    """Return support, weights, bias change and swaps of one contender."""
    at_once = min(PUBLISHED_STEP, max(1, problem.groups // 64))
    swaps = 0
    match contender:
        case Contender.OURS | Contender.OURS_SWAPS:
            support = eliminate(problem, keep).support(keep)
            if contender is Contender.OURS_SWAPS:
                support, swaps = swap_search(problem, support, SWAP_ROUNDS)
            return support, *refit(problem, support), swaps
        case Contender.RECIPE | Contender.RECIPE_SWAPS:
            support = tuned_elimination(problem, keep, at_once)
            if contender is Contender.RECIPE_SWAPS:
                support, rounds = published_swaps(
                    problem, support, at_once=at_once, rounds=PUBLISHED_ROUNDS
                )
                swaps = rounds * at_once
        case Contender.PUBLISHED:
            support = published_elimination(problem, keep, at_once)
        case Contender.NAIVE:
            support = tuned_elimination(problem, keep, 1)
    return support, *published_refit(problem, support), swaps


def _timed(work: Callable[[], _T], device: torch.device) -> tuple[_T, float, int | None]:
    """Return the result of some work, its wall time, and the memory it took at most."""
    gc.collect()
    is_gpu = device.type == "cuda"
    if is_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before: int | None = torch.cuda.memory_allocated(device)
    else:
        before = _reset_resident_peak()
    started = time.perf_counter()
    result = work()
    if is_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    if before is None:
        return result, seconds, None
    peak = torch.cuda.max_memory_allocated(device) if is_gpu else _resident("VmHWM")
    return result, seconds, max(0, peak - before)


def _reset_resident_peak() -> int | None:
    """Start to watch the process's resident size; ``None`` where the system cannot.

    Memory that the C library kept from earlier work goes back first: reused, it would hide
    what this work takes.

    Returns:
        The size now, in bytes.
    """
    try:
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _resident("VmRSS")
    except (OSError, TypeError):  # not Linux; Windows has no library of that name
        return None


def _resident(name: str) -> int:
    """Return a size that Linux keeps of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _warm_up(width: int, device: torch.device, contenders: tuple[Contender, ...]) -> None:
    """Run everything once, so that libraries and kernels are loaded before the clock runs."""
    groups = max(2, _WARM_UP_FEATURES // width)
    small = SyntheticProblem(groups * width, 64, width).build(device)
    for contender in contenders:
        _solve(contender, small, groups // 2)
