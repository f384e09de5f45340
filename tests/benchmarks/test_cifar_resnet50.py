"""The training of the benchmarks' image model, on a handful of pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks import cifar_resnet50
from benchmarks.cifar_resnet50 import CLASSES, MODEL, SIDE, main, read_pictures
from osscar_core.datasets import load_images
from osscar_core.models import load_model


def _jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifar")
    for part, first in (("train", 0), ("test", 100)):
        images = [_jpeg(first + n) for n in range(12)]
        labels = [n % CLASSES for n in range(12)]
        pq.write_table(pa.table({"image": images, "label": labels}), folder / f"{part}.parquet")
    return folder


def test_pictures_are_what_the_evaluation_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar_resnet50, "CHUNK", 5)
    preprocess = load_model(MODEL, weights="random", image_size=SIDE).source.preprocess
    assert preprocess is not None
    spec = f"images:{folder / 'train.parquet'}"
    pictures = read_pictures(None, spec, preprocess, limit=11)
    assert pictures.pixels.shape == (11, SIDE, SIDE, 3)
    assert pictures.labels.tolist() == [*range(10), 0]
    ((expected, _),) = load_images(spec, preprocess, limit=11).batches(11)
    mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
    found = ((pictures.pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_script_trains_writes_and_measures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "resnet50.safetensors"
    options = "--epochs 2 --batch-size 4 --images 8 --eval-images 10 --rate 0.01 --device cpu"
    main(["train", "--data", str(folder), "--out", str(out), *options.split()])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["epochs"], said["images"]) == (2, 10)
    assert 0 <= said["top1"] <= 1
    state = load_file(out)
    assert state["fc.weight"].shape == (CLASSES, 2048)
    assert state["fc.weight"].dtype == torch.float16
    assert int(state["bn1.num_batches_tracked"]) == 4
    loaded = load_model(MODEL, weights=str(out), image_size=SIDE)
    assert (loaded.source.classes, loaded.adapter.family) == (CLASSES, "resnet")
