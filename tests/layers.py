"""Small seeded layers, with the rows they were made from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from osscar_core.solver import LayerProblem, Statistics, objective


@dataclass(frozen=True)
class Case:
    X: Tensor
    Y: Tensor
    W0: Tensor
    problem: LayerProblem


def statistics_of(X: Tensor, Y: Tensor) -> Statistics:
    n = X.shape[0]
    return Statistics(n, X.T @ X / n, X.T @ Y / n, X.mean(0), Y.mean(0), Y.square().mean(0))


def case_of(
    groups: int,
    width: int = 1,
    *,
    outputs: int = 3,
    rows: int | None = None,
    seed: int = 0,
    damping: float = 1e-2,
    intercept: bool = False,
    weighted: bool = False,
    change: Callable[[Tensor, Tensor], None] | None = None,
) -> Case:
    """A layer with correlated inputs off their mean and a noisy target.

    ``change`` edits X (rows, p) and W0 (p, m) in place before the target is formed.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    p = groups * width
    rows = 3 * p + 8 if rows is None else rows
    X = normal(rows, p) @ (torch.eye(p, dtype=torch.float64) + 0.7 * normal(p, p) / p**0.5)
    X += 0.5 * normal(p)
    W0 = normal(p, outputs)
    if change is not None:
        change(X, W0)
    Y = X @ W0 + 0.2 * normal(rows, outputs) + 0.3
    importance = normal(outputs).abs() + 0.1 if weighted else None
    problem = LayerProblem.build(
        statistics_of(X, Y),
        W0,
        groups,
        damping=damping,
        intercept=intercept,
        output_weights=importance,
    )
    return Case(X, Y, W0, problem)


def cheapest_by_enumeration(problem: LayerProblem, keep: int) -> tuple[Tensor, float]:
    """The best support of all, and its objective."""
    costs = {
        chosen: objective(problem, torch.tensor(chosen))
        for chosen in itertools.combinations(range(problem.groups), keep)
    }
    best = min(costs, key=lambda chosen: costs[chosen])
    return torch.tensor(best), costs[best]


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    return case_of


@pytest.fixture(scope="session")
def make_statistics() -> Callable[[Tensor, Tensor], Statistics]:
    return statistics_of


@pytest.fixture(scope="session")
def brute_force() -> Callable[[LayerProblem, int], tuple[Tensor, float]]:
    return cheapest_by_enumeration
