from __future__ import annotations

import dataclasses

import pytest
import torch

from osscar_core.errors import NumericalError, SpecError
from osscar_core.methods import default_target, wants_intercept
from osscar_core.records import Certify, Method, Target
from osscar_core.solver import (
    LayerProblem,
    Proof,
    objective,
    refit,
    relative_error,
    solve,
    solve_given,
)

REFITTING = (Method.OSSCAR, Method.PAPER, Method.ZIPLM, Method.MAGNITUDE_REFIT)
SEARCHING = (Method.OSSCAR, Method.PAPER, Method.ZIPLM)


def zero_column(X, W0):
    X[:, 1] = 0.0


def zero_output(X, W0):
    W0[:, 0] = 0.0


def zero_sum_row(X, W0):
    W0[2] -= W0[2].mean()


def zero_weights_row(X, W0):
    W0[3] = 0.0


def duplicates(X, W0):
    X[:, 4] = X[:, 0]
    W0[4] = W0[0]


def constant_feature(X, W0):
    X[:, 2] = 3.0


def all_constant(X, W0):
    X[:] = X[0]


def all_dead(X, W0):
    X[:] = 0.0


DEGENERATE = [
    zero_column,
    zero_output,
    zero_sum_row,
    zero_weights_row,
    duplicates,
    constant_feature,
    all_constant,
    all_dead,
]


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
def test_every_method_solves(make_case, method, width, intercept):
    problem = make_case(8, width, intercept=intercept, weighted=True).problem
    solution = solve(problem, 3, method)
    assert solution.support.dtype == torch.int64
    assert solution.support.tolist() == sorted(set(solution.support.tolist()))
    assert solution.support.numel() == 3
    assert solution.W.shape == (3 * width, 3)
    assert solution.W.dtype == torch.float64
    has_bias = method is Method.FLAP or (intercept and method in REFITTING)
    assert (solution.bias_change is not None) == has_bias
    if solution.bias_change is not None:
        assert solution.bias_change.dtype == torch.float64
    assert solution.relative_error == relative_error(
        problem, solution.support, solution.W, solution.bias_change
    )
    if method in REFITTING:
        expected = objective(problem, solution.support)
        assert solution.objective == pytest.approx(expected, rel=1e-10)
    else:
        assert solution.W.equal(problem.W0[problem.feature_index(solution.support)])
        assert solution.objective >= objective(problem, solution.support)


@pytest.mark.parametrize("method", Method)
def test_it_is_deterministic(make_case, method):
    problem = make_case(9, 2, seed=3).problem
    first, second = solve(problem, 4, method, seed=7), solve(problem, 4, method, seed=7)
    assert first.support.equal(second.support)
    assert first.W.equal(second.W)
    assert first.objective == second.objective


@pytest.mark.parametrize("method", Method)
def test_keeping_all_groups_is_the_full_refit_or_the_dense_weights(make_case, method):
    problem = make_case(6, 2, intercept=True).problem
    solution = solve(problem, 6, method)
    everything = torch.arange(6)
    assert solution.support.equal(everything)
    W, bias_change = refit(problem, everything)
    if method in REFITTING:
        assert solution.W.equal(W)
        assert solution.bias_change.equal(bias_change)
    else:
        assert solution.W.equal(problem.W0)
    if method is Method.FLAP:
        assert solution.bias_change.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("keep", [0, 9, -1])
def test_keep_is_checked(make_case, method, keep):
    with pytest.raises(SpecError, match=r"\[1, 8\]"):
        solve(make_case(8).problem, keep, method)


def test_swaps_are_checked_and_honoured(make_case):
    problem = make_case(20, seed=0).problem
    with pytest.raises(SpecError, match="swaps is -1"):
        solve(problem, 8, Method.OSSCAR, swaps=-1)
    assert solve(problem, 8, Method.OSSCAR, swaps=0).swaps == 0
    greedy, searched = solve(problem, 8, Method.ZIPLM), solve(problem, 8, Method.OSSCAR)
    assert solve(problem, 8, Method.OSSCAR, swaps=0).support.equal(greedy.support)
    assert searched.swaps > 0
    assert searched.objective < greedy.objective


@pytest.mark.parametrize("method", [*SEARCHING, Method.MAGNITUDE, Method.MAGNITUDE_REFIT])
@pytest.mark.parametrize("width", [1, 2])
def test_an_identity_hessian_gives_magnitude_pruning(method, width, make_statistics):
    W0 = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)).double()
    X = torch.eye(10, dtype=torch.float64) * 10**0.5
    statistics = make_statistics(X, X @ W0)
    problem = LayerProblem.build(statistics, W0, 10 // width, damping=0.0, intercept=False)
    solution = solve(problem, 3, method)
    size = W0.square().sum(1).view(-1, width).sum(1)
    assert solution.support.tolist() == sorted(size.argsort(descending=True)[:3].tolist())
    torch.testing.assert_close(solution.W, W0[problem.feature_index(solution.support)])


@pytest.mark.parametrize("method", [m for m in Method if m is not Method.RANDOM])
@pytest.mark.parametrize("width", [1, 3])
def test_it_is_equivariant_under_permutation_of_the_groups(make_case, method, width):
    problem = make_case(8, width, seed=6, weighted=True).problem
    permutation = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    index = problem.feature_index(permutation)
    raw = problem.statistics
    moved = dataclasses.replace(
        raw, gram=raw.gram[index][:, index], cross=raw.cross[index], mean_x=raw.mean_x[index]
    )
    other = LayerProblem.build(
        moved,
        problem.W0[index],
        8,
        damping=1e-2,
        intercept=False,
        output_weights=problem.output_weights,
    )
    solution, permuted = solve(problem, 4, method), solve(other, 4, method)
    assert sorted(permutation[permuted.support].tolist()) == solution.support.tolist()
    back = torch.zeros_like(problem.W0)
    back[index[other.feature_index(permuted.support)]] = permuted.W
    there = back[problem.feature_index(solution.support)]
    torch.testing.assert_close(there, solution.W, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", SEARCHING)
def test_no_method_beats_brute_force_and_the_search_is_better_than_magnitude(
    make_case, brute_force, method
):
    wins = 0
    for seed in range(40):
        problem = make_case(7, 1 + seed % 2, seed=seed, intercept=bool(seed % 3)).problem
        keep = 1 + seed % 6
        _, floor = brute_force(problem, keep)
        value = solve(problem, keep, method).objective
        simple = solve(problem, keep, Method.MAGNITUDE_REFIT).objective
        assert value >= floor - 1e-10 * abs(floor)
        wins += value <= simple + 1e-10 * abs(floor)
    assert wins >= 38


def test_the_search_is_optimal_when_one_group_goes(make_case, brute_force):
    problem = make_case(8, 2, seed=12).problem
    best, _ = brute_force(problem, 7)
    assert solve(problem, 7, Method.OSSCAR).support.equal(best)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("change", DEGENERATE, ids=lambda change: change.__name__)
@pytest.mark.parametrize("intercept", [False, True])
def test_degenerate_layers_keep_the_exact_count(make_case, method, change, intercept):
    case = make_case(6, change=change, intercept=intercept)
    solution = solve(case.problem, 3, method)
    assert solution.support.unique().numel() == 3
    assert solution.W.shape == (3, 3)
    assert solution.W.isfinite().all()
    output = case.X[:, solution.support] @ solution.W
    if solution.bias_change is not None:
        output = output + solution.bias_change
    expected = (case.Y - output).square().sum() / case.Y.square().sum()
    assert solution.relative_error == pytest.approx(float(expected), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("width", [1, 2])
def test_fewer_rows_than_features(make_case, method, width):
    problem = make_case(8, width, rows=3).problem
    assert solve(problem, 5, method).support.unique().numel() == 5


@pytest.mark.parametrize("intercept", [False, True])
def test_a_dead_feature_goes_first(make_case, intercept):
    case = make_case(6, change=zero_column, intercept=intercept)
    assert solve(case.problem, 5, Method.OSSCAR).support.tolist() == [0, 2, 3, 4, 5]


def test_one_of_two_duplicates_carries_both(make_case):
    case = make_case(6, change=duplicates, damping=1e-6)
    solution = solve(case.problem, 5, Method.OSSCAR)
    assert {0, 4} - set(solution.support.tolist())
    full = relative_error(case.problem, torch.arange(6), *refit(case.problem, torch.arange(6)))
    assert solution.relative_error == pytest.approx(full, rel=1e-3)


def test_a_constant_feature_is_free_with_an_intercept(make_case):
    with_bias = make_case(6, change=constant_feature, intercept=True, damping=1e-6)
    assert 2 not in solve(with_bias.problem, 5, Method.OSSCAR).support
    without = make_case(6, change=constant_feature, damping=1e-6)
    lost = solve_given(without.problem, torch.tensor([0, 1, 3, 4, 5]), Method.OSSCAR)
    kept = solve(with_bias.problem, 5, Method.OSSCAR)
    assert kept.relative_error < lost.relative_error


@pytest.mark.parametrize("method", SEARCHING)
def test_no_damping_and_too_few_rows_propose_a_larger_damping(make_case, method):
    problem = make_case(8, rows=4, damping=0.0).problem
    with pytest.raises(NumericalError, match="damping 0") as caught:
        solve(problem, 4, method)
    assert "for example to 0.01" in str(caught.value)
    assert solve(make_case(8, rows=4, damping=0.01).problem, 4, method).W.isfinite().all()


def test_output_weights_decide_what_stays(make_statistics):
    X = torch.eye(4, dtype=torch.float64)
    W0 = torch.tensor([[3.0, 0], [2, 0], [0, 1], [0, 1.5]], dtype=torch.float64)
    chosen = {}
    for importance in (None, torch.tensor([1.0, 10.0])):
        problem = LayerProblem.build(
            make_statistics(X, X @ W0),
            W0,
            4,
            damping=1e-3,
            intercept=False,
            output_weights=importance,
        )
        for method in SEARCHING:
            chosen[importance is None, method] = solve(problem, 2, method).support.tolist()
    assert all(chosen[True, method] == [0, 1] for method in SEARCHING)
    assert chosen[False, Method.OSSCAR] == [2, 3]
    # The published methods know no output weights and choose as before.
    assert chosen[False, Method.PAPER] == chosen[False, Method.ZIPLM] == [0, 1]


@pytest.mark.parametrize("method", Method)
def test_a_given_support_gets_the_methods_weights(make_case, method):
    problem = make_case(6, 2, intercept=True).problem
    solution = solve(problem, 3, method, seed=1)
    given = solve_given(problem, solution.support, method)
    assert given.support.equal(solution.support)
    assert given.W.equal(solution.W)
    assert given.swaps == 0
    with pytest.raises(SpecError):
        solve_given(problem, torch.tensor([3, 1]), method)


def test_only_osscar_corrects_the_residual_stream():
    targets = {method: default_target(method) for method in Method}
    assert targets.pop(Method.OSSCAR) is Target.RESIDUAL
    assert set(targets.values()) == {Target.LAYER}


def test_which_methods_change_the_bias():
    wishes = {method: wants_intercept(method) for method in Method}
    assert wishes == {
        Method.OSSCAR: None,
        Method.PAPER: False,
        Method.ZIPLM: False,
        Method.FLAP: True,
        Method.WANDA: False,
        Method.MAGNITUDE_REFIT: None,
        Method.MAGNITUDE: False,
        Method.RANDOM: False,
    }


@pytest.mark.parametrize("method", REFITTING)
@pytest.mark.parametrize("width", [1, 3])
def test_every_result_can_carry_its_gap(make_case, brute_force, method, width):
    for seed in range(4):
        problem = make_case(8, width, seed=seed, weighted=True, intercept=True).problem
        _, best = brute_force(problem, 4)
        plain = solve(problem, 4, method)
        assert plain.certificate is None
        for certify in (Certify.AUTO, Certify.BOUND):
            solution = solve(problem, 4, method, certify=certify)
            assert solution.support.equal(plain.support)
            found = solution.certificate
            assert found.bound <= best + 1e-10 * abs(best)
            assert found.objective == pytest.approx(solution.objective, rel=1e-9)
            assert (found.objective - best) / found.cost <= found.gap + 1e-9


@pytest.mark.parametrize("width", [1, 3])
def test_proof_returns_the_best_support(make_case, brute_force, width):
    for seed in range(8):
        problem = make_case(8, width, seed=seed, rows=9).problem
        _, value = brute_force(problem, 4)
        solution = solve(problem, 4, Method.OSSCAR, swaps=0, certify=Certify.PROVE)
        assert solution.certificate.proven
        assert solution.certificate.gap == 0
        assert solution.objective == pytest.approx(value, rel=1e-9)
        assert solution.W.equal(refit(problem, solution.support)[0])


def test_what_a_bound_costs_decides_when_it_comes_by_itself(make_case, monkeypatch):
    problem = make_case(8).problem
    monkeypatch.setattr("osscar_core.solver.AUTO_WIDTH", 7)
    assert solve(problem, 4, Method.OSSCAR, certify=Certify.AUTO).certificate is None
    assert solve(problem, 4, Method.OSSCAR, certify=Certify.BOUND).certificate is not None
    assert solve(problem, 4, Method.MAGNITUDE, certify=Certify.BOUND).certificate is None
    monkeypatch.setattr("osscar_core.solver.PROVABLE_GROUPS", 7)
    too_many = solve(problem, 4, Method.OSSCAR, certify=Certify.PROVE).certificate
    assert too_many.how is Proof.RELAXATION
