"""Blocks of a symmetric matrix: what one group costs by itself, for all groups at once.

The decision hidden here: groups of one feature are plain vectors and wider groups are
batches of small matrices, so no caller loops over groups; and how a symmetric product
avoids computing both of its halves.

Reference: X. Meng et al., "OSSCAR", ICML 2024 (arXiv 2403.12983).
"""

from __future__ import annotations

import torch
from torch import Tensor

_TILES = 6
_SMALLEST_TILE = 256


def diagonal_blocks(matrix: Tensor, width: int) -> Tensor:
    """Return copies of the diagonal blocks of ``matrix``, (n g, n g) -> (n, g, g)."""
    count = matrix.shape[0] // width
    if width == 1:
        return matrix.diagonal().clone().view(count, 1, 1)
    blocks = matrix.reshape(count, width, count, width).diagonal(dim1=0, dim2=2)  # (g, g, n)
    return blocks.permute(2, 0, 1).contiguous()


def half_trace_ratio(divisor: Tensor, dividend: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``1/2 tr(divisor^-1 dividend)`` of each pair of blocks.

    With ``divisor = P_jj`` and ``dividend = W_j s^2 W_j^T`` this is the exact price of
    removing group j; with the Schur complement and the residual's square outside the
    support, the exact gain of adding it.

    Args:
        divisor: Symmetric positive definite blocks, (..., g, g).
        dividend: Symmetric positive semi-definite blocks, (..., g, g).

    Returns:
        The values, (...), not below zero, and whether each divisor was positive
        definite, (...) bool; the value is meaningless where it was not.
    """
    if divisor.shape[-1] == 1:
        pivots = divisor[..., 0, 0]
        return (0.5 * dividend[..., 0, 0] / pivots).clamp(min=0.0), pivots > 0
    factor, info = torch.linalg.cholesky_ex(divisor)
    inverse = torch.cholesky_inverse(factor)
    return (0.5 * (inverse * dividend).sum((-2, -1))).clamp(min=0.0), info == 0


def add_symmetric_(target: Tensor, products: list[tuple[Tensor, Tensor]], *, sign: float) -> None:
    """Add ``sign * sum(left^T right)``, symmetric as a whole, to ``target`` in place.

    Only tiles on and below the diagonal are computed, the rest is mirrored: nearly half
    the work of the full product.
    """
    size = target.shape[0]
    tile = max(_SMALLEST_TILE, -(-size // _TILES))
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        rows = target[start:stop, :stop]
        for left, right in products:
            rows.addmm_(left[:, start:stop].T, right[:, :stop], alpha=sign)
        target[:start, start:stop] = target[start:stop, :start].T
