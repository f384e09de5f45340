"""How far a support is from the best one: a certificate for wide layers, proof for narrow ones.

The decision hidden here: what counts as a certificate, and what a caller may demand of the
groups. `certify_support` bounds f over all supports of the same size by one convex relaxation
(`relaxation` derives it), whatever the number of groups. `branch_and_bound` goes on until
the best support is proven (`branching`).

Rounding: f may be off by what a backward error of a few ``eps`` in every entry of the
hessian does to it. Every reported bound is lowered by that much, and supports that differ
by less than that, or by a relative 1e-9 of f, count as equally good.

How tight the relaxation is depends on how much the groups share. As a share of the cost
``f(S) - f(all)`` with half the groups kept, on real layers: 0.55 to 0.8 for convolution
channels, 0.45 to 0.75 for attention heads, 0.25 to 0.4 for feed-forward neurons, whose
many groups replace one another. The gap of a wide layer is thus mostly the bound's.

Reference: X. Meng et al., "OSSCAR", ICML 2024 (arXiv 2403.12983) for the problem.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.solver.branching import Choice, Root, Search
from osscar_core.solver.constraints import Constraints
from osscar_core.solver.elimination import check_keep
from osscar_core.solver.problem import LayerProblem, check_support, objective
from osscar_core.solver.relaxation import first_diagonal, relax

DEFAULT_ROUNDS = 4


class Proof(StrEnum):
    """How a certificate came about."""

    ENUMERATED = "enumerated"
    BRANCH_AND_BOUND = "branch-and-bound"
    RELAXATION = "relaxation"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known about a support beside the best one of its size.

    Attributes:
        objective: f of the support.
        full: f with every group that may stay; no support lies below it.
        bound: No support of this size lies below it; at least ``full``, up to rounding.
        how: What the bound rests on.
        proven: Whether no support is better by more than the tolerance.
        nodes: Parts of the search that were bounded or enumerated.
        seconds: Wall time.
    """

    objective: float
    full: float
    bound: float
    how: Proof
    proven: bool
    nodes: int
    seconds: float

    @property
    def cost(self) -> float:
        """What the removal adds to the full re-fit, ``objective - full``, at least 0."""
        return max(0.0, self.objective - self.full)

    @property
    def gap(self) -> float:
        """The share of the cost that a better support might save at most, in [0, 1].

        ``(objective - bound) / (objective - full)``; 0 if proven or if nothing is lost.
        """
        return 0.0 if self.proven else self._share(self.cost)

    @property
    def relative_gap(self) -> float:
        """``(objective - bound) / |objective|``, in [0, 1]; 0 if proven."""
        return 0.0 if self.proven else self._share(abs(self.objective))

    def _share(self, whole: float) -> float:
        slack = max(0.0, self.objective - self.bound)
        return min(1.0, slack / whole) if whole > 0.0 else 0.0


def certify_support(
    problem: LayerProblem,
    support: Tensor,
    *,
    constraints: Constraints | None = None,
    rounds: int = DEFAULT_ROUNDS,
) -> Certificate:
    """Bound how much better than ``support`` any support of its size can be.

    For p features and m outputs it takes about ``4/3 p^3 + 2 p^2 m`` flops to set up and
    ``5/3 p^3 + 6 p^2 m`` a round, and holds four p x p matrices beside the problem. Of what
    many rounds reach above ``full``, 8 give 90 to 99% on real layers, 4 mostly 85 to 95% and
    2 mostly 75 to 90%; where thousands of features nearly repeat one another it was 91, 58
    and 42%.

    Args:
        problem: The layer's problem, on any device.
        support: Ascending indices of the groups that stay, (k,) int64.
        constraints: Protected and forced groups; ``None`` for none.
        rounds: Improvements of the relaxation, at least 1.

    Raises:
        SpecError: The support is illegal or contradicts what must stay or go, or
            ``rounds`` is not positive.
        NumericalError: The hessian is not positive definite to working precision.
    """
    began = time.perf_counter()
    check_support(problem, support)
    if rounds < 1:
        raise SpecError(f"rounds is {rounds}", "It must be at least 1")
    choice = Choice.of(problem, support.numel(), constraints)
    choice.check(support)
    root = Root(problem, choice)
    value = objective(problem, support)
    tolerance = root.tolerance
    if choice.decided:
        bound = value
    else:
        H, G, base = root.reduced(choice.kept, choice.free, root.width)
        found = relax(
            H, G, root.width, choice.need, d=first_diagonal(H), rounds=rounds, target=value - base
        )
        bound = max(base + found.bound, root.full) - root.noise
    bound = min(bound, value)
    return Certificate(
        objective=value,
        full=root.full,
        bound=bound,
        how=Proof.RELAXATION,
        proven=value - bound <= tolerance,
        nodes=1,
        seconds=time.perf_counter() - began,
    )


def branch_and_bound(
    problem: LayerProblem,
    keep: int,
    *,
    start: Tensor | None = None,
    seconds: float = 10.0,
    constraints: Constraints | None = None,
) -> tuple[Tensor, Certificate]:
    """Search for the best support of ``keep`` groups until it is proven or time is up.

    Meant for up to a few dozen groups. Repeats exactly unless stopped by time.

    Args:
        problem: The layer's problem, on any device.
        keep: Groups that stay, in [1, groups].
        start: Ascending group indices of a support to begin with, (keep,) int64; ``None``
            for greedy elimination with swaps.
        seconds: When to stop; a step under way is finished.
        constraints: Protected and forced groups; ``None`` for none.

    Returns:
        The best support found, (keep,) ascending int64, and its certificate.

    Raises:
        SpecError: ``keep`` or ``seconds`` is out of range, an index is illegal, or what
            must stay, what must go, ``keep`` and ``start`` contradict each other.
        NumericalError: The hessian is not positive definite to working precision.
    """
    began = time.perf_counter()
    check_keep(problem, keep)
    if not seconds >= 0:
        raise SpecError(f"seconds is {seconds}", "It must be at least 0")
    choice = Choice.of(problem, keep, constraints)
    if start is not None:
        check_support(problem, start)
        choice.check(start)
    root = Root(problem, choice)
    search = Search(root, choice, began + seconds)
    if choice.decided:
        search.offer(choice.positions(choice.only()))
    else:
        first = search.greedy(problem) if start is None else choice.positions(start)
        if first is not None:
            search.offer(first)
        search.run()
    support = choice.groups(search.best)
    value = objective(problem, support)
    return support, Certificate(
        objective=value,
        full=root.full,
        bound=min(search.bound() - root.noise, value),
        how=Proof.ENUMERATED if search.enumerated_only else Proof.BRANCH_AND_BOUND,
        proven=not search.open,
        nodes=search.nodes,
        seconds=time.perf_counter() - began,
    )
