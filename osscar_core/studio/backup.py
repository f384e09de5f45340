"""A whole store as one file, and back.

The decision hidden here: what makes a backup whole though runs go on meanwhile. The records
are copied as of one moment; the files of every run that was over by then are pinned by hard
links, which later deletions and replacements do not touch, and then written into one tar
file with a digest of each. A run that was being worked on is kept as interrupted. Nothing
of a backup is in its place before all of it was checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import delete, select, update

from osscar_core import __version__
from osscar_core.errors import OsscarError
from osscar_core.records import from_json, to_json
from osscar_core.storage import FileDigest
from osscar_core.studio.commons import FOLDER as SHARED
from osscar_core.studio.database import FILE, Database, StoreError, runs, unwritable
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.ledger import LIVE
from osscar_core.studio.runs import RUN_ID, State

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "backup.json"
RUNS, DATA = "runs", "data"
# Answers that took a worker to find, and which runs are shown to everybody.
_BESIDE = ("surveys", "timings", SHARED)
_MANIFEST_BYTES = 64 * 2**20
_PIECE = 2**20
_NAME = re.compile(rf"{re.escape(FILE)}|({RUNS}|{DATA}|{'|'.join(_BESIDE)})(/[^/\0]+)+")
# Files that are added to in place; all others are replaced.
_GROWING = ("log.txt", "heartbeat")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself.

    Attributes:
        format: Version of the layout.
        release: The release that wrote it.
        created: When, in seconds since the epoch.
        runs: How many runs are in it.
        files: Every file in it.
    """

    format: int
    release: str
    created: float
    runs: int
    files: tuple[FileDigest, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


def back_up(store: RunStore, file: Path, *, with_data: bool = True) -> Manifest:
    """Write a store into one file; it may be in use.

    Args:
        store: The store.
        file: The file; it must not be there yet.
        with_data: Whether data that people brought goes along.

    Raises:
        StoreError: There is nothing to keep, or it cannot be read or written.
    """
    if not store.database.exists:
        raise StoreError(f"there is no store in {store.home}", "Check OSSCAR_HOME")
    if file.exists():
        raise StoreError(f"{file} is there already", "Choose another name for the backup")
    with _folder_in(store.home, ".backup-") as staging:
        store.database.copy_to(staging / FILE)
        records = Database(staging, file=staging / FILE)
        count = _pin_runs(store, records, staging / RUNS)
        # Its last connection writes everything into the one file.
        records.close()
        for name in (*_BESIDE, *((DATA,) if with_data else ())):
            _pin(store.home / name, staging / name)
        found = sorted(path for path in staging.rglob("*") if path.is_file())
        # Not the lock that opening the records has left.
        wanted = [path for path in found if _is_safe(path.relative_to(staging).as_posix())]
        digests = tuple(FileDigest.of(path, staging) for path in wanted)
        manifest = Manifest(FORMAT, __version__, time.time(), count, digests)
        (staging / MANIFEST).write_text(to_json(manifest), encoding="utf8")
        _write_tar(file, staging, [MANIFEST, *(digest.name for digest in digests)])
    return manifest


def restore(store: RunStore, file: Path) -> Manifest:
    """Put a backup into an empty workspace; all of it, or nothing.

    Raises:
        StoreError: The workspace is in use, or the file is no backup or damaged.
    """
    is_new = not store.home.exists()
    _check_empty(store)
    try:
        with _folder_in(store.home, ".restore-") as staging:
            try:
                manifest = _unpack(file, staging)
            except (tarfile.TarError, EOFError) as error:
                raise _damaged(file, str(error)) from error
            rows = _records(staging, file)
            _put_in_place(store, staging, rows)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                store.home.rmdir()
        raise
    return manifest


def _pin_runs(store: RunStore, records: Database, into: Path) -> int:
    """Pin what the ended runs left; return how many runs the records tell of."""
    stopped = {
        "state": State.INTERRUPTED.value,
        "pid": None,
        "pid_started": None,
        "cancel_asked": None,
    }
    with records.write() as connection:
        working = runs.c.state == State.RUNNING.value
        ended = runs.c.state.not_in(LIVE)
        over = list(connection.execute(select(runs.c.id).where(ended)).scalars())
        connection.execute(update(runs).where(working).values(stopped))
        for run_id in over:
            if _pin(store.runs_folder / run_id, into / run_id) or _is_known(store, run_id):
                continue
            # It was removed for good while this was at work.
            shutil.rmtree(into / run_id, ignore_errors=True)
            connection.execute(delete(runs).where(runs.c.id == run_id))
        return len(connection.execute(select(runs.c.id)).all())


def _is_known(store: RunStore, run_id: str) -> bool:
    with store.database.read() as connection:
        return connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first() is not None


def _pin(source: Path, into: Path) -> bool:
    """Link a folder's files into another; return whether all were there to the end."""
    is_whole = source.is_dir()
    for folder, _, names in os.walk(source):
        target = into / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or name.startswith("."):
                continue
            try:
                _link(path, target / name)
            except FileNotFoundError:
                is_whole = False
    return is_whole and source.is_dir()


def _link(path: Path, to: Path) -> None:
    if path.name not in _GROWING:
        # Not every file system can, and not across two.
        with contextlib.suppress(OSError):
            os.link(path, to)
            return
    shutil.copy2(path, to)


def _write_tar(file: Path, folder: Path, names: list[str]) -> None:
    partly = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with partly.open("xb") as output:
            os.fchmod(output.fileno(), 0o600)
            with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in names:
                    tar.add(folder / name, name, recursive=False, filter=_anonymous)
            output.flush()
            os.fsync(output.fileno())
        partly.rename(file)
    except OSError as error:
        raise unwritable(error) from error
    finally:
        partly.unlink(missing_ok=True)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    # Of a file with several names, tar would keep one and say of the others that they are it.
    member.type, member.linkname = tarfile.REGTYPE, ""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _unpack(file: Path, into: Path) -> Manifest:
    """Write a backup's files into a folder, checked against its own list."""
    try:
        tar = tarfile.open(file, mode="r:")  # noqa: SIM115 - closed below
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror})", "Check its name") from error
    with tar:
        members = iter(tar)
        manifest = _manifest(tar, next(members, None), file)
        waited = {digest.name: digest for digest in manifest.files}
        for member in members:
            digest = waited.pop(member.name, None)
            source = tar.extractfile(member) if member.isreg() else None
            if digest is None or source is None or not _is_safe(member.name):
                raise _damaged(file, f"'{member.name}' does not belong in it")
            _write_checked(source, into / member.name, digest, file)
    if waited:
        raise _damaged(file, f"'{next(iter(waited))}' is missing")
    return manifest


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None, file: Path) -> Manifest:
    source = None if member is None or member.name != MANIFEST else tar.extractfile(member)
    if member is None or source is None or member.size > _MANIFEST_BYTES:
        raise _damaged(file, "it does not begin with a list of its files")
    try:
        manifest = from_json(Manifest, source.read())
    except OsscarError as error:
        raise _damaged(file, error.problem) from error
    if manifest.format != FORMAT:
        raise StoreError(
            f"{file} was written by release {manifest.release} in a layout of its own",
            "Restore it with that release",
        )
    return manifest


def _is_safe(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))


def _write_checked(source: IO[bytes], to: Path, digest: FileDigest, file: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    found, size = hashlib.sha256(), 0
    try:
        with to.open("xb") as output:
            while piece := source.read(_PIECE):
                found.update(piece)
                size += len(piece)
                output.write(piece)
    except OSError as error:
        raise unwritable(error) from error
    if (size, found.hexdigest()) != (digest.bytes, digest.sha256):
        raise _damaged(file, f"'{digest.name}' is not what was written")


def _records(staging: Path, file: Path) -> list[dict[str, Any]]:
    records = Database(staging, file=staging / FILE)
    if not records.exists:
        raise _damaged(file, f"'{FILE}' is missing")
    with records.read() as connection:
        rows = [dict(row) for row in connection.execute(select(runs)).mappings()]
    records.close()
    for row in rows:
        if not RUN_ID.fullmatch(row["id"]):
            raise _damaged(file, f"a run is called '{row['id']}'")
    return rows


def _put_in_place(store: RunStore, staging: Path, rows: list[dict[str, Any]]) -> None:
    moved = []
    try:
        for row in rows:
            (staging / RUNS / row["id"]).mkdir(parents=True, exist_ok=True)
        for name in (RUNS, DATA, *_BESIDE):
            if (staging / name).is_dir():
                with contextlib.suppress(FileNotFoundError):
                    (store.home / name).rmdir()  # empty, or this is refused
                (staging / name).rename(store.home / name)
                moved.append(store.home / name)
        store.database.add(rows)
    except BaseException as error:
        for folder in moved:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise unwritable(error) from error
        raise
    logger.info("%s runs were restored", len(rows))


def _check_empty(store: RunStore) -> None:
    taken = [
        name
        for name in (RUNS, DATA, *_BESIDE)
        if (store.home / name).is_dir() and any((store.home / name).iterdir())
    ]
    if store.database.exists:
        with store.database.read() as connection:
            if connection.execute(select(runs.c.id).limit(1)).first() is not None:
                taken.insert(0, "records of runs")
    if taken:
        raise StoreError(
            f"the workspace {store.home} is in use: it has {', '.join(taken)}",
            "Set OSSCAR_HOME to an empty folder, or move this one away; nothing was changed",
        )


def _damaged(file: Path, why: str) -> StoreError:
    return StoreError(
        f"{file} is no whole backup: {why}", "Use another one; nothing was changed by this one"
    )


@contextlib.contextmanager
def _folder_in(home: Path, prefix: str) -> Iterator[Path]:
    """Give a folder on the workspace's own disk that is gone afterwards."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
    except OSError as error:
        raise unwritable(error) from error
    try:
        yield folder
    finally:
        Database(folder, file=folder / FILE).close()
        shutil.rmtree(folder, ignore_errors=True)
