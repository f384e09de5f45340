"""The methods that OSSCAR is compared with, as their authors describe them.

The decision hidden here: what each baseline ranks groups by and whether it touches the
weights that stay. None of them shares code with `elimination`, so `eliminate_naively`
also serves as its check.

References:
    Wanda: M. Sun et al., arXiv 2306.11695, summed over a group ("Wanda-sp").
    FLAP: Y. An et al., arXiv 2312.11983, fluctuation metric and bias compensation.
    ZipLM: E. Kurtic et al., arXiv 2302.04089, structured OBS, one group at a time.
    OSSCAR: X. Meng et al., arXiv 2403.12983, several groups at a time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from osscar_core.solver.constraints import Constraints
from osscar_core.solver.problem import (
    LayerProblem,
    cholesky,
    complement,
    not_positive_definite,
)


def random_scores(problem: LayerProblem, seed: int) -> Tensor:
    """Return a score by chance for each group, (groups,), the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(problem.groups, generator=generator)
    scores = torch.empty(problem.groups, dtype=torch.float64)
    scores[order] = torch.arange(problem.groups, 0, -1, dtype=torch.float64)
    return scores.to(problem.device)


def magnitude_scores(problem: LayerProblem) -> Tensor:
    """Return the sum of squared dense weights of each group, (groups,)."""
    return _per_group(problem, problem.W0.square().sum(1))


def wanda_scores(problem: LayerProblem) -> Tensor:
    """Return ``sum |W_ij| sqrt(E x_i^2)`` of each group, (groups,)."""
    norms = problem.statistics.gram.diagonal().clamp(min=0.0).sqrt()
    return _per_group(problem, problem.W0.abs().sum(1) * norms)


def flap_scores(problem: LayerProblem) -> Tensor:
    """Return the fluctuation ``sum Var(x_i) |W_i|^2`` of each group, (groups,)."""
    raw = problem.statistics
    variance = (raw.gram.diagonal() - raw.mean_x.square()).clamp(min=0.0)
    return _per_group(problem, variance * problem.W0.square().sum(1))


def flap_bias_change(problem: LayerProblem, support: Tensor) -> Tensor:
    """Return the mean output of the removed features, ``mean(X_R) W0_R``, (m,)."""
    index = problem.feature_index(complement(problem.groups, support.to(problem.device)))
    return problem.statistics.mean_x[index] @ problem.W0[index]


def highest(scores: Tensor, keep: int, constraints: Constraints | None = None) -> Tensor:
    """Return the ascending indices of the ``keep`` highest scores, ties to the lowest.

    Protected groups count as highest of all, forced ones as lowest.
    """
    if constraints:
        groups, device = scores.numel(), scores.device
        stay = constraints.mask(constraints.protected, groups).to(device)
        go = constraints.mask(constraints.forced, groups).to(device)
        scores = scores.masked_fill(stay, math.inf).masked_fill(go, -math.inf)
    return scores.sort(descending=True, stable=True).indices[:keep].sort().values


def eliminate_naively(
    problem: LayerProblem,
    keep: int,
    *,
    at_once: int = 1,
    constraints: Constraints | None = None,
) -> tuple[Tensor, Tensor]:
    """Eliminate with dense updates of the inverse hessian and the weights at every step.

    Each step removes the ``at_once`` groups that are cheapest at the current state, by
    ``1/2 tr(W_j^T P_jj^-1 W_j)``, and applies the block inverse formula. With one group
    at a time this is ZipLM's elimination, with several the published OSSCAR's.

    Args:
        problem: The layer's problem.
        keep: Groups that stay.
        at_once: Groups removed per step; the last step may remove fewer.
        constraints: Forced groups go first, protected ones never.

    Returns:
        The order of removal, (groups - keep,) int64, and the rise of f in each step,
        (steps,) float64.

    Raises:
        NumericalError: The hessian is not positive definite to working precision.
    """
    limits = constraints or Constraints()
    device = problem.device
    P = torch.cholesky_inverse(cholesky(problem.H, problem.damping))
    W = P @ problem.weighted(problem.G)
    forced = limits.mask(limits.forced, problem.groups).to(device)
    free = limits.movable(problem.groups).to(device)
    first = int(forced.sum())
    order: list[Tensor] = []
    rises: list[Tensor] = []
    for allowed, removals in ((forced, first), (free, problem.groups - keep - first)):
        left = removals
        while left:
            prices = _prices(P, W, problem.width)
            if not bool((prices[allowed].isfinite() & (prices[allowed] >= 0)).all()):
                raise not_positive_definite(problem.damping)
            count = min(at_once, left)
            chosen = torch.where(allowed, prices, torch.inf).sort(stable=True).indices[:count]
            rises.append(_remove_(P, W, problem.feature_index(chosen)))
            allowed[chosen] = False
            order.append(chosen)
            left -= count
    if not order:
        return torch.empty(0, dtype=torch.int64, device=device), P.new_empty(0)
    return torch.cat(order), torch.stack(rises)


def _remove_(P: Tensor, W: Tensor, gone: Tensor) -> Tensor:
    """Take features out of P and W in place; return the rise of f, ()."""
    columns = P[:, gone]
    block = columns[gone]
    rise: Tensor = 0.5 * (W[gone] * torch.linalg.solve(block, W[gone])).sum()
    lift = torch.linalg.solve(block, columns.T).T  # P[:, J] P_JJ^-1
    W.addmm_(lift, W[gone], alpha=-1)
    P.addmm_(lift, columns.T, alpha=-1)
    # What is gone stays in place, decoupled from the rest.
    P[gone] = 0
    P[:, gone] = 0
    P[gone, gone] = 1
    W[gone] = 0
    return rise


def paper_batch(groups: int) -> int:
    """Return how many groups the published recipe removes per step."""
    return min(10, max(1, groups // 64))


def _prices(P: Tensor, W: Tensor, g: int) -> Tensor:
    """Return ``1/2 tr(W_j^T P_jj^-1 W_j)`` of each group; at least 0 in a sound state."""
    if g == 1:
        return 0.5 * W.square().sum(1) / P.diagonal()
    groups = P.shape[0] // g
    blocks = P.view(groups, g, groups, g).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    rows = W.view(-1, g, W.shape[1])
    prices: Tensor = 0.5 * (rows * torch.linalg.solve(blocks, rows)).sum((1, 2))
    return prices


def _per_group(problem: LayerProblem, per_feature: Tensor) -> Tensor:
    return per_feature.view(problem.groups, problem.width).sum(1)
