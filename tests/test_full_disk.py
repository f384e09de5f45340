"""A disk without room: told in words, nothing half left behind, and on once there is room.

Some tests use a volume of their own of three megabytes, which only the administrator may
mount; elsewhere they are skipped, and a limit on the size of files stands in for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import families
from osscar_core import storage
from osscar_core.activations import activations
from osscar_core.cli import main
from osscar_core.errors import OutputError
from osscar_core.models import load_model
from osscar_core.pruner import prune
from osscar_core.records import PruneSpec
from osscar_core.resources import Place
from osscar_core.studio import worker
from osscar_core.studio.attempt import Attempt
from osscar_core.studio.database import StoreError
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.requests import JobKind, JobRequest
from osscar_core.survey import make_survey

BYTES = 3 * 2**20


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "volume"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "small", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"there is no 'mount' here ({error})")
    if done.returncode:
        pytest.skip(f"no small volume may be mounted here ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path, leaving: int = 0) -> Iterator[None]:
    """Take all room of a volume but some, for the length of the context."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    if leaving:
        os.truncate(ballast, ballast.stat().st_size - leaving)
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def opt(tmp_path: Path) -> PruneSpec:
    return families.FAMILIES["opt"]().request(tmp_path)


def arguments(spec: PruneSpec, out: Path, *more: str) -> list[str]:
    return ["prune", spec.model, "--calibration", spec.calibration, "--sparsity", "0.5",
            "--seqlen", str(spec.seqlen), "--out", str(out), *more]  # fmt: skip


@pytest.mark.parametrize("leaving", [0, 16384, 65536])
def test_a_model_is_written_whole_or_not_at_all(
    opt: PruneSpec, volume: Path, capsys: pytest.CaptureFixture[str], leaving: int
) -> None:
    out = volume / "out"
    with filled(volume, leaving):
        assert main(arguments(opt, out)) == 2
        said = capsys.readouterr().err
        assert "No space left on device" in said
        assert "Free space or choose another place" in said
        assert "Traceback" not in said
        assert [path.name for path in volume.iterdir()] == ["ballast"]
    assert main(arguments(opt, out)) == 0
    assert load_model(str(out)).plan is not None


def test_a_quota_is_told_as_a_full_disk_is(
    opt: PruneSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "below" / "out"
    with no_file_above(20_000):
        assert main(arguments(opt, out)) == 2
    said = capsys.readouterr().err
    assert "could not be written (File too large)" in said
    assert not out.parent.exists()


@pytest.mark.parametrize("leaving", [0, 16384])
def test_a_checkpoint_keeps_what_there_was_room_for(
    opt: PruneSpec, tmp_path: Path, volume: Path, leaving: int
) -> None:
    whole = prune(opt, out=tmp_path / "whole")
    folder = volume / "kept"
    with filled(volume, leaving), pytest.raises(OutputError, match="could not be written"):
        prune(opt, out=tmp_path / "out", checkpoint=folder)
    assert not (tmp_path / "out").exists()
    found = prune(opt, out=tmp_path / "out", checkpoint=folder)
    assert found.plan.units == whole.plan.units
    files = [tmp_path / name / "model.safetensors" for name in ("out", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_activations_and_surveys_that_find_no_room_say_so(opt: PruneSpec, tmp_path: Path) -> None:
    import torch

    store = activations(Place.DISK, torch.device("cpu"), tmp_path)

    def fill() -> None:
        for _ in range(8):
            store.append(torch.zeros(1000))
        list(store.read())

    with no_file_above(1000), pytest.raises(OutputError, match="activations could not be written"):
        fill()
    with contextlib.suppress(OSError):
        store.close()
    survey = make_survey(load_model(opt.model), dataclasses.replace(opt, samples=4))
    folder = tmp_path / "survey"
    with no_file_above(1000), pytest.raises(OutputError, match="survey cannot be written"):
        survey.save(folder)
    assert not folder.exists()


# --- the store of runs ------------------------------------------------------------------------


@pytest.fixture
def store(volume: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    return RunStore(volume / "home")


def ask(share: float) -> JobRequest:
    return JobRequest(PruneSpec("m", "demo:x", share, device="cpu"), "demo:x")


def compute(store: RunStore, run: Run) -> Run:
    work = Ledger(store.database).claim(())
    assert work is not None
    assert work.id == run.id
    worker.main([str(store.home), run.id])
    found = store.get(run.id)
    assert found is not None
    return found


def write_much(attempt: Attempt) -> None:
    """Write a model of two megabytes, then a result."""
    (attempt.folder / "model").mkdir()
    for part in range(20):
        (attempt.folder / "model" / str(part)).write_bytes(bytes(100_000))
    storage.write_sealed(attempt.folder / "result.json", json.dumps({"text": "x" * 100_000}))


@pytest.mark.parametrize("leaving", [400_000, 2_050_000])
def test_a_run_without_room_fails_in_words_and_the_next_one_is_computed(
    store: RunStore, volume: Path, monkeypatch: pytest.MonkeyPatch, leaving: int
) -> None:
    """Room for a part of the model, or for the model and not for the result."""
    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, write_much)
    first, second = store.submit(ask(0.1)), store.submit(ask(0.2))
    with filled(volume, leaving):
        run = compute(store, first)
        assert run.status.state is State.FAILED
        assert (run.status.reason, run.status.remedy[:9]) == ("the disk is full", "Free some")
        assert {path.name for path in run.folder.iterdir()} <= {"heartbeat", "log.txt"}
        assert store.result(run) is None
    assert compute(store, second).status.state is State.FINISHED


def test_a_database_without_room_refuses_in_words_and_loses_nothing(
    store: RunStore, volume: Path
) -> None:
    runs = [store.submit(ask(0.1))]

    def submit_many() -> None:
        runs.extend(store.submit(ask(0.2 + number / 100)) for number in range(40))

    with filled(volume), pytest.raises(StoreError, match="disk is full"):
        submit_many()
    assert {run.id for run in store.runs()} == {run.id for run in runs}
    assert {path.name for path in store.runs_folder.iterdir()} >= {run.id for run in runs}
    assert store.submit(ask(0.9)).status.state is State.QUEUED


def test_a_result_waits_for_room_in_the_database(
    store: RunStore, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osscar_core.studio import ledger

    taken = contextlib.ExitStack()

    def finish_without_room(attempt: Attempt) -> None:
        storage.write_sealed(attempt.folder / "result.json", '{"text": "whole"}')
        taken.enter_context(filled(volume))

    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, finish_without_room)
    monkeypatch.setattr(ledger, "_AGAIN_AFTER", 0.0)
    monkeypatch.setattr(worker, "_start_heartbeat", lambda _: None)
    # Whatever the database has room for already is used up first.
    real_end, tries = Ledger.end, []

    def end(*arguments: object, **options: object) -> bool:
        tries.append(options)
        if len(tries) == 1:
            taken.close()
            raise StoreError("the database cannot grow: the disk is full", "Free some disk space")
        return real_end(*arguments, **options)

    monkeypatch.setattr(Ledger, "end", end)
    run = compute(store, store.submit(ask(0.1)))
    assert (run.status.state, len(tries)) == (State.FINISHED, 2)
    assert storage.read_sealed(run.folder / "result.json") == b'{"text": "whole"}'


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    storage.write_sealed(file, '{"a": 1}')
    with no_file_above(500), pytest.raises(OSError, match="too large"):
        storage.write_sealed(file, json.dumps({"a": "x" * 5000}))
    assert storage.read_sealed(file) == b'{"a": 1}'
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
    with (
        no_file_above(500),
        pytest.raises(OutputError),
        storage.whole_folder(tmp_path / "f") as made,
    ):
        (made / "large").write_bytes(bytes(5000))
    assert not (tmp_path / "f").exists()
