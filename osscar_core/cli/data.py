"""The command ``data check``: grammar, call and text.

The decision hidden here: what a person is told of a file before it is used, and that
mistakes in it are the result of the command, all of them, and its exit code.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscar_core.cli.grammar import Parser, new_command
from osscar_core.cli.outcome import Outcome
from osscar_core.errors import SpecError
from osscar_core.records import Task, from_json, to_dict

if TYPE_CHECKING:
    from osscar_core.datasets.own import OwnDataError, Preview
    from osscar_core.datasets.own.parsing import Parsed

_FAULTY = 2
_MODEL_FILES = (".gguf",)


def add_data(commands: Any) -> None:
    """Add ``data`` and what is below it."""
    summary = "Look at data of one's own."
    parser: Parser = commands.add_parser("data", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="data_command", required=True, metavar="WHAT")
    check = new_command(kinds, "check", "Say what is in a file, or all that is wrong with it.")
    check.add_argument(
        "file", metavar="FILE", help="a .csv or .jsonl file, or a .zip file or folder of pictures"
    )
    check.add_argument(
        "--model", metavar="MODEL", required=True, help="the model that is to read it"
    )
    check.add_argument("--text", metavar="COLUMN", help="the column with the text")
    check.add_argument("--label", metavar="COLUMN", help="the column with the class")
    check.add_argument("--picture", metavar="COLUMN", help="the column with the file's name")


def run_data(args: argparse.Namespace) -> Outcome:
    """Carry out ``data check``.

    Raises:
        OsscarError: With the reason in words, for what is no mistake in the file.
    """
    from osscar_core.datasets.own import Mapping, OwnDataError, preview
    from osscar_core.datasets.own.parsing import parse

    task, class_names = reader_of(args.model)
    path = Path(args.file)
    mapping = Mapping(text=args.text, label=args.label, file=args.picture)
    try:
        parsed = parse(path, path.name, task=task, mapping=mapping, class_names=class_names)
        seen = preview(path, path.name)
    except OwnDataError as error:
        return _faulty(error)
    return _found(parsed, seen)


def reader_of(model: str) -> tuple[Task, tuple[str, ...] | None]:
    """Return what a model reads and what it calls its classes, without loading weights.

    Raises:
        SpecError: There is no such model.
    """
    from osscar_core.catalogue import catalogue

    entry = next((entry for entry in catalogue() if entry.name == model), None)
    if entry is not None and entry.task == "text":
        return "text", None
    plan = Path(model) / "plan.json"
    if plan.is_file():
        from osscar_core.records import Plan

        source = from_json(Plan, plan.read_bytes()).source
        return source.task, source.class_names
    from osscar_core.models.images import ARCHITECTURES

    if model in ARCHITECTURES:
        return "image", ARCHITECTURES[model].class_names
    if Path(model).is_dir() or model.endswith(_MODEL_FILES) or model.count("/") == 1:
        return "text", None
    raise SpecError(f"unknown model '{model}'", "'models' lists those known")


def _found(parsed: Parsed, seen: Preview) -> Outcome:
    from osscar_core.datasets.own.classes import ClassReader

    names = ClassReader(parsed.class_names, ())
    counts: dict[str, int] = {}
    for item in parsed.items:
        if item.label is not None:
            counts[names.name(item.label)] = counts.get(names.name(item.label), 0) + 1
    payload = {
        "usable": True,
        "kind": seen.kind,
        "task": parsed.task,
        "count": len(parsed.items),
        "columns": list(parsed.columns),
        "classes": dict(sorted(counts.items())),
        "encoding": parsed.encoding,
        "personal": [to_dict(hint) for hint in seen.personal],
        "warnings": list(parsed.warnings),
        "errors": [],
    }
    kind = "pictures" if parsed.task == "image" else "documents"
    encoding = {"utf-8": ", UTF-8", "cp932": ", Shift-JIS"}.get(parsed.encoding or "", "")
    lines = [f"{len(parsed.items):,} {kind} ({seen.kind}{encoding})"]
    lines.append(f"slices: {', '.join(parsed.columns) or 'none'}")
    if counts:
        lines.append("classes: " + ", ".join(f"{k} {n}" for k, n in sorted(counts.items())))
    lines.extend(f"warning: {warning}" for warning in parsed.warnings)
    words = {"email": "e-mail addresses", "phone": "telephone numbers"}
    lines.extend(
        f"personal: column '{hint.column}' seems to hold {words[hint.kind]} ({hint.rows} rows)"
        for hint in seen.personal
    )
    return Outcome(payload, "\n".join(lines))


def _faulty(error: OwnDataError) -> Outcome:
    payload = {
        "usable": False,
        "count": error.total,
        "errors": [to_dict(problem) for problem in error.problems],
    }
    many = "1 error" if error.total == 1 else f"{error.total} errors"
    lines = [many, *(f"  {problem}. {problem.remedy}." for problem in error.problems)]
    if error.total > len(error.problems):
        lines.append(f"  and {error.total - len(error.problems)} more")
    return Outcome(payload, "\n".join(lines), exit_code=_FAULTY)
