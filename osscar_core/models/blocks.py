"""Weights of a model that is never whole in memory, one block at a time.

The decision hidden here: where a block's weights come from when the model was opened
without them. Files are mapped, not read, so that only what a block needs is touched; the
next block is read by a thread of its own while the one before it is worked on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from osscar_core.errors import WeightsError
from osscar_core.models.untrusted import indexed_files
from osscar_core.models.weights import (
    DAMAGE,
    INDEX_FILE,
    SAFETENSORS,
    check_finite,
    counted,
    damaged,
    unique_tensors,
    unpickle,
)

_PICKLE_INDEX = "pytorch_model.bin.index.json"
_SINGLE = ("model.safetensors", "pytorch_model.bin")
_STD = 0.02
# Random values made at once, each piece with a seed of its own, so that threads share them.
_VALUES_AT_ONCE = 2**22
_MOST_THREADS = 16


class BlockWeights(ABC):
    """Where the weights of a model's blocks come from.

    Attributes:
        place: What they come from, in words.
    """

    place: str

    @abstractmethod
    def read(self, path: str) -> dict[str, Tensor]:
        """Return the tensors of one module on the CPU, by their names in it.

        Args:
            path: The module's path in the dense model.

        Raises:
            WeightsError: A file vanished or is damaged.
        """


class RandomBlocks(BlockWeights):
    """Weights of a model that was never trained, the same every time.

    Every module has a seed of its own, so that one block can be made without the others.

    Args:
        shapes: The dense model; its parameters may be on the meta device.
        dtype: Floating-point type.
        std: Standard deviation of matrices; vectors are zero, or one in a norm.
    """

    place = "random numbers"

    def __init__(self, shapes: nn.Module, dtype: torch.dtype, std: float = _STD) -> None:
        self._shapes = _tensor_shapes(shapes)
        self._dtype = dtype
        self._std = std

    def read(self, path: str) -> dict[str, Tensor]:
        """Return the tensors of one module; see the base class."""
        prefix = f"{path}."
        names = [name for name in self._shapes if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.tensor(name) for name in names}

    def tensor(self, name: str) -> Tensor:
        """Return one tensor by its name in the model."""
        shape = self._shapes[name]
        if len(shape) < 2:
            is_scale = name.endswith("weight")
            return torch.full(shape, 1.0 if is_scale else 0.0, dtype=self._dtype)
        values = torch.empty(shape, dtype=self._dtype)
        pieces = torch.split(values.view(-1), _VALUES_AT_ONCE)
        with ThreadPoolExecutor(min(len(pieces), _MOST_THREADS, os.cpu_count() or 1)) as pool:
            list(pool.map(self._fill_, pieces, (f"{name}/{i}" for i in range(len(pieces)))))
        return values

    def _fill_(self, piece: Tensor, name: str) -> None:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        generator = torch.Generator().manual_seed(seed)
        piece.copy_(torch.empty(piece.shape).normal_(std=self._std, generator=generator))


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies: a file, and its name there."""

    file: Path
    name: str


class StoredBlocks(BlockWeights):
    """Weights in the files of a directory, as `transformers` writes them.

    Args:
        folder: Directory with ``.safetensors`` or ``pytorch_model.bin`` files, one or
            several with their index.
        module: The dense model on the meta device, which says what must be there.
        blocks: Module paths of its blocks.
        dtype: Floating-point type to convert to.
        prefix: Name of the part below the head, which files may leave out or add.

    Raises:
        WeightsError: A file or a tensor is missing, of another shape, or damaged.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        blocks: Sequence[str],
        dtype: torch.dtype,
        prefix: str,
    ) -> None:
        self.place = str(folder)
        self._dtype = dtype
        self._pickles: dict[Path, Mapping[str, Tensor]] = {}
        self._shapes = _tensor_shapes(module)
        self._stored = _matched(_listed(folder), self._shapes, prefix)
        tied = set(module.state_dict()) - set(self._shapes)
        missing = sorted(set(self._shapes) - set(self._stored) - tied)
        if missing:
            raise WeightsError(
                f"the weights of {folder} lack {counted(missing)}",
                "Weights and config.json do not belong together; download the model again",
            )
        self._check_shapes(folder)
        self._blocks = tuple(f"{block}." for block in blocks)

    def read(self, path: str) -> dict[str, Tensor]:
        """Return the tensors of one module; see the base class."""
        prefix = f"{path}."
        names = [name for name in self._shapes if name.startswith(prefix)]
        return {name.removeprefix(prefix): value for name, value in self._tensors(names)}

    def outer(self) -> dict[str, Tensor]:
        """Return the tensors that belong to no block, by name."""
        names = [name for name in self._shapes if not name.startswith(self._blocks)]
        return dict(self._tensors(names))

    def _tensors(self, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        from safetensors import SafetensorError, safe_open

        by_file: dict[Path, list[str]] = {}
        for name in names:
            by_file.setdefault(self._stored[name].file, []).append(name)
        for file, wanted in by_file.items():
            try:
                with contextlib.ExitStack() as stack:
                    if file.suffix == SAFETENSORS:
                        source: Any = stack.enter_context(safe_open(file, framework="pt"))
                        get = source.get_tensor
                    else:
                        get = self._pickle(file).__getitem__
                    for name in wanted:
                        value = get(self._stored[name].name).to(self._dtype)
                        # Own memory: the mapping goes with the file, and counts as used.
                        yield name, value.clone(memory_format=torch.contiguous_format)
            except (SafetensorError, *DAMAGE) as error:
                raise damaged(file, error) from error

    def _check_shapes(self, folder: Path) -> None:
        for name, shape in self._stored_shapes():
            if shape != self._shapes[name]:
                raise WeightsError(
                    f"tensor {name} of {folder} has the shape {tuple(shape)}, and config.json "
                    f"wants {tuple(self._shapes[name])}",
                    "Weights and config.json do not belong together; download the model again",
                )

    def _stored_shapes(self) -> Iterator[tuple[str, torch.Size]]:
        from safetensors import SafetensorError, safe_open

        by_file: dict[Path, list[str]] = {}
        for name, stored in self._stored.items():
            by_file.setdefault(stored.file, []).append(name)
        for file, names in by_file.items():
            try:
                if file.suffix != SAFETENSORS:
                    held = self._pickle(file)
                    for name in names:
                        yield name, held[self._stored[name].name].shape
                    continue
                with safe_open(file, framework="pt") as source:
                    for name in names:
                        shape = source.get_slice(self._stored[name].name).get_shape()
                        yield name, torch.Size(shape)
            except (SafetensorError, *DAMAGE) as error:
                raise damaged(file, error) from error

    def _pickle(self, file: Path) -> Mapping[str, Tensor]:
        """Return the tensors of a pickle, which is opened once."""
        if file not in self._pickles:
            self._pickles[file] = _mapped(file)
        return self._pickles[file]


class ReadAhead:
    """Gives blocks their weights, in order, reading the next one meanwhile.

    Args:
        weights: Where they come from.
        blocks: Module paths of the blocks, in the order in which they will be asked for.
    """

    def __init__(self, weights: BlockWeights, blocks: Sequence[str]) -> None:
        self._weights = weights
        self._blocks = tuple(blocks)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._next: tuple[int, Future[dict[str, Tensor]]] | None = None

    def fill_(self, block: nn.Module, index: int, device: torch.device) -> None:
        """Put the dense weights of block ``index`` on a device, in place.

        Raises:
            WeightsError: They cannot be read, or a value is not finite.
        """
        held, self._next = self._next, None
        future = held[1] if held is not None and held[0] == index else self._ask(index)
        state = {name: value.to(device) for name, value in future.result().items()}
        del future, held
        if index + 1 < len(self._blocks):
            self._next = (index + 1, self._ask(index + 1))
        where = self._weights.place
        check_finite(
            ((f"{self._blocks[index]}.{name}", value) for name, value in state.items()), where
        )
        block.load_state_dict(state, assign=True)
        block.requires_grad_(False)
        for module in block.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(device))

    def close(self) -> None:
        """Stop reading."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._next = None

    def _ask(self, index: int) -> Future[dict[str, Tensor]]:
        return self._thread.submit(self._weights.read, self._blocks[index])


def empty_(module: nn.Module) -> None:
    """Take a module's weights away, leaving their shapes, in place."""
    for part in module.modules():
        for name, parameter in tuple(part.named_parameters(recurse=False)):
            bare = torch.empty_like(parameter, device="meta")
            part.register_parameter(name, nn.Parameter(bare, requires_grad=False))
        for name, buffer in tuple(part.named_buffers(recurse=False)):
            setattr(part, name, buffer.cpu())


def _tensor_shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in unique_tensors(module).items()}


def _listed(folder: Path) -> dict[str, _Stored]:
    """Return what the files of a directory hold, by the names in them."""
    from safetensors import SafetensorError, safe_open

    for index, single in zip((INDEX_FILE, _PICKLE_INDEX), _SINGLE, strict=True):
        path = folder / index
        if path.is_file():
            found = {
                name: _Stored(folder / file, name) for name, file in indexed_files(path).items()
            }
            for one in {stored.file for stored in found.values()}:
                if not one.is_file():
                    raise WeightsError(f"{folder} lacks {one.name}", "Copy the folder again")
            return found
        path = folder / single
        if path.is_file() and path.suffix == SAFETENSORS:
            try:
                with safe_open(path, framework="pt") as source:
                    return {name: _Stored(path, name) for name in source.keys()}  # noqa: SIM118
            except (SafetensorError, *DAMAGE) as error:
                raise damaged(path, error) from error
        if path.is_file():
            return {name: _Stored(path, name) for name in _mapped(path)}
    raise WeightsError(
        f"{folder} holds no {_SINGLE[0]}, nor its parts with {INDEX_FILE}",
        "Copy the weights next to config.json",
    )


def _mapped(file: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a pickle, mapped."""
    held = unpickle(file, is_mapped=True)
    if not isinstance(held, dict):
        raise WeightsError(
            f"{file} holds a {type(held).__name__}, not a state dict",
            "Save model.state_dict(), best as .safetensors",
        )
    return held


def _matched(
    listed: Mapping[str, _Stored], shapes: Mapping[str, torch.Size], prefix: str
) -> dict[str, _Stored]:
    """Return where every tensor of the model lies; files may add or leave out the prefix."""
    found = {}
    for name in shapes:
        for candidate in (name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}"):
            if candidate in listed:
                found[name] = listed[candidate]
                break
    return found
