"""Choices of widths against brute force, and the curves and options they rest on."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import families
from osscar_core.adapters import find_adapter
from osscar_core.budget import (
    Allocation,
    BlockOptions,
    Frontier,
    LossCurve,
    UnreachableError,
    candidate_widths,
    product_options,
)
from osscar_core.costs import Price
from osscar_core.errors import SpecError
from osscar_core.models import LoadedModel
from osscar_core.pricing import cost_model
from osscar_core.records import ImagePreprocess, SourceInfo

FIXED = 7.0


def block_of(name: str, prices: list[float], losses: list[float]) -> BlockOptions:
    """Options of one unit, whose width counts them from the widest."""
    widths = np.arange(len(prices), 0, -1)[:, None]
    return BlockOptions(name, (f"{name}.unit",), widths, np.array(prices), np.array(losses))


@st.composite
def instances(draw: st.DrawFn) -> list[BlockOptions]:
    """Up to 4 blocks of up to 5 options in any order, with ties, the first complete."""
    number = st.integers(0, 12).map(float)
    blocks = []
    for index in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 5))
        prices = draw(st.lists(number, min_size=count, max_size=count))
        losses = draw(st.lists(number, min_size=count - 1, max_size=count - 1))
        blocks.append(block_of(f"b{index}", prices, [0.0, *losses]))
    return blocks


def all_choices(blocks: list[BlockOptions]) -> tuple[np.ndarray, np.ndarray]:
    rows = list(itertools.product(*(range(len(one.prices)) for one in blocks)))
    prices = [FIXED + sum(b.prices[r] for b, r in zip(blocks, row, strict=True)) for row in rows]
    losses = [sum(b.losses[r] for b, r in zip(blocks, row, strict=True)) for row in rows]
    return np.array(prices), np.array(losses)


def recount(blocks: list[BlockOptions], got: Allocation) -> tuple[float, float]:
    """Price and loss of an allocation, by its widths."""
    rows = [len(one.prices) - got.widths[one.units[0]] for one in blocks]
    price = FIXED + sum(b.prices[row] for b, row in zip(blocks, rows, strict=True))
    return price, sum(b.losses[row] for b, row in zip(blocks, rows, strict=True))


@given(instances(), st.integers(0, 60))
@settings(deadline=None, max_examples=300)
def test_allocations_are_feasible_and_bounded(blocks: list[BlockOptions], budget: int) -> None:
    frontier = Frontier(blocks, FIXED)
    prices, losses = all_choices(blocks)
    assert frontier.cheapest == prices.min()
    if budget < prices.min():
        with pytest.raises(UnreachableError):
            frontier.allocate(budget)
        return
    got = frontier.allocate(budget)
    optimum = losses[prices <= budget].min()
    assert recount(blocks, got) == (got.price, got.loss)
    assert got.price <= budget
    assert got.bound <= optimum + 1e-9
    assert got.loss >= optimum
    # Never worse than the best vertex, which is within one step of the bound.
    vertex_prices, vertex_losses = frontier.curve()
    within = vertex_prices <= budget
    assert got.loss <= vertex_losses[within].min()
    step = np.diff(vertex_losses, prepend=vertex_losses[0]).max()
    assert got.loss - got.bound <= step + 1e-9
    assert 0 <= got.gap <= 1


@given(instances(), st.integers(0, 50))
@settings(deadline=None, max_examples=300)
def test_the_cheapest_allocation_of_a_loss(blocks: list[BlockOptions], loss: int) -> None:
    frontier = Frontier(blocks, FIXED)
    prices, losses = all_choices(blocks)
    got = frontier.at_loss(loss)
    assert recount(blocks, got) == (got.price, got.loss)
    assert got.loss <= loss
    assert got.price >= prices[losses <= loss].min()
    assert got.bound <= losses[prices <= got.price].min() + 1e-9
    vertex_prices, vertex_losses = frontier.curve()
    assert got.price <= vertex_prices[vertex_losses <= loss].min()


@given(instances())
@settings(deadline=None, max_examples=150)
def test_vertices_are_optimal(blocks: list[BlockOptions]) -> None:
    frontier = Frontier(blocks, FIXED)
    prices, losses = all_choices(blocks)
    for price, loss in zip(*frontier.curve(), strict=True):
        got = frontier.allocate(price)
        assert got.loss == loss == losses[prices <= price].min()
        assert got.gap == pytest.approx(0, abs=1e-12)
        back = frontier.at_loss(loss)
        assert back.loss <= loss
        assert back.price <= price


@given(instances())
@settings(deadline=None, max_examples=150)
def test_more_budget_or_loss_is_never_worse(blocks: list[BlockOptions]) -> None:
    frontier = Frontier(blocks, FIXED)
    budgets = np.arange(frontier.cheapest, frontier.dearest + 3)
    losses = [frontier.allocate(budget).loss for budget in budgets]
    assert losses == sorted(losses, reverse=True)
    bounds = [frontier.allocate(budget).bound for budget in budgets]
    assert bounds == sorted(bounds, reverse=True)
    prices = [frontier.at_loss(loss).price for loss in np.arange(0, 50, 0.5)]
    assert prices == sorted(prices, reverse=True)


@given(instances())
@settings(deadline=None, max_examples=100)
def test_a_budget_for_the_dense_model_keeps_it(blocks: list[BlockOptions]) -> None:
    dense = FIXED + sum(one.prices[0] for one in blocks)
    frontier = Frontier(blocks, FIXED)
    got = frontier.allocate(dense)
    assert frontier.dearest == dense
    assert got.widths == {one.units[0]: len(one.prices) for one in blocks}
    assert (got.price, got.loss, got.bound, got.gap) == (dense, 0, 0, 0)
    assert frontier.allocate(np.inf) == got


def test_what_is_left_over_is_spent() -> None:
    """Where the hull has few points, options off it and pairs of blocks fill the budget."""
    rng = np.random.default_rng(0)
    spent, plain, exact = [], [], []
    for _ in range(30):
        blocks = []
        for index in range(4):
            prices = np.sort(rng.integers(1, 1000, 5))[::-1].astype(float)
            losses = np.concatenate([[0], np.sort(rng.random(4))])
            blocks.append(block_of(f"b{index}", prices.tolist(), losses.tolist()))
        frontier = Frontier(blocks, FIXED)
        prices, losses = all_choices(blocks)
        vertex_prices, vertex_losses = frontier.curve()
        for budget in np.linspace(frontier.cheapest, frontier.dearest, 12)[1:-1]:
            spent.append(frontier.allocate(budget).loss)
            plain.append(vertex_losses[vertex_prices <= budget].min())
            exact.append(losses[prices <= budget].min())
    assert sum(plain) / sum(exact) > 1.05
    assert sum(spent) / sum(exact) < 1.005


def test_one_block_takes_its_best_option_within_the_budget() -> None:
    block = block_of("b", [10, 8, 6, 4], [0, 5, 5.5, 6])  # the middle lies above the hull
    frontier = Frontier([block])
    assert frontier.curve()[0].tolist() == [10, 4]
    assert frontier.allocate(9).widths == {"b.unit": 3}
    assert frontier.allocate(7).loss == 5.5
    assert frontier.allocate(9).bound == pytest.approx(1)
    assert frontier.at_loss(5.7).price == 6


def test_an_option_dearer_than_the_dense_one_is_never_taken() -> None:
    slow = block_of("slow", [10, 12, 5], [0, 1, 2])
    same = block_of("same", [3, 3, 3], [0, 0, 0])
    frontier = Frontier([slow, same])
    assert (frontier.cheapest, frontier.dearest) == (8, 13)
    assert frontier.allocate(100).widths == {"slow.unit": 3, "same.unit": 3}
    assert frontier.allocate(12).widths == {"slow.unit": 1, "same.unit": 3}


def test_what_costs_nothing_goes_first() -> None:
    free = block_of("free", [4, 3, 2], [0, 0, 0])
    dear = block_of("dear", [4, 1], [0, 1])
    frontier = Frontier([dear, free])
    assert frontier.allocate(7).widths == {"dear.unit": 2, "free.unit": 1}
    assert frontier.at_loss(0).price == 6


def test_an_unreachable_budget_names_the_nearest() -> None:
    frontier = Frontier([block_of("b", [3_000_000, 1_234_567], [0, 1])], fixed=1000)
    with pytest.raises(UnreachableError, match="1,235,567") as caught:
        frontier.allocate(1_000_000)
    assert isinstance(caught.value, SpecError)
    assert caught.value.nearest == 1_235_567
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(again), again.nearest) == (str(caught.value), 1_235_567)
    assert frontier.allocate(caught.value.nearest).price == 1_235_567
    with pytest.raises(UnreachableError, match="at most -1"):
        frontier.at_loss(-1)
    with pytest.raises(UnreachableError):
        frontier.allocate(np.nan)


def test_fractional_prices_are_met_exactly() -> None:
    rng = np.random.default_rng(3)
    blocks = [
        block_of(f"b{i}", np.sort(rng.random(6))[::-1].tolist(), [0, *np.sort(rng.random(5))])
        for i in range(12)
    ]
    frontier = Frontier(blocks, 0.1)
    for price, loss in zip(*frontier.curve(), strict=True):
        got = frontier.allocate(price)
        assert got.price <= price
        assert got.loss <= loss
        assert got.loss == pytest.approx(loss)


@pytest.mark.parametrize(
    ("blocks", "fixed", "words"),
    [
        ([], 0.0, "no block"),
        ([block_of("a", [1], [0])] * 2, 0.0, "a has options twice"),
        ([block_of("a", [1], [0])], np.nan, "fixed price is nan"),
    ],
)
def test_bad_frontiers(blocks: list[BlockOptions], fixed: float, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Frontier(blocks, fixed)


@pytest.mark.parametrize(
    ("prices", "losses", "words"),
    [([], [], "shapes"), ([1, 2], [0], "shapes"), ([1], [np.inf], "not finite")],
)
def test_bad_options(prices: list[float], losses: list[float], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        block_of("a", prices, losses)


def test_a_curve_is_interpolated_in_its_width() -> None:
    curve = LossCurve("fc2", 8, (2, 4, 8), (1.0, 0.2, 0.0))
    assert curve.at([2, 3, 4, 6, 8]) == pytest.approx([1.0, 0.6, 0.2, 0.1, 0.0])
    assert curve.at([[8], [2]]).shape == (2, 1)
    assert curve.at(3) == pytest.approx(0.6)
    assert LossCurve("fc2", 8, (8,), (0.0,)).at([8]).tolist() == [0]


def test_a_curve_is_interpolated_along_its_scale() -> None:
    errors = tuple((8 - width) ** 2 / 49 for width in range(1, 9))
    curve = LossCurve("fc2", 8, (1, 5, 8), (2.0, 9 * 2 / 49, 0.0), errors)
    # The loss is proportional to the error at the known widths, hence everywhere.
    assert curve.at(np.arange(1, 9)) == pytest.approx(2 * np.array(errors))
    assert curve.at(4) == pytest.approx(2 * errors[3])
    flat = LossCurve("fc2", 4, (1, 3, 4), (1.0, 0.5, 0.0), (3.0, 3.0, 3.0, 0.0))
    assert flat.at([1, 2, 3, 4]) == pytest.approx([1, 0.75, 0.5, 0])


def test_a_curve_falls_with_the_width() -> None:
    noisy = LossCurve("fc2", 9, (1, 3, 5, 7, 9), (1.0, 0.2, 0.4, -0.1, 0.0))
    assert noisy.losses == pytest.approx((1.0, 0.3, 0.3, 0.0, 0.0))
    assert LossCurve("fc2", 9, noisy.widths, noisy.losses) == noisy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widths": (4, 2, 8)}, "ascend"),
        ({"widths": (0, 4, 8)}, "ascend"),
        ({"widths": (2, 4, 6)}, "all 8 groups"),
        ({"widths": (), "losses": ()}, "ascend"),
        ({"losses": (1.0, 0.0)}, "2 losses at 3 widths"),
        ({"losses": (1.0, np.nan, 0.0)}, "loss of nan"),
        ({"losses": (1.0, 0.5, 0.1)}, "loss of 0.1"),
        ({"scale": (1.0, 0.5)}, "2 values"),
        ({"scale": (0, 1, 2, 3, 2, 5, 6, 7)}, "up and down"),
        ({"scale": (0, 1, 2, np.nan, 2, 5, 6, 7)}, "up and down"),
    ],
)
def test_bad_curves(changes: dict[str, Any], words: str) -> None:
    good = {"unit": "fc2", "groups": 8, "widths": (2, 4, 8), "losses": (1.0, 0.5, 0.0)}
    with pytest.raises(SpecError, match=words):
        LossCurve(**{**good, **changes})


@pytest.mark.parametrize("width", [1, 9])
def test_a_curve_does_not_guess(width: int) -> None:
    with pytest.raises(SpecError, match=f"width {width}"):
        LossCurve("fc2", 8, (2, 8), (1.0, 0.0)).at([4, width])


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({"groups": 5}, (1, 2, 3, 4, 5)),
        ({"groups": 12, "most_removed": 0.5}, (6, 7, 8, 9, 10, 11, 12)),
        ({"groups": 100, "most_removed": 0.29, "multiple": 10}, (80, 90, 100)),
        ({"groups": 100, "most_removed": 0.3, "multiple": 10}, (70, 80, 90, 100)),
        ({"groups": 30, "multiple": 8}, (8, 16, 24, 30)),
        ({"groups": 30, "multiple": 32}, (30,)),
        ({"groups": 30, "most_removed": 0.0}, (30,)),
        ({"groups": 30, "levels": 1}, (30,)),
        ({"groups": 8, "protected": 7}, (7, 8)),
        ({"groups": 100, "levels": 5, "most_removed": 0.8}, (20, 40, 60, 80, 100)),
        ({"groups": 64, "fast": (48, 8, 32, 99), "most_removed": 0.6}, (32, 48, 64)),
        ({"groups": 64, "fast": (), "most_removed": 0.6}, (64,)),
    ],
)
def test_candidate_widths(settings_: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert candidate_widths(**settings_) == expected


@given(
    st.integers(1, 5000), st.floats(0, 1), st.integers(1, 64), st.integers(1, 40), st.integers(0, 9)
)
@settings(deadline=None)
def test_candidate_widths_keep_to_the_limits(
    groups: int, cap: float, multiple: int, levels: int, protected: int
) -> None:
    protected = min(protected, groups)
    got = candidate_widths(
        groups, most_removed=cap, multiple=multiple, levels=levels, protected=protected
    )
    assert list(got) == sorted(set(got))
    assert got[-1] == groups
    assert len(got) <= levels
    assert all(width % multiple == 0 for width in got[:-1])
    assert got[0] >= max(1, protected)
    assert groups - got[0] <= cap * groups + 1e-9


@pytest.mark.parametrize(
    "wrong", [{"most_removed": 1.1}, {"multiple": 0}, {"levels": 0}, {"protected": 9}]
)
def test_bad_candidates(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        candidate_widths(8, **wrong)


def test_options_are_all_combinations() -> None:
    curves = {
        "a": LossCurve("a", 4, (1, 4), (3.0, 0.0)),
        "b": LossCurve("b", 2, (1, 2), (0.5, 0.0)),
    }
    got = product_options("block", {"a": (1, 4), "b": (1, 2)}, curves, lambda w: w["a"] * w["b"])
    assert got.units == ("a", "b")
    assert got.widths.tolist() == [[1, 1], [1, 2], [4, 1], [4, 2]]
    assert got.prices.tolist() == [1, 2, 4, 8]
    assert got.losses.tolist() == [3.5, 3, 0.5, 0]
    with pytest.raises(SpecError, match="b has no loss curve"):
        product_options("block", {"b": (1, 2)}, {}, lambda w: w["b"])
    many = dict.fromkeys("ab", range(1, 1002))
    with pytest.raises(SpecError, match="1,002,001 combinations"):
        product_options("block", many, dict.fromkeys("ab", curves["a"]), lambda w: w["a"])


@pytest.mark.parametrize("name", ["resnet-bottleneck", "opt"])
@pytest.mark.parametrize("kind", [Price.PARAMETERS, Price.FLOPS, Price.REMOVED])
def test_budgets_of_real_models(name: str, kind: Price) -> None:
    module = families.FAMILIES[name]().model
    adapter = find_adapter(module)
    preprocess = ImagePreprocess((0, 0, 0), (1, 1, 1), size=families.IMAGE_SIZE)
    source = SourceInfo("tiny", adapter.family, adapter.task, "random", preprocess=preprocess)
    costs = cost_model(LoadedModel(module, adapter, source, next(module.parameters()).dtype))
    rng = np.random.default_rng(0)
    candidates = {u.name: candidate_widths(u.groups, multiple=2) for u in costs.units}
    curves = {
        u.name: LossCurve(u.name, u.groups, (1, u.groups), (float(rng.random()), 0.0))
        for u in costs.units
    }
    frontier = Frontier(
        [
            product_options(
                block,
                {u.name: candidates[u.name] for u in costs.units if u.block == block},
                curves,
                partial(costs.block_prices, block, kind),
            )
            for block in costs.blocks
        ],
        costs.constant(kind),
    )
    previous = np.inf
    for share in (0.0, 0.3, 0.7, 1.0):
        budget = frontier.cheapest + share * (frontier.dearest - frontier.cheapest)
        got = frontier.allocate(budget)
        price = (
            1 - costs.removed(got.widths)
            if kind is Price.REMOVED
            else getattr(costs, kind)(got.widths)
        )
        assert price == pytest.approx(got.price, rel=1e-12)
        assert got.price <= budget
        assert all(width in candidates[unit] for unit, width in got.widths.items())
        assert got.bound <= got.loss <= previous
        previous = got.loss
    assert got.widths == {u.name: u.groups for u in costs.units}


def test_a_single_width_is_an_answer_too() -> None:
    scaled = LossCurve("fc2", 4, (1, 4), (3.0, 0.0), (9.0, 4.0, 1.0, 0.0))
    for curve in (scaled, dataclasses.replace(scaled, scale=None)):
        together = curve.at([1, 2, 3, 4])
        assert [float(curve.at(width)) for width in (1, 2, 3, 4)] == together.tolist()
