"""The commands ``store``: backup, restore, purge, check.

The decision hidden here: what the keeper of a server is told of the store. Nothing here
removes or overwrites anything without a command that says so.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscar_core.cli.console import list_table, scaled
from osscar_core.cli.grammar import Parser, new_command
from osscar_core.cli.outcome import Outcome
from osscar_core.records import to_dict

if TYPE_CHECKING:
    from osscar_core.diagnosis import Diagnosis
    from osscar_core.studio.backup import Manifest
    from osscar_core.studio.jobs import RunStore

_WORKSPACE = "the app's folder (default: OSSCAR_HOME, or the usual one)"


def add_store(commands: Any) -> None:
    """Add ``store`` and what is below it."""
    summary = "Keep the app's runs: back up, restore, remove what is old, check."
    parser: Parser = commands.add_parser("store", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="store_command", required=True, metavar="WHAT")
    backup = new_command(kinds, "backup", "Write all runs into one file; the app may be in use.")
    backup.add_argument("file", metavar="FILE", help="a new file, such as runs.tar")
    backup.add_argument(
        "--without-data", action="store_true", help="leave out data that people brought"
    )
    restore = new_command(kinds, "restore", "Put a backup into an empty workspace.")
    restore.add_argument("file", metavar="FILE", help="what backup has written")
    purge = new_command(kinds, "purge", "Remove runs for good that were over long ago.")
    purge.add_argument("--older-than", metavar="AGE", required=True, help="such as 90d, 4w or 1y")
    purge.add_argument("--keep-starred", action="store_true", help="leave those with a star")
    purge.add_argument("--dry-run", action="store_true", help="only say which would go")
    check = new_command(kinds, "check", "Look for damage and remains, and say what to do.")
    for command in (backup, restore, purge, check):
        command.add_argument("--workspace", metavar="DIR", help=_WORKSPACE)


def run_store(args: argparse.Namespace) -> Outcome:
    """Carry out a command on the store.

    Raises:
        OsscarError: With the reason in words.
    """
    from osscar_core.studio.jobs import RunStore

    store = RunStore(None if args.workspace is None else Path(args.workspace))
    match args.store_command:
        case "backup":
            from osscar_core.studio.backup import back_up

            made = back_up(store, Path(args.file), with_data=not args.without_data)
            return _told(made, f"written to {args.file}")
        case "restore":
            from osscar_core.studio.backup import restore

            return _told(restore(store, Path(args.file)), f"restored into {store.home}")
        case "purge":
            return _purge(store, args)
        case _:
            from osscar_core.diagnosis import Diagnosis
            from osscar_core.studio.checkup import check_store

            return diagnosis_outcome(Diagnosis(tuple(check_store(store.home))))


def diagnosis_outcome(diagnosis: Diagnosis) -> Outcome:
    """Return checks as values and as text; what fails is the exit code."""
    lines = []
    for check in diagnosis.checks:
        lines.append(f"{check.status:<4}  {check.name}: {check.found}")
        if check.remedy:
            lines.append(f"      {check.remedy}")
    payload = {**to_dict(diagnosis), "fit": diagnosis.is_fit}
    return Outcome(payload, "\n".join(lines), exit_code=0 if diagnosis.is_fit else 1)


def _told(manifest: Manifest, where: str) -> Outcome:
    payload = {
        "runs": manifest.runs,
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "created": manifest.created,
        "release": manifest.release,
    }
    size = scaled(manifest.bytes, "B")
    return Outcome(payload, f"{manifest.runs} runs, {len(manifest.files)} files, {size}: {where}")


def _purge(store: RunStore, args: argparse.Namespace) -> Outcome:
    from osscar_core.studio.retention import expired, parse_age, remove

    place = (store.database, store.runs_folder)
    found = expired(*place, parse_age(args.older_than), keep_starred=args.keep_starred)
    count = len(found)
    if not args.dry_run:
        count = remove(*place, found, keep_starred=args.keep_starred)
    size = sum(one.bytes for one in found)
    payload = {
        "runs": [to_dict(one) for one in found],
        "bytes": size,
        "removed": 0 if args.dry_run else count,
    }
    what = "would go" if args.dry_run else "are gone"
    total = f"{count} runs, {scaled(size, 'B')}: {what}"
    if not found:
        return Outcome(payload, total)
    rows = [
        (
            one.id,
            time.strftime("%Y-%m-%d", time.gmtime(one.ended)),
            scaled(one.bytes, "B"),
            one.name,
        )
        for one in found
    ]
    return Outcome(payload, f"{list_table(('run', 'ended', 'size', 'name'), rows)}\n\n{total}")
