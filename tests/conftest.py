"""Fixtures shared by the whole suite: offline, seeded, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from surveyed import Surveyed

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """Return what makes finished runs by hand, for tests of the app."""
    from studio import samples

    return samples


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder with real data and weights, or skip visibly without it."""
    folder = Path(os.environ.get("OSSCAR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not present at {folder}; set OSSCAR_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Surveyed]:
    """Return what gives a tiny model with its survey, by the family's name."""
    from surveyed import Surveyed

    known: dict[str, Surveyed] = {}

    def get(name: str) -> Surveyed:
        if name not in known:
            known[name] = Surveyed.of(name, tmp_path_factory.mktemp(name))
        return known[name]

    return get
