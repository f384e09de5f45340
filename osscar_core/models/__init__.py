"""Models: named, loaded, saved.

The decision hidden here: what a model's name means. `load_model` takes a catalogue
name, a Hugging Face id, a directory or a file, and returns the same `LoadedModel` for
all of them.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import torch

from osscar_core.catalogue import (
    DEMO_MODELS,
    OWN_LICENCE,
    CatalogueEntry,
    catalogue,
    demo_folder,
    demo_remedy,
)
from osscar_core.errors import SpecError, WeightsError, unknown_name
from osscar_core.models.images import ARCHITECTURES, load_image_model
from osscar_core.models.loaded import LoadedModel, resolve_device
from osscar_core.models.store import (
    PLAN_FILE,
    check_output,
    load_pruned,
    save_pruned,
    save_streamed,
    state_bytes,
    stored_state,
)
from osscar_core.models.text import load_text_model
from osscar_core.models.weights import sha256
from osscar_core.storage import given_path

__all__ = [
    "CatalogueEntry",
    "LoadedModel",
    "can_stream",
    "catalogue",
    "check_hub_id",
    "check_output",
    "load_model",
    "resolve_device",
    "save_pruned",
    "save_streamed",
    "state_bytes",
    "stored_state",
]

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def load_model(
    name: str,
    *,
    weights: str | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    compute_device: torch.device | None = None,
    image_size: int | None = None,
    trust_remote_code: bool = False,
    is_streamed: bool = False,
) -> LoadedModel:
    """Load a model.

    Args:
        name: A catalogue name such as ``demo/opt`` or ``torchvision/resnet50``; a Hugging
            Face id; a directory with ``config.json``; a ``.gguf`` file; or a
            directory written by `save_pruned`.
        weights: For networks built from code, a file with their weights; ``random`` for
            a never-trained model (seed 0); ``None`` for the model's own.
        device: Where the model is put: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``float16`` or ``bfloat16`` to store and compute in; or
            ``auto``, which stores as the checkpoint does and computes so too, except
            that half precision becomes float32 on a CPU.
        compute_device: Where forward passes will run, if not on ``device``; it decides
            what ``auto`` means for ``dtype``.
        image_size: Side in pixels of the network's input, for torchvision models
            trained on images of another size.
        trust_remote_code: Allow code that comes with a repository to run.
        is_streamed: Leave the weights of a language model's blocks in their files, to be
            read one block at a time; it stays on the host.

    Raises:
        SpecError: The name or a setting makes no sense.
        UnknownModelError: The model belongs to no family here.
        WeightsError: Weights are missing, unsafe, damaged, not finite, or do not fit.
    """
    place = resolve_device(device)
    compute = compute_device or place
    path = given_path(name)
    is_file = path.suffix.lower() == ".gguf"
    is_image = name in ARCHITECTURES
    is_demo_text = name in DEMO_MODELS and not is_image
    if not is_image:
        if image_size is not None:
            raise SpecError(
                f"image_size is given for {name}", "It is for torchvision models; leave it out"
            )
        if not is_file and not is_demo_text and not path.is_dir():
            check_hub_id(name, path)
    if is_streamed and not can_stream(name, weights):
        raise SpecError(
            f"the blocks of {name} cannot be read one at a time",
            "That is for dense language models; leave the memory budget out",
        )
    if is_image:
        loaded = load_image_model(
            name, weights=weights, dtype=dtype, device=compute, image_size=image_size
        )
    elif is_demo_text:
        loaded = _load_demo_text(
            name, weights=weights, dtype=dtype, device=compute, is_streamed=is_streamed
        )
    elif not is_file and (path / PLAN_FILE).is_file():
        if weights is not None:
            raise SpecError(
                f"weights are given for {name}, which holds its own", "Leave --weights out"
            )
        loaded = load_pruned(
            path, name=name, dtype=dtype, device=compute, trust_remote_code=trust_remote_code
        )
    else:
        if path.is_dir() and not (path / "config.json").is_file():
            raise WeightsError(
                f"{path} holds neither {PLAN_FILE} nor config.json",
                "Give a directory written by this tool or by save_pretrained",
            )
        loaded = load_text_model(
            name,
            weights=weights,
            dtype=dtype,
            device=compute,
            trust_remote_code=trust_remote_code,
            is_streamed=is_streamed,
        )
    if loaded.blocks is None:
        loaded.module.to(place)
    return loaded


def can_stream(name: str, weights: str | None = None) -> bool:
    """Return whether a model's blocks can be read one at a time, as far as its name tells.

    Args:
        name: As for `load_model`.
        weights: As for `load_model`.
    """
    path = given_path(name)
    is_whole = name in ARCHITECTURES or path.suffix.lower() == ".gguf"
    is_pruned = (path / PLAN_FILE).is_file()
    return not (is_whole or is_pruned) and weights in (None, "random")


def _load_demo_text(
    name: str, *, weights: str | None, dtype: str, device: torch.device, is_streamed: bool
) -> LoadedModel:
    """Load a language model from the project's own files, and call it by its name."""
    folder = demo_folder(name)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"the weights of {name} are not in {folder}", demo_remedy(name))
    loaded = load_text_model(
        str(folder), weights=weights, dtype=dtype, device=device, is_streamed=is_streamed
    )
    if loaded.tokenizer is not None:
        loaded.tokenizer.name_or_path = name
    source = dataclasses.replace(
        loaded.source, model=name, tokenizer=name, licence=loaded.source.licence or OWN_LICENCE
    )
    if weights is None:
        source = dataclasses.replace(source, weights=name, sha256=sha256(folder))
    loaded.source = source
    return loaded


def check_hub_id(name: str, path: Path) -> None:
    """Refuse what cannot be a hub id, before anything is asked of the hub.

    Args:
        name: The model as asked for.
        path: The same as a path.

    Raises:
        SpecError: It is a file of weights, or nearly a name that is known.
        WeightsError: It is neither an id nor a path that is there.
    """
    if path.is_file():
        raise SpecError(
            f"{name} is a file of weights, not a model",
            "Name the model, such as cifar/resnet20, and give the file with --weights",
        )
    known = tuple(entry.name for entry in catalogue())
    if name.partition("/")[0] in {"cifar", "torchvision", "demo"}:
        raise unknown_name("model", name, tuple(dict.fromkeys((*DEMO_MODELS, *ARCHITECTURES))))
    if not _HUB_ID.fullmatch(name):
        raise WeightsError(
            f"there is no model {name}", f"Give a path, or one of {', '.join(known)}"
        )
    tails = {full.rpartition("/")[2].lower(): full for full in known}
    if name.lower() in tails:
        raise SpecError(f"unknown model '{name}'", f"Did you mean '{tails[name.lower()]}'?")
