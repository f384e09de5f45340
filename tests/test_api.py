"""The public names of the package."""

from __future__ import annotations

import pytest

import osscar_core
from osscar_core import errors, records


@pytest.mark.parametrize("name", osscar_core.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(osscar_core, name) is not None
    assert name in dir(osscar_core)


def test_names_are_those_of_their_modules() -> None:
    from osscar_core import evaluation, models, pruner

    assert osscar_core.PruneSpec is records.PruneSpec
    assert osscar_core.OsscarError is errors.OsscarError
    assert osscar_core.prune is pruner.prune
    assert osscar_core.evaluate is evaluation.evaluate
    assert osscar_core.measure is evaluation.measure
    assert osscar_core.load_model is models.load_model


def test_all_errors_are_public() -> None:
    children = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OsscarError)
    }
    assert children <= set(osscar_core.__all__)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'prun'"):
        _ = osscar_core.prun
