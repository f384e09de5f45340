"""Which survey answers a request's questions, and what finished runs teach it."""

from __future__ import annotations

import dataclasses
import math

import pytest

from osscar_core.brief import Points, read_brief
from osscar_core.catalogue import own_data
from osscar_core.errors import SpecError
from osscar_core.goals import Budget, Goal
from osscar_core.records import Method, PruneSpec
from osscar_core.sample import brief_file, sample_runs
from osscar_core.studio import examples
from osscar_core.studio.briefs import (
    explorer_for,
    find_brief,
    is_timed_here,
    keep_brief,
    keep_table,
    measured_points,
    survey_request,
)

MODELS = ("demo/opt", "demo/resnet50")


def request(model: str, **changes) -> PruneSpec:
    return PruneSpec(model, own_data(model), **changes)


def shipped(model: str):
    return read_brief(brief_file(model))


@pytest.mark.parametrize("model", MODELS)
def test_demo_models_are_answered_without_any_run(home, model) -> None:
    brief = find_brief(request(model, goal=Goal.parse("removed=0.5"), caps=(("*", 0.9),)))
    assert brief == shipped(model)
    answer = explorer_for(brief, request(model), []).what_if(Goal.parse("removed=0.5"))
    assert answer.removed >= 0.5
    assert answer.speedup > 1
    assert answer.quality.low < answer.quality.median < answer.quality.high
    assert not home.exists()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"samples": 7}, {"calibration": "demo:python-docs"}, {"damping": 0.1}],
)
def test_other_calibration_needs_another_survey(home, change) -> None:
    spec = dataclasses.replace(request("demo/opt"), **change)
    assert find_brief(spec) is None
    mine = dataclasses.replace(shipped("demo/opt"), points=Points())
    keep_brief(mine, spec)
    assert find_brief(spec) == mine
    assert find_brief(request("demo/opt")) == shipped("demo/opt")


def test_what_the_survey_resolved_itself_may_be_named(home) -> None:
    assert find_brief(request("demo/opt", seqlen=512, samples=48)) == shipped("demo/opt")
    assert find_brief(request("demo/opt", seqlen=256)) is None


def test_a_timing_of_this_machine_comes_first(home) -> None:
    spec = request("demo/opt")
    assert not is_timed_here(spec)
    table = dataclasses.replace(shipped("demo/opt").table, dense_ms=1234.0)
    keep_table(table, spec)
    assert is_timed_here(spec)
    assert find_brief(spec).table == table
    assert not is_timed_here(dataclasses.replace(spec, device="cuda"))


def test_new_weights_are_another_model(home, tmp_path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"1")
    spec = PruneSpec("resnet50", "images:/nowhere", weights=str(weights))
    keep_brief(shipped("demo/resnet50"), spec)
    assert find_brief(spec) is not None
    weights.write_bytes(b"22")
    assert find_brief(spec) is None


def test_a_damaged_survey_counts_as_absent(home) -> None:
    spec = request("demo/opt", seed=3)
    keep_brief(shipped("demo/opt"), spec)
    (file,) = (home / "surveys").iterdir()
    file.write_text("{")
    assert find_brief(spec) is None


def test_a_survey_is_asked_for_all_that_may_be_removed() -> None:
    asked = survey_request(
        request("demo/opt", sparsity=0.4, method=Method.MAGNITUDE, caps=(("*", 0.5),))
    )
    assert asked == dataclasses.replace(request("demo/opt"), samples=48)


@pytest.mark.parametrize("model", MODELS)
def test_measured_runs_teach_the_estimates(model) -> None:
    brief = shipped(model)
    results = [item.result for item in examples.of_model(model)]
    plain = explorer_for(brief, request(model), [])
    taught = explorer_for(brief, request(model), results)
    own = [r for r in results if r.prune.plan.spec.method is Method.OSSCAR]
    points = measured_points(plain, results)
    assert len(points) == len(own) >= 3
    for point, result in zip(points, own, strict=True):
        lost = (
            result.dense.value - result.pruned.value
            if result.pruned.metric == "top1"
            else math.log(result.pruned.value / result.dense.value)
        )
        assert point.added == pytest.approx(lost)
    goal = Goal.parse("removed=0.7")
    before, after = plain.what_if(goal).quality, taught.what_if(goal).quality
    assert after.high / max(after.low, 1e-9) < before.high / max(before.low, 1e-9)
    assert sample_runs()


@pytest.mark.parametrize("model", MODELS)
def test_removal_goes_where_it_costs_least(model) -> None:
    goal = Goal.parse("removed=0.5")
    spread = explorer_for(shipped(model), request(model), []).what_if(goal)
    shares = request(model, budget=Budget.UNIFORM)
    equal = explorer_for(shipped(model), shares, []).what_if(goal)
    assert spread.quality.median < equal.quality.median / 2
    assert len({kept / unit.groups for unit, kept in kept_of(model, spread.widths)}) > 2


def kept_of(model: str, widths: dict[str, int]):
    return [(unit, widths[unit.name]) for unit in shipped(model).record.units]


def test_caps_hold_and_nonsense_is_refused() -> None:
    brief = shipped("demo/resnet50")
    name = brief.record.units[-1].name
    held = explorer_for(brief, request("demo/resnet50", caps=((name, 0.0),)), [])
    answer = held.what_if(Goal.parse("removed=0.5"))
    assert answer.widths[name] == brief.record.units[-1].groups
    with pytest.raises(SpecError, match="nowhere"):
        explorer_for(brief, request("demo/resnet50", caps=(("nowhere", 0.0),)), [])
