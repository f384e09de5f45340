"""How a test behaves like a process that has not opened any store yet."""

from __future__ import annotations

from osscar_core.studio import database


def forget() -> None:
    """Let go of all connections, and of what is known of any database."""
    for engine in database._engines.values():
        engine.dispose()
    database._engines.clear()
    database._prepared.clear()
