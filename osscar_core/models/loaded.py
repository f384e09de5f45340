"""A model in memory, and the precision and device it works in.

The decision hidden here: which floating-point type a checkpoint is computed in and
which it is stored in again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from osscar_core.adapters.base import Adapter
from osscar_core.errors import SpecError, unknown_name
from osscar_core.models.blocks import BlockWeights
from osscar_core.records import DTYPES, ImagePreprocess, Plan, SourceInfo, Task

_TYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(slots=True)
class LoadedModel:
    """A model with what is needed to use, prune and save it.

    Attributes:
        module: The network, in evaluation mode, without gradients.
        adapter: Its family.
        source: Where it came from.
        dtype: Floating-point type in which it is stored; the module itself may compute
            in a wider one.
        tokenizer: For text, unless the source has none.
        plan: What was removed; ``None`` for a dense model.
        blocks: Where the weights of its blocks come from, one block at a time, if the
            module does not hold them.
    """

    module: nn.Module
    adapter: type[Adapter]
    source: SourceInfo
    dtype: torch.dtype
    tokenizer: Any | None = None
    plan: Plan | None = None
    blocks: BlockWeights | None = None

    @property
    def task(self) -> Task:
        """``text`` or ``image``."""
        return self.adapter.task

    @property
    def preprocess(self) -> ImagePreprocess:
        """How an image becomes the network's input.

        Raises:
            SpecError: The model does not say.
        """
        if self.source.preprocess is None:
            raise SpecError(
                f"{self.source.model} does not say how its images are prepared",
                "Load it through load_model, which records the preprocessing",
            )
        return self.source.preprocess

    @property
    def max_length(self) -> int | None:
        """Number of positions a language model knows; ``None`` for images."""
        config = getattr(self.module, "config", None)
        limit: int | None = getattr(config, "max_position_embeddings", None)
        return limit


@dataclass(frozen=True, slots=True)
class Precision:
    """The floating-point types of one model.

    Attributes:
        storage: Type of the saved weights.
        compute: Type of the weights in memory.
    """

    storage: torch.dtype
    compute: torch.dtype

    @classmethod
    def choose(cls, dtype: str, checkpoint: torch.dtype, device: torch.device) -> Precision:
        """Resolve a requested type.

        An explicit type sets both. ``auto`` stores as the checkpoint does, and computes
        so too on a GPU; on a CPU, where half precision is slow and coarse, it computes
        in float32. A checkpoint in any other type is stored in float32.

        Args:
            dtype: One of `osscar_core.records.DTYPES`.
            checkpoint: Type of the weights as found.
            device: Where forward passes run.

        Raises:
            SpecError: ``dtype`` is unknown.
        """
        wanted = requested_dtype(dtype)
        if wanted is not None:
            return cls(wanted, wanted)
        storage = checkpoint if checkpoint in _TYPES.values() else torch.float32
        return cls(storage, torch.float32 if device.type == "cpu" else storage)


def requested_dtype(dtype: str) -> torch.dtype | None:
    """Return the type named ``dtype``; ``None`` for ``auto``.

    Raises:
        SpecError: There is no such type here.
    """
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES)
    return _TYPES.get(dtype)


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Args:
        name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: The name is unknown, or that GPU is not there.
    """
    if name == "cpu":
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    known = name in ("auto", "cuda") or (kind == "cuda" and index.isdecimal())
    if not known:
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "cuda:N"))
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if int(index or 0) >= count:
        have = f"this machine has {count}" if count else "torch sees none on this machine"
        raise SpecError(
            f"device {name} asks for a GPU, and {have}",
            "Use --device cpu, or auto to take a GPU where there is one",
        )
    return torch.device(name)
