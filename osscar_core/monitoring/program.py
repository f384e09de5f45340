"""A model as a program that torch runs alone.

The decision hidden here: what the features of a model are, and how near the exported
program has to be to the model it came from.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.errors import OutputError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.models import LoadedModel
from osscar_core.tracing import (
    TOLERANCE,
    TRACE_ERRORS,
    batch_dimension,
    differences,
    trace_reason,
    traceable,
)

_CHECKED_SIZES = (1, 2, 5)


class Classifier(nn.Module):
    """A classifier that returns logits (B, C) and what enters its last linear layer (B, d)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features of normalised pixels (B, 3, S, S)."""
        kept: list[Tensor] = []
        last = [part for part in self.module.modules() if isinstance(part, nn.Linear)][-1]
        hook = last.register_forward_pre_hook(lambda _module, inputs: kept.append(inputs[0]))
        try:
            logits = class_logits(self.module(pixels))
        finally:
            hook.remove()
        return logits, kept[0].flatten(1).float()


class LanguageModel(nn.Module):
    """A language model that returns logits (B, T, V) and its mean last hidden state (B, d)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features of token ids (B, T)."""
        out = self.module(input_ids=ids, use_cache=False, output_hidden_states=True)
        return out.logits.float(), out.hidden_states[-1].float().mean(1)


def write_program(loaded: LoadedModel, items: Tensor, file: Path) -> tuple[nn.Module, float]:
    """Write a model as a `torch.export` program for batches of any size.

    Args:
        loaded: The model; it stays as it is.
        items: Prepared items to trace and check with, at least five.
        file: Where to write.

    Returns:
        What was exported, as a module on the CPU, and the largest difference of its outputs
        from those of the file, read back, relative to the largest output.

    Raises:
        OutputError: The model cannot be exported, or the program differs from it.
    """
    name = loaded.source.model
    module = traceable(loaded)
    wrapped: nn.Module = (Classifier if loaded.task == "image" else LanguageModel)(module)
    sample = items[:3]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                wrapped,
                (sample,),
                dynamic_shapes=({0: batch_dimension()},),
                strict=False,
            )
            torch.export.save(program, file)
            exported = torch.export.load(file).module()
    except TRACE_ERRORS as error:
        raise OutputError(
            f"torch.export cannot follow {name} ({trace_reason(error)})",
            "Keep the model's own directory, and watch it with 'evaluate' instead",
        ) from error
    difference = max_difference(wrapped, exported, items)
    if not difference <= TOLERANCE:
        raise OutputError(
            f"the exported {name} differs from the model by {difference:.1e} of its largest output",
            f"At most {TOLERANCE:.0e} is allowed; try another version of torch",
        )
    return wrapped, difference


def max_difference(module: Any, other: Any, items: Tensor) -> float:
    """Return how far two programs' outputs are apart, relative to the largest output.

    Several batch sizes are tried; a difference that is not a number counts as infinite.
    """
    worst = 0.0
    with torch.inference_mode():
        for size in _CHECKED_SIZES:
            batch = items[:size]
            for one, two in zip(module(batch), other(batch), strict=True):
                worst = max(worst, differences(one, two)[1])
    return worst
