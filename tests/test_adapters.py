"""What each family says of itself; the behaviour is the conformance suite's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import families
from osscar_core.adapters import ADAPTERS, find_adapter
from osscar_core.adapters.base import derives_from
from osscar_core.errors import UnknownModelError
from osscar_core.records import Structure
from osscar_core.units import Counter, Producer, Tap


def units_of(name: str) -> dict[str, object]:
    model = families.FAMILIES[name]().model
    return {unit.name: unit for unit in find_adapter(model).units(model)}


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_every_path_exists_and_sizes_agree(name: str) -> None:
    model = families.FAMILIES[name]().model
    adapter = find_adapter(model)
    blocks = adapter.blocks(model)
    units = adapter.units(model)
    assert {unit.structure for unit in units} == set(adapter.structures)
    assert len({unit.name for unit in units}) == len(units)
    for unit in units:
        assert unit.block in blocks
        inside = [unit.consumer, *(p.path for p in unit.producers)]
        inside += [unit.norm] if unit.norm else []
        assert all(path.startswith(f"{unit.block}.") for path in inside)
        inputs = model.get_submodule(unit.consumer).weight.shape[1]
        assert inputs == unit.groups * unit.width
        for producer in unit.producers:
            outputs = model.get_submodule(producer.path).weight.shape[0]
            assert outputs == unit.groups * producer.width
        for counter in unit.counters:
            value = getattr(model.get_submodule(counter.path), counter.attribute)
            assert value == unit.groups * counter.per_group
        if unit.stream is not None:
            model.get_submodule(unit.stream.path)


@pytest.mark.parametrize(
    ("name", "family", "task"),
    [
        ("opt", "opt", "text"),
        ("opt-350m", "opt", "text"),
        ("llama", "llama", "text"),
        ("mistral", "llama", "text"),
        ("qwen2", "llama", "text"),
        ("resnet-wide", "resnet", "image"),
        ("cifar-resnet20", "cifar-resnet", "image"),
    ],
)
def test_find_adapter(name: str, family: str, task: str) -> None:
    adapter = find_adapter(families.FAMILIES[name]().model)
    assert (adapter.family, adapter.task) == (family, task)


def test_opt_heads_and_neurons() -> None:
    units = units_of("opt")
    heads = units["model.decoder.layers.1.self_attn.out_proj"]
    attention = "model.decoder.layers.1.self_attn"
    assert heads.structure is Structure.HEADS
    assert (heads.groups, heads.width) == (4, 8)
    assert heads.producers == tuple(Producer(f"{attention}.{letter}_proj", 8) for letter in "qkv")
    assert heads.counters == (Counter(attention, "num_heads"),)
    assert heads.stream == Tap("model.decoder.layers.1.self_attn_layer_norm", "input")
    neurons = units["model.decoder.layers.1.fc2"]
    assert (neurons.groups, neurons.width) == (48, 1)
    assert neurons.stream == Tap("model.decoder.layers.1.final_layer_norm", "input")


def test_opt_350m_is_read_where_it_has_just_been_normalised() -> None:
    units = units_of("opt-350m")
    layer = "model.decoder.layers.0"
    assert units[f"{layer}.self_attn.out_proj"].stream == Tap(layer, "input")
    assert units[f"{layer}.fc2"].stream == Tap(f"{layer}.fc1", "input")


def test_llama_group_is_a_key_value_head_with_its_queries() -> None:
    heads = units_of("llama")["model.layers.0.self_attn.o_proj"]
    assert (heads.groups, heads.width) == (3, 16)
    assert [producer.width for producer in heads.producers] == [16, 8, 8]
    assert heads.counters == ()


def test_head_width_need_not_follow_from_the_hidden_size() -> None:
    heads = units_of("mistral")["model.layers.0.self_attn.o_proj"]
    assert (heads.groups, heads.width) == (3, 32)


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_stream_plus_branch_is_what_follows(name: str) -> None:
    """The tensor at a unit's tap plus its consumer's output is what leaves the block."""
    family = families.FAMILIES[name]()
    model, inputs = family.model, family.inputs
    adapter = find_adapter(model)
    unit = [unit for unit in adapter.units(model) if unit.stream is not None][-1]
    reads: list[torch.Tensor] = []
    sums: list[torch.Tensor] = []
    target = model.get_submodule(unit.stream.path)

    def read(_m: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
        given = args[0] if args else next(iter(kwargs.values()))
        value = output if unit.stream.side == "output" else given
        reads.append(value.detach().clone())

    def branch(_m: nn.Module, _args: tuple, output: torch.Tensor) -> None:
        sums.append(output.detach().clone())

    last = model.get_submodule(unit.norm or unit.consumer)
    handles = [
        target.register_forward_hook(read, with_kwargs=True),
        last.register_forward_hook(branch),
    ]
    ends: list[torch.Tensor] = []
    block = model.get_submodule(unit.block)
    handles.append(
        block.register_forward_hook(
            lambda _m, _a, out: ends.append((out[0] if isinstance(out, tuple) else out).clone())
        )
    )
    with torch.no_grad():
        model(**inputs)
    for handle in handles:
        handle.remove()
    total = reads[0].reshape(sums[0].shape) + sums[0]
    if adapter.task == "image":
        total = total.relu()
    elif name == "opt-350m":
        total = block.final_layer_norm(total)
    torch.testing.assert_close(total.reshape(ends[0].shape), ends[0])


def test_bottleneck_has_two_units_a_block_and_basic_one() -> None:
    bottleneck = units_of("resnet-bottleneck")
    assert [name for name in bottleneck if name.startswith("layer2.0")] == [
        "layer2.0.conv2",
        "layer2.0.conv3",
    ]
    assert bottleneck["layer2.0.conv2"].stream is None
    assert bottleneck["layer2.0.conv3"].stream == Tap("layer2.0.downsample", "output")
    assert bottleneck["layer2.1.conv3"].stream == Tap("layer2.1", "input")
    assert bottleneck["layer2.1.conv3"].norm == "layer2.1.bn3"
    basic = units_of("resnet-basic")
    assert [name for name in basic if name.startswith("layer3.1")] == ["layer3.1.conv2"]
    assert basic["layer3.1.conv2"].stream == Tap("layer3.1", "input")


def test_grouped_convolutions_are_refused_in_words() -> None:
    model = families.resnext()
    with pytest.raises(UnknownModelError, match="grouped convolution"):
        find_adapter(model).units(model)


def test_unknown_model_lists_the_families() -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_adapter(nn.Linear(2, 2))
    assert "Linear" in str(caught.value)
    for adapter in ADAPTERS:
        assert adapter.family in str(caught.value)


def test_subclasses_are_recognised_and_namesakes_are_not() -> None:
    class Mine(nn.Linear):
        pass

    assert derives_from(Mine(1, 1), "torch.nn.modules.linear.Linear")
    assert not derives_from(Mine(1, 1), "elsewhere.Linear")
