"""The best model that plain `transformers` can load: one width of each structure for all layers."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import families
from osscar_core.adapters import find_adapter
from osscar_core.budget import LossCurve, candidate_widths, common_options
from osscar_core.costs import CostModel
from osscar_core.errors import SpecError
from osscar_core.estimates import QualityModel
from osscar_core.explorer import Explorer, UnreachableGoal
from osscar_core.export.huggingface import widths_of
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.guarded import lessened
from osscar_core.loadable import check_alike, why_not_plain
from osscar_core.models import LoadedModel
from osscar_core.pricing import cost_model
from osscar_core.pruner import deploy, prune_
from osscar_core.records import (
    Certify,
    Intercept,
    Method,
    PruneReport,
    PruneSpec,
    Structure,
    from_json,
)
from osscar_core.widths import uniform_widths
from surveyed import Surveyed, latencies, logits

K = GoalKind
Get = Callable[[str], Surveyed]
Pair = tuple[int, ...]


def explorer(case: Surveyed, **changes: Any) -> Explorer:
    settings = {"budget": Budget.LOSS_WEIGHTED, "plain_loadable": True, **changes}
    brief = case.fresh_survey().brief()
    return Explorer.of(brief, case.request(**settings), table=latencies(case.model))


def pair_of(case: Surveyed, widths: Mapping[str, int]) -> dict[Structure, int]:
    """The one width of each structure; fails if layers differ."""
    found: dict[Structure, set[int]] = {}
    for unit in case.model.adapter.units(case.model.module):
        if unit.name in widths:
            found.setdefault(unit.structure, set()).add(widths[unit.name])
    assert all(len(each) == 1 for each in found.values()), found
    return {structure: each.pop() for structure, each in found.items()}


# --- the best of all pairs ------------------------------------------------------------------


class Pairs:
    """Every pair of common widths of a tiny Llama with its sizes, by measures of one model."""

    def __init__(self, case: Surveyed) -> None:
        self.costs: CostModel = cost_model(case.model)
        self.units = case.model.adapter.units(case.model.module)
        self.table = latencies(case.model)
        groups = {unit.structure: unit.groups for unit in self.units}
        self.widths: dict[Pair, dict[str, int]] = {}
        for pair in itertools.product(*(range(1, count + 1) for count in groups.values())):
            of = dict(zip(groups, pair, strict=True))
            self.widths[pair] = {unit.name: of[unit.structure] for unit in self.units}
        self._known: dict[GoalKind, dict[Pair, float]] = {}

    def quantity(self, kind: GoalKind) -> dict[Pair, float]:
        """What a goal of this kind limits, the less the better."""
        if kind not in self._known:
            costs, table = self.costs, self.table
            measure: Callable[[dict[str, int]], float] = {
                K.REMOVED: lambda widths: 1 - costs.removed(widths),
                K.PARAMETERS: costs.parameters,
                # A header is counted as the complete model's, which is the longest.
                K.BYTES: lambda w: costs.bytes(w) - costs.header_bytes(w) + costs.header_bytes({}),
                K.FLOPS: costs.flops,
                K.LATENCY: table.model_ms,
            }[kind]
            self._known[kind] = {pair: measure(widths) for pair, widths in self.widths.items()}
        return self._known[kind]


@pytest.fixture(scope="module")
def pairs(surveyed: Get) -> Pairs:
    return Pairs(surveyed("llama"))


@st.composite
def losses(draw: st.DrawFn) -> tuple[float, ...]:
    """Losses at five widths of a unit, the larger the fewer groups stay."""
    steps = draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
    return (*(sum(steps[index:]) / 10 for index in range(4)), 0.0)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from([K.REMOVED, K.PARAMETERS, K.BYTES, K.FLOPS, K.LATENCY]),
    share=st.floats(0.0, 1.0),
    found=st.lists(losses(), min_size=4, max_size=4),
    cap=st.sampled_from([1.0, 0.7]),
    multiple=st.sampled_from([1, 3]),
    said=st.sampled_from([(1, 2, 3), (1, 3)]),
)
def test_no_pair_within_a_budget_is_better(
    surveyed: Get,
    pairs: Pairs,
    kind: GoalKind,
    share: float,
    found: list[tuple[float, ...]],
    cap: float,
    multiple: int,
    said: Pair,
) -> None:
    case = surveyed("llama")
    units = [
        dataclasses.replace(unit, said=said if unit.groups == 3 else None) for unit in pairs.units
    ]
    curves = {}
    for unit, values in zip(pairs.units, found, strict=True):
        known = (1, 2, 3) if unit.groups == 3 else (1, 9, 20, 31, 40)
        curves[unit.name] = LossCurve(unit.name, unit.groups, known, values[-len(known) :])
    spec = case.request(
        budget=Budget.LOSS_WEIGHTED, plain_loadable=True, caps=(("*", cap),), round_to=multiple
    )
    asked = Explorer(pairs.costs, spec, units, task="text", curves=curves, table=pairs.table)
    quantity = pairs.quantity(kind)

    def is_offered(pair: Pair) -> bool:
        return pair[0] in said and all(
            width >= math.ceil(groups * (1 - cap) - 1e-9)
            and (width == groups or width % min(multiple, groups) == 0)
            for width, groups in zip(pair, (3, 40), strict=True)
        )

    offered = {pair: quantity[pair] for pair in quantity if is_offered(pair)}
    low, high = min(offered.values()), max(offered.values())
    limit = low + share * (high - low)
    value = {K.REMOVED: min(max(0.0, 1 - limit), 0.999999)}.get(kind, limit)
    goal = Goal(kind, value)
    within = [pair for pair, size in offered.items() if size <= limit * (1 + 1e-9)]
    loss_of = {
        pair: math.fsum(float(curves[name].at(w)) for name, w in pairs.widths[pair].items())
        for pair in within
    }
    answer = asked.what_if(goal)
    chosen = tuple(pair_of(case, answer.widths).values())
    assert is_offered(chosen)
    assert quantity[chosen] <= limit * (1 + 1e-9)
    assert answer.predicted == pytest.approx(min(loss_of.values()), abs=1e-12)
    assert answer.bound == answer.predicted


@pytest.mark.parametrize("rise", [0.001, 0.02, 0.1, 0.5])
def test_no_faster_pair_loses_as_little(surveyed: Get, pairs: Pairs, rise: float) -> None:
    case = surveyed("llama")
    found = explorer(case)
    assert isinstance(found.quality, QualityModel)
    allowed = found.quality.invert(math.log1p(rise))
    curves = case.survey.curves()
    measured = {
        pair: sum(float(curves[name].at(width)) for name, width in widths.items())
        for pair, widths in pairs.widths.items()
        if all(width >= curves[name].widths[0] for name, width in widths.items())
    }
    fastest = min(
        pairs.quantity(K.LATENCY)[pair] for pair, loss in measured.items() if loss <= allowed
    )
    answer = found.what_if(Goal(K.QUALITY_LOSS, rise))
    pair_of(case, answer.widths)
    assert answer.predicted <= allowed * (1 + 1e-9)
    assert answer.latency_ms == pytest.approx(fastest)


def test_it_is_predicted_between_equal_shares_and_a_free_choice(surveyed: Get) -> None:
    case = surveyed("llama")
    for removed in (0.2, 0.4, 0.6):
        uniform = explorer(case, budget=Budget.UNIFORM).what_if(Goal(K.REMOVED, removed))
        goal = Goal(K.REMOVED, uniform.removed)
        plain = explorer(case).what_if(goal)
        free = explorer(case, plain_loadable=False).what_if(goal)
        assert free.predicted <= plain.predicted + 1e-12
        assert plain.predicted <= uniform.predicted + 1e-12
        pair_of(case, uniform.widths)


def test_wide_layers_keep_customary_multiples_and_combinations_that_pay() -> None:
    """Of 64 x 128 pairs only those stay that are cheaper than all of at most their loss."""
    curves = {
        name: LossCurve(name, groups, (1, groups), (1.0, 0.0))
        for name, groups in (("a.h", 64), ("b.h", 64), ("a.n", 2048), ("b.n", 2048))
    }
    neurons = candidate_widths(2048, multiple=16, levels=2049)
    options = common_options(
        "all",
        {"heads": tuple(range(1, 65)), "neurons": neurons},
        {"heads": ("a.h", "b.h"), "neurons": ("a.n", "b.n")},
        curves,
        lambda w: 3 * (w["a.h"] + w["b.h"]) + w["a.n"] + w["b.n"],
    )
    assert options.units == ("a.h", "b.h", "a.n", "b.n")
    assert (options.widths[:, 0] == options.widths[:, 1]).all()
    assert (options.widths[:, 2] == options.widths[:, 3]).all()
    assert len(options.prices) < len(neurons) + 64
    assert (options.prices[1:] < options.prices[:-1]).all()
    assert (options.losses[1:] >= options.losses[:-1]).all()


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", list(Budget))
def test_the_strictest_limit_holds_for_all_layers(surveyed: Get, budget: Budget) -> None:
    case = surveyed("llama")
    limits = (("model.layers.0.mlp.*", 0.25), ("model.layers.1.self_attn.*", 0.0))
    found = explorer(case, budget=budget, caps=limits)
    with pytest.raises(UnreachableGoal) as caught:
        found.what_if(Goal(K.REMOVED, 0.9))
    answer = found.what_if(caught.value.nearest[0])
    assert pair_of(case, answer.widths) == {Structure.HEADS: 3, Structure.NEURONS: 30}


def test_heads_divide_the_hidden_size() -> None:
    """`LlamaConfig` insists on it: of 5 groups of 2 heads, 3 are none that 40 is a multiple of."""
    module = families._llama(
        "llama", hidden_size=40, num_attention_heads=10, num_key_value_heads=5
    ).model
    units = find_adapter(module).units(module)
    assert [unit.said for unit in units] == 2 * [(1, 2, 4, 5), None]
    free = dict.fromkeys((unit.name for unit in units), 1.0)
    for sparsity, heads in ((0.0, 5), (0.2, 4), (0.4, 4), (0.6, 2), (0.9, 1)):
        found = uniform_widths(units, sparsity, free, is_plain=True)
        assert {found[unit.name] for unit in units if unit.said} == {heads}
    assert uniform_widths(units, 0.4, free)[units[0].name] == 3
    assert uniform_widths(units, 0.4, free, 3, is_plain=True)[units[0].name] == 5


def test_opt_keeps_all_heads(surveyed: Get) -> None:
    case = surveyed("opt")
    for budget in Budget:
        answer = explorer(case, budget=budget).what_if(Goal(K.REMOVED, 0.5))
        assert pair_of(case, answer.widths) == {Structure.NEURONS: 24}
        assert answer.removed == pytest.approx(0.5)  # of what may go


# --- refusals -------------------------------------------------------------------------------


def refusal(case: Surveyed, **changes: Any) -> str:
    spec = case.request(sparsity=0.5, plain_loadable=True, **changes)
    with pytest.raises(SpecError) as caught:
        prune_(case.copy(), spec)
    return str(caught.value)


def test_image_models_are_refused(tmp_path: Path) -> None:
    family = families.FAMILIES["cifar-resnet20"]()
    spec = family.request(tmp_path, plain_loadable=True)
    with pytest.raises(SpecError, match=r"no configuration for the family cifar-resnet\..*onnx"):
        prune_(family.loaded(tmp_path), spec)


def test_what_a_configuration_cannot_say_is_refused(surveyed: Get) -> None:
    opt, llama = surveyed("opt"), surveyed("llama")
    heads = (Structure.HEADS, Structure.NEURONS)
    assert "OPTConfig cannot say that heads were removed" in refusal(opt, structures=heads)
    assert "--structures neurons" in refusal(opt, structures=(Structure.HEADS,))
    for changes in ({"intercept": Intercept.ON}, {"method": Method.FLAP}):
        assert "4 layers without a bias would gain one" in refusal(llama, **changes)
        with pytest.raises(SpecError, match="would gain one"):
            explorer(llama, **changes)
    with pytest.raises(SpecError, match="OPTConfig cannot say that heads"):
        explorer(opt, structures=(Structure.HEADS,))
    with pytest.raises(SpecError, match="exchanges would leave layers of unequal width"):
        opt.request(goal=Goal(K.REMOVED, 0.5), plain_loadable=True, refine=1)


def test_layers_that_have_a_bias_may_change_it(surveyed: Get) -> None:
    spec = surveyed("opt").request(sparsity=0.5, plain_loadable=True, intercept=Intercept.ON)
    assert why_not_plain(prune_(surveyed("opt").copy(), spec).plan) is None


def test_layers_without_a_common_width_are_refused(surveyed: Get) -> None:
    first, *others = surveyed("llama").model.adapter.units(surveyed("llama").model.module)
    check_alike((first, *others))
    with pytest.raises(SpecError, match="has 3 groups where"):
        check_alike((dataclasses.replace(first, groups=2), *others))


def test_given_widths_and_plans_have_to_be_equal_too(surveyed: Get) -> None:
    case = surveyed("opt")
    spec = case.request(plain_loadable=True)
    uneven = {"model.decoder.layers.0.fc2": 20, "model.decoder.layers.1.fc2": 22}
    with pytest.raises(SpecError, match="layers keep between 20 and 22 neurons"):
        prune_(case.copy(), spec, widths=uneven)
    with pytest.raises(SpecError, match="layers keep between 20 and 48 neurons"):
        prune_(case.copy(), spec, widths={"model.decoder.layers.0.fc2": 20})
    report = prune_(case.copy(), spec, widths=dict.fromkeys(uneven, 20))
    assert {unit.kept for unit in report.units} == {20}
    shortened = dataclasses.replace(report.plan, units=report.plan.units[:1])
    with pytest.raises(SpecError, match="layers keep between 20 and 48 neurons"):
        prune_(case.copy(), shortened.spec, repeat=shortened)


# --- whole runs -----------------------------------------------------------------------------


def plain_config(model: LoadedModel, report: PruneReport) -> Any:
    """The dense configuration with nothing but the numbers of the small model put in."""
    config = copy.deepcopy(model.module.config)
    kept = {unit.structure: unit.kept for unit in report.units}
    if config.model_type == "opt":
        config.ffn_dim = kept[Structure.NEURONS]
        return config
    ratio = config.num_attention_heads // config.num_key_value_heads
    if hasattr(config, "head_dim"):
        config.head_dim = model.module.model.layers[0].self_attn.head_dim
    config.num_key_value_heads = kept[Structure.HEADS]
    config.num_attention_heads = ratio * kept[Structure.HEADS]
    config.intermediate_size = kept[Structure.NEURONS]
    return config


def assert_loads(
    family: families.Family, dense: LoadedModel, small: LoadedModel, report: PruneReport
) -> None:
    assert widths_of(small).reason == ""  # an export carries no code
    plain = type(dense.module)(plain_config(dense, report)).eval()
    plain.load_state_dict(small.module.state_dict())
    assert torch.allclose(logits(plain, family.inputs), logits(small.module, family.inputs))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("opt-350m", {"sparsity": 0.4}),
        ("llama-bias", {"sparsity": 0.5, "intercept": Intercept.ON}),
        ("mistral", {"sparsity": 0.5}),
        ("qwen2", {"goal": Goal(K.FLOPS, 0.8), "budget": Budget.UNIFORM}),
    ],
)
def test_a_plain_configuration_loads_the_result(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    family = families.FAMILIES[name]()
    asked = {"sparsity": 0.0, "plain_loadable": True, "certify": Certify.OFF, **changes}
    spec = family.request(tmp_path, **asked)
    dense = family.loaded(tmp_path)
    small = dataclasses.replace(dense, module=copy.deepcopy(dense.module))
    report = prune_(small, spec)
    assert why_not_plain(report.plan, small.adapter.units(small.module)) is None
    assert report.plan.spec.plain_loadable
    assert report.parameters.pruned < report.parameters.dense
    assert_loads(family, dense, small, report)
    noted = [text for text in report.warnings if "heads stay" in text]
    assert len(noted) == (name in {"opt-350m", "qwen2"})


def test_a_report_says_which_limit_holds_for_all(surveyed: Get) -> None:
    case = surveyed("opt")
    spec = case.request(
        sparsity=0.5, plain_loadable=True, caps=(("model.decoder.layers.1.*", 0.25),)
    )
    report = prune_(case.copy(), spec)
    assert {unit.kept for unit in report.units} == {36}
    assert report.warnings[-2:] == (
        "all heads stay: OPTConfig cannot say that some were removed",
        (
            "every layer keeps equally many neurons, so the strictest limit of one holds for all: "
            "at most 25% are removed"
        ),
    )
    again = prune_(case.copy(), report.plan.spec, repeat=report.plan)
    assert again.plan.units == report.plan.units
    protected = prune_(
        case.copy(), dataclasses.replace(spec, caps=(("model.decoder.layers.0.fc2", 0.0),))
    )
    assert protected.parameters.pruned == protected.parameters.dense
    assert protected.warnings[-1].endswith("holds for all: all stay")


@pytest.mark.parametrize("name", ["opt", "llama"])
def test_a_survey_of_everything_answers_and_deploys(surveyed: Get, name: str) -> None:
    case = surveyed(name)
    goal = Goal(K.PARAMETERS, 0.85)
    spec = dataclasses.replace(case.survey.record.spec, goal=goal, plain_loadable=True)
    answer = Explorer.of(case.survey.brief(), spec, is_deployed=True).what_if(goal)
    deployed = deploy(case.fresh_survey(), spec)
    small = case.copy()
    asked = case.request(goal=goal, plain_loadable=True, certify=Certify.OFF)
    pruned = prune_(small, asked, survey=case.fresh_survey())
    assert_loads(case.family, case.model, small, pruned)
    for report in (deployed, pruned):
        assert {unit.name: unit.kept for unit in report.units} == answer.widths
        assert report.parameters.pruned == answer.parameters
        assert report.goal is not None
        assert report.goal.is_met
        assert report.budget is not None
        assert report.budget.bound == report.budget.predicted
        assert any("all heads stay" in text for text in report.warnings) is (name == "opt")
        assert why_not_plain(report.plan, case.model.adapter.units(case.model.module)) is None


def test_what_protected_groups_lessen_stays_plain(surveyed: Get) -> None:
    case = surveyed("opt")
    spec = case.request(goal=Goal(K.REMOVED, 0.5), plain_loadable=True)
    report = prune_(case.copy(), spec, survey=case.fresh_survey())
    less = lessened(spec, 0.5, report)
    assert less.plain_loadable
    again = prune_(case.copy(), less, survey=case.fresh_survey())
    assert {unit.kept for unit in report.units} == {24}
    assert {unit.kept for unit in again.units} == {36}


def test_requests_from_before_read_as_not_asking_for_it() -> None:
    stored = '{"model": "demo/opt", "calibration": "demo:plant-log", "sparsity": 0.5}'
    assert from_json(PruneSpec, stored).plain_loadable is False
