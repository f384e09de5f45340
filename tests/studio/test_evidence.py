"""Which runs belong together, and which differences can be told."""

from __future__ import annotations

import dataclasses
import math

import pytest

from osscar_core.records import DataInfo, Method
from osscar_core.studio.evidence import (
    Change,
    Finished,
    compared,
    difference,
    group_of,
    lost,
)
from osscar_core.studio.runs import Run, State, Status


def item(samples, method: Method, pruned: float, name: str = "", **changes) -> Finished:
    request = samples.image_request(0.5, method)
    request = dataclasses.replace(request, spec=dataclasses.replace(request.spec, **changes))
    result = samples.result(request, pruned=pruned)
    run = Run(name or f"run-{method}", None, request, Status(State.FINISHED))
    return Finished(run, result)


def test_accuracy_changes_in_points_with_the_errors_of_both_models(samples) -> None:
    result = samples.result(samples.image_request(), dense=0.82, pruned=0.706, half=0.017)
    change = difference(result.dense, result.pruned)
    reach = 100 * math.hypot(0.017, 0.017)
    assert change.value == pytest.approx(-11.4)
    assert (change.low, change.high) == pytest.approx((-11.4 - reach, -11.4 + reach))
    assert change.is_measurable
    assert lost(result).value == pytest.approx(11.4)
    assert lost(result).low == pytest.approx(11.4 - reach)


def test_perplexity_changes_as_a_ratio_with_its_interval(samples) -> None:
    found = samples.result(samples.text_request(), dense=20.0, pruned=30.0, half=1.0)
    change = difference(found.dense, found.pruned)
    below = math.hypot(math.log(30 / 29), math.log(21 / 20))
    above = math.hypot(math.log(31 / 30), math.log(20 / 19))
    assert change.value == pytest.approx(50)
    assert change.low == pytest.approx(100 * (1.5 * math.exp(-below) - 1))
    assert change.high == pytest.approx(100 * (1.5 * math.exp(above) - 1))
    assert lost(found) == change


def test_no_difference_is_told_where_the_interval_holds_none() -> None:
    assert not Change(0.1, -0.2, 0.4).is_measurable
    assert Change(-0.3, -0.5, -0.1).is_measurable
    assert -Change(1.0, -0.5, 2.5) == Change(-1.0, -2.5, 0.5)


def test_runs_are_comparable_only_on_the_same_model_and_data(samples) -> None:
    first, second = samples.image_request(0.3), samples.image_request(0.7)
    assert group_of(first) == group_of(second)
    assert group_of(first) != group_of(dataclasses.replace(first, limit=10))
    assert group_of(first) != group_of(dataclasses.replace(first, data="images:x"))


def test_methods_are_compared_at_equal_widths_the_best_first(samples) -> None:
    items = [
        item(samples, Method.MAGNITUDE, 0.6),
        item(samples, Method.OSSCAR, 0.7),
        item(samples, Method.PAPER, 0.72),
    ]
    found = compared(items, items[0].widths)
    assert [rival.method for rival in found] == [Method.PAPER, Method.OSSCAR, Method.MAGNITUDE]
    assert found[1].behind is None
    assert found[2].behind.value == pytest.approx(10)
    assert found[0].behind.value == pytest.approx(-2)
    assert compared(items, {"another": 1}) == ()


def test_a_lone_method_or_one_without_ours_is_no_comparison(samples) -> None:
    ours, paper = item(samples, Method.OSSCAR, 0.7), item(samples, Method.PAPER, 0.6)
    flap = item(samples, Method.FLAP, 0.6)
    assert compared([ours], ours.widths) == ()
    assert compared([paper, flap], paper.widths) == ()


def test_other_calibration_items_or_seeds_are_not_mixed_in(samples) -> None:
    ours, paper = item(samples, Method.OSSCAR, 0.7), item(samples, Method.PAPER, 0.6)
    seeded = item(samples, Method.MAGNITUDE, 0.9, seed=1)
    plan = paper.result.prune.plan
    data = DataInfo("images:x", "image", 8, "ee" * 32)
    prune = dataclasses.replace(
        paper.result.prune, plan=dataclasses.replace(plan, calibration=data)
    )
    fewer = dataclasses.replace(paper, result=dataclasses.replace(paper.result, prune=prune))
    found = compared([seeded, fewer, ours, paper], ours.widths)
    assert {rival.method for rival in found} == {Method.OSSCAR, Method.PAPER}
    assert compared([seeded, fewer, ours], ours.widths) == ()


def test_the_newest_run_of_a_method_counts(samples) -> None:
    newer = item(samples, Method.OSSCAR, 0.7, "newer")
    older = item(samples, Method.OSSCAR, 0.8, "older")
    paper = item(samples, Method.PAPER, 0.6)
    found = compared([newer, older, paper], paper.widths)
    assert [rival.finished.run.id for rival in found] == ["newer", "run-paper"]
