"""Start the app: ``python -m osscar_core.studio.serve``.

The decision hidden here: who can reach the app. It listens on this machine alone unless told
otherwise, answers to the names it is known by, and does not open itself to a network without a
login unless somebody says in so many words that they want that.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from osscar_core.errors import OsscarError
from osscar_core.studio import logs
from osscar_core.studio.access import READ_ONLY, ROOTS, is_read_only
from osscar_core.studio.gate import (
    Gate,
    SecurityHeaders,
    is_this_machine,
    login_settings,
)

SCRIPT = Path(__file__).resolve().parents[2] / "app.py"
HOST = "127.0.0.1"
PORT = 8501

logger = logging.getLogger(__name__)


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
    parser.add_argument(
        "--read-only", action="store_true", help=f"show everything, change nothing ({READ_ONLY}=1)"
    )
    parser.add_argument(
        "--root",
        action="append",
        type=_folder,
        metavar="FOLDER",
        help=f"let files below this folder be named, and no others; may be given again ({ROOTS})",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which a proxy before it is known; may be given again",
    )
    parser.add_argument(
        "--trust-network",
        action="store_true",
        help="let everyone who can reach the address use the app without a login",
    )
    options = parser.parse_args(arguments)
    if options.log is not None:
        os.environ[logs.VARIABLE] = options.log
    logs.set_up("server")
    # Streamlit reads its settings and secrets from beside what it takes for the program.
    sys.argv = [str(SCRIPT)]
    is_local = is_this_machine(options.host)
    if not is_local and not options.trust_network and not login_settings():
        parser.error(
            f"anyone who can reach {options.host}:{options.port} could use the app. Configure a "
            "login in .streamlit/secrets.toml, or add --trust-network if that is what you want"
        )
    if options.read_only:
        os.environ[READ_ONLY] = "1"
    if options.root:
        os.environ[ROOTS] = os.pathsep.join(options.root)
    if not is_read_only(os.environ):
        _take_up_runs()
    import streamlit as st
    from starlette.middleware import Middleware

    from osscar_core.studio.health import Health

    app = st.App(
        SCRIPT,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Health),
            Middleware(Gate, hosts=options.allow_host, is_local=is_local),
        ],
        on_script_error=on_script_error,
    )
    app.run(
        config={
            "server.address": options.host,
            "server.port": options.port,
            # The gate looks at every request, not just at those for a session.
            "server.allowedHosts": ["*"],
        }
    )


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


def _folder(text: str) -> str:
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder; give one that is there")
    return str(folder.resolve())


if __name__ == "__main__":
    main()
