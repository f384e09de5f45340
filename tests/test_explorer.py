"""What-if answers: exact sizes, budgets that are kept, and honest refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osscar_core.errors import SpecError
from osscar_core.estimates import MeasuredPoint
from osscar_core.evaluation.size import count_flops, count_parameters
from osscar_core.explorer import Explorer, UnreachableGoal, WhatIf, _outward
from osscar_core.goals import TIMED, Budget, Goal, GoalKind
from osscar_core.models import LoadedModel, state_bytes
from osscar_core.pricing import cost_model
from osscar_core.pruner import prune_
from osscar_core.records import Intercept, Method, Structure
from osscar_core.widths import caps, least_kept, uniform_widths
from surveyed import CPU, Surveyed, latencies, widths_of

K = GoalKind
Get = Callable[[str], Surveyed]
NAMES = ("resnet-bottleneck", "opt", "llama")
GOALS = (
    Goal(K.REMOVED, 0.0),
    Goal(K.REMOVED, 0.4),
    Goal(K.PARAMETERS, 0.8),
    Goal(K.BYTES, 0.8),
    Goal(K.FLOPS, 0.8),
    Goal(K.SPEEDUP, 1.3),
    Goal(K.SPEEDUP, 1.0),
    Goal(K.LATENCY, 4.5),
    Goal(K.QUALITY_LOSS, 0.01),
    Goal(K.QUALITY_LOSS, 0.3),
)


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest, surveyed: Get) -> Surveyed:
    return surveyed(request.param)


def explorer(case: Surveyed, **changes: Any) -> Explorer:
    spec = case.request(**{"budget": Budget.LOSS_WEIGHTED, **changes})
    return Explorer.of(case.fresh_survey().brief(), spec, table=latencies(case.model))


def cut(case: Surveyed, answer: WhatIf) -> LoadedModel:
    """Really prune to the widths of an answer."""
    small = case.copy()
    case.survey.apply_(small, answer.widths, CPU)
    return small


def is_within(goal: Goal, answer: WhatIf, model: LoadedModel) -> bool:
    """Whether an answer keeps what its goal asks for, by measures that share no code."""
    match goal.kind:
        case K.REMOVED:
            return answer.removed >= goal.value - 1e-9
        case K.PARAMETERS:
            dense: float = count_parameters(model.module)
            return answer.parameters <= goal.absolute(dense) * (1 + 1e-9)
        case K.BYTES:
            return answer.bytes <= goal.absolute(state_bytes(model.module, model.dtype))
        case K.FLOPS:
            return answer.flops <= goal.absolute(count_flops(model)[0]) * (1 + 1e-9)
        case K.SPEEDUP:
            return answer.speedup is not None and answer.speedup >= goal.value * (1 - 1e-9)
        case K.LATENCY:
            return answer.latency_ms is not None and answer.latency_ms <= goal.value * (1 + 1e-9)
        case _:
            limit = math.log1p(goal.value) if model.task == "text" else goal.value
            return answer.quality is not None and answer.quality.median <= limit * (1 + 1e-6)


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize("goal", GOALS, ids=Goal.describe)
def test_answers_are_exact_and_within_the_goal(case: Surveyed, goal: Goal, budget: Budget) -> None:
    answer = explorer(case, budget=budget).what_if(goal)
    assert answer.goal == goal
    assert answer.widths.keys() == widths_of(case.model).keys()
    small = cut(case, answer)
    assert widths_of(small) == answer.widths
    assert answer.parameters == count_parameters(small.module)
    assert answer.bytes == state_bytes(small.module, small.dtype)
    if goal.kind in (K.REMOVED, K.FLOPS):  # counting takes longer than all else here
        assert answer.flops == count_flops(small)[0]
    table = latencies(case.model)
    assert answer.latency_ms == table.model_ms(answer.widths)
    assert answer.speedup == table.dense_ms / table.model_ms(answer.widths)
    assert is_within(goal, answer, case.model)
    if budget is Budget.LOSS_WEIGHTED:
        assert answer.bound <= answer.predicted + 1e-12
    curves = case.survey.curves()
    total = sum(float(curves[name].at(width)) for name, width in answer.widths.items())
    assert answer.predicted == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize(
    "goal",
    [
        Goal(K.REMOVED, 0.0), Goal(K.PARAMETERS, 1.0), Goal(K.BYTES, 1.0), Goal(K.FLOPS, 1.0),
        Goal(K.SPEEDUP, 1.0), Goal(K.PARAMETERS, 1e12), Goal(K.LATENCY, 1e3),
    ],
    ids=Goal.describe,
)  # fmt: skip
@pytest.mark.parametrize("intercept", [Intercept.AUTO, Intercept.ON])
def test_what_asks_for_nothing_is_the_dense_model(
    case: Surveyed, goal: Goal, budget: Budget, intercept: Intercept
) -> None:
    answer = explorer(case, budget=budget, intercept=intercept).what_if(goal)
    assert answer.widths == widths_of(case.model)
    assert answer.removed == 0
    assert answer.parameters == count_parameters(case.model.module)
    assert answer.predicted == 0
    assert answer.quality is not None
    assert answer.quality.median == 0


@pytest.mark.parametrize("kind", [K.REMOVED, K.PARAMETERS, K.BYTES, K.FLOPS, K.SPEEDUP])
def test_a_goal_that_asks_for_more_removes_more(case: Surveyed, kind: GoalKind) -> None:
    values = {K.REMOVED: (0.1, 0.3, 0.5), K.SPEEDUP: (1.1, 1.3, 1.5)}.get(kind, (0.95, 0.9, 0.8))
    answers = [explorer(case).what_if(Goal(kind, value)) for value in values]
    predicted = [answer.predicted for answer in answers]
    assert predicted == sorted(predicted)
    assert predicted[0] < predicted[-1]


def test_weighted_is_predicted_no_worse_than_uniform(case: Surveyed) -> None:
    """Both are offered the same multiples, so that uniform widths compete on equal terms."""
    for removed in (0.25, 0.5):
        uniform = explorer(case, budget=Budget.UNIFORM).what_if(Goal(K.REMOVED, removed))
        weighted = explorer(case).what_if(Goal(K.REMOVED, uniform.removed))
        assert weighted.predicted <= uniform.predicted * (1 + 1e-9)


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_a_uniform_goal_is_plain_sparsity(surveyed: Get, sparsity: float) -> None:
    for name in ("opt", "resnet-bottleneck", "cifar-resnet20"):  # all groups divide by four
        case = surveyed(name)
        answer = explorer(case, budget=Budget.UNIFORM).what_if(Goal(K.REMOVED, sparsity))
        units = case.model.adapter.units(case.model.module)
        assert answer.widths == uniform_widths(units, sparsity, dict.fromkeys(answer.widths, 1.0))
        assert answer.removed == pytest.approx(sparsity)


@pytest.mark.parametrize("budget", list(Budget))
def test_caps_protection_and_rounding_hold(surveyed: Get, budget: Budget) -> None:
    case = surveyed("opt")
    limits = (("model.decoder.layers.0.*", 0.5), ("model.decoder.layers.1.self_attn.*", 0.0))
    found = explorer(case, budget=budget, caps=limits, round_to=4)
    units = case.model.adapter.units(case.model.module)
    most = caps(case.request(caps=limits), units)
    for goal in (Goal(K.REMOVED, 0.2), Goal(K.PARAMETERS, 0.95), Goal(K.QUALITY_LOSS, 0.5)):
        answer = found.what_if(goal)
        for unit in units:
            width = answer.widths[unit.name]
            assert width >= least_kept(unit.groups, most[unit.name])
            assert width == unit.groups or width % min(4, unit.groups) == 0
        assert answer.widths["model.decoder.layers.1.self_attn.out_proj"] == 4


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize("goal", [g for g in GOALS if g.kind not in TIMED], ids=Goal.describe)
def test_only_chosen_structures_are_touched(surveyed: Get, goal: Goal, budget: Budget) -> None:
    case = surveyed("llama")
    found = explorer(case, budget=budget, structures=(Structure.NEURONS,))
    if goal.kind in (K.PARAMETERS, K.BYTES):
        goal = Goal(goal.kind, 0.9)
    answer = found.what_if(goal)
    assert all(name.endswith("down_proj") for name in answer.widths)
    small = cut(case, answer)
    assert answer.parameters == count_parameters(small.module)
    assert answer.flops == count_flops(small)[0]
    assert is_within(goal, answer, case.model)
    kept = [answer.widths[name] / 40 for name in answer.widths]
    assert answer.removed == pytest.approx(1 - sum(kept) / len(kept))  # of the neurons alone


@pytest.mark.parametrize("kind", [K.REMOVED, K.PARAMETERS, K.BYTES, K.FLOPS, K.SPEEDUP])
@pytest.mark.parametrize("chosen", [(Structure.NEURONS,), (Structure.HEADS,)])
def test_prices_and_their_fixed_part_add_up(
    surveyed: Get, kind: GoalKind, chosen: tuple[Structure, ...]
) -> None:
    case = surveyed("llama")
    found = explorer(case, structures=chosen)
    goal = Goal(kind, {K.REMOVED: 0.3, K.SPEEDUP: 1.1}.get(kind, 0.95))
    allocation = found.choose(goal)
    costs, widths = cost_model(case.model), allocation.widths
    expected = {
        K.REMOVED: 1 - costs.removed(widths),
        K.PARAMETERS: costs.parameters(widths),
        K.BYTES: costs.bytes(widths) - costs.header_bytes(widths),
        K.FLOPS: costs.flops(widths),
        K.SPEEDUP: latencies(case.model).model_ms(widths),
    }[kind]
    assert allocation.price == pytest.approx(expected, rel=1e-12)


# --- biases that a re-fit adds --------------------------------------------------------------


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize(
    ("name", "intercept", "method"),
    [
        ("llama", Intercept.ON, Method.OSSCAR),
        ("llama", Intercept.AUTO, Method.FLAP),
        ("llama", Intercept.ON, Method.MAGNITUDE),
        ("opt-no-bias", Intercept.ON, Method.OSSCAR),
        ("resnet-bottleneck", Intercept.ON, Method.OSSCAR),
    ],
)
@pytest.mark.parametrize("kind", [K.PARAMETERS, K.BYTES])
def test_new_biases_are_foreseen(
    surveyed: Get, name: str, intercept: Intercept, method: Method, kind: GoalKind, budget: Budget
) -> None:
    case = surveyed(name)
    spec = case.request(intercept=intercept, method=method, budget=budget, goal=Goal(kind, 0.85))
    answer = Explorer.of(case.survey.brief(), spec).what_if(Goal(kind, 0.85))
    small = case.copy()
    report = prune_(small, spec, survey=case.fresh_survey())
    assert report.goal is not None
    assert report.goal.is_met
    assert {unit.name: unit.kept for unit in report.units} == answer.widths
    assert answer.parameters == report.parameters.pruned == count_parameters(small.module)
    assert answer.bytes == report.bytes.pruned


# --- what cannot be reached -----------------------------------------------------------------


@pytest.mark.parametrize("budget", list(Budget))
@pytest.mark.parametrize(
    "goal",
    [
        Goal(K.REMOVED, 0.999), Goal(K.PARAMETERS, 0.001), Goal(K.PARAMETERS, 100.0),
        Goal(K.BYTES, 0.001), Goal(K.BYTES, 1000.0), Goal(K.FLOPS, 0.001), Goal(K.FLOPS, 100.0),
        Goal(K.SPEEDUP, 100.0), Goal(K.LATENCY, 0.1),
    ],
    ids=Goal.describe,
)  # fmt: skip
@pytest.mark.parametrize(
    "changes",
    [{}, {"caps": (("*", 0.4),)}, {"round_to": 8}, {"intercept": Intercept.ON}],
    ids=["plain", "capped", "rounded", "biased"],
)
def test_proposals_beside_an_unreachable_goal_are_reachable(
    case: Surveyed, goal: Goal, budget: Budget, changes: dict[str, Any]
) -> None:
    found = explorer(case, budget=budget, **changes)
    with pytest.raises(UnreachableGoal, match="cannot be reached within these limits") as caught:
        found.what_if(goal)
    error = caught.value
    assert error.goal == goal
    assert len(error.nearest) == 2
    is_rising = goal.kind in (K.REMOVED, K.SPEEDUP)
    farther, nearer = (each.value for each in error.nearest)
    assert farther >= nearer if is_rising else farther <= nearer
    for each in error.nearest:
        assert each.kind is goal.kind
        again = Goal.parse(each.describe())  # as somebody would type it
        assert again == each
        assert each.describe() in str(error)
        answer = found.what_if(again)
        assert is_within(again, answer, case.model)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from([K.REMOVED, K.PARAMETERS, K.BYTES, K.FLOPS, K.SPEEDUP, K.LATENCY]),
    share=st.floats(0.01, 0.99),
    cap=st.floats(0.0, 1.0),
    multiple=st.integers(1, 9),
    budget=st.sampled_from(list(Budget)),
)
def test_every_goal_is_reached_or_has_reachable_neighbours(
    surveyed: Get, kind: GoalKind, share: float, cap: float, multiple: int, budget: Budget
) -> None:
    case = surveyed("llama")
    found = explorer(case, budget=budget, caps=(("*", cap),), round_to=multiple)
    value = {K.SPEEDUP: 1 / share, K.LATENCY: 5 * share}.get(kind, share)
    goal = Goal(kind, value)
    try:
        assert is_within(goal, found.what_if(goal), case.model)
    except UnreachableGoal as error:
        for each in error.nearest:
            assert is_within(each, found.what_if(Goal.parse(each.describe())), case.model)


def test_where_nothing_may_be_removed_the_dense_model_is_proposed(surveyed: Get) -> None:
    case = surveyed("opt")
    for budget in Budget:
        found = explorer(case, budget=budget, caps=(("*", 0.0),))
        with pytest.raises(UnreachableGoal, match=r"Ask for parameters=1, or lift caps"):
            found.what_if(Goal(K.PARAMETERS, 0.9))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (K.REMOVED, 0.87659, 0.876),
        (K.REMOVED, 0.5, 0.5),
        (K.REMOVED, -1e-17, 0.0),
        (K.PARAMETERS, 0.1234, 0.124),
        (K.PARAMETERS, 0.7, 0.7),
        (K.PARAMETERS, 134_515_008.0, 135_000_000.0),
        (K.BYTES, 1.0, 1.0),
        (K.SPEEDUP, 1.2345, 1.23),
        (K.SPEEDUP, 1.0000001, 1.0),
        (K.LATENCY, 15.01, 15.1),
    ],
)
def test_proposals_are_rounded_to_the_side_that_is_reachable(
    kind: GoalKind, value: float, expected: float
) -> None:
    assert _outward(kind, value) == expected


# --- what has to be there -------------------------------------------------------------------


def plain(case: Surveyed, budget: Budget, **given: Any) -> Explorer:
    units = case.model.adapter.units(case.model.module)
    spec = case.request(budget=budget)
    return Explorer(cost_model(case.model), spec, units, task=case.model.task, **given)


def test_a_uniform_budget_needs_no_survey_for_sizes(case: Surveyed) -> None:
    answer = plain(case, Budget.UNIFORM).what_if(Goal(K.FLOPS, 0.8))
    assert answer.quality is None
    assert answer.speedup is answer.latency_ms is None
    assert math.isnan(answer.predicted)
    assert answer.widths == explorer(case, budget=Budget.UNIFORM).what_if(answer.goal).widths


def test_what_is_missing_is_said(case: Surveyed) -> None:
    with pytest.raises(SpecError, match="a loss-weighted budget needs a survey"):
        plain(case, Budget.LOSS_WEIGHTED)
    with pytest.raises(SpecError, match="a goal of quality needs a survey"):
        plain(case, Budget.UNIFORM).what_if(Goal(K.QUALITY_LOSS, 0.01))
    for goal in (Goal(K.SPEEDUP, 1.5), Goal(K.LATENCY, 3.0)):
        with pytest.raises(SpecError, match="a goal of speed needs latencies"):
            plain(case, Budget.UNIFORM).what_if(goal)


def test_structures_that_were_not_surveyed_are_refused(surveyed: Get) -> None:
    case = surveyed("resnet-bottleneck")
    with pytest.raises(SpecError, match=r"says nothing of heads.*It covers channels"):
        explorer(case, structures=(Structure.HEADS,))


def test_a_uniform_budget_may_go_below_what_was_measured(surveyed: Get) -> None:
    """Quality is then that of the smallest measured widths, and no goal of quality leads there."""
    case = surveyed("opt")
    found = explorer(case, budget=Budget.UNIFORM)
    answer = found.what_if(Goal(K.REMOVED, 0.84))
    assert min(answer.widths.values()) == 1
    measured = {name: max(1, round(groups / 16)) for name, groups in widths_of(case.model).items()}
    assert answer.predicted == found.predicted(measured)
    most = found.what_if(Goal(K.QUALITY_LOSS, 1e9))
    assert most.widths["model.decoder.layers.0.fc2"] == 3  # the smallest that was measured


def test_quality_follows_what_was_measured(surveyed: Get) -> None:
    """On text a goal is a rise of perplexity, and what is known of it is in logarithms."""
    for name in ("opt", "resnet-bottleneck"):
        case = surveyed(name)
        survey = case.fresh_survey()
        spec = case.request(budget=Budget.LOSS_WEIGHTED)
        for predicted in (0.02, 0.05, 0.1, 0.2):
            survey.add(MeasuredPoint(predicted, 0.5 * predicted, 1e-5))
        found = Explorer.of(survey.brief(), spec)
        answer = found.what_if(Goal(K.QUALITY_LOSS, 0.05))
        allowed = math.log1p(0.05) if case.model.task == "text" else 0.05
        assert answer.predicted <= 2 * allowed * 1.15
        assert answer.predicted >= 2 * allowed * 0.5
        assert answer.quality is not None
        assert answer.quality.low <= answer.quality.median <= answer.quality.high
        # Points of deployed models say nothing of whole runs.
        other = Explorer.of(survey.brief(), spec, is_deployed=True)
        assert other.quality is not None
        assert other.quality.points == ()


def test_a_correction_scales_what_may_be_spent(surveyed: Get) -> None:
    found = explorer(surveyed("opt"))
    loose, exact, tight = (found.choose(Goal(K.LATENCY, 4.0), f) for f in (1.1, 1.0, 0.9))
    # So small a model has few fast shapes, so the prices need not come near the limits.
    assert tight.price <= 3.6
    assert exact.price <= 4.0
    assert loose.price <= 4.4
    assert loose.loss <= exact.loss <= tight.loss


# --- neighbours of a width ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "width", "expected"),
    [
        ({}, 24, (21, 24, 27)),
        ({}, 48, (45, 48)),
        ({}, 1, (1, 4)),
        ({}, 2, (1, 2, 5)),
        ({"round_to": 8}, 24, (16, 24, 32)),
        ({"round_to": 8}, 8, (8, 16)),
        ({"round_to": 32}, 32, (32, 48)),
        ({"caps": (("neurons", 0.5),)}, 25, (24, 25, 28)),
        ({"caps": (("neurons", 0.5),)}, 24, (24, 27)),
        ({"caps": (("neurons", 0.0),)}, 48, (48,)),
    ],
)
def test_neighbours_keep_the_limits(
    surveyed: Get, changes: dict[str, Any], width: int, expected: tuple[int, ...]
) -> None:
    found = explorer(surveyed("opt"), **changes)
    assert found.neighbours("model.decoder.layers.0.fc2", width) == expected
