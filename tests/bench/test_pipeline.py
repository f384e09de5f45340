"""The benchmark of a whole run does a whole run."""

from __future__ import annotations

import pytest
import torch

from osscar_core.bench import bench_pipeline
from osscar_core.catalogue import OptShape
from osscar_core.cli.reports import pipeline_bench_text
from osscar_core.errors import SpecError
from osscar_core.models import text

CPU = torch.device("cpu")
TINY = OptShape(32, 5, 4, 32, vocabulary=60, positions=32)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text.OPT_SHAPES, "tiny", TINY)


def test_a_run_of_some_blocks_is_extrapolated() -> None:
    found = bench_pipeline("tiny", device=CPU, blocks=2, samples=6, seqlen=16, host_memory=2**36)
    assert (found.blocks, found.all_blocks) == (2, 5)
    assert found.parameters == TINY.parameters
    assert found.is_extrapolated
    assert found.all_seconds == pytest.approx(found.seconds + 3 * max(found.block_seconds))
    assert sum(found.block_seconds) < found.seconds
    stages = {one.stage: one.seconds for one in found.stages}
    assert {"read", "forward", "statistics", "search", "baseline", "install", "write"} == set(
        stages
    )
    assert sum(stages.values()) <= sum(found.block_seconds)
    assert found.disk_bytes > 0
    assert found.resources is not None
    assert found.resources.is_within
    said = pipeline_bench_text(found)
    assert "all 5 blocks (extrapolated from 2)" in said
    assert "64 GiB" in said


def test_a_whole_run_is_not() -> None:
    found = bench_pipeline("tiny", device=CPU, samples=4, seqlen=16)
    assert not found.is_extrapolated
    assert found.all_seconds == found.seconds
    assert found.resources is not None
    assert found.resources.host_memory is None


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(SpecError, match="tinny"):
        bench_pipeline("tinny", device=CPU)
