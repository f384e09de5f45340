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

import dataclasses
import hashlib
import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from osscar_core.datasets.choosing import choose
from osscar_core.datasets.corpus import BLANK_LINE, Corpus, read_corpus
from osscar_core.datasets.demo import demo_corpus
from osscar_core.datasets.disturb import disturb_text
from osscar_core.datasets.documents import load_documents
from osscar_core.datasets.hub import hub_corpus
from osscar_core.datasets.mix import (
    MixPart,
    interleaved,
    most_without_repeats,
    part_note,
    shares,
)
from osscar_core.datasets.own import own_documents
from osscar_core.datasets.spec import (
    DataSpec,
    Split,
    check_split,
    mix_parts,
    parse_data_spec,
    shown_part,
    shown_spec,
)
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
    repeats: bool = False,
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
        repeats: Whether a mix may use windows again to give ``samples`` of them in its
            proportion: for calibration, where that is a larger weight.

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
    parsed = parse_data_spec(spec)
    cut = _Cut(tokenizer, seqlen, step, seed, exactly)
    if parsed.kind == "mix":
        return _mixed_windows(parsed, check_split(split), cut, samples, repeats=repeats)
    corpus = _open_corpus(parsed, check_split(split), seed)
    return _windows(corpus, shown_spec(spec), cut, samples)


@dataclass(frozen=True, slots=True)
class _Cut:
    """How text becomes windows: the settings of `load_windows`."""

    tokenizer: Any
    seqlen: int
    stride: int
    seed: int
    exactly: bool


def _windows(corpus: Corpus, shown: str, cut: _Cut, samples: int | None) -> TextWindows:
    tokenizer, seqlen, step, seed = cut.tokenizer, cut.seqlen, cut.stride, cut.seed
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
    if cut.exactly and samples is not None and available < samples:
        raise DataError(
            f"'{shown}' has {available} windows of {seqlen} tokens, {samples} were asked for",
            f"Use more text, a smaller --seqlen, or --samples {available}",
        )
    chosen = windows[choose(available, wanted, window_seed)].contiguous()
    notes = (*_joining(corpus, tokenizer), *corpus.notes)
    return _described(chosen, shown, cut, available if is_complete else None, notes)


def _described(
    ids: Tensor, shown: str, cut: _Cut, available: int | None, notes: tuple[str, ...]
) -> TextWindows:
    info = DataInfo(
        spec=shown,
        kind="text",
        count=len(ids),
        digest=hashlib.sha256(ids.numpy().astype("<i8").tobytes()).hexdigest(),
        available=available,
        seqlen=cut.seqlen,
        tokenizer=tokenizer_name(cut.tokenizer),
        notes=notes,
    )
    return TextWindows(ids, info)


def _mixed_windows(
    spec: DataSpec, split: Split, cut: _Cut, samples: int | None, *, repeats: bool
) -> TextWindows:
    """Return windows of every part of a mix in the proportion of the weights.

    For calibration, a part with fewer windows than its share repeats them, which is a
    larger weight of these windows in the Hessian. For evaluation nothing is repeated.
    """
    parts = mix_parts(spec)
    weights = [part.weight for part in parts]
    wanted = shares(weights, samples) if repeats and samples is not None else None
    loose = dataclasses.replace(cut, exactly=False)
    found = []
    for position, part in enumerate(parts):
        most = None if wanted is None else max(1, wanted[position])
        corpus = _open_part(part, split, cut.seed)
        found.append(_windows(corpus, shown_spec(part.data), loose, most))
    available = [len(one.ids) for one in found]
    if wanted is None:
        unrepeated = most_without_repeats(weights, available)
        wanted = shares(weights, min(unrepeated, samples or unrepeated))
    if not sum(wanted):
        raise DataError(
            f"'{shown_spec(str(spec))}' gives no window without repeating some",
            "Use more text, or other weights",
        )
    places = [choose(have, n, cut.seed).tolist() for have, n in zip(available, wanted, strict=True)]
    rows = [found[part].ids[places[part][k % len(places[part])]] for part, k in interleaved(wanted)]
    total = sum(weights)
    notes = tuple(
        note
        for part, one, n in zip(parts, found, wanted, strict=True)
        for note in (
            part_note(shown_part(part), n, len(one.ids), total, "windows"),
            *one.info.notes,
        )
    )
    return _described(torch.stack(rows), shown_spec(str(spec)), cut, None, notes)


def _open_part(part: MixPart, split: Split, seed: int) -> Corpus:
    if part.conditions:
        # Only documents have attributes; a disturbance is made where they are read.
        chosen = load_documents(f"mix:{part}", split=split)
        return Corpus(chosen.texts, is_whole=False, notes=chosen.info.notes)
    corpus = _open_corpus(parse_data_spec(part.data), split, seed)
    change = part.change
    if change is None:
        return corpus
    texts = (disturb_text(text, change, key, seed) for key, text in enumerate(corpus.texts))
    return dataclasses.replace(corpus, texts=texts)


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
