"""What stands before the app: names it answers to, logins it asks for, cookies it hardens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from streamlit import config
from streamlit.web.server.starlette import starlette_app_utils, starlette_websocket

from osscar_core.studio import gate
from osscar_core.studio.access import READ_ONLY

SECRET = "signs-cookies-for-the-test"  # noqa: S105
LOGIN = {"redirect_uri": "https://studio.example/oauth2callback", "cookie_secret": SECRET}


async def _app(scope: gate.Message, receive: gate.Receive, send: gate.Send) -> None:
    cookies = [(b"set-cookie", b"a=1; HttpOnly"), (b"set-cookie", b"b=2; Secure")]
    await send({"type": "http.response.start", "status": 200, "headers": cookies})
    await send({"type": "http.response.body", "body": b"ok"})


def asked(
    path: str = "/",
    *,
    host: str = "127.0.0.1:8501",
    cookie: str = "",
    kind: str = "http",
    **options: Any,
) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return status and headers of the answer to a request; 1008 for a refused handshake."""
    app = gate.SecurityHeaders(gate.Gate(_app, **{"is_local": True, **options}))
    headers = [(b"host", host.encode()), (b"cookie", cookie.encode("latin-1"))]
    sent: list[gate.Message] = []

    async def receive() -> gate.Message:
        return {"type": "websocket.connect"}

    async def send(message: gate.Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0].get("status") or sent[0]["code"], sent[0].get("headers", [])


def log_in(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    monkeypatch.setattr(gate, "login_settings", lambda: {**LOGIN, **settings})
    monkeypatch.setattr(starlette_websocket, "get_cookie_secret", lambda: SECRET)


def cookie_of(claims: object, secret: str = SECRET) -> str:
    value = json.dumps(claims)
    signed = starlette_app_utils.create_signed_value(secret, "_streamlit_user", value)
    return f"_streamlit_user={signed.decode()}"


@pytest.mark.parametrize(
    ("host", "options", "is_answered"),
    [
        ("localhost:8501", {}, True),
        ("[::1]:8501", {}, True),
        ("LOCALHOST.", {}, True),
        ("evil.example:8501", {}, False),
        ("127.0.0.1.evil.example", {}, False),
        ("", {}, False),
        ("[", {}, False),
        ("a@localhost", {}, True),
        ("proxy.example", {"hosts": ["Proxy.example"]}, True),
        ("evil.example", {"hosts": ["proxy.example"], "is_local": False}, False),
        # On a network that somebody trusts, nobody knows under which names.
        ("machine-17", {"is_local": False}, True),
    ],
)
def test_only_known_names_are_answered_to(
    host: str, options: dict[str, Any], is_answered: bool
) -> None:
    assert asked(host=host, **options)[0] == (200 if is_answered else 421)
    assert asked("/_stcore/stream", host=host, kind="websocket", **options)[0] == (
        200 if is_answered else 1008
    )
    assert asked("/_stcore/health", host=host, **options)[0] == 200
    # A name that only ends like it is none that a watcher asks for.
    assert asked("/x/_stcore/health", host=host, **options)[0] == (200 if is_answered else 421)


def test_the_name_of_the_login_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch)
    assert asked(host="studio.example", is_local=False)[0] == 200
    assert asked(host="evil.example", is_local=False)[0] == 421


@pytest.mark.parametrize("path", ["/media/a.png", "/_stcore/upload_file/s/f", "/_stcore/metrics"])
@pytest.mark.parametrize(
    ("cookie", "is_answered"),
    [
        ("", False),
        ("_streamlit_user=forged", False),
        (cookie_of({"is_logged_in": True}, "another secret of no use"), False),
        (cookie_of({"is_logged_in": False}), False),
        (cookie_of(["is_logged_in"]), False),
        (cookie_of({"is_logged_in": True}), True),
    ],
    ids=["none", "forged", "foreign", "left", "odd", "good"],
)
def test_what_pages_hand_out_needs_the_login_too(
    monkeypatch: pytest.MonkeyPatch, path: str, cookie: str, is_answered: bool
) -> None:
    assert asked(path)[0] == 200
    log_in(monkeypatch)
    assert asked(path, cookie=cookie)[0] == (200 if is_answered else 403)
    assert asked("/explain")[0] == 200
    # Behind a proxy everything may have a common beginning.
    before = config.get_option("server.baseUrlPath")
    config.set_option("server.baseUrlPath", "team/studio")
    try:
        assert asked(f"/team/studio{path}", cookie=cookie)[0] == (200 if is_answered else 403)
        assert asked("/team/studio/explain")[0] == 200
    finally:
        config.set_option("server.baseUrlPath", before)


def test_a_server_that_only_shows_takes_no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    assert asked("/_stcore/upload_file/session/file")[0] == 403
    assert asked("/media/a.png")[0] == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookies_travel_by_tls_only_where_browsers_come_by_tls(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    log_in(monkeypatch, redirect_uri=f"{scheme}://localhost/oauth2callback")
    _, headers = asked()
    first = b"a=1; HttpOnly" + (b"; Secure" if scheme == "https" else b"")
    assert [value for name, value in headers if name == b"set-cookie"] == [first, b"b=2; Secure"]
