"""The what-if screen in a real browser: keyboard, marks, links, protection, small screens."""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

import pytest

from browser.harness import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(look: Visit) -> Visit:
    """Nothing here changes the workspace."""
    return look


POINT = "?m=demo/opt&goal=removed&val=45&lang=en"


def verdict(visit: Visit):
    return visit.page.locator(".st-key-verdict")


def slider(visit: Visit):
    return visit.page.locator(".st-key-setting").get_by_role("slider")


def drawn(visit: Visit) -> None:
    """Wait until figure and numbers are there."""
    expect(visit.page.locator(".js-plotly-plot .xtitle")).to_be_visible()
    expect(visit.page.get_by_test_id("stMetric")).to_have_count(3)
    visit.settle()


def test_the_keyboard_moves_the_point_without_redrawing_the_page(visit: Visit) -> None:
    visit.open(POINT)
    drawn(visit)
    page = visit.page
    page.evaluate("document.querySelector('.st-key-controls').dataset.mark = 'kept'")
    slider(visit).focus()
    for value in ("46", "47", "48"):
        began = time.monotonic()
        page.keyboard.press("ArrowRight")
        expect(verdict(visit)).to_contain_text(f"{value}%")
        assert time.monotonic() - began < 10
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(verdict(visit)).to_contain_text("54%")
    expect(page).to_have_url(re.compile("val=54"))
    expect(slider(visit)).to_have_attribute("aria-valuetext", "54%")
    assert page.evaluate("document.querySelector('.st-key-controls').dataset.mark") == "kept"
    assert visit.faults == []


def test_every_aim_can_be_reached_and_an_impossible_one_has_a_way_out(visit: Visit) -> None:
    visit.open(POINT)
    drawn(visit)
    page = visit.page
    for name, lead in (
        ("Size", "of the size left"),
        ("Max loss", "Losing at most"),
        ("Speed", "For at least"),
    ):
        page.locator(".st-key-w_goal").get_by_text(name, exact=True).click()
        expect(verdict(visit)).to_contain_text(lead)
    visit.settle()
    slider(visit).focus()
    page.keyboard.press("End")
    expect(verdict(visit)).to_contain_text("not reachable within these limits")
    verdict(visit).get_by_role("button").first.click()
    expect(verdict(visit)).to_contain_text("faster")
    expect(page).to_have_url(re.compile("goal=speed"))
    assert visit.faults == []


def test_a_mark_can_be_clicked_and_the_slider_follows(visit: Visit) -> None:
    visit.open(POINT)
    drawn(visit)
    page = visit.page
    marks = page.locator(".scatterlayer .point")
    boxes = [box for box in (marks.nth(i).bounding_box() for i in range(marks.count())) if box]
    # Some marks lie under others, and the legend's cannot be selected.
    for box in sorted(boxes, key=lambda box: box["x"]):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(1_500)
        if "run=" in page.url:
            break
    expect(verdict(visit)).to_contain_text("95% CI")
    expect(page).to_have_url(re.compile("run=example-opt-"))
    slider(visit).focus()
    page.keyboard.press("ArrowLeft")
    expect(verdict(visit)).to_contain_text("estimate")
    expect(page).not_to_have_url(re.compile("run="))
    assert visit.faults == []


def test_the_copied_link_shows_the_same_to_somebody_else(visit: Visit, chromium) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open("?m=demo/opt&goal=speed&val=1.6&x=size&lang=ja")
    drawn(visit)
    visit.page.locator("button.copylink").click()
    expect(visit.page.locator("button.copylink")).to_have_text("コピーしました")
    link = visit.page.evaluate("navigator.clipboard.readText()")
    said = verdict(visit).inner_text()
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="en-GB")
    other = Visit(context.new_page(), visit.address)
    other.open("?" + urlsplit(link).query)
    drawn(other)
    assert verdict(other).inner_text() == said
    expect(other.page.locator(".js-plotly-plot .xtitle")).to_contain_text("サイズ（MB")
    context.close()
    assert visit.faults == other.faults == []


def test_layers_are_protected_with_the_keyboard(visit: Visit) -> None:
    visit.open(POINT)
    drawn(visit)
    page = visit.page
    page.get_by_role("button", name="Protect").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is protected")
    tables = dialog.get_by_test_id("stDataFrame")
    expect(tables).to_have_count(2)
    visit.settle()
    box = tables.first.bounding_box()
    assert box is not None
    # The second row, all neurons; its first editable cell is the tick.
    page.mouse.click(box["x"] + 60, box["y"] + 35 * 2.4)
    selected = tables.first.locator("[role=gridcell][aria-selected=true]")
    for column in ("1", "2", "3", "4"):
        expect(selected).to_have_attribute("aria-colindex", column)
        page.keyboard.press("ArrowRight" if column != "4" else "Space")
    expect(dialog).not_to_contain_text("Nothing is protected")
    dialog.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("button", name="Protect (1)")).to_be_visible()
    expect(verdict(visit)).to_contain_text("rotection")
    assert visit.faults == []


@pytest.mark.parametrize(("width", "lang"), [(390, "en"), (390, "ja"), (768, "ja"), (1366, "en")])
def test_nothing_is_cut_on_any_screen(visit: Visit, width: int, lang: str) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": 900})
    visit.open(f"?m=demo/resnet50&goal=speed&val=1.5&lang={lang}")
    drawn(visit)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll(
            '.st-key-numbers p, .st-key-verdict p, .legend li'
        )].filter(e => {
            const box = e.getBoundingClientRect();
            return e.scrollWidth > e.clientWidth + 2 || box.right > innerWidth || box.width === 0;
        }).map(e => e.textContent)"""
    )
    assert cut == []


@pytest.mark.parametrize("width", [390, 1000])
def test_labels_and_numbers_do_not_run_into_each_other(visit: Visit, width: int) -> None:
    page = visit.page
    page.set_viewport_size({"width": width, "height": 1200})
    for model in ("demo/opt", "demo/resnet50"):
        visit.open(f"?m={model}&goal=removed&val=50&lang=ja")
        drawn(visit)
        boxes = [box.bounding_box() for box in page.locator(".textpoint text").all()]
        assert len(boxes) >= 5
        for index, one in enumerate(boxes):
            for other in boxes[:index]:
                is_apart = (
                    one["x"] + one["width"] <= other["x"] + 1
                    or other["x"] + other["width"] <= one["x"] + 1
                    or one["y"] + one["height"] <= other["y"] + 4
                    or other["y"] + other["height"] <= one["y"] + 4
                )
                assert is_apart, (one, other)
        cut = page.locator(".st-key-numbers [data-testid=stMetricLabel] p").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 2).map(e => e.innerText)"
        )
        assert cut == []
        for metric in page.get_by_test_id("stMetric").all():
            assert metric.bounding_box()["height"] < 160
    assert visit.faults == []
