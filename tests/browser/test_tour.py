"""The whole way in a real browser, with the real worker: ask, measure, leave, come back."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from browser.harness import Server, Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

pytestmark = pytest.mark.browser

OPT = "?m=demo/opt&goal=removed&val=60"
MEASURE = "Measure this point"


@pytest.fixture
def server(tmp_path: Path):
    started = Server(tmp_path / "workspace")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def tab(chromium, server: Server):
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="en-GB")
    yield Visit(context.new_page(), server.address)
    context.close()


def verdict(visit: Visit):
    return visit.page.locator(".st-key-verdict")


def strip(visit: Visit):
    return visit.page.locator(".st-key-jobstrip")


def press_slider(visit: Visit, key: str) -> None:
    """Move the slider by one step from the keyboard."""
    slider = visit.page.get_by_role("slider").first
    slider.focus()
    slider.press(key)


def processes_of(home: Path) -> list[str]:
    """Return the command lines of live workers of a workspace."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            program = words[words.index(b"-m") + 1] if b"-m" in words[:-1] else b""
            if program == b"osscar_core.studio.worker" and str(home).encode() in words:
                found.append(f"{state} {words}")
    return found


def await_end_of_workers(home: Path, seconds: float = 10.0) -> None:
    """Wait until no worker is left: one that has said its last word still takes a moment to go."""
    end = time.monotonic() + seconds
    while processes_of(home) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_of(home) == []


def test_from_a_link_to_a_measured_point_and_back(tab: Visit, server: Server) -> None:
    page = tab.page
    tab.open(OPT + "&lang=en")
    expect(verdict(tab)).to_contain_text("At 60% removed")
    press_slider(tab, "ArrowRight")
    expect(verdict(tab)).to_contain_text("At 61% removed")
    expect(verdict(tab)).to_contain_text("estimate")
    expect(page).to_have_url(re.compile("val=61"))
    page.get_by_role("button", name=MEASURE).dblclick()
    expect(strip(tab)).to_contain_text("demo/opt")
    page.reload()
    tab.settle()
    expect(strip(tab)).to_contain_text("Step ", timeout=60_000)
    expect(verdict(tab)).to_contain_text("61%")
    page.get_by_role("link", name="Runs").click()
    tab.settle()
    page.get_by_role("link", name="Explore").click()
    expect(verdict(tab)).to_contain_text("61%")
    expect(verdict(tab)).to_contain_text("95%", timeout=400_000)
    expect(strip(tab)).to_have_count(0, timeout=30_000)
    expect(verdict(tab)).to_contain_text("Measured here")
    page.get_by_role("link", name="Explain").click()
    explained = page.get_by_role("heading", name="What was removed")
    expect(explained).to_be_visible()
    tab.settle()
    (run,) = (server.home / "runs").iterdir()
    expect(page.get_by_text(run.name).first).to_be_visible()
    page.go_back()
    expect(verdict(tab)).to_contain_text("61%")
    tab.settle()
    page.go_forward()
    expect(explained).to_be_visible()
    assert tab.faults == []


def test_a_cancel_lands_and_leaves_no_process(tab: Visit, server: Server) -> None:
    page = tab.page
    tab.open(OPT)
    page.get_by_role("button", name=MEASURE).or_(
        page.get_by_role("button", name="Measure it here")
    ).first.click()
    expect(strip(tab)).to_contain_text("Step ", timeout=60_000)
    assert processes_of(server.home)
    strip(tab).get_by_role("button", name="Cancel").click()
    # The dispatcher's own tests hold it to three seconds; a browser on a busy machine adds its own.
    expect(strip(tab)).to_have_count(0, timeout=15_000)
    await_end_of_workers(server.home)
    page.get_by_role("link", name="Runs").click()
    tab.settle()
    (folder,) = (server.home / "runs").iterdir()
    assert not (folder / "model").exists()
    assert tab.faults == []


def test_a_run_outlives_the_server_that_started_it(tab: Visit, server: Server) -> None:
    tab.open(OPT)
    tab.page.get_by_role("button", name="Measure it here").click()
    expect(strip(tab)).to_contain_text("Step ", timeout=60_000)
    server.stop()
    assert processes_of(server.home)
    server.start()
    tab.open("runs")
    expect(strip(tab)).to_contain_text("demo/opt")
    expect(strip(tab)).to_contain_text("Step ", timeout=30_000)
    strip(tab).get_by_role("button", name="Cancel").click()
    expect(strip(tab)).to_have_count(0, timeout=15_000)


@pytest.mark.parametrize(
    ("path", "lang"),
    [*((path, "en") for path in ("", "explain", "check", "decide", "runs")), ("", "ja")],
)
def test_assistive_technology_finds_no_serious_fault(look: Visit, path: str, lang: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    look.open(f"{path}?lang={lang}")
    look.page.wait_for_timeout(1_000)
    found = axe.run(look.page).response["violations"]
    serious = [
        f"{fault['id']}: {node['target']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    assert serious == []
    charts = look.page.get_by_test_id("stPlotlyChart")
    for index in range(charts.count()):
        assert charts.nth(index).get_attribute("role") == "figure"
        assert len(charts.nth(index).get_attribute("aria-label") or "") > 20
