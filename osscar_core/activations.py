"""Hidden states between two blocks, kept where there is room for them.

The decision hidden here: how states that do not live on the computing device get there and
back without making it wait. While one micro-batch is computed the next is on its way, on a
stream of its own; host memory is page-locked, so that the copies need no processor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

from osscar_core.errors import OutputError
from osscar_core.resources import Place


class Activations(Protocol):
    """The states of all micro-batches at one point of the model, in order."""

    def __len__(self) -> int:
        """Return the number of micro-batches."""

    def append(self, state: Tensor) -> None:
        """Add the state of one more micro-batch, from any device."""

    def put(self, position: int, state: Tensor) -> None:
        """Replace a state; it may be larger or smaller than before."""

    def read(self) -> Iterator[Tensor]:
        """Yield all states in order, on the computing device.

        While a state is in use, it and those before it may be replaced.
        """

    def at(self, position: int) -> Tensor:
        """Return one state, on any device, safe to read."""

    def close(self) -> None:
        """Give back what the states occupy."""


def activations(place: Place, device: torch.device, folder: Path | None = None) -> Activations:
    """Return an empty store of states.

    Args:
        place: Where they are kept.
        device: Where they are computed.
        folder: Existing folder for those on disk; ``None`` for the system's own.
    """
    if place is Place.DISK:
        return _OnDisk(device, folder)
    if place is Place.HOST and device.type == "cuda":
        return _InHostMemory(device)
    return _OnDevice(device)


class _OnDevice:
    """States that stay where they are computed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._states)

    def append(self, state: Tensor) -> None:
        self._states.append(state.to(self._device))

    def put(self, position: int, state: Tensor) -> None:
        self._states[position] = state

    def read(self) -> Iterator[Tensor]:
        yield from self._states

    def at(self, position: int) -> Tensor:
        return self._states[position]

    def close(self) -> None:
        self._states.clear()


class _InHostMemory:
    """States in page-locked host memory, copied on a stream beside the computation."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._states: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._states)

    def append(self, state: Tensor) -> None:
        self._states.append(_locked(state))
        self._states[-1].copy_(state)

    def put(self, position: int, state: Tensor) -> None:
        host = self._states[position]
        if host.shape != state.shape or host.dtype != state.dtype:
            self._stream.synchronize()
            _unlock(host)
            host = self._states[position] = _locked(state)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            host.copy_(state, non_blocking=True)
        state.record_stream(self._stream)

    def read(self) -> Iterator[Tensor]:
        current = torch.cuda.current_stream(self._device)
        ahead = self._fetch(0) if self._states else None
        for position in range(len(self._states)):
            if ahead is None:
                return
            state, ready = ahead
            ahead = self._fetch(position + 1) if position + 1 < len(self._states) else None
            current.wait_event(ready)
            state.record_stream(current)
            yield state

    def at(self, position: int) -> Tensor:
        self._stream.synchronize()
        return self._states[position]

    def close(self) -> None:
        self._stream.synchronize()
        for state in self._states:
            _unlock(state)
        self._states.clear()

    def _fetch(self, position: int) -> tuple[Tensor, torch.cuda.Event]:
        with torch.cuda.stream(self._stream):
            state = self._states[position].to(self._device, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self._stream)
        return state, ready


def _locked(like: Tensor) -> Tensor:
    """Return page-locked host memory of a tensor's shape.

    Torch's own allocator would round the size up to a power of two.
    """
    host = torch.empty(like.shape, dtype=like.dtype)
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    torch.cuda.check_error(int(runtime.cudaHostRegister(host.data_ptr(), host.nbytes, 0)))
    return host


def _unlock(host: Tensor) -> None:
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    runtime.cudaHostUnregister(host.data_ptr())


class _OnDisk:
    """States in one file, read and written by a thread of their own."""

    def __init__(self, device: torch.device, folder: Path | None) -> None:
        self._device = device
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix="activations-")  # noqa: SIM115 - closed below
        self._places: list[tuple[int, torch.Size, torch.dtype]] = []
        self._end = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="activations")
        self._writing: list[Future[None]] = []

    def __len__(self) -> int:
        return len(self._places)

    def append(self, state: Tensor) -> None:
        self._places.append((self._end, state.shape, state.dtype))
        self._end += state.nbytes
        self._write(len(self._places) - 1, state)

    def put(self, position: int, state: Tensor) -> None:
        start, shape, dtype = self._places[position]
        if state.nbytes > shape.numel() * dtype.itemsize:
            start, self._end = self._end, self._end + state.nbytes
        self._places[position] = (start, state.shape, state.dtype)
        self._write(position, state)

    def read(self) -> Iterator[Tensor]:
        self._settle()
        count = len(self._places)
        ahead = self._thread.submit(self._load, 0) if count else None
        for position in range(count):
            if ahead is None:
                return
            state = ahead.result()
            ahead = self._thread.submit(self._load, position + 1) if position + 1 < count else None
            yield state.to(self._device)
        self._settle()

    def at(self, position: int) -> Tensor:
        return self._thread.submit(self._load, position).result()

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._file.close()

    def _write(self, position: int, state: Tensor) -> None:
        """Hand a state over; at most two wait, so that memory stays bounded."""
        self._settle(but=1)
        host = state.detach().cpu().contiguous()
        self._writing.append(self._thread.submit(self._store, self._places[position][0], host))

    def _settle(self, but: int = 0) -> None:
        while len(self._writing) > but:
            try:
                self._writing.pop(0).result()
            except OSError as error:
                raise OutputError(
                    f"activations could not be written to disk ({error.strerror or error})",
                    "Free space, or allow more --host-memory",
                ) from error

    def _store(self, start: int, host: Tensor) -> None:
        self._file.seek(start)
        self._file.write(host.reshape(-1).view(torch.uint8).numpy().data)

    def _load(self, position: int) -> Tensor:
        start, shape, dtype = self._places[position]
        host = torch.empty(shape, dtype=dtype)
        self._file.seek(start)
        read = self._file.readinto(host.reshape(-1).view(torch.uint8).numpy().data)  # type: ignore[attr-defined]
        if read != host.nbytes:
            raise OutputError(
                f"activations on disk are cut short ({read} of {host.nbytes} bytes)",
                "Check the disk and start again",
            )
        return host
