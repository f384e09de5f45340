"""Whether a file that was written gives what the model gives, in a process of its own.

The decision hidden here: what counts as the same. Outputs may differ by a share of the
largest one, predictions on a thousandth of the items, and perplexity by a thousandth.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from osscar_core.errors import NumericalError, OutputError
from osscar_core.evaluation.perplexity import exponential
from osscar_core.export import decoding, replay
from osscar_core.export.items import Items
from osscar_core.export.onnx_graph import Logits
from osscar_core.export.records import Written
from osscar_core.progress import Progress, report
from osscar_core.tracing import TOLERANCE, differences

_DIFFERENT = 0.001
_STAGE = "export"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model makes of the items.

    Attributes:
        logits: Its outputs on the batches that are compared in full.
        best: The likeliest class of each image, (N,), or next token, (N, T).
        losses: Loss of every token but a window's first, (N, T-1); ``None`` for images.
    """

    logits: tuple[Tensor, ...]
    best: Tensor
    losses: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the file compares with the model; see `osscar_core.export.ExportReport`."""

    shapes: tuple[tuple[int, ...], ...]
    max_difference: float
    relative_difference: float
    same: float
    metric: Literal["top1", "perplexity"]
    model_quality: float
    quality: float
    versions: dict[str, str]
    written: Written | None = None


def compare_file(
    file: Path, module: Logits, items: Items, model: str, progress: Progress | None
) -> Comparison:
    """Read a file in a fresh process and compare it with the model it was written from.

    Args:
        file: The ONNX file.
        module: What was exported, on the CPU; it maps items to logits.
        items: What to compare on.
        model: The model's name, for messages.
        progress: Called after every batch.

    Raises:
        OutputError: The file cannot be run, or gives something else.
        NumericalError: The model's own outputs are not finite.
    """
    with tempfile.TemporaryDirectory(prefix=".compared.", dir=file.parent) as name:
        folder = Path(name)
        answers, labels = _asked(module, items, folder, model, progress)
        with torch.inference_mode():
            continued = decoding.continued(module, items, folder)
        _replay(file, folder, items, model, progress)
        replayed = _replayed(folder, len(answers.logits))
        versions = json.loads((folder / "replayed.json").read_bytes())
        _check_shapes(answers, replayed, model)
        found = _compared(answers, replayed, labels, items, versions)
        _judge(found, len(items), answers.best.numel(), model)
        if continued is None:
            return found
        return dataclasses.replace(found, written=decoding.judged(continued, folder, model))


def _asked(
    module: Logits, items: Items, folder: Path, model: str, progress: Progress | None
) -> tuple[Answers, Tensor | None]:
    """Ask the model, and leave in the folder what the file is to be asked."""
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
            report(progress, _STAGE, done, 2 * len(items), f"{model} in torch")
    stored.flush()
    answers = Answers(logits, torch.cat(best), torch.cat(losses) if losses else None)
    return answers, torch.cat(labels) if labels else None


def _losses(logits: Tensor, ids: Tensor) -> Tensor:
    pairs = zip(logits, ids, strict=True)
    each = [F.cross_entropy(one[:-1].double(), of[1:], reduction="none") for one, of in pairs]
    return torch.stack(each)


def _replay(file: Path, folder: Path, items: Items, model: str, progress: Progress | None) -> None:
    """Run the file on what is stored in the folder, without this project."""
    command = [sys.executable, "-P", replay.__file__, str(file), str(folder)]
    command += [str(items.at_once), str(torch.get_num_threads()), "CPUExecutionProvider"]
    with (folder / "errors.txt").open("w+", encoding="utf8", errors="replace") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            try:
                assert child.stdout is not None  # noqa: S101 - it is a pipe
                for line in child.stdout:
                    done = len(items) + int(line)
                    report(progress, _STAGE, done, 2 * len(items), f"{model} in onnxruntime")
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            errors.seek(0)
            lines = errors.read().strip().splitlines()
            reason = lines[-1][:300] if lines else f"it ended with {child.returncode}"
            raise OutputError(
                f"onnxruntime cannot run the exported {model} ({reason})",
                "Try other versions of torch and onnxruntime; the model itself is as it was",
            )


def _replayed(folder: Path, batches: int) -> Answers:
    logits = tuple(
        torch.from_numpy(np.load(folder / f"logits-{number}.npy")) for number in range(batches)
    )
    best = torch.from_numpy(np.load(folder / "best.npy"))
    losses = folder / "losses.npy"
    return Answers(logits, best, torch.from_numpy(np.load(losses)) if losses.is_file() else None)


def _check_shapes(one: Answers, two: Answers, model: str) -> None:
    pairs = zip((*one.logits, one.best), (*two.logits, two.best), strict=True)
    for wanted, found in pairs:
        if wanted.shape != found.shape:
            raise OutputError(
                f"the exported {model} gives outputs of shape {tuple(found.shape)}, "
                f"and the model {tuple(wanted.shape)}",
                "Nothing was kept. Try other versions of torch and onnxruntime",
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
        model_quality=_quality(one, labels),
        quality=_quality(two, labels),
        versions=versions,
    )


def _quality(answers: Answers, labels: Tensor | None) -> float:
    if labels is not None:
        return float((answers.best == labels).double().mean())
    assert answers.losses is not None  # noqa: S101 - text has losses
    mean = float(answers.losses.mean())
    return exponential(mean) if mean == mean else float("inf")


def _judge(found: Comparison, count: int, predictions: int, model: str) -> None:
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
            f"the exported {model}, read back, is not the model: on {count} items "
            f"{'; '.join(faults)}",
            "Nothing was kept. Try other versions of torch and onnxruntime",
        )
