"""The training of the benchmarks' language model, at toy size."""

from __future__ import annotations

import dataclasses
import json
import lzma
from pathlib import Path

import pytest
import torch

from benchmarks.opt_prototype import PROTOTYPE, main
from osscar_core.datasets.plant_log import document
from osscar_core.demo.train_opt import WINDOW, Shape, build
from osscar_core.demo.training import TrainingRecord
from osscar_core.models import load_model
from osscar_core.records import from_json

TINY = dataclasses.replace(
    PROTOTYPE, shape=Shape(vocabulary=400, hidden=32, layers=2, heads=4, neurons=48)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    for shard in range(2):
        with lzma.open(folder / f"train-0{shard}.jsonl.xz", "wt", encoding="utf8") as file:
            for index in range(20):
                text = document("calibration", "plant-1", index, seed=shard + 5)
                file.write(json.dumps({"text": text, "source": "test"}) + "\n")
    return folder


def test_size() -> None:
    with torch.device("meta"):
        module = build(PROTOTYPE.shape, seed=0)
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(32e6, rel=0.02)


@pytest.mark.parametrize("is_measured", [True, False])
def test_the_script_trains_and_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_measured: bool
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "opt"
    options = ["--steps", "2", "--batch-size", "2", "--shard-mb", "0.05", "--eval-windows", "2"]
    if is_measured:
        options += ["--heldout", str(folder / "train-00.jsonl.xz")]
    main(["train", "--data", str(folder), "--out", str(out), *options], TINY)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(last["quality"]) == ({"English, held out"} if is_measured else set())
    record = from_json(TrainingRecord, (out / "training.json").read_text())
    assert (record.model, list(record.data)) == ("opt-prototype", ["english"])
    assert "40 documents" in record.data["english"]
    assert "100% of the training" in record.data["english"]
    card = (out / "README.md").read_text()
    assert "plant" not in card.split("## What it writes")[0]
    assert ("| English, held out |" in card) == is_measured
    loaded = load_model(str(out))
    assert (loaded.adapter.family, loaded.max_length) == ("opt", WINDOW)
    plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(out)("Found a leaking valve.", return_tensors="pt")
    with torch.inference_mode():
        theirs = plain(input_ids=ids["input_ids"]).logits
        assert torch.equal(loaded.module(ids["input_ids"]).logits, theirs)
