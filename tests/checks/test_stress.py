from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checks.test_shift import WrongInTheDark, logs, model, pictures, text_model
from osscar_core.checks.paired import PairedLabels, PairedText
from osscar_core.checks.records import StressReport
from osscar_core.checks.stress import check_stress, extra_of_pairs
from osscar_core.errors import SpecError
from osscar_core.records import from_json, to_json

STEPS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return pictures(tmp_path_factory.mktemp("stress") / "a.parquet", 0, count=60)


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures on which noise makes mistakes."""
    return pictures(tmp_path_factory.mktemp("faint") / "a.parquet", 0, count=60, contrast=15)


def test_a_model_that_fails_in_the_dark_is_told(data: str) -> None:
    below = (80 - 127.5) / 63.75
    found = check_stress(model(), model(WrongInTheDark(below)), data, strengths=STEPS)
    worst = found.rows[0]
    assert worst.disturbance == "dark"
    assert worst.low > 0.5
    assert worst.extra == pytest.approx(worst.points[-1].loss - worst.points[0].loss)
    assert [point.strength for point in worst.points] == list(STEPS)
    assert worst.points[0].loss == pytest.approx(0, abs=0.02)
    losses = [point.loss for point in worst.points]
    assert losses == sorted(losses)
    assert {row.disturbance for row in found.rows} == {
        "dark",
        "blur",
        "noise",
        "rotation",
        "compression",
    }
    # Undisturbed is the same whatever comes after.
    assert len({row.points[0] for row in found.rows}) == 1
    assert from_json(StressReport, to_json(found)) == found


def test_the_same_model_twice_loses_nothing(faint: str) -> None:
    found = check_stress(model(), model(), faint, strengths=STEPS, disturbances=("noise", "blur"))
    for row in found.rows:
        assert row.extra == 0
        assert row.low <= 0 <= row.high
        assert all(point.loss == 0 for point in row.points)
    noise = next(row for row in found.rows if row.disturbance == "noise")
    assert noise.points[-1].dense < noise.points[0].dense


def test_it_is_repeatable(faint: str) -> None:
    def one(seed: int) -> Any:
        found = check_stress(
            model(), model(), faint, strengths=(0, 1), disturbances=("noise",), seed=seed, limit=40
        )
        return found.rows[0].points

    assert one(0) == one(0)
    assert one(0) != one(1)


def test_texts_are_disturbed_by_document(tmp_path: Path) -> None:
    spec = logs(tmp_path / "a.jsonl", 0, "pump valve leaks holds the seal")
    found = check_stress(text_model(), text_model(), spec, strengths=STEPS)
    assert {row.disturbance for row in found.rows} == {"typos", "truncation", "case"}
    assert found.metric == "perplexity"
    assert all(row.extra == 0 for row in found.rows)
    case = next(row for row in found.rows if row.disturbance == "case")
    assert case.points[-1].dense != case.points[0].dense


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"disturbances": ("typos",)}, "unknown disturbance of such data 'typos'"),
        ({"strengths": (0.5, 1.0)}, "Begin with 0"),
        ({"strengths": (0.0,)}, "Begin with 0"),
        ({"strengths": (0.0, 1.0, 0.5)}, "then rise"),
        ({"strengths": (0.0, 1.5)}, "strength is 1.5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_are_checked(data: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        check_stress(model(), model(), data, **settings)


def test_the_interval_of_the_extra_loss_covers_the_truth() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        dense, hard = rng.random(300) < 0.9, rng.random(300)
        before = PairedLabels(dense, dense & (hard > 0.05))
        after = PairedLabels(dense, dense & (hard > 0.15))
        _, low, high = extra_of_pairs(before, after, seed)
        covered += low <= 0.09 <= high
    assert covered >= 89  # 95 expected


def test_few_changes_make_no_certainty() -> None:
    right = np.ones(100, dtype=bool)
    same = PairedLabels(right, right)
    assert extra_of_pairs(same, same)[0] == 0
    assert extra_of_pairs(same, same)[2] > 0.02


def test_the_extra_loss_of_text_pairs_documents() -> None:
    rng = np.random.default_rng(0)
    tokens, dense = np.full(60, 10.0), rng.uniform(10, 30, 60)
    rise = rng.uniform(0, 20, 60)  # differs by document, the same before and after
    before = PairedText(dense, dense + rise, tokens)
    after = PairedText(dense, dense + rise + 1.0, tokens)
    extra, low, high = extra_of_pairs(before, after)
    assert low <= extra <= high
    assert low > 0
