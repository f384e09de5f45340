"""The real app in a real browser: a run from the form to the figure, links, refresh, cancel."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser.harness import Visit
from osscar_core.studio.jobs import RunStore, State

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class{label}").mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{index}.png")
    return folder


def fill_and_start(visit: Visit, images: Path) -> None:
    page = visit.page
    visit.open("?m=cifar/resnet20&val=50")
    for label, text in (
        ("Weights file", "random"),
        ("Calibration data", f"images:{images}"),
        ("Test data", f"images:{images}"),
    ):
        field = page.get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")
        visit.settle()
    page.get_by_role("button", name="Measure without a survey").dblclick()


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "workspace" / "runs").iterdir())


def test_a_run_from_the_form_to_the_figure(visit: Visit, images: Path, tmp_path: Path) -> None:
    page = visit.page
    fill_and_start(visit, images)
    strip = page.locator(".st-key-jobstrip")
    sync_api.expect(strip).to_contain_text("cifar/resnet20")
    page.reload()
    visit.settle()
    sync_api.expect(strip).to_contain_text("cifar/resnet20")
    sync_api.expect(strip).to_contain_text("Step ", timeout=30_000)
    sync_api.expect(page.locator(".st-key-verdict")).to_contain_text(
        "At 50% removed", timeout=150_000
    )
    sync_api.expect(page.locator(".st-key-jobstrip")).to_have_count(0)
    assert len(folders(tmp_path)) == 1
    sync_api.expect(page.get_by_test_id("stMetric")).to_have_count(3)
    sync_api.expect(page.locator(".scatterlayer .point")).to_have_count(2)
    sync_api.expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    page.get_by_test_id("stButtonGroup").get_by_text("Size", exact=True).click()
    sync_api.expect(page.get_by_text("Size, MB (left is better)")).to_be_visible()
    sync_api.expect(page).to_have_url(re.compile("x=size"))
    page.get_by_role("link", name="Explain").click()
    sync_api.expect(page.locator(".st-key-verdict")).to_contain_text("convolution channels")
    sync_api.expect(page).to_have_url(re.compile(f"run={folders(tmp_path)[0].name}"))
    sync_api.expect(page.locator(".barlayer .point").first).to_be_visible()
    assert page.locator(".barlayer .point").count() >= 9
    page.get_by_role("link", name="Runs").click()
    sync_api.expect(page.get_by_text("1 run in this workspace")).to_be_visible()
    page.get_by_test_id("stPopover").get_by_role("button").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Plan (JSON)").click()
    assert '"kept"' in Path(download.value.path()).read_text()
    assert visit.faults == []


def test_cancel_lands_within_three_seconds(visit: Visit, images: Path, tmp_path: Path) -> None:
    page = visit.page
    fill_and_start(visit, images)
    strip = page.locator(".st-key-jobstrip")
    sync_api.expect(strip).to_contain_text("Step ", timeout=30_000)
    began = time.monotonic()
    strip.get_by_role("button", name="Cancel").click()
    sync_api.expect(page.get_by_text("This run was cancelled")).to_be_visible()
    assert time.monotonic() - began < 3.5
    sync_api.expect(strip).to_have_count(0)
    (folder,) = folders(tmp_path)
    (run,) = RunStore(tmp_path / "workspace").runs()
    assert run.status.state is State.CANCELLED
    assert not (folder / "model").exists()
    assert visit.faults == []


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
    sync_api.expect(facts).to_contain_text("layer2.3.conv3")
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
    page.keyboard.press("Enter")
    sync_api.expect(facts).to_contain_text("layer1.0.conv2")
    page.reload()
    visit.settle()
    sync_api.expect(facts).to_contain_text("layer1.0.conv2")
    page.get_by_role("button", name="Protect this layer").click()
    visit.settle()
    sync_api.expect(page.get_by_role("slider").first).to_be_visible()
    assert visit.faults == []
