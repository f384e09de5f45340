"""Run an ONNX file on stored items: a program of its own, with onnxruntime and numpy alone.

The decision hidden here: nothing of this project is imported, so that what the file gives
is what it gives elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

_POSITIONS_AT_ONCE = 256


def main(arguments: Sequence[str]) -> int:
    """Answer all batches and items of a folder; one line on standard output is one step.

    Args:
        arguments: The ONNX file, the folder, items at once, and threads.
    """
    file, folder, at_once, threads = arguments[0], Path(arguments[1]), *map(int, arguments[2:4])
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def logits_of(items: Any) -> Any:
        return session.run(["logits"], {name: np.ascontiguousarray(items)})[0]

    for batch in sorted(folder.glob("batch-*.npy")):
        np.save(folder / batch.name.replace("batch", "logits"), logits_of(np.load(batch)))
    items = np.load(folder / "items.npy", mmap_mode="r")
    best, losses = [], []
    for start in range(0, len(items), at_once):
        part = items[start : start + at_once]
        logits = logits_of(part)
        best.append(logits.argmax(-1))
        if logits.ndim == 3:
            losses += [token_losses(each, ids) for each, ids in zip(logits, part, strict=True)]
        print(min(start + at_once, len(items)), flush=True)  # noqa: T201 - read by the parent
    np.save(folder / "best.npy", np.concatenate(best))
    if losses:
        np.save(folder / "losses.npy", np.stack(losses))
    (folder / "replayed.json").write_text(
        json.dumps({"onnxruntime": ort.__version__, "numpy": np.__version__}), encoding="utf8"
    )
    return 0


def token_losses(logits: Any, ids: Any) -> Any:
    """Return the loss in nats of every token but the first, float64, (T-1,).

    Args:
        logits: (T, V), float32.
        ids: (T,), int64.
    """
    found = []
    for start in range(0, len(ids) - 1, _POSITIONS_AT_ONCE):
        part = logits[start : min(start + _POSITIONS_AT_ONCE, len(ids) - 1)].astype(np.float64)
        target = ids[start + 1 : start + 1 + len(part)]
        top = part.max(-1)
        total = top + np.log(np.exp(part - top[:, None]).sum(-1))
        found.append(total - part[np.arange(len(part)), target])
    return np.concatenate(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
