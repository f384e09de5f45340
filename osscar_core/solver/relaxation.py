"""A valid lower bound on the cost of the best support, by convex relaxation.

The decision hidden here: how the combinatorial problem is made convex, and how the two
sets of numbers in the relaxation, one per group and one per feature, are improved.

**The bound.** Let ``f(S) = min_W 1/2 tr(W^T H W) - tr(W^T G)`` over weights W that vanish
outside the groups of S. Take any diagonal ``D >= 0`` with ``D <= H`` (as matrices) and any
U of the shape of G. As ``H - D`` is positive semi-definite, its quadratic form lies above
its tangent at U; what is left separates over the groups and is minimised in closed form:

    ``f(S) >= -1/2 tr(U^T (H - D) U) - 1/2 sum_{j in S} rho_j``,
    ``rho_j = tr(R_j^T D_j^-1 R_j)``,  ``R = G - (H - D) U``

so with ``keep`` groups, f is at least the first term less half the ``keep`` largest
``rho``. This holds for *every* U and D: nothing has to be solved exactly for the bound to
be valid, only ``H - D`` must be positive semi-definite, which a Cholesky factorisation
proves. The bound is monotone in what is given away, and equal to f where it is tight.

**The best U.** For a fixed D the best bound is the minimum over ``0 <= z <= 1``,
``sum z = keep``, of the perspective relaxation ``-1/2 tr(G^T (H - D + D Z^-1)^-1 G)``,
which is convex in z and equals f at whole z. Its minimiser over W at given z is
``U = Z^1/2 N^-1 Z^1/2 G`` with ``N = Z^1/2 (H - D) Z^1/2 + D``, and at given W it wants
``z_j`` in proportion to ``z_j rho_j^1/2``, capped at 1; the two are alternated.

**The best D.** The bound is concave in D at fixed z, with gradient
``q_i = 1/2 |U_i|^2 (1/z_j - 1)``. Newton steps on ``<q, d> + mu (logdet(H - D) +
sum log d)`` raise it: with ``X = (H - D)^-1`` the Newton matrix is ``X o X + diag(d^-2)``,
and a damped step never leaves the feasible set.

**The basis.** Any change of basis inside a group leaves f as it is, yet decides which D
are diagonal. `Basis` makes the diagonal blocks of the inverse hessian unit matrices and
those of ``H^-1 G G^T H^-1`` diagonal, largest first, so the features of a group come in
the order of what losing them costs.

References: the perspective reformulation is that of O. Günlük and J. Linderoth, "Perspective
reformulations of mixed integer nonlinear programs", Math. Programming 124 (2010), and its
best diagonal that of H. Dong, K. Chen and J. Linderoth, "Regularization vs. relaxation",
arXiv 1510.06083; the search problem is that of X. Meng et al., "OSSCAR", ICML 2024
(arXiv 2403.12983).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from osscar_core.solver.blocks import diagonal_blocks

# z never reaches 0, where its own weight could not grow again.
_Z_MIN = 1e-6
# How far below the smallest eigenvalue the first diagonal starts.
_START = 0.9
# The barrier's first weight, relative to what it balances, and its factor per round.
_FIRST_MU = 0.3
_SHRINK = 0.6
# Length of a step on D in units of the provably feasible one, to begin with.
_STRIDE = 3.0
# Power of the step on z; 1 is the plain alternation, up to 2 converges faster.
_HASTE = 1.8
_POWER_STEPS = 12
_MAX_RETREATS = 10
_MAX_HALVINGS = 30
_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """What a relaxation found.

    Attributes:
        bound: Lower bound on f of every support of that size; ``-inf`` if H is not positive
            definite to working precision.
        rho: What each group is worth in the bound, (n,) float64.
        z: The fractional support, (n,) float64.
        d: The diagonal D, (n g,) float64, proven to be at most H.
    """

    bound: float
    rho: Tensor
    z: Tensor
    d: Tensor


class Basis:
    """The problem in a basis of each group's own; see the module's docstring.

    Attributes:
        H: The hessian in that basis, (n g, n g) float64.
        G: The right-hand side in that basis, (n g, c) float64.
        width: Features per group g.
        full: f with every group kept.
        noise: What rounding may change about f, as a backward error of H.
    """

    def __init__(self, H: Tensor, G: Tensor, factor: Tensor, width: int) -> None:
        """Choose the basis.

        Args:
            H: Positive definite hessian, (n g, n g) float64; not changed.
            G: Right-hand side, (n g, c) float64, outputs weighted.
            factor: Lower Cholesky factor of H.
            width: Features per group g.
        """
        W = torch.cholesky_solve(G, factor)
        self.width = width
        self.full = -0.5 * float((W * G).sum())
        # |dH_ij| <= c eps sqrt(H_ii H_jj) for a factorisation, hence the effect on f.
        spread = (H.diagonal().sqrt()[:, None] * W.abs()).sum(0)
        self.noise = 4 * math.sqrt(H.shape[0]) * _EPS * float(spread.square().sum())

        blocks = diagonal_blocks(torch.cholesky_inverse(factor), width)  # (n, g, g)
        if width == 1:
            scale = blocks.view(-1).sqrt()
            self.H = scale[:, None] * H
            self.H *= scale
            self.G = scale[:, None] * G
            return
        values, vectors = torch.linalg.eigh(blocks)
        floor = values[:, -1:] * _EPS
        lengths = torch.maximum(values, floor).sqrt()  # (n, g)
        inside = (vectors.mT @ W.view(-1, width, W.shape[1])) / lengths[:, :, None]
        turn = torch.linalg.eigh(inside @ inside.mT).eigenvectors.flip(-1)
        # Rotate, scale, rotate: each step is harmless, their product need not be.
        across = _blockwise(turn.mT, lengths, vectors.mT, H)
        self.H = _blockwise(turn.mT, lengths, vectors.mT, across.T)
        self.G = _blockwise(turn.mT, lengths, vectors.mT, G)


def first_diagonal(H: Tensor) -> Tensor:
    """Return a diagonal that is a multiple of the unit matrix and near H's smallest eigenvalue.

    It need not be below H yet: `relax` proves that or shrinks it.

    Args:
        H: Positive definite, (n, n) float64.
    """
    factor, _ = torch.linalg.cholesky_ex(H)
    vector = torch.ones(H.shape[0], 1, dtype=H.dtype, device=H.device)
    size = 1.0
    for _ in range(_POWER_STEPS):
        vector = torch.cholesky_solve(vector / vector.norm(), factor)
        size = float(vector.norm())
    return torch.full((H.shape[0],), _START / size, dtype=H.dtype, device=H.device)


def relax(
    H: Tensor,
    G: Tensor,
    width: int,
    keep: int,
    *,
    d: Tensor,
    z: Tensor | None = None,
    rounds: int,
    target: float = math.inf,
    deadline: float = math.inf,
) -> Relaxed:
    """Return a lower bound on f over all supports of ``keep`` of the n groups.

    A round proves D (a Cholesky factorisation), solves for U (one more and products of
    ``6 p^2 c`` flops) and, unless it is the last, improves D (an inverse and a third
    Cholesky): ``5/3 p^3 + 6 p^2 c`` flops, and ``2/3 p^3 + 6 p^2 c`` for the last. A step
    on D that turns out too long costs ``1/3 p^3`` more. It holds up to three p x p
    matrices beside H and four of the shape of G.

    Args:
        H: Positive definite, (n g, n g) float64.
        G: (n g, c) float64.
        width: Features per group g.
        keep: Groups that stay, in [1, n - 1].
        d: A diagonal to start from, (n g,) positive; shrunk until it is below H.
        z: A fractional support to start from, (n,); ``None`` for a uniform one.
        rounds: At least 1.
        target: Stop once the bound reaches this.
        deadline: Stop after the round in which `time.perf_counter` passes this.
    """
    n = H.shape[0] // width
    if z is None:
        z = torch.full((n,), keep / n, dtype=H.dtype, device=H.device)
    best = Relaxed(-math.inf, torch.zeros_like(z), z, d)
    proven = _proven(H, d)
    if proven is None:
        return best
    d, factor = proven
    stride, mu = _STRIDE, 0.0
    for step in range(1, rounds + 1):
        bound, rho, U = _evaluate(H, G, width, keep, d, z)
        if not math.isfinite(bound):
            break
        if bound > best.bound:
            best = Relaxed(bound, rho, z, d)
        if step == rounds or bound >= target or time.perf_counter() > deadline:
            break
        q = 0.5 * U.square().sum(1) * (1 / z - 1).repeat_interleave(width)
        mu = _SHRINK * mu if mu else _FIRST_MU * float(q @ d) / d.numel()
        if not mu > 0.0:
            break
        d, factor, stride = _raised(H, factor, d, q / mu, stride)
        z = water_level(z * rho.pow(_HASTE / 2), keep)
    return best


def water_level(weights: Tensor, total: float) -> Tensor:
    """Return ``min(1, t weights)`` with t such that the sum is ``total``.

    Args:
        weights: (n,) float64, not negative.
        total: In [0, n].
    """
    n = weights.numel()
    if float(weights.max()) <= 0.0:
        return torch.full_like(weights, total / n)
    ordered = weights.sort(descending=True).values
    ordered = ordered.clamp(min=float(ordered[0]) * 1e-12)
    tails = ordered.flip(0).cumsum(0).flip(0)  # sum of what is not capped
    capped = torch.arange(n, dtype=weights.dtype, device=weights.device)
    levels = (total - capped) / tails
    # The first number of capped entries at which the next one stays below 1.
    level = levels[(levels * ordered <= 1.0).to(torch.uint8).argmax()]
    return (weights * level).clamp(_Z_MIN, 1.0)


def _proven(H: Tensor, d: Tensor) -> tuple[Tensor, Tensor] | None:
    """Shrink ``d`` until ``H - diag(d)`` has a Cholesky factor; return both."""
    shrink = 1.0
    for _ in range(_MAX_RETREATS):
        rest = H.clone()
        rest.diagonal().sub_(shrink * d)
        factor, info = torch.linalg.cholesky_ex(rest)
        if int(info) == 0:
            return shrink * d, factor
        shrink *= min(0.8, shrink)
    return None


def _evaluate(
    H: Tensor, G: Tensor, width: int, keep: int, d: Tensor, z: Tensor
) -> tuple[float, Tensor, Tensor]:
    root = z.sqrt().repeat_interleave(width)
    N = H * root
    N *= root[:, None]
    N.diagonal().add_(d * (1 - root.square()))
    factor, _ = torch.linalg.cholesky_ex(N)
    U = root[:, None] * torch.cholesky_solve(root[:, None] * G, factor)
    product = torch.addcmul(H @ U, d[:, None], U, value=-1)  # (H - D) U
    kept = 0.5 * float((U * product).sum())
    R = G - product
    rho = (R.square().sum(1) / d).view(-1, width).sum(1)
    bound = -kept - 0.5 * float(rho.topk(keep).values.sum())
    return bound, rho, U


def _raised(
    H: Tensor, factor: Tensor, d: Tensor, wanted: Tensor, stride: float
) -> tuple[Tensor, Tensor, float]:
    """Return d after a Newton step on the barrier, its factor, and the stride to try next.

    A damped step (a stride of 1) stays feasible in exact arithmetic; a longer one usually
    does too, and is halved where it does not.
    """
    X = torch.cholesky_inverse(factor)
    gradient = wanted - X.diagonal() + 1 / d
    X.square_()
    X.diagonal().add_(d.square().reciprocal())
    newton, _ = torch.linalg.cholesky_ex(X)
    direction = torch.cholesky_solve(gradient[:, None], newton)[:, 0]
    del X, newton  # two of the largest tensors there are
    decrement = math.sqrt(max(0.0, float(gradient @ direction)))
    for _ in range(_MAX_HALVINGS):
        moved = d + min(1.0, stride / (1 + decrement)) * direction
        if bool((moved > 0).all()):
            rest = H.clone()
            rest.diagonal().sub_(moved)
            new_factor, info = torch.linalg.cholesky_ex(rest)
            if int(info) == 0:
                return moved, new_factor, 1.5 * stride
        stride *= 0.5
    return d, factor, stride


def _blockwise(turn: Tensor, lengths: Tensor, vectors: Tensor, matrix: Tensor) -> Tensor:
    n, g = lengths.shape
    rows = matrix.reshape(n, g, matrix.shape[1])
    return (turn @ (lengths[:, :, None] * (vectors @ rows))).view(matrix.shape)
