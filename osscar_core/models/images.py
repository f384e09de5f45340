"""Image networks: built from code, filled from a file.

The decision hidden here: which networks can be named, where their weights come from
and how images are prepared for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.adapters import find_adapter
from osscar_core.catalogue import (
    DEMO_MODELS,
    OWN_LICENCE,
    demo_folder,
    demo_remedy,
    torch_hub_folder,
)
from osscar_core.errors import SpecError, WeightsError
from osscar_core.models.loaded import LoadedModel, Precision
from osscar_core.models.weights import fill_, read_state, sha256
from osscar_core.networks import cifar_resnet
from osscar_core.records import ImagePreprocess, SourceInfo, check_range
from osscar_core.storage import given_path

RANDOM = "random"

_MOST_PIXELS = 2**14

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CIFAR = ImagePreprocess(_MEAN, _STD, size=32)
_IMAGENET = ImagePreprocess(_MEAN, _STD, size=224, resize=256)
_FACTORY = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=64)
_FACTORY_CLASSES = ("good", "scratch", "pit", "crack", "stain", "dent", "inclusion", "scale")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be named.

    Attributes:
        build: Number of classes -> untrained network.
        classes: Number of classes unless the weights say otherwise.
        classifier: Name of the last layer's weight, (classes, features).
        preprocess: How images are prepared.
        published: Name in `torchvision` of weights that can be downloaded.
        any_size: Whether other image sizes make sense.
        class_names: What the class ids mean, where that is fixed.
    """

    build: Callable[[int], nn.Module]
    classes: int
    classifier: str
    preprocess: ImagePreprocess
    published: str | None = None
    any_size: bool = False
    class_names: tuple[str, ...] | None = None


def _build_torchvision(name: str, classes: int) -> nn.Module:
    import torchvision

    module: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes)
    return module


def _torchvision(name: str) -> Architecture:
    return Architecture(
        build=partial(_build_torchvision, name),
        classes=1000,
        classifier="fc.weight",
        preprocess=_IMAGENET,
        published=name,
        any_size=True,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "demo/resnet50": Architecture(
        build=partial(_build_torchvision, "resnet50"),
        classes=len(_FACTORY_CLASSES),
        classifier="fc.weight",
        preprocess=_FACTORY,
        class_names=_FACTORY_CLASSES,
    ),
    **{
        f"cifar/resnet{depth}": Architecture(
            partial(cifar_resnet, depth), 10, "linear.weight", _CIFAR
        )
        for depth in (20, 32, 44, 56, 110)
    },
    **{
        f"torchvision/{name}": _torchvision(name)
        for name in (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "wide_resnet50_2",
            "wide_resnet101_2",
        )
    },
}


def load_image_model(
    name: str,
    *,
    weights: str | None,
    dtype: str,
    device: torch.device,
    image_size: int | None = None,
) -> LoadedModel:
    """Build a network and fill it.

    Args:
        name: A key of `ARCHITECTURES`.
        weights: File, ``random``, or ``None`` for the published weights.
        dtype: Floating-point type, or ``auto`` for that of the file.
        device: Where forward passes will run.
        image_size: Side of the square that enters the network, for networks trained on
            images of another size than ImageNet's.

    Raises:
        SpecError: ``image_size`` where the size is fixed.
        WeightsError: The weights are missing, unsafe, damaged, or do not fit.
    """
    architecture = ARCHITECTURES[name]
    preprocess = _preprocess(name, architecture, weights, image_size)
    if weights == RANDOM:
        return _random(name, architecture, dtype, device, preprocess)
    path = _own_weights(name, architecture) if weights is None else given_path(weights)
    state = read_state(path)
    head = state.get(architecture.classifier)
    classes = architecture.classes if head is None or head.dim() != 2 else int(head.shape[0])
    precision = Precision.choose(dtype, _common_dtype(state), device)
    module = skeleton(architecture, classes)
    fill_(module, state, path, precision.compute)
    adapter = find_adapter(module)
    source = SourceInfo(
        model=name,
        family=adapter.family,
        task="image",
        weights=name if weights is None and name in DEMO_MODELS else str(path),
        sha256=sha256(path),
        preprocess=preprocess,
        classes=classes,
        class_names=_names(architecture, classes),
        licence=OWN_LICENCE if weights is None and name in DEMO_MODELS else None,
    )
    return LoadedModel(finished(module), adapter, source, precision.storage)


def skeleton(architecture: Architecture, classes: int) -> nn.Module:
    """Return the network with its parameters on the meta device."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        return architecture.build(classes)


def bare_network(
    name: str, *, weights: str | None = None, image_size: int | None = None
) -> tuple[nn.Module, ImagePreprocess]:
    """Return a network on the meta device, buffers too, and how its images are prepared.

    Args:
        name: A key of `ARCHITECTURES`.
        weights: As for `load_image_model`; nothing is read.
        image_size: As for `load_image_model`.

    Raises:
        SpecError: ``image_size`` where the size is fixed.
    """
    architecture = ARCHITECTURES[name]
    preprocess = _preprocess(name, architecture, weights, image_size)
    with torch.device("meta"):
        return finished(architecture.build(architecture.classes)), preprocess


def finished(module: nn.Module) -> nn.Module:
    """Return the module in evaluation mode and without gradients."""
    return module.eval().requires_grad_(requires_grad=False)


def _random(
    name: str,
    architecture: Architecture,
    dtype: str,
    device: torch.device,
    preprocess: ImagePreprocess,
) -> LoadedModel:
    precision = Precision.choose(dtype, torch.float32, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = architecture.build(architecture.classes)
    adapter = find_adapter(module)
    source = SourceInfo(
        model=name,
        family=adapter.family,
        task="image",
        weights=RANDOM,
        preprocess=preprocess,
        classes=architecture.classes,
        class_names=architecture.class_names,
    )
    return LoadedModel(finished(module.to(precision.compute)), adapter, source, precision.storage)


def _preprocess(
    name: str, architecture: Architecture, weights: str | None, image_size: int | None
) -> ImagePreprocess:
    standard = architecture.preprocess
    if image_size is not None:
        check_range("image_size", image_size, 1, _MOST_PIXELS)
        if not architecture.any_size and image_size != standard.size:
            raise SpecError(
                f"image_size is {image_size}, and {name} reads {standard.size} x {standard.size}",
                "Leave it out",
            )
        return replace(standard, size=image_size, resize=None)
    if architecture.published is None:
        return standard
    # Weights published for other preprocessing are recognised by their file name.
    for entry in _published(architecture.published):
        chosen = (
            _is_default(entry, architecture.published)
            if weights is None
            else (Path(entry.url).name == Path(weights).name)
        )
        if chosen:
            preset = entry.transforms()
            return replace(standard, size=preset.crop_size[0], resize=preset.resize_size[0])
    return standard


def _published(name: str) -> Any:
    import torchvision

    return torchvision.models.get_model_weights(name)


def _is_default(entry: Any, name: str) -> bool:
    return bool(entry == _published(name).DEFAULT)


def _names(architecture: Architecture, classes: int) -> tuple[str, ...] | None:
    known = architecture.class_names
    return known if known is not None and len(known) == classes else None


def _own_weights(name: str, architecture: Architecture) -> Path:
    """Return where the weights lie that belong to a name."""
    if name not in DEMO_MODELS:
        return _published_file(name, architecture)
    folder = demo_folder(name)
    if not folder.is_dir():
        raise WeightsError(f"the weights of {name} are not in {folder}", demo_remedy(name))
    return folder


def _published_file(name: str, architecture: Architecture) -> Path:
    """Return the local copy of the published weights, downloading it if need be."""
    if architecture.published is None:
        raise WeightsError(
            f"{name} has no weights that could be downloaded",
            "Give a file with --weights, or --weights random to look at speed alone",
        )
    url = _published(architecture.published).DEFAULT.url
    path = torch_hub_folder() / Path(url).name
    if path.is_file():
        return path
    digest = path.stem.rpartition("-")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{path.name} is not in {path.parent} and could not be downloaded ({error})",
            f"Put the file from {url} there, or give one with --weights",
        ) from error
    return path


def _common_dtype(state: dict[str, Tensor]) -> torch.dtype:
    """Return the type of the first floating-point tensor; float32 if there is none."""
    kinds = (tensor.dtype for tensor in state.values() if tensor.is_floating_point())
    return next(kinds, torch.float32)
