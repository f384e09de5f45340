"""Which format suits which model, and why another does not. No torch.

The decision hidden here: what each format is for.
"""

from __future__ import annotations

import importlib.util

from osscar_core.errors import MissingDependencyError, SpecError
from osscar_core.export.records import ExportFormat
from osscar_core.records import Task

UNKNOWN_TO_TRANSFORMERS = "transformers has no configuration for this network; take torch or onnx"
TEXT_IS_HF = "a language model's PyTorch form is hf"
GGUF_IS_LLAMA = "GGUF is written for the Llama family only"

PACKAGES = {
    ExportFormat.HF: (),
    ExportFormat.ONNX: ("onnx", "onnxscript", "onnxruntime"),
    ExportFormat.TORCH: (),
    ExportFormat.GGUF: ("gguf",),
}


def why_not(kind: ExportFormat, task: Task, family: str) -> str | None:
    """Return why a model cannot be written in a format; ``None`` if it can.

    Args:
        kind: The format.
        task: The model's task.
        family: The model's family.
    """
    match kind:
        case ExportFormat.HF if task != "text":
            return UNKNOWN_TO_TRANSFORMERS
        case ExportFormat.TORCH if task != "image":
            return TEXT_IS_HF
        case ExportFormat.GGUF if family != "llama":
            return GGUF_IS_LLAMA
        case _:
            return None


IN_EIGHT_BITS = (ExportFormat.ONNX, ExportFormat.GGUF)
"""Formats that can hold weights of eight bits."""


def missing_packages(kind: ExportFormat) -> tuple[str, ...]:
    """Return the packages that a format needs and that are not installed here."""
    return tuple(name for name in PACKAGES[kind] if importlib.util.find_spec(name) is None)


def check_available(kind: ExportFormat, task: Task, family: str, *, int8: bool = False) -> None:
    """Check that a model can be written in a format here, in eight bits if so asked.

    Raises:
        SpecError: The format does not suit the model.
        MissingDependencyError: A package is missing.
    """
    reason = why_not(kind, task, family)
    if reason is not None:
        others = [one for one in ExportFormat if why_not(one, task, family) is None]
        raise SpecError(
            f"a model of the family {family} cannot be written as {kind}: {reason}",
            f"Choose from: {', '.join(others)}",
        )
    if int8 and kind not in IN_EIGHT_BITS:
        raise SpecError(
            f"{kind} is not written in eight bits",
            f"Use --int8 with {' or '.join(IN_EIGHT_BITS)}, or leave it out",
        )
    missing = missing_packages(kind)
    if missing:
        raise MissingDependencyError(
            f"{kind} needs {', '.join(missing)}, which is not installed",
            "Run: pip install -r requirements.txt",
        )
