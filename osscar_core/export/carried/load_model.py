"""Loads the small network beside this file, with torch and torchvision alone.

from load_model import load

network = load(".")  # the folder; logits = network(pixels)
"""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}


def load(folder: str | Path = ".", dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return the network, ready to classify.

    Args:
        folder: Folder with the weights.
        dtype: Floating-point type to compute in.
    """
    place = Path(folder)
    facts, tensors = read(place / WEIGHTS)
    network = build(json.loads(facts["network"]), place)
    for name, tensor in tensors.items():
        path, _, leaf = name.rpartition(".")
        layer = network.get_submodule(path)
        value = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if isinstance(getattr(layer, leaf), nn.Parameter):
            value = nn.Parameter(value, requires_grad=False)
        setattr(layer, leaf, value)  # the size is that of the weights, not of the layer
    for layer in network.modules():
        _state_sizes(layer)
    return network.eval()


def build(facts: dict[str, Any], place: Path) -> nn.Module:
    """Return a network of the right form, whatever its sizes."""
    if facts["kind"] == "cifar":
        spec = importlib.util.spec_from_file_location("networks", place / "networks.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"networks.py is not in {place}")
        networks = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(networks)
        cifar: nn.Module = networks.CifarResNet(facts["blocks"], facts["classes"])
        return cifar
    from torchvision.models import resnet

    block = getattr(resnet, facts["block"])
    made: nn.Module = resnet.ResNet(block, facts["layers"], facts["classes"])
    return made


def read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return metadata and tensors of a safetensors file: a header in JSON, then the bytes."""
    content = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    facts = header.pop("__metadata__")
    tensors = {}
    for name, one in header.items():
        kind, count = _TYPES[one["dtype"]], math.prod(one["shape"])
        at = start + one["data_offsets"][0]
        flat = torch.frombuffer(content, dtype=kind, count=count, offset=at)
        tensors[name] = flat.reshape(one["shape"]).clone()
    return facts, tensors


def _state_sizes(layer: nn.Module) -> None:
    """Let a layer say the sizes that its weights have."""
    if isinstance(layer, nn.Conv2d):
        layer.out_channels, layer.in_channels = layer.weight.shape[:2]
    elif isinstance(layer, nn.BatchNorm2d):
        layer.num_features = len(layer.weight)
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
