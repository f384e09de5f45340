"""The worker that gets to know a model, on a tiny never-trained network."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osscar_core.evaluation import latency_table
from osscar_core.goals import Goal
from osscar_core.records import PruneSpec
from osscar_core.studio import worker
from osscar_core.studio.briefs import explorer_for, find_brief, is_timed_here, survey_request
from osscar_core.studio.jobs import RunStore, State
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.pace import STEPS
from osscar_core.studio.requests import JobKind, JobRequest


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PruneSpec:
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class{label}").mkdir(parents=True)
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"class{label}" / "0.png")
    module = __import__("sys").modules[latency_table.__module__]
    for name, value in (("_BUDGET_SECONDS", 0.0), ("_MIN_PASSES", 1), ("PARTS", (2,))):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    return PruneSpec(
        "cifar/resnet20", f"images:{folder}", weights="random", samples=10, batch_size=2
    )


def compute(store: RunStore, request: JobRequest) -> State:
    run = store.submit(request)
    assert Ledger(store.database).claim(()).id == run.id
    worker.main([str(store.home), run.id])
    return store.get(run.id).status.state


def test_after_a_survey_goals_are_answered_without_a_worker(still: RunStore, spec) -> None:
    asked = dataclasses.replace(spec, goal=Goal.parse("removed=0.5"), caps=(("*", 0.9),))
    assert find_brief(asked, still.home) is None
    request = JobRequest(survey_request(asked), data="", kind=JobKind.SURVEY)
    assert compute(still, request) is State.FINISHED
    brief = find_brief(asked, still.home)
    answers = explorer_for(brief, asked, [])
    for goal in ("removed=0.5", "speedup=1.05", "quality_loss=0.1", "bytes=0.9"):
        answer = answers.what_if(Goal.parse(goal))
        assert answer.speedup is not None
        assert answer.quality is not None
    assert answers.what_if(Goal.parse("removed=0.5")).removed >= 0.5
    assert is_timed_here(asked, still.home)


def test_a_machine_can_be_timed_alone_and_is_timed_once(
    still: RunStore, spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = JobRequest(spec, data="", kind=JobKind.TIMING)
    assert compute(still, request) is State.FINISHED
    assert is_timed_here(spec, still.home)
    from osscar_core.studio import worker_survey

    monkeypatch.setattr(worker_survey, "measured_latencies", None)  # a second call would fail
    survey = JobRequest(survey_request(spec), data="", kind=JobKind.SURVEY)
    assert compute(still, survey) is State.FINISHED
    assert find_brief(spec, still.home).table is not None


@pytest.mark.parametrize("kind", [JobKind.SURVEY, JobKind.TIMING])
def test_a_cause_that_the_user_can_cure_is_told_in_words(still: RunStore, spec, kind) -> None:
    broken = dataclasses.replace(spec, weights="/nowhere/w.safetensors")
    assert compute(still, JobRequest(broken, data="", kind=kind)) is State.FAILED
    (run,) = still.runs()
    assert "/nowhere/w.safetensors" in run.status.reason
    assert set(STEPS[kind]) >= {run.status.step}
