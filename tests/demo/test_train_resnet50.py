"""The training of the demo's image model, at toy size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from families import NarrowResNet
from osscar_core.datasets.factory import CLASSES, SIDE, TRAINED_LINES, FactoryPictures
from osscar_core.demo import train_resnet50
from osscar_core.demo.train_resnet50 import (
    MEAN,
    STD,
    Recipe,
    choose_difficulty,
    hits,
    main,
    make_pictures,
    slices,
    train,
)
from osscar_core.demo.training import TrainingRecord
from osscar_core.records import from_json

CPU = torch.device("cpu")


def tiny() -> nn.Module:
    from torchvision.models.resnet import BasicBlock

    module = NarrowResNet(BasicBlock, [1, 1, 1, 1])
    module.fc = nn.Linear(module.fc.in_features, len(CLASSES))
    return module


def test_pictures_are_those_of_the_data_set() -> None:
    made = make_pictures(None, "calibration", TRAINED_LINES, 260, 0.8)
    source = FactoryPictures("calibration", difficulty=0.8)
    assert made.pixels.shape == (260, SIDE, SIDE, 3)
    for index in (0, 251, 259):
        assert made.pixels[index].numpy().tobytes() == source.raw(index)
        assert made.items[index] == source.item(index)
    assert made.labels.tolist() == source.labels()[:260]


def test_loss_falls_and_the_task_can_be_learnt() -> None:
    pictures = make_pictures(None, "calibration", TRAINED_LINES, 256, 0.3)
    recipe = Recipe(epochs=12, images=256, batch=32, rate=0.05, smoothing=0.0)
    module, losses = train(pictures, recipe, CPU, tiny)
    assert losses[-1] < 0.75 * losses[0]
    assert not module.training
    correct = hits(module, pictures, CPU)
    assert correct.float().mean() > 2 / len(CLASSES)


def test_pictures_vary_but_stay_pictures() -> None:
    torch.manual_seed(0)
    pixels = make_pictures(None, "calibration", TRAINED_LINES, 8, 1.0).pixels
    mean, std = torch.full((3,), MEAN), torch.full((3,), STD)
    varied = train_resnet50._varied(pixels, Recipe(), mean, std)
    assert varied.shape == (8, 3, SIDE, SIDE)
    assert varied.is_contiguous(memory_format=torch.channels_last)
    plain = (pixels.permute(0, 3, 1, 2) / 255 - MEAN) / STD
    assert not torch.allclose(varied, plain, atol=0.05)
    assert torch.allclose(varied.mean(dim=(2, 3)), plain.mean(dim=(2, 3)), atol=0.45)
    assert varied.abs().max() < 3


def test_variation_follows_the_recipe() -> None:
    torch.manual_seed(0)
    pixels = torch.full((6, 32, 32, 3), 200, dtype=torch.uint8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    plain = ((200 / 255 - mean) / std)[:, None, None]  # (3, 1, 1)
    still = Recipe(shift=0, brightness=0.0)
    assert torch.allclose(
        train_resnet50._varied(pixels, still, mean, std), plain.expand(6, 3, 32, 32)
    )
    holed = train_resnet50._varied(pixels, dataclasses.replace(still, hole=10), mean, std)
    assert (holed == 0).sum(dim=(2, 3)).tolist() == [[100] * 3] * 6
    tinted = train_resnet50._varied(pixels, dataclasses.replace(still, tint=0.1), mean, std)
    change = (tinted * std[:, None, None] + mean[:, None, None])[:, :, 0, 0] * 255 / 200  # (6, 3)
    assert (change - 1).abs().max() <= 0.1 + 1e-5
    assert change.std(dim=1).min() > 1e-3


def test_slices_cover_lines_and_leave_the_shift_out_of_the_rest() -> None:
    pictures = make_pictures(None, "evaluation", ("A", "B", "C"), 240, 1.0)
    correct = torch.tensor([item.line != "C" for item in pictures.items])
    found = slices(pictures, correct)
    assert list(found)[:4] == ["lines A and B", "line A", "line B", "line C"]
    assert found["lines A and B"] == {"top-1": 1.0, "pictures": 160}
    assert found["line C"] == {"top-1": 0.0, "pictures": 80}
    assert {*CLASSES, "on machined", "tier gold", "severity minor"} <= set(found)
    assert "on woven" not in found
    assert sum(found[name]["pictures"] for name in CLASSES) == 160


def test_difficulty_is_interpolated() -> None:
    assert choose_difficulty({0.5: 0.99, 1.0: 0.97, 2.0: 0.93}, 0.95) == 1.4
    assert choose_difficulty({0.5: 0.99, 1.0: 0.97}, 0.95) == 1.0
    assert choose_difficulty({0.5: 0.9, 1.0: 0.8}, 0.95) == 0.5


def test_the_script_scans_trains_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    options = "--auto --scan 0.3,3 --scan-epochs 1 --epochs 2 --images 64 --eval-images 8"
    main(["--out", str(out), *options.split(), "--batch-size", "32", "--shard-mb", "0.01"], tiny)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["scan"] for line in lines[:2]] == [0.3, 3.0]
    assert lines[2]["chosen_difficulty"] in (0.3, 3.0)
    shards = sorted(out.glob("model-*.safetensors"))
    assert len(shards) > 1
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}
    record = from_json(TrainingRecord, (out / "training.json").read_text())
    assert record.difficulty == lines[2]["chosen_difficulty"]
    assert record.recipe["epochs"] == "2"
    card = (out / "README.md").read_text()
    for words in ("line C", "tier gold", "Apache-2.0", "## Limits", "difficulty", "torch version"):
        assert words in card
