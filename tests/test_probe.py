"""The divergence of a model from the dense one, whole or with one block replaced."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

import families
from osscar_core import probe as probes
from osscar_core.adapters import find_adapter
from osscar_core.errors import NumericalError
from osscar_core.probe import Probe, placed
from osscar_core.surgery import detached, shrink_
from osscar_core.units import Unit
from surveyed import CPU, logits


@pytest.fixture(params=sorted(families.FAMILIES))
def family(request: pytest.FixtureRequest) -> families.Family:
    return families.FAMILIES[request.param]()


class Failing(nn.Module):
    def forward(self, *_: object, **__: object) -> Tensor:
        raise ZeroDivisionError


def probe_of(family: families.Family) -> tuple[Probe, tuple[str, ...]]:
    blocks = find_adapter(family.model).blocks(family.model)
    halves = [
        {name: value[rows] if isinstance(value, Tensor) else value for name, value in items}
        for rows in (slice(0, 1), slice(1, None))
        for items in (family.calibration.items(),)
    ]
    return Probe(family.model, blocks, halves), blocks


def cut_(model: nn.Module, unit: Unit) -> None:
    keep = torch.arange(0, unit.groups, 2)
    shrink_(model, unit, keep)


def divergence_by_hand(dense: Tensor, other: Tensor) -> float:
    p, q = (F.log_softmax(each.flatten(0, -2).double(), dim=-1) for each in (dense, other))
    return float((p.exp() * (p - q)).sum(dim=-1).mean())


def test_a_model_does_not_diverge_from_itself(family: families.Family) -> None:
    probe, blocks = probe_of(family)
    entries = probe.entries(family.model)
    assert probe.divergence(family.model) == pytest.approx(0.0, abs=1e-6)
    for index, path in enumerate(blocks):
        block = family.model.get_submodule(path)
        for same in (block, copy.deepcopy(block)):
            assert probe.divergence_with(entries, index, same) == pytest.approx(0.0, abs=1e-6)


def test_a_replaced_block_counts_as_in_the_whole_model(family: families.Family) -> None:
    probe, blocks = probe_of(family)
    entries = probe.entries(family.model)
    dense = logits(family.model, family.inputs)
    for unit in find_adapter(family.model).units(family.model):
        whole = copy.deepcopy(family.model)
        cut_(whole, unit)
        root = detached(family.model.get_submodule(unit.block), unit.block)
        cut_(root, unit)
        block = root.get_submodule(unit.block)
        alone = probe.divergence_with(entries, blocks.index(unit.block), block)
        together = probe.divergence(whole)
        assert together > 1e-6, unit.name
        assert alone == pytest.approx(together, rel=1e-4, abs=1e-6), unit.name
        by_hand = divergence_by_hand(dense, logits(whole, family.inputs))
        assert together == pytest.approx(by_hand, rel=1e-3, abs=1e-6), unit.name


def test_the_entries_of_a_cut_model_are_its_own(family: families.Family) -> None:
    """Refinement replaces blocks of a model that is pruned already."""
    probe, blocks = probe_of(family)
    first, *_, last = find_adapter(family.model).units(family.model)
    small = copy.deepcopy(family.model)
    cut_(small, first)
    entries = probe.entries(small)
    both = copy.deepcopy(small)
    cut_(both, last)
    index = blocks.index(last.block)
    block = both.get_submodule(last.block)
    expected = probe.divergence(both)
    assert probe.divergence_with(entries, index, block) == pytest.approx(expected, rel=1e-4)


def test_nothing_is_left_behind(family: families.Family) -> None:
    before = {name: value.clone() for name, value in family.model.state_dict().items()}
    expected = logits(family.model, family.inputs)
    probe, blocks = probe_of(family)
    entries = probe.entries(family.model)
    probe.divergence_with(entries, len(blocks) - 1, family.model.get_submodule(blocks[-1]))
    for module in family.model.modules():
        assert not module._forward_pre_hooks
        assert not module._forward_hooks
        assert "forward" not in module.__dict__
    after = family.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(logits(family.model, family.inputs), expected)


def test_hooks_go_even_if_the_model_fails(family: families.Family) -> None:
    probe, blocks = probe_of(family)
    entries = probe.entries(family.model)
    with pytest.raises(ZeroDivisionError):
        probe.divergence_with(entries, len(blocks) - 1, Failing())
    assert all("forward" not in module.__dict__ for module in family.model.modules())


@pytest.mark.parametrize("name", ["opt", "llama", "qwen2"])
def test_many_positions_are_thinned_out_evenly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_MOST_PREDICTIONS", 12)
    family = families.FAMILIES[name]()
    probe, _ = probe_of(family)
    positions = torch.arange(3, families.SEQLEN, 4)  # of 48 in all, every fourth
    assert probe.predictions == 2 * len(positions) == 12
    small = copy.deepcopy(family.model)
    cut_(small, find_adapter(small).units(small)[1])
    dense, other = logits(family.model, family.inputs), logits(small, family.inputs)
    expected = divergence_by_hand(dense[:, positions], other[:, positions])
    assert probe.divergence(small) == pytest.approx(expected, rel=1e-4)
    assert abs(expected - divergence_by_hand(dense, other)) > 1e-4 * expected
    # The caller's inputs stay as they were.
    assert "logits_to_keep" not in family.calibration


@pytest.mark.parametrize("most", [1, 2, 3])
def test_every_text_keeps_a_position(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short texts would otherwise lose all of theirs."""
    monkeypatch.setattr(probes, "_MOST_PREDICTIONS", most)
    family = families.FAMILIES["opt"]()
    ids = family.calibration["input_ids"][:, :3].repeat(4, 1)
    blocks = find_adapter(family.model).blocks(family.model)
    probe = Probe(
        family.model, blocks, [{"input_ids": one, "use_cache": False} for one in ids[:, None]]
    )
    assert probe.predictions == len(ids)
    assert probe.divergence(family.model) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_refused(value: float) -> None:
    family = families.FAMILIES["opt"]()
    probe, _ = probe_of(family)
    with torch.no_grad():
        family.model.get_parameter("model.decoder.layers.1.fc2.bias").fill_(value)
    with pytest.raises(NumericalError, match=r"not finite.*--dtype float32"):
        probe.divergence(family.model)


def test_a_model_returns_to_the_host_even_after_an_error() -> None:
    model = nn.Linear(2, 2).to(torch.float32)
    with placed(model, CPU) as same:
        assert same is model
    with pytest.raises(ZeroDivisionError), placed(model, CPU):
        Failing()(None)
    assert model.weight.device == CPU
