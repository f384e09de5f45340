"""Which runs may go, which never go by themselves, and how much room there is."""

from __future__ import annotations

import time

import pytest

from osscar_core.errors import SpecError
from osscar_core.studio import retention
from osscar_core.studio.jobs import RunStore, State, Status, StoreError

DAY = 86_400.0
OLD, STARRED, NEW, BUSY = (f"20260101-000000-00000{n}" for n in range(1, 5))


@pytest.fixture
def aged(still: RunStore, samples) -> RunStore:
    """Return a store with an old run, an old one with a star, a new one and an old one at work."""
    asked, now = samples.image_request(), time.time()
    found = samples.result(asked, units=2)
    old, new = {"created": 1.0, "updated": now - 100 * DAY}, {"created": 1.0, "updated": now}
    samples.write_run(still.home, OLD, asked, found, **old)
    samples.write_run(still.home, STARRED, asked, found, is_starred=True, **old)
    samples.write_run(still.home, NEW, asked, found, **new)
    samples.write_run(still.home, BUSY, asked, None, Status(State.RUNNING), **old)
    with still.database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET queued = 1.0")
    return still


def names(store: RunStore) -> set[str]:
    assert {path.name for path in store.runs_folder.iterdir()} == {run.id for run in store.runs()}
    return {run.id for run in store.runs()}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90d", 90 * DAY), (" 12H ", 43_200.0), ("1.5w", 10.5 * DAY), ("1y", 365.25 * DAY)],
)
def test_ages_are_read(text: str, seconds: float) -> None:
    assert retention.parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1e3d", "90 days", "nan d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is no age"):
        retention.parse_age(text)


@pytest.mark.parametrize(("keep_starred", "gone"), [(True, {OLD}), (False, {OLD, STARRED})])
def test_only_what_was_over_long_ago_goes(aged: RunStore, keep_starred: bool, gone: set) -> None:
    place = aged.database, aged.runs_folder
    found = retention.expired(*place, 90 * DAY, keep_starred=keep_starred)
    assert {one.id for one in found} == gone
    assert all(one.bytes > 1000 for one in found)
    assert names(aged) == {OLD, STARRED, NEW, BUSY}
    assert retention.remove(*place, found, keep_starred=keep_starred) == len(gone)
    assert names(aged) == {OLD, STARRED, NEW, BUSY} - gone


def test_what_got_a_star_meanwhile_stays(aged: RunStore) -> None:
    place = aged.database, aged.runs_folder
    found = retention.expired(*place, 90 * DAY, keep_starred=True)
    aged.star(aged.get(OLD), True)
    assert retention.remove(*place, found, keep_starred=True) == 0
    assert OLD in names(aged)


def test_nothing_goes_by_itself_unless_a_time_is_set(aged: RunStore, monkeypatch) -> None:
    aged.purge()
    assert len(names(aged)) == 4
    monkeypatch.setenv(retention.VARIABLE, "90d")
    aged.purge()
    assert names(aged) == {STARRED, NEW, BUSY}


@pytest.mark.parametrize("text", ["soon", "0d", "23h"])
def test_a_mistaken_time_removes_nothing_and_is_told(
    aged: RunStore, monkeypatch, caplog, text: str
) -> None:
    monkeypatch.setenv(retention.VARIABLE, text)
    aged.purge()
    assert len(names(aged)) == 4
    assert "no run is removed for its age" in caplog.text


def test_there_is_nothing_to_find_in_a_workspace_that_was_never_used(still: RunStore) -> None:
    place = still.database, still.runs_folder
    assert retention.expired(*place, 0.0, keep_starred=False) == []
    assert not still.home.exists()


def test_a_full_workspace_takes_no_more_runs(aged: RunStore, ask, monkeypatch) -> None:
    monkeypatch.setenv(retention.QUOTA_VARIABLE, "1kB")
    with pytest.raises(StoreError, match=r"is what they may.*Delete runs"):
        aged.submit(ask())
    assert aged.submit(aged.get(NEW).request).id == BUSY  # asked for already
    monkeypatch.setenv(retention.QUOTA_VARIABLE, "1GB")
    assert aged.submit(ask()).status.state is State.QUEUED
