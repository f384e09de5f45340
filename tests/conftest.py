"""Fixtures shared by the whole suite: offline, seeded, on the CPU."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from untraced import untraced, unwatched

if TYPE_CHECKING:
    from surveyed import Surveyed

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tests have their files anywhere; those of the limits set their own.
os.environ.setdefault("OSSCAR_ROOTS", "/")

# A machine that is busy with something else is no reason to fail.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent

# The files that take longest come first, so that no worker is left alone with one at the end.
LONGEST = (
    "test_real_llm.py",
    "test_cluster.py",
    "test_export.py",
    "browser/test_tour.py",
    "test_together.py",
    "bench/test_pipeline.py",
    "browser/test_errors.py",
    "pages/test_explore.py",
    "browser/test_explore.py",
    "browser/test_frame.py",
    "browser/test_check.py",
    "pages/test_frame.py",
    "pages/test_check.py",
    "test_cli_end_to_end.py",
    "test_sweep.py",
    "test_export_hf.py",
    "test_checkpoint.py",
    "test_pursuit.py",
    "pages/test_decide.py",
    "test_survey.py",
    "studio/test_worker.py",
    "test_export_torch.py",
    "pages/test_explain.py",
    "pages/test_languages.py",
    "pages/test_take_formats.py",
    "test_contest.py",
    "test_readme.py",
    "solver/test_certificate.py",
    "solver/test_fused.py",
)

# Coverage looks away from these: nearly every line that they reach, other tests reach too.
WELL_TRODDEN = (
    "browser",
    "pages/test_explain.py",
    "pages/test_languages.py",
    "pages/test_pages.py",
    "pages/test_sample_run.py",
    "solver/test_fused.py",
    "studio/test_briefs.py",
    "test_checkpoint.py",
    "test_export_hf.py",
    "test_export_torch.py",
    "test_real_llm.py",
)

_is_watched: dict[str, bool] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `LONGEST` first; all else stays in order.

    Coverage watches each test with the first of its parameters: the others pass the same
    lines, but for a few.
    """
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    left_out = [ROOT / "tests" / name for name in WELL_TRODDEN]
    seen = set()
    for item in items:
        test = item.nodeid.partition("[")[0]
        is_left_out = any(item.path.is_relative_to(place) for place in left_out)
        _is_watched[item.nodeid] = test not in seen and not is_left_out
        seen.add(test)


def pytest_collection_finish() -> None:
    """Spare what was imported from every later search for garbage: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let coverage look away from what adds next to nothing to it."""
    with nullcontext() if _is_watched[item.nodeid] else unwatched():
        return (yield)


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """Undo what a worker that runs in a test's own process does to it: children inherit that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if signal.getsignal(signal.SIGTERM) is not before:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", autouse=True)
def _exports_untraced() -> Iterator[None]:
    """Keep coverage out of how torch follows a network; without torch there is nothing to do."""
    torch = sys.modules.get("torch")
    with pytest.MonkeyPatch.context() as patch:
        if torch is not None:
            patch.setattr(torch.onnx, "export", untraced(torch.onnx.export))
            patch.setattr(torch.export, "export", untraced(torch.export.export))
        yield


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
