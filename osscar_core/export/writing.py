"""From a model in memory to a folder that other programs load, compared before it is offered.

The decision hidden here: the order of the steps. A folder appears complete and compared, or
not at all; what it holds is the business of its format.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from osscar_core.export.availability import check_available
from osscar_core.export.card import Provenance, model_card
from osscar_core.export.comparing import compare_files, quality_of
from osscar_core.export.items import open_items
from osscar_core.export.job import STAGE, Job, Logits, Written
from osscar_core.export.onnx import measure_onnx
from osscar_core.export.records import NO_DENSE, ExportFormat, ExportReport
from osscar_core.models import LoadedModel, check_output
from osscar_core.progress import Progress, report
from osscar_core.storage import FileDigest, whole_folder
from osscar_core.tracing import traceable

INPUTS = "inputs.json"

_WRITERS = {
    ExportFormat.HF: ("osscar_core.export.huggingface", "write_hf"),
    ExportFormat.ONNX: ("osscar_core.export.onnx", "write_onnx_files"),
    ExportFormat.TORCH: ("osscar_core.export.vision", "write_torch"),
    ExportFormat.GGUF: ("osscar_core.export.llamacpp", "write_gguf"),
}


def export_model(
    loaded: LoadedModel,
    out: Path,
    kind: ExportFormat,
    *,
    data: str,
    limit: int | None = None,
    seqlen: int | None = None,
    dense: LoadedModel | None = None,
    int8: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a model for other programs, read it back in fresh processes and compare it.

    Args:
        loaded: The model; it stays as it is.
        out: Folder to make; it must not exist or be empty.
        kind: What to write; see `osscar_core.export.ExportFormat`.
        data: What to compare on; see `osscar_core.datasets.parse_data_spec`.
        limit: Items at most; ``None`` for 500 images or 20 windows.
        seqlen: Tokens a window; ``None`` for the smaller of 1,024 and the model's limit.
        dense: The model before it was pruned, to state its quality on the same items, and to
            measure an ONNX file against its own.
        int8: Whether weights of eight bits are written: beside the ONNX file, or instead of
            wider ones in a GGUF file.
        progress: Called after every batch.

    Raises:
        SpecError: A setting outside its range, or a format that does not suit the model.
        DataError: Data missing, unreadable or too few.
        MissingDependencyError: A package that writes or reads the format is not there.
        OutputError: ``out`` is taken, or the model cannot be exported faithfully.
    """
    started = time.perf_counter()
    check_available(kind, loaded.task, loaded.source.family, int8=int8)
    check_output(out)
    items = open_items(loaded, data, limit, seqlen)
    name = _name(loaded)
    report(progress, STAGE, 0, 2 * len(items), f"{name} is written")
    module = _network(loaded)
    with whole_folder(out) as folder:
        job = Job(loaded, module, items, name, folder, progress, int8)
        written = _writer(kind)(job)
        found = compare_files(job, written.readers)
        whole = None if dense is None else _network(dense)
        dense_quality = None if whole is None else quality_of(whole, items)
        contest = measure_onnx(job, whole) if kind is ExportFormat.ONNX else None
        provenance = Provenance.of(loaded, dense, found, items.info, dense_quality)
        if kind in (ExportFormat.ONNX, ExportFormat.TORCH):
            inputs = json.dumps(items.settings, ensure_ascii=False, indent=1)
            (folder / INPUTS).write_text(inputs + "\n", encoding="utf8")
        text = model_card(kind, job, written, found, provenance, contest)
        (folder / "README.md").write_text(text, encoding="utf8")
        provenance.write_plan(folder)
        files = tuple(FileDigest.of(path, folder) for path in sorted(folder.iterdir()))
    notes = (*items.info.warnings, *written.notes)
    if dense is None and loaded.plan is not None:
        notes = (*notes, NO_DENSE)
    return ExportReport(
        out=str(out),
        format=kind,
        model=name,
        needs=written.needs,
        data=items.info,
        files=files,
        versions={"torch": torch.__version__, **written.versions, **found.versions},
        shapes=found.shapes,
        max_difference=found.max_difference,
        relative_difference=found.relative_difference,
        same=found.same,
        metric=found.metric,
        count=len(items),
        model_quality=found.model_quality,
        quality=found.quality,
        seconds=time.perf_counter() - started,
        opset=written.opset,
        continued=found.continued,
        dense_quality=dense_quality,
        contest=contest,
        notes=notes,
    )


def _network(model: LoadedModel) -> Logits:
    return Logits(traceable(model), is_text=model.task == "text").eval()


def _writer(kind: ExportFormat) -> Callable[[Job], Written]:
    module, name = _WRITERS[kind]
    write: Callable[[Job], Written] = getattr(importlib.import_module(module), name)
    return write


def _name(loaded: LoadedModel) -> str:
    """Return the model's name; what is taken away tells no folder of this machine."""
    name = loaded.source.model
    return Path(name).name if Path(name).exists() else name
