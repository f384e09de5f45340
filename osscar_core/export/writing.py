"""From a model in memory to a folder with an ONNX file that was compared with it.

The decision hidden here: what the file's input and output are called, and what lies beside
it. The folder appears complete and compared, or not at all.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.errors import MissingDependencyError, OutputError
from osscar_core.evaluation.accuracy import class_logits
from osscar_core.export.comparing import compare_file
from osscar_core.export.items import Items, open_items
from osscar_core.export.readme import readme
from osscar_core.export.records import (
    FLOAT32,
    NO_CACHE,
    NO_PADDING,
    ONNX_FILE,
    ExportFormat,
    ExportReport,
)
from osscar_core.models import LoadedModel, check_output
from osscar_core.progress import Progress, report
from osscar_core.storage import FileDigest, whole_folder
from osscar_core.tracing import TRACE_ERRORS, batch_dimension, trace_reason, traceable

INPUTS = "inputs.json"
MOST_INSIDE = 2_000_000_000
"""Bytes of weights from which on they lie in a file of their own: ONNX itself ends at 2 GB."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_TRACED_TOKENS = 9


class Logits(nn.Module):
    """A network that maps items to float32 logits and gives nothing else."""

    def __init__(self, module: nn.Module, *, is_text: bool) -> None:
        super().__init__()
        self.module = module
        self.is_text = is_text

    def forward(self, items: Tensor) -> Tensor:
        """Return logits (B, C) of pixels (B, 3, S, S), or (B, T, V) of token ids (B, T)."""
        if self.is_text:
            return class_logits(self.module(input_ids=items, use_cache=False))
        return class_logits(self.module(items))


def export_onnx(
    loaded: LoadedModel,
    out: Path,
    *,
    data: str,
    limit: int | None = None,
    seqlen: int | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a model as ONNX and compare the file with it, read back in a fresh process.

    Images: ``pixels``, float32, normalised, (batch, 3, S, S), to ``logits`` (batch, classes).
    Text: ``input_ids``, int64, (batch, tokens), to ``logits`` (batch, tokens, vocabulary),
    without a cache.

    Args:
        loaded: The model; it stays as it is.
        out: Folder to make; it must not exist or be empty.
        data: What to compare on; see `osscar_core.datasets.parse_data_spec`.
        limit: Items at most; ``None`` for 500 images or 20 windows.
        seqlen: Tokens a window; ``None`` for the smaller of 1,024 and the model's limit.
        progress: Called after every batch.

    Raises:
        SpecError: A setting outside its range.
        DataError: Data missing, unreadable or too few.
        MissingDependencyError: A package that writes or reads ONNX is not there.
        OutputError: ``out`` is taken, or the model cannot be exported faithfully.
    """
    started = time.perf_counter()
    _check_packages()
    check_output(out)
    items = open_items(loaded, data, limit, seqlen)
    name = _name(loaded)
    tracing = (progress, "export", 0, 2 * len(items), f"{name} is traced")
    report(*tracing)
    module = Logits(traceable(loaded), is_text=loaded.task == "text").eval()
    with whole_folder(out) as folder:
        try:
            opset = write_onnx(module, items, folder / ONNX_FILE, name)
        except OutputError:
            # The exporter takes a stop for a failure of its own; who listens says it again.
            report(*tracing)
            raise
        found = compare_file(folder / ONNX_FILE, module, items, name, progress)
        notes = (*_notes(loaded), *_write_tokenizer(loaded, folder))
        inputs = json.dumps(items.settings, ensure_ascii=False, indent=1)
        (folder / INPUTS).write_text(inputs + "\n", encoding="utf8")
        text = readme(
            name, found, items, opset, has_tokenizer=(folder / "tokenizer.json").is_file()
        )
        (folder / "README.md").write_text(text, encoding="utf8")
        files = tuple(FileDigest.of(path, folder) for path in sorted(folder.iterdir()))
    return ExportReport(
        out=str(out),
        format=ExportFormat.ONNX,
        model=name,
        data=items.info,
        files=files,
        opset=opset,
        versions={"torch": torch.__version__, **_versions(), **found.versions},
        shapes=found.shapes,
        max_difference=found.max_difference,
        relative_difference=found.relative_difference,
        same=found.same,
        metric=found.metric,
        count=len(items),
        model_quality=found.model_quality,
        quality=found.quality,
        seconds=time.perf_counter() - started,
        notes=(*items.info.warnings, *notes),
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


def _name(loaded: LoadedModel) -> str:
    """Return the model's name; what is taken away tells no folder of this machine."""
    name = loaded.source.model
    return Path(name).name if Path(name).exists() else name


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"ONNX needs {', '.join(missing)}, which is not installed",
            "Run: pip install -r requirements.txt",
        )


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("onnx", "onnxscript")}


def _notes(loaded: LoadedModel) -> tuple[str, ...]:
    notes = (NO_CACHE, NO_PADDING) if loaded.task == "text" else ()
    if loaded.dtype != torch.float32:
        notes = (*notes, FLOAT32)
    return notes


def _write_tokenizer(loaded: LoadedModel, folder: Path) -> tuple[str, ...]:
    if loaded.task == "image":
        return ()
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ("the tokenizer has no tokenizer.json; the file reads token ids only",)
    backend.save(str(folder / "tokenizer.json"))
    return ()
