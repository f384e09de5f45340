"""What is removed from a model: groups, the layers that make them and the one that reads them.

The decision hidden here: the vocabulary. Names and numbers only, no modules and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from osscar_core.records import Structure


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
        said: The numbers of groups that the configuration of the model's library can say,
            ascending; ``None`` for any.
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
    said: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """The unit's name: its consumer's module path."""
        return self.consumer
