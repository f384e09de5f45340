"""The CIFAR ResNets: size, shortcuts and the checkpoints in circulation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from osscar_core.networks import PaddedShortcut, cifar_resnet


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_sizes_are_those_of_the_paper(depth: int, parameters: int) -> None:
    network = cifar_resnet(depth)
    assert sum(p.numel() for p in network.parameters()) == parameters
    weighted = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth


@pytest.mark.parametrize("depth", [2, 18, 21, -4])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth of {depth}"):
        cifar_resnet(depth)


def test_shortcut_halves_the_image_and_pads_channels_evenly() -> None:
    x = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    y = PaddedShortcut(3)(x)
    assert y.shape == (2, 6, 2, 2)
    assert torch.equal(y[:, 1:4], x[:, :, ::2, ::2])
    assert torch.count_nonzero(y[:, [0, 4, 5]]) == 0


def test_classes_and_output_shape() -> None:
    network = cifar_resnet(20, classes=7).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_published_weights_fit_strictly(shared_data: Path) -> None:
    state = load_file(shared_data / "vision/cifar10/weights/resnet20.safetensors")
    network = cifar_resnet(20).eval()
    network.load_state_dict(state, strict=True)
    assert torch.equal(
        network.get_parameter("layer3.2.conv2.weight"), state["layer3.2.conv2.weight"]
    )
