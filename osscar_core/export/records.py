"""What an export reports: plain records, no torch.

The decision hidden here: what of an export is worth telling without opening it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from osscar_core.records import DataInfo, Latency
from osscar_core.storage import FileDigest

ONNX_FILE = "model.onnx"
NO_CACHE = "no cache: every new token reads the whole text again"
FLOAT32 = "the weights are float32 here, wider than in the model's own file"
NO_PADDING = "no padding: all texts of a batch have the same length"
NO_TOKENIZER = "there is no tokenizer; the model reads token ids only"
NO_TOKENIZER_FILE = "the tokenizer has no tokenizer.json; the file reads token ids only"
NOT_NFC = (
    "its tokenizer brings text into the Unicode form NFC first; what reads GGUF takes it as it is"
)
LEADING_SPACE = (
    "llama.cpp puts a space before text that begins with one or follows a special token, where "
    "the model's own tokenizer puts none"
)
ONLY_PROGRAM = "there is a program only: no short file builds this network"
PLAIN = "transformers"
WITH_CODE = "transformers, with trust_remote_code=True"
NEEDS_CODE = "it needs its modelling file: "
DENSE, PRUNED, INT8 = "dense", "pruned", "int8"
"""Names in a contest of files."""
WORKS = {
    "batch": "{size} pictures",
    "prefill": "a prompt of {size} tokens",
    "decode": "a token after {size}",
}
"""Pieces of work that files are timed by, in words."""
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
class Timing:
    """One piece of work, as one file does it.

    Attributes:
        work: ``batch``, images at once; ``prefill``, a prompt that is read; or ``decode``,
            one token after it.
        size: Images, or tokens of the prompt.
        latency: How long it takes.
        speedup: How much faster than the first file of the contest, by medians.
        interval: 95% interval of that, from resampling rounds.
    """

    work: Literal["batch", "prefill", "decode"]
    size: int
    latency: Latency
    speedup: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Contender:
    """A file in a contest.

    Attributes:
        name: What it is called.
        bytes: Its size, with that of its weights beside it.
        quality: Its quality on the items.
        timings: What was timed; all files took turns.
    """

    name: str
    bytes: int
    quality: float
    timings: tuple[Timing, ...]


@dataclass(frozen=True, slots=True)
class Contest:
    """Size, quality and speed of several files that do the same.

    Attributes:
        contenders: The files; the first is what others are faster than.
        metric: Measure of quality.
        data: What it was measured on.
        count: Items that it was measured on.
        conditions: What times depend on, in words.
        seconds: Time it took.
    """

    contenders: tuple[Contender, ...]
    metric: Literal["top1", "perplexity"]
    data: DataInfo
    count: int
    conditions: dict[str, str]
    seconds: float


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
        contest: Size, quality and speed of dense and pruned ONNX files, measured in one run.
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
    contest: Contest | None = None
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of the folder."""
        return sum(file.bytes for file in self.files)
