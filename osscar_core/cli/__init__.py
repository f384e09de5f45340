"""The command line: ``python -m osscar_core``.

The decision hidden here: what leaves the process. Standard output carries the result
and nothing else (with ``--json`` exactly one object), standard error everything else,
and a failure is one line with an exit code: 2 for what the user can cure, 130 when
stopped, 70 for our own mistakes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType

from osscar_core.cli.arguments import build_parser
from osscar_core.cli.commands import run_command
from osscar_core.cli.console import ProgressDisplay, json_ready
from osscar_core.cli.outcome import Outcome
from osscar_core.errors import Cancelled, OsscarError, one_line, printable
from osscar_core.shortage import is_shortage

USER_ERROR = 2
INTERNAL_ERROR = 70
STOPPED = 130
BROKEN_PIPE = 141

# What JSON may hold as it is, but neither a terminal nor UTF-8: controls, marks that turn a line
# around, and halves of characters.
_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")

_QUIET = {
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments after the program's name; ``None`` for the process's own.

    Returns:
        The exit code: 0 when it worked, 1 when ``doctor`` found a fault, otherwise one
        of the constants above.
    """
    try:
        args = build_parser().parse_args(argv)
    except OsscarError as error:
        return _fail(f"error: {error}", USER_ERROR)
    display = ProgressDisplay(sys.stderr)
    try:
        with _terminable(), _quiet(args.verbose), contextlib.redirect_stdout(sys.stderr):
            outcome = run_command(args, display)
    except KeyboardInterrupt:
        display.close()
        return _fail(str(Cancelled()), STOPPED)
    # The boundary of the process: whatever was not foreseen becomes one line here.
    except Exception as error:  # noqa: BLE001
        display.close()
        if args.verbose and not isinstance(error, OsscarError):
            traceback.print_exc()
        return _fail(*_in_words(error))
    display.close()
    return _write(outcome, args)


def _in_words(error: Exception) -> tuple[str, int]:
    """Return the line and the exit code that tell a failure."""
    if isinstance(error, Cancelled):
        return str(error), STOPPED
    if isinstance(error, OsscarError):
        return f"error: {error}", USER_ERROR
    if is_shortage(error):
        remedy = "Use a smaller --batch-size, fewer --samples, or another --device"
        return f"error: memory ran out. {remedy}.", USER_ERROR
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"error: {one_line(str(error.filename))}: {error.strerror}.", USER_ERROR
    what = one_line(f"{type(error).__name__}: {error}")
    return f"internal error: {what} (run with --verbose for the details)", INTERNAL_ERROR


def _fail(line: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    return code


def _write(outcome: Outcome, args: argparse.Namespace) -> int:
    payload = json.dumps(json_ready(outcome.payload), ensure_ascii=False, allow_nan=False)
    told = _UNSHOWN.sub(_escaped, payload) if args.json else _shown(outcome.text)
    try:
        sys.stdout.write(told + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader is gone. Python flushes standard output once more at exit, which
        # must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return outcome.exit_code


def _shown(text: str) -> str:
    """Return text that a terminal shows and does not obey, whatever names are in it."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Make a polite request to end the process do what Ctrl-C does, so that files are tidied."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone receives signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Silence the libraries underneath, unless the user wants to hear them."""
    if verbose:
        yield
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
