"""The text that language models are trained on here, as streams of token ids.

The decision hidden here: how the sources are mixed. English is most of it; the reports
and the manual are small, so that they must not be seen too often.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osscar_core.datasets.corpus import read_corpus
from osscar_core.datasets.demo import demo_corpus
from osscar_core.datasets.plant_log import TRAINED_PLANTS, PlantName, document
from osscar_core.datasets.spec import DataSpec
from osscar_core.errors import DataError

END = "</s>"
PAD = "<pad>"
WEIGHTS = {"english": 0.77, "plant-log": 0.21, "python-docs": 0.02}
"""Share of the training tokens that each source gives, where all are used."""

_CHUNK = 500
_ENCODED_AT_ONCE = 2000
_TOKENIZER_CHARACTERS = {"english": 24_000_000, "plant-log": 5_000_000, "python-docs": 2_000_000}


@dataclass(frozen=True, slots=True)
class Source:
    """One source of text.

    Attributes:
        name: A key of `WEIGHTS`.
        documents: Its documents.
    """

    name: str
    documents: tuple[str, ...]

    @property
    def characters(self) -> int:
        """Length of all documents."""
        return sum(map(len, self.documents))


def shares(names: Iterable[str]) -> dict[str, float]:
    """Return the share of the training tokens that each of these sources gives."""
    chosen = {name: WEIGHTS[name] for name in names}
    return {name: weight / sum(chosen.values()) for name, weight in chosen.items()}


def read_sources(
    pool: Pool | None, folder: Path, reports: int, names: Collection[str] = tuple(WEIGHTS)
) -> tuple[Source, ...]:
    """Read and write everything there is to train on.

    Args:
        pool: Processes that share the work; ``None`` to do it here.
        folder: English documents: files that end in ``.jsonl.xz`` and so on.
        reports: Documents a plant.
        names: The sources wanted, keys of `WEIGHTS`.

    Raises:
        DataError: The folder has no such files.
    """
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "english": lambda: _english(pool, folder),
        "plant-log": lambda: _reports(pool, reports),
        "python-docs": lambda: demo_corpus("python-docs", "calibration").texts,
    }
    return tuple(Source(name, tuple(make())) for name, make in makers.items() if name in names)


def _english(pool: Pool | None, folder: Path) -> Iterator[str]:
    files = sorted(p for p in folder.glob("*") if ".jsonl" in p.name)
    if not files:
        raise DataError(
            f"the folder '{folder}' holds no .jsonl, .jsonl.xz or .jsonl.gz file",
            'Name a folder of documents, one {"text": "..."} a line',
        )
    read = pool.map(_read, files, 1) if pool else map(_read, files)
    return itertools.chain.from_iterable(read)


def _reports(pool: Pool | None, count: int) -> Iterator[str]:
    chunks = [
        (plant, start, min(count, start + _CHUNK))
        for start in range(0, count, _CHUNK)
        for plant in TRAINED_PLANTS
    ]
    written = pool.starmap(_write, chunks, 1) if pool else itertools.starmap(_write, chunks)
    return itertools.chain.from_iterable(written)


def _read(file: Path) -> list[str]:
    return list(read_corpus(DataSpec("text", str(file))).texts)


def _write(plant: PlantName, start: int, stop: int) -> list[str]:
    return [document("calibration", plant, index) for index in range(start, stop)]


def train_tokenizer(sources: Sequence[Source], size: int) -> Any:
    """Return a byte-level BPE tokenizer of ``size`` tokens, for `transformers`.

    Digits stand alone, so that numbers are read the same wherever they occur. No special
    token is added on its own; ``</s>`` stands between documents.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_sample(sources), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, bos_token=END, eos_token=END, unk_token=END
    )


def _sample(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        left = _TOKENIZER_CHARACTERS[source.name]
        for text in source.documents:
            if left <= 0:
                break
            left -= len(text)
            yield text


def encode(tokenizer: Any, documents: Sequence[str]) -> Tensor:
    """Return documents as one stream of token ids, int32, each followed by ``</s>``.

    The tokenizer's own threads share the work.
    """
    end = np.array([tokenizer.eos_token_id], np.int32)
    parts: list[np.ndarray] = []
    for start in range(0, len(documents), _ENCODED_AT_ONCE):
        batch = list(documents[start : start + _ENCODED_AT_ONCE])
        for found in tokenizer.backend_tokenizer.encode_batch_fast(batch):
            parts += (np.array(found.ids, np.int32), end)
    return torch.from_numpy(np.concatenate(parts))
