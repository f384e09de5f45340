"""Groups of data that may lose only so much, and what came of that.

The decision hidden here: how a guard is written, ``COLUMN=VALUE:ALLOWED``, and what counts as
kept. Losses are in the units of `osscar_core.checks.records`: points of accuracy as a
fraction, or the relative rise of perplexity. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from osscar_core.errors import SpecError

_FORM = "COLUMN=VALUE:ALLOWED, such as tier=gold:0.005"
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Guard:
    """A group of items that may lose at most so much.

    Attributes:
        column: An attribute of the data, such as ``tier``.
        value: Its value, such as ``gold``.
        allowed: Most that may be lost, in [0, 1).
    """

    column: str
    value: str
    allowed: float

    def __post_init__(self) -> None:
        """Refuse an empty name, marks that part names, and a loss out of range."""
        for name, text in (("column", self.column), ("value", self.value)):
            if not text or set(text) & set("[],=~+"):
                raise SpecError(
                    f"the {name} '{text}' of a protected group cannot be named", f"Write {_FORM}"
                )
        if not 0 <= self.allowed < 1:
            raise SpecError(
                f"the loss allowed to {self.name} is {self.allowed:g}",
                "It is a fraction in [0, 1): 0.005 is half a point, or 0.5%",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the guard that a text spells.

        Raises:
            SpecError: It spells none.
        """
        name, colon, allowed = text.rpartition(":")
        column, sign, value = name.partition("=")
        try:
            share = float(allowed)
        except ValueError:
            share = -1.0
        if not colon or not sign or share < 0:
            raise SpecError(f"'{text}' is no protected group", f"Write {_FORM}")
        return cls(column.strip(), value.strip(), share)

    @property
    def name(self) -> str:
        """Return ``column=value``."""
        return f"{self.column}={self.value}"

    def __str__(self) -> str:
        return f"{self.name}:{self.allowed:g}"


@dataclass(frozen=True, slots=True)
class GuardResult:
    """What a protected group lost, measured.

    Attributes:
        guard: What was demanded.
        count: Items of the group.
        dense: Quality of the dense model on them: top-1 as a fraction, or perplexity.
        pruned: Quality of the pruned model.
        loss: What was lost.
        low: Lower end of its 95% interval.
        high: Upper end.
    """

    guard: Guard
    count: int
    dense: float
    pruned: float
    loss: float
    low: float
    high: float

    @property
    def is_kept(self) -> bool:
        """Whether no more was lost than allowed, as measured."""
        return self.loss <= self.guard.allowed + _TINY

    @property
    def is_proven(self) -> bool:
        """Whether that holds beyond chance, too."""
        return self.high <= self.guard.allowed + _TINY


@dataclass(frozen=True, slots=True)
class GuardTry:
    """One model that was made and measured on the way.

    Attributes:
        share: Of the removal that was asked for, in [0, 1].
        parameters: What is left.
        bytes: Size of the weights file.
        results: One a guard.
    """

    share: float
    parameters: int
    bytes: int
    results: tuple[GuardResult, ...]

    @property
    def is_kept(self) -> bool:
        """Whether every group kept to what is allowed."""
        return all(result.is_kept for result in self.results)


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What became of protected groups, and what their protection cost.

    Attributes:
        tries: In order; the first removes all that was asked for.
        chosen: Which of them is the result.
        metric: What quality is.
        data: Data specification that losses were measured on.
        calibration: Data specification that the model was calibrated on, with the protected
            groups at a larger weight.
        protocol: Everything needed to repeat the measurement, in words.
    """

    tries: tuple[GuardTry, ...]
    chosen: int
    metric: str
    data: str
    calibration: str
    protocol: str

    def __post_init__(self) -> None:
        """Check that the choice is one of the tries."""
        if not 0 <= self.chosen < len(self.tries):
            raise SpecError(
                f"try {self.chosen} of {len(self.tries)} was chosen", "The record is damaged"
            )

    @property
    def final(self) -> GuardTry:
        """The try that is the result."""
        return self.tries[self.chosen]

    @property
    def is_kept(self) -> bool:
        """Whether every group kept to what is allowed; if not, the run says so."""
        return self.final.is_kept
