"""How a person names a mix of data: weights, slices and disturbances.

The decision hidden here: the grammar behind ``mix:``, and how many items each part gives.
No torch, and nothing is read.

    mix:PART+PART...
    PART = [WEIGHT*]DATA['['COLUMN=VALUE,...']'][~DISTURBANCE[=STRENGTH]]

``mix:3*demo:factory+1*demo:factory/line-c`` is three quarters of lines A and B and a
quarter of line C. ``[tier=gold,line=A]`` keeps the items whose attributes say so; a column
named twice may have either value. ``~blur=0.5`` disturbs every item of the part, half as
much as `DISTURBANCES` goes. A ``+`` parts only where a weight or a prefix follows, so that
a path may hold one; without a weight, a part weighs 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from osscar_core.errors import SpecError, unknown_name
from osscar_core.records import Task, check_range

DEFAULT_STRENGTH = 0.5
CLASS = "class"
"""Column of an image's class, by its name."""

PART = "part"
"""The attribute that says which part of a mix an item comes from."""

MOST_PARTS = 32
FORM = "mix:3*DATA+1*DATA[COLUMN=VALUE]~DISTURBANCE=0.5"

_MOST_WEIGHT = 1e6
_WEIGHT = re.compile(r"(?P<weight>[^*:/\\]*)\*(?P<rest>.*)", re.DOTALL)
_TAIL = re.compile(r"(?P<data>.*?)(?P<slice>\[[^\[\]]*\])?(?P<change>~[^~\[\]/\\]*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What can be done to an input.

    Attributes:
        task: Images or text.
        meaning: What its strongest form is, in words.
    """

    task: Task
    meaning: str


DISTURBANCES: dict[str, Disturbance] = {
    "dark": Disturbance("image", "brightness reduced to 20%"),
    "blur": Disturbance("image", "Gaussian blur, sigma 4% of the side"),
    "noise": Disturbance("image", "Gaussian noise, standard deviation 25% of the range"),
    "rotation": Disturbance("image", "rotated by 30 degrees to either side, border repeated"),
    "compression": Disturbance("image", "JPEG of quality 5"),
    "typos": Disturbance("text", "one letter in ten dropped, doubled, swapped or replaced"),
    "truncation": Disturbance("text", "only the first tenth of each text"),
    "case": Disturbance("text", "every word in capitals"),
}
"""By name; what each does in between is in `osscar_core.datasets.disturb`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One disturbance at one strength.

    Attributes:
        name: A key of `DISTURBANCES`.
        strength: From 0, none, to 1, the strongest.
    """

    name: str
    strength: float = DEFAULT_STRENGTH

    def __post_init__(self) -> None:
        """Refuse what is unknown or out of range."""
        if self.name not in DISTURBANCES:
            raise unknown_name("disturbance", self.name, tuple(DISTURBANCES))
        check_range(f"the strength of {self.name}", self.strength, 0.0, 1.0)

    @property
    def task(self) -> Task:
        """The kind of input that it changes."""
        return DISTURBANCES[self.name].task

    def __str__(self) -> str:
        return f"~{self.name}={self.strength:g}"


@dataclass(frozen=True, slots=True)
class MixPart:
    """One part of a mix.

    Attributes:
        weight: Its share of the items, relative to the other parts'; above 0.
        data: The data specification of its items.
        conditions: Pairs of a column and a value to keep.
        change: What is done to every item; ``None`` for nothing.
    """

    weight: float
    data: str
    conditions: tuple[tuple[str, str], ...] = ()
    change: Change | None = None

    def keeps(self, attributes: dict[str, str | float]) -> bool:
        """Return whether an item with such attributes belongs to the part."""
        return all(
            any(spelled(attributes.get(column)) == value for value in values)
            for column, values in self.columns().items()
        )

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return the values that may stand in each column of the conditions."""
        found: dict[str, tuple[str, ...]] = {}
        for column, value in self.conditions:
            found[column] = (*found.get(column, ()), value)
        return found

    def __str__(self) -> str:
        kept = ",".join(f"{column}={value}" for column, value in self.conditions)
        change = "" if self.change is None else str(self.change)
        return f"{self.data}{f'[{kept}]' if kept else ''}{change}"


def spelled(value: str | float | None) -> str | None:
    """Return an attribute as a condition spells it: numbers in their shortest form."""
    return value if value is None or isinstance(value, str) else f"{value:g}"


def parse_mix(location: str, prefixes: Iterable[str]) -> tuple[MixPart, ...]:
    """Return the parts that stand behind ``mix:``.

    Args:
        location: Such as ``3*demo:factory+1*demo:factory/line-c``.
        prefixes: What data may start with; a mix of mixes is not among them.

    Raises:
        SpecError: A weight, a condition or a disturbance is misspelt, or a part is empty.
    """
    known = tuple(prefix for prefix in prefixes if prefix != "mix")
    starts = re.compile(rf"\+(?=(?:[^*:+/\\]*\*)?(?:{'|'.join(known)}|mix):)")
    texts = starts.split(location)
    if len(texts) > MOST_PARTS:
        raise SpecError(
            f"the mix has {len(texts)} parts", f"Use {MOST_PARTS} at most, or a folder of files"
        )
    parts = tuple(_part(text) for text in texts)
    tasks = {part.change.task for part in parts if part.change is not None}
    if len(tasks) > 1:
        raise SpecError("the mix disturbs both images and text", "A mix is one kind of data")
    return parts


def shares(weights: Sequence[float], count: int) -> tuple[int, ...]:
    """Return how many of ``count`` items each part gives: the largest remainders win.

    Whole parts of ``count * weight / sum`` first; what is left goes, one each, to the
    largest remainders, earlier parts first among equals.
    """
    total = math.fsum(weights)
    exact = [count * weight / total for weight in weights]
    found = [math.floor(share + 1e-9) for share in exact]
    order = sorted(range(len(exact)), key=lambda i: (found[i] - exact[i], i))
    for i in order[: count - sum(found)]:
        found[i] += 1
    return tuple(found)


def most_without_repeats(weights: Sequence[float], available: Sequence[int]) -> int:
    """Return the largest count whose shares no part has to fill by repeating items."""
    total = math.fsum(weights)
    count = min(
        math.floor((have + 1) * total / weight)
        for weight, have in zip(weights, available, strict=True)
    )
    while count and any(
        share > have for share, have in zip(shares(weights, count), available, strict=True)
    ):
        count -= 1
    return count


def interleaved(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return pairs of a part and a place in it, so that every beginning is a fair mix.

    Item ``k`` of a part with ``n`` stands at ``(k + 1/2) / n`` of the way.
    """
    places = [
        ((k + 0.5) / count, part, k) for part, count in enumerate(counts) for k in range(count)
    ]
    return [(part, k) for _, part, k in sorted(places)]


def part_note(part: MixPart, count: int, available: int, total: float, items: str) -> str:
    """Return what a report says of a part of a mix.

    Args:
        part: The part.
        count: Items that it gives.
        available: Items that it has.
        total: Sum of all parts' weights.
        items: What an item is called, in the plural.
    """
    note = f"{count} of {available} {items} of {part} ({part.weight / total:.1%} of the mix)"
    if count > available:
        note += f", used up to {-(-count // available)} times: a repeated item weighs more"
    return note


def check_columns(part: MixPart, known: Collection[str]) -> None:
    """Raise `SpecError` if a condition names an attribute that the data does not have."""
    for column in part.columns():
        if not known:
            raise SpecError(
                f"'{part.data}' says nothing of its items, and the mix asks for {column}",
                "Leave the condition out",
            )
        if column not in known:
            raise unknown_name(f"column of {part.data}", column, tuple(sorted(known)))


def _part(text: str) -> MixPart:
    weight, rest = 1.0, text
    weighted = _WEIGHT.fullmatch(text)
    if weighted is not None:
        weight, rest = _weight(weighted["weight"], text), weighted["rest"]
    data, conditions, change = _TAIL.fullmatch(rest).groups()  # type: ignore[union-attr]
    if not data:
        raise SpecError("a part of the mix is empty", f"Write it as {FORM}")
    if conditions and data.rpartition("~")[2].partition("=")[0] in DISTURBANCES:
        raise SpecError(
            f"in '{text}' the condition stands behind the disturbance",
            f"Write the condition first, as in {FORM}",
        )
    return MixPart(weight, data, _conditions(conditions, text), _change(change))


def _weight(word: str, text: str) -> float:
    try:
        weight = float(word)
    except ValueError:
        raise SpecError(
            f"the weight '{word}' in '{text}' is not a number", f"Write it as {FORM}"
        ) from None
    if not 1 / _MOST_WEIGHT <= weight <= _MOST_WEIGHT:
        raise SpecError(
            f"the weight in '{text}' is {word}",
            f"Weights are above 0, from {1 / _MOST_WEIGHT:g} to {_MOST_WEIGHT:g}",
        )
    return weight


def _conditions(slice_: str | None, text: str) -> tuple[tuple[str, str], ...]:
    if slice_ is None:
        return ()
    pairs = []
    for word in slice_[1:-1].split(","):
        column, equals, value = (piece.strip() for piece in word.partition("="))
        if not (column and equals and value):
            raise SpecError(
                f"the condition '{word}' in '{text}' is not COLUMN=VALUE",
                "Write it as [tier=gold] or [tier=gold,line=A]",
            )
        pairs.append((column, value))
    return tuple(pairs)


def _change(tail: str | None) -> Change | None:
    if tail is None:
        return None
    name, equals, strength = tail[1:].partition("=")
    if not equals:
        return Change(name)
    try:
        return Change(name, float(strength))
    except ValueError as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(
            f"the strength '{strength}' of {name} is not a number", "Write it as ~blur=0.5"
        ) from None
