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
NO_CACHE = "no cache: every new token reads the whole text again"
FLOAT32 = "the weights are float32 here, wider than in the model's own file"
NO_PADDING = "no padding: all texts of a batch have the same length"
NO_TOKENIZER = "there is no tokenizer; the model reads token ids only"
NO_TOKENIZER_FILE = "the tokenizer has no tokenizer.json; the file reads token ids only"
PLAIN = "transformers"
WITH_CODE = "transformers, with trust_remote_code=True"
NEEDS_CODE = "it needs its modelling file: "
NO_DENSE = "the dense model is not here, so nothing was compared with it"


class ExportFormat(StrEnum):
    """What a model can be written as.

    - ``hf``: a directory for `transformers`, for language models.
    - ``onnx``: an ONNX file, for onnxruntime.
    - ``torch``: a program of `torch.export` and a loader that needs torch and torchvision,
      for image models.
    - ``gguf``: a file for llama.cpp and what is built on it, for the Llama family.
    """

    HF = "hf"
    ONNX = "onnx"
    TORCH = "torch"
    GGUF = "gguf"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported, and how the file that was read back compares with the model.

    Attributes:
        out: The folder.
        format: What was written.
        model: Name of the model.
        needs: What loads it, in words.
        data: What it was compared on.
        files: All files.
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
        opset: Version of the operators that an ONNX file uses.
        continued: Prompts that were continued by the file, each with the model's own words;
            ``None`` where nothing was generated.
        dense_quality: Quality of the dense model in torch on these items, if it was here.
        notes: What a reader should know.
    """

    out: str
    format: ExportFormat
    model: str
    needs: str
    data: DataInfo
    files: tuple[FileDigest, ...]
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
    opset: int | None = None
    continued: int | None = None
    dense_quality: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the folder."""
        return sum(file.bytes for file in self.files)
