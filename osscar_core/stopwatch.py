"""Where the time of a run goes, without slowing it down.

The decision hidden here: how a stage is timed. On a GPU two marks are put into its queue
and read when all is done, so that nothing is waited for; on a CPU the clock is read.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch


class Stopwatch:
    """Adds up the time of named stages, which must not contain each other.

    Args:
        device: Where the work runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: dict[str, float] = defaultdict(float)
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def stage(self, name: str, *, is_timed: bool = True) -> Iterator[None]:
        """Time the body as part of a stage, unless it has nothing to do."""
        if not is_timed:
            yield
            return
        if self._device.type != "cuda":
            began = time.perf_counter()
            yield
            self._seconds[name] += time.perf_counter() - began
            return
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        stream = torch.cuda.current_stream(self._device)
        first.record(stream)
        yield
        last.record(stream)
        self._marks.append((name, first, last))

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every stage so far; waits for the device."""
        for name, first, last in self._marks:
            last.synchronize()
            self._seconds[name] += first.elapsed_time(last) / 1e3
        self._marks.clear()
        return dict(self._seconds)
