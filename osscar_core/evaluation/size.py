"""How large a model is: parameters and floating-point operations.

The decision hidden here: what counts. A shared parameter counts once. A multiply-add is
two floating-point operations; matrix products, convolutions and attention count, while
element-wise work, norms, biases and embedding look-ups do not.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from osscar_core.errors import SpecError
from osscar_core.records import check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

DEFAULT_PROMPT = 128
_WHOLE = ""


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters; one that is used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(loaded: LoadedModel, *, seqlen: int | None = None) -> tuple[int, str]:
    """Count the floating-point operations of one forward pass of one item.

    The model is not changed.

    Args:
        loaded: The model.
        seqlen: Tokens of the one sequence, for text; ``None`` for the smaller of 128 and
            the model's limit.

    Returns:
        FLOPs (not multiply-adds, of which there are half as many), and the input in words.

    Raises:
        SpecError: A sequence longer than the model's limit, or an image model that does
            not say how large its input is.
    """
    flops, described = module_flops(loaded, seqlen=seqlen)
    return flops[_WHOLE], described


def module_flops(loaded: LoadedModel, *, seqlen: int | None = None) -> tuple[dict[str, int], str]:
    """Count the floating-point operations of every module in one forward pass of one item.

    Shapes decide, so the pass runs on a weightless copy; only a model that insists on
    values is run for real. The model is not changed.

    Args:
        loaded: The model.
        seqlen: Tokens of the one sequence, for text; ``None`` for the smaller of 128 and
            the model's limit.

    Returns:
        FLOPs by module path, those of all that the module calls included, with the whole
        model under the empty path and modules without any left out; and the input in words.

    Raises:
        SpecError: A sequence longer than the model's limit, or an image model that does
            not say how large its input is.
    """
    if loaded.task == "image":
        side = image_side(loaded)
        shape: tuple[int, ...] = (1, 3, side, side)
        dtype = next(loaded.module.parameters()).dtype
        described = f"one image of 3 x {side} x {side}"
    else:
        length = prompt_length(loaded, seqlen)
        shape = (1, length)
        dtype = torch.int64
        described = f"one sequence of {length} tokens"
    device = next(loaded.module.parameters()).device
    try:
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        bare = _weightless(loaded.module, mode)
        with mode:
            flops = _count(bare, torch.zeros(shape, dtype=dtype))
    except (RuntimeError, TypeError, ValueError):
        # Some modelling code looks at values, which a weightless copy does not have.
        flops = _count(loaded.module, torch.zeros(shape, dtype=dtype, device=device))
    return flops, described


@contextlib.contextmanager
def weightless(module: nn.Module) -> Iterator[nn.Module]:
    """Lend a copy of a model that has shapes but no values, and runs as such.

    Hooks may be put on it; they see tensors without values.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield _weightless(module, mode)


def image_side(loaded: LoadedModel) -> int:
    """Return the side in pixels of an image model's input.

    Raises:
        SpecError: The model does not say.
    """
    return loaded.preprocess.size


def prompt_length(loaded: LoadedModel, seqlen: int | None, default: int = DEFAULT_PROMPT) -> int:
    """Return the number of tokens to use: as asked, or what the model's limit allows.

    Raises:
        SpecError: More tokens were asked for than the model has positions.
    """
    limit = loaded.max_length
    if seqlen is None:
        return default if limit is None else min(default, limit)
    check_range("seqlen", seqlen, 2)
    if limit is not None and seqlen > limit:
        raise SpecError(
            f"seqlen is {seqlen}, more than the {limit} positions of {loaded.source.model}",
            f"Use --seqlen {limit} or less",
        )
    return seqlen


def _count(module: nn.Module, inputs: Tensor) -> dict[str, int]:
    # The counter knows no fused attention of the CPU; the plain form has the same products.
    # With a cache, transformers does not look for packed sequences in the values.
    kwargs = {} if inputs.is_floating_point() else {"use_cache": True}
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(inputs, **kwargs)
    # The counter calls a submodule by the root's class and the path below it.
    root = f"{type(module).__name__}."
    flops = {
        name.removeprefix(root): sum(kinds.values())
        for name, kinds in counter.get_flop_counts().items()
        if name.startswith(root)
    }
    flops[_WHOLE] = int(counter.get_total_flops())
    return flops


def _weightless(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """Return a copy whose parameters and buffers have shapes but no values, on the CPU."""
    known: dict[int, Any] = {}
    with mode:
        for parameter in module.parameters():
            bare = torch.empty_like(parameter, device="cpu")
            known[id(parameter)] = nn.Parameter(bare, requires_grad=False)
        for buffer in module.buffers():
            known[id(buffer)] = torch.empty_like(buffer, device="cpu")
    return copy.deepcopy(module, known)
