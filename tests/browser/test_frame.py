"""The frame of every page in a real browser: languages, history, small screens, paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser.harness import Visit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

pytestmark = pytest.mark.browser

PAGES = ["", "explain", "check", "decide", "runs"]
EXPLORE = "What does a smaller model cost?"


@pytest.fixture
def browse(chromium, address: str) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def opened(path: str = "", width: int = 1366, height: int = 768, **options) -> Visit:
        options.setdefault("locale", "en-US")
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": height}, **options)
        )
        visit = Visit(contexts[-1].new_page(), address)
        visit.open(path)
        return visit

    yield opened
    for context in contexts:
        context.close()


def control(visit: Visit, label: str):
    sidebar = visit.page.get_by_test_id("stSidebar")
    return sidebar.get_by_role("combobox", name=label, exact=True)


def choose(visit: Visit, label: str, option: str) -> None:
    control(visit, label).click()
    visit.page.get_by_role("option", name=option).first.click()
    visit.settle()


def width_of(visit: Visit) -> int:
    return visit.page.evaluate("document.documentElement.scrollWidth")


def language_of(visit: Visit) -> str:
    return visit.page.evaluate("document.documentElement.lang")


def parts(link: str) -> set[str]:
    return set(link.partition("?")[2].split("&"))


def test_a_switch_of_the_language_keeps_every_choice(browse) -> None:
    visit = browse("?m=demo/opt")
    page = visit.page
    choose(visit, "Run", "Magnitude")
    expect(page).to_have_url(re.compile("run=example-opt-magnitude"))
    visit.settle()
    link = page.url
    page.get_by_role("radio", name="日本語").click()
    expect(page.get_by_role("heading", name="モデルを小さくすると")).to_be_visible()
    expect(page).to_have_url(re.compile("lang=ja"))
    assert language_of(visit) == "ja"
    model = control(visit, "モデル")
    expect(model).to_have_value("demo/opt · 準備完了")
    expect(control(visit, "実行")).to_have_value(re.compile("重みの大きさ"))
    assert parts(link) <= parts(page.url)
    # What the browser now reports is understood in the new language. A point of one's own
    # takes the place of the run.
    page.get_by_role("slider").first.press("ArrowRight")
    expect(page).to_have_url(re.compile("val="))
    expect(page).not_to_have_url(re.compile("run="))
    link = page.url.replace("lang=ja", "lang=en")
    expect(model).to_have_value("demo/opt · 準備完了")
    page.get_by_role("link", name="実行履歴").click()
    expect(page.get_by_role("heading", name="実行履歴")).to_be_visible()
    expect(model).to_have_value("demo/opt · 準備完了")
    page.reload()
    visit.settle()
    expect(page.get_by_role("heading", name="実行履歴")).to_be_visible()
    assert language_of(visit) == "ja"
    page.get_by_role("radio", name="English").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(control(visit, "Model")).to_have_value("demo/opt · ready")
    expect(page).to_have_url(re.compile("lang=en"))
    assert parts(link) <= parts(page.url)
    assert visit.faults == []


def test_the_language_of_the_browser_is_the_first_one(browse) -> None:
    visit = browse("explain", locale="ja-JP")
    expect(visit.page.get_by_role("heading", name="何が削除され")).to_be_visible()
    assert language_of(visit) == "ja"
    assert "lang" not in visit.page.url


def test_back_forward_and_reload_show_what_was_shown(browse) -> None:
    visit = browse()
    page = visit.page
    assert page.url.endswith("/")
    model = control(visit, "Model")
    choose(visit, "Model", "facebook/opt-125m")
    expect(page).to_have_url(re.compile("opt-125m"))
    choose(visit, "Model", "demo/opt")
    expect(page).to_have_url(re.compile("demo%2Fopt"))
    page.get_by_role("link", name="Explain").click()
    expect(page.get_by_role("heading", name="What was removed")).to_be_visible()
    page.reload()
    visit.settle()
    expect(model).to_have_value("demo/opt · ready")
    page.go_back()
    expect(page.get_by_role("heading", name=EXPLORE)).to_be_visible()
    expect(model).to_have_value("demo/opt · ready")
    page.go_back()
    expect(model).to_have_value(re.compile("opt-125m"))
    page.go_back()
    expect(model).to_have_value("demo/resnet50 · ready")
    assert page.url.endswith("/")
    page.go_forward()
    expect(model).to_have_value(re.compile("opt-125m"))
    assert visit.faults == []


def test_back_and_forward_lead_through_a_slider_and_over_pages(browse) -> None:
    """A menu link is drawn before the slider moves; following it must not add a second step."""
    visit = browse()
    page = visit.page
    slider = page.get_by_role("slider").first
    expect(slider).to_have_attribute("aria-valuetext", "30%")
    for value in ("31", "32"):
        slider.focus()
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(f"val={value}$"))
        visit.settle()
    page.get_by_role("link", name="Explain").click()
    there = page.get_by_role("heading", name="What was removed")
    expect(there).to_be_visible()
    expect(page).to_have_url(re.compile(r"/explain\?.*val=32$"))
    visit.settle()
    page.go_back()
    expect(slider).to_have_attribute("aria-valuetext", "32%")
    visit.settle()
    page.go_forward()
    expect(there).to_be_visible()
    visit.settle()
    page.go_back()
    expect(slider).to_have_attribute("aria-valuetext", "32%")
    visit.settle()
    page.go_back()
    expect(slider).to_have_attribute("aria-valuetext", "31%")
    assert visit.faults == []


def test_a_bad_link_is_told_and_does_not_trap_the_way_back(browse) -> None:
    visit = browse("runs")
    page = visit.page
    visit.open("runs?val=abc&lang=XX&goal=foo&run=../../etc")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page.get_by_text("This run does not exist here")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("/runs$"))
    assert visit.faults == []


@pytest.mark.parametrize(("width", "lang"), [(390, "en"), (390, "ja"), (768, "ja"), (1366, "en")])
def test_no_page_is_wider_than_its_screen(browse, lang: str, width: int) -> None:
    visit = browse(f"?lang={lang}", width=width, height=844)
    page = visit.page
    for path in PAGES:
        if path:
            visit.open(f"{path}?lang={lang}")
        title = page.get_by_role("heading", level=1)
        expect(title).to_be_visible()
        # The style sheet comes with the page, and may take effect a moment later.
        page.wait_for_function("document.querySelector('h1').getBoundingClientRect().y < 90")
        assert width_of(visit) <= width
    if width < 1366:
        page.get_by_test_id("stExpandSidebarButton").click()
    for name in ("English", "日本語"):
        expect(page.get_by_role("radio", name=name)).to_be_in_viewport()
    assert width_of(visit) <= width
    assert visit.faults == []


def test_twice_the_size_still_fits(browse) -> None:
    visit = browse("explain", width=683, height=384, device_scale_factor=2)
    assert width_of(visit) <= 683


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_the_keyboard_is_on_can_be_seen(browse, scheme: str) -> None:
    visit = browse("runs", color_scheme=scheme)
    page = visit.page
    page.get_by_role("link", name="Decide").focus()
    page.keyboard.press("Tab")
    outline = page.evaluate(
        "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])"
        "(getComputedStyle(document.activeElement))"
    )
    assert outline == ["solid", "3px"]
    expect(page.get_by_role("link", name="Runs")).to_be_focused()


def test_nothing_of_the_framework_is_in_the_way(browse) -> None:
    page = browse().page
    for name in ("stAppDeployButton", "stMainMenu", "stSidebarNav", "stDecoration"):
        expect(page.get_by_test_id(name)).not_to_be_visible()
    expect(page.get_by_text("Made with")).to_have_count(0)


def test_on_paper_there_is_nothing_to_press(browse, tmp_path: Path) -> None:
    visit = browse("explain")
    page = visit.page
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_test_id("stSidebar")).not_to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.get_by_role("button").filter(visible=True).count() == 0
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") >= 2
