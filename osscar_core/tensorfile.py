"""How many bytes a safetensors file takes, without writing it.

The decision hidden here: the file's layout.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Bytes of a number by the type's name in such a file, in the order in which the file lays
# out tensors: by falling alignment, then by name.
_ITEM_BYTES = {
    "I64": 8,
    "F64": 8,
    "F32": 4,
    "I32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
_ORDER = tuple(_ITEM_BYTES)
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as a safetensors file lists it.

    Attributes:
        name: Its name in the model's state.
        kind: Name of the stored type, such as ``F16``.
        shape: Its shape.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * item_bytes(self.kind)


def file_header(tensors: Iterable[StoredTensor]) -> tuple[bytes, int]:
    """Return what stands before the data in a file of these tensors, and the data's length.

    Args:
        tensors: What the file holds, in any order.

    Returns:
        Length, JSON and padding; and the number of bytes that follow.
    """
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in sorted(tensors, key=place):
        start, end = end, end + tensor.bytes
        table[tensor.name] = {
            "dtype": tensor.kind,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text, end


def item_bytes(kind: str) -> int:
    """Return the bytes of one number of the stored type called ``kind``."""
    return _ITEM_BYTES[kind]


def place(tensor: StoredTensor) -> tuple[int, bytes]:
    """Return what a file's tensors are sorted by."""
    return _ORDER.index(tensor.kind), tensor.name.encode()
