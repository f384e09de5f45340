"""Which groups of a layer stay, and with what weights: pure linear algebra.

The decision hidden here: which steps make up each method. `solve` takes a
`LayerProblem` and returns a `Solution`; it knows nothing of models or modules.

Reference: X. Meng et al., "OSSCAR: One-Shot Structured Pruning in Vision and Language
Models with Combinatorial Optimization", ICML 2024 (arXiv 2403.12983).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.methods import refits
from osscar_core.records import Certify, Method
from osscar_core.solver import baselines
from osscar_core.solver.certificate import (
    DEFAULT_ROUNDS,
    Certificate,
    Proof,
    branch_and_bound,
    certify_support,
)
from osscar_core.solver.constraints import Constraints
from osscar_core.solver.elimination import check_keep, eliminate
from osscar_core.solver.local_search import SwapBudget, swap_search
from osscar_core.solver.path import Path
from osscar_core.solver.problem import (
    LayerProblem,
    Solution,
    Statistics,
    check_support,
    complement,
    objective,
    quadratic,
    refit,
    relative_error,
)

__all__ = [
    "SWAP_ROUNDS",
    "Certificate",
    "Constraints",
    "LayerProblem",
    "Path",
    "Proof",
    "Solution",
    "Statistics",
    "SwapBudget",
    "branch_and_bound",
    "certify_support",
    "eliminate",
    "objective",
    "refit",
    "relative_error",
    "solve",
    "solve_given",
    "swap_search",
]

# With 1,536 to 3,072 single features, 64 rounds end at or near a local optimum in about
# a sixth of the elimination's time; with wider groups fewer than ten are used.
SWAP_ROUNDS = 64
PAPER_SWAP_ROUNDS = 10
# Up to this many groups, branch and bound has a chance within its time.
PROVABLE_GROUPS = 32
PROOF_SECONDS = 10.0
# Up to these widths a bound of one round takes about as long as the search or less.
AUTO_WIDTH = 1536
AUTO_DEVICE_WIDTH = 8192
# As published, these search as if all outputs mattered alike.
_BLIND_TO_OUTPUT_WEIGHTS = frozenset({Method.PAPER, Method.ZIPLM})


def solve(
    problem: LayerProblem,
    keep: int,
    method: Method,
    *,
    seed: int = 0,
    swaps: int | None = None,
    seconds: float | None = None,
    constraints: Constraints | None = None,
    path: Path | None = None,
    start: Tensor | None = None,
    device: torch.device | None = None,
    certify: Certify = Certify.OFF,
) -> Solution:
    """Choose ``keep`` groups and the weights on them.

    Methods that re-fit (``osscar``, ``paper``, ``ziplm``, ``magnitude-refit``) change the
    bias if and only if the problem has an intercept; ``flap`` always does; the others
    leave weights and bias as they are. Output weights guide the search of ``osscar``
    alone, and weigh the reported objective and error of every method.

    Args:
        problem: The layer's problem.
        keep: Groups that stay, in [1, groups].
        method: Selection method.
        seed: Seeds the ``random`` method.
        swaps: Upper bound of swap rounds of ``osscar`` and ``paper``; ``None`` for the
            method's default.
        seconds: Upper bound of the time they take; ``None`` for none.
        constraints: Protected and forced groups, which every method respects.
        path: A path of this problem under these constraints, which spares ``osscar`` its
            elimination.
        start: Support from which ``osscar`` searches instead, ascending.
        device: Where ``osscar`` searches and all methods re-fit; ``None`` for the problem's
            device.
        certify: How much to spend on bounding the best support, for methods that re-fit.
            With ``prove``, ``osscar`` returns the best support that this finds.

    Raises:
        SpecError: An argument is out of range, contradicts another, or belongs to
            another problem.
        NumericalError: The hessian is not positive definite to working precision.
    """
    check_keep(problem, keep)
    rounds = PAPER_SWAP_ROUNDS if method is Method.PAPER else SWAP_ROUNDS
    budget = SwapBudget(rounds if swaps is None else swaps, seconds)
    limits = constraints or Constraints()
    limits.check(problem.groups, keep)
    if keep == problem.groups:
        everything = torch.arange(problem.groups, device=problem.device)
        return _solution(problem, everything, method, 0, device)
    if method is Method.OSSCAR:
        support = _greedy(problem, keep, limits, path, start, device)
        support, swapped = swap_search(problem, support, budget, constraints=limits, device=device)
    else:
        support, swapped = _select(problem, keep, method, seed, budget, limits)
    certificate = None
    if method is Method.OSSCAR and certify is Certify.PROVE and _is_provable(problem, limits):
        support, certificate = branch_and_bound(
            problem, keep, start=support, seconds=PROOF_SECONDS, constraints=limits
        )
    elif refits(method) and (rounds := _bound_rounds(problem, certify)):
        certificate = certify_support(problem, support, constraints=limits, rounds=rounds)
    solution = _solution(problem, support, method, swapped, device)
    return dataclasses.replace(solution, certificate=certificate)


def _is_provable(problem: LayerProblem, limits: Constraints) -> bool:
    return int(limits.movable(problem.groups).sum()) <= PROVABLE_GROUPS


def _bound_rounds(problem: LayerProblem, certify: Certify) -> int:
    """Return how many rounds the bound is worth; 0 for no bound at all."""
    if certify is Certify.OFF:
        return 0
    if certify is not Certify.AUTO:
        return DEFAULT_ROUNDS
    widest = AUTO_WIDTH if problem.device.type == "cpu" else AUTO_DEVICE_WIDTH
    return 1 if problem.features <= widest else 0


def _greedy(
    problem: LayerProblem,
    keep: int,
    limits: Constraints,
    path: Path | None,
    start: Tensor | None,
    device: torch.device | None,
) -> Tensor:
    if start is not None:
        check_support(problem, start)
        if start.numel() != keep:
            raise SpecError(
                f"the start keeps {start.numel()} groups, not {keep}", "Give as many as are kept"
            )
        limits.check_support(start)
        return start.to(problem.device)
    if path is None:
        path = eliminate(problem, keep, constraints=limits, device=device)
    else:
        path.check_problem(problem)
    support = path.support(keep).to(problem.device)
    limits.check_support(support)
    return support


def solve_given(
    problem: LayerProblem,
    support: Tensor,
    method: Method,
    *,
    device: torch.device | None = None,
) -> Solution:
    """Return the weights that a method puts on a support chosen elsewhere.

    Args:
        problem: The layer's problem.
        support: Ascending indices of the groups that stay, (k,) int64.
        method: Decides whether the weights are re-fitted, as in `solve`.
        device: Where to compute; ``None`` for the problem's device.

    Raises:
        SpecError: The support is not a non-empty ascending set of groups.
        NumericalError: The hessian is not positive definite to working precision.
    """
    check_support(problem, support)
    return _solution(problem, support.to(problem.device), method, 0, device)


def _solution(
    problem: LayerProblem,
    support: Tensor,
    method: Method,
    swaps: int,
    device: torch.device | None,
) -> Solution:
    bias_change: Tensor | None = None
    if refits(method):
        W, bias_change = refit(problem, support, device=device)
    else:
        W = problem.W0[problem.feature_index(support)]
        if method is Method.FLAP:
            bias_change = baselines.flap_bias_change(problem, support)
    return Solution(
        support=support,
        W=W,
        bias_change=bias_change,
        objective=quadratic(problem, support, W, device=device),
        relative_error=relative_error(problem, support, W, bias_change, device=device),
        swaps=swaps,
    )


def _select(
    problem: LayerProblem,
    keep: int,
    method: Method,
    seed: int,
    budget: SwapBudget,
    limits: Constraints,
) -> tuple[Tensor, int]:
    """Return the support of a method to compare with, and its swaps."""
    if method in _BLIND_TO_OUTPUT_WEIGHTS:
        problem = dataclasses.replace(problem, output_weights=None)
        batch = baselines.paper_batch(problem.groups) if method is Method.PAPER else 1
        order, _ = baselines.eliminate_naively(problem, keep, at_once=batch, constraints=limits)
        support = complement(problem.groups, order)
        if method is Method.PAPER:
            return swap_search(problem, support, budget, constraints=limits)
        return support, 0
    match method:
        case Method.FLAP:
            scores = baselines.flap_scores(problem)
        case Method.WANDA:
            scores = baselines.wanda_scores(problem)
        case Method.RANDOM:
            scores = baselines.random_scores(problem, seed)
        case _:
            scores = baselines.magnitude_scores(problem)
    return baselines.highest(scores, keep, limits), 0
