"""Where labelled images are stored, brought to one form.

The decision hidden here: storage formats. Whatever the format, a source is a list of
labels and a function that fetches the encoded image of an index; nothing is decoded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from osscar_core.datasets.demo import demo_pictures
from osscar_core.datasets.hub import hub_images
from osscar_core.datasets.mix import CLASS
from osscar_core.datasets.own import own_pictures
from osscar_core.datasets.spec import (
    PART_NAMES,
    DataSpec,
    Split,
    existing_path,
    import_optional,
    pick_part,
)
from osscar_core.errors import DataError, SpecError

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".gif")
_CIFAR_FOLDER = "cifar-10-batches-py"
_CIFAR_SIDE = 32
_GROUPS_KEPT = 2  # row groups in memory: batches at a border need both neighbours


def open_encoded(raw: bytes) -> Image.Image:
    """Return the image in an encoded file; its pixels are not decoded yet."""
    return Image.open(BytesIO(raw))


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Labelled images as stored.

    Attributes:
        labels: One per image; ``None`` where there is none.
        read: Returns the stored bytes of an image; safe to call from several threads.
        name: Returns what to call an image in a message.
        class_folders: Number of class folders, if labels come from folder names.
        class_names: What the class ids mean, where the data says so.
        attributes: Returns what else is known of an image, by name, where anything is.
        open: Turns stored bytes into an image.
        notes: What a reader of a result should know.
        open_at: Instead of `open`, where it depends on the index.
        retouch: Changes an image once it has the network's size, before it is normalised;
            ``None`` to leave all as they are.
        recipe: What `retouch` does, in words; part of the digest.
    """

    labels: list[int | None]
    read: Callable[[int], bytes]
    name: Callable[[int], str]
    class_folders: int | None = None
    class_names: tuple[str, ...] | None = None
    attributes: Callable[[int], dict[str, str | float]] | None = None
    open: Callable[[bytes], Image.Image] = open_encoded
    notes: tuple[str, ...] = ()
    open_at: Callable[[int, bytes], Image.Image] | None = None
    retouch: Callable[[int, Image.Image], Image.Image] | None = None
    recipe: str = ""

    def opened(self, index: int, raw: bytes) -> Image.Image:
        """Return the image whose stored bytes were read."""
        return self.open(raw) if self.open_at is None else self.open_at(index, raw)


def described(source: ImageSource, index: int) -> dict[str, str | float]:
    """Return what is known of an image, with its class by name, or by id where it has none."""
    known = {} if source.attributes is None else source.attributes(index)
    label, names = source.labels[index], source.class_names
    if label is None:
        return known
    return {CLASS: names[label] if names and 0 <= label < len(names) else str(label), **known}


def open_images(
    spec: DataSpec, split: Split, class_names: tuple[str, ...] | None = None
) -> ImageSource:
    """Return the images that ``spec`` names.

    Args:
        spec: ``images:PATH``, ``own:PATH``, ``hf:NAME`` or ``demo:factory``. A path's format is
            recognised: parquet, an unpacked ``cifar-10-batches-py``, or a folder with one
            subfolder per class.
        split: Which part, where the data has parts (``train``, ``test``, ``val``).
        class_names: The model's classes, to read those of own data by.

    Raises:
        SpecError: The specification is of text.
        DataError: Missing, unreadable or of an unknown format.
    """
    if spec.kind == "hf":
        return _hub_source(spec.location, split)
    if spec.kind == "demo":
        return _factory_source(spec.location, split)
    if spec.kind == "own":
        return _own_source(spec.location, class_names)
    if spec.kind != "images":
        raise SpecError(
            f"'{spec}' is text, and the model reads images",
            "Use images:PATH, own:PATH, hf:cifar10 or demo:factory",
        )
    path = existing_path(spec)
    if path.is_file():
        if path.suffix.lower() != ".parquet":
            raise DataError(
                f"'{path}' is one file that is not parquet",
                "Name a .parquet file, or a folder with one subfolder of images per class",
            )
        return _parquet_source((path,))
    if path.name == _CIFAR_FOLDER:
        return _cifar_source(path.parent, split)
    if (path / _CIFAR_FOLDER).is_dir():
        return _cifar_source(path, split)
    files = sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet"))
    if files:
        chosen = _files_of_part(files, split)
        source = _parquet_source(chosen)
        note = f"rows of {', '.join(file.name for file in chosen)}"
        return dataclasses.replace(source, notes=(note,))
    return _folder_source(path, split)


def _factory_source(location: str, split: Split) -> ImageSource:
    from osscar_core.datasets.factory import CLASSES, SIDE

    pictures = demo_pictures(location, split)
    made = f"{split} part of lines {' and '.join(pictures.lines)}"
    return ImageSource(
        labels=list(pictures.labels()),
        read=pictures.raw,
        name=pictures.name,
        class_names=CLASSES,
        attributes=lambda index: pictures.item(index).attributes(),
        open=partial(Image.frombytes, "RGB", (SIDE, SIDE)),
        notes=(f"{made}, difficulty {pictures.difficulty:g}, seed {pictures.seed}",),
    )


def _own_source(location: str, class_names: tuple[str, ...] | None) -> ImageSource:
    own = own_pictures(location, class_names)
    return ImageSource(
        labels=list(own.labels),
        read=own.read,
        name=lambda index: own.names[index],
        class_names=own.class_names,
        attributes=lambda index: dict(own.attributes[index]),
        notes=own.notes,
    )


def _folder_source(path: Path, split: Split) -> ImageSource:
    classes = _subfolders(path)
    if classes and {folder.name for folder in classes} <= PART_NAMES:
        part = pick_part([folder.name for folder in classes], split)
        return _class_folders_source(path / part, (f"part '{part}' of the folder",))
    return _class_folders_source(path, ())


def _class_folders_source(path: Path, notes: tuple[str, ...]) -> ImageSource:
    classes = _subfolders(path)
    found = [
        (file.relative_to(path).as_posix(), label)
        for label, folder in enumerate(classes)
        for file in folder.rglob("*")
        if file.suffix.lower() in _ENDINGS and file.is_file()
    ]
    if not found:
        raise DataError(
            f"the folder '{path}' holds no images in class folders",
            "Put the images into one subfolder per class, or name a .parquet file",
        )
    found.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())

    def read(index: int) -> bytes:
        try:
            return (path / found[index][0]).read_bytes()
        except OSError as error:
            raise _unreadable(path / found[index][0], error) from error

    return ImageSource(
        labels=[label for _, label in found],
        read=read,
        name=lambda index: f"'{path / found[index][0]}'",
        class_folders=len(classes),
        notes=notes,
    )


def _subfolders(path: Path) -> list[Path]:
    folders = (p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(folders, key=lambda p: p.name)


def _files_of_part(files: list[Path], split: Split) -> tuple[Path, ...]:
    """Return the files of one part if all are named after one, as ``train-00000.parquet``."""
    parts = [re.split(r"[-_.]", file.stem, maxsplit=1)[0] for file in files]
    if not set(parts) <= PART_NAMES:
        return tuple(files)
    wanted = pick_part(parts, split)
    return tuple(file for file, part in zip(files, parts, strict=True) if part == wanted)


def _parquet_source(files: tuple[Path, ...]) -> ImageSource:
    pyarrow = import_optional("pyarrow", "reading parquet files")
    parquet = import_optional("pyarrow.parquet", "reading parquet files")
    labels: list[int | None] = []
    groups: list[_RowGroup] = []
    for path in files:
        try:
            with parquet.ParquetFile(path) as file:
                image = _parquet_column(file, ("image", "img"), path)
                label = _parquet_column(file, ("label",), path)
                column = file.read(columns=[label]).column(0)
                if not pyarrow.types.is_integer(column.type):
                    raise DataError(
                        f"column '{label}' of '{path}' holds {column.type}, not integers",
                        "Number the classes from 0",
                    )
                start = len(labels)
                labels.extend(column.to_pylist())
                for number in range(file.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    groups.append(_RowGroup(path, number, image, start, rows))
                    start += rows
        except (OSError, pyarrow.ArrowException) as error:
            raise _unreadable(path, error) from error
    rows = _ParquetRows(groups)
    return ImageSource(labels, rows.read, rows.name)


def _parquet_column(file: Any, wanted: tuple[str, ...], path: Path) -> str:
    columns = file.schema_arrow.names
    for column in wanted:
        if column in columns:
            return column
    raise DataError(
        f"'{path}' has no column '{wanted[0]}', only {', '.join(columns)}",
        "It needs 'image' (encoded bytes) and 'label' (integers)",
    )


@dataclass(frozen=True, slots=True)
class _RowGroup:
    path: Path
    number: int
    column: str
    start: int
    rows: int


class _ParquetRows:
    """Fetches rows by index, holding the last few row groups in memory."""

    def __init__(self, groups: list[_RowGroup]) -> None:
        self._groups = [group for group in groups if group.rows]
        self._loaded: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def name(self, index: int) -> str:
        group = self._groups[self._position(index)]
        first = next(g.start for g in self._groups if g.path == group.path)
        return f"row {index - first} of '{group.path}'"

    def read(self, index: int) -> bytes:
        position = self._position(index)
        with self._lock:
            column = self._column(position)
        value = column[index - self._groups[position].start].as_py()
        raw = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(raw, bytes):
            raise DataError(
                f"{self.name(index)} holds no encoded image",
                "The column 'image' must hold the bytes of PNG or JPEG files",
            )
        return raw

    def _position(self, index: int) -> int:
        return next(p for p, group in enumerate(self._groups) if index < group.start + group.rows)

    def _column(self, position: int) -> Any:
        if position in self._loaded:
            self._loaded.move_to_end(position)
            return self._loaded[position]
        import pyarrow
        from pyarrow import parquet

        group = self._groups[position]
        try:
            with parquet.ParquetFile(group.path) as file:
                column = file.read_row_group(group.number, columns=[group.column]).column(0)
        except (OSError, pyarrow.ArrowException) as error:
            raise _unreadable(group.path, error) from error
        self._loaded[position] = column
        while len(self._loaded) > _GROUPS_KEPT:
            self._loaded.popitem(last=False)
        return column


def _cifar_source(root: Path, split: Split) -> ImageSource:
    torchvision = import_optional("torchvision.datasets", "reading CIFAR-10")
    part = "train" if split == "calibration" else "test"
    # The files are pickles. torchvision compares their checksums with the published ones
    # before it opens any, so only the original files are ever unpickled.
    try:
        data = torchvision.CIFAR10(str(root), train=part == "train", download=False)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"'{root / _CIFAR_FOLDER}' is not the original CIFAR-10: a file is missing or "
            "differs from the published one",
            "Unpack cifar-10-python.tar.gz again; changed files are never opened",
        ) from error
    return ImageSource(
        labels=[int(label) for label in data.targets],
        read=lambda index: bytes(data.data[index].tobytes()),
        name=lambda index: f"image {index} of CIFAR-10 {part}",
        open=partial(Image.frombytes, "RGB", (_CIFAR_SIDE, _CIFAR_SIDE)),
        notes=(f"part '{part}' of CIFAR-10",),
    )


def _hub_source(location: str, split: Split) -> ImageSource:
    data, image, label, part = hub_images(location, split)

    def read(index: int) -> bytes:
        value = data[index][image]
        if value and value["bytes"] is not None:
            return bytes(value["bytes"])
        if value and value["path"]:
            try:
                return Path(value["path"]).read_bytes()
            except OSError as error:
                raise _unreadable(Path(value["path"]), error) from error
        raise DataError(f"row {index} of '{location}' holds no image", "Use another data set")

    return ImageSource(
        labels=list(data[label]),
        read=read,
        name=lambda index: f"row {index} of '{location}'",
        notes=(f"part '{part}' of {location}",),
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"'{path}' cannot be read ({error})", "It may be damaged; get it again")
