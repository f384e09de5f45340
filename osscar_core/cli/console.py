"""How the command line talks: numbers in words, tables, and progress.

The decision hidden here: the layout of everything a person reads in a terminal.
Results go to standard output, progress to standard error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from osscar_core.progress import ProgressEvent

if TYPE_CHECKING:
    from tqdm import tqdm

PLAIN_INTERVAL = 5.0
"""Seconds between two progress lines where no bar can be drawn."""


class ProgressDisplay:
    """Shows progress events: a bar on a terminal, a line now and then elsewhere.

    Args:
        stream: Where to draw, usually standard error.
        clock: Seconds that only grow; replaced in tests.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._draws_bars = stream.isatty()
        self._bar: tqdm[Any] | None = None
        self._stage = ""
        self._last_line = clock()

    def __call__(self, event: ProgressEvent) -> None:
        """Show one event."""
        if self._draws_bars:
            self._draw(event)
        elif self._clock() - self._last_line >= PLAIN_INTERVAL:
            self._last_line = self._clock()
            share = event.done / event.total if event.total else 1.0
            self._stream.write(f"{event.stage} {share:.0%} {event.detail}".rstrip() + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Remove the bar, so that what is written next starts on a clean line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, event: ProgressEvent) -> None:
        from tqdm import tqdm

        if self._bar is None or event.stage != self._stage:
            self.close()
            self._stage = event.stage
            self._bar = tqdm(
                total=event.total,
                desc=event.stage,
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
            )
        self._bar.total = event.total
        self._bar.set_postfix_str(event.detail, refresh=False)
        self._bar.update(event.done - self._bar.n)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text: first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join((first, *rest)).rstrip()

    return "\n".join(line(row) for row in (header, *rows))


def list_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words as text: every column to the left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


def scaled(value: float, unit: str = "") -> str:
    """Return a quantity with three significant digits and a decimal prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * factor:
            return f"{_three_digits(value / factor)} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def change(dense: float, pruned: float) -> str:
    """Return the relative change from dense to pruned as a signed percentage."""
    return f"{pruned / dense - 1:+.1%}" if dense else "-"


def json_ready(value: Any) -> Any:
    """Return plain values without NaN and infinities, which JSON cannot say: they become null."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _three_digits(value: float) -> str:
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"
