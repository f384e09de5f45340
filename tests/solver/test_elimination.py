from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.errors import NumericalError, SpecError
from osscar_core.solver import LayerProblem, eliminate, objective
from osscar_core.solver.baselines import eliminate_naively
from osscar_core.solver.elimination import _State

SHAPES = [(24, 1), (11, 3), (7, 9)]
# (panel, compact_below): flush at every step, often, never; always compact, never, default.
SCHEDULES = [(1, 1.1), (1, 0.0), (7, 0.9), (10, 0.7), (128, 0.9)]


@pytest.mark.parametrize(("groups", "width"), SHAPES)
@pytest.mark.parametrize(("panel", "compact_below"), SCHEDULES)
@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_the_naive_elimination(make_case, groups, width, panel, compact_below, intercept):
    problem = make_case(groups, width, weighted=True, intercept=intercept, seed=groups).problem
    path = eliminate(problem, 1, panel=panel, compact_below=compact_below)
    order, rises = eliminate_naively(problem, 1)
    assert path.order.tolist() == order.tolist()
    torch.testing.assert_close(path.costs, path.initial + rises.cumsum(0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("groups", "width"), SHAPES)
def test_costs_are_the_objective_at_every_width(make_case, groups, width):
    problem = make_case(groups, width, weighted=True, rows=10).problem
    path = eliminate(problem, 1, panel=2 * width)
    for keep in range(1, groups + 1):
        support = path.support(keep)
        assert support.numel() == keep
        assert path.cost(keep) == pytest.approx(objective(problem, support), rel=1e-9)


def test_many_flushes_and_compactions_at_full_panels(make_case):
    problem = make_case(300, outputs=4).problem
    path = eliminate(problem, 10, panel=16, compact_below=0.95)
    order, _ = eliminate_naively(problem, 10)
    assert path.order.equal(order)
    assert path.cost(10) == pytest.approx(objective(problem, path.support(10)), rel=1e-10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    groups=st.integers(2, 12),
    width=st.integers(1, 4),
    outputs=st.integers(1, 5),
    rows=st.integers(1, 30),
    panel=st.integers(1, 9),
    seed=st.integers(0, 10**6),
)
def test_each_removal_is_the_cheapest_there_is(
    make_case, groups, width, outputs, rows, panel, seed
):
    problem = make_case(groups, width, outputs=outputs, rows=rows, seed=seed).problem
    path = eliminate(problem, 1, panel=panel)
    scale = abs(path.initial)
    for keep in range(groups - 1, 0, -1):
        before = path.support(keep + 1)
        cheapest = min(objective(problem, before[before != j]) for j in before)
        assert path.cost(keep) <= cheapest + 1e-9 * scale
        assert path.cost(keep) >= path.cost(keep + 1)


def test_it_is_nested(make_case):
    problem = make_case(12, 2).problem
    whole, part = eliminate(problem, 1), eliminate(problem, 5)
    assert part.order.equal(whole.order[:7])
    assert part.costs.equal(whole.costs[:7])
    for keep in range(1, 12):
        assert set(whole.support(keep).tolist()) < set(whole.support(keep + 1).tolist())


def test_ties_go_to_the_lowest_index(make_statistics):
    X = torch.eye(6, dtype=torch.float64)
    W0 = torch.ones(6, 2, dtype=torch.float64)
    problem = LayerProblem.build(make_statistics(X, X @ W0), W0, 6, damping=0.1, intercept=False)
    assert eliminate(problem, 2, panel=2).order.tolist() == [0, 1, 2, 3]


def test_keeping_everything_removes_nothing(make_case):
    problem = make_case(5, 2).problem
    path = eliminate(problem, 5)
    assert path.order.numel() == 0
    assert path.support(5).tolist() == [0, 1, 2, 3, 4]
    assert path.cost(5) == pytest.approx(objective(problem, path.support(5)), rel=1e-12)


@pytest.mark.parametrize("keep", [0, -1, 6, 2.5, True])
def test_keep_must_be_a_number_of_groups(make_case, keep):
    with pytest.raises(SpecError, match=r"whole number in \[1, 5\]"):
        eliminate(make_case(5).problem, keep)


@pytest.mark.parametrize("keep", [2, 6])
def test_a_path_ends_where_it_ends(make_case, keep):
    with pytest.raises(SpecError, match="3 to 5 groups"):
        eliminate(make_case(5).problem, 3).support(keep)


@pytest.mark.parametrize("width", [1, 2])
def test_a_singular_hessian_is_refused(make_case, width):
    problem = make_case(6, width, rows=4, damping=0.0).problem
    with pytest.raises(NumericalError, match="Raise the damping"):
        eliminate(problem, 3)


@pytest.mark.parametrize("width", [1, 2])
def test_a_block_that_stops_being_positive_is_reported(make_case, width):
    state = _State(make_case(8, width).problem, 128, 0.9)
    state.remove_cheapest()
    state.check()
    state._blocks_P[5].neg_()
    state.remove_cheapest()
    with pytest.raises(NumericalError, match="Raise the damping"):
        state.check()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("groups", "width"), SHAPES)
def test_the_gpu_agrees(make_case, groups, width):
    case = make_case(groups, width)
    raw = case.problem.statistics
    moved = dataclasses.replace(
        raw,
        **{
            f.name: getattr(raw, f.name).cuda()
            for f in dataclasses.fields(raw)
            if f.name != "count"
        },
    )
    problem = LayerProblem.build(moved, case.W0, groups, damping=1e-2, intercept=False)
    path, expected = eliminate(problem, 1, panel=4), eliminate(case.problem, 1)
    assert path.order.tolist() == expected.order.tolist()
    torch.testing.assert_close(path.costs.cpu(), expected.costs, rtol=1e-9, atol=1e-11)
