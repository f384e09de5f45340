"""What a model family has to state, and nothing more.

The decision hidden here: the vocabulary in which a family describes itself.
Calibration, search and surgery read these records and never ask for the family.
An adapter only names things: it never runs, copies or resizes a module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from osscar_core.records import Structure, Task
from osscar_core.units import Unit


class Adapter(ABC):
    """One model family. Subclasses are stateless; all methods are static.

    A family is registered by listing its class in `osscar_core.adapters.ADAPTERS`.
    """

    family: ClassVar[str]
    task: ClassVar[Task]
    structures: ClassVar[tuple[Structure, ...]]

    @staticmethod
    @abstractmethod
    def matches(model: nn.Module) -> bool:
        """Return whether ``model`` belongs to this family."""

    @staticmethod
    @abstractmethod
    def blocks(model: nn.Module) -> tuple[str, ...]:
        """Return the module paths of the residual blocks, in forward order.

        Each block's first argument is the hidden state and its (first) output the next
        one's; everything else it needs comes as keyword arguments.
        """

    @staticmethod
    @abstractmethod
    def units(model: nn.Module) -> tuple[Unit, ...]:
        """Return all prunable units, in forward order."""

    @staticmethod
    def head(model: nn.Module) -> str | None:  # noqa: ARG004 - most families have none
        """Return the path of a classifier that may be re-fitted, or ``None``.

        It is an ``nn.Linear`` after the last block that reads one row per item. Output
        layers of language models do not count: they are as large as the vocabulary and
        often shared with the embedding.
        """
        return None

    @staticmethod
    def config_values(model: nn.Module, unit: Unit) -> dict[str, int]:  # noqa: ARG004 - see above
        """Return how a unit's present width is said in the configuration of its library.

        Families whose library has no such configuration, like image models, say nothing.
        """
        return {}


def children(model: nn.Module, *paths: str) -> tuple[str, ...]:
    """Return the module paths of the direct children of ``paths``, in order."""
    return tuple(
        f"{path}.{name}" for path in paths for name, _ in model.get_submodule(path).named_children()
    )


def derives_from(model: nn.Module, *names: str) -> bool:
    """Return whether the model's class, or one it inherits from, has one of ``names``.

    Names are ``module.Class``, so that a family can be recognised without importing
    the library that defines it.
    """
    return any(f"{cls.__module__}.{cls.__qualname__}" in names for cls in type(model).__mro__)
