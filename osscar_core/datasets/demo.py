"""Text that is on every machine: Python's own reference manual.

The decision hidden here: how one small corpus becomes two parts that share nothing.
Topics are dealt by a hash of their name, about one in five to evaluation; a calibration
paragraph that also stands in the evaluation part is left out.
"""

from __future__ import annotations

import hashlib
import platform
import re

from osscar_core.datasets.corpus import BLANK_LINE, Corpus
from osscar_core.datasets.spec import Split
from osscar_core.errors import DataError

DEMOS = ("python-docs",)
_EVALUATION_SHARE = 5  # one topic in so many
_PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n\s*")


def demo_corpus(name: str, split: Split) -> Corpus:
    """Return a built-in text.

    Args:
        name: ``python-docs``: the topics behind Python's ``help()``, from the standard
            library of the running interpreter.
        split: Which of two parts that have no paragraph in common.

    Raises:
        DataError: There is no such text.
    """
    if name not in DEMOS:
        raise DataError(f"there is no demo data '{name}'", f"Choose from: {', '.join(DEMOS)}")
    from pydoc_data.topics import topics

    held_out = tuple(topic for topic in sorted(topics) if _is_evaluation(topic))
    seen = {p for topic in held_out for p in _paragraphs(topics[topic])}
    if split == "evaluation":
        parts = [BLANK_LINE.join(_paragraphs(topics[topic])) for topic in held_out]
    else:
        parts = [
            BLANK_LINE.join(p for p in _paragraphs(topics[topic]) if p not in seen)
            for topic in sorted(topics)
            if topic not in held_out
        ]
    note = f"{split} part of Python {platform.python_version()}'s help topics; versions differ"
    return Corpus(tuple(part for part in parts if part), is_whole=True, notes=(note,))


def _is_evaluation(topic: str) -> bool:
    digest = hashlib.sha256(topic.encode()).digest()
    return int.from_bytes(digest, "big") % _EVALUATION_SHARE == 0


def _paragraphs(text: str) -> list[str]:
    return [p for p in _PARAGRAPH_BREAK.split(text.strip()) if p]
