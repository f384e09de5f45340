"""The real worker, on a tiny never-trained network and a handful of images."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image

from osscar_core.errors import Cancelled, SpecError, WeightsError
from osscar_core.evaluation import evaluate
from osscar_core.evaluation.showcase import make_showcase as real_make_showcase
from osscar_core.export import ExportFormat
from osscar_core.goals import Goal
from osscar_core.guards import Guard
from osscar_core.models import load_model
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.pruner import prune as real_prune
from osscar_core.records import EvaluationReport, PruneSpec, Structure, to_json
from osscar_core.sample import sample_runs
from osscar_core.showcase import Showcase
from osscar_core.studio import access, database, worker, worker_check, worker_prune
from osscar_core.studio import attempt as attempts
from osscar_core.studio.access import Person, Places, Role
from osscar_core.studio.attempt import Attempt
from osscar_core.studio.database import runs
from osscar_core.studio.desk import Desk
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.pace import STEPS
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest, PointEstimate
from osscar_core.studio.takehome import export_of, pack_export, pack_model, read_record


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
def as_urgent_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "nice", lambda _: 0)


class Outside:
    """What the worker calls, watched: pruning with its checkpoint, and the showcase."""

    def __init__(self) -> None:
        self.checkpoints: list[Path | None] = []
        self.stop_at: float | None = None
        self.break_showcase: Exception | None = None

    def prune(
        self, spec: PruneSpec, *, progress: Progress, checkpoint: Path | None = None, **options
    ):
        self.checkpoints.append(checkpoint)

        def watched(event: ProgressEvent) -> None:
            if self.stop_at is not None and event.stage == "prune" and event.done >= self.stop_at:
                self.stop_at = None
                signal.raise_signal(signal.SIGTERM)
            progress(event)

        return real_prune(spec, checkpoint=checkpoint, progress=watched, **options)

    def make_showcase(self, dense, pruned, data: str, **options: object) -> Showcase:
        if self.break_showcase is not None:
            raise self.break_showcase
        assert dense.plan is None
        assert pruned.plan is not None
        return real_make_showcase(dense, pruned, data, **options)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    found = Outside()
    monkeypatch.setattr(worker_prune, "make_showcase", found.make_showcase)
    monkeypatch.setattr(worker_prune, "prune", found.prune)
    return found


def request(images: Path, sparsity: float = 0.5, **changes: object) -> JobRequest:
    spec = PruneSpec(
        model="cifar/resnet20",
        weights="random",
        calibration=f"images:{images}",
        sparsity=sparsity,
        samples=20,
        device="cpu",
    )
    asked = JobRequest(spec, data=f"images:{images}", limit=20, batch_size=2, repeats=5)
    return dataclasses.replace(asked, **changes)


def compute(store: RunStore, asked: JobRequest) -> Run:
    return finish(store, store.submit(asked))


def finish(store: RunStore, run: Run) -> Run:
    """Compute a run in this process, as if the dispatcher had started it."""
    assert Ledger(store.database).claim(()).id == run.id
    worker.main([str(store.home), run.id])
    return store.get(run.id)


CANARIES = {"HF_TOKEN": "hf_canaryToken", "AWS_SECRET_ACCESS_KEY": "canary-cloud-secret"}


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_is_pruned_judged_timed_and_shown(still: RunStore, images, outside) -> None:
    run = compute(still, request(images))
    assert run.status.state is State.FINISHED, run.status.reason
    result = still.result(run)
    assert all(unit.kept * 2 == unit.groups for unit in result.prune.units)
    assert result.prune.units[0].structure is Structure.CHANNELS
    assert (run.model_folder / "model.safetensors").is_file()
    assert result.dense.count == 20
    assert result.speedup_interval[0] <= result.speedup <= result.speedup_interval[1]
    assert result.pruned_speed.conditions["batch"] == "2"
    assert result.pruned_speed.latency_ms.repeats == 5
    assert result.asked is None
    assert still.showcase(run).seen == 40
    assert str(still.home) not in (run.folder / "result.json").read_text().replace(
        str(run.model_folder), "", 1
    )
    assert outside.checkpoints == [run.folder / "checkpoint"]
    assert "checkpoint" not in names(run.folder)
    assert run.status.seconds > 0
    pace = Ledger(still.database).pace(run.id)
    assert set(pace.shares) == set(STEPS[JobKind.PRUNE])
    assert pace.seconds == pytest.approx(run.status.seconds, rel=0.1)


def canaries_in(*files: bytes) -> list[str]:
    return [value for value in CANARIES.values() if any(value.encode() in file for file in files)]


def test_what_is_measured_is_what_was_written(
    still: RunStore, images, outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    run = compute(still, request(images))
    # The worker could read them, and nothing that it left tells any.
    assert canaries_in(*(f.read_bytes() for f in run.folder.rglob("*") if f.is_file())) == []
    with zipfile.ZipFile(io.BytesIO(still.pack(run))) as archive:
        members = [archive.read(name) for name in archive.namelist()]
    assert canaries_in(*members) == []
    assert not any(str(still.home).encode() in member for member in members)
    record = read_record(run)
    assert record is not None
    written = hashlib.sha256((run.model_folder / "model.safetensors").read_bytes()).hexdigest()
    assert record.weights is not None
    assert record.weights.sha256 == written
    result = still.result(run)
    assert (record.metric, record.value) == (result.pruned.metric, result.pruned.value)
    with zipfile.ZipFile(pack_model(run)) as archive:
        archive.extractall(run.folder / "taken")
    taken = load_model(str(run.folder / "taken" / f"{run.id}-model"))
    assert evaluate(taken, run.request.data, limit=run.request.limit).value == record.value


def test_a_run_is_written_as_onnx_and_compared(
    still: RunStore, images, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    run = compute(still, request(images))
    question = CheckRequest(CheckKind.AB, run.id)
    asked = request(images, kind=JobKind.EXPORT, check=question, limit=8)
    made = compute(still, asked)
    assert made.status.state is State.FINISHED, made.status.reason
    report = export_of(made)
    assert report is not None
    assert report.relative_difference < 1e-5
    assert report.quality == pytest.approx(report.model_quality, abs=0.13)
    assert report.count == 8
    assert report.dense_quality is not None
    assert [each.name for each in report.contest.contenders] == ["dense", "pruned"]
    steps = Ledger(still.database).pace(made.id).shares
    assert list(steps) == ["load", "prune", "export", "contest"]
    assert steps["contest"] > 0.02
    with zipfile.ZipFile(pack_export(made, report)) as archive:
        packed = archive.read(f"{made.id}-onnx/model.onnx")
        read = archive.read(f"{made.id}-onnx/README.md").decode()
        assert canaries_in(*(archive.read(name) for name in archive.namelist())) == []
    listed = next(file for file in report.files if file.name == "model.onnx")
    assert hashlib.sha256(packed).hexdigest() == listed.sha256
    assert str(still.home) not in read
    assert "cifar/resnet20, pruned" in read


def test_an_export_is_written_in_the_format_that_was_asked_for(
    still: RunStore, images, monkeypatch
) -> None:
    written: list[tuple[ExportFormat, Path, bool]] = []

    def export(small, out: Path, kind: ExportFormat, *, dense, **_: object) -> None:
        written.append((kind, out, dense is not None))
        raise SpecError("nothing is written in a test", "Go on")

    def no_weights(spec: PruneSpec) -> None:
        raise WeightsError(f"the weights of {spec.model} are gone", "Bring them back")

    monkeypatch.setattr(worker_check, "export_model", export)
    monkeypatch.setattr(worker_check, "_pruned_model", lambda *_: None)
    question = CheckRequest(CheckKind.AB, "20260101-000000-000000")
    folders = []
    for kind in (None, ExportFormat.TORCH):
        asked = request(images, kind=JobKind.EXPORT, check=question, format=kind)
        folders.append(compute(still, asked).folder)
    monkeypatch.setattr(worker_check, "dense_model", no_weights)
    again = compute(still, asked)
    assert written == [
        (ExportFormat.ONNX, folders[0] / "onnx", True),
        (ExportFormat.TORCH, folders[1] / "torch", True),
        (ExportFormat.TORCH, again.folder / "torch", False),
    ]


def test_time_left_of_an_export_is_learned_from_its_format(
    still: RunStore, images, monkeypatch
) -> None:
    monkeypatch.setitem(worker._WORK, JobKind.EXPORT, lambda _: None)
    question = CheckRequest(CheckKind.AB, "20260101-000000-000000")
    asked = request(images, kind=JobKind.EXPORT, check=question)
    # An export of a release that wrote ONNX only.
    made = compute(still, asked)
    with still.database.write() as connection:
        values = json.loads(to_json(asked))
        del values["format"], values["int8"]
        steps = {"request": json.dumps(values), "step_seconds": '{"load": 5.0, "export": 45.0}'}
        connection.execute(runs.update().values(**steps))
    ledger = Ledger(still.database)
    assert ledger.pace(made.id).seconds == 50
    onnx = dataclasses.replace(asked, limit=7, format=ExportFormat.ONNX)
    others = (
        dataclasses.replace(onnx, int8=True),
        dataclasses.replace(onnx, format=ExportFormat.HF),
    )
    for wanted, expected in ((onnx, 50), *((other, None) for other in others)):
        assert ledger.pace(still.submit(wanted).id).seconds == expected


def test_an_export_of_a_model_that_is_gone_fails_in_words(still: RunStore, images) -> None:
    question = CheckRequest(CheckKind.AB, "20260101-000000-000000")
    made = compute(still, request(images, kind=JobKind.EXPORT, check=question))
    assert made.status.state is State.FAILED
    assert "is not here" in made.status.reason


def test_the_dense_model_is_judged_once(still: RunStore, images, monkeypatch) -> None:
    judged = []

    def watched(model, *arguments, **options) -> EvaluationReport:
        judged.append(model.plan is None)
        return evaluate(model, *arguments, **options)

    monkeypatch.setattr(worker_prune, "evaluate", watched)
    first, second = (compute(still, request(images, share)) for share in (0.5, 0.25))
    assert judged == [False, True, False]
    assert still.result(first).dense == still.result(second).dense
    assert len(list((still.home / "cache").glob("dense-*.json"))) == 1
    other = compute(still, request(images, limit=10))
    assert still.result(other).dense.count == 10
    assert judged == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("goal", "estimate"),
    [
        ("removed=0.3", None),
        ("bytes=0.9", 900_000.0),
        ("parameters=0.01", None),
        ("speedup=1.01", 1.5),
        ("latency=5000ms", None),
        ("quality_loss=0.9", 0.02),
    ],
)
def test_a_goal_is_held_against_what_was_measured(
    still: RunStore, images, goal: str, estimate: float | None
) -> None:
    plain = still.result(compute(still, request(images)))
    widths = {unit.name: unit.groups // 2 for unit in plain.prune.units}
    spec = dataclasses.replace(request(images).spec, sparsity=0.0, goal=Goal.parse(goal))
    guess = PointEstimate(speedup=1.5, bytes=900_000, loss=0.02)
    asked = request(images, spec=spec, widths=widths, estimate=guess)
    result = still.result(compute(still, asked))
    met = result.asked
    assert met.goal == spec.goal
    kind = spec.goal.kind.value
    if kind == "removed":
        assert met.achieved == pytest.approx(0.5)
        assert met.is_met
    elif kind in ("bytes", "parameters"):
        sizes = getattr(result.prune, kind)
        assert (met.dense, met.achieved) == (sizes.dense, sizes.pruned)
        assert met.is_met is (kind == "bytes")
    elif kind == "speedup":
        assert (met.achieved, met.interval) == (result.speedup, result.speedup_interval)
    elif kind == "latency":
        assert met.achieved == result.pruned_speed.latency_ms.median
        assert met.interval[0] <= met.achieved * 1.5
        assert met.is_met
    else:
        assert met.achieved == result.dense.value - result.pruned.value
        assert met.interval[0] < met.achieved < met.interval[1]
        assert met.is_met
    assert met.estimate == estimate or kind == "latency"


def test_a_searched_goal_keeps_no_checkpoint(still: RunStore, images, outside) -> None:
    spec = dataclasses.replace(
        request(images).spec, sparsity=0.0, goal=Goal.parse("parameters=0.7")
    )
    run = compute(still, request(images, spec=spec))
    assert still.result(run).asked.is_met, run.status.reason
    assert still.result(run).asked.estimate is not None
    assert outside.checkpoints == [None]


def test_a_broken_showcase_does_not_lose_the_run(still: RunStore, images, outside) -> None:
    outside.break_showcase = KeyError("no picture")
    run = compute(still, request(images))
    assert run.status.state is State.FINISHED
    assert still.result(run) is not None
    assert still.showcase(run) is None


def test_an_interrupted_run_goes_on_from_its_checkpoint(still, images, outside) -> None:
    whole = compute(still, request(images, repeats=3))
    outside.stop_at = 6
    run = compute(still, request(images))
    assert run.status.state is State.INTERRUPTED
    assert names(run.folder) <= {"checkpoint", "heartbeat"}
    assert list((run.folder / "checkpoint").glob("block-*"))
    still.resume(run)
    assert Ledger(still.database).claim(()).id == run.id
    assert worker.main([str(still.home), run.id]) == 0
    assert still.get(run.id).status.state is State.FINISHED
    assert "checkpoint" not in names(run.folder)
    assert outside.checkpoints[1:] == [run.folder / "checkpoint"] * 2
    files = [each.model_folder / "model.safetensors" for each in (whole, run)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_model_that_was_finished_is_not_made_again(still, images, outside, monkeypatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(worker_prune, "compare", stopped)
        run = compute(still, request(images))
    assert run.status.state is State.INTERRUPTED
    assert {"model", "pruned.json"} <= names(run.folder)
    still.resume(run)
    Ledger(still.database).claim(())
    assert worker.main([str(still.home), run.id]) == 0
    assert still.get(run.id).status.state is State.FINISHED
    assert len(outside.checkpoints) == 1


def test_a_kept_model_that_was_damaged_since_is_made_again(
    still, images, outside, monkeypatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(worker_prune, "compare", stopped)
        run = compute(still, request(images))
    weights = run.model_folder / "model.safetensors"
    before = weights.read_bytes()
    flip(weights, len(before) - 10)
    still.resume(run)
    Ledger(still.database).claim(())
    assert worker.main([str(still.home), run.id]) == 0
    assert still.get(run.id).status.state is State.FINISHED
    assert weights.read_bytes() == before
    assert len(outside.checkpoints) == 2


def test_a_damaged_quality_of_the_dense_model_is_judged_again(still, images) -> None:
    first = compute(still, request(images))
    (cached,) = (still.home / "cache").glob("dense-*.json")
    whole = cached.read_text()
    value = f'"value": {still.result(first).dense.value}'
    assert value in whole
    cached.write_text(whole.replace(value, '"value": 0.9'))
    second = compute(still, request(images, repeats=3))
    found = [dataclasses.replace(still.result(run).dense, seconds=0.0) for run in (first, second)]
    assert found[0] == found[1]
    assert '"value": 0.9' not in cached.read_text()


def test_what_goes_wrong_after_the_end_does_not_cost_the_result(
    still: RunStore, images, monkeypatch
) -> None:
    def work(attempt: Attempt) -> None:
        (attempt.folder / "kept").touch()

    def finish(attempt: Attempt) -> None:
        real_finish(attempt)
        raise MemoryError

    real_finish = Attempt.finish
    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, work)
    monkeypatch.setattr(Attempt, "finish", finish)
    run = compute(still, request(images))
    assert run.status.state is State.FINISHED
    assert "kept" in names(run.folder)


@pytest.mark.parametrize("when", ["waiting", "interrupted"])
def test_a_folder_that_became_a_link_is_not_read(
    still: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    done = []
    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, lambda attempt: done.append(attempt.id))
    named, secret = tmp_path / "root" / "model", tmp_path / "secret"
    named.mkdir(parents=True)
    secret.mkdir()
    person = Person(role=Role.OPERATOR)
    desk = Desk(still, person, Places((str(tmp_path / "root"),)))
    spec = PruneSpec(str(named), "demo:plant-log", 0.5)
    run = desk.submit(JobRequest(spec, "demo:plant-log"))
    if when == "interrupted":
        with still.database.write() as connection:
            connection.execute(runs.update().values(state=State.INTERRUPTED.value, files=None))
        run = desk.resume(still.get(run.id))
    named.rmdir()
    named.symlink_to(secret)
    run = finish(still, run)
    assert (run.status.state, done) == (State.FAILED, [])
    assert run.status.reason == access.outside().problem
    assert str(secret) not in still.log(run)
    named.unlink()
    named.mkdir()
    assert finish(still, desk.submit(run.request)).status.state is State.FINISHED


def test_a_signal_amidst_a_change_of_the_database_leaves_no_lock(
    still: RunStore, images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised between a context's beginning and its block, an error would keep it open."""
    from osscar_core.studio import ledger

    entering = contextlib._GeneratorContextManager.__enter__.__code__
    asked: list[object] = []

    def at_the_worst_moment(frame: FrameType, what: str, _: object) -> None:
        is_it = what == "return" and frame.f_code is entering
        if is_it and frame.f_locals["self"].gen.__name__ == "write" and not asked:
            asked.append(True)
            signal.raise_signal(signal.SIGTERM)

    def work(attempt: Attempt) -> None:
        sys.setprofile(at_the_worst_moment)
        try:
            attempt.begin("prune")
        finally:
            sys.setprofile(None)
        asked.append("the run went on")

    monkeypatch.setattr(ledger, "_PATIENCE", 0.0)
    monkeypatch.setattr(database, "_WAIT_SECONDS", 0.5)
    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, work)
    run = compute(still, request(images))
    assert asked == [True]
    assert run.status.state is State.INTERRUPTED
    with still.database.write() as connection:
        assert connection.execute(runs.select()).one().id == run.id


@pytest.mark.parametrize("away", ["take_up", "end"])
def test_a_database_that_is_away_for_long_costs_no_result(
    still: RunStore, images, monkeypatch, away: str
) -> None:
    from osscar_core.studio import ledger
    from osscar_core.studio.database import StoreError

    left, real = [3], getattr(Ledger, away)

    def sometimes(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] > 0:
            raise StoreError("the database was busy for too long", "Try again in a moment")
        return real(*arguments, **options)

    monkeypatch.setitem(
        worker._WORK, JobKind.PRUNE, lambda attempt: (attempt.folder / "kept").touch()
    )
    monkeypatch.setattr(ledger, "_AGAIN_AFTER", 0.0)
    monkeypatch.setattr(Ledger, away, sometimes)
    run = compute(still, request(images))
    assert run.status.state is State.FINISHED
    assert "kept" in names(run.folder)


def test_a_cause_that_the_user_can_cure_is_told_in_words(still: RunStore, tmp_path) -> None:
    run = compute(still, request(tmp_path / "missing"))
    status = run.status
    assert status.state is State.FAILED
    assert "missing" in status.reason
    assert status.remedy
    assert status.error_id == ""
    assert not run.model_folder.exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("secret detail"), "KeyError"),
        (OSError(28, "No space left on device", "/secret/place"), "disk is full"),
        (MemoryError("secret"), "memory ran out"),
    ],
)
def test_an_unforeseen_failure_gets_a_mark_and_its_traceback_stays_in_the_log(
    still: RunStore, images, monkeypatch, caplog, error: Exception, told: str
) -> None:
    def broken(attempt: Attempt) -> None:
        (attempt.folder / "half").mkdir()
        raise error

    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, broken)
    run = compute(still, request(images))
    assert run.status.state is State.FAILED
    assert told in run.status.reason
    assert "secret" not in run.status.reason + run.status.remedy
    assert run.status.error_id in caplog.text
    assert "secret" in caplog.text
    assert "half" not in names(run.folder)


def test_a_request_of_another_release_fails_instead_of_blocking_the_queue(still, images) -> None:
    run = still.submit(request(images))
    with still.database.write() as connection:
        connection.execute(runs.update().values(request='{"unknown": 1}', kind="dream"))
    ledger = Ledger(still.database)
    assert ledger.claim(()).id == run.id
    assert worker.main([str(still.home), run.id]) == 1
    assert ledger.is_idle()


def test_a_kind_that_nobody_does_is_refused_in_words(still: RunStore, images, monkeypatch) -> None:
    monkeypatch.delitem(worker._WORK, JobKind.PRUNE)
    run = compute(still, request(images))
    assert "kind of work 'prune'" in run.status.reason


@pytest.mark.parametrize("when", ["signal", "progress", "late"])
@pytest.mark.parametrize(("asked", "state"), [(True, State.CANCELLED), (False, State.INTERRUPTED)])
def test_a_stop_is_the_users_only_if_the_user_asked(
    still: RunStore, images, monkeypatch, asked: bool, state: State, when: str
) -> None:
    def stopped(attempt: Attempt) -> None:
        (attempt.folder / "half").mkdir()
        if asked:
            still.cancel(still.get(attempt.folder.name))
        if when == "progress" and asked:
            attempt.begin("prune")  # noticed without any signal
            return
        try:
            signal.raise_signal(signal.SIGTERM)
        except Cancelled:
            if when != "late":
                raise
            # Somebody swallowed it; the next event says it again.
        attempt.progress(ProgressEvent("prune", 1, 2))

    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, stopped)
    run = compute(still, request(images))
    assert run.status.state is state
    assert "half" not in names(run.folder)


def test_a_worker_that_lost_its_run_leaves_it_alone(still: RunStore, images, monkeypatch) -> None:
    def overtaken(attempt: Attempt) -> None:
        (attempt.folder / "theirs").mkdir()
        with still.database.write() as connection:
            connection.execute(runs.update().values(pid=1, pid_started=1))
        attempt.begin("prune")

    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, overtaken)
    run = compute(still, request(images))
    assert run.status.state is State.RUNNING
    assert "theirs" in names(run.folder)


def test_a_run_is_taken_up_once(still: RunStore, images) -> None:
    ledger = Ledger(still.database)
    run = still.submit(request(images))
    me = Process.of(os.getpid())
    assert Attempt.take_up(ledger, still.home, run.id, me) is None  # it was not claimed yet
    assert ledger.claim(()).id == run.id
    assert ledger.claim(()) is None
    assert Attempt.take_up(ledger, still.home, run.id, me) is not None
    assert Attempt.take_up(ledger, still.home, run.id, Process(1, 1)) is None
    assert worker.main([str(still.home), run.id]) == 0
    assert ledger.working()[0].process == me


@pytest.fixture
def attempt(still: RunStore, images, monkeypatch) -> Attempt:
    monkeypatch.setattr(attempts, "_NOTE_EVERY", 0.0)
    run = still.submit(request(images))
    ledger = Ledger(still.database)
    ledger.claim(())
    return Attempt.take_up(ledger, still.home, run.id, Process.of(os.getpid()))


def test_progress_adds_up(still: RunStore, attempt: Attempt) -> None:
    seen = []
    for step in STEPS[JobKind.PRUNE]:
        attempt.begin(step)
        attempt.progress(ProgressEvent(step, 1, 2, "half"))
        status = still.get(attempt.folder.name).status
        assert (status.step, status.fraction, status.detail) == (step, 0.5, "half")
        seen.append(status.overall)
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen)


def test_progress_never_goes_back_and_counts_passes_of_other_kinds_for_nothing(
    still: RunStore, attempt: Attempt
) -> None:
    def now() -> tuple[str, float, str]:
        status = still.get(attempt.folder.name).status
        return status.step, status.fraction, status.detail

    attempt.progress(ProgressEvent("load", 0, 1, "m"))
    assert now() == ("load", 0.0, "m")
    attempt.progress(ProgressEvent("survey", 3, 4, "a"))
    attempt.progress(ProgressEvent("survey", 4, 4, "b"))
    assert now() == ("prune", 0.0, "b")
    attempt.progress(ProgressEvent("prune", 3, 4, "c"))
    before = still.get(attempt.folder.name).status.overall
    attempt.progress(ProgressEvent("prune", 1, 4, "d"))
    assert now() == ("prune", 0.25, "d")
    assert still.get(attempt.folder.name).status.overall == before


def test_progress_is_written_a_few_times_a_second(still, attempt, monkeypatch) -> None:
    notes = []
    monkeypatch.setattr(attempts, "_NOTE_EVERY", 0.35)
    monkeypatch.setattr(Ledger, "note", lambda *arguments: bool(notes.append(arguments)) or True)
    attempt.begin("prune")
    for number in range(1000):
        attempt.progress(ProgressEvent("prune", number, 1000))
    assert len(notes) <= 2


def test_a_database_that_is_away_for_a_moment_stops_no_run(still, attempt, monkeypatch) -> None:
    from osscar_core.studio.database import StoreError

    def full(*_: object) -> bool:
        raise StoreError("the disk is full", "Free some")

    monkeypatch.setattr(Ledger, "note", full)
    attempt.begin("prune")
    attempt.progress(ProgressEvent("prune", 1, 2))


def test_time_left_of_the_run_is_learned_from_earlier_ones(still, images, monkeypatch) -> None:
    told: list[float | None] = []

    def work(attempt: Attempt) -> None:
        attempt.begin("prune")
        told.append(still.get(attempt.folder.name).status.run_seconds_left)

    monkeypatch.setitem(worker._WORK, JobKind.PRUNE, work)
    for share in (0.1, 0.2):
        compute(still, request(images, share))
        with still.database.write() as connection:
            seconds = '{"load": 5.0, "prune": 45.0, "speed": 50.0}'
            connection.execute(runs.update().values(step_seconds=seconds))
    assert told[0] is None
    assert told[1] == pytest.approx(95.0, rel=0.05)


def sampled() -> tuple[EvaluationReport, EvaluationReport]:
    """Return reports on the items of the sample run: of a pruned model, and of the dense one."""
    run = next(run for run in sample_runs() if run.base.model == "demo/resnet50")
    found = run.report.dense.evaluation
    pruned = dataclasses.replace(found, model="x", value=0.1, protocol="told otherwise")
    return pruned, found


@pytest.mark.skipif(not sample_runs(), reason="the sample run is not there")
def test_the_sample_run_spares_judging_the_same_dense_model_on_the_same_items(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dense = load_model("demo/resnet50")
    pruned, found = sampled()
    monkeypatch.setattr(worker_prune, "__version__", sample_runs()[0].conditions.get("osscar_core"))
    assert worker_prune._shipped(dense, pruned) == found
    shorter = dataclasses.replace(pruned, count=10)
    other = dataclasses.replace(pruned, data=dataclasses.replace(pruned.data, digest="0"))
    half = load_model("demo/resnet50", dtype="float16")
    retrained = dataclasses.replace(dense, source=dataclasses.replace(dense.source, sha256="0"))
    assert worker_prune._shipped(dense, shorter) is None
    assert worker_prune._shipped(dense, other) is None
    assert worker_prune._shipped(half, pruned) is None
    assert worker_prune._shipped(retrained, pruned) is None
    monkeypatch.setattr(worker_prune, "__version__", "99")
    assert worker_prune._shipped(dense, pruned) is None


def test_weights_that_cannot_be_told_apart_are_judged_each_time(images) -> None:
    dense = load_model("cifar/resnet20", weights="random")
    report = evaluate(dense, f"images:{images}", limit=10)
    assert worker_prune._dense_key(dense, report) is not None
    unknown = dataclasses.replace(dense.source, weights="somebody/model", sha256=None)
    assert worker_prune._dense_key(dataclasses.replace(dense, source=unknown), report) is None
    digest = dataclasses.replace(report.data, digest="0")
    keys = {
        worker_prune._dense_key(dense, each)
        for each in (report, dataclasses.replace(report, count=9),
                     dataclasses.replace(report, data=digest))
    }  # fmt: skip
    assert len(keys) == 3


def test_protected_groups_are_weighed_measured_and_kept_in_the_result(
    still: RunStore, images: Path, tmp_path: Path, outside: Outside
) -> None:
    """An untrained network says the same of all pictures, so that nothing can be lost."""
    folder = tmp_path / "many"
    shutil.copytree(images, folder)
    for index in range(40):
        shutil.copy(folder / "class3" / "0.png", folder / "class3" / f"more{index}.png")
    asked = request(folder, limit=None)
    guard = Guard("class", "3", 0.9)
    spec = dataclasses.replace(asked.spec, guards=(guard,), data=f"images:{folder}")
    run = compute(still, dataclasses.replace(asked, spec=spec))
    assert run.status.state is State.FINISHED, run.status.reason
    report = still.result(run).prune
    (result,) = report.guards.final.results
    assert (result.guard, result.count) == (guard, 44)
    assert report.guards.final.share == 1.0
    assert f"images:{folder}[class=3]" in report.guards.calibration
    assert load_model(str(run.model_folder)).plan == report.plan
    assert not any("tries" in name for name in names(run.folder))


def test_an_impossible_protection_fails_in_words(still: RunStore, images: Path) -> None:
    asked = request(images)
    spec = dataclasses.replace(asked.spec, guards=(Guard("class", "3", 0.1),))
    run = compute(still, dataclasses.replace(asked, spec=spec))
    assert run.status.state is State.FAILED
    assert "has 4 items" in run.status.reason
