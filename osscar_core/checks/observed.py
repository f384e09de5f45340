"""What a model sees in a set of data: features, answers, and what is known of each item.

The decision hidden here: that images and texts are told alike from here on: an item is a
row of features, a mapping of attributes and properties, and what was right or lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from osscar_core.checks.outcomes import image_outcomes, text_outcomes
from osscar_core.checks.paired import PairedLabels, PairedText
from osscar_core.checks.properties import image_properties, text_properties
from osscar_core.datasets.documents import Documents, load_documents
from osscar_core.datasets.images import ImageSet, load_images
from osscar_core.datasets.mix import PART
from osscar_core.datasets.spec import Split, data_task, parse_data_spec, shown_spec
from osscar_core.errors import SpecError
from osscar_core.evaluation.perplexity import DEFAULT_SEQLEN
from osscar_core.evaluation.size import prompt_length
from osscar_core.progress import Progress
from osscar_core.records import DataInfo

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

TRUE_CLASS = "class"
PREDICTED = "predicted class"
_PICTURES_AT_ONCE = 64

Row = dict[str, str | float]
Items = ImageSet | Documents
Paired = PairedLabels | PairedText


@dataclass(frozen=True, slots=True)
class Observed:
    """A set of data as one model sees it.

    Attributes:
        info: The data.
        features: The model's features of each item, float32, (n, d).
        keys: One per item, equal for equal items.
        rows: Attributes and simple properties of each item, and its classes for images.
    """

    info: DataInfo
    features: NDArray[np.float32]
    keys: tuple[bytes, ...]
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.keys)


def load_items(loaded: LoadedModel, data: str, *, limit: int | None, split: Split) -> Items:
    """Return the images or documents that ``data`` names, as the model reads them.

    Raises:
        SpecError: Data of another kind than the model's.
        DataError: Data missing, unreadable, mislabelled or empty.
    """
    task = data_task(parse_data_spec(data))
    words = {"text": "text", "image": "images"}
    if task is not None and task != loaded.task:
        raise SpecError(
            f"{loaded.source.model} reads {words[loaded.task]}, and '{shown_spec(data)}' is "
            f"{words[task]}",
            "Name data of the model's own kind",
        )
    if loaded.task == "text":
        return load_documents(data, limit=limit, split=split)
    preprocess = loaded.preprocess
    return load_images(
        data,
        preprocess,
        limit=limit,
        split=split,
        classes=loaded.source.classes,
        class_names=loaded.source.class_names,
    )


def observe(
    loaded: LoadedModel,
    items: Items,
    *,
    context: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[Observed, Answers]:
    """Run a model over items once, and return its features and its answers.

    Raises:
        NumericalError: Outputs that are not finite.
    """
    answers = answer(
        loaded,
        items,
        with_features=True,
        context=context,
        batch_size=batch_size,
        progress=progress,
    )
    if isinstance(items, Documents):
        rows: list[Row] = [
            {**text_properties(text), **_known(attributes)}
            for text, attributes in zip(items.texts, items.attributes, strict=True)
        ]
        keys = [hashlib.blake2b(text.encode()).digest() for text in items.texts]
    else:
        names = items.class_names or loaded.source.class_names
        keys, properties = _pictures(items)
        rows = [
            {
                TRUE_CLASS: _named(true, names),
                PREDICTED: _named(said, names),
                **measured,
                **_known(own),
            }
            for true, said, measured, own in zip(
                items.labels.tolist(),
                answers.predicted.tolist(),
                properties,
                items.attributes(),
                strict=True,
            )
        ]
    return Observed(items.info, answers.features, tuple(keys), tuple(rows)), answers


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model made of each item.

    Attributes:
        features: Float32, (n, d); (0, 0) unless asked for.
        predicted: Class ids, (n,); empty for text.
        is_right: Whether they are the labels, (n,); empty for text.
        sums: Sum of a document's token losses, (n,); empty for images.
        tokens: Tokens predicted, (n,); empty for images.
    """

    features: NDArray[np.float32]
    predicted: NDArray[np.int64]
    is_right: NDArray[np.bool_]
    sums: NDArray[np.float64]
    tokens: NDArray[np.int64]


def answer(
    loaded: LoadedModel,
    items: Items,
    *,
    with_features: bool = False,
    context: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Answers:
    """Run a model over images, or over documents in windows of ``context`` tokens at most."""
    if isinstance(items, Documents):
        text = text_outcomes(
            loaded,
            items,
            context=context,
            with_features=with_features,
            batch_size=batch_size,
            progress=progress,
        )
        return Answers(
            _given(text.features), _no_ids(), np.zeros(0, dtype=np.bool_), text.sums, text.tokens
        )
    found = image_outcomes(
        loaded, items, with_features=with_features, batch_size=batch_size, progress=progress
    )
    return Answers(_given(found.features), found.predicted, found.is_right, np.zeros(0), _no_ids())


def common_context(*models: LoadedModel) -> int | None:
    """Return the tokens a window at which all the models can read; ``None`` for images."""
    if models[0].task != "text":
        return None
    return min(prompt_length(loaded, None, DEFAULT_SEQLEN) for loaded in models)


def check_pair(dense: LoadedModel, pruned: LoadedModel) -> None:
    """Raise `SpecError` if two models cannot be compared."""
    for what in ("task", "classes"):
        one, other = (
            loaded.task if what == "task" else loaded.source.classes for loaded in (dense, pruned)
        )
        if one != other:
            raise SpecError(
                f"{dense.source.model} and {pruned.source.model} differ in their {what} "
                f"({one} and {other})",
                "Compare a model with its own pruned version",
            )


def pair(dense: Answers, pruned: Answers, seed: int = 0) -> Paired:
    """Return the answers of two models to the same items, side by side."""
    if len(dense.is_right):
        return PairedLabels(dense.is_right, pruned.is_right, seed)
    told = dense.tokens > 0
    return PairedText(
        dense.sums[told], pruned.sums[told], dense.tokens[told].astype(np.float64), seed
    )


def _known(attributes: Row) -> Row:
    """Return the attributes without the part of a mix that an item comes from."""
    return {name: value for name, value in attributes.items() if name != PART}


def _pictures(images: ImageSet) -> tuple[list[bytes], list[dict[str, float]]]:
    keys: list[bytes] = []
    rows: list[dict[str, float]] = []
    for start in range(0, len(images), _PICTURES_AT_ONCE):
        stop = min(len(images), start + _PICTURES_AT_ONCE)
        pixels = torch.stack([images.pixels(place) for place in range(start, stop)])
        keys += [hashlib.blake2b(one.numpy().tobytes()).digest() for one in pixels]
        found = image_properties(pixels.float() / 255)
        values = zip(*(column.tolist() for column in found.values()), strict=True)
        rows += [dict(zip(found, row, strict=True)) for row in values]
    return keys, rows


def _named(label: int, names: Sequence[str] | None) -> str:
    return names[label] if names and 0 <= label < len(names) else str(label)


def _given(features: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return np.zeros((0, 0), dtype=np.float32) if features is None else features


def _no_ids() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)
