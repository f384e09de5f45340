"""Swap search: exchange a kept group for a removed one while that lowers the cost.

The decision hidden here: how a swap is priced without solving anything again. The state
is a principal pivot ("sweep") tableau over the candidate groups, kept ones and removed
ones; a group enters or leaves the support by the same rank-g pivot.

With S the support and R the rest, the tableau is

    ``T_SS = H_SS^-1``, ``T_SR = -H_SS^-1 H_SR``, ``T_RS = -T_SR^T``,
    ``T_RR = H_RR - H_RS H_SS^-1 H_SR``

and ``N = V s^2 V^T`` for ``V = [W_S; G_R - H_RS W_S]``. Removing i and then adding j
changes f by exactly ``1/2 tr(T_ii^-1 N_ii) - 1/2 tr(D^-1 E)`` where, with
``X = -T_ii^-1 T_ij``,

    ``D = T_jj - T_ij^T X``,  ``E = N_jj + X^T N_ij + N_ij^T X + X^T N_ii X``.

The tableau of a subset of the groups is closed under pivots on it, so a search among the
most promising candidates needs no more than their own rows and columns.

Reference: the neighbourhood is that of X. Meng et al., "OSSCAR", ICML 2024
(arXiv 2403.12983); pairs are priced jointly here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from osscar_core.errors import NumericalError
from osscar_core.solver.blocks import add_symmetric_, diagonal_blocks, half_trace_ratio
from osscar_core.solver.problem import LayerProblem, cholesky, objective

TOLERANCE = 1e-9
_PAIR_ELEMENTS = 2**20


def default_candidates(width: int) -> int:
    """Return how many groups on each side are tried, by features per group."""
    if width == 1:
        return 128
    return 32 if width < 64 else 16


def swap_search(
    problem: LayerProblem,
    support: Tensor,
    rounds: int,
    *,
    candidates: int | None = None,
) -> tuple[Tensor, int]:
    """Improve a support by the best single swap per round.

    Candidates are the kept groups that are cheapest to lose and the removed ones that
    gain most, ranked once at the start. A swap is accepted only if f falls by more than
    a relative 1e-9. The result is checked against a fresh factorisation and dropped if
    it does not hold, so f never rises.

    Args:
        problem: The layer's problem.
        support: Ascending group indices to start from, (k,) int64.
        rounds: Upper bound of accepted swaps.
        candidates: Groups tried on each side; ``None`` for a default by group width.

    Returns:
        The support, (k,) ascending int64, and the number of swaps in it.

    Raises:
        NumericalError: The hessian on the support is not positive definite.
    """
    if rounds < 1 or support.numel() == problem.groups:
        return support, 0
    limit = default_candidates(problem.width) if candidates is None else candidates
    tableau = Tableau(problem, support, limit)
    tolerance = TOLERANCE * abs(tableau.start)
    swaps = 0
    while swaps < rounds:
        changes = tableau.changes()
        best, position = changes.reshape(-1).min(0)
        if not float(best) < -tolerance:
            break
        tableau.swap(*divmod(int(position), changes.shape[1]))
        swaps += 1
    if not swaps:
        return support, 0
    improved = tableau.support()
    try:
        falls = objective(problem, improved) < tableau.start
    except NumericalError:
        # Without damping a swap may price well and yet be singular to working precision.
        falls = False
    if not falls:
        return support, 0
    return improved, swaps


class Tableau:
    """The pivot tableau over candidate groups, some inside the support, some outside.

    Attributes:
        start: f of the support that it was made from.
        inside: Candidate groups that are in the support, (a,) int64.
        outside: Candidate groups that are not, (b,) int64.
    """

    def __init__(self, problem: LayerProblem, support: Tensor, limit: int) -> None:
        g = problem.width
        self._width = g
        kept = torch.zeros(problem.groups, dtype=torch.bool, device=problem.H.device)
        kept[support] = True
        self._kept = kept
        removed = (~kept).nonzero().view(-1)
        S, R = problem.feature_index(support), problem.feature_index(removed)
        G = problem.weighted(problem.G)

        L = cholesky(problem.H[S[:, None], S], problem.damping)
        whitened = torch.linalg.solve_triangular(
            L, problem.H[S[:, None], R], upper=False
        )  # (kg, rg)
        Y = torch.linalg.solve_triangular(L, G[S], upper=False)  # (kg, m)
        self.start = -0.5 * float(Y.square().sum())
        W = torch.linalg.solve_triangular(L.T, Y, upper=True)
        residual = torch.addmm(G[R], whitened.T, Y, alpha=-1)  # (rg, m)
        P = torch.cholesky_inverse(L)

        losses, _ = half_trace_ratio(diagonal_blocks(P, g), _row_blocks(W, g))
        shrunk = _diagonal_schur(problem.H, R, whitened, g)
        gains, _ = half_trace_ratio(shrunk, _row_blocks(residual, g))
        leave = _first(losses, limit)
        enter = _first(-gains, limit)
        self.inside, self.outside = support[leave], removed[enter]
        i, j = problem.feature_index(leave), problem.feature_index(enter)

        B = torch.linalg.solve_triangular(L.T, whitened[:, j], upper=True)[i]
        D = torch.addmm(problem.H[R[j][:, None], R[j]], whitened[:, j].T, whitened[:, j], alpha=-1)
        upper = torch.cat((P[i[:, None], i], -B), 1)
        self._T = torch.cat((upper, torch.cat((B.T, D), 1)))
        V = torch.cat((W[i], residual[j]))
        self._N = torch.zeros_like(self._T)
        add_symmetric_(self._N, [(V.T, V.T)], sign=1.0)

    def support(self) -> Tensor:
        """Return the current support, ascending int64."""
        return self._kept.nonzero().view(-1)

    def changes(self) -> Tensor:
        """Return the exact change of f for every swap, (a, b): inside i out, outside j in.

        A pair whose blocks are not positive definite to working precision gets +inf.
        """
        a, b, g = self.inside.numel(), self.outside.numel(), self._width
        T, N, size = self._T, self._N, self.inside.numel() * self._width
        losses, sound = half_trace_ratio(
            diagonal_blocks(T[:size, :size], g), diagonal_blocks(N[:size, :size], g)
        )
        D, E = diagonal_blocks(T[size:, size:], g), diagonal_blocks(N[size:, size:], g)
        step = max(1, _PAIR_ELEMENTS // (b * g * g))
        gains = torch.cat(
            [self._gains(first, min(first + step, a), D, E) for first in range(0, a, step)]
        )
        changes: Tensor = torch.where(sound[:, None], losses[:, None] - gains, torch.inf)
        return changes

    def swap(self, leaving: int, entering: int) -> None:
        """Exchange two candidates, given by their positions inside and outside."""
        a, g = self.inside.numel(), self._width
        self._kept[self.inside[leaving]] = False
        self._kept[self.outside[entering]] = True
        out, new = self.inside[leaving].clone(), self.outside[entering].clone()
        self.inside[leaving], self.outside[entering] = new, out

        side = torch.ones(self._T.shape[0], dtype=torch.float64, device=self._T.device)
        side[a * g :] = -1
        first = slice(leaving * g, (leaving + 1) * g)
        second = slice((a + entering) * g, (a + entering + 1) * g)
        self._pivot(first, side)
        side[first] = -1
        self._pivot(second, side)
        # Both pivots left their rows in place; exchange them to restore the two halves.
        for matrix in (self._T, self._N):
            _exchange_(matrix, first, second)
            _exchange_(matrix.T, first, second)

    def _gains(self, first: int, stop: int, D: Tensor, E: Tensor) -> Tensor:
        """Return the gain of adding each j once i is gone, for i in [first, stop)."""
        a, b, g = self.inside.numel(), self.outside.numel(), self._width
        T, N, size = self._T, self._N, a * g
        i = slice(first * g, stop * g)
        pivots = diagonal_blocks(T[i, i], g)[:, None]  # (i, 1, g, g)
        squares = diagonal_blocks(N[i, i], g)[:, None]
        B = -T[i, size:].reshape(-1, g, b, g).transpose(1, 2)  # (i, b, g, g)
        cross = N[i, size:].reshape(-1, g, b, g).transpose(1, 2)
        if g == 1:
            X = B / pivots
            D = D + B * X
            E = E + X * (2 * cross + X * squares)
        else:
            factor, _ = torch.linalg.cholesky_ex(pivots)
            X = torch.cholesky_solve(B, factor.expand(-1, b, -1, -1))
            D = D + B.mT @ X
            half = X.mT @ (cross + 0.5 * squares @ X)
            E = E + half + half.mT
        gains, sound = half_trace_ratio(D, E)
        return torch.where(sound, gains, -torch.inf)

    def _pivot(self, chosen: slice, side: Tensor) -> None:
        """Move one group across, in place; ``side`` is +1 inside and -1 outside."""
        T, N = self._T, self._N
        block = T[chosen, chosen].clone()
        factor = torch.linalg.cholesky_ex(block)[0]
        inverse = torch.cholesky_inverse(factor)
        lift = T[:, chosen] @ inverse  # (c, g)
        rows = T[chosen].clone()
        T.addmm_(lift, rows, alpha=-1)
        T[:, chosen] = lift
        T[chosen] = -inverse @ rows
        T[chosen, chosen] = inverse

        carry = -lift * (side * side[chosen.start])[:, None]
        carry[chosen] = inverse
        rows = N[chosen].clone()
        N[chosen] = 0
        N.addmm_(carry, rows)
        columns = N[:, chosen].clone()
        N[:, chosen] = 0
        N.addmm_(columns, carry.T)


def _exchange_(matrix: Tensor, first: slice, second: slice) -> None:
    """Exchange two equally long slices of rows in place."""
    rows = matrix[first].clone()
    matrix[first] = matrix[second]
    matrix[second] = rows


def _row_blocks(V: Tensor, width: int) -> Tensor:
    """Return ``V_j V_j^T`` of each group of rows, (n g, m) -> (n, g, g)."""
    if width == 1:
        return V.square().sum(1).view(-1, 1, 1)
    grouped = V.view(-1, width, V.shape[1])
    return grouped @ grouped.mT


def _diagonal_schur(H: Tensor, R: Tensor, whitened: Tensor, width: int) -> Tensor:
    """Return the diagonal blocks of ``H_RR - Z^T whitened``, (n, g, g)."""
    if width == 1:
        return (H.diagonal()[R] - whitened.square().sum(0)).view(-1, 1, 1)
    members = R.view(-1, width)
    grouped = whitened.T.reshape(-1, width, whitened.shape[0])
    return H[members[:, :, None], members[:, None, :]] - grouped @ grouped.mT


def _first(values: Tensor, limit: int) -> Tensor:
    """Return the ascending positions of the ``limit`` smallest values, ties to the lowest."""
    return values.sort(stable=True).indices[:limit].sort().values
