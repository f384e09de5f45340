"""Starting the app: what was waiting when it stopped goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from osscar_core.studio import serve
from osscar_core.studio.jobs import RunStore


def test_a_start_takes_up_what_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_up = []
    monkeypatch.setattr(RunStore, "ensure_dispatched", lambda store: taken_up.append(store.home))
    serve._take_up_runs()
    assert taken_up == [home]


def test_a_workspace_that_cannot_be_used_does_not_keep_the_app_from_starting(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.mkdir()
    (home / "studio.db").write_bytes(b"nothing of the kind" * 100)
    serve._take_up_runs()
    assert "is damaged" in caplog.text
