from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from osscar_core.datasets import ImageSet, load_images
from osscar_core.errors import DataError, SpecError
from osscar_core.records import ImagePreprocess

PREPROCESS = ImagePreprocess((0.5, 0.4, 0.3), (0.2, 0.25, 0.5), size=8)


def picture(seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def write_parquet(path: Path, images: list[Any], labels: Any, **settings: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels}), path, **settings)
    return f"images:{path}"


@pytest.fixture
def parquet(tmp_path: Path) -> str:
    """Twenty images of four classes, in three row groups."""
    images = [encoded(picture(n)) for n in range(20)]
    return write_parquet(
        tmp_path / "a.parquet", images, [n % 4 for n in range(20)], row_group_size=7
    )


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = tmp_path / "val"
    for n in range(12):
        path = root / f"n0{n % 3}" / f"{n}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(n), "JPEG"))
    (root / "n00" / "readme.md").write_text("not an image", encoding="utf8")
    (root / ".cache").mkdir()
    return root


def pixels_of(images: ImageSet, size: int = 6) -> torch.Tensor:
    return torch.cat([pixels for pixels, _ in images.batches(size)])


def normalised(image: Image.Image, preprocess: ImagePreprocess = PREPROCESS) -> torch.Tensor:
    values = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    values = (values - np.array(preprocess.mean)) / np.array(preprocess.std)
    return torch.tensor(values, dtype=torch.float32).permute(2, 0, 1)


def test_parquet_rows_in_order(parquet: str) -> None:
    images = load_images(parquet, PREPROCESS, classes=4)
    expected = torch.stack([normalised(picture(n)) for n in range(20)])
    batches = list(images.batches(6))
    assert [len(labels) for _, labels in batches] == [6, 6, 6, 2]
    torch.testing.assert_close(torch.cat([p for p, _ in batches]), expected)
    assert torch.equal(torch.cat([y for _, y in batches]), torch.arange(20) % 4)
    assert torch.equal(images.labels, torch.arange(20) % 4)
    assert len(images) == images.info.count == images.info.available == 20
    assert images.info.kind == "image"
    assert images.info.notes == ()
    assert images.info.preprocess == PREPROCESS.describe()
    assert batches[0][0].dtype == torch.float32


def test_digest_covers_bytes_and_labels(parquet: str) -> None:
    digest = hashlib.sha256()
    for n in range(3):
        raw = encoded(picture(n))
        digest.update(struct.pack("<qq", len(raw), n % 4) + raw)
    assert load_images(parquet, PREPROCESS, limit=3).info.digest == digest.hexdigest()
    assert load_images(parquet, PREPROCESS, limit=4).info.digest != digest.hexdigest()


def test_batches_can_be_read_again_and_left_early(parquet: str) -> None:
    images = load_images(parquet, PREPROCESS)
    first, _ = next(iter(images.batches(4)))
    assert torch.equal(pixels_of(images)[:4], first)


def test_pixels_of_one_image(parquet: str) -> None:
    images = load_images(parquet, PREPROCESS, limit=6, seed=3)
    first = images.pixels(0)
    assert (first.dtype, first.shape) == (torch.uint8, (3, 8, 8))
    mean, std = (torch.tensor(v)[:, None, None] for v in (PREPROCESS.mean, PREPROCESS.std))
    one = torch.stack([(images.pixels(n) / 255 - mean) / std for n in range(6)])
    assert torch.allclose(one, pixels_of(images), atol=1e-6)


def test_a_limit_is_a_prefix(parquet: str) -> None:
    images = load_images(parquet, PREPROCESS, limit=9)
    torch.testing.assert_close(
        pixels_of(images), torch.stack([normalised(picture(n)) for n in range(9)])
    )
    assert (images.info.count, images.info.available) == (9, 20)
    assert len(load_images(parquet, PREPROCESS, limit=99)) == 20


def test_exactly_refuses_fewer(parquet: str) -> None:
    with pytest.raises(DataError, match=r"has 20 images, 99 were asked for.*--samples 20"):
        load_images(parquet, PREPROCESS, limit=99, exactly=True)
    assert len(load_images(parquet, PREPROCESS, limit=20, exactly=True)) == 20


def test_other_seeds_draw_without_replacement(parquet: str) -> None:
    every = pixels_of(load_images(parquet, PREPROCESS))
    drawn = load_images(parquet, PREPROCESS, limit=8, seed=2)
    found = [next(i for i, e in enumerate(every) if torch.equal(e, d)) for d in pixels_of(drawn)]
    assert found == sorted(set(found))
    assert found != list(range(8))
    assert drawn.labels.tolist() == [i % 4 for i in found]
    assert load_images(parquet, PREPROCESS, limit=8, seed=2).info.digest == drawn.info.digest


def test_hub_layout_with_structs_and_shards(tmp_path: Path) -> None:
    for shard in range(2):
        rows = [{"bytes": encoded(picture(2 * shard + n)), "path": None} for n in range(2)]
        write_parquet(tmp_path / "data" / f"test-0000{shard}-of-00002.parquet", rows, [0, 1])
    rows = [{"bytes": encoded(picture(9)), "path": "x.png"}]
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows, [1])
    test = load_images(f"images:{tmp_path}", PREPROCESS)
    torch.testing.assert_close(
        pixels_of(test), torch.stack([normalised(picture(n)) for n in range(4)])
    )
    train = load_images(f"images:{tmp_path}", PREPROCESS, split="calibration")
    assert len(train) == 1
    assert train.info.notes == ("rows of train-00000-of-00001.parquet",)


def test_class_folders_in_hashed_order(folders: Path) -> None:
    images = load_images(f"images:{folders}", PREPROCESS, classes=3)
    names = [f"n0{n % 3}/{n}.JPEG" for n in range(12)]
    names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert images.labels.tolist() == [int(name[2]) for name in names]
    expected = torch.stack([normalised(Image.open(folders / name)) for name in names])
    torch.testing.assert_close(pixels_of(images), expected)
    assert images.info.notes == ()


def test_folder_with_parts(folders: Path) -> None:
    direct = load_images(f"images:{folders}", PREPROCESS)
    (folders.parent / "train" / "n00").mkdir(parents=True)
    (folders.parent / "train" / "n00" / "0.png").write_bytes(encoded(picture(0)))
    assert load_images(f"images:{folders.parent}", PREPROCESS).info.digest == direct.info.digest
    train = load_images(f"images:{folders.parent}", PREPROCESS, split="calibration")
    assert len(train) == 1


def test_fewer_folders_than_classes(folders: Path) -> None:
    with pytest.raises(DataError, match="3 class folders, the model knows 5"):
        load_images(f"images:{folders}", PREPROCESS, classes=5)
    for_calibration = load_images(f"images:{folders}", PREPROCESS, classes=5, split="calibration")
    assert for_calibration.info.warnings == ("the images cover 3 of 5 classes",)
    for name in ("n03", "n04"):
        (folders / name).mkdir()
    assert len(load_images(f"images:{folders}", PREPROCESS, classes=5)) == 12


def test_coverage_is_noted(parquet: str) -> None:
    assert (
        "the images cover 2 of 4 classes"
        in load_images(parquet, PREPROCESS, limit=2, classes=4).info.warnings
    )


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
    else:
        image = picture(0).convert(mode)
    spec = write_parquet(tmp_path / "a.parquet", [encoded(image)], [0])
    torch.testing.assert_close(
        pixels_of(load_images(spec, PREPROCESS))[0], normalised(image.convert("RGB"))
    )


def test_resizing_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.transforms import v2

    large = picture(1, (50, 33))
    spec = write_parquet(tmp_path / "a.parquet", [encoded(large)], [0])
    steps = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    steps.append(v2.Normalize(PREPROCESS.mean, PREPROCESS.std))
    squeezed = v2.Compose([v2.Resize((8, 8), antialias=True), *steps])(large)
    torch.testing.assert_close(pixels_of(load_images(spec, PREPROCESS))[0], squeezed)
    cropping = ImagePreprocess(PREPROCESS.mean, PREPROCESS.std, size=8, resize=12)
    cropped = v2.Compose([v2.Resize(12, antialias=True), v2.CenterCrop(8), *steps])(large)
    torch.testing.assert_close(pixels_of(load_images(spec, cropping))[0], cropped)
    assert not torch.equal(squeezed, cropped)


def test_imagenet_preprocessing_is_torchvisions_preset(tmp_path: Path) -> None:
    from torchvision.transforms._presets import ImageClassification

    photo = picture(2, (300, 270))
    spec = write_parquet(tmp_path / "a.parquet", [encoded(photo)], [0])
    preset = ImageClassification(crop_size=224, resize_size=256)
    preprocess = ImagePreprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=224, resize=256)
    torch.testing.assert_close(pixels_of(load_images(spec, preprocess))[0], preset(photo))


# --- failures ---------------------------------------------------------------------------


def test_unreadable_image_names_the_row(tmp_path: Path) -> None:
    good = encoded(picture(0))
    for broken in (b"not an image", good[:60], b""):
        spec = write_parquet(tmp_path / "a.parquet", [good, good, broken], [0, 0, 0])
        with pytest.raises(DataError, match=r"row 2 of '.*a.parquet' is not a readable image"):
            pixels_of(load_images(spec, PREPROCESS))


def test_row_number_counts_within_its_file(tmp_path: Path) -> None:
    good = encoded(picture(0))
    write_parquet(tmp_path / "0.parquet", [good, good], [0, 0])
    write_parquet(tmp_path / "1.parquet", [good, b"broken"], [0, 0], row_group_size=1)
    with pytest.raises(DataError, match=r"row 1 of '.*1.parquet'"):
        pixels_of(load_images(f"images:{tmp_path}", PREPROCESS))


def test_unreadable_image_names_the_file(folders: Path) -> None:
    (folders / "n01" / "1.JPEG").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"n01/1.JPEG' is not a readable image"):
        pixels_of(load_images(f"images:{folders}", PREPROCESS))


def test_null_and_foreign_values(tmp_path: Path) -> None:
    good = encoded(picture(0))
    spec = write_parquet(tmp_path / "a.parquet", [good, None], [0, 0])
    with pytest.raises(DataError, match=r"row 1 of .* holds no encoded image"):
        load_images(spec, PREPROCESS)
    spec = write_parquet(tmp_path / "b.parquet", ["a.png"], [0])
    with pytest.raises(DataError, match=r"row 0 of .* holds no encoded image"):
        load_images(spec, PREPROCESS)


def test_fewer_labels_than_images(tmp_path: Path) -> None:
    good = encoded(picture(0))
    spec = write_parquet(tmp_path / "a.parquet", [good] * 3, pa.array([0, None, 1]))
    with pytest.raises(DataError, match=r"row 1 of .* has no label"):
        load_images(spec, PREPROCESS)
    assert len(load_images(spec, PREPROCESS, limit=1)) == 1


def test_labels_outside_the_classes(tmp_path: Path) -> None:
    good = encoded(picture(0))
    spec = write_parquet(tmp_path / "a.parquet", [good] * 3, [0, 9, 10])
    with pytest.raises(DataError) as caught:
        load_images(spec, PREPROCESS, classes=10)
    assert "row 2 of" in str(caught.value)
    assert "label 10" in str(caught.value)
    assert "in [0, 10)" in str(caught.value)
    assert len(load_images(spec, PREPROCESS)) == 3
    spec = write_parquet(tmp_path / "a.parquet", [good], [-1])
    with pytest.raises(DataError, match=r"label -1.*at least 0"):
        load_images(spec, PREPROCESS)


def test_labels_that_are_no_numbers(tmp_path: Path) -> None:
    spec = write_parquet(tmp_path / "a.parquet", [b"x"], ["cat"])
    with pytest.raises(DataError, match=r"column 'label' of .* holds string, not integers"):
        load_images(spec, PREPROCESS)


def test_files_that_vanish_are_told(folders: Path, parquet: str) -> None:
    images = load_images(f"images:{folders}", PREPROCESS)
    (folders / "n02" / "2.JPEG").unlink()
    with pytest.raises(DataError, match=r"n02/2.JPEG' cannot be read"):
        pixels_of(images)
    rows = load_images(parquet, PREPROCESS, limit=1)
    Path(parquet.removeprefix("images:")).write_bytes(b"damaged since")
    assert len(pixels_of(rows)) == 1  # its row group is still held in memory
    again = load_images(write_parquet(folders / "b.parquet", [b"x"], [0]), PREPROCESS)
    again._source.read.__self__._loaded.clear()  # type: ignore[attr-defined]
    (folders / "b.parquet").unlink()
    with pytest.raises(DataError, match=r"b.parquet' cannot be read"):
        pixels_of(again)


def test_missing_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"picture": [b"x"], "class": [0]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no column 'image', only picture, class"):
        load_images(f"images:{tmp_path / 'a.parquet'}", PREPROCESS)
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no column 'label', only image"):
        load_images(f"images:{tmp_path / 'a.parquet'}", PREPROCESS)


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write_parquet(tmp_path / "a.parquet", [encoded(picture(0, (40, 40)))], [0])
    for limit in (1599, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with (
            pytest.warns(Image.DecompressionBombWarning) if limit == 1599 else _nothing(),
            pytest.raises(DataError, match=r"row 0 of .* too large to be decoded safely"),
        ):
            pixels_of(load_images(spec, PREPROCESS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1600)
    assert pixels_of(load_images(spec, PREPROCESS)).shape == (1, 3, 8, 8)


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_places_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_images(f"images:{tmp_path / 'none'}", PREPROCESS)
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(DataError, match="one file that is not parquet"):
        load_images(f"images:{tmp_path / 'a.zip'}", PREPROCESS)
    (tmp_path / "loose.png").write_bytes(encoded(picture(0)))
    with pytest.raises(DataError, match="one subfolder per class"):
        load_images(f"images:{tmp_path}", PREPROCESS)
    (tmp_path / "a.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"a.parquet' cannot be read"):
        load_images(f"images:{tmp_path / 'a.parquet'}", PREPROCESS)
    spec = write_parquet(
        tmp_path / "b.parquet", pa.array([], pa.binary()), pa.array([], pa.int64())
    )
    with pytest.raises(DataError, match="holds no images"):
        load_images(spec, PREPROCESS)


@pytest.mark.parametrize("spec", ["text:a.txt", "demo:python-docs", "hf:wikitext2"])
def test_text_is_refused(spec: str) -> None:
    with pytest.raises(SpecError, match="is text, and the model reads images"):
        load_images(spec, PREPROCESS)


def test_settings_are_checked(parquet: str) -> None:
    with pytest.raises(SpecError, match="limit is 0"):
        load_images(parquet, PREPROCESS, limit=0)
    with pytest.raises(SpecError, match="seed is -1"):
        load_images(parquet, PREPROCESS, seed=-1)
    with pytest.raises(SpecError, match="batch size is 0"):
        next(load_images(parquet, PREPROCESS).batches(0))


# --- CIFAR-10 as published ----------------------------------------------------------------


class Payload:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write a small data set in CIFAR-10's own format and make its checksums official."""
    from torchvision.datasets import CIFAR10

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (6, 3072), dtype=np.uint8)

    def write(name: str, content: Any) -> list[str]:
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return [name, hashlib.md5(raw).hexdigest()]  # noqa: S324

    first = write("data_batch_1", {"data": rows[:4], "labels": [3, 1, 4, 1]})
    test = write("test_batch", {"data": rows[4:], "labels": [5, 9]})
    meta = write("batches.meta", {"label_names": [str(n) for n in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", [first])
    monkeypatch.setattr(CIFAR10, "test_list", [test])
    monkeypatch.setattr(
        CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]}
    )
    return rows


def test_cifar_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write_cifar(tmp_path, monkeypatch)
    preprocess = ImagePreprocess((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), size=32)
    expected = torch.tensor(rows).view(6, 3, 32, 32) / 255
    test = load_images(f"images:{tmp_path}", preprocess, classes=10)
    torch.testing.assert_close(pixels_of(test), expected[4:])
    assert test.labels.tolist() == [5, 9]
    train = load_images(
        f"images:{tmp_path / 'cifar-10-batches-py'}", preprocess, split="calibration"
    )
    torch.testing.assert_close(pixels_of(train), expected[:4])
    assert train.info.notes[0] == "part 'train' of CIFAR-10"


def test_changed_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    trap = tmp_path / "opened"
    folder = tmp_path / "cifar-10-batches-py"
    for name in ("test_batch", "batches.meta"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(pickle.dumps(Payload(trap)))
        with pytest.raises(DataError, match="not the original CIFAR-10"):
            load_images(f"images:{tmp_path}", PREPROCESS)
        (folder / name).write_bytes(original)
    assert not trap.exists()


# --- hub and real data --------------------------------------------------------------------


def test_images_from_a_hub_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)}
    )
    made = datasets.Dataset.from_dict(
        {"img": [picture(n) for n in range(3)], "label": [7, 8, 9]}, features=features
    )
    (tmp_path / "set" / "data").mkdir(parents=True)
    made.to_parquet(tmp_path / "set" / "data" / "test-00000-of-00001.parquet")
    images = load_images(f"hf:{tmp_path / 'set'}", PREPROCESS, classes=10)
    assert images.labels.tolist() == [7, 8, 9]
    torch.testing.assert_close(
        pixels_of(images), torch.stack([normalised(picture(n)) for n in range(3)])
    )


def test_hub_rows_that_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    (tmp_path / "a.png").write_bytes(encoded(picture(5)))
    values = [
        {"bytes": None, "path": str(tmp_path / "a.png")},
        {"bytes": None, "path": str(tmp_path / "gone.png")},
        None,
    ]
    made = datasets.Dataset.from_dict(
        {"image": values, "label": [0, 1, 2]},
        features=datasets.Features(
            {"image": datasets.Image(decode=False), "label": datasets.Value("int64")}
        ),
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"test": made})
    images = load_images("hf:some/set", PREPROCESS, limit=1)
    torch.testing.assert_close(pixels_of(images)[0], normalised(picture(5)))
    with pytest.raises(DataError, match=r"gone.png' cannot be read"):
        load_images("hf:some/set", PREPROCESS, limit=2)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"test": made.select([2])})
    with pytest.raises(DataError, match="row 0 of 'some/set' holds no image"):
        load_images("hf:some/set", PREPROCESS)


def test_offline_images_are_told() -> None:
    with pytest.raises(DataError, match=r"'uoft-cs/cifar10' .* offline .* images:PATH"):
        load_images("hf:cifar10", PREPROCESS)


def test_real_cifar_images(shared_data: Path) -> None:
    preprocess = ImagePreprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=32)
    images = load_images(
        f"images:{shared_data / 'vision' / 'cifar10' / 'test.parquet'}",
        preprocess,
        limit=64,
        classes=10,
    )
    (pixels, labels), *rest = images.batches(64)
    assert not rest
    assert pixels.shape == (64, 3, 32, 32)
    assert labels[:10].tolist() == [9, 3, 7, 0, 9, *labels[5:10].tolist()]
    assert len(labels.unique()) == 10
    assert images.info.available == 10_000
    whole = load_images(
        f"images:{shared_data / 'vision' / 'cifar10'}", preprocess, limit=5, split="calibration"
    )
    assert whole.info.available == 50_000
