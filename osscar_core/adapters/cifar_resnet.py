"""The ResNets for 32 x 32 images of `osscar_core.networks`."""

from __future__ import annotations

from typing import Any

from torch import nn

from osscar_core.adapters.base import Adapter, children, derives_from
from osscar_core.records import Structure
from osscar_core.units import Producer, Tap, Unit

_CLASS = "osscar_core.networks.CifarResNet"
_STAGES = ("layer1", "layer2", "layer3")


class CifarResNetAdapter(Adapter):
    """The channels between the two convolutions of each block."""

    family = "cifar-resnet"
    task = "image"
    structures = (Structure.CHANNELS,)

    @staticmethod
    def matches(model: nn.Module) -> bool:
        """Return whether this is a `CifarResNet`."""
        return derives_from(model, _CLASS)

    @staticmethod
    def blocks(model: nn.Module) -> tuple[str, ...]:
        """Return the residual blocks of the three stages."""
        return children(model, *_STAGES)

    @staticmethod
    def units(model: nn.Module) -> tuple[Unit, ...]:
        """Return the second convolution of each block."""
        return tuple(_unit(model, path) for path in CifarResNetAdapter.blocks(model))

    @staticmethod
    def head(model: nn.Module) -> str:  # noqa: ARG004 - the same for all
        """Return the classifier."""
        return "linear"


def _unit(model: nn.Module, path: str) -> Unit:
    block: Any = model.get_submodule(path)
    return Unit(
        structure=Structure.CHANNELS,
        block=path,
        consumer=f"{path}.conv2",
        producers=(Producer(f"{path}.conv1"), Producer(f"{path}.bn1")),
        groups=block.conv2.in_channels,
        width=1,
        stream=Tap(f"{path}.shortcut", "output"),
        norm=f"{path}.bn2",
    )
