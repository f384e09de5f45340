"""How quick is the app? Start, first paint, slider to new numbers, five sessions, memory.

    python -m benchmarks.studio [--changes 20] [--sessions 5] [--json]

Everything is seen from a headless Chromium on the same machine, whose own drawing is part of
every time. First paint is from the request until the verdict is on screen, the figure is drawn
and the script has ended. A change is one press of an arrow key on the slider until the
verdict's words are others and the script has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browser.harness import ARGUMENTS, QUIET, Server, chromium_path

VERDICT = ".st-key-verdict"
FIGURE = ".js-plotly-plot .scatterlayer .trace"


async def _paint(page: Any, address: str) -> tuple[float, float, float]:
    began = time.perf_counter()
    await page.goto(address, wait_until="commit")
    await page.wait_for_selector(VERDICT)
    said = time.perf_counter() - began
    await page.wait_for_selector(FIGURE, state="attached")
    await page.wait_for_selector(QUIET)
    whole = time.perf_counter() - began
    first = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
    )
    return first / 1e3, said, whole


async def changed(page: Any, key: str) -> float:
    """Press a key on the slider; return the seconds until all that follows is there."""
    slider, verdict = page.get_by_role("slider").first, page.locator(VERDICT).first
    await slider.focus()
    before = await verdict.inner_text()
    began = time.perf_counter()
    await slider.press(key)
    await page.wait_for_function(
        "([mark, words]) => document.querySelector(mark).innerText !== words",
        arg=[VERDICT, before],
    )
    await page.wait_for_selector(QUIET)
    return time.perf_counter() - began


async def _changes(page: Any, start: float, count: int, pause: float = 0.0) -> list[float]:
    await asyncio.sleep(start)
    times = []
    for index in range(count):
        spent = await changed(page, "ArrowRight" if index < count / 2 else "ArrowLeft")
        times.append(spent)
        await asyncio.sleep(max(0.0, pause - spent))
    return times


async def _measure(server: Server, changes: int, sessions: int) -> dict[str, float]:
    from playwright.async_api import async_playwright

    found: dict[str, float] = {"server ready, s": server.start()}
    async with async_playwright() as play:
        chromium = await play.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)

        async def fresh() -> Any:
            context = await chromium.new_context(viewport={"width": 1366, "height": 768})
            return await context.new_page()

        marks = ("first contentful paint", "verdict on screen", "all drawn")
        cold = await _paint(await fresh(), server.address)
        found |= {f"cold server: {m}, s": value for m, value in zip(marks, cold, strict=True)}
        paints = [await _paint(await fresh(), server.address) for _ in range(5)]
        for mark, values in zip(marks, zip(*paints, strict=True), strict=True):
            found[f"warm server: {mark}, median of 5, s"] = statistics.median(values)
            found[f"warm server: {mark}, worst of 5, s"] = max(values)
        found["memory after first paints, MB"] = server.resident_bytes / 1e6
        page = await fresh()
        await _paint(page, server.address)
        alone = await _changes(page, 0.0, changes)
        found["slider to new numbers, median, s"] = statistics.median(alone)
        found["slider to new numbers, worst, s"] = max(alone)
        pages = [await fresh() for _ in range(sessions)]
        for one in pages:
            await _paint(one, server.address)
        for pause, words in ((0.0, "without a pause"), (2.0, "one change in 2 s")):
            # People do not start at the same moment.
            starts = [pause * number / sessions for number in range(sessions)]
            own = await asyncio.gather(
                *(
                    _changes(*each, pause)
                    for each in zip(pages, starts, [changes] * sessions, strict=True)
                )
            )
            times = sorted(itertools.chain.from_iterable(own))
            name = f"{sessions} sessions {words}"
            found[f"{name}, median, s"] = statistics.median(times)
            found[f"{name}, 95th percentile, s"] = times[int(0.95 * len(times))]
            found[f"{name}, worst, s"] = times[-1]
        found[f"memory after {sessions} sessions, MB"] = server.resident_bytes / 1e6
        await chromium.close()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time the app in a headless Chromium.")
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "workspace")
        try:
            found = asyncio.run(_measure(server, args.changes, args.sessions))
        finally:
            server.stop()
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:56s} {value:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
