"""Text that is on every machine: Python's own reference manual.

The decision hidden here: how one small corpus becomes two parts that share nothing.
Topics are dealt by a hash of their name, about one in five to evaluation; a calibration
paragraph that also stands in the evaluation part is left out.
"""

from __future__ import annotations

import hashlib
import re

from osscar_core.datasets.corpus import BLANK_LINE
from osscar_core.datasets.spec import Split

_EVALUATION_SHARE = 5  # one topic in so many
_PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n\s*")


def python_docs(split: Split) -> tuple[str, ...]:
    """Return the topics behind Python's ``help()``, from the running interpreter's library.

    Args:
        split: Which of two parts that have no paragraph in common.
    """
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
    return tuple(part for part in parts if part)


def _is_evaluation(topic: str) -> bool:
    digest = hashlib.sha256(topic.encode()).digest()
    return int.from_bytes(digest, "big") % _EVALUATION_SHARE == 0


def _paragraphs(text: str) -> list[str]:
    return [p for p in _PARAGRAPH_BREAK.split(text.strip()) if p]
