"""What goes wrong, as a person sees it: in words of their language, without the machine's."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from browser.harness import ROOT, Server, Visit
from osscar_core.studio.jobs import LOCK, State, Status
from osscar_core.studio.processes import try_lock

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=60_000)

pytestmark = pytest.mark.browser

FOLDER = "/srv/secret/place"
LANGUAGES = pytest.mark.parametrize("lang", ["en", "ja"])

ENDED = {
    "20260101-000001-000000": Status(
        State.FAILED,
        reason=f"the text '{FOLDER}/short.txt' holds 12 tokens, fewer than a window has",
        remedy="Name a longer one",
    ),
    "20260101-000002-000000": Status(
        State.FAILED,
        reason="memory ran out",
        remedy="Use fewer calibration items, a smaller batch or a smaller model",
        error_id="0a1b2c3d",
    ),
    "20260101-000003-000000": Status(State.CANCELLED),
    "20260101-000004-000000": Status(State.INTERRUPTED),
}
DAMAGED = "20260101-000005-000000"
WORKING = "20260101-000006-000000"
WAITING = [f"20260101-00001{index}-000000" for index in range(4)]


@contextmanager
def idle(home: Path) -> Iterator[Server]:
    """Serve a workspace in which nothing is ever started: whoever has the lock dispatches."""
    lock = try_lock(home / LOCK)
    assert lock is not None
    started = Server(home)
    started.start()
    try:
        yield started
    finally:
        started.stop()
        os.close(lock)


@pytest.fixture(scope="module")
def server(samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a workspace in which everything went wrong."""
    home = tmp_path_factory.mktemp("errors") / "workspace"
    for number, (name, status) in enumerate(ENDED.items()):
        samples.write_run(home, name, samples.image_request(0.1 + 0.05 * number), None, status)
    asked = samples.image_request(0.6)
    samples.write_run(home, DAMAGED, asked, samples.result(asked))
    (home / "runs" / DAMAGED / "result.json").write_text("{")
    with idle(home) as started:
        yield started


@pytest.fixture
def browse(chromium, server: Server) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def opened(path: str, address: str = server.address, *, is_watched: bool = False) -> Visit:
        """Open a page; one that is watched goes on redrawing a part and does not settle."""
        contexts.append(chromium.new_context(viewport={"width": 1366, "height": 900}))
        visit = Visit(contexts[-1].new_page(), address)
        visit.page.goto(f"{address}/{path}")
        if not is_watched:
            visit.settle()
        return visit

    yield opened
    for context in contexts:
        context.close()


def check_discreet(visit: Visit, home: Path) -> None:
    """Nothing on the page is of the machine or of the program."""
    words = visit.page.locator("body").inner_text()
    for word in ("Traceback", "Error:", str(home), str(ROOT), FOLDER, "site-packages", ".py"):
        assert word not in words


@LANGUAGES
@pytest.mark.parametrize(
    ("run", "english", "japanese", "buttons"),
    [
        ("20260101-000001-000000", "holds 12 tokens", "理由（英語）", ["Run again"]),
        ("20260101-000002-000000", "Memory ran out.", "メモリーが足りなく", ["Run again"]),
        ("20260101-000003-000000", "was cancelled", "中止されました", ["Run again"]),
        ("20260101-000004-000000", "was interrupted", "中断されました", ["Resume", "Run again"]),
        (DAMAGED, "cannot be read", "読み込めません", ["Run again"]),
    ],
)
def test_a_run_without_a_result_says_why_and_what_can_be_done(
    browse, server: Server, lang: str, run: str, english: str, japanese: str, buttons: list[str]
) -> None:
    visit = browse(f"runs?run={run}&lang={lang}")
    card = visit.page.locator(".st-key-runcard")
    expect(card).to_contain_text(english if lang == "en" else japanese)
    expect(card).to_contain_text(run)
    if run == "20260101-000002-000000":
        expect(card).to_contain_text("0a1b2c3d")
    names = {"Run again": "もう一度実行", "Resume": "再開"}
    for name in buttons:
        shown = name if lang == "en" else names[name]
        expect(card.get_by_role("button", name=shown)).to_be_enabled()
    check_discreet(visit, server.home)
    assert visit.faults == []


@LANGUAGES
def test_a_bad_link_is_told_in_words(browse, server: Server, lang: str) -> None:
    # The notices go after a while, so they are looked for at once.
    link = f"?m=nothing&goal=foo&val=abc&run=../../etc/passwd&lang={lang}"
    visit = browse(link, is_watched=True)
    toasts = visit.page.get_by_test_id("stToast")
    words = {
        "en": ("This run does not exist here", "The model in the link does not exist"),
        "ja": ("この実行はここにありません", "リンクのモデルはここにありません"),
    }[lang]
    for each in words:
        expect(toasts.filter(has_text=each)).to_have_count(1)
    expect(visit.page.locator(".st-key-verdict").first).to_be_visible()
    assert "etc" not in visit.page.locator("body").inner_text()
    check_discreet(visit, server.home)
    assert visit.faults == []


@LANGUAGES
def test_a_queue_of_several_shows_its_places(browse, samples, tmp_path: Path, lang: str) -> None:
    home, now = tmp_path / "workspace", time.time()
    asked = [samples.image_request(0.3 + 0.02 * number) for number in range(5)]
    # Started, but taken up by no worker.
    working = Status(
        State.RUNNING, step="prune", fraction=0.3, overall=0.2, updated=now, run_seconds_left=7350.0
    )
    samples.write_run(home, WORKING, asked[0], None, working)
    for name, request in zip(WAITING, asked[1:], strict=True):
        samples.write_run(home, name, request, None, Status(State.QUEUED, updated=now))
    with idle(home) as started:
        visit = browse(f"?lang={lang}", started.address, is_watched=True)
        strip = visit.page.locator(".st-key-jobstrip")
        words = {
            "en": (
                "Step 2 of 6",
                "about 2 h",
                "Queued, place 1",
                "Queued, place 2",
                "2 more",
            ),
            "ja": ("手順2/6", "残り約2時間", "1番目", "2番目", "2件"),
        }[lang]
        for each in words:
            expect(strip).to_contain_text(each)
        expect(strip.get_by_role("progressbar")).to_have_count(1)
        check_discreet(visit, home)
        assert visit.faults == []


@LANGUAGES
def test_a_model_that_needs_something_first_says_what(browse, server: Server, lang: str) -> None:
    visit = browse(f"?m=cifar/resnet20&lang={lang}")
    needs = visit.page.locator(".st-key-needs")
    expect(needs).to_be_visible()
    sidebar = visit.page.get_by_test_id("stSidebar")
    words = {"en": "takes a weights file", "ja": "重みファイル"}[lang]
    expect(sidebar).to_contain_text(words)
    check_discreet(visit, server.home)
    assert visit.faults == []


def test_a_damaged_database_leaves_menu_and_language(browse, tmp_path: Path) -> None:
    home = tmp_path / "workspace"
    home.mkdir()
    (home / "studio.db").write_bytes(b"this was a database once " * 400)
    damaged = Server(home)
    damaged.start()
    try:
        words = {"en": "The database of runs is damaged.", "ja": "データベースが破損しています"}
        for lang, said in words.items():
            visit = browse(f"?lang={lang}", damaged.address)
            alert = visit.page.get_by_test_id("stAlert")
            expect(alert).to_contain_text(said)
            assert re.search("[0-9a-f]{8}", alert.inner_text())
            check_discreet(visit, home)
            assert visit.faults == []
        # The file is put right: the page is, too.
        (home / "studio.db").unlink()
        visit.page.reload()
        expect(visit.page.locator(".st-key-verdict").first).to_be_visible()
        assert visit.faults == []
        # The server goes away: the framework says so, and what was shown stays.
        damaged.stop()
        expect(visit.page.locator(".st-key-verdict").first).to_be_visible()
        damaged.start()
        visit.page.reload()
        expect(visit.page.locator(".st-key-verdict").first).to_be_visible()
    finally:
        damaged.stop()
