from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.checks.observed import load_items, observe
from osscar_core.checks.paired import PairedLabels, PairedText
from osscar_core.checks.properties import image_properties, text_properties
from osscar_core.checks.records import Light, ShiftReport
from osscar_core.checks.shift import check_shift, extra_loss
from osscar_core.errors import DataError, SpecError
from osscar_core.models import LoadedModel
from osscar_core.networks import cifar_resnet
from osscar_core.records import ImagePreprocess, SourceInfo, from_json, to_json

SIDE = 8
CLASSES = 4


class Quadrants(nn.Module):
    """Names the brightest of the four quarters of a picture, which the data shows."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, CLASSES)
        with torch.no_grad():
            self.linear.weight.copy_(4 * torch.eye(4))
            self.linear.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(nn.functional.avg_pool2d(x.mean(1, keepdim=True), SIDE // 2).flatten(1))


class WrongInTheDark(nn.Module):
    """The same, but its answers are wrong for pictures below a brightness."""

    def __init__(self, below: float) -> None:
        super().__init__()
        self.whole = Quadrants()
        self.linear = self.whole.linear
        self.below = below

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.whole(x)
        dark = x.mean(dim=(1, 2, 3)) < self.below
        return torch.where(dark[:, None], logits.roll(1, dims=1), logits)


def model(module: nn.Module | None = None, name: str = "tiny") -> LoadedModel:
    source = SourceInfo(
        name,
        "cifar-resnet",
        "image",
        "random",
        preprocess=ImagePreprocess((0.5,) * 3, (0.25,) * 3, size=SIDE),
        classes=CLASSES,
    )
    adapter = find_adapter(cifar_resnet(20))
    return LoadedModel((module or Quadrants()).eval(), adapter, source, torch.float32)


def pictures(path: Path, seed: int, count: int = 120, darker: int = 0, contrast: int = 60) -> str:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    pixels = rng.normal(110, 15, (count, 1, 1, 1)) + rng.normal(0, 25, (count, SIDE, SIDE, 3))
    half = SIDE // 2
    for one, label in zip(pixels, labels, strict=True):
        row, column = divmod(int(label), 2)
        one[row * half : (row + 1) * half, column * half : (column + 1) * half] += contrast
    encoded = []
    for one in (pixels - darker).clip(0, 255).astype(np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, format="PNG")
        encoded.append(buffer.getvalue())
    pq.write_table(pa.table({"image": encoded, "label": labels.tolist()}), path)
    return f"images:{path}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("shift")
    return {
        "old": pictures(folder / "old.parquet", 0),
        "same": pictures(folder / "same.parquet", 1),
        "dark": pictures(folder / "dark.parquet", 2, darker=50),
    }


def test_alike_data_is_green(data: dict[str, str]) -> None:
    found = check_shift(model(), data["old"], data["same"])
    assert found.light is Light.GREEN
    assert not found.is_alarm
    assert found.p_value > 0.05
    assert found.extra is None
    assert all(shift.light is Light.GREEN for shift in found.attributes)
    assert found.warnings == ()


def test_shifted_data_raises_the_alarm_and_is_told_in_words(data: dict[str, str]) -> None:
    found = check_shift(model(), data["old"], data["dark"])
    assert found.is_alarm
    assert found.light is Light.RED
    assert found.p_value == 0.001
    assert found.attributes[0].name == "brightness"
    assert found.attributes[0].light is Light.RED
    by_name = {shift.name: shift for shift in found.attributes}
    assert by_name["class"].light is Light.GREEN
    assert "seed 0" in found.protocol
    assert from_json(ShiftReport, to_json(found)) == found


def test_a_pruned_model_that_loses_more_in_the_dark_is_found(data: dict[str, str]) -> None:
    below = (85 - 127.5) / 63.75  # mean brightness of old pictures is 125, of dark ones 75
    found = check_shift(
        model(), data["old"], data["dark"], pruned=model(WrongInTheDark(below))
    ).extra
    assert found is not None
    assert found.is_found
    assert found.reference_loss == pytest.approx(0, abs=0.03)
    assert found.extra > 0.3
    assert found.extra == pytest.approx(found.new_loss - found.reference_loss)
    assert found.low < found.extra < found.high
    assert found.dense_new == pytest.approx(found.pruned_new + found.new_loss)


def test_a_pruned_model_that_is_the_same_loses_nothing_more(data: dict[str, str]) -> None:
    found = check_shift(model(), data["old"], data["dark"], pruned=model()).extra
    assert found is not None
    assert (found.extra, found.is_found) == (0.0, False)
    assert found.low < 0 < found.high


def test_items_in_both_sets_are_left_out(data: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are the same items"):
        check_shift(model(), data["old"], data["old"])
    mixed = f"mix:1*{data['old']}+1*{data['dark']}"
    found = check_shift(model(), data["old"], mixed, limit=100, pruned=model())
    assert "50 items stand in both sets and are left out of the reference" in found.warnings
    assert "of 50 and 100 items" in found.protocol


def test_unseen_classes_and_few_items_are_warned_of(data: dict[str, str]) -> None:
    found = check_shift(
        model(),
        f"mix:{data['old']}[class=0,class=1]",
        f"mix:{data['same']}[class=1,class=2]",
        limit=20,
    )
    assert "class unseen in the reference: 2" in found.warnings
    assert any("too few to rely on" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alarm_rate": 0.0}, "alarm_rate is 0"),
        ({"alarm_rate": 0.9}, "alarm_rate is 0.9"),
        ({"limit": 1}, "limit is 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_are_checked(data: dict[str, str], settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        check_shift(model(), data["old"], data["same"], **settings)


def test_data_and_models_of_another_kind_are_refused(data: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="reads images"):
        check_shift(model(), "demo:plant-log", data["same"])
    other = model()
    other.source = dataclasses.replace(other.source, classes=3)
    with pytest.raises(SpecError, match="differ in their classes"):
        check_shift(model(), data["old"], data["same"], pruned=other)


def text_model() -> LoadedModel:
    module = families.FAMILIES["opt"]().model
    source = SourceInfo("tiny-opt", find_adapter(module).family, "text", "random")
    adapter = find_adapter(module)
    return LoadedModel(module, adapter, source, torch.float32, families.byte_tokenizer())


def logs(path: Path, seed: int, words: str, count: int = 40) -> str:
    rng = np.random.default_rng(seed)
    rows = [{"text": " ".join(rng.choice(words.split(), 12)), "site": "a"} for _ in range(count)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    return f"text:{path}"


def test_text_is_compared_by_document(tmp_path: Path) -> None:
    plain, loud = "pump valve leaks holds the seal", "PUMP 17 VALVE 20 LEAKS 35"
    old = logs(tmp_path / "old.jsonl", 0, plain)
    same = check_shift(text_model(), old, logs(tmp_path / "same.jsonl", 1, plain))
    other = check_shift(
        text_model(), old, logs(tmp_path / "loud.jsonl", 2, loud), pruned=text_model()
    )
    assert same.light is Light.GREEN
    assert other.is_alarm
    assert {"capitals", "digits"} <= {s.name for s in other.attributes if s.light is Light.RED}
    assert other.extra is not None
    assert other.extra.metric == "perplexity"
    assert (other.extra.extra, other.extra.is_found) == (0.0, False)


def test_extra_loss_covers_the_truth() -> None:
    truth, covered = 0.06, 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sets = []
        for count, lost, gained in ((400, 0.05, 0.02), (200, 0.12, 0.03)):
            kind = rng.choice(3, count, p=[lost, gained, 1 - lost - gained])
            sets.append(PairedLabels(kind != 1, kind != 0, seed))
        found = extra_loss(*sets)
        covered += found.low <= truth <= found.high
    assert covered >= 89  # 95 expected


def test_extra_loss_of_text_is_a_difference_of_relative_rises() -> None:
    tokens = np.full(50, 20.0)
    rng = np.random.default_rng(0)
    dense = rng.uniform(20, 40, 50)
    old = PairedText(dense, dense + 20 * rng.normal(0.02, 0.01, 50), tokens)
    new = PairedText(dense, dense + 20 * rng.normal(0.10, 0.01, 50), tokens)
    found = extra_loss(old, new)
    assert found.extra == pytest.approx(np.exp(0.10) - np.exp(0.02), abs=0.01)
    assert found.is_found


def test_features_are_the_last_layers_input(data: dict[str, str]) -> None:
    loaded = model()
    items = load_items(loaded, data["old"], limit=10, split="evaluation")
    seen, answers = observe(loaded, items)
    pixels = torch.cat([batch for batch, _ in items.batches(10)])
    expected = nn.functional.avg_pool2d(pixels.mean(1, keepdim=True), SIDE // 2).flatten(1)
    np.testing.assert_allclose(seen.features, expected.numpy(), rtol=1e-5)
    assert answers.is_right.mean() == 1
    assert len(set(seen.keys)) == 10
    assert set(seen.rows[0]) == {
        "class",
        "predicted class",
        "brightness",
        "contrast",
        "sharpness",
        "noise",
    }


def test_properties_of_pictures_mean_what_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.full((1, 3, 32, 32), 0.4)
    noisy = flat + 0.1 * torch.randn((1, 1, 32, 32), generator=generator)
    slope = flat + torch.linspace(-0.2, 0.2, 32).view(1, 1, 1, 32)
    found = image_properties(torch.cat([flat, noisy, slope]))
    np.testing.assert_allclose(found["brightness"], [0.4, 0.4, 0.4], atol=0.01)
    assert found["noise"].tolist() == pytest.approx([0, 0.1, 0], abs=0.01)
    assert found["contrast"][0] == pytest.approx(0, abs=1e-6)
    assert found["contrast"][2] == pytest.approx(0.119, abs=0.002)
    assert found["sharpness"][1] > 10 * found["sharpness"][2]


def test_properties_of_texts_mean_what_they_say() -> None:
    found = text_properties("AB 12 é\ufffd")
    assert found["length"] == 8
    assert found["digits"] == 2 / 8
    assert found["capitals"] == 2 / 3
    assert found["beyond ASCII"] == 2 / 8
    assert found["unreadable"] == 1 / 8
    assert text_properties("")["capitals"] == 0
