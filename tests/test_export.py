"""ONNX: what is written, that it is the model, and that nothing else is ever left."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command import runner
from families import CLASSES, FAMILIES, Family, halve_
from osscar_core.errors import DataError, OutputError, SpecError
from osscar_core.evaluation import evaluate
from osscar_core.export import (
    ExportFormat,
    ExportReport,
    comparing,
    export_model,
    onnx,
    onnx_graph,
    replay,
)
from osscar_core.export.items import open_items
from osscar_core.export.job import Logits
from osscar_core.export.onnx_graph import write_onnx
from osscar_core.export.replay import token_losses
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune

SEQLEN = 24


@dataclass(frozen=True)
class Exported:
    """An export with what it came from."""

    folder: Path
    report: ExportReport
    model: LoadedModel
    data: str


def exported(family: Family, folder: Path) -> Exported:
    """Halve a model of a family and export it."""
    request = family.request(folder, seqlen=family.seqlen and SEQLEN)
    prune(request, out=folder / "small")
    model = load_model(str(folder / "small"), device="cpu")
    report = export_model(
        model,
        folder / "out",
        ExportFormat.ONNX,
        data=request.calibration,
        limit=8,
        seqlen=family.seqlen and SEQLEN,
    )
    return Exported(folder / "out", report, model, request.calibration)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(FAMILIES["cifar-resnet20"](), tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(FAMILIES["opt"](), tmp_path_factory.mktemp("text"))


def written_as(name: str, folder: Path) -> tuple[Logits, replay.Network]:
    """Halve a model, so that its layers differ in heads, write it, and open the file."""
    family = FAMILIES[name]()
    model = family.loaded(folder)
    items = open_items(model, family.calibration_spec(folder), 8, family.seqlen and SEQLEN)
    module = Logits(halve_(model.module), is_text=family.seqlen is not None)
    write_onnx(module, items, folder / "model.onnx", name)
    network = replay.Network(str(folder / "model.onnx"), 1, "CPUExecutionProvider")
    assert {one.name for one in network.session.get_inputs()[:2]} <= {
        "pixels",
        "input_ids",
        "attention_mask",
    }
    return module, network


# The first two are exported whole below, the next two are judged in test_contest.py; the
# others differ from one that is here in biases and widths only.
_LEFT_OUT = {"cifar-resnet20", "opt", "resnet-basic", "llama-bias", "opt-no-bias", "resnet-wide"}
_HERE = sorted(FAMILIES.keys() - _LEFT_OUT)


@pytest.mark.parametrize("name", [name for name in _HERE if "resnet" in name])
@torch.no_grad()
def test_every_family_of_images_gives_what_it_gave(name: str, tmp_path: Path) -> None:
    module, network = written_as(name, tmp_path)
    assert [one.name for one in network.session.get_outputs()] == ["logits"]
    generator = torch.Generator().manual_seed(3)
    for shape in ((1, 3, 32, 32), (7, 3, 32, 32)):  # sizes that the tracer never saw
        batch = torch.randn(shape, generator=generator)
        near(network.answer(batch.numpy()), module(batch))


@pytest.mark.parametrize("name", [name for name in _HERE if "resnet" not in name])
@torch.no_grad()
def test_every_family_of_text_gives_what_it_gave_in_pieces_and_padded(
    name: str, tmp_path: Path
) -> None:
    module, network = written_as(name, tmp_path)
    layers = len(network.caches) // 2
    names = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    given = [one.name for one in network.session.get_inputs()]
    assert given == ["input_ids", "attention_mask", *(f"past_key_values.{n}" for n in names)]
    outputs = network.session.get_outputs()
    assert [one.name for one in outputs] == ["logits", *(f"present.{n}" for n in names)]
    assert network.session.get_inputs()[1].shape == ["batch", "past + tokens"]
    # A sliding window of 8 is passed by the longer text; one token and one text are sizes
    # that the tracer never saw.
    generator = torch.Generator().manual_seed(3)
    for shape in ((1, 5), (5, 40)):
        batch = torch.randint(4, 260, shape, generator=generator)
        near(network.in_pieces(batch.numpy()), module(batch))
        near(network.answer(batch.numpy()), module(batch))
    texts = [batch[0, :1], batch[1, :21], batch[2, :12]]
    ids = torch.zeros(3, 21, dtype=torch.int64)
    for row, text in enumerate(texts):
        ids[row, -len(text) :] = text
    mask = (ids > 0).long()
    tokens, scores = network.write(ids.numpy(), mask.numpy(), 6)
    for row, text in enumerate(texts):
        alone = module.module.generate(
            text[None], do_sample=False, min_new_tokens=6, max_new_tokens=6, eos_token_id=None
        )
        assert tokens[row].tolist() == alone[0, len(text) :].tolist()
        whole = module(alone[:, :-1])[0, len(text) - 1 :]
        near(scores[row], whole)


def near(found: Any, wanted: torch.Tensor) -> None:
    assert found.shape == tuple(wanted.shape)
    assert np.abs(found - wanted.numpy()).max() < 1e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("kind", ["image", "text"])
def test_an_export_is_what_its_report_says(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one: Exported = request.getfixturevalue(kind)
    report = one.report
    names = {"README.md", "inputs.json", "model.onnx"} | ({"tokenizer.json"} & {f"{kind}izer.json"})
    assert names <= {path.name for path in one.folder.iterdir()}
    assert {path.name for path in one.folder.iterdir()} == {file.name for file in report.files}
    for file in report.files:
        content = (one.folder / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    assert 0 < report.max_difference < 1e-3
    assert 0 < report.relative_difference <= 1e-5
    assert len({shape[0] for shape in report.shapes}) == 3
    assert report.count == 8
    seqlen = SEQLEN if kind == "text" else None
    options = {} if seqlen is None else {"seqlen": seqlen}
    judged = evaluate(one.model, one.data, limit=8, **options)
    assert report.metric == judged.metric
    assert report.model_quality == pytest.approx(judged.value, rel=1e-6)
    assert report.quality == pytest.approx(judged.value, rel=1e-5)
    assert report.same >= 0.98
    assert report.opset >= 18
    assert {"torch", "onnx", "onnxscript", "onnxruntime", "numpy"} <= set(report.versions)
    assert report.continued == (3 if kind == "text" else None)


_ALONE = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "osscar_core", "onnx", "transformers"}:
            raise ImportError(name)
sys.meta_path.insert(0, Only())
exec(open("snippet.py", encoding="utf8").read())
"""


@pytest.mark.parametrize("kind", ["image", "text"])
def test_the_readmes_lines_run_with_onnxruntime_and_numpy_alone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    one: Exported = request.getfixturevalue(kind)
    read = (one.folder / "README.md").read_text("utf8")
    first, second = re.findall(r"```python\n(.*?)```", read, re.DOTALL)
    assert first == second
    assert str(one.folder.parent) not in read.replace(one.data, "")
    for name in ("model.onnx", "inputs.json"):
        (tmp_path / name).symlink_to(one.folder / name)
    (tmp_path / "snippet.py").write_text(first, encoding="utf8")
    ended = subprocess.run(
        [sys.executable, "-c", _ALONE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    if kind == "image":
        pixels = torch.zeros(1, 3, 32, 32)
        preprocess = one.model.source.preprocess
        black = (pixels - torch.tensor(preprocess.mean)[:, None, None]) / torch.tensor(
            preprocess.std
        )[:, None, None]
        best = int(one.model.module(black).argmax())
        names = json.loads((one.folder / "inputs.json").read_text("utf8"))["class_names"]
        assert len(names) == CLASSES
        assert ended.stdout.strip() == str([names[best]] * 2)
    else:
        texts = json.loads(re.search(r"texts = (\[\[.*?\]\]) ", read)[1])
        assert len({len(text) for text in texts}) == 2
        for text in texts:
            for _ in range(3):
                logits = one.model.module(input_ids=torch.tensor([text])).logits
                text.append(int(logits[0, -1].argmax()))
        assert json.loads(ended.stdout) == texts


def test_losses_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, ids = (
        torch.randn(600, 50, generator=generator),
        torch.randint(50, (600,), generator=generator),
    )
    wanted = torch.nn.functional.cross_entropy(logits[:-1].double(), ids[1:], reduction="none")
    assert token_losses(logits.numpy(), ids.numpy()) == pytest.approx(wanted.numpy(), rel=1e-12)


def test_large_weights_lie_beside_the_file(
    image: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "MOST_INSIDE", 1000)
    report = export_model(
        image.model, tmp_path / "out", ExportFormat.ONNX, data=image.data, limit=4
    )
    sizes = {file.name: file.bytes for file in report.files}
    assert sizes["model.onnx.data"] > 100_000
    assert sizes["model.onnx"] + sizes["model.onnx.data"] == pytest.approx(
        {file.name: file.bytes for file in image.report.files}["model.onnx"], rel=0.2
    )


def _scale(file: Path, factor: float) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(file)
    largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    changed = numpy_helper.from_array(
        (numpy_helper.to_array(largest) * factor).astype(np.float32), largest.name
    )
    largest.CopyFrom(changed)
    onnx.save(model, file)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: _scale(file, 1.5), "its outputs differ by"),
        (lambda file: _scale(file, float("nan")), "differ by inf"),
        (lambda file: file.write_bytes(file.read_bytes()[:5000]), "onnxruntime cannot run"),
    ],
)
def test_a_file_that_is_not_the_model_is_not_kept(
    image: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any, reason: str
) -> None:
    def damaged(module: Any, items: Any, file: Path, name: str) -> int:
        file.write_bytes((image.folder / "model.onnx").read_bytes())
        damage(file)
        return 20

    monkeypatch.setattr(onnx, "write_onnx", damaged)
    with pytest.raises(OutputError, match=reason):
        export_model(image.model, tmp_path / "out", ExportFormat.ONNX, data=image.data, limit=4)
    assert list(tmp_path.iterdir()) == []


def test_perplexity_and_predictions_are_judged_too(
    text: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = open_items(text.model, text.data, 4, SEQLEN)
    best = torch.zeros(4, 8, dtype=torch.int64)
    losses = torch.ones(4, 7, dtype=torch.float64)
    one = comparing.Answers((torch.ones(1, 2, 3),), best, losses)
    two = comparing.Answers((torch.ones(1, 2, 3),), best + 1, losses * 1.01)
    found = comparing._compared(one, two, None, items, {})
    assert (found.max_difference, found.same) == (0.0, 0.0)
    with pytest.raises(OutputError, match="32 of 32 predictions differ; its perplexity"):
        comparing._judge(found, 4, 32, "m", "r")
    same = comparing._compared(one, one, None, items, {})
    comparing._judge(same, 4, 32, "m", "r")
    assert same.quality == pytest.approx(np.e)


def test_outputs_of_another_shape_are_not_compared() -> None:
    one = comparing.Answers((torch.ones(3, 4),), torch.zeros(3))
    two = comparing.Answers((torch.ones(1, 4),), torch.zeros(3))
    with pytest.raises(OutputError, match=r"shape \(1, 4\), and the model \(3, 4\)"):
        comparing._check_shapes(one, two, "m")
    comparing._check_shapes(one, one, "m")


def test_a_model_that_cannot_be_traced_is_refused_in_words(image: Exported, tmp_path: Path) -> None:
    class Moody(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(1)[:, :CLASSES]
            return flat if float(flat.sum()) > 0 else flat * self.weight

    loaded = LoadedModel(Moody(), image.model.adapter, image.model.source, torch.float32)
    with pytest.raises(OutputError, match="cannot be written as ONNX"):
        export_model(loaded, tmp_path / "out", ExportFormat.ONNX, data=image.data, limit=4)
    assert list(tmp_path.iterdir()) == []


def test_settings_and_places_are_checked_first(image: Exported, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="limit"):
        export_model(image.model, tmp_path / "out", ExportFormat.ONNX, data=image.data, limit=3)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        export_model(image.model, tmp_path / "taken", ExportFormat.ONNX, data=image.data)
    with pytest.raises(DataError, match="nowhere"):
        export_model(image.model, tmp_path / "out", ExportFormat.ONNX, data="images:/nowhere")


@pytest.fixture
def traced_before(image: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare tracing the model of `image` again: the file is there."""

    def copied(module: Any, items: Any, file: Path, name: str) -> int:
        file.write_bytes((image.folder / "model.onnx").read_bytes())
        return 20

    monkeypatch.setattr(onnx, "write_onnx", copied)


@pytest.mark.usefixtures("traced_before")
def test_a_stop_ends_the_process_that_reads_it_back(image: Exported, tmp_path: Path) -> None:
    def stop(event: Any) -> None:
        if "onnxruntime" in event.detail:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(
            image.model,
            tmp_path / "out",
            ExportFormat.ONNX,
            data=image.data,
            limit=4,
            progress=stop,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traced_before")
def test_the_command_writes_and_reports(
    image: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runner(capsys)
    small = image.folder.parent / "small"
    common = ("export", small, "--data", image.data, "--limit", 4, "--out", tmp_path / "out")
    found = main(*common, "--format", "onnx", "--json").payload
    assert found["format"] == "onnx"
    assert found["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert found["count"] == 4
    assert "not empty" in main(*common, "--format", "onnx").reason
    refused = main(*common, "--format", "onyx")
    assert refused.code == 2
    assert "unknown format 'onyx'. Did you mean 'onnx'? Choose from: hf, onnx" in refused.reason
