"""A model that is never whole in memory is pruned as one that is, and survives being killed."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import families
from osscar_core import pruner
from osscar_core.allotment import allot, held_to
from osscar_core.errors import OutputError, SpecError, WeightsError
from osscar_core.goals import Goal, GoalKind
from osscar_core.models import load_model
from osscar_core.models.weights import INDEX_FILE
from osscar_core.preparation import resolve
from osscar_core.pruner import prune
from osscar_core.records import PruneReport, PruneSpec
from osscar_core.resources import Place

CPU = torch.device("cpu")
MIB = 2**20
ROOMY = 64 * 1024 * MIB


def request(name: str, folder: Path, **changes: Any) -> PruneSpec:
    return families.FAMILIES[name]().request(folder, **changes)


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(str(folder)).module.state_dict()


def assert_same_models(left: Path, right: Path) -> None:
    one, other = state(left), state(right)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def assert_same_units(left: PruneReport, right: PruneReport) -> None:
    assert left.plan.units == right.plan.units
    for one, other in zip(left.units, right.units, strict=True):
        assert one.relative_error == other.relative_error
        assert one.magnitude_error == other.magnitude_error
    assert left.parameters == right.parameters
    assert left.flops == right.flops


@pytest.mark.parametrize("name", ["opt", "llama", "qwen2"])
def test_a_streamed_run_gives_what_a_whole_one_gives(name: str, tmp_path: Path) -> None:
    spec = request(name, tmp_path)
    whole = prune(spec, out=tmp_path / "whole")
    assert whole.resources is None
    budgeted = request(name, tmp_path, host_memory=ROOMY)
    small = prune(budgeted, out=tmp_path / "streamed")
    assert_same_units(small, whole)
    assert_same_models(tmp_path / "streamed", tmp_path / "whole")
    assert small.resources is not None
    assert small.resources.placement.is_streamed
    assert small.resources.is_within
    assert small.resources.measured_host_bytes > 100 * MIB
    shards = sorted(file.name for file in (tmp_path / "streamed").glob("*.safetensors"))
    index = json.loads((tmp_path / "streamed" / INDEX_FILE).read_bytes())
    assert sorted(set(index["weight_map"].values())) == shards
    assert small.bytes.pruned == sum((tmp_path / "streamed" / one).stat().st_size for one in shards)
    assert not (tmp_path / "streamed.unfinished").exists()


def test_half_precision_is_stored_as_such(tmp_path: Path) -> None:
    """Computed in float32 on a CPU, so that the finished blocks are rounded at the end."""
    family = families.FAMILIES["opt"]()
    family.model.half()
    whole = prune(family.request(tmp_path), out=tmp_path / "whole")
    prune(family.request(tmp_path, host_memory=ROOMY), out=tmp_path / "streamed")
    kinds = {
        tensor.dtype
        for file in (tmp_path / "streamed").glob("*.safetensors")
        for tensor in load_file(file).values()
    }
    assert kinds == {torch.float16}
    assert whole.plan.dtype == "float16"
    assert_same_models(tmp_path / "streamed", tmp_path / "whole")


def test_units_that_stay_and_blocks_behind_the_last_are_carried_over(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=ROOMY)
    names = [unit.name for unit in prune(spec).units]
    widths = {name: 4 if "out_proj" in name else 32 for name in names} | {names[1]: 7}
    whole = request("opt", tmp_path)
    prune(whole, out=tmp_path / "whole", widths=widths)
    prune(spec, out=tmp_path / "streamed", widths=widths)
    assert_same_models(tmp_path / "streamed", tmp_path / "whole")


def test_activations_on_disk_change_nothing(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, samples=40, seqlen=24, batch_size=1)
    whole = prune(spec, out=tmp_path / "whole")
    model = load_model(spec.model, is_streamed=True)
    tight = resolve(model, spec)
    ample = allot(model, PruneSpec(**{**_fields(tight), "host_memory": ROOMY}), CPU)
    assert ample is not None
    assert ample.placement.activations is Place.DEVICE
    least = ample.forecast.host_bytes - 1
    budgeted = PruneSpec(**{**_fields(spec), "host_memory": least})
    small = prune(budgeted, out=tmp_path / "streamed")
    assert small.resources is not None
    assert small.resources.placement.activations is Place.DISK
    assert_same_units(small, whole)
    assert_same_models(tmp_path / "streamed", tmp_path / "whole")


def _fields(spec: PruneSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__slots__}


def test_random_weights_are_the_same_block_by_block(tmp_path: Path) -> None:
    family = families.FAMILIES["llama"]()
    family.model.save_pretrained(tmp_path / "dense")
    whole = load_model(str(tmp_path / "dense"), weights="random")
    streamed = load_model(str(tmp_path / "dense"), weights="random", is_streamed=True)
    assert streamed.blocks is not None
    for path in streamed.adapter.blocks(streamed.module):
        own = whole.module.get_submodule(path).state_dict()
        made = streamed.blocks.read(path)
        assert own.keys() == made.keys()
        assert all(torch.equal(own[name], made[name]) for name in own)
        assert all(one.is_meta for one in streamed.module.get_submodule(path).parameters())
    spread = whole.module.get_parameter("model.layers.0.mlp.up_proj.weight").std()
    assert float(spread) == pytest.approx(0.02, rel=0.1)


# --- where blocks come from -----------------------------------------------------------------


def test_blocks_are_read_from_pickles_too(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()
    spec = family.request(tmp_path, host_memory=ROOMY)
    expected = prune(spec).plan.units
    folder = Path(spec.model)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert prune(spec).plan.units == expected


def test_names_without_the_prefix_are_found(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=ROOMY)
    expected = prune(spec).plan.units
    file = Path(spec.model) / "model.safetensors"
    bare = {name.removeprefix("model."): one for name, one in load_file(file).items()}
    save_file(bare, file, metadata={"format": "pt"})
    assert prune(spec).plan.units == expected


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda held: held.pop("model.decoder.layers.1.fc2.weight"), "lack the tensor"),
        (
            lambda held: held.update({"model.decoder.layers.1.fc1.bias": torch.zeros(3)}),
            r"has the shape \(3,\)",
        ),
        (lambda held: held["model.decoder.layers.1.fc1.bias"].fill_(torch.nan), "NaN or infinite"),
    ],
)
def test_what_is_wrong_with_a_block_is_said(damage: Any, message: str, tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=ROOMY)
    file = Path(spec.model) / "model.safetensors"
    held = load_file(file)
    damage(held)
    save_file(held, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=message):
        prune(spec, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_cut_short_is_said_so(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=ROOMY)
    file = Path(spec.model) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        prune(spec)


# --- what cannot be -------------------------------------------------------------------------


def test_a_budget_that_nothing_fits_is_refused(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=300 * MIB)
    with pytest.raises(SpecError, match=r"takes at least .* of host memory"):
        prune(spec, out=tmp_path / "out")


def test_a_goal_needs_the_whole_model(tmp_path: Path) -> None:
    goal = Goal(GoalKind.PARAMETERS, 0.3)
    spec = request("opt", tmp_path, sparsity=0.0, goal=goal, host_memory=ROOMY)
    with pytest.raises(SpecError, match="whole model"):
        prune(spec, out=tmp_path / "out")


def test_image_models_and_pruned_ones_are_not_streamed(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="one at a time"):
        load_model("torchvision/resnet18", weights="random", is_streamed=True)
    prune(request("opt", tmp_path), out=tmp_path / "small")
    with pytest.raises(SpecError, match="one at a time"):
        load_model(str(tmp_path / "small"), is_streamed=True)


def test_the_place_of_the_finished_blocks_is_checked_first(tmp_path: Path) -> None:
    spec = request("opt", tmp_path, host_memory=ROOMY)
    folder = tmp_path / "out.unfinished"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        prune(spec, out=tmp_path / "out")
    assert (folder / "notes.txt").read_text() == "mine"


# --- killed at any point --------------------------------------------------------------------

KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from osscar_core.pruner import prune
from osscar_core.records import PruneSpec, from_json

spec = from_json(PruneSpec, Path(sys.argv[1]).read_bytes())
folder, rounds = Path(sys.argv[2]), int(sys.argv[3])
random.seed(0)
prune(spec, out=folder / "first")  # imports and such
began = time.perf_counter()
prune(spec, out=folder / "whole")
whole = time.perf_counter() - began
expected = {file.name: file.read_bytes() for file in (folder / "whole").glob("*.safetensors")}

def start(out):
    child = os.fork()
    if child:
        return child
    prune(spec, out=out)
    os._exit(0)

kills = resumed = 0
for number in range(rounds):
    out = folder / f"out-{number}"
    child = start(out)
    time.sleep(random.random() * whole)
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] == signal.SIGKILL:
        kills += 1
        kept = folder / f"out-{number}.unfinished"
        resumed += any(kept.glob("block-*")) if kept.exists() else 0
    if not out.exists():
        assert os.waitpid(start(out), 0)[1] == 0
    assert {f.name: f.read_bytes() for f in out.glob("*.safetensors")} == expected, number
    assert not (folder / f"out-{number}.unfinished").exists(), number
print(kills, resumed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    """The process is ended by SIGKILL at a random moment, and the same request given again."""
    from osscar_core.records import to_json

    spec = request("opt", tmp_path, host_memory=ROOMY)
    file = tmp_path / "spec.json"
    file.write_text(to_json(spec))
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(file), str(tmp_path), "20"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kills, resumed = map(int, done.stdout.split()[-2:])
    assert kills >= 10
    assert resumed >= 1


# --- on a GPU -------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("search", [Place.DEVICE, Place.HOST])
@pytest.mark.parametrize("where", Place)
@pytest.mark.parametrize("name", ["opt", "llama"])
def test_a_gpu_keeps_the_same_groups_wherever_things_are(
    name: str, where: Place, search: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prune(request(name, tmp_path), out=tmp_path / "whole")

    def forced(*given: Any) -> Any:
        found = allot(*given)
        assert found is not None
        placement = dataclasses.replace(found.placement, activations=where, search=search, batch=2)
        forecast = dataclasses.replace(found.forecast, placement=placement)
        spec = dataclasses.replace(found.spec, batch_size=2)
        return dataclasses.replace(found, spec=spec, forecast=forecast)

    monkeypatch.setattr(pruner, "allot", forced)
    spec = request(name, tmp_path, device="cuda", gpu_memory=2048 * MIB)
    small = prune(spec, out=tmp_path / "streamed")
    assert [unit.kept for unit in small.plan.units] == [unit.kept for unit in whole.plan.units]
    one, other = state(tmp_path / "streamed"), state(tmp_path / "whole")
    for key, value in one.items():
        # Fitted on few rows, so that the last digits of the forward passes count.
        assert float((value - other[key]).norm()) <= 1e-2 * float(other[key].norm()), key
    assert small.resources is not None
    assert small.resources.is_within
    assert small.resources.measured_gpu_bytes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_budget_binds_the_gpu() -> None:
    device = torch.device("cuda")
    with held_to(device, 1024 * MIB), pytest.raises(torch.OutOfMemoryError):
        torch.empty(1024 * MIB, dtype=torch.uint8, device=device)
    assert torch.empty(1024 * MIB, dtype=torch.uint8, device=device).numel() == 1024 * MIB
