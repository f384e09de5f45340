"""What every page shares: controls, links, login, notices and the card for what went wrong."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from osscar_core.errors import DataError
from osscar_core.studio import chosen, frame, identity
from osscar_core.studio.choices import LOCAL
from osscar_core.studio.jobs import RunStore, State, Status

PAGES = ["", "explain", "check", "decide", "runs"]
FIRST, SECOND, THIRD = (f"20260101-00000{index}-000000" for index in range(3))


def words(at) -> str:
    kinds = [*at.title, *at.markdown, *at.error, *at.warning, *at.info]
    return "\n".join(item.value for item in kinds)


def links(at) -> list[str]:
    return [link.proto.query_string for link in at.get("page_link")]


@pytest.fixture
def two_models(home: Path, samples) -> Path:
    """Two finished runs of an image model and, newest, one of a text model."""
    for run_id, share in ((FIRST, 0.5), (SECOND, 0.3)):
        asked = samples.image_request(share)
        samples.write_run(home, run_id, asked, samples.result(asked))
    asked = samples.text_request()
    found = samples.result(asked, dense=20.0, pruned=30.0, half=1.0)
    samples.write_run(home, THIRD, asked, found)
    return home


@pytest.mark.parametrize("page", PAGES)
def test_the_same_controls_stand_on_every_page(two_models: Path, open_page, page: str) -> None:
    at = open_page(page)
    labels = [item.label for item in [*at.sidebar.selectbox, *at.sidebar.segmented_control]]
    assert labels == ["Model", "Run", "Language"]
    assert [link.proto.label for link in at.sidebar.get("page_link")] == [
        "Explore",
        "Explain",
        "Check",
        "Decide",
        "Runs",
    ]
    assert not at.exception


@pytest.mark.parametrize("page", PAGES)
def test_opening_a_page_writes_nothing_into_the_address(
    two_models: Path, open_page, page: str
) -> None:
    assert dict(open_page(page).query_params) == {}


def test_the_newest_run_decides_what_an_open_link_shows(two_models: Path, open_page) -> None:
    at = open_page("runs")
    assert at.selectbox(key="g_model").value == "facebook/opt-125m"
    assert at.selectbox(key="g_run").value == ""


def test_the_runs_of_the_model_are_offered_the_newest_first(two_models: Path, open_page) -> None:
    at = open_page("runs", m="cifar/resnet20")
    assert at.selectbox(key="g_run").options[0] == "Newest"
    shares = [label.partition(" removed")[0] for label in at.selectbox(key="g_run").options[1:]]
    assert shares == ["30%", "50%"]


def test_a_model_without_runs_says_so(two_models: Path, open_page) -> None:
    at = open_page("runs", m="facebook/opt-350m")
    assert at.selectbox(key="g_run").options == ["None yet"]
    assert at.selectbox(key="g_run").value == ""


def test_another_model_has_no_run_but_keeps_the_goal(two_models: Path, open_page) -> None:
    at = open_page("runs", run=FIRST, goal="speed", val="1.5", x="size")
    at.selectbox(key="g_model").set_value("facebook/opt-125m").run()
    assert dict(at.query_params) == {
        "m": "facebook/opt-125m",
        "goal": "speed",
        "val": "1.5",
        "x": "size",
    }


def test_a_run_brings_its_model(two_models: Path, open_page) -> None:
    at = open_page(m="facebook/opt-125m", run=FIRST)
    assert at.selectbox(key="g_model").value == "cifar/resnet20"
    at = open_page("explain", m="cifar/resnet20")
    at.selectbox(key="g_run").set_value(FIRST).run()
    assert dict(at.query_params) == {"m": "cifar/resnet20", "run": FIRST}
    at.selectbox(key="g_run").set_value("").run()
    assert dict(at.query_params) == {"m": "cifar/resnet20"}


def test_choices_follow_through_the_menu_and_to_other_pages(two_models: Path, open_page) -> None:
    at = open_page(run=FIRST, goal="loss", val="0.5", lang="ja")
    assert len(links(at)) == len(frame.PAGES)
    for link in links(at):
        assert set(link.split("&")) == {
            "lang=ja", "m=cifar%2Fresnet20", f"run={FIRST}", "goal=loss", "val=0.5",
        }  # fmt: skip
    at.switch_page("pages/explain.py").run()
    assert at.session_state["run"] == FIRST
    assert at.session_state["goal"] == "loss"
    at.switch_page("pages/runs.py").run()
    assert at.selectbox(key="g_run").value == FIRST
    assert at.segmented_control(key="g_lang").value == "ja"


def test_a_run_without_result_stays_chosen_with_its_state(home: Path, samples, open_page) -> None:
    failed = Status(State.FAILED, reason="no room", remedy="Make some")
    samples.write_run(home, FIRST, samples.image_request(), None, failed)
    at = open_page("runs", run=FIRST)
    assert at.selectbox(key="g_run").value == FIRST
    assert at.selectbox(key="g_run").options[1].endswith("· failed")


@pytest.mark.parametrize("page", PAGES)
def test_bad_values_are_told_and_replaced(two_models: Path, open_page, page: str) -> None:
    bad = {
        "m": "../../etc/passwd",
        "run": "../../etc",
        "lang": "XX",
        "goal": "foo",
        "val": "abc",
        "x": "<script>",
        "layer": "../..",
    }
    at = open_page(**bad)
    assert len(at.toast) == len(bad)
    assert not any("etc" in toast.value or "script" in toast.value for toast in at.toast)
    at = open_page(page, **bad)
    assert not at.exception
    assert not at.error
    state = at.session_state
    assert [state[key] for key in ("run", "goal", "val", "x", "layer", "lang")] == [
        "", "removed", "", "latency", "", "",
    ]  # fmt: skip
    assert state["m"] == "facebook/opt-125m"


@pytest.mark.parametrize(
    ("goal", "value", "is_taken"),
    [
        ("removed", "30", True),
        ("removed", "99.5", False),
        ("speed", "1.75", True),
        ("speed", "0.5", False),
        ("loss", "0", False),
        ("loss", "100.1", False),
        ("size", "42.25", True),
        ("removed", "-1", False),
        ("size", "1e5", False),
        ("size", "nan", False),
        ("size", "\uff15", False),
        ("size", "9" * 400, False),
    ],
)
def test_the_goal_decides_which_values_are_possible(
    home: Path, open_page, goal: str, value: str, is_taken: bool
) -> None:
    at = open_page("runs", goal=goal, val=value)
    assert at.session_state["goal"] == goal
    assert at.session_state["val"] == (value if is_taken else "")


def test_a_link_of_later_replaces_what_was_chosen_but_not_the_language(
    two_models: Path, open_page
) -> None:
    at = open_page("runs", run=FIRST, goal="speed", val="2")
    at.segmented_control(key="g_lang").set_value("ja").run()
    at.query_params.clear()
    at.query_params["m"] = "facebook/opt-125m"
    at.run()
    state = at.session_state
    assert (state["m"], state["run"], state["goal"], state["val"]) == (
        "facebook/opt-125m", "", "removed", "",
    )  # fmt: skip
    assert at.title[0].value == "実行履歴"


def test_the_path_of_a_local_model_stays_out_of_links(home: Path, open_page, tmp_path) -> None:
    folder = tmp_path / "my-secret-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "opt"}))
    at = open_page("runs")
    at.selectbox(key="g_model").set_value(LOCAL).run()
    at.text_input(key="g_path").set_value(str(folder)).run()
    assert "g_path" not in [field.key for field in at.text_input]
    key = at.session_state["m"]
    assert re.fullmatch("own-[0-9a-f]{12}", key)
    assert at.query_params["m"] == key
    assert not any("secret" in link for link in links(at))
    assert "my-secret-model · ready" in at.selectbox(key="g_model").options
    at.switch_page("pages/explain.py").run()
    assert at.session_state["m"] == key
    elsewhere = open_page("runs", m=key)
    assert elsewhere.session_state["m"] != key
    assert "local model that is not known" in open_page(m=key).toast[0].value


def test_a_local_model_of_an_earlier_run_is_offered_again(
    home: Path, samples, open_page, tmp_path: Path
) -> None:
    asked = samples.image_request()
    object.__setattr__(asked.spec, "model", str(tmp_path / "mine"))
    samples.write_run(home, FIRST, asked, samples.result(asked))
    key = chosen.key_of(asked.spec.model)
    at = open_page("runs", m=key)
    assert at.session_state["m"] == key
    assert at.selectbox(key="g_run").options[0] == "Newest"
    assert "mine · ready" in at.selectbox(key="g_model").options


def test_a_model_that_is_not_ready_says_what_it_needs(home: Path, open_page) -> None:
    at = open_page("runs", m="cifar/resnet20", lang="ja")
    assert "cifar/resnet20 · 重みファイルが必要" in at.selectbox(key="g_model").options
    assert "お持ちの重みファイルを使います" in words(at)


@pytest.mark.parametrize("state", [s for s in State if not s.is_live])
def test_the_end_of_a_run_is_told_on_any_page(home: Path, samples, open_page, state: State) -> None:
    asked = samples.image_request()
    found = samples.result(asked) if state is State.FINISHED else None
    samples.write_run(home, FIRST, asked, found, Status(state, reason="r", remedy="m"))
    at = open_page("runs")
    at.session_state["_live"] = (FIRST,)
    at.run()
    (toast,) = at.toast
    assert toast.value.startswith("cifar/resnet20 · 50% removed · OSSCAR")
    assert state.value in toast.value
    assert toast.icon == frame._ENDS[state]
    at.run()
    assert not at.toast


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_corrupt_workspace_gives_a_card_beside_the_menu(
    home: Path, open_page, page: str, lang: str
) -> None:
    home.mkdir()
    (home / "studio.db").write_bytes(b"not a database at all " * 500)
    at = open_page(page, lang=lang)
    assert not at.exception
    (card,) = at.error
    assert re.search("`[0-9a-f]{8}`", card.value)
    assert str(home) not in card.value
    assert "Traceback" not in card.value
    assert ("破損" in card.value) == (lang == "ja")
    assert len(at.get("page_link")) == len(frame.PAGES)
    at.segmented_control(key="g_lang").set_value("ja" if lang == "en" else "en").run()
    assert len(at.error) == 1


def test_an_error_in_words_is_shown_without_folders(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(store: RunStore) -> None:
        raise DataError(
            "the file /srv/secret/place/data.csv has *no* rows", r"Look at C:\users\me\data.csv"
        )

    monkeypatch.setattr(chosen, "run", broken)
    at = open_page("explain", lang="ja")
    (card,) = at.error
    assert "理由（英語）：the file …/data.csv" in card.value
    assert "\\*no\\* rows" in card.value
    assert "secret" not in card.value
    assert "users" not in card.value
    mark = re.search("`([0-9a-f]{8})`", card.value)[1]
    assert any(mark in record.message and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("page", PAGES)
def test_nobody_gets_past_the_login(two_models: Path, open_page, page: str) -> None:
    at = open_page(
        page, user={"is_logged_in": False}, secrets={"auth": {"client_id": "x"}}, run=FIRST
    )
    assert not at.exception
    assert [button.label for button in at.button] == ["Log in"]
    assert not at.sidebar.selectbox
    assert not at.get("page_link")
    assert not at.title
    assert not at.dataframe
    assert "cifar" not in words(at)


def test_each_provider_has_its_button(home: Path, open_page) -> None:
    auth = {"cookie_secret": "x", "google": {"client_id": "a"}, "okta": {"client_id": "b"}}
    at = open_page(user={"is_logged_in": False}, secrets={"auth": auth}, lang="ja")
    assert [button.label for button in at.button] == ["googleでログイン", "oktaでログイン"]


def test_people_see_their_own_runs_only(two_models: Path, samples, open_page) -> None:
    person = {"is_logged_in": True, "iss": "https://id.example", "sub": "17", "name": "A. Person"}
    theirs = samples.image_request(0.7)
    digest = "user-" + identity.hashlib.sha256(b"https://id.example\n17").hexdigest()[:16]
    samples.write_run(
        two_models, "20260101-000005-000000", theirs, samples.result(theirs), owner=digest
    )
    at = open_page("explain", user=person)
    assert at.selectbox(key="g_run").options[1].startswith("70% removed")
    assert len(at.selectbox(key="g_run").options) == 2
    assert any(button.label == "Log out" for button in at.button)
    at = open_page(user=person, run=FIRST)
    assert "does not exist here" in at.toast[0].value
    local = open_page("explain", m="cifar/resnet20")
    assert len(local.selectbox(key="g_run").options) == 3
    assert "1 run in this workspace" in words(open_page("runs", user=person))
    assert "3 runs in this workspace" in words(open_page("runs"))


def test_a_run_belongs_to_whoever_asked_for_it(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = []

    def submit(store: RunStore, request: object, owner: str, files: object) -> None:
        owners.append(owner)
        raise RuntimeError

    monkeypatch.setattr(RunStore, "submit", submit)
    for user in (None, {"is_logged_in": True, "email": "a@example.com"}):
        at = open_page(m="facebook/opt-125m", user=user)
        at.button(key="measure_plain").click().run()
    assert owners[0] == "local"
    assert re.fullmatch("user-[0-9a-f]{16}", owners[1])


def test_secrets_that_cannot_be_read_keep_everybody_out(
    two_models: Path, open_page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import streamlit as st
    from streamlit.runtime.secrets import Secrets

    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\n")
    monkeypatch.setattr(identity.st, "get_option", lambda name: [str(broken)])
    monkeypatch.setattr(st, "secrets", Secrets())
    at = open_page()
    (card,) = at.error
    assert "secrets of this server cannot be read" in card.value
    assert not at.sidebar.selectbox
    assert not at.title


@pytest.mark.parametrize(
    ("lang", "words_of_it"),
    [
        (
            "en",
            ["Step 2 of 6: choosing what to remove", "about 2 h", " left", "and 1 more", "Cancel"],
        ),
        ("ja", ["手順2/6：削除する部分の選択", "残り約2時間", "ほか1件", "中止"]),
    ],
)
def test_the_strip_of_jobs_speaks_the_language(
    home: Path, samples, open_page, monkeypatch: pytest.MonkeyPatch, lang: str, words_of_it
) -> None:
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda store: None)
    now = time.time()
    at_work = Status(
        State.RUNNING, step="prune", fraction=0.5, updated=now, run_seconds_left=7350.0
    )
    asked = samples.image_request()
    samples.write_run(home, FIRST, asked, None, at_work)
    for second in (1, 2, 3):
        run_id = f"20260101-00000{second}-000000"
        samples.write_run(home, run_id, samples.image_request(second / 10), None, at_work)
    at = open_page("explain", lang=lang)
    strip = (
        at.get("progress")[0].proto.text + words(at) + at.button(key=f"cancel_strip_{FIRST}").label
    )
    assert [text for text in words_of_it if text not in strip] == []
    assert not at.exception


def test_what_escapes_a_page_becomes_a_card_too(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osscar_core.studio import cards, serve

    shown = []
    monkeypatch.setattr(cards, "failure", shown.append)
    fault = RuntimeError("in a callback")
    assert serve.on_script_error(fault) is True
    assert shown == [fault]
