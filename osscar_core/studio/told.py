"""Messages of the library and of workers, as they are shown to a person.

The decision hidden here: which messages are told in the reader's language, how the others are
marked as English, and that none shows a folder of this machine.
"""

from __future__ import annotations

import re

from osscar_core.studio.texts import as_plain, say

_FOLDERS = re.compile(r"(?:~|(?<![A-Za-z])[A-Za-z]:)?[/\\](?:[^/\\\s'\"]+[/\\])+")

_KNOWN = {
    "memory": re.compile(r"memory ran out.*"),
    "disk": re.compile(r".*\bdisk is full"),
    "unexpected": re.compile(r"an unexpected (?P<name>\w+) stopped the run"),
    "unbegun": re.compile(r"the worker ended before it began"),
    "damaged": re.compile(r"the database of runs .* is damaged"),
    "unwritable": re.compile(r".* cannot be written(?: to| \(.*\))"),
    "busy": re.compile(r"the database of runs .* was busy for too long"),
    "queue": re.compile(r"(?P<count>\d+) runs are waiting, and that is as many as may"),
    "quota": re.compile(r"the runs here take (?P<taken>\S+ GB), and (?P<most>\S+ GB) is .*"),
    "newer": re.compile(r".* was written by a newer release \(.*\)"),
    "upgrade": re.compile(r".* could not be brought from schema \d+ to \d+ \(.*\)"),
    "login": re.compile(r"a login is configured, and what it needs is not installed: .*"),
    "nobody": re.compile(r"nobody is logged in any more"),
    "others": re.compile(r"this run belongs to somebody else"),
    "outside": re.compile(r"files may be named only below the folders .*"),
    "shown": re.compile(r"this server only shows, .*"),
    "viewer": re.compile(r"your role here is viewer, .*"),
    "gone": re.compile(r"there is no run .* here"),
}
"""What the app itself can run into, by the key of its sentences."""


def told(problem: str, remedy: str) -> tuple[str, str]:
    """Return what went wrong and what to do about it as sentences in Markdown.

    Args:
        problem: As an `OsscarError` has it.
        remedy: Likewise.
    """
    for key, pattern in _KNOWN.items():
        if found := pattern.fullmatch(problem):
            return say(f"told.{key}", **found.groupdict()), say(f"told.{key}.todo")
    return (
        say("error.told.problem", problem=_shown(problem)),
        say("error.told.remedy", remedy=_shown(remedy)),
    )


def _shown(text: str) -> str:
    """Return a message without the folders of this machine."""
    return as_plain(_FOLDERS.sub("…/", text))
