"""Several ONNX files that do the same: how large, how good and how fast each is.

The decision hidden here: all are timed in one process that imports nothing of this project,
in turns on the same input, and judged on the same items.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from osscar_core.errors import SpecError
from osscar_core.evaluation.speed import device_name, ratio_of, summary_of
from osscar_core.export import race, replay
from osscar_core.export.comparing import quality_from, replayed_answers, run_reader
from osscar_core.export.items import Items
from osscar_core.export.job import Reader
from osscar_core.export.records import Contender, Contest, Timing
from osscar_core.progress import Progress

CPU = "CPUExecutionProvider"
PROMPT = 128
IMAGES = (1, 16)
SECONDS = 10.0
"""Time that a file's rounds may take."""


def contest(
    files: Mapping[str, Path],
    items: Items,
    *,
    provider: str = CPU,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Contest:
    """Measure files in onnxruntime: quality on items, and speed in turns.

    Images are timed one at a time and 16 at a time; text by the reading of a prompt of at
    most 128 tokens, and by one token after it, with the cache.

    Args:
        files: ONNX files of one task by name, the one that others are compared with first.
            All are held in memory at once.
        items: What quality is measured on.
        provider: Where onnxruntime runs them; ``CUDAExecutionProvider``, say, where the
            package for GPUs is installed.
        seconds: Time for the rounds of each file; ten rounds at least are run.
        progress: Called after every batch and round.

    Raises:
        SpecError: There is no file, or the provider is not here.
        OutputError: onnxruntime cannot run a file.
    """
    started = time.perf_counter()
    _check(files, provider)
    total = len(files) * len(items) + race.MOST_ROUNDS
    with tempfile.TemporaryDirectory(prefix="contest.") as name:
        folder = Path(name)
        labels = _store(items, folder)
        qualities = {}
        for number, (called, file) in enumerate(files.items()):
            reader = Reader("onnxruntime", Path(replay.__file__), (str(file), provider))
            before = number * len(items)
            run_reader(reader, folder, items, called, progress, before, total)
            qualities[called] = quality_from(replayed_answers(folder, 0), labels)
        settings = {
            "files": [(called, str(file)) for called, file in files.items()],
            "provider": provider,
            "sizes": _sizes(items),
            "seconds": seconds * len(files),
        }
        (folder / "race.json").write_text(json.dumps(settings), encoding="utf8")
        reader = Reader("onnxruntime", Path(race.__file__), ())
        before = len(files) * len(items)
        run_reader(reader, folder, items, " and ".join(files), progress, before, total)
        raced = json.loads((folder / "raced.json").read_bytes())
    first = next(iter(files))
    return Contest(
        contenders=tuple(
            Contender(
                called,
                _bytes(file),
                qualities[called],
                _timings(raced["times"][first], raced["times"][called]),
            )
            for called, file in files.items()
        ),
        metric="perplexity" if labels is None else "top1",
        data=items.info,
        count=len(items),
        conditions={
            "device": device_name(torch.device("cpu")) if provider == CPU else provider,
            "threads": str(torch.get_num_threads()),
            "onnxruntime": raced["onnxruntime"],
        },
        seconds=time.perf_counter() - started,
    )


def _check(files: Mapping[str, Path], provider: str) -> None:
    import onnxruntime

    if not files:
        raise SpecError("a contest of no files", "Give one ONNX file at least")
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise SpecError(
            f"onnxruntime has no {provider} here", f"Choose from: {', '.join(available)}"
        )


def _store(items: Items, folder: Path) -> Tensor | None:
    """Write the items for programs of their own; return labels, for images."""
    kind = np.int64 if items.ids is not None else np.float32
    file = folder / "items.npy"
    stored = np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=items.shape)
    done, labels = 0, []
    for batch, truth in items.batches():
        stored[done : done + len(batch)] = batch.numpy()
        done += len(batch)
        if truth is not None:
            labels.append(truth)
    stored.flush()
    return torch.cat(labels) if labels else None


def _sizes(items: Items) -> tuple[int, ...]:
    if items.ids is None:
        return IMAGES
    # A further token needs a position.
    return (max(1, min(PROMPT, items.ids.shape[1], items.settings["max_tokens"] - 1)),)


def _bytes(file: Path) -> int:
    beside = file.with_name(f"{file.name}.data")
    return file.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)


def _timings(first: dict[str, Any], own: dict[str, Any]) -> tuple[Timing, ...]:
    found = []
    for named, times in own.items():
        work, _, size = named.partition("-")
        speedup, interval = ratio_of(first[named], times)
        found.append(Timing(work, int(size), summary_of(times), speedup, interval))  # type: ignore[arg-type]
    return tuple(found)
