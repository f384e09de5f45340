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
from osscar_core.storage import given_path

State = Literal["ready", "weights missing", "needs download", "needs weights file"]

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

OWN_LICENCE = "apache-2.0"
"""Licence of the demo models, which is that of this project."""

ASSETS_VARIABLE = "OSSCAR_ASSETS"
"""Environment variable that names another folder than the project's ``assets``."""

# What pruning takes: the libraries and the data; float32 weights, of one block twice; and
# about six square matrices in float64 for the widest layer. Measured: 1.4 GB for demo/opt,
# 2.1 GB for demo/resnet50.
_BASE_MEMORY = 1.1e9
_BYTES_A_PARAMETER = 5
_BYTES_A_FEATURE_SQUARED = 48

HUB_WEIGHTS = (
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
class DemoModel:
    """A model whose weights come with the project.

    Attributes:
        family: Adapter family.
        task: ``text`` or ``image``.
        structures: What can be removed.
        parameters: Number of parameters, shared ones once.
        widest: Input features of the widest layer that is pruned.
        data: Data that it was trained for; its parts serve calibration and evaluation.
        samples: Calibration items used where nobody said how many: as many as leave the
            whole run on two cores below a minute or so.
        training: Command that makes its weights.
    """

    family: str
    task: Task
    structures: tuple[Structure, ...]
    parameters: int
    widest: int
    data: str
    samples: int
    training: str


DEMO_MODELS = {
    "demo/resnet50": DemoModel(
        "resnet",
        "image",
        (Structure.CHANNELS,),
        23_524_424,
        4608,
        "demo:factory",
        256,
        "python -m osscar_core.demo.train_resnet50",
    ),
    "demo/opt": DemoModel(
        "opt",
        "text",
        (Structure.HEADS, Structure.NEURONS),
        17_465_856,
        1536,
        "demo:plant-log",
        48,
        "python -m osscar_core.demo.train_opt --data FOLDER",
    ),
}
"""The models that work with nothing but a clone of the project."""


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
        widest: Input features of the widest layer that is pruned.
        data: Data that comes with it, used where none is named; ``None`` for most.
    """

    name: str
    family: str
    task: Task
    structures: tuple[Structure, ...]
    parameters: int
    weights: str
    state: State
    hint: str = ""
    widest: int = 0
    data: str | None = None

    @property
    def memory_bytes(self) -> int:
        """Memory that pruning it on a CPU takes, as a rule of thumb."""
        squares = _BYTES_A_FEATURE_SQUARED * self.widest**2
        return int(_BASE_MEMORY + _BYTES_A_PARAMETER * self.parameters + squares)


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Return the models that can be named, with the state of their weights now.

    Besides these, `OTHER_SOURCES` are accepted.
    """
    return (
        *(_demo(name) for name in DEMO_MODELS),
        *(_cifar(depth) for depth in _CIFAR_PARAMETERS),
        *(_torchvision(name) for name in _TORCHVISION),
        *(_hub(name, "opt", shape.parameters, shape.neurons) for name, shape in OPT_SHAPES.items()),
        _hub("HuggingFaceTB/SmolLM2-135M", "llama", 134_515_008, 1536),
    )


def own_data(model: str) -> str | None:
    """Return the data that comes with a model; ``None`` for models that bring none."""
    demo = DEMO_MODELS.get(model)
    return None if demo is None else demo.data


def own_samples(model: str) -> int | None:
    """Return how many calibration items suit a model; ``None`` where that is not known."""
    demo = DEMO_MODELS.get(model)
    return None if demo is None else demo.samples


def assets_folder() -> Path:
    """Return the folder of what comes with the project beside its code."""
    given = os.environ.get(ASSETS_VARIABLE) or Path(__file__).resolve().parent.parent / "assets"
    return given_path(str(given))


def demo_folder(name: str) -> Path:
    """Return the folder that holds, or should hold, the weights of a demo model.

    Args:
        name: A key of `DEMO_MODELS`.
    """
    return assets_folder() / "models" / name.rpartition("/")[2]


def demo_remedy(name: str) -> str:
    """Return how to come by the weights of a demo model."""
    folder = demo_folder(name)
    return (
        f"they come with a full copy of the project, in assets/models/{folder.name}; or train "
        f"them on a GPU: {DEMO_MODELS[name].training} --out {folder}"
    )


def torch_hub_folder() -> Path:
    """Return the folder in which torch keeps downloaded checkpoints."""
    home = os.environ.get("TORCH_HOME") or _cache_home() / "torch"
    return given_path(str(home)) / "hub" / "checkpoints"


def hub_cache_folder() -> Path:
    """Return the folder in which Hugging Face libraries keep downloaded repositories."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if cache:
        return given_path(cache)
    home = os.environ.get("HF_HOME") or _cache_home() / "huggingface"
    return given_path(str(home)) / "hub"


def _cache_home() -> Path:
    return given_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def _demo(name: str) -> CatalogueEntry:
    demo, folder = DEMO_MODELS[name], demo_folder(name)
    ready = missing_weights(folder) == ()
    return CatalogueEntry(
        name=name,
        family=demo.family,
        task=demo.task,
        structures=demo.structures,
        parameters=demo.parameters,
        weights=f"comes with the project, trained on {demo.data} and more",
        state="ready" if ready else "weights missing",
        hint="" if ready else demo_remedy(name),
        widest=demo.widest,
        data=demo.data,
    )


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
        widest=576,
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
        widest=9216 if name.startswith("wide") else 4608,
    )


def _hub(name: str, family: str, parameters: int, widest: int) -> CatalogueEntry:
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
        widest=widest,
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
    for name in HUB_WEIGHTS:
        file = folder / name
        if not file.exists():
            continue
        if not name.endswith(".json"):
            return ()
        try:
            shards = {str(one) for one in json.loads(file.read_bytes())["weight_map"].values()}
            return tuple(sorted(shard for shard in shards if not (folder / shard).exists()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return (name,)
    return (HUB_WEIGHTS[0],)
