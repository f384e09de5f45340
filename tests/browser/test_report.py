"""The report in a real browser: two A4 pages, nothing cut, nothing asked of a server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from decisions import bare_content, full_content, worst_content
from osscar_core.phrases import LANGUAGES
from osscar_core.report import write_report

pytestmark = pytest.mark.browser

MADE = {"full": full_content, "worst": worst_content, "bare": bare_content}
# What a page's parts take, the foot left out, against what its own height offers.
PAGES = """pages => pages.map(page => {
  const top = page.getBoundingClientRect().top;
  const parts = [...page.children].map(part => part.getBoundingClientRect());
  const foot = parts.pop();
  return [Math.max(...parts.map(part => part.bottom)) - top, foot.top - top, page.clientHeight];
})"""
TEXTS_CUT = """pictures => pictures.flatMap(picture => {
  const frame = picture.getBoundingClientRect();
  return [...picture.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 2;
  }).map(text => text.textContent);
})"""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", MADE)
def test_the_main_part_is_two_pages_of_a4(
    chromium, tmp_path: Path, kind: str, language: str
) -> None:
    file = write_report(MADE[kind](), language, tmp_path / "report.html")
    # The width between the margins of the printed page: 184 mm.
    context = chromium.new_context(viewport={"width": 696, "height": 1060})
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.emulate_media(media="print")
    page.goto(file.as_uri())
    for bottom, foot, height in page.eval_on_selector_all(".page", PAGES):
        assert bottom <= foot
        assert height <= 273 / 25.4 * 96
    assert page.eval_on_selector_all("svg", TEXTS_CUT) == []
    printed = page.pdf(prefer_css_page_size=True)
    assert asked == [file.as_uri()]
    assert said == []
    sizes = set(re.findall(rb"/MediaBox \[([^\]]*)\]", printed))
    assert len(sizes) == 1
    width, tall = (float(part) for part in sizes.pop().split()[2:])
    assert (width, tall) == (pytest.approx(595, abs=1.5), pytest.approx(842, abs=1.5))
    without = page.evaluate("document.querySelector('.appendix').remove()")
    assert without is None
    alone = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", alone)) == 2
    context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_narrow_screen_shows_all_of_it(chromium, tmp_path: Path, language: str) -> None:
    file = write_report(worst_content(), language, tmp_path / "report.html")
    context = chromium.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
