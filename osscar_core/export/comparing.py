"""Whether a file that was written gives what the model gives, in a process of its own.

The decision hidden here: what counts as the same. Outputs may differ by a share of the
largest one, predictions on a thousandth of the items, perplexity by a thousandth, and a
generated text only where the model itself was undecided.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from osscar_core.errors import NumericalError, OutputError
from osscar_core.evaluation.perplexity import exponential
from osscar_core.export.items import Items, Prompts
from osscar_core.export.job import STAGE, Job, Reader
from osscar_core.progress import Progress, report
from osscar_core.tracing import TOLERANCE, differences

_DIFFERENT = 0.001
_REMEDY = "Nothing was kept. Try other versions of torch and of what reads it"


@dataclass(frozen=True, slots=True)
class Continued:
    """How prompts go on, greedily.

    Attributes:
        ids: The new tokens of every prompt, (prompts, new).
        scores: Logits behind them, (new, prompts, V); ``None`` if they are not known.
        text: What its tokenizer makes of the first prompt; ``None`` if there is none.
        encoded: The tokens that it makes of the sample.
    """

    ids: Tensor
    scores: Tensor | None = None
    text: str | None = None
    encoded: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model makes of the items.

    Attributes:
        logits: Its outputs on the batches that are compared in full.
        best: The likeliest class of each image, (N,), or next token, (N, T).
        losses: Loss of every token but a window's first, (N, T-1); ``None`` for images.
        continued: How it continues the prompts; ``None`` if it was not asked.
    """

    logits: tuple[Tensor, ...]
    best: Tensor
    losses: Tensor | None = None
    continued: Continued | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How what was read back compares with the model; see `osscar_core.export.ExportReport`."""

    shapes: tuple[tuple[int, ...], ...]
    max_difference: float
    relative_difference: float
    same: float
    metric: Literal["top1", "perplexity"]
    model_quality: float
    quality: float
    versions: dict[str, str]
    continued: int | None = None


def compare_files(job: Job, readers: Sequence[Reader]) -> Comparison:
    """Read what was written in fresh processes and compare it with the model.

    Args:
        job: The export.
        readers: Programs that read it; the answer is that of the one that is furthest off.

    Raises:
        OutputError: It cannot be read, or gives something else.
        NumericalError: The model's own outputs are not finite.
    """
    total = (1 + len(readers)) * len(job.items)
    found = []
    with tempfile.TemporaryDirectory(prefix=".compared.", dir=job.folder.parent) as name:
        folder = Path(name)
        answers, labels = _asked(job, folder, total)
        for number, reader in enumerate(readers, 1):
            before = number * len(job.items)
            run_reader(reader, folder, job.items, job.name, job.progress, before, total)
            replayed = replayed_answers(folder, len(answers.logits))
            versions = json.loads((folder / "replayed.json").read_bytes())
            _check_shapes(answers, replayed, job.name)
            one = _compared(answers, replayed, labels, job.items, versions)
            if reader.is_exact:
                _judge(one, len(job.items), answers.best.numel(), job.name, reader.name)
            elif not math.isfinite(one.quality):
                raise OutputError(
                    f"the exported {job.name}, read back by {reader.name}, has a {one.metric} of "
                    f"{one.quality}",
                    "Eight bits are not enough for this model; export it without --int8",
                )
            _check_continued(answers.continued, replayed.continued, job.name, reader)
            found.append(one)
    worst = max(found, key=lambda one: one.relative_difference)
    merged = {name: version for one in found for name, version in one.versions.items()}
    count = None if job.items.prompts is None else len(job.items.prompts.ids)
    is_compared = answers.continued is not None and all(one.is_exact for one in readers)
    return Comparison(
        shapes=worst.shapes,
        max_difference=worst.max_difference,
        relative_difference=worst.relative_difference,
        same=min(one.same for one in found),
        metric=worst.metric,
        model_quality=worst.model_quality,
        quality=worst.quality,
        versions=merged,
        continued=count if is_compared else None,
    )


def quality_of(module: nn.Module, items: Items) -> float:
    """Return the quality of a network on items: a share of classes, or the perplexity.

    Args:
        module: It maps items to logits, on the CPU.
        items: The items.
    """
    best, losses, labels = [], [], []
    with torch.inference_mode():
        for batch, truth in items.batches():
            found = module(batch)
            best.append(found.argmax(-1))
            if truth is None:
                losses.append(_losses(found, batch))
            else:
                labels.append(truth)
    answers = Answers((), torch.cat(best), torch.cat(losses) if losses else None)
    return quality_from(answers, torch.cat(labels) if labels else None)


def _asked(job: Job, folder: Path, total: int) -> tuple[Answers, Tensor | None]:
    """Ask the model, and leave in the folder what the file is to be asked."""
    module, items, model = job.module, job.items, job.name
    compared = items.compared()
    kind = np.int64 if items.ids is not None else np.float32
    stored = np.lib.format.open_memmap(
        folder / "items.npy", mode="w+", dtype=kind, shape=items.shape
    )
    best, losses, labels = [], [], []
    done = 0
    with torch.inference_mode():
        for number, batch in enumerate(compared):
            np.save(folder / f"batch-{number}.npy", batch.numpy())
        logits = tuple(module(batch) for batch in compared)
        for batch, truth in items.batches():
            stored[done : done + len(batch)] = batch.numpy()
            found = module(batch)
            if not bool(found.isfinite().all()):
                raise NumericalError(
                    f"{model} gives outputs that are not finite on items {done} to "
                    f"{done + len(batch) - 1}",
                    "Look at these items, and at the model's weights",
                )
            best.append(found.argmax(-1))
            if truth is None:
                losses.append(_losses(found, batch))
            else:
                labels.append(truth)
            done += len(batch)
            report(job.progress, STAGE, done, total, f"{model} in torch")
        continued = None
        if items.prompts is not None:
            (folder / "prompts.json").write_text(items.prompts.json(), encoding="utf8")
            continued = continue_prompts(module.module, items.prompts)
    stored.flush()
    answers = Answers(logits, torch.cat(best), torch.cat(losses) if losses else None, continued)
    return answers, torch.cat(labels) if labels else None


def continue_prompts(module: Any, prompts: Prompts) -> Continued:
    """Return how a causal language model of `transformers` continues prompts, greedily.

    Args:
        module: The model, on the CPU.
        prompts: They are padded on the left and read as one batch.
    """
    ids, mask = prompts.padded()
    made = module.generate(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask),
        pad_token_id=prompts.pad,
        eos_token_id=prompts.pad,
        do_sample=False,
        num_beams=1,
        min_new_tokens=prompts.new,
        max_new_tokens=prompts.new,
        return_dict_in_generate=True,
        output_logits=True,
    )
    new = made.sequences[:, len(ids[0]) :]
    return Continued(new, torch.stack(made.logits), prompts.text, prompts.encoded)


def _losses(logits: Tensor, ids: Tensor) -> Tensor:
    pairs = zip(logits, ids, strict=True)
    each = [F.cross_entropy(one[:-1].double(), of[1:], reduction="none") for one, of in pairs]
    return torch.stack(each)


def run_reader(
    reader: Reader,
    folder: Path,
    items: Items,
    model: str,
    progress: Progress | None,
    before: int,
    total: int,
) -> None:
    """Run a reader on what is stored in the folder, without this project.

    Args:
        reader: The program.
        folder: Where the items are, and where it leaves its answers.
        items: The items.
        model: The model's name, for messages.
        progress: Called after every line that it prints.
        before: Steps done before it.
        total: Steps of the whole.

    Raises:
        OutputError: It failed.
    """
    for old in ("best.npy", "losses.npy", "continued.json", "replayed.json"):
        (folder / old).unlink(missing_ok=True)
    # -B: what it imports from the exported folder leaves nothing compiled there.
    command = [sys.executable, "-P", "-B", str(reader.program), *reader.arguments, str(folder)]
    command += [str(items.at_once), str(torch.get_num_threads())]
    with (folder / "errors.txt").open("w+", encoding="utf8", errors="replace") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            try:
                assert child.stdout is not None  # noqa: S101 - it is a pipe
                for line in child.stdout:
                    done = before + int(line)
                    report(progress, STAGE, done, total, f"{model} in {reader.name}")
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            errors.seek(0)
            lines = errors.read().strip().splitlines()
            reason = lines[-1][:300] if lines else f"it ended with {child.returncode}"
            raise OutputError(
                f"{reader.name} cannot run the exported {model} ({reason})",
                f"Try other versions of torch and {reader.name}; the model itself is as it was",
            )


def replayed_answers(folder: Path, batches: int) -> Answers:
    """Return what a reader left in the folder, for so many batches compared in full."""
    logits = tuple(
        torch.from_numpy(np.load(folder / f"logits-{number}.npy")) for number in range(batches)
    )
    best = torch.from_numpy(np.load(folder / "best.npy"))
    losses, words = folder / "losses.npy", folder / "continued.json"
    continued = None
    if words.is_file():
        told = json.loads(words.read_bytes())
        encoded = None if told.get("encoded") is None else tuple(told["encoded"])
        continued = Continued(torch.tensor(told["ids"]), text=told["text"], encoded=encoded)
    return Answers(
        logits, best, torch.from_numpy(np.load(losses)) if losses.is_file() else None, continued
    )


def _check_shapes(one: Answers, two: Answers, model: str) -> None:
    pairs = zip((*one.logits, one.best), (*two.logits, two.best), strict=True)
    for wanted, found in pairs:
        if wanted.shape != found.shape:
            raise OutputError(
                f"the exported {model} gives outputs of shape {tuple(found.shape)}, "
                f"and the model {tuple(wanted.shape)}",
                _REMEDY,
            )


def _compared(
    one: Answers, two: Answers, labels: Tensor | None, items: Items, versions: dict[str, str]
) -> Comparison:
    apart = [differences(a, b) for a, b in zip(one.logits, two.logits, strict=True)]
    return Comparison(
        shapes=tuple(tuple(batch.shape) for batch in items.compared()),
        max_difference=max(pair[0] for pair in apart),
        relative_difference=max(pair[1] for pair in apart),
        same=float((one.best == two.best).double().mean()),
        metric="perplexity" if labels is None else "top1",
        model_quality=quality_from(one, labels),
        quality=quality_from(two, labels),
        versions=versions,
    )


def quality_from(answers: Answers, labels: Tensor | None) -> float:
    """Return the share of labels met, or without labels the perplexity."""
    if labels is not None:
        return float((answers.best == labels).double().mean())
    assert answers.losses is not None  # noqa: S101 - text has losses
    mean = float(answers.losses.mean())
    return exponential(mean) if mean == mean else float("inf")


def _judge(found: Comparison, count: int, predictions: int, model: str, reader: str) -> None:
    """Raise `OutputError` unless the file gives what the model gives."""
    faults = []
    if not found.relative_difference <= TOLERANCE:
        faults.append(
            f"its outputs differ by {found.relative_difference:.1e} of the largest one, and at "
            f"most {TOLERANCE:.0e} is allowed"
        )
    # On a handful of items one near-tie may fall the other way.
    other = round((1 - found.same) * predictions)
    if other > max(1, _DIFFERENT * predictions):
        faults.append(f"{other} of {predictions} predictions differ")
    apart = abs(found.quality - found.model_quality)
    if found.metric == "perplexity" and not apart <= _DIFFERENT * found.model_quality:
        faults.append(f"its perplexity is {found.quality:.4f}, not {found.model_quality:.4f}")
    if faults:
        raise OutputError(
            f"the exported {model}, read back by {reader}, is not the model: on {count} items "
            f"{'; '.join(faults)}",
            _REMEDY,
        )


def _check_continued(
    wanted: Continued | None, found: Continued | None, model: str, reader: Reader
) -> None:
    """Raise `OutputError` if a prompt goes on in another way, unless the model was undecided."""
    if wanted is None:
        return
    if found is None:
        raise OutputError(
            f"the exported {model}, read back by {reader.name}, continues no prompt", _REMEDY
        )
    if found.text is not None and found.text != wanted.text:
        raise OutputError(
            f"the tokenizer of the exported {model} reads {found.text!r} where the model's "
            f"reads {wanted.text!r}",
            _REMEDY,
        )
    if reader.encodes and found.encoded is not None and found.encoded != wanted.encoded:
        raise OutputError(
            f"the tokenizer of the exported {model}, read back by {reader.name}, splits a text "
            f"into other tokens than the model's: {_apart(wanted.encoded or (), found.encoded)}",
            _REMEDY,
        )
    if not reader.is_exact:
        return
    assert wanted.scores is not None  # noqa: S101 - the model gave them
    for row, (ours, theirs) in enumerate(zip(wanted.ids, found.ids, strict=True)):
        apart = (ours != theirs).nonzero()
        if len(apart) == 0:
            continue
        step = int(apart[0])
        scores = wanted.scores[step, row]
        margin = float(scores[ours[step]] - scores[theirs[step]])
        if margin > TOLERANCE * float(scores.abs().max()):
            raise OutputError(
                f"the exported {model}, read back by {reader.name}, continues prompt {row} with "
                f"token "
                f"{int(theirs[step])} at step {step}, and the model with {int(ours[step])}",
                _REMEDY,
            )


def _apart(wanted: tuple[int, ...], found: tuple[int, ...]) -> str:
    pairs = enumerate(zip(wanted, found, strict=False))
    same = next((number for number, (ours, theirs) in pairs if ours != theirs), None)
    if same is None:
        return f"it makes {len(found)} of it, and the model's {len(wanted)}"
    return f"number {same} is {found[same]}, and the model's {wanted[same]}"
