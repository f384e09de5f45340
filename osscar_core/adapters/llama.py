"""Llama and its close relatives, as `transformers` builds them."""

from __future__ import annotations

from typing import Any

from torch import nn

from osscar_core.adapters.base import Adapter, children, derives_from
from osscar_core.records import Structure
from osscar_core.units import Producer, Tap, Unit

_CLASSES = (
    "transformers.models.llama.modeling_llama.LlamaForCausalLM",
    "transformers.models.mistral.modeling_mistral.MistralForCausalLM",
    "transformers.models.qwen2.modeling_qwen2.Qwen2ForCausalLM",
)
_LAYERS = "model.layers"


class LlamaAdapter(Adapter):
    """Attention heads and feed-forward neurons of Llama, Mistral and Qwen2.

    A group of heads is one key-value head with all query heads that read it, so the
    ratio between the two, which the attention code relies on, never changes.
    """

    family = "llama"
    task = "text"
    structures = (Structure.HEADS, Structure.NEURONS)

    @staticmethod
    def matches(model: nn.Module) -> bool:
        """Return whether this is one of the causal language models named above."""
        return derives_from(model, *_CLASSES)

    @staticmethod
    def blocks(model: nn.Module) -> tuple[str, ...]:
        """Return the decoder layers."""
        return children(model, _LAYERS)

    @staticmethod
    def units(model: nn.Module) -> tuple[Unit, ...]:
        """Return heads and neurons of each layer."""
        return tuple(
            unit for path in LlamaAdapter.blocks(model) for unit in _layer_units(model, path)
        )

    @staticmethod
    def config_values(model: nn.Module, unit: Unit) -> dict[str, int]:
        """Return the numbers of key-value and query heads, or the width of the neurons."""
        if unit.structure is Structure.NEURONS:
            return {"intermediate_size": unit.groups}
        attention: Any = model.get_submodule(unit.consumer.rpartition(".")[0])
        queries = unit.groups * unit.width // attention.head_dim
        return {"num_key_value_heads": unit.groups, "num_attention_heads": queries}


def _layer_units(model: nn.Module, path: str) -> tuple[Unit, Unit]:
    layer: Any = model.get_submodule(path)
    head_dim = layer.self_attn.head_dim
    ratio = layer.self_attn.num_key_value_groups
    queries = ratio * head_dim
    groups = layer.self_attn.o_proj.in_features // queries
    heads = Unit(
        structure=Structure.HEADS,
        block=path,
        consumer=f"{path}.self_attn.o_proj",
        producers=(
            Producer(f"{path}.self_attn.q_proj", queries),
            Producer(f"{path}.self_attn.k_proj", head_dim),
            Producer(f"{path}.self_attn.v_proj", head_dim),
        ),
        groups=groups,
        width=queries,
        stream=Tap(f"{path}.input_layernorm", "input"),
        said=tuple(k for k in range(1, groups + 1) if _can_say(layer.self_attn.config, ratio * k)),
    )
    neurons = Unit(
        structure=Structure.NEURONS,
        block=path,
        consumer=f"{path}.mlp.down_proj",
        producers=(Producer(f"{path}.mlp.gate_proj"), Producer(f"{path}.mlp.up_proj")),
        groups=layer.mlp.down_proj.in_features,
        width=1,
        stream=Tap(f"{path}.post_attention_layernorm", "input"),
    )
    return heads, neurons


def _can_say(config: Any, heads: int) -> bool:
    """Return whether a configuration can say a number of query heads of the present size.

    They have to divide the hidden size: `LlamaConfig` insists on that, and other programs
    rely on it. A configuration without a size of the heads takes the quotient for it.
    """
    if not hasattr(config, "head_dim"):
        return heads == int(config.num_attention_heads)
    return int(config.hidden_size) % heads == 0
