"""Branch and bound over supports: split by "this group stays" and "this group goes".

The decision hidden here: which part of the supports is looked at next, how a part is bounded
and split, and when it is small enough to look at every support in it.

- With the groups K decided to stay and F undecided, the weights on K are solved out. What
  remains is the same problem on F with ``H_FF - H_FK H_KK^-1 H_KF`` and
  ``G_F - H_FK H_KK^-1 G_K``, plus the constant f(K). Groups decided to go just drop out.
- A diagonal D below the hessian stays below it under both operations, so a part starts
  from the D and the fractional support of the one that it was split from.
- Keeping some directions of an undecided group for good cannot raise f. While the groups
  are wide, only the directions that cost most to lose are left in the relaxation, the
  others join K: a bound for a fraction of the work, exact again further down.
- The bound is linear in the support, so it also says what forcing one group costs; groups
  whose forcing would exceed the best known cost are decided without branching.
- The part with the lowest bound comes first, so there is a valid bound at any time. Parts
  carry no matrices; theirs are made again from the root's.

References: X. Meng et al., "OSSCAR", ICML 2024 (arXiv 2403.12983) for the problem;
D. Bertsimas and B. Van Parys, "Sparse high-dimensional regression", arXiv 1709.10029, for
exact search over supports with convex bounds.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from osscar_core.errors import NumericalError, SpecError
from osscar_core.solver.constraints import Constraints
from osscar_core.solver.elimination import eliminate
from osscar_core.solver.local_search import swap_search
from osscar_core.solver.problem import LayerProblem, cholesky, not_positive_definite
from osscar_core.solver.relaxation import Basis, first_diagonal, relax, water_level

TOLERANCE = 1e-9
_ROOT_ROUNDS = 16
_NODE_ROUNDS = 2
# The root's relaxation may use this share of the time.
_ROOT_SHARE = 0.3
# Features that take part in the relaxation of a node.
_NODE_FEATURES = 384
_START_SWAPS = 64
# A part is enumerated when that is at most this many times a round of its relaxation, or
# so little that launching it costs more.
_ENUMERATE_FACTOR = 4.0
_ENUMERATE_FLOPS = 2e8
_ENUMERATE_MOST = 300
_BATCH_ELEMENTS = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What is left to choose, as positions among the groups that may stay.

    Attributes:
        allowed: Groups that need not go, (a,) ascending int64.
        kept: Positions of those that must stay.
        free: Positions of the others.
        need: How many of the others stay.
    """

    allowed: Tensor
    kept: Tensor
    free: Tensor
    need: int

    @classmethod
    def of(cls, problem: LayerProblem, keep: int, constraints: Constraints | None) -> Choice:
        """Sort out what is asked for.

        Args:
            problem: The layer's problem.
            keep: Groups that stay, protected ones included.
            constraints: Protected and forced groups; ``None`` for none.

        Raises:
            SpecError: An index is illegal, or the demands contradict each other.
        """
        limits, groups = constraints or Constraints(), problem.groups
        limits.check(groups, keep)
        device = problem.device
        stays = limits.mask(limits.protected, groups).to(device)
        allowed = (~limits.mask(limits.forced, groups)).nonzero().view(-1).to(device)
        among = stays[allowed]
        need = keep - int(stays.sum())
        return cls(allowed, among.nonzero().view(-1), (~among).nonzero().view(-1), need)

    @property
    def decided(self) -> bool:
        """Whether only one support is legal."""
        return self.need in (0, self.free.numel())

    def only(self) -> Tensor:
        """Return the support of a decided choice, ascending group indices."""
        return self.allowed[self.kept] if self.need == 0 else self.allowed

    def groups(self, positions: Tensor) -> Tensor:
        """Return the ascending group indices at these positions."""
        return self.allowed[positions].sort().values

    def positions(self, support: Tensor) -> Tensor:
        """Return the positions of a legal support."""
        return torch.searchsorted(self.allowed, support.to(self.allowed.device))

    def check(self, support: Tensor) -> None:
        """Raise `SpecError` unless a legal support fits what must stay and go."""
        support = support.to(self.allowed.device)
        legal = torch.isin(support, self.allowed).all()
        legal &= torch.isin(self.allowed[self.kept], support).all()
        size = self.kept.numel() + self.need
        if support.numel() != size or not bool(legal):
            raise SpecError(
                f"the given support of {support.numel()} groups contradicts what is asked for",
                f"It must hold {size} groups, with all that must stay and none that must go",
            )


class Root:
    """The problem on the groups that may stay, in each group's own basis.

    Attributes:
        width: Features per group.
        full: f with all of them.
        noise: What rounding may change about f.
        tolerance: Supports whose f differs by less count as equal.
    """

    def __init__(self, problem: LayerProblem, choice: Choice) -> None:
        H, G = problem.H, problem.weighted(problem.G)
        if choice.allowed.numel() < problem.groups:
            index = problem.feature_index(choice.allowed)
            H, G = H[index[:, None], index], G[index]
        basis = Basis(H, _compressed(G), cholesky(H, problem.damping), problem.width)
        self._H, self._G = basis.H, basis.G
        self._damping = problem.damping
        self.width = problem.width
        self.full = basis.full
        self.noise = basis.noise
        self.tolerance = max(TOLERANCE * abs(basis.full), basis.noise)

    def features(self, positions: Tensor, first: int, stop: int) -> Tensor:
        """Return features ``first`` to ``stop`` of each group, (k,) -> (k (stop - first),)."""
        offsets = torch.arange(first, stop, device=positions.device)
        return (positions[:, None] * self.width + offsets).view(-1)

    def reduced(self, kept: Tensor, free: Tensor, used: int) -> tuple[Tensor, Tensor, float]:
        """Return H and G on ``used`` directions of the free groups, and the constant.

        The kept groups, and the other directions of the free ones, are solved out.
        """
        inner = self.features(free, 0, used)
        K = torch.cat((self.features(kept, 0, self.width), self.features(free, used, self.width)))
        if K.numel() == 0 and inner.numel() == self._H.shape[0]:
            return self._H, self._G, 0.0
        H, G = self._H[inner[:, None], inner], self._G[inner]
        if K.numel() == 0:
            return H, G, 0.0
        factor, info = torch.linalg.cholesky_ex(self._H[K[:, None], K])
        if int(info):
            raise not_positive_definite(self._damping)
        beside = torch.linalg.solve_triangular(factor, self._H[K[:, None], inner], upper=False)
        target = torch.linalg.solve_triangular(factor, self._G[K], upper=False)
        H.addmm_(beside.T, beside, alpha=-1)
        G.addmm_(beside.T, target, alpha=-1)
        return H, G, -0.5 * float(target.square().sum())

    def value(self, positions: Tensor) -> float:
        """Return f of the groups at these positions."""
        K = self.features(positions, 0, self.width)
        factor, info = torch.linalg.cholesky_ex(self._H[K[:, None], K])
        if int(info):
            return math.inf
        target = torch.linalg.solve_triangular(factor, self._G[K], upper=False)
        return -0.5 * float(target.square().sum())


@dataclass(order=True, slots=True)
class _Node:
    """A part of the supports: those with ``kept`` and the rest from ``free``."""

    bound: float
    number: int
    kept: Tensor = field(compare=False)
    free: Tensor = field(compare=False)
    d: Tensor = field(compare=False)  # (free, g)
    z: Tensor = field(compare=False)  # (free,)


class Search:
    """Best-first branch and bound.

    Attributes:
        best: Positions of the best support found.
        nodes: Parts looked at.
        enumerated_only: Whether no part was bounded by relaxation.
    """

    def __init__(self, root: Root, choice: Choice, deadline: float) -> None:
        self._root = root
        self._choice = choice
        self._deadline = deadline
        self._size = choice.kept.numel() + choice.need
        self._seen: set[tuple[int, ...]] = set()
        self._heap: list[_Node] = []
        self._numbers = itertools.count()
        self._value = math.inf
        self.best = torch.empty(0, dtype=torch.int64)
        self.nodes = 0
        self.enumerated_only = True

    @property
    def open(self) -> bool:
        """Whether a part may still hold a better support."""
        return bool(self._heap)

    def bound(self) -> float:
        """Return what no legal support lies below, in exact arithmetic."""
        settled = self._value - self._root.tolerance
        lowest = self._heap[0].bound if self._heap else settled
        return max(min(lowest, settled), self._root.full)

    def greedy(self, problem: LayerProblem) -> Tensor | None:
        """Return the positions that elimination with swaps keeps, ``None`` if it cannot."""
        choice = self._choice
        H, G, _ = self._root.reduced(choice.kept, choice.free, self._root.width)
        rest = LayerProblem.of_quadratic(H, G, choice.free.numel(), problem.damping)
        try:
            support = eliminate(rest, choice.need).support(choice.need)
            support, _ = swap_search(rest, support, _START_SWAPS)
        except NumericalError:
            # The search prices groups on the inverse hessian, which may be beyond its
            # precision where the hessian itself is not; a start is not needed then.
            return None
        return torch.cat((choice.kept, choice.free[support]))

    def offer(self, positions: Tensor) -> None:
        """Take a support if it is the best so far."""
        key = tuple(positions.sort().values.tolist())
        if key in self._seen:
            return
        self._seen.add(key)
        value = self._root.value(positions)
        if value < self._value:
            self._value, self.best = value, positions

    def run(self) -> None:
        """Split and bound until nothing better is left or time is up."""
        choice, root = self._choice, self._root
        n = choice.free.numel()
        device = choice.free.device
        d = torch.full((n, root.width), math.nan, dtype=torch.float64, device=device)
        z = torch.full((n,), choice.need / n, dtype=torch.float64, device=device)
        self._push(_Node(root.full, 0, choice.kept, choice.free, d, z))
        while self._heap and self._heap[0].bound < self._value - root.tolerance:
            if self.nodes and time.perf_counter() > self._deadline:
                return
            node = heapq.heappop(self._heap)
            self.nodes += 1
            self._visit(node)
        self._heap.clear()

    def _root_deadline(self) -> float:
        now = time.perf_counter()
        return now + _ROOT_SHARE * (self._deadline - now)

    def _push(self, node: _Node) -> None:
        heapq.heappush(self._heap, dataclasses.replace(node, number=next(self._numbers)))

    def _visit(self, node: _Node) -> None:
        n = node.free.numel()
        need = self._size - node.kept.numel()
        if need == 0:
            self.offer(node.kept)
        elif need == n:
            self.offer(torch.cat((node.kept, node.free)))
        elif self._is_small(n, need):
            self._enumerate(node, need)
        else:
            self._branch(node, need)

    def _is_small(self, n: int, need: int) -> bool:
        count, g = math.comb(n, need), self._root.width
        flops = count * (need * g) ** 2 * n * g
        relaxing = _ENUMERATE_FACTOR * 4.0 * min(n * g, _NODE_FEATURES) ** 3
        return count <= _ENUMERATE_MOST and flops <= max(relaxing, _ENUMERATE_FLOPS)

    def _enumerate(self, node: _Node, need: int) -> None:
        """Offer the best support of a part."""
        root, n = self._root, node.free.numel()
        H, G, _ = root.reduced(node.kept, node.free, root.width)
        G = _compressed(G)
        chosen = torch.tensor(
            list(itertools.combinations(range(n), need)), device=node.free.device
        )  # (s, need)
        size = need * root.width
        values = []
        step = max(1, _BATCH_ELEMENTS // (size * max(size, G.shape[1])))
        for first in range(0, chosen.shape[0], step):
            part = chosen[first : first + step]
            offsets = torch.arange(root.width, device=part.device)
            index = (part[:, :, None] * root.width + offsets).view(part.shape[0], size)
            factor, _ = torch.linalg.cholesky_ex(H[index[:, :, None], index[:, None, :]])
            target = torch.linalg.solve_triangular(factor, G[index], upper=False)
            values.append(target.square().sum((1, 2)))
        best = chosen[int(torch.cat(values).argmax())]
        self.offer(torch.cat((node.kept, node.free[best])))

    def _branch(self, node: _Node, need: int) -> None:
        """Bound a part, and split it if it may hold a better support."""
        root, n = self._root, node.free.numel()
        self.enumerated_only = False
        is_root = self.nodes == 1
        used = root.width if is_root else min(root.width, max(1, _NODE_FEATURES // n))
        H, G, base = root.reduced(node.kept, node.free, used)
        d = first_diagonal(H) if is_root else node.d[:, :used].reshape(-1)
        found = relax(
            H,
            _compressed(G),
            used,
            need,
            d=d,
            z=node.z,
            rounds=_ROOT_ROUNDS if is_root else _NODE_ROUNDS,
            target=self._value - root.tolerance - base,
            deadline=self._root_deadline() if is_root else self._deadline,
        )
        ranked = found.rho.sort(descending=True, stable=True)
        self.offer(torch.cat((node.kept, node.free[ranked.indices[:need]])))
        slack = self._value - root.tolerance - (base + found.bound)
        bound = max(node.bound, base + found.bound)
        if slack <= 0.0 or bound >= self._value - root.tolerance:
            return
        # What the bound rises by if a group outside its choice stays, or one inside goes.
        lowest_in, highest_out = ranked.values[need - 1], ranked.values[need]
        to_stay = 0.5 * (lowest_in - found.rho).clamp(min=0.0)
        to_go = 0.5 * (found.rho - highest_out).clamp(min=0.0)
        d = node.d.clone()
        d[:, :used] = found.d.view(n, used)
        stays, goes = to_go >= slack, to_stay >= slack
        if bool((stays | goes).any()):
            self._child(bound, node, d, found.z, stays, ~(stays | goes))
            return
        # A group that nearly stays is the one whose loss raises the bound most.
        score = found.z**4 * (1 - found.z).sqrt()
        chosen = torch.zeros_like(stays)
        at = int(score.argmax())
        chosen[at] = True
        none = torch.zeros_like(stays)
        self._child(bound + float(to_stay[at]), node, d, found.z, chosen, ~chosen)
        self._child(bound + float(to_go[at]), node, d, found.z, none, ~chosen)

    def _child(
        self, bound: float, node: _Node, d: Tensor, z: Tensor, stays: Tensor, open_: Tensor
    ) -> None:
        kept = torch.cat((node.kept, node.free[stays]))
        free = node.free[open_]
        need = self._size - kept.numel()
        if not 0 <= need <= free.numel():
            return
        rest = z[open_]
        if free.numel():
            rest = water_level(rest, need)
        self._push(_Node(bound, 0, kept, free, d[open_], rest))


def _compressed(G: Tensor) -> Tensor:
    """Return a matrix with the same ``G G^T`` and no more columns than rows."""
    if G.shape[1] <= 1.25 * G.shape[0]:
        return G
    triangle: Tensor = torch.linalg.qr(G.T, mode="r").R
    return triangle.T
