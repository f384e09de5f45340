"""One layer's pruning problem, its exact re-fit, and what a solution is worth.

The decision hidden here: how second-order statistics become a well-posed problem
(damping, centring, output weights) and how error is measured. Everything is float64.

Notation (rows are calibration samples, features first):

- ``gram = X^T X / N`` and ``cross = X^T Y / N``, both undamped; ``Y`` never contains
  the consumer's own bias.
- ``ridge = damping * mean(diag(gram_c))`` where ``_c`` marks the centred statistics
  when an intercept is fitted and the plain ones otherwise.
- ``H = gram_c + ridge I`` and ``G = cross_c + ridge W0``: the ridge pulls to the dense
  weights. Neither is kept: a part that is asked for is formed from the statistics, so that
  a layer of p features holds one (p, p) matrix and not two.
- With the weights solved out, a support S costs ``f(S) = -1/2 tr(s G_S^T H_SS^-1 G_S s)``
  where ``s`` holds the output weights.

Reference: X. Meng et al., "OSSCAR: One-Shot Structured Pruning in Vision and Language
Models with Combinatorial Optimization", ICML 2024 (arXiv 2403.12983).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from osscar_core.errors import NumericalError, SpecError

if TYPE_CHECKING:
    from osscar_core.solver.certificate import Certificate

# Centring leaves rounding noise of about this size on the diagonal of constant features.
_CENTRING_NOISE = 1e-12
_SAFE_DAMPING = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Sums over the calibration rows of one unit, divided by their number.

    Attributes:
        count: Number of rows N.
        gram: ``X^T X / N``, (p, p) float64, symmetric.
        cross: ``X^T Y / N``, (p, m) float64.
        mean_x: ``mean(X)``, (p,) float64.
        mean_y: ``mean(Y)``, (m,) float64.
        power_y: ``mean(Y^2)`` per output, (m,) float64.
    """

    count: int
    gram: Tensor
    cross: Tensor
    mean_x: Tensor
    mean_y: Tensor
    power_y: Tensor

    def to(self, device: torch.device) -> Statistics:
        """Return the same on another device."""
        names = ("gram", "cross", "mean_x", "mean_y", "power_y")
        return Statistics(self.count, *(getattr(self, name).to(device) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class LayerProblem:
    """Choose ``keep`` of ``groups`` groups of input features and re-fit the weights.

    Build one with `LayerProblem.build`, which checks shapes and finiteness.

    Attributes:
        statistics: The raw statistics, in float64.
        W0: Dense weights, input features first, (p, m) float64.
        groups: Number of groups; group ``j`` owns features ``[j g, (j+1) g)``.
        intercept: Whether the bias is re-fitted too (statistics were centred).
        output_weights: Importance ``s`` of each output, (m,) float64, or ``None``.
        ridge: What is added to the diagonal of H.
        damping: The same relative to the mean of that diagonal.
    """

    statistics: Statistics
    W0: Tensor
    groups: int
    intercept: bool
    output_weights: Tensor | None
    ridge: float
    damping: float

    @classmethod
    def build(
        cls,
        statistics: Statistics,
        W0: Tensor,
        groups: int,
        *,
        damping: float,
        intercept: bool,
        output_weights: Tensor | None = None,
    ) -> LayerProblem:
        """Damp and centre the statistics.

        A layer whose inputs never vary has no scale of its own; its ridge is then
        relative to the inputs' mean square, and to 1 where that is zero too.

        Args:
            statistics: Raw statistics, all on one device, which the problem stays on.
            W0: Dense weights, (p, m), any floating-point type and device.
            groups: Number of equally wide groups that the p features form.
            damping: Ridge relative to the mean of the gram's diagonal, at least 0.
            intercept: Whether the re-fit may change the bias.
            output_weights: Importance of each output, (m,); ``None`` for equal ones.

        Raises:
            SpecError: Shapes disagree, or ``groups`` or ``damping`` is out of range.
            NumericalError: A statistic or a weight is not finite.
        """
        _check_shapes(statistics, W0, groups, output_weights)
        if not math.isfinite(damping) or damping < 0:
            raise SpecError(f"damping is {damping}", "It must be finite and at least 0")
        raw = _as_float64(statistics)
        device = raw.gram.device
        W0 = W0.detach().to(device=device, dtype=torch.float64)
        scale = (
            None
            if output_weights is None
            else output_weights.detach().to(device=device, dtype=torch.float64)
        )
        named = {"gram": raw.gram, "cross": raw.cross, "mean of the inputs": raw.mean_x}
        named |= {"mean of the targets": raw.mean_y, "power of the targets": raw.power_y}
        named |= {"dense weights": W0}
        if scale is not None:
            named["output weights"] = scale
        _check_finite(named)

        power = float(raw.gram.diagonal().mean())
        spread = power
        if intercept:
            spread = float((raw.gram.diagonal() - raw.mean_x.square()).mean())
        if spread <= _CENTRING_NOISE * power:
            spread = power if power > 0 else 1.0
        return cls(raw, W0, groups, intercept, scale, damping * spread, damping)

    @classmethod
    def of_quadratic(cls, H: Tensor, G: Tensor, groups: int, damping: float) -> LayerProblem:
        """Return a problem that has this hessian and this right-hand side as they are.

        There is nothing behind it to measure an error on.

        Args:
            H: (p, p) float64.
            G: (p, m) float64.
            groups: Number of equally wide groups that the p features form.
            damping: What H contains of it, for error messages.
        """
        mean_y = G.new_zeros(G.shape[1])
        statistics = Statistics(1, H, G, H.new_zeros(H.shape[0]), mean_y, mean_y)
        return cls(statistics, G, groups, False, None, 0.0, damping)

    @property
    def device(self) -> torch.device:
        """Where the problem is kept."""
        return self.statistics.gram.device

    @property
    def features(self) -> int:
        """Number of input features p."""
        return self.statistics.gram.shape[0]

    @property
    def width(self) -> int:
        """Features per group g."""
        return self.features // self.groups

    @property
    def H(self) -> Tensor:
        """The damped hessian, (p, p) float64, formed anew."""
        return self.write_hessian_(torch.empty_like(self.statistics.gram))

    @property
    def G(self) -> Tensor:
        """The damped right-hand side, (p, m) float64, formed anew."""
        raw = self.statistics
        target = raw.cross.clone()
        if self.intercept:
            target.addr_(raw.mean_x, raw.mean_y, alpha=-1)
        return target.add_(self.W0, alpha=self.ridge)

    def write_hessian_(self, out: Tensor) -> Tensor:
        """Write H into a (p, p) float64 matrix on any device, and return that."""
        raw = self.statistics
        out.copy_(raw.gram)
        if self.intercept:
            mean = raw.mean_x.to(out.device)
            out.addr_(mean, mean, alpha=-1)
        out.diagonal().add_(self.ridge)
        return out

    def feature_index(self, support: Tensor) -> Tensor:
        """Return the features of the groups in ``support``, (k,) -> (k g,) int64."""
        offsets = torch.arange(self.width, device=support.device)
        return (support[:, None] * self.width + offsets).reshape(-1)

    def hessian(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the part of H at these distinct features, (rows, columns)."""
        raw = self.statistics
        # Whole rows first: on a CPU nearly twice as fast as picking the entries at once.
        part = raw.gram.index_select(0, rows).gather(1, columns.expand(rows.numel(), -1))
        if self.intercept:
            part.addr_(raw.mean_x[rows], raw.mean_x[columns], alpha=-1)
        if rows is columns:
            part.diagonal().add_(self.ridge)
            return part
        place = torch.full((self.features,), columns.numel(), device=rows.device)
        place[columns] = torch.arange(columns.numel(), device=rows.device)
        at = place[rows]  # a row's own column; past the last one where it has none
        own = at < columns.numel()
        at = torch.where(own, at, 0)[:, None]
        return part.scatter_add_(1, at, (self.ridge * own).to(part)[:, None])

    def hessian_blocks(self, groups: Tensor) -> Tensor:
        """Return the diagonal blocks of H of these groups, (n, g, g)."""
        raw = self.statistics
        members = self.feature_index(groups).view(-1, self.width)
        blocks = raw.gram[members[:, :, None], members[:, None, :]]
        if self.intercept:
            mean = raw.mean_x[members]
            blocks = blocks - mean[:, :, None] * mean[:, None, :]
        blocks.diagonal(dim1=1, dim2=2).add_(self.ridge)
        return blocks

    def right_side(self, rows: Tensor) -> Tensor:
        """Return the rows of G at these features, (n, m)."""
        raw = self.statistics
        part = raw.cross[rows]
        if self.intercept:
            part.addr_(raw.mean_x[rows], raw.mean_y, alpha=-1)
        return part.add_(self.W0[rows], alpha=self.ridge)

    def target(self, rows: Tensor) -> Tensor:
        """Return the rows of G at these features, each output scaled by its importance."""
        return self.weighted(self.right_side(rows))

    def digest(self) -> str:
        """Return a fingerprint of what decides a search, the same on every device.

        Over the diagonal of the gram, the means, one row of the targets and the settings,
        so that it costs nothing; it tells problems apart, it is no proof against forgery.
        """
        raw = self.statistics
        state = hashlib.sha256()
        settings = (self.groups, self.features, self.intercept, self.damping, raw.count)
        state.update(repr(settings).encode())
        parts = [raw.gram.diagonal(), raw.mean_x, raw.cross[-1], raw.mean_y, self.W0[-1]]
        if self.output_weights is not None:
            parts.append(self.output_weights)
        for part in parts:
            state.update(part.detach().cpu().contiguous().numpy().tobytes())
        return state.hexdigest()

    def weighted(self, values: Tensor) -> Tensor:
        """Return ``values`` (n, m) with each output scaled by its importance."""
        return values if self.output_weights is None else values * self.output_weights


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The groups that stay and the weights on them.

    Attributes:
        support: Ascending indices of the kept groups, (k,) int64.
        W: Weights of the kept features, (k g, m) float64, input features first.
        bias_change: What to add to the consumer's bias, (m,) float64, or ``None``
            to leave it.
        objective: ``1/2 tr(s W^T H_SS W s) - tr(s W^T G_S s)`` at these weights, which
            for re-fitted weights is f(S); lower is better.
        relative_error: Undamped mean squared output error over the target's mean
            square, at least 0.
        swaps: Accepted swaps of the local search.
        certificate: How far the support is from the best one; ``None`` if not asked for.
    """

    support: Tensor
    W: Tensor
    bias_change: Tensor | None
    objective: float
    relative_error: float
    swaps: int
    certificate: Certificate | None = None


def cholesky(matrix: Tensor, damping: float) -> Tensor:
    """Return the lower Cholesky factor of a symmetric positive definite matrix.

    A pivot that is nothing but rounding error counts as not positive: an inverse made
    from it would be silently wrong.

    Args:
        matrix: (n, n) float64.
        damping: The damping in use, from which a larger one is proposed.

    Raises:
        NumericalError: The matrix is not positive definite to working precision.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if not bool(sound_pivots(factor.diagonal(), matrix.diagonal()) & (info == 0)):
        raise not_positive_definite(damping)
    lower: Tensor = factor
    return lower


def sound_pivots(pivots: Tensor, diagonal: Tensor) -> Tensor:
    """Return whether no pivot of a Cholesky factor is rounding error, () bool.

    Args:
        pivots: Diagonal of the factor, (n,).
        diagonal: Diagonal of the matrix, (n,).
    """
    noise = 8 * pivots.numel() * torch.finfo(pivots.dtype).eps
    return (pivots.square() > noise * diagonal.abs()).all()


def not_positive_definite(damping: float) -> NumericalError:
    """Return the error for a hessian that cannot be inverted with this damping."""
    proposal = max(_SAFE_DAMPING, 10 * damping)
    return NumericalError(
        f"the layer's hessian is not positive definite with damping {damping:g}",
        f"Raise the damping, for example to {proposal:g}, or calibrate on more data",
    )


def refit(
    problem: LayerProblem, support: Tensor, *, device: torch.device | None = None
) -> tuple[Tensor, Tensor | None]:
    """Solve for the best weights on a support: ``H_SS W = G_S``.

    Args:
        problem: The layer's problem.
        support: Ascending group indices, (k,) int64.
        device: Where to compute; ``None`` for the problem's device.

    Returns:
        The weights, (k g, m) float64, and with an intercept the change of the bias,
        ``mean(Y) - mean(X_S) W``, (m,) float64, else ``None``; on the problem's device.

    Raises:
        SpecError: The support is not a non-empty ascending set of groups.
        NumericalError: The hessian on the support is not positive definite.
    """
    index = _support_features(problem, support)
    home = problem.device
    place = home if device is None else device
    factor = cholesky(problem.hessian(index, index).to(place), problem.damping)
    W = torch.cholesky_solve(problem.right_side(index).to(place), factor).to(home)
    if not problem.intercept:
        return W, None
    raw = problem.statistics
    return W, raw.mean_y - raw.mean_x[index] @ W


def objective(
    problem: LayerProblem, support: Tensor, *, device: torch.device | None = None
) -> float:
    """Return ``f(S) = -1/2 tr(s G_S^T H_SS^-1 G_S s)`` from a fresh factorisation.

    Args:
        problem: The layer's problem.
        support: Ascending group indices, (k,) int64.
        device: Where to compute; ``None`` for the problem's device.

    Raises:
        SpecError: The support is not a non-empty ascending set of groups.
        NumericalError: The hessian on the support is not positive definite.
    """
    index = _support_features(problem, support)
    place = problem.device if device is None else device
    factor = cholesky(problem.hessian(index, index).to(place), problem.damping)
    whitened = torch.linalg.solve_triangular(factor, problem.target(index).to(place), upper=False)
    return -0.5 * float(whitened.square().sum())


def quadratic(
    problem: LayerProblem, support: Tensor, W: Tensor, *, device: torch.device | None = None
) -> float:
    """Return ``1/2 tr(s W^T H_SS W s) - tr(s W^T G_S s)`` at given weights.

    Args:
        problem: The layer's problem.
        support: Ascending group indices, (k,) int64.
        W: Weights on the support, (k g, m) float64.
        device: Where to compute; ``None`` for the problem's device.
    """
    index = _support_features(problem, support)
    place = problem.device if device is None else device
    weighted = problem.weighted(W).to(place)
    curvature = (weighted * (problem.hessian(index, index).to(place) @ weighted)).sum()
    return float(0.5 * curvature - (weighted * problem.target(index).to(place)).sum())


def relative_error(
    problem: LayerProblem,
    support: Tensor,
    W: Tensor,
    bias_change: Tensor | None,
    *,
    device: torch.device | None = None,
) -> float:
    """Return ``E|s (Y - X_S W - b)|^2 / E|s Y|^2`` on the raw, undamped statistics.

    With output weights s this is the error behind the norm that they stand for. A target
    that is zero everywhere gives 0 when it is met and infinity when it is not.

    Args:
        problem: The layer's problem.
        support: Ascending group indices, (k,) int64.
        W: Weights on the support, (k g, m) float64.
        bias_change: Change of the bias b, (m,), or ``None`` for none.
        device: Where to compute; ``None`` for the problem's device.
    """
    index = _support_features(problem, support)
    place = problem.device if device is None else device
    raw = problem.statistics
    moved = W.to(place)
    missed = raw.gram[index[:, None], index].to(place) @ moved - 2 * raw.cross[index].to(place)
    error = (moved * missed).sum(0).to(problem.device)  # (m,)
    if bias_change is not None:
        predicted_mean = raw.mean_x[index] @ W
        error = error + bias_change * (bias_change + 2 * (predicted_mean - raw.mean_y))
    scale = problem.output_weights
    importance = torch.ones_like(error) if scale is None else scale.square()
    power = float(importance @ raw.power_y)
    excess = max(0.0, power + float(importance @ error))
    if excess == 0.0:
        return 0.0
    return excess / power if power > 0 else math.inf


def complement(groups: int, indices: Tensor) -> Tensor:
    """Return the ascending indices of the groups that are not among ``indices``, int64."""
    rest = torch.ones(groups, dtype=torch.bool, device=indices.device)
    rest[indices] = False
    return rest.nonzero().view(-1)


def check_support(problem: LayerProblem, support: Tensor) -> None:
    """Raise `SpecError` unless ``support`` is a non-empty ascending set of groups."""
    if support.dim() != 1 or support.dtype != torch.int64 or support.numel() == 0:
        raise SpecError(
            f"a support has shape {tuple(support.shape)} and type {support.dtype}",
            "It must be a non-empty one-dimensional int64 tensor",
        )
    legal = (support[0] >= 0) & (support[-1] < problem.groups) & (support.diff() > 0).all()
    if not bool(legal):
        raise SpecError(
            f"a support of {support.numel()} groups is not ascending within the layer",
            f"Its indices must ascend, be unique and lie in [0, {problem.groups})",
        )


def _support_features(problem: LayerProblem, support: Tensor) -> Tensor:
    check_support(problem, support)
    return problem.feature_index(support.to(problem.device))


def _check_shapes(
    statistics: Statistics, W0: Tensor, groups: int, output_weights: Tensor | None
) -> None:
    if W0.dim() != 2 or 0 in W0.shape:
        raise SpecError(
            f"the dense weights have shape {tuple(W0.shape)}",
            "They must be a non-empty matrix, input features first",
        )
    p, m = W0.shape
    expected = {
        "gram": (statistics.gram, (p, p)),
        "cross": (statistics.cross, (p, m)),
        "mean_x": (statistics.mean_x, (p,)),
        "mean_y": (statistics.mean_y, (m,)),
        "power_y": (statistics.power_y, (m,)),
    }
    if output_weights is not None:
        expected["output_weights"] = (output_weights, (m,))
    for name, (value, shape) in expected.items():
        if tuple(value.shape) != shape:
            raise SpecError(
                f"{name} has shape {tuple(value.shape)}",
                f"With dense weights of shape {(p, m)} it must be {shape}",
            )
    if groups < 1 or p % groups:
        raise SpecError(
            f"{p} features cannot form {groups} groups",
            "The number of groups must divide the number of features",
        )
    if statistics.count < 1:
        raise SpecError(
            f"the statistics rest on {statistics.count} rows", "Calibrate on at least one"
        )


def _as_float64(statistics: Statistics) -> Statistics:
    return Statistics(
        statistics.count,
        *(
            value.detach().to(torch.float64)
            for value in (
                statistics.gram,
                statistics.cross,
                statistics.mean_x,
                statistics.mean_y,
                statistics.power_y,
            )
        ),
    )


def _check_finite(named: dict[str, Tensor]) -> None:
    for name, value in named.items():
        low, high = torch.aminmax(value)  # without a temporary of the matrix's size
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            raise NumericalError(
                f"the layer's {name} is not finite",
                "Check the weights and the calibration data, or run the model in float32",
            )
