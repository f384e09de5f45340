"""Errors are one line: what was wrong, and what to do."""

from __future__ import annotations

import pickle

import pytest

from osscar_core import errors
from osscar_core.errors import Cancelled, OsscarError, SpecError, unknown_name

CHILDREN = sorted(
    (
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, OsscarError)
        and kind not in {OsscarError, Cancelled}
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", CHILDREN)
def test_renders_as_one_line(kind: type[OsscarError]) -> None:
    error = kind("the file 'a\nb' is  empty", "Name another\none")
    assert str(error) == "the file 'a b' is empty. Name another one."
    assert (error.problem, error.remedy) == ("the file 'a b' is empty", "Name another one")


@pytest.mark.parametrize("kind", CHILDREN)
def test_survives_pickling(kind: type[OsscarError]) -> None:
    error = pickle.loads(pickle.dumps(kind("bad", "Do better")))  # noqa: S301
    assert type(error) is kind
    assert str(error) == "bad. Do better."


def test_cancelled_says_so_without_arguments() -> None:
    assert str(Cancelled()).startswith("the run was cancelled.")
    assert isinstance(Cancelled(), OsscarError)


def test_spec_errors_are_value_errors() -> None:
    assert issubclass(SpecError, ValueError)
    assert issubclass(errors.UnknownModelError, SpecError)


def test_unknown_name_suggests_a_near_one() -> None:
    error = unknown_name("method", "osscr", ("osscar", "magnitude"))
    assert error.problem == "unknown method 'osscr'"
    assert error.remedy == "Did you mean 'osscar'? Choose from: osscar, magnitude"


def test_unknown_name_without_a_near_one_lists_all() -> None:
    error = unknown_name("method", "zzz", ("osscar", "magnitude"))
    assert error.remedy == "Choose from: osscar, magnitude"
