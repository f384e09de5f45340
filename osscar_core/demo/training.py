"""What both training scripts share: pace, splitting work, and the record of a training.

The decision hidden here: how the learning rate follows the clock. Progress is the larger
of the share of steps and the share of time used, so that a run that meets its time limit
early still ends with a learning rate of zero.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core import __version__
from osscar_core.records import to_json

RECORD_FILE = "training.json"
CARD_FILE = "README.md"
_WARM_UP = 0.04


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """How a demo model came about, and how good it is.

    Attributes:
        model: Its name in the catalogue.
        architecture: What it is, in words.
        parameters: Number of parameters, shared ones once.
        data: What it was trained on, by source, in words.
        recipe: Settings by name.
        seed: Of the weights and the order of the data.
        difficulty: Of the pictures; see `osscar_core.datasets.factory`. ``None`` for text.
        hardware: Where it was trained.
        versions: Of the libraries.
        seconds: Time by step.
        quality: Measured on the stored half-precision weights: slices by name, each with
            its measures by name.
        samples: Text that it wrote, for language models.
        created: Time of creation, ISO 8601 UTC.
    """

    model: str
    architecture: str
    parameters: int
    data: dict[str, str]
    recipe: dict[str, str]
    seed: int
    hardware: dict[str, str]
    versions: dict[str, str]
    seconds: dict[str, float]
    quality: dict[str, dict[str, float]]
    samples: tuple[str, ...] = ()
    difficulty: float | None = None
    created: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    )


class Pace:
    """How far a run has come, and the learning rate that belongs there.

    Args:
        steps: Steps after which the run ends.
        seconds: Time after which it ends in any case.
        peak: Highest learning rate.
    """

    def __init__(self, steps: int, seconds: float, peak: float) -> None:
        self._steps = steps
        self._seconds = seconds
        self._peak = peak
        self._started = time.perf_counter()
        self._reached = 0.0

    def progress(self, step: int) -> float:
        """Return the share of the run that is done before ``step``; 1 ends it."""
        elapsed = (time.perf_counter() - self._started) / self._seconds
        self._reached = min(1.0, max(self._reached, step / self._steps, elapsed))
        return self._reached

    def rate(self, progress: float) -> float:
        """Return the learning rate: a short linear rise, then half a cosine to zero."""
        rise = min(1.0, progress / _WARM_UP)
        fall = max(0.0, progress - _WARM_UP) / (1 - _WARM_UP)
        return self._peak * rise * 0.5 * (1 + math.cos(math.pi * fall))


def set_rate_(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def decay_groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups: matrices with weight decay, the rest without."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


@contextlib.contextmanager
def worker_pool() -> Iterator[Pool]:
    """Yield a pool of a process per core; open it before the GPU is touched.

    Forked where that exists: a fresh interpreter would spend seconds on importing torch.
    """
    kind = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    with multiprocessing.get_context(kind).Pool(os.cpu_count()) as pool:
        yield pool


def chosen_device() -> torch.device:
    """Return the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stored_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors as they are stored: in half precision, on the CPU."""
    return {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in module.state_dict().items()
    }


def hardware(device: torch.device) -> dict[str, str]:
    """Return where this runs, in words."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": name, "cores": str(os.cpu_count()), "system": platform.system()}


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of Python, this package and libraries that are loaded."""
    loaded = {name: str(sys.modules[name].__version__) for name in libraries}
    return {"osscar_core": __version__, "python": platform.python_version(), **loaded}


def write_record(record: TrainingRecord, card: str, folder: Path) -> None:
    """Write the record and the model card beside the weights."""
    (folder / RECORD_FILE).write_text(to_json(record, indent=2) + "\n", encoding="utf8")
    (folder / CARD_FILE).write_text(card, encoding="utf8")


def say(**facts: Any) -> None:
    """Write one JSON line to standard output."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
