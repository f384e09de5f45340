"""Exports made up by hand, for tests of what is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from osscar_core.export import ExportFormat, ExportReport
from osscar_core.records import DataInfo, to_json
from osscar_core.studio import takehome
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from studio.samples import write_run

RUN = "20260101-000000-000000"
MADE = "20260304-000000-000000"

_README = """# small

```python
import {module}
```

It was read back.

---

```python
import {module}
```
"""


def export_request(home: Path, kind: ExportFormat = ExportFormat.ONNX) -> JobRequest:
    """Return the request for an export of the run `RUN`."""
    asked = RunStore(home).get(RUN).request
    check = CheckRequest(CheckKind.AB, RUN)
    return JobRequest(asked.spec, asked.data, kind=JobKind.EXPORT, check=check, format=kind)


def write_export(
    home: Path, kind: ExportFormat, run_id: str = MADE, **changes: object
) -> tuple[Path, ExportReport]:
    """Put a finished export of the run `RUN` into a workspace.

    Returns:
        The folder of its run, and its report.
    """
    file, module = {
        ExportFormat.HF: ("model.safetensors", "transformers"),
        ExportFormat.ONNX: ("model.onnx", "onnxruntime"),
        ExportFormat.TORCH: ("model.pt2", "torch"),
        ExportFormat.GGUF: ("model-f16.gguf", "llama_cpp"),
    }[kind]
    ended = Status(State.FINISHED, fraction=1.0, overall=1.0, seconds=21.0)
    run_folder = write_run(home, run_id, export_request(home, kind), None, ended)
    folder = run_folder / kind.value
    folder.mkdir()
    (folder / file).write_bytes(b"graph" * 300_000)
    (folder / "README.md").write_text(_README.format(module=module))
    (folder / "vocabulary.json").write_bytes(b"words" * 400_000)
    made = ExportReport(
        out="out",
        format=kind,
        model="small",
        needs=module,
        data=DataInfo("images:test", "image", 500, "ab"),
        files=takehome.digests(folder),
        versions={"torch": "2.14.1", module: "1.32.0"},
        shapes=((1, 3, 32, 32), (4, 3, 32, 32)),
        max_difference=2.06e-6,
        relative_difference=3.1e-7,
        same=0.998,
        metric="top1",
        count=500,
        model_quality=0.702,
        quality=0.704,
        seconds=21.0,
        opset=20 if kind is ExportFormat.ONNX else None,
    )
    made = dataclasses.replace(made, **changes)
    (run_folder / "export.json").write_text(to_json(made))
    return run_folder, made
