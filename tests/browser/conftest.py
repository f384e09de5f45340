"""A headless Chromium, and a server of its own for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.harness import Visit, browser, chromium_path, served


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium_path() is None:
        pytest.skip("chromium is not installed")
    with browser() as started:
        yield started


@pytest.fixture
def visit(chromium, tmp_path: Path) -> Iterator[Visit]:
    with served(tmp_path / "workspace") as address:
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        yield Visit(context.new_page(), address)
        context.close()
