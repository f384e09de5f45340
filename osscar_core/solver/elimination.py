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
only the columns it needs, and full panels are multiplied out into P0 and M0. Only the
lower triangles of P0 and M0 are kept current. At that moment the last groups move into
the places of those just removed, so that the state shrinks with the survivors at the price
of copying a few rows.

Reference: the criterion and the block inverse update are those of X. Meng et al.,
"OSSCAR", ICML 2024 (arXiv 2403.12983), here one group at a time and delayed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.solver.blocks import add_lower_, diagonal_blocks, half_trace_ratio
from osscar_core.solver.constraints import Constraints
from osscar_core.solver.fused import FusedSteps
from osscar_core.solver.inverse import invert_
from osscar_core.solver.path import Path
from osscar_core.solver.problem import LayerProblem, not_positive_definite

PANEL = 128


def eliminate(
    problem: LayerProblem,
    keep: int,
    *,
    constraints: Constraints | None = None,
    device: torch.device | None = None,
    panel: int = PANEL,
    fused: bool | None = None,
) -> Path:
    """Remove the cheapest group again and again until ``keep`` are left.

    Ties go to the lowest index. Forced groups go first, cheapest first among themselves;
    protected ones never. For n removed features the updates take about ``3 p^2 n`` flops
    less what shrinking saves, besides ``1.1 p^3`` for the inverse and ``2 p^2 m`` for W.
    Memory beyond the problem's: two (p, p) matrices, one (p, m), and the panels.

    Args:
        problem: The layer's problem.
        keep: Groups that stay, in [1, groups].
        constraints: Protected and forced groups; ``None`` for none.
        device: Where to compute; ``None`` for the problem's device. A problem in host
            memory may be searched on a GPU.
        panel: Removed features gathered before the panels are multiplied out.
        fused: Whether a step is one Triton kernel; ``None`` for wherever that exists.

    Returns:
        The path, on the problem's device.

    Raises:
        SpecError: ``keep`` is out of range or contradicts the constraints.
        NumericalError: The hessian is not positive definite to working precision.
    """
    check_keep(problem, keep)
    limits = constraints or Constraints()
    limits.check(problem.groups, keep)
    state = State(problem, panel, problem.device if device is None else device)
    steps = _steps(state, fused)
    forced = limits.mask(limits.forced, problem.groups)
    protected = limits.mask(limits.protected, problem.groups)
    first = int(forced.sum())
    removals = problem.groups - keep
    if first:
        state.allow(forced)
        steps.run(first)
    state.allow(~protected)
    steps.run(removals - first)
    order, prices = state.removed()
    home = problem.device
    costs = (state.initial + prices.cumsum(0)).to(home)
    return Path(problem.groups, order.to(home), state.initial, costs, first, problem.digest())


def _steps(state: State, fused: bool | None) -> PlainSteps | FusedSteps:
    if FusedSteps.serves(state, fused):
        return FusedSteps(state)
    if state.width == 1 and state.pair.device.type == "cpu":
        return HostSteps(state)
    return PlainSteps(state)


def check_keep(problem: LayerProblem, keep: int) -> None:
    """Raise `SpecError` unless ``keep`` is a whole number in [1, groups]."""
    if isinstance(keep, bool) or not 1 <= keep <= problem.groups or keep != int(keep):
        raise SpecError(
            f"{keep} of {problem.groups} groups are to be kept",
            f"Keep a whole number in [1, {problem.groups}]",
        )


class State:
    """P and M of the surviving groups, with the updates not yet multiplied out.

    Groups have positions; `ids` tells which group stands where. The first `active`
    positions hold the survivors and the groups removed since the last flush.

    Attributes:
        width: Features per group g.
        damping: The problem's damping, for error messages.
        initial: f with nothing removed.
        pair: P above M, (2, p, p), current up to the panels; lower triangles of the active
            part only.
        panels: U above V, (2 capacity, p).
        capacity: Features a panel holds.
        filled: Features in the panels now.
        blocks: Current diagonal blocks of P above those of M, (2, groups, g, g).
        barred: 0 where a group may be removed, infinity elsewhere, (groups,) float64.
        alive: Whether the group is still there, (groups,) bool.
        ids: Group at each position, (groups,) int64.
        active: Positions in use.
        order: Groups in order of removal, (groups,) int64, filled up to `done`.
        prices: Rise of f by each removal, (groups,) float64.
        done: Groups removed so far.
    """

    def __init__(self, problem: LayerProblem, panel: int, device: torch.device) -> None:
        g, groups = problem.width, problem.groups
        self.width, self.damping = g, problem.damping
        p = problem.features
        self.pair = torch.empty(2, p, p, dtype=torch.float64, device=device)
        problem.write_hessian_(self.P)
        invert_(self.P, problem.damping)
        target = problem.weighted(problem.G).to(device)
        W = self.P @ target
        self.initial = -0.5 * float(torch.linalg.vecdot(W.view(-1), target.reshape(-1)))
        del target
        add_lower_(self.M, W.T, W.T, sign=1.0, fresh=True)
        del W
        self.capacity = max(1, panel // g) * g
        self.panels = self.pair.new_empty(2 * self.capacity, p)
        self.filled = 0
        self.blocks = torch.stack([_from_lower(diagonal_blocks(part, g)) for part in self.pair])
        self.barred = torch.zeros(groups, dtype=torch.float64, device=device)
        self.alive = torch.ones(groups, dtype=torch.bool, device=device)
        self.ids = torch.arange(groups, device=device)
        self.active = groups
        self.order = torch.empty(groups, dtype=torch.int64, device=device)
        self.prices = torch.empty(groups, dtype=torch.float64, device=device)
        self.done = 0

    @property
    def P(self) -> Tensor:
        """The inverse hessian, (p, p)."""
        return self.pair[0]

    @property
    def M(self) -> Tensor:
        """The square of the weights, (p, p)."""
        return self.pair[1]

    @property
    def U(self) -> Tensor:
        """The panel U, (capacity, p)."""
        return self.panels[: self.capacity]

    @property
    def V(self) -> Tensor:
        """The panel V, (capacity, p)."""
        return self.panels[self.capacity :]

    def allow(self, groups: Tensor) -> None:
        """Let only the survivors among ``groups`` (a mask by group) be removed from now on."""
        allowed = groups.to(self.ids.device)[self.ids] & self.alive
        self.barred.masked_fill_(allowed, 0.0).masked_fill_(~allowed, math.inf)

    def removed(self) -> tuple[Tensor, Tensor]:
        """Return the order of removal so far and the prices, both (done,)."""
        return self.order[: self.done].clone(), self.prices[: self.done].clone()

    def flush(self) -> None:
        """Multiply the panels out and close the gaps that removed groups left."""
        self._close_gaps()
        n = self.active * self.width
        U, V = self.U[: self.filled, :n], self.V[: self.filled, :n]
        add_lower_(self.P[:n, :n], U, U, sign=-1.0)
        both = self.panels[:, :n]
        if self.filled < self.capacity:
            both = torch.cat((U, V))
        add_lower_(self.M[:n, :n], both, torch.cat((V, U)), sign=-1.0)
        self.filled = 0

    def _close_gaps(self) -> None:
        """Move the last survivors to the positions of removed groups."""
        g = self.width
        gone = self.filled // g
        survivors = self.active - gone
        alive = self.alive[: self.active]
        holes = _places(~alive[:survivors], gone, survivors)
        movers = _places(alive[survivors:], gone, 0) + survivors
        self.active = survivors
        if not holes.numel():
            return
        for by_group in (self.barred, self.ids, self.alive):
            by_group[holes] = by_group[movers]
        self.blocks[:, holes] = self.blocks[:, movers]
        to, origin = holes, movers
        if g > 1:
            offsets = torch.arange(g, device=holes.device)
            to = (holes[:, None] * g + offsets).view(-1)
            origin = (movers[:, None] * g + offsets).view(-1)
        self.panels[:, to] = self.panels[:, origin]
        # A mover stands behind every other survivor, so its row is all there is of it.
        rows = self.pair.index_select(1, origin)
        rows[:, :, to] = _from_lower(rows[:, :, origin])
        n = survivors * g
        self.pair[:, to, :n] = rows[:, :, :n]
        if self.pair.is_cuda:
            self.pair[:, :n, to] = rows[:, :, :n].mT
            return
        # Writing down columns one by one is several times faster on a CPU.
        for row, column in enumerate(to.tolist()):
            self.pair[:, column:n, column] = rows[:, row, column:n]


def _places(mask: Tensor, most: int, fill: int) -> Tensor:
    """Return the ascending positions at which ``mask`` is true, int64.

    On a GPU their number would have to be waited for. There the result has ``most``
    entries, the last ones ``fill``: moving the first position behind the survivors to
    itself does no harm.
    """
    if not mask.is_cuda:
        return mask.nonzero().view(-1)
    rank = torch.where(mask, mask.cumsum(0) - 1, most)
    places = torch.full((most + 1,), fill, dtype=torch.int64, device=mask.device)
    return places.scatter_(0, rank, torch.arange(mask.numel(), device=mask.device))[:most]


class PlainSteps:
    """Removes groups with ordinary tensor operations, one step at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        g, p = state.width, state.panels.shape[1]
        self._columns = state.pair.new_empty(2, g, p)
        self._eye = torch.eye(g, dtype=torch.float64, device=state.pair.device)

    def run(self, count: int) -> None:
        """Remove ``count`` groups.

        Raises:
            NumericalError: A block is not positive definite any more.
        """
        state = self._state
        order, prices = [], []
        for _ in range(count):
            if state.filled == state.capacity:
                state.flush()
            place, price = self._cheapest()
            order.append(int(state.ids[place]))
            prices.append(price)
            self._remove(place)
        done = slice(state.done, state.done + count)
        state.order[done] = torch.tensor(order, dtype=torch.int64, device=state.order.device)
        state.prices[done] = torch.tensor(prices, dtype=torch.float64, device=state.order.device)
        state.done += count

    def _cheapest(self) -> tuple[int, float]:
        """Return the position and the price of the cheapest group."""
        state = self._state
        n = state.active
        prices, sound = half_trace_ratio(*state.blocks[:, :n])
        prices += state.barred[:n]
        price = float(prices.min())
        places = (prices == price).nonzero().view(-1)
        if places.numel() > 1:
            places = places[state.ids[places].argmin()].view(1)
        if not places.numel() or not bool(sound.all()):
            raise not_positive_definite(state.damping)
        return int(places), price

    def _remove(self, place: int) -> None:
        state = self._state
        g, n, filled = state.width, state.active * state.width, state.filled
        start = place * g
        stop = start + g
        columns = self._columns[:, :, :n]
        columns[:, :, :stop] = state.pair[:, start:stop, :stop]
        columns[:, :, stop:] = state.pair[:, stop:n, start:stop].mT
        C, R = columns
        if filled:
            U, V = state.U[:filled, :n], state.V[:filled, :n]
            u_at, v_at = U[:, start:stop].T, V[:, start:stop].T
            both = self._columns.view(2 * g, -1)[:, :n]
            both.addmm_(torch.cat((u_at, v_at)), U, alpha=-1)
            R.addmm_(u_at, V, alpha=-1)
        own = state.blocks[:, place]
        new_u, new_v = state.U[filled : filled + g, :n], state.V[filled : filled + g, :n]
        if g == 1:
            pivot, square = own.view(2).tolist()
            scale = pivot**-0.5
            torch.mul(C, scale, out=new_u)
            torch.mul(R, scale, out=new_v)
            new_v.add_(new_u, alpha=-0.5 * square / pivot)
        else:
            columns[:, :, start:stop] = own
            L, _ = torch.linalg.cholesky_ex(own[0])
            new_u.copy_(torch.linalg.solve_triangular(L, C, upper=False))
            half = torch.linalg.solve_triangular(L, own[1], upper=False)  # L^-1 M_jj
            inner = torch.linalg.solve_triangular(L, half.T, upper=False)
            new_v.copy_(torch.linalg.solve_triangular(L, R, upper=False))
            new_v.addmm_(inner, new_u, alpha=-0.5)
        self._update_blocks(new_u, new_v)
        # A removed block is singular; the unit matrix keeps its factorisation harmless.
        own[0] = self._eye
        state.barred[place] = math.inf
        state.alive[place] = False
        state.filled += g

    def _update_blocks(self, new_u: Tensor, new_v: Tensor) -> None:
        state = self._state
        g, n = state.width, state.active
        blocks_P, blocks_M = state.blocks[:, :n]
        if g == 1:
            u, v = new_u.view(-1, 1, 1), new_v.view(-1, 1, 1)
            blocks_P.addcmul_(u, u, value=-1)
            blocks_M.addcmul_(u, v, value=-2)
            return
        U = new_u.view(g, n, g).permute(1, 2, 0)  # (n, g, removed g)
        V = new_v.view(g, n, g).permute(1, 2, 0)
        mixed = U @ V.mT
        blocks_P.baddbmm_(U, U.mT, alpha=-1)
        blocks_M.sub_(mixed).sub_(mixed.mT)


class HostSteps(PlainSteps):
    """The same for single features in host memory.

    A step is a couple of products and many operations on short vectors, whose cost is
    the cost of calling them: that is lowest in numpy, on the same memory.
    """

    def __init__(self, state: State) -> None:
        super().__init__(state)
        groups = state.panels.shape[1]
        self._factors = state.pair.new_empty(2, state.capacity)
        self._both = self._columns.view(2, groups)
        self._at = {
            name: getattr(state, name).numpy()
            for name in ("pair", "panels", "barred", "alive", "ids")
        }
        self._at["blocks"] = state.blocks.view(2, groups).numpy()
        self._at["factors"], self._at["both"] = self._factors.numpy(), self._both.numpy()
        self._room = np.empty(groups)

    def run(self, count: int) -> None:
        """Remove ``count`` groups.

        Raises:
            NumericalError: A block is not positive definite any more.
        """
        with np.errstate(all="ignore"):  # what is not positive is told below
            super().run(count)

    def _cheapest(self) -> tuple[int, float]:
        n = self._state.active
        pivots, squares = self._at["blocks"][:, :n]
        prices = np.divide(squares, pivots, out=self._room[:n])
        prices *= 0.5
        np.maximum(prices, 0.0, out=prices)
        prices += self._at["barred"][:n]
        place = int(prices.argmin())
        price = float(prices[place])
        tied = np.flatnonzero(prices == price)
        if tied.size > 1:
            place = int(tied[self._at["ids"][tied].argmin()])
        # Whatever is not positive has price 0 or NaN, and so comes first.
        if not (price < math.inf and pivots[place] > 0):
            raise not_positive_definite(self._state.damping)
        return place, price

    def _remove(self, place: int) -> None:
        state, at = self._state, self._at
        n, filled = state.active, state.filled
        both, pair = at["both"][:, :n], at["pair"]
        both[:, : place + 1] = pair[:, place, : place + 1]
        both[:, place + 1 :] = pair[:, place + 1 : n, place]
        panels, room = at["panels"], self._room[:n]
        if filled:
            at["factors"][0, :filled] = panels[:filled, place]
            at["factors"][1, :filled] = panels[state.capacity : state.capacity + filled, place]
            factors = self._factors[:, :filled]
            self._both[:, :n].addmm_(factors, state.U[:filled, :n], alpha=-1)
            self._both[1:, :n].addmm_(factors[:1], state.V[:filled, :n], alpha=-1)
        pivots, squares = at["blocks"][:, :n]
        pivot, square = float(pivots[place]), float(squares[place])
        new_u, new_v = panels[filled, :n], panels[state.capacity + filled, :n]
        np.multiply(both[0], pivot**-0.5, out=new_u)
        np.multiply(both[1], pivot**-0.5, out=new_v)
        new_v -= np.multiply(new_u, 0.5 * square / pivot, out=room)
        pivots -= np.multiply(new_u, new_u, out=room)
        np.multiply(new_u, new_v, out=room)
        room *= 2
        squares -= room
        pivots[place] = 1.0
        at["barred"][place] = math.inf
        at["alive"][place] = False
        state.filled += 1


def _from_lower(matrices: Tensor) -> Tensor:
    """Return symmetric matrices (..., n, n) given by their lower triangles."""
    lower = matrices.tril()
    return lower + lower.tril(-1).mT
