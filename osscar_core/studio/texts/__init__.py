"""Every sentence that the app shows, in every language that it speaks.

The decision hidden here: the wording, and whose language counts. Pages name a key and give
the values. Each module of this package holds the sentences of one area, once a language,
with the same keys and placeholders.

A placeholder of a count may name what is counted, one and many: ``{count:run|runs}`` gives
"1 run" and "1,200 runs". Japanese has one form and writes ``{count:,}件``.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from osscar_core.notation import as_markdown
from osscar_core.studio.texts import (
    access,
    check,
    check_data,
    common,
    decide,
    explain,
    explore,
    formats,
    runs,
    settings,
)

LANGUAGES = {"en": "English", "ja": "日本語"}
"""The languages by the code that links carry, each in its own words."""

_AREAS = (common, explore, settings, explain, check, check_data, decide, formats, runs, access)
_SENTENCES: dict[str, dict[str, str]] = {
    "en": {key: text for area in _AREAS for key, text in area.ENGLISH.items()},
    "ja": {key: text for area in _AREAS for key, text in area.JAPANESE.items()},
}


class _Sentences(string.Formatter):
    """Fills placeholders, with the singular or plural of what is counted."""

    def format_field(self, value: Any, format_spec: str) -> str:
        one, bar, many = format_spec.partition("|")
        if not bar:
            return str(super().format_field(value, format_spec))
        return f"{value:,} {one if value == 1 else many}"


_FILLED = _Sentences()


def _english() -> str:
    return "en"


_source: Callable[[], str] = _english


def speak(source: Callable[[], str]) -> None:
    """Let ``source`` say, at every sentence, which language counts; it gives a code."""
    global _source
    _source = source


def language() -> str:
    """Return the code of the language that counts now."""
    code = _source()
    return code if code in LANGUAGES else "en"


def say(key: str, /, **values: object) -> str:
    """Return the sentence of that key with its placeholders filled in."""
    return _FILLED.vformat(_SENTENCES[language()][key], (), values)


def as_plain(text: str) -> str:
    """Return text from elsewhere, such as a path, so that Markdown shows it as it is."""
    return as_markdown(text)


def sentences(code: str) -> dict[str, str]:
    """Return all sentences of a language by their keys, for the check of completeness."""
    return dict(_SENTENCES[code])


def all_keys() -> frozenset[str]:
    """Return all keys, for the check that the app uses what there is."""
    return frozenset(_SENTENCES["en"])
