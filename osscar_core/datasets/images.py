"""Images as normalised batches.

The decision hidden here: how a stored image becomes the network's input, and when.
Encoded images are decoded batch by batch on two threads while the batch before is being
used; memory holds a few batches, whatever the size of the data.

The order is that of the rows of a parquet file. A folder's images come in a fixed
pseudo-random order (by the SHA-256 of their relative path), so that the first few are a
fair sample of all classes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import struct
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from osscar_core.datasets.choosing import choose
from osscar_core.datasets.disturb import disturb_image
from osscar_core.datasets.image_sources import ImageSource, open_images
from osscar_core.datasets.mix import Change
from osscar_core.datasets.mixed_images import open_mix
from osscar_core.datasets.spec import (
    Split,
    check_split,
    import_optional,
    parse_data_spec,
    shown_spec,
)
from osscar_core.errors import DataError
from osscar_core.records import DataInfo, ImagePreprocess, check_range

_WORKERS = 2
_BATCHES_AHEAD = 3
# What Pillow's decoders raise on damaged files.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Labelled images, decoded on demand.

    Attributes:
        labels: Class ids, int64, (n,).
        info: What the images are, for reports.
    """

    labels: Tensor
    info: DataInfo
    _source: ImageSource
    _indices: tuple[int, ...]
    _preprocess: ImagePreprocess

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the class ids mean; ``None`` where the data does not say."""
        return self._source.class_names

    def name(self, position: int) -> str:
        """Return what to call an image.

        Args:
            position: Its place in the order of `batches`.
        """
        return self._source.name(self._indices[position])

    def attributes(self) -> tuple[dict[str, str | float], ...]:
        """Return what is known of each image besides its class, to slice results by.

        Returns:
            One mapping per image, in the order of `batches`; empty mappings where the data
            says nothing more.
        """
        known = self._source.attributes
        return tuple({} if known is None else known(index) for index in self._indices)

    def disturbed(self, change: Change, seed: int = 0) -> ImageSet:
        """Return the same images, each disturbed before it is normalised.

        Args:
            change: What is done to them, and how strongly.
            seed: Another seed disturbs all of them otherwise.
        """
        before = self._source.retouch
        recipe = f"{self._source.recipe} disturbed: {change}, seed {seed}".strip()

        def retouch(index: int, image: Image.Image) -> Image.Image:
            given = image if before is None else before(index, image)
            return disturb_image(given, change, index, seed)

        source = dataclasses.replace(self._source, retouch=retouch, recipe=recipe)
        return dataclasses.replace(self, _source=source)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images in order, the last batch with what remains.

        Args:
            size: Images a batch, at least 1.

        Yields:
            Pixels, normalised float32, (B, 3, S, S), and labels, int64, (B,).

        Raises:
            DataError: An image that cannot be decoded.
        """
        check_range("batch size", size, 1)
        starts = iter(range(0, len(self), size))
        pending: deque[tuple[int, Future[Tensor]]] = deque()
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="images")
        try:
            for start in itertools.islice(starts, _BATCHES_AHEAD):
                pending.append((start, pool.submit(self._decode, start, size)))
            while pending:
                start, future = pending.popleft()
                pixels = future.result()
                for following in itertools.islice(starts, 1):
                    pending.append((following, pool.submit(self._decode, following, size)))
                yield pixels, self.labels[start : start + size]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, start: int, size: int) -> Tensor:
        stop = min(len(self), start + size)
        images = [self.pixels(position) for position in range(start, stop)]
        pixels = torch.stack(images).float().div_(255)  # (B, 3, S, S)
        mean = torch.tensor(self._preprocess.mean).view(3, 1, 1)
        std = torch.tensor(self._preprocess.std).view(3, 1, 1)
        return pixels.sub_(mean).div_(std)

    def pixels(self, position: int) -> Tensor:
        """Return an image as the network reads it, before scaling to [0, 1].

        Args:
            position: Its place in the order of `batches`.

        Returns:
            uint8, (3, S, S).

        Raises:
            DataError: It cannot be decoded.
        """
        index = self._indices[position]
        raw = self._source.read(index)
        try:
            image = self._source.opened(index, raw)
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            fitted = _fitted(image.convert("RGB"), self._preprocess)
            retouch = self._source.retouch
            return _as_tensor(fitted if retouch is None else retouch(index, fitted))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(
                f"{self._source.name(index)} is too large to be decoded safely ({error})",
                "Scale it down, or remove it",
            ) from error
        except _DECODE_ERRORS as error:
            raise DataError(
                f"{self._source.name(index)} is not a readable image ({error})",
                "Repair or remove it",
            ) from error


def load_images(
    spec: str,
    preprocess: ImagePreprocess,
    *,
    limit: int | None = None,
    seed: int = 0,
    classes: int | None = None,
    class_names: tuple[str, ...] | None = None,
    split: Split = "evaluation",
    exactly: bool = False,
    repeats: bool = False,
) -> ImageSet:
    """Find labelled images and choose which to use.

    Args:
        spec: ``images:PATH``, ``own:PATH``, ``hf:NAME`` or ``demo:factory``; see `parse_data_spec`.
        preprocess: How they become the network's input.
        limit: Use at most so many; ``None`` for all.
        seed: 0 for the first ``limit`` images, otherwise a random sample of them without
            replacement, in stored order.
        classes: Number of classes the model knows.
        class_names: What it calls them, to read the classes of own data by.
        split: Which part of the data, where it has parts: ``calibration`` (training
            images) or ``evaluation`` (test images).
        exactly: Whether fewer images than ``limit`` are an error.
        repeats: Whether a mix may use images again to give ``limit`` of them in its
            proportion: for calibration, where that is a larger weight.

    Returns:
        The images. Encoded files are read once here for ``info.digest`` (over bytes and
        labels) and decoded when asked for.

    Raises:
        SpecError: A setting outside its range, or a specification of text.
        DataError: Data missing or unreadable, too few images, or labels missing or outside
            the model's classes.
    """
    check_range("seed", seed, 0)
    if limit is not None:
        check_range("limit", limit, 1)
    shown = shown_spec(spec)
    parsed = parse_data_spec(spec)
    if parsed.kind == "mix":
        source = open_mix(
            parsed, check_split(split), limit, seed, repeats=repeats, class_names=class_names
        )
    else:
        source = open_images(parsed, check_split(split), class_names)
    available = len(source.labels)
    if not available:
        raise DataError(f"'{shown}' holds no images", "Name a file or folder that has some")
    if exactly and limit is not None and available < limit:
        raise DataError(
            f"'{shown}' has {available} images, {limit} were asked for",
            f"Use more images, or --samples {available}",
        )
    if split == "evaluation" and classes and (source.class_folders or classes) < classes:
        raise DataError(
            f"'{shown}' has {source.class_folders} class folders, the model knows {classes} "
            "classes: which folder is which class cannot be told",
            "Add an empty folder for each missing class, so that sorted names line up",
        )
    names = source.class_names
    if split == "evaluation" and classes and names and len(names) != classes:
        raise DataError(
            f"'{shown}' has {len(names)} classes ({', '.join(names)}), the model knows {classes}",
            "Use data of the model's own classes, or a model trained on these",
        )
    indices = tuple(choose(available, limit, seed).tolist())
    labels = [_checked_label(source, index, classes) for index in indices]
    info = DataInfo(
        spec=shown,
        kind="image",
        count=len(indices),
        digest=_digest(source, indices, labels),
        available=available,
        preprocess=preprocess.describe(),
        notes=source.notes,
        warnings=_coverage(
            labels, classes or source.class_folders or (len(names) if names else None)
        ),
    )
    return ImageSet(torch.tensor(labels), info, source, indices, preprocess)


def _checked_label(source: ImageSource, index: int, classes: int | None) -> int:
    label = source.labels[index]
    if label is None:
        raise DataError(f"{source.name(index)} has no label", "Label it or remove it")
    if label < 0 or (classes is not None and label >= classes):
        legal = "at least 0" if classes is None else f"in [0, {classes})"
        raise DataError(
            f"{source.name(index)} has the label {label}, outside the model's classes",
            f"Labels must be {legal}; is this the data for this model?",
        )
    return label


def _digest(source: ImageSource, indices: tuple[int, ...], labels: list[int]) -> str:
    digest = hashlib.sha256(source.recipe.encode())
    for index, label in zip(indices, labels, strict=True):
        raw = source.read(index)
        digest.update(struct.pack("<qq", len(raw), label))
        digest.update(raw)
    return digest.hexdigest()


def _coverage(labels: list[int], classes: int | None) -> tuple[str, ...]:
    present = len(set(labels))
    if classes is None or present >= classes:
        return ()
    return (f"the images cover {present} of {classes} classes",)


def _fitted(image: Image.Image, preprocess: ImagePreprocess) -> Image.Image:
    """Return the image at the size at which the network reads it, S x S."""
    transforms = import_optional("torchvision.transforms.v2.functional", "preparing images")
    size = [preprocess.size, preprocess.size]
    if preprocess.resize is not None:
        image = transforms.resize(image, [preprocess.resize], antialias=True)
        fitted: Image.Image = transforms.center_crop(image, size)
        return fitted
    if image.size != (preprocess.size, preprocess.size):
        image = transforms.resize(image, size, antialias=True)
    return image


def _as_tensor(image: Image.Image) -> Tensor:
    """Return the pixels before scaling, uint8, (3, S, S)."""
    transforms = import_optional("torchvision.transforms.v2.functional", "preparing images")
    pixels: Tensor = transforms.pil_to_tensor(image)
    return pixels
