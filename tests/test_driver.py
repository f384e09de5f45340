"""What this machine computes with, told without a driver call."""

from __future__ import annotations

from pathlib import Path

import pytest

from osscar_core import driver


@pytest.fixture(autouse=True)
def forget() -> None:
    driver.gpu_name.cache_clear()
    yield
    driver.gpu_name.cache_clear()


def test_the_driver_s_own_files_name_the_gpu(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "0000:01:00.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t NVIDIA H100 80GB HBM3\nIRQ: 1\n")
    monkeypatch.setattr(driver, "_DRIVER", tmp_path)
    assert driver.gpu_name() == "NVIDIA H100 80GB HBM3"


def test_without_them_the_tool_is_asked_and_may_fail(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(driver, "_DRIVER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver.gpu_name() == ""
    driver.gpu_name.cache_clear()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho Tesla T4\necho Tesla T4\n")
    tool.chmod(0o755)
    assert driver.gpu_name() == "Tesla T4"
    driver.gpu_name.cache_clear()
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert driver.gpu_name() == ""
