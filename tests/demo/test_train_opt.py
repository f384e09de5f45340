"""The training of the demo's language model, at toy size."""

from __future__ import annotations

import dataclasses
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core.datasets.plant_log import document
from osscar_core.demo.corpus import (
    WEIGHTS,
    Source,
    encode,
    read_sources,
    shares,
    train_tokenizer,
)
from osscar_core.demo.train_opt import (
    DEMO,
    WINDOW,
    Recipe,
    Shape,
    build,
    main,
    save,
    train,
)
from osscar_core.demo.training import Pace, TrainingRecord
from osscar_core.errors import DataError
from osscar_core.models import load_model
from osscar_core.records import from_json

TINY = Shape(vocabulary=600, hidden=32, layers=2, heads=4, neurons=48)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """English, as far as this needs any: reports of plants under another seed."""
    folder = tmp_path_factory.mktemp("english")
    for shard in range(2):
        with lzma.open(folder / f"train-{shard}.jsonl.xz", "wt", encoding="utf8") as file:
            for index in range(30):
                text = document("calibration", "plant-1", index, seed=shard + 5)
                file.write(json.dumps({"text": text, "source": "test"}) + "\n")
    return folder


@pytest.fixture(scope="module")
def sources(folder: Path) -> tuple[Source, ...]:
    return read_sources(None, folder, reports=40)


@pytest.fixture(scope="module")
def tokenizer(sources: tuple[Source, ...]) -> Any:
    return train_tokenizer(sources, TINY.vocabulary)


def test_sources_are_training_parts_only(sources: tuple[Source, ...]) -> None:
    english, reports, manual = sources
    assert [source.name for source in sources] == ["english", "plant-log", "python-docs"]
    assert len(english.documents) == 60
    assert len(reports.documents) == 80
    assert manual.characters > 200_000
    held_out = {document("evaluation", f"plant-{n}", i) for n in (1, 2, 3) for i in range(60)}
    assert not held_out & set(reports.documents)


def test_fewer_sources_share_what_there_is(folder: Path) -> None:
    assert shares(WEIGHTS) == pytest.approx(WEIGHTS)
    assert shares(["plant-log", "english"]) == pytest.approx(
        {"plant-log": 0.21 / 0.98, "english": 0.77 / 0.98}
    )
    (english,) = read_sources(None, folder, reports=5, names=("english",))
    assert (english.name, len(english.documents)) == ("english", 60)
    assert shares(["english"]) == {"english": 1.0}


def test_a_folder_without_documents_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.jsonl.*Name a folder of documents"):
        read_sources(None, tmp_path, reports=1)


def test_tokenizer_returns_what_it_read(tokenizer: Any) -> None:
    text = "At 07:42 we read 108.5 °C — \t strange, isn't it?\n\nÅse 東京"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert len(tokenizer) == TINY.vocabulary
    assert [tokenizer.pad_token_id, tokenizer.eos_token_id] == [0, 1]
    digits = tokenizer.tokenize("2024")
    assert digits == list("2024")
    stream = encode(tokenizer, [text, "ice"])
    assert stream.dtype == torch.int32
    assert stream.tolist() == [*ids, 1, *tokenizer("ice")["input_ids"], 1]


def test_loss_falls(tokenizer: Any, sources: tuple[Source, ...]) -> None:
    streams = {source.name: encode(tokenizer, source.documents) for source in sources[:2]}
    recipe = Recipe(minutes=10, steps=12, batch=2, rate=1e-2)
    early = train(streams, TINY, Recipe(minutes=10, steps=2, batch=2, rate=1e-2), CPU)[1]
    module, losses, steps = train(streams, TINY, recipe, CPU)
    assert steps == 12
    assert losses[-1] < early[-1] - 0.3
    assert not module.training
    _, _, stopped = train(streams, TINY, Recipe(minutes=1e-9, steps=50, batch=4), CPU)
    assert stopped <= 1


def test_saved_model_loads_as_any_other(tmp_path: Path, tokenizer: Any) -> None:
    module = build(TINY, seed=3).eval()
    save(module, tokenizer, tmp_path, shard_mb=0.04)
    shards = list(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    size = sum(shard.stat().st_size for shard in shards)
    assert size < 2.3 * sum(p.numel() for p in module.parameters())  # the embedding once
    loaded = load_model(str(tmp_path))
    assert loaded.dtype == torch.float16
    assert loaded.max_length == WINDOW
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.inference_mode():
        assert torch.equal(loaded.module(ids).logits, module(ids).logits)
    text = "Found a leaking check valve.\nFix: replaced."
    assert loaded.tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.tokenizer.decode(loaded.tokenizer(text)["input_ids"]) == text
    assert loaded.tokenizer.eos_token_id == 1


def test_rate_follows_steps_or_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("osscar_core.demo.training.time.perf_counter", lambda: now[0])
    pace = Pace(100, 50, peak=2.0)
    assert pace.rate(pace.progress(0)) == 0
    assert pace.rate(0.04) == pytest.approx(2.0)
    assert pace.progress(10) == pytest.approx(0.1)
    now[0] = 25.0
    assert pace.progress(11) == pytest.approx(0.5)
    now[0] = 20.0
    assert pace.progress(12) == pytest.approx(0.5)
    now[0] = 51.0
    assert pace.progress(13) == 1
    assert pace.rate(1.0) == pytest.approx(0, abs=1e-12)
    assert 0 < pace.rate(0.9) < pace.rate(0.5) < pace.rate(0.1) < 2.0


def test_the_script_trains_and_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "opt"
    options = "--steps 3 --batch-size 2 --reports 30 --shard-mb 0.05 --eval-windows 2"
    heldout = folder / "train-0.jsonl.xz"
    main(
        ["--data", str(folder), "--heldout", str(heldout), "--out", str(out), *options.split()],
        dataclasses.replace(DEMO, shape=TINY),
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["done"] for line in lines if "done" in line] == [
        "reading", "tokenizer", "tokenising", "training", "evaluation",
    ]  # fmt: skip
    assert set(lines[-1]["quality"]) >= {"English, held out", "plant-log/plant-3", "python-docs"}
    record = from_json(TrainingRecord, (out / "training.json").read_text())
    assert record.recipe["steps"] == "3"
    assert len(record.samples) == 3
    card = (out / "README.md").read_text()
    for words in ("plant-log/plant-3", "CC BY-SA", "Apache-2.0", "## What it writes", "## Limits"):
        assert words in card
    assert load_model(str(out)).adapter.family == "opt"
