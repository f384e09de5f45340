"""Language models whose layers differ in width: `transformers` with one step more.

This file belongs to the directory that it lies in. Load that with

    AutoModelForCausalLM.from_pretrained(DIRECTORY, trust_remote_code=True)

A model is built by its own class from `transformers`, then every layer gets the widths that
`per_layer_config` in `config.json` names for it. All else, from attention to generation, is
the library's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralForCausalLM,
    OPTForCausalLM,
    Qwen2ForCausalLM,
)

NAMES = (
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "ffn_dim",
    "attention_output_bias",
    "mlp_output_bias",
)


def layer_widths(config: Any) -> list[dict[str, Any]]:
    """Return what `per_layer_config` names for each layer, in any version of the library."""
    given = config.per_layer_config
    if not isinstance(given, Mapping):
        return [{name: vars(one)[name] for name in NAMES if name in vars(one)} for one in given]
    # An older version leaves it as it is in the file.
    whole = {name: getattr(config, name) for name in NAMES if name in vars(config)}
    layers = {int(number): values for number, values in given.items()}
    return [{**whole, **layers.get(number, {})} for number in range(config.num_hidden_layers)]


def resized(layer: nn.Linear, inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """Return an empty layer like this one, of another size; a bias stays or is added."""
    weight = layer.weight
    has_bias = bias or layer.bias is not None
    return nn.Linear(inputs, outputs, has_bias, device=weight.device, dtype=weight.dtype)


class Pruned:
    """Builds a model as its library does, and gives every layer its own widths."""

    def __init__(self, config: Any) -> None:
        widths = layer_widths(config)
        given = {number: dict(values) for number, values in enumerate(widths)}
        config.per_layer_config = None  # the library's own code reads one number for all layers
        try:
            super().__init__(config)  # type: ignore[call-arg]
        finally:
            config.per_layer_config = given
        for layer, wanted in zip(self._layers(), widths, strict=True):
            self._fit(layer, wanted)
        self.post_init()  # type: ignore[attr-defined]

    def _layers(self) -> Any:
        return self.model.layers  # type: ignore[attr-defined]

    def _fit(self, layer: Any, wanted: Mapping[str, Any]) -> None:
        attention, mlp, hidden = layer.self_attn, layer.mlp, layer.self_attn.q_proj.in_features
        queries = wanted["num_attention_heads"] * attention.head_dim
        values = wanted["num_key_value_heads"] * attention.head_dim
        attention.q_proj = resized(attention.q_proj, hidden, queries)
        attention.k_proj = resized(attention.k_proj, hidden, values)
        attention.v_proj = resized(attention.v_proj, hidden, values)
        bias = wanted.get("attention_output_bias", False)
        attention.o_proj = resized(attention.o_proj, queries, hidden, bias=bias)
        width = wanted["intermediate_size"]
        mlp.intermediate_size = width
        mlp.gate_proj = resized(mlp.gate_proj, hidden, width)
        mlp.up_proj = resized(mlp.up_proj, hidden, width)
        bias = wanted.get("mlp_output_bias", False)
        mlp.down_proj = resized(mlp.down_proj, width, hidden, bias=bias)


@strict
class PrunedLlamaConfig(LlamaConfig):  # type: ignore[misc]
    """A `LlamaConfig` whose heads need not divide the hidden size."""

    def validate_architecture(self) -> None:
        """Accept any number of heads; the head size is given apart."""


class PrunedLlamaForCausalLM(Pruned, LlamaForCausalLM):  # type: ignore[misc]
    """Llama with its own heads and neurons in every layer."""

    config_class = PrunedLlamaConfig


class PrunedMistralForCausalLM(Pruned, MistralForCausalLM):  # type: ignore[misc]
    """Mistral with its own heads and neurons in every layer."""


class PrunedQwen2ForCausalLM(Pruned, Qwen2ForCausalLM):  # type: ignore[misc]
    """Qwen2 with its own heads and neurons in every layer."""


class PrunedOPTForCausalLM(Pruned, OPTForCausalLM):  # type: ignore[misc]
    """OPT with its own heads and neurons in every layer."""

    def _layers(self) -> Any:
        return self.model.decoder.layers

    def _fit(self, layer: Any, wanted: Mapping[str, Any]) -> None:
        attention, hidden = layer.self_attn, layer.embed_dim
        heads = wanted["num_attention_heads"]
        width = heads * attention.head_dim
        attention.num_heads = heads
        for name in ("q_proj", "k_proj", "v_proj"):
            setattr(attention, name, resized(getattr(attention, name), hidden, width))
        bias = wanted.get("attention_output_bias", False)
        attention.out_proj = resized(attention.out_proj, width, hidden, bias=bias)
        layer.fc1 = resized(layer.fc1, hidden, wanted["ffn_dim"])
        bias = wanted.get("mlp_output_bias", False)
        layer.fc2 = resized(layer.fc2, wanted["ffn_dim"], hidden, bias=bias)
