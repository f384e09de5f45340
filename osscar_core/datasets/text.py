"""Text as fixed-length windows of token ids.

The decision hidden here: how text becomes tokens and tokens become windows.

- One string (a ``.txt`` file, say) is tokenised at once, with the tokenizer's default
  special tokens, so a beginning-of-text token stands once, at the very start.
- Documents (JSON Lines, parquet, streams) are tokenised one by one. The first gets the
  default special tokens, the others none; the end-of-text token stands between them, or
  the tokens of a blank line where the tokenizer has none. Empty documents are skipped.
- The tokens are cut into windows one after the other; what remains at the end is dropped.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from osscar_core.datasets.corpus import BLANK_LINE, Corpus, read_corpus
from osscar_core.datasets.demo import demo_corpus
from osscar_core.datasets.hub import hub_corpus
from osscar_core.datasets.own import own_documents
from osscar_core.datasets.spec import DataSpec, Split, check_split, parse_data_spec, shown_spec
from osscar_core.errors import DataError, SpecError
from osscar_core.records import DataInfo, check_range

_DOCUMENTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class TextWindows:
    """Windows of token ids.

    Attributes:
        ids: Token ids, int64, (n, seqlen).
        info: What they are, for reports.
    """

    ids: Tensor
    info: DataInfo


def load_windows(
    spec: str,
    tokenizer: Any,
    *,
    seqlen: int,
    samples: int | None = None,
    seed: int = 0,
    split: Split = "evaluation",
    stride: int | None = None,
    exactly: bool = True,
) -> TextWindows:
    """Read text and cut it into windows of tokens.

    Args:
        spec: ``text:PATH``, ``own:PATH``, ``hf:NAME`` or ``demo:NAME``; see `parse_data_spec`.
        tokenizer: A Hugging Face tokenizer.
        seqlen: Tokens a window, at least 2.
        samples: Number of windows; ``None`` for all (of a stream: the first 256).
        seed: 0 for the first ``samples`` windows, otherwise a random sample of them
            without replacement, in the order of the text. Streams are shuffled through a
            buffer of 10,000 documents instead.
        split: Which part of the data, where it has parts: ``calibration`` (training data)
            or ``evaluation`` (test data). A single file has none.
        stride: Tokens from one window's start to the next; ``None`` for ``seqlen``:
            windows that do not overlap.
        exactly: Whether fewer windows than ``samples`` are an error.

    Returns:
        The windows. ``info.available`` is ``None`` if reading stopped early because the
        windows asked for were complete.

    Raises:
        SpecError: A setting outside its range, or a specification of images.
        DataError: Data missing, unreadable, empty or too short.
    """
    check_range("seqlen", seqlen, 2)
    step = seqlen if stride is None else stride
    check_range("stride", step, 1, seqlen)
    check_range("seed", seed, 0)
    if samples is not None:
        check_range("samples", samples, 1)
    if tokenizer is None:
        raise SpecError(
            "the model comes without a tokenizer",
            "Put the tokenizer's files beside its weights, or choose a model that has one",
        )
    shown = shown_spec(spec)
    corpus = _open_corpus(parse_data_spec(spec), check_split(split), seed)
    wanted = corpus.window_cap if samples is None else samples
    # A stream is shuffled at its source: it has no end to draw a sample from.
    window_seed = seed if corpus.window_cap is None else 0
    needed = seqlen + (wanted - 1) * step if wanted is not None and window_seed == 0 else None
    ids, is_complete = _tokens(corpus, tokenizer, needed)
    if not len(ids):
        raise DataError(f"'{shown}' holds no text", "Name a file or folder that has some")
    if len(ids) < seqlen:
        raise DataError(
            f"'{shown}' has {len(ids)} tokens, fewer than one window of {seqlen}",
            f"Use more text, or --seqlen {len(ids)} or less",
        )
    windows = ids.unfold(0, seqlen, step)
    available = len(windows)
    if exactly and samples is not None and available < samples:
        raise DataError(
            f"'{shown}' has {available} windows of {seqlen} tokens, {samples} were asked for",
            f"Use more text, a smaller --seqlen, or --samples {available}",
        )
    chosen = windows[choose(available, wanted, window_seed)].contiguous()
    info = DataInfo(
        spec=shown,
        kind="text",
        count=len(chosen),
        digest=hashlib.sha256(chosen.numpy().astype("<i8").tobytes()).hexdigest(),
        available=available if is_complete else None,
        seqlen=seqlen,
        tokenizer=tokenizer_name(tokenizer),
        notes=(*_joining(corpus, tokenizer), *corpus.notes),
    )
    return TextWindows(chosen, info)


def choose(available: int, wanted: int | None, seed: int) -> Tensor:
    """Return which items to use: the first ones, or a random sample in ascending order.

    Args:
        available: Number of items there are.
        wanted: Number of items to use at most; ``None`` for all.
        seed: 0 for the first, otherwise the seed of a sample without replacement.

    Returns:
        Ascending indices, int64, (min(wanted, available),).
    """
    count = available if wanted is None else min(wanted, available)
    if seed == 0 or count == available:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(available, generator=generator)[:count].sort().values


def tokenizer_name(tokenizer: Any) -> str:
    """Return the name a tokenizer was loaded by, or else its kind."""
    return str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)


def _open_corpus(spec: DataSpec, split: Split, seed: int) -> Corpus:
    if spec.kind == "images":
        raise SpecError(
            f"'{spec}' is images, and the model reads text",
            "Use text:PATH, own:PATH, hf:NAME, demo:plant-log or demo:python-docs",
        )
    if spec.kind == "own":
        return Corpus(own_documents(spec.location)[0], is_whole=False, notes=("own documents",))
    if spec.kind == "text":
        return read_corpus(spec)
    if spec.kind == "demo":
        return demo_corpus(spec.location, split, seed)
    return hub_corpus(spec.location, split, seed)


def _tokens(corpus: Corpus, tokenizer: Any, needed: int | None) -> tuple[Tensor, bool]:
    """Return the token ids and whether all of the text was read."""
    if corpus.is_whole:
        text = corpus.glue.join(corpus.texts)
        ids = _encode(tokenizer, text, special=True) if text.strip() else []
        return torch.tensor(ids, dtype=torch.int64), True
    stream = array("q")
    eos = tokenizer.eos_token_id
    between = [eos] if eos is not None else _encode(tokenizer, BLANK_LINE, special=False)
    documents = (text for text in corpus.texts if text.strip())
    is_complete = True
    for group in _groups(documents, _DOCUMENTS_AT_ONCE):
        if needed is not None and len(stream) >= needed:
            is_complete = False
            break
        for text in group:
            if not stream:
                stream.extend(_encode(tokenizer, text, special=True))
                continue
            if list(stream[-len(between) :]) != between:
                stream.extend(between)
            stream.extend(_encode(tokenizer, text, special=False))
    return torch.tensor(stream, dtype=torch.int64), is_complete


def _groups(texts: Iterator[str], size: int) -> Iterator[tuple[str, ...]]:
    while group := tuple(itertools.islice(texts, size)):
        yield group


def _encode(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    # verbose=False: the text is longer than the model's limit on purpose.
    encoded = tokenizer(text, add_special_tokens=special, verbose=False)
    return list(encoded["input_ids"])


def _joining(corpus: Corpus, tokenizer: Any) -> tuple[str, ...]:
    if corpus.is_whole:
        return ("tokenised as one string",)
    if tokenizer.eos_token_id is not None:
        return ("documents tokenised one by one, joined by the end-of-text token",)
    return ("documents tokenised one by one, joined by a blank line",)
