"""What the tests of evaluation share: tiny models, held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.models import LoadedModel
from osscar_core.records import ImagePreprocess, SourceInfo

PREPROCESS = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=8)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return families.byte_tokenizer()


@pytest.fixture
def text_model(tokenizer: Any) -> Callable[[str], LoadedModel]:
    """Return a function that makes a tiny language model of a family (64 positions)."""

    def make(family: str) -> LoadedModel:
        module = families.FAMILIES[family]().model
        adapter = find_adapter(module)
        source = SourceInfo(f"tiny-{family}", adapter.family, "text", "random")
        return LoadedModel(module, adapter, source, torch.float32, tokenizer)

    return make


class Classifier(nn.Module):
    """A small convolutional network, passed off as a CIFAR ResNet."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.linear = nn.Linear(4 * 8 * 8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.conv(x).relu().flatten(1))


@pytest.fixture
def image_model() -> Callable[[int], LoadedModel]:
    """Return a function that makes a tiny image classifier of 8 x 8 pixels."""
    from osscar_core.networks import cifar_resnet

    def make(classes: int) -> LoadedModel:
        module = families.randomise_(Classifier(classes))
        adapter = find_adapter(cifar_resnet(20))
        source = SourceInfo(
            "tiny-image", adapter.family, "image", "random", preprocess=PREPROCESS, classes=classes
        )
        return LoadedModel(module, adapter, source, torch.float32)

    return make
