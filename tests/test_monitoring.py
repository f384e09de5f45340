"""The monitoring kit: what is exported, what alarms, and that torch is all it needs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from command import runner
from families import CLASSES, FAMILIES, IMAGE_SIZE
from osscar_core.errors import DataError, OutputError, SpecError
from osscar_core.models import LoadedModel
from osscar_core.monitoring import KitReport, export_kit
from osscar_core.monitoring.kit import monitor
from osscar_core.monitoring.kit.monitor import KitError, Observed
from osscar_core.monitoring.program import max_difference, write_program
from osscar_core.monitoring.thresholds import (
    Division,
    calibrate,
    measure_false_alarms,
    resampled,
    select,
)

ITEMS = 480
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Exported:
    """A kit with what it came from."""

    folder: Path
    report: KitReport
    model: LoadedModel
    data: str


def pictures(count: int, seed: int, brightness: int = 0) -> torch.Tensor:
    """Coloured noise, one hue a picture, uint8, (count, 3, S, S)."""
    rng = np.random.default_rng(seed)
    hue = rng.integers(40, 160, (count, 3, 1, 1))
    noise = rng.integers(0, 60, (count, 3, IMAGE_SIZE, IMAGE_SIZE))
    return torch.from_numpy((hue + noise + brightness).clip(0, 255).astype(np.uint8))


def picture_file(folder: Path, images: torch.Tensor) -> str:
    """Write pictures with labels, and return their specification."""
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, format="PNG")
        encoded.append(buffer.getvalue())
    labels = [index % CLASSES for index in range(len(images))]
    pq.write_table(pa.table({"image": encoded, "label": labels}), folder / "reference.parquet")
    return f"images:{folder / 'reference.parquet'}"


WORDS = ("pump", "valve", "leaks", "holds", "the", "a", "seal", "motor.")


def words(count: int, seed: int, known: tuple[str, ...] = WORDS) -> str:
    return " ".join(np.random.default_rng(seed).choice(known, size=count))


@pytest.fixture(scope="module")
def image_kit(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("image")
    model = FAMILIES["cifar-resnet20"]().loaded(folder)
    data = picture_file(folder, pictures(ITEMS, 0))
    out = folder / "kit"
    report = export_kit(model, data, out, dense=model, alarm_rate=0.02)
    return Exported(out, report, model, data)


@pytest.fixture(scope="module")
def text_kit(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("text")
    model = FAMILIES["opt"]().loaded(folder)
    file = folder / "reference.txt"
    file.write_text(words(2500, 0), encoding="utf8")
    out = folder / "kit"
    report = export_kit(
        model, f"text:{file}", out, alarm_rate=0.02, seqlen=24, limit=ITEMS, language="ja"
    )
    return Exported(out, report, model, f"text:{file}")


def asked(kit: Exported, capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, dict]:
    code = monitor.main([*map(str, argv), "--json"], kit.folder)
    return code, json.loads(capsys.readouterr().out)


def saved(folder: Path, batch: object) -> Path:
    torch.save(batch, folder / "batch.pt")
    return folder / "batch.pt"


# --- What is exported ---------------------------------------------------------------------


def test_a_kit_is_what_it_says(image_kit: Exported) -> None:
    report, folder = image_kit.report, image_kit.folder
    names = {file.name for file in report.files}
    assert names == {
        "README.md",
        "baseline.json",
        "baseline.pt",
        "dense.pt2",
        "example.pt",
        "model.pt2",
        "monitor.py",
    }
    assert {path.name for path in folder.iterdir()} == {*names, "manifest.json"}
    assert report.manifest_sha256 == monitor.sha256(folder / "manifest.json")
    assert (folder / "monitor.py").read_text() == Path(monitor.__file__).read_text()
    assert report.max_difference < 1e-5
    assert report.agreement == 1
    assert (report.baseline_items, report.threshold_items, report.held_out_items) == (240, 360, 120)
    assert report.sizes == (16, 32, 64, 120)
    assert all(
        one > two for one, two in zip(report.thresholds, report.thresholds[1:], strict=False)
    )
    record = json.loads((folder / "baseline.json").read_text("utf8"))
    assert record["thresholds"] == list(report.thresholds)
    assert record["tests"] == ["distance", "confidence", "class mix"]
    assert sum(record["class_mix"].values()) == pytest.approx(1)


def test_the_readme_states_what_was_measured(image_kit: Exported, text_kit: Exported) -> None:
    both = (image_kit.folder / "README.md").read_text("utf8")
    one = image_kit.report.false_alarms[0]
    assert f"batches of 16: measured {one.rate:.1%} over 500 resamples" in both
    assert f"16 件のバッチ：500 回の再抽出で実測 {one.rate:.1%}" in both
    japanese = (text_kit.folder / "README.md").read_text("utf8")
    assert japanese.startswith("# ")
    assert "監視キット" in japanese.splitlines()[0]
    assert "What an alarm means" not in japanese
    assert "--dense MODEL" in japanese


def test_the_program_gives_the_models_outputs(image_kit: Exported) -> None:
    program = torch.export.load(image_kit.folder / "model.pt2").module()
    settings = json.loads((image_kit.folder / "baseline.json").read_text("utf8"))["input"]
    pixels = monitor.prepare_images(pictures(7, 3), settings)
    logits, features = program(pixels)
    module = image_kit.model.module
    torch.testing.assert_close(logits, module(pixels))
    torch.testing.assert_close(module.linear(features), logits)


def test_features_of_text_are_the_mean_last_hidden_state(text_kit: Exported) -> None:
    program = torch.export.load(text_kit.folder / "model.pt2").module()
    ids = torch.load(text_kit.folder / "example.pt", weights_only=True)
    logits, features = program(ids[:4])
    out = text_kit.model.module(input_ids=ids[:4], output_hidden_states=True)
    torch.testing.assert_close(logits, out.logits)
    torch.testing.assert_close(features, out.hidden_states[-1].mean(1))


def test_a_program_that_differs_is_noticed() -> None:
    items = torch.randn(5, 3)
    same = max_difference(lambda x: (x, x), lambda x: (x, x.clone()), items)
    apart = max_difference(lambda x: (x, x), lambda x: (x, x * 1.01), items)
    nowhere = max_difference(lambda x: (x, x), lambda x: (x, x * float("nan")), items)
    assert same == 0
    assert apart == pytest.approx(0.01, rel=1e-3)
    assert nowhere == float("inf")


def test_a_model_that_cannot_be_traced_is_refused(image_kit: Exported, tmp_path: Path) -> None:
    class Moody(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled = x.mean((2, 3))
            return self.linear(pooled if float(x.sum()) > 0 else -pooled)

    loaded = LoadedModel(Moody(), image_kit.model.adapter, image_kit.model.source, torch.float32)
    with pytest.raises(OutputError, match=r"torch\.export cannot follow"):
        write_program(loaded, torch.randn(5, 3, 4, 4), tmp_path / "model.pt2")


# --- Alarms ---------------------------------------------------------------------------------


def test_same_pictures_raise_no_alarm(
    image_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = asked(image_kit, capsys, "score", saved(tmp_path, pictures(50, 11)))
    assert code == monitor.OK
    assert not found["alarm"]
    assert found["p_value"] > 0.02
    assert found["distance"] < found["threshold"]
    limits = image_kit.report.thresholds
    assert limits[2] < found["threshold"] < limits[1]  # 50 lies between 32 and 64


def test_brighter_pictures_do(
    image_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, list(pictures(50, 11, brightness=60)))
    code, found = asked(image_kit, capsys, "score", file, "--no-history")
    assert code == monitor.ALARM
    assert found["alarm"]
    assert found["tests"][0]["alarm"]
    assert found["distance"] > 3 * found["threshold"]


def test_other_words_raise_an_alarm(
    text_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same, other = tmp_path / "same.txt", tmp_path / "other.jsonl"
    same.write_text(words(300, 5), encoding="utf8")
    lines = [words(20, seed, ("Ofen", "Ventil", "dicht", "nicht")) for seed in range(20)]
    other.write_text("\n".join(json.dumps({"text": line}) for line in lines), encoding="utf8")
    code, found = asked(text_kit, capsys, "score", same, "--no-history")
    assert (code, found["alarm"]) == (monitor.OK, False)
    code, found = asked(text_kit, capsys, "score", other, "--no-history")
    assert (code, found["alarm"]) == (monitor.ALARM, True)


def test_a_large_batch_is_drawn_from(
    image_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, pictures(200, 12))
    _, found = asked(image_kit, capsys, "score", file, "--no-history")
    assert found["items"] == 120
    assert found["remarks"] == ["120 of 200 items were drawn: the largest calibrated batch"]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (pictures(9, 1), "9 items are too few"),
        (pictures(20, 1).float(), "raw uint8"),
        (torch.zeros(20, 4), r"\(20, 4\)"),
        ({"a": torch.zeros(1)}, "dict"),
        ([], "empty"),
    ],
)
def test_bad_batches_are_refused_in_words(
    image_kit: Exported,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    batch: object,
    words: str,
) -> None:
    code = monitor.main(["score", str(saved(tmp_path, batch))], image_kit.folder)
    error = capsys.readouterr().err
    assert code == monitor.USER_ERROR
    assert len(error.splitlines()) == 1
    with pytest.raises(KitError, match=words):
        monitor.score(monitor.Kit(image_kit.folder), tmp_path / "batch.pt")


def test_code_in_a_batch_does_not_run(image_kit: Exported, tmp_path: Path) -> None:
    file = saved(tmp_path, Path)  # a class, which only an unsafe pickle can carry
    with pytest.raises(KitError, match="tensors only"):
        monitor.score(monitor.Kit(image_kit.folder), file)


def test_pictures_of_another_size_are_resized() -> None:
    settings = {"mean": [0.5] * 3, "std": [0.25] * 3, "size": 8, "resize": None}
    flat = torch.full((2, 3, 20, 12), 128, dtype=torch.uint8)
    found = monitor.prepare_images(flat, settings)
    assert found.shape == (2, 3, 8, 8)
    torch.testing.assert_close(found, torch.full_like(found, (128 / 255 - 0.5) / 0.25))
    cropped = flat.clone()
    cropped[:, :, :6] = 0  # above the centre
    found = monitor.prepare_images(cropped, {**settings, "resize": 12})
    assert found.shape == (2, 3, 8, 8)
    assert found.min() > 0


# --- Shadow, history, verify ------------------------------------------------------------------


def test_shadow_of_the_same_model_agrees(
    image_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, pictures(60, 4))
    code, found = asked(image_kit, capsys, "shadow", file, "--share", "0.5")
    assert code == monitor.OK
    assert (found["items"], found["of"], found["agreement"]) == (30, 60, 1)
    assert found["confidence_difference"] == 0
    assert found["agreement_interval"][0] == pytest.approx(30 / (30 + 2.5758**2), rel=1e-4)


def test_shadow_warns_where_they_agree_less(
    image_kit: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = monitor.Kit(image_kit.folder)
    observe = kit.observe

    def worse(name: str, items: torch.Tensor) -> Observed:
        seen = observe(name, items)
        moved = (seen.predicted + (name == "model.pt2")) % CLASSES
        return Observed(seen.features, moved, seen.confidence)

    monkeypatch.setattr(kit, "observe", worse)
    found = monitor.shadow(kit, saved(tmp_path, pictures(60, 4)), 0.5, 0)
    assert found["agreement"] == 0
    assert found["warning"]


def test_without_a_dense_model_there_is_no_shadow(
    text_kit: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    code = monitor.main(["shadow", str(text_kit.folder / "example.pt")], text_kit.folder)
    assert code == monitor.USER_ERROR
    assert "--dense MODEL" in capsys.readouterr().err


def test_scores_become_a_history(
    text_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (text_kit.folder / monitor.HISTORY).unlink(missing_ok=True)
    asked(text_kit, capsys, "score", text_kit.folder / "example.pt")
    far = tmp_path / "far.txt"
    far.write_text(words(300, 1, ("Ofen", "Ventil", "dicht")), encoding="utf8")
    asked(text_kit, capsys, "score", far)
    code, found = asked(text_kit, capsys, "history")
    assert code == monitor.OK
    assert [row["batch"] for row in found["scores"]] == ["example.pt", "far.txt"]
    assert [row["alarm"] for row in found["scores"]] == ["0", "1"]
    assert found["action"] == "re-check"
    assert monitor.verify(text_kit.folder)["ok"]  # the history is no file of the export


@pytest.mark.parametrize(
    ("p_values", "word"),
    [
        ([0.5], "no action"),
        ([0.5, 0.008], "watch"),
        ([0.008, 0.5], "no action"),
        ([0.04, 0.5, 0.03], "watch"),
        ([0.008, 0.5, 0.009], "re-check"),
        ([0.008, 0.009, 0.5], "re-check"),
        ([0.5, 0.001], "re-check"),
    ],
)
def test_the_printed_rule(p_values: list[float], word: str) -> None:
    assert monitor.action(p_values, [p <= 0.01 for p in p_values], 0.01) == word


def test_tampering_is_detected(
    image_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    kit = tmp_path / "kit"
    shutil.copytree(image_kit.folder, kit)
    assert monitor.main(["verify"], kit) == monitor.OK
    assert image_kit.report.manifest_sha256 in capsys.readouterr().out
    with (kit / "model.pt2").open("r+b") as file:
        file.seek(1000)
        file.write(b"x")
    (kit / "README.md").unlink()
    assert monitor.main(["verify"], kit) == monitor.DAMAGED
    out = capsys.readouterr().out
    assert "model.pt2: changed" in out
    assert "README.md: missing" in out
    assert monitor.main(["score", str(kit / "example.pt")], kit) == monitor.DAMAGED
    assert "model.pt2" in capsys.readouterr().err


_TORCH_ONLY = """
import runpy, sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        gone = ("osscar_core", "numpy", "transformers", "torchvision", "safetensors", "PIL")
        if name.partition(".")[0] in gone:
            return None  # as where it is not installed
        return super().find_spec(name, path, target)
sys.meta_path[:] = [Without if one is PathFinder else one for one in sys.meta_path]
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("command", [("score", "--no-history"), ("shadow", "--share=1")])
def test_torch_is_all_it_needs(
    image_kit: Exported, tmp_path: Path, command: tuple[str, str]
) -> None:
    """A fresh process, away from this package, in which nothing else can be imported."""
    name, option = command
    result = subprocess.run(
        [
            *(sys.executable, "-c", _TORCH_ONLY, str(image_kit.folder / "monitor.py")),
            *(name, str(image_kit.folder / "example.pt"), option, "--json"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode in {monitor.OK, monitor.ALARM}, result.stderr
    assert json.loads(result.stdout)["items"] == 32
    assert result.stderr == ""


def test_the_readmes_python_runs(image_kit: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (image_kit.folder / "README.md").read_text("utf8")
    block = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(image_kit.folder)
    monkeypatch.syspath_prepend(image_kit.folder)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own README
    monkeypatch.delitem(sys.modules, "monitor")
    assert names["logits"].shape == (32, CLASSES)


# --- Statistics -------------------------------------------------------------------------------


def normal(count: int, seed: int, shift: float = 0.0) -> Observed:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 6, generator=generator) + shift
    return Observed(features, features[:, :3].argmax(1), features[:, 0].sigmoid())


def test_distance_is_its_formula() -> None:
    seen, division = normal(200, 0), Division.of(200, 0)
    baseline = calibrate(seen, division, classes=3, alarm_rate=0.05)
    batch = normal(20, 1)
    y, x, unit = baseline["features"].double(), batch.features.double(), baseline["unit"]

    def k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).norm() / unit

    def mean(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        pairs = [k(a, b) for a in one for b in two if a is not b and not torch.equal(a, b)]
        return torch.stack(pairs).mean()

    expected = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    scale = 20 * len(y) / (20 + len(y))
    assert monitor.statistics(baseline, batch)[0] == pytest.approx(scale * float(expected))


def test_resamples_are_the_very_statistics() -> None:
    """Many draws at once agree with the kit's own code on each."""
    seen, division = normal(160, 2), Division.of(160, 0)
    pool = select(seen, division.pool)
    baseline = calibrate(seen, division, classes=3, alarm_rate=0.05)
    m, count = division.baseline, len(division.pool)
    k = monitor.kernel(pool.features, pool.features, float(baseline["unit"])).float()
    base, batch = torch.zeros(1, count), torch.zeros(1, count)
    base[0, :m] = 1
    batch[0, m : m + 20] = 1
    found = resampled(pool, k, batch, base, baseline, 3)[0].tolist()
    direct = monitor.statistics(baseline, select(pool, torch.arange(m, m + 20)))
    assert found == pytest.approx(direct, rel=1e-3, abs=1e-4)
    inside, across = monitor.kernels(baseline, pool)
    rows = torch.arange(m, m + 20)
    known = inside[rows][:, rows], across[rows]
    assert monitor.statistics(baseline, select(pool, rows), known) == pytest.approx(direct)


def test_the_rate_of_false_alarms_is_the_one_stated() -> None:
    """Over fresh data and several baselines; all three tests count together."""
    alarms = total = 0
    for seed in range(4):
        division = Division.of(1200, seed)
        baseline = calibrate(normal(1200, seed), division, classes=3, alarm_rate=0.05, seed=seed)
        for batch in range(150):
            values = monitor.statistics(baseline, normal(50, 1000 + 200 * seed + batch))
            alarms += monitor.judge(baseline, values, 50).is_alarm
            total += 1
    assert 0.02 < alarms / total < 0.09


def test_a_shift_is_found_and_larger_batches_find_smaller_ones() -> None:
    division = Division.of(1200, 0)
    baseline = calibrate(normal(1200, 0), division, classes=3, alarm_rate=0.01)

    def share(size: int, shift: float) -> float:
        found = [
            monitor.judge(
                baseline, monitor.statistics(baseline, normal(size, 50 + seed, shift)), size
            ).is_alarm
            for seed in range(30)
        ]
        return sum(found) / len(found)

    assert share(256, 0.25) == 1
    assert share(16, 0.25) < 0.9
    assert share(16, 1.5) == 1


def test_alarm_p_value_and_thresholds_agree() -> None:
    division = Division.of(600, 0)
    baseline = calibrate(normal(600, 0), division, classes=3, alarm_rate=0.05)
    for shift in (0.0, 0.2, 0.4, 1.0):
        found = monitor.judge(baseline, monitor.statistics(baseline, normal(32, 7, shift)), 32)
        assert found.is_alarm == (found.p_value <= 0.0505)
        for value, limit, p in zip(found.values, found.thresholds, found.p_values, strict=True):
            if value > limit:
                assert p <= 0.05
    rates = measure_false_alarms(normal(600, 0), division, baseline)
    assert all(one.resamples == 500 and one.low <= one.rate <= one.high for one in rates)


# --- Refusals and the command line ---------------------------------------------------------------


def test_too_little_data_is_refused(image_kit: Exported, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 100 items"):
        export_kit(image_kit.model, image_kit.data, tmp_path / "kit", limit=100)
    assert list(tmp_path.iterdir()) == []


def test_models_that_do_not_belong_together_are_refused(
    image_kit: Exported, text_kit: Exported, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="do not read the same items"):
        export_kit(image_kit.model, image_kit.data, tmp_path / "kit", dense=text_kit.model)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_an_alarm_rate_has_its_range(image_kit: Exported, tmp_path: Path, rate: float) -> None:
    with pytest.raises(SpecError, match="alarm_rate"):
        export_kit(image_kit.model, image_kit.data, tmp_path / "kit", alarm_rate=rate)


def test_the_command_line_exports_too(
    text_kit: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runner(capsys)
    common = ("monitor", "export", text_kit.model.source.model, "--reference", text_kit.data)
    argv = (*common, "--seqlen", 24, "--limit", 160, "--alarm-rate", 0.02)
    found = main(*argv, "--out", tmp_path / "kit", "--json").payload
    assert found["baseline_items"] == 80
    assert found["alarm_rate"] == 0.02
    assert monitor.verify(tmp_path / "kit")["ok"]
    refused = main(*argv, "--out", tmp_path / "kit")
    assert refused.code == 2
    assert "is not empty" in refused.reason
    refused = main(*common, "--out", tmp_path / "other", "--language", "fr")
    assert "Choose from: en, ja, both" in refused.reason
