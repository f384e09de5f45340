"""Hard inputs: what the search does with them, measured against slower exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from osscar_core.errors import NumericalError
from osscar_core.moments import Sums
from osscar_core.records import Method
from osscar_core.solver import LayerProblem, Statistics, eliminate, objective, refit, solve


def problem_with_condition(condition, *, features=40, width=1, seed=0):
    """Inputs whose gram has eigenvalues from 1 down to 10^-condition, no damping."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    basis, _ = torch.linalg.qr(normal(features, features))
    values = torch.logspace(0, -condition, features, dtype=torch.float64)
    gram = (basis * values) @ basis.T
    gram = (gram + gram.T) / 2
    W0 = normal(features, 3)
    zero = torch.zeros(features, dtype=torch.float64)
    statistics = Statistics(1000, gram, gram @ W0, zero, zero[:3], ((gram @ W0) * W0).sum(0) * 1.01)
    return LayerProblem.build(statistics, W0, features // width, damping=0.0, intercept=False)


def exact_objective(problem, support):
    """f of a support in rational arithmetic, by elimination without rounding."""
    index = problem.feature_index(support).tolist()
    n, m = len(index), problem.G.shape[1]
    rows = [
        [Fraction(float(problem.H[i, j])) for j in index]
        + [Fraction(float(problem.G[i, c])) for c in range(m)]
        for i in index
    ]
    value = Fraction(0)
    for k in range(n):
        pivot = rows[k]
        value += sum(entry * entry for entry in pivot[n:]) / pivot[k]
        for row in rows[k + 1 :]:
            factor = row[k] / pivot[k]
            for c in range(k, n + m):
                row[c] -= factor * pivot[c]
    return -float(value) / 2


@pytest.mark.parametrize("condition", [6, 9, 12])
def test_objectives_survive_ill_conditioning(condition):
    problem = problem_with_condition(condition, features=14)
    for keep in (3, 9, 14):
        support = torch.arange(14)[-keep:]
        exact = exact_objective(problem, support)
        assert objective(problem, support) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize(
    ("condition", "tolerance"), [(3, 1e-12), (6, 1e-11), (9, 1e-8), (12, 1e-5)]
)
def test_costs_and_choices_survive_ill_conditioning(width, condition, tolerance):
    """Errors grow with the condition, to no more than a share of 1e-5 of f at 1e12."""
    problem = problem_with_condition(condition, width=width)
    path = eliminate(problem, 1, panel=8)
    scale = abs(path.initial)
    for keep in range(problem.groups - 1, 0, -1):
        before = path.support(keep + 1)
        costs = [objective(problem, before[before != j]) for j in before]
        assert path.cost(keep) == pytest.approx(
            objective(problem, path.support(keep)), abs=tolerance * scale
        )
        assert objective(problem, path.support(keep)) <= min(costs) + tolerance * scale


def test_beyond_working_precision_the_remedy_is_named():
    problem = problem_with_condition(17)
    with pytest.raises(NumericalError, match="Raise the damping"):
        eliminate(problem, 5)


@pytest.mark.parametrize("rows", [1, 5, 39])
@pytest.mark.parametrize("width", [1, 4])
def test_fewer_rows_than_features(make_case, rows, width):
    """The ridge makes the problem well-posed, whatever the rank; without it, words."""
    case = make_case(40 // width, width, rows=rows, seed=rows)
    solution = solve(case.problem, 5, Method.OSSCAR)
    assert solution.W.isfinite().all()
    assert solution.objective == pytest.approx(objective(case.problem, solution.support))
    if rows > 1:
        bare = make_case(40 // width, width, rows=rows, seed=rows, damping=0.0)
        with pytest.raises(NumericalError, match="Raise the damping"):
            solve(bare.problem, 5, Method.OSSCAR)


@pytest.mark.parametrize("copies", [2, 5])
def test_all_copies_of_a_feature_but_one_go_first(make_case, copies):
    def duplicate(X, W0):
        X[:, 1:copies] = X[:, :1]

    problem = make_case(12, change=duplicate, damping=1e-8).problem
    path = eliminate(problem, 1)
    assert set(path.order[: copies - 1].tolist()) < set(range(copies))
    lost = path.cost(12 - copies + 1) - path.initial
    assert 0 <= lost <= 1e-6 * abs(path.initial)


def test_statistics_in_float32_over_millions_of_rows(make_case):
    """Two million rows in float32 pieces: as good as float64 from beginning to end."""
    generator = torch.Generator().manual_seed(0)
    features, outputs, rows = 24, 3, 100_000
    mix = torch.eye(features) + 0.5 * torch.randn(features, features, generator=generator)
    W0 = torch.randn(features, outputs, generator=generator)
    layer = torch.nn.Linear(features, outputs)
    sums = Sums.zeros(features, layer, True, torch.device("cpu"))
    exact = [torch.zeros(features, n, dtype=torch.float64) for n in (features, outputs)]
    for _ in range(20):
        X = torch.randn(rows, features, generator=generator) @ mix + 5.0
        Y = X @ W0
        sums.add(X, Y)
        exact[0] += X.double().T @ X.double()
        exact[1] += X.double().T @ Y.double()
    raw = sums.finish(layer)
    count = 20 * rows
    assert raw.count == count
    for got, want in ((raw.gram, exact[0] / count), (raw.cross, exact[1] / count)):
        assert float((got - want).norm() / want.norm()) < 1e-6
    truth = Statistics(
        count, exact[0] / count, exact[1] / count, raw.mean_x, raw.mean_y, raw.power_y
    )
    summed, wanted = (
        LayerProblem.build(statistics, W0, features, damping=1e-2, intercept=True)
        for statistics in (raw, truth)
    )
    assert eliminate(summed, 1).order.equal(eliminate(wanted, 1).order)
    support = eliminate(wanted, 8).support(8)
    torch.testing.assert_close(
        refit(summed, support)[0], refit(wanted, support)[0], rtol=1e-3, atol=1e-4
    )
