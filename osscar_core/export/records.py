"""What an export reports: plain records, no torch.

The decision hidden here: what of an export is worth telling without opening it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from osscar_core.records import DataInfo
from osscar_core.storage import FileDigest

ONNX_FILE = "model.onnx"
FLOAT32 = "the weights are float32 here, wider than in the model's own file"
# What exports said before they had a cache; their reports are still shown.
NO_CACHE = "no cache: every new token reads the whole text again"
NO_PADDING = "no padding: all texts of a batch have the same length"


class ExportFormat(StrEnum):
    """What a model can be written as."""

    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class Written:
    """How a file wrote on after prompts of unlike length, padded, with its cache.

    Attributes:
        prompts: How many there were.
        tokens: Tokens after each of them.
        same: Prompts after which all tokens were those of the model; at the others two
            tokens were as likely, within the tolerance of all outputs.
        relative_difference: Largest difference of an output from the model's, each prompt
            alone and without a cache, relative to the largest output.
    """

    prompts: int
    tokens: int
    same: int
    relative_difference: float


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported, and how the file that was read back compares with the model.

    Attributes:
        out: The folder.
        format: What was written.
        model: Name of the model.
        data: What it was compared on.
        files: All files.
        opset: Version of the operators that the file uses.
        versions: Versions of the packages that wrote and read it.
        shapes: Shapes of the input on which all outputs were compared.
        max_difference: Largest difference of an output from the model's.
        relative_difference: The same, relative to the largest output.
        same: Share of all predictions that are the same; a text's are its next tokens.
        metric: Measure of quality, ``top1`` or ``perplexity``.
        count: Items on which quality was measured.
        model_quality: Quality of the model in torch on these items.
        quality: Quality of the file that was read back, on the same items.
        seconds: Time it took.
        notes: What a reader should know.
        written: How it wrote on, for text; ``None`` in reports of files without a cache.
    """

    out: str
    format: ExportFormat
    model: str
    data: DataInfo
    files: tuple[FileDigest, ...]
    opset: int
    versions: dict[str, str]
    shapes: tuple[tuple[int, ...], ...]
    max_difference: float
    relative_difference: float
    same: float
    metric: Literal["top1", "perplexity"]
    count: int
    model_quality: float
    quality: float
    seconds: float
    notes: tuple[str, ...] = ()
    written: Written | None = None

    @property
    def bytes(self) -> int:
        """Size of the folder."""
        return sum(file.bytes for file in self.files)
