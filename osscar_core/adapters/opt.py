"""OPT of every size, as `transformers` builds it."""

from __future__ import annotations

from typing import Any

from torch import nn

from osscar_core.adapters.base import Adapter, children, derives_from
from osscar_core.records import Structure
from osscar_core.units import Counter, Producer, Tap, Unit

_CLASS = "transformers.models.opt.modeling_opt.OPTForCausalLM"
_LAYERS = "model.decoder.layers"


class OptAdapter(Adapter):
    """Attention heads and feed-forward neurons of OPT.

    The 350M model normalises after each branch, all others before; that decides where
    the residual stream can be read.
    """

    family = "opt"
    task = "text"
    structures = (Structure.HEADS, Structure.NEURONS)

    @staticmethod
    def matches(model: nn.Module) -> bool:
        """Return whether this is `OPTForCausalLM`."""
        return derives_from(model, _CLASS)

    @staticmethod
    def blocks(model: nn.Module) -> tuple[str, ...]:
        """Return the decoder layers."""
        return children(model, _LAYERS)

    @staticmethod
    def units(model: nn.Module) -> tuple[Unit, ...]:
        """Return heads and neurons of each layer."""
        return tuple(
            unit for path in OptAdapter.blocks(model) for unit in _layer_units(model, path)
        )

    @staticmethod
    def config_values(model: nn.Module, unit: Unit) -> dict[str, int]:  # noqa: ARG004 - the same for all
        """Return the number of heads, or the width between the two layers of neurons."""
        name = "num_attention_heads" if unit.structure is Structure.HEADS else "ffn_dim"
        return {name: unit.groups}


def _layer_units(model: nn.Module, path: str) -> tuple[Unit, Unit]:
    layer: Any = model.get_submodule(path)
    attention, head_dim = f"{path}.self_attn", layer.self_attn.head_dim
    before = layer.do_layer_norm_before
    heads = Unit(
        structure=Structure.HEADS,
        block=path,
        consumer=f"{attention}.out_proj",
        producers=tuple(
            Producer(f"{attention}.{name}", head_dim) for name in ("q_proj", "k_proj", "v_proj")
        ),
        groups=layer.self_attn.out_proj.in_features // head_dim,
        width=head_dim,
        stream=Tap(f"{path}.self_attn_layer_norm" if before else path, "input"),
        counters=(Counter(attention, "num_heads"),),
    )
    neurons = Unit(
        structure=Structure.NEURONS,
        block=path,
        consumer=f"{path}.fc2",
        producers=(Producer(f"{path}.fc1"),),
        groups=layer.fc2.in_features,
        width=1,
        stream=Tap(f"{path}.final_layer_norm" if before else f"{path}.fc1", "input"),
    )
    return heads, neurons
