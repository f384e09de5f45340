"""Dense and pruned model on the same items, against a margin fixed beforehand.

The decision hidden here: that both models see the same items in the same order, which is
asserted by digest, and which items are shown of those that changed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from osscar_core.checks.outcomes import ImageOutcomes, TextOutcomes, image_outcomes, text_outcomes
from osscar_core.checks.paired import FEWEST_FLIPS, RESAMPLES, PairedLabels, PairedText, judge
from osscar_core.checks.records import ABReport, Drift, Flip, Metric, check_margin
from osscar_core.checks.slices import judge_slices, make_slices
from osscar_core.datasets.documents import Documents, load_documents
from osscar_core.datasets.images import ImageSet, load_images
from osscar_core.datasets.mix import CLASS
from osscar_core.errors import DataError, SpecError
from osscar_core.evaluation.perplexity import DEFAULT_SEQLEN
from osscar_core.evaluation.size import prompt_length
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import DataInfo, check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

FLIPS_KEPT = 1_000
"""Items kept that were lost, and as many that were gained; the counts are of all."""

DRIFTS_KEPT = 20
"""Documents kept that got worst, and as many that got best."""

_BEGINNING = 160


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    margin: float
    columns: tuple[str, ...] | None
    limit: int | None
    level: float
    seed: int
    batch_size: int | None
    progress: Progress | None
    started: float


def check_ab(
    dense: LoadedModel,
    pruned: LoadedModel,
    data: str,
    *,
    margin: float,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    level: float = 0.95,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> ABReport:
    """Compare two models on the same items.

    Args:
        dense: The reference.
        pruned: The model compared with it, of the same task.
        data: Data specification; of data with parts, the test part is used. Pictures can
            be sliced by their class too, under the name `CLASS`.
        margin: The acceptable loss: 0.01 is one point of top-1 accuracy, or one percent of
            perplexity.
        columns: Attributes to slice by; ``None`` for all that can be.
        limit: Use the first so many items at most.
        level: Confidence of the intervals, in [0.5, 1).
        seed: Of the bootstrap.
        batch_size: Items a forward pass; ``None`` to choose.
        progress: Called after every batch; may raise `Cancelled`.

    Raises:
        SpecError: A setting outside its range, or models that cannot be compared.
        DataError: Data missing, unreadable, mislabelled or too small.
        NumericalError: Outputs that are not finite.
    """
    check_margin(margin)
    check_range("level", level, 0.5, 1.0, high_open=True)
    check_range("seed", seed, 0)
    _check_pair(dense, pruned)
    request = _Request(
        margin=margin,
        columns=None if columns is None else tuple(columns),
        limit=limit,
        level=level,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        started=time.perf_counter(),
    )
    compare = _compare_text if dense.task == "text" else _compare_images
    return compare(dense, pruned, data, request)


def _compare_images(
    dense: LoadedModel, pruned: LoadedModel, data: str, request: _Request
) -> ABReport:
    images = [_images(loaded, data, request.limit) for loaded in (dense, pruned)]
    _check_same(images[0].info.digest, images[1].info.digest, "read different pictures")
    names = dense.source.class_names or images[0].class_names
    attributes = _with_class(images[0], names)
    # Columns are looked at first: a wrong one is told before the models run.
    slices = make_slices(attributes, request.columns)
    before, after = (
        image_outcomes(
            loaded,
            part,
            batch_size=request.batch_size,
            progress=_half(request.progress, half),
        )
        for half, (loaded, part) in enumerate(zip((dense, pruned), images, strict=True))
    )
    paired = PairedLabels(before.is_right, after.is_right, request.seed)
    results, correction = judge_slices(paired, slices, request.margin, request.level)
    info = images[0].info
    return ABReport(
        dense=dense.source.model,
        pruned=pruned.source.model,
        metric="top1",
        margin=request.margin,
        level=request.level,
        data=info,
        overall=judge(paired, request.margin, request.level),
        slices=results,
        correction=correction,
        lost=paired.lost,
        gained=paired.gained,
        flips=_flips(images[0], names, before, after),
        drifts=(),
        protocol=_protocol("top1", info, f"{info.preprocess}", request),
        seed=request.seed,
        seconds=time.perf_counter() - request.started,
    )


def _compare_text(
    dense: LoadedModel, pruned: LoadedModel, data: str, request: _Request
) -> ABReport:
    documents = load_documents(data, limit=request.limit)
    slices = make_slices(documents.attributes, request.columns)
    context = min(prompt_length(loaded, None, DEFAULT_SEQLEN) for loaded in (dense, pruned))
    before, after = (
        text_outcomes(
            loaded,
            documents,
            context=context,
            batch_size=request.batch_size,
            progress=_half(request.progress, half),
        )
        for half, loaded in enumerate((dense, pruned))
    )
    _check_same(before.digest, after.digest, "cut the text into different tokens")
    seen = before.tokens > 0
    paired = PairedText(
        before.sums[seen], after.sums[seen], before.tokens[seen].astype(np.float64), request.seed
    )
    kept = dataclasses.replace(
        slices,
        labels={
            column: tuple(value for value, is_seen in zip(values, seen, strict=True) if is_seen)
            for column, values in slices.labels.items()
        },
    )
    results, correction = judge_slices(paired, kept, request.margin, request.level)
    info = _text_info(documents, before, dense)
    return ABReport(
        dense=dense.source.model,
        pruned=pruned.source.model,
        metric="perplexity",
        margin=request.margin,
        level=request.level,
        data=info,
        overall=judge(paired, request.margin, request.level),
        slices=results,
        correction=correction,
        lost=int((paired.differences > 0).sum()),
        gained=int((paired.differences < 0).sum()),
        flips=(),
        drifts=_drifts(documents, before, after, paired.differences),
        protocol=_protocol("perplexity", info, f"tokenizer {info.tokenizer}", request),
        seed=request.seed,
        seconds=time.perf_counter() - request.started,
    )


def _check_pair(dense: LoadedModel, pruned: LoadedModel) -> None:
    if dense.task != pruned.task:
        raise SpecError(
            f"{dense.source.model} reads {dense.task} and {pruned.source.model} {pruned.task}",
            "Compare two models of the same task",
        )
    known = dense.source.classes, pruned.source.classes
    if known[0] != known[1]:
        raise SpecError(
            f"{dense.source.model} knows {known[0]} classes and {pruned.source.model} {known[1]}",
            "Compare two models of the same classes",
        )


def _check_same(dense: str, pruned: str, problem: str) -> None:
    if dense != pruned:
        raise DataError(
            f"the two models {problem} (SHA-256 {dense[:12]} and {pruned[:12]})",
            "Leave the data as it is while it is compared, and use models of one origin",
        )


def _images(loaded: LoadedModel, data: str, limit: int | None) -> ImageSet:
    preprocess = loaded.preprocess
    return load_images(
        data,
        preprocess,
        limit=limit,
        classes=loaded.source.classes,
        class_names=loaded.source.class_names,
    )


def _with_class(images: ImageSet, names: Sequence[str] | None) -> list[dict[str, str | float]]:
    return [
        {CLASS: _class_name(names, label), **known}
        for label, known in zip(images.labels.tolist(), images.attributes(), strict=True)
    ]


def _class_name(names: Sequence[str] | None, label: int) -> str:
    return names[label] if names is not None and label < len(names) else str(label)


def _flips(
    images: ImageSet,
    names: Sequence[str] | None,
    before: ImageOutcomes,
    after: ImageOutcomes,
) -> tuple[Flip, ...]:
    """Return the first items that were lost, then the first that were gained."""
    lost = np.flatnonzero(before.is_right & ~after.is_right)[:FLIPS_KEPT].tolist()
    gained = np.flatnonzero(~before.is_right & after.is_right)[:FLIPS_KEPT].tolist()
    attributes = images.attributes()
    return tuple(
        Flip(
            position=place,
            name=images.name(place).strip("'"),
            is_lost=bool(before.is_right[place]),
            truth=_class_name(names, int(images.labels[place])),
            dense=_class_name(names, int(before.predicted[place])),
            pruned=_class_name(names, int(after.predicted[place])),
            dense_share=float(before.shares[place]),
            pruned_share=float(after.shares[place]),
            attributes=_shown(attributes[place]),
        )
        for place in (*lost, *gained)
    )


def _drifts(
    documents: Documents, before: TextOutcomes, after: TextOutcomes, differences: np.ndarray
) -> tuple[Drift, ...]:
    """Return the documents that got worst, then those that got best, by the mean loss."""
    places = np.flatnonzero(before.tokens)
    means = differences / before.tokens[places]
    order = np.argsort(-means, kind="stable")
    worst = [row for row in order[:DRIFTS_KEPT] if means[row] > 0]
    best = [row for row in order[::-1][:DRIFTS_KEPT] if means[row] < 0]
    return tuple(
        Drift(
            position=place,
            name=documents.names[place],
            is_lost=bool(means[row] > 0),
            beginning=_beginning(documents.texts[place]),
            tokens=int(before.tokens[place]),
            dense=float(before.sums[place] / before.tokens[place]),
            pruned=float(after.sums[place] / before.tokens[place]),
            attributes=_shown(documents.attributes[place]),
        )
        for row, place in ((row, int(places[row])) for row in (*worst, *best))
    )


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _BEGINNING else words[: _BEGINNING - 1].rstrip() + "…"


def _shown(attributes: dict[str, str | float]) -> dict[str, str]:
    return {
        name: f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in attributes.items()
    }


def _text_info(documents: Documents, seen: TextOutcomes, dense: LoadedModel) -> DataInfo:
    notes = [*documents.info.notes]
    if seen.cut:
        notes.append(
            f"{seen.cut} documents longer than {seen.context} tokens, cut into windows that "
            "share one token"
        )
    short = int((seen.tokens == 0).sum())
    if short:
        notes.append(f"{short} documents of one token left out")
    name = getattr(dense.tokenizer, "name_or_path", "") or type(dense.tokenizer).__name__
    return dataclasses.replace(
        documents.info,
        count=len(documents) - short,
        digest=seen.digest,
        seqlen=seen.context,
        tokenizer=str(name),
        notes=tuple(notes),
    )


def _protocol(metric: Metric, info: DataInfo, reading: str, request: _Request) -> str:
    if metric == "top1":
        measure = f"top-1 accuracy on {info.count} pictures"
        method = (
            f"McNemar's exact test; interval by the paired bootstrap ({RESAMPLES} resamples, "
            f"seed {request.seed}) from {FEWEST_FLIPS} flips on, by Tango's score below"
        )
    else:
        measure = (
            f"perplexity of {info.count} documents, every token but a document's first "
            "predicted once, weighted by tokens"
        )
        method = (
            f"test by flipping signs; interval by the studentised paired bootstrap over "
            f"documents ({RESAMPLES} resamples each, seed {request.seed})"
        )
    parts = (
        f"{measure}, both models on the same in the same order",
        f"margin {request.margin:g}, level {request.level:g}",
        method,
        reading,
        info.spec,
        *info.notes,
        *info.warnings,
        f"SHA-256 {info.digest[:12]}",
    )
    return "; ".join(parts)


def _half(progress: Progress | None, half: int) -> Progress | None:
    """Return what tells the progress of one of two models as part of the whole."""
    if progress is None:
        return None
    return lambda event: progress(
        ProgressEvent(event.stage, event.total * half + event.done, 2 * event.total, event.detail)
    )
