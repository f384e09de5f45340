"""The inspection pictures: the same everywhere, balanced, disjoint, and no trivial task."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.datasets import load_images
from osscar_core.datasets.demo import demo_pictures
from osscar_core.datasets.factory import (
    CLASSES,
    DIFFICULTY,
    LINES,
    PICTURES,
    SIDE,
    FactoryPictures,
)
from osscar_core.datasets.image_sources import open_images
from osscar_core.datasets.spec import DataSpec
from osscar_core.errors import DataError, SpecError
from osscar_core.records import ImagePreprocess

PREPROCESS = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=SIDE)


def digest(pictures: FactoryPictures, indices: range) -> str:
    joined = hashlib.sha256()
    for index in indices:
        joined.update(pictures.pixels(index).tobytes())
    return joined.hexdigest()[:16]


@pytest.mark.parametrize(
    ("line", "expected"),
    [("A", "d06c77a510a8037b"), ("B", "005dbdb8e6a0eba6"), ("C", "396d938d561a19e1")],
)
def test_pictures_are_the_same_everywhere(line, expected: str) -> None:
    """A change here changes every number measured on this data: retrain and say so."""
    pictures = FactoryPictures("evaluation", (line,), difficulty=1.0)
    assert digest(pictures, range(4)) == expected


@settings(deadline=None, max_examples=25)
@given(
    line=st.sampled_from(LINES),
    split=st.sampled_from(["calibration", "evaluation"]),
    index=st.integers(0, PICTURES["evaluation"] - 1),
    seed=st.integers(0, 2**40),
)
def test_a_picture_depends_on_its_place_alone(line, split, index: int, seed: int) -> None:
    first = FactoryPictures(split, (line,), seed=seed)
    again = FactoryPictures(split, (line,), seed=seed)
    again.pixels((index + 1) % PICTURES["evaluation"])
    pixels = first.pixels(index)
    assert (pixels.shape, pixels.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(pixels, again.pixels(index))
    assert first.raw(index) == pixels.tobytes()
    assert first.item(index) == again.item(index)
    assert first.item(index).label == first.labels()[index]
    assert 25 < pixels.mean() < 240
    assert pixels.std() > 4
    other = FactoryPictures(split, (line,), seed=seed + 1)
    assert not np.array_equal(pixels, other.pixels(index))


def test_parts_have_no_picture_in_common() -> None:
    seen = set()
    total = 0
    for split, line in itertools.product(PICTURES, LINES):
        pictures = FactoryPictures(split, (line,))
        seen |= {pictures.raw(index) for index in range(120)}
        total += 120
    assert len(seen) == total


def test_lines_take_turns_and_are_the_same_alone() -> None:
    both = demo_pictures("factory", "evaluation")
    assert both.lines == ("A", "B")
    assert len(both) == 2 * PICTURES["evaluation"]
    alone = demo_pictures("factory/line-b", "evaluation")
    assert alone.lines == ("B",)
    assert [both.item(2 * index + 1) for index in range(50)] == list(map(alone.item, range(50)))
    assert both.raw(7) == alone.raw(3)
    assert both.name(7) == "evaluation picture 3 of line B"


@pytest.mark.parametrize("location", ["factory", "factory/line-a", "factory/line-c"])
@pytest.mark.parametrize("split", list(PICTURES))
def test_classes_are_balanced_everywhere(location: str, split) -> None:
    pictures = demo_pictures(location, split)
    labels = pictures.labels()
    period = len(CLASSES) * len(pictures.lines)
    assert len(labels) == len(pictures)
    assert set(Counter(labels).values()) == {len(labels) // len(CLASSES)}
    for start in range(0, 10 * period, period):
        assert set(Counter(labels[start : start + period]).values()) == {len(pictures.lines)}
    assert labels[:period] != labels[period : 2 * period]


def test_attributes_go_together_as_documented() -> None:
    def items(line):
        pictures = FactoryPictures("calibration", (line,))
        return [pictures.item(index) for index in range(1200)]

    a, b, c = map(items, LINES)
    assert {item.background for item in a} == {"machined", "cast"}
    assert {item.background for item in b} == {"painted", "cast"}
    assert {item.background for item in c} == {"woven"}
    gold = [sum(item.tier == "gold" for item in line) for line in (a, b)]
    assert gold[0] > 2 * gold[1]

    def mean_severity(tier: str) -> float:
        return float(np.mean([i.severity for i in (*a, *b) if i.tier == tier and i.label]))

    assert mean_severity("gold") < mean_severity("silver") - 0.05 < mean_severity("standard") - 0.08
    for item in (*a, *b, *c):
        assert (item.label == 0) == (item.severity == 0) == (item.level == "none")
        assert 0 <= item.severity <= 1
    assert {item.level for item in a} == {"none", "minor", "moderate", "severe"}
    assert a[1].name == CLASSES[a[1].label]


def test_difficulty_takes_contrast_away_from_defects_only() -> None:
    def deviation(label: int, difficulty: float) -> float:
        flawless = FactoryPictures("evaluation", ("B",), difficulty=1e9)
        shown = FactoryPictures("evaluation", ("B",), difficulty=difficulty)
        indices = [i for i, found in enumerate(shown.labels()[:400]) if found == label][:10]
        return float(
            np.mean([np.abs(shown.pixels(i) * 1.0 - flawless.pixels(i)).mean() for i in indices])
        )

    assert deviation(0, 1.0) == 0
    for label in range(1, len(CLASSES)):
        assert deviation(label, 0.7) > deviation(label, 1.4) > deviation(label, 2.8) > 0.02, label


def test_image_sets_carry_names_and_attributes() -> None:
    images = load_images("demo:factory", PREPROCESS, limit=32, classes=8)
    assert images.class_names == CLASSES
    assert images.info.available == 2 * PICTURES["evaluation"]
    assert images.info.warnings == ()
    assert images.info.notes == (
        f"evaluation part of lines A and B, difficulty {DIFFICULTY:g}, seed 0",
    )
    attributes = images.attributes()
    assert [found["line"] for found in attributes] == ["A", "B"] * 16
    assert {"background", "severity", "level", "tier"} <= set(attributes[0])
    pixels, labels = next(images.batches(8))
    source = open_images(DataSpec("demo", "factory"), "evaluation")
    expected = np.frombuffer(source.read(3), np.uint8).reshape(SIDE, SIDE, 3) / 255
    assert np.allclose(pixels[3].permute(1, 2, 0).numpy(), (expected - 0.5) / 0.25, atol=1e-5)
    assert labels.tolist() == demo_pictures("factory", "evaluation").labels()[:8]


def test_samples_differ_by_seed_and_split() -> None:
    digests = {
        load_images("demo:factory", PREPROCESS, limit=16, seed=seed, split=split).info.digest
        for seed in (0, 1)
        for split in ("calibration", "evaluation")
    }
    assert len(digests) == 4


def test_a_model_of_other_classes_is_told() -> None:
    with pytest.raises(DataError, match=r"has 8 classes \(good, scratch.*the model knows 10"):
        load_images("demo:factory", PREPROCESS, limit=4, classes=10)
    assert len(load_images("demo:factory", PREPROCESS, limit=4, classes=10, split="calibration"))


def test_text_is_not_images() -> None:
    with pytest.raises(SpecError, match="is text, and the model reads images"):
        load_images("demo:plant-log/plant-2", PREPROCESS)
