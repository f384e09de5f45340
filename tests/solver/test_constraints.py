from __future__ import annotations

import itertools

import pytest
import torch

from osscar_core.errors import SpecError
from osscar_core.records import Method
from osscar_core.solver import Constraints, objective, solve, swap_search
from osscar_core.widths import round_width


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("width", [1, 2])
def test_every_method_respects_them(make_case, method, width):
    for seed in range(6):
        problem = make_case(9, width, seed=seed).problem
        limits = Constraints(protected=(seed, 7), forced=(8, (seed + 3) % 7))
        for keep in (2, 4, 7):
            kept = set(solve(problem, keep, method, constraints=limits, seed=seed).support.tolist())
            assert len(kept) == keep
            assert kept >= set(limits.protected)
            assert not kept & set(limits.forced)


def test_the_search_is_near_the_best_that_they_allow(make_case):
    reached = 0
    for seed in range(60):
        problem = make_case(8, seed=seed).problem
        limits = Constraints(protected=(seed % 8,), forced=((seed + 3) % 8,))
        best = min(
            objective(problem, torch.tensor(chosen))
            for chosen in itertools.combinations(range(8), 4)
            if seed % 8 in chosen and (seed + 3) % 8 not in chosen
        )
        value = solve(problem, 4, Method.OSSCAR, constraints=limits).objective
        assert value >= best - 1e-10 * abs(best)
        reached += value <= best + 1e-10 * abs(best)
    assert reached >= 55


def test_swaps_never_move_them(make_case):
    problem = make_case(12, seed=5).problem
    start = torch.arange(6)
    limits = Constraints(protected=(0, 1), forced=(11,))
    support, swaps = swap_search(problem, start, 50, constraints=limits)
    assert swaps > 0
    assert {0, 1} <= set(support.tolist())
    assert 11 not in support.tolist()


@pytest.mark.parametrize(
    ("limits", "keep", "words"),
    [
        (Constraints(protected=(8,)), 4, "protected group 8 does not exist"),
        (Constraints(forced=(-1,)), 4, "forced group -1 does not exist"),
        (Constraints((1, 2), (2,)), 4, "group 2 is both"),
        (Constraints(protected=(1, 2, 3)), 2, "3 groups are protected but only 2"),
        (Constraints(forced=(1, 2, 3)), 6, "3 of 8 groups are forced to go but 6"),
    ],
)
@pytest.mark.parametrize("method", [Method.OSSCAR, Method.MAGNITUDE])
def test_contradictions_are_told(make_case, limits, keep, words, method):
    with pytest.raises(SpecError, match=words):
        solve(make_case(8).problem, keep, method, constraints=limits)


def test_widths_are_rounded_up_within_the_layer():
    assert [round_width(k, 20, 8) for k in (1, 8, 9, 17, 20)] == [8, 8, 16, 20, 20]
    assert round_width(5, 20, 1) == 5


@pytest.mark.parametrize("kind", ["random", "magnitude"])
def test_a_search_may_start_anywhere(make_case, kind):
    problem = make_case(20, seed=1).problem
    start = solve(problem, 8, Method(kind)).support
    found = solve(problem, 8, Method.OSSCAR, start=start, swaps=200)
    assert found.swaps > 0
    assert found.objective < objective(problem, start)
    greedy = solve(problem, 8, Method.OSSCAR, swaps=0)
    assert found.objective <= greedy.objective * (1 - 1e-2) or found.support.equal(
        solve(problem, 8, Method.OSSCAR).support
    )
    with pytest.raises(SpecError, match="keeps 8 groups, not 7"):
        solve(problem, 7, Method.OSSCAR, start=start)
    outside = next(j for j in range(20) if j not in start.tolist())
    limits = Constraints(protected=(outside,))
    with pytest.raises(SpecError, match="protected but removed"):
        solve(problem, 8, Method.OSSCAR, start=start, constraints=limits)


def test_no_time_means_no_swaps(make_case):
    problem = make_case(20, seed=0).problem
    assert solve(problem, 8, Method.OSSCAR).swaps > 0
    assert solve(problem, 8, Method.OSSCAR, seconds=0.0).swaps == 0
    with pytest.raises(SpecError, match="seconds is -1"):
        solve(problem, 8, Method.OSSCAR, seconds=-1)
