"""What was looked at, how it is, and what to do about it.

The decision hidden here: what every check of an installation, a store or a server hands
over, whoever made it and whoever reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NO_DISK = 2**29
"""With less free space than this many bytes, nothing can be relied on."""


class Status(StrEnum):
    """How a check ended: ``fail`` means that something will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        status: How it is.
        found: What was found, in words.
        remedy: What to do about it; empty when all is well.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order they were made."""

    checks: tuple[Check, ...]

    @property
    def is_fit(self) -> bool:
        """Whether no check failed."""
        return all(check.status is not Status.FAIL for check in self.checks)
