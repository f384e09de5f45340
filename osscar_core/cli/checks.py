"""The commands ``check ab``, ``check shift`` and so on: grammar, call and text of each.

The decision hidden here: what the checks ask for and what they say. A check adds a
parser in `add_checks` and a case in `run_check`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscar_core.cli.grammar import DATA_HELP, Parser, names, new_command, number, whole
from osscar_core.cli.inputs import check_data, load
from osscar_core.cli.outcome import Outcome
from osscar_core.errors import OutputError, SpecError
from osscar_core.progress import Progress

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


def add_checks(commands: Any) -> None:
    """Add ``check`` and the checks below it."""
    summary = "Check a pruned model on data of one's own."
    parser: Parser = commands.add_parser("check", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="check", required=True, metavar="WHAT")
    _add_ab(kinds)


def run_check(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Carry out one check.

    Raises:
        OsscarError: With the reason in words.
    """
    match args.check:
        case "ab":
            return _ab(args, progress)
        case _:
            raise SpecError(f"no check is called '{args.check}'", "See check --help")


def add_pair(parser: Parser) -> None:
    """Add the arguments of a check that compares two models."""
    parser.add_argument("dense", metavar="DENSE", help="the reference: a model as for prune")
    parser.add_argument("pruned", metavar="PRUNED", help="the model compared with it")
    parser.add_argument("--weights", metavar="FILE", help="of DENSE, as for prune")
    parser.add_argument("--image-size", type=whole, help="of DENSE, as for prune")
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
    from osscar_core.models import load_model

    dense = load(args, args.dense)
    pruned = load_model(
        args.pruned,
        device=args.device or "auto",
        dtype=args.dtype or "auto",
        trust_remote_code=bool(args.trust_remote_code),
    )
    return dense, pruned


def new_file(name: str) -> Path:
    """Return the path of a file to write, whose folder is there.

    Raises:
        OutputError: Its folder is not, or it is a folder itself.
    """
    path = Path(name).expanduser()
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
