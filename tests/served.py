"""The app as a server of its own, and a browser's page on it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVE = ("-m", "osscar_core.studio.serve", "--port={port}")
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class Visit:
    """A page of the app, with what the browser complained about."""

    def __init__(self, page, address: str) -> None:
        self.page = page
        self.address = address
        self.faults: list[str] = []
        page.set_default_timeout(30_000)
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.address}/{path}")
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector(QUIET)

    def _console(self, message) -> None:
        # On a deep link Streamlit first asks below the page's own path; it then finds its way.
        known = message.location.get("url", "").endswith(("/_stcore/health", "/host-config"))
        if message.type == "error" and not known:
            self.faults.append(f"{message.text} {message.location}")

    def _request(self, request) -> None:
        local = (self.address, self.address.replace("http", "ws", 1), "data:", "blob:")
        if not request.url.startswith(local):
            self.faults.append(f"external request to {request.url}")


def start_server(home: Path, *command: str) -> tuple[subprocess.Popen, str]:
    """Start the app on a free port and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, *(part.format(port=port) for part in command or SERVE)],
        cwd=ROOT,
        env={**os.environ, "OSSCAR_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):  # noqa: S310
                return server, address
        except OSError:
            if time.monotonic() > deadline:
                server.kill()
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def served(home: Path, *command: str) -> Iterator[str]:
    server, address = start_server(home, *command)
    try:
        yield address
    finally:
        server.terminate()
        server.wait(10)
