"""The plants' reports: the same everywhere, disjoint, and one story from start to end."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.datasets import load_windows
from osscar_core.datasets.demo import demo_corpus
from osscar_core.datasets.plant_log import DOCUMENTS, PLANT_NAMES, document, documents
from osscar_core.datasets.plant_log.faults import FAULTS, VERBS, gerund, past, plain
from osscar_core.datasets.plant_log.phrases import PROSE, TELEGRAM, TERSE
from osscar_core.datasets.plant_log.plants import PLANTS, QUANTITIES, UNITS
from osscar_core.datasets.plant_log.scenes import Dice, draw_shift


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        ("plant-1", "ca1fd77ffe5dbc08"),
        ("plant-2", "c778b8acbb68091f"),
        ("plant-3", "83319ce07f082a78"),
    ],
)
def test_reports_are_the_same_everywhere(plant, expected: str) -> None:
    """A change here changes every number measured on this data: retrain and say so."""
    text = "\f".join(document("evaluation", plant, index) for index in range(20))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == expected


@settings(deadline=None, max_examples=60)
@given(
    plant=st.sampled_from(PLANT_NAMES),
    split=st.sampled_from(["calibration", "evaluation"]),
    index=st.integers(0, 10**6),
    seed=st.integers(0, 2**40),
)
def test_every_report_is_whole(plant, split, index: int, seed: int) -> None:
    text = document(split, plant, index, seed)
    assert text == document(split, plant, index, seed)
    assert not re.search(r"[{}]|\bNone\b|  +\S* +  | ,|[.][.]", text), text
    assert 40 < len(text) < 4000
    assert text.strip() == text
    assert re.search(r"\d", text)


def test_parts_and_plants_share_no_report() -> None:
    found = [
        document(split, plant, index)
        for split, plant in itertools.product(DOCUMENTS, PLANT_NAMES)
        for index in range(DOCUMENTS["evaluation"])
    ]
    assert len(set(found)) == len(found)


def test_plants_take_turns() -> None:
    two = list(itertools.islice(documents("evaluation"), 4))
    assert two == [
        document("evaluation", plant, index) for index in (0, 1) for plant in PLANT_NAMES[:2]
    ]
    assert sum(1 for _ in documents("evaluation")) == 2 * DOCUMENTS["evaluation"]
    mixed = list(documents("evaluation", order=3))
    assert sorted(mixed) == sorted(documents("evaluation"))
    assert mixed[:4] != two


def test_plants_have_habits_of_their_own() -> None:
    texts = {
        plant: "\n".join(document("evaluation", plant, index) for index in range(100))
        for plant in PLANT_NAMES
    }
    assert "°C" in texts["plant-1"]
    assert re.search(r"day \d+ \w+ 20\d\d", texts["plant-1"])
    assert "°F" in texts["plant-2"]
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", texts["plant-2"])
    assert "kPa" in texts["plant-3"]
    assert re.search(r"\b\d{4} hrs\b", texts["plant-3"])
    for word in ("°C", "°F", " psi", " bar,"):
        assert word not in texts["plant-3"]

    def articles(text: str) -> float:
        return len(re.findall(r"\b(?:the|a)\b", text)) / len(text.split())

    assert articles(texts["plant-1"]) > articles(texts["plant-2"]) > 10 * articles(texts["plant-3"])


def test_the_end_of_a_story_follows_from_its_beginning() -> None:
    import numpy as np

    repaired = set()
    for seed in range(200):
        plant = PLANTS[PLANT_NAMES[seed % 3]]
        shift = draw_shift(Dice(np.random.default_rng(seed)), plant, 1 + seed % 3)
        assert shift.made == shift.planned - sum(event.lost for event in shift.events)
        assert 0 < shift.made <= shift.planned
        assert isinstance(shift.day, datetime.date)
        times = [minute for e in shift.events for minute in (e.noticed, e.stopped, e.running)]
        assert times == sorted(times)
        assert len({e.fault for e in shift.events}) == len(shift.events)
        for event in shift.events:
            assert event.fault.machine in plant.kinds
            assert event.machine in plant.machines[event.fault.machine]
            assert event.finder != event.fixer
            repaired.add(event.is_repaired)
            sound, bad, after = (
                float(text.split("%")[0].split(" ")[0])
                for text in (event.usual, event.reading, event.after)
            )
            share = (after - sound) / (bad - sound)
            assert share < 0.3 if event.is_repaired else 0.2 < share < 0.8
    assert repaired == {True, False}


def test_grammar_covers_every_fault_and_step() -> None:
    assert set(PROSE) == set(TERSE) == set(TELEGRAM)
    kinds = {kind for plant in PLANTS.values() for kind in plant.kinds}
    assert {fault.machine for fault in FAULTS} == kinds
    for fault in FAULTS:
        assert fault.quantity in QUANTITIES
        for action in (fault.repair, fault.cure, fault.stopgap, fault.lesson):
            assert past(action).endswith(action[1])
            assert gerund(action).partition(" ")[0].endswith("ing")
            assert plain(action).partition(" ")[0] in VERBS
    assert all(set(units) == set(QUANTITIES) for units in UNITS.values())


def test_windows_are_disjoint_by_part_and_differ_by_seed(tokenizer: Any) -> None:
    def load(spec: str, **settings: Any) -> str:
        return load_windows(spec, tokenizer, seqlen=64, samples=8, **settings).info.digest

    digests = {
        load("demo:plant-log"),
        load("demo:plant-log", split="calibration"),
        load("demo:plant-log", split="calibration", seed=1),
        load("demo:plant-log/plant-1"),
        load("demo:plant-log/plant-3"),
    }
    assert len(digests) == 5
    info = load_windows("demo:plant-log", tokenizer, seqlen=64, samples=8).info
    assert "evaluation part of plant-1 and plant-2" in info.notes
    third = demo_corpus("plant-log/plant-3", "evaluation")
    assert next(iter(third.texts)) == document("evaluation", "plant-3", 0)
