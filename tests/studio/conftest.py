"""Fixtures for the tests of the app: a workspace of its own, and samples of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatched import end_dispatcher, wait_for
from osscar_core.records import PruneSpec
from osscar_core.studio import jobs
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.requests import JobRequest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("OSSCAR_HOME", str(folder))
    return folder


@pytest.fixture
def ask() -> Callable[..., JobRequest]:
    """Return what makes requests for the stand-in worker."""

    def request(mode: str = "quick", sparsity: float = 0.5, device: str = "cpu") -> JobRequest:
        return JobRequest(PruneSpec("m", "demo:python-docs", sparsity, device=device), mode)

    return request


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """Return a store in which nothing is ever started."""
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)
    return RunStore(home)


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunStore]:
    """Return a store with the stand-in for the worker; all its processes are ended after."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(jobs, "_RESTART_AFTER", 0.2)
    found = RunStore(home, worker="fake_worker")
    yield found
    for run in found.live():
        found.cancel(run, run.owner)
    wait_for(lambda: (found.ensure_dispatched(), not found.live())[1])
    end_dispatcher(found)
