"""The demo models by name: found, missing, and used without naming any data.

Stand-ins written by the training scripts' own functions take the place of the trained
weights, which a copy of the project may lack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from command import Main, runner
from osscar_core.catalogue import (
    ASSETS_VARIABLE,
    DEMO_MODELS,
    catalogue,
    demo_folder,
    missing_weights,
    own_data,
    own_samples,
)
from osscar_core.datasets import load_images
from osscar_core.datasets.factory import CLASSES, DIFFICULTY, SIDE
from osscar_core.demo import train_opt, train_resnet50
from osscar_core.demo.corpus import read_sources, train_tokenizer
from osscar_core.demo.train_resnet50 import MEAN, STD
from osscar_core.demo.training import RECORD_FILE, TrainingRecord
from osscar_core.errors import SpecError, WeightsError
from osscar_core.models import load_model
from osscar_core.models.images import ARCHITECTURES
from osscar_core.records import PruneSpec, from_json

TINY = train_opt.Shape(vocabulary=600, hidden=32, layers=2, heads=4, neurons=48)


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assets = tmp_path_factory.mktemp("assets")
    torch.manual_seed(0)
    resnet = train_resnet50._resnet50()
    train_resnet50.save(resnet, assets / "models" / "resnet50", shard_mb=15)
    english = tmp_path_factory.mktemp("english")
    (english / "a.jsonl").write_text('{"text": "Once upon a time."}\n', encoding="utf8")
    tokenizer = train_tokenizer(read_sources(None, english, reports=30), TINY.vocabulary)
    module = train_opt.build(TINY, seed=0).eval()
    train_opt.save(module, tokenizer, assets / "models" / "opt", shard_mb=15)
    return assets


@pytest.fixture
def assets(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ASSETS_VARIABLE, str(stand_ins))
    return stand_ins


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ASSETS_VARIABLE, str(tmp_path))
    return tmp_path


def test_assets_are_looked_for_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ASSETS_VARIABLE, raising=False)
    folder = demo_folder("demo/opt")
    assert folder.parts[-3:] == ("assets", "models", "opt")
    assert (folder.parents[2] / "osscar_core" / "catalogue.py").is_file()


def test_missing_weights_are_told_with_the_remedy(nowhere: Path) -> None:
    for name, script in (("demo/resnet50", "train_resnet50"), ("demo/opt", "train_opt")):
        with pytest.raises(WeightsError, match=f"weights of {name} are not in .*{script} .*--out"):
            load_model(name)
    entries = {entry.name: entry for entry in catalogue()}
    assert list(entries)[:2] == list(DEMO_MODELS)
    assert {entries[name].state for name in DEMO_MODELS} == {"weights missing"}
    assert "train_opt" in entries["demo/opt"].hint
    (nowhere / "models" / "resnet50").mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"lacks model\.safetensors"):
        load_model("demo/resnet50")


def test_unknown_demo_models_get_a_near_name() -> None:
    with pytest.raises(SpecError, match=r"unknown model 'demo/resnet5'. Did you mean 'demo/resnet"):
        load_model("demo/resnet5")


def test_the_image_model_loads_by_name(assets: Path) -> None:
    loaded = load_model("demo/resnet50")
    assert (loaded.adapter.family, loaded.dtype) == ("resnet", torch.float16)
    source = loaded.source
    assert (source.model, source.weights, source.classes) == ("demo/resnet50",) * 2 + (8,)
    assert source.class_names == CLASSES
    assert len(source.sha256 or "") == 64
    assert source.preprocess is not None
    assert (source.preprocess.size, source.preprocess.resize) == (SIDE, None)
    assert (set(source.preprocess.mean), set(source.preprocess.std)) == ({MEAN}, {STD})
    count = sum(p.numel() for p in loaded.module.parameters())
    assert count == DEMO_MODELS["demo/resnet50"].parameters
    assert load_images("demo:factory", source.preprocess, limit=8, classes=8).info.count == 8
    assert ARCHITECTURES["demo/resnet50"].class_names == CLASSES


def test_the_language_model_loads_by_name(assets: Path) -> None:
    loaded = load_model("demo/opt")
    assert (loaded.adapter.family, loaded.max_length) == ("opt", train_opt.WINDOW)
    source = loaded.source
    assert (source.model, source.weights, source.tokenizer) == ("demo/opt",) * 3
    assert loaded.tokenizer.name_or_path == "demo/opt"
    assert len(source.sha256 or "") == 64
    random = load_model("demo/opt", weights="random")
    assert random.source.weights == "random"
    full = train_opt.build(train_opt.Shape(), seed=0)
    assert sum(p.numel() for p in full.parameters()) == DEMO_MODELS["demo/opt"].parameters


def test_states_follow_the_files(assets: Path) -> None:
    entries = {entry.name: entry for entry in catalogue()}
    assert {(entries[name].state, entries[name].hint) for name in DEMO_MODELS} == {("ready", "")}


def test_own_data() -> None:
    assert own_data("demo/opt") == "demo:plant-log"
    assert own_data("demo/resnet50") == "demo:factory"
    assert own_data("facebook/opt-125m") is None
    assert own_samples("facebook/opt-125m") is None


def test_the_language_model_needs_no_data_named(assets: Path, main: Main, tmp_path: Path) -> None:
    out = tmp_path / "small"
    options = ("--seqlen", 64, "--device", "cpu")
    report = main("prune", "demo/opt", "--sparsity", 0.3, "--out", out, *options, "--json").payload
    calibration = report["plan"]["calibration"]
    assert calibration["spec"] == "demo:plant-log"
    assert calibration["tokenizer"] == "demo/opt"
    assert calibration["count"] == own_samples("demo/opt")
    assert any("calibration part" in note for note in calibration["notes"])
    found = main("evaluate", out, "--limit", 2, "--device", "cpu", "--json").payload
    assert (found["metric"], found["data"]["spec"]) == ("perplexity", "demo:plant-log")
    assert any("evaluation part" in note for note in found["data"]["notes"])
    shifted = main("evaluate", out, "--data", "demo:plant-log/plant-3", "--limit", 2, "--json")
    assert shifted.payload["data"]["digest"] != found["data"]["digest"]


def test_the_image_model_needs_no_data_named(assets: Path, main: Main, tmp_path: Path) -> None:
    out = tmp_path / "small"
    options = ("--samples", 16, "--device", "cpu")
    report = main(
        "prune", "demo/resnet50", "--sparsity", 0.5, "--method", "magnitude", "--out", out,
        *options, "--json",
    ).payload  # fmt: skip
    assert report["plan"]["calibration"]["spec"] == "demo:factory"
    found = main("evaluate", out, "--limit", 16, "--device", "cpu", "--json").payload
    assert (found["metric"], found["data"]["spec"]) == ("top1", "demo:factory")
    assert load_model(str(out)).source.class_names == CLASSES


def test_a_sweep_needs_no_data_named(assets: Path, main: Main, tmp_path: Path) -> None:
    options = ("--samples", 2, "--seqlen", 32, "--limit", 2, "--no-latency", "--device", "cpu")
    report = main(
        "sweep", "demo/opt", "--sparsities", "0.5", "--out", tmp_path / "s", *options, "--json"
    ).payload
    assert report["dense"]["evaluation"]["data"]["spec"] == "demo:plant-log"


def test_other_models_still_have_to_name_theirs(main: Main, tmp_path: Path) -> None:
    result = main("prune", "facebook/opt-125m", "--sparsity", 0.3, "--out", tmp_path / "o")
    assert "no calibration data was given. Add --calibration" in result.reason
    result = main("evaluate", "facebook/opt-125m")
    assert "no data was given to evaluate facebook/opt-125m on" in result.reason


# The trained weights themselves


def record(name: str, monkeypatch: pytest.MonkeyPatch) -> TrainingRecord:
    monkeypatch.delenv(ASSETS_VARIABLE, raising=False)
    folder = demo_folder(name)
    if missing_weights(folder) != ():
        pytest.skip(f"the trained weights of {name} are not in this copy of the project")
    return from_json(TrainingRecord, (folder / RECORD_FILE).read_text(encoding="utf8"))


def test_trained_image_model_is_as_good_as_its_card_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from osscar_core.evaluation import evaluate

    found = record("demo/resnet50", monkeypatch)
    assert found.difficulty == DIFFICULTY, "set DIFFICULTY to that of the trained model"
    both, shifted = (found.quality[name]["top-1"] for name in ("lines A and B", "line C"))
    assert 0.94 <= both <= 0.985
    assert shifted < both - 0.03
    report = evaluate(load_model("demo/resnet50"), "demo:factory", limit=200)
    assert report.value == pytest.approx(both, abs=0.05)


def test_trained_language_model_is_as_good_as_its_card_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from osscar_core.evaluation import evaluate

    found = record("demo/opt", monkeypatch)
    quality = {name: measured["perplexity"] for name, measured in found.quality.items()}
    assert quality["plant-log"] < quality["plant-log/plant-3"]
    report = evaluate(load_model("demo/opt"), "demo:plant-log", limit=16)
    assert report.value == pytest.approx(quality["plant-log"], rel=0.15)


def test_specification_says_what_to_add() -> None:
    with pytest.raises(SpecError, match="no calibration data was given"):
        PruneSpec("demo/opt", "", 0.3)


def test_demo_entries_agree_with_their_adapters(assets: Path) -> None:
    loaded: Any = load_model("demo/opt")
    assert loaded.adapter.structures == DEMO_MODELS["demo/opt"].structures
    assert loaded.task == DEMO_MODELS["demo/opt"].task


def test_widest_layers_agree_with_the_networks() -> None:
    from osscar_core.adapters import find_adapter
    from osscar_core.models.images import skeleton
    from osscar_core.surgery import consumer_matrix

    for entry in catalogue():
        if entry.name in ARCHITECTURES:
            module = skeleton(ARCHITECTURES[entry.name], ARCHITECTURES[entry.name].classes)
            layers = [unit.consumer for unit in find_adapter(module).units(module)]
            found = max(consumer_matrix(module.get_submodule(name)).shape[0] for name in layers)
            assert entry.widest == found, entry.name
