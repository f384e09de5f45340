"""The published recipe, written from its formulas, as the contender to beat.

The decision hidden here: how much help the recipe gets. Elimination removes several groups
a step with dense updates; then, again and again, as many of the cheapest kept groups leave
as of the most useful removed ones enter, the inverse is formed anew from scratch, and the
round counts only if the objective fell.

`published_elimination` organises that as the authors' program does: a general inverse, one
small inverse a group, products and differences formed as separate matrices.
`tuned_elimination` is the same arithmetic at its best: a Cholesky inverse, all groups at
once, updates in place. The swap rounds exist in the tuned form only.

Reference: X. Meng et al., "OSSCAR", ICML 2024 (arXiv 2403.12983), sections 3.2 and 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from osscar_core.solver import LayerProblem
from osscar_core.solver.baselines import eliminate_naively
from osscar_core.solver.blocks import diagonal_blocks
from osscar_core.solver.problem import complement

PUBLISHED_STEP = 10
PUBLISHED_ROUNDS = 20


def published_elimination(problem: LayerProblem, keep: int, at_once: int) -> Tensor:
    """Return the support that is left after removing ``at_once`` groups a step."""
    g, groups = problem.width, problem.groups
    P = torch.linalg.inv(problem.H)
    W = P @ problem.weighted(problem.G)
    gone = torch.zeros(groups, dtype=torch.bool, device=P.device)
    left = groups
    while left > keep:
        lifted = torch.zeros_like(W)
        if g == 1:
            lifted = 0.5 * W / (P.diagonal() + gone)[:, None]
        else:
            for j in (~gone).nonzero().view(-1).tolist():
                own = slice(j * g, (j + 1) * g)
                lifted[own] = 0.5 * torch.linalg.inv(P[own, own]) @ W[own]
        prices = (W * lifted).view(groups, -1).sum(1)
        count = min(at_once, left - keep)
        chosen = torch.where(gone, torch.inf, prices).argsort()[:count]
        away = problem.feature_index(chosen)
        inner = torch.linalg.inv(P[away[:, None], away])
        W -= P[:, away] @ inner @ W[away]
        P -= P[:, away] @ inner @ P[away]
        W[away] = 0
        P[away] = 0
        P[:, away] = 0
        gone[chosen] = True
        left -= count
    return (~gone).nonzero().view(-1)


def tuned_elimination(problem: LayerProblem, keep: int, at_once: int) -> Tensor:
    """Return the same support, found with less work for the same formulas."""
    order, _ = eliminate_naively(problem, keep, at_once=at_once)
    return complement(problem.groups, order)


def published_refit(problem: LayerProblem, support: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the weights ``inv(H_SS) G_S``, and the bias change that goes with them."""
    index = problem.feature_index(support)
    W = torch.linalg.inv(problem.hessian(index, index)) @ problem.right_side(index)
    raw = problem.statistics
    return W, raw.mean_y - raw.mean_x[index] @ W if problem.intercept else None


def published_swaps(
    problem: LayerProblem, support: Tensor, *, at_once: int, rounds: int
) -> tuple[Tensor, int]:
    """Exchange ``at_once`` groups a round while the objective falls.

    Every round inverts the hessian of the support, updates it for the groups that leave,
    and prices all removed groups against it.

    Returns:
        The support and the number of rounds that counted.
    """
    H, g = problem.H, problem.width
    G = problem.weighted(problem.G)
    best = support
    at_once = min(at_once, support.numel() - 1, problem.groups - support.numel())
    if at_once < 1:
        return support, 0
    value = _objective(problem, support)
    for done in range(rounds):
        S = problem.feature_index(best)
        P = torch.linalg.inv(H[S[:, None], S])
        W = P @ G[S]
        out = _block_values(diagonal_blocks(P, g), W).argsort()[:at_once].sort().values
        gone = (out[:, None] * g + torch.arange(g, device=H.device)).view(-1)
        lift = P[:, gone] @ torch.linalg.inv(P[gone[:, None], gone])
        stay = torch.ones(best.numel(), dtype=torch.bool, device=H.device)
        stay[out] = False
        kept = problem.feature_index(stay.nonzero().view(-1))
        P = (P - lift @ P[gone])[kept[:, None], kept]
        left = best[stay]
        S = problem.feature_index(left)
        others = complement(problem.groups, left)
        R = problem.feature_index(others)
        B = H[S[:, None], R]
        PB = P @ B
        across, answer = (part.T.reshape(-1, g, S.numel()) for part in (B, PB))
        schur = problem.hessian_blocks(others) - across @ answer.mT
        gains = _block_values(schur, G[R] - PB.T @ G[S])
        entering = others[gains.argsort(descending=True)[:at_once]]
        candidate = torch.cat((left, entering)).sort().values
        new = _objective(problem, candidate)
        if not new < value * (1 + 1e-9):  # both are negative
            return best, done
        best, value = candidate, new
    return best, rounds


def _objective(problem: LayerProblem, support: Tensor) -> float:
    index = problem.feature_index(support)
    G = problem.target(index)
    return -0.5 * float((torch.linalg.inv(problem.hessian(index, index)) @ G * G).sum())


def _block_values(blocks: Tensor, rows: Tensor) -> Tensor:
    """Return ``1/2 tr(V_j^T blocks_j^-1 V_j)`` for each group of rows."""
    g = blocks.shape[-1]
    if g == 1:
        return 0.5 * rows.square().sum(1) / blocks.view(-1)
    V = rows.view(-1, g, rows.shape[1])
    values: Tensor = 0.5 * (V * torch.linalg.solve(blocks, V)).sum((1, 2))
    return values
