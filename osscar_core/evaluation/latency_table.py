"""The latency of a pruned model on this machine, at any widths, from timings of its blocks.

The decisions hidden here: how times of single blocks become the time of a model, when they
are measured again, and where they are kept. Blocks that look alike are timed once. A block
alone is not quite a block in its model, whose caches others have filled: what the blocks
predict to be saved is multiplied by one factor, fitted to whole models that were narrowed.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from osscar_core.errors import OsscarError, OutputError
from osscar_core.evaluation.block_times import PARTS, Block, Grid, distinct_blocks, narrowed
from osscar_core.evaluation.speed import Workload, elapsed
from osscar_core.latencies import TABLE_VERSION, LatencyTable, Widths
from osscar_core.progress import Progress, report
from osscar_core.records import from_json, to_json
from osscar_core.storage import read_sealed, workspace, write_sealed

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


# A pass times everything so often, after one call that does not count: the first with new
# shapes prepares kernels, of which only some hundreds are remembered.
_ROUNDS = 2
_MODEL_ROUNDS = 4
_MIN_PASSES = 2
_MAX_PASSES = 8
_MAX_TURNS = 96
_BUDGET_SECONDS = 15.0
# On a machine too slow or too busy for that, one pass must do.
_PATIENCE_SECONDS = 60.0
# Calls between two looks at the clock: a GPU works on while the next call is prepared.
_CALLS = {"cpu": 1, "cuda": 8}
# Medians are good enough when their own error is about this share.
_STEADY = 0.01
# A narrowed block takes about this share of the complete one on average, its making included.
_MEAN_COST = 0.65
# Whole models that are timed to fit the factor, as shares of their units: half of each, and
# two uneven ones, so spread that hardly any width is a multiple of anything.
_GOLDEN = (math.sqrt(5) - 1) / 2
_UNEVEN = ((0.4, 1.0), (0.1, 0.7))
# Savings below this share of the latency say little about the factor.
_NOISE = 0.01
# A factor smaller than this share of the largest would make all widths equal.
_LEAST = 0.01


def latency_table(
    loaded: LoadedModel,
    *,
    batch_size: int | None = None,
    seqlen: int | None = None,
    cache: Path | None = None,
    refresh: bool = False,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure a model's blocks, or read what was measured under the same conditions.

    A table from a machine that was busy with other work is returned but not kept; see
    `LatencyTable.is_steady`. The model is not changed. Narrower copies of it, one at a time,
    are in memory beside it.

    Args:
        loaded: The model, on the device where it is timed.
        batch_size: As in `osscar_core.evaluation.measure`.
        seqlen: As in `osscar_core.evaluation.measure`.
        cache: Folder that keeps the tables; ``None`` for ``latency`` in the workspace.
        refresh: Measure even if there is a table.
        progress: Called after every block of every pass.

    Raises:
        SpecError: A setting outside its range.
        DataError: The model does not run the blocks that its adapter names.
        OutputError: The table cannot be written.
    """
    work = Workload.build(loaded, batch_size, seqlen)
    signatures, blocks = distinct_blocks(work)
    conditions = work.conditions()
    path = (cache or workspace() / "latency") / f"{_digest(signatures, conditions)}.json"
    if not refresh:
        found = _stored(path, signatures, conditions)
        if found is not None:
            return found
    table = _Measurement(work, signatures, blocks).table(progress)
    if not table.is_steady:
        return table
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, to_json(table))
    except OSError as error:
        raise OutputError(
            f"the latency table cannot be written to {path} ({error.strerror})",
            "Choose another folder, or set OSSCAR_HOME to one that can be written to",
        ) from error
    return table


@dataclass(slots=True)
class _Turn:
    """Something to time: a module, a call of it, calls a look at the clock, and its times."""

    module: nn.Module
    work: Callable[[], Any]
    calls: int
    times: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Narrow:
    """A narrowed model and the complete one, timed in turns."""

    widths: dict[str, int]
    times: list[float] = field(default_factory=list)
    complete: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Latency of the narrowed model over that of the complete one."""
        return float(np.median(self.times) / np.median(self.complete))


class _Measurement:
    """Times the blocks of one model, and the model itself, in passes."""

    def __init__(
        self, work: Workload, signatures: Mapping[str, str], blocks: Sequence[Block]
    ) -> None:
        self._work = work
        self._signatures = signatures
        self._blocks = blocks
        self._calls = _CALLS[work.device.type]
        self._models = [_Narrow(widths) for widths in _shapes(work.loaded)]
        self._grids: dict[str, Grid] = {}
        self._times: dict[str, dict[Widths, list[float]]] = {}

    def table(self, progress: Progress | None) -> LatencyTable:
        """Measure until the budget is spent or the medians are steady."""
        started = time.perf_counter()
        name = self._work.loaded.source.model
        self._choose_grids()
        total = _MAX_PASSES * (len(self._blocks) + 1)
        done = 0
        report(progress, "latency", done, total, name)
        for number in range(_MAX_PASSES):
            for block in self._blocks:
                self._time_block(block)
                done += 1
                report(progress, "latency", done, total, block.path)
            for model in self._models:
                self._time_model(model)
            done += 1
            report(progress, "latency", done, total, name)
            spent = time.perf_counter() - started
            is_late = spent * (number + 2) / (number + 1) > _BUDGET_SECONDS
            is_enough = is_late or self._noise() <= _STEADY
            if (number + 1 >= _MIN_PASSES and is_enough) or spent > _PATIENCE_SECONDS:
                break
        report(progress, "latency", total, total, name)
        return self._result(time.perf_counter() - started)

    def _choose_grids(self) -> None:
        """Take the finest grids that the least number of passes can afford."""
        cost = {}
        for block in self._blocks:
            turn = _Turn(block.module, partial(block.run, block.module), self._calls)
            _take_turns([turn], self._work.device, _ROUNDS)
            cost[block.signature] = min(turn.times) * self._calls
        calls = _MIN_PASSES * (1 + _ROUNDS)
        for parts in PARTS:
            self._grids = {block.signature: Grid.of(block.units, parts) for block in self._blocks}
            spent = sum(len(self._grids[name].points()) * ms for name, ms in cost.items())
            if calls * _MEAN_COST * spent <= _BUDGET_SECONDS * 1e3:
                break
        self._times = {
            signature: {point: [] for point in grid.points()}
            for signature, grid in self._grids.items()
        }

    def _time_block(self, block: Block) -> None:
        """Time a block at all its points, as many in turns as make up a model's weights."""
        times = self._times[block.signature]
        most = _bytes(self._work.loaded.module)
        turns: list[_Turn] = []
        used = 0
        for point, own in times.items():
            module = block.narrowed(point)
            turns.append(_Turn(module, partial(block.run, module), self._calls, own))
            used += _bytes(module)
            if used >= most or len(turns) == _MAX_TURNS:
                _take_turns(turns, self._work.device, _ROUNDS)
                turns, used = [], 0
        _take_turns(turns, self._work.device, _ROUNDS)

    def _time_model(self, model: _Narrow) -> None:
        complete = self._work.loaded.module
        units = self._work.loaded.adapter.units(complete)
        small = narrowed(complete, units, model.widths)
        turns = [
            _Turn(module, partial(self._work.forward, module), 1, times)
            for module, times in ((complete, model.complete), (small, model.times))
        ]
        _take_turns(turns, self._work.device, _MODEL_ROUNDS)

    def _noise(self) -> float:
        """Return the error of a typical median, as a share."""
        errors = [
            (float(np.median(values)) / min(values) - 1) / math.sqrt(len(values))
            for times in self._times.values()
            for values in times.values()
        ]
        return float(np.median(errors))

    def _result(self, seconds: float) -> LatencyTable:
        tables = {}
        for block in self._blocks:
            times = self._times[block.signature].items()
            # The lower median: a burst of other work that hits half of the times is left out.
            medians = {point: statistics.median_low(values) for point, values in times}
            tables[block.signature] = block.table(self._grids[block.signature], medians)
        complete = [spent for model in self._models for spent in model.complete]
        unscaled = LatencyTable(
            conditions=self._work.conditions(),
            dense_ms=float(np.median(complete)),
            blocks=dict(self._signatures),
            tables=tables,
            scale=1.0,
            residual=0.0,
            noise=self._noise(),
            seconds=seconds,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        scale, residual = self._fit(unscaled)
        return dataclasses.replace(unscaled, scale=scale, residual=residual)

    def _fit(self, table: LatencyTable) -> tuple[float, float]:
        """Fit what narrowed models save to what their blocks do, as shares of their latency.

        The factor is drawn to 1 where hardly anything is saved, and never makes the blocks
        take longer than the model.
        """
        saved = [1 - table.model_ms(model.widths) / table.dense_ms for model in self._models]
        ratios = np.array([model.ratio for model in self._models])
        x, y = np.array(saved) / ratios, (1 - ratios) / ratios
        prior = _NOISE**2
        most = table.dense_ms / (table.dense_ms - table.overhead_ms)
        scale = float(np.clip((x @ y + prior) / (x @ x + prior), _LEAST * most, most))
        return scale, float(np.abs(y - scale * x).max())


@torch.inference_mode()
def _take_turns(turns: Sequence[_Turn], device: torch.device, rounds: int) -> None:
    """Time every turn, the order reversed every round, after one that does not count."""
    for number in range(1 + rounds):
        for turn in turns if number % 2 == 0 else reversed(turns):
            spent = _spent(turn.module, turn.work, turn.calls, device)
            if number:
                turn.times.append(spent)


def _spent(_: nn.Module, work: Callable[[], Any], calls: int, device: torch.device) -> float:
    """Return the milliseconds of one of several calls of a module."""

    def repeat() -> None:
        for _ in range(calls):
            work()

    return elapsed(repeat, device)[0] / calls


def _bytes(module: nn.Module) -> int:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _shapes(loaded: LoadedModel) -> list[dict[str, int]]:
    """Return the widths of the whole models that are timed."""
    units = loaded.adapter.units(loaded.module)

    def widths(low: float, high: float) -> dict[str, int]:
        shares = (low + (high - low) * (index * _GOLDEN % 1) for index in range(len(units)))
        return {
            unit.name: max(1, round(unit.groups * share))
            for unit, share in zip(units, shares, strict=True)
        }

    return [widths(0.5, 0.5), *(widths(low, high) for low, high in _UNEVEN)]


def _digest(signatures: Mapping[str, str], conditions: Mapping[str, str]) -> str:
    facts = [TABLE_VERSION, list(signatures.items()), sorted(conditions.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


def _stored(
    path: Path, signatures: Mapping[str, str], conditions: Mapping[str, str]
) -> LatencyTable | None:
    """Return the table at ``path`` if it is whole and answers the same question."""
    try:
        table = from_json(LatencyTable, read_sealed(path))
    except (OSError, OsscarError):
        return None
    same = table.blocks == signatures and table.conditions == conditions
    return table if same else None
