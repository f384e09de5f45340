"""The ResNets of `torchvision`, wide ones included."""

from __future__ import annotations

from typing import Any

from torch import nn

from osscar_core.adapters.base import Adapter, children, derives_from
from osscar_core.errors import UnknownModelError
from osscar_core.records import Structure
from osscar_core.units import Producer, Tap, Unit

_CLASS = "torchvision.models.resnet.ResNet"
_STAGES = ("layer1", "layer2", "layer3", "layer4")


class ResNetAdapter(Adapter):
    """The inner channels of each residual block.

    A basic block has one prunable layer, its second convolution; a bottleneck has two,
    the second and the third, of which only the last is added to the stream.
    """

    family = "resnet"
    task = "image"
    structures = (Structure.CHANNELS,)

    @staticmethod
    def matches(model: nn.Module) -> bool:
        """Return whether this is a `torchvision` ResNet."""
        return derives_from(model, _CLASS)

    @staticmethod
    def blocks(model: nn.Module) -> tuple[str, ...]:
        """Return the residual blocks of the four stages."""
        return children(model, *_STAGES)

    @staticmethod
    def units(model: nn.Module) -> tuple[Unit, ...]:
        """Return the inner convolutions of each block.

        Raises:
            UnknownModelError: A convolution is grouped, as in ResNeXt.
        """
        return tuple(
            unit for path in ResNetAdapter.blocks(model) for unit in _block_units(model, path)
        )

    @staticmethod
    def head(model: nn.Module) -> str:  # noqa: ARG004 - the same for all
        """Return the classifier."""
        return "fc"


def _block_units(model: nn.Module, path: str) -> tuple[Unit, ...]:
    block: Any = model.get_submodule(path)
    if block.conv2.groups != 1:
        raise UnknownModelError(
            f"{path}.conv2 is a grouped convolution ({block.conv2.groups} groups), as in ResNeXt",
            "Its channels cannot be removed one by one; use a plain or a wide ResNet",
        )
    shortcut = block.downsample is not None
    stream = Tap(f"{path}.downsample", "output") if shortcut else Tap(path, "input")
    last = 3 if hasattr(block, "conv3") else 2
    return tuple(
        Unit(
            structure=Structure.CHANNELS,
            block=path,
            consumer=f"{path}.conv{number}",
            producers=(Producer(f"{path}.conv{number - 1}"), Producer(f"{path}.bn{number - 1}")),
            groups=getattr(block, f"conv{number}").in_channels,
            width=1,
            stream=stream if number == last else None,
            norm=f"{path}.bn{number}",
        )
        for number in range(2, last + 1)
    )
