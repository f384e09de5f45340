"""Does the app hold under load? Many browsers moving sliders while runs are worked on.

    python -m benchmarks.load [--sessions 20] [--jobs 5] [--minutes 15] [--pause 10] [--json]

Every session is a browser context of its own; a change is one press of an arrow key on the
slider until the verdict's words are others and the script has ended, and its next one comes
after a pause of about ``--pause`` seconds, as of a person who reads. So many runs wait or are
worked on by the real worker all the time, of both demo models; a finished one is replaced.
The browsers share the processors with the server and the worker, so their drawing is part of
every time. Errors are faults on a page's console, error boxes, changes that took longer than
half a minute, and runs that failed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.studio import QUIET, VERDICT, Server, changed, chromium_path
from browser.harness import ARGUMENTS, is_fault
from osscar_core.records import PruneSpec
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.runs import State

LONGEST = 30_000
STEPS = 12  # before a session turns round
DATA = {"demo/opt": "demo:python-docs", "demo/resnet50": "demo:factory"}
ERRORS = "[data-testid=stException], [data-testid=stAlertContentError]"


@dataclass
class Seen:
    """What was seen.

    Attributes:
        changes: When each change began, in seconds from the start, and what it took.
        errors: In words.
        memory: Seconds from the start, and bytes of the server.
        runs: How many runs were finished.
    """

    changes: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    runs: int = 0


async def _session(page: Any, seen: Seen, began: float, until: float, pause: float) -> None:
    from playwright.async_api import Error

    page.on("pageerror", lambda error: seen.errors.append(f"page: {error}"))
    page.on("console", lambda message: _console(message, seen))
    chance = random.Random(id(page))  # noqa: S311 - when people move, no secret
    page.set_default_timeout(LONGEST)
    for count in itertools.count():
        await asyncio.sleep(chance.uniform(0.5, 1.5) * pause)
        started = time.perf_counter()
        if started > until:
            return
        try:
            took = await changed(page, "ArrowRight" if count // STEPS % 2 == 0 else "ArrowLeft")
        except Error as error:
            seen.errors.append(f"change: {str(error).splitlines()[0]}")
            continue
        seen.changes.append((started - began, took))
        if await page.locator(ERRORS).count():
            seen.errors.append("an error box")


def _console(message: Any, seen: Seen) -> None:
    if is_fault(message):
        seen.errors.append(f"console: {message.text:.200}")


async def _jobs(store: RunStore, count: int, seen: Seen, until: float) -> None:
    """Keep so many runs waiting or worked on."""
    number = 0
    counted: set[str] = set()
    while time.perf_counter() < until:
        for run in store.runs():
            if run.id in counted or run.status.state.is_live:
                continue
            counted.add(run.id)
            seen.runs += run.status.state is State.FINISHED
            if run.status.state is not State.FINISHED:
                seen.errors.append(f"run {run.status.state}: {run.status.reason}")
        for _ in range(count - len(store.live())):
            model = list(DATA)[number % len(DATA)]
            share = 0.2 + 0.6 * (number * 0.381966 % 1)
            number += 1
            spec = PruneSpec(model, DATA[model], round(share, 4), samples=32, device="cpu")
            store.submit(JobRequest(spec, DATA[model], limit=50))
        await asyncio.sleep(1.0)
    for run in store.live():
        store.cancel(run, run.owner)


async def _memory(server: Server, seen: Seen, began: float, until: float) -> None:
    while time.perf_counter() < until:
        seen.memory.append((time.perf_counter() - began, server.resident_bytes))
        await asyncio.sleep(10.0)


async def _load(server: Server, store: RunStore, args: argparse.Namespace) -> Seen:
    from playwright.async_api import async_playwright

    seen = Seen()
    server.start()
    async with async_playwright() as play:
        chromium = await play.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        pages = []
        for _ in range(args.sessions):
            context = await chromium.new_context(viewport={"width": 1366, "height": 768})
            page = await context.new_page()
            await page.goto(server.address)
            await page.wait_for_selector(VERDICT)
            await page.wait_for_selector(QUIET)
            pages.append(page)
        began = time.perf_counter()
        until = began + 60 * args.minutes
        await asyncio.gather(
            _jobs(store, args.jobs, seen, until),
            _memory(server, seen, began, until),
            *(_session(page, seen, began, until, args.pause) for page in pages),
        )
        await chromium.close()
    return seen


def summary(seen: Seen, minutes: float) -> dict[str, float]:
    """Return times of all changes and of each third, and memory over time."""
    found: dict[str, float] = {}
    third = 20 * minutes
    spans = {"all": (0.0, 3 * third)}
    spans |= {f"third {n + 1}": (n * third, (n + 1) * third) for n in range(3)}
    for name, (first, last) in spans.items():
        times = sorted(took for at, took in seen.changes if first <= at < last)
        if not times:
            continue
        found[f"{name}: changes"] = len(times)
        found[f"{name}: median, s"] = statistics.median(times)
        found[f"{name}: 95th percentile, s"] = times[int(0.95 * len(times))]
        found[f"{name}: worst, s"] = times[-1]
        held = [size / 1e6 for at, size in seen.memory if first <= at < last]
        if held:
            found[f"{name}: memory of the server, median, MB"] = statistics.median(held)
    found["memory of the server at first, MB"] = seen.memory[0][1] / 1e6
    found["memory of the server at the end, MB"] = seen.memory[-1][1] / 1e6
    found["runs finished"] = seen.runs
    found["errors"] = len(seen.errors)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Load the app, and print."""
    parser = argparse.ArgumentParser(description="Load the app from headless browsers.")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--pause", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "workspace"
        os.environ["OSSCAR_HOME"] = str(home)
        server, store = Server(home), RunStore(home)
        try:
            seen = asyncio.run(_load(server, store, args))
        finally:
            server.stop()
    found = summary(seen, args.minutes)
    if args.json:
        print(json.dumps({**found, "what went wrong": seen.errors}))
        return 0
    for name, value in found.items():
        print(f"{name:56s} {value:8.2f}")
    for error in dict.fromkeys(seen.errors):
        print(f"{seen.errors.count(error):4d} x {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
