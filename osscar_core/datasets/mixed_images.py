"""A weighted mix of images as one source.

The decision hidden here: which images of each part are used. Each gives its share of the
number asked for. For calibration, a part with fewer images than its share repeats them,
which is a larger weight of these images in the Hessian; for evaluation nothing is repeated,
and without a number the mix is as large as that allows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from osscar_core.datasets.choosing import choose
from osscar_core.datasets.disturb import disturb_image
from osscar_core.datasets.image_sources import ImageSource, described, open_images
from osscar_core.datasets.mix import (
    PART,
    MixPart,
    check_columns,
    interleaved,
    most_without_repeats,
    part_note,
    shares,
)
from osscar_core.datasets.spec import (
    DataSpec,
    Split,
    mix_parts,
    parse_data_spec,
    shown_part,
    shown_spec,
)
from osscar_core.errors import DataError

_Shared = TypeVar("_Shared")


@dataclass(frozen=True, slots=True)
class _Part:
    part: MixPart
    source: ImageSource
    candidates: tuple[int, ...]


def open_mix(
    spec: DataSpec,
    split: Split,
    wanted: int | None,
    seed: int,
    *,
    repeats: bool = False,
    class_names: tuple[str, ...] | None = None,
) -> ImageSource:
    """Return the images of a mix, every beginning of them a fair mix.

    Args:
        spec: A mix.
        split: Which part of the data, where it has parts.
        wanted: Number of images; ``None`` for as many as there are without repeating any.
        seed: 0 for the first images of each part, otherwise a random sample of them.
        repeats: Whether images may be used again to give that number.
        class_names: The model's classes, to read those of own data by.

    Raises:
        SpecError: A part is text, or a condition names an attribute that is not there.
        DataError: A part is missing or unreadable, none of its images meets its conditions,
            or the parts have different classes.
    """
    opened = [_open_part(part, split, class_names) for part in mix_parts(spec)]
    weights = [one.part.weight for one in opened]
    available = [len(one.candidates) for one in opened]
    unrepeated = most_without_repeats(weights, available)
    if wanted is None or not repeats:
        wanted = min(unrepeated, wanted or unrepeated)
    if not wanted:
        raise DataError(
            f"'{shown_spec(str(spec))}' gives no image without repeating some",
            "Use more images, or other weights",
        )
    counts = shares(weights, wanted)
    chosen = [_chosen(one, count, seed) for one, count in zip(opened, counts, strict=True)]
    items = [(opened[part], chosen[part][k]) for part, k in interleaved(counts)]
    return ImageSource(
        labels=[one.source.labels[index] for one, index in items],
        read=lambda place: items[place][0].source.read(items[place][1]),
        name=lambda place: items[place][0].source.name(items[place][1]),
        class_folders=_same("number of class folders", opened, lambda s: s.class_folders),
        class_names=_same("names of classes", opened, lambda s: s.class_names),
        attributes=functools.partial(_attributes, items),
        open_at=lambda place, raw: items[place][0].source.opened(items[place][1], raw),
        notes=tuple(
            note
            for one, n in zip(opened, counts, strict=True)
            for note in (
                part_note(one.part, n, len(one.candidates), sum(weights), "images"),
                *one.source.notes,
            )
        ),
        retouch=functools.partial(_retouched, items, seed),
        recipe=_recipe(opened, seed),
    )


def _open_part(part: MixPart, split: Split, class_names: tuple[str, ...] | None) -> _Part:
    source = open_images(parse_data_spec(part.data), split, class_names)
    count = len(source.labels)
    if not count:
        raise DataError(
            f"'{shown_spec(part.data)}' holds no images", "Name a file or folder that has some"
        )
    shown = shown_part(part)
    check_columns(shown, {*described(source, 0)} if part.conditions else ())
    candidates = tuple(
        index
        for index in range(count)
        if not part.conditions or part.keeps(described(source, index))
    )
    if not candidates:
        raise DataError(f"no image meets the conditions of '{shown}'", "Change or drop one of them")
    return _Part(shown, source, candidates)


def _chosen(one: _Part, count: int, seed: int) -> list[int]:
    available = len(one.candidates)
    places = choose(available, count, seed).tolist()
    return [one.candidates[places[k % len(places)]] for k in range(count)]


def _attributes(items: list[tuple[_Part, int]], place: int) -> dict[str, str | float]:
    one, index = items[place]
    known = {} if one.source.attributes is None else one.source.attributes(index)
    return {**known, PART: str(one.part)}


def _retouched(
    items: list[tuple[_Part, int]], seed: int, place: int, image: Image.Image
) -> Image.Image:
    change = items[place][0].part.change
    # The place and not the index: a repeated image is disturbed in another way each time.
    return image if change is None else disturb_image(image, change, place, seed)


def _recipe(opened: list[_Part], seed: int) -> str:
    changed = [f"{one.part.weight:g}*{one.part}" for one in opened if one.part.change is not None]
    return f"disturbed: {'+'.join(changed)}, seed {seed}" if changed else ""


def _same(
    what: str, opened: list[_Part], field: Callable[[ImageSource], _Shared | None]
) -> _Shared | None:
    found = {one.part.data: field(one.source) for one in opened}
    values = {value for value in found.values() if value is not None}
    if len(values) > 1:
        told = ", ".join(f"{data}: {value}" for data, value in found.items())
        raise DataError(
            f"the parts of the mix differ in the {what} ({told})",
            "Mix data of the same classes only",
        )
    return next(iter(values), None)
