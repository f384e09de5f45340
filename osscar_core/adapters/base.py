"""What a model family has to state, and nothing more.

The decision hidden here: the vocabulary in which a family describes itself.
Calibration, search and surgery read these records and never ask for the family.
An adapter only names things: it never runs, copies or resizes a module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from osscar_core.records import Structure, Task


@dataclass(frozen=True, slots=True)
class Producer:
    """A module some of whose outputs disappear together with a group.

    Attributes:
        path: Module path of an ``nn.Linear``, ``nn.Conv2d`` or ``nn.BatchNorm2d``.
        width: Consecutive output features per group; group ``i`` owns the outputs
            ``[i * width, (i + 1) * width)``.
    """

    path: str
    width: int = 1


@dataclass(frozen=True, slots=True)
class Counter:
    """An integer attribute that has to equal ``groups kept * per_group``.

    Example: ``Counter("model.layers.0.self_attn", "num_heads", 1)``.
    """

    path: str
    attribute: str
    per_group: int = 1


@dataclass(frozen=True, slots=True)
class Tap:
    """A place where the residual stream can be read.

    Attributes:
        path: Module path.
        side: The module's first positional (or only keyword) tensor ``input``, or its
            ``output``.
    """

    path: str
    side: Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A consumer layer and the producers feeding it.

    Attributes:
        structure: What a group is.
        block: Module path of the block that the unit lives in.
        consumer: Module path of the ``nn.Linear`` or ``nn.Conv2d`` whose inputs are
            removed; also the unit's name.
        producers: The modules whose outputs then disappear.
        groups: Number of groups.
        width: Consecutive input features (or channels) of the consumer per group.
        stream: Where the residual stream ``h`` that the branch is added to can be
            read; ``None`` if the consumer's output is not added to one.
        norm: Module path of the batch norm that follows the consumer, if any: its
            scale weighs the outputs, and it can absorb an intercept.
        counters: Attributes to keep in step with the number of groups.
    """

    structure: Structure
    block: str
    consumer: str
    producers: tuple[Producer, ...]
    groups: int
    width: int
    stream: Tap | None = None
    norm: str | None = None
    counters: tuple[Counter, ...] = ()

    @property
    def name(self) -> str:
        """The unit's name: its consumer's module path."""
        return self.consumer


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
