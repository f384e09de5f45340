"""What this machine computes with, told without a driver call."""

from __future__ import annotations

from pathlib import Path

import pytest

from osscar_core.studio import machine


@pytest.fixture(autouse=True)
def forget() -> None:
    machine.gpu_name.cache_clear()
    yield
    machine.gpu_name.cache_clear()


def test_the_driver_s_own_files_name_the_gpu(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "0000:01:00.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t NVIDIA H100 80GB HBM3\nIRQ: 1\n")
    monkeypatch.setattr(machine, "_DRIVER", tmp_path)
    assert machine.gpu_name() == "NVIDIA H100 80GB HBM3"


def test_without_them_the_tool_is_asked_and_may_fail(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_DRIVER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu_name() == ""
    machine.gpu_name.cache_clear()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho Tesla T4\necho Tesla T4\n")
    tool.chmod(0o755)
    assert machine.gpu_name() == "Tesla T4"
    machine.gpu_name.cache_clear()
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.gpu_name() == ""
