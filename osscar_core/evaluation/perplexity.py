"""Perplexity of a language model.

The decision hidden here: which tokens are predicted from which context, and how the
losses are summed. With windows that do not overlap, every token but a window's first is
predicted once. With overlapping windows the first window counts whole, each later one
only its last ``stride`` tokens, so that all the text but its first token counts once and
has at least ``seqlen - stride`` tokens of context.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from osscar_core.datasets.text import load_windows
from osscar_core.errors import DataError, NumericalError
from osscar_core.evaluation.size import prompt_length
from osscar_core.progress import Progress, report
from osscar_core.records import DataInfo, EvaluationReport, check_range
from osscar_core.shortage import halving, in_batches_of

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

DEFAULT_SEQLEN = 1024
Z95 = 1.959963984540054
_POSITIONS_AT_ONCE = 256
_LOGITS_BYTES = {"cpu": 2**29, "cuda": 2**31}
_TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 16384}


def evaluate_text(
    loaded: LoadedModel,
    data: str,
    *,
    limit: int | None = None,
    seqlen: int | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure perplexity: the exponential of the mean loss per predicted token, in nats.

    Args:
        loaded: A language model.
        data: Data specification; see `osscar_core.datasets.parse_data_spec`.
        limit: Use the first so many windows at most; ``None`` for all.
        seqlen: Tokens a window; ``None`` for the smaller of 1,024 and the model's limit.
        stride: Tokens from one window's start to the next, at most ``seqlen``; ``None``
            for ``seqlen``.
        batch_size: Windows a forward pass; ``None`` to choose. It does not change the
            result beyond rounding.
        progress: Called after every batch.

    Returns:
        The report. ``interval`` is the delta method's over windows: that of the mean
        loss, exponentiated; over tokens if there is one window only.

    Raises:
        SpecError: A setting outside its range.
        DataError: Data missing, unreadable or too short.
        NumericalError: A loss that is not finite.
        MemoryShortageError: Memory does not suffice for one window.
    """
    started = time.perf_counter()
    length = prompt_length(loaded, seqlen, DEFAULT_SEQLEN)
    step = length if stride is None else stride
    if batch_size is not None:
        check_range("batch_size", batch_size, 1)
    windows = load_windows(
        data, loaded.tokenizer, seqlen=length, samples=limit, stride=step, exactly=False
    )
    check_vocabulary(loaded, windows.ids)
    device = next(loaded.module.parameters()).device
    total = len(windows.ids)

    def judge(chosen: int | None) -> _Losses:
        size = chosen or _batch_size(loaded, length, device)
        losses = _Losses()
        with torch.inference_mode(), in_batches_of(min(size, total)):
            for batch in torch.split(windows.ids, size):
                nll = token_losses(loaded.module, batch.to(device))  # (B, T-1)
                for window in nll:
                    counted = window if losses.windows == 0 else window[-step:]
                    losses.add(counted, loaded.source.model)
                so_far = f"perplexity {losses.perplexity():.2f} so far"
                report(progress, "evaluate", losses.windows, total, so_far)
        return losses

    losses = halving(judge, batch_size)
    return EvaluationReport(
        model=loaded.source.model,
        metric="perplexity",
        value=losses.perplexity(),
        count=losses.tokens,
        data=windows.info,
        protocol=_protocol(windows.info, length, step, losses.tokens),
        seconds=time.perf_counter() - started,
        interval=losses.interval(),
        loss=losses.mean(),
    )


def token_losses(module: nn.Module, ids: Tensor) -> Tensor:
    """Return the negative log-likelihood of every token but the first of each window.

    Args:
        module: A causal language model.
        ids: Token ids, int64, (B, T), on the model's device.

    Returns:
        Losses in nats, computed from float32 logits, float64, (B, T-1).
    """
    logits: Tensor = module(input_ids=ids, use_cache=False).logits[:, :-1]  # (B, T-1, V)
    targets = ids[:, 1:]
    # In pieces: a float32 copy of all logits of a large vocabulary would dwarf the model.
    pieces = [
        F.cross_entropy(part.float().transpose(1, 2), target, reduction="none")
        for part, target in zip(
            torch.split(logits, _POSITIONS_AT_ONCE, dim=1),
            torch.split(targets, _POSITIONS_AT_ONCE, dim=1),
            strict=True,
        )
    ]
    return torch.cat(pieces, dim=1).double()


class _Losses:
    """Sums over windows, in float64."""

    def __init__(self) -> None:
        self._sums: list[float] = []
        self._counts: list[int] = []
        self._squares = 0.0

    @property
    def windows(self) -> int:
        return len(self._sums)

    @property
    def tokens(self) -> int:
        return sum(self._counts)

    def add(self, losses: Tensor, model: str) -> None:
        total = float(losses.sum())
        if not math.isfinite(total):
            raise NumericalError(
                f"the loss of {model} on window {self.windows} is {total}",
                "Use --dtype float32 or bfloat16; if it persists, the weights are damaged",
            )
        self._sums.append(total)
        self._counts.append(losses.numel())
        self._squares += float(losses.square().sum())

    def mean(self) -> float:
        return math.fsum(self._sums) / self.tokens

    def perplexity(self) -> float:
        return exponential(self.mean())

    def interval(self) -> tuple[float, float]:
        mean = self.mean()
        if self.windows > 1:
            # A ratio of sums over windows: its variance comes from the windows' residuals.
            residuals = (
                (total - mean * count) ** 2
                for total, count in zip(self._sums, self._counts, strict=True)
            )
            scale = self.windows / (self.windows - 1)
            error = math.sqrt(scale * math.fsum(residuals)) / self.tokens
        else:
            variance = max(0.0, self._squares / self.tokens - mean**2)
            error = math.sqrt(variance / self.tokens)
        return exponential(mean - Z95 * error), exponential(mean + Z95 * error)


def exponential(loss: float) -> float:
    """Return the perplexity of a mean loss in nats.

    Raises:
        NumericalError: It is too large for a float.
    """
    try:
        return math.exp(loss)
    except OverflowError:
        raise NumericalError(
            f"a mean loss of {loss:.0f} nats has no finite perplexity",
            "The model is broken; prune less, or check its weights",
        ) from None


def check_vocabulary(loaded: LoadedModel, ids: Tensor) -> None:
    """Raise `DataError` if token ids lie outside the model's vocabulary."""
    embedding = getattr(loaded.module, "get_input_embeddings", lambda: None)()
    known = getattr(embedding, "num_embeddings", None)
    largest = int(ids.max())
    if known is not None and largest >= known:
        raise DataError(
            f"the tokenizer gives the id {largest}, and {loaded.source.model} knows {known} tokens",
            "The tokenizer does not belong to this model; load the one it was trained with",
        )


def _batch_size(loaded: LoadedModel, length: int, device: torch.device) -> int:
    vocabulary = getattr(getattr(loaded.module, "config", None), "vocab_size", None) or 2**16
    place = "cpu" if device.type == "cpu" else "cuda"
    by_logits = _LOGITS_BYTES[place] // (length * vocabulary * 4)
    return max(1, min(_TOKENS_AT_ONCE[place] // length, by_logits))


def _protocol(info: DataInfo, length: int, stride: int, tokens: int) -> str:
    if stride == length:
        rule = "every token but a window's first predicted"
    else:
        rule = f"the first window counts whole, later ones their last {stride} tokens"
    return (
        f"perplexity over {info.count} windows of {length} tokens, stride {stride}, {rule} "
        f"({tokens} tokens); {'; '.join(info.notes)}; tokenizer {info.tokenizer}; "
        f"{info.spec}, token ids SHA-256 {info.digest[:12]}"
    )
