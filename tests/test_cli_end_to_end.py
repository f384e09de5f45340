"""The command line with the real library behind it, on tiny models and noise."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import families
from command import Main, runner
from osscar_core.networks import cifar_resnet
from osscar_core.records import PruneReport, from_dict

FILE = "model.safetensors"


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Main:
    return runner(capsys)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 20 noise images of 32 x 32 pixels in ten class folders."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class{label}").mkdir()
        for number in range(2):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a tiny text model's directory and a calibration text of 8 windows of 24."""
    folder = tmp_path_factory.mktemp("opt")
    family = families.FAMILIES["opt"]()
    family.loaded(folder)
    return str(folder / "dense"), family.calibration_spec(folder)


def image_run(images: Path) -> dict[str, str]:
    """Return the arguments of a run that works but for ``--out``."""
    return {
        "": "cifar/resnet20",
        "--weights": "random",
        "--sparsity": "0.5",
        "--calibration": f"images:{images}",
        "--samples": "8",
        "--device": "cpu",
    }


def text_run(opt: tuple[str, str]) -> dict[str, str]:
    """Return the arguments of a run that works but for ``--out``."""
    model, calibration = opt
    return {
        "": model,
        "--sparsity": "0.5",
        "--calibration": calibration,
        "--samples": "4",
        "--seqlen": "24",
        "--device": "cpu",
    }


def words(arguments: dict[str, str]) -> list[str]:
    return ["prune", *(part for pair in arguments.items() for part in pair if part)]


def test_image_model(main: Main, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    report = main(*words(image_run(images)), "--out", out, "--json").payload
    assert report["out"] == str(out)
    assert report["parameters"]["pruned"] < 0.6 * report["parameters"]["dense"]
    assert report["flops"]["pruned"] < 0.6 * report["flops"]["dense"]
    assert [unit["kept"] * 2 for unit in report["units"]] == [16] * 3 + [32] * 3 + [64] * 3
    assert report["bytes"]["pruned"] == (out / FILE).stat().st_size
    assert from_dict(PruneReport, report).plan.spec.samples == 8
    quality = main("evaluate", out, "--data", f"images:{images}", "--json").payload
    assert quality["metric"] == "top1"
    assert 0 <= quality["value"] <= 1
    assert quality["count"] == 20
    speed = main("measure", out, "--repeats", 3, "--batch-size", 2, "--device", "cpu").out
    assert "median of 3" in speed


def test_text_model(main: Main, opt: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "small"
    model, data = opt
    report = main(*words(text_run(opt)), "--out", out, "--json").payload
    assert {unit["structure"] for unit in report["units"]} == {"heads", "neurons"}
    assert report["bytes"]["pruned"] == (out / FILE).stat().st_size
    values = [
        main("evaluate", name, "--data", data, "--seqlen", 24, "--json").payload["value"]
        for name in (model, out)
    ]
    assert all(value > 1 for value in values)
    assert values[0] != values[1]
    speed = main(
        *("measure", out, "--compare", model, "--repeats", 3, "--seqlen", 8, "--device", "cpu"),
        "--json",
    ).payload
    assert speed["speedup"] > 0
    assert speed["dense"]["latency_ms"]["repeats"] == 3


def test_nothing_removed_is_the_same_model(
    main: Main, opt: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "same"
    main(*words(text_run(opt) | {"--sparsity": "0"}), "--out", out, "--json")
    values = [
        main("evaluate", name, "--data", opt[1], "--seqlen", 24, "--json").payload["value"]
        for name in (opt[0], out)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("as_directory", [True, False])
def test_a_plan_repeats_the_same_weights(
    main: Main, images: Path, tmp_path: Path, as_directory: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    planned = main(*words(image_run(images)), "--out", first, "--json").payload
    plan = first if as_directory else first / "plan.json"
    again = ("prune", "cifar/resnet20", "--weights", "random", "--plan", plan)
    repeated = main(*again, "--out", second, "--json").payload
    assert repeated["plan"]["units"] == planned["plan"]["units"]
    assert (second / FILE).read_bytes() == (first / FILE).read_bytes()


Mistake = Callable[[dict[str, str], Path], None]


def _setting(option: str, value: str) -> Mistake:
    def make(arguments: dict[str, str], folder: Path) -> None:
        arguments[option] = value.replace("FOLDER", str(folder))

    return make


def _file(option: str, name: str, content: bytes, prefix: str = "") -> Mistake:
    def make(arguments: dict[str, str], folder: Path) -> None:
        (folder / name).write_bytes(content)
        arguments[option] = f"{prefix}{folder / name}"

    return make


def _broken_images(arguments: dict[str, str], folder: Path) -> None:
    shutil.copytree(arguments["--calibration"].removeprefix("images:"), folder / "images")
    for file in (folder / "images").rglob("*.png"):
        file.write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    arguments["--calibration"] = f"images:{folder / 'images'}"


def _eleven_classes(arguments: dict[str, str], folder: Path) -> None:
    source = Path(arguments["--calibration"].removeprefix("images:"))
    shutil.copytree(source, folder / "images")
    shutil.copytree(source / "class0", folder / "images" / "extra")
    arguments["--calibration"] = f"images:{folder / 'images'}"


def _unlabelled(arguments: dict[str, str], folder: Path) -> None:
    source = Path(arguments["--calibration"].removeprefix("images:"))
    encoded = [file.read_bytes() for file in sorted(source.rglob("*.png"))]
    labels = [index % 10 for index in range(len(encoded) - 1)]
    table = pa.table({"image": encoded, "label": pa.array([*labels, None], pa.int64())})
    pq.write_table(table, folder / "a.parquet")
    arguments["--calibration"] = f"images:{folder / 'a.parquet'}"
    arguments["--samples"] = str(len(encoded))


def _not_a_number(arguments: dict[str, str], folder: Path) -> None:
    weights = cifar_resnet(20, 10).state_dict()
    weights["layer2.1.conv1.weight"][3, 0] = torch.nan
    save_file(weights, folder / "w.safetensors")
    arguments["--weights"] = str(folder / "w.safetensors")


def _bare_folder(arguments: dict[str, str], folder: Path) -> None:
    (folder / "bare").mkdir()
    arguments["--calibration"] = f"images:{folder / 'bare'}"


def _occupied(arguments: dict[str, str], folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "precious.txt").write_text("keep me", encoding="utf8")


def _output_file(arguments: dict[str, str], folder: Path) -> None:
    (folder / "out").write_bytes(b"keep me")


IMAGE_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "unknown model": (_setting("", "cifar/resnet21"), "Did you mean 'cifar/resnet"),
    "unknown kind": (_setting("", "torchvision/resnet51"), "Did you mean 'torchvision/resnet"),
    "no such path": (_setting("", "FOLDER/nowhere"), "nowhere"),
    "lacking structure": (_setting("--structures", "heads"), "Choose from: channels"),
    "missing weights": (_setting("--weights", "FOLDER/no.safetensors"), "no.safetensors"),
    "weights of noise": (_file("--weights", "w.safetensors", b"\xff" * 64), "w.safetensors"),
    "truncated weights": (
        _file("--weights", "w.safetensors", b'\x10\0\0\0\0\0\0\0{"x":'),
        "w.safetensors",
    ),
    "unknown ending": (_file("--weights", "w.bin", b"weights"), "w.bin"),
    "weights that are not numbers": (_not_a_number, "layer2.1.conv1.weight"),
    "fewer labels than images": (_unlabelled, "has no label"),
    "sparsity of one": (_setting("--sparsity", "1.0"), "[0, 1)"),
    "negative sparsity": (_setting("--sparsity", "-1"), "[0, 1)"),
    "unknown structure": (_setting("--structures", "chanels"), "Did you mean 'channels'"),
    "more samples than images": (_setting("--samples", "999"), "20 images, 999 were asked for"),
    "missing data": (_setting("--calibration", "images:FOLDER/none.parquet"), "none.parquet"),
    "data of noise": (
        _file("--calibration", "a.parquet", b"PAR1 not really PAR1", "images:"),
        "a.parquet",
    ),
    "text for images": (_file("--calibration", "a.txt", b"words " * 99, "text:"), "images"),
    "no images": (_bare_folder, "bare"),
    "unreadable image": (_broken_images, ".png"),
    "too many classes": (_eleven_classes, "10"),
    "absent device": (_setting("--device", "cuda:99"), "cuda:99"),
    "nonsense device": (_setting("--device", "gpu"), "gpu"),
    "occupied output": (_occupied, "out"),
    "output is a file": (_output_file, "out"),
}
TEXT_MISTAKES: dict[str, tuple[Mistake, str]] = {
    "empty text": (_file("--calibration", "a.txt", b"", "text:"), "a.txt"),
    "blank text": (_file("--calibration", "a.txt", b" \n \n", "text:"), "a.txt"),
    "short text": (_file("--calibration", "a.txt", b"seven words", "text:"), "24"),
    "bytes that are no text": (
        _file("--calibration", "a.txt", b"\xff\xfe\x00\x80" * 99, "text:"),
        "a.txt",
    ),
    "broken lines": (_file("--calibration", "a.jsonl", b'{"text": "a"}\n{"te', "text:"), "a.jsonl"),
    "images for text": (_bare_folder, "images"),
    "long windows": (_setting("--seqlen", "65"), "64"),
    "lacking structure": (_setting("--structures", "channels"), "Choose from: heads, neurons"),
    "weights too": (_setting("--weights", "FOLDER/no.safetensors"), "weights"),
    "image size": (_setting("--image-size", "32"), "image"),
}


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Path]:
    """Yield the output directory; afterwards it must be as the mistake left it."""
    out = tmp_path / "out"
    yield out
    if out.is_file():
        assert out.read_bytes() == b"keep me"
    elif out.exists():
        assert [path.name for path in out.iterdir()] == ["precious.txt"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def _check(main: Main, arguments: dict[str, str], mistake: tuple[Mistake, str], out: Path) -> None:
    make, clue = mistake
    make(arguments, out.parent)
    result = main(*words(arguments), "--out", out, "--json")
    assert result.code == 2, result.err
    assert result.reason.startswith("error: ")
    assert clue in result.reason


@pytest.mark.parametrize("name", sorted(IMAGE_MISTAKES))
def test_image_mistakes_are_told_in_words(
    main: Main, images: Path, untouched: Path, name: str
) -> None:
    _check(main, image_run(images), IMAGE_MISTAKES[name], untouched)


@pytest.mark.parametrize("name", sorted(TEXT_MISTAKES))
def test_text_mistakes_are_told_in_words(
    main: Main, opt: tuple[str, str], untouched: Path, name: str
) -> None:
    _check(main, text_run(opt), TEXT_MISTAKES[name], untouched)


def test_no_sense_in_evaluating_what_is_not_there(main: Main, images: Path) -> None:
    result = main("evaluate", "nowhere/at/all", "--data", f"images:{images}")
    assert result.code == 2
    assert "nowhere/at/all" in result.reason


def test_a_full_disk_leaves_nothing_half_written(main: Main, images: Path, tmp_path: Path) -> None:
    """On a real volume of 256 KiB, where the result needs twice that."""
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(volume)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small volume needs the right to mount one")
    try:
        result = main(*words(image_run(images)), "--out", volume / "out", "--json")
        assert result.code == 2, result.err
        # A run that takes long has told of its progress before.
        assert "No space left on device" in result.err.splitlines()[-1]
        assert list(volume.iterdir()) == []
    finally:
        subprocess.run(["umount", str(volume)], check=True)


def test_interrupting_from_the_keyboard_leaves_nothing(images: Path, tmp_path: Path) -> None:
    """A real process, interrupted once the work has begun."""
    long_run = {**image_run(images), "": "cifar/resnet110", "--samples": "20"}
    command = [sys.executable, "-m", "osscar_core", *words(long_run)]
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*command, "--out", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        # Tests that run in the background of a shell inherit that nothing interrupts them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("prune"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_goes_on_where_it_was(main: Main, images: Path, tmp_path: Path) -> None:
    """A real process, killed without a chance to tidy up, once it has kept a block or two."""
    run = {**image_run(images), "": "cifar/resnet56"}
    kept, out = tmp_path / "kept", tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "osscar_core", *words(run)),
            *("--checkpoint", str(kept), "--out", str(out)),
        ],
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parent.parent,
    )
    while process.poll() is None and not (kept / "block-001.safetensors").exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    resumed = main(*words(run), "--checkpoint", kept, "--out", out, "--json").payload
    assert any("pruned by an earlier run" in warning for warning in resumed["warnings"])
    assert not kept.exists()
    whole = main(*words(run), "--out", tmp_path / "whole", "--json").payload
    assert resumed["plan"]["units"] == whole["plan"]["units"]
    assert (out / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_bench_solver_compares_in_one_run(main: Main) -> None:
    report = main(
        *("bench", "solver", "--features", 96, "--group-size", 3, "--device", "cpu", "--json")
    ).payload
    assert (report["features"], report["outputs"], report["keep"]) == (96, 24, 16)
    rows = {row["contender"]: row for row in report["rows"]}
    assert set(rows) == {"ours", "ours+swaps", "published", "recipe", "recipe+swaps", "naive"}
    for row in rows.values():
        assert row["seconds"] > 0
        assert row["objective"] >= report["bound"]
        assert 0 <= row["gap"] <= 1
    assert rows["ours"]["objective"] <= rows["published"]["objective"] * (1 - 1e-9)


def test_units_are_captured_and_compared(main: Main, opt: tuple[str, str], tmp_path: Path) -> None:
    run = {key: value for key, value in text_run(opt).items() if key != ""}
    captured = main("bench", "capture", opt[0], *words(run)[1:], "--out", tmp_path, "--json")
    files = captured.payload["files"]
    assert len(files) == 4
    result = main(
        *("bench", "solver", "--problem", *files[:2], "--methods", "ours,recipe"),
        *("--no-bound", "--device", "cpu", "--json"),
    )
    heads, neurons = result.payload["problems"]
    assert (heads["group_size"], heads["keep"]) == (8, 2)
    assert (neurons["group_size"], neurons["keep"]) == (1, 24)
    assert heads["bound"] is None
    text = main("bench", "solver", "--problem", files[0], "--methods", "ours", "--device", "cpu")
    assert text.code == 0
    assert "ours" in text.out
    assert "no support is below" in text.out


@pytest.mark.parametrize(
    ("arguments", "words_"),
    [
        (("--features", 7, "--group-size", 2), "features"),
        (("--methods", "theirs"), "theirs"),
        (("--remove", 1.5), "Remove at least one"),
        (("--problem", "missing.safetensors"), "no stored layer problem"),
        (("--device", "tpu"), "tpu"),
    ],
)
def test_bench_refuses_bad_input_in_words(
    main: Main, arguments: tuple[object, ...], words_: str
) -> None:
    result = main("bench", "solver", *arguments, "--json")
    assert result.code == 2
    assert words_ in result.reason


def test_a_proof_reaches_the_report(main: Main, opt: tuple[str, str], tmp_path: Path) -> None:
    run = {**text_run(opt), "--certify": "prove", "--structures": "heads"}
    report = main(*words(run), "--out", tmp_path / "out", "--json").payload
    assert [unit["is_proven"] for unit in report["units"]] == [True, True]
    assert [unit["gap"] for unit in report["units"]] == [0.0, 0.0]
    run = {**text_run(opt), "--certify": "off"}
    report = main(*words(run), "--out", tmp_path / "off", "--json").payload
    assert {unit["gap"] for unit in report["units"]} == {None}
