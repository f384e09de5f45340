"""Messages from elsewhere: in the reader's language where they are known, without folders."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from osscar_core.errors import OsscarError
from osscar_core.studio import database, texts, worker
from osscar_core.studio.database import Database, unwritable
from osscar_core.studio.told import told
from reopening import forget


@pytest.fixture
def japanese() -> Iterator[None]:
    before = texts._source
    texts.speak(lambda: "ja")
    yield
    texts.speak(before)


def is_japanese(text: str) -> bool:
    return "。" in text and "英語" not in text


@pytest.mark.usefixtures("japanese")
@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOSPC, "No space left on device"), ValueError("secret")],
)
def test_what_stops_a_worker_is_told_in_the_reader_s_language(error: Exception) -> None:
    problem, remedy = told(*worker._unexpected(error))
    assert is_japanese(problem)
    assert is_japanese(remedy)
    assert "secret" not in problem + remedy


@pytest.mark.usefixtures("japanese")
def test_a_workspace_that_cannot_be_used_is_told_in_the_reader_s_language(tmp_path) -> None:
    (tmp_path / "studio.db").write_bytes(b"no database at all, and long enough to tell" * 30)
    with pytest.raises(OsscarError) as damaged, Database(tmp_path).read():
        pass
    full = unwritable(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "runs")))
    barred = unwritable(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "runs")))
    for error, word in ((damaged.value, "破損"), (full, "空き"), (barred, "書き込め")):
        problem, remedy = told(error.problem, error.remedy)
        assert is_japanese(problem)
        assert is_japanese(remedy)
        assert word in problem
        assert str(tmp_path) not in problem + remedy


@pytest.mark.usefixtures("japanese")
def test_what_a_keeper_has_to_mend_is_told_in_the_reader_s_language(
    still, ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.submit(ask())
    monkeypatch.setenv("OSSCAR_QUOTA", "0")
    with pytest.raises(OsscarError) as full:
        still.submit(ask("other"))
    monkeypatch.setattr(database, "SCHEMA", database.SCHEMA - 1)
    forget()
    with pytest.raises(OsscarError) as newer:
        still.runs()
    monkeypatch.setattr(database, "SCHEMA", database.SCHEMA + 2)
    forget()
    with pytest.raises(OsscarError) as failed:
        still.runs()
    for error, word in ((full.value, "0.0 GB"), (newer.value, "新しい版"), (failed.value, "更新")):
        problem, remedy = told(error.problem, error.remedy)
        assert is_japanese(problem)
        assert is_japanese(remedy)
        assert word in problem
        assert "studio.db" not in problem + remedy


def test_what_is_not_known_keeps_its_words_but_not_its_folders() -> None:
    problem, remedy = told("the text '/home/me/data/a.txt' is too short", "Name a longer one")
    assert problem == "The reason: the text '…/a.txt' is too short."
    assert remedy == "What to do: Name a longer one."


def test_the_kind_of_a_source_is_not_taken_for_a_drive() -> None:
    assert "'images\\:…/train'" in told("there is no 'images:/nowhere/train'", "Name another")[0]
    assert "'…/train'" in told(r"there is no 'C:\data\train'", "Name another")[0]
