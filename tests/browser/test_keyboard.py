"""The whole way by keyboard alone: a what-if, a run, an export; what it is on can be seen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.harness import Server, Visit
from osscar_core.studio.jobs import LOCK
from osscar_core.studio.processes import try_lock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=60_000)

pytestmark = pytest.mark.browser

RUN = "20260101-000001-000000"

# An outline or a ring of the focused element, or of what it is drawn in.
SEEN = """() => {
    const visible = e => {
        const s = getComputedStyle(e);
        return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)
            || s.boxShadow !== 'none';
    };
    let e = document.activeElement;
    // A table is one drawing with a ring around the cell; past the last stop, nothing is on.
    if (e.getAttribute('role') === 'gridcell' || e === document.body) return true;
    for (let depth = 0; e && depth < 4; depth++, e = e.parentElement) {
        if (visible(e)) return true;
    }
    return false;
}"""
NAME = """() => {
    const e = document.activeElement;
    if (e === document.body || e.tagName === 'MAIN') return e.tagName;
    if (e.type === 'range') return 'slider';
    const label = e.labels && e.labels.length ? e.labels[0].innerText : '';
    return [e.getAttribute('role') ?? e.tagName.toLowerCase(),
            e.getAttribute('aria-label') || label || e.innerText || ''].join(' ');
}"""


@pytest.fixture
def server(samples, tmp_path: Path) -> Iterator[Server]:
    """Serve a workspace with a finished run, in which nothing is ever started."""
    home = tmp_path / "workspace"
    asked = samples.image_request()
    samples.write_run(home, RUN, asked, samples.result(asked))
    lock = try_lock(home / LOCK)
    assert lock is not None
    started = Server(home)
    started.start()
    yield started
    started.stop()
    os.close(lock)


@pytest.fixture
def keys(chromium, server: Server) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1366, "height": 900}, locale="en-GB")
    yield Visit(context.new_page(), server.address)
    context.close()


def tab_to(visit: Visit, wanted: str, most: int = 60) -> None:
    """Press Tab until something of that name has the focus; each stop on the way is visible."""
    page = visit.page
    stops = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(NAME))
        assert page.evaluate(SEEN), f"nothing shows that the focus is on {stops[-1]!r}"
        if wanted in stops[-1]:
            return
    raise AssertionError(f"{wanted!r} is not among {stops}")


def test_a_what_if_a_run_and_an_export_by_keyboard_alone(keys: Visit, server: Server) -> None:
    page = keys.page
    keys.open("?m=demo/opt&goal=removed&val=45&lang=en")
    expect(page.locator(".js-plotly-plot .xtitle")).to_be_visible()
    keys.settle()
    verdict = page.locator(".st-key-verdict").first
    tab_to(keys, "slider")
    page.keyboard.press("ArrowRight")
    expect(verdict).to_contain_text("46%")
    expect(verdict).to_contain_text("estimate")
    keys.settle()
    tab_to(keys, "Measure this point")
    page.keyboard.press("Enter")
    strip = page.locator(".st-key-jobstrip")
    expect(strip).to_contain_text("demo/opt")
    page.reload()
    expect(strip).to_contain_text("demo/opt")
    tab_to(keys, "Cancel")
    page.keyboard.press("Enter")
    expect(strip).to_have_count(0)
    keys.open(f"runs?run={RUN}&lang=en")
    expect(page.locator(".st-key-runcard")).to_contain_text(RUN)
    keys.settle()
    tab_to(keys, "Download\n")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Report (JSON)")).to_be_visible()
    tab_to(keys, "Report (JSON)", 8)
    with page.expect_download() as waited:
        page.keyboard.press("Enter")
    report = json.loads(waited.value.path().read_text())
    assert report == json.loads((server.home / "runs" / RUN / "result.json").read_text())
    assert keys.faults == []
