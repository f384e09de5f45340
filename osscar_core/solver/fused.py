"""Removal steps as one GPU kernel each, without a word from the host in between.

The decision hidden here: how a step avoids the latency of its many small operations. A
step of `elimination` reads a few rows, one panel and the diagonal blocks; the arithmetic
is nothing, the launches are everything. Here every program of one Triton kernel finds the
cheapest group by itself, from what the kernel before left, updates its own columns of the
panels and its own blocks, and leaves their prices. The steps that fill a panel form one
CUDA graph; nothing in it depends on the host, so that it is captured once per search.

A group of several features is eliminated feature by feature within its program, which
needs no factorisation: with ``c, r`` the columns of P and M of one feature, ``d`` and ``m``
its diagonal entries and ``a = c / d``, P becomes ``P - a c^T`` and M becomes
``M - a r^T - r a^T + a m a^T``, and ``m / (2 d)`` adds up to the price of the group.

Without Triton, without a GPU or with groups too wide for registers, `elimination` runs the
same steps with tensor operations.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import os
import shutil
import types
from typing import TYPE_CHECKING, Any

import torch

from osscar_core.solver.problem import not_positive_definite

if TYPE_CHECKING:
    from osscar_core.solver.elimination import State

WIDEST_GROUP = 32
_COLUMNS = 128  # features a program of single-feature groups looks after
_CHUNK = 32  # panel rows it reads at a time
_BLOCK_CHUNK = 4  # the same for wider groups
_GRAPH_FROM = 256  # steps from which capturing a graph pays


@functools.cache
def _kernels() -> types.ModuleType | None:
    """Return the kernels, or ``None`` where Triton, or the C compiler it needs, is missing."""
    is_interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    compilers = (os.environ.get("CC"), "cc", "gcc", "clang")
    can_build = is_interpreted or any(name and shutil.which(name) for name in compilers)
    if not can_build or importlib.util.find_spec("triton") is None:
        return None
    return importlib.import_module("osscar_core.solver.kernels")


class FusedSteps:
    """Removes groups with one kernel a step. Same contract as the plain steps."""

    @staticmethod
    def serves(state: State, wanted: bool | None) -> bool:
        """Return whether this state should be run by kernels.

        Args:
            state: The state of the elimination.
            wanted: The caller's wish; ``None`` for wherever it is possible. Kernels on a
                CPU need Triton's interpreter.
        """
        if wanted is False or state.width > WIDEST_GROUP:
            return False
        return (wanted is True or state.pair.is_cuda) and _kernels() is not None

    def __init__(self, state: State) -> None:
        kernels = _kernels()
        if kernels is None:
            raise RuntimeError("FusedSteps was made without Triton; ask serves() first")
        self._state = state
        self._kernels: Any = kernels
        single = state.width == 1
        self._programs = -(-state.active // _COLUMNS) if single else state.active
        device = state.pair.device
        # Two sets, written and read in turns: best price of each program, its group, its place.
        shape = (2, self._programs)
        places: dict[str, Any] = {"dtype": torch.float64, "device": device}
        self._best = torch.full(shape, math.inf, **places)
        self._best_id = torch.zeros(shape, dtype=torch.int64, device=device)
        self._best_place = torch.zeros_like(self._best_id)
        # What removing a group of several features takes of its own blocks.
        g = state.width
        self._factors = torch.empty(state.active if g > 1 else 0, g, 2, g, **places)
        self._pivots = torch.empty(state.active if g > 1 else 0, g, 2, **places)
        # Active groups, removals before this panel, removals wanted by the end of this call.
        self._control = torch.zeros(3, dtype=torch.int64, device=device)
        self._broken = torch.zeros(1, dtype=torch.int32, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, count: int) -> None:
        """Remove ``count`` groups.

        Raises:
            NumericalError: A block is not positive definite any more.
        """
        state = self._state
        g = state.width
        use_graph = count >= _GRAPH_FROM and state.pair.is_cuda
        left = count
        while left:
            if state.filled == state.capacity:
                state.flush()
            steps = min(left, (state.capacity - state.filled) // g)
            before = state.done - state.filled // g
            # Filled, not copied: a copy would wait for the kernels before it.
            for place, value in enumerate((state.active, before, state.done + steps)):
                self._control[place].fill_(value)
            if use_graph and not state.filled:
                self._replay()
            else:
                self._launch(state.filled, steps)
            state.filled += steps * g
            state.done += steps
            left -= steps
        if bool(self._broken):
            raise not_positive_definite(state.damping)

    def _replay(self) -> None:
        """Run a whole panel from the graph; steps beyond those wanted do nothing."""
        if self._graph is None:
            # The first launch compiles, which must not happen during capture. Asked for no
            # removals, it changes nothing.
            wanted = self._control.clone()
            self._control[2] = 0
            self._launch(0, 1)
            self._control.copy_(wanted)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._launch(0, self._state.capacity // self._state.width)
            self._graph = graph
        self._graph.replay()

    def _launch(self, filled: int, steps: int) -> None:
        if self._state.width == 1:
            self._launch_features(filled, steps)
        else:
            self._launch_blocks(filled, steps)

    def _launch_features(self, filled: int, steps: int) -> None:
        state, kernels, grid = self._state, self._kernels, (self._programs,)
        best = (self._best, self._best_id, self._best_place)
        blocks = (*state.blocks, state.barred, state.alive, state.ids)
        ends = (self._control, self._broken)
        kernels.price_features[grid](
            *blocks, *best, *ends, self._programs, filled % 2, COLUMNS=_COLUMNS
        )
        for at in range(filled, filled + steps):
            kernels.remove_feature[grid](
                *(state.P, state.M, state.panels, *blocks, state.order, state.prices),
                *(*best, *ends, at, state.P.stride(0), state.capacity, self._programs),
                PROGRAMS=_power_of_two(self._programs),
                COLUMNS=_COLUMNS,
                CHUNK=_CHUNK,
                num_warps=4,
            )

    def _launch_blocks(self, filled: int, steps: int) -> None:
        state, kernels, grid, g = self._state, self._kernels, (self._programs,), self._state.width
        blocks = (*state.blocks, state.barred, state.alive)
        ends = (self._best, self._factors, self._pivots, self._control, self._broken)
        lanes = max(16, _power_of_two(g))
        warps = 1 if lanes == 16 else 4
        turn = (filled // g) % 2
        kernels.price_blocks[grid](
            *blocks, *ends, self._programs, turn, g, LANES=lanes, num_warps=warps
        )
        for at in range(filled, filled + steps * g, g):
            kernels.remove_block[grid](
                *(state.P, state.M, state.panels, *blocks, state.ids, state.order, state.prices),
                *(*ends, at, state.P.stride(0), state.capacity, self._programs, g),
                PROGRAMS=_power_of_two(self._programs),
                LANES=lanes,
                CHUNK=_BLOCK_CHUNK,
                num_warps=warps,
            )


def _power_of_two(count: int) -> int:
    return max(2, 1 << (count - 1).bit_length())
