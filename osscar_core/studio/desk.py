"""The store as one person may use it; pages know no other.

The decision hidden here: that whatever is asked for is held against the person's role and the
owner that the store knows, not the one that a page hands in. A run that may not be seen is
answered like one that does not exist, so that nobody learns that it does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from osscar_core.catalogue import catalogue
from osscar_core.datasets.own import OwnInfo
from osscar_core.datasets.own.mapping import Mapping
from osscar_core.errors import DataError, OsscarError
from osscar_core.export.records import ExportReport
from osscar_core.monitoring.records import KitReport
from osscar_core.records import PruneSpec, Task
from osscar_core.showcase import Showcase
from osscar_core.studio import commons, examples, owndata, takehome
from osscar_core.studio.access import (
    Act,
    NamedFiles,
    Person,
    Places,
    data_named,
    parts_of,
    paths_named,
)
from osscar_core.studio.choices import packaged_gguf
from osscar_core.studio.database import StoreError
from osscar_core.studio.jobs import Run, RunStore, State, unknown
from osscar_core.studio.requests import JobKind, JobRequest, RunResult

T = TypeVar("T")


class Desk:
    """What one person can do with the runs and the data of a workspace.

    Args:
        store: The runs of the workspace.
        person: Who asks.
        places: Where the files lie that they may name.

    Attributes:
        person: Who asks.
        places: Where the files lie that they may name.
    """

    def __init__(self, store: RunStore, person: Person, places: Places) -> None:
        self._store = store
        self.person = person
        self.places = places

    @property
    def home(self) -> Path:
        """The workspace."""
        return self._store.home

    # What there is to see.

    def runs(self) -> list[Run]:
        """Return this person's runs and those that are shared, the newest first."""
        return self._seen(self.person.owner)

    def everyones(self) -> list[Run]:
        """Return all runs that this person may look after, the newest first."""
        return self._seen(None if self.person.sees_all else self.person.owner)

    def get(self, run_id: str) -> Run | None:
        """Return one run; ``None`` if there is none, or none for this person."""
        run = self._store.get(run_id)
        return run if run is not None and self._may_see(run) else None

    def live(self) -> list[Run]:
        """Return this person's runs that are working or waiting, the oldest first."""
        return self._store.live(self.person.owner)

    def everyones_live(self) -> list[Run]:
        """Return the runs at work or waiting that this person may look after."""
        return self._store.live(None if self.person.sees_all else self.person.owner)

    def is_next(self, run: Run) -> bool:
        """Return whether a run that waits is about to begin, whoever else waits."""
        return run.place == 1 and all(
            other.status.state is State.QUEUED for other in self._store.live()
        )

    def is_shared(self, run: Run) -> bool:
        """Return whether everybody here may look at a run."""
        return run.id in commons.shared(self.home)

    def may(self, act: Act, run: Run | None = None) -> bool:
        """Return whether a button for this would do anything."""
        owner = self.person.owner if run is None else run.owner
        if run is not None and examples.is_example(run):
            return act is Act.SEE or (act is Act.EXPORT and self.person.may_act)
        return self.person.may(act, owner)

    def result(self, run: Run) -> RunResult | None:
        """Return what a finished run found; ``None`` for any other or a damaged one."""
        return self._store.result(run) if self._may_see(run) else None

    def showcase(self, run: Run) -> Showcase | None:
        """Return what both models answer to a few inputs; ``None`` where that is not known."""
        return self._store.showcase(run) if self._may_see(run) else None

    # What can be done with runs.

    def submit(self, request: JobRequest) -> Run:
        """Queue a run, or return the one that answers this request; see `RunStore.submit`.

        Raises:
            AccessError: This person may start nothing, or names files where they may not.
            StoreError: It is about a run that does not exist for them, or too much waits.
        """
        self.person.check(Act.START)
        files = self._check_named(request)
        return self._store.submit(request, self.person.owner, files)

    def ensure_dispatched(self) -> None:
        """See to it that somebody starts what waits; a server that only shows starts nothing."""
        if not self.person.is_shown:
            self._store.ensure_dispatched()

    def cancel(self, run: Run) -> None:
        """Stop a run."""
        own = self._theirs(Act.STOP, run)
        self._store.cancel(own, own.owner)

    def resume(self, run: Run) -> Run:
        """Queue an interrupted run again."""
        own = self._theirs(Act.RESUME, run)
        return self._store.resume(own, self._check_files(own.request))

    def delete(self, run: Run) -> None:
        """Hide a run that is not live; it is not shared any more."""
        self._store.delete(self._theirs(Act.DELETE, run))
        commons.share(self.home, run.id, False)

    def undelete(self, run: Run) -> Run:
        """Bring a run back that was deleted a moment ago."""
        # It is not listed while it is deleted: the store compares the owner that is given.
        if not self.person.may(Act.SEE, run.owner):
            raise unknown(run.id)
        self.person.check(Act.DELETE, run.owner)
        return self._store.undelete(run)

    def rename(self, run: Run, name: str) -> Run:
        """Call a run something."""
        return self._store.rename(self._theirs(Act.CHANGE, run), name)

    def annotate(self, run: Run, note: str) -> Run:
        """Write a note on a run."""
        return self._store.annotate(self._theirs(Act.CHANGE, run), note)

    def star(self, run: Run, is_starred: bool) -> Run:
        """Mark a run, or take the mark off."""
        return self._store.star(self._theirs(Act.CHANGE, run), is_starred)

    def share(self, run: Run, is_shared: bool) -> None:
        """Let everybody here look at a finished run, or stop that.

        Raises:
            StoreError: It has not finished.
        """
        own = self._theirs(Act.SHARE, run)
        if is_shared and own.status.state is not State.FINISHED:
            raise StoreError(f"the run {own.id} has not finished", "Share it when it has")
        commons.share(self.home, own.id, is_shared)

    # What leaves and enters the workspace.

    def pack(self, run: Run) -> bytes:
        """Return a finished run as a file for another installation."""
        return self._store.pack(self._theirs(Act.EXPORT, run))

    def unpack(self, data: bytes) -> Run:
        """Take in a run that was computed elsewhere."""
        self.person.check(Act.BRING)
        return self._store.unpack(data, self.person.owner)

    def log(self, run: Run) -> str:
        """Return what the worker printed."""
        return self._store.log(self._theirs(Act.EXPORT, run))

    def pack_model(self, run: Run) -> Path:
        """Return the zip of a run's pruned model; see `takehome.pack_model`."""
        return takehome.pack_model(self._theirs(Act.EXPORT, run))

    def pack_kit(self, run: Run, report: KitReport) -> Path:
        """Return the zip of a monitoring kit; see `takehome.pack_kit`."""
        return takehome.pack_kit(self._theirs(Act.EXPORT, run), report)

    def pack_export(self, run: Run, report: ExportReport) -> Path:
        """Return the zip of an export; see `takehome.pack_export`."""
        return takehome.pack_export(self._theirs(Act.EXPORT, run), report)

    def take_out(self, run: Run, pack: Callable[[], T]) -> T:
        """Return a file made of a run's records, if this person may take it away."""
        if examples.is_example(run):
            self.person.check(Act.EXPORT)
        else:
            self._theirs(Act.EXPORT, run)
        return pack()

    # Data of one's own: not even an admin sees that of others.

    def data(self, task: Task | None = None) -> tuple[OwnInfo, ...]:
        """Return this person's sets, the newest first; of one kind, if asked for."""
        return owndata.mine(self.person.owner, task)

    def find_data(self, spec: str) -> OwnInfo | None:
        """Return the set that a request names; ``None`` if this person has none such."""
        return owndata.find(spec, self.person.owner)

    def keep_data(
        self,
        source: bytes,
        name: str,
        *,
        task: Task,
        mapping: Mapping | None = None,
        class_names: tuple[str, ...] | None = None,
    ) -> OwnInfo:
        """Check a file strictly and keep it; see `owndata.keep`."""
        self.person.check(Act.BRING)
        return owndata.keep(
            source,
            name,
            task=task,
            owner=self.person.owner,
            mapping=mapping,
            class_names=class_names,
        )

    def remove_data(self, identity: str) -> None:
        """Remove a set for good."""
        self.person.check(Act.DELETE)
        owndata.remove(identity, self.person.owner)

    def may_read(self, data: str) -> bool:
        """Return whether this person may have data read; an unknown set is like a foreign one."""
        return self.places.admits_data(data) and all(map(self._knows, _own_sets(parts_of(data))))

    def may_ask(self, spec: PruneSpec) -> bool:
        """Return whether what is known of a model may be told to this person.

        It may if they could name its files themselves, or see a run that did.
        """
        try:
            self._check_named(JobRequest(spec, data="", kind=JobKind.SURVEY))
        except OsscarError:
            return any(_same_files(spec, run.request.spec) for run in self.runs())
        return True

    def _may_see(self, run: Run, shared: Collection[str] | None = None) -> bool:
        if examples.is_example(run) or self.person.may(Act.SEE, run.owner):
            return True
        known = commons.shared(self.home) if shared is None else shared
        return run.id in known and run.status.state is State.FINISHED

    def _seen(self, owner: str | None) -> list[Run]:
        """Return the runs of an owner, or of everybody, and what others share."""
        shared = commons.shared(self.home)
        found = self._store.runs(owner, also=shared)
        return [run for run in found if run.owner == owner or self._may_see(run, shared)]

    def _theirs(self, act: Act, run: Run) -> Run:
        """Return a run as the store knows it, if this person may do something with it.

        Raises:
            StoreError: There is none, or none for them.
            AccessError: They may see it, and not do this.
        """
        known = self.get(run.id)
        if known is None:
            raise unknown(run.id)
        self.person.check(act, known.owner)
        return known

    def _check_files(self, request: JobRequest) -> NamedFiles:
        """Return the files that a request names, if this person may name them."""
        files = NamedFiles(tuple(paths_named(request, _listed())), self.places)
        self.places.check(files.paths)
        return files

    def _check_named(self, request: JobRequest) -> NamedFiles:
        """Refuse a request that names files, data or a run that are not this person's to name."""
        files = self._check_files(request)
        for spec in _own_sets(data_named(request)):
            if not self._knows(spec):
                raise DataError("this data is not here any more", "Reload the page")
        named = request.check.run if request.check is not None else ""
        if not named or examples.find(named) is not None:
            return files
        run = self.get(named)
        if run is None:
            raise unknown(named)
        # A check tells what a model is worth; the others hand it out.
        if request.kind is not JobKind.CHECK:
            self.person.check(Act.EXPORT, run.owner)
        return files

    def _knows(self, spec: str) -> bool:
        return self.find_data(spec) is not None


def _own_sets(named: Iterable[str]) -> list[str]:
    """Return the sets of somebody's own among data, a mix in its parts."""
    return [part for part in named if part.startswith(owndata.PREFIX)]


def _same_files(one: PruneSpec, other: PruneSpec) -> bool:
    return (one.model, one.weights, one.calibration) == (
        other.model,
        other.weights,
        other.calibration,
    )


@functools.cache
def _listed() -> tuple[str, ...]:
    """Return the models that are offered to everybody."""
    packaged = packaged_gguf()
    return (*(entry.name for entry in catalogue()), *([str(packaged)] if packaged else []))
