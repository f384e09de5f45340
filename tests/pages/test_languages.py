"""The app in two languages: whose choice counts, and what a switch leaves as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = ["", "explain", "check", "decide", "runs"]
TITLES = {
    "": "モデルを小さく",
    "explain": "何が削除され",
    "check": "自社のデータ",
    "decide": "導入する価値",
    "runs": "実行履歴",
}
# A sentence of English. Names are shorter; what the library says is announced as English.
ENGLISH = re.compile(r"\b[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}\b")


def words(at) -> str:
    return "\n".join(item.value for item in [*at.title, *at.markdown])


def labels(at) -> list[str]:
    kinds = ("button", "selectbox", "text_input", "number_input", "multiselect", "slider", "metric")
    return [item.label for kind in kinds for item in getattr(at, kind)]


@pytest.mark.parametrize("page", PAGES)
def test_the_browser_proposes_the_language(finished_run: str, open_page, page: str) -> None:
    at = open_page(page, context={"locale": "ja-JP"}, run=finished_run)
    assert TITLES[page] in words(at)
    assert not at.exception
    assert not at.error
    assert "lang" not in at.query_params
    assert TITLES[page] not in words(open_page(page, context={"locale": "de-DE"}))


@pytest.mark.parametrize("page", PAGES)
def test_the_link_outranks_the_browser(finished_run: str, open_page, page: str) -> None:
    at = open_page(page, context={"locale": "en-US"}, run=finished_run, lang="ja")
    assert TITLES[page] in words(at)
    at = open_page(page, context={"locale": "ja-JP"}, run=finished_run, lang="en")
    assert TITLES[page] not in words(at)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("run", ["", "finished"])
def test_nothing_english_is_left(finished_run: str, open_page, page: str, run: str) -> None:
    at = open_page(page, lang="ja", run=finished_run if run else "")
    shown = [text.partition("（英語）")[0] for text in [*words(at).split("\n"), *labels(at)]]
    assert [text for text in shown if ENGLISH.search(text)] == []


def test_the_choice_goes_into_the_link_and_everything_else_stays(
    finished_run: str, open_page
) -> None:
    at = open_page(run=finished_run)
    at.slider(key="w_removed").set_value(30.0).run()
    at.selectbox(key="f_method").select_index(2).run()
    chosen = at.selectbox(key="f_method").value
    at.segmented_control(key="g_lang").set_value("ja").run()
    assert TITLES[""] in words(at)
    assert at.query_params["lang"] == "ja"
    assert at.query_params["val"] == "30"
    assert at.slider(key="w_removed").value == 30
    assert at.selectbox(key="f_method").value == chosen
    at.switch_page("pages/runs.py").run()
    assert TITLES["runs"] in words(at)
    at.segmented_control(key="g_lang").set_value("en").run()
    assert at.query_params["lang"] == "en"
    assert at.title[0].value == "Runs"


def test_dates_are_told_in_the_time_of_the_browser(home: Path, sample_run: Path, open_page) -> None:
    at = open_page(
        "explain", context={"timezone": "Asia/Tokyo"}, run="example-resnet50-osscar-removed-0.5"
    )
    assert re.search(r"2[56] Nov 2026, \d\d:\d\d", words(at))
    at = open_page("explain", context={"timezone": "No/Where"}, lang="ja")
    assert not at.error
    assert re.search(r"2026年11月\d+日 \d\d:\d\d", words(at))
