"""Simple properties of inputs, to say in words what has changed.

The decision hidden here: which few numbers describe a picture or a text to a person:
brightness, contrast, sharpness and noise; length, and the shares of digits, capitals,
letters beyond ASCII and characters that could not be read.

Reference:
    J. Immerkær, "Fast noise variance estimation", Computer Vision and Image Understanding
    64 (1996).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
# Blind to constant, linear and quadratic change: what it leaves of a picture is mostly noise.
_IMMERKAER = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))
_UNREADABLE = "\ufffd"


def image_properties(pixels: Tensor) -> dict[str, Tensor]:
    """Return properties of pictures, each (B,), in shares of the range of a pixel.

    Args:
        pixels: In [0, 1], (B, 3, S, S).
    """
    weights = torch.tensor(_LUMA, dtype=pixels.dtype, device=pixels.device).view(1, 3, 1, 1)
    grey = (pixels * weights).sum(dim=1, keepdim=True)  # (B, 1, S, S)
    return {
        "brightness": grey.mean(dim=(1, 2, 3)),
        "contrast": grey.std(dim=(1, 2, 3)),
        "sharpness": _filtered(grey, _LAPLACE).std(dim=(1, 2, 3)),
        "noise": math.sqrt(math.pi / 2) / 6 * _filtered(grey, _IMMERKAER).abs().mean(dim=(1, 2, 3)),
    }


def text_properties(text: str) -> dict[str, float]:
    """Return properties of one text."""
    count = max(1, len(text))
    letters = [letter for letter in text if letter.isalpha()]
    return {
        "length": float(len(text)),
        "digits": sum(letter.isdigit() for letter in text) / count,
        "capitals": sum(letter.isupper() for letter in letters) / max(1, len(letters)),
        "beyond ASCII": sum(not letter.isascii() for letter in text) / count,
        "unreadable": text.count(_UNREADABLE) / count,
    }


def _filtered(grey: Tensor, kernel: tuple[tuple[float, ...], ...]) -> Tensor:
    weight = torch.tensor(kernel, dtype=grey.dtype, device=grey.device).view(1, 1, 3, 3)
    found: Tensor = F.conv2d(grey, weight)
    return found
