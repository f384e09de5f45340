"""An ONNX file, with what a person needs to run it.

The decision hidden here: what the file's input and output are called, and what lies beside it.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from osscar_core.errors import OutputError
from osscar_core.export import replay
from osscar_core.export.items import Items
from osscar_core.export.job import STAGE, Job, Reader, Written
from osscar_core.export.records import (
    FLOAT32,
    NO_CACHE,
    NO_PADDING,
    NO_TOKENIZER_FILE,
    ONNX_FILE,
)
from osscar_core.models import LoadedModel
from osscar_core.progress import report
from osscar_core.tracing import TRACE_ERRORS, batch_dimension, trace_reason

MOST_INSIDE = 2_000_000_000
"""Bytes of weights from which on they lie in a file of their own: ONNX itself ends at 2 GB."""

_TRACED_TOKENS = 9


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
        readers=(Reader("onnxruntime", Path(replay.__file__), (str(file),)),),
        needs="onnxruntime",
        notes=(*_notes(job.loaded), *write_tokenizer(job.loaded, job.folder)),
        versions={name: importlib.metadata.version(name) for name in ("onnx", "onnxscript")},
        opset=opset,
    )


def write_onnx(module: nn.Module, items: Items, file: Path, name: str) -> int:
    """Write a network for batches of any size, and texts of any length; return the opset.

    Raises:
        OutputError: torch cannot follow the network, or say it in ONNX.
    """
    is_text = items.ids is not None
    sample = items.compared()[1]
    dimensions: dict[int, Any] = {0: batch_dimension()}
    if items.ids is not None:
        # Lengths that no other dimension has, so that the tracer cannot mix them up.
        sample = items.ids[:3, : min(_TRACED_TOKENS, items.ids.shape[1])]
        limit = items.settings["max_tokens"]
        dimensions[1] = torch.export.Dim("tokens", min=2, max=limit)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (sample,),
                input_names=["input_ids" if is_text else "pixels"],
                output_names=["logits"],
                dynamic_shapes=(dimensions,),
                dynamo=True,
                verbose=False,
            )
    except TRACE_ERRORS as error:
        raise OutputError(
            f"{name} cannot be written as ONNX ({trace_reason(error)})",
            "Take the model's own directory instead, or try another version of torch",
        ) from error
    size = sum(each.numel() * each.element_size() for each in module.parameters())
    program.save(file, external_data=size > MOST_INSIDE)  # type: ignore[union-attr]
    return int(program.model.opset_imports[""])  # type: ignore[union-attr]


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    notes = (NO_CACHE, NO_PADDING) if loaded.task == "text" else ()
    if loaded.dtype != torch.float32:
        notes = (*notes, FLOAT32)
    return notes


def write_tokenizer(loaded: LoadedModel, folder: Path) -> tuple[str, ...]:
    """Write ``tokenizer.json``, or return a note that there is none."""
    if loaded.task == "image":
        return ()
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return (NO_TOKENIZER_FILE,)
    backend.save(str(folder / "tokenizer.json"))
    return ()
