"""What a model is worth: quality, speed and size.

The decision hidden here: which measure of quality belongs to which kind of model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osscar_core.datasets.spec import data_task, parse_data_spec, shown_spec
from osscar_core.errors import SpecError
from osscar_core.evaluation.accuracy import evaluate_images
from osscar_core.evaluation.latency_table import latency_table
from osscar_core.evaluation.memory import PeakMemory
from osscar_core.evaluation.perplexity import evaluate_text
from osscar_core.evaluation.showcase import make_showcase
from osscar_core.evaluation.size import count_flops, count_parameters
from osscar_core.evaluation.speed import compare, measure
from osscar_core.latencies import LatencyTable
from osscar_core.progress import Progress
from osscar_core.records import EvaluationReport, check_range

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

__all__ = [
    "LatencyTable",
    "PeakMemory",
    "compare",
    "count_flops",
    "count_parameters",
    "evaluate",
    "latency_table",
    "make_showcase",
    "measure",
]


def evaluate(
    loaded: LoadedModel,
    data: str,
    *,
    limit: int | None = None,
    seqlen: int | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure a model's quality: perplexity for text, top-1 accuracy for images.

    Args:
        loaded: The model, on the device where it is to run.
        data: Data specification; see `osscar_core.datasets.parse_data_spec`. Of data with
            parts, the test part is used.
        limit: Use the first so many items at most: windows of text, or images.
        seqlen: Tokens a window, for text; ``None`` for the smaller of 1,024 and the
            model's limit.
        stride: Tokens from one window's start to the next, for text; ``None`` for
            ``seqlen``: windows that do not overlap.
        batch_size: Items a forward pass; ``None`` to choose.
        progress: Called after every batch; may raise `osscar_core.errors.Cancelled`.

    Raises:
        SpecError: A setting outside its range, or data of another kind than the model's.
        DataError: Data missing, unreadable, mislabelled or too small.
        NumericalError: Outputs that are not finite.
    """
    if limit is not None:
        check_range("limit", limit, 1)
    task = data_task(parse_data_spec(data))
    if loaded.task == "text":
        if task == "image":
            raise SpecError(
                f"{loaded.source.model} reads text, and '{shown_spec(data)}' is images",
                "Use text:PATH, own:PATH, hf:wikitext2, demo:plant-log or demo:python-docs",
            )
        return evaluate_text(
            loaded,
            data,
            limit=limit,
            seqlen=seqlen,
            stride=stride,
            batch_size=batch_size,
            progress=progress,
        )
    if task == "text":
        raise SpecError(
            f"{loaded.source.model} reads images, and '{shown_spec(data)}' is text",
            "Use images:PATH, own:PATH, hf:cifar10 or demo:factory",
        )
    for name, value in (("seqlen", seqlen), ("stride", stride)):
        if value is not None:
            raise SpecError(
                f"{name} is set, and {loaded.source.model} reads images", f"Leave --{name} out"
            )
    return evaluate_images(loaded, data, limit=limit, batch_size=batch_size, progress=progress)
