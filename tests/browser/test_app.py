"""The real app in a real browser: a run from the form to the figure, links, refresh, cancel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from browser.harness import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser


def test_the_first_screen_shows_measured_results_without_scrolling(
    visit: Visit, tmp_path: Path
) -> None:
    visit.open()
    page = visit.page
    sync_api.expect(page.get_by_text("Example · measured on").first).to_be_visible()
    marks = page.locator(".scatterlayer .point")
    sync_api.expect(marks.first).to_be_visible()
    assert marks.count() >= 10
    for shown in (
        page.locator(".st-key-verdict"),
        page.get_by_role("slider").first,
        page.locator(".js-plotly-plot .xtitle"),
        page.get_by_role("button", name="Measure it here"),
    ):
        box = shown.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 768
    assert not (tmp_path / "workspace").exists()
    assert visit.faults == []


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "What does a smaller model cost?"),
        ("explain", "What was removed, and is it safe?"),
        ("runs?run=nothing", "Runs"),
    ],
)
def test_every_page_opens_by_its_link_on_a_fresh_server(
    visit: Visit, path: str, title: str
) -> None:
    visit.open(path)
    page = visit.page
    sync_api.expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    sync_api.expect(page.get_by_role("link", name="Explore")).to_be_visible()
    assert page.get_by_test_id("stSidebarNav").count() == 0
    if "nothing" in path:
        sync_api.expect(page.get_by_text("This run does not exist here")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    assert visit.faults == []


def test_a_click_on_a_square_or_a_bar_opens_that_layer(visit: Visit) -> None:
    visit.open("explain?run=example-resnet50-osscar-removed-0.5")
    page = visit.page
    facts = page.locator(".st-key-layer_facts")
    sync_api.expect(facts).to_contain_text("conv")
    squares = page.locator(".st-key-map_0 .nsewdrag")
    area = squares.bounding_box()
    assert area is not None
    # The fifth row of 32, whose squares stand edge to edge.
    squares.click(position={"x": area["width"] / 2, "y": area["height"] * 4.5 / 32})
    sync_api.expect(facts).to_contain_text("layer1.2.conv2")
    sync_api.expect(page).to_have_url(re.compile("layer=layer1.2.conv2"))
    visit.settle()
    bars = page.locator(".st-key-shares .nsewdrag")
    area = bars.bounding_box()
    assert area is not None
    bars.click(position={"x": area["width"] * 0.985, "y": area["height"] * 0.9})
    sync_api.expect(facts).to_contain_text("layer4.2.conv3")
    visit.settle()
    page.get_by_role("combobox", name="One layer in detail").click()
    page.keyboard.type("layer1.0.conv2")
    sync_api.expect(page.get_by_role("option")).to_have_count(1)
    page.get_by_role("option").click()
    sync_api.expect(facts).to_contain_text("layer1.0.conv2")
    page.reload()
    visit.settle()
    sync_api.expect(facts).to_contain_text("layer1.0.conv2")
    page.get_by_role("button", name="Protect this layer").click()
    visit.settle()
    sync_api.expect(page.get_by_role("slider").first).to_be_visible()
    assert visit.faults == []
