"""What pages show to whom: foreign ids in links, viewers, a server that only shows, admins."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from osscar_core.studio import chosen, commons, identity
from osscar_core.studio.access import READ_ONLY, ROOTS, Role
from osscar_core.studio.jobs import RunStore

ISSUER = "https://id.example"
OWN, FOREIGN, SHARED, NONE = (f"20260101-00000{index}-000000" for index in range(4))
ROLES = {"auth": {"client_id": "x"}, "osscar": {"role_claim": "role"}}
PAGES = ["", "explain", "check", "decide", "runs"]


def someone(role: str, subject: str = "me", **claims: object) -> dict[str, object]:
    known = {"is_logged_in": True, "iss": ISSUER, "sub": subject, "iat": time.time()}
    return {**known, "role": role, **claims}


def mark(subject: str) -> str:
    return "user-" + hashlib.sha256("\n".join((ISSUER, subject)).encode()).hexdigest()[:16]


@pytest.fixture
def of_others(home: Path, samples, sample_run: Path, tmp_path: Path) -> str:
    """A run of somebody else with a model of their own; return the model's key in links."""
    asked = samples.image_request(0.5)
    model = str(tmp_path / "their-model")
    object.__setattr__(asked.spec, "model", model)
    samples.write_run(home, FOREIGN, asked, samples.result(asked), owner=mark("them"))
    return chosen.key_of(model)


def shown(at) -> list[str]:
    """Return everything on a page that differs with what it is about."""
    kinds = (at.toast, at.title, at.markdown, at.error, at.warning, at.info, at.selectbox)
    found = [f"{item.type} {getattr(item, 'value', '')}" for kind in kinds for item in kind]
    return [*found, *(str(box.options) for box in at.selectbox), str(dict(at.query_params))]


def pressed(at) -> set[str]:
    """Return all that can be pressed, by key where there is one."""
    buttons = [*at.button, *at.get("download_button")]
    return {str(getattr(button, "key", None) or button.proto.label) for button in buttons}


# What a page may offer to somebody who only looks: ways to go, to look, to work out, to leave.
LOOKING = (
    *("Log out", "Go to Explore", "explore_", "explain_", "protect_layer", "protect_open"),
    *("take_report_", "to_shift", "savings_compute", "check_download_", "check_more_"),
)


def check_only_looking(at) -> None:
    assert not at.exception
    assert {key for key in pressed(at) if not key.startswith(LOOKING)} == set()
    assert len(at.get("file_uploader")) == 0
    assert not any(
        str(field.key).startswith(("name_", "note_", "g_path")) for field in at.text_input
    )
    assert not at.text_area


@pytest.mark.parametrize("page", PAGES)
def test_a_foreign_id_in_a_link_is_answered_like_one_that_never_was(
    of_others: str, open_page, page: str
) -> None:
    never = "own-0123456789ab"
    person = {"user": someone("viewer"), "secrets": ROLES}
    foreign = open_page(page, run=FOREIGN, m=of_others, layer="x", **person)
    nothing = open_page(page, run=NONE, m=never, layer="x", **person)
    assert not foreign.exception
    told = [text.replace(FOREIGN, NONE).replace(of_others, never) for text in shown(foreign)]
    assert told == shown(nothing)
    assert FOREIGN not in str(shown(foreign)[:-1])
    check_only_looking(foreign)


@pytest.mark.parametrize(("page", "lang"), [*zip(PAGES, ["en", "ja"] * 3, strict=False)])
def test_a_server_that_only_shows_has_nothing_to_press(
    finished_run: str, open_page, monkeypatch: pytest.MonkeyPatch, page: str, lang: str
) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    at = open_page(page, run=finished_run, lang=lang)
    check_only_looking(at)
    words = "\n".join(text.value for text in at.sidebar.markdown)
    assert ("Showing only" if lang == "en" else "表示専用") in words
    assert chosen.LOCAL not in at.selectbox(key="g_model").options


def test_a_what_if_works_where_nothing_can_be_started(
    finished_run: str, open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    at = open_page(m="cifar/resnet20")
    at.slider[0].set_value(40.0).run()
    assert at.session_state["val"] == "40"
    assert not at.exception
    assert not at.error


def test_what_is_shared_is_looked_at_and_not_taken(of_others: str, home: Path, open_page) -> None:
    commons.share(home, FOREIGN, True)
    person = {"user": someone("operator"), "secrets": ROLES}
    at = open_page("runs", run=FOREIGN, **person)
    words = "\n".join(text.value for text in at.markdown)
    assert f"of {mark('them')}" in words
    assert "everybody here can see it" in words
    theirs = {key for key in pressed(at) if FOREIGN in key}
    assert theirs == {f"explore_{FOREIGN}", f"explain_{FOREIGN}"}
    at.switch_page("pages/decide.py").run()
    assert not at.exception
    taken = {key for key in pressed(at) if key.startswith("take_")}
    assert taken == {f"take_report_{code}_{FOREIGN}" for code in ("en", "ja")}


def test_an_admin_looks_after_everybodys_runs(of_others: str, home: Path, open_page) -> None:
    at = open_page("runs", user=someone("admin"), secrets=ROLES)
    at.toggle(key="runs_everyones").set_value(True).run()
    assert "1 run in this workspace" in "\n".join(text.value for text in at.markdown)
    at = open_page("runs", user=someone("admin"), secrets=ROLES, run=FOREIGN)
    assert f"of {mark('them')}" in "\n".join(text.value for text in at.markdown)
    at.button(key=f"share_{FOREIGN}").click().run()
    assert commons.shared(home) == {FOREIGN}
    at.button(key=f"delete_{FOREIGN}").click().run()
    assert RunStore(home).get(FOREIGN) is None
    assert commons.shared(home) == set()


def test_the_place_of_a_model_is_told_on_ones_own_machine_only(
    with_model: Path, home: Path, open_page
) -> None:
    run_id = with_model.name
    local = open_page("runs", run=run_id)
    assert str(with_model) in "\n".join(text.value for text in local.markdown)
    commons.share(home, run_id, True)
    at = open_page("runs", run=run_id, user=someone("admin"), secrets=ROLES)
    words = "\n".join(text.value for text in at.markdown)
    assert "is kept on the server" in words
    assert str(home) not in words


def test_a_path_elsewhere_is_refused_in_the_same_words_whether_it_is_there(
    home: Path, open_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv(ROOTS, str(tmp_path / "root"))
    at = open_page("runs")
    at.selectbox(key="g_model").set_value(chosen.LOCAL).run()
    told = []
    for path in (tmp_path, tmp_path / "none", tmp_path / "root" / "link", tmp_path / "root" / "x"):
        at.text_input(key="g_path").set_value(str(path)).run()
        told.append([text.value for text in at.sidebar.markdown if ":red[" in text.value])
    assert "only below the folders" in told[0][0]
    assert told[0] == told[1] == told[2] != told[3]
    assert "_own_models" not in at.session_state


def test_with_a_login_only_configured_folders_may_be_named(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(ROOTS, "")
    monkeypatch.setattr(identity, "_claims", dict)
    usual = identity.places()
    assert usual.admits(str(Path.home() / "models"))
    assert usual.admits(str(home))
    assert not usual.admits("/etc/passwd")
    monkeypatch.setattr(identity, "is_local", lambda: False)
    assert identity.places().roots == ()
    monkeypatch.setattr(identity, "is_local", lambda: True)
    monkeypatch.setattr(identity, "_claims", lambda: someone("operator"))
    monkeypatch.setattr(identity, "_settings", lambda: ROLES["osscar"])
    assert identity.places().roots == ()
    monkeypatch.setenv(ROOTS, str(tmp_path))
    assert identity.places().admits(str(tmp_path / "models"))
    # The workspace is below the root, and is of everybody.
    assert not identity.places().admits(str(home / "data"))
    monkeypatch.setattr(identity, "_claims", lambda: someone("viewer"))
    assert identity.places().roots == ()


@pytest.mark.parametrize(
    ("user", "settings", "words"),
    [
        (someone("admin"), {"role_clam": "role"}, "setting of"),
        (someone("admin"), {"role_claim": "role", "session_hours": "x"}, "number of hours"),
        (someone("admin"), "viewer", "is no section"),
        ({"is_logged_in": True}, {}, "names neither a subject"),
    ],
)
def test_a_login_that_is_set_up_wrongly_keeps_everybody_out(
    home: Path, open_page, user: dict[str, object], settings: object, words: str
) -> None:
    at = open_page(user=user, secrets={"auth": {"client_id": "x"}, "osscar": settings})
    (card,) = at.error
    assert words in card.value
    assert not at.sidebar.selectbox
    assert not at.title


def test_a_login_lasts_for_so_long(home: Path, open_page) -> None:
    secrets = {"auth": {"client_id": "x"}, "osscar": {"session_hours": 2}}
    for hours, is_in in ((1, True), (3, False)):
        since = time.time() - hours * 3600
        at = open_page("runs", user=someone("admin", iat=since), secrets=secrets)
        assert bool(at.title) is is_in
        assert ("login_" in pressed(at)) is not is_in


def test_a_session_that_was_left_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It once was the local person's, with all their runs."""
    monkeypatch.setattr(identity, "_claims", lambda: {"is_logged_in": False})
    for ask in (identity.owner, identity.person, identity.desk, identity.places):
        with pytest.raises(identity.AccessError, match="nobody is logged in"):
            ask()
    # A part of a page that goes on by itself ends with the login, too.
    monkeypatch.setattr(identity, "_claims", lambda: someone("admin", iat=1.0))
    with pytest.raises(identity.AccessError, match="nobody is logged in"):
        identity.desk()


def test_where_a_network_is_one_person_that_is_no_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_claims", dict)
    assert identity.person().role is Role.ADMIN
    monkeypatch.setattr(identity, "is_local", lambda: False)
    assert identity.person() == identity.Person(role=Role.OPERATOR)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_login_that_lacks_its_packages_says_so(
    home: Path, open_page, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setattr(identity, "missing_packages", lambda: ["Authlib"])
    at = open_page(user={"is_logged_in": False}, secrets={"auth": {"client_id": "x"}}, lang=lang)
    (card,) = at.error
    assert "requirements.txt" in card.value
    assert not at.button
