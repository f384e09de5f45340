"""Which models can be named, and whether their weights are at hand.

The decision hidden here: where weights are looked for without loading anything. This
module imports neither torch nor a model library, so that lists appear at once.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osscar_core.records import Structure, Task

State = Literal["ready", "needs download", "needs weights file"]

OTHER_SOURCES = (
    "any Hugging Face id or local directory of the families opt and llama "
    "(Llama, Mistral, Qwen2), a .gguf file, or a directory written by this tool"
)

_CIFAR_PARAMETERS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}

# Name -> parameters with 1,000 classes, file of the weights that torchvision prefers.
_TORCHVISION = {
    "resnet18": (11_689_512, "resnet18-f37072fd.pth"),
    "resnet34": (21_797_672, "resnet34-b627a593.pth"),
    "resnet50": (25_557_032, "resnet50-11ad3fa6.pth"),
    "resnet101": (44_549_160, "resnet101-cd907fc2.pth"),
    "resnet152": (60_192_808, "resnet152-f82ba261.pth"),
    "wide_resnet50_2": (68_883_240, "wide_resnet50_2-9ba9bcbe.pth"),
    "wide_resnet101_2": (126_886_696, "wide_resnet101_2-d733dc28.pth"),
}

_HUB_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True, slots=True)
class OptShape:
    """The sizes that tell one OPT model from another.

    Attributes:
        hidden: Width of the residual stream.
        layers: Number of decoder layers.
        heads: Attention heads a layer.
        embedding: Width of the word embedding, projected to ``hidden`` if it differs.
        norm_first: Whether layer norms come before the branches.
    """

    hidden: int
    layers: int
    heads: int
    embedding: int
    norm_first: bool = True
    vocabulary: int = 50_272
    positions: int = 2_048

    @property
    def neurons(self) -> int:
        """Feed-forward width."""
        return 4 * self.hidden

    @property
    def parameters(self) -> int:
        """Number of parameters; the output layer shares the word embedding."""
        d = self.hidden
        layer = 4 * (d * d + d) + 2 * d * self.neurons + self.neurons + d + 4 * d
        projections = 2 * self.embedding * d if self.embedding != d else 0
        final_norm = 2 * d if self.norm_first else 0
        embeddings = self.vocabulary * self.embedding + (self.positions + 2) * d
        return embeddings + projections + final_norm + self.layers * layer


OPT_SHAPES = {
    "facebook/opt-125m": OptShape(768, 12, 12, 768),
    "facebook/opt-350m": OptShape(1024, 24, 16, 512, norm_first=False),
    "facebook/opt-1.3b": OptShape(2048, 24, 32, 2048),
    "facebook/opt-2.7b": OptShape(2560, 32, 32, 2560),
    "facebook/opt-6.7b": OptShape(4096, 32, 32, 4096),
    "facebook/opt-13b": OptShape(5120, 40, 40, 5120),
    "facebook/opt-30b": OptShape(7168, 48, 56, 7168),
}


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be named.

    Attributes:
        name: What to write as the model.
        family: Adapter family.
        task: ``text`` or ``image``.
        structures: What can be removed.
        parameters: Number of parameters, shared ones once.
        weights: Where its weights come from, in words.
        state: Whether they are at hand.
        hint: What to do about it; empty when ready.
    """

    name: str
    family: str
    task: Task
    structures: tuple[Structure, ...]
    parameters: int
    weights: str
    state: State
    hint: str = ""


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return the models that can be named, with the state of their weights now.

    Besides these, `OTHER_SOURCES` are accepted.
    """
    return (
        *(_cifar(depth) for depth in _CIFAR_PARAMETERS),
        *(_torchvision(name) for name in _TORCHVISION),
        *(_hub(name, "opt", shape.parameters) for name, shape in OPT_SHAPES.items()),
        _hub("HuggingFaceTB/SmolLM2-135M", "llama", 134_515_008),
    )


def torch_hub_folder() -> Path:
    """Return the folder in which torch keeps downloaded checkpoints."""
    home = os.environ.get("TORCH_HOME") or _cache_home() / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def hub_cache_folder() -> Path:
    """Return the folder in which Hugging Face libraries keep downloaded repositories."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if cache:
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or _cache_home() / "huggingface"
    return Path(home).expanduser() / "hub"


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _cifar(depth: int) -> CatalogueEntry:
    return CatalogueEntry(
        name=f"cifar/resnet{depth}",
        family="cifar-resnet",
        task="image",
        structures=(Structure.CHANNELS,),
        parameters=_CIFAR_PARAMETERS[depth],
        weights="a file of yours (.safetensors or .pth)",
        state="needs weights file",
        hint="add --weights FILE, or --weights random to look at speed alone",
    )


def _torchvision(name: str) -> CatalogueEntry:
    parameters, file = _TORCHVISION[name]
    ready = (torch_hub_folder() / file).is_file()
    return CatalogueEntry(
        name=f"torchvision/{name}",
        family="resnet",
        task="image",
        structures=(Structure.CHANNELS,),
        parameters=parameters,
        weights=f"torchvision, trained on ImageNet ({file})",
        state="ready" if ready else "needs download",
        hint="" if ready else f"downloaded on first use, or put {file} in {torch_hub_folder()}",
    )


def _hub(name: str, family: str, parameters: int) -> CatalogueEntry:
    ready = _is_cached(name)
    return CatalogueEntry(
        name=name,
        family=family,
        task="text",
        structures=(Structure.HEADS, Structure.NEURONS),
        parameters=parameters,
        weights="Hugging Face Hub",
        state="ready" if ready else "needs download",
        hint="" if ready else f"downloaded on first use, or run: hf download {name}",
    )


def _is_cached(name: str) -> bool:
    """Return whether some cached revision of a hub repository has config and all weights."""
    snapshots = hub_cache_folder() / f"models--{name.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return False
    return any(_is_complete(folder) for folder in snapshots.iterdir())


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").exists() and missing_weights(folder) == ()


def missing_weights(folder: Path) -> tuple[str, ...]:
    """Return the names of the weight files that a model directory lacks; empty if none.

    The first kind of weights there is, in the order in which `transformers` looks,
    decides; an index that cannot be read counts as lacking.
    """
    for name in _HUB_WEIGHTS:
        file = folder / name
        if not file.exists():
            continue
        if not name.endswith(".json"):
            return ()
        try:
            shards = set(json.loads(file.read_bytes())["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return (name,)
        return tuple(sorted(str(shard) for shard in shards if not (folder / str(shard)).exists()))
    return (_HUB_WEIGHTS[0],)
