"""What passes between the steps of an export.

The decision hidden here: what a format gets to write from, and what it says of what it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from osscar_core.evaluation.accuracy import class_logits
from osscar_core.export.items import Items
from osscar_core.models import LoadedModel
from osscar_core.progress import Progress

STAGE = "export"
CONTEST_STAGE = "contest"


class Logits(nn.Module):
    """A network that maps items to float32 logits and gives nothing else."""

    def __init__(self, module: nn.Module, *, is_text: bool) -> None:
        super().__init__()
        self.module = module
        self.is_text = is_text

    def forward(self, items: Tensor) -> Tensor:
        """Return logits (B, C) of pixels (B, 3, S, S), or (B, T, V) of token ids (B, T)."""
        if self.is_text:
            return class_logits(self.module(input_ids=items, use_cache=False))
        return class_logits(self.module(items))


@dataclass(frozen=True, slots=True)
class Job:
    """One export under way.

    Attributes:
        loaded: The model.
        module: A float32 copy of its network on the CPU.
        items: What the outcome is compared on.
        name: The model's name; it tells no folder of this machine.
        folder: Where files are written.
        progress: Called after every batch.
        int8: Whether weights of eight bits are asked for, too.
    """

    loaded: LoadedModel
    module: Logits
    items: Items
    name: str
    folder: Path
    progress: Progress | None
    int8: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that reads what was written and answers items, without this project.

    Attributes:
        name: What it reads with, for people.
        program: The Python file. Its arguments are those below, then the folder with the
            items, the items at once, and the threads.
        arguments: What comes first.
        encodes: Whether it is to make the tokens of a text that the model's own tokenizer makes.
        is_exact: Whether it is to give what the model gives; weights of eight bits give
            something near it, and what that is worth is measured.
    """

    name: str
    program: Path
    arguments: Sequence[str]
    encodes: bool = True
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """What a format has written.

    Attributes:
        readers: What it is to be read back with; all must give what the model gives.
        needs: What loads it, in words.
        notes: What a reader should know.
        versions: Versions of the packages that wrote it.
        opset: Version of the operators of an ONNX file.
        usage: How to load it, as its README says; ONNX has its own words.
    """

    readers: tuple[Reader, ...]
    needs: str
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    opset: int | None = None
    usage: str = ""
