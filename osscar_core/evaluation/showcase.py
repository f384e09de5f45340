"""What the dense and the pruned model say to the same input.

The decision hidden here: how much is looked at, and where a passage of text begins. Both
are bounded so that a showcase takes seconds: some hundred pictures, fewer if the models
are slow, and a handful of short passages that are continued together.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import torch
from PIL import Image
from torch import Tensor

from osscar_core.datasets.images import ImageSet, load_images
from osscar_core.datasets.text import load_windows
from osscar_core.errors import NumericalError, SpecError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.evaluation.perplexity import check_vocabulary, exponential, token_losses
from osscar_core.evaluation.size import prompt_length
from osscar_core.progress import Progress, report
from osscar_core.records import check_range
from osscar_core.showcase import (
    THUMBNAIL_CHARACTERS,
    THUMBNAIL_SIDE,
    Continuation,
    Fate,
    Guess,
    Passage,
    Picture,
    Showcase,
    choose_by_fate,
)

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

_STAGE = "showcase"
_ANSWERS = 3
_PICTURES = 256
_PICTURES_AT_ONCE = 32
# Slow models answer fewer pictures; the demo models answer all of them in a third of this.
_PATIENCE_SECONDS = 8.0
# Tiny pictures lose too much in a JPEG; at the last quality nothing is too large.
_LOSSLESS_SIDE = 32
_JPEG_QUALITIES = (88, 75, 60, 40, 20)

_WINDOWS = 64
_WINDOW_TOKENS = 256
_PROMPT_TOKENS = 48
_NEW_TOKENS = 40


def make_showcase(
    dense: LoadedModel,
    pruned: LoadedModel,
    data: str,
    *,
    seqlen: int | None = None,
    items: int = 6,
    seed: int = 0,
    progress: Progress | None = None,
) -> Showcase:
    """Show what two models make of the same pictures or texts.

    Pictures are chosen by what became of the answer, see `choose_by_fate`. Passages are
    cut at even distances from the first windows of the text, whatever the models say.

    Args:
        dense: The model before pruning.
        pruned: The model after it, of the same task.
        data: Data specification; of data with parts, the test part is used.
        seqlen: Most tokens of a window that a passage is cut from, for text; ``None`` for
            what the models allow.
        items: Most items to show.
        seed: 0 for the first pictures or windows, otherwise a random sample.
        progress: Called after every batch or token; may raise `Cancelled`.

    Raises:
        SpecError: A setting outside its range, or models that cannot be compared.
        DataError: Data missing, unreadable, mislabelled or too small.
        NumericalError: Outputs that are not finite.
    """
    check_range("items", items, 1)
    if dense.task != pruned.task:
        raise SpecError(
            f"{dense.source.model} reads {dense.task} and {pruned.source.model} {pruned.task}",
            "Show two models of the same task",
        )
    if dense.task == "text":
        return _show_text(dense, pruned, data, seqlen, items, seed, progress)
    return _show_pictures(dense, pruned, data, items, seed, progress)


def _show_pictures(
    dense: LoadedModel,
    pruned: LoadedModel,
    data: str,
    items: int,
    seed: int,
    progress: Progress | None,
) -> Showcase:
    preprocess = dense.preprocess
    classes = dense.source.classes
    images = load_images(
        data,
        preprocess,
        limit=_PICTURES,
        seed=seed,
        classes=classes,
        class_names=dense.source.class_names,
    )
    names = dense.source.class_names or images.class_names
    answers: list[tuple[list[Guess], list[Guess]]] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with torch.inference_mode():
        for pixels, _ in images.batches(_PICTURES_AT_ONCE):
            both = (_guesses(loaded, pixels, names) for loaded in (dense, pruned))
            answers.extend(zip(*both, strict=True))
            report(progress, _STAGE, len(answers), len(images), "both models on the same pictures")
            if time.monotonic() > deadline:
                break
    labels = images.labels.tolist()
    fates = [
        Fate.of(labels[position], before[0].label, after[0].label)
        for position, (before, after) in enumerate(answers)
    ]
    pictures = []
    for position in choose_by_fate(fates, items):
        image, media = _thumbnail(images, position)
        before, after = answers[position]
        label = labels[position]
        pictures.append(
            Picture(position, image, media, label, _name(names, label), tuple(before), tuple(after))
        )
    return Showcase(
        task="image",
        data=data,
        seen=len(answers),
        seed=seed,
        fates={kind.value: fates.count(kind) for kind in Fate},
        pictures=tuple(pictures),
    )


def _guesses(loaded: LoadedModel, pixels: Tensor, names: Sequence[str] | None) -> list[list[Guess]]:
    """Return the best answers to every picture of a batch, the best first."""
    parameter = next(loaded.module.parameters())
    logits = class_logits(loaded.module(pixels.to(parameter.device, parameter.dtype)))  # (B, C)
    if not bool(logits.isfinite().all()):
        raise _not_finite(loaded)
    best = logits.softmax(dim=1).topk(min(_ANSWERS, logits.shape[1]))  # (B, 3), best first
    return [
        [Guess(label, _name(names, label), share) for label, share in zip(*row, strict=True)]
        for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _name(names: Sequence[str] | None, label: int) -> str:
    return names[label] if names is not None and label < len(names) else ""


def _thumbnail(images: ImageSet, position: int) -> tuple[str, Literal["image/jpeg", "image/png"]]:
    """Return what the network reads, at most `THUMBNAIL_SIDE` wide, as base64 of a small file."""
    image = Image.fromarray(images.pixels(position).permute(1, 2, 0).numpy())  # (S, S, 3)
    if max(image.size) <= _LOSSLESS_SIDE:
        return _encoded(image, "PNG"), "image/png"
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    texts = (_encoded(image, "JPEG", quality=quality) for quality in _JPEG_QUALITIES)
    return next(text for text in texts if len(text) <= THUMBNAIL_CHARACTERS), "image/jpeg"


def _encoded(image: Image.Image, kind: str, **options: int) -> str:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _show_text(
    dense: LoadedModel,
    pruned: LoadedModel,
    data: str,
    seqlen: int | None,
    items: int,
    seed: int,
    progress: Progress | None,
) -> Showcase:
    length = min(prompt_length(model, seqlen, _WINDOW_TOKENS) for model in (dense, pruned))
    length = min(length, _WINDOW_TOKENS)
    new = min(_NEW_TOKENS, length // 3)
    old = min(_PROMPT_TOKENS, length - 2 * new)
    tokenizer = dense.tokenizer
    windows = load_windows(
        data, tokenizer, seqlen=length, samples=_WINDOWS, seed=seed, exactly=False
    )
    check_vocabulary(dense, windows.ids)
    step = max(1, len(windows.ids) // items)
    chosen = windows.ids[::step][:items]  # (n, length)
    starts = [_beginning(window.tolist(), length - old - new, tokenizer) for window in chosen]
    ids = torch.stack(
        [window[at : at + old + new] for window, at in zip(chosen, starts, strict=True)]
    )  # (n, old + new)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        report(progress, _STAGE, done, 2 * new, "both models continue the same texts")

    with torch.inference_mode():
        answers = [_continue(model, ids[:, :old], new, tick) for model in (dense, pruned)]
        perplexities = [_perplexities(model, ids) for model in (dense, pruned)]
    passages = [
        _passage(
            tokenizer,
            ids[row].tolist(),
            old,
            (answers[0][row].tolist(), answers[1][row].tolist()),
            (perplexities[0][row], perplexities[1][row]),
        )
        for row in range(len(ids))
    ]
    return Showcase(
        task="text", data=data, seen=len(windows.ids), seed=seed, passages=tuple(passages)
    )


def _beginning(ids: Sequence[int], slack: int, tokenizer: Any) -> int:
    """Return where in a window to begin: at a document, a line, a word, or at once.

    Args:
        ids: The window.
        slack: Last possible place.
        tokenizer: Theirs.
    """
    eos = tokenizer.eos_token_id
    texts = [tokenizer.decode([token]) for token in ids[: slack + 1]]
    visible = [at for at in range(slack + 1) if texts[at].strip()]
    after_end = [at for at in visible if at and ids[at - 1] == eos]
    after_line = [at for at in visible if at and texts[at - 1].endswith("\n")]
    at_word = [
        at for at in visible if texts[at][0].isspace() or (at and texts[at - 1][-1:].isspace())
    ]
    return next(iter([*after_end, *after_line, *at_word]), 0)


def _continue(loaded: LoadedModel, prompts: Tensor, count: int, tick: Callable[[], None]) -> Tensor:
    """Return the likeliest further tokens one by one, int64, (n, count)."""
    device = next(loaded.module.parameters()).device
    fed, cache = prompts.to(device), None
    found: list[Tensor] = []
    for _ in range(count):
        output = loaded.module(input_ids=fed, past_key_values=cache, use_cache=True)
        logits = output.logits[:, -1].float()  # (n, V)
        if not bool(logits.isfinite().all()):
            raise _not_finite(loaded)
        fed, cache = logits.argmax(dim=1, keepdim=True), output.past_key_values
        found.append(fed.cpu())
        tick()
    return torch.cat(found, dim=1)


def _perplexities(loaded: LoadedModel, ids: Tensor) -> list[float]:
    losses = token_losses(loaded.module, ids.to(next(loaded.module.parameters()).device))
    if not bool(losses.isfinite().all()):
        raise _not_finite(loaded)
    return [exponential(loss) for loss in losses.mean(dim=1).tolist()]


def _passage(
    tokenizer: Any,
    ids: list[int],
    old: int,
    answers: tuple[list[int], list[int]],
    perplexities: tuple[float, float],
) -> Passage:
    prompt = ids[:old]
    dense, pruned = (_continuation(tokenizer, prompt, answer) for answer in answers)
    return Passage(
        prompt=_decode(tokenizer, prompt),
        truth=_continuation(tokenizer, prompt, ids[old:]),
        dense=dense,
        pruned=pruned,
        differs_at=_parting(tokenizer, prompt, answers, dense.text, pruned.text),
        dense_perplexity=perplexities[0],
        pruned_perplexity=perplexities[1],
        tokens=len(ids) - 1,
    )


def _continuation(tokenizer: Any, prompt: list[int], ids: list[int]) -> Continuation:
    """Return the words of the tokens after a prompt, up to the end of the text."""
    eos = tokenizer.eos_token_id
    is_over = eos in ids
    return Continuation(_after(tokenizer, prompt, _until(ids, eos)), is_over)


def _until(ids: list[int], eos: int | None) -> list[int]:
    return ids[: ids.index(eos)] if eos in ids else ids


def _after(tokenizer: Any, prompt: list[int], ids: list[int]) -> str:
    """Return what tokens add to a prompt; alone they might lose the space before them."""
    before = _decode(tokenizer, prompt)
    return _decode(tokenizer, [*prompt, *ids]).removeprefix(before)


def _decode(tokenizer: Any, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def _parting(
    tokenizer: Any,
    prompt: list[int],
    answers: tuple[list[int], list[int]],
    dense: str,
    pruned: str,
) -> int | None:
    """Return how many characters two continuations share, counted in whole tokens."""
    if dense == pruned:
        return None
    first, second = (_until(answer, tokenizer.eos_token_id) for answer in answers)
    pairs = zip(first, second, strict=False)
    shared = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
    words = _after(tokenizer, prompt, first[:shared])
    # A token may end within a character, so the words shared may be fewer than decoded.
    most = min(len(words), len(dense), len(pruned))
    triples = zip(words, dense, pruned, strict=False)
    return next((i for i, three in enumerate(triples) if len(set(three)) > 1), most)


def _not_finite(loaded: LoadedModel) -> NumericalError:
    return NumericalError(
        f"{loaded.source.model} gives outputs that are not finite",
        "Use --dtype float32; if it persists, the weights are damaged",
    )
