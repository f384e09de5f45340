from __future__ import annotations

import mmap
import sys

import psutil
import pytest
import torch

from osscar_core.evaluation import PeakMemory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform == "win32", reason="reads the counter of Unix systems")
def test_peak_of_the_process() -> None:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    below_peak = max(0, before - psutil.Process().memory_info().rss)
    with PeakMemory(CPU) as memory:
        # Fresh pages, more than ever before, then freed; malloc might hand out old ones.
        pages = mmap.mmap(-1, below_peak + 40_000_000)
        torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
        del pages
    assert before + 20_000_000 < memory.peak_bytes < before + 80_000_000


def test_result_stays_after_the_block() -> None:
    with PeakMemory(CPU) as memory:
        pass
    first = memory.peak_bytes
    torch.ones(1_000_000)
    assert memory.peak_bytes == first > 10_000_000


class FakeGpu:
    """The two counters of a GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.peak = 0
        monkeypatch.setattr(torch.cuda, "init", lambda: None)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: self.peak)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: self.reset())

    def reset(self) -> None:
        self.peak = self.now

    def use(self, size: int) -> None:
        self.now = size
        self.peak = max(self.peak, size)


def test_nested_blocks_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu(monkeypatch)
    cuda = torch.device("cuda")
    gpu.use(900)
    gpu.use(10)
    with PeakMemory(cuda) as outer:
        gpu.use(500)
        gpu.use(20)
        with PeakMemory(cuda) as inner:
            gpu.use(100)
            gpu.use(20)
        assert inner.peak_bytes == 100
        gpu.use(200)
        assert outer.peak_bytes == 500
    assert inner.peak_bytes == 100
    assert outer.peak_bytes == 500
    assert not PeakMemory._running


def test_an_error_ends_the_measurement() -> None:
    with pytest.raises(ValueError, match="stop"), PeakMemory(CPU):
        raise ValueError("stop")
    assert not PeakMemory._running


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu() -> None:
    cuda = torch.device("cuda")
    with PeakMemory(cuda) as memory:
        torch.ones(1_000_000, device=cuda)
    assert memory.peak_bytes >= 4_000_000
