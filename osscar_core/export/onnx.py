"""An ONNX file, with what a person needs to run it.

The decision hidden here: what lies beside the file, and what reads it back.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path

import torch

from osscar_core.datasets import ImageSet
from osscar_core.errors import DataError, OutputError
from osscar_core.export import replay
from osscar_core.export.contest import CPU, contest
from osscar_core.export.job import CONTEST_STAGE, STAGE, Job, Logits, Reader, Written
from osscar_core.export.onnx_graph import write_onnx
from osscar_core.export.onnx_int8 import INT8_FILE, calibration_images, write_int8
from osscar_core.export.records import (
    DENSE,
    FLOAT32,
    INT8,
    NO_TOKENIZER_FILE,
    ONNX_FILE,
    PRUNED,
    Contest,
)
from osscar_core.models import LoadedModel
from osscar_core.progress import in_stage, report


def write_onnx_files(job: Job) -> Written:
    """Write the file and, for text, its tokenizer.

    Raises:
        OutputError: The model cannot be written as ONNX.
    """
    file = job.folder / ONNX_FILE
    try:
        opset = write_onnx(job.module, job.items, file, job.name)
    except OutputError:
        # The exporter takes a stop for a failure of its own; who listens says it again.
        report(job.progress, STAGE, 0, 2 * len(job.items), f"{job.name} is traced")
        raise
    notes = (*_notes(job.loaded), *write_tokenizer(job.loaded, job.folder))
    if job.int8:
        write_int8(file, job.folder / INT8_FILE, _calibration(job))
    return Written(
        readers=(Reader("onnxruntime", Path(replay.__file__), (str(file), CPU)),),
        needs="onnxruntime",
        notes=notes,
        versions={name: importlib.metadata.version(name) for name in ("onnx", "onnxscript")},
        opset=opset,
    )


def measure_onnx(job: Job, dense: Logits | None) -> Contest | None:
    """Measure what was written against the dense model in the same form.

    Args:
        job: The export, its files written.
        dense: The network before it was pruned, like the job's own; ``None`` if it is not here.

    Returns:
        Size, quality and speed of dense and pruned, and with ``int8`` of both in eight bits;
        ``None`` where there is nothing to compare.

    Raises:
        OutputError: The dense model cannot be written as ONNX, or a file cannot be run.
    """
    if dense is None and not job.int8:
        return None
    own = {PRUNED if job.loaded.plan is not None else DENSE: job.folder / ONNX_FILE}
    with tempfile.TemporaryDirectory(prefix=".dense.", dir=job.folder.parent) as name:
        files = {}
        if dense is not None:
            files[DENSE] = Path(name) / ONNX_FILE
            write_onnx(dense, job.items, files[DENSE], f"{job.name}, dense")
        files |= own
        if job.int8 and dense is not None:
            files[f"{DENSE}, {INT8}"] = Path(name) / INT8_FILE
            write_int8(files[DENSE], files[f"{DENSE}, {INT8}"], _calibration(job))
        if job.int8:
            files[f"{next(iter(own))}, {INT8}"] = job.folder / INT8_FILE
        return contest(files, job.items, progress=in_stage(job.progress, CONTEST_STAGE))


def _calibration(job: Job) -> ImageSet | None:
    """Return images for the ranges of activations; text needs none."""
    if job.items.ids is not None:
        return None
    plan = job.loaded.plan
    data = job.items.info.spec if plan is None else plan.spec.calibration
    try:
        return calibration_images(job.loaded, data)
    except DataError:  # it went since; what the export is compared on is as good
        return calibration_images(job.loaded, job.items.info.spec)


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    return () if loaded.dtype == torch.float32 else (FLOAT32,)


def write_tokenizer(loaded: LoadedModel, folder: Path) -> tuple[str, ...]:
    """Write ``tokenizer.json``, or return a note that there is none."""
    if loaded.task == "image":
        return ()
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return (NO_TOKENIZER_FILE,)
    backend.save(str(folder / "tokenizer.json"))
    return ()
