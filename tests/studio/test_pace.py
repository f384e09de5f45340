"""How far a run is and how long it will take."""

from __future__ import annotations

import pytest

from osscar_core.export.records import ExportFormat
from osscar_core.studio.pace import Pace, customary_seconds, steps_of
from osscar_core.studio.requests import JobKind

PRUNE = steps_of(JobKind.PRUNE)


@pytest.mark.parametrize(
    ("kind", "writes"), [*((kind, None) for kind in JobKind), (JobKind.EXPORT, ExportFormat.ONNX)]
)
def test_shares_add_up_and_steps_follow_each_other(
    kind: JobKind, writes: ExportFormat | None
) -> None:
    steps = steps_of(kind, writes)
    pace = Pace.learned(steps, [])
    assert sum(pace.shares.values()) == pytest.approx(1.0)
    seen = [pace.overall(step, part) for step in steps for part in (0.0, 0.5, 1.0)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, pytest.approx(1.0))


def test_without_a_past_the_run_itself_speaks_and_not_too_early() -> None:
    pace = Pace.learned(PRUNE, [])
    assert pace.left(0.01, 100.0) is None
    assert pace.left(0.5, 1.0) is None
    assert pace.left(0.5, 60.0) == pytest.approx(60.0)


def test_earlier_runs_teach_the_shares_and_speak_first() -> None:
    earlier = [
        {"load": 2.0, "prune": 60.0, "pruned": 18.0, "speed": 20.0},
        {"load": 2.0, "prune": 62.0, "pruned": 18.0, "dense": 18.0, "speed": 20.0},
        {"load": 2.0, "prune": 58.0, "pruned": 18.0, "speed": 20.0},
    ]
    pace = Pace.learned(PRUNE, earlier)
    assert sum(pace.shares.values()) == pytest.approx(1.0)
    assert pace.shares["prune"] == pytest.approx(0.6, abs=0.03)
    assert 0 < pace.shares["dense"] < 0.02
    assert pace.left(0.0, 0.0) == pytest.approx(100.0)
    # Twice as slow as before: half believed at an eighth, wholly at a quarter and later.
    assert pace.left(0.125, 25.0) == pytest.approx(150.0 * 0.875)
    assert pace.left(0.5, 100.0) == pytest.approx(100.0)


def test_a_past_without_time_teaches_nothing() -> None:
    assert Pace.learned(PRUNE, [{}, {"load": 0.0}]) == Pace.learned(PRUNE, [])


def test_habit_speaks_of_the_projects_models_before_there_is_a_past() -> None:
    habit = customary_seconds("demo/opt", JobKind.PRUNE, None)
    pace = Pace.learned(PRUNE, [], habit)
    assert pace.shares == Pace.learned(PRUNE, []).shares
    assert pace.left(0.0, 0.0) == pytest.approx(40.0)
    unknown = customary_seconds("facebook/opt-125m", JobKind.PRUNE, None)
    assert Pace.learned(PRUNE, [], unknown).left(0.0, 0.0) is None


def test_an_export_has_a_habit_of_its_format() -> None:
    habits = {kind: customary_seconds("demo/opt", JobKind.EXPORT, kind) for kind in ExportFormat}
    assert habits[ExportFormat.HF] != habits[ExportFormat.ONNX]
    assert habits[ExportFormat.GGUF] is None
    assert customary_seconds("demo/opt", JobKind.EXPORT, None) is None
    assert customary_seconds("demo/opt", JobKind.EXPORT, ExportFormat.ONNX, int8=True) is None
