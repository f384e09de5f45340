"""Loading, refusing and saving models; hostile files; the catalogue."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import families
from osscar_core.catalogue import OPT_SHAPES, catalogue, missing_weights
from osscar_core.errors import (
    NumericalError,
    OsscarError,
    OutputError,
    SpecError,
    UnknownModelError,
    WeightsError,
)
from osscar_core.models import (
    LoadedModel,
    check_output,
    load_model,
    resolve_device,
    save_pruned,
    state_bytes,
    store,
    text,
)
from osscar_core.models.images import ARCHITECTURES, skeleton
from osscar_core.models.loaded import Precision
from osscar_core.models.store import stored_tensors
from osscar_core.networks import cifar_resnet
from osscar_core.records import DataInfo, Plan, PruneSpec, UnitPlan
from osscar_core.surgery import add_bias_, shrink_
from osscar_core.tensorfile import file_header, item_bytes

TENSOR = "model.layers.1.mlp.up_proj.weight"


class Bomb:
    """An object whose unpickling leaves a trace."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.flag}",)


@pytest.fixture(scope="module")
def cifar_state() -> dict[str, Tensor]:
    return families.randomise_(cifar_resnet(20)).state_dict()


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    families.FAMILIES["llama"]().loaded(folder)
    return folder / "dense"


@pytest.fixture
def llama_copy(llama_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_folder, tmp_path / "copy"))


@torch.no_grad()
def logits(loaded: LoadedModel, inputs: dict[str, Tensor]) -> Tensor:
    output = loaded.module(**inputs)
    return output if isinstance(output, Tensor) else output.logits


def half_pruned_(loaded: LoadedModel, *, adds_bias: bool = False) -> Plan:
    """Keep a seeded half of every unit and return the plan that says so."""
    plans = []
    for seed, unit in enumerate(loaded.adapter.units(loaded.module)):
        generator = torch.Generator().manual_seed(seed)
        kept = torch.randperm(unit.groups, generator=generator)[: max(1, unit.groups // 2)]
        kept = kept.sort().values
        shrink_(loaded.module, unit, kept)
        if adds_bias:
            add_bias_(loaded.module.get_submodule(unit.consumer))
            loaded.module.get_submodule(unit.consumer).bias.data.normal_(generator=generator)
        plans.append(
            UnitPlan(
                unit.name, unit.structure, unit.block, unit.groups, tuple(kept.tolist()), adds_bias
            )
        )
    return plan_of(loaded, tuple(plans))


def plan_of(loaded: LoadedModel, units: tuple[UnitPlan, ...] = ()) -> Plan:
    return Plan(
        source=loaded.source,
        spec=PruneSpec(loaded.source.model, "text:none", 0.5),
        calibration=DataInfo("text:none", loaded.task, 1, "0"),
        units=units,
        dtype=str(loaded.dtype).removeprefix("torch."),
    )


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_state(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


# ---------------------------------------------------------------- image weights


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_all_kinds_of_files_give_the_same_weights(
    cifar_state: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(cifar_state, file)
    else:
        torch.save(cifar_state, file)
    loaded = load_model("cifar/resnet20", weights=str(file))
    assert not loaded.module.training
    found = loaded.module.state_dict()
    assert found.keys() == cifar_state.keys()
    assert all(torch.equal(found[name], value) for name, value in cifar_state.items())
    assert loaded.source.weights == str(file)
    assert loaded.source.sha256 is not None
    assert len(loaded.source.sha256) == 64


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_checkpoints_of_training_scripts_are_unwrapped(
    cifar_state: dict[str, Tensor], tmp_path: Path, key: str
) -> None:
    inner = {f"module.{name}": value for name, value in cifar_state.items() if "num_b" not in name}
    torch.save({key: inner, "epoch": 3}, tmp_path / "w.pth")
    loaded = load_model("cifar/resnet20", weights=str(tmp_path / "w.pth"))
    name = "layer3.2.bn2.running_var"
    assert torch.equal(loaded.module.state_dict()[name], cifar_state[name])


def hostile_files(state: dict[str, Tensor], folder: Path, flag: Path) -> dict[str, Path]:
    good = folder / "good.safetensors"
    save_file(state, good)
    raw = {
        "pickle.pt": pickle.dumps(Bomb(flag)),
        "short.safetensors": b'\x10\x00\x00\x00\x00\x00\x00\x00{"x":',
        "noise.safetensors": b"\xff" * 64,
        "empty.safetensors": b"",
        "empty.pt": b"",
        "noise.pt": bytes(random.Random(0).randbytes(2000)),
        "cut.safetensors": good.read_bytes()[:200_000],
        "model.gguf": b"GGUF" + b"\xff" * 64,
        "weights.txt": b"1 2 3",
        "weights": b"1 2 3",
    }
    saved = {
        "zip.pt": {"a": Bomb(flag)},
        "module.pt": nn.Linear(2, 2),
        "list.pt": [torch.zeros(1)],
        "number.pt": {"a": 3},
        "keys.pt": {1: torch.zeros(1)},
    }
    for name, content in raw.items():
        (folder / name).write_bytes(content)
    for name, content in saved.items():
        torch.save(content, folder / name)
    return {name: folder / name for name in (*raw, *saved, "missing.pt")}


def test_hostile_files_are_refused_in_one_line_and_nothing_runs(
    cifar_state: dict[str, Tensor], tmp_path: Path
) -> None:
    flag = tmp_path / "executed"
    files = hostile_files(cifar_state, tmp_path, flag)
    for name, file in files.items():
        with pytest.raises(WeightsError) as caught:
            load_model("cifar/resnet20", weights=str(file))
        message = str(caught.value)
        assert str(file) in message, name
        assert "\n" not in message
        assert len(message) < 400 + len(str(file))
    assert not flag.exists()


def test_a_refused_pickle_names_what_it_asked_for(tmp_path: Path) -> None:
    torch.save({"a": Bomb(tmp_path / "flag")}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"asks for posix\.system and was not read"):
        load_model("cifar/resnet20", weights=str(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("layer1.0.conv1.weight", torch.zeros(16, 16, 1, 1), r"shape \(16, 16, 1, 1\)"),
        ("layer2.0.bn1.running_var", torch.full((32,), float("inf")), "32 of 32 values"),
        ("linear.bias", torch.tensor([0.0] * 9 + [float("nan")]), "1 of 10 values"),
        ("linear.bias", torch.zeros(10, dtype=torch.int8), "int8"),
        ("linear.bias", torch.zeros(10, dtype=torch.complex64), "complex64"),
        ("linear.bias", torch.zeros(10).to_sparse(), "sparse"),
        ("linear.bias", torch.zeros(10, device="meta"), "plain"),
    ],
)
def test_the_offending_tensor_is_named(
    cifar_state: dict[str, Tensor], tmp_path: Path, name: str, value: Tensor, words: str
) -> None:
    torch.save({**cifar_state, name: value}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words) as caught:
        load_model("cifar/resnet20", weights=str(tmp_path / "w.pt"))
    assert name in str(caught.value)


def test_missing_and_unknown_tensors_are_named(
    cifar_state: dict[str, Tensor], tmp_path: Path
) -> None:
    state = {name: value for name, value in cifar_state.items() if name != "bn1.bias"}
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(
        WeightsError, match=r"lacks the tensor bn1\.bias and it holds the tensor ext"
    ):
        load_model("cifar/resnet20", weights=str(tmp_path / "w.pt"))
    torch.save(cifar_state, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"lacks 60 tensors \(layer1\.3\.bn1\.bias, \.\.\.\)"):
        load_model("cifar/resnet32", weights=str(tmp_path / "w.pt"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_bytes_never_escape_as_another_error(
    cifar_state: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    good = tmp_path / f"good{suffix}"
    if suffix == ".pt":
        torch.save(cifar_state, good, _use_new_zipfile_serialization=False)
    else:
        save_file(cifar_state, good)
    raw, rng, refused = good.read_bytes(), random.Random(3), 0
    file = tmp_path / f"bad{suffix}"
    for round_ in range(60):
        broken = bytearray(raw)
        for _ in range(4):
            broken[rng.randrange(3000)] = rng.randrange(256)
        file.write_bytes(broken[: rng.randrange(len(broken))] if round_ % 4 == 0 else broken)
        try:
            load_model("cifar/resnet20", weights=str(file))
        except OsscarError:
            refused += 1
    assert refused > 30


def test_classes_are_read_from_the_weights(cifar_state: dict[str, Tensor], tmp_path: Path) -> None:
    head = {"linear.weight": torch.ones(7, 64), "linear.bias": torch.zeros(7)}
    torch.save({**cifar_state, **head}, tmp_path / "w.pt")
    loaded = load_model("cifar/resnet20", weights=str(tmp_path / "w.pt"))
    assert loaded.source.classes == 7
    assert loaded.module(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_published_cifar_weights(shared_data: Path) -> None:
    file = shared_data / "vision/cifar10/weights/resnet20.safetensors"
    loaded = load_model("cifar/resnet20", weights=str(file))
    assert (loaded.source.family, loaded.task, loaded.max_length) == ("cifar-resnet", "image", None)
    preprocess = loaded.source.preprocess
    assert preprocess is not None
    assert (preprocess.size, preprocess.resize) == (32, None)
    assert preprocess.mean == (0.485, 0.456, 0.406)
    assert state_bytes(loaded.module, loaded.dtype) == file.stat().st_size


@pytest.mark.parametrize(
    ("file", "image_size", "expected"),
    [
        ("mine.pth", None, (224, 256)),
        ("resnet18-f37072fd.pth", None, (224, 256)),
        ("mine.pth", 64, (64, None)),
    ],
)
def test_torchvision_preprocessing(
    tmp_path: Path, file: str, image_size: int | None, expected: tuple[int, int | None]
) -> None:
    module = ARCHITECTURES["torchvision/resnet18"].build(5)
    torch.save(module.state_dict(), tmp_path / file)
    loaded = load_model("torchvision/resnet18", weights=str(tmp_path / file), image_size=image_size)
    preprocess = loaded.source.preprocess
    assert preprocess is not None
    assert (preprocess.size, preprocess.resize) == expected
    assert loaded.source.classes == 5


def test_missing_download_names_file_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_args: object, **_kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(WeightsError) as caught:
        load_model("torchvision/resnet50")
    assert f"resnet50-11ad3fa6.pth is not in {tmp_path / 'hub' / 'checkpoints'}" in str(
        caught.value
    )
    assert "no route to host" in str(caught.value)


def test_downloaded_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    module = families.randomise_(ARCHITECTURES["torchvision/resnet18"].build(1000))
    torch.save(module.state_dict(), folder / "resnet18-f37072fd.pth")
    loaded = load_model("torchvision/resnet18")
    assert torch.equal(loaded.module.fc.weight, module.fc.weight)


# ---------------------------------------------------------------- random weights


@pytest.mark.parametrize("name", ["cifar/resnet20", "torchvision/resnet18"])
def test_random_weights_are_seeded_and_leave_the_global_seed_alone(name: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (load_model(name, weights="random") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for own, other in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(own, other)
    assert first.source.weights == "random"
    assert first.source.sha256 is None


def test_random_opt_needs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    from osscar_core.catalogue import OptShape

    monkeypatch.setitem(text.OPT_SHAPES, "facebook/opt-125m", OptShape(32, 2, 4, 16, False, 50, 40))
    loaded = load_model("facebook/opt-125m", weights="random")
    assert loaded.source.weights == "random"
    assert loaded.dtype is torch.float16
    assert loaded.module.dtype is torch.float32
    assert loaded.max_length == 40
    assert loaded.tokenizer is None
    assert [unit.groups for unit in loaded.adapter.units(loaded.module)] == [4, 128, 4, 128]


# ---------------------------------------------------------------- language models


def test_local_directory(llama_folder: Path) -> None:
    loaded = load_model(str(llama_folder))
    family = families.FAMILIES["llama"]()
    assert torch.equal(logits(loaded, family.inputs), family.model(**family.inputs).logits)
    assert (loaded.source.family, loaded.task, loaded.max_length) == ("llama", "text", 64)
    assert loaded.source.tokenizer == str(llama_folder)
    assert loaded.tokenizer.decode(loaded.tokenizer("a pump").input_ids) == "a pump"
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())


def test_pickled_weights_of_a_directory_are_read_as_tensors_only(llama_copy: Path) -> None:
    state = load_file(llama_copy / "model.safetensors")
    (llama_copy / "model.safetensors").unlink()
    torch.save(state, llama_copy / "pytorch_model.bin")
    loaded = load_model(str(llama_copy))
    assert torch.equal(loaded.module.state_dict()[TENSOR], state[TENSOR])
    flag = llama_copy / "executed"
    torch.save(Bomb(flag), llama_copy / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="a pickle can run code"):
        load_model(str(llama_copy))
    assert not flag.exists()


def test_directory_without_tokenizer_has_none(llama_copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (llama_copy / name).unlink()
    assert load_model(str(llama_copy)).tokenizer is None


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ('{"a":', WeightsError, "config.json"),
        ("[1]", OsscarError, "copy"),
        (b"\xff\xfe", WeightsError, "config.json"),
    ],
)
def test_damaged_config(
    llama_copy: Path, content: str | bytes, error: type[OsscarError], words: str
) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    (llama_copy / "config.json").write_bytes(raw)
    with pytest.raises(error, match=words):
        load_model(str(llama_copy))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model_type": "foo"}, UnknownModelError, "opt, llama"),
        ({"model_type": "bert"}, UnknownModelError, "BertLMHeadModel"),
        ({"num_attention_heads": 0}, WeightsError, "num_attention_heads as 0"),
        ({"num_attention_heads": "x"}, WeightsError, "num_attention_heads"),
        ({"hidden_act": "foo"}, WeightsError, "foo"),
        ({"hidden_size": 60}, WeightsError, r"lm_head\.weight .*\(260, 48\)"),
        ({"num_hidden_layers": 3}, WeightsError, r"lack 9 tensors \(model\.layers\.2"),
        ({"num_hidden_layers": 1}, WeightsError, r"hold 9 tensors \(model\.layers\.1"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, WeightsError, "quantised"),
        (
            {"model_type": "foo", "auto_map": {"AutoConfig": "x.Y", "AutoModelForCausalLM": "x.Z"}},
            WeightsError,
            "--trust-remote-code",
        ),
    ],
)
def test_config_that_does_not_fit(
    llama_copy: Path, changes: dict[str, Any], error: type[OsscarError], words: str
) -> None:
    edit_config(llama_copy, **changes)
    with pytest.raises(error, match=words):
        load_model(str(llama_copy))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state[TENSOR].view(-1)[3:5].fill_(float("nan")), "2 of 1920 values"),
        (lambda state: state.pop(TENSOR), "lack the tensor"),
        (lambda state: state.update({TENSOR: state[TENSOR][:5].clone()}), r"shape \(5, 48\)"),
    ],
)
def test_weights_that_do_not_fit_name_the_tensor(
    llama_copy: Path, change: Callable[[dict[str, Tensor]], None], words: str
) -> None:
    edit_state(llama_copy, change)
    with pytest.raises(WeightsError, match=words) as caught:
        load_model(str(llama_copy))
    assert TENSOR in str(caught.value)


def test_cut_and_missing_weight_files_are_named(llama_copy: Path) -> None:
    file = llama_copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(WeightsError, match=str(file)):
        load_model(str(llama_copy))
    file.unlink()
    with pytest.raises(WeightsError, match=r"lacks model\.safetensors"):
        load_model(str(llama_copy))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (llama_copy / "model.safetensors.index.json").write_text(json.dumps(index))
    (llama_copy / "model-1.safetensors").touch()
    assert missing_weights(llama_copy) == ("model-2.safetensors",)


def test_half_precision_checkpoint(llama_copy: Path) -> None:
    edit_config(llama_copy, dtype="float16")
    edit_state(llama_copy, lambda state: state.update({name: state[name].half() for name in state}))
    loaded = load_model(str(llama_copy))
    assert (loaded.dtype, loaded.module.dtype) == (torch.float16, torch.float32)
    on_gpu = load_model(str(llama_copy), compute_device=torch.device("cuda"))
    assert (on_gpu.dtype, on_gpu.module.dtype) == (torch.float16, torch.float16)
    explicit = load_model(str(llama_copy), dtype="bfloat16")
    assert (explicit.dtype, explicit.module.dtype) == (torch.bfloat16, torch.bfloat16)


def test_unknown_dtype_of_config_is_read_from_the_weights(llama_copy: Path) -> None:
    edit_state(
        llama_copy, lambda state: state.update({name: state[name].bfloat16() for name in state})
    )
    edit_config(llama_copy, dtype=None)
    loaded = load_model(str(llama_copy))
    assert (loaded.dtype, loaded.module.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize(
    ("dtype", "checkpoint", "device", "expected"),
    [
        ("auto", torch.float16, "cpu", (torch.float16, torch.float32)),
        ("auto", torch.bfloat16, "cuda", (torch.bfloat16, torch.bfloat16)),
        ("auto", torch.float64, "cpu", (torch.float32, torch.float32)),
        ("float16", torch.float32, "cpu", (torch.float16, torch.float16)),
    ],
)
def test_precision(
    dtype: str, checkpoint: torch.dtype, device: str, expected: tuple[torch.dtype, torch.dtype]
) -> None:
    chosen = Precision.choose(dtype, checkpoint, torch.device(device))
    assert (chosen.storage, chosen.compute) == expected


def test_missing_hub_model_says_where_it_was_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        load_model("facebook/opt-1.3b")
    message = str(caught.value)
    assert "config.json of facebook/opt-1.3b" in message
    assert str(tmp_path) in message
    assert "hf download facebook/opt-1.3b" in message


def test_unreachable_hub_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    tried: list[object] = []

    def refuse(address: object, _timeout: float) -> None:
        tried.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example:8443")
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert text._hub_is_reachable() is False
    assert tried == [("hub.example", 8443)]
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "proxy"})
    assert text._hub_is_reachable() is True


# ---------------------------------------------------------------- GGUF


def write_gguf(path: Path) -> dict[str, Any]:
    """Write a tiny unquantised Llama and return some of its tensors."""
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    hidden, neurons, heads, kv_heads, layers = 48, 40, 6, 3, 2
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<pad>", "<s>", "</s>", "<unk>", *letters, "ab", "cd"]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(neurons)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * (len(tokens) - 4))
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng, tensors = np.random.default_rng(0), {}
    shapes = {"token_embd": (len(tokens), hidden), "output_norm": (hidden,)}
    for layer in range(layers):
        for name, shape in {
            "attn_q": (hidden, hidden),
            "attn_k": (hidden // 2, hidden),
            "attn_v": (hidden // 2, hidden),
            "attn_output": (hidden, hidden),
            "ffn_gate": (neurons, hidden),
            "ffn_up": (neurons, hidden),
            "ffn_down": (hidden, neurons),
            "attn_norm": (hidden,),
            "ffn_norm": (hidden,),
        }.items():
            shapes[f"blk.{layer}.{name}"] = shape
    for name, shape in shapes.items():
        tensors[name] = rng.standard_normal(shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", tensors[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def test_gguf_is_loaded_pruned_and_saved_as_plain_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gguf

    tensors = write_gguf(tmp_path / "tiny.gguf")
    opened: list[object] = []

    class Reader(gguf.GGUFReader):
        def __init__(self, *given: object) -> None:
            opened.append(given)
            super().__init__(*given)

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    loaded = load_model(str(tmp_path / "tiny.gguf"))
    assert len(opened) == 1  # going through a real vocabulary takes seconds
    assert gguf.GGUFReader is Reader
    assert (loaded.source.family, loaded.dtype) == ("llama", torch.float32)
    assert loaded.source.sha256 is not None
    down = loaded.module.get_parameter("model.layers.1.mlp.down_proj.weight")
    assert torch.equal(down, torch.from_numpy(tensors["blk.1.ffn_down"]))
    assert loaded.tokenizer.decode(loaded.tokenizer("the pump").input_ids) == "the pump"
    save_pruned(loaded, half_pruned_(loaded), tmp_path / "out")
    assert "quantization_config" not in json.loads((tmp_path / "out/config.json").read_text())
    again = load_model(str(tmp_path / "out"))
    ids = {"input_ids": torch.tensor([[5, 9, 200, 77]])}
    assert torch.equal(logits(again, ids), logits(loaded, ids))
    assert again.tokenizer("abcd pump").input_ids == loaded.tokenizer("abcd pump").input_ids


def test_damaged_gguf_is_refused_in_words(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    raw = (tmp_path / "tiny.gguf").read_bytes()
    bad = tmp_path / "bad.gguf"
    for content in (b"", b"GGUF", b"GGUF" + b"\xff" * 64, b"\0" * 100, raw[:9000], raw[:-100]):
        bad.write_bytes(content)
        with pytest.raises(WeightsError, match=str(bad)) as caught:
            load_model(str(bad))
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="No such file"):
        load_model(str(tmp_path / "absent.gguf"))


# ---------------------------------------------------------------- names and devices


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("cifar/resnet21", SpecError, "Did you mean 'cifar/resnet\\d+.*Choose from: demo"),
        ("torchvision/resnext50_32x4d", SpecError, "Choose from"),
        ("resnet50", SpecError, "Did you mean 'torchvision/resnet50'"),
        ("opt-125m", SpecError, "Did you mean 'facebook/opt-125m'"),
        ("/no/such/folder", WeightsError, "there is no model /no/such/folder"),
        ("two words", WeightsError, "there is no model"),
        (".", WeightsError, "neither plan.json nor config.json"),
    ],
)
def test_names_that_mean_nothing(
    name: str,
    error: type[OsscarError],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        load_model(name)


def test_settings_that_do_not_apply(llama_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a model"):
        load_model(str(llama_folder / "model.safetensors"))
    with pytest.raises(SpecError, match="brings its own"):
        load_model(str(llama_folder), weights="other.safetensors")
    with pytest.raises(SpecError, match="image_size"):
        load_model(str(llama_folder), image_size=64)
    with pytest.raises(SpecError, match="image_size is 64"):
        load_model("cifar/resnet20", weights="random", image_size=64)
    with pytest.raises(SpecError, match="dtype 'int8'"):
        load_model("cifar/resnet20", weights="random", dtype="int8")
    with pytest.raises(WeightsError, match="--weights"):
        load_model("cifar/resnet20")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "", "mps"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(SpecError, match="unknown device"):
        resolve_device(name)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("cpu") == resolve_device("auto") == torch.device("cpu")
    with pytest.raises(SpecError, match="torch sees none"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(SpecError, match="this machine has 2"):
        resolve_device("cuda:2")


# ---------------------------------------------------------------- saving


@pytest.mark.parametrize("name", ["opt", "opt-350m", "llama", "llama-bias", "resnet-bottleneck"])
def test_size_is_known_before_writing_and_layout_is_the_librarys(name: str, tmp_path: Path) -> None:
    loaded = families.FAMILIES[name]().loaded(tmp_path)
    plan = half_pruned_(loaded)
    foretold = state_bytes(loaded.module, loaded.dtype)
    assert save_pruned(loaded, plan, tmp_path / "out") == foretold
    file = tmp_path / "out" / "model.safetensors"
    assert file.stat().st_size == foretold
    save_file(load_file(file), tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert file.read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


def test_a_file_is_laid_out_from_names_and_shapes_in_any_order(tmp_path: Path) -> None:
    loaded = families.FAMILIES["resnet-basic"]().loaded(tmp_path)
    size = save_pruned(loaded, plan_of(loaded), tmp_path / "out")
    listed = stored_tensors(loaded.module, loaded.dtype)
    header, data = file_header(reversed(listed))
    assert (tmp_path / "out" / "model.safetensors").read_bytes().startswith(header)
    assert len(header) + data == size
    assert data == sum(tensor.bytes for tensor in listed)
    assert listed[0].kind == "I64"
    assert listed[0].bytes == item_bytes("I64") == 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_stored_type(dtype: torch.dtype, tmp_path: Path) -> None:
    loaded = families.FAMILIES["resnet-basic"]().loaded(tmp_path)
    loaded.dtype = dtype
    size = save_pruned(loaded, plan_of(loaded), tmp_path / "out")
    assert size == state_bytes(loaded.module, dtype) < state_bytes(loaded.module)
    state = load_file(tmp_path / "out" / "model.safetensors")
    assert {value.dtype for value in state.values()} == {dtype, torch.int64}
    again = load_model(str(tmp_path / "out"))
    assert (again.dtype, next(again.module.parameters()).dtype) == (dtype, torch.float32)
    original = loaded.module.state_dict()["conv1.weight"]
    assert torch.equal(again.module.state_dict()["conv1.weight"], original.to(dtype).float())


def test_shared_weights_are_stored_once_and_shared_again(tmp_path: Path) -> None:
    loaded = families.FAMILIES["opt"]().loaded(tmp_path)
    save_pruned(loaded, half_pruned_(loaded), tmp_path / "out")
    assert "lm_head.weight" not in load_file(tmp_path / "out" / "model.safetensors")
    again = load_model(str(tmp_path / "out"))
    assert again.module.lm_head.weight is again.module.model.decoder.embed_tokens.weight


@pytest.mark.parametrize("name", ["opt", "llama", "mistral", "resnet-basic"])
def test_saved_model_comes_back_the_same(name: str, tmp_path: Path) -> None:
    family = families.FAMILIES[name]()
    loaded = family.loaded(tmp_path)
    plan = half_pruned_(loaded, adds_bias=name == "llama")
    save_pruned(loaded, plan, tmp_path / "out")
    again = load_model(str(tmp_path / "out"))
    assert again.plan == plan
    assert again.source.model == str(tmp_path / "out")
    assert again.source.preprocess == loaded.source.preprocess
    assert torch.equal(logits(again, family.inputs), logits(loaded, family.inputs))
    assert not any(value.is_meta for value in again.module.state_dict().values())
    if loaded.task == "text":
        settings = {"max_new_tokens": 6, "do_sample": False}
        tokens = again.module.generate(**family.inputs, **settings)
        assert torch.equal(tokens, loaded.module.generate(**family.inputs, **settings))
        slow = again.module.generate(**family.inputs, **settings, use_cache=False)
        assert torch.equal(tokens, slow)


def test_saved_directory_holds_what_is_needed_and_nothing_else(tmp_path: Path) -> None:
    loaded = families.FAMILIES["llama"]().loaded(tmp_path)
    save_pruned(loaded, plan_of(loaded), tmp_path / "new" / "out")
    names = {file.name for file in (tmp_path / "new" / "out").iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "plan.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out"]
    config = json.loads((tmp_path / "new/out/config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_key_value_heads"] == 3


@pytest.fixture
def small(tmp_path: Path) -> LoadedModel:
    return families.FAMILIES["resnet-basic"]().loaded(tmp_path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("bug"), RuntimeError),
    ],
)
def test_nothing_is_left_behind_by_a_failure(
    small: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    expected: type[BaseException],
) -> None:
    def fail(_file: object) -> None:
        raise error

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(store, "_sync", fail)
    with pytest.raises(expected) as caught:
        save_pruned(small, plan_of(small), tmp_path / "deep" / "er" / "out")
    if expected is OutputError:
        assert "No space left on device" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_full_disk(small: LoadedModel) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space"), full.open("wb") as file:
        store.write_tensors(small.module, small.dtype, file)


def test_taken_places_are_refused_and_left_alone(small: LoadedModel, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        save_pruned(small, plan_of(small), taken)
    assert [file.name for file in taken.iterdir()] == ["mine.txt"]
    with pytest.raises(OutputError, match="is a file"):
        check_output(taken / "mine.txt")
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(taken / "mine.txt" / "below")
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty")
    save_pruned(small, plan_of(small), tmp_path / "empty")
    assert (tmp_path / "empty" / "plan.json").is_file()


def test_value_that_does_not_fit_the_stored_type_is_named(
    small: LoadedModel, tmp_path: Path
) -> None:
    small.dtype = torch.float16
    with torch.no_grad():
        small.module.fc.bias[3] = 1e6
    with pytest.raises(NumericalError, match=r"fc\.bias holds values that float16 cannot"):
        save_pruned(small, plan_of(small), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    loaded = families.FAMILIES["cifar-resnet20"]().loaded(tmp_path)
    save_pruned(loaded, half_pruned_(loaded), tmp_path / "out")
    return tmp_path / "out"


def change_plan(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    change(plan)
    (folder / "plan.json").write_text(json.dumps(plan))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda plan: plan.update(version=99), SpecError, "version 99"),
        (lambda plan: plan.update(dtype="int8"), SpecError, "int8"),
        (lambda plan: plan.update(dtype="auto"), SpecError, "auto"),
        (lambda plan: plan["source"].update(model="cifar/none"), SpecError, "cifar/none"),
        (lambda plan: plan["units"][0].update(name="layer9"), SpecError, "layer9"),
        (
            lambda plan: plan["units"][0]["kept"].pop(),
            WeightsError,
            r"layer1\.0\.conv1\.weight .*\(8, 16",
        ),
        (lambda plan: plan.pop("units"), SpecError, "units"),
    ],
)
def test_plan_that_does_not_fit(
    saved: Path, change: Callable[[dict[str, Any]], None], error: type[OsscarError], words: str
) -> None:
    change_plan(saved, change)
    with pytest.raises(error, match=words):
        load_model(str(saved))


def test_damaged_saved_directory(saved: Path) -> None:
    (saved / "plan.json").write_text("{")
    with pytest.raises(SpecError, match="not valid JSON"):
        load_model(str(saved))
    (saved / "plan.json").unlink()
    with pytest.raises(WeightsError, match="neither"):
        load_model(str(saved))


def test_saved_weights_are_checked(saved: Path) -> None:
    edit_state(saved, lambda state: state["linear.bias"].fill_(float("nan")))
    with pytest.raises(WeightsError, match=r"linear\.bias"):
        load_model(str(saved))
    (saved / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no weights file .*model\.safetensors"):
        load_model(str(saved))
    with pytest.raises(SpecError, match="holds its own"):
        load_model(str(saved), weights="random")


# ---------------------------------------------------------------- catalogue


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_catalogue_agrees_with_the_networks(caches: Path) -> None:
    entries = {entry.name: entry for entry in catalogue()}
    images = {name for name in ARCHITECTURES if not name.startswith("tests/")}
    assert {name for name, entry in entries.items() if entry.task == "image"} == images
    for name in images:
        module = skeleton(ARCHITECTURES[name], ARCHITECTURES[name].classes)
        assert entries[name].parameters == sum(p.numel() for p in module.parameters()), name


@pytest.mark.parametrize("name", ["facebook/opt-125m", "facebook/opt-350m", "facebook/opt-30b"])
def test_opt_sizes(name: str, caches: Path) -> None:
    (entry,) = (entry for entry in catalogue() if entry.name == name)
    module = text.text_skeleton(text._opt_config(OPT_SHAPES[name]), trust_remote_code=False)
    assert entry.parameters == sum(p.numel() for p in module.parameters())


def test_preferred_torchvision_files(caches: Path) -> None:
    import torchvision

    for entry in catalogue():
        if entry.name.startswith("torchvision/"):
            weights = torchvision.models.get_model_weights(entry.name.partition("/")[2]).DEFAULT
            assert Path(weights.url).name in entry.weights


def test_states_follow_the_files(caches: Path) -> None:
    states = {entry.name: entry.state for entry in catalogue()}
    assert states["cifar/resnet20"] == "needs weights file"
    assert states["torchvision/resnet18"] == states["facebook/opt-125m"] == "needs download"
    folder = caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").touch()
    snapshot = caches / "hub" / "models--facebook--opt-125m" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").touch()
    assert {entry.name: entry.state for entry in catalogue()}["facebook/opt-125m"] != "ready"
    (snapshot / "pytorch_model.bin").touch()
    entries = {entry.name: entry for entry in catalogue()}
    for name in ("torchvision/resnet18", "facebook/opt-125m"):
        assert (entries[name].state, entries[name].hint) == ("ready", "")
    assert entries["facebook/opt-350m"].hint.endswith("hf download facebook/opt-350m")
