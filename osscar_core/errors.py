"""Every failure that a user can cause or cure, as one family of exceptions.

The decision hidden here: what a failure tells a person. Each error says what was
wrong (with the value) and what to do about it, and renders as a single line, so the
command line, the app and a log can all show it as it is: values from a file may be endless, or
hold what moves a cursor or turns a line around, and are told without that.
"""

from __future__ import annotations

_MOST_CHARACTERS = 4_000
_SPACES = "\xa0\u3000"


class OsscarError(Exception):
    """Base class: a problem stated in words, with a remedy.

    Args:
        problem: What was wrong, including the offending value; no trailing full stop.
        remedy: What the user can do; a full sentence without its final full stop.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = one_line(problem)
        self.remedy = one_line(remedy)

    def __str__(self) -> str:
        """Return problem and remedy as one line."""
        return f"{self.problem}. {self.remedy}."


def printable(text: str) -> str:
    """Return text whose characters all show: others are written as Python escapes them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _SPACES else ascii(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Return a message on one line, its middle left out where it is endless."""
    told = text
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2
        told = f"{text[:half]} … {text[-half:]}"
    return printable(" ".join(told.split()))


class SpecError(OsscarError, ValueError):
    """A setting is outside its legal range or names something unknown."""


class UnknownModelError(SpecError):
    """No model family here knows this model."""


class WeightsError(OsscarError):
    """Weights are missing, unreadable, unsafe to read, not finite, or do not fit the model."""


class DataError(OsscarError):
    """Calibration or evaluation data is missing, unreadable, mislabelled or too small."""


class NumericalError(OsscarError):
    """A matrix that has to be positive definite is not, or a statistic is not finite."""


class DamagedError(OsscarError):
    """A file that was written here is not what was written."""


class OutputError(OsscarError):
    """The result cannot be written where it was asked for."""


class MemoryShortageError(OsscarError):
    """Memory of the host or of a GPU does not suffice.

    Attributes:
        batch: Items in the micro-batch that it did not suffice for; ``None`` if it was not
            a micro-batch that took it.
    """

    batch: int | None = None

    @classmethod
    def at(cls, batch: int) -> MemoryShortageError:
        """Return the error for a micro-batch of so many items."""
        items = "one item" if batch == 1 else f"{batch} items"
        error = cls(
            f"memory ran out in a forward pass of {items}",
            "Free memory, use shorter windows, smaller images or a smaller model, or choose "
            "another device",
        )
        error.batch = batch
        return error


class MissingDependencyError(OsscarError):
    """An optional package is needed for this request and is not installed."""


class Cancelled(OsscarError):  # noqa: N818 - a decision of the user, not an error
    """The user stopped the work; nothing partial is left behind."""

    def __init__(self) -> None:
        super().__init__("the run was cancelled", "Start it again when you want the result")


def unknown_name(kind: str, got: str, known: tuple[str, ...]) -> SpecError:
    """Return the error for a name that is not in ``known``, suggesting near ones.

    Args:
        kind: What the name should have been, such as ``"method"``.
        got: The name as the user wrote it.
        known: All legal names.
    """
    import difflib

    near = difflib.get_close_matches(got, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return SpecError(f"unknown {kind} '{got}'", f"{hint}Choose from: {', '.join(known)}")
