"""How much a model's output changes when a block is replaced.

The decision hidden here: the measure (the mean Kullback-Leibler divergence of the
predictions from the dense model's) and how it is had cheaply: the hidden states that
enter each block are kept, so that only the blocks from the replaced one on run again.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from osscar_core.calibration import replaced_forward
from osscar_core.errors import NumericalError

# Predictions compared at most, evenly spread over the probe: with a large vocabulary the
# output layer and the comparison would otherwise cost more than all blocks together.
_MOST_PREDICTIONS = 1024


class Probe:
    """A dense model's predictions on a few calibration items.

    Args:
        model: The dense model, in evaluation mode, on the device where it is probed.
        blocks: Module paths of its blocks, in forward order.
        inputs: Keyword arguments of the model, one mapping per micro-batch.
    """

    def __init__(
        self, model: nn.Module, blocks: Sequence[str], inputs: Sequence[dict[str, Any]]
    ) -> None:
        self._blocks = tuple(blocks)
        self._device = next(model.parameters()).device
        self._inputs = [
            {name: _moved(value, self._device) for name, value in one.items()} for one in inputs
        ]
        self._thin_out(model)
        self._reference: list[Tensor] = []
        self._entropy = 0.0
        for number in range(len(self._inputs)):
            known = self._run(model, number)
            chances = known.exp()
            self._entropy += float((chances * known).sum(dim=-1).double().sum())
            self._reference.append(chances)

    @property
    def predictions(self) -> int:
        """Number of predictions that are compared."""
        return sum(part.shape[0] for part in self._reference)

    def _thin_out(self, model: nn.Module) -> None:
        """Ask for a share of the positions of every text only, where there are too many."""
        total = sum(one["input_ids"].numel() for one in self._inputs if "input_ids" in one)
        every = -(-total // _MOST_PREDICTIONS)
        if every < 2 or "logits_to_keep" not in inspect.signature(model.forward).parameters:
            return
        for one in self._inputs:
            length = one["input_ids"].shape[1]
            step = min(every, length)  # every text keeps at least one
            one["logits_to_keep"] = torch.arange(step - 1, length, step, device=self._device)

    @torch.no_grad()
    def divergence(self, model: nn.Module) -> float:
        """Return the mean divergence of a model's predictions, in nats, at least 0.

        Raises:
            NumericalError: It is not finite.
        """
        return self._mean(lambda number: self._run(model, number))

    @torch.no_grad()
    def entries(self, model: nn.Module) -> Entries:
        """Return the hidden states that enter each block of a model on the probe."""
        states: list[list[Tensor]] = [[] for _ in self._blocks]

        def keep(index: int) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                states[index].append(args[0] if args else next(iter(kwargs.values())))

            return hook

        with contextlib.ExitStack() as stack:
            for index, path in enumerate(self._blocks):
                place = model.get_submodule(path)
                hook = place.register_forward_pre_hook(keep(index), with_kwargs=True)
                stack.callback(hook.remove)
            for inputs in self._inputs:
                model(**inputs)
        return Entries(model, states)

    @torch.no_grad()
    def divergence_with(self, entries: Entries, index: int, block: nn.Module) -> float:
        """Return the divergence of a model one of whose blocks is replaced.

        Args:
            entries: Of that model.
            index: Position of the block.
            block: What stands in its place, on the same device.

        Raises:
            NumericalError: It is not finite.
        """
        with contextlib.ExitStack() as stack:
            place = entries.model.get_submodule(self._blocks[index])
            stack.enter_context(replaced_forward(place, block.forward))
            return self._mean(lambda number: self._suffix(entries, index, number))

    def _suffix(self, entries: Entries, index: int, number: int) -> Tensor:
        """Run a model from a block on; the blocks before only hand on what enters it."""
        state = entries.states[index][number]

        def stub(_: Tensor, **__: Any) -> Tensor:
            return state

        with contextlib.ExitStack() as stack:
            for path in self._blocks[:index]:
                stack.enter_context(replaced_forward(entries.model.get_submodule(path), stub))
            return self._run(entries.model, number)

    @torch.no_grad()
    def _run(self, model: nn.Module, number: int) -> Tensor:
        """Return the log-probabilities of some predictions of a micro-batch, (rows, classes)."""
        output = model(**self._inputs[number])
        logits = output if isinstance(output, Tensor) else output.logits
        return F.log_softmax(logits.reshape(-1, logits.shape[-1]).float(), dim=-1)

    def _mean(self, predict: Callable[[int], Tensor]) -> float:
        total = self._entropy
        for number, chances in enumerate(self._reference):
            total -= float((chances * predict(number)).sum(dim=-1).double().sum())
        value = total / self.predictions
        if not math.isfinite(value):
            raise NumericalError(
                "a pruned block makes the model's outputs not finite",
                "Run the forward passes in float32 (--dtype float32)",
            )
        return max(0.0, value)


class Entries:
    """The hidden states that enter each block of one model; made by `Probe.entries`.

    Attributes:
        model: The model.
        states: By block, then by micro-batch.
    """

    __slots__ = ("model", "states")

    def __init__(self, model: nn.Module, states: list[list[Tensor]]) -> None:
        self.model = model
        self.states = states


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


@contextlib.contextmanager
def placed(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Hold a model of the host on a device for the length of the context."""
    model.to(device)
    try:
        yield model
    finally:
        model.to("cpu")
