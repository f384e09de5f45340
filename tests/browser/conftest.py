"""A headless Chromium, and a server: one of its own for a test that changes the workspace, or
is about a fresh start, and one for all the tests of a file that only look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.harness import Visit, browser, chromium_path, served

FAILURES = Path(__file__).resolve().parents[2] / "test-results"


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A browser for one file: while it is there, a loop of events runs, and no other can."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium_path() is None:
        pytest.skip("chromium is not installed")
    # Two cores may be busy with the other half of the tests.
    sync_api.expect.set_options(timeout=20_000)
    with browser() as started:
        yield started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """Keep what was on screen when a test failed."""
    report = yield
    started = getattr(item, "funcargs", {}).get("chromium")
    if report.when == "call" and report.failed and started is not None:
        name = re.sub(r"[^\w-]+", "-", item.nodeid.rpartition("::")[2])
        pages = [page for context in started.contexts for page in context.pages]
        for number, page in enumerate(pages):
            page.screenshot(path=FAILURES / f"{name}-{number}.png")
    return report


@pytest.fixture
def visit(chromium, tmp_path: Path) -> Iterator[Visit]:
    with served(tmp_path / "workspace") as address:
        yield from _visits(chromium, address)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace that the tests of a file look at; a file fills it as it likes."""
    return tmp_path_factory.mktemp("browser") / "workspace"


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with served(home) as found:
        yield found


@pytest.fixture
def look(chromium, address: str) -> Iterator[Visit]:
    """Visit the server that the tests of a file share."""
    yield from _visits(chromium, address)


def _visits(chromium, address: str) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1366, "height": 768})
    yield Visit(context.new_page(), address)
    context.close()
