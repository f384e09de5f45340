"""Texts from elsewhere are shown as they are: no page runs, loads or follows anything in them.

In a browser that is seen by `browser/test_hostile.py`; here, every message that a page sends.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hostiletexts import CHECKS, FAILED, LIVE, RUN, write_hostile
from osscar_core.studio import examples
from osscar_core.studio.choices import check_model_path, check_weights
from osscar_core.studio.frame import GOALS, PAGES, PARAMETERS
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.texts import LANGUAGES
from test_fuzz_parsers import fuzzed

# In Markdown, what stands unescaped; in HTML, what is no entity.
MARKDOWN = re.compile(
    r"(?<!\\)\]\(http|(?<!\\):red\[r\]|(?<!\\)\$\\|(?<!\\)\*\*b|(?<![\\`]):material/delete"
)
HTML = re.compile(r"<script>alert|<img src=x|<a href='http")
CODE = re.compile(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
# Fields of Streamlit's messages that a browser renders as Markdown.
RENDERED = {"body", "label", "help", "title"}


def shown(at) -> Iterator[tuple[str, str, str]]:
    """Yield kind of element, field and text of all that the page sends to the browser."""
    blocks = [at._tree]
    while blocks:
        node = blocks.pop()
        proto = getattr(node, "proto", None)
        if isinstance(proto, Message):
            yield from _fields(type(node).__name__, proto)
        blocks.extend(getattr(node, "children", {}).values())


def _fields(kind: str, message: Message) -> Iterator[tuple[str, str, str]]:
    for field, value in message.ListFields():
        for item in value if field.is_repeated else (value,):
            if isinstance(item, str):
                yield kind, field.name, item
            elif isinstance(item, Message):
                yield from _fields(f"{kind}.{field.name}", item)


def live(at) -> list[str]:
    """Return what of the page is alive; fails if nothing of the texts is shown at all."""
    found = []
    for kind, field, text in shown(at):
        is_html = "html" in kind.lower() or "<div" in text[:20]
        if is_html and HTML.search(text):
            found.append(f"{kind}.{field}: {text[:300]}")
        # A figure is JSON that writes "<" in another way; Plotly follows what stands there.
        if field == "spec" and HTML.search(json.dumps(json.loads(text))):
            found.append(f"{kind}.{field}: {text[:300]}")
        if field in RENDERED and not is_html and MARKDOWN.search(CODE.sub("", text)):
            found.append(f"{kind}.{field}: {text[:300]}")
    return found


@pytest.fixture
def workspace(home, samples, no_assets, monkeypatch):
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)
    write_hostile(home, samples)
    return home


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_in_a_run_is_alive(workspace, open_page, lang: str) -> None:
    at = open_page(run=RUN, lang=lang)
    for page in ("", "explain", "decide", "runs"):
        if page:
            at.switch_page(f"pages/{page}.py").run()
        assert not at.exception
        assert not at.error
        assert "\n".join(live(at)) == "", page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_in_a_failed_run_or_a_check_is_alive(workspace, open_page, lang: str) -> None:
    at = open_page("runs", run=FAILED, lang=lang)
    assert not at.exception
    assert "\n".join(live(at)) == ""
    at = open_page("check", run=next(iter(CHECKS.values()))[0], lang=lang)
    for name, (run_id, _) in CHECKS.items():
        at.query_params["run"] = run_id
        at.run()
        assert not at.exception
        assert "\n".join(live(at)) == "", name


def test_a_link_of_hostile_values_is_told_and_ignored(home, no_assets, open_page) -> None:
    values = dict.fromkeys(("m", "run", "goal", "val", "x", "layer", "lang"), LIVE)
    for query in (values, dict.fromkeys(values, "\0" * 9), dict.fromkeys(values, "9" * 100_000)):
        at = open_page("runs", **query)
        assert not at.exception
        assert not at.error
        assert "\n".join(live(at)) == ""
        assert at.session_state["run"] == at.session_state["layer"] == ""


_WORDS = st.sampled_from(
    [
        LIVE,
        "\0",
        "../../etc/passwd",
        "9" * 5_000,
        "-1",
        "1e999",
        "nan",
        "0x10",
        "\uff11\uff12",
        "\u202e",
        " ",
    ]
)
_ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
_NUMBERS = st.floats().map(str) | st.integers(-(10**40), 10**40).map(str)
# What each key may hold, so that most links get further than their first word.
_GOOD = {
    "lang": st.sampled_from(list(LANGUAGES)),
    "m": st.sampled_from(["demo/resnet50", "demo/opt", "facebook/opt-125m"]),
    "run": st.sampled_from([RUN, "example-resnet50-osscar-removed-0.5"]),
    "goal": st.sampled_from(list(GOALS)),
    "val": st.floats(0, 120).map(lambda value: f"{value:.3g}"),
    "x": st.sampled_from(["latency", "size"]),
    "layer": st.sampled_from(["layer1.0.conv2", "model.decoder.layers.0.fc1", "layer9.9.conv9"]),
}
_VALUES = {key: st.one_of(good, good, _NUMBERS, _WORDS, _ANY) for key, good in _GOOD.items()}
_LINKS = st.fixed_dictionaries({}, optional=_VALUES)


def test_every_key_of_a_link_is_tried() -> None:
    assert set(_GOOD) == set(PARAMETERS)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_whatever_the_link_says(
    home: Path, samples: ModuleType, open_page: Any, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda _: None)
    asked = samples.image_request(0.5)
    samples.write_run(home, RUN, asked, samples.result(asked))
    # One session goes from link to link, as somebody's does who edits the address.
    at = open_page("" if page == "explore" else page)

    @fuzzed(12)
    @given(link=_LINKS)
    def follow(link: dict[str, str]) -> None:
        at.query_params.clear()
        for key, value in link.items():
            at.query_params[key] = value
        at.run()
        assert [error.value for error in (*at.exception, *at.error)] == []
        assert live(at) == []
        state = {key: at.session_state[key] for key in PARAMETERS}
        assert state["lang"] in ("", *LANGUAGES)
        assert state["goal"] in GOALS
        assert state["x"] in ("latency", "size")
        assert state["val"] == "" or math.isfinite(float(state["val"]))
        assert state["run"] in ("", RUN) or examples.find(state["run"]) is not None

    follow()


@pytest.mark.parametrize("path", ["~nobody-here/x", "a\0b", "x" * 5_000, "\udcff"])
def test_a_path_that_is_none_is_told(path: str) -> None:
    assert check_model_path(path).isprintable()
    assert check_weights(path, needed=True).isprintable()
    assert len(check_model_path(path)) < 500
