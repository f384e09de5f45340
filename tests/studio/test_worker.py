"""The real worker, on a tiny never-trained network and a handful of images."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from osscar_core.errors import Cancelled
from osscar_core.progress import ProgressEvent
from osscar_core.records import PruneSpec, Structure, from_json, to_json
from osscar_core.studio import worker
from osscar_core.studio.jobs import RunStore, State, Status
from osscar_core.studio.requests import JobRequest


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class{label}").mkdir()
        for index in range(4):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{index}.png")
    return folder


@pytest.fixture(autouse=True)
def keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def request(images: Path, sparsity: float = 0.5, model: str = "cifar/resnet20") -> JobRequest:
    spec = PruneSpec(
        model=model,
        weights="random",
        calibration=f"images:{images}",
        sparsity=sparsity,
        samples=20,
        device="cpu",
    )
    return JobRequest(spec, data=f"images:{images}", limit=20, batch_size=2)


def folder_for(home: Path, asked: JobRequest) -> Path:
    folder = home / "runs" / "20260101-000000-000000"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(to_json(asked))
    (folder / "status.json").write_text(to_json(Status(State.QUEUED)))
    return folder


def status_of(folder: Path) -> Status:
    return from_json(Status, (folder / "status.json").read_text())


def test_two_runs_wait_for_each_other_and_share_the_dense_evaluation(
    home: Path, images: Path
) -> None:
    store = RunStore(home)
    asked = [request(images, 0.5), request(images, 0.25)]
    runs = [store.submit(each) for each in asked]
    deadline = time.monotonic() + 180
    running_together = 0
    while store.live():
        assert time.monotonic() < deadline, [store.log(run) for run in runs]
        running = [run for run in store.live() if run.status.state is State.RUNNING]
        running_together = max(running_together, len(running))
        time.sleep(0.1)
    assert running_together == 1
    results = [store.result(store.get(run.id)) for run in runs]
    assert None not in results, [store.log(run) for run in runs]
    first, second = results
    assert first.prune.plan.spec.sparsity == 0.5
    assert all(unit.kept * 2 == unit.groups for unit in first.prune.units)
    assert first.prune.units[0].structure is Structure.CHANNELS
    assert (store.get(runs[0].id).model_folder / "model.safetensors").is_file()
    assert first.dense.count == 20
    assert first.speedup_interval[0] <= first.speedup <= first.speedup_interval[1]
    assert first.pruned_speed.conditions["batch"] == "2"
    assert second.dense == first.dense
    assert len(list((home / "cache").glob("dense-*.json"))) == 1
    assert store.submit(asked[0]).id == runs[0].id


def test_a_cause_that_the_user_can_cure_is_told_in_words(home: Path, tmp_path: Path) -> None:
    folder = folder_for(home, request(tmp_path / "missing"))
    assert worker.main([str(folder)]) == 1
    status = status_of(folder)
    assert status.state is State.FAILED
    assert "missing" in status.reason
    assert status.remedy
    assert status.error_id == ""
    assert not (folder / "model").exists()


def test_an_unforeseen_failure_gets_a_mark_and_its_traceback_stays_in_the_log(
    home: Path, images: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_for(home, request(images))

    def broken(*_: object) -> None:
        (folder / "half").mkdir()
        raise KeyError("secret detail")

    monkeypatch.setattr(worker, "_compute", broken)
    assert worker.main([str(folder)]) == 1
    status = status_of(folder)
    assert "KeyError" in status.reason
    assert "secret" not in status.reason + status.remedy
    assert status.error_id in caplog.text
    assert "secret detail" in caplog.text
    assert not (folder / "half").exists()


@pytest.mark.parametrize(("asked", "state"), [(True, State.CANCELLED), (False, State.INTERRUPTED)])
def test_a_stop_is_the_users_only_if_the_user_asked(
    home: Path, images: Path, monkeypatch: pytest.MonkeyPatch, asked: bool, state: State
) -> None:
    folder = folder_for(home, request(images))

    def stopped(*_: object) -> None:
        (folder / "half").mkdir()
        if asked:
            (folder / "cancel").touch()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(worker, "_compute", stopped)
    assert worker.main([str(folder)]) == 0
    assert status_of(folder).state is state
    assert not (folder / "half").exists()


def test_progress_adds_up_and_stops_when_asked(tmp_path: Path) -> None:
    writer = worker.StatusWriter(tmp_path)
    seen = []
    for step in worker.STEPS:
        writer.begin(step)
        seen.append(status_of(tmp_path).overall)
        writer._written = 0.0
        writer.progress(ProgressEvent(step, 1, 2, "half"))
        seen.append(status_of(tmp_path).overall)
        assert status_of(tmp_path).fraction == 0.5
        assert status_of(tmp_path).detail == "half"
    assert seen == sorted(seen)
    assert sum(worker.STEPS.values()) == pytest.approx(1.0)
    (tmp_path / "cancel").touch()
    with pytest.raises(Cancelled):
        writer.progress(ProgressEvent("speed", 2, 2))


def test_the_dense_key_follows_the_files(tmp_path: Path) -> None:
    asked = request(tmp_path, model=str(tmp_path / "model.gguf"))
    before = worker._dense_key(asked, None)
    (tmp_path / "model.gguf").write_text("x")
    assert worker._dense_key(asked, None) != before
    assert worker._dense_key(asked, 128) != worker._dense_key(asked, 256)
