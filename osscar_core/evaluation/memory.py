"""How much memory a piece of work needed.

The decision hidden here: what "peak memory" means. On a GPU it is the most that torch
had allocated while the work ran. On a CPU it is the largest resident size the *process*
has ever had, which includes what ran in it before.
"""

from __future__ import annotations

import importlib
import sys
from types import TracebackType
from typing import Any, ClassVar, Self

import torch


class PeakMemory:
    """Context manager that measures peak memory; may be nested.

    Args:
        device: Where the work runs.

    Example:
        >>> with PeakMemory(torch.device("cpu")) as memory:
        ...     _ = torch.ones(1000, 1000)
        >>> memory.peak_bytes > 4_000_000
        True
    """

    # Resetting the GPU's counter hides earlier peaks from those who are still measuring.
    _running: ClassVar[list[PeakMemory]] = []

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seen = 0
        self._is_running = False

    @property
    def peak_bytes(self) -> int:
        """The peak so far, or of the finished block."""
        if self._is_running:
            self.note()
        return self._seen

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            for other in self._running:
                other.note()
            torch.cuda.init()  # type: ignore[no-untyped-call]
            torch.cuda.reset_peak_memory_stats(self._device)
        self._seen = 0
        self._is_running = True
        self._running.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.note()
        self._is_running = False
        self._running.remove(self)

    def note(self) -> None:
        """Take the highest use so far into account."""
        if self._device.type == "cuda":
            now = torch.cuda.max_memory_allocated(self._device)
        else:
            now = process_peak()
        self._seen = max(self._seen, now)


def process_peak() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows
        psutil: Any = importlib.import_module("psutil")
        return int(psutil.Process().memory_info().peak_wset)
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024
