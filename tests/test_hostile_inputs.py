"""Hostile files and arguments, one row each: refused in one line, and nothing else happens.

Every row is a command of the command line, run in a process of its own that may take little
memory and time; what stands behind the commands is the same that Python and the app call.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from contained import Contained
from hostilefiles import (
    INDEX,
    MIB,
    OTHER,
    PICKLE,
    TENSOR,
    WEIGHTS,
    Bomb,
    Ground,
    bomb_archive,
    edited,
    gguf,
    gif,
    picture,
    png,
    raw_pickle,
    safetensors,
    saved,
    tiff,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux processes")

MOST_MEGABYTES, MOST_SECONDS = 350, 5
MOST_WORDS = 2_000

Argv = list[Any]
Row = tuple[Callable[[Ground], Argv], str]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground.made(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def contained(ground: Ground) -> Iterator[Contained]:
    found = Contained(ground.folder)
    yield found
    found.close()


@pytest.fixture(scope="module")
def pruned(ground: Ground, contained: Contained) -> Path:
    out = ground.place() / "pruned"
    place = ["--samples", 4, "--seqlen", 16, "--device", "cpu"]
    ended = contained.run(
        ["prune", ground.model, "--sparsity", 0.5, "--calibration", f"text:{ground.text}", *place,
         "--out", out]
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return out


def loaded(model: Callable[[Ground], Path | str]) -> Callable[[Ground], Argv]:
    """Return the command that loads a model and runs it once."""
    return lambda g: evaluated(model(g), f"text:{g.text}")


def planned(model: Callable[[Ground], Path]) -> Callable[[Ground], Argv]:
    """Return the command that looks at a model's configuration alone."""
    return lambda g: ["plan", model(g), "--gpu", "h200"]


def evaluated(model: object, data: str) -> Argv:
    return ["evaluate", model, "--data", data, "--limit", 1, "--seqlen", 16, "--device", "cpu"]


def read(data: Callable[[Ground], object]) -> Callable[[Ground], Argv]:
    """Return the command that reads text."""
    return lambda g: evaluated(g.model, f"text:{data(g)}")


def seen(data: Callable[[Ground], object]) -> Callable[[Ground], Argv]:
    """Return the command that reads pictures."""
    return lambda g: [
        "evaluate", "cifar/resnet20", "--weights", "random", "--data", data(g), "--limit", 1,
        "--device", "cpu",
    ]  # fmt: skip


def state(file: Callable[[Ground], object]) -> Callable[[Ground], Argv]:
    """Return the command that reads a file of weights for a network built from code."""
    return lambda g: [
        "evaluate", "cifar/resnet20", "--weights", file(g), "--data", "demo:factory", "--limit", 1,
    ]  # fmt: skip


def _swapped(head: dict[str, Any]) -> None:
    head[TENSOR]["data_offsets"] = head[OTHER]["data_offsets"]


def _parquet(g: Ground, **columns: object) -> Path:
    path = g.place("rows.parquet")
    pq.write_table(pa.table(columns), path)
    return path


def _remote(g: Ground, **config: Any) -> Path:
    """Return a model that brings code of its own."""
    folder = g.config(**config)
    (folder / "evil.py").write_text(f"open({str(g.canary)!r}, 'w')\nclass Evil: ...\n")
    return folder


SAFETENSORS: dict[str, Row] = {
    "empty": (loaded(lambda g: g.weights(b"")), "header too small"),
    "endless header": (
        loaded(lambda g: g.weights(safetensors(b"{}", b"", 2**63))), "header too large",
    ),
    "header of 99 MB": (
        loaded(lambda g: g.weights(safetensors(b"{}", b"", 99 * MIB))), "header too large",
    ),
    "60 MB of names": (
        loaded(lambda g: g.weights(safetensors(b'{"a":"' + b"x" * (60 * MIB) + b'"}', b""))),
        "invalid type",
    ),
    "deep header": (
        loaded(lambda g: g.weights(safetensors(b'{"a":' * 10**5, b""))), "recursion limit",
    ),
    "cut short": (
        loaded(lambda g: g.weights((g.model / WEIGHTS).read_bytes()[:-999])), "not fully covered",
    ),
    "more than it says": (
        loaded(lambda g: g.weights((g.model / WEIGHTS).read_bytes() + b"x")), "not fully covered",
    ),
    "overlapping offsets": (loaded(lambda g: g.header(_swapped)), "invalid offset"),
    "offset before the file": (
        loaded(lambda g: g.header(lambda h: h[TENSOR].update(data_offsets=[-4, 0]))), "-4",
    ),
    "unknown type": (loaded(lambda g: g.header(lambda h: h[TENSOR].update(dtype="F17"))), "F17"),
    "whole numbers": (
        loaded(lambda g: g.header(lambda h: h[TENSOR].update(dtype="I32"))),
        "is of the kind I32, and weights are floating-point",
    ),
    "endless shape": (
        loaded(lambda g: g.header(lambda h: h[TENSOR].update(shape=[2**62, 2**62]))), "overflow",
    ),
    "a name of a megabyte": (
        loaded(lambda g: g.header(lambda h: h.update({"x" * MIB: h.pop(TENSOR)}))), "lack the ten",
    ),
    "not a number": (loaded(lambda g: g.valued(float("nan"))), "1920 of 1920 values that are NaN"),
    "infinite": (loaded(lambda g: g.valued(float("-inf"))), "NaN or infinite"),
    "a pickle": (loaded(lambda g: g.weights(raw_pickle(Bomb(g.canary)))), "header too large"),
    "a pipe": (
        loaded(lambda g: _piped(g.copy(WEIGHTS), WEIGHTS)), "safetensors is a device or a pipe",
    ),
}  # fmt: skip


def _piped(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder


PICKLES: dict[str, Row] = {
    "runs code": (loaded(lambda g: g.pickled(Bomb(g.canary))), r"posix\.system and was not read"),
    "runs code beside weights": (
        loaded(lambda g: g.pickled({**g.state(), "x": Bomb(g.canary)})), "not read, because a pick",
    ),
    "plain": (
        loaded(lambda g: g.copy(WEIGHTS, pytorch_model__bin=raw_pickle(Bomb(g.canary)))),
        "not read, because a pickle can run code",
    ),
    "as a file of weights": (
        state(lambda g: g.file("w.pt", saved({"a": Bomb(g.canary)}))), "was not read",
    ),
    "of the old kind": (
        state(
            lambda g: g.file(
                "w.pth", saved(Bomb(g.canary), _use_new_zipfile_serialization=False)
            )
        ),
        "was not read",
    ),
    "zip bomb": (state(lambda g: g.file("w.pt", bomb_archive())), "would unpack to 419,"),
    "zip bomb in a model": (
        loaded(lambda g: g.copy(WEIGHTS, pytorch_model__bin=bomb_archive(64 * MIB))),
        "would unpack to",
    ),
    "zip bomb from the hub": (
        loaded(
            lambda g: g.cached(g.copy(WEIGHTS, pytorch_model__bin=bomb_archive(64 * MIB)))
        ),
        "would unpack to",
    ),
    "zip bomb in parts from the hub": (
        loaded(lambda g: g.cached(_in_parts(g, bomb_archive(64 * MIB)))), "would unpack to",
    ),
    "runs code from the hub": (
        loaded(lambda g: g.cached(g.pickled(Bomb(g.canary)))), r"posix\.system and was not read",
    ),
    "a tensor that is one number seen often": (
        state(lambda g: g.file("w.pt", saved({"a": torch.zeros(1).expand(10**6, 10**6)}))),
        "does not fit the model",
    ),
    "cut short": (state(lambda g: g.file("w.pt", saved(g.state())[:20_000])), "cannot be read"),
    "endless": (state(lambda g: g.endless("w.pt")), "there is no weights file"),
    "a pipe": (state(lambda g: g.pipe("w.safetensors")), "there is no weights file"),
    "a name of 5,000 letters": (state(lambda g: "x" * 5_000 + ".pt"), "is too long"),
    "the home of nobody": (state(lambda g: "~nobody-here/w.pt"), "home of nobody"),
}  # fmt: skip

_SIZES = {
    "hidden size": {"hidden_size": 10**12},
    "hidden size below 0": {"hidden_size": -48},
    "a text": {"hidden_size": "48"},
    "endless": {"hidden_size": float("inf")},
    "no number": {"hidden_size": float("nan")},
    "a million layers": {"num_hidden_layers": 10**6},
    "no layers": {"num_hidden_layers": 0},
    "no heads": {"num_attention_heads": 0},
    "a billion heads": {"num_key_value_heads": 10**9},
    "wide heads": {"head_dim": 10**12},
    "a wide middle": {"intermediate_size": 10**13},
    "endless words": {"vocab_size": 10**12},
    "no words": {"vocab_size": 0},
    "ten billion labels": {"num_labels": 10**10},
    "no place": {"max_position_embeddings": -3},
}
CONFIGS: dict[str, Row] = {
    **{
        name: (planned(lambda g, c=changes: g.config(**c)), rf"gives {next(iter(changes))} as")
        for name, changes in _SIZES.items()
    },
    "far larger than its weights": (
        loaded(lambda g: g.config(intermediate_size=10**6)), "describes .* parameters, and its we",
    ),
    "deep": (planned(lambda g: g.copy(config__json="[" * 10**6)), "recursion"),
    "40 MB": (planned(lambda g: g.copy(config__json=" " * (40 * MIB))), "takes 41,943,040 bytes"),
    "no text": (planned(lambda g: g.copy(config__json=b"\xff\xfe\0")), "cannot be read"),
    "a pipe": (
        loaded(lambda g: _piped(g.copy("config.json"), "config.json")), "neither plan.json nor con",
    ),
    "unknown rope": (
        planned(lambda g: g.config(rope_parameters={"rope_type": "evil"})), "KeyError 'evil'",
    ),
    "unknown activation": (planned(lambda g: g.config(hidden_act="eval")), "'eval'"),
    "a type with a path": (planned(lambda g: g.config(model_type="../../x")), "no model family"),
    "no type": (planned(lambda g: g.config(model_type=["llama"])), "cannot be read"),
    "odd number type": (planned(lambda g: g.config(dtype="os.system")), "cannot be read"),
    "padding out of the words": (planned(lambda g: g.config(pad_token_id=10**12)), "padding_idx|P"),
    "weights elsewhere": (
        loaded(lambda g: g.config(transformers_weights="../../../etc/passwd")), "neither a safet",
    ),
    "code of its own": (
        loaded(
            lambda g: _remote(
                g,
                model_type="evil",
                auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"},
            )
        ),
        "brings its own code, which would have to run.*--trust-remote-code",
    ),
    "odd code": (planned(lambda g: g.config(auto_map=3)), "cannot be read"),
    "quantised by nobody": (
        planned(lambda g: g.config(quantization_config={"quant_method": "evil"})), "quantised",
    ),
}  # fmt: skip
INDEXES: dict[str, Row] = {
    "out of the folder": (loaded(lambda g: g.indexed("../../../../etc/passwd")), "no weights file"),
    "absolute": (loaded(lambda g: g.indexed("/etc/passwd")), "lie in '/etc/passwd'"),
    "a neighbour": (loaded(lambda g: g.indexed(f"../../dense/{WEIGHTS}")), "beside it"),
    "itself": (loaded(lambda g: g.indexed(INDEX)), "beside it"),
    "the folder": (loaded(lambda g: g.indexed(".")), "beside it"),
    "NUL": (loaded(lambda g: g.indexed("a\0b")), "beside it"),
    "endless": (loaded(lambda g: g.indexed("x" * 5_000)), "beside it"),
    "missing": (loaded(lambda g: g.indexed("model-1.safetensors")), "lacks model-1"),
    "a list": (
        loaded(lambda g: g.copy(WEIGHTS, **{INDEX.replace(".", "__"): "[]"})), "index of weights",
    ),
    "deep": (
        loaded(lambda g: g.copy(WEIGHTS, **{INDEX.replace(".", "__"): "[" * 10**6})), "Recursion",
    ),
    "read block by block": (
        lambda g: [
            "prune", g.indexed("../../x.safetensors"), "--sparsity", 0.5, "--samples", 2,
            "--calibration", f"text:{g.text}", "--seqlen", 16, "--host-memory", "64GiB",
            "--out", g.place() / "out",
        ],
        "beside it",
    ),
}  # fmt: skip
GGUF: dict[str, Row] = {
    "a pipe": (loaded(lambda g: g.pipe("m.gguf")), "is no file"),
    "endless": (loaded(lambda g: g.endless("m.gguf")), "is no file"),
    "a folder": (loaded(lambda g: _folder(g, "m.gguf")), "neither plan.json nor config.json"),
    "more entries than bytes": (
        loaded(lambda g: g.file("m.gguf", b"GGUF\3\0\0\0" + b"\xff" * 64)), "is not a GGUF file",
    ),
    "a million layers": (
        loaded(lambda g: gguf(g.place(), "llama.block_count", _number(10**6))),
        "gives num_hidden_layers as 1000000",
    ),
    "no layers": (
        loaded(lambda g: gguf(g.place(), "llama.block_count", _number(0))), "hidden_layers as 0",
    ),
    "far larger than it is": (
        loaded(lambda g: gguf(g.place(), "llama.feed_forward_length", _number(10**6))),
        "describes .* parameters, and its weights take",
    ),
    "a text without end": (
        loaded(lambda g: gguf(g.place(), "general.name", _number(2**60, 8))), "cannot be read",
    ),
    "a list without end": (
        loaded(lambda g: gguf(g.place(), "tokenizer.ggml.tokens", _number(2**50, 8), 4)),
        "cannot be read",
    ),
    "a list of another kind": (
        loaded(lambda g: gguf(g.place(), "tokenizer.ggml.tokens", _number(77))), "cannot be read",
    ),
    "a value of no kind": (
        loaded(lambda g: gguf(g.place(), "general.name", _number(99), -4)), "cannot be read",
    ),
}  # fmt: skip


def _number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def _folder(g: Ground, name: str) -> Path:
    path = g.place(name)
    path.mkdir()
    return path


def _in_parts(g: Ground, content: bytes) -> Path:
    """Return a model with a pickle as the only one of its parts."""
    name = "pytorch_model-00001-of-00001.bin"
    index = {"metadata": {}, "weight_map": dict.fromkeys(g.state(), name)}
    target = g.copy(WEIGHTS, pytorch_model__bin__index__json=json.dumps(index))
    (target / name).write_bytes(content)
    return target


CHAIN = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1_000}
    ] * 3,
}  # fmt: skip
# What tokenizers do have: twenty rules that replace a character by another.
USUAL = [
    {"type": "Replace", "pattern": kind, "content": "-"}
    for kind in ({"String": "\u2014"}, {"Regex": "[\u2010-\u2015]+"})
] * 10
DOUBLING = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"Regex": "(?=a)|x*"}, "content": "a"}],
}
TOKENIZERS: dict[str, Row] = {
    "no JSON": (loaded(lambda g: g.copy(tokenizer__json="")), "the tokenizer of"),
    "deep": (loaded(lambda g: g.copy(tokenizer__json='{"model":' * 10**5)), "the tokenizer of"),
    "merges of what is not there": (
        loaded(
            lambda g: g.copy(
                tokenizer__json=edited(
                    json.loads((g.model / "tokenizer.json").read_text()),
                    "model", "merges", to=[["a", "b"]] * 10**5,
                )
            )
        ),
        "out of vocabulary",
    ),
    "a length that is a text": (
        loaded(lambda g: g.tokenizer(model_max_length="x")), "the tokenizer of",
    ),
    "tokens of another kind": (loaded(lambda g: g.tokenizer(eos_token=5)), "the tokenizer of"),
    "a class with code": (
        loaded(
            lambda g: g.tokenizer(
                auto_map={"AutoTokenizer": ["evil.Evil", None]}, tokenizer_class="Evil"
            )
        ),
        "its own code|cannot be read",
    ),
    "a pipe": (
        loaded(lambda g: _piped(g.copy("tokenizer.json"), "tokenizer.json")), "a device or a pipe",
    ),
    "a normaliser of 10^9": (
        loaded(lambda g: g.ruled("normalizer", **CHAIN)), "normalizer in .* more than 1,000 char",
    ),
    "a normaliser of 10^9 from the hub": (
        loaded(lambda g: g.cached(g.ruled("normalizer", **CHAIN))), "makes more than 1,000 char",
    ),
    "a normaliser in a normaliser": (
        loaded(
            lambda g: g.ruled("normalizer", type="Sequence", normalizers=[DOUBLING] * 30)
        ),
        "makes more than 1,000 char",
    ),
    "a decoder of 10^9": (
        loaded(lambda g: g.ruled("decoder", type="Sequence", decoders=CHAIN["normalizers"])),
        "decoder in .* makes more than",
    ),
}  # fmt: skip
TEXTS: dict[str, Row] = {
    "a pipe": (read(lambda g: g.pipe("a.txt")), "is a device or a pipe"),
    "endless": (read(lambda g: g.endless("a.jsonl")), "is a device or a pipe"),
    "gzip bomb": (
        read(lambda g: g.file("a.jsonl.gz", gzip.compress(b"x" * (80 * MIB), 1))), "longer than",
    ),
    "xz bomb": (
        read(lambda g: g.file("a.jsonl.xz", lzma.compress(b"x" * (70 * MIB), preset=0))), "longer",
    ),
    "deep": (read(lambda g: g.file("a.jsonl", '{"text":' * 10**5)), "line 1 of .* is not JSON"),
    "half a character": (
        read(lambda g: g.file("a.jsonl", '{"text": "a\\ud800b"}\n' * 20)), "half of a character",
    ),
    "a number": (read(lambda g: g.file("a.jsonl", '{"text": 1e400}')), "has no text"),
    "not UTF-8": (read(lambda g: g.file("a.txt", b"abc\xff")), "byte 0xff at offset 3"),
    "damaged parquet": (
        read(lambda g: g.file("a.parquet", b"PAR1" + b"\xff" * 64 + b"PAR1")), "cannot be read",
    ),
    "parquet of numbers": (read(lambda g: _parquet(g, text=[1, 2])), "has no text"),
    "a folder in itself": (
        read(lambda g: _looped(g)), "holds no text",
    ),
    "own: a pipe": (lambda g: evaluated(g.model, f"own:{g.pipe('a.csv')}"), "a device or a pipe"),
    "a prefix that is none": (lambda g: evaluated(g.model, "\x1b[31mred:x"), "nknown data prefix"),
    "a name of a megabyte": (read(lambda g: "x" * 100_000), "is too long"),
}  # fmt: skip


def _looped(g: Ground) -> Path:
    folder = g.place()
    (folder / "again").symlink_to(folder)
    return folder


PICTURES: dict[str, Row] = {
    "PNG of ten gigapixels": (
        seen(lambda g: g.pictures(png(10**5, 10**5))), "too large to be decoded safely",
    ),
    "PNG of all pixels there are": (
        seen(lambda g: g.pictures(png(2**31 - 1, 2**31 - 1))), "too large to be decoded|readable",
    ),
    "GIF of four gigapixels": (
        seen(lambda g: g.pictures(gif(65535, 65535), "a.gif")), "too large to be decoded safely",
    ),
    "TIFF of a billion columns": (
        seen(lambda g: g.pictures(tiff(10**9), "a.tif")), "too large to be decoded safely",
    ),
    "cut short": (seen(lambda g: g.pictures(picture("PNG", (99, 99))[:60])), "not a readable"),
    "PostScript": (
        seen(
            lambda g: g.pictures(
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
                + f"({g.canary}) (w) file closefile\n".encode()
            )
        ),
        "not a readable image",
    ),
    "SVG": (seen(lambda g: g.pictures(b"<svg onload='alert(1)'/>")), "not a readable image"),
    "PPM that says it is large": (
        seen(lambda g: g.pictures(b"P6 100000 100000 255\n", "a.ppm")), "too large to be decoded",
    ),
    "links to a device": (seen(lambda g: _device(g)), "holds no images"),
    "ten gigapixels in parquet": (
        seen(
            lambda g: f"images:{_parquet(g, image=[png(10**5, 10**5)] * 2, label=[0, 1])}"
        ),
        "too large to be decoded safely",
    ),
    "labels out of range": (
        seen(lambda g: f"images:{_parquet(g, image=[picture('PNG')], label=[2**62])}"),
        "outside the model's classes",
    ),
    "a path in the place of a picture": (
        seen(
            lambda g: "images:"
            + str(_parquet(g, image=[{"bytes": None, "path": "/etc/passwd"}], label=[0]))
        ),
        "holds no encoded image",
    ),
    "another CIFAR": (
        seen(
            lambda g: "images:"
            + str(_cifar(g))
        ),
        "is not the original CIFAR-10",
    ),
}  # fmt: skip


def _device(g: Ground) -> str:
    spec = g.pictures(b"")
    folder = Path(spec.partition(":")[2]) / "c0"
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "b.png")
    return spec


def _cifar(g: Ground) -> Path:
    folder = g.place("cifar-10-batches-py")
    folder.mkdir()
    (folder / "test_batch").write_bytes(raw_pickle(Bomb(g.canary)))
    return folder


ARGUMENTS: dict[str, Row] = {
    "a model with control characters": (
        lambda g: evaluated("a\n\x1b[31mb\u202e", f"text:{g.text}"), r"no model a \\x1b\[31",
    ),
    "a model that is not UTF-8": (lambda g: evaluated("\udcff", f"text:{g.text}"), "not UTF-8"),
    "endless share": (lambda g: _pruning(g, "--sparsity", "1e400"), "sparsity is inf"),
    "no share": (lambda g: _pruning(g, "--sparsity", "nan"), "sparsity is nan"),
    "more samples than there are numbers": (
        lambda g: _pruning(g, "--sparsity", 0.5, "--samples", "9" * 400), "samples has 1329 bits",
    ),
    "a number of 5,000 digits": (
        lambda g: _pruning(g, "--sparsity", 0.5, "--samples", "9" * 5000), "not a whole number",
    ),
    "a plan for endless samples": (
        lambda g: ["plan", "cifar/resnet20", "--samples", "9" * 4000], "samples has",
    ),
    "pictures of ten billion pixels a side": (
        lambda g: ["plan", "torchvision/resnet50", "--image-size", 10**13], "image_size is 1000",
    ),
    "a batch larger than the machine": (
        lambda g: ["measure", "cifar/resnet20", "--weights", "random", "--batch-size", 10**11],
        "memory ran out",
    ),
    "a million threads": (
        lambda g: ["measure", "cifar/resnet20", "--weights", "random", "--threads", 10**6],
        "threads is 1000000",
    ),
    "weights of a mix without proportion": (
        seen(lambda g: "mix:1e-320*demo:factory+1e308*demo:factory"), "Weights are above 0, from",
    ),
    "an endless disturbance": (seen(lambda g: "mix:2*demo:factory~blur=1e400"), "1e400|inf"),
    "a problem larger than the machine": (
        lambda g: ["bench", "solver", "--features", 10**12], "features is 1000000000000",
    ),
    "a place below a device": (
        lambda g: ["monitor", "export", "cifar/resnet20", "--out", "/dev/null/x"], "error",
    ),
    "a plan that is endless": (
        lambda g: ["prune", g.model, "--plan", g.endless("p.json"), "--out", g.place() / "o"],
        "which is no file",
    ),
    "a run that is a pipe": (lambda g: ["savings", "--run", g.pipe("r.json")], "which is no file"),
    "a measurement that is deep": (
        lambda g: ["savings", "--measure", g.file("m.json", "[" * 10**6)], "is not JSON",
    ),
    "a measurement of other things": (
        lambda g: ["savings", "--measure", g.file("m.json", '{"dense": 1, "pruned": []}')],
        "SpeedComparison lacks|is 1",
    ),
    "a survey that is a pipe": (
        lambda g: ["estimate", _piped(g.place(), "survey.json"), "--goal", "removed=0.5"],
        "is no file",
    ),
    "a problem that is a pipe": (
        lambda g: ["bench", "solver", "--problem", g.pipe("p.safetensors")], "is no file",
    ),
    "a report of a run with numbers beyond all": (
        lambda g: ["savings", "--run", g.file("result.json", '{"speedup": 1e400}')], "missing",
    ),
}  # fmt: skip


def _pruning(g: Ground, *options: object) -> Argv:
    return [
        "prune", "cifar/resnet20", "--weights", "random", "--calibration", "demo:factory",
        *options, "--out", g.place() / "out",
    ]  # fmt: skip


TABLE = {
    f"{kind}: {name}": row
    for kind, rows in (
        ("safetensors", SAFETENSORS),
        ("pickle", PICKLES),
        ("config", CONFIGS),
        ("index", INDEXES),
        ("gguf", GGUF),
        ("tokenizer", TOKENIZERS),
        ("text", TEXTS),
        ("pictures", PICTURES),
        ("arguments", ARGUMENTS),
    )
    for name, row in rows.items()
}


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused_in_words_and_nothing_else_happens(
    ground: Ground, contained: Contained, name: str
) -> None:
    make, words = TABLE[name]
    ended = contained.run(make(ground))
    assert re.search(words, ended.reason), ended.reason
    assert ended.err.rstrip("\n").isprintable()
    assert len(ended.err) < MOST_WORDS
    assert ended.megabytes < MOST_MEGABYTES
    assert ended.seconds < MOST_SECONDS
    assert not ground.canary.exists()


def test_the_good_ones_do_get_in(ground: Ground, contained: Contained) -> None:
    """The rows above would pass if everything were refused."""
    for make in (
        loaded(lambda g: g.copy()),
        loaded(lambda g: g.cached(g.copy())),
        loaded(lambda g: g.cached(g.pickled(g.state()))),
        loaded(lambda g: g.ruled("normalizer", type="Sequence", normalizers=USUAL)),
        loaded(lambda g: g.pickled(g.state())),
        loaded(lambda g: g.valued(1e-42)),
        loaded(lambda g: g.config(return_dict=False)),
        # Its own code is not needed, and not run, where the model is a known one.
        loaded(lambda g: _remote(g, auto_map={"AutoModelForCausalLM": "evil.Evil"})),
        seen(lambda g: g.pictures(picture("PNG"))),
    ):
        ended = contained.run(make(ground))
        assert ended.code == 0, ended.err
    assert not ground.canary.exists()


PLANS: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "deep": (lambda p: "[" * 10**6, "not valid JSON"),
    "a number beyond all": (
        lambda p: edited(p, "spec", "damping", to=1).replace('"damping": 1', '"damping": 1e400'),
        "damping is inf",
    ),
    "a group below 0": (lambda p: edited(p, "units", 0, "kept", to=[-1]), "bad indices"),
    "a group of 70 bits": (lambda p: edited(p, "units", 0, "kept", to=[2**70]), "bad indices"),
    "groups as text": (lambda p: edited(p, "units", 0, "kept", to="01"), r"kept is '01'"),
    "an endless name": (
        lambda p: edited(p, "units", 0, "name", to="x" * 10**6),
        "Units are called by module paths",
    ),
    "half a character": (
        lambda p: edited(p, "created", to="\ud800"),
        "without halves of characters",
    ),
    "a name that reaches for more": (
        lambda p: edited(p, "units", 0, "name", to="__class__.__init__"),
        "no such unit",
    ),
    "all of it 1,000 times": (lambda p: edited(p, "units", to=p["units"] * 1000), "says twice"),
    "no structure": (lambda p: edited(p, "units", 0, "structure", to=["x"]), "structure"),
    "no type": (lambda p: edited(p, "dtype", to="object"), "dtype"),
    "another kind": (lambda p: edited(p, "source", "task", to="video"), "task is 'video'"),
    "a newer format": (lambda p: edited(p, "version", to=99), "format version 99"),
    "unknown fields": (lambda p: edited(p, "run_me", to=1), "unknown fields"),
    "the same field twice": (lambda p: json.dumps(p)[:-1] + ', "units": [{}]}', "lacks"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_read_with_care(
    ground: Ground, contained: Contained, pruned: Path, name: str
) -> None:
    change, words = PLANS[name]
    plan = change(json.loads((pruned / "plan.json").read_text()))
    folder = ground.place()
    for file in pruned.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "plan.json").write_text(plan, encoding="utf8")
    ended = contained.run(evaluated(folder, f"text:{ground.text}"))
    assert re.search(words, ended.reason), ended.reason
    assert len(ended.err) < MOST_WORDS
    assert ended.megabytes < MOST_MEGABYTES
    assert ended.seconds < MOST_SECONDS


def test_generation_settings_that_are_none_are_refused(
    ground: Ground, contained: Contained, pruned: Path
) -> None:
    folder = ground.place()
    for file in pruned.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "generation_config.json").write_text("[" * 10**5)
    assert "cannot be read" in contained.run(evaluated(folder, f"text:{ground.text}")).reason


@pytest.mark.parametrize("name", ["OSSCAR_ASSETS", "TORCH_HOME", "HF_HUB_CACHE", "HF_HOME"])
def test_an_environment_that_makes_no_sense_is_told(contained: Contained, name: str) -> None:
    known = {"HF_HUB_CACHE": ""} if name == "HF_HOME" else {}
    for value, words in (("~nobody-here/x", "home of nobody"), ("x" * 5_000, "is too long")):
        ended = contained.run(["models"], {**known, name: value})
        assert words in ended.reason
        assert len(ended.err) < MOST_WORDS


def test_what_is_printed_moves_no_cursor(ground: Ground, contained: Contained) -> None:
    """Names of files and classes reach a terminal and programs that read JSON."""
    rows = "text,line\n" + "the pump leaks,\u202e\u009b31mA\n" * 12
    file = ground.file("a.csv", rows)
    for option in ((), ("--json",)):
        ended = contained.run(["data", "check", file, "--model", ground.model, *option])
        assert not set(ended.out) & set("\x1b\x9b\u202e")


def test_pickled_names_are_unused() -> None:
    """What tests name, the package calls so too."""
    from osscar_core.models import weights

    assert weights.INDEX_FILE == INDEX
    assert PICKLE.endswith(weights.PICKLES)
