from __future__ import annotations

import itertools
import math

import pytest
import torch

from osscar_core.solver import objective
from osscar_core.solver.problem import cholesky
from osscar_core.solver.relaxation import Basis, first_diagonal, relax, water_level


def basis_of(problem):
    factor = cholesky(problem.H, problem.damping)
    return Basis(problem.H, problem.weighted(problem.G), factor, problem.width)


@pytest.mark.parametrize("width", [1, 3])
def test_the_basis_keeps_f_of_every_support(make_case, width):
    problem = make_case(5, width, weighted=True, intercept=True).problem
    basis = basis_of(problem)
    assert basis.full == pytest.approx(objective(problem, torch.arange(5)), rel=1e-12)
    for keep in range(1, 6):
        for chosen in itertools.combinations(range(5), keep):
            index = problem.feature_index(torch.tensor(chosen))
            H, G = basis.H[index[:, None], index], basis.G[index]
            value = -0.5 * float((G * torch.linalg.solve(H, G)).sum())
            assert value == pytest.approx(objective(problem, torch.tensor(chosen)), rel=1e-10)


@pytest.mark.parametrize("width", [1, 4])
def test_the_basis_whitens_each_group_and_orders_it_by_cost(make_case, width):
    problem = make_case(4, width, outputs=9).problem
    basis = basis_of(problem)
    P = torch.linalg.inv(basis.H)
    W = P @ basis.G
    for j in range(4):
        part = slice(j * width, (j + 1) * width)
        torch.testing.assert_close(P[part, part], torch.eye(width).double())
        M = W[part] @ W[part].T
        torch.testing.assert_close(M, M.diagonal().diag(), rtol=1e-9, atol=1e-9)
        assert M.diagonal().tolist() == sorted(M.diagonal().tolist(), reverse=True)


def test_the_first_diagonal_is_near_the_smallest_eigenvalue(make_case):
    H = basis_of(make_case(30).problem).H
    lowest = float(torch.linalg.eigvalsh(H)[0])
    d = first_diagonal(H)
    assert d.unique().numel() == 1
    assert 0.5 * lowest < float(d[0]) < 1.5 * lowest


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("rounds", [1, 2, 5, 20])
def test_it_never_exceeds_the_best_and_its_diagonal_is_below_the_hessian(
    make_case, brute_force, width, rounds
):
    for seed in range(20):
        groups, keep = 3 + seed % 4, 1 + seed % 2
        problem = make_case(groups, width, seed=seed, rows=5 + seed).problem
        basis = basis_of(problem)
        found = relax(basis.H, basis.G, width, keep, d=first_diagonal(basis.H), rounds=rounds)
        assert found.bound <= brute_force(problem, keep)[1] + 1e-12 * abs(basis.full)
        assert float(torch.linalg.eigvalsh(basis.H - found.d.diag())[0]) > 0
        assert found.z.sum() == pytest.approx(keep, abs=1e-4)


def test_any_diagonal_and_any_fractional_support_give_a_bound(make_case, brute_force):
    generator = torch.Generator().manual_seed(0)
    problem = make_case(7, 2, seed=3).problem
    basis = basis_of(problem)
    _, best = brute_force(problem, 3)
    for _ in range(50):
        d = 10 * torch.rand(14, generator=generator).double() + 1e-3
        z = torch.rand(7, generator=generator).double().clamp(min=1e-3)
        assert relax(basis.H, basis.G, 2, 3, d=d, z=z, rounds=1).bound < best


def test_more_rounds_are_tighter_and_it_ends_tight_without_coupling(make_case, make_statistics):
    basis = basis_of(make_case(12, 2, seed=1).problem)
    d = first_diagonal(basis.H)
    bounds = [relax(basis.H, basis.G, 2, 6, d=d, rounds=r).bound for r in (1, 3, 9, 27)]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) == 4

    H = torch.eye(6, dtype=torch.float64)
    G = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    tight = relax(H, G, 1, 2, d=first_diagonal(H), rounds=40).bound
    assert tight == pytest.approx(-0.5 * (25 + 36), rel=1e-3)
    assert tight <= -0.5 * (25 + 36)


def test_it_stops_at_a_target_and_at_a_deadline(make_case):
    basis = basis_of(make_case(12, seed=1).problem)
    d = first_diagonal(basis.H)
    one = relax(basis.H, basis.G, 1, 6, d=d, rounds=1)
    assert relax(basis.H, basis.G, 1, 6, d=d, rounds=9, target=-math.inf).bound == one.bound
    assert relax(basis.H, basis.G, 1, 6, d=d, rounds=9, deadline=0.0).bound == one.bound


def test_a_hessian_that_is_not_positive_gives_no_bound():
    H = -torch.eye(4, dtype=torch.float64)
    found = relax(H, H, 1, 2, d=torch.ones(4, dtype=torch.float64), rounds=3)
    assert found.bound == -math.inf


def test_a_target_of_zero_costs_nothing():
    H = torch.eye(4, dtype=torch.float64)
    found = relax(H, torch.zeros(4, 2).double(), 1, 2, d=first_diagonal(H), rounds=5)
    assert found.bound == 0.0


@pytest.mark.parametrize(
    ("weights", "total", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.0], 2.0, [0.5, 0.5, 0.5, 0.5]),
        ([9.0, 1.0, 1.0], 2.0, [1.0, 0.5, 0.5]),
        ([9.0, 3.0, 0.5, 0.5], 2.5, [1.0, 1.0, 0.25, 0.25]),
        ([0.0, 0.0], 1.0, [0.5, 0.5]),
    ],
)
def test_the_water_level_caps_at_one_and_meets_the_total(weights, total, expected):
    level = water_level(torch.tensor(weights, dtype=torch.float64), total)
    torch.testing.assert_close(level, torch.tensor(expected, dtype=torch.float64))
