"""Checks of an installation: each fault is found, named and comes with a remedy."""

from __future__ import annotations

import builtins
import importlib.metadata
import os
import resource
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core import doctor
from osscar_core.doctor import Check, Diagnosis, Status, diagnose, requirement_lines

GIB = 2**30


def test_this_installation_is_fit(tmp_path: Path) -> None:
    diagnosis = diagnose(tmp_path)
    assert diagnosis.is_fit, [check for check in diagnosis.checks if check.status == "fail"]
    names = [check.name for check in diagnosis.checks]
    assert {"python", "torch", "torchvision matches torch", "workspace", "model hub"} <= set(names)
    assert len(names) == len(set(names))


def test_only_failures_make_it_unfit() -> None:
    warned = Check("a", Status.WARN, "odd", "Look")
    assert Diagnosis((warned,)).is_fit
    assert not Diagnosis((warned, Check("b", Status.FAIL, "bad", "Mend"))).is_fit


def test_requirements_are_those_of_the_checkout() -> None:
    lines = requirement_lines()
    assert any(line.startswith("torch>=") for line in lines)
    assert not any("#" in line or line.startswith("-") for line in lines)


def test_constraints_fit_the_requirements() -> None:
    """The tested versions must lie in the ranges that are promised."""
    from packaging.requirements import Requirement

    root = Path(doctor.__file__).resolve().parent.parent
    pinned = dict(
        line.split("==")
        for line in (root / "constraints.txt").read_text(encoding="utf8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    names = ("requirements-dev.txt", "requirements-cluster.txt")
    files = [(root / name).read_text(encoding="utf8") for name in names]
    development = [line for text in files for line in text.splitlines()]
    lines = [*requirement_lines(), *(line for line in development if line[:1].isalpha())]
    for line in lines:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pinned.pop(requirement.name)), line
    assert pinned == {}


@pytest.mark.parametrize(
    ("line", "status", "found"),
    [
        ("pytest>=1", Status.OK, importlib.metadata.version("pytest")),
        ("pytest>=1,<2", Status.FAIL, "but >=1,<2 is needed"),
        ("no-such-package>=1", Status.FAIL, "not installed"),
    ],
)
def test_package(line: str, status: Status, found: str) -> None:
    check = doctor._package(line)
    assert check.status is status
    assert found in check.found
    assert bool(check.remedy) is (status is Status.FAIL)


def test_versions_are_not_judged_without_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "__import__", _without("packaging.requirements"))
    assert doctor._package("pytest>=999").status is Status.WARN


def test_no_requirements_is_a_warning() -> None:
    (check,) = doctor._packages(())
    assert check.status is Status.WARN


def test_requirements_of_an_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "a" / "doctor.py"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["torch>=2"])
    assert requirement_lines() == ("torch>=2",)

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert requirement_lines() == ()


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert doctor._python().status is Status.FAIL


def _without(blocked: str) -> Callable[..., Any]:
    original = builtins.__import__

    def importing(name: str, *rest: Any, **named: Any) -> Any:
        if name == blocked:
            raise ImportError(f"no {blocked}\nsecond line")
        return original(name, *rest, **named)

    return importing


def test_torch_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "__import__", _without("torch"))
    assert doctor._torch() == Check("torch starts", Status.FAIL, "no torch", "Reinstall torch")
    assert list(doctor._devices()) == []


def test_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.ops

    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    check = doctor._vision()
    assert check.status is Status.FAIL
    assert "nms does not exist" in check.found
    assert "constraints.txt" in check.remedy


@pytest.mark.parametrize(
    ("free", "status"), [(70 * GIB, Status.OK), (10 * GIB, Status.WARN), (None, Status.FAIL)]
)
def test_gpu(monkeypatch: pytest.MonkeyPatch, free: int | None, status: Status) -> None:
    def memory(index: int) -> tuple[int, int]:
        if free is None:
            raise RuntimeError("CUDA error")
        return free, 80 * GIB

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Test GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    (check,) = doctor._devices()
    assert check.name == "cuda:0"
    assert check.status is status
    if free is not None:
        assert check.found == f"Test GPU, {free / GIB:.1f} GiB of 80.0 GiB free"


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert list(doctor._devices()) == [Check("gpu", Status.OK, "none; the CPU does the work")]


@pytest.mark.parametrize(
    ("built", "said", "remedy"),
    [
        (None, "", "CPUs only"),
        ("13.0", "The NVIDIA driver on your system is too old (found version 11040)", "CUDA 13.0"),
        ("13.0", "No CUDA GPUs are available", "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_a_driver_that_torch_cannot_use(
    monkeypatch: pytest.MonkeyPatch, built: str | None, said: str, remedy: str
) -> None:
    def init() -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(Path, "exists", lambda self: True)
    (check,) = doctor._devices()
    assert check.status is Status.WARN
    assert said in check.found
    assert remedy in check.remedy


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert doctor._threads().status is Status.WARN
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    assert "to the cores or less" in doctor._threads().remedy
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert doctor._threads() == Check("threads", Status.OK, "2 cores usable")


@pytest.mark.parametrize(
    ("kind", "most", "found"),
    [
        (resource.RLIMIT_NOFILE, 256, "256 open files"),
        (resource.RLIMIT_AS, 2 * GIB, "2.0 GiB at most for memory"),
        (resource.RLIMIT_FSIZE, GIB, "1.0 GiB at most for a file"),
        (resource.RLIMIT_STACK, 1, "none that matters"),
    ],
)
def test_limits(monkeypatch: pytest.MonkeyPatch, kind: int, most: int, found: str) -> None:
    limits = {kind: (most, most)}
    free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda asked: limits.get(asked, free))
    check = doctor._limits()
    assert found in check.found
    assert (check.status is Status.WARN) is (kind != resource.RLIMIT_STACK)


@pytest.mark.parametrize(("gib", "status"), [(2, Status.WARN), (16, Status.OK)])
def test_memory(monkeypatch: pytest.MonkeyPatch, gib: int, status: Status) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    check = doctor._memory()
    assert (check.status, check.found) == (status, f"{gib:.1f} GiB")


@pytest.mark.parametrize(
    ("free", "status"),
    [(GIB // 4, Status.FAIL), (2 * GIB, Status.WARN), (20 * GIB, Status.OK)],
)
def test_disk_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: Status
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free))
    check = doctor._workspace(tmp_path / "not" / "yet")
    assert check.status is status
    assert str(tmp_path / "not" / "yet") in check.found
    assert list(tmp_path.iterdir()) == []


def test_workspace_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf8")
    check = doctor._workspace(tmp_path / "file" / "runs")
    assert check.status is Status.FAIL
    assert "OSSCAR_HOME" in check.remedy


def test_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "hub_cache_folder", lambda: tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert doctor._hub().status is Status.WARN
    (tmp_path / "models--a--b").mkdir()
    check = doctor._hub()
    assert check == Check("model hub", Status.OK, f"offline, 1 models cached in {tmp_path}")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert doctor._hub().found.startswith("online")
