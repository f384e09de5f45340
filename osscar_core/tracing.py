"""A model as torch.export can follow it, and how near what comes out has to be.

The decision hidden here: what is traced is a float32 copy on the CPU, and a difference is
measured against the largest output.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from osscar_core.models import LoadedModel

TOLERANCE = 1e-4
"""Largest difference of an export from its model, relative to the largest output."""

MOST_AT_ONCE = 4096
"""Items that a batch of an exported model may have."""

TRACE_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, KeyError, AssertionError)
"""What tracing raises on what it cannot follow; torch has no common class for it."""


def traceable(loaded: LoadedModel) -> nn.Module:
    """Return a copy of a model's network that can be traced; the model stays as it is."""
    return copy.deepcopy(loaded.module).cpu().float().eval()


def batch_dimension() -> torch.export.Dim:
    """Return the first dimension of every input: any number of items."""
    return torch.export.Dim("batch", min=1, max=MOST_AT_ONCE)


def trace_reason(error: BaseException) -> str:
    """Return in short why tracing failed."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def differences(one: Tensor, two: Tensor) -> tuple[float, float]:
    """Return the largest difference, as it is and relative to the largest value of ``one``.

    A difference that is not a number counts as infinite.
    """
    apart = float((one - two).abs().max())
    apart = apart if apart == apart else float("inf")
    return apart, apart / max(float(one.abs().max()), 1e-12)
