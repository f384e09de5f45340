from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core.datasets import load_windows
from osscar_core.datasets.choosing import choose
from osscar_core.datasets.text import tokenizer_name
from osscar_core.errors import DataError, SpecError

SENTENCES = [f"Valve {n} holds. " for n in range(40)]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.txt"
    path.write_text("".join(SENTENCES), encoding="utf8")
    return path


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents.jsonl"
    rows = [*SENTENCES[:3], "", *SENTENCES[3:]]
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in rows), encoding="utf8")
    return path


def ids_of(tokenizer: Any, text: str, *, special: bool = False) -> list[int]:
    return list(tokenizer(text, add_special_tokens=special)["input_ids"])


def test_one_string_in_windows_without_overlap(plain: Path, tokenizer: Any) -> None:
    expected = torch.tensor(ids_of(tokenizer, "".join(SENTENCES)))
    windows = load_windows(f"text:{plain}", tokenizer, seqlen=50)
    count = len(expected) // 50
    assert len(expected) % 50  # a remainder is dropped
    assert windows.ids.dtype == torch.int64
    assert torch.equal(windows.ids, expected[: count * 50].view(count, 50))
    info = windows.info
    assert (info.kind, info.count, info.available, info.seqlen) == ("text", count, count, 50)
    assert info.spec == f"text:{plain}"
    assert info.notes == ("tokenised as one string",)
    little_endian = windows.ids.numpy().astype("<i8").tobytes()
    assert info.digest == hashlib.sha256(little_endian).hexdigest()


def test_special_tokens_stand_once_at_the_start(plain: Path, bos_tokenizer: Any) -> None:
    ids = load_windows(f"text:{plain}", bos_tokenizer, seqlen=50).ids
    assert ids[0, 0] == bos_tokenizer.bos_token_id
    assert (ids == bos_tokenizer.bos_token_id).sum() == 1


def test_files_are_joined_by_a_blank_line(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "b.txt").write_text("second", encoding="utf8")
    (tmp_path / "a.txt").write_text("first", encoding="utf8")
    ids = load_windows(f"text:{tmp_path}", tokenizer, seqlen=13).ids
    assert ids.tolist() == [ids_of(tokenizer, "first\n\nsecond")]


def test_documents_are_joined_by_the_end_token(documents: Path, bos_tokenizer: Any) -> None:
    expected = [bos_tokenizer.bos_token_id]
    for number, sentence in enumerate(SENTENCES):
        expected += [bos_tokenizer.eos_token_id] * (number > 0)
        expected += ids_of(bos_tokenizer, sentence)
    windows = load_windows(f"text:{documents}", bos_tokenizer, seqlen=len(expected))
    assert windows.ids.tolist() == [expected]
    assert "joined by the end-of-text token" in windows.info.notes[0]


def test_documents_without_an_end_token(documents: Path, tokenizer: Any) -> None:
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.eos_token = None
    expected = ids_of(bare, "\n\n".join(SENTENCES))
    windows = load_windows(f"text:{documents}", bare, seqlen=len(expected))
    assert windows.ids.tolist() == [expected]
    assert "joined by a blank line" in windows.info.notes[0]


def test_an_end_token_is_not_doubled(tmp_path: Path, tokenizer: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a</s>"}\n{"text": "b"}\n', encoding="utf8")
    ids = load_windows(f"text:{path}", tokenizer, seqlen=3).ids
    assert ids.tolist() == [[*ids_of(tokenizer, "a"), 2, *ids_of(tokenizer, "b")]]


def test_stopping_early_changes_nothing(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osscar_core.datasets.text._DOCUMENTS_AT_ONCE", 4)
    path = tmp_path / "long.jsonl"
    rows = [json.dumps({"text": t}) for t in SENTENCES]
    path.write_text("\n".join([*rows, "this line is damaged"]), encoding="utf8")
    few = load_windows(f"text:{path}", tokenizer, seqlen=30, samples=3)
    with pytest.raises(DataError, match="line 41"):
        load_windows(f"text:{path}", tokenizer, seqlen=30)
    path.write_text("\n".join(rows), encoding="utf8")
    full = load_windows(f"text:{path}", tokenizer, seqlen=30)
    assert torch.equal(few.ids, full.ids[:3])
    assert few.info.available is None
    assert full.info.available == len(full.ids)


def test_seed_zero_takes_the_first(plain: Path, tokenizer: Any) -> None:
    every = load_windows(f"text:{plain}", tokenizer, seqlen=20).ids
    assert torch.equal(
        load_windows(f"text:{plain}", tokenizer, seqlen=20, samples=4).ids, every[:4]
    )


def test_other_seeds_draw_without_replacement(plain: Path, tokenizer: Any) -> None:
    every = load_windows(f"text:{plain}", tokenizer, seqlen=20).ids
    drawn = load_windows(f"text:{plain}", tokenizer, seqlen=20, samples=8, seed=5).ids
    again = load_windows(f"text:{plain}", tokenizer, seqlen=20, samples=8, seed=5).ids
    other = load_windows(f"text:{plain}", tokenizer, seqlen=20, samples=8, seed=6).ids
    positions = [next(i for i, w in enumerate(every) if torch.equal(w, d)) for d in drawn]
    assert positions == sorted(set(positions))
    assert positions != list(range(8))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)


def test_choose() -> None:
    assert choose(5, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert choose(5, None, 9).tolist() == [0, 1, 2, 3, 4]
    assert choose(5, 9, 3).tolist() == [0, 1, 2, 3, 4]
    generator = torch.Generator().manual_seed(3)
    expected = sorted(torch.randperm(50, generator=generator)[:7].tolist())
    assert choose(50, 7, 3).tolist() == expected


def test_stride_makes_windows_overlap(plain: Path, tokenizer: Any) -> None:
    tokens = torch.tensor(ids_of(tokenizer, "".join(SENTENCES)))
    ids = load_windows(f"text:{plain}", tokenizer, seqlen=50, stride=20, samples=3).ids
    assert torch.equal(ids, torch.stack([tokens[s : s + 50] for s in (0, 20, 40)]))


@pytest.mark.parametrize("content", ["", " \n\n "])
def test_empty_text(tmp_path: Path, tokenizer: Any, content: str) -> None:
    for name, stored in (("a.txt", content), ("a.jsonl", json.dumps({"text": content}))):
        (tmp_path / name).write_text(stored, encoding="utf8")
        with pytest.raises(DataError, match="holds no text"):
            load_windows(f"text:{tmp_path / name}", tokenizer, seqlen=4)


def test_text_shorter_than_a_window(tmp_path: Path, tokenizer: Any) -> None:
    path = tmp_path / "short.txt"
    path.write_text("twelve chars", encoding="utf8")
    with pytest.raises(DataError) as caught:
        load_windows(f"text:{path}", tokenizer, seqlen=64)
    assert "has 12 tokens, fewer than one window of 64" in str(caught.value)
    assert "--seqlen 12" in str(caught.value)


def test_too_few_windows(plain: Path, tokenizer: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_windows(f"text:{plain}", tokenizer, seqlen=300, samples=64)
    assert "has 2 windows of 300 tokens, 64 were asked for" in str(caught.value)
    assert "--samples 2" in str(caught.value)
    most = load_windows(f"text:{plain}", tokenizer, seqlen=300, samples=64, exactly=False)
    assert most.info.count == 2


@pytest.mark.parametrize(
    "wrong",
    [{"seqlen": 1}, {"samples": 0}, {"seed": -1}, {"stride": 0}, {"stride": 51}],
)
def test_settings_are_checked(plain: Path, tokenizer: Any, wrong: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        load_windows(f"text:{plain}", tokenizer, **{"seqlen": 50, **wrong})


def test_what_a_text_model_cannot_use(plain: Path, tokenizer: Any) -> None:
    with pytest.raises(SpecError, match="is images, and the model reads text"):
        load_windows("images:x", tokenizer, seqlen=8)
    with pytest.raises(SpecError, match="without a tokenizer"):
        load_windows(f"text:{plain}", None, seqlen=8)


def test_tokenizer_name(tokenizer: Any) -> None:
    class Named:
        name_or_path = "some/model"

    assert tokenizer_name(Named()) == "some/model"
    assert tokenizer_name(tokenizer)


def test_real_text(shared_data: Path, tokenizer: Any) -> None:
    path = shared_data / "text" / "wikitext2" / "test.norm.txt"
    windows = load_windows(f"text:{path}", tokenizer, seqlen=1024)
    assert len(windows.ids) == path.stat().st_size // 1024  # one token per byte
    held = load_windows(f"text:{shared_data / 'text' / 'heldout.jsonl.xz'}", tokenizer, seqlen=1024)
    with_separators = 885_379 + 115
    assert len(held.ids) == with_separators // 1024
