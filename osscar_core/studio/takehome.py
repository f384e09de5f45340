"""What a run leaves to take away, as files whose content is vouched for.

The decision hidden here: what a download is held against. The worker notes the digest of
every file of the pruned model before it loads and measures it; a download is packed from
those files once, on disk, and only if they still are the same. No torch, no Streamlit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osscar_core.errors import OsscarError
from osscar_core.export.records import ExportFormat, ExportReport
from osscar_core.monitoring.records import KitReport
from osscar_core.records import EvaluationReport, from_dict, from_json
from osscar_core.storage import FileDigest, read_sealed
from osscar_core.studio.attempt import KIT, MODEL
from osscar_core.studio.database import StoreError
from osscar_core.studio.requests import JobKind
from osscar_core.studio.runs import Run, State

RECORD = "model.json"
"""File of a run's folder that tells what was measured, see `ModelRecord`."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"

MOST_BYTES = 1_500_000_000
"""Most that is handed to a browser; the server holds it in memory while it is sent."""

_MAIN = {
    ExportFormat.HF: ".safetensors",
    ExportFormat.ONNX: ".onnx",
    ExportFormat.TORCH: ".pt2",
    ExportFormat.GGUF: ".gguf",
}
_FENCED = re.compile(r"^```(\w*)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_CHUNK = 2**20
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The files of a pruned model from which it was loaded, and what it was worth then.

    Attributes:
        files: Digests, taken from the disk before the model was loaded from it.
        metric: Measure of quality.
        value: Quality of the model that was loaded from these files.
        count: On so many items.
    """

    files: tuple[FileDigest, ...]
    metric: str
    value: float
    count: int

    @property
    def weights(self) -> FileDigest | None:
        """The file of the weights, where there is just one."""
        return next((file for file in self.files if file.name == WEIGHTS), None)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)


def digests(folder: Path) -> tuple[FileDigest, ...]:
    """Return the digests of all files of a folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(FileDigest.of(path, folder) for path in paths)


def model_record(files: Sequence[FileDigest], quality: EvaluationReport) -> ModelRecord:
    """Return what is to be kept of a model that was loaded from these files and judged."""
    return ModelRecord(tuple(files), quality.metric, quality.value, quality.count)


def read_record(run: Run) -> ModelRecord | None:
    """Return what the worker noted of a run's model; ``None`` if it did not, or it is damaged."""
    try:
        return from_json(ModelRecord, read_sealed(run.folder / RECORD))
    except (OSError, OsscarError):
        return None


def kit_of(run: Run) -> KitReport | None:
    """Return what a finished run of the kind ``kit`` has packed."""
    if run.kind is not JobKind.KIT or run.status.state is not State.FINISHED:
        return None
    try:
        return from_json(KitReport, read_sealed(run.folder / "kit.json"))
    except (OSError, OsscarError):
        return None


def export_of(run: Run) -> ExportReport | None:
    """Return what a finished run of the kind ``export`` has written."""
    if run.kind is not JobKind.EXPORT or run.status.state is not State.FINISHED:
        return None
    try:
        values = json.loads(read_sealed(run.folder / "export.json"))
        # The first exports were all read by onnxruntime, and did not say so.
        return from_dict(ExportReport, {"needs": "onnxruntime", **values})
    except (OSError, TypeError, ValueError, OsscarError):
        return None


def main_file(report: ExportReport) -> FileDigest:
    """Return the file of an export that holds the model, or the largest part of it."""
    own = [file for file in report.files if file.name.endswith(_MAIN[report.format])]
    return max(own or report.files, key=lambda file: file.bytes)


def export_folder(run: Run, report: ExportReport) -> Path:
    """Return where an export lies."""
    return run.folder / report.format.value


def packed_as(run: Run, report: ExportReport) -> str:
    """Return the folder that an export unpacks to."""
    return f"{run.id}-{report.format}"


def snippets(run: Run, report: ExportReport) -> tuple[tuple[str, str], ...]:
    """Return the code with which an export's own README loads it, each after its language."""
    try:
        text = (export_folder(run, report) / "README.md").read_text(encoding="utf8")
    except (OSError, ValueError):
        return ()
    # It says the same in two languages, with the same code.
    return tuple(dict.fromkeys(_FENCED.findall(text)))


def pack_model(run: Run) -> Path:
    """Return the zip of a run's pruned model, packed at the first time.

    Raises:
        StoreError: A file is not the one that was measured, or cannot be read.
    """
    record = read_record(run)
    folder = run.folder / MODEL
    return _pack(folder, f"{run.id}-model", record.files if record else digests(folder))


def pack_kit(run: Run, report: KitReport) -> Path:
    """Return the zip of a monitoring kit, packed at the first time.

    Raises:
        StoreError: A file is not the one that was packed, or cannot be read.
    """
    # The manifest lists the others and cannot list itself.
    folder = run.folder / KIT
    files = [*report.files, FileDigest(MANIFEST, 0, report.manifest_sha256)]
    return _pack(folder, f"{run.id}-kit", files)


def pack_export(run: Run, report: ExportReport) -> Path:
    """Return the zip of an export, packed at the first time.

    Raises:
        StoreError: A file is not the one that was compared, or cannot be read.
    """
    return _pack(export_folder(run, report), packed_as(run, report), report.files)


def _pack(folder: Path, name: str, files: Sequence[FileDigest]) -> Path:
    """Pack files as they are, under one folder, hashing what goes in."""
    out = folder.with_suffix(".zip")
    if out.is_file():
        return out
    making = out.with_name(f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        # Weights hardly shrink; as they are, a large file is packed at the speed of the disk.
        with zipfile.ZipFile(making, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                _put(archive, folder / file.name, f"{name}/{file.name}", file)
        making.replace(out)
    except OSError as error:
        raise StoreError(
            f"the files cannot be packed ({error.strerror})", "Free some disk space and try again"
        ) from error
    finally:
        making.unlink(missing_ok=True)
    return out


def _put(archive: zipfile.ZipFile, path: Path, name: str, expected: FileDigest) -> None:
    sha256 = hashlib.sha256()
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.external_attr = 0o644 << 16
    with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
        while chunk := source.read(_CHUNK):
            sha256.update(chunk)
            target.write(chunk)
    if sha256.hexdigest() != expected.sha256:
        raise StoreError(
            f"{expected.name} is not the file that was measured",
            "It was changed or damaged since. Measure the point again",
        )
