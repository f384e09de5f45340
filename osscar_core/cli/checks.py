"""The commands ``check ab``, ``check shift`` and so on: grammar, call and text of each.

The decision hidden here: what the checks ask for and what they say. A check adds a
parser in `add_checks` and a case in `run_check`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscar_core.cli.grammar import (
    DATA_HELP,
    Parser,
    names,
    new_command,
    number,
    numbers,
    whole,
)
from osscar_core.cli.inputs import check_data, load
from osscar_core.cli.outcome import Outcome
from osscar_core.errors import OutputError, SpecError
from osscar_core.progress import Progress
from osscar_core.storage import given_path

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


def add_checks(commands: Any) -> None:
    """Add ``check`` and the checks below it."""
    summary = "Check a pruned model on data of one's own."
    parser: Parser = commands.add_parser("check", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="check", required=True, metavar="WHAT")
    _add_ab(kinds)
    _add_shift(kinds)
    _add_stress(kinds)


def run_check(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Carry out one check.

    Raises:
        OsscarError: With the reason in words.
    """
    match args.check:
        case "ab":
            return _ab(args, progress)
        case "shift":
            return _shift(args, progress)
        case "stress":
            return _stress(args, progress)
        case _:
            raise SpecError(f"no check is called '{args.check}'", "See check --help")


def add_pair(parser: Parser) -> None:
    """Add the arguments of a check that compares two models."""
    parser.add_argument("dense", metavar="DENSE", help="the reference: a model as for prune")
    parser.add_argument("pruned", metavar="PRUNED", help="the model compared with it")
    add_model_options(parser)


def add_model_options(parser: Parser) -> None:
    """Add what says how models are loaded and run."""
    parser.add_argument("--weights", metavar="FILE", help="of the dense model, as for prune")
    parser.add_argument("--image-size", type=whole, help="of the dense model, as for prune")
    parser.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--dtype", help="auto (default), float32, float16 or bfloat16")
    parser.add_argument("--batch-size", type=whole, help="items a forward pass")
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        default=None,
        help="allow the repositories' own modelling code to run",
    )


def load_pair(args: argparse.Namespace) -> tuple[LoadedModel, LoadedModel]:
    """Load the two models that `add_pair` names."""
    return load(args, args.dense), load_pruned(args, args.pruned)


def load_pruned(args: argparse.Namespace, name: str) -> LoadedModel:
    """Load the model that is compared with the dense one."""
    from osscar_core.models import load_model

    return load_model(
        name,
        device=args.device or "auto",
        dtype=args.dtype or "auto",
        trust_remote_code=bool(args.trust_remote_code),
    )


def new_file(name: str) -> Path:
    """Return the path of a file to write, whose folder is there.

    Raises:
        OutputError: Its folder is not, or it is a folder itself.
    """
    path = given_path(name)
    if path.is_dir() or not path.parent.is_dir():
        raise OutputError(f"no file can be written at '{name}'", "Name a file in a folder there is")
    return path


def _add_ab(kinds: Any) -> None:
    parser = new_command(kinds, "ab", "Compare two models on the same items, against a margin.")
    add_pair(parser)
    parser.add_argument("--data", metavar="SPEC", required=True, help=DATA_HELP)
    parser.add_argument(
        "--margin",
        type=number,
        required=True,
        help="acceptable loss, fixed beforehand: 0.01 is one point of accuracy, or 1%% perplexity",
    )
    parser.add_argument(
        "--slices", type=names, metavar="LIST", help="attributes to slice by (default: all)"
    )
    parser.add_argument("--limit", type=whole, help="use only the first so many items")
    parser.add_argument("--level", type=number, help="confidence (default: 0.95)")
    parser.add_argument("--seed", type=whole, help="of the resampling (default: 0)")
    parser.add_argument("--flips", metavar="FILE", help="write the items that changed as CSV")


def _ab(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.checks.records import check_margin
    from osscar_core.records import check_range, to_dict

    check_margin(args.margin)
    check_data(args.data)
    for name in ("limit", "batch_size"):
        if getattr(args, name) is not None:
            check_range(name, getattr(args, name), 1)
    file = None if args.flips is None else new_file(args.flips)
    from osscar_core.checks.ab import check_ab
    from osscar_core.checks.export import changes_csv
    from osscar_core.cli.check_reports import ab_text

    dense, pruned = load_pair(args)
    settings = {
        name: getattr(args, name)
        for name in ("limit", "level", "seed", "batch_size")
        if getattr(args, name) is not None
    }
    report = check_ab(
        dense,
        pruned,
        args.data,
        margin=args.margin,
        columns=args.slices,
        progress=progress,
        **settings,
    )
    text = ab_text(report)
    if file is not None:
        # The mark at the start tells spreadsheets that it is UTF-8.
        file.write_text(changes_csv(report), encoding="utf-8-sig", newline="")
        shown = len(report.flips or report.drifts)
        text = f"{text}\n{file}: {shown} of {report.lost + report.gained} items that changed"
    return Outcome(to_dict(report), text)


def _add_shift(kinds: Any) -> None:
    parser = new_command(kinds, "shift", "Say how far new data lies from a reference.")
    parser.add_argument("model", metavar="MODEL", help="as for prune")
    parser.add_argument(
        "--reference", metavar="SPEC", required=True, help=f"its calibration part; {DATA_HELP}"
    )
    parser.add_argument("--new", metavar="SPEC", required=True, help="data in question, likewise")
    parser.add_argument(
        "--pruned", metavar="DIR", help="a pruned version: does it lose more on the new data?"
    )
    parser.add_argument(
        "--alarm-rate", type=number, help="false alarms allowed, as a share (default: 0.05)"
    )
    parser.add_argument(
        "--reference-part",
        dest="reference_split",
        metavar="PART",
        help="calibration (default) or evaluation, where the reference has parts",
    )
    parser.add_argument("--limit", type=whole, help="first items of each used (default: 1000)")
    parser.add_argument("--seed", type=whole, help="of the resampling (default: 0)")
    add_model_options(parser)


def _shift(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.checks.shift import check_shift
    from osscar_core.cli.shift_reports import shift_text
    from osscar_core.datasets.spec import check_split
    from osscar_core.records import to_dict

    if args.reference_split is not None:
        check_split(args.reference_split)
    for data in (args.reference, args.new):
        check_data(data)
    report = check_shift(
        load(args, args.model),
        args.reference,
        args.new,
        pruned=None if args.pruned is None else load_pruned(args, args.pruned),
        progress=progress,
        **_given(args, "alarm_rate", "limit", "reference_split", "seed", "batch_size"),
    )
    return Outcome(to_dict(report), shift_text(report))


def _add_stress(kinds: Any) -> None:
    parser = new_command(kinds, "stress", "Compare two models on inputs disturbed more and more.")
    add_pair(parser)
    parser.add_argument("--data", metavar="SPEC", required=True, help=DATA_HELP)
    parser.add_argument(
        "--disturbances",
        type=names,
        metavar="LIST",
        help="dark, blur, noise, rotation, compression; typos, truncation, case (default: all)",
    )
    parser.add_argument(
        "--strengths", type=numbers, metavar="LIST", help="rising from 0 (default: 0,.25,.5,.75,1)"
    )
    parser.add_argument("--limit", type=whole, help="first items used (default: 500)")
    parser.add_argument("--seed", type=whole, help="of disturbances and resampling (default: 0)")


def _stress(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.checks.stress import check_stress
    from osscar_core.cli.shift_reports import stress_text
    from osscar_core.records import to_dict

    check_data(args.data)
    dense, pruned = load_pair(args)
    report = check_stress(
        dense,
        pruned,
        args.data,
        progress=progress,
        **_given(args, "disturbances", "strengths", "limit", "seed", "batch_size"),
    )
    return Outcome(to_dict(report), stress_text(report))


def _given(args: argparse.Namespace, *options: str) -> dict[str, Any]:
    """Return the options that were given, by name."""
    return {name: getattr(args, name) for name in options if getattr(args, name) is not None}
