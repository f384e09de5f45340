"""A report to print or to pass on: one HTML file, two A4 pages and an appendix.

The decision hidden here: the file as a whole. It asks nothing of any server, runs no script,
and says so to the browser.
"""

from __future__ import annotations

from pathlib import Path

from osscar_core.errors import OutputError
from osscar_core.phrases import Words
from osscar_core.report.appendix import appendix
from osscar_core.report.content import MeasuredRun as MeasuredRun
from osscar_core.report.content import ReportContent as ReportContent
from osscar_core.report.content import record_id as record_id
from osscar_core.report.front import first_page, second_page
from osscar_core.report.markup import Safe, tag
from osscar_core.report.style import STYLE
from osscar_core.report.svg import shortened
from osscar_core.storage import write_atomically

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def report_html(content: ReportContent, language: str) -> str:
    """Return the report as the text of one HTML file.

    Args:
        content: What it shows.
        language: ``en`` or ``ja``.

    Raises:
        SpecError: The language is neither.
    """
    words = Words(language)
    model = shortened(content.run.prune.plan.spec.model, 60)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Safe(_POLICY)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", words.say("report.title", model=model)),
        tag("style", Safe(STYLE)),
    )
    body = tag(
        "body",
        tag(
            "main",
            first_page(content, words),
            second_page(content, words),
            appendix(content, words),
        ),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang=language)}\n"


def write_report(content: ReportContent, language: str, out: Path) -> Path:
    """Write the report; return its file.

    Raises:
        SpecError: The language is unknown.
        OutputError: The file cannot be written.
    """
    text = report_html(content, language)
    try:
        write_atomically(out, text)
    except OSError as error:
        raise OutputError(
            f"cannot write {out} ({error.strerror})", "Name a file in a folder that exists"
        ) from error
    return out
