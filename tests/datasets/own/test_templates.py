"""Templates name their columns so that an import knows them; the samples just work."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest

from osscar_core.datasets.factory import CLASSES, FactoryPictures
from osscar_core.datasets.image_sources import open_images
from osscar_core.datasets.own import (
    Mapping,
    OwnDataError,
    import_own,
    own_documents,
    preview,
    sample_own,
    template,
)
from osscar_core.datasets.own.limits import LIMITS
from osscar_core.datasets.own.mapping import guess_mapping
from osscar_core.datasets.own.tables import read_table
from osscar_core.datasets.own.templates import Language
from osscar_core.datasets.plant_log import document
from osscar_core.datasets.spec import DataSpec
from ownfiles import png


@pytest.mark.parametrize("language", ["en", "ja"])
def test_text_template(language: Language, tmp_path: Path) -> None:
    name, data = template("text", None, language)
    assert name.endswith(".csv")
    assert data.startswith(b"\xef\xbb\xbf")
    found = preview(data, name)
    assert found.count == 3
    assert found.mapping.text == found.columns[0]
    with pytest.raises(OwnDataError, match="3 documents"):
        import_own(data, name, task="text", into=tmp_path)
    filled = data + data.partition(b"\n")[2] * 3
    kept = import_own(filled, name, task="text", into=tmp_path)
    assert (kept.count, kept.columns) == (12, (found.columns[1],))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_picture_template_filled_in(language: Language, tmp_path: Path) -> None:
    name, data = template("image", CLASSES, language)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        labels = archive.read("labels.csv")
        readme = archive.read("README.txt").decode("utf-8-sig")
    assert all(one in readme for one in CLASSES)
    assert "50 MB" in readme
    table = read_table(labels, "labels.csv", LIMITS)
    mapping = guess_mapping(table, "image")
    assert (mapping.file, mapping.label) == table.columns[:2]
    with pytest.raises(OwnDataError, match="holds no pictures"):
        import_own(data, name, task="image", class_names=CLASSES, into=tmp_path)
    rows = "".join(f"images/{i:04d}.png,{CLASSES[i % 8]},{'AB'[i % 2]}\n" for i in range(4, 20))
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        for number in range(1, 20):
            archive.writestr(f"images/{number:04d}.png", png(number))
    filled = buffer.getvalue()
    source = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(filled)) as old, zipfile.ZipFile(source, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(
                entry, content + rows.encode() if entry.filename == "labels.csv" else content
            )
    kept = import_own(source.getvalue(), name, task="image", class_names=CLASSES, into=tmp_path)
    assert kept.count == 19
    assert kept.columns == (table.columns[2],)


def test_template_without_names_of_classes() -> None:
    _, data = template("image", None, "en")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("labels.csv").decode("utf-8-sig"))))
        assert "0, 1, 2, ..." in archive.read("README.txt").decode("utf-8-sig")
    assert [row[1] for row in rows[1:]] == ["0", "1", "2"]


def test_sample_pictures_are_those_of_the_demo(tmp_path: Path) -> None:
    name, data = sample_own("image")
    kept = import_own(data, name, task="image", class_names=CLASSES, into=tmp_path)
    assert (kept.count, kept.columns, kept.warnings) == (200, ("line", "tier"), ())
    own = open_images(DataSpec("own", str(tmp_path / kept.id)), "evaluation")
    demo = open_images(DataSpec("demo", "factory"), "evaluation")
    assert own.labels == demo.labels[:200]
    assert own.class_names == demo.class_names
    pictures = FactoryPictures("evaluation")
    for index in (0, 7, 199):
        item = pictures.item(index)
        assert own.open(own.read(index)).tobytes() == pictures.raw(index)
        assert own.attributes is not None
        assert own.attributes(index) == {"line": item.line, "tier": item.tier}
    assert sample_own("image")[1] == data


def test_sample_reports_are_those_of_the_demo(tmp_path: Path) -> None:
    name, data = sample_own("text")
    kept = import_own(data, name, task="text", into=tmp_path)
    assert preview(data, name).mapping == Mapping(text="text", attributes=("plant",))
    texts, _, attributes = own_documents(str(tmp_path / kept.id))
    assert len(texts) == 60
    assert texts[0].splitlines() == document("evaluation", "plant-1", 0).splitlines()
    assert [one["plant"] for one in attributes[:3]] == ["plant-1", "plant-2", "plant-1"]
    assert preview(data, name).personal == ()
