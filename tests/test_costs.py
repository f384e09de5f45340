"""What `CostModel` foretells is what surgery then leaves: exactly, in every family."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.adapters.base import Adapter
from osscar_core.adapters.opt import OptAdapter
from osscar_core.costs import CostModel, Price, Terms
from osscar_core.errors import SpecError, UnknownModelError
from osscar_core.evaluation import count_flops, count_parameters
from osscar_core.evaluation import size as size_module
from osscar_core.models import LoadedModel, state_bytes
from osscar_core.pricing import cost_model
from osscar_core.records import (
    ImagePreprocess,
    SourceInfo,
    Structure,
    UnitPlan,
    from_json,
    to_json,
)
from osscar_core.surgery import reshape_, shrink_
from osscar_core.units import Producer, Unit

Widths = dict[str, int]
# The models compute in float32; their files are to be in another type.
DTYPE = torch.float16


def of_module(module: nn.Module, side: int = families.IMAGE_SIZE) -> LoadedModel:
    adapter = find_adapter(module)
    preprocess = ImagePreprocess((0, 0, 0), (1, 1, 1), size=side)
    source = SourceInfo("tiny", adapter.family, adapter.task, "random", preprocess=preprocess)
    return LoadedModel(module, adapter, source, DTYPE)


def opt_125m() -> LoadedModel:
    from transformers import OPTConfig, OPTForCausalLM

    with torch.device("meta"):  # the real shapes, which need no values
        return of_module(OPTForCausalLM(OPTConfig()).eval())


def resnet50() -> LoadedModel:
    with torch.device("meta"):
        return of_module(torchvision.models.resnet50().eval(), side=64)


CASES: dict[str, Callable[[], LoadedModel]] = {
    **{
        name: lambda build=build: of_module(build().model)
        for name, build in families.FAMILIES.items()
    },
    "opt-125m": opt_125m,
    "resnet50": resnet50,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model with its costs, shared by the tests, which leave it alone."""

    loaded: LoadedModel
    costs: CostModel

    def widths(self, seed: int) -> Widths:
        rng = np.random.default_rng(seed)
        return {unit.name: int(rng.integers(1, unit.groups + 1)) for unit in self.costs.units}

    def without_bias(self) -> list[str]:
        find = self.loaded.module.get_submodule
        return [unit.name for unit in self.costs.units if find(unit.consumer).bias is None]

    def pruned(self, widths: Widths, new_biases: list[str] | None = None) -> LoadedModel:
        """Return a copy of the model in which random groups of these numbers stay."""
        rng = np.random.default_rng(1)
        plans = []
        for unit in self.costs.units:
            kept = rng.permutation(unit.groups)[: widths.get(unit.name, unit.groups)]
            indices = tuple(sorted(map(int, kept)))
            adds_bias = unit.name in (new_biases or [])
            plan = UnitPlan(
                unit.name, unit.structure, unit.block, unit.groups, indices, adds_bias=adds_bias
            )
            plans.append(plan)
        module = copy.deepcopy(self.loaded.module)
        reshape_(module, self.loaded.adapter, plans)
        return dataclasses.replace(self.loaded, module=module)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    loaded = CASES[request.param]()
    return Case(loaded, cost_model(loaded))


@pytest.fixture(scope="module")
def bottleneck() -> Case:
    loaded = CASES["resnet-bottleneck"]()
    return Case(loaded, cost_model(loaded))


def check(case: Case, widths: Widths) -> None:
    pruned = case.pruned(widths)
    assert case.costs.parameters(widths) == count_parameters(pruned.module)
    assert case.costs.bytes(widths) == state_bytes(pruned.module, DTYPE)
    assert case.costs.flops(widths) == count_flops(pruned)[0]


def test_units_and_input_are_the_models(case: Case) -> None:
    assert case.costs.units == case.loaded.adapter.units(case.loaded.module)
    assert case.costs.flops_input == count_flops(case.loaded)[1]
    assert set(case.costs.blocks) <= set(case.loaded.adapter.blocks(case.loaded.module))


@pytest.mark.parametrize("seed", [0, 1])
def test_random_widths_cost_what_is_foretold(case: Case, seed: int) -> None:
    check(case, case.widths(seed))


def test_one_group_everywhere_costs_what_is_foretold(case: Case) -> None:
    check(case, {unit.name: 1 for unit in case.costs.units})


def test_absent_units_are_complete(case: Case) -> None:
    some = dict(list(case.widths(2).items())[::3])
    check(case, some)
    complete = {unit.name: unit.groups for unit in case.costs.units}
    assert case.costs.bytes({}) == case.costs.bytes(complete)
    assert case.costs.bytes({}) == state_bytes(case.loaded.module, DTYPE)


def test_new_biases_cost_what_is_foretold(case: Case) -> None:
    bare = case.without_bias()
    widths = case.widths(3)
    for chosen in (bare[::2], bare):
        pruned = case.pruned(widths, chosen)
        assert case.costs.parameters(widths, chosen) == count_parameters(pruned.module)
        assert case.costs.bytes(widths, chosen) == state_bytes(pruned.module, DTYPE)
    assert case.costs.flops(widths) == count_flops(pruned)[0]


def test_blocks_and_the_constant_sum_to_the_total(case: Case) -> None:
    costs, widths = case.costs, case.widths(4)
    totals: dict[Price, float] = {
        Price.PARAMETERS: costs.parameters(widths),
        Price.BYTES: costs.bytes(widths) - costs.header_bytes(widths),
        Price.FLOPS: costs.flops(widths),
        Price.REMOVED: 1 - costs.removed(widths),
    }
    by_block: dict[str, Widths] = {block: {} for block in costs.blocks}
    for unit in costs.units:
        by_block[unit.block][unit.name] = widths[unit.name]
    for kind, total in totals.items():
        prices = [costs.block_prices(block, kind, own) for block, own in by_block.items()]
        summed = costs.constant(kind) + sum(price.item() for price in prices)
        if kind is Price.REMOVED:
            assert summed == pytest.approx(total, rel=1e-12)
            assert {price.dtype for price in prices} == {np.dtype(np.float64)}
        else:
            assert summed == total
            assert {price.dtype for price in prices} == {np.dtype(np.int64)}


@pytest.mark.parametrize("kind", Price)
def test_arrays_cost_what_their_entries_do(case: Case, kind: Price) -> None:
    block = case.costs.blocks[-1]
    units = [unit for unit in case.costs.units if unit.block == block]
    rng = np.random.default_rng(5)
    arrays = {unit.name: rng.integers(1, unit.groups + 1, 40) for unit in units}
    prices = case.costs.block_prices(block, kind, arrays)
    assert prices.shape == (40,)
    for index in range(40):
        one = {name: values[index] for name, values in arrays.items()}
        assert prices[index] == case.costs.block_prices(block, kind, one)
    # A grid of the first unit's widths against the last one's; the rest complete.
    grid = {units[0].name: arrays[units[0].name][:, None]}
    grid |= {units[-1].name: arrays[units[-1].name]}
    last = case.costs.block_prices(block, kind, grid)
    assert last.shape == ((40, 40) if len(units) > 1 else (40,))
    corner = {name: values.flat[-1] for name, values in grid.items()}
    assert last.flat[-1] == case.costs.block_prices(block, kind, corner)


def test_the_header_is_largest_when_complete(case: Case) -> None:
    costs = case.costs
    bare = case.without_bias()
    for seed in range(6, 9):
        assert costs.header_bytes(case.widths(seed)) <= costs.header_bytes({})
        assert costs.header_bytes(case.widths(seed), bare) <= costs.header_bytes({}, bare)


def test_removed_is_the_share_where_it_is_the_same_everywhere(case: Case) -> None:
    parts = math.gcd(*(unit.groups for unit in case.costs.units))
    for kept in range(1, parts + 1):
        widths = {unit.name: unit.groups * kept // parts for unit in case.costs.units}
        assert case.costs.removed(widths) == pytest.approx(1 - kept / parts, abs=1e-15)
    assert case.costs.removed({}) == 0


def test_removed_weighs_units_by_what_their_groups_own(bottleneck: Case) -> None:
    module = bottleneck.loaded.module
    owned = {
        unit.name: module.get_submodule(unit.consumer).weight.numel()
        + sum(
            parameter.numel()
            for one in unit.producers
            for parameter in module.get_submodule(one.path).parameters()
        )
        for unit in bottleneck.costs.units
    }
    widths = bottleneck.widths(9)
    gone = sum(
        owned[unit.name] * (1 - widths[unit.name] / unit.groups) for unit in bottleneck.costs.units
    )
    assert bottleneck.costs.removed(widths) == pytest.approx(gone / sum(owned.values()))


def test_a_bottleneck_by_hand(bottleneck: Case) -> None:
    costs = bottleneck.costs
    first = costs.blocks[0]  # 8 channels in, 8 and 8 inside, 32 out
    a, b = np.array([3, 8]), np.array([5, 8])
    widths = {f"{first}.conv2": a, f"{first}.conv3": b}
    weights = 8 * a + 9 * a * b + 32 * b
    norms = 2 * (a + b)
    got = costs.block_prices(first, Price.PARAMETERS, widths)
    assert got.tolist() == (weights + norms).tolist()
    data = costs.block_prices(first, Price.BYTES, widths)
    assert data.tolist() == (2 * (weights + 2 * norms)).tolist()  # with mean and variance
    flops = costs.block_prices(first, Price.FLOPS, widths)
    assert flops.tolist() == (2 * 8 * 8 * weights).tolist()  # 32 pixels, halved twice


def test_attention_is_priced_by_the_head() -> None:
    costs = cost_model(CASES["opt"](), seqlen=16)
    heads = costs.units[0]  # 4 heads of 8, 32 features
    price = costs.block_prices(
        heads.block, Price.FLOPS, {heads.name: [1, 2], costs.units[1].name: 1}
    )
    projections, attention = 2 * 16 * 4 * 8 * 32, 2 * 2 * 16 * 16 * 8
    assert (price[1] - price[0]).item() == projections + attention


def test_a_pruned_model_has_the_costs_of_its_dense_one(case: Case) -> None:
    widths = case.widths(10)
    costs = cost_model(case.pruned(widths))
    assert [unit.groups for unit in costs.units] == list(widths.values())
    less = {name: max(1, width // 2) for name, width in widths.items()}
    for name in ("parameters", "bytes", "flops"):
        assert getattr(costs, name)(less) == getattr(case.costs, name)(less)


def test_survives_json_and_the_model(case: Case) -> None:
    again = from_json(CostModel, to_json(case.costs))
    assert again == case.costs
    assert hash(again) == hash(case.costs)
    widths = case.widths(11)
    assert again.bytes(widths) == case.costs.bytes(widths)
    assert again.flops(widths) == case.costs.flops(widths)
    assert again.removed(widths) == case.costs.removed(widths)


@pytest.mark.parametrize("name", ["mistral", "resnet-basic"])
def test_a_model_that_insists_on_values_has_the_same_costs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> nn.Module:
        raise RuntimeError("no values")

    loaded = CASES[name]()
    expected = cost_model(loaded)
    monkeypatch.setattr(size_module, "_weightless", refuse)
    assert cost_model(loaded) == expected


@pytest.mark.parametrize("width", [0, -1, 9, 2.5, True, "4"])
def test_widths_out_of_range_are_named(bottleneck: Case, width: object) -> None:
    unit = bottleneck.costs.units[0]
    told = rf"the width of {unit.name} is {width}\. It must be an integer in \[1, 8\]"
    for price in ("parameters", "bytes", "flops", "removed", "header_bytes"):
        with pytest.raises(SpecError, match=told):
            getattr(bottleneck.costs, price)({unit.name: width})


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        ([3, 9, 1], "is 9. It must be an integer in [1, 8]"),
        ([0, 3], "is 0."),
        ([2.0, 3.0], "is an array of float64."),
    ],
)
def test_arrays_out_of_range_are_named(bottleneck: Case, widths: list[float], told: str) -> None:
    unit = bottleneck.costs.units[0]
    with pytest.raises(SpecError) as caught:
        bottleneck.costs.block_prices(unit.block, Price.FLOPS, {unit.name: widths})
    assert told in str(caught.value)


def test_unknown_names_suggest_near_ones(bottleneck: Case) -> None:
    costs = bottleneck.costs
    with pytest.raises(SpecError, match=r"'layer1.0.conv4'. Did you mean 'layer1.0.conv3'"):
        costs.parameters({"layer1.0.conv4": 2})
    with pytest.raises(SpecError, match=r"unknown unit 'nothing'. Choose from: layer1"):
        costs.bytes({}, ["nothing"])
    with pytest.raises(SpecError, match=r"unknown block 'layer9.0'"):
        costs.block_prices("layer9.0", Price.FLOPS, {})
    with pytest.raises(SpecError, match=r"unknown unit of layer1.0 'layer2.0.conv2'"):
        costs.block_prices("layer1.0", Price.FLOPS, {"layer2.0.conv2": [1]})


def test_a_bias_that_is_there_cannot_be_new() -> None:
    costs = cost_model(CASES["opt"]())
    unit = costs.units[0]
    with pytest.raises(SpecError, match=f"{unit.name} is to gain a bias and has one"):
        costs.parameters({}, [unit.name])


class Branch(nn.Module):
    """Three layers of six features, and 50 FLOPs of its own if asked for."""

    def __init__(self, *, works: bool) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6, bias=False)
        self.second = nn.Linear(6, 6, bias=False)
        self.third = nn.Linear(6, 6, bias=False)
        self.works = works

    def forward(self, x: Tensor) -> Tensor:
        x = self.third(self.second(self.first(x.flatten(1)[:, :6])))
        return x[:, :5] @ torch.ones(5, 5) if self.works else x


def branch(*units: Unit, works: bool = False, is_shared: bool = False) -> LoadedModel:
    """Return a model of one branch, of a family that has these units."""

    class BranchAdapter(Adapter):
        family, task, structures = "branch", "image", tuple(Structure)
        matches = staticmethod(lambda _: True)
        blocks = staticmethod(lambda _: ("0",))

        @staticmethod
        def units(model: nn.Module) -> tuple[Unit, ...]:
            return units

    module = nn.Sequential(Branch(works=works))
    if is_shared:
        module[0].third.weight = module[0].first.weight
    preprocess = ImagePreprocess((0, 0, 0), (1, 1, 1), size=2)
    source = SourceInfo("branch", "branch", "image", "random", preprocess=preprocess)
    return LoadedModel(module, BranchAdapter, source, torch.float32)


SECOND = Unit(Structure.NEURONS, "0", "0.second", (Producer("0.first"),), 6, 1)
THIRD = Unit(Structure.NEURONS, "0", "0.third", (Producer("0.second"),), 6, 1)


def test_what_the_module_around_computes_scales_with_heads_only() -> None:
    costs = cost_model(branch(SECOND, works=True))
    assert costs.constant(Price.FLOPS) == 72 + 50
    assert costs.flops({"0.second": 1}) == 72 + 50 + 12 + 12
    heads = dataclasses.replace(SECOND, structure=Structure.HEADS)
    assert cost_model(branch(heads)).flops({"0.second": 1}) == 72 + 12 + 12
    with pytest.raises(UnknownModelError, match=r"0 takes 50 FLOPs, not a multiple of the groups"):
        cost_model(branch(heads, works=True))


@pytest.mark.parametrize(
    ("units", "is_shared", "told"),
    [
        ((dataclasses.replace(SECOND, groups=4),), False, "0.first.weight has 6 entries there"),
        ((SECOND, SECOND), False, "0.first.weight follows 0.second as well"),
        ((SECOND, dataclasses.replace(THIRD, block="1")), False, "lies between two blocks"),
        (
            tuple(dataclasses.replace(one, structure=Structure.HEADS) for one in (SECOND, THIRD)),
            False,
            "0 computes for 0.second as well",
        ),
        ((SECOND,), True, "0.first.weight is not its layer's own"),
        ((THIRD,), True, "0.third.weight is not its layer's own"),
    ],
)
def test_what_has_no_exact_price_is_refused(
    units: tuple[Unit, ...], is_shared: bool, told: str
) -> None:
    with pytest.raises(UnknownModelError) as caught:
        cost_model(branch(*units, is_shared=is_shared))
    assert told in str(caught.value)


def test_terms_add_up() -> None:
    terms = Terms.of([(2, ()), (3, ("a",)), (4, ("b", "a")), (5, ("a", "b")), (1, ()), (0, ("b",))])
    assert terms == Terms(3, ((3, ("a",)), (9, ("a", "b"))))
    assert terms.total({"a": 2, "b": 10}) == 3 + 6 + 180
    assert terms.vary({"a": np.array([1, 2]), "b": np.array(10)}).tolist() == [93, 186]


def test_shrinking_one_unit_leaves_the_costs_alone() -> None:
    loaded = CASES["opt"]()
    costs = cost_model(loaded)
    before = costs.bytes({})
    unit = OptAdapter.units(loaded.module)[0]
    shrink_(loaded.module, unit, torch.tensor([1]))
    assert costs.bytes({}) == before
    assert costs.bytes({unit.name: 1}) == state_bytes(loaded.module, DTYPE)
