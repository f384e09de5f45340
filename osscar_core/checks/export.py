"""The items that changed, as a table for a spreadsheet.

The decision hidden here: a cell of such a table must never run as a formula. A text that
a spreadsheet would take for one gets an apostrophe in front; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import math

from osscar_core.checks.records import ABReport, Drift, Flip

# The last four are the wide forms, which some spreadsheets take for the same.
_STARTS_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
_FLIP = ("position", "name", "change", "truth", "dense", "pruned", "dense_share", "pruned_share")
_DRIFT = ("position", "name", "change", "tokens", "dense_loss", "pruned_loss", "beginning")


def changes_csv(report: ABReport) -> str:
    """Return the flips or the drifts of a report as CSV, one item a row.

    Attributes follow in columns of their own, named ``attribute: NAME``.
    """
    items: tuple[Flip | Drift, ...] = report.flips or report.drifts
    names = tuple(dict.fromkeys(name for item in items for name in item.attributes))
    own = _DRIFT if report.metric == "perplexity" else _FLIP
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow([*own, *(safe_cell(f"attribute: {name}") for name in names)])
    for item in items:
        known = (item.attributes.get(name, "") for name in names)
        writer.writerow([safe_cell(cell) for cell in (*_cells(item), *known)])
    return buffer.getvalue()


def safe_cell(value: str | float) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = str(value)
    if text.lstrip(" ").startswith(_STARTS_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _cells(item: Flip | Drift) -> tuple[str | float, ...]:
    change = "lost" if item.is_lost else "gained"
    first = (item.position, item.name, change)
    if isinstance(item, Flip):
        shares = (f"{item.dense_share:.6g}", f"{item.pruned_share:.6g}")
        return (*first, item.truth, item.dense, item.pruned, *shares)
    losses = (f"{item.dense:.6g}", f"{item.pruned:.6g}")
    return (*first, item.tokens, *losses, item.beginning)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
