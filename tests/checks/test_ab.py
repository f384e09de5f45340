"""Two models on the same items, end to end with tiny models: answers, flips, verdicts."""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from command import Main, runner
from families import FAMILIES, IMAGE_SIZE
from osscar_core.checks import ab
from osscar_core.checks.ab import check_ab
from osscar_core.checks.export import changes_csv, safe_cell
from osscar_core.checks.outcomes import image_outcomes, text_outcomes
from osscar_core.checks.records import ABReport, Conclusion
from osscar_core.datasets.documents import load_documents
from osscar_core.datasets.images import load_images
from osscar_core.errors import Cancelled, DataError, NumericalError, SpecError
from osscar_core.evaluation.perplexity import token_losses
from osscar_core.models import LoadedModel
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import prune
from osscar_core.records import Method, from_json, to_json

PICTURES, DOCUMENTS = 120, 60


def noisy(loaded: LoadedModel, scale: float) -> LoadedModel:
    """Return a copy whose weights differ, as if badly pruned."""
    other = copy.copy(loaded)
    other.module = copy.deepcopy(loaded.module)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in other.module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * parameter.abs().mean() * noise)
    return other


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return FAMILIES["resnet-basic"]().loaded(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return FAMILIES["opt"]().loaded(tmp_path_factory.mktemp("writer"))


@pytest.fixture(scope="module")
def pictures(classifier: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random pictures that the dense model names right in nine of ten cases."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (PICTURES, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    inputs = (torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    with torch.inference_mode():
        labels = classifier.module(inputs).argmax(1).numpy()
    labels[::10] = (labels[::10] + 1) % 10
    rows = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, format="PNG")
        rows.append(buffer.getvalue())
    file = tmp_path_factory.mktemp("pictures") / "a.parquet"
    pq.write_table(pa.table({"image": rows, "label": labels.tolist()}), file)
    return f"images:{file}"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Documents of 1 to 150 tokens of one byte each, from two lines."""
    rng = np.random.default_rng(1)
    words = np.array(["pump", "valve", "leaks", "holds", "the", "a", "seal", "motor."])
    rows = [
        {"text": " ".join(rng.choice(words, size=rng.integers(3, 25))), "line": "AB"[number % 2]}
        for number in range(DOCUMENTS - 1)
    ]
    rows.append({"text": "x", "line": "A"})
    file = tmp_path_factory.mktemp("texts") / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    return f"text:{file}"


def report_of(dense: LoadedModel, pruned: LoadedModel, data: str, **settings: Any) -> ABReport:
    return check_ab(dense, pruned, data, **{"margin": 0.05, **settings})


class TestPictures:
    def test_outcomes_are_the_model_s(self, classifier: LoadedModel, pictures: str) -> None:
        images = load_images(pictures, classifier.source.preprocess, limit=9)
        pixels, labels = next(images.batches(9))
        with torch.inference_mode():
            shares, classes = classifier.module(pixels).softmax(1).max(1)
        found = image_outcomes(classifier, images, batch_size=4)
        assert found.predicted.tolist() == classes.tolist()
        assert found.shares == pytest.approx(shares.numpy(), abs=1e-5)
        assert found.is_right.tolist() == (classes == labels).tolist()
        assert found.features is None

    def test_features_feed_the_last_layer(self, classifier: LoadedModel, pictures: str) -> None:
        images = load_images(pictures, classifier.source.preprocess, limit=9)
        found = image_outcomes(classifier, images, batch_size=4, with_features=True)
        with torch.inference_mode():
            logits = classifier.module.fc(torch.tensor(found.features))
        assert found.features.shape == (9, classifier.module.fc.in_features)
        assert logits.argmax(1).tolist() == found.predicted.tolist()
        assert not classifier.module.fc._forward_pre_hooks

    def test_identical_models_do_not_differ(self, classifier: LoadedModel, pictures: str) -> None:
        report = report_of(classifier, classifier, pictures)
        assert not report.is_different
        assert (report.lost, report.gained, report.overall.p_value) == (0, 0, 1.0)
        assert report.overall.conclusion is Conclusion.CONFIRMED
        assert report.overall.dense == report.overall.pruned == pytest.approx(0.9)
        assert report.flips == ()

    def test_without_enough_items_nothing_is_confirmed(
        self, classifier: LoadedModel, pictures: str
    ) -> None:
        report = report_of(classifier, classifier, pictures, margin=0.01)
        assert report.overall.conclusion is Conclusion.NOT_PROVEN
        # Without a flip the interval ends at z^2 / (n + z^2), which has to come down to 1%.
        assert report.overall.needed == math.ceil(1.96**2 * 99 - 1e-2) - PICTURES
        assert report_of(classifier, classifier, pictures, limit=20).overall.conclusion is None

    def test_damage_is_found_and_shown(self, classifier: LoadedModel, pictures: str) -> None:
        damaged = noisy(classifier, 0.8)
        report = report_of(classifier, damaged, pictures)
        assert report.is_different
        assert report.overall.conclusion is Conclusion.LOSS_FOUND
        assert report.overall.loss == pytest.approx((report.lost - report.gained) / PICTURES)
        assert len(report.flips) == report.lost + report.gained
        images = load_images(pictures, classifier.source.preprocess)
        before, after = (image_outcomes(model, images) for model in (classifier, damaged))
        for flip in report.flips:
            assert before.is_right[flip.position] == flip.is_lost
            assert after.is_right[flip.position] != flip.is_lost
            assert flip.truth == str(int(images.labels[flip.position]))
            assert flip.dense == str(before.predicted[flip.position])
            assert flip.pruned_share == pytest.approx(after.shares[flip.position])
            assert flip.name.startswith(f"row {flip.position} of")
        assert from_json(ABReport, to_json(report)) == report

    def test_counts_are_of_all_though_few_are_kept(
        self, classifier: LoadedModel, pictures: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ab, "FLIPS_KEPT", 2)
        report = report_of(classifier, noisy(classifier, 0.8), pictures)
        assert report.lost > 2
        assert sum(flip.is_lost for flip in report.flips) == 2

    def test_classes_are_slices(self, classifier: LoadedModel, pictures: str) -> None:
        report = report_of(classifier, noisy(classifier, 0.8), pictures, columns=("class",))
        labels = load_images(pictures, classifier.source.preprocess).labels.tolist()
        assert {one.value: one.count for one in report.slices} == {
            str(label): labels.count(label) for label in set(labels)
        }
        losses = [one.loss for one in report.slices if not one.is_small]
        assert losses == sorted(losses, reverse=True)

    def test_progress_covers_both_models_and_stops(
        self, classifier: LoadedModel, pictures: str
    ) -> None:
        events: list[ProgressEvent] = []
        report_of(classifier, classifier, pictures, batch_size=40, progress=events.append)
        assert [event.done for event in events] == [40, 80, 120, 160, 200, 240]
        assert {event.total for event in events} == {240}

        def stop(_event: ProgressEvent) -> None:
            raise Cancelled

        with pytest.raises(Cancelled):
            report_of(classifier, classifier, pictures, progress=stop)

    def test_broken_outputs_are_told(self, classifier: LoadedModel, pictures: str) -> None:
        broken = noisy(classifier, 0.0)
        broken.module.fc.weight.data.fill_(math.nan)
        with pytest.raises(NumericalError, match="not finite on images 0"):
            report_of(classifier, broken, pictures)


class TestText:
    def test_every_token_but_the_first_is_predicted_once(
        self, writer: LoadedModel, texts: str
    ) -> None:
        documents = load_documents(texts)
        found = text_outcomes(writer, documents, context=20)
        ids = [writer.tokenizer(text)["input_ids"] for text in documents.texts]
        assert found.tokens.tolist() == [len(tokens) - 1 for tokens in ids]
        assert found.cut == sum(len(tokens) > 20 for tokens in ids)
        long = max(range(len(ids)), key=lambda place: len(ids[place]))
        with torch.inference_mode():
            expected = sum(
                float(token_losses(writer.module, torch.tensor([ids[long][at : at + 20]])).sum())
                for at in range(0, len(ids[long]) - 1, 19)
            )
        assert found.sums[long] == pytest.approx(expected, rel=1e-5)

    def test_batches_do_not_change_the_result(self, writer: LoadedModel, texts: str) -> None:
        documents = load_documents(texts, limit=12)
        one, many = (text_outcomes(writer, documents, batch_size=size) for size in (1, 5))
        assert one.sums == pytest.approx(many.sums, rel=1e-5)
        assert one.digest == many.digest

    def test_features_are_the_mean_state(self, writer: LoadedModel, texts: str) -> None:
        documents = load_documents(texts, limit=6)
        found = text_outcomes(writer, documents, context=64, with_features=True)
        place = int(np.argmin(found.tokens))
        ids = torch.tensor([writer.tokenizer(documents.texts[place])["input_ids"]])
        assert ids.shape[1] <= 64
        with torch.inference_mode():
            output = writer.module(input_ids=ids, output_hidden_states=True)
        expected = output.hidden_states[-1][0].mean(0).numpy()
        assert found.features[place] == pytest.approx(expected, abs=1e-5)

    def test_identical_models_do_not_differ(self, writer: LoadedModel, texts: str) -> None:
        report = report_of(writer, writer, texts)
        assert not report.is_different
        assert (report.lost, report.gained) == (0, 0)
        assert report.overall.conclusion is Conclusion.CONFIRMED
        assert report.drifts == ()
        assert report.overall.count == report.data.count == DOCUMENTS - 1
        assert "1 documents of one token left out" in report.data.notes
        assert any("longer than 64 tokens" in note for note in report.data.notes)

    def test_damage_is_found_and_shown(self, writer: LoadedModel, texts: str) -> None:
        damaged = noisy(writer, 0.6)
        report = report_of(writer, damaged, texts)
        assert report.is_different
        assert report.overall.conclusion is Conclusion.LOSS_FOUND
        overall = report.overall
        assert overall.loss == pytest.approx(overall.pruned / overall.dense - 1)
        assert {one.name for one in report.slices} == {"line=A", "line=B"}
        assert report.lost + report.gained == DOCUMENTS - 1
        worst = report.drifts[0]
        assert worst.is_lost
        rises = [drift.pruned - drift.dense for drift in report.drifts if drift.is_lost]
        assert rises == sorted(rises, reverse=True)
        documents = load_documents(texts)
        sums = text_outcomes(damaged, documents).sums
        assert worst.pruned == pytest.approx(sums[worst.position] / worst.tokens)
        assert documents.texts[worst.position].startswith(worst.beginning.rstrip("…"))
        assert from_json(ABReport, to_json(report)) == report

    def test_other_tokens_are_refused(self, writer: LoadedModel, texts: str) -> None:
        other = copy.copy(writer)
        other.tokenizer = lambda text, **_: {"input_ids": [*writer.tokenizer(text)["input_ids"], 5]}
        with pytest.raises(DataError, match="cut the text into different tokens"):
            report_of(writer, other, texts)


def test_models_that_cannot_be_compared(
    classifier: LoadedModel, writer: LoadedModel, pictures: str
) -> None:
    with pytest.raises(SpecError, match="Compare two models of the same task"):
        report_of(classifier, writer, pictures)
    other = copy.copy(classifier)
    other.source = dataclasses.replace(classifier.source, classes=7)
    with pytest.raises(SpecError, match=r"knows 10 classes and .* 7"):
        report_of(classifier, other, pictures)


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"margin": 1.5}, "margin"), ({"level": 1.0}, "level"), ({"columns": ("hue",)}, "hue")],
)
def test_settings_are_checked(
    classifier: LoadedModel, pictures: str, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        report_of(classifier, classifier, pictures, **settings)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("@cmd", "'@cmd"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("-0.5", "-0.5"),
        ("-inf", "'-inf"),
        ("row 3", "row 3"),
        (0.25, "0.25"),
    ],
)
def test_no_cell_runs_as_a_formula(value: str | float, cell: str) -> None:
    assert safe_cell(value) == cell


def test_names_from_the_data_are_made_safe(writer: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    rows = [{"text": "=HYPERLINK(1) pump", "=line": "@A"}, {"text": "valve leaks", "=line": "@B"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
    report = report_of(writer, noisy(writer, 0.6), f"text:{file}")
    header, *cells = csv.reader(io.StringIO(changes_csv(report)))
    assert header[-1] == "attribute: =line"
    assert len(cells) == 2
    assert {row[-1] for row in cells} == {"'@A", "'@B"}
    assert {row[-2] for row in cells} == {"'=HYPERLINK(1) pump", "valve leaks"}


class TestCommandLine:
    @pytest.fixture
    def main(self, capsys: pytest.CaptureFixture[str]) -> Main:
        return runner(capsys)

    @pytest.fixture
    def pruned(self, tmp_path: Path) -> tuple[Any, Path]:
        family = FAMILIES["resnet-basic"]()
        request = family.request(tmp_path, method=Method.RANDOM, sparsity=0.8)
        prune(request, out=tmp_path / "small")
        return request, tmp_path / "small"

    def test_report_as_json_text_and_csv(
        self, main: Main, pruned: tuple[Any, Path], pictures: str, tmp_path: Path
    ) -> None:
        request, small = pruned
        command = ("check", "ab", request.model, small, "--weights", request.weights)
        options = ("--data", pictures, "--margin", "0.01", "--device", "cpu")
        file = tmp_path / "flips.csv"
        result = main(*command, *options, "--slices", "class", "--json")
        assert result.payload["metric"] == "top1"
        assert result.payload["overall"]["conclusion"] == "loss-found"
        assert {one["column"] for one in result.payload["slices"]} == {"class"}
        shown = main(*command, *options, "--flips", file)
        assert shown.code == 0, shown.err
        assert shown.out.startswith("A loss was found")
        assert "loss found" in shown.out
        assert f"{file}: " in shown.out
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
        assert len(rows) == result.payload["lost"] + result.payload["gained"]
        lost = sum(row["change"] == "lost" for row in rows)
        assert lost == result.payload["lost"] > 0

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (("--margin", "2"), "the margin is 2.0"),
            (("--margin", "0.01", "--limit", "0"), "limit is 0"),
            (("--margin", "0.01", "--data", "images:/nowhere"), "does not exist"),
            (("--margin", "0.01", "--flips", "/nowhere/a.csv"), "no file can be written"),
            ((), "--margin"),
        ],
    )
    def test_mistakes_are_one_line(self, main: Main, options: tuple[str, ...], told: str) -> None:
        result = main("check", "ab", "demo/opt", "small", "--data", "demo:plant-log", *options)
        assert result.code == 2
        assert told in result.reason
