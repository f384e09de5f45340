"""What somebody wants from a smaller model, in their own words.

The decision hidden here: what each kind of goal means, and how it is written. A goal
names what shall be *left* (``parameters=0.6``, ``bytes=50MB``), gained (``speedup=2``),
removed (``removed=0.5``) or lost at most (``quality_loss=0.01``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from osscar_core.errors import SpecError, unknown_name

_FACTORS = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "t": 1e12,
    "ki": 2.0**10,
    "mi": 2.0**20,
    "gi": 2.0**30,
    "ti": 2.0**40,
}
_NUMBER = re.compile(
    r"(?P<number>[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(?P<unit>%|x|ms|s|(?:[kmgt]i?)?b?)?",
    re.IGNORECASE,
)


class GoalKind(StrEnum):
    """What a goal is about.

    - ``removed``: share of the prunable structures removed, each unit weighed by its own
      parameters, in [0, 1).
    - ``parameters``, ``bytes``, ``flops``: what is left at most: up to 1 a share of the
      dense model's, above 1 a number.
    - ``speedup``: dense latency over the small model's, measured here, at least 1.
    - ``latency``: milliseconds of a forward pass at most, measured here.
    - ``quality_loss``: what may be lost at most: top-1 accuracy as a fraction (0.01 is one
      point), or the relative rise of perplexity (0.01 is one percent).
    """

    REMOVED = "removed"
    PARAMETERS = "parameters"
    BYTES = "bytes"
    FLOPS = "flops"
    SPEEDUP = "speedup"
    LATENCY = "latency"
    QUALITY_LOSS = "quality_loss"


class Budget(StrEnum):
    """How removal is spread over the units.

    ``uniform`` takes the same share everywhere; ``loss-weighted`` takes most where the
    model's output was measured to suffer least.
    """

    UNIFORM = "uniform"
    LOSS_WEIGHTED = "loss-weighted"


_SIZES = (GoalKind.PARAMETERS, GoalKind.BYTES, GoalKind.FLOPS)
TIMED = (GoalKind.SPEEDUP, GoalKind.LATENCY)
"""The goals that are about this machine."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One target.

    Attributes:
        kind: What it is about.
        value: How much; see `GoalKind` for the unit.
    """

    kind: GoalKind
    value: float

    def __post_init__(self) -> None:
        """Check that the value is possible for its kind."""
        value = self.value
        if isinstance(value, bool) or not math.isfinite(value):
            raise SpecError(f"the goal {self.kind} is {value}", "Give a finite number")
        match self.kind:
            case GoalKind.REMOVED:
                legal, words = 0 <= value < 1, "in [0, 1), such as removed=0.5"
            case GoalKind.SPEEDUP:
                legal, words = value >= 1, "at least 1, such as speedup=2"
            case GoalKind.QUALITY_LOSS:
                legal, words = value > 0, "above 0, such as quality_loss=0.01"
            case _:
                legal, words = value > 0, f"above 0, such as {self.kind}={_EXAMPLES[self.kind]}"
        if not legal:
            raise SpecError(f"the goal {self.kind} is {value:g}", f"It must be {words}")

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read ``KIND=VALUE``, such as ``speedup=2``, ``bytes=50MB`` or ``flops=60%``.

        Raises:
            SpecError: The text is no goal; the message says what is wrong.
        """
        name, equals, rest = text.partition("=")
        name = name.strip().replace("-", "_").lower()
        if not equals:
            raise SpecError(
                f"'{text}' is no goal", "Write KIND=VALUE, such as speedup=2 or bytes=50MB"
            )
        try:
            kind = GoalKind(name)
        except ValueError:
            raise unknown_name("goal", name, tuple(GoalKind)) from None
        match = _NUMBER.fullmatch(rest.strip())
        if match is None:
            raise SpecError(
                f"'{rest.strip()}' is no value of the goal {kind}",
                f"Write a number, such as {kind}={_EXAMPLES[kind]}",
            )
        unit = match["unit"] or ""
        value = float(match["number"]) * _factor(kind, unit)
        if unit == "%" and kind in _SIZES and value > 1:
            raise SpecError(
                f"'{rest.strip()}' of the dense model is more than all of it",
                f"Write 100% or less, or a number, such as {kind}={_EXAMPLES[kind]}",
            )
        return cls(kind, value)

    def absolute(self, dense: float) -> float:
        """Return a size goal as a number, a share being one of ``dense``."""
        return self.value * dense if self.value <= 1 else self.value

    def describe(self) -> str:
        """Return the goal as `parse` reads it, such as ``speedup=2``."""
        return f"{self.kind}={self.value:.12g}"


_EXAMPLES = {
    GoalKind.REMOVED: "0.5",
    GoalKind.PARAMETERS: "0.6",
    GoalKind.BYTES: "50MB",
    GoalKind.FLOPS: "0.5",
    GoalKind.SPEEDUP: "2",
    GoalKind.LATENCY: "15ms",
    GoalKind.QUALITY_LOSS: "0.01",
}


def parse_bytes(text: str) -> int:
    """Read a number of bytes, such as ``32GiB``, ``32GB``, ``500MiB`` or ``1000000``.

    Raises:
        SpecError: The text is none.
    """
    match = _NUMBER.fullmatch(text.strip())
    unit = (match["unit"] or "").lower() if match else ""
    factor = _FACTORS.get(unit.removesuffix("b"))
    count = math.inf if match is None or factor is None else float(match["number"]) * factor
    if not math.isfinite(count):
        raise SpecError(
            f"'{text}' is no amount of memory",
            "Write a number of bytes, such as 32GiB, 32GB or 500MiB",
        )
    return round(count)


def _factor(kind: GoalKind, unit: str) -> float:
    low = unit.lower()
    if low == "%" and kind not in TIMED:
        return 0.01
    if low == "x" and kind is GoalKind.SPEEDUP:
        return 1.0
    if low in ("ms", "s") and kind is GoalKind.LATENCY:
        return 1.0 if low == "ms" else 1e3
    prefix = low.removesuffix("b")
    is_size = kind in _SIZES and (kind is GoalKind.BYTES or prefix == low)
    if low == "" or (is_size and prefix in _FACTORS):
        return _FACTORS[prefix]
    raise SpecError(
        f"the goal {kind} has no unit '{unit}'", f"Write {kind}={_EXAMPLES[kind]}, for example"
    )
