"""Hidden states come back as they were put, wherever they are kept."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core.activations import Activations, activations
from osscar_core.errors import OutputError
from osscar_core.resources import Place

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(
        torch.device("cuda"),
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def state(number: int, *, size: int = 4, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.full((2, 3, size), float(number), dtype=dtype)


@pytest.fixture(params=Place)
def place(request: pytest.FixtureRequest) -> Place:
    return request.param


@pytest.mark.parametrize("device", DEVICES)
def test_states_are_carried_in_order(place: Place, device: torch.device, tmp_path: Path) -> None:
    store = activations(place, device, tmp_path)
    for number in range(5):
        store.append(state(number))
    assert len(store) == 5
    for _ in range(3):
        for position, value in enumerate(store.read()):
            assert value.device.type == device.type
            store.put(position, value + 10)
    found = [float(value.mean()) for value in store.read()]
    assert found == [30.0, 31.0, 32.0, 33.0, 34.0]
    assert torch.equal(store.at(2).cpu(), state(32))
    store.close()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("sizes", [(9, 9), (2, 1), (3, 12)])
def test_states_may_change_their_size_and_type(
    place: Place, sizes: tuple[int, int], device: torch.device, tmp_path: Path
) -> None:
    store = activations(place, device, tmp_path)
    for number in range(3):
        store.append(state(number, dtype=torch.float16))
    for size, dtype in zip(sizes, (torch.bfloat16, torch.float32), strict=True):
        for position, value in enumerate(store.read()):
            store.put(position, state(int(value.mean()) + 1, size=size, dtype=dtype).to(device))
    for position, value in enumerate(store.read()):
        assert torch.equal(value.cpu(), state(position + 2, size=sizes[1]))
    store.close()


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    store = activations(Place.DISK, CPU, tmp_path)
    store.append(state(1))
    assert [float(value.mean()) for value in store.read()] == [1.0]
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_no_states_are_no_trouble(place: Place, tmp_path: Path) -> None:
    store = activations(place, CPU, tmp_path)
    assert list(store.read()) == []
    store.close()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Activations = activations(Place.DISK, CPU, tmp_path)
    store.append(state(0))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_store", full)
    store.append(state(1))
    with pytest.raises(OutputError, match="No space left on device"):
        list(store.read())
    store.close()
