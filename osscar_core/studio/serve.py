"""Start the app: ``python -m osscar_core.studio.serve``.

The decision hidden here: what goes over the wire besides the app itself. Every answer carries
the headers that keep other sites from framing it, reading from it or being called by it; the
app listens on this machine alone unless told otherwise.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from osscar_core.errors import OsscarError
from osscar_core.studio import logs

SCRIPT = Path(__file__).resolve().parents[2] / "app.py"
HOST = "127.0.0.1"
PORT = 8501

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
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)


class SecurityHeaders:
    """Adds `HEADERS` to every answer of an application.

    Args:
        app: The application.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on and add the headers to what comes back."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                given = {name for name, _ in named}
                kept = [pair for pair in message.get("headers", ()) if pair[0] not in given]
                message["headers"] = [*kept, *named]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def on_script_error(error: Exception) -> bool:
    """Show the app's own card for what escaped a page, such as a fault in a callback."""
    from osscar_core.studio.cards import failure

    failure(error)
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until it is stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m osscar_core.studio.serve", description="Serve OSSCAR Studio."
    )
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST})")
    parser.add_argument(
        "--port", type=_port, default=PORT, help=f"port to listen on (default {PORT})"
    )
    parser.add_argument(
        "--log",
        choices=list(logs.Form),
        help=f"how the log is written (default text, or what {logs.VARIABLE} says)",
    )
    options = parser.parse_args(arguments)
    if options.log is not None:
        os.environ[logs.VARIABLE] = options.log
    logs.set_up("server")
    if not _is_this_machine(options.host):
        sys.stderr.write(
            f"warning: anyone who can reach {options.host}:{options.port} can use the app, "
            "unless a login is configured in .streamlit/secrets.toml\n"
        )
    _take_up_runs()
    import streamlit as st
    from starlette.middleware import Middleware

    from osscar_core.studio.health import Health

    middleware = [Middleware(SecurityHeaders), Middleware(Health)]
    app = st.App(SCRIPT, middleware=middleware, on_script_error=on_script_error)
    # Streamlit reads its settings from beside what it takes for the program.
    sys.argv = [str(SCRIPT)]
    app.run(config={"server.address": options.host, "server.port": options.port})


def _take_up_runs() -> None:
    """See to it that what was queued before the last stop goes on without any visitor."""
    from osscar_core.studio.jobs import RunStore

    store = RunStore()
    try:
        if store.database.exists:
            store.purge()
        store.ensure_dispatched()
    except OsscarError as error:
        logger.warning("runs that wait are not started: %s", error)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is no port; give a number from 1 to 65535")
    return port


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main()
