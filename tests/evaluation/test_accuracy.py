from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from osscar_core.errors import DataError, NumericalError, SpecError
from osscar_core.evaluation import evaluate
from osscar_core.evaluation.accuracy import class_logits, wilson_interval
from osscar_core.models import LoadedModel, load_model
from osscar_core.progress import ProgressEvent

MakeModel = Callable[[int], LoadedModel]
COUNT = 50


def write(path: Path, classes: int, count: int = COUNT) -> tuple[str, torch.Tensor, torch.Tensor]:
    """Write random images; return the specification, the network's inputs and the labels."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    labels = rng.integers(0, classes, count)
    rows = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, format="PNG")
        rows.append(buffer.getvalue())
    pq.write_table(pa.table({"image": rows, "label": labels}), path / "a.parquet")
    inputs = (torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    return f"images:{path / 'a.parquet'}", inputs, torch.tensor(labels)


@pytest.mark.parametrize("classes", [4, 10, 20])
def test_against_a_computation_by_hand(
    image_model: MakeModel, tmp_path: Path, classes: int
) -> None:
    loaded = image_model(classes)
    spec, inputs, labels = write(tmp_path, classes)
    logits = loaded.module(inputs)
    order = logits.argsort(dim=1, descending=True)
    top1 = [int(order[i, 0] == labels[i]) for i in range(COUNT)]
    top5 = [int(labels[i] in order[i, :5]) for i in range(COUNT)]
    report = evaluate(loaded, spec, batch_size=7)
    assert report.metric == "top1"
    assert report.value == sum(top1) / COUNT
    assert report.top5 == (sum(top5) / COUNT if classes >= 10 else None)
    assert report.count == COUNT
    assert report.loss == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5
    )
    assert report.interval == wilson_interval(sum(top1), COUNT)
    if classes >= 10:
        assert 0 < sum(top1) < sum(top5) < COUNT


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [
        # R: prop.test(hits, count, correct = FALSE)$conf.int
        (15, 20, (0.5312995, 0.8881389)),
        (0, 10, (0.0, 0.2775328)),
        (10, 10, (0.7224672, 1.0)),
        (1, 2, (0.0945312, 0.9054688)),
    ],
)
def test_wilson_interval(hits: int, count: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(hits, count) == pytest.approx(expected, abs=2e-6)


def test_limit_protocol_and_progress(image_model: MakeModel, tmp_path: Path) -> None:
    spec, _, _ = write(tmp_path, 10)
    events: list[ProgressEvent] = []
    report = evaluate(image_model(10), spec, limit=20, batch_size=8, progress=events.append)
    assert report.count == report.data.count == 20
    assert [event.done for event in events] == [8, 16, 20]
    for part in ("20 of 50 images, 10 classes", "mean (0.5, 0.5, 0.5)", spec, "a.parquet"):
        assert part in report.protocol
    assert report.data.digest[:12] in report.protocol


def test_wrapped_logits() -> None:
    class Output:
        logits = torch.ones(2, 3, dtype=torch.float16)

    assert class_logits(Output()).dtype == torch.float32


def test_outputs_that_are_not_finite(image_model: MakeModel, tmp_path: Path) -> None:
    spec, _, _ = write(tmp_path, 10)
    loaded = image_model(10)
    loaded.module.get_parameter("linear.bias").data[3] = math.inf
    with pytest.raises(NumericalError, match="not finite on images 0 to 49"):
        evaluate(loaded, spec)


def test_labels_of_another_task(image_model: MakeModel, tmp_path: Path) -> None:
    spec, _, _ = write(tmp_path, 10)
    with pytest.raises(DataError, match=r"outside the model's classes.*in \[0, 4\)"):
        evaluate(image_model(4), spec)


@pytest.mark.parametrize("data", ["text:a.txt", "demo:python-docs"])
def test_text_is_refused(image_model: MakeModel, data: str) -> None:
    with pytest.raises(SpecError, match=f"tiny-image reads images, and '{data}' is text"):
        evaluate(image_model(4), data)


def test_settings_of_text_are_refused(image_model: MakeModel, tmp_path: Path) -> None:
    spec, _, _ = write(tmp_path, 4)
    for setting in ("seqlen", "stride"):
        with pytest.raises(SpecError, match=f"{setting} is set, and tiny-image reads images"):
            evaluate(image_model(4), spec, **{setting: 8})
    with pytest.raises(SpecError, match="batch_size is 0"):
        evaluate(image_model(4), spec, batch_size=0)


def test_a_model_without_preprocessing(image_model: MakeModel, tmp_path: Path) -> None:
    spec, _, _ = write(tmp_path, 4)
    loaded = image_model(4)
    bare = dataclasses.replace(loaded, source=dataclasses.replace(loaded.source, preprocess=None))
    with pytest.raises(SpecError, match="does not say how its images are prepared"):
        evaluate(bare, spec)


def test_real_weights_on_real_images(shared_data: Path) -> None:
    folder = shared_data / "vision" / "cifar10"
    loaded = load_model("cifar/resnet20", weights=str(folder / "weights" / "resnet20.safetensors"))
    report = evaluate(loaded, f"images:{folder / 'test.parquet'}", limit=500)
    assert report.value == pytest.approx(0.812, abs=0.01)
    assert report.top5 is not None
    assert report.top5 > 0.95
    assert report.interval[0] < 0.8103 < report.interval[1]  # all 10,000 images
