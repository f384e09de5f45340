"""Texts that would be scripts, pictures and links are nothing but texts in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser.harness import Visit, served
from hostiletexts import CHECKS, FAILED, RUN, write_hostile

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser

PLACES = [
    *(f"{page}?run={RUN}" for page in ("", "explain", "decide", "runs")),
    f"runs?run={FAILED}",
    *(f"check?run={run_id}" for run_id, _ in CHECKS.values()),
    "runs?run=<script>alert(1)</script>&m=<img src=x onerror=alert(2)>",
]
# The framework makes links of what looks like an address, as it is written there; no others.
ALIVE = """() => {
    const told = e => decodeURI(e.getAttribute('href')) === e.textContent && e.rel;
    const isAlive = {
        A: e => e.host !== location.host && !told(e),
        IMG: e => e.hasAttribute('onerror')
            || !['data:', 'blob:', `${location.origin}/media/`].some(own => e.src.startsWith(own)),
        SCRIPT: e => /^alert/.test(e.textContent),
        IFRAME: e => new URL(e.src).host !== location.host,
    };
    return [...document.querySelectorAll('a, img, script, iframe')]
        .filter(e => isAlive[e.tagName](e)).map(e => e.outerHTML.slice(0, 200));
}"""


def test_nothing_runs_loads_or_leads_elsewhere(chromium, samples, tmp_path: Path) -> None:
    write_hostile(tmp_path / "workspace", samples)
    with served(tmp_path / "workspace") as address:
        context = chromium.new_context(viewport={"width": 1366, "height": 900})
        page, dialogs = context.new_page(), []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        visit = Visit(page, address)
        seen = False
        for place in PLACES:
            visit.open(place)
            sync_api.expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert page.evaluate(ALIVE) == [], place
            assert page.get_by_test_id("stException").count() == 0, place
            seen |= "alert(1)" in page.locator("body").inner_text()
        assert seen
        assert dialogs == []
        assert visit.faults == []
        context.close()
