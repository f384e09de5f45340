"""The page Decide in a real browser: keyboard, three widths, downloads, nothing from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from exported import RUN, export_request, write_export
from osscar_core.export import ExportFormat
from osscar_core.export.records import FLOAT32, NO_PADDING
from osscar_core.studio.jobs import State, Status
from studio.samples import write_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser


@pytest.fixture
def run(samples, tmp_path: Path) -> str:
    asked = samples.image_request(0.5)
    samples.write_run(tmp_path / "workspace", RUN, asked, samples.result(asked))
    return RUN


@pytest.fixture(scope="module")
def exported(samples, home: Path) -> str:
    """Put a run into the shared workspace that has one format made and another failed."""
    asked = samples.image_request(0.5)
    samples.write_run(home, RUN, asked, samples.result(asked))
    (home / "runs" / RUN / "model").mkdir()
    write_export(home, ExportFormat.ONNX, dense_quality=0.8, notes=(NO_PADDING, FLOAT32))
    failed = Status(State.FAILED, reason="the exported small is not the model", remedy="Wait")
    asked = export_request(home, ExportFormat.TORCH)
    write_run(home, "20260305-000000-000000", asked, None, failed)
    return RUN


def check_fit(page) -> None:
    """Wait until nothing is wider than its place: a chart takes its new width a moment later."""
    main = "document.querySelector('[data-testid=stMain]')"
    page.wait_for_function(
        f"document.documentElement.scrollWidth <= innerWidth"
        f" && {main}.scrollWidth <= {main}.clientWidth"
    )


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_savings_by_keyboard_and_the_report_from_the_same_numbers(
    visit, run, tmp_path: Path, lang: str
) -> None:
    page = visit.page
    visit.open(f"decide?run={run}&lang={lang}")
    result = page.locator(".st-key-savings_result")
    sync_api.expect(result).to_have_count(0)
    field = page.locator(".st-key-row_machines input").nth(1)
    field.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.locator(".st-key-savings_compute button").focus()
    page.keyboard.press("Enter")
    sync_api.expect(result).to_be_visible()
    visit.settle()
    net = result.locator("td").nth(18).inner_text()
    button = page.locator(f".st-key-report_{lang} button").first
    with page.expect_download() as found:
        button.focus()
        page.keyboard.press("Enter")
    file = tmp_path / "report.html"
    found.value.save_as(file)
    text = file.read_text(encoding="utf8")
    assert net
    assert net in text
    asked: list[str] = []
    offline = page.context.new_page()
    offline.on("request", lambda request: asked.append(request.url))
    offline.goto(file.as_uri())
    sync_api.expect(offline.get_by_text(net, exact=True).first).to_be_attached()
    assert asked == [file.as_uri()]
    assert visit.faults == []


def test_nothing_is_cut_off(look, exported) -> None:
    page = look.page
    page.set_viewport_size({"width": 390, "height": 900})
    look.open(f"decide?run={exported}")
    sync_api.expect(page.get_by_role("heading", name="Pilot first")).to_be_visible()
    check_fit(page)
    page.locator(".st-key-rule").locator("xpath=ancestor::details/summary").click()
    page.locator(".st-key-savings_compute button").click()
    sync_api.expect(page.locator(".st-key-savings_result")).to_be_visible()
    sync_api.expect(page.get_by_role("figure").first).to_be_visible()
    sync_api.expect(page.locator(".st-key-take_torch")).to_contain_text("is not the model")
    page.locator(".st-key-take_onnx summary").click()
    sync_api.expect(page.locator(".st-key-take_onnx")).to_contain_text("import onnxruntime")
    look.settle()
    for width in (390, 768, 1366):
        page.set_viewport_size({"width": width, "height": 900})
        check_fit(page)
    assert look.faults == []
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    assert [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")] == []


def test_a_reason_leads_to_its_evidence(visit, run) -> None:
    page = visit.page
    visit.open(f"decide?run={run}")
    page.get_by_role("link", name="Measure it on Check").first.click()
    page.wait_for_url("**/check?**")
    assert f"run={run}" in page.url
    assert visit.faults == []
