from __future__ import annotations

import itertools

import pytest
import torch

from osscar_core.errors import NumericalError
from osscar_core.solver import eliminate, local_search, objective, swap_search
from osscar_core.solver.local_search import Tableau

SHAPES = [(9, 1), (7, 3), (6, 9)]


def swapped(support, out, new):
    return torch.tensor(sorted((set(support.tolist()) - {out}) | {new}))


@pytest.mark.parametrize(("groups", "width"), SHAPES)
@pytest.mark.parametrize("limit", [2, 100])
def test_every_priced_pair_is_the_change_of_the_objective(make_case, groups, width, limit):
    problem = make_case(groups, width, weighted=True, intercept=True, seed=3).problem
    tableau = Tableau(problem, torch.arange(groups // 2), limit)
    for leaving, entering in [(0, 1), (1, 0), (1, 1)]:
        support = tableau.support()
        before = objective(problem, support)
        changes = tableau.changes()
        assert changes.shape == (tableau.inside.numel(), tableau.outside.numel())
        for a, b in itertools.product(range(changes.shape[0]), range(changes.shape[1])):
            other = swapped(support, int(tableau.inside[a]), int(tableau.outside[b]))
            expected = objective(problem, other) - before
            assert float(changes[a, b]) == pytest.approx(expected, abs=1e-11 * abs(before))
        tableau.swap(leaving, entering)
    assert tableau.support().numel() == groups // 2


@pytest.mark.parametrize("width", [1, 3])
def test_chunks_do_not_change_the_prices(make_case, monkeypatch, width):
    problem = make_case(10, width).problem
    tableau = Tableau(problem, torch.arange(5), 100)
    whole = tableau.changes()
    monkeypatch.setattr(local_search, "_PAIR_ELEMENTS", 1)
    torch.testing.assert_close(tableau.changes(), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [1, 2])
def test_swaps_never_worsen_and_never_beat_brute_force(make_case, brute_force, width):
    reached = 0
    for seed in range(150):
        groups = 3 + seed % 5
        keep = 1 + seed % (groups - 1)
        problem = make_case(
            groups, width, outputs=1 + seed % 3, rows=4 + seed % 17, seed=seed, weighted=True
        ).problem
        start = eliminate(problem, keep).support(keep)
        support, swaps = swap_search(problem, start, 20)
        _, floor = brute_force(problem, keep)
        before, after = objective(problem, start), objective(problem, support)
        slack = 1e-10 * abs(floor)
        assert support.numel() == keep
        assert floor - slack <= after <= before
        assert (swaps == 0) == support.equal(start)
        reached += after <= floor + slack
    assert reached >= 140


def test_it_ends_where_no_swap_helps(make_case):
    problem = make_case(10, 2, seed=5).problem
    support, swaps = swap_search(problem, torch.arange(5), 100)
    value = objective(problem, support)
    assert 0 < swaps < 100
    others = set(range(10)) - set(support.tolist())
    for out, new in itertools.product(support.tolist(), others):
        assert objective(problem, swapped(support, out, new)) >= value * (1 + 1e-8)


def test_each_round_takes_the_best_swap(make_case):
    problem = make_case(8, seed=2).problem
    start = torch.arange(4)
    support, swaps = swap_search(problem, start, 1)
    best = min(
        objective(problem, swapped(start, out, new))
        for out, new in itertools.product(range(4), range(4, 8))
    )
    assert swaps == 1
    assert objective(problem, support) == pytest.approx(best, rel=1e-12)


def test_candidates_limit_which_groups_move(make_case):
    problem = make_case(30, seed=1).problem
    start = torch.arange(15)
    tableau = Tableau(problem, start, 4)
    candidates = set(tableau.inside.tolist()) | set(tableau.outside.tolist())
    assert len(candidates) == 8
    assert tableau.improve(50) > 0
    moved = set(start.tolist()) ^ set(tableau.support().tolist())
    assert moved <= candidates
    assert objective(problem, tableau.support()) < objective(problem, start)


def test_candidates_are_ranked_anew_until_none_helps(make_case):
    problem = make_case(30, seed=1).problem
    start = torch.arange(15)
    tableau = Tableau(problem, start, 4)
    tableau.improve(1000)
    support, swaps = swap_search(problem, start, 1000, candidates=4)
    assert objective(problem, support) < objective(problem, tableau.support())
    assert swap_search(problem, support, 1000, candidates=4) == (support, 0)
    assert 0 < swaps < 1000


def test_candidates_are_the_cheapest_to_lose_and_the_best_to_gain(make_case):
    problem = make_case(8, 2, seed=4).problem
    support = torch.tensor([0, 1, 3, 6])
    tableau = Tableau(problem, support, 1)
    loss = {int(j): objective(problem, support[support != j]) for j in support}
    gain = {
        j: objective(problem, torch.cat((support, torch.tensor([j]))).sort().values)
        for j in (2, 4, 5, 7)
    }
    assert tableau.inside.tolist() == [min(loss, key=loss.__getitem__)]
    assert tableau.outside.tolist() == [min(gain, key=gain.__getitem__)]


def test_a_gain_that_a_fresh_factorisation_denies_is_dropped(make_case, monkeypatch):
    problem = make_case(8, seed=2).problem
    start = torch.arange(4)
    assert swap_search(problem, start, 1)[1] == 1
    monkeypatch.setattr(local_search, "objective", lambda *_, **__: 0.0)
    support, swaps = swap_search(problem, start, 1)
    assert support.equal(start)
    assert swaps == 0


@pytest.mark.parametrize("rounds", [0, 5])
def test_nothing_to_do_leaves_the_support_alone(make_case, rounds):
    problem = make_case(5).problem
    support = torch.arange(5 if rounds else 2)
    assert swap_search(problem, support, rounds) == (support, 0)


def test_a_swap_that_would_be_singular_is_never_taken(make_case):
    def duplicate(X, W0):
        X[:, 4:] = X[:, :4]

    problem = make_case(8, change=duplicate, damping=0.0).problem
    support, _ = swap_search(problem, torch.arange(4), 50)
    assert objective(problem, support) <= objective(problem, torch.arange(4))
    with pytest.raises(NumericalError):
        swap_search(problem, torch.tensor([0, 4, 5, 6]), 50)
