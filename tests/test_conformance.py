"""What every model family must fulfil; a new family only adds a builder in families.py."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.calibration import BlockRunner
from osscar_core.models import load_model, save_pruned
from osscar_core.pruner import prune_
from osscar_core.records import Intercept, Method, PruneSpec, Target
from osscar_core.surgery import consumer_matrix, features_per_channel, shrink_
from osscar_core.units import Unit

CPU = torch.device("cpu")


@pytest.fixture(params=sorted(families.FAMILIES))
def family(request: pytest.FixtureRequest) -> families.Family:
    return families.FAMILIES[request.param]()


@torch.no_grad()
def logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    output = model(**inputs)
    return output if isinstance(output, Tensor) else output.logits


def random_support(unit: Unit, seed: int, keep: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    keep = max(1, unit.groups // 2) if keep is None else keep
    return torch.randperm(unit.groups, generator=generator)[:keep].sort().values


def zero_removed_(model: nn.Module, unit: Unit, kept: Tensor) -> None:
    """Zero the consumer's columns of every removed group, leaving all shapes alone."""
    consumer = model.get_submodule(unit.consumer)
    width = unit.width * features_per_channel(consumer)
    matrix = consumer_matrix(consumer).view(unit.groups, width, -1)
    mask = torch.zeros(unit.groups, 1, 1, dtype=torch.float64)
    mask[kept] = 1
    weight = consumer.get_parameter("weight")
    with torch.no_grad():
        weight.copy_((matrix * mask).flatten(0, 1).t().reshape(weight.shape))


def shrink_all_(model: nn.Module, keep: int | None = None) -> dict[str, Tensor]:
    units = find_adapter(model).units(model)
    supports = {unit.name: random_support(unit, seed, keep) for seed, unit in enumerate(units)}
    for unit in units:
        shrink_(model, unit, supports[unit.name])
    return supports


def test_removed_equals_masked(family: families.Family) -> None:
    masked = copy.deepcopy(family.model)
    supports = shrink_all_(family.model)
    for unit in find_adapter(masked).units(masked):
        zero_removed_(masked, unit, supports[unit.name])
    expected = logits(masked, family.inputs)
    torch.testing.assert_close(logits(family.model, family.inputs), expected, rtol=1e-4, atol=1e-5)


def test_shapes_really_shrink(family: families.Family) -> None:
    before = sum(p.numel() for p in family.model.parameters())
    units = find_adapter(family.model).units(family.model)
    supports = shrink_all_(family.model)
    after = find_adapter(family.model).units(family.model)
    assert [u.groups for u in after] == [len(supports[u.name]) for u in units]
    removed = 0
    for unit in units:
        gone = 1 - len(supports[unit.name]) / unit.groups
        consumer = family.model.get_submodule(unit.consumer)
        rows = consumer_matrix(consumer).shape[0]
        assert rows == len(supports[unit.name]) * unit.width * features_per_channel(consumer)
        removed += gone > 0
    assert removed == sum(unit.groups > 1 for unit in units)
    assert sum(p.numel() for p in family.model.parameters()) < before


def test_units_come_in_forward_order(family: families.Family) -> None:
    units = find_adapter(family.model).units(family.model)
    called: list[str] = []
    for unit in units:
        family.model.get_submodule(unit.consumer).register_forward_hook(
            lambda _m, _a, _o, name=unit.name: called.append(name)
        )
    logits(family.model, family.inputs)
    assert called == [unit.name for unit in units]
    blocks = find_adapter(family.model).blocks(family.model)
    positions = [blocks.index(unit.block) for unit in units]
    assert positions == sorted(positions)


def test_keeping_everything_is_the_identity(family: families.Family) -> None:
    before = logits(family.model, family.inputs)
    for unit in find_adapter(family.model).units(family.model):
        shrink_(family.model, unit, torch.arange(unit.groups))
    assert torch.equal(logits(family.model, family.inputs), before)


def test_one_group_left_still_works(family: families.Family) -> None:
    shrink_all_(family.model, keep=1)
    assert torch.isfinite(logits(family.model, family.inputs)).all()


def test_blocks_run_alone_as_in_the_model(family: families.Family) -> None:
    """Both streams, carried block by block, end where the full forward pass ends."""
    blocks = find_adapter(family.model).blocks(family.model)
    seen: list[Tensor] = []
    last = family.model.get_submodule(blocks[-1])
    handle = last.register_forward_hook(
        lambda _m, _a, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    logits(family.model, family.inputs)
    handle.remove()
    runner = BlockRunner(family.model, blocks, [family.calibration], device=CPU, with_dense=True)
    for index in range(len(blocks)):
        with runner.block(index):
            pass
    assert len(runner.pruned) == 1
    assert torch.equal(runner.pruned.at(0), seen[0])
    assert runner.dense is not None
    assert torch.equal(runner.dense.at(0), seen[0])


@pytest.mark.parametrize("target", list(Target))
def test_statistics_are_those_of_the_full_model(family: families.Family, target: Target) -> None:
    """With nothing pruned yet, cross = gram W0 for every target, and gram is X^T X / N."""
    adapter = find_adapter(family.model)
    blocks = adapter.blocks(family.model)
    unit = adapter.units(family.model)[-1]
    runner = BlockRunner(
        family.model, blocks, [family.calibration], device=CPU, with_dense=target != Target.LAYER
    )
    for index in range(blocks.index(unit.block)):
        with runner.block(index):
            pass
    with runner.block(blocks.index(unit.block)) as block:
        statistics = block.collect(unit, target)
    consumer = family.model.get_submodule(unit.consumer)
    rows = []
    handle = consumer.register_forward_hook(lambda _m, args, _o: rows.append(args[0]))
    logits(family.model, family.inputs)
    handle.remove()
    X = rows[0]
    if isinstance(consumer, nn.Conv2d):
        X = nn.functional.unfold(X, consumer.kernel_size, 1, consumer.padding, consumer.stride)
        X = X.transpose(1, 2)
    X = X.reshape(-1, X.shape[-1]).double()

    def check(got: Tensor, expected: Tensor) -> None:
        # Single precision behind both; an entry near zero is a difference of large sums.
        scale = float(expected.abs().max())
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 * scale)

    check(statistics.gram, X.t() @ X / len(X))
    check(statistics.mean_x, X.mean(0))
    Y = X @ consumer_matrix(consumer)
    check(statistics.cross, X.t() @ Y / len(X))
    check(statistics.mean_y, Y.mean(0))
    check(statistics.power_y, Y.square().mean(0))
    assert statistics.count == len(X)


def test_the_head_reads_one_row_per_item(family: families.Family) -> None:
    """Its statistics, with nothing pruned yet, are those of the full model."""
    adapter = find_adapter(family.model)
    path = adapter.head(family.model)
    if path is None:
        assert adapter.task == "text"
        return
    layer = family.model.get_submodule(path)
    rows: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, args, _o: rows.append(args[0].double()))
    logits(family.model, family.inputs)
    handle.remove()
    blocks = adapter.blocks(family.model)
    runner = BlockRunner(family.model, blocks, [family.calibration], device=CPU, with_dense=True)
    for index in range(len(blocks)):
        with runner.block(index):
            pass
    statistics = runner.head(path)
    (X,) = rows
    Y = X @ consumer_matrix(layer)
    assert statistics.count == len(X) == len(family.calibration["x"])
    torch.testing.assert_close(statistics.gram, X.t() @ X / len(X), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(statistics.cross, X.t() @ Y / len(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [Method.OSSCAR, Method.FLAP])
def test_saved_model_gives_the_same_logits(
    family: families.Family, method: Method, tmp_path: Path
) -> None:
    loaded = family.loaded(tmp_path)
    spec = PruneSpec(
        model=loaded.source.model,
        calibration=family.calibration_spec(tmp_path),
        sparsity=0.5,
        samples=family.samples,
        seqlen=family.seqlen,
        method=method,
        device="cpu",
        intercept=Intercept.AUTO,
    )
    report = prune_(loaded, spec)
    assert report.parameters.pruned < report.parameters.dense
    assert report.flops.pruned < report.flops.dense
    out = tmp_path / "out"
    written = save_pruned(loaded, report.plan, out)
    assert written == report.bytes.pruned == (out / "model.safetensors").stat().st_size
    again = load_model(str(out))
    assert again.plan == report.plan
    assert torch.equal(logits(again.module, family.inputs), logits(loaded.module, family.inputs))
