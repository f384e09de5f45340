"""Goals: what people may write, what that means, and what is refused in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osscar_core.errors import SpecError
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.records import PruneSpec, from_json, to_json

K = GoalKind


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("removed=0.5", K.REMOVED, 0.5),
        ("removed=50%", K.REMOVED, 0.5),
        ("removed=0", K.REMOVED, 0.0),
        ("parameters=0.6", K.PARAMETERS, 0.6),
        ("parameters=60%", K.PARAMETERS, 0.6),
        ("parameters=100%", K.PARAMETERS, 1.0),
        ("parameters=80k", K.PARAMETERS, 80e3),
        ("parameters=80M", K.PARAMETERS, 80e6),
        ("parameters=1.3G", K.PARAMETERS, 1.3e9),
        ("parameters=134515008", K.PARAMETERS, 134515008),
        ("bytes=50MB", K.BYTES, 50e6),
        ("bytes=50M", K.BYTES, 50e6),
        ("bytes=50 mb", K.BYTES, 50e6),
        ("bytes=700B", K.BYTES, 700),
        ("bytes=2KiB", K.BYTES, 2048),
        ("bytes=1.5MiB", K.BYTES, 1.5 * 2**20),
        ("bytes=8GiB", K.BYTES, 8 * 2**30),
        ("bytes=1TiB", K.BYTES, 2**40),
        ("bytes=8GB", K.BYTES, 8e9),
        ("bytes=.25", K.BYTES, 0.25),
        ("flops=0.5", K.FLOPS, 0.5),
        ("flops=2T", K.FLOPS, 2e12),
        ("flops=1e9", K.FLOPS, 1e9),
        ("speedup=2", K.SPEEDUP, 2.0),
        ("speedup=1.5x", K.SPEEDUP, 1.5),
        ("speedup = 2X", K.SPEEDUP, 2.0),
        ("latency=15ms", K.LATENCY, 15.0),
        ("latency=15", K.LATENCY, 15.0),
        ("latency=1.5s", K.LATENCY, 1500.0),
        ("quality_loss=0.01", K.QUALITY_LOSS, 0.01),
        ("quality-loss=1%", K.QUALITY_LOSS, 0.01),
        ("Quality_Loss=2", K.QUALITY_LOSS, 2.0),
    ],
)
def test_every_kind_and_unit_is_read(text: str, kind: GoalKind, value: float) -> None:
    goal = Goal.parse(text)
    assert goal.kind is kind
    assert goal.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", r"'2' is no goal.*KIND=VALUE"),
        ("", r"'' is no goal"),
        ("speed=2", r"unknown goal 'speed'.*speedup"),
        ("speedup=fast", r"'fast' is no value of the goal speedup.*speedup=2"),
        ("speedup=", r"'' is no value"),
        ("speedup=-2", r"'-2' is no value"),
        ("speedup=nan", r"'nan' is no value"),
        ("speedup=2ms", r"speedup has no unit 'ms'"),
        ("speedup=200%", r"speedup has no unit '%'"),
        ("speedup=0.9", r"speedup is 0\.9.*at least 1"),
        ("latency=15x", r"latency has no unit 'x'.*latency=15ms"),
        ("latency=5m", r"latency has no unit 'm'"),
        ("latency=0", r"latency is 0.*above 0"),
        ("parameters=60MB", r"parameters has no unit 'MB'"),
        ("flops=2B", r"flops has no unit 'B'"),
        ("flops=0", r"flops is 0.*above 0, such as flops=0\.5"),
        ("parameters=150%", r"'150%' of the dense model is more than all of it"),
        ("bytes=101%", r"more than all of it"),
        ("removed=1", r"removed is 1.*in \[0, 1\)"),
        ("removed=120%", r"removed is 1\.2.*in \[0, 1\)"),
        ("removed=5k", r"removed has no unit 'k'"),
        ("quality_loss=0", r"quality_loss is 0.*above 0"),
    ],
)
def test_what_is_no_goal_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Goal.parse(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True])
@pytest.mark.parametrize("kind", list(GoalKind))
def test_a_value_is_a_finite_number(kind: GoalKind, value: float) -> None:
    with pytest.raises(SpecError, match="Give a finite number"):
        Goal(kind, value)


@given(
    st.sampled_from([K.PARAMETERS, K.BYTES, K.FLOPS]),
    st.integers(min_value=2, max_value=10**12 - 1),
)
def test_a_described_number_is_read_back_exactly(kind: GoalKind, value: int) -> None:
    """Goals that a message proposes have to mean what was computed."""
    assert Goal.parse(Goal(kind, float(value)).describe()) == Goal(kind, float(value))


def test_a_size_is_a_share_up_to_1_and_a_number_above() -> None:
    assert Goal(K.PARAMETERS, 0.25).absolute(1000) == 250
    assert Goal(K.PARAMETERS, 1.0).absolute(1000) == 1000
    assert Goal(K.PARAMETERS, 250.0).absolute(1000) == 250


@pytest.mark.parametrize("kind", list(GoalKind))
@pytest.mark.parametrize("budget", [None, *Budget])
def test_a_request_with_a_goal_survives_json(kind: GoalKind, budget: Budget | None) -> None:
    value = {K.SPEEDUP: 2.0, K.BYTES: 5e7}.get(kind, 0.5)
    spec = PruneSpec(
        "m", "text:a", goal=Goal(kind, value), budget=budget, caps=(("heads", 0.0), ("*.1", 0.5))
    )
    assert from_json(PruneSpec, to_json(spec)) == spec
    assert spec.is_weighted is (budget is not Budget.UNIFORM)


def test_a_goal_excludes_a_sparsity_and_exchanges_need_a_weighted_budget() -> None:
    with pytest.raises(SpecError, match=r"sparsity is 0\.5 beside the goal speedup=2"):
        PruneSpec("m", "text:a", 0.5, goal=Goal(K.SPEEDUP, 2.0))
    with pytest.raises(SpecError, match="refine is 2, and a uniform budget"):
        PruneSpec("m", "text:a", 0.5, refine=2)
    with pytest.raises(SpecError, match="the cap of heads is 2"):
        PruneSpec("m", "text:a", 0.5, caps=(("heads", 2.0),))
