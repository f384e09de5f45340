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

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from osscar_core.errors import NumericalError
from osscar_core.records import check_range
from osscar_core.solver.blocks import (
    add_lower_,
    diagonal_blocks,
    half_trace_ratio,
    mirror_lower_,
)
from osscar_core.solver.constraints import Constraints
from osscar_core.solver.problem import LayerProblem, cholesky, objective

TOLERANCE = 1e-9
_PAIR_ELEMENTS = 2**20


@dataclass(frozen=True, slots=True)
class SwapBudget:
    """How long a swap search may go on.

    Attributes:
        rounds: Most swaps accepted.
        seconds: Most time, checked before each round; ``None`` for no limit. A search
            that this ends is not repeatable to the letter.
    """

    rounds: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("swaps", self.rounds, 0)
        if self.seconds is not None:
            check_range("seconds", self.seconds, 0)


def default_candidates(width: int) -> int:
    """Return how many groups on each side are tried, by features per group."""
    if width == 1:
        return 128
    return 32 if width < 64 else 16


def swap_search(
    problem: LayerProblem,
    support: Tensor,
    budget: SwapBudget | int,
    *,
    constraints: Constraints | None = None,
    candidates: int | None = None,
    device: torch.device | None = None,
) -> tuple[Tensor, int]:
    """Improve a support by the best single swap per round.

    Candidates are the kept groups that are cheapest to lose and the removed ones that
    gain most; when no swap among them helps any more, they are ranked anew, until even a
    fresh ranking has none. A swap is accepted only if f falls by more than a relative
    1e-9. Every ranking rests on a fresh factorisation, and so does the result: swaps that
    it does not confirm are dropped, so f never rises. The support may come from anywhere:
    an elimination, magnitudes, chance.

    Args:
        problem: The layer's problem.
        support: Ascending group indices to start from, (k,) int64.
        budget: When to stop at the latest; a number means rounds.
        constraints: Groups that may not move; the support must respect them already.
        candidates: Groups tried on each side; ``None`` for a default by group width.
        device: Where to compute; ``None`` for the problem's device.

    Returns:
        The support, (k,) ascending int64 on the problem's device, and the number of swaps
        in it.

    Raises:
        NumericalError: The hessian on the support is not positive definite.
    """
    limits = SwapBudget(budget) if isinstance(budget, int) else budget
    if limits.rounds < 1 or support.numel() == problem.groups:
        return support, 0
    deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
    limit = default_candidates(problem.width) if candidates is None else candidates
    movable = (constraints or Constraints()).movable(problem.groups)
    home = problem.device
    place = home if device is None else device
    best, swaps = support, 0
    tableau = Tableau(problem, support, limit, movable=movable, device=place)
    while True:
        made = tableau.improve(limits.rounds - swaps, deadline)
        if not made:
            return best, swaps
        improved = tableau.support().to(home)
        value = tableau.start
        is_done = swaps + made >= limits.rounds or _is_past(deadline)
        try:
            if is_done:
                after = objective(problem, improved, device=place)
            else:
                tableau = Tableau(problem, improved, limit, movable=movable, device=place)
                after = tableau.start
        except NumericalError:
            # Without damping a swap may price well and yet be singular to working precision.
            return best, swaps
        if not after < value:
            return best, swaps
        best, swaps = improved, swaps + made
        if is_done:
            return best, swaps


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


class Tableau:
    """The pivot tableau over candidate groups, some inside the support, some outside.

    Attributes:
        start: f of the support that it was made from.
        inside: Candidate groups that are in the support, (a,) int64.
        outside: Candidate groups that are not, (b,) int64.
    """

    def __init__(
        self,
        problem: LayerProblem,
        support: Tensor,
        limit: int,
        *,
        movable: Tensor | None = None,
        device: torch.device | None = None,
    ) -> None:
        home = problem.device
        place = home if device is None else device
        g = problem.width
        self._width = g
        kept = torch.zeros(problem.groups, dtype=torch.bool, device=home)
        kept[support] = True
        removed = (~kept).nonzero().view(-1)
        S, R = problem.feature_index(support), problem.feature_index(removed)
        G_S, G_R = problem.target(S).to(place), problem.target(R).to(place)

        L = cholesky(problem.hessian(S, S).to(place), problem.damping)
        whitened = torch.linalg.solve_triangular(
            L, problem.hessian(S, R).to(place), upper=False
        )  # (kg, rg)
        Y = torch.linalg.solve_triangular(L, G_S, upper=False)  # (kg, m)
        self.start = -0.5 * float(Y.square().sum())
        W = torch.linalg.solve_triangular(L.T, Y, upper=True)
        residual = torch.addmm(G_R, whitened.T, Y, alpha=-1)  # (rg, m)
        P = torch.cholesky_inverse(L)

        self._kept = kept.to(place)
        support, removed = support.to(place), removed.to(place)
        may_move = torch.ones_like(self._kept) if movable is None else movable.to(place)
        losses, _ = half_trace_ratio(diagonal_blocks(P, g), _row_blocks(W, g))
        own = problem.hessian_blocks(removed.to(home)).to(place)
        gains, _ = half_trace_ratio(_diagonal_schur(own, whitened, g), _row_blocks(residual, g))
        leave = _first(losses, may_move[support], limit)
        enter = _first(-gains, may_move[removed], limit)
        self.inside, self.outside = support[leave], removed[enter]
        i, j = problem.feature_index(leave), problem.feature_index(enter)

        B = torch.linalg.solve_triangular(L.T, whitened[:, j], upper=True)[i]
        outer = R[j.to(home)]
        D = problem.hessian(outer, outer).to(place)
        D = torch.addmm(D, whitened[:, j].T, whitened[:, j], alpha=-1)
        upper = torch.cat((P[i[:, None], i], -B), 1)
        self._T = torch.cat((upper, torch.cat((B.T, D), 1)))
        V = torch.cat((W[i], residual[j]))
        self._N = torch.empty_like(self._T)
        add_lower_(self._N, V.T, V.T, sign=1.0, fresh=True)
        mirror_lower_(self._N)

    def improve(self, rounds: int, deadline: float | None = None) -> int:
        """Make the best swap again and again while it helps; return how many were made.

        Args:
            rounds: Most swaps.
            deadline: Reading of `time.monotonic` at which to stop; ``None`` for never.
        """
        tolerance = TOLERANCE * abs(self.start)
        for made in range(rounds):
            if not self.inside.numel() or not self.outside.numel() or _is_past(deadline):
                return made
            changes = self.changes()
            best, position = changes.reshape(-1).min(0)
            if not float(best) < -tolerance:
                return made
            self.swap(*divmod(int(position), changes.shape[1]))
        return rounds

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


def _diagonal_schur(own: Tensor, whitened: Tensor, width: int) -> Tensor:
    """Return ``own`` (n, g, g) less the diagonal blocks of ``whitened^T whitened``."""
    if width == 1:
        return own - whitened.square().sum(0).view(-1, 1, 1)
    grouped = whitened.T.reshape(-1, width, whitened.shape[0])
    return own - grouped @ grouped.mT


def _first(values: Tensor, allowed: Tensor, limit: int) -> Tensor:
    """Return the ascending positions of the ``limit`` smallest allowed values.

    Ties go to the lowest position.
    """
    order = torch.where(allowed, values, torch.inf).sort(stable=True).indices
    count = min(limit, int(allowed.sum()))
    return order[:count].sort().values
