"""From a model in memory to a folder with an ONNX file that was compared with it.

The decision hidden here: what lies beside the file. The folder appears complete and
compared, or not at all.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import time
from pathlib import Path

import torch

from osscar_core.errors import MissingDependencyError, OutputError
from osscar_core.export.comparing import compare_file
from osscar_core.export.items import open_items
from osscar_core.export.onnx_graph import Logits, write_onnx
from osscar_core.export.readme import readme
from osscar_core.export.records import (
    FLOAT32,
    ONNX_FILE,
    ExportFormat,
    ExportReport,
)
from osscar_core.models import LoadedModel, check_output
from osscar_core.progress import Progress, report
from osscar_core.storage import FileDigest, whole_folder
from osscar_core.tracing import traceable

INPUTS = "inputs.json"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


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
    with a mask for padding and a cache; see `osscar_core.export.onnx_graph.write_onnx`.

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
        written=found.written,
    )


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
    return () if loaded.dtype == torch.float32 else (FLOAT32,)


def _write_tokenizer(loaded: LoadedModel, folder: Path) -> tuple[str, ...]:
    if loaded.task == "image":
        return ()
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ("the tokenizer has no tokenizer.json; the file reads token ids only",)
    backend.save(str(folder / "tokenizer.json"))
    return ()
