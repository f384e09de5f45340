from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from osscar_core.errors import NumericalError, SpecError
from osscar_core.solver import LayerProblem, objective, refit, relative_error
from osscar_core.solver.problem import cholesky, quadratic

EVERY_OTHER = torch.tensor([0, 2, 4])


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("intercept", [False, True])
def test_refit_makes_the_gradient_vanish_on_the_support(make_case, width, intercept):
    problem = make_case(6, width, intercept=intercept).problem
    W, bias_change = refit(problem, EVERY_OTHER)
    index = problem.feature_index(EVERY_OTHER)
    gradient = problem.H[index][:, index] @ W - problem.G[index]
    assert W.shape == (3 * width, 3)
    assert W.dtype == torch.float64
    assert gradient.abs().max() < 1e-12 * problem.G.abs().max()
    assert (bias_change is not None) == intercept


def test_refit_without_ridge_is_least_squares(make_case):
    case = make_case(6, 2, damping=0.0)
    index = case.problem.feature_index(EVERY_OTHER)
    W, bias_change = refit(case.problem, EVERY_OTHER)
    expected = torch.linalg.lstsq(case.X[:, index], case.Y).solution
    torch.testing.assert_close(W, expected, rtol=1e-9, atol=1e-11)
    assert bias_change is None


def test_intercept_is_regression_with_a_column_of_ones(make_case):
    case = make_case(6, 2, damping=0.0, intercept=True)
    index = case.problem.feature_index(EVERY_OTHER)
    ones = torch.ones(case.X.shape[0], 1, dtype=torch.float64)
    expected = torch.linalg.lstsq(torch.cat((case.X[:, index], ones), 1), case.Y).solution
    W, bias_change = refit(case.problem, EVERY_OTHER)
    torch.testing.assert_close(W, expected[:-1], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(bias_change, expected[-1], rtol=1e-9, atol=1e-11)


def test_ridge_pulls_to_the_dense_weights(make_case):
    case = make_case(6, damping=1e9)
    W, _ = refit(case.problem, EVERY_OTHER)
    torch.testing.assert_close(W, case.W0[EVERY_OTHER], rtol=1e-7, atol=1e-7)


def test_ridge_is_relative_to_the_mean_of_the_centred_diagonal(make_case):
    plain = make_case(5, damping=0.5)
    centred = make_case(5, damping=0.5, intercept=True)
    variance = plain.X.var(0, correction=0).mean()
    power = plain.X.square().mean()
    gram = plain.problem.statistics.gram
    torch.testing.assert_close(plain.problem.H.diagonal() - gram.diagonal(), 0.5 * power.expand(5))
    torch.testing.assert_close(
        centred.problem.H.diagonal() - plain.X.var(0, correction=0), 0.5 * variance.expand(5)
    )


def test_objective_is_the_quadratic_at_the_refitted_weights(make_case):
    problem = make_case(6, 2, weighted=True, intercept=True).problem
    W, _ = refit(problem, EVERY_OTHER)
    value = objective(problem, EVERY_OTHER)
    assert value == pytest.approx(quadratic(problem, EVERY_OTHER, W), rel=1e-12)
    assert value < quadratic(problem, EVERY_OTHER, 1.01 * W)


def test_output_weights_scale_the_objective_but_not_the_weights(make_case):
    plain, weighted = make_case(6).problem, make_case(6, weighted=True).problem
    torch.testing.assert_close(refit(plain, EVERY_OTHER)[0], refit(weighted, EVERY_OTHER)[0])
    G = weighted.G[EVERY_OTHER] * weighted.output_weights
    H = weighted.H[EVERY_OTHER][:, EVERY_OTHER]
    expected = -0.5 * float((G * torch.linalg.solve(H, G)).sum())
    assert objective(weighted, EVERY_OTHER) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_relative_error_is_the_error_of_the_outputs(make_case, intercept):
    case = make_case(6, 2, intercept=intercept, weighted=True)
    W, bias_change = refit(case.problem, EVERY_OTHER)
    output = case.X[:, case.problem.feature_index(EVERY_OTHER)] @ W
    if bias_change is not None:
        output = output + bias_change
    scale = case.problem.output_weights
    expected = ((case.Y - output) * scale).square().sum() / (case.Y * scale).square().sum()
    actual = relative_error(case.problem, EVERY_OTHER, W, bias_change)
    assert actual == pytest.approx(float(expected), rel=1e-10)


def test_relative_error_of_a_zero_target(make_statistics):
    X = torch.eye(4, dtype=torch.float64)
    W0 = torch.zeros(4, 2, dtype=torch.float64)
    problem = LayerProblem.build(make_statistics(X, X @ W0), W0, 4, damping=1e-2, intercept=False)
    support = torch.tensor([1, 3])
    assert relative_error(problem, support, *refit(problem, support)) == 0.0
    assert relative_error(problem, support, torch.ones(2, 2).double(), None) == math.inf


def test_relative_error_of_an_exact_fit_is_not_negative(make_case):
    case = make_case(6, damping=0.0, outputs=1)
    exact = case.problem.statistics
    target = case.X @ case.W0
    n = case.X.shape[0]
    exact = dataclasses.replace(
        exact,
        cross=case.X.T @ target / n,
        mean_y=target.mean(0),
        power_y=target.square().mean(0),
    )
    problem = LayerProblem.build(exact, case.W0, 6, damping=0.0, intercept=False)
    everything = torch.arange(6)
    assert 0.0 <= relative_error(problem, everything, *refit(problem, everything)) < 1e-14


def test_build_does_not_touch_its_inputs(make_case):
    case = make_case(4)
    before = case.problem.statistics.gram.clone()
    LayerProblem.build(case.problem.statistics, case.W0, 4, damping=1.0, intercept=True)
    assert case.problem.statistics.gram.equal(before)


def test_build_takes_weights_of_any_float_type(make_case):
    case = make_case(4)
    problem = LayerProblem.build(
        case.problem.statistics, case.W0.half(), 2, damping=0.1, intercept=False
    )
    assert problem.W0.dtype == torch.float64
    assert (problem.features, problem.groups, problem.width) == (4, 2, 2)
    assert problem.feature_index(torch.tensor([1])).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("gram", "gram"),
        ("cross", "cross"),
        ("mean_x", "mean of the inputs"),
        ("mean_y", "mean of the targets"),
        ("power_y", "power of the targets"),
    ],
)
def test_statistics_that_are_not_finite_are_refused(make_case, field, words):
    case = make_case(4)
    damaged = getattr(case.problem.statistics, field).clone()
    damaged.view(-1)[-1] = math.nan
    statistics = dataclasses.replace(case.problem.statistics, **{field: damaged})
    with pytest.raises(NumericalError, match=words):
        LayerProblem.build(statistics, case.W0, 4, damping=1e-2, intercept=False)


def test_weights_that_are_not_finite_are_refused(make_case):
    case = make_case(4)
    with pytest.raises(NumericalError, match="dense weights"):
        LayerProblem.build(case.problem.statistics, case.W0 / 0, 4, damping=1e-2, intercept=False)
    with pytest.raises(NumericalError, match="output weights"):
        LayerProblem.build(
            case.problem.statistics,
            case.W0,
            4,
            damping=1e-2,
            intercept=False,
            output_weights=torch.full((3,), math.inf),
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"groups": 3}, "4 features cannot form 3 groups"),
        ({"groups": 0}, "4 features cannot form 0 groups"),
        ({"damping": -1.0}, "damping is -1.0"),
        ({"damping": math.nan}, "damping is nan"),
        ({"output_weights": torch.ones(4)}, r"output_weights has shape \(4,\)"),
        ({"W0": torch.ones(5, 3)}, r"gram has shape \(4, 4\)"),
        ({"W0": torch.ones(4)}, r"dense weights have shape \(4,\)"),
    ],
)
def test_build_refuses_what_does_not_fit(make_case, change, words):
    case = make_case(4)
    arguments = {"W0": case.W0, "groups": 4, "damping": 1e-2, "intercept": False} | change
    with pytest.raises(SpecError, match=words):
        LayerProblem.build(case.problem.statistics, **arguments)


def test_build_refuses_statistics_of_no_rows(make_case):
    case = make_case(4)
    empty = dataclasses.replace(case.problem.statistics, count=0)
    with pytest.raises(SpecError, match="0 rows"):
        LayerProblem.build(empty, case.W0, 4, damping=1e-2, intercept=False)


@pytest.mark.parametrize(
    "support",
    [
        torch.tensor([2, 1]),
        torch.tensor([1, 1]),
        torch.tensor([-1, 1]),
        torch.tensor([1, 4]),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([0.0, 1.0]),
        torch.tensor([[0, 1]]),
    ],
)
def test_supports_must_ascend_within_the_layer(make_case, support):
    problem = make_case(4).problem
    with pytest.raises(SpecError):
        refit(problem, support)
    with pytest.raises(SpecError):
        objective(problem, support)


@pytest.mark.parametrize("damping", [0.0, 1e-3, 0.5])
def test_a_singular_matrix_proposes_a_larger_damping_that_works(make_case, damping):
    singular = torch.ones(3, 3, dtype=torch.float64)
    with pytest.raises(NumericalError) as caught:
        cholesky(singular, damping)
    proposal = float(caught.value.remedy.split("example to ")[1].split(",")[0])
    assert proposal > damping
    factor = cholesky(singular + proposal * torch.eye(3).double(), proposal)
    assert (factor @ factor.T)[0, 0] == pytest.approx(1 + proposal)


def test_a_pivot_of_rounding_noise_is_not_positive():
    rows = torch.randn(200, 40, generator=torch.Generator().manual_seed(1)).double()
    rows[:, 39] = rows[:, :39].sum(1)
    with pytest.raises(NumericalError, match="not positive definite"):
        cholesky(rows.T @ rows / 200, 0.0)


def test_cholesky_keeps_badly_scaled_but_regular_matrices():
    scales = torch.logspace(-6, 6, 13, dtype=torch.float64)
    matrix = scales[:, None] * (torch.eye(13).double() + 0.3) * scales
    factor = cholesky(matrix, 0.0)
    torch.testing.assert_close(factor @ factor.T, matrix, rtol=1e-12, atol=0)
