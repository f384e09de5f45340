"""Many machines: a cluster of two nodes on this one, one of which is taken away."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import clustered
import families
from dispatched import end_dispatcher, wait_for
from osscar_core.artifacts import Artifacts
from osscar_core.cluster import Cluster, ClusterError, Machines
from osscar_core.errors import Cancelled, DataError, MissingDependencyError, OsscarError, SpecError
from osscar_core.goals import Goal, GoalKind
from osscar_core.models import load_model
from osscar_core.progress import ProgressEvent
from osscar_core.records import Method, PruneSpec, SweepReport
from osscar_core.studio.database import runs
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.pace import STEPS
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from osscar_core.studio.takehome import digests, read_record
from osscar_core.survey import load_survey
from osscar_core.sweep import SweepSpec, sweep

TESTS = Path(__file__).resolve().parent
LONG = 1000  # so many measurements that nobody waits for their end
NODE = {
    "num_cpus": 1,
    "num_gpus": 0,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "include_log_monitor": False,
}


@dataclass
class Nodes:
    """A cluster of this machine.

    Attributes:
        address: Where it is.
        cluster: Its handle.
        second: The node beside the head.
    """

    address: str
    cluster: Any
    second: Any

    def machines(self, artifacts: Path, **settings: Any) -> Machines:
        return Machines(self.address, f"file://{artifacts}", **settings)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install -r requirements-cluster.txt")
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    # Sockets have short names at most.
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "ray").mkdir()
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{TESTS.parent}{os.pathsep}{TESTS}")
        # Ray handles this signal from then on, also in whatever is forked later.
        handler = signal.getsignal(signal.SIGTERM)
        cluster = LocalCluster(initialize_head=True, head_node_args=NODE, shutdown_at_exit=False)
        second = cluster.add_node(**NODE)
        # Connected once: the workers of a connection that ends would end with it.
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield Nodes(cluster.address, cluster, second)
        finally:
            ray.shutdown()
            cluster.shutdown()
            signal.signal(signal.SIGTERM, handler)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    """Return twelve runs of a tiny model: three methods, three sparsities and a goal."""
    folder = tmp_path_factory.mktemp("tiny")
    family = families.FAMILIES["opt"]()
    family.loaded(folder)
    data = family.calibration_spec(folder)
    base = PruneSpec(str(folder / "dense"), data, samples=4, device="cpu")
    return SweepSpec(
        base,
        (0.25, 0.5, 0.75),
        (Method.OSSCAR, Method.MAGNITUDE, Method.RANDOM),
        data,
        limit=2,
        latency=False,
        goals=(Goal(GoalKind.REMOVED, 0.4),),
    )


def assert_same_table(found: SweepReport, wanted: SweepReport) -> None:
    """Compare all that was not measured with a clock."""
    assert found.unreachable == wanted.unreachable
    assert _facts(found) == _facts(wanted)
    assert _values(found) == pytest.approx(_values(wanted), rel=1e-5)


def _facts(report: SweepReport) -> list[Any]:
    return [
        (
            *(point.method, point.sparsity, point.seed, point.goal),
            *(point.prune.parameters, point.prune.bytes, point.prune.flops),
            [unit.kept for unit in point.prune.plan.units],
        )
        for point in report.points
    ]


def _values(report: SweepReport) -> list[float]:
    judged = [report.dense.evaluation, *(point.evaluation for point in report.points)]
    return [one.value for one in judged]


# The store


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_was_stored_is_read_elsewhere(tmp_path: Path, scheme: str) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    (source / "below" / "file").write_bytes(b"1")
    address = f"{scheme}{tmp_path / 'store'}"
    writer, reader = Artifacts(address), Artifacts(address)
    assert reader.text("one/text") is None
    writer.put_text("one/text", "größer")
    writer.put_text("one/text", "kleiner")
    assert reader.text("one/text") == "kleiner"
    writer.put_folder("folder", source)
    reader.get_folder("folder", tmp_path / "copy")
    assert (tmp_path / "copy" / "below" / "file").read_bytes() == b"1"
    writer.remove("folder")
    with pytest.raises(DataError, match="not in the store"):
        reader.get_folder("folder", tmp_path / "other")


def test_half_a_folder_is_none(tmp_path: Path) -> None:
    store = Artifacts(str(tmp_path / "store"))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"whole")
    store.put_folder("folder", tmp_path / "source")
    (tmp_path / "store" / "folder" / "file").write_bytes(b"hal")
    with pytest.raises(DataError, match=r"file of .* is damaged"):
        store.get_folder("folder", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_unknown_stores_are_refused() -> None:
    with pytest.raises(SpecError, match="store 'nowhere://x' cannot be opened"):
        Artifacts("nowhere://x")


def test_without_ray_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"requirements-cluster\.txt"):
        Cluster(Machines("auto", str(tmp_path)))


def test_an_address_where_nobody_listens(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install -r requirements-cluster.txt")
    with (
        pytest.raises(ClusterError, match=r"127\.0\.0\.1:1' cannot be used"),
        Cluster(Machines("127.0.0.1:1", str(tmp_path))),
    ):
        pass


# Work that is handed out


def test_a_lost_process_is_replaced(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    with Cluster(nodes.machines(tmp_path / "store")) as cluster:
        cluster.submit("once", clustered.crash_once, tmp_path / "attempts", device="auto")
        assert cluster.next_result() == ("once", "attempt 1")
        assert not cluster.is_busy
        # What is in the store is not computed again.
        cluster.submit("once", clustered.crash_once, tmp_path / "attempts", device="cpu")
        assert cluster.next_result() == ("once", "attempt 1")
        cluster.forget("once")
    assert not (tmp_path / "store" / "results" / "once.json").exists()


def test_what_is_lost_too_often_is_told(nodes: Nodes, tmp_path: Path) -> None:
    with Cluster(nodes.machines(tmp_path, retries=1)) as cluster:
        cluster.submit("never", clustered.crash, device="cpu")
        with pytest.raises(ClusterError, match="lost 2 times"):
            cluster.next_result()


def test_an_error_comes_back_as_it_was(nodes: Nodes, tmp_path: Path) -> None:
    with Cluster(nodes.machines(tmp_path)) as cluster:
        cluster.submit("broken", clustered.fail, device="cpu")
        with pytest.raises(DataError, match=r"the data is broken\. Mend it\."):
            cluster.next_result()


@pytest.mark.parametrize(
    ("device", "words"), [("cuda", "has no GPU"), ("cuda:1", "one of a single machine")]
)
def test_devices_that_no_machine_has(nodes: Nodes, tmp_path: Path, device: str, words: str) -> None:
    with Cluster(nodes.machines(tmp_path)) as cluster, pytest.raises(SpecError, match=words):
        cluster.submit("none", clustered.fail, device=device)


def test_cancelling_ends_work_in_order(nodes: Nodes, tmp_path: Path) -> None:
    def stop(event: ProgressEvent) -> None:
        assert event.stage == "wait"
        raise Cancelled

    with Cluster(nodes.machines(tmp_path / "store")) as cluster:
        cluster.submit("long", clustered.wait, tmp_path, device="cpu", progress=stop)
        with pytest.raises(Cancelled):
            cluster.next_result()
    # Ray may say that work has ended while it still tidies up.
    wait_for((tmp_path / "tidied").exists)
    assert not (tmp_path / "store").exists()


# Sweeps


def test_an_error_in_a_point_is_that_of_the_sweep(
    nodes: Nodes, grid: SweepSpec, tmp_path: Path
) -> None:
    broken = dataclasses.replace(grid, data="text:/nowhere.txt", goals=(), sparsities=(0.5,))
    with pytest.raises(OsscarError) as local:
        sweep(broken, out=tmp_path / "local")
    with pytest.raises(OsscarError) as remote:
        sweep(broken, out=tmp_path / "out", machines=nodes.machines(tmp_path / "store"))
    assert (type(remote.value), str(remote.value)) == (type(local.value), str(local.value))


def test_goals_of_quality_go_on_from_the_points_before(
    nodes: Nodes, grid: SweepSpec, tmp_path: Path
) -> None:
    goals = (Goal(GoalKind.REMOVED, 0.3), Goal(GoalKind.QUALITY_LOSS, 0.3), *grid.goals)
    spec = dataclasses.replace(grid, sparsities=(), methods=(Method.OSSCAR,), goals=goals)
    local = sweep(spec, out=tmp_path / "local")
    remote = sweep(spec, out=tmp_path / "out", machines=nodes.machines(tmp_path / "store"))
    assert_same_table(remote, local)
    (survey,) = (tmp_path / "out").glob("survey-*")
    known = load_survey(survey).points.sequential
    (other,) = (tmp_path / "local").glob("survey-*")
    assert len(known) == len(load_survey(other).points.sequential) > 2


# Runs of the app


def test_queued_runs_of_the_app_are_computed_by_the_nodes(
    nodes: Nodes, grid: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time for one device; one ends as runs of this machine do, one is cancelled."""
    monkeypatch.setenv("OSSCAR_RAY_ADDRESS", nodes.address)
    monkeypatch.setenv("OSSCAR_ARTIFACTS", f"file://{tmp_path / 'store'}")
    store = RunStore(tmp_path / "workspace")

    def ended(run: Run) -> Run:
        wait_for(lambda: not store.get(run.id).status.state.is_live, 240)
        return store.get(run.id)

    try:
        asked = [
            JobRequest(
                dataclasses.replace(grid.base, sparsity=share),
                grid.data,
                limit=2,
                batch_size=1,
                repeats=repeats,
            )
            for share, repeats in ((0.25, 2), (0.5, LONG))
        ]
        run, other = (store.submit(request) for request in asked)
        both = {State.RUNNING}
        wait_for(lambda: {store.get(each.id).status.state for each in (run, other)} == both, 240)
        wait_for(lambda: store.get(other.id).status.step not in ("", "load"), 240)
        store.cancel(other, other.owner)
        assert ended(other).status.state is State.CANCELLED

        run = ended(run)
        assert run.status.state is State.FINISHED, run.status
        assert store.result(run).prune.plan.spec.sparsity == 0.25
        assert load_model(str(run.folder / "model")).plan is not None
        assert read_record(run).files == digests(run.folder / "model")
        assert not (run.folder / "arriving").exists()
        with store.database.read() as connection:
            row = connection.execute(runs.select().where(runs.c.id == run.id)).one()
        # A step of a moment can pass between two looks at where a run is.
        assert {"load", "prune"} <= set(json.loads(row.step_seconds)) <= set(STEPS["prune"])

        # A question about the model of such a run takes the model along.
        question = JobRequest(
            asked[0].spec,
            grid.data,
            kind=JobKind.CHECK,
            limit=2,
            check=CheckRequest(CheckKind.AB, run.id),
        )
        answer = ended(store.submit(question))
        assert answer.status.state is State.FINISHED, answer.status
        assert (answer.folder / "check.json").is_file()
        assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    finally:
        end_dispatcher(store)


def test_half_a_setting_is_told(
    grid: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSSCAR_RAY_ADDRESS", "10.0.0.1:6379")
    store = RunStore(tmp_path / "workspace")
    try:
        run = store.submit(JobRequest(grid.base, grid.data, limit=2))
        wait_for(lambda: not store.live())
        status = store.get(run.id).status
        assert status.state is State.FAILED
        assert status.reason == "OSSCAR_RAY_ADDRESS is set and OSSCAR_ARTIFACTS is not"
    finally:
        end_dispatcher(store)


# The last one: afterwards a node is missing.
def test_a_sweep_outlives_a_node(nodes: Nodes, grid: SweepSpec, tmp_path: Path) -> None:
    local = sweep(grid, out=tmp_path / "local")
    out = tmp_path / "out"
    killed_at: list[int] = []

    def kill_midway(event: ProgressEvent) -> None:
        stored = len(list((out / "points").iterdir()))
        if not killed_at and stored >= 4 and _is_busy(nodes.second):
            nodes.cluster.remove_node(nodes.second, allow_graceful=False)
            killed_at.append(stored)

    machines = nodes.machines(tmp_path / "store")
    report = sweep(grid, out=out, machines=machines, progress=kill_midway)
    assert 4 <= killed_at[0] < 12
    assert len(report.points) == 12
    assert_same_table(report, local)
    names = sorted(path.name for path in (out / "points").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "local" / "points").iterdir())
    # Everything is here, and nothing stays in the store.
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    assert sweep(grid, out=out) == report


def _is_busy(node: Any) -> bool:
    import ray

    free = ray._private.state.available_resources_per_node()
    return free.get(node.node_id, {}).get("CPU", 0) < 1
