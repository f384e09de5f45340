"""The store as one person may use it: every act, by every role, on every kind of run."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscar_core.datasets.own import sample_own
from osscar_core.errors import DataError, OsscarError
from osscar_core.export.records import ExportFormat
from osscar_core.records import PruneSpec
from osscar_core.studio import commons, desk, jobs, owndata, takehome
from osscar_core.studio.access import EVERYWHERE, AccessError, Person, Places, Role
from osscar_core.studio.database import StoreError
from osscar_core.studio.desk import Desk
from osscar_core.studio.jobs import Run, RunStore, State, Status
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest

ME, OTHER = "user-me", "user-other"
OWN, FOREIGN, SHARED, NONE = (f"20260101-00000{index}-000000" for index in range(4))
LIVE_OWN, LIVE_FOREIGN, HALTED_OWN, HALTED_FOREIGN = (
    f"20260101-00001{index}-000000" for index in range(4)
)
PEOPLE = {
    "viewer": Person(ME, Role.VIEWER),
    "operator": Person(ME, Role.OPERATOR),
    "admin": Person(ME, Role.ADMIN),
    "shown": Person(ME, Role.ADMIN, is_shown=True),
    "stranger": Person("user-third", Role.OPERATOR),
}


@pytest.fixture
def store(home: Path, samples, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)
    for run_id, owner in ((OWN, ME), (FOREIGN, OTHER), (SHARED, OTHER)):
        asked = samples.image_request(0.5)
        folder = samples.write_run(home, run_id, asked, samples.result(asked), owner=owner)
        (folder / "model").mkdir()
        (folder / "model" / "model.safetensors").write_bytes(b"weights")
    for run_id, owner, state in (
        (LIVE_OWN, ME, State.QUEUED),
        (LIVE_FOREIGN, OTHER, State.QUEUED),
        (HALTED_OWN, ME, State.INTERRUPTED),
        (HALTED_FOREIGN, OTHER, State.INTERRUPTED),
    ):
        asked = samples.image_request(0.4)
        samples.write_run(home, run_id, asked, None, Status(state), owner=owner)
    commons.share(home, SHARED, True)
    return RunStore(home)


def ghost(store: RunStore, run_id: str) -> Run:
    """Return a run as somebody might make it up: of the right name, and said to be theirs."""
    real = store.get(run_id)
    if real is not None:
        return dataclasses.replace(real, owner=ME)
    return dataclasses.replace(store.get(OWN), id=NONE, folder=store.runs_folder / NONE)


FINISHED: dict[str, Callable[[Desk, Run], object]] = {
    "rename": lambda at, run: at.rename(run, "x"),
    "annotate": lambda at, run: at.annotate(run, "x"),
    "star": lambda at, run: at.star(run, True),
    "share": lambda at, run: at.share(run, True),
    "unshare": lambda at, run: at.share(run, False),
    "delete": lambda at, run: at.delete(run),
    "pack": lambda at, run: at.pack(run),
    "log": lambda at, run: at.log(run),
    "take_out": lambda at, run: at.take_out(run, lambda: b""),
    "pack_model": lambda at, run: at.pack_model(run),
}
"""What can be done with a finished run."""

READ: dict[str, Callable[[Desk, Run], object]] = {
    "get": lambda at, run: at.get(run.id),
    "listed": lambda at, run: next((r for r in at.everyones() if r.id == run.id), None),
    "result": lambda at, run: at.result(at.get(run.id) or run),
}
"""What there is to see of one."""


def outcome(work: Callable[[], object]) -> tuple[type[OsscarError] | None, str]:
    """Return how an act ended: nothing if well, else the error, and what it says."""
    try:
        work()
    except OsscarError as error:
        return type(error), str(error)
    return None, ""


@pytest.mark.parametrize("who", PEOPLE)
def test_acts_on_finished_runs(store: RunStore, who: str) -> None:
    person = PEOPLE[who]
    at, is_admin = Desk(store, person, EVERYWHERE), person.role is Role.ADMIN
    for act, run_id in itertools.product(FINISHED, (OWN, FOREIGN, SHARED)):
        case, before = (act, who, run_id), store.get(run_id)
        error, said = outcome(lambda: FINISHED[act](at, ghost(store, run_id)))  # noqa: B023
        is_own = run_id == OWN and person.owner == ME
        if not (is_own or is_admin or run_id == SHARED):
            # Word for word what is said of a run that never was.
            nothing = outcome(lambda: FINISHED[act](at, ghost(store, NONE)))  # noqa: B023
            assert (error, said.replace(run_id, NONE)) == nothing, case
            assert error is StoreError, case
        elif not person.may_act or not (is_own or is_admin):
            assert error is AccessError, case
        else:
            assert error is None, case
        if error is not None:
            assert store.get(run_id) == before, case
            assert commons.shared(store.home) == {SHARED}, case
            assert not (before.folder / "model.zip").exists(), case
        elif act == "delete":
            store.undelete(before)
        commons.share(store.home, SHARED, True)
        for other in (OWN, FOREIGN):
            commons.share(store.home, other, False)


@pytest.mark.parametrize("who", PEOPLE)
def test_what_there_is_to_see(store: RunStore, who: str) -> None:
    person = PEOPLE[who]
    at = Desk(store, person, EVERYWHERE)
    for act, run_id in itertools.product(READ, (OWN, FOREIGN, SHARED)):
        is_own = run_id == OWN and person.owner == ME
        is_seen = is_own or run_id == SHARED or person.role is Role.ADMIN
        found = READ[act](at, store.get(run_id))
        assert (found is not None) is is_seen, (act, who, run_id)


LIVE: dict[str, tuple[Callable[[Desk, Run], object], str, str]] = {
    "cancel": (lambda at, run: at.cancel(run), LIVE_OWN, LIVE_FOREIGN),
    "resume": (lambda at, run: at.resume(run), HALTED_OWN, HALTED_FOREIGN),
}
"""What can be done with one that is not over, one's own and a foreign one."""


@pytest.mark.parametrize("who", PEOPLE)
def test_acts_on_runs_that_are_not_over(
    store: RunStore, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_listed", lambda: ("cifar/resnet20",))
    person = PEOPLE[who]
    at = Desk(store, person, EVERYWHERE)
    for act, (work, *run_ids) in LIVE.items():
        for run_id in run_ids:
            before = store.get(run_id).status.state
            error, _ = outcome(lambda: work(at, ghost(store, run_id)))  # noqa: B023
            is_own = run_id == run_ids[0] and person.owner == ME
            if not is_own and person.role is not Role.ADMIN:
                assert error is StoreError, (act, who, run_id)
            elif not person.may_act:
                assert error is AccessError, (act, who, run_id)
            else:
                assert error is None, (act, who, run_id)
            assert (store.get(run_id).status.state is before) == (error is not None)


@pytest.mark.parametrize("who", PEOPLE)
def test_acts_that_make_something_new(store: RunStore, who: str, samples) -> None:
    person = PEOPLE[who]
    at = Desk(store, person, EVERYWHERE)
    packed = store.pack(store.get(OWN))
    name, content = sample_own("text")
    acts = (
        lambda: at.submit(samples.image_request(0.3)),
        lambda: at.unpack(packed),
        lambda: at.keep_data(content, name, task="text"),
    )
    wanted = None if person.may_act else AccessError
    assert [outcome(act)[0] for act in acts] == [wanted] * 3
    assert {run.owner for run in store.runs()} <= {ME, OTHER, person.owner}
    assert bool(at.data()) is person.may_act


@pytest.mark.parametrize("who", PEOPLE)
def test_a_deletion_is_taken_back_by_whoever_may_delete(store: RunStore, who: str) -> None:
    person = PEOPLE[who]
    at = Desk(store, person, EVERYWHERE)
    for run_id in (OWN, FOREIGN):
        run = store.get(run_id)
        store.delete(run)
        # As it was, and as somebody might make it up.
        for claimed in (dataclasses.replace(run, owner="user-nobody"), run):
            outcome(lambda: at.undelete(claimed))  # noqa: B023
        is_theirs = person.role is Role.ADMIN or run.owner == person.owner
        assert (store.get(run_id) is not None) == (person.may_act and is_theirs), (who, run_id)


def test_lists_hold_ones_own_and_what_is_shared(store: RunStore) -> None:
    at = Desk(store, PEOPLE["operator"], EVERYWHERE)
    assert {run.id for run in at.runs()} == {OWN, SHARED, LIVE_OWN, HALTED_OWN}
    assert at.everyones() == at.runs()
    assert [run.id for run in at.live()] == [LIVE_OWN]
    admin = Desk(store, PEOPLE["admin"], EVERYWHERE)
    assert admin.runs() == at.runs()
    assert len(admin.everyones()) == 7
    assert {run.id for run in admin.everyones_live()} == {LIVE_OWN, LIVE_FOREIGN}
    assert [run.id for run in admin.live()] == [LIVE_OWN]


def test_a_run_that_is_deleted_is_not_shared_any_more(store: RunStore) -> None:
    at = Desk(store, Person(OTHER, Role.OPERATOR), EVERYWHERE)
    at.delete(store.get(SHARED))
    at.undelete(dataclasses.replace(ghost(store, OWN), id=SHARED, owner=OTHER))
    assert Desk(store, PEOPLE["stranger"], EVERYWHERE).get(SHARED) is None


def test_only_what_has_finished_is_shared(store: RunStore) -> None:
    with pytest.raises(StoreError, match="has not finished"):
        Desk(store, PEOPLE["operator"], EVERYWHERE).share(store.get(LIVE_OWN), True)
    commons.share(store.home, LIVE_OWN, True)
    assert Desk(store, PEOPLE["stranger"], EVERYWHERE).get(LIVE_OWN) is None


@pytest.fixture
def foreign_data(store: RunStore) -> Iterator[str]:
    name, content = sample_own("text")
    info = owndata.keep(content, name, task="text", owner=OTHER)
    yield owndata.spec_of(info)
    assert owndata.find(owndata.spec_of(info), OTHER) is not None


@pytest.mark.parametrize("who", ["viewer", "operator", "admin", "shown"])
def test_data_is_its_owners_even_before_an_admin(
    store: RunStore, foreign_data: str, who: str
) -> None:
    at = Desk(store, PEOPLE[who], EVERYWHERE)
    assert at.data() == ()
    assert at.find_data(foreign_data) is None
    assert not at.may_read(foreign_data)
    assert not at.may_read(f"mix:1*{foreign_data}+1*demo:plant-log")
    missing, said = outcome(lambda: at.remove_data("0" * 16))
    assert outcome(lambda: at.remove_data(foreign_data.partition(":")[2])) == (missing, said)


FIELDS: dict[str, Callable[[str], JobRequest]] = {
    "calibration": lambda data: JobRequest(PruneSpec("demo/opt", data, 0.3), "demo:plant-log"),
    "guarded": lambda data: JobRequest(
        PruneSpec("demo/opt", "demo:plant-log", 0.3, data=data), "demo:plant-log"
    ),
    "data": lambda data: JobRequest(PruneSpec("demo/opt", "demo:plant-log", 0.3), data),
    "mixed": lambda data: JobRequest(
        PruneSpec("demo/opt", f"mix:1*demo:plant-log+1*{data}", 0.3), "demo:plant-log"
    ),
    "reference": lambda data: JobRequest(
        PruneSpec("demo/opt", "demo:plant-log", 0.3),
        "demo:plant-log",
        kind=JobKind.CHECK,
        check=CheckRequest(CheckKind.SHIFT, OWN, reference=data),
    ),
}
"""Every field of a request that names data."""


def test_a_request_names_only_data_of_ones_own(store: RunStore, foreign_data: str) -> None:
    at = Desk(store, PEOPLE["operator"], EVERYWHERE)
    name, content = sample_own("text")
    own = owndata.spec_of(at.keep_data(content, name, task="text"))
    for field, request in FIELDS.items():
        for data in (foreign_data, "own:" + 16 * "0"):
            told = outcome(lambda: at.submit(request(data)))  # noqa: B023
            assert told == (DataError, "this data is not here any more. Reload the page."), field
        assert at.submit(request(own)).owner == ME


def test_a_request_names_files_below_the_roots_only(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    at = Desk(store, PEOPLE["operator"], Places((str(tmp_path / "root"),)))
    for is_there in (False, True):
        for folder in (tmp_path, tmp_path / "root"):
            if is_there:
                (folder / "notes.txt").write_text("text")
        for field, request in FIELDS.items():
            with pytest.raises(AccessError, match="only below the folders"):
                at.submit(request(f"text:{tmp_path / 'notes.txt'}"))
            inside = request(f"text:{tmp_path / 'root' / 'notes.txt'}")
            assert at.submit(inside).owner == ME, field


@pytest.mark.parametrize("name", ["model", "weights"])
def test_models_and_weights_lie_below_the_roots_too(
    store: RunStore, tmp_path: Path, name: str
) -> None:
    spec = {"model": "demo/opt", "calibration": "demo:plant-log", "sparsity": 0.3}
    request = JobRequest(PruneSpec(**spec | {name: str(tmp_path)}), "demo:plant-log")
    with pytest.raises(AccessError):
        Desk(store, PEOPLE["admin"], Places()).submit(request)
    assert Desk(store, PEOPLE["admin"], Places((str(tmp_path),))).submit(request).owner == ME


@pytest.mark.parametrize("kind", [JobKind.CHECK, JobKind.KIT, JobKind.EXPORT])
def test_nothing_is_asked_about_the_model_of_a_run_that_may_not_be_seen(
    store: RunStore, kind: JobKind
) -> None:
    def request(run_id: str) -> JobRequest:
        return JobRequest(
            PruneSpec("demo/opt", "demo:plant-log", 0.3),
            "demo:plant-log",
            kind=kind,
            check=CheckRequest(CheckKind.AB, run_id),
            format=ExportFormat.ONNX if kind is JobKind.EXPORT else None,
        )

    at = Desk(store, PEOPLE["operator"], EVERYWHERE)
    told = [outcome(lambda run_id=run_id: at.submit(request(run_id))) for run_id in (FOREIGN, NONE)]
    assert told[0] == (StoreError, told[1][1].replace(NONE, FOREIGN))
    assert at.submit(request(OWN)).owner == ME
    error, _ = outcome(lambda: at.submit(request(SHARED)))
    assert error is (None if kind is JobKind.CHECK else AccessError)


def test_two_people_who_ask_the_same_have_a_run_each(store: RunStore, samples) -> None:
    asked = samples.image_request(0.2)
    first, second = (
        Desk(store, PEOPLE[who], EVERYWHERE).submit(asked) for who in ("operator", "stranger")
    )
    assert (first.owner, second.owner) == (ME, "user-third")
    assert first.id != second.id


def test_what_is_known_of_a_model_is_told_to_whoever_could_ask(
    store: RunStore, tmp_path: Path
) -> None:
    spec = PruneSpec(str(tmp_path), "demo:plant-log")
    assert Desk(store, PEOPLE["operator"], Places((str(tmp_path),))).may_ask(spec)
    assert not Desk(store, PEOPLE["operator"], Places()).may_ask(spec)
    assert Desk(store, PEOPLE["viewer"], Places()).may_ask(PruneSpec("demo/opt", "demo:plant-log"))
    seen = store.get(SHARED).request.spec
    assert Desk(store, PEOPLE["viewer"], Places()).may_ask(seen)


def test_a_server_that_only_shows_starts_nothing_of_what_waits(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: started.append(True))
    Desk(store, PEOPLE["shown"], EVERYWHERE).ensure_dispatched()
    assert started == []
    Desk(store, PEOPLE["viewer"], EVERYWHERE).ensure_dispatched()
    assert started == [True]


def test_the_time_left_is_learned_from_ones_own_runs(store: RunStore, home: Path, samples) -> None:
    """What others' runs took would tell that they work on the model."""
    from osscar_core.studio.ledger import Ledger

    seconds = '{"load": 1000, "prune": 1000}'
    with store.database.write() as connection:
        connection.execute(
            jobs.update(jobs.runs).where(jobs.runs.c.id == FOREIGN).values(step_seconds=seconds)
        )
    ledger = Ledger(store.database)
    assert ledger.pace(LIVE_FOREIGN).seconds == 2000
    assert ledger.pace(LIVE_OWN).seconds is None


def test_a_packed_model_is_where_its_run_is(store: RunStore) -> None:
    path = Desk(store, PEOPLE["operator"], EVERYWHERE).pack_model(store.get(OWN))
    assert path == store.runs_folder / OWN / "model.zip"
    assert takehome.pack_model(store.get(OWN)) == path
