"""The model families, and how the one that fits a model is found.

To add a family, write its file and list its class in `ADAPTERS`.
"""

from __future__ import annotations

from torch import nn

from osscar_core.adapters.base import Adapter
from osscar_core.adapters.cifar_resnet import CifarResNetAdapter
from osscar_core.adapters.llama import LlamaAdapter
from osscar_core.adapters.opt import OptAdapter
from osscar_core.adapters.resnet import ResNetAdapter
from osscar_core.errors import UnknownModelError

ADAPTERS: tuple[type[Adapter], ...] = (
    OptAdapter,
    LlamaAdapter,
    ResNetAdapter,
    CifarResNetAdapter,
)


def find_adapter(model: nn.Module) -> type[Adapter]:
    """Return the family that ``model`` belongs to.

    Raises:
        UnknownModelError: No family knows it; the message lists those there are.
    """
    for adapter in ADAPTERS:
        if adapter.matches(model):
            return adapter
    raise unknown_model(type(model).__name__)


def unknown_model(what: str) -> UnknownModelError:
    """Return the error for a model of the kind ``what`` that no family knows."""
    families = ", ".join(adapter.family for adapter in ADAPTERS)
    return UnknownModelError(
        f"no model family here knows {what}",
        f"Known families: {families}; a new one is one file in osscar_core/adapters",
    )
