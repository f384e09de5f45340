"""The README's Python that needs no model runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf8"), flags=re.DOTALL)


def test_the_search_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = next(block for block in BLOCKS if "LayerProblem.build" in block)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own README
    first, second = capsys.readouterr().out.splitlines()
    full, half = (float(value) for value in first.split()[:2])
    assert full < half < 0
    assert "[48, 10]" in first
    assert second.endswith("0.0 True")
    assert second.startswith("[0, 1,")
    assert " 23" not in second
    assert (tmp_path / "path.safetensors").is_file()
