from __future__ import annotations

import pytest
import torch

from osscar_core.errors import NumericalError
from osscar_core.records import Method
from osscar_core.solver import baselines, eliminate, objective, solve
from osscar_core.solver.baselines import (
    eliminate_naively,
    flap_scores,
    highest,
    magnitude_scores,
    paper_batch,
    random_scores,
    wanda_scores,
)


def by_loops(case, value):
    """Sum ``value(feature, output)`` over each group, the slow and obvious way."""
    problem = case.problem
    return torch.tensor(
        [
            sum(
                float(value(i, j))
                for i in range(g * problem.width, (g + 1) * problem.width)
                for j in range(case.W0.shape[1])
            )
            for g in range(problem.groups)
        ],
        dtype=torch.float64,
    )


@pytest.mark.parametrize("width", [1, 3])
def test_scores_are_their_definitions(make_case, width):
    case = make_case(5, width)
    norm = case.X.square().mean(0).sqrt()
    variance = case.X.var(0, correction=0)
    expected = by_loops(case, lambda i, j: case.W0[i, j] ** 2)
    torch.testing.assert_close(magnitude_scores(case.problem), expected)
    expected = by_loops(case, lambda i, j: case.W0[i, j].abs() * norm[i])
    torch.testing.assert_close(wanda_scores(case.problem), expected)
    expected = by_loops(case, lambda i, j: variance[i] * case.W0[i, j] ** 2)
    torch.testing.assert_close(flap_scores(case.problem), expected)


def test_highest_breaks_ties_by_index():
    assert highest(torch.tensor([1.0, 3.0, 3.0, 0.0, 3.0]), 2).tolist() == [1, 2]
    assert highest(torch.tensor([1.0, 3.0, 2.0]), 2).tolist() == [1, 2]


def test_random_depends_on_its_seed_only(make_case):
    problem = make_case(40).problem
    draws = [highest(random_scores(problem, seed), 20).tolist() for seed in range(5)]
    assert draws[0] == highest(random_scores(make_case(40, seed=9).problem, 0), 20).tolist()
    assert len({tuple(draw) for draw in draws}) == 5
    assert all(draw == sorted(set(draw)) and len(draw) == 20 for draw in draws)


def test_flap_restores_the_mean_output(make_case):
    case = make_case(6, 2)
    solution = solve(case.problem, 3, Method.FLAP)
    kept = case.problem.feature_index(solution.support)
    output = case.X[:, kept] @ solution.W + solution.bias_change
    torch.testing.assert_close(output.mean(0), (case.X @ case.W0).mean(0))
    assert solution.W.equal(case.W0[kept])


def test_flap_prefers_to_remove_what_never_varies(make_case):
    def constant(X, W0):
        X[:, 2] = 5.0
        W0[2] = 10.0

    case = make_case(6, change=constant)
    assert 2 not in solve(case.problem, 5, Method.FLAP).support
    assert 2 in solve(case.problem, 1, Method.WANDA).support


@pytest.mark.parametrize(
    ("groups", "batch"), [(1, 1), (63, 1), (127, 1), (128, 2), (640, 10), (4096, 10)]
)
def test_the_paper_removes_a_few_groups_at_once(groups, batch):
    assert paper_batch(groups) == batch


@pytest.mark.parametrize("width", [1, 2])
def test_removing_several_at_once_tracks_the_objective(make_case, width):
    problem = make_case(11, width, weighted=True).problem
    order, rises = eliminate_naively(problem, 2, at_once=4)
    assert order.unique().numel() == 9
    assert rises.numel() == 3
    support = torch.tensor(sorted(set(range(11)) - set(order.tolist())))
    start = objective(problem, torch.arange(11))
    assert start + float(rises.sum()) == pytest.approx(objective(problem, support), rel=1e-10)


def test_several_at_once_are_scored_at_the_same_state(make_case):
    problem = make_case(12).problem
    everything = torch.arange(12)
    losses = torch.tensor([objective(problem, everything[everything != j]) for j in range(12)])
    order, _ = eliminate_naively(problem, 8, at_once=4)
    assert order.tolist() == losses.argsort()[:4].tolist()


def test_ziplm_is_greedy_elimination_without_swaps(make_case):
    problem = make_case(10, 2, seed=8).problem
    solution = solve(problem, 4, Method.ZIPLM)
    assert solution.support.equal(eliminate(problem, 4).support(4))
    assert solution.swaps == 0


def test_a_state_that_is_not_sound_is_reported(make_case, monkeypatch):
    problem = make_case(4).problem
    monkeypatch.setattr(baselines, "cholesky", lambda matrix, _: matrix * torch.nan)
    with pytest.raises(NumericalError, match="Raise the damping"):
        eliminate_naively(problem, 2)


def test_the_naive_elimination_of_nothing(make_case):
    order, rises = eliminate_naively(make_case(4).problem, 4)
    assert order.dtype == torch.int64
    assert (order.numel(), rises.numel()) == (0, 0)
