"""What a person reads when something is wrong.

The decision hidden here: the shape of bad news (what happened, what stays safe, what to do,
a mark to report) and what of an error may be shown: no traceback, no folder, no secret.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import Literal

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.studio.identity import owner
from osscar_core.studio.texts import say
from osscar_core.studio.told import told

logger = logging.getLogger(__name__)


def card(
    what: str,
    *,
    safe: str = "",
    todo: str = "",
    mark: str = "",
    kind: Literal["error", "warning"] = "error",
) -> None:
    """Show bad news in the order in which it matters; all texts are Markdown.

    Args:
        what: What happened, in one sentence.
        safe: What it did not touch.
        todo: What the person can do about it.
        mark: Under what the server's log has the details.
        kind: Whether something broke, or only did not come about.
    """
    lines = [safe, todo, say("error.mark", mark=mark) if mark else ""]
    show = st.error if kind == "error" else st.warning
    show(
        "  \n".join(line for line in lines if line) or what,
        title=what if any(lines) else None,
        icon=f":material/{kind}:",
    )


def failure(error: Exception) -> None:
    """Show a card for what a page did not foresee, and keep the details in the log."""
    mark = secrets.token_hex(4)
    logger.error(
        "page failed, mark %s", mark, exc_info=error, extra={"error_id": mark, "owner": _whose()}
    )
    if isinstance(error, OsscarError):
        problem, remedy = told(error.problem, error.remedy)
        card(say("error.told"), safe=problem, todo=remedy, mark=mark)
    else:
        card(say("error.title"), safe=say("error.safe"), todo=say("error.todo"), mark=mark)


def _whose() -> str:
    """Return whose session this is, if that can be told."""
    with contextlib.suppress(OsscarError):
        return owner()
    return ""
