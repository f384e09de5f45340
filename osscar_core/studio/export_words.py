"""What is said of exports, in the reader's language.

The decision hidden here: which of the library's remarks have a sentence here. The others are
shown as they are, marked as English.
"""

from __future__ import annotations

import re

from osscar_core.export.availability import GGUF_IS_LLAMA, TEXT_IS_HF, UNKNOWN_TO_TRANSFORMERS
from osscar_core.export.records import (
    FLOAT32,
    LEADING_SPACE,
    NEEDS_CODE,
    NO_CACHE,
    NO_DENSE,
    NO_PADDING,
    NO_TOKENIZER,
    NO_TOKENIZER_FILE,
    NOT_NFC,
    ONLY_PROGRAM,
    ExportFormat,
)
from osscar_core.records import Structure
from osscar_core.studio.texts import as_plain, say

_REMARKS = {
    FLOAT32: "decide.remark.float32",
    NO_CACHE: "decide.remark.cache",
    NO_PADDING: "decide.remark.padding",
    NO_DENSE: "decide.remark.dense",
    NO_TOKENIZER: "decide.remark.tokenizer",
    NO_TOKENIZER_FILE: "decide.remark.tokenizer",
    ONLY_PROGRAM: "decide.remark.program",
    NOT_NFC: "decide.remark.nfc",
    LEADING_SPACE: "decide.remark.space",
    UNKNOWN_TO_TRANSFORMERS: "decide.unsuited.network",
    TEXT_IS_HF: "decide.unsuited.text",
    GGUF_IS_LLAMA: "decide.unsuited.llama",
}
_REASONS = {
    "bias": re.compile(r"a bias was added to (?P<unit>\S+), which (?P<config>.+) cannot say"),
    "widths": re.compile(r"layers keep between (?P<low>\d+) and (?P<high>\d+) (?P<structure>\w+)"),
    "removed": re.compile(r"(?P<structure>\w+) were removed, which (?P<config>.+) cannot say"),
    "count": re.compile(
        r"(?P<config>.+) cannot say (?P<count>\d+) groups of (?P<structure>\w+) in every layer"
    ),
}
"""Why plain `transformers` cannot load a model, as `osscar_core.loadable` says it."""


def format_name(kind: ExportFormat) -> str:
    """Return what a format is called."""
    return say(f"format.{kind.value}")


def remark(text: str) -> str:
    """Return in Markdown what an export remarks, or why a format does not suit."""
    if text.startswith(NEEDS_CODE):
        return say("decide.remark.code", reason=plain_reason(text.removeprefix(NEEDS_CODE)))
    key = _REMARKS.get(text)
    return say(key) if key else say("decide.remark", text=as_plain(text))


def plain_reason(text: str) -> str:
    """Return in Markdown why plain `transformers` cannot load a model."""
    for key, pattern in _REASONS.items():
        if found := pattern.fullmatch(text):
            values = found.groupdict()
            if (structure := values.get("structure")) in set(Structure):
                values["structure"] = say(f"structure.{structure}")
            if (config := values.get("config")) is not None:
                values["config"] = f"`{config}`" if config.isidentifier() else say("decide.config")
            return say(f"decide.code.{key}", **values)
    return say("decide.remark", text=as_plain(text))
