"""The words that every command shares: parsers, and options that are not plain strings.

The decision hidden here: how a mistake in an option is told, and which options all
commands have.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from osscar_core.errors import SpecError
from osscar_core.goals import parse_bytes

DATA_HELP = "text:PATH, images:PATH, own:PATH, hf:NAME, demo:NAME or mix:3*DATA+1*DATA"


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake as one `SpecError` instead of printing its usage."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake.

        Raises:
            SpecError: Always.
        """
        raise SpecError(message, f"See '{self.prog} --help'")


def new_command(commands: Any, name: str, summary: str) -> Parser:
    """Return the parser of one command, with the options that all have."""
    parser: Parser = commands.add_parser(name, help=summary, description=summary)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show libraries' warnings and tracebacks"
    )
    return parser


def number(text: str) -> float:
    """Return the number in an option."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text:.40}' is not a number") from None


def whole(text: str) -> int:
    """Return the whole number in an option."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text:.40}' is not a whole number") from None


def size(text: str) -> int:
    """Return the number of bytes in an option."""
    try:
        return parse_bytes(text)
    except SpecError as error:
        raise argparse.ArgumentTypeError(f"{error.problem}; such as 32GiB") from None


def names(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers in a list with commas."""
    return tuple(number(part) for part in names(text))
