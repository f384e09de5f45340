"""The page Check in a real browser: data brought and removed, widths, keyboard, both themes."""

from __future__ import annotations

import re

import pytest

from browser.harness import Visit, served
from checked import ab_report, shift_report, stress_report, write_check
from osscar_core.datasets.own import import_own, sample_own
from osscar_core.studio import examples

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

pytestmark = pytest.mark.browser

EXAMPLE = "example-resnet50-osscar-removed-0.5"
TEXT_EXAMPLE = "example-opt-osscar-removed-0.5"
AB, SHIFT, STRESS = (f"2026020{day}-000000-000000" for day in (1, 2, 3))
CSV = "text,plant\n" + "".join(
    f"Pump P-{number} lost pressure at the start of the shift.,{plant}\n"
    for number, plant in enumerate(["north", "south"] * 10)
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("check") / "workspace"
    spec = examples.find(EXAMPLE).run.request.spec
    name, content = sample_own("image")
    info = import_own(content, name, task="image", into=home / "data", owner="local")
    for run_id, found in ((AB, ab_report()), (SHIFT, shift_report(2.0)), (STRESS, stress_report())):
        write_check(home, run_id, spec, EXAMPLE, found, data=f"own:{info.id}")
    with served(home) as found:
        yield found


@pytest.fixture
def browse(chromium, address: str):
    contexts = []

    def opened(path: str, width: int = 1366, **options) -> Visit:
        options.setdefault("locale", "en-US")
        contexts.append(chromium.new_context(viewport={"width": width, "height": 844}, **options))
        visit = Visit(contexts[-1].new_page(), address)
        visit.open(path)
        return visit

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("lang", "scheme"), [("en", "light"), ("ja", "dark")])
def test_no_answer_is_wider_than_its_screen(browse, lang: str, scheme: str) -> None:
    visit = browse(f"check?run={AB}&lang={lang}", 390, color_scheme=scheme)
    page = visit.page

    def check_widths() -> None:
        for width in (390, 768, 1366, 390):
            page.set_viewport_size({"width": width, "height": 844})
            # A chart takes its new width a moment later.
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")

    expect(page.locator(".st-key-verdict")).to_be_visible()
    expect(page.locator(".st-key-forest .js-plotly-plot")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("0001")).first).to_be_visible()
    for name in (
        "Shift" if lang == "en" else "データのずれ",
        "Monthly" if lang == "en" else "毎月",
    ):
        check_widths()
        page.get_by_role("radio", name=name).click()
        key = ".st-key-stress_blur" if name in ("Shift", "データのずれ") else ".st-key-timeline"
        expect(page.locator(f"{key} .js-plotly-plot")).to_be_visible()
        visit.settle()
    check_widths()
    assert visit.faults == []


def test_a_file_is_brought_outlives_a_change_of_page_and_is_deleted(browse) -> None:
    visit = browse(f"check?run={TEXT_EXAMPLE}")
    page = visit.page
    file = {"name": "parts.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    page.locator("input[type=file]").set_input_files(file)
    run = page.get_by_role("button", name="Compare both models")
    expect(run).to_be_visible()
    page.get_by_role("link", name="Explain").click()
    expect(page).to_have_url(re.compile("/explain"))
    visit.settle()
    page.get_by_role("link", name="Check").click()
    expect(run).to_be_visible()
    expect(page.get_by_text("20 documents").first).to_be_visible()
    assert "parts" not in page.url
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete now").click()
    expect(page.get_by_text("No data yet")).to_be_visible()
    assert visit.faults == []


def test_a_bad_file_is_told_with_its_row(browse) -> None:
    visit = browse(f"check?run={TEXT_EXAMPLE}")
    page = visit.page
    file = {"name": "bad.csv", "mimeType": "text/csv", "buffer": f"{CSV},north\n".encode()}
    page.locator("input[type=file]").set_input_files(file)
    alert = page.get_by_role("alert").filter(has_text="cannot be used")
    expect(alert).to_contain_text("Row 22, column 1")
    expect(page.get_by_role("button", name="Try with sample data")).to_be_enabled()
    assert visit.faults == []


def test_questions_are_chosen_by_the_keyboard(browse) -> None:
    visit = browse(f"check?run={EXAMPLE}")
    page = visit.page
    page.get_by_role("radio", name="A/B").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Shift")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Amber.")).to_be_visible()
    assert visit.faults == []


def test_runs_opens_a_check_where_it_belongs(browse) -> None:
    visit = browse(f"runs?run={SHIFT}")
    page = visit.page
    expect(page.locator(".st-key-verdict")).to_contain_text("differs from the reference")
    page.get_by_role("button", name="Open in Check").click()
    expect(page).to_have_url(re.compile(f"/check.*run={SHIFT}"))
    expect(page.get_by_text("Amber.")).to_be_visible()
    assert visit.faults == []
