"""Several processes prune one model as one does, and end together."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

import families
from osscar_core.errors import Cancelled, OsscarError, SpecError, WeightsError
from osscar_core.models import load_model
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import prune
from osscar_core.records import PruneSpec, Target
from osscar_core.together import prune_together

GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


def children() -> list[int]:
    """Return the processes that this one started and that are still there, by their ids."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            started = (entry / "cmdline").read_bytes() if (entry / "cmdline").exists() else b""
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"spawn_main" in started:
                found.append(int(entry.name))
    return found


def assert_alike(spec: PruneSpec, tmp_path: Path, tolerance: float) -> None:
    alone = prune(one_of(spec), out=tmp_path / "alone")
    seen: list[ProgressEvent] = []
    both = prune(spec, out=tmp_path / "both", progress=seen.append)
    assert [unit.kept for unit in both.plan.units] == [unit.kept for unit in alone.plan.units]
    left, right = (
        load_model(str(tmp_path / name)).module.state_dict() for name in ("alone", "both")
    )
    for name, value in left.items():
        gap = float((value.float() - right[name].float()).norm())
        assert gap <= tolerance * float(value.float().norm()), name
    assert both.out == str(tmp_path / "both")
    assert [event.stage for event in seen].count("prune") > len(both.units)
    assert not (tmp_path / "both.unfinished").exists()
    assert children() == []


def one_of(spec: PruneSpec) -> PruneSpec:
    fields = {name: getattr(spec, name) for name in spec.__slots__}
    return PruneSpec(**{**fields, "gpus": 1})


@pytest.mark.parametrize(("name", "batches", "count"), [("opt", 2, 3), ("cifar-resnet20", 3, 2)])
def test_several_processes_give_what_one_gives(
    name: str, batches: int, count: int, tmp_path: Path
) -> None:
    """One has less to do than the others, or nothing; sums differ in their last digits alone."""
    family = families.FAMILIES[name]()
    size = -(-family.samples // batches)
    spec = family.request(tmp_path, gpus=count, batch_size=size, target=Target.RESIDUAL)
    assert_alike(spec, tmp_path, 1e-5)


def test_a_member_that_dies_ends_the_run(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()
    spec = family.request(tmp_path, gpus=2)

    def kill_one(event: ProgressEvent) -> None:
        if event.stage == "load":
            os.kill(children()[-1], signal.SIGKILL)
            time.sleep(0.1)

    with pytest.raises(OsscarError, match=r"ended with the code -9"):
        prune(spec, out=tmp_path / "out", progress=kill_one)
    assert children() == []
    assert not (tmp_path / "out").exists()


def test_what_the_leader_refuses_is_told(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()
    spec = family.request(tmp_path, gpus=2)
    (Path(spec.model) / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        prune(spec, out=tmp_path / "out")
    assert children() == []


def test_a_run_can_be_stopped(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()

    def stop(_: ProgressEvent) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        prune(family.request(tmp_path, gpus=2), out=tmp_path / "out", progress=stop)
    assert children() == []


def test_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    family = families.FAMILIES["opt"]()
    spec = family.request(tmp_path, gpus=100, device="cuda")
    with pytest.raises(SpecError, match=r"gpus is 100, and this machine has"):
        prune_together(spec, out=None, repeat=None, widths=None, checkpoint=None, progress=None)
    with pytest.raises(SpecError, match="Use one GPU"):
        prune(family.request(tmp_path, gpus=2), observe=lambda *_: None)


@pytest.mark.gpu
@pytest.mark.skipif(GPUS < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("name", ["opt", "llama"])
def test_two_gpus_give_what_one_gives(name: str, tmp_path: Path) -> None:
    family = families.FAMILIES[name]()
    spec = family.request(tmp_path, gpus=2, device="cuda", batch_size=2)
    assert_alike(spec, tmp_path, 1e-2)
