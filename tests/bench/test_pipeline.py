"""The benchmark of a whole run does a whole run."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from osscar_core.bench import bench_pipeline
from osscar_core.bench.pipeline import bench_member, bench_request
from osscar_core.catalogue import OptShape
from osscar_core.cli.reports import pipeline_bench_text
from osscar_core.errors import SpecError
from osscar_core.models import text
from osscar_core.progress import Progress
from osscar_core.team import Team
from osscar_core.together import work_together

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


def bench_tiny(team: Team, device: torch.device, progress: Progress | None, given: Any) -> Any:
    """Be a member of a team in a fresh process, which does not know the shape yet."""
    text.OPT_SHAPES["tiny"] = TINY
    return bench_member(team, device, progress, given)


def test_several_processes_share_the_calibration_of_one_run() -> None:
    one = bench_pipeline("tiny", device=CPU, samples=4, seqlen=16, blocks=2)
    spec = bench_request("tiny", sparsity=0.5, samples=4, seqlen=16, device="cpu", gpus=2)
    two = work_together(bench_tiny, (spec, 2), "cpu", 2, None)
    assert (one.gpus, two.gpus) == (1, 2)
    assert one.kept == two.kept
    assert two.errors == pytest.approx(one.errors, rel=1e-3)
    assert {int(kept, 16).bit_count() for kept in one.kept.values()} == {2, 64}
    timed = {stage.stage: stage.seconds for stage in two.stages}
    shared = timed["forward"] + timed["statistics"] + timed["exchange"]
    assert two.calibration_seconds == pytest.approx(shared)
    said = pipeline_bench_text(two)
    assert "s of that to calibrate" in said
    assert "2 x " in said


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(SpecError, match="tinny"):
        bench_pipeline("tinny", device=CPU)
