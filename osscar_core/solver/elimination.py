"""Exact greedy elimination, one group at a time, at the speed of matrix products.

The decision hidden here: how the inverse hessian is kept current. Removing a group
changes it everywhere, yet the next choice looks only at the diagonal blocks, so the
rest is updated late and in bulk.

With ``P = H_SS^-1`` and ``W = P G_S`` removing group j costs ``1/2 tr(P_jj^-1 M_jj)``
where ``M = W s^2 W^T``; the number of outputs plays no part once M is formed. With
``C = P[:, j]``, ``R = M[:, j]``, ``P_jj = L L^T`` and

    ``U_j = C L^-T``,  ``V_j = R L^-T - 1/2 U_j (L^-1 M_jj L^-T)``

removing j makes ``P - U_j U_j^T`` and ``M - U_j V_j^T - V_j U_j^T`` of them. The state is
``P = P0 - U U^T`` and ``M = M0 - U V^T - V U^T`` with narrow panels U and V; a step forms
only the columns it needs, and full panels are multiplied out into P0 and M0.

Reference: the criterion and the block inverse update are those of X. Meng et al.,
"OSSCAR", ICML 2024 (arXiv 2403.12983), here one group at a time and delayed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.solver.blocks import add_symmetric_, diagonal_blocks, half_trace_ratio
from osscar_core.solver.problem import LayerProblem, cholesky, not_positive_definite

PANEL = 128
COMPACT_BELOW = 0.9
_HOST_CHUNK = 2**18  # elements; a chunk of rows should stay in the cache
_DEVICE_CHUNK = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """The greedy order of removal; one pass gives the support at every width.

    Attributes:
        groups: Number of groups at the start.
        order: Groups in order of removal, (groups - keep,) int64.
        initial: The objective f with nothing removed.
        costs: f after each removal, (groups - keep,) float64, ascending.
    """

    groups: int
    order: Tensor
    initial: float
    costs: Tensor

    def support(self, keep: int) -> Tensor:
        """Return the ascending indices of the ``keep`` groups left at that width.

        Raises:
            SpecError: The path does not reach that width.
        """
        fewest = self.groups - self.order.numel()
        if not fewest <= keep <= self.groups:
            raise SpecError(
                f"the path has no support of {keep} groups",
                f"It covers {fewest} to {self.groups} groups",
            )
        alive = torch.ones(self.groups, dtype=torch.bool, device=self.order.device)
        alive[self.order[: self.groups - keep]] = False
        return alive.nonzero().view(-1)

    def cost(self, keep: int) -> float:
        """Return f of the support of ``keep`` groups."""
        removed = self.groups - self.support(keep).numel()
        return self.initial if removed == 0 else float(self.costs[removed - 1])


def eliminate(
    problem: LayerProblem,
    keep: int,
    *,
    panel: int = PANEL,
    compact_below: float = COMPACT_BELOW,
) -> Path:
    """Remove the cheapest group again and again until ``keep`` are left.

    Ties go to the lowest index. The work is about ``6 p^2 n`` flops for n removed
    features, less what symmetry and compaction save, besides one inverse.

    Args:
        problem: The layer's problem, on any device.
        keep: Groups that stay, in [1, groups].
        panel: Removed features gathered before the panels are multiplied out.
        compact_below: The state drops removed features when the share of survivors in
            it falls below this.

    Raises:
        SpecError: ``keep`` is out of range.
        NumericalError: The hessian is not positive definite to working precision.
    """
    check_keep(problem, keep)
    state = _State(problem, panel, compact_below)
    removals = problem.groups - keep
    device = problem.H.device
    order = torch.empty(removals, dtype=torch.int64, device=device)
    prices = torch.empty(removals, dtype=torch.float64, device=device)
    for step in range(removals):
        order[step : step + 1], prices[step : step + 1] = state.remove_cheapest()
    state.check()
    return Path(problem.groups, order, state.initial, state.initial + prices.cumsum(0))


def check_keep(problem: LayerProblem, keep: int) -> None:
    """Raise `SpecError` unless ``keep`` is a whole number in [1, groups]."""
    if isinstance(keep, bool) or not 1 <= keep <= problem.groups or keep != int(keep):
        raise SpecError(
            f"{keep} of {problem.groups} groups are to be kept",
            f"Keep a whole number in [1, {problem.groups}]",
        )


class _State:
    """P and M of the surviving groups, with the updates not yet multiplied out."""

    def __init__(self, problem: LayerProblem, panel: int, compact_below: float) -> None:
        g = problem.width
        factor = cholesky(problem.H, problem.damping)
        weighted_G = problem.weighted(problem.G)
        W = torch.cholesky_solve(weighted_G, factor)
        self.initial = -0.5 * float((W * weighted_G).sum())
        self._P = torch.cholesky_inverse(factor)
        self._M = torch.zeros_like(self._P)
        add_symmetric_(self._M, [(W.T, W.T)], sign=1.0)
        self._width = g
        self._damping = problem.damping
        self._compact_below = compact_below
        self._capacity = max(1, panel // g) * g
        self._blocks_P = diagonal_blocks(self._P, g)  # (n, g, g)
        self._blocks_M = diagonal_blocks(self._M, g)
        device = problem.H.device
        self._alive = torch.ones(problem.groups, dtype=torch.bool, device=device)
        self._survivors = problem.groups
        self._ids = torch.arange(problem.groups, device=device)
        self._offsets = torch.arange(g, device=device)
        self._eye = torch.eye(g, dtype=torch.float64, device=device)
        self._broken = torch.zeros((), dtype=torch.bool, device=device)
        self._new_panels()

    def remove_cheapest(self) -> tuple[Tensor, Tensor]:
        """Remove one group; return its original index and its price, both (1,)."""
        if self._filled == self._capacity:
            self._flush()
        prices, sound = half_trace_ratio(self._blocks_P, self._blocks_M)
        self._broken |= (self._alive & ~sound).any()
        price, chosen = torch.where(self._alive, prices, math.inf).min(0, keepdim=True)
        group = self._ids.index_select(0, chosen)
        self._pivot(chosen)
        self._survivors -= 1
        return group, price

    def check(self) -> None:
        """Raise `NumericalError` if a block stopped being positive definite."""
        if bool(self._broken):
            raise not_positive_definite(self._damping)

    def _pivot(self, chosen: Tensor) -> None:
        g, filled = self._width, self._filled
        features = chosen * g + self._offsets  # (g,)
        C = self._P.index_select(0, features)  # (g, p), rows stand for columns
        R = self._M.index_select(0, features)
        if filled:
            U, V = self._U[:filled], self._V[:filled]
            u_at = U.index_select(1, features).T  # (g, filled)
            v_at = V.index_select(1, features).T
            C = torch.addmm(C, u_at, U, alpha=-1)
            R = torch.addmm(R, u_at, V, alpha=-1).addmm_(v_at, U, alpha=-1)
        pivot_block = self._blocks_P.index_select(0, chosen)[0]
        price_block = self._blocks_M.index_select(0, chosen)[0]
        if g == 1:
            scale = pivot_block.rsqrt()
            new_u = C * scale
            new_v = R * scale - (0.5 * price_block * scale * scale) * new_u
        else:
            L, _ = torch.linalg.cholesky_ex(pivot_block)
            new_u = torch.linalg.solve_triangular(L, C, upper=False)
            half = torch.linalg.solve_triangular(L, price_block, upper=False)  # L^-1 M_jj
            inner = torch.linalg.solve_triangular(L, half.T, upper=False)
            new_v = torch.linalg.solve_triangular(L, R, upper=False)
            new_v = torch.addmm(new_v, inner, new_u, alpha=-0.5)
        self._U[filled : filled + g] = new_u
        self._V[filled : filled + g] = new_v
        self._filled += g
        self._update_blocks(new_u, new_v)
        self._alive.index_fill_(0, chosen, False)
        # A removed block is singular; the unit matrix keeps its factorisation harmless.
        self._blocks_P.index_copy_(0, chosen, self._eye[None])

    def _update_blocks(self, new_u: Tensor, new_v: Tensor) -> None:
        g = self._width
        if g == 1:
            U, V = new_u.view(-1, 1, 1), new_v.view(-1, 1, 1)
            self._blocks_P.addcmul_(U, U, value=-1)
            self._blocks_M.addcmul_(U, V, value=-2)
            return
        U = new_u.view(g, -1, g).permute(1, 2, 0)  # (n, g, removed g)
        V = new_v.view(g, -1, g).permute(1, 2, 0)
        mixed = U @ V.mT
        self._blocks_P.baddbmm_(U, U.mT, alpha=-1)
        self._blocks_M.sub_(mixed).sub_(mixed.mT)

    def _flush(self) -> None:
        self.check()
        U, V = self._U[: self._filled], self._V[: self._filled]
        if self._survivors < self._compact_below * self._alive.numel():
            groups = self._alive.nonzero().view(-1)
            features = (groups[:, None] * self._width + self._offsets).view(-1)
            self._P = _compacted_(self._P, features)
            self._M = _compacted_(self._M, features)
            U, V = U.index_select(1, features), V.index_select(1, features)
            self._blocks_P = self._blocks_P.index_select(0, groups)
            self._blocks_M = self._blocks_M.index_select(0, groups)
            self._ids = self._ids.index_select(0, groups)
            self._alive = torch.ones_like(groups, dtype=torch.bool)
        add_symmetric_(self._P, [(U, U)], sign=-1.0)
        add_symmetric_(self._M, [(U, V), (V, U)], sign=-1.0)
        self._new_panels()

    def _new_panels(self) -> None:
        self._U = self._P.new_empty(self._capacity, self._P.shape[0])
        self._V = torch.empty_like(self._U)
        self._filled = 0


def _compacted_(matrix: Tensor, features: Tensor) -> Tensor:
    """Move the rows and columns in ``features``, ascending, to the front of ``matrix``.

    In place, so that the largest tensors are never held twice: every row moves to a
    position at or before its own, and later rows are not overwritten before their turn.
    """
    size = features.numel()
    chunk = max(1, (_HOST_CHUNK if matrix.device.type == "cpu" else _DEVICE_CHUNK) // size)
    for start in range(0, size, chunk):
        rows = matrix.index_select(0, features[start : start + chunk])
        matrix[start : start + chunk, :size][: rows.shape[0]] = rows.gather(
            1, features.expand(rows.shape[0], -1)
        )
    return matrix[:size, :size]
