"""Models are measured and pruned on own data, and reports never tell where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import families
from osscar_core.checks.ab import check_ab
from osscar_core.cli.data import reader_of
from osscar_core.datasets import load_images, load_windows
from osscar_core.datasets.documents import load_documents
from osscar_core.datasets.own import Mapping, import_own, own_documents
from osscar_core.errors import DataError, SpecError
from osscar_core.evaluation import evaluate
from osscar_core.pruner import prune
from osscar_core.records import ImagePreprocess, to_json
from ownfiles import class_folders, labelled, packed, png, reports

_TEN = tuple(f"kind {letter}" for letter in "abcdefghij")
_PREPROCESS = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=8)


def _pictures(tmp_path: Path) -> str:
    data = packed(labelled(20, _TEN))
    kept = import_own(data, "line.zip", task="image", class_names=_TEN, into=tmp_path / "own")
    return f"own:{tmp_path / 'own' / kept.id}"


def _texts(tmp_path: Path) -> str:
    kept = import_own(reports(40).encode(), "log.csv", task="text", into=tmp_path / "own")
    return f"own:{tmp_path / 'own' / kept.id}"


def test_windows_of_documents(tokenizer: Any, tmp_path: Path) -> None:
    spec = _texts(tmp_path)
    windows = load_windows(spec, tokenizer, seqlen=16)
    text = own_documents(spec.removeprefix("own:"))[0][0]
    assert tokenizer.decode(windows.ids[0]) == text[:16]
    assert windows.info.spec == "own:log.csv"
    assert "own documents" in windows.info.notes


def test_documents_with_attributes(tmp_path: Path) -> None:
    documents = load_documents(_texts(tmp_path), limit=30)
    assert documents.texts[1] == "Pump 1 leaks, seal replaced."
    assert documents.names[1] == "row 3"
    assert documents.attributes[:2] == ({"plant": "south"}, {"plant": "north"})
    assert (documents.info.spec, documents.info.count) == ("own:log.csv", 30)
    with pytest.raises(SpecError, match=r"'own:line\.zip' is images, and the model reads text"):
        load_documents(_pictures(tmp_path))


def test_a_column_that_measures_is_numbers_and_one_of_codes_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"Pump {i} leaks,{20 + i / 4},{i % 3}\n" for i in range(40))
    file.write_text(f"text,temperature,line\n{rows}", encoding="utf8")
    mapping = Mapping(attributes=("temperature", "line"))
    kept = import_own(file, "a.csv", task="text", mapping=mapping, into=tmp_path / "own")
    attributes = own_documents(str(tmp_path / "own" / kept.id))[2]
    assert attributes[5] == {"temperature": 21.25, "line": "2"}


def test_two_models_are_compared_on_own_pictures(tmp_path: Path) -> None:
    spec = _pictures(tmp_path)
    loaded = families.FAMILIES["resnet-basic"]().loaded(tmp_path)
    report = check_ab(loaded, loaded, spec, margin=0.01)
    assert {one.name for one in report.slices} >= {"line=A", "line=B"}
    assert report.overall.count == 20
    assert spec.removeprefix("own:") not in to_json(report)


def test_pictures_with_labels_and_attributes(tmp_path: Path) -> None:
    spec = _pictures(tmp_path)
    images = load_images(spec, _PREPROCESS, classes=10, class_names=_TEN)
    assert images.labels.tolist() == [i % 10 for i in range(20)]
    assert images.class_names == _TEN
    assert images.attributes()[:2] == ({"line": "A"}, {"line": "B"})
    assert images.info.spec == "own:line.zip"
    assert images.pixels(3).permute(1, 2, 0).numpy().tobytes() == _raw(3)


def _raw(seed: int) -> bytes:
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(png(seed))).tobytes()


def test_a_file_read_on_the_spot_is_read_by_the_models_names(tmp_path: Path) -> None:
    file = tmp_path / "set.zip"
    names = ("scratch", "pit", "good")
    file.write_bytes(packed(class_folders()))
    images = load_images(f"own:{file}", _PREPROCESS, classes=3, class_names=names)
    numbered = load_images(f"own:{file}", _PREPROCESS, classes=3)
    assert numbered.class_names == ("good", "pit", "scratch")
    moved = {0: 2, 1: 1, 2: 0}
    assert [moved[label] for label in numbered.labels.tolist()] == images.labels.tolist()
    with pytest.raises(DataError, match="'pit' is not a class of the model"):
        load_images(f"own:{file}", _PREPROCESS, classes=2, class_names=("good", "scratch"))
    with pytest.raises(DataError, match=r"'own:set\.zip' has 3 classes"):
        load_images(f"own:{file}", _PREPROCESS, classes=4)


@pytest.mark.parametrize("name", ["resnet-basic", "opt"])
def test_models_are_pruned_and_measured(name: str, tmp_path: Path) -> None:
    """The numbers are those of the same items named another way."""
    torch.manual_seed(0)
    is_text = name == "opt"
    spec = _texts(tmp_path) if is_text else _pictures(tmp_path)
    family = families.FAMILIES[name]()
    loaded = family.loaded(tmp_path)
    settings = {"seqlen": 16} if is_text else {}
    measured = evaluate(loaded, spec, **settings)
    assert measured.data.spec == ("own:log.csv" if is_text else "own:line.zip")
    assert spec.removeprefix("own:") not in to_json(measured)
    other = evaluate(loaded, _elsewhere(is_text, tmp_path), **settings)
    assert measured.value == other.value
    assert measured.count == other.count
    request = family.request(tmp_path, calibration=spec, samples=8, seqlen=settings.get("seqlen"))
    report = prune(request, out=tmp_path / "small")
    assert report.parameters.pruned < report.parameters.dense
    assert report.plan.calibration.spec == measured.data.spec
    # The pruned model still says what it reads.
    assert reader_of(str(tmp_path / "small")) == ("text" if is_text else "image", None)


def _elsewhere(is_text: bool, tmp_path: Path) -> str:
    if is_text:
        file = tmp_path / "log.jsonl"
        texts = own_documents(_texts(tmp_path).removeprefix("own:"))[0]
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf8")
        return f"text:{file}"
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "line.parquet"
    table = {"image": [png(i) for i in range(20)], "label": [i % 10 for i in range(20)]}
    pq.write_table(pa.table(table), file)
    return f"images:{file}"


def test_data_of_the_other_kind_is_refused_without_its_path(tmp_path: Path) -> None:
    loaded = families.FAMILIES["resnet-basic"]().loaded(tmp_path)
    with pytest.raises(SpecError, match=r"reads images, and 'own:log\.csv' is text") as caught:
        evaluate(loaded, _texts(tmp_path))
    assert str(tmp_path) not in str(caught.value)
