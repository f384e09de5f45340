"""What stays where under a memory budget, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where something is kept during a run."""

    DEVICE = "device"
    HOST = "host"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Placement:
    """What stays where.

    Attributes:
        is_streamed: Whether weights are read block by block.
        activations: Where hidden states are kept between blocks.
        batch: Windows or images per micro-batch.
        search: Where a layer's statistics are kept while it is searched.
    """

    is_streamed: bool
    activations: Place
    batch: int
    search: Place
