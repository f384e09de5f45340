"""What pruning takes, from a model's name: without weights, network or heavy libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command import Main, runner
from osscar_core import plan_resources, planning
from osscar_core.catalogue import OptShape
from osscar_core.errors import SpecError
from osscar_core.goals import parse_bytes
from osscar_core.machines import MACHINES
from osscar_core.models import LoadedModel
from osscar_core.notation import gibibytes
from osscar_core.records import Plan, PruneSpec, SourceInfo, from_json, to_dict, to_json
from osscar_core.resources import Place
from osscar_core.shapes import ModelShape

ROOT = Path(__file__).resolve().parent.parent
GIB = 2**30


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "gpu_name", lambda: "")


def test_the_largest_public_model_is_planned_offline_without_torch() -> None:
    script = (
        "import json, sys\n"
        "from osscar_core.cli import main\n"
        "code = main(['plan', 'facebook/opt-30b', '--gpu-memory', '32GiB', '--json'])\n"
        "heavy = {'torch', 'transformers', 'numpy', 'accelerate'} & set(sys.modules)\n"
        "sys.stderr.write(json.dumps([code, sorted(heavy)]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert json.loads(result.stderr) == [0, []]
    found = json.loads(result.stdout)
    assert found["model"] == "facebook/opt-30b"
    assert 20 * GIB < found["gpu_bytes"] <= 32 * GIB
    assert found["gpu_memory"] == 32 * GIB
    assert (found["samples"], found["seqlen"]) == (64, 1024)
    assert [one["machine"] for one in found["machines"]] == [one.name for one in MACHINES]


def test_a_person_reads_what_takes_the_memory_and_the_time(main: Main) -> None:
    result = main("plan", "facebook/opt-13b", "--gpu", "v100", "--samples", 128, "--sparsity", 0.3)
    assert result.code == 0
    for words in (
        "facebook/opt-13b: 12.9 G parameters, 30% of the groups to go, 128 windows of 1024 tokens",
        "Machine: V100 32GB (as asked for)",
        "  inverse hessian and square of weights: ",
        "Host memory: ",
        "Time: ",
        "An estimate",
    ):
        assert words in result.out
    lines = result.out.splitlines()
    assert any(line.startswith("CPU two cores") for line in lines)


def test_what_does_not_fit_is_refused_with_the_least(main: Main) -> None:
    reason = main("plan", "facebook/opt-30b", "--gpu-memory", "8GiB").reason
    assert "takes at least 19.5 GiB of GPU memory" in reason
    # Elsewhere it may fit; a machine that is too small says so in the list.
    out = main("plan", "facebook/opt-30b", "--samples", 64, "--host-memory", "20GB").out
    assert "RTX 4090 24GB" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--gpu-memory", "lots"), "'lots' is no amount of memory"),
        (("--gpu-memory", "1MiB"), "gpu_memory is 1048576 bytes. It must be at least 256 MiB"),
        (("--gpus", "0"), "gpus is 0. It must be at least 1"),
        (("--samples", "0"), "samples is 0. It must be at least 1"),
        (("--seqlen", "4096"), "seqlen is 4096, more than the 2048 positions"),
        (("--gpu", "b700"), "unknown GPU 'b700'"),
        (("--dtype", "int3"), "unknown dtype 'int3'"),
    ],
)
def test_bad_settings_are_told_in_words(main: Main, options: tuple[str, ...], words: str) -> None:
    assert words in main("plan", "facebook/opt-125m", *options).reason


def test_a_name_that_nothing_has_is_refused(main: Main) -> None:
    assert "unknown model 'demo/optt'" in main("plan", "demo/optt").reason


@pytest.mark.parametrize(
    ("text", "count"),
    [("32GiB", 32 * GIB), ("32GB", 32 * 10**9), ("500MiB", 500 * 2**20), ("1.5g", 1_500_000_000)],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "32%", "32x", "3 ms", "1e999", "32 gallons"])
def test_other_things_are_no_sizes(text: str) -> None:
    with pytest.raises(SpecError, match="is no amount of memory"):
        parse_bytes(text)


def test_sizes_are_told_in_binary_units() -> None:
    assert gibibytes(32 * GIB) == "32 GiB"
    assert gibibytes(GIB + 1, up=True) == "1.1 GiB"
    assert gibibytes(3 * 2**19) == "1.5 MiB"
    assert gibibytes(2048) == "2 KiB"
    assert gibibytes(5) == "5 B"


def test_the_machine_is_this_one_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "gpu_name", lambda: "NVIDIA H200")
    found = plan_resources("facebook/opt-125m")
    assert found.forecast.machine == "H200 141GB"
    assert found.chosen == "the GPU of this machine (NVIDIA H200)"
    assert found.gpu_memory == 141 * 10**9
    monkeypatch.setattr(planning, "gpu_name", lambda: "Tesla T4")
    assert "Tesla T4 is not known" in plan_resources("facebook/opt-125m").chosen
    cpu = plan_resources("facebook/opt-125m", device="cpu")
    assert cpu.forecast.gpu_bytes == 0
    assert cpu.gpu_memory is None


def test_a_random_model_reads_nothing() -> None:
    stored = plan_resources("facebook/opt-1.3b").forecast
    random = plan_resources("facebook/opt-1.3b", weights="random").forecast
    assert random.seconds.read == 0
    assert stored.disk_bytes - random.disk_bytes == 2 * stored.parameters


def test_a_folder_is_planned_from_its_configuration_alone(tmp_path: Path) -> None:
    sizes = OptShape(64, 3, 4, 32, norm_first=False, vocabulary=100, positions=40)
    config = {
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "vocab_size": 100,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "ffn_dim": 256,
        "max_position_embeddings": 40,
        "do_layer_norm_before": False,
        "word_embed_proj_dim": 32,
        "num_attention_heads": 4,
        "dtype": "float16",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = planning.model_shape(str(tmp_path))
    assert found == ModelShape.of_opt(str(tmp_path), sizes)
    assert plan_resources(str(tmp_path)).forecast.seqlen == 40


def test_an_image_model_is_planned_from_the_shapes_of_its_maps() -> None:
    shape = planning.model_shape("cifar/resnet20")
    assert shape.parameters == 269_722
    assert not shape.is_streamable
    assert len(shape.blocks) == 9
    first, last = shape.blocks[0], shape.blocks[-1]
    assert first.state == 16 * 32 * 32
    assert [(one.features, one.outputs, one.rows) for one in last.units] == [(576, 64, 64)]
    # Two 3 x 3 convolutions from 16 to 16 channels.
    assert first.flops == 2 * 2 * 9 * 16 * 16 * 32 * 32
    found = plan_resources("cifar/resnet20").forecast
    assert (found.samples, found.seqlen) == (512, None)
    assert found.placement.activations is Place.DEVICE


def test_a_model_in_memory_has_the_same_shape_as_its_skeleton() -> None:
    import torch

    from osscar_core.adapters import find_adapter
    from osscar_core.networks import cifar_resnet

    module = cifar_resnet(20, 10).eval()
    bare = planning.model_shape("cifar/resnet20")
    preprocess = planning._bare("cifar/resnet20", "auto", None, None, False).preprocess
    source = SourceInfo("cifar/resnet20", "cifar-resnet", "image", "x", preprocess=preprocess)
    loaded = LoadedModel(module, find_adapter(module), source, torch.float32)
    assert planning.shape_of(loaded) == bare


def test_a_request_carries_its_budget_and_old_plans_still_load() -> None:
    spec = PruneSpec("m", "demo:x", 0.5, gpu_memory=8 * GIB, host_memory=GIB, gpus=2)
    assert from_json(PruneSpec, to_json(spec)) == spec
    old = to_dict(PruneSpec("m", "demo:x", 0.5))
    for name in ("gpu_memory", "host_memory", "gpus"):
        del old[name]
    assert from_json(PruneSpec, json.dumps(old)) == PruneSpec("m", "demo:x", 0.5)
    assert "gpu_memory" not in Plan.__dataclass_fields__
    with pytest.raises(SpecError, match=r"host_memory is 1 bytes\. It must be at least 256 MiB"):
        PruneSpec("m", "demo:x", 0.5, host_memory=1)
    with pytest.raises(SpecError, match="gpus is 0"):
        PruneSpec("m", "demo:x", 0.5, gpus=0)
