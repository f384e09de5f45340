"""What one model makes of every single item.

The decision hidden here: what is kept of an answer. Of a picture the class, its
probability and whether that is right; of a document the sum of its token losses. A
document longer than the context is cut into windows that share one token, so that all
its tokens but the first are predicted exactly once. Where asked for, features: the input
of a classifier's last linear layer, or the mean over tokens of a language model's final
hidden state.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osscar_core.datasets.documents import Documents
from osscar_core.datasets.images import ImageSet
from osscar_core.errors import DataError, NumericalError, SpecError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.evaluation.perplexity import DEFAULT_SEQLEN, check_vocabulary, token_losses
from osscar_core.evaluation.size import prompt_length
from osscar_core.progress import Progress, report
from osscar_core.records import check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

Features = NDArray[np.float32]

_STAGE = "check"
_PICTURES = {"cpu": 64, "cuda": 256}
_PIXELS = {"cpu": 2**21, "cuda": 2**24}
_TOKENS = {"cpu": 2048, "cuda": 16384}


@dataclass(frozen=True, slots=True)
class ImageOutcomes:
    """What a classifier says of every picture.

    Attributes:
        predicted: Class ids, int64, (n,).
        shares: Probability given to that class, float64, (n,).
        is_right: Whether it is the label, bool, (n,).
        features: Input of the last linear layer, float32, (n, d); ``None`` unless asked for.
    """

    predicted: NDArray[np.int64]
    shares: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    features: Features | None = None


@dataclass(frozen=True, slots=True)
class TextOutcomes:
    """What a language model makes of every document.

    Attributes:
        sums: Sum of the token losses in nats, float64, (n,).
        tokens: Tokens predicted, int64, (n,); 0 where a document has fewer than two.
        digest: SHA-256 over the token ids.
        context: Tokens a window at most.
        cut: Documents longer than one window.
        features: Mean final hidden state, float32, (n, d); ``None`` unless asked for.
    """

    sums: NDArray[np.float64]
    tokens: NDArray[np.int64]
    digest: str
    context: int
    cut: int
    features: Features | None = None


def image_outcomes(
    loaded: LoadedModel,
    images: ImageSet,
    *,
    batch_size: int | None = None,
    with_features: bool = False,
    progress: Progress | None = None,
) -> ImageOutcomes:
    """Run a classifier over pictures.

    Args:
        loaded: The model.
        images: The pictures, prepared as this model reads them.
        batch_size: Pictures a forward pass; ``None`` to choose.
        with_features: Whether to keep the input of the last linear layer.
        progress: Called after every batch.

    Raises:
        SpecError: A setting outside its range, or features of a model without a linear layer.
        NumericalError: Outputs that are not finite.
    """
    if batch_size is not None:
        check_range("batch_size", batch_size, 1)
    preprocess = loaded.source.preprocess
    side = 1 if preprocess is None else preprocess.size
    parameter = next(loaded.module.parameters())
    place = _place(parameter.device)
    size = batch_size or max(1, min(_PICTURES[place], _PIXELS[place] // side**2))
    predicted: list[Tensor] = []
    shares: list[Tensor] = []
    features: list[Tensor] = []
    done = 0
    with torch.inference_mode(), _head_inputs(loaded, wanted=with_features) as heard:
        for pixels, _ in images.batches(size):
            logits = class_logits(loaded.module(pixels.to(parameter.device, parameter.dtype)))
            _check_finite(loaded, logits, f"images {done} to {done + len(pixels) - 1}")
            best = logits.double().softmax(dim=1).max(dim=1)
            predicted.append(best.indices.cpu())
            shares.append(best.values.cpu())
            features.extend(seen.flatten(1).float().cpu() for seen in heard)
            heard.clear()
            done += len(pixels)
            report(progress, _STAGE, done, len(images), loaded.source.model)
    answers = torch.cat(predicted)
    return ImageOutcomes(
        predicted=answers.numpy(),
        shares=torch.cat(shares).numpy(),
        is_right=(answers == images.labels).numpy(),
        features=torch.cat(features).numpy() if with_features else None,
    )


def text_outcomes(
    loaded: LoadedModel,
    documents: Documents,
    *,
    context: int | None = None,
    batch_size: int | None = None,
    with_features: bool = False,
    progress: Progress | None = None,
) -> TextOutcomes:
    """Run a language model over documents, one by one.

    Args:
        loaded: The model.
        documents: The documents.
        context: Tokens a window at most; ``None`` for the smaller of 1,024 and the
            model's limit.
        batch_size: Windows a forward pass; ``None`` to choose.
        with_features: Whether to keep the mean final hidden state.
        progress: Called after every batch.

    Raises:
        SpecError: A setting outside its range, or a model without a tokenizer.
        DataError: A tokenizer that does not belong to the model.
        NumericalError: A loss that is not finite.
    """
    if batch_size is not None:
        check_range("batch_size", batch_size, 1)
    length = prompt_length(loaded, context, DEFAULT_SEQLEN)
    ids = _token_ids(loaded, documents)
    windows = [
        (place, window) for place, tokens in enumerate(ids) for window in _windows(tokens, length)
    ]
    # Windows of about one length together, so that little is padded.
    windows.sort(key=lambda window: len(window[1]))
    sums = np.zeros(len(ids))
    counts = np.zeros(len(ids), dtype=np.int64)
    features: dict[int, Tensor] = {}
    device = next(loaded.module.parameters()).device
    done = 0
    with torch.inference_mode(), _head_inputs(loaded, wanted=with_features) as heard:
        for batch in _batches(windows, batch_size, _TOKENS[_place(device)]):
            losses = token_losses(loaded.module, _padded(batch).to(device))  # (B, T-1)
            for row, (place, window) in enumerate(batch):
                counted = losses[row, : len(window) - 1]
                _check_finite(loaded, counted, documents.names[place])
                sums[place] += float(counted.sum())
                counts[place] += len(counted)
                for states in heard:  # (B, T, d)
                    total = states[row, : len(window)].float().sum(dim=0).cpu()
                    features[place] = features.get(place, torch.zeros_like(total)) + total
            heard.clear()
            done += len(batch)
            report(progress, _STAGE, done, len(windows), loaded.source.model)
    return TextOutcomes(
        sums=sums,
        tokens=counts,
        digest=_digest(ids),
        context=length,
        cut=sum(len(tokens) > length for tokens in ids),
        features=_means(features, ids, length) if with_features else None,
    )


@contextlib.contextmanager
def _head_inputs(loaded: LoadedModel, *, wanted: bool) -> Iterator[list[Tensor]]:
    """Collect what the last layer of a model is given."""
    heard: list[Tensor] = []
    if not wanted:
        yield heard
        return

    def listen(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        heard.append(inputs[0])

    handle = _head(loaded).register_forward_pre_hook(listen)
    try:
        yield heard
    finally:
        handle.remove()


def _head(loaded: LoadedModel) -> nn.Module:
    output = getattr(loaded.module, "get_output_embeddings", lambda: None)()
    linear = [module for module in loaded.module.modules() if isinstance(module, nn.Linear)]
    if output is None and not linear:
        raise SpecError(
            f"{loaded.source.model} has no linear layer to take features from",
            "Use a model that ends in one",
        )
    head: nn.Module = linear[-1] if output is None else output
    return head


def _token_ids(loaded: LoadedModel, documents: Documents) -> list[list[int]]:
    tokenizer = loaded.tokenizer
    if tokenizer is None:
        raise SpecError(
            f"{loaded.source.model} comes without a tokenizer",
            "Put the tokenizer's files beside its weights, or choose a model that has one",
        )
    # verbose=False: texts may be longer than the model's limit; they are cut below.
    ids = [list(tokenizer(text, verbose=False)["input_ids"]) for text in documents.texts]
    if all(len(tokens) < 2 for tokens in ids):
        raise DataError(
            f"no document of '{documents.info.spec}' has two tokens, so none is predicted",
            "Use longer texts",
        )
    check_vocabulary(loaded, torch.tensor([token for tokens in ids for token in tokens]))
    return ids


def _windows(tokens: list[int], length: int) -> Iterator[list[int]]:
    """Yield windows that share one token: the last of one is the context of the next."""
    for start in range(0, len(tokens) - 1, length - 1):
        yield tokens[start : start + length]


def _batches(
    windows: list[tuple[int, list[int]]], size: int | None, most_tokens: int
) -> Iterator[list[tuple[int, list[int]]]]:
    start = 0
    while start < len(windows):
        count = size or 1
        # The last of a batch is its longest, to which the others are padded.
        while size is None and start + count < len(windows):
            if (count + 1) * len(windows[start + count][1]) > most_tokens:
                break
            count += 1
        yield windows[start : start + count]
        start += count


def _padded(batch: list[tuple[int, list[int]]]) -> Tensor:
    """Return windows padded at their end, which no token before it can see, int64, (B, T)."""
    longest = max(len(window) for _, window in batch)
    return torch.tensor([window + [0] * (longest - len(window)) for _, window in batch])


def _means(features: dict[int, Tensor], ids: list[list[int]], length: int) -> Features:
    width = len(next(iter(features.values())))
    means = np.zeros((len(ids), width), dtype=np.float32)
    for place, total in features.items():
        seen = sum(len(window) for window in _windows(ids[place], length))
        means[place] = (total / seen).numpy()
    return means


def _digest(ids: list[list[int]]) -> str:
    digest = hashlib.sha256()
    for tokens in ids:
        digest.update(np.array([len(tokens), *tokens], dtype="<i8").tobytes())
    return digest.hexdigest()


def _place(device: torch.device) -> str:
    return "cpu" if device.type == "cpu" else "cuda"


def _check_finite(loaded: LoadedModel, values: Tensor, where: str) -> None:
    if not bool(values.isfinite().all()):
        raise NumericalError(
            f"{loaded.source.model} gives outputs that are not finite on {where}",
            "Use --dtype float32; if it persists, the weights are damaged",
        )
