"""A headless Chromium, and a server of its own for each test that asks for one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from served import ARGUMENTS, Visit, served

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path: Path) -> Iterator[Visit]:
    with served(tmp_path / "workspace") as address:
        context = chromium.new_context(viewport={"width": 1366, "height": 768})
        yield Visit(context.new_page(), address)
        context.close()
