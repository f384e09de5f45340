from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.errors import SpecError
from osscar_core.evaluation import count_flops, count_parameters
from osscar_core.evaluation import size as size_module
from osscar_core.models import LoadedModel
from osscar_core.records import ImagePreprocess, SourceInfo

MakeImage = Callable[[int], LoadedModel]
MakeText = Callable[[str], LoadedModel]


def test_a_network_counted_by_hand(image_model: MakeImage) -> None:
    loaded = image_model(10)
    convolution = 4 * 8 * 8 * (3 * 3 * 3)
    linear = 4 * 8 * 8 * 10
    assert count_flops(loaded) == (2 * (convolution + linear), "one image of 3 x 8 x 8")
    assert count_parameters(loaded.module) == 4 * 27 + 256 * 10 + 10


@pytest.mark.parametrize("length", [None, 16])
def test_opt_counted_by_hand(text_model: MakeText, length: int | None) -> None:
    loaded = text_model("opt")  # hidden 32, ffn 48, 2 layers, 260 tokens, 64 positions
    n = length or 64
    per_layer = 4 * 32 * 32 + 2 * 32 * 48  # per token
    attention = 2 * n * n * 32  # scores and values, all heads
    expected = 2 * (2 * (n * per_layer + attention) + n * 32 * 260)
    assert count_flops(loaded, seqlen=length) == (expected, f"one sequence of {n} tokens")


def test_modules_include_what_they_call(text_model: MakeText) -> None:
    loaded = text_model("opt")
    flops, words = size_module.module_flops(loaded, seqlen=16)
    assert (flops[""], words) == count_flops(loaded, seqlen=16)
    layer = "model.decoder.layers.0"
    assert flops[f"{layer}.fc1"] == 2 * 16 * 32 * 48
    projections = sum(flops[f"{layer}.self_attn.{name}_proj"] for name in ("q", "k", "v", "out"))
    assert flops[f"{layer}.self_attn"] - projections == 2 * 2 * 16 * 16 * 32
    assert flops[layer] == flops[f"{layer}.self_attn"] + 2 * flops[f"{layer}.fc1"]
    assert flops["lm_head"] + 2 * flops[layer] == flops[""]
    assert f"{layer}.final_layer_norm" not in flops
    assert set(flops) <= {name for name, _ in loaded.module.named_modules()}


def test_tied_weights_count_once(text_model: MakeText) -> None:
    module = text_model("opt").module
    embedding = module.get_input_embeddings().weight
    assert module.lm_head.weight is embedding
    separate = sum(p.numel() for p in module.state_dict().values()) - embedding.numel()
    assert count_parameters(module) == separate


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_a_weightless_copy_gives_the_same_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = families.FAMILIES[name]()
    adapter = find_adapter(family.model)
    preprocess = ImagePreprocess((0, 0, 0), (1, 1, 1), size=families.IMAGE_SIZE)
    source = SourceInfo(name, adapter.family, adapter.task, "random", preprocess=preprocess)
    loaded = LoadedModel(family.model, adapter, source, torch.float32)
    places: list[str] = []
    count = size_module._count

    def noted(module: nn.Module, inputs: Tensor) -> dict[str, int]:
        places.append(type(inputs).__name__)
        return count(module, inputs)

    monkeypatch.setattr(size_module, "_count", noted)
    flops, _ = count_flops(loaded, seqlen=24 if adapter.task == "text" else None)
    assert places == ["FakeTensor"]
    side = families.IMAGE_SIZE
    shape = (1, 24) if adapter.task == "text" else (1, 3, side, side)
    dtype = torch.int64 if adapter.task == "text" else torch.float32
    assert count(family.model, torch.zeros(shape, dtype=dtype))[""] == flops > 0


def test_code_that_looks_at_values_is_run_for_real(image_model: MakeImage) -> None:
    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(192, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.flatten(1)) if float(x.sum()) == 0 else x

    loaded = dataclasses.replace(image_model(5), module=Curious())
    assert count_flops(loaded)[0] == 2 * 192 * 5


def test_the_model_is_left_alone(text_model: MakeText) -> None:
    loaded = text_model("llama")
    before = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    count_flops(loaded)
    after = loaded.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {p.device.type for p in loaded.module.parameters()} == {"cpu"}


def test_what_cannot_be_counted(text_model: MakeText, image_model: MakeImage) -> None:
    with pytest.raises(SpecError, match="seqlen is 65, more than the 64 positions"):
        count_flops(text_model("opt"), seqlen=65)
    loaded = image_model(4)
    bare = dataclasses.replace(loaded, source=dataclasses.replace(loaded.source, preprocess=None))
    with pytest.raises(SpecError, match="how its images are prepared"):
        count_flops(bare)


def test_known_networks() -> None:
    from osscar_core.networks import cifar_resnet

    module = cifar_resnet(20, 10)
    # He et al. 2015: 0.27 M parameters; 40.6 M multiply-adds at 32 x 32.
    assert count_parameters(module) == 269_722
    adapter = find_adapter(module)
    preprocess = ImagePreprocess((0, 0, 0), (1, 1, 1), size=32)
    source = SourceInfo("r", adapter.family, "image", "random", preprocess=preprocess)
    flops, words = count_flops(LoadedModel(module.eval(), adapter, source, torch.float32))
    assert flops == 81_102_080
    assert words == "one image of 3 x 32 x 32"
