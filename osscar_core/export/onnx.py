"""An ONNX file, with what a person needs to run it.

The decision hidden here: what lies beside the file, and what reads it back.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import torch

from osscar_core.errors import OutputError
from osscar_core.export import replay
from osscar_core.export.job import STAGE, Job, Reader, Written
from osscar_core.export.onnx_graph import write_onnx
from osscar_core.export.records import FLOAT32, ONNX_FILE
from osscar_core.models import LoadedModel
from osscar_core.progress import report

CPU = "CPUExecutionProvider"


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
    return Written(
        readers=(Reader("onnxruntime", Path(replay.__file__), (str(file), CPU)),),
        needs="onnxruntime",
        notes=(*_notes(job.loaded), *write_tokenizer(job.loaded, job.folder)),
        versions={name: importlib.metadata.version(name) for name in ("onnx", "onnxscript")},
        opset=opset,
    )


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    return () if loaded.dtype == torch.float32 else (FLOAT32,)


def write_tokenizer(loaded: LoadedModel, folder: Path) -> tuple[str, ...]:
    """Write ``tokenizer.json``, or return a note that there is none."""
    if loaded.task == "image":
        return ()
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ("the tokenizer has no tokenizer.json; the file reads token ids only",)
    backend.save(str(folder / "tokenizer.json"))
    return ()
