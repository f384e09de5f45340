"""Processes that prune one model together, each with a device of its own.

The decision hidden here: what they say to each other. Every member carries its share of the
calibration data through the same blocks; the sums of a layer are added up at the leader,
who alone searches it and tells the others what stays and with which weights. So all models
stay alike to the last bit, and the search is that of a single process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from osscar_core.moments import Sums

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Team:
    """The member that this process is.

    Attributes:
        rank: Its number; the leader is 0.
        size: How many there are. A team of one talks to nobody.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this member searches and writes."""
        return self.rank == 0

    def part(self, inputs: Sequence[_T]) -> Sequence[_T]:
        """Return the micro-batches that this member carries."""
        return inputs[self.rank :: self.size]

    def start_(self, sums: Sums, first: tuple[Tensor, Tensor | None] | None) -> None:
        """Begin the sums of one layer, which all members take from the leader's origin.

        Products of rows are then the same to the last bit whoever makes them, and only
        their order in float64 tells a team from a single process.

        Args:
            sums: Without rows so far.
            first: The first rows of this member and their target; ``None`` if it has none.
        """
        if self.size == 1:
            return
        if self.is_leader and first is not None:
            sums.start_near(*first)
        held = [one for one in sums.origin or () if one is not None]
        origin = self.share_tensors(held if self.is_leader else None, sums.gram.device)
        if origin:
            sums.origin = (origin[0], origin[1] if len(origin) > 1 else None)

    def add_up_(self, sums: Sums) -> None:
        """Make the leader's sums those of all members, in place; the others' are spent."""
        if self.size == 1:
            return
        held = sums.tensors()
        count = torch.tensor([sums.count], device=sums.gram.device)
        for tensor in (count, *held):
            dist.reduce(tensor, 0)
        sums.count = int(count)

    def share(self, value: _T | None) -> _T:
        """Return the leader's value at every member; plain data without large tensors."""
        if self.size > 1:
            box: list[Any] = [value]
            dist.broadcast_object_list(box, 0)
            value = box[0]
        if value is None:
            raise RuntimeError("the leader of a team has to give a value")
        return value

    def share_tensors(
        self, tensors: Sequence[Tensor] | None, device: torch.device
    ) -> tuple[Tensor, ...]:
        """Return the leader's tensors at every member, on its device."""
        if self.size == 1:
            return tuple(tensors or ())
        told = None if tensors is None else [(tuple(one.shape), one.dtype) for one in tensors]
        shapes = self.share(told)
        shared = []
        for number, (shape, dtype) in enumerate(shapes):
            if tensors is None:
                one = torch.empty(shape, dtype=dtype, device=device)
            else:
                one = tensors[number].to(device).contiguous()
            dist.broadcast(one, 0)
            shared.append(one)
        return tuple(shared)


ALONE = Team()
"""The team of a process that works for itself."""
