"""The command line called in this process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from osscar_core import cli


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def payload(self) -> dict[str, Any]:
        """The one JSON object on standard output; fails unless the command worked."""
        assert self.code == 0, self.err
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def reason(self) -> str:
        """The one line that tells the failure; fails unless it is one and stdout is empty."""
        lines = self.err.splitlines()
        assert self.out == ""
        assert len(lines) == 1, self.err
        return lines[0]


Main = Callable[..., Result]


def runner(capsys: pytest.CaptureFixture[str]) -> Main:
    """Return a function that runs one command with the given arguments."""

    def call(*argv: object) -> Result:
        code = cli.main([str(argument) for argument in argv])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
