from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from osscar_core.datasets import load_images, load_windows, parse_data_spec
from osscar_core.datasets.documents import load_documents
from osscar_core.datasets.mix import (
    DISTURBANCES,
    Change,
    MixPart,
    interleaved,
    most_without_repeats,
    parse_mix,
    shares,
)
from osscar_core.datasets.spec import PREFIXES, check_place, data_task, mix_parts, shown_spec
from osscar_core.errors import DataError, SpecError
from osscar_core.records import ImagePreprocess, PruneSpec

SMALL = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=64)


def parsed(text: str) -> tuple[MixPart, ...]:
    return parse_mix(text, PREFIXES)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("demo:factory", [MixPart(1.0, "demo:factory")]),
        (
            "3*demo:factory+1*demo:factory/line-c",
            [MixPart(3.0, "demo:factory"), MixPart(1.0, "demo:factory/line-c")],
        ),
        ("0.5*text:a+b.txt+hf:c4", [MixPart(0.5, "text:a+b.txt"), MixPart(1.0, "hf:c4")]),
        ("demo:factory~blur", [MixPart(1.0, "demo:factory", (), Change("blur", 0.5))]),
        ("text:~/a.txt~case=1", [MixPart(1.0, "text:~/a.txt", (), Change("case", 1.0))]),
        (
            "2*demo:factory[tier=gold, line=A]~noise=0.25",
            [
                MixPart(
                    2.0, "demo:factory", (("tier", "gold"), ("line", "A")), Change("noise", 0.25)
                )
            ],
        ),
        ("text:/data/[old]/x.txt", [MixPart(1.0, "text:/data/[old]/x.txt")]),
        ("text:C:\\x*y.txt", [MixPart(1.0, "text:C:\\x*y.txt")]),
    ],
)
def test_the_grammar(text: str, parts: list[MixPart]) -> None:
    assert list(parsed(text)) == parts


def test_a_part_is_spelled_as_it_is_read() -> None:
    text = "demo:factory[tier=gold,line=A]~noise=0.25"
    assert str(parsed(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mix:x*demo:factory", ["the weight 'x' in 'x*demo:factory' is not a number"]),
        ("mix:0*demo:factory", ["Weights are above 0"]),
        ("mix:-1*demo:factory", ["Weights are above 0"]),
        ("mix:nan*demo:factory", ["Weights are above 0"]),
        ("mix:2*", ["a part of the mix is empty"]),
        ("mix:demo:factory[tier]", ["the condition 'tier'", "not COLUMN=VALUE"]),
        ("mix:demo:factory[]", ["the condition ''"]),
        ("mix:demo:factory~blurr", ["unknown disturbance 'blurr'", "Did you mean 'blur'"]),
        ("mix:demo:factory~blur=much", ["the strength 'much' of blur is not a number"]),
        ("mix:demo:factory~blur=2", ["the strength of blur is 2"]),
        ("mix:demo:factory~blur[tier=gold]", ["behind the disturbance"]),
        ("mix:demo:factori", ["unknown demo data 'factori'"]),
        ("mix:demo:factory+mix:demo:factory", ["a mix in a mix"]),
        ("mix:demo:factory+demo:plant-log", ["mixes images and text"]),
        ("mix:demo:factory~typos", ["mixes images and text"]),
        ("mix:hf:a/b~typos+hf:a/b~blur", ["both images and text"]),
        ("mix:", ["lacks a place", "mix:3*DATA+1*DATA"]),
        ("mix:factory", ["does not say what it is"]),
        ("mix:" + "+".join(["demo:factory"] * 33), ["33 parts"]),
    ],
)
def test_errors_help(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_data_spec(text)
    for word in words:
        assert word in str(caught.value)


def test_a_mix_is_a_data_specification() -> None:
    text = "mix:3*demo:factory+1*hf:x/y~blur"
    spec = parse_data_spec(text)
    assert str(spec) == text
    assert data_task(spec) == "image"
    assert [part.weight for part in mix_parts(spec)] == [3.0, 1.0]
    assert data_task(parse_data_spec("mix:hf:x/y")) is None
    assert PruneSpec(model="demo/resnet50", calibration=text).calibration == text


def test_missing_files_of_a_part_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        check_place(parse_data_spec(f"mix:demo:python-docs+text:{tmp_path}/none.txt"))


def test_conditions_on_one_column_are_alternatives() -> None:
    part = parsed("demo:factory[line=A,line=B,tier=gold,severity=0.5]")[0]
    assert part.keeps({"line": "B", "tier": "gold", "severity": 0.5})
    assert not part.keeps({"line": "C", "tier": "gold", "severity": 0.5})
    assert not part.keeps({"line": "A", "tier": "silver", "severity": 0.5})
    assert not part.keeps({})


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 500))
def test_shares_are_in_proportion(weights: list[float], count: int) -> None:
    found = shares(weights, count)
    assert sum(found) == count
    for share, weight in zip(found, weights, strict=True):
        assert abs(share - count * weight / math.fsum(weights)) < 1 + 1e-6


@pytest.mark.parametrize(
    ("weights", "count", "expected"),
    [
        ((3, 1), 512, (384, 128)),
        ((3, 1), 10, (8, 2)),
        ((1, 1, 1), 10, (4, 3, 3)),
        ((1, 2), 1, (0, 1)),
    ],
)
def test_shares_of_examples(
    weights: tuple[float, ...], count: int, expected: tuple[int, ...]
) -> None:
    assert shares(weights, count) == expected


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 60)), min_size=1, max_size=4),
)
def test_the_most_without_repeats(parts: list[tuple[float, int]]) -> None:
    weights, available = [w for w, _ in parts], [n for _, n in parts]
    count = most_without_repeats(weights, available)
    assert all(s <= n for s, n in zip(shares(weights, count), available, strict=True))


def test_every_beginning_is_a_fair_mix() -> None:
    order = interleaved((30, 10))
    assert sorted(order) == [(0, k) for k in range(30)] + [(1, k) for k in range(10)]
    for length in range(4, 41, 4):
        assert abs(sum(part for part, _ in order[:length]) - length / 4) <= 1


def images_of(spec: str, count: int | None, split: Any = "calibration", seed: int = 0) -> Any:
    return load_images(spec, SMALL, limit=count, split=split, seed=seed, classes=8)


def pixels_of(images: Any) -> torch.Tensor:
    return torch.cat([pixels for pixels, _ in images.batches(8)])


def test_images_come_in_proportion_and_as_they_are() -> None:
    mixed = images_of("mix:3*demo:factory+1*demo:factory/line-c", 16)
    lines = [row["line"] for row in mixed.attributes()]
    assert lines.count("C") == 4
    assert len(mixed) == 16
    alone = images_of("demo:factory/line-c", 4)
    from_c = torch.tensor([line == "C" for line in lines])
    assert torch.equal(pixels_of(mixed)[from_c], pixels_of(alone))
    assert torch.equal(mixed.labels[from_c], alone.labels)
    assert "4 of 25000 images of demo:factory/line-c (25.0% of the mix)" in mixed.info.notes
    assert mixed.class_names == alone.class_names


def test_conditions_choose_images() -> None:
    mixed = images_of("mix:demo:factory[tier=gold,class=scratch]", 6)
    assert {row["tier"] for row in mixed.attributes()} == {"gold"}
    assert mixed.labels.tolist() == [1] * 6


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("mix:demo:factory[teir=gold]", SpecError, "Did you mean 'tier'"),
        ("mix:demo:factory[tier=platinum]", DataError, "no image meets the conditions"),
        ("mix:demo:plant-log", SpecError, "is text, and the model reads images"),
    ],
)
def test_what_images_cannot_be_mixed(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        images_of(spec, 4)


def test_few_images_are_repeated_for_calibration_only(tmp_path: Path) -> None:
    from families import FAMILIES

    small = FAMILIES["resnet-basic"]().calibration_spec(tmp_path)  # 16 images
    spec = f"mix:1*{small}+1*{small}~noise=1"
    mixed = load_images(spec, SMALL, limit=48, split="calibration", repeats=True)
    assert len(mixed) == 48
    assert any("24 of 16 images" in n and "used up to 2 times" in n for n in mixed.info.notes)
    assert len(load_images(spec, SMALL, limit=48, split="calibration")) == 32
    assert len(load_images(spec, SMALL, split="evaluation")) == 32


def test_disturbed_images_differ_and_are_repeatable() -> None:
    plain, noisy = images_of("mix:demo:factory", 4), images_of("mix:demo:factory~noise", 4)
    again = images_of("mix:demo:factory~noise", 4)
    other = images_of("mix:demo:factory~noise=0.6", 4)
    assert torch.equal(pixels_of(noisy), pixels_of(again))
    assert not torch.equal(pixels_of(noisy), pixels_of(plain))
    digests = {plain.info.digest, noisy.info.digest, other.info.digest}
    assert len(digests) == 3
    assert noisy.info.digest == again.info.digest


def test_disturbed_copies_of_a_disturbed_mix_keep_what_was_done() -> None:
    from osscar_core.datasets.disturb import disturb_image

    mixed = images_of("mix:demo:factory~dark=1", 2)
    again = mixed.disturbed(Change("blur", 1.0), seed=4)
    plain = load_images("demo:factory", SMALL, limit=2, split="calibration")
    as_image = to_pil(plain.pixels(1))
    dark = disturb_image(as_image, Change("dark", 1.0), 1)
    both = disturb_image(dark, Change("blur", 1.0), 1, 4)
    assert torch.equal(to_tensor(both), again.pixels(1))


def to_pil(pixels: torch.Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def windows_of(spec: str, tokenizer: Any, count: int | None, **settings: Any) -> Any:
    given = {"seqlen": 32, "split": "calibration", **settings}
    return load_windows(spec, tokenizer, samples=count, **given)


def test_windows_come_in_proportion(tokenizer: Any) -> None:
    spec = "mix:3*demo:plant-log+1*demo:plant-log/plant-3"
    mixed = windows_of(spec, tokenizer, 16)
    alone = windows_of("demo:plant-log/plant-3", tokenizer, 4)
    assert mixed.ids.shape == (16, 32)
    rows = {tuple(row) for row in mixed.ids.tolist()}
    assert {tuple(row) for row in alone.ids.tolist()} <= rows
    assert mixed.info.count == 16
    assert mixed.info.digest == windows_of(spec, tokenizer, 16).info.digest
    assert mixed.info.digest != windows_of(spec, tokenizer, 16, seed=3).info.digest


def test_few_windows_are_repeated_for_calibration_only(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefgh" * 8, encoding="utf8")  # 2 windows of 32
    spec = f"mix:1*text:{tmp_path}/a.txt+1*demo:python-docs~case=1"
    mixed = windows_of(spec, tokenizer, 8, repeats=True)
    assert len(mixed.ids) == 8
    assert any("4 of 2 windows" in note and "2 times" in note for note in mixed.info.notes)
    assert len(windows_of(spec, tokenizer, None, split="evaluation").ids) == 4


def test_text_has_no_columns_to_choose_by(tokenizer: Any) -> None:
    with pytest.raises(SpecError, match="says nothing of its items"):
        windows_of("mix:demo:python-docs[topic=for]", tokenizer, 4)


def test_slices_and_disturbances_of_documents(tokenizer: Any, tmp_path: Path) -> None:
    rows = [{"text": f"item {i} " * 4, "site": "north" if i % 4 else "south"} for i in range(40)]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf8")
    spec = f"mix:3*text:{file}[site=north]+1*text:{file}[site=south]~case=1"
    found = load_documents(spec, limit=20)
    sites = [row["site"] for row in found.attributes]
    assert (sites.count("north"), sites.count("south")) == (15, 5)
    assert all(
        text.isupper() == (site == "south") for text, site in zip(found.texts, sites, strict=True)
    )
    assert len(load_documents(spec)) == 40  # 30 north and 10 south, none twice
    windows = windows_of(spec, tokenizer, 12)
    shouted = [row for row in windows.ids if "ITEM" in tokenizer.decode(row)]
    assert len(shouted) == 3
    with pytest.raises(SpecError, match="Did you mean 'site'"):
        load_documents(f"mix:text:{file}[sight=north]")
    with pytest.raises(DataError, match="no text meets the conditions"):
        load_documents(f"mix:text:{file}[site=west]")


def test_own_data_in_a_mix_is_told_without_its_path(tokenizer: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("text,site\n" + "pumps leak again,north\n" * 40, encoding="utf8")
    windows = windows_of(f"mix:1*own:{file}[site=north]+1*demo:plant-log", tokenizer, 8)
    told = str(windows.info)
    assert "own:own.csv[site=north]" in told
    assert str(tmp_path) not in told
    assert shown_spec(f"mix:own:{file}~case") == "mix:1*own:own.csv~case=0.5"


def test_all_disturbances_have_their_task() -> None:
    from osscar_core.datasets import disturb

    assert {n for n, d in DISTURBANCES.items() if d.task == "image"} == set(disturb._IMAGES)
    assert {n for n, d in DISTURBANCES.items() if d.task == "text"} == set(disturb._TEXTS)


@pytest.mark.parametrize("family", ["opt", "resnet-basic"])
def test_a_mix_calibrates(family: str, tmp_path: Path) -> None:
    from families import FAMILIES
    from osscar_core.pruner import prune

    made = FAMILIES[family]()
    plain = made.calibration_spec(tmp_path)
    change = "typos" if made.seqlen else "blur"
    mix = f"mix:3*{plain}+1*{plain}~{change}"
    report = prune(made.request(tmp_path, calibration=mix, samples=24), out=tmp_path / "out")
    info = report.plan.calibration
    assert info.count == 24
    assert info.spec == mix.replace(f"~{change}", f"~{change}=0.5")
    assert any(
        "6 of " in note and f"~{change}=0.5 (25.0% of the mix)" in note for note in info.notes
    )
    assert any("18 of " in note and "(75.0% of the mix)" in note for note in info.notes)
