"""Files that nobody should open without care: made small, and as bad as their formats allow."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import families

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
TENSOR = "model.layers.0.mlp.down_proj.weight"
OTHER = "model.layers.1.mlp.down_proj.weight"
MIB = 2**20


class Bomb:
    """An object whose unpickling leaves a trace."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


@dataclass
class Ground:
    """A folder with a good model and good data, to make bad ones from.

    Attributes:
        folder: Where all lies.
        model: A tiny Llama as `transformers` writes it.
        text: A file of text.
        canary: What appears if anything from a file is ever run.
    """

    folder: Path
    model: Path
    text: Path
    canary: Path
    count: int = 0

    @classmethod
    def made(cls, folder: Path) -> Ground:
        families.FAMILIES["llama"]().loaded(folder)
        text = folder / "text.txt"
        text.write_text("the pump leaks. " * 100, encoding="utf8")
        return cls(folder, folder / "dense", text, folder / "canary")

    def place(self, name: str = "") -> Path:
        """Return a new folder, or the path of a file in one."""
        self.count += 1
        made = self.folder / f"case-{self.count}"
        made.mkdir()
        return made / name if name else made

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.place(name)
        raw = content if isinstance(content, bytes) else content.encode("utf8", "surrogatepass")
        path.write_bytes(raw)
        return path

    def pipe(self, name: str) -> Path:
        path = self.place(name)
        os.mkfifo(path)
        return path

    def endless(self, name: str) -> Path:
        path = self.place(name)
        path.symlink_to("/dev/zero")
        return path

    def copy(self, *without: str, **files: bytes | str) -> Path:
        """Return a copy of the model; a name in ``files`` has ``__`` for its dots."""
        target = self.place("model")
        shutil.copytree(self.model, target)
        for name in without:
            (target / name).unlink()
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else content.encode("utf8", "surrogatepass")
            (target / name.replace("__", ".")).write_bytes(raw)
        return target

    def config(self, **changes: Any) -> Path:
        found = json.loads((self.model / "config.json").read_text())
        return self.copy(config__json=json.dumps({**found, **changes}))

    def tokenizer(self, **changes: Any) -> Path:
        found = json.loads((self.model / "tokenizer_config.json").read_text())
        return self.copy(tokenizer_config__json=json.dumps({**found, **changes}))

    def indexed(self, file: Any) -> Path:
        """Return a model whose index says that all tensors lie in ``file``."""
        names = load_file(self.model / WEIGHTS)
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, file)}
        return self.copy(WEIGHTS, **{INDEX.replace(".", "__"): json.dumps(index)})

    def weights(self, content: bytes) -> Path:
        return self.copy(model__safetensors=content)

    def header(self, change: Callable[[dict[str, Any]], object]) -> Path:
        """Return a model whose header of weights was changed."""
        head, data = self.stored()
        change(head)
        return self.weights(safetensors(json.dumps(head).encode(), data))

    def stored(self) -> tuple[dict[str, Any], bytes]:
        raw = (self.model / WEIGHTS).read_bytes()
        end = 8 + struct.unpack("<Q", raw[:8])[0]
        return json.loads(raw[8:end]), raw[end:]

    def valued(self, value: float) -> Path:
        """Return a model of which one tensor has this value everywhere."""
        state = load_file(self.model / WEIGHTS)
        state[TENSOR].fill_(value)
        target = self.copy()
        save_file(state, target / WEIGHTS, metadata={"format": "pt"})
        return target

    def pickled(self, value: object) -> Path:
        return self.copy(WEIGHTS, pytorch_model__bin=saved(value))

    def state(self) -> dict[str, Tensor]:
        return load_file(self.model / WEIGHTS)

    def ruled(self, part: str, **rules: Any) -> Path:
        """Return a model with rules of its own in a part of its tokenizer."""
        found = json.loads((self.model / "tokenizer.json").read_text())
        return self.copy(tokenizer__json=json.dumps({**found, part: rules}))

    def cached(self, model: Path) -> str:
        """Return the name under which a model lies among those from the hub."""
        self.count += 1
        commit = f"{self.count:040x}"
        folder = self.folder / "hf" / "hub" / f"models--evil--m{self.count}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        shutil.copytree(model, folder / "snapshots" / commit)
        return f"evil/m{self.count}"

    def pictures(self, content: bytes, name: str = "a.png") -> str:
        """Return a specification of ten folders of pictures, the first with one picture."""
        folder = self.place()
        for number in range(10):
            (folder / f"c{number}").mkdir()
        (folder / "c0" / name).write_bytes(content)
        return f"images:{folder}"


def gguf(folder: Path, key: str, content: bytes, skip: int = 0) -> Path:
    """Return a GGUF file with other bytes in the value of a field."""
    from gguf import GGUFReader

    from test_models import write_gguf

    file = folder / "m.gguf"
    write_gguf(file)
    start = GGUFReader(file).fields[key].offset + 8 + len(key) + 4 + skip
    raw = bytearray(file.read_bytes())
    raw[start : start + len(content)] = content
    file.write_bytes(raw)
    return file


def safetensors(header: bytes, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def saved(value: object, **settings: Any) -> bytes:
    """Return what `torch.save` makes of a value."""
    out = io.BytesIO()
    torch.save(value, out, **settings)
    return out.getvalue()


def bomb_archive(size: int = 400 * MIB) -> bytes:
    """Return an archive as `torch.save` writes it, whose pickle unpacks to ``size`` bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as member:
            for _ in range(size // (8 * MIB)):
                member.write(b"\0" * (8 * MIB))
        archive.writestr("archive/version", "3")
    return out.getvalue()


def raw_pickle(value: object) -> bytes:
    return pickle.dumps(value)


def png(width: int, height: int) -> bytes:
    """Return a PNG that says how large it is and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def gif(width: int, height: int) -> bytes:
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\x80\0\0" + b"\0" * 6 + b",\0\0\0\0" + size + b"\0\2\2D\1\0;"


def picture(kind: str, size: tuple[int, int] = (32, 32), **settings: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, kind, **settings)
    return out.getvalue()


def tiff(width: int) -> bytes:
    """Return a TIFF that says it is ``width`` pixels wide."""
    good, field = picture("TIFF"), struct.pack("<HHI", 256, 4, 1)
    assert good.count(field + struct.pack("<I", 32)) == 1
    return good.replace(field + struct.pack("<I", 32), field + struct.pack("<I", width))


def edited(values: Mapping[str, Any], *path: Any, to: Any) -> str:
    """Return values as JSON with one of them replaced."""
    whole = json.loads(json.dumps(values))
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return json.dumps(whole)
