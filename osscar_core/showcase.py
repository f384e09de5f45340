"""The dense and the pruned model side by side on the same input: records, no torch.

The decision hidden here: which inputs are shown. Pictures are chosen by what became of the
answer, changes first, so they are no random sample; the record counts how often each fate
occurred among all the pictures looked at. Passages of text are chosen blindly.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from osscar_core.errors import SpecError
from osscar_core.records import Task

THUMBNAIL_SIDE = 96
"""Longest side of a stored picture, in pixels."""

THUMBNAIL_CHARACTERS = 16_384
"""Most that a stored picture takes, as base64 text."""


class Fate(StrEnum):
    """What became of the answer to one picture, in the order in which it is shown.

    - ``lost``: right before, wrong now.
    - ``gained``: wrong before, right now.
    - ``moved``: wrong before and now, with different answers.
    - ``wrong``: the same wrong answer.
    - ``right``: right before and now.
    """

    LOST = "lost"
    GAINED = "gained"
    MOVED = "moved"
    WRONG = "wrong"
    RIGHT = "right"

    @classmethod
    def of(cls, truth: int, dense: int, pruned: int) -> Fate:
        """Return the fate of a picture from its class and both answers."""
        if dense == pruned:
            return cls.RIGHT if dense == truth else cls.WRONG
        if truth == dense:
            return cls.LOST
        return cls.GAINED if truth == pruned else cls.MOVED


@dataclass(frozen=True, slots=True)
class Guess:
    """One of a classifier's answers.

    Attributes:
        label: Class id.
        name: What it means; empty where that is not known.
        probability: Share that the softmax gives it.
    """

    label: int
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what both models make of it.

    Attributes:
        position: Its place among the pictures looked at.
        image: What the network read, as base64 of a small encoded file.
        media: Type of that file.
        label: The true class id.
        name: What it means; empty where that is not known.
        dense: The dense model's best answers, the best first.
        pruned: The pruned model's.
    """

    position: int
    image: str
    media: Literal["image/jpeg", "image/png"]
    label: int
    name: str
    dense: tuple[Guess, ...]
    pruned: tuple[Guess, ...]

    def __post_init__(self) -> None:
        """Check that both models answered and that the picture is small."""
        if not self.dense or not self.pruned:
            raise SpecError(f"picture {self.position} has no answers", "Make the showcase again")
        if len(self.image) > THUMBNAIL_CHARACTERS:
            raise SpecError(
                f"picture {self.position} takes {len(self.image)} characters",
                f"Store at most {THUMBNAIL_CHARACTERS}",
            )

    @property
    def fate(self) -> Fate:
        """What became of the answer."""
        return Fate.of(self.label, self.dense[0].label, self.pruned[0].label)


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a text goes on.

    Attributes:
        text: The words.
        is_over: Whether the text ends there, rather than the showing.
    """

    text: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """One piece of held-out text and how both models go on from its beginning.

    Attributes:
        prompt: What both models read.
        truth: How the text really goes on.
        dense: How the dense model does, taking the likeliest token each time.
        pruned: How the pruned model does.
        differs_at: Characters that the two continuations share before they part; ``None``
            if they are the same.
        dense_perplexity: Of prompt and truth together, under the dense model.
        pruned_perplexity: The same under the pruned model.
        tokens: Predicted tokens behind the perplexities.
    """

    prompt: str
    truth: Continuation
    dense: Continuation
    pruned: Continuation
    differs_at: int | None
    dense_perplexity: float
    pruned_perplexity: float
    tokens: int

    def __post_init__(self) -> None:
        """Check that the continuations agree just as far as is said."""
        at, dense, pruned = self.differs_at, self.dense.text, self.pruned.text
        is_fine = dense == pruned if at is None else at >= 0 and dense[:at] == pruned[:at]
        if not is_fine:
            raise SpecError(f"the continuations do not part at {at}", "Make the showcase again")


@dataclass(frozen=True, slots=True)
class Showcase:
    """What a visitor may look at, and how it was chosen.

    Attributes:
        task: ``image`` or ``text``.
        data: Data specification that the items come from.
        seen: Pictures that both models answered, or windows of text to choose from.
        seed: 0 if these were the first of the data, otherwise of a random sample.
        fates: Of pictures, how often each `Fate` occurred among those seen.
        pictures: The pictures chosen, by fate; empty for text.
        passages: The passages, in the order of the text; empty for pictures.
    """

    task: Task
    data: str
    seen: int
    seed: int = 0
    fates: dict[str, int] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    passages: tuple[Passage, ...] = ()

    @property
    def items(self) -> tuple[Picture, ...] | tuple[Passage, ...]:
        """What there is to look at."""
        return self.pictures if self.task == "image" else self.passages


def choose_by_fate(fates: Sequence[Fate], count: int) -> list[int]:
    """Choose which pictures to show: every fate that occurs, changes before agreement.

    Args:
        fates: Of all pictures, in their order.
        count: How many to choose at most.

    Returns:
        Positions, by fate and then in order. The first picture of each fate, in the order
        of `Fate`, then the second of each, and so on.
    """
    queues = [[p for p, fate in enumerate(fates) if fate is kind] for kind in Fate]
    rounds = itertools.zip_longest(*queues)
    chosen = [position for row in rounds for position in row if position is not None][:count]
    order = list(Fate)
    return sorted(chosen, key=lambda position: (order.index(fates[position]), position))
