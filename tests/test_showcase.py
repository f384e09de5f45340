"""What is shown of two models side by side: the choice, and the record."""

from __future__ import annotations

import dataclasses

import pytest

from osscar_core.errors import SpecError
from osscar_core.records import from_json, to_json
from osscar_core.showcase import (
    THUMBNAIL_CHARACTERS,
    Continuation,
    Fate,
    Guess,
    Passage,
    Picture,
    Showcase,
    choose_by_fate,
)

LOST, GAINED, MOVED, WRONG, RIGHT = Fate


def picture(label: int = 0, dense: int = 0, pruned: int = 1) -> Picture:
    answers = (
        (Guess(answer, f"class {answer}", 0.75), Guess(9, "other", 0.25))
        for answer in (dense, pruned)
    )
    return Picture(3, "QUJD", "image/jpeg", label, f"class {label}", *answers)


def passage(dense: str = " runs well", pruned: str = " runs badly") -> Passage:
    return Passage(
        prompt="The pump",
        truth=Continuation(" stands still.", is_over=True),
        dense=Continuation(dense),
        pruned=Continuation(pruned),
        differs_at=6,
        dense_perplexity=4.0,
        pruned_perplexity=5.0,
        tokens=31,
    )


@pytest.mark.parametrize(
    ("truth", "dense", "pruned", "fate"),
    [
        (1, 1, 2, LOST),
        (1, 2, 1, GAINED),
        (1, 2, 3, MOVED),
        (1, 2, 2, WRONG),
        (1, 1, 1, RIGHT),
    ],
)
def test_the_fate_follows_from_both_answers(truth, dense, pruned, fate) -> None:
    assert picture(truth, dense, pruned).fate is fate


def test_every_kind_of_change_is_shown_and_what_agrees_too() -> None:
    fates = [RIGHT] * 5 + [LOST, RIGHT, GAINED, LOST, WRONG, MOVED, LOST]
    assert choose_by_fate(fates, 6) == [5, 8, 7, 10, 9, 0]
    assert choose_by_fate(fates, 3) == [5, 7, 10]
    assert choose_by_fate(fates, 100) == [5, 8, 11, 7, 10, 9, 0, 1, 2, 3, 4, 6]


def test_without_changes_the_first_agreements_are_shown() -> None:
    assert choose_by_fate([RIGHT, WRONG, RIGHT, RIGHT], 3) == [1, 0, 2]
    assert choose_by_fate([], 3) == []


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_showcase_survives_json(kind: str) -> None:
    made = Showcase(
        task=kind,
        data="demo:factory",
        seen=256,
        fates={LOST: 3, RIGHT: 253},
        pictures=(picture(),) if kind == "image" else (),
        passages=(passage(),) if kind == "text" else (),
    )
    read = from_json(Showcase, to_json(made))
    assert read == made
    assert len(read.items) == 1


def test_continuations_agree_as_far_as_is_said() -> None:
    with pytest.raises(SpecError, match="do not part at 6"):
        passage(pruned=" stops")
    with pytest.raises(SpecError, match="do not part at None"):
        dataclasses.replace(passage(), differs_at=None)
    assert dataclasses.replace(passage(), pruned=Continuation(" runs well"), differs_at=None)


def test_a_picture_has_answers_and_is_small() -> None:
    with pytest.raises(SpecError, match="no answers"):
        dataclasses.replace(picture(), pruned=())
    with pytest.raises(SpecError, match="16385 characters"):
        dataclasses.replace(picture(), image="A" * (THUMBNAIL_CHARACTERS + 1))
