"""What stands before the app on the wire: security headers, and a look at who asks.

The decision hidden here: which addresses beside the pages are somebody's. Pages ask for a login
themselves; files that a page has handed out, and uploads to it, are plain addresses that know
no session, so that what answers them asks for the login's cookie as well.
"""

from __future__ import annotations

import ipaddress
import json
import os
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from osscar_core.studio.access import is_read_only

# Streamlit starts from an inline script and its figures compile functions, hence the two
# 'unsafe-'; what matters is that nothing is loaded from, sent to or framed by another site.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
"""What browsers on this machine call it."""

_HANDED_OUT = ("/media/", "/_stcore/upload_file/", "/_stcore/metrics")
_UPLOADS = "/_stcore/upload_file/"
_PROBE = "/_stcore/health"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class SecurityHeaders:
    """Adds `HEADERS` to every answer of an application, a refused handshake included.

    Args:
        app: The application.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on and add the headers to what comes back."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                named = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                given = {name for name, _ in named}
                kept = [pair for pair in message.get("headers", ()) if pair[0] not in given]
                message["headers"] = [*_hardened(kept), *named]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Gate:
    """Refuses requests that were made out to another host, or by whoever may not make them.

    A page of another site can have its own name lead to this machine. It would then speak with
    the app as if it were of the app's own site, were it not for the name.

    Args:
        app: The application.
        hosts: Names that the app answers to besides those of this machine and of the login.
        is_local: Whether it listens on this machine alone.
    """

    def __init__(self, app: Application, *, hosts: Sequence[str] = (), is_local: bool) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)
        self._is_local = is_local

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that it may not be."""
        kind = scope["type"]
        status = self._refusal(scope) if kind in ("http", "websocket") else None
        if status is None:
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("Refused", status_code=status)(scope, receive, send)

    def _refusal(self, scope: Message) -> int | None:
        """Return the status of the answer to a request that may not be."""
        path = _path(scope)
        if path != _PROBE and not self._is_ours(scope):
            return 421
        if path.startswith(_UPLOADS) and is_read_only(os.environ):
            return 403
        if path.startswith(_HANDED_OUT) and login_settings() and not _is_known(scope):
            return 403
        return None

    def _is_ours(self, scope: Message) -> bool:
        of_login = _redirect().hostname
        known = self._hosts | ({of_login} if of_login else set())
        if not known and not self._is_local:
            return True
        headers = (value for name, value in scope["headers"] if name == b"host")
        try:
            name = urllib.parse.urlsplit(f"//{next(headers, b'').decode('latin-1')}").hostname
        except ValueError:
            return False
        return name is not None and name.rstrip(".") in known | THIS_MACHINE


def is_this_machine(host: str) -> bool:
    """Return whether an address is one that no other machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path(scope: Message) -> str:
    """Return the address that is asked for, without what a server puts before all of them."""
    from streamlit.config import get_option

    path, before = str(scope["path"]), str(get_option("server.baseUrlPath") or "").strip("/")
    return path.removeprefix(f"/{before}") if before else path


def login_settings() -> Mapping[str, Any]:
    """Return what the secrets say about logging in; nothing if nobody has to."""
    from streamlit.auth_util import get_secrets_auth_section

    return get_secrets_auth_section()


def _redirect() -> urllib.parse.SplitResult:
    """Return the address to which a login leads back; an empty one if nobody has to log in."""
    return urllib.parse.urlsplit(str(login_settings().get("redirect_uri", "")))


def _hardened(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers whose cookies travel by TLS only, if browsers come by TLS."""
    is_secure = _redirect().scheme == "https"
    return [
        (name, value + b"; Secure")
        if is_secure and name == b"set-cookie" and b"secure" not in value.lower()
        else (name, value)
        for name, value in headers
    ]


def _is_known(scope: Message) -> bool:
    """Return whether a request brings the cookie of somebody who has logged in here."""
    from starlette.requests import HTTPConnection
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
    from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

    content = _get_signed_cookie_with_chunks(HTTPConnection(scope).cookies, USER_COOKIE_NAME)
    try:
        return bool(json.loads(content or b"{}").get("is_logged_in"))
    except (ValueError, AttributeError):
        return False
