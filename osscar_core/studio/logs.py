"""What the app's processes write about themselves: a line for people, or one for machines.

The decision hidden here: what stands in a line, and what must not. Each line of a worker
says which run it is about, wherever it comes from; a password, token or key that slipped
into a message is masked in either form. As JSON, everything that a process prints is one
object a line, the words of libraries too.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, TextIO

from osscar_core.errors import SpecError
from osscar_core.records import parse_choice

VARIABLE = "OSSCAR_LOG"
"""Names the form, for a process and all that it starts."""

FIELDS = ("run", "owner", "error_id")
"""What a line may be about. A call says so by ``extra``; what it does not say is left out."""

_MASK = "***"
_SECRETS = (
    # The password in an address, a key by its name, and tokens by what they look like.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)", re.I), rf"\g<1>{_MASK}"),
    (
        re.compile(
            r"(\b(?:[a-z_]*(?:password|passwd|secret|api_?key|token)|authorization)\b['\"]?"
            r"\s*[=:]\s*['\"]?)(?:bearer\s+)?[^\s'\",;&]+",
            re.I,
        ),
        rf"\g<1>{_MASK}",
    ),
    (re.compile(r"\bBearer\s+[\w.~+/=-]+"), f"Bearer {_MASK}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), f"hf_{_MASK}"),
)
# What would begin a line of its own or command a terminal.
_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class Form(StrEnum):
    """How lines are written."""

    TEXT = "text"
    JSON = "json"


def form_asked() -> Form:
    """Return the form that the environment names; without a word of it, text.

    Raises:
        SpecError: It names none that there is.
    """
    return parse_choice(VARIABLE, os.environ.get(VARIABLE, "").strip() or Form.TEXT, Form)


def set_up(process: str, **about: str) -> None:
    """Write everything that this process logs to standard error, in the form asked for.

    Args:
        process: What this process is, such as ``server``.
        about: What all its lines are about; see `FIELDS`.
    """
    try:
        form, mistake = form_asked(), None
    except SpecError as error:
        form, mistake = Form.TEXT, error
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Context(about))
    handler.setFormatter(JsonLines(process) if form is Form.JSON else PlainLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = _log_end
    if form is Form.JSON:
        # The handler holds the real stream; whatever else is printed goes through these.
        sys.stdout, sys.stderr = _Printed("stdout", sys.stdout), _Printed("stderr", sys.stderr)
    if mistake is not None:
        logging.getLogger(__name__).warning("%s", mistake)


def masked(text: str) -> str:
    """Return a text without the passwords, tokens and keys in it."""
    return functools.reduce(lambda found, rule: rule[0].sub(rule[1], found), _SECRETS, text)


def readable(text: str) -> str:
    """Return lines for people, whichever form they were written in."""
    return "".join(_readable(line) for line in text.splitlines(keepends=True))


class PlainLines(logging.Formatter):
    """Lines for people: when, how grave, which run, what."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and the traceback below it if there is one."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        run = getattr(record, "run", "")
        said = masked(record.getMessage()).translate(_CONTROL)
        line = f"{when} {record.levelname} {f'[{run}] ' if run else ''}{said}"
        return f"{line}\n{masked(trace)}" if (trace := _trace(self, record)) else line


class JsonLines(logging.Formatter):
    """Lines for machines: one JSON object each, in ASCII.

    Args:
        process: What this process is.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one object."""
        values: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
            "process": self._process,
            "pid": record.process,
        }
        values |= {name: found for name in FIELDS if (found := getattr(record, name, ""))}
        if trace := _trace(self, record):
            values["traceback"] = masked(trace)
        return json.dumps(values)


class _Context(logging.Filter):
    """Gives a record what the whole process is about, where its call did not say otherwise."""

    def __init__(self, process_wide: Mapping[str, str]) -> None:
        super().__init__()
        self._process_wide = process_wide

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in self._process_wide.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class _Printed(io.TextIOBase):
    """Stands in for a standard stream: what is printed becomes lines of the log."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__()
        self._logger = logging.getLogger(name)
        self._stream = stream
        self._unended = ""
        self._guard = threading.Lock()
        self._writing = threading.local()

    def write(self, text: str) -> int:
        """Take a piece of text; it is written once its line has ended."""
        with self._guard:
            whole, self._unended = self._unended + text, ""
            if not whole.endswith("\n"):
                whole, _, self._unended = whole.rpartition("\n")
        if not whole.strip():
            return len(text)
        if getattr(self._writing, "is_on", False):
            # What the log itself complains about must not become a line of the log.
            return self._stream.write(text)
        self._writing.is_on = True
        try:
            self._logger.info("%s", whole.strip("\n"))
        finally:
            self._writing.is_on = False
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor that processes started from here inherit."""
        return self._stream.fileno()

    def flush(self) -> None:
        """Flush what is below; a line that has not ended waits for its end."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return that nobody watches: no colours and no bars."""
        return False


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("the process ends", exc_info=(kind, error, trace))


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info:
        return formatter.formatException(record.exc_info)
    return record.exc_text or ""


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def _readable(line: str) -> str:
    if not line.startswith('{"time"'):
        return line
    try:
        found = json.loads(line)
        words = f"{found['time']} {found['level']} {found['message']}\n"
    except (ValueError, KeyError, TypeError):
        return line
    trace = found.get("traceback")
    return f"{words}{trace}\n" if trace else words
