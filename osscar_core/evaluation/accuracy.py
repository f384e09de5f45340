"""Accuracy of an image classifier.

The decision hidden here: what counts as a hit and how sure the share of hits is.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from osscar_core.datasets.images import load_images
from osscar_core.errors import NumericalError
from osscar_core.evaluation.perplexity import Z95
from osscar_core.progress import Progress, report
from osscar_core.records import EvaluationReport, check_range
from osscar_core.shortage import halving, in_batches_of

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

TOP = 5
_CLASSES_FOR_TOP5 = 10
_MAX_IMAGES = {"cpu": 64, "cuda": 256}
_MAX_PIXELS = {"cpu": 2**21, "cuda": 2**24}


def evaluate_images(
    loaded: LoadedModel,
    data: str,
    *,
    limit: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure top-1 accuracy, and top-5 where there are ten classes or more.

    Args:
        loaded: An image classifier.
        data: Data specification; see `osscar_core.datasets.parse_data_spec`.
        limit: Use the first so many images at most; ``None`` for all.
        batch_size: Images a forward pass; ``None`` to choose.
        progress: Called after every batch.

    Returns:
        The report, with Wilson's interval.

    Raises:
        SpecError: A setting outside its range, or a model without preprocessing.
        DataError: Data missing, unreadable or mislabelled.
        NumericalError: Outputs that are not finite.
        MemoryShortageError: Memory does not suffice for one image.
    """
    started = time.perf_counter()
    if batch_size is not None:
        check_range("batch_size", batch_size, 1)
    preprocess = loaded.preprocess
    images = load_images(
        data,
        preprocess,
        limit=limit,
        classes=loaded.source.classes,
        class_names=loaded.source.class_names,
    )
    parameter = next(loaded.module.parameters())
    place = "cpu" if parameter.device.type == "cpu" else "cuda"
    by_pixels = _MAX_PIXELS[place] // preprocess.size**2
    usual = max(1, min(_MAX_IMAGES[place], by_pixels))

    def judge(chosen: int | None) -> tuple[int, int, int, float, int]:
        size = chosen or usual
        done = hits = hits5 = 0
        loss = 0.0
        classes = 0
        with torch.inference_mode(), in_batches_of(min(size, len(images))):
            for pixels, labels in images.batches(size):
                logits = class_logits(loaded.module(pixels.to(parameter.device, parameter.dtype)))
                if not bool(logits.isfinite().all()):
                    raise NumericalError(
                        f"{loaded.source.model} gives outputs that are not finite "
                        f"on images {done} to {done + len(labels) - 1}",
                        "Use --dtype float32; if it persists, the weights are damaged",
                    )
                classes = logits.shape[1]
                labels = labels.to(logits.device)
                best = logits.topk(min(TOP, classes)).indices  # (B, 5), best first
                matches = best == labels[:, None]
                hits += int(matches[:, 0].sum())
                hits5 += int(matches.sum())
                loss += float(F.cross_entropy(logits, labels, reduction="none").double().sum())
                done += len(labels)
                report(progress, "evaluate", done, len(images), f"top-1 {hits / done:.1%} so far")
        return done, hits, hits5, loss, classes

    done, hits, hits5, loss, classes = halving(judge, batch_size)
    read_as = (images.info.spec, *images.info.notes, *images.info.warnings)
    return EvaluationReport(
        model=loaded.source.model,
        metric="top1",
        value=hits / done,
        count=done,
        data=images.info,
        protocol=(
            f"top-1 accuracy over {done} of {images.info.available} images, {classes} classes; "
            f"{preprocess.describe()}; {'; '.join(read_as)}; "
            f"images and labels SHA-256 {images.info.digest[:12]}"
        ),
        seconds=time.perf_counter() - started,
        interval=wilson_interval(hits, done),
        loss=loss / done,
        top5=hits5 / done if classes >= _CLASSES_FOR_TOP5 else None,
    )


def class_logits(output: Any) -> Tensor:
    """Return a classifier's logits as float32, (B, classes), however it wraps them."""
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits.float()


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95% score interval of a share.

    Args:
        hits: Successes, at most ``count``.
        count: Trials, at least 1.

    Reference:
        E. B. Wilson, "Probable inference, the law of succession, and statistical
        inference", Journal of the American Statistical Association 22 (1927).
    """
    share = hits / count
    spread = Z95**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
