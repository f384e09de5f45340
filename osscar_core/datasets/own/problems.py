"""What is wrong with a file that a person brought, place by place.

The decision hidden here: how many mistakes are told at once, and in which words. Places are
told as a spreadsheet shows them: rows from 1, the header being the first, columns by letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from osscar_core.errors import DataError

MOST_TOLD = 10
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Attributes:
        where: The place in words, such as ``row 3, column B (text)``; empty for the whole file.
        what: What is wrong there.
        remedy: What to do about it; a sentence without its full stop.
        row: Row from 1, where there is one.
        column: Column from 1, where there is one.
        value: What stands there, shortened.
    """

    where: str
    what: str
    remedy: str
    row: int | None = None
    column: int | None = None
    value: str | None = None

    def __str__(self) -> str:
        """Return place and mistake."""
        return f"{self.where}: {self.what}" if self.where else self.what


class OwnDataError(DataError):
    """A file cannot be used; all that is wrong with it, the first mistakes one by one.

    Args:
        problems: The first mistakes, at least one.
        total: All of them.
    """

    def __init__(self, problems: tuple[Problem, ...], total: int) -> None:
        self.problems = problems
        self.total = total
        told = "; ".join(map(str, problems))
        more = f"; and {total - len(problems)} more" if total > len(problems) else ""
        many = f"the file has {total} errors: " if total > 1 else ""
        remedies = dict.fromkeys(problem.remedy for problem in problems)
        super().__init__(f"{many}{told}{more}", ". ".join(remedies))

    def __reduce__(self) -> tuple[type[OwnDataError], tuple[tuple[Problem, ...], int]]:
        return type(self), (self.problems, self.total)


class Problems:
    """Collects mistakes, so that a person can mend them all before trying again."""

    def __init__(self) -> None:
        self._first: list[Problem] = []
        self._total = 0

    def add(self, problem: Problem) -> None:
        """Note one more."""
        self._total += 1
        if len(self._first) < MOST_TOLD:
            self._first.append(problem)

    def check(self) -> None:
        """Raise what was collected.

        Raises:
            OwnDataError: Anything was.
        """
        if self._total:
            raise OwnDataError(tuple(self._first), self._total)


def refuse(what: str, remedy: str, *, where: str = "", row: int | None = None) -> NoReturn:
    """Give up on the file for one reason.

    Raises:
        OwnDataError: Always.
    """
    raise OwnDataError((Problem(where, what, remedy, row=row),), 1)


def short(value: str) -> str:
    """Return a value as it is shown in a message: one line, shortened."""
    line = "".join(c if c.isprintable() else " " for c in value[: 4 * _SHOWN])
    line = " ".join(line.split())
    return f"{line[: _SHOWN - 1]}…" if len(line) > _SHOWN or len(value) > 4 * _SHOWN else line


def listed(names: tuple[str, ...], most: int = 12) -> str:
    """Return names one after the other, the end left out where there are too many."""
    told = ", ".join(short(name) for name in names[:most])
    return f"{told} and {len(names) - most} more" if len(names) > most else told


def column_letter(index: int) -> str:
    """Return how a spreadsheet calls a column.

    Args:
        index: From 0.
    """
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
