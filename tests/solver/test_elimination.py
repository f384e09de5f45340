from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osscar_core.errors import NumericalError, SpecError
from osscar_core.solver import Constraints, LayerProblem, eliminate, objective
from osscar_core.solver.baselines import eliminate_naively
from osscar_core.solver.elimination import PlainSteps, State

SHAPES = [(24, 1), (11, 3), (7, 9)]
# Features gathered before a flush: flush at every step, often, never.
PANELS = [1, 7, 10, 18, 128]


@pytest.mark.parametrize(("groups", "width"), SHAPES)
@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_the_naive_elimination(make_case, groups, width, panel, intercept):
    problem = make_case(groups, width, weighted=True, intercept=intercept, seed=groups).problem
    path = eliminate(problem, 1, panel=panel)
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


def test_many_flushes_of_full_panels(make_case):
    problem = make_case(300, outputs=4).problem
    path = eliminate(problem, 10, panel=16)
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
    state = State(make_case(8, width).problem, 128, torch.device("cpu"))
    steps = PlainSteps(state)
    steps.run(1)
    place = int(state.alive.nonzero()[-1])
    state.blocks[0, place].neg_()
    with pytest.raises(NumericalError, match="Raise the damping"):
        steps.run(7)


@pytest.mark.parametrize(("groups", "width"), SHAPES)
@pytest.mark.parametrize("panel", PANELS)
def test_the_state_is_that_of_the_groups_left(make_case, groups, width, panel):
    """After a flush P and M are those of a fresh start with the survivors alone."""
    problem = make_case(groups, width, weighted=True).problem
    state = State(problem, panel, torch.device("cpu"))
    PlainSteps(state).run(groups // 2)
    state.flush()
    left = state.ids[: state.active]
    assert sorted(left.tolist()) == sorted(
        set(range(groups)) - set(state.order[: state.done].tolist())
    )
    S = problem.feature_index(left)
    P = torch.linalg.inv(problem.H[S[:, None], S])
    W = P @ problem.weighted(problem.G[S])
    n = S.numel()
    torch.testing.assert_close(state.P[:n, :n].tril(), P.tril(), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(state.M[:n, :n].tril(), (W @ W.T).tril(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("groups", "width"), SHAPES)
def test_forced_groups_go_first_and_protected_ones_never(make_case, groups, width):
    problem = make_case(groups, width, seed=3).problem
    free = eliminate(problem, 1).order.tolist()
    first_to_go, last = free[0], free[-2:]
    limits = Constraints(protected=(first_to_go,), forced=tuple(last))
    path = eliminate(problem, 1, constraints=limits, panel=3 * width)
    order = path.order.tolist()
    assert set(order[:2]) == set(last)
    assert path.support(1).tolist() == [first_to_go]
    assert path.forced == 2
    assert path.most == groups - 2
    naive, rises = eliminate_naively(problem, 1, constraints=limits)
    assert order == naive.tolist()
    torch.testing.assert_close(path.costs, path.initial + rises.cumsum(0), rtol=1e-10, atol=1e-12)
    with pytest.raises(SpecError, match=f"1 to {groups - 2} groups"):
        path.support(groups - 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("groups", "width"), SHAPES)
@pytest.mark.parametrize("fused", [False, None])
def test_the_gpu_agrees(make_case, groups, width, fused):
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
    path, expected = eliminate(problem, 1, panel=4, fused=fused), eliminate(case.problem, 1)
    assert path.order.tolist() == expected.order.tolist()
    torch.testing.assert_close(path.costs.cpu(), expected.costs, rtol=1e-9, atol=1e-11)
    from_host = eliminate(case.problem, 1, device=torch.device("cuda"), fused=fused)
    assert from_host.order.device.type == "cpu"
    assert from_host.order.equal(expected.order)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("groups", "width"), [(1500, 1), (700, 9), (300, 25)])
def test_graphs_of_full_panels_agree_with_plain_steps(make_case, groups, width):
    """Long enough for captured panels, a partly used last one, and a second search."""
    problem = make_case(groups, width, rows=groups * width // 2, outputs=16, weighted=True).problem
    cuda = torch.device("cuda")
    keep = groups - max(256, groups // 2) - 3
    fused = eliminate(problem, keep, device=cuda)
    plain = eliminate(problem, keep, device=cuda, fused=False)
    assert fused.order.equal(plain.order)
    torch.testing.assert_close(fused.costs, plain.costs, rtol=1e-9, atol=1e-11)
    again = eliminate(problem, keep, device=cuda)
    assert again.order.equal(fused.order)
    assert again.costs.equal(fused.costs)
