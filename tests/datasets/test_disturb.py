from __future__ import annotations

import string

import numpy as np
import pytest
from PIL import Image

from osscar_core.datasets.disturb import disturb_image, disturb_text
from osscar_core.datasets.factory import FactoryPictures
from osscar_core.datasets.mix import DISTURBANCES, Change

IMAGES = [name for name, known in DISTURBANCES.items() if known.task == "image"]
TEXTS = [name for name, known in DISTURBANCES.items() if known.task == "text"]
TEXT = "The pump in hall two leaks again, and nobody has ordered the seal. " * 20


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(FactoryPictures("evaluation").pixels(1))


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("name", IMAGES)
def test_images_change_more_with_strength(name: str, picture: Image.Image) -> None:
    copies = [disturb_image(picture, Change(name, s), key=3) for s in (0, 0.25, 0.5, 0.75, 1)]
    distances = [distance(picture, copy) for copy in copies]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 1
    assert {copy.size for copy in copies} == {picture.size}
    assert {copy.mode for copy in copies} == {"RGB"}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_repeatable(name: str, picture: Image.Image) -> None:
    one, again = (disturb_image(picture, Change(name), key=3, seed=1) for _ in range(2))
    assert distance(one, again) == 0


def test_chance_differs_between_items_and_seeds(picture: Image.Image) -> None:
    change = Change("noise")
    copies = [disturb_image(picture, change, key, seed) for key, seed in ((1, 0), (2, 0), (1, 1))]
    assert distance(copies[0], copies[1]) > 1
    assert distance(copies[0], copies[2]) > 1
    assert disturb_text(TEXT, Change("typos"), 1) != disturb_text(TEXT, Change("typos"), 2)


def test_the_strongest_form_is_what_is_said(picture: Image.Image) -> None:
    grey = Image.new("RGB", (64, 64), (100, 100, 100))
    assert np.asarray(disturb_image(grey, Change("dark", 1.0), 0)).mean() == 20
    noise = np.asarray(disturb_image(Image.new("RGB", (64, 64), (128,) * 3), Change("noise", 1), 0))
    assert noise.std() == pytest.approx(0.25 * 255, rel=0.05)
    assert np.asarray(disturb_image(grey, Change("rotation", 1.0), 0)).min() == 100  # no corners
    assert len(disturb_text(TEXT, Change("truncation", 1.0), 0)) == round(len(TEXT) / 10)
    assert disturb_text(TEXT, Change("case", 1.0), 0) == TEXT.upper()


def test_typos_hit_as_many_letters_as_said() -> None:
    from difflib import SequenceMatcher

    letters = "".join(np.random.default_rng(0).choice(list(string.ascii_letters), 1500))
    damaged = disturb_text(letters, Change("typos", 1.0), 0)
    alike = SequenceMatcher(None, letters, damaged, autojunk=False)
    kept = sum(block.size for block in alike.get_matching_blocks())
    assert 0.85 < kept / len(letters) < 0.96
    assert disturb_text("12:30, 45%.", Change("typos", 1.0), 0) == "12:30, 45%."


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_repeatable_and_may_be_empty(name: str) -> None:
    assert disturb_text(TEXT, Change(name), 5) == disturb_text(TEXT, Change(name), 5)
    assert disturb_text(TEXT, Change(name, 0.0), 5) == TEXT
    assert disturb_text("", Change(name), 5) == ""


def test_weaker_capitals_are_among_the_stronger() -> None:
    weak, strong = (disturb_text(TEXT, Change("case", s), 0) for s in (0.3, 0.6))
    assert all(
        s.isupper() for w, s in zip(weak.split(), strong.split(), strict=True) if w.isupper()
    )
