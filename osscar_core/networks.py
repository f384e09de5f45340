"""The residual networks for 32 x 32 images, which no library ships.

The decision hidden here: how the CIFAR ResNets of He et al. are built, with names that
fit the checkpoints in circulation (``conv1``, ``bn1``, ``layer1.0.conv1``, ...,
``linear``). The file goes along with what is exported, so it imports torch alone.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

_WIDTHS = (16, 32, 64)


class PaddedShortcut(nn.Module):
    """A shortcut without parameters ("option A"): take every second pixel, pad channels.

    Args:
        extra: Zero channels to add, half of them on either side.
    """

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, C, H, W) as (B, C + extra, H / 2, W / 2)."""
        before = self.extra // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.extra - before))


class CifarBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, added to a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else PaddedShortcut(outputs - inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for ``x`` (B, C, H, W)."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """Residual network of three stages of 16, 32 and 64 channels.

    Args:
        blocks: Blocks a stage, n; the depth is 6 n + 2.
        classes: Number of classes.

    Reference:
        K. He et al., "Deep Residual Learning for Image Recognition", section 4.2.
    """

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        narrow, middle, wide = _WIDTHS
        self.conv1 = nn.Conv2d(3, narrow, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.layer1 = _stage(narrow, narrow, blocks, stride=1)
        self.layer2 = _stage(narrow, middle, blocks, stride=2)
        self.layer3 = _stage(middle, wide, blocks, stride=2)
        self.linear = nn.Linear(wide, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) for normalised images ``x`` (B, 3, H, W)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def cifar_resnet(depth: int, classes: int = 10) -> CifarResNet:
    """Return an untrained CIFAR ResNet.

    Args:
        depth: Number of layers with weights, such as 20, 32, 44, 56 or 110.
        classes: Number of classes.

    Raises:
        ValueError: No such network has that depth.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"no CIFAR ResNet has a depth of {depth}; it is 6 n + 2, such as 20 or 56")
    return CifarResNet(blocks, classes)


def _stage(inputs: int, outputs: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = CifarBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(CifarBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
