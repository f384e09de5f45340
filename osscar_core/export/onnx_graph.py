"""A network written down as an ONNX graph.

The decision hidden here: what the file's inputs and outputs are called, and how tensors
stand for what a language model keeps in objects of its own. Positions and masks are made
inside the graph, from which tokens are text; a layer's cache is a pair of tensors that
holds every token so far, of a sliding window too, whose mask hides the older ones.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.errors import OutputError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.export.items import Items
from osscar_core.export.job import Logits
from osscar_core.tracing import TRACE_ERRORS, batch_dimension, trace_reason

PIXELS, TEXT, MASK, LOGITS = "pixels", "input_ids", "attention_mask", "logits"
MOST_INSIDE = 2_000_000_000
"""Bytes of weights from which on they lie in a file of their own: ONNX itself ends at 2 GB."""

# Lengths that no other dimension has, so that the tracer cannot mix them up.
_TRACED_TEXTS, _TRACED_TOKENS, _TRACED_PAST = 3, 9, 11
_HIDDEN = torch.finfo(torch.float32).min
_SLIDING = "sliding_attention"
_PAIR = ("key", "value")


class Decoder(nn.Module):
    """A language model that maps tokens and tensors of earlier ones to the same of all."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        config: Any = module.config
        window: int | None = getattr(config, "sliding_window", None)
        kinds = set(getattr(config, "layer_types", None) or (_SLIDING if window else "",))
        self.windows = {kind: window if kind == _SLIDING else None for kind in sorted(kinds)}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *past: Tensor) -> Any:
        """Return logits and the cache of all tokens.

        Args:
            input_ids: The new tokens, (B, T).
            attention_mask: 1 for text and 0 for the padding before it, (B, P + T).
            past: Keys and values of the P earlier tokens, layer by layer, each
                (B, heads, P, width); P may be 0.

        Returns:
            The logits (B, T, V), then keys and values like ``past``, (B, heads, P + T, width).
        """
        from transformers.cache_utils import DynamicCache

        before = past[0].shape[2]
        is_text = attention_mask > 0
        new = torch.arange(input_ids.shape[1]) + before  # (T,)
        positions = (is_text.long().cumsum(-1) - 1).clamp(min=0).index_select(1, new)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(past[::2], past[1::2], strict=True)):
            cache.update(keys, values, layer)
        masks = {kind: _mask(is_text, new, window) for kind, window in self.windows.items()}
        output = self.module(
            input_ids=input_ids,
            attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        present = (each for one in cache.layers for each in (one.keys, one.values))
        return (class_logits(output), *present)


def _mask(is_text: Tensor, new: Tensor, window: int | None) -> Tensor:
    """Return what is added to attention scores, (B, 1, T, P + T).

    It is finite everywhere: a token of padding, which sees nothing, gives numbers too.
    """
    seen = torch.arange(is_text.shape[1])
    ahead = new[:, None] - seen  # (T, P + T): how far back a token looks
    visible = ahead >= 0 if window is None else (ahead >= 0) & (ahead < window)
    return torch.where(visible & is_text[:, None, None], 0.0, _HIDDEN)


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a graph is traced with.

    Attributes:
        network: The network that is followed.
        arguments: Tensors to follow it with.
        shapes: Dimensions of each of them that may differ.
        inputs: What they are called.
        outputs: What is given is called.
    """

    network: nn.Module
    arguments: tuple[Tensor, ...]
    shapes: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def write_onnx(module: Logits, items: Items, file: Path, name: str) -> int:
    """Write a network for batches of any size, and texts of any length; return the opset.

    Images: ``pixels`` to ``logits``. Text: ``input_ids``, ``attention_mask`` and the cache
    so far, ``past_key_values.0.key`` and so on, to ``logits`` and the cache then,
    ``present.0.key`` and so on; see `Decoder`.

    Raises:
        OutputError: torch cannot follow the network, or say it in ONNX.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = _of_text(module, items) if module.is_text else _of_images(module, items)
            program: Any = torch.onnx.export(
                traced.network,
                traced.arguments,
                input_names=list(traced.inputs),
                output_names=list(traced.outputs),
                dynamic_shapes=traced.shapes,
                dynamo=True,
                verbose=False,
            )
    except TRACE_ERRORS as error:
        raise OutputError(
            f"{name} cannot be written as ONNX ({trace_reason(error)})",
            "Take the model's own directory instead, or try another version of torch",
        ) from error
    if module.is_text:
        _name_sum(program.model)
    size = sum(each.numel() * each.element_size() for each in module.parameters())
    program.save(file, external_data=size > MOST_INSIDE)
    return int(program.model.opset_imports[""])


def _of_images(module: Logits, items: Items) -> _Signature:
    sample = items.compared()[1]
    return _Signature(module, (sample,), ({0: batch_dimension()},), (PIXELS,), (LOGITS,))


def _of_text(module: Logits, items: Items) -> _Signature:
    assert items.ids is not None  # noqa: S101 - a language model reads text
    limit = items.settings["max_tokens"]
    ids = items.ids[:_TRACED_TEXTS, :_TRACED_TOKENS]
    layers = _cache_of(module.module, ids)
    past = [one.new_zeros(len(ids), one.shape[1], _TRACED_PAST, one.shape[3]) for one in layers]
    mask = torch.ones(len(ids), ids.shape[1] + _TRACED_PAST, dtype=torch.int64)
    batch = batch_dimension()
    tokens = torch.export.Dim("tokens", min=2, max=limit)
    before = torch.export.Dim("past", min=2, max=limit)
    names = tuple(f"{number}.{kind}" for number in range(len(past) // 2) for kind in _PAIR)
    return _Signature(
        Decoder(module.module).eval(),
        (ids, mask, *past),
        (
            {0: batch, 1: tokens},
            {0: batch, 1: torch.export.Dim.DYNAMIC},
            tuple({0: batch, 2: before} for _ in past),
        ),
        (TEXT, MASK, *(f"past_key_values.{each}" for each in names)),
        (LOGITS, *(f"present.{each}" for each in names)),
    )


def _cache_of(module: nn.Module, ids: Tensor) -> list[Tensor]:
    """Return keys and values of some tokens: pruned layers may differ in their heads."""
    cache: Any = module(input_ids=ids[:1, :2], use_cache=True).past_key_values
    return [each for layer in cache.layers for each in (layer.keys, layer.values)]


def _name_sum(model: Any) -> None:
    """Call the length of the mask what the length of the new cache is called."""
    mask = next(each for each in model.graph.inputs if each.name == MASK)
    keys = next(each for each in model.graph.outputs if each.name.startswith("present"))
    mask.shape[1] = keys.shape[2]
