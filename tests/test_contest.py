"""Weights of eight bits, and files against each other: what is written and measured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from families import FAMILIES, halve_
from osscar_core.errors import OutputError, SpecError
from osscar_core.evaluation import evaluate
from osscar_core.export import race, replay
from osscar_core.export.contest import contest
from osscar_core.export.items import Items, open_items
from osscar_core.export.job import Logits
from osscar_core.export.onnx_graph import write_onnx
from osscar_core.export.onnx_int8 import INT8_FILE, calibration_images, write_int8
from osscar_core.models import LoadedModel

SEQLEN = 24
CPU = "CPUExecutionProvider"
TIMED = {"image": [("batch", 1), ("batch", 16)], "text": [("prefill", SEQLEN), ("decode", SEQLEN)]}


@dataclass(frozen=True)
class Pair:
    """A file, the same with weights of eight bits, and what they were made from."""

    files: dict[str, Path]
    items: Items
    model: LoadedModel
    data: str


def made(name: str, folder: Path) -> Pair:
    """Halve a model of a family, write it, and write it with weights of eight bits."""
    family = FAMILIES[name]()
    seqlen = family.seqlen and SEQLEN
    model = family.loaded(folder)
    halve_(model.module)
    data = family.calibration_spec(folder)
    items = open_items(model, data, 8, seqlen)
    files = {"dense": folder / "model.onnx", "int8": folder / INT8_FILE}
    write_onnx(Logits(model.module, is_text=bool(seqlen)), items, files["dense"], "m")
    write_int8(files["dense"], files["int8"], None if seqlen else calibration_images(model, data))
    return Pair(files, items, model, data)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made("resnet-basic", tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return made("llama-bias", tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Text of a model whose feed-forward layers multiply no two branches."""
    return made("opt-no-bias", tmp_path_factory.mktemp("plain"))


@pytest.fixture(params=["image", "text"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def networks(pair: Pair) -> Iterator[replay.Network]:
    return (replay.Network(str(file), 1, CPU) for file in pair.files.values())


@pytest.mark.parametrize(
    ("kind", "product"), [("image", "Conv"), ("text", "MatMulNBits"), ("plain", "MatMulInteger")]
)
def test_eight_bits_are_smaller_and_nearly_the_same(
    kind: str, product: str, request: pytest.FixtureRequest
) -> None:
    import onnx

    pair: Pair = request.getfixturevalue(kind)
    one, two = (network.answer(pair.items.compared()[2].numpy()) for network in networks(pair))
    apart = np.abs(one - two).max() / np.abs(one).max()
    assert 1e-6 < apart < 0.1
    folder = pair.files["int8"].parent
    graph = onnx.load(pair.files["int8"]).graph
    assert product in {node.op_type for node in graph.node}
    floats = [one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    # Scales and biases only: not the embeddings or the head that shares them.
    assert max(int(np.prod(one.dims)) for one in floats) <= 2 * 260
    assert not list(folder.glob(".int8.*"))
    assert (logging.getLogger().level, logging.root.manager.disable) == (logging.WARNING, 0)


def test_a_contest_says_size_quality_and_speed_of_every_file(pair: Pair) -> None:
    is_text = pair.items.ids is not None
    found = contest(pair.files, pair.items, seconds=0.0)
    assert [one.name for one in found.contenders] == ["dense", "int8"]
    assert [one.bytes for one in found.contenders] == [
        file.stat().st_size for file in pair.files.values()
    ]
    options = {"seqlen": SEQLEN} if is_text else {}
    judged = evaluate(pair.model, pair.data, limit=8, **options)
    first, second = found.contenders
    assert (found.metric, found.count) == (judged.metric, 8)
    assert first.quality == pytest.approx(judged.value, rel=1e-4)
    assert second.quality == pytest.approx(judged.value, rel=0.1, abs=0.13)  # one of 8 images
    for one in found.contenders:
        timed = [(timing.work, timing.size) for timing in one.timings]
        assert timed == TIMED["text" if is_text else "image"]
        for timing in one.timings:
            assert timing.latency.repeats == 10
            assert 0 < timing.latency.minimum <= timing.latency.median <= timing.latency.p95
            assert timing.interval[0] <= timing.interval[1]
    assert {timing.speedup for timing in first.timings} == {1.0}
    for one, two in zip(first.timings, second.timings, strict=True):
        assert two.speedup == pytest.approx(one.latency.median / two.latency.median)
    assert {"device", "threads", "onnxruntime"} <= set(found.conditions)


def test_a_further_token_is_timed_with_as_many_before(text: Pair) -> None:
    network = next(networks(text))
    items = text.items.ids.numpy()
    given = race.works(network.session, items, (20,))
    read, decoded = given["prefill-20"], given["decode-20"]
    assert (read["input_ids"] == items[:1, :20]).all()
    assert decoded["input_ids"].shape == (1, 1)
    assert decoded["attention_mask"].shape == (1, 21)
    for name, shape in network.caches:
        assert read[name].shape == (1, shape[1], 0, shape[3])
        assert decoded[name].shape == (1, shape[1], 20, shape[3])


def test_what_cannot_be_run_is_said(image: Pair, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no files"):
        contest({}, image.items)
    with pytest.raises(SpecError, match="no NoSuchProvider here"):
        contest(image.files, image.items, provider="NoSuchProvider")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(image.files["dense"].read_bytes()[:1000])
    with pytest.raises(OutputError, match="onnxruntime cannot run the exported broken"):
        contest({"broken": broken}, image.items)
    with pytest.raises(OutputError, match=r"broken\.onnx cannot be written with weights of eight"):
        write_int8(broken, tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.onnx"]


def test_a_stop_of_a_contest_is_heard(image: Pair) -> None:
    def stop(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contest(image.files, image.items, progress=stop)


def test_a_tied_head_continues_prompts_with_eight_bits(text: Pair) -> None:
    assert text.items.prompts is not None
    ids, mask = (np.array(each) for each in text.items.prompts.padded())
    one, two = (network.write(ids, mask, 1)[1] for network in networks(text))
    assert np.abs(one - two).max() < 0.1 * np.abs(one).max()
