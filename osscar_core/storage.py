"""Where the tool keeps what it writes on its own account, and how it replaces a file.

The decision hidden here: the workspace folder and what makes a write safe to interrupt.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def workspace() -> Path:
    """Return the folder that keeps the runs: ``$OSSCAR_HOME`` or one below the user's home."""
    given = os.environ.get("OSSCAR_HOME")
    return Path(given) if given else Path.home() / ".local" / "share" / "osscar-studio"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
