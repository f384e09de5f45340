"""Positions of the slider: units, steps, and the goals that they stand for."""

from __future__ import annotations

import dataclasses
import math

import pytest

from osscar_core.goals import Goal, GoalKind
from osscar_core.studio.evidence import Finished
from osscar_core.studio.runs import Run, State, Status
from osscar_core.studio.wishes import Aim, Scale, Wish, loss_in_units, safely, wish_of


@pytest.mark.parametrize(
    ("wish", "goal"),
    [
        (Wish(Aim.REMOVED, 30), "removed=0.3"),
        (Wish(Aim.SPEED, 1.25), "speedup=1.25"),
        (Wish(Aim.LOSS, 0.7), "quality_loss=0.007"),
        (Wish(Aim.SIZE, 69), "bytes=0.69"),
    ],
)
def test_a_wish_is_the_goal_that_the_library_knows(wish: Wish, goal: str) -> None:
    assert wish.goal == Goal.parse(goal)


@pytest.mark.parametrize(
    ("goal", "wish"),
    [
        (Goal(GoalKind.REMOVED, 0.3), Wish(Aim.REMOVED, 30)),
        (Goal(GoalKind.SPEEDUP, 1.5), Wish(Aim.SPEED, 1.5)),
        (Goal(GoalKind.QUALITY_LOSS, 0.01), Wish(Aim.LOSS, 1)),
        (Goal(GoalKind.BYTES, 0.5), Wish(Aim.SIZE, 50)),
        (Goal(GoalKind.BYTES, 547_160), Wish(Aim.SIZE, 50)),
        (Goal(GoalKind.FLOPS, 0.5), None),
    ],
)
def test_a_run_stands_where_it_was_asked_for(samples, goal: Goal, wish: Wish | None) -> None:
    asked = samples.image_request()
    spec = dataclasses.replace(asked.spec, sparsity=0.0, goal=goal)
    asked = dataclasses.replace(asked, spec=spec)
    found = wish_of(finished(asked, samples.result(asked)))
    assert found == wish or (found is not None and found.is_same(wish))


def test_an_equal_share_is_a_share_removed(samples) -> None:
    asked = samples.image_request(0.35)
    assert wish_of(finished(asked, samples.result(asked))).is_same(Wish(Aim.REMOVED, 35))


def finished(request, result) -> Finished:
    return Finished(Run("20260101-000000-000000", None, request, Status(State.FINISHED)), result)


@pytest.mark.parametrize(
    ("aim", "value", "step", "expected"),
    [
        (Aim.REMOVED, 30.02, 1, 30),
        (Aim.REMOVED, 29.99, 1, 29),
        (Aim.SPEED, 1.2999, 0.05, 1.25),
        (Aim.SPEED, 1.25, 0.05, 1.25),
        (Aim.SIZE, 63.1, 1, 64),
        (Aim.SIZE, 63.0000001, 1, 63),
        (Aim.LOSS, 0.02, 0.1, 0.1),
    ],
)
def test_a_step_is_on_the_side_where_it_can_be_had(aim, value, step, expected) -> None:
    assert safely(aim, value, step) == pytest.approx(expected, abs=1e-9)


def test_more_is_better_for_removal_and_speed_and_less_for_loss_and_size() -> None:
    assert Wish(Aim.SPEED, 2).is_reached(2.1)
    assert not Wish(Aim.SPEED, 2).is_reached(1.9)
    assert Wish(Aim.LOSS, 1).is_reached(0.9)
    assert not Wish(Aim.LOSS, 1).is_reached(1.1)
    assert Wish(Aim.SIZE, 50).is_reached(50)


def test_the_dense_model_is_nothing_to_ask_for() -> None:
    assert Wish(Aim.SPEED, 1).is_nothing
    assert Wish(Aim.SIZE, 100).is_nothing
    assert not Wish(Aim.LOSS, 0.1).is_nothing


def test_losses_are_points_or_per_cent() -> None:
    assert loss_in_units("image", 0.012) == pytest.approx(1.2)
    assert loss_in_units("text", math.log(1.05)) == pytest.approx(5)


def test_a_scale_grows_to_hold_a_value_and_never_shrinks() -> None:
    scale = Scale(1.0, 3.0, 0.05)
    assert scale.holding(10.0) == Scale(1.0, 10.0, 0.05)
    assert scale.holding(2.0) == scale
