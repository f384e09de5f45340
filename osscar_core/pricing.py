"""Reads a model's sizes off its modules, with one counting pass over shapes.

The decision hidden here: which dimension of which tensor follows which unit.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn

from osscar_core.adapters.base import children
from osscar_core.costs import CostModel, ScaledTensor, Terms
from osscar_core.errors import UnknownModelError
from osscar_core.evaluation.size import module_flops
from osscar_core.models.store import stored_tensors
from osscar_core.records import Structure
from osscar_core.surgery import cuts
from osscar_core.tensorfile import StoredTensor, item_bytes
from osscar_core.units import Unit

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


def cost_model(loaded: LoadedModel, *, seqlen: int | None = None) -> CostModel:
    """Read the sizes off a model, with one counting pass over shapes.

    Args:
        loaded: The model, on any device; it is not changed. Its present widths count as
            complete.
        seqlen: Tokens of the one sequence whose FLOPs are counted, for text; ``None``
            as in `count_flops`.

    Raises:
        SpecError: As `count_flops`.
        UnknownModelError: A unit's size is not proportional to its groups, so that an
            exact price does not exist.
    """
    module = loaded.module
    units = loaded.adapter.units(module)
    tensors = _scaled(module, units, stored_tensors(module, loaded.dtype))
    trained = {name for name, _ in module.named_parameters()}
    flops, flops_input = module_flops(loaded, seqlen=seqlen)
    return CostModel(
        units=units,
        flops_input=flops_input,
        tensors=tensors,
        parameter_terms=Terms.of(one.entries for one in tensors if one.name in trained),
        byte_terms=Terms.of(
            (count * item_bytes(one.kind), names)
            for one in tensors
            for count, names in (one.entries,)
        ),
        flop_terms=_flop_terms(module, units, flops),
        owned_terms=Terms.of(
            (module.get_parameter(cut.tensor).numel() // unit.groups, (unit.name,))
            for unit in units
            for cut in cuts(module, unit)
            if cut.tensor in trained
        ),
    )


def _scaled(
    module: nn.Module, units: Iterable[Unit], stored: Sequence[StoredTensor]
) -> tuple[ScaledTensor, ...]:
    """Return the stored tensors with the unit that each dimension follows."""
    state = module.state_dict(keep_vars=True)
    uses = Counter(map(id, state.values()))
    shapes = {one.name: list(one.shape) for one in stored}
    owners: dict[str, dict[int, Unit]] = defaultdict(dict)
    for unit in units:
        for cut in cuts(module, unit):
            name, owned = cut.tensor, owners[cut.tensor]
            if uses[id(state.get(name))] != 1:
                # Cutting one of two that are the same makes them two.
                raise _unpriced(unit, f"{name} is not its layer's own")
            if cut.dim in owned:
                raise _unpriced(unit, f"{name} follows {owned[cut.dim].name} as well")
            if shapes[name][cut.dim] != unit.groups * cut.width:
                raise _unpriced(unit, f"{name} has {shapes[name][cut.dim]} entries there")
            if any(other.block != unit.block for other in owned.values()):
                raise _unpriced(unit, f"{name} lies between two blocks")
            shapes[name][cut.dim] = cut.width
            owned[cut.dim] = unit
    return tuple(
        ScaledTensor(
            one.name,
            one.kind,
            tuple(shapes[one.name]),
            tuple(
                owners[one.name][dim].name if dim in owners[one.name] else None
                for dim in range(len(one.shape))
            ),
        )
        for one in stored
    )


def _flop_terms(module: nn.Module, units: tuple[Unit, ...], flops: Mapping[str, int]) -> Terms:
    """Return the FLOPs of a pass: of layers by their inputs and outputs, of heads by their number.

    Args:
        module: The model.
        units: Its units.
        flops: By module path, as `module_flops` counts them.
    """
    groups = {unit.name: unit.groups for unit in units}
    followers: dict[str, list[str]] = defaultdict(list)
    for unit in units:
        for path in dict.fromkeys((*(one.path for one in unit.producers), unit.consumer)):
            followers[path].append(unit.name)
    own = {path: flops.get(path, 0) for path in followers}
    for unit in units:
        if unit.structure is Structure.HEADS:
            # Scores and values are computed by the attention module itself, head by head.
            path = _around(unit)
            if path in own:
                raise _unpriced(unit, f"{path} computes for {followers[path][0]} as well")
            inner = sum(flops.get(child, 0) for child in children(module, path))
            own[path] = flops.get(path, 0) - inner
            followers[path].append(unit.name)
    pieces: list[tuple[int, tuple[str, ...]]] = []
    for path, names in followers.items():
        each, rest = divmod(own[path], math.prod(groups[name] for name in names))
        if rest:
            raise UnknownModelError(
                f"{path} takes {own[path]} FLOPs, not a multiple of the groups of "
                f"{' and '.join(names)}",
                "They cannot be foretold; prune the model and measure",
            )
        pieces.append((each, tuple(names)))
    constant = flops[""] - sum(own.values())
    return Terms.of([(constant, ()), *pieces])


def _around(unit: Unit) -> str:
    """Return the path of the smallest module that holds a unit's consumer and producers."""
    paths = [path.split(".") for path in (unit.consumer, *(one.path for one in unit.producers))]
    shared = []
    for pieces in zip(*paths, strict=False):
        if len(set(pieces)) > 1:
            break
        shared.append(pieces[0])
    return ".".join(shared)


def _unpriced(unit: Unit, reason: str) -> UnknownModelError:
    return UnknownModelError(
        f"the size of {unit.name} is not proportional to its {unit.groups} groups: {reason}",
        "It cannot be foretold; prune the model and measure",
    )
