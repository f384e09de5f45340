"""The list of runs in a real browser: rows selected by keyboard and mouse, at three widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser

ROW = 35


@pytest.fixture(scope="module", autouse=True)
def seen(samples, home: Path) -> list[str]:
    return three_runs(samples, home)


@pytest.fixture
def runs(samples, tmp_path: Path) -> list[str]:
    return three_runs(samples, tmp_path / "workspace")


def three_runs(samples, home: Path) -> list[str]:
    """Put three finished runs into a workspace; return their ids, the newest first."""
    names = [f"20260101-00000{index}-000000" for index in range(3)]
    for index, name in enumerate(names):
        asked = samples.image_request(0.3 + 0.1 * index)
        found = samples.result(asked, pruned=0.8 - 0.1 * index)
        samples.write_run(home, name, asked, found)
    return names[::-1]


def cell(visit, table: str, row: int, x: int) -> None:
    """Click into a row of a table, which is drawn and has no elements of its own."""
    box = visit.page.locator(f".st-key-runs{table} canvas").first.bounding_box()
    visit.page.mouse.click(box["x"] + x, box["y"] + ROW * (row + 1) + ROW / 2)


@pytest.mark.parametrize(("table", "width"), [("wide", 1366), ("middle", 768), ("narrow", 390)])
def test_rows_are_selected_by_mouse_and_keyboard(look, seen, table: str, width: int) -> None:
    page = look.page
    page.set_viewport_size({"width": width, "height": 900})
    look.open(f"runs?run={seen[1]}")
    sync_api.expect(page.get_by_text(seen[1], exact=True)).to_be_visible()
    for each in {"wide", "middle", "narrow"} - {table}:
        sync_api.expect(page.locator(f".st-key-runs{each}")).to_be_hidden()
    cell(look, table, 0, 18)
    sync_api.expect(page.get_by_role("heading", name="2 runs compared")).to_be_visible()
    look.settle()
    cell(look, table, 2, 100)
    page.keyboard.press("Shift+Space")
    sync_api.expect(page.get_by_role("heading", name="3 runs compared")).to_be_visible()
    sync_api.expect(page.locator(".st-key-verdict")).to_contain_text("has the best quality")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert look.faults == []


def test_a_deletion_is_taken_back_after_a_look_at_another_page(visit, runs) -> None:
    page = visit.page
    visit.open(f"runs?run={runs[0]}")
    page.get_by_role("button", name="Delete").click()
    sync_api.expect(page.get_by_text("2 runs in this workspace")).to_be_visible()
    page.get_by_role("link", name="Explain").click()
    sync_api.expect(page).to_have_url(re.compile("/explain"))
    visit.settle()
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("button", name="Undo").click()
    sync_api.expect(page.get_by_text("3 runs in this workspace")).to_be_visible()
    sync_api.expect(page.get_by_text(runs[0], exact=True)).to_be_visible()
    assert visit.faults == []
