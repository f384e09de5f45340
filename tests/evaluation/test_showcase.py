"""Two models on the same input: what is said of them is what they say."""

from __future__ import annotations

import base64
import copy
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

from osscar_core.errors import Cancelled, SpecError
from osscar_core.evaluation import make_showcase, showcase
from osscar_core.evaluation.perplexity import token_losses
from osscar_core.models import LoadedModel
from osscar_core.progress import ProgressEvent
from osscar_core.records import from_json, to_json
from osscar_core.showcase import THUMBNAIL_CHARACTERS, Fate, Showcase

MakeImages = Callable[[int], LoadedModel]
MakeText = Callable[[str], LoadedModel]
COUNT, CLASSES = 60, 4


def noisy(loaded: LoadedModel, scale: float) -> LoadedModel:
    """Return a copy whose weights differ a little, as if pruned."""
    other = copy.copy(loaded)
    other.module = copy.deepcopy(loaded.module)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in other.module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * parameter.std() * noise if parameter.numel() > 1 else 0)
    return other


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[str, torch.Tensor, list[int]]:
    """Write random pictures; return their specification, the networks' input and the labels."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, COUNT).tolist()
    rows = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, format="PNG")
        rows.append(buffer.getvalue())
    pq.write_table(pa.table({"image": rows, "label": labels}), tmp_path / "a.parquet")
    inputs = (torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    return f"images:{tmp_path / 'a.parquet'}", inputs, labels


@pytest.fixture
def text(tmp_path: Path) -> str:
    rng = np.random.default_rng(1)
    words = np.array(["the pump", "a valve", "leaks.", "holds.\n", "motor", "seal"])
    file = tmp_path / "text.txt"
    file.write_text(" ".join(rng.choice(words, size=900)), encoding="utf8")
    return f"text:{file}"


class TestPictures:
    def test_the_answers_are_those_of_the_models(self, image_model: MakeImages, pictures) -> None:
        spec, inputs, labels = pictures
        dense = image_model(CLASSES)
        pruned = noisy(dense, 0.7)
        made = make_showcase(dense, pruned, spec, items=20)
        shares = [m.module(inputs).softmax(1) for m in (dense, pruned)]
        assert made.task == "image"
        assert made.seen == COUNT
        for picture in made.pictures:
            at = picture.position
            assert picture.label == labels[at]
            for answers, share in zip((picture.dense, picture.pruned), shares, strict=True):
                best = share[at].topk(3)
                assert [guess.label for guess in answers] == best.indices.tolist()
                found = [guess.probability for guess in answers]
                assert found == pytest.approx(best.values.tolist(), rel=1e-4)

    def test_every_fate_that_occurs_is_counted_and_shown(
        self, image_model: MakeImages, pictures
    ) -> None:
        spec, inputs, labels = pictures
        dense = image_model(CLASSES)
        pruned = noisy(dense, 0.7)
        first, second = (m.module(inputs).argmax(1).tolist() for m in (dense, pruned))
        fates = [Fate.of(*each) for each in zip(labels, first, second, strict=True)]
        made = make_showcase(dense, pruned, spec)
        assert made.fates == {kind.value: fates.count(kind) for kind in Fate}
        assert sum(made.fates.values()) == made.seen
        assert {picture.fate for picture in made.pictures} == set(fates) == set(Fate)
        assert len(made.pictures) == 6
        assert [p.fate for p in made.pictures][:2] == [Fate.LOST, Fate.LOST]
        assert from_json(Showcase, to_json(made)) == made

    def test_identical_models_agree_everywhere(self, image_model: MakeImages, pictures) -> None:
        dense = image_model(CLASSES)
        made = make_showcase(dense, dense, pictures[0])
        assert {picture.fate for picture in made.pictures} == {Fate.WRONG, Fate.RIGHT}
        assert made.fates["lost"] == made.fates["gained"] == made.fates["moved"] == 0

    def test_the_picture_is_what_the_network_reads(self, image_model: MakeImages, pictures) -> None:
        spec, inputs, _ = pictures
        dense = image_model(CLASSES)
        first = make_showcase(dense, dense, spec).pictures[0]
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.image))), dtype=float)
        read = ((inputs[first.position] * 0.25 + 0.5) * 255).permute(1, 2, 0).numpy()
        assert first.media == "image/png"
        assert shown == pytest.approx(read, abs=0.01)

    def test_a_large_picture_is_stored_small(self, image_model: MakeImages, tmp_path: Path) -> None:
        dense = image_model(CLASSES)
        wide = dataclasses.replace(dense.source.preprocess, size=224)
        dense.source = dataclasses.replace(dense.source, preprocess=wide)
        dense.module.linear = torch.nn.Linear(4 * 224 * 224, CLASSES)
        rng = np.random.default_rng(0)
        for label in range(CLASSES):
            (tmp_path / f"c{label}").mkdir()
            noise = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / f"c{label}" / "a.png")
        made = make_showcase(dense, dense, f"images:{tmp_path}")
        for picture in made.pictures:
            assert len(picture.image) <= THUMBNAIL_CHARACTERS
            assert Image.open(io.BytesIO(base64.b64decode(picture.image))).size == (96, 96)

    def test_slow_models_answer_fewer_pictures(
        self, image_model: MakeImages, pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(showcase, "_PATIENCE_SECONDS", -1.0)
        monkeypatch.setattr(showcase, "_PICTURES_AT_ONCE", 16)
        dense = image_model(CLASSES)
        made = make_showcase(dense, dense, pictures[0])
        assert made.seen == 16 == sum(made.fates.values())

    def test_another_seed_looks_at_other_pictures(
        self, image_model: MakeImages, pictures, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(showcase, "_PICTURES", 20)
        dense = image_model(CLASSES)
        first, other, again = (
            make_showcase(dense, dense, pictures[0], seed=seed) for seed in (0, 1, 1)
        )
        assert first.seen == other.seen == 20
        assert other == again
        assert first.pictures != other.pictures


class TestText:
    @pytest.mark.parametrize("family", ["opt", "llama"])
    def test_the_continuation_is_what_the_library_generates(
        self, text_model: MakeText, text: str, family: str
    ) -> None:
        dense = text_model(family)
        made = make_showcase(dense, noisy(dense, 0.3), text, items=3)
        assert len(made.passages) == 3
        for passage in made.passages:
            ids = torch.tensor([dense.tokenizer(passage.prompt)["input_ids"]])
            answer = dense.module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=21, do_sample=False
            )[0, ids.shape[1] :]
            words = dense.tokenizer.decode(answer, skip_special_tokens=True)
            assert passage.dense.text == words

    def test_the_first_difference_is_marked(self, text_model: MakeText, text: str) -> None:
        dense = text_model("opt")
        same = make_showcase(dense, dense, text)
        assert all(passage.differs_at is None for passage in same.passages)
        parted = make_showcase(dense, noisy(dense, 0.5), text)
        assert any(passage.differs_at is not None for passage in parted.passages)
        for passage in parted.passages:
            at = passage.differs_at
            if at is not None:
                assert passage.dense.text[:at] == passage.pruned.text[:at]

    def test_the_perplexity_is_that_of_the_text_itself(
        self, text_model: MakeText, text: str
    ) -> None:
        dense = text_model("llama")
        pruned = noisy(dense, 0.3)
        passage = make_showcase(dense, pruned, text).passages[0]
        ids = torch.tensor([dense.tokenizer(passage.prompt + passage.truth.text)["input_ids"]])
        assert passage.tokens == ids.shape[1] - 1
        for model, found in (
            (dense, passage.dense_perplexity),
            (pruned, passage.pruned_perplexity),
        ):
            assert found == pytest.approx(math.exp(token_losses(model.module, ids).mean()))

    def test_passages_begin_at_a_word_and_come_from_all_of_the_text(
        self, text_model: MakeText, text: str
    ) -> None:
        dense = text_model("opt")
        made = make_showcase(dense, dense, text, seqlen=60)
        assert made.seen == 64
        assert len({passage.prompt for passage in made.passages}) == 6
        for passage in made.passages:
            assert passage.prompt[0] in " tapvlhms"
            assert passage.prompt.split()[0] in "the pump a valve leaks. holds. motor seal"
            assert len(passage.prompt) == 20
            assert passage.differs_at is None
        assert from_json(Showcase, to_json(made)) == made

    def test_a_text_that_ends_is_said_to_end(
        self, text_model: MakeText, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dense = text_model("opt")
        full = make_showcase(dense, dense, text).passages[0]
        assert not full.dense.is_over
        # Let the third token of the answer be the one that ends a text.
        ids = torch.tensor([dense.tokenizer(full.prompt)["input_ids"]])
        mask = torch.ones_like(ids)
        answer = dense.module.generate(ids, attention_mask=mask, max_new_tokens=3, do_sample=False)
        token = int(answer[0, -1])
        ends = copy.deepcopy(dense.tokenizer)
        ends.eos_token = ends.convert_ids_to_tokens(token)
        monkeypatch.setattr(dense, "tokenizer", ends)
        cut = make_showcase(dense, dense, text).passages[0]
        assert cut.dense.is_over
        assert full.dense.text.startswith(cut.dense.text)
        assert len(cut.dense.text) <= 2


def test_it_can_be_cancelled_and_tells_where_it_is(
    text_model: MakeText, image_model: MakeImages, text: str, pictures
) -> None:
    seen: list[ProgressEvent] = []
    model = text_model("opt")
    make_showcase(model, model, text, progress=seen.append)
    assert {event.stage for event in seen} == {"showcase"}
    assert seen[-1].done == seen[-1].total == 42

    def stop(_: ProgressEvent) -> None:
        raise Cancelled

    for loaded, data in ((model, text), (image_model(CLASSES), pictures[0])):
        with pytest.raises(Cancelled):
            make_showcase(loaded, loaded, data, progress=stop)


def test_models_of_different_tasks_are_refused(
    text_model: MakeText, image_model: MakeImages, text: str
) -> None:
    with pytest.raises(SpecError, match="the same task"):
        make_showcase(text_model("opt"), image_model(CLASSES), text)
    with pytest.raises(SpecError, match="items is 0"):
        make_showcase(image_model(CLASSES), image_model(CLASSES), text, items=0)
