"""What browser tests and benchmarks share: a server, a Chromium, a page that notes faults."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium_path() -> str | None:
    """Return the system's Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


SERVE = ("-m", "osscar_core.studio.serve", "--port={port}")
STREAMLIT = ("-m", "streamlit", "run", "app.py", "--server.port={port}")


class Server:
    """The app as its documented command starts it, in a workspace of its own."""

    def __init__(
        self,
        home: Path,
        command: Sequence[str] = SERVE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.command = command
        self.environment = environment or {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; return the seconds until it is healthy."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *(part.format(port=self.port) for part in self.command)],
            cwd=ROOT,
            env={**os.environ, "OSSCAR_HOME": str(self.home), **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=(self.home.parent / "server.log").open("ab"),
        )
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=2):  # noqa: S310
                    return time.monotonic() - began
            except OSError:
                if time.monotonic() - began > 60:
                    self.stop()
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    @property
    def resident_bytes(self) -> int:
        """Memory of the server process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024


def is_fault(message: Any) -> bool:
    """Return whether a line of a page's console says that something is wrong."""
    # On a deep link Streamlit first asks below the page's own path; it then finds its way.
    known = message.location.get("url", "").endswith(("/_stcore/health", "/host-config"))
    return message.type == "error" and not known


class Visit:
    """A page of the app, with what the browser complained about."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.faults: list[str] = []
        page.set_default_timeout(60_000)
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, path: str = "") -> None:
        """Open a page and wait until it is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the script has run."""
        self.page.wait_for_selector(QUIET)

    def _console(self, message: Any) -> None:
        if is_fault(message):
            self.faults.append(f"{message.text} {message.location}")

    def _request(self, request: Any) -> None:
        local = (self.address, self.address.replace("http", "ws", 1), "data:", "blob:")
        if not request.url.startswith(local):
            self.faults.append(f"external request to {request.url}")


@contextmanager
def served(
    home: Path, command: Sequence[str] = SERVE, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a server; give its address."""
    server = Server(home, command, environment)
    server.start()
    try:
        yield server.address
    finally:
        server.stop()


@contextmanager
def browser() -> Iterator[Any]:
    """Start a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield started
        started.close()
