"""How long one block takes at any widths.

The decisions hidden here: which blocks count as alike, at which widths they are timed, and how
the times at all others follow.

Time over widths is a staircase with notches: kernels work on 8, 16 or 64 features at once, so
one feature above a multiple costs as much as the next multiple, and full multiples are
cheapest. The grid therefore holds multiples with both neighbours. A full grid of two such
units would be hundreds of points. Instead only those are timed where at most one unit is off
its two coarse widths (the smallest multiple and the complete width), and the rest is filled in
by the Boolean sum of the interpolations along each unit,

    T ~ sum_i (P_1 .. P_i-1 P_i+1 .. P_n) T - (n - 1) (P_1 .. P_n) T,

where P_i interpolates along unit i between its coarse widths. It is exact at the points that
were timed and for times that are linear in each width, products included; for two units its
error is the product of both units' deviations from a straight line.

Reference:
    W. J. Gordon, "Blending-function methods of bivariate and multivariate interpolation and
    approximation", SIAM Journal on Numerical Analysis 8 (1971).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osscar_core.errors import DataError
from osscar_core.evaluation.speed import Workload
from osscar_core.latencies import BlockTable, BlockUnit, Widths, cell
from osscar_core.surgery import shrink_
from osscar_core.units import Unit

# Shares of a unit whose multiples are measured: eighths, unless that takes too long.
PARTS = (8, 4, 2)
_FEW_GROUPS = 8
# Kernels of today work on so many features at once: a step is a multiple of the first where
# it is at least the second. Groups of a multiple of the smallest are whole blocks by themselves.
_SMALLEST_BLOCKING = 8
_BLOCKINGS = ((64, 128), (32, 64), (16, 16))
_SMALLEST_STEPS = ((48, 16), (0, _SMALLEST_BLOCKING))
# Interpolated times never fall below this share of the fastest that was measured.
_FLOOR = 0.1


@dataclass(frozen=True, slots=True)
class Block:
    """A block as the complete model runs it, the first of those that are alike.

    Attributes:
        signature: What blocks of equal time have in common.
        path: Module path.
        module: The block itself; it is never changed.
        args: Positional arguments that the model gives it.
        kwargs: Keyword arguments that the model gives it.
        units: Its units.
    """

    signature: str
    path: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    units: tuple[Unit, ...]

    def narrowed(self, widths: Widths) -> nn.Module:
        """Return a copy with the first groups of every unit."""
        holder = _holder(self.path, self.module)
        names = (unit.name for unit in self.units)
        return narrowed(holder, self.units, dict(zip(names, widths, strict=True))).get_submodule(
            self.path
        )

    def run(self, module: nn.Module) -> Any:
        """Give ``module`` what the model gives the block."""
        return module(*self.args, **self.kwargs)

    def table(self, grid: Grid, times: Mapping[Widths, float]) -> BlockTable:
        """Return the table that follows from times at the grid's points."""
        units = tuple(
            BlockUnit(unit.name[len(self.path) + 1 :], unit.structure, unit.groups, fine)
            for unit, fine in zip(self.units, grid.fine, strict=True)
        )
        return BlockTable(self.signature, units, grid.fill(times))


def distinct_blocks(work: Workload) -> tuple[dict[str, str], tuple[Block, ...]]:
    """Run the model once and note what its blocks are given.

    Returns:
        The signature of every block by module path, in forward order, and the first block
        of each signature.

    Raises:
        DataError: The model did not run all of its blocks.
    """
    loaded = work.loaded
    units = loaded.adapter.units(loaded.module)
    paths = loaded.adapter.blocks(loaded.module)
    signatures: dict[str, str] = {}
    found: dict[str, Block] = {}

    def note(path: str) -> Callable[..., None]:
        own = tuple(unit for unit in units if unit.block == path)

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            signature = _signature(path, module, own, args, kwargs)
            signatures[path] = signature
            if signature not in found:
                found[signature] = Block(signature, path, module, args, kwargs, own)

        return hook

    with contextlib.ExitStack() as stack, torch.inference_mode():
        for path in paths:
            module = loaded.module.get_submodule(path)
            hook = module.register_forward_pre_hook(note(path), with_kwargs=True)
            stack.callback(hook.remove)
        work.forward(use_cache=False)
    if len(signatures) != len(paths):
        raise DataError(
            f"the model ran {len(signatures)} of its {len(paths)} blocks",
            "The adapter's list of blocks does not fit this model",
        )
    return {path: signatures[path] for path in paths}, tuple(found.values())


def narrowed(module: nn.Module, units: Sequence[Unit], widths: Mapping[str, int]) -> nn.Module:
    """Return a copy with the first groups of every unit; what is not cut is shared."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    small = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for unit in units:
        shrink_(small, unit, torch.arange(widths[unit.name]))
    return small


@dataclass(frozen=True, slots=True)
class Grid:
    """Which widths of a block are in its table, and at which it is timed.

    Attributes:
        fine: All widths of each unit.
        coarse: Per unit the widths, two or one of the fine ones, at which the others vary.
    """

    fine: tuple[Widths, ...]
    coarse: tuple[Widths, ...]

    @classmethod
    def of(cls, units: Sequence[Unit], parts: int) -> Grid:
        """Choose the widths, with multiples of about one in ``parts`` of each unit."""
        pairs = [_unit_grid(unit, parts) for unit in units]
        return cls(tuple(fine for fine, _ in pairs), tuple(coarse for _, coarse in pairs))

    def points(self) -> tuple[Widths, ...]:
        """Return the widths at which the block is timed, the complete ones last."""
        seen: set[Widths] = set()
        for index, fine in enumerate(self.fine):
            axes = (*self.coarse[:index], fine, *self.coarse[index + 1 :])
            seen.update(itertools.product(*axes))
        return tuple(sorted(seen)) or ((),)

    def fill(self, times: Mapping[Widths, float]) -> tuple[float, ...]:
        """Return the time at every point of the product of the fine widths."""
        count = len(self.fine)
        hats = [_hats(c, f) for c, f in zip(self.coarse, self.fine, strict=True)]
        total = (1 - count) * _along(_values(self.coarse, times), hats)
        for index, fine in enumerate(self.fine):
            axes = (*self.coarse[:index], fine, *self.coarse[index + 1 :])
            own = [*hats[:index], np.eye(len(fine)), *hats[index + 1 :]]
            total = total + _along(_values(axes, times), own)
        for place, point in enumerate(itertools.product(*self.fine)):
            total.flat[place] = times.get(point, total.flat[place])
        return tuple(np.maximum(total, _FLOOR * min(times.values())).ravel().tolist())


def _unit_grid(unit: Unit, parts: int) -> tuple[Widths, Widths]:
    """Return the fine and the coarse widths of one unit."""
    groups = unit.groups
    if groups <= _FEW_GROUPS:
        return tuple(range(1, groups + 1)), tuple(sorted({1, groups}))
    aligned = unit.width % _SMALLEST_BLOCKING == 0
    step = max(1, groups // parts) if aligned else _step(groups, parts)
    multiples = set(range(step, groups, step)) | {groups}
    near = set() if aligned else {m + d for m in multiples for d in (-1, 1)}
    fine = {1} | multiples | {w for w in near if 1 <= w <= groups}
    return tuple(sorted(fine)), tuple(sorted({min(multiples), groups}))


def _step(groups: int, parts: int) -> int:
    """Return the distance of multiples: a share of the groups that kernels like."""
    smallest = next(step for least, step in _SMALLEST_STEPS if groups >= least)
    share = groups // parts
    for blocking, least in _BLOCKINGS:
        if share >= least:
            return share // blocking * blocking
    return smallest


def _holder(path: str, module: nn.Module) -> nn.Module:
    """Return a module in which ``module`` has the path that it has in its model."""
    for name in reversed(path.split(".")):
        holder = nn.Module()
        holder.add_module(name, module)
        module = holder
    return module


def _signature(
    path: str,
    module: nn.Module,
    units: Sequence[Unit],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str:
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    facts = (
        repr(module),
        [(name, _described(tensor)) for name, tensor in tensors],
        _described(args),
        _described(dict(kwargs)),
        [(unit.name.removeprefix(path), unit.structure.value, unit.groups) for unit in units],
    )
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()
    return f"{type(module).__name__}-{digest[:12]}"


def _described(value: Any) -> Any:
    """Return what of a block's argument can matter for its time."""
    if isinstance(value, Tensor):
        return tuple(value.shape), str(value.dtype)
    if isinstance(value, dict):
        return sorted((str(key), _described(item)) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return [_described(item) for item in value]
    return value if isinstance(value, (bool, int, float, str)) else type(value).__name__


def _hats(coarse: Widths, fine: Widths) -> NDArray[np.float64]:
    """Return the (fine, coarse) matrix that interpolates from the coarse widths."""
    below, above, share = cell(coarse, np.array(fine, dtype=np.float64))
    hats = np.zeros((len(fine), len(coarse)))
    rows = np.arange(len(fine))
    hats[rows, below] = 1 - share
    hats[rows, above] += share
    return hats


def _values(axes: Sequence[Widths], times: Mapping[Widths, float]) -> NDArray[np.float64]:
    flat = [times[point] for point in itertools.product(*axes)]
    return np.array(flat).reshape([len(axis) for axis in axes])


def _along(
    values: NDArray[np.float64], matrices: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Multiply each axis of ``values`` by its matrix."""
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values
