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
# A GPU needs large products more than it needs to save a few of them.
_SMALLEST_DEVICE_TILE = 2048
_TILE_MULTIPLE = 128


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
    # A factor may also end in a zero, which no inverse survives.
    sound = (info == 0) & (factor.diagonal(dim1=-2, dim2=-1) > 0).all(-1)
    eye = torch.eye(divisor.shape[-1], dtype=divisor.dtype, device=divisor.device)
    inverse = torch.cholesky_inverse(torch.where(sound[..., None, None], factor, eye))
    return (0.5 * (inverse * dividend).sum((-2, -1))).clamp(min=0.0), sound


def add_lower_(
    target: Tensor, left: Tensor, right: Tensor, *, sign: float, fresh: bool = False
) -> None:
    """Add ``sign * left^T right``, which must be symmetric, to a lower triangle in place.

    Only tiles on and below the diagonal are computed: nearly half the work of the full
    product. What stands above the diagonal tiles is left alone.

    Args:
        target: (n, n).
        left: (k, n).
        right: (k, n).
        sign: Factor of the product.
        fresh: Overwrite what was there, which may be anything.
    """
    size = target.shape[0]
    smallest = _SMALLEST_TILE if target.device.type == "cpu" else _SMALLEST_DEVICE_TILE
    tile = max(smallest, -(-size // (_TILES * _TILE_MULTIPLE)) * _TILE_MULTIPLE)
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        rows = target[start:stop, :stop]
        rows.addmm_(left[:, start:stop].T, right[:, :stop], beta=1 - fresh, alpha=sign)


def mirror_lower_(matrix: Tensor) -> Tensor:
    """Copy the lower triangle of a square matrix to its upper one; return the matrix."""
    size = matrix.shape[0]
    for start in range(0, size, _SMALLEST_TILE):
        stop = min(start + _SMALLEST_TILE, size)
        corner = matrix[start:stop, start:stop].tril()
        matrix[start:stop, start:stop] = corner + corner.tril(-1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
    return matrix
