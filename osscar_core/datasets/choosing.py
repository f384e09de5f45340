"""Which items of a data set are used.

The decision hidden here: what a seed means. 0 takes the first items as stored, any other
number a random sample of them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def choose(available: int, wanted: int | None, seed: int) -> Tensor:
    """Return which items to use: the first ones, or a random sample in ascending order.

    Args:
        available: Number of items there are.
        wanted: Number of items to use at most; ``None`` for all.
        seed: 0 for the first, otherwise the seed of a sample without replacement.

    Returns:
        Ascending indices, int64, (min(wanted, available),).
    """
    count = available if wanted is None else min(wanted, available)
    if seed == 0 or count == available:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(available, generator=generator)[:count].sort().values
