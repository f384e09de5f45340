"""The only code that resizes a parameter.

The decision hidden here: how a linear layer, a convolution or a batch norm loses
inputs or outputs, and where a changed intercept goes. It works alike on real and on
meta tensors, so that a small model's skeleton can be built without its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from osscar_core.adapters.base import Adapter
from osscar_core.errors import SpecError
from osscar_core.methods import InterceptPlace
from osscar_core.records import UnitPlan
from osscar_core.units import Unit

# What holds one entry an output, in every layer that can lose some.
_OUTPUTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Cut:
    """A dimension of a tensor that shrinks with a unit.

    Attributes:
        path: Module path of the layer that holds the tensor.
        name: The tensor's name in that layer.
        dim: The dimension.
        width: Consecutive entries of it per group.
    """

    path: str
    name: str
    dim: int
    width: int

    @property
    def tensor(self) -> str:
        """The tensor's name in the model's state."""
        return f"{self.path}.{self.name}"


def features_per_channel(consumer: nn.Module) -> int:
    """Return how many rows of `consumer_matrix` one input channel owns (kh * kw, or 1).

    Raises:
        SpecError: The layer type is not supported.
    """
    if isinstance(consumer, nn.Linear):
        return 1
    if isinstance(consumer, nn.Conv2d) and consumer.groups == 1:
        height, width = consumer.kernel_size
        return height * width
    raise _unsupported(consumer)


def consumer_matrix(consumer: nn.Module) -> Tensor:
    """Return a consumer's weights, input features first.

    Args:
        consumer: ``nn.Linear`` or ungrouped ``nn.Conv2d``.

    Returns:
        (p, m) float64 on the layer's device, where p is ``in_features`` or
        ``in_channels * kh * kw`` with a channel's taps consecutive.

    Raises:
        SpecError: The layer type is not supported.
    """
    features_per_channel(consumer)
    weight = consumer.get_parameter("weight")
    return weight.detach().flatten(1).t().double()


def intercept_place(model: nn.Module, unit: Unit) -> InterceptPlace:
    """Return where an intercept of the unit's consumer would be stored."""
    if getattr(model.get_submodule(unit.consumer), "bias", None) is not None:
        return InterceptPlace.BIAS
    return InterceptPlace.NORM if unit.norm is not None else InterceptPlace.NEW_BIAS


def cuts(model: nn.Module, unit: Unit) -> tuple[Cut, ...]:
    """Return every dimension that shrinks with a unit: its producers' first, in their order.

    Raises:
        SpecError: A layer's type is not supported.
    """
    found = []
    for producer in unit.producers:
        module = model.get_submodule(producer.path)
        _output_count(module)
        held = (name for name in _OUTPUTS if getattr(module, name, None) is not None)
        found += [Cut(producer.path, name, 0, producer.width) for name in held]
    _input_count(model.get_submodule(unit.consumer))
    return (*found, Cut(unit.consumer, "weight", 1, unit.width))


def shrink_(model: nn.Module, unit: Unit, kept: Tensor) -> None:
    """Remove every group of ``unit`` that is not in ``kept``, in place.

    The consumer loses input features, the producers lose the outputs that fed them,
    and the unit's counters follow. Weights that stay keep their values.

    Args:
        model: The model that holds the unit.
        unit: The unit as the adapter described it for the present shapes.
        kept: (k,) int64, ascending group indices.

    Raises:
        SpecError: A layer's type is not supported; nothing was changed.
    """
    for cut in cuts(model, unit):
        _select(model.get_submodule(cut.path), cut.name, cut.dim, _expand(kept, cut.width))
    for producer in unit.producers:
        module = model.get_submodule(producer.path)
        setattr(module, _output_count(module), len(kept) * producer.width)
    consumer = model.get_submodule(unit.consumer)
    setattr(consumer, _input_count(consumer), len(kept) * unit.width)
    for counter in unit.counters:
        setattr(model.get_submodule(counter.path), counter.attribute, len(kept) * counter.per_group)


def detached(block: nn.Module, path: str) -> nn.Module:
    """Return a copy of a block alone, under the path it has in its model.

    Units of the block can be shrunk in the result as they are in the model.

    Args:
        block: The block; it is copied.
        path: Its module path in the model.
    """
    root = nn.Module()
    parent = root
    *outer, last = path.split(".")
    for name in outer:
        child = nn.Module()
        parent.add_module(name, child)
        parent = child
    parent.add_module(last, copy.deepcopy(block))
    return root


def write_consumer_(
    model: nn.Module, unit: Unit, weights: Tensor, bias_change: Tensor | None
) -> None:
    """Overwrite the consumer's weights and add to its intercept, in place.

    Args:
        model: The model that holds the unit, already shrunk.
        unit: The unit.
        weights: (p, m), input features first, in the shrunk consumer's size.
        bias_change: (m,) to add to the consumer's output, or ``None``. It goes into
            the bias, else into the running mean of the following batch norm, else
            into a new bias parameter.
    """
    consumer = model.get_submodule(unit.consumer)
    place = intercept_place(model, unit)
    if bias_change is not None and place is InterceptPlace.NORM:
        norm = model.get_submodule(unit.norm or "")
        mean = norm.get_buffer("running_mean")
        # y + b enters as (y - (mean - b)): exact at inference, costs nothing.
        mean.sub_(bias_change.to(mean))
        bias_change = None
    elif bias_change is not None and place is InterceptPlace.NEW_BIAS:
        add_bias_(consumer)
    write_layer_(consumer, weights, bias_change)


def install_(
    model: nn.Module, unit: Unit, kept: Tensor, weights: Tensor, bias_change: Tensor | None
) -> None:
    """Cut a unit to a support and give its consumer the weights that were fitted on it.

    Args:
        model: The model that holds the unit; changed in place.
        unit: The unit as the adapter described it for the present shapes.
        kept: (k,) int64, ascending group indices, on any device.
        weights: As for `write_consumer_`.
        bias_change: As for `write_consumer_`.
    """
    shrink_(model, unit, kept.cpu())
    write_consumer_(model, unit, weights, bias_change)


def write_layer_(layer: nn.Module, weights: Tensor, bias_change: Tensor | None) -> None:
    """Overwrite a layer's weights and add to its bias, in place.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv2d``.
        weights: (p, m), input features first.
        bias_change: (m,) to add to the bias that the layer has, or ``None``.
    """
    weight = layer.get_parameter("weight")
    with torch.no_grad():
        weight.copy_(weights.t().reshape(weight.shape))
        if bias_change is not None:
            layer.get_parameter("bias").add_(bias_change.to(weight))


def add_bias_(consumer: nn.Module) -> None:
    """Give a layer without a bias one of zeros, in place."""
    weight = consumer.get_parameter("weight")
    zeros = torch.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
    consumer.register_parameter("bias", nn.Parameter(zeros, requires_grad=weight.requires_grad))


def reshape_(model: nn.Module, adapter: type[Adapter], plans: Iterable[UnitPlan]) -> None:
    """Bring a dense model, or its skeleton on the meta device, to a plan's shapes.

    Raises:
        SpecError: The plan names a unit that the model does not have, one of another
            size, or one twice.
    """
    units = {unit.name: unit for unit in adapter.units(model)}
    done: set[str] = set()
    for plan in plans:
        unit = units.get(plan.name)
        if unit is None or unit.groups != plan.groups:
            found = "no such unit" if unit is None else f"{unit.groups} groups"
            raise SpecError(
                f"the plan keeps {len(plan.kept)} of {plan.groups} groups of {plan.name}, "
                f"but the model has {found}",
                "Use the plan with the model it was made for",
            )
        if plan.name in done:
            raise SpecError(
                f"the plan says twice what is kept of {plan.name}",
                "Use the plan as it was written",
            )
        done.add(plan.name)
        shrink_(model, unit, torch.tensor(plan.kept, dtype=torch.int64))
        if plan.adds_bias:
            add_bias_(model.get_submodule(unit.consumer))


def _expand(kept: Tensor, width: int) -> Tensor:
    """Return the feature indices of the groups ``kept``, ``width`` features each."""
    return (kept[:, None] * width + torch.arange(width, device=kept.device)).flatten()


def _output_count(module: nn.Module) -> str:
    """Return the attribute that says how many outputs a layer has."""
    match module:
        case nn.Linear():
            return "out_features"
        case nn.Conv2d(groups=1):
            return "out_channels"
        case nn.BatchNorm2d():
            return "num_features"
        case _:
            raise _unsupported(module)


def _input_count(module: nn.Module) -> str:
    """Return the attribute that says how many inputs a layer has."""
    match module:
        case nn.Linear():
            return "in_features"
        case nn.Conv2d(groups=1):
            return "in_channels"
        case _:
            raise _unsupported(module)


def _select(module: nn.Module, name: str, dim: int, index: Tensor) -> None:
    old = getattr(module, name)
    new = old.detach().index_select(dim, index.to(old.device))
    if isinstance(old, nn.Parameter):
        module.register_parameter(name, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        module.register_buffer(name, new)


def _unsupported(module: nn.Module) -> SpecError:
    return SpecError(
        f"cannot prune a layer of type {type(module).__name__}: {module}",
        "Supported: nn.Linear, ungrouped nn.Conv2d, and nn.BatchNorm2d as a producer",
    )
