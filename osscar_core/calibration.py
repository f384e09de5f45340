"""Runs a model block by block and sums the statistics of one unit at a time.

The decisions hidden here: how a block is run outside its model (with exactly the
keyword arguments the model would give it), and how the dense and the pruned stream travel
side by side. Only one block, and its dense twin, are on the computing device at a time.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from osscar_core.activations import Activations, activations
from osscar_core.errors import DataError, NumericalError
from osscar_core.models.blocks import BlockWeights, ReadAhead, empty_
from osscar_core.models.weights import is_finite
from osscar_core.moments import Sums, feature_rows
from osscar_core.records import Target
from osscar_core.resources import Place
from osscar_core.shortage import in_batches_of
from osscar_core.solver.problem import Statistics
from osscar_core.stopwatch import Stopwatch
from osscar_core.team import ALONE, Team
from osscar_core.units import Tap, Unit

# A norm's scale below this share of the layer's mean scale says nothing about how much
# residual that output should repair; dividing by it would only amplify noise.
_MIN_RELATIVE_SCALE = 1e-2
_T = TypeVar("_T")


class _Stop(Exception):  # noqa: N818 - control flow, never seen outside
    """Ends a forward pass as soon as everything wanted from it is in hand."""


class BlockRunner:
    """Carries calibration data through the blocks of one model.

    Use it block by block, in forward order::

        with BlockRunner(model, blocks, inputs, device=device, with_dense=True) as runner:
            for index in range(len(blocks)):
                with runner.block(index) as block:
                    statistics = block.collect(unit, Target.RESIDUAL)
                    ...                       # surgery on the model
                # leaving the block carries both streams through it

    Args:
        model: The model to be pruned, on the host; the parameters of its blocks may be on
            the meta device if ``weights`` has them. It is in evaluation mode.
        blocks: Module paths of its blocks, in forward order.
        inputs: Keyword arguments of the model, one mapping per micro-batch.
        device: Where blocks are computed.
        with_dense: Whether the dense stream is needed beside the pruned one.
        batch_done: Called after each micro-batch of each pass.
        weights: Where the blocks' weights come from, if not with the model. A block is
            then without weights again after it was left.
        place: Where hidden states are kept between blocks.
        folder: Existing folder for those on disk; ``None`` for the system's own.
        watch: Times the stages ``read``, ``forward`` and ``statistics``.
        team: The processes that share the micro-batches; ``inputs`` are this one's.

    Attributes:
        pruned: Hidden states entering the next block of the pruned model.
        dense: The same in the dense model; ``None`` when no target needs them.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Sequence[str],
        inputs: Sequence[dict[str, Any]],
        *,
        device: torch.device,
        with_dense: bool,
        batch_done: Callable[[], None] | None = None,
        weights: BlockWeights | None = None,
        place: Place = Place.DEVICE,
        folder: Path | None = None,
        watch: Stopwatch | None = None,
        team: Team = ALONE,
    ) -> None:
        self._team = team
        self._model = model
        self._blocks = tuple(blocks)
        self._device = device
        self._watch = watch or Stopwatch(device)
        self._batch_done = batch_done or (lambda: None)
        self._weights = None if weights is None else ReadAhead(weights, self._blocks)
        self._inputs = tuple(inputs)
        self._kwargs: list[tuple[dict[str, Any], ...]] = []
        self.pruned = activations(place, device, folder)
        self.dense = activations(place, device, folder) if with_dense else None
        self._size = max((_items(one) for one in inputs), default=1)
        with in_batches_of(self._size):
            for one in inputs:
                self._enter(one)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the hidden states occupy, and stop reading ahead."""
        for store in (self.pruned, self.dense):
            if store is not None:
                store.close()
        if self._weights is not None:
            self._weights.close()

    @contextlib.contextmanager
    def block(self, index: int) -> Iterator[BlockPass]:
        """Hold block ``index`` on the device; carry both streams through it at the end.

        The streams are carried only if the body ends without an exception. The block
        returns to the host, or loses its weights, in any case.
        """
        block = self._model.get_submodule(self._blocks[index])
        with self._watch.stage("read"):
            if self._weights is None:
                block.to(self._device)
            else:
                self._weights.fill_(block, index, self._device)
        try:
            twin = copy.deepcopy(block) if self.dense is not None else None
            current = BlockPass(
                block=block,
                dense=twin,
                prefix=self._blocks[index],
                streams=(self.pruned, self.dense),
                kwargs=[one[index] for one in self._kwargs],
                device=self._device,
                batch_done=self._batch_done,
                watch=self._watch,
                team=self._team,
                size=self._size,
            )
            yield current
            current.advance()
        finally:
            if self._weights is None:
                block.to("cpu")
            else:
                empty_(block)

    def head(self, path: str) -> Statistics:
        """Sum the statistics of a layer behind the blocks, after the last one was carried.

        Args:
            path: Module path of an ``nn.Linear`` that reads one row per item.

        Returns:
            Statistics in float64 on the computing device, with the dense model's outputs
            as the target.

        Raises:
            MemoryShortageError: Memory ran out.
        """
        with torch.no_grad(), in_batches_of(self._size):
            return self._head(path)

    def _head(self, path: str) -> Statistics:
        layer = self._model.get_submodule(path)
        total = Sums.zeros(layer.get_parameter("weight").shape[1], layer, True, self._device)
        for position, inputs in enumerate(self._inputs):
            rows, _ = self._leave(inputs, self.pruned.at(position), layer)
            _, answer = self._leave(inputs, _needed(self.dense).at(position), layer)
            rows, answer = rows.to(self._device), answer.to(self._device)
            if not position:
                self._team.start_(total, (rows, answer))
            total.add(rows, answer)
            self._batch_done()
        if not self._inputs:
            self._team.start_(total, None)
        self._team.add_up_(total)
        return total.finish(layer)

    def _leave(
        self, inputs: dict[str, Any], hidden: Tensor, layer: nn.Module
    ) -> tuple[Tensor, Tensor]:
        """Run what follows the blocks on a hidden state; return a layer's rows in and out."""
        seen: list[tuple[Tensor, Tensor]] = []
        state = hidden.cpu()

        def read(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            bias = getattr(module, "bias", None)
            seen.append((args[0], output if bias is None else output - bias))
            raise _Stop

        def stub(_: Tensor, **__: Any) -> Tensor:
            return state

        with contextlib.ExitStack() as stack:
            for block in self._blocks:
                place = self._model.get_submodule(block)
                stack.enter_context(replaced_forward(place, stub))
            stack.callback(layer.register_forward_hook(read).remove)
            stack.enter_context(contextlib.suppress(_Stop))
            self._model(**inputs)
        return seen[0]

    @torch.no_grad()
    def _enter(self, inputs: dict[str, Any]) -> None:
        """Run the model with its blocks stubbed out, keeping what each was given."""
        hidden: list[Tensor] = []
        kwargs: list[dict[str, Any]] = []

        def stub(state: Tensor, **given: Any) -> Tensor:
            if not hidden:
                hidden.append(state)
            kwargs.append(given)
            if len(kwargs) == len(self._blocks):
                raise _Stop
            return state

        with contextlib.ExitStack() as stack:
            for path in self._blocks:
                stack.enter_context(replaced_forward(self._model.get_submodule(path), stub))
            stack.enter_context(contextlib.suppress(_Stop))
            self._model(**inputs)
        if not hidden or len(kwargs) != len(self._blocks):
            raise DataError(
                f"the model ran {len(kwargs)} of its {len(self._blocks)} blocks",
                "The adapter's list of blocks does not fit this model",
            )
        # Masks and tables of positions are mostly the same for all; one copy will do.
        last = self._kwargs[-1] if self._kwargs else None
        held: dict[int, Tensor] = {}
        moved = tuple(_to_device(one, self._device, held) for one in kwargs)
        self._kwargs.append(last if last is not None and _is_equal(moved, last) else moved)
        state = hidden[0].to(self._device)
        self.pruned.append(state)
        if self.dense is not None:
            self.dense.append(state)


class BlockPass:
    """What can be asked of the block at hand. Made by `BlockRunner.block`."""

    def __init__(
        self,
        *,
        block: nn.Module,
        dense: nn.Module | None,
        prefix: str,
        streams: tuple[Activations, Activations | None],
        kwargs: Sequence[dict[str, Any]],
        device: torch.device,
        batch_done: Callable[[], None],
        watch: Stopwatch,
        team: Team,
        size: int,
    ) -> None:
        self._size = size
        self._team = team
        self._watch = watch
        self._block = block
        self._twin = dense
        self._prefix = prefix
        self._pruned, self._dense = streams
        self._kwargs = kwargs
        self._device = device
        self._batch_done = batch_done
        self._is_dense_carried = False

    def collect(
        self, unit: Unit, target: Target, scale: Tensor | None = None, *, is_last: bool = False
    ) -> Statistics:
        """Sum the statistics of one unit over all micro-batches.

        Args:
            unit: A unit of this block, as described for its present shapes.
            target: What to reconstruct; `Target.RESIDUAL` counts as `Target.DENSE`
                for a unit without a residual stream.
            scale: (m,) scale that a following norm gives the consumer's outputs; the
                residual term is divided by it.
            is_last: Whether no other unit of this block will be asked for. The dense
                stream is then carried through the block on the way, which spares
                `advance` a pass.

        Returns:
            Statistics in float64 on the computing device; in a team those of all members
            at the leader, and of no use at the others.

        Raises:
            NumericalError: An activation is not finite.
            MemoryShortageError: Memory ran out; the streams are of no use any more.
        """
        with torch.no_grad(), in_batches_of(self._size):
            return self._collect(unit, target, scale, is_last=is_last)

    def _collect(
        self, unit: Unit, target: Target, scale: Tensor | None, *, is_last: bool
    ) -> Statistics:
        stream = unit.stream if target is Target.RESIDUAL else None
        consumer = self._child(self._block, unit.consumer)
        divisor = None if scale is None else _safe_scale(scale)
        with_dense = target is not Target.LAYER
        carry = with_dense and is_last
        features = consumer.get_parameter("weight")[0].numel()
        total = Sums.zeros(features, consumer, with_dense, self._device)
        dense_states = _needed(self._dense).read() if with_dense else itertools.repeat(None)
        for position, (state, other) in enumerate(
            zip(self._pruned.read(), dense_states, strict=False)
        ):
            kwargs = self._kwargs[position]
            with self._watch.stage("forward"):
                pruned = self._run(self._block, state, kwargs, unit, stream)
                rows = feature_rows(consumer, pruned.consumer_input)
                answer = None
                if other is not None:
                    dense = self._run_dense(other, kwargs, unit, stream, whole=carry)
                    answer = _output_rows(dense.consumer_output)
                    if stream is not None:
                        gap = _present(dense.stream).float() - _present(pruned.stream)
                        gap = _output_rows(gap)
                        answer = answer + (gap if divisor is None else gap / divisor)
                    if carry:
                        _needed(self._dense).put(position, _present(dense.output))
            if not position:
                self._start(total, (rows, answer))
            with self._watch.stage("statistics"):
                total.add(rows, answer)
            self._batch_done()
        if not self._kwargs:
            self._start(total, None)
        self._is_dense_carried = self._is_dense_carried or carry
        with self._watch.stage("exchange", is_timed=self._team.size > 1):
            self._team.add_up_(total)
        if not self._team.is_leader:
            return total.finish(consumer)
        if not total.count:
            raise DataError("there is no calibration data", "Give at least one sample")
        statistics = total.finish(consumer)
        if not (is_finite(statistics.gram) and is_finite(statistics.cross)):
            raise NumericalError(
                f"the inputs of {unit.name} are not finite on the calibration data",
                "Run the forward passes in float32 (--dtype float32) and check the weights",
            )
        return statistics

    def _start(self, total: Sums, first: tuple[Tensor, Tensor | None] | None) -> None:
        with self._watch.stage("exchange", is_timed=self._team.size > 1):
            self._team.start_(total, first)

    def advance(self) -> None:
        """Carry both streams through the block as it is now.

        Raises:
            MemoryShortageError: Memory ran out; the streams are of no use any more.
        """
        with torch.no_grad(), in_batches_of(self._size):
            self._advance()

    def _advance(self) -> None:
        for position, state in enumerate(self._pruned.read()):
            with self._watch.stage("forward"):
                after = self._forward(self._block, state, self._kwargs[position])
                self._pruned.put(position, after)
            self._batch_done()
        if self._twin is None or self._dense is None or self._is_dense_carried:
            return
        for position, state in enumerate(self._dense.read()):
            with self._watch.stage("forward"):
                self._dense.put(position, self._forward(self._twin, state, self._kwargs[position]))

    def _child(self, root: nn.Module, path: str) -> nn.Module:
        return root if path == self._prefix else root.get_submodule(path[len(self._prefix) + 1 :])

    def _forward(self, block: nn.Module, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        output = block(hidden, **kwargs)
        state: Tensor = output[0] if isinstance(output, tuple) else output
        return state

    def _run_dense(
        self,
        hidden: Tensor,
        kwargs: dict[str, Any],
        unit: Unit,
        stream: Tap | None,
        *,
        whole: bool,
    ) -> _Reading:
        if self._is_dense_carried:
            raise RuntimeError(f"{unit.name} is asked for after the last unit of its block")
        twin = _needed(self._twin)
        return self._run(twin, hidden, kwargs, unit, stream, with_output=True, whole=whole)

    def _run(
        self,
        block: nn.Module,
        hidden: Tensor,
        kwargs: dict[str, Any],
        unit: Unit,
        stream: Tap | None,
        *,
        with_output: bool = False,
        whole: bool = False,
    ) -> _Reading:
        """Run a block and read the unit's consumer and stream; stop as early as allowed."""
        reading = _Reading()
        consumer = self._child(block, unit.consumer)

        def stop_if_done() -> None:
            if not whole and reading.is_complete(with_output, stream is not None):
                raise _Stop

        def read_input(_: nn.Module, args: tuple[Any, ...]) -> None:
            reading.consumer_input = args[0]
            stop_if_done()

        def read_output(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
            bias = getattr(module, "bias", None)
            shape = (-1,) if output.dim() == 3 or output.dim() == 2 else (-1, 1, 1)
            reading.consumer_output = output if bias is None else output - bias.view(shape)
            stop_if_done()

        def read_stream(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> None:
            if stream is not None and stream.side == "output":
                reading.stream = output
            else:
                reading.stream = args[0] if args else next(iter(kwargs.values()))
            stop_if_done()

        with contextlib.ExitStack() as stack:
            if stream is not None and stream.path == self._prefix and stream.side == "input":
                reading.stream = hidden
            elif stream is not None:
                place = self._child(block, stream.path)
                hook = place.register_forward_hook(read_stream, with_kwargs=True)
                stack.callback(hook.remove)
            stack.callback(consumer.register_forward_pre_hook(read_input).remove)
            if with_output:
                stack.callback(consumer.register_forward_hook(read_output).remove)
            stack.enter_context(contextlib.suppress(_Stop))
            reading.output = self._forward(block, hidden, kwargs)
        return reading


class _Reading:
    """What one pass through a block showed."""

    __slots__ = ("consumer_input", "consumer_output", "output", "stream")

    def __init__(self) -> None:
        self.consumer_input: Tensor
        self.consumer_output: Tensor
        self.stream: Tensor | None = None
        self.output: Tensor | None = None

    def is_complete(self, with_output: bool, with_stream: bool) -> bool:
        """Return whether everything wanted was seen."""
        seen = hasattr(self, "consumer_output" if with_output else "consumer_input")
        return seen and (self.stream is not None or not with_stream)


def norm_scale(norm: nn.Module) -> Tensor:
    """Return the factor by which a batch norm multiplies each channel at inference.

    Returns:
        (m,) float64: ``gamma / sqrt(running_var + eps)``.
    """
    if not isinstance(norm, nn.BatchNorm2d):
        raise TypeError(f"expected a batch norm, got {type(norm).__name__}")
    variance = norm.get_buffer("running_var").double()
    scale = (variance + norm.eps).rsqrt()
    return scale if norm.weight is None else scale * norm.weight.detach().double()


def _safe_scale(scale: Tensor) -> Tensor:
    """Return the scale with its smallest magnitudes raised, signs kept."""
    floor = _MIN_RELATIVE_SCALE * scale.abs().mean().clamp_min(torch.finfo(torch.float32).tiny)
    sign = torch.where(scale < 0, -1.0, 1.0).to(scale)
    return (sign * scale.abs().clamp_min(floor)).float()


def _items(inputs: dict[str, Any]) -> int:
    return max((one.shape[0] for one in inputs.values() if isinstance(one, Tensor)), default=1)


def _output_rows(outputs: Tensor) -> Tensor:
    """Return a layer's output as rows: (N, m)."""
    if outputs.dim() == 4:
        outputs = outputs.permute(0, 2, 3, 1)
    return outputs.reshape(-1, outputs.shape[-1])


def _present(value: Tensor | None) -> Tensor:
    if value is None:
        raise DataError(
            "the block never reached the place where its residual stream is read",
            "The adapter's tap does not fit this model",
        )
    return value


def _needed(dense: _T | None) -> _T:
    if dense is None:
        raise DataError(
            "the dense stream is missing",
            "Build the runner with with_dense=True for the targets dense and residual",
        )
    return dense


def _to_device(value: Any, device: torch.device, held: dict[int, Tensor]) -> Any:
    """Move every tensor inside nested tuples, lists and dicts, each object once."""
    if isinstance(value, Tensor):
        if id(value) not in held:
            held[id(value)] = value.to(device)
        return held[id(value)]
    if isinstance(value, dict):
        return {key: _to_device(item, device, held) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_to_device(item, device, held) for item in value)
    return value


def _is_equal(left: Any, right: Any) -> bool:
    """Return whether nested tuples, lists and dicts hold equal tensors and values."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_equal(left[k], right[k]) for k in left)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(_is_equal, left, right))
    return bool(left == right)


@contextlib.contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Give one module another ``forward`` for the length of the context."""
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = own
