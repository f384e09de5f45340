"""What is said of exports, in the reader's language.

The decision hidden here: which of the library's remarks have a sentence here. The others are
shown as they are, marked as English.
"""

from __future__ import annotations

import re

from osscar_core.export.availability import GGUF_IS_LLAMA, TEXT_IS_HF, UNKNOWN_TO_TRANSFORMERS
from osscar_core.export.records import (
    FLOAT32,
    NEEDS_CODE,
    NO_CACHE,
    NO_DENSE,
    NO_PADDING,
    NO_TOKENIZER,
    NO_TOKENIZER_FILE,
    ExportFormat,
)
from osscar_core.studio.texts import as_plain, say

_REMARKS = {
    FLOAT32: "decide.remark.float32",
    NO_CACHE: "decide.remark.cache",
    NO_PADDING: "decide.remark.padding",
    NO_DENSE: "decide.remark.dense",
    NO_TOKENIZER: "decide.remark.tokenizer",
    NO_TOKENIZER_FILE: "decide.remark.tokenizer",
    UNKNOWN_TO_TRANSFORMERS: "decide.unsuited.network",
    TEXT_IS_HF: "decide.unsuited.text",
    GGUF_IS_LLAMA: "decide.unsuited.llama",
}
_REASONS = {
    "decide.code.bias": re.compile(
        r"(?P<unit>\S+) has got a bias, which (?P<config>\w+) cannot say of a single layer"
    ),
    "decide.code.widths": re.compile(
        r"layers have a (?P<name>\w+) of (?P<low>\d+) to (?P<high>\d+), and (?P<config>\w+) "
        r"holds one"
    ),
    "decide.code.heads": re.compile(r"(?P<config>\w+) cannot say that heads were removed"),
    "decide.code.divide": re.compile(
        r"(?P<heads>\d+) heads do not divide the hidden size of (?P<size>\d+)"
    ),
}
"""Why a model needs a modelling file, by the keys of the sentences."""


def format_name(kind: ExportFormat) -> str:
    """Return what a format is called."""
    return say(f"format.{kind.value}")


def remark(text: str) -> str:
    """Return in Markdown what an export remarks, or why a format does not suit."""
    if text.startswith(NEEDS_CODE):
        return say("decide.remark.code", reason=_reason(text.removeprefix(NEEDS_CODE)))
    key = _REMARKS.get(text)
    return say(key) if key else say("decide.remark", text=as_plain(text))


def _reason(text: str) -> str:
    for key, pattern in _REASONS.items():
        if found := pattern.fullmatch(text):
            return say(key, **found.groupdict())
    return say("decide.remark", text=as_plain(text))
