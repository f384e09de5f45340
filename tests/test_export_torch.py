"""Image models for PyTorch, read back by programs that know nothing of this project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from families import CLASSES, FAMILIES
from osscar_core.errors import SpecError
from osscar_core.export import ExportFormat, ExportReport, export_model, vision
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune
from rereading import Waiting, read_back, wait

IMAGES = sorted(name for name in FAMILIES if FAMILIES[name]().catalogue_name)


@dataclass(frozen=True)
class Exported:
    folder: Path
    report: ExportReport
    model: LoadedModel


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Waiting]:
    return {
        name: wait(FAMILIES[name](), tmp_path_factory.mktemp(name), vision.write_torch)
        for name in IMAGES
    }


@pytest.mark.parametrize("reader", [0, 1], ids=["program", "loader"])
def test_every_family_comes_back(waiting: dict[str, Waiting], reader: int) -> None:
    for found in read_back(waiting, reader).values():
        assert found.relative_difference <= 1e-5
        assert (found.same, found.quality) == (1.0, found.model_quality)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A halved network, exported as a user does it, where Python keeps what it compiles."""
    folder, family = tmp_path_factory.mktemp("cifar"), FAMILIES["cifar-resnet20"]()
    request = family.request(folder)
    prune(request, out=folder / "small")
    model = load_model(str(folder / "small"), device="cpu")
    dense = load_model(request.model, weights=request.weights)
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        report = export_model(
            model,
            folder / "out",
            ExportFormat.TORCH,
            data=request.calibration,
            limit=8,
            dense=dense,
        )
    return Exported(folder / "out", report, model)


def test_the_report_says_what_is_there(one: Exported) -> None:
    report = one.report
    names = {file.name for file in report.files}
    assert {"model.pt2", "model.safetensors", "load_model.py", "networks.py"} < names
    assert {"README.md", "inputs.json", "pruning.json"} < names
    assert (report.same, report.quality) == (1.0, report.model_quality)
    assert report.dense_quality is not None
    assert report.continued is None
    assert report.versions["torch"] == torch.__version__


_ALONE = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"osscar_core", "transformers", "safetensors", "onnx"}:
            raise ImportError(name)
sys.meta_path.insert(0, Only())
exec(open("README.md", encoding="utf8").read().split("```python\\n")[1].split("```")[0])
half = load(".", torch.float16)
widths = [m.in_channels for m in half.modules() if hasattr(m, "in_channels")]
print(next(half.parameters()).dtype, widths)
print(network(prepared(pictures)).tolist()[0])
"""


def test_the_readmes_lines_run_with_torch_and_torchvision_alone(one: Exported) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.')\n{_ALONE}"],
        cwd=one.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    best, facts, logits = ended.stdout.splitlines()
    mean, std = (torch.tensor(one.model.source.preprocess.mean), one.model.source.preprocess.std)
    black = (-mean / torch.tensor(std))[None, :, None, None].expand(2, 3, 32, 32)
    wanted = one.model.module(black)
    names = json.loads((one.folder / "inputs.json").read_text("utf8"))["class_names"]
    assert best == str([names[int(index)] for index in wanted.argmax(1)])
    assert len(names) == CLASSES
    widths = [m.in_channels for m in one.model.module.modules() if hasattr(m, "in_channels")]
    assert facts == f"torch.float16 {widths}"
    assert torch.tensor(json.loads(logits)) == pytest.approx(wanted[0], rel=1e-4, abs=1e-5)
    card = (one.folder / "README.md").read_text("utf8")
    assert str(one.folder.parent) not in card
    assert re.search(r"\| parameters \| [\d,]+ \| [\d,]+ \|", card)


def test_formats_for_other_models_are_refused_in_words(tmp_path: Path) -> None:
    model = FAMILIES["cifar-resnet20"]().loaded(tmp_path)
    for kind in (ExportFormat.HF, ExportFormat.GGUF):
        with pytest.raises(SpecError, match=rf"cannot be written as {kind}.*onnx, torch"):
            export_model(model, tmp_path / "out", kind, data="images:none")
