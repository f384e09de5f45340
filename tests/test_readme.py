"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from families import FAMILIES
from osscar_core.export import huggingface, onnx, vision
from rereading import wait

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf8"), flags=re.DOTALL)
_FORBID = """
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "osscar_core":
            raise ImportError(name)
import sys
sys.meta_path.insert(0, Forbidden())
"""


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


def test_exports_load_in_your_own_code(tmp_path: Path) -> None:
    """All three blocks in one process that cannot import this project, on small models."""
    made = {
        "opt-hf": ("opt", huggingface.write_hf),
        "small-torch": ("resnet-bottleneck", vision.write_torch),
        "small-onnx": ("resnet-bottleneck", onnx.write_onnx_files),
    }
    models = {}
    for name, (family, write) in made.items():
        (tmp_path / f"{name}-made").mkdir()
        one = wait(FAMILIES[family](), tmp_path / f"{name}-made", write)
        one.job.folder.rename(tmp_path / name)
        models[name] = one.model.module
    blocks = [block for block in BLOCKS if any(f'"{name}' in block for name in made)]
    assert len(blocks) == len(made)
    code = "\n".join([_FORBID, *blocks])
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code.replace("64, 64", "32, 32")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    *words, torch_classes, onnx_classes = ended.stdout.strip().splitlines()
    assert "\n".join(words).startswith("The pump")
    import torch

    best = int(models["small-torch"](torch.zeros(1, 3, 32, 32)).argmax(1))
    assert torch_classes == f"tensor([{best}, {best}]) tensor([{best}, {best}])"
    assert onnx_classes == f"[{best} {best}]"
