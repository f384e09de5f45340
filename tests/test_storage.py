"""Where files go and how they are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from osscar_core.storage import workspace, write_atomically


def test_workspace_is_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OSSCAR_HOME", str(tmp_path))
    assert workspace() == tmp_path
    monkeypatch.delenv("OSSCAR_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert workspace() == tmp_path / ".local" / "share" / "osscar-studio"


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_atomically(file, "one")
    write_atomically(file, "zwei é")
    assert file.read_text(encoding="utf8") == "zwei é"
    assert list(tmp_path.iterdir()) == [file]


def test_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "broken \ud800")
    assert file.read_text(encoding="utf8") == "old"
    assert list(tmp_path.iterdir()) == [file]
