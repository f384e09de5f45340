"""The real items on which an export is compared with its model.

The decision hidden here: they are the first of the data that the model was judged on,
prepared as it is judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from osscar_core.datasets import ImageSet, load_images, load_windows
from osscar_core.errors import DataError
from osscar_core.evaluation.perplexity import DEFAULT_SEQLEN, check_vocabulary
from osscar_core.evaluation.size import prompt_length
from osscar_core.models import LoadedModel
from osscar_core.records import DataInfo, check_range

IMAGES = 500
WINDOWS = 20
FEWEST = 4
_PIXELS_AT_ONCE = 2**21
_LOGITS_AT_ONCE = 2**26
_TOKENS_COMPARED = 48
_PROMPTS = (5, 11, 17)
_NEW_TOKENS = 12
_TOKENS_ENCODED = 256


@dataclass(frozen=True, slots=True)
class Prompts:
    """Beginnings of texts, of different lengths, and how far each is to be continued.

    Attributes:
        ids: Token ids of every prompt.
        new: Tokens to add.
        pad: Token to fill up with, on the left. It is also the one that would end a text: which
            others do, a file may tell in another way than the model, and the words that come
            before are what is compared.
        text: What the first prompt says, so that a tokenizer can be checked.
        sample: A longer text.
        encoded: The tokens that the model's tokenizer makes of it.
    """

    ids: tuple[tuple[int, ...], ...]
    new: int
    pad: int
    text: str = ""
    sample: str = ""
    encoded: tuple[int, ...] = ()

    def padded(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return ids and attention mask of one batch, filled up on the left."""
        longest = max(map(len, self.ids))
        ids = [[self.pad] * (longest - len(one)) + list(one) for one in self.ids]
        mask = [[0] * (longest - len(one)) + [1] * len(one) for one in self.ids]
        return ids, mask

    def json(self) -> str:
        """Return them as a program of its own reads them."""
        ids, mask = self.padded()
        told = {"ids": ids, "mask": mask, "new": self.new, "pad": self.pad, "sample": self.sample}
        return json.dumps(told)


@dataclass(frozen=True, slots=True)
class Items:
    """Items for a comparison.

    Attributes:
        info: What they are.
        settings: How others are prepared like them, as ``inputs.json`` says it.
        at_once: Items a forward pass.
        images: The items, for images; they are decoded on demand.
        ids: The items, for text, (N, T).
        prompts: What is to be continued, for text.
    """

    info: DataInfo
    settings: dict[str, Any]
    at_once: int
    images: ImageSet | None = None
    ids: Tensor | None = None
    prompts: Prompts | None = None

    def __len__(self) -> int:
        return self.info.count

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all items together."""
        if self.ids is not None:
            return tuple(self.ids.shape)
        return (len(self), 3, self.settings["size"], self.settings["size"])

    def batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Give the items as the network reads them, with the labels that images have."""
        if self.ids is not None:
            yield from ((part, None) for part in torch.split(self.ids, self.at_once))
        else:
            assert self.images is not None  # noqa: S101 - one of the two is there
            yield from self.images.batches(self.at_once)

    def compared(self) -> tuple[Tensor, ...]:
        """Return batches of different sizes, and of different lengths for text."""
        first = next(iter(self.batches()))[0] if self.ids is None else self.ids
        if self.ids is None:
            return first[:1], first[1:4], first[:FEWEST]
        length = min(self.ids.shape[1], _TOKENS_COMPARED)
        half = max(2, length // 2 + 1)
        return first[:1, :length], first[1:4, :half], first[:FEWEST, :2]


def open_items(loaded: LoadedModel, data: str, limit: int | None, seqlen: int | None) -> Items:
    """Read the first items of data.

    Raises:
        SpecError: A setting outside its range, or a model without preprocessing.
        DataError: Data missing, unreadable or too few.
    """
    if limit is not None:
        check_range("limit", limit, FEWEST)
    is_image = loaded.task == "image"
    items = _images(loaded, data, limit) if is_image else _windows(loaded, data, limit, seqlen)
    if len(items) < FEWEST:
        raise DataError(
            f"{items.info.spec} has {len(items)} items for this model",
            f"An export is compared on at least {FEWEST}; give more data",
        )
    return items


def _images(loaded: LoadedModel, data: str, limit: int | None) -> Items:
    source = loaded.source
    preprocess = loaded.preprocess
    images = load_images(
        data,
        preprocess,
        limit=limit or IMAGES,
        classes=source.classes,
        class_names=source.class_names,
    )
    count = source.classes or int(images.labels.max()) + 1
    settings = {
        "input": "pixels",
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "size": preprocess.size,
        "resize": preprocess.resize,
        "class_names": list(source.class_names or (str(label) for label in range(count))),
    }
    at_once = max(FEWEST, min(64, _PIXELS_AT_ONCE // preprocess.size**2))
    return Items(images.info, settings, at_once, images=images)


def _windows(loaded: LoadedModel, data: str, limit: int | None, seqlen: int | None) -> Items:
    length = prompt_length(loaded, seqlen, DEFAULT_SEQLEN)
    windows = load_windows(
        data, loaded.tokenizer, seqlen=length, samples=limit or WINDOWS, exactly=False
    )
    check_vocabulary(loaded, windows.ids)
    vocabulary = int(loaded.module.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    settings = {
        "input": "input_ids",
        "max_tokens": loaded.max_length or length,
        "vocabulary": vocabulary,
        "end_of_text": loaded.tokenizer.eos_token_id,  # type: ignore[union-attr]
    }
    at_once = max(1, min(8, _LOGITS_AT_ONCE // (length * vocabulary)))
    prompts = _prompts(loaded, windows.ids, settings["max_tokens"])
    return Items(windows.info, settings, at_once, ids=windows.ids, prompts=prompts)


def _prompts(loaded: LoadedModel, ids: Tensor, most: int) -> Prompts | None:
    """Return the beginnings of the first windows; ``None`` where texts are too short for it."""
    new = min(_NEW_TOKENS, most - 2)
    rows = zip(ids, _PROMPTS, strict=False)
    cut = tuple(tuple(row[: min(length, most - new)].tolist()) for row, length in rows)
    tokenizer: Any = loaded.tokenizer
    end = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if new < 1 or not all(cut):
        return None
    sample = str(tokenizer.decode(ids[0, :_TOKENS_ENCODED].tolist()))
    return Prompts(
        cut,
        new,
        0 if end is None else int(end),
        text=str(tokenizer.decode(cut[0])),
        sample=sample,
        encoded=tuple(tokenizer(sample).input_ids),
    )
