"""What a command hands back.

The decision hidden here: that every result is told twice, as values and as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command found.

    Attributes:
        payload: The result as plain values, for ``--json``.
        text: The result for a person.
        exit_code: 0, unless the result itself is a failure.
    """

    payload: dict[str, Any]
    text: str
    exit_code: int = 0
