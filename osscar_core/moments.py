"""Sums a unit's calibration rows into the statistics of its problem.

The decision hidden here: in which precision rows are multiplied, and in which order. Rows
in half precision are multiplied by the tensor cores: products of two half-precision numbers
are exact in float32, in which they are added. A target in float32 enters as the sum of two
half-precision numbers. The tensor cores cut off what does not fit into the sum, instead of
rounding it, by up to 1e-4 of all that was added; so rows are multiplied without their mean,
which may be far larger than what they vary by, and it is put back in float64. Every few
thousand rows the float32 sums are added up in float64. The gram is symmetric: of its
blocks, those on and below the diagonal are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from osscar_core.errors import DataError
from osscar_core.solver.problem import Statistics
from osscar_core.surgery import consumer_matrix, features_per_channel

# Rows multiplied in float32 before the product is added in float64: long enough for the
# matrix product to run at full speed, short enough to keep its rounding small.
_ROWS_AT_ONCE = 8192
# Narrower block columns of the gram cost more in launches than the upper half saves.
_NARROWEST_BLOCK = 256
_BLOCKS = 4
_ORIGIN_BITS = 4


@dataclass(slots=True)
class Sums:
    """Running sums of one unit.

    Attributes:
        count: Rows so far.
        gram: Sum of ``(X - c)^T (X - c)``, (p, p) float64; blocks above the diagonal are not
            kept up.
        sum_x: Sum of ``X - c``, (p,).
        cross: Sum of ``(X - c)^T (Y - d)``, (p, m); ``None`` if the target is the layer's own
            output.
        sum_y: Sum of ``Y - d``, (m,).
        power_y: Sum of Y squared, (m,).
        origin: c and d, (p,) in the rows' type and (m,) float32; ``None`` for zero.
    """

    count: int
    gram: Tensor
    sum_x: Tensor
    cross: Tensor | None
    sum_y: Tensor | None
    power_y: Tensor | None
    origin: tuple[Tensor, Tensor | None] | None = None

    @classmethod
    def zeros(
        cls, features: int, consumer: nn.Module, with_answer: bool, device: torch.device
    ) -> Sums:
        """Return the sums of no rows.

        Args:
            features: Input features p.
            consumer: The layer whose inputs are summed.
            with_answer: Whether there are targets.
            device: Where to sum.
        """

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        outputs = consumer.get_parameter("weight").shape[0]
        return cls(
            count=0,
            gram=zeros(features, features),
            sum_x=zeros(features),
            cross=zeros(features, outputs) if with_answer else None,
            sum_y=zeros(outputs) if with_answer else None,
            power_y=zeros(outputs) if with_answer else None,
        )

    def add(self, rows: Tensor, answer: Tensor | None) -> None:
        """Add rows.

        Args:
            rows: (n, p) of any floating-point type.
            answer: Their targets, (n, m), or ``None``.
        """
        if not self.count and self.origin is None:
            self.start_near(rows, answer)
        self.count += rows.shape[0]
        for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
            piece = slice(start, start + _ROWS_AT_ONCE)
            Y = None if answer is None else answer[piece].float()
            self._add(rows[piece], Y)

    def start_near(self, rows: Tensor, answer: Tensor | None) -> None:
        """Choose the origin by the first rows, which are not added by this."""
        if _multiplies_half(rows):
            first = answer if answer is None else answer[:_ROWS_AT_ONCE].float().mean(0)
            self.origin = (_coarse(rows[:_ROWS_AT_ONCE].float().mean(0)).to(rows.dtype), first)

    def _add(self, rows: Tensor, answer: Tensor | None) -> None:
        X = rows.float() if self.origin is None else rows - self.origin[0]
        self.sum_x += _total(X)
        for low, high in _blocks(X.shape[1]):
            # One block column, from the diagonal down.
            self.gram[low:, low:high] += _product(X[:, low:], X[:, low:high])
        if answer is None or self.cross is None or self.sum_y is None or self.power_y is None:
            return
        self.power_y += _total(answer.square())
        Y = answer if self.origin is None or self.origin[1] is None else answer - self.origin[1]
        self.sum_y += _total(Y)
        for part in _parts(Y, X.dtype):
            self.cross += _product(X, part)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the sums that there are, without an origin, to add up several processes'."""
        self._forget_origin()
        every = (self.gram, self.sum_x, self.cross, self.sum_y, self.power_y)
        return tuple(one for one in every if one is not None)

    def _forget_origin(self) -> None:
        """Make the sums those of X and Y themselves, in float64."""
        if self.origin is None:
            return
        c, d = (None if one is None else one.double() for one in self.origin)
        if c is not None:
            # X^T Y = (X - c)^T (Y - d) + sum(X - c) d^T + c sum(Y)^T
            rest = self.sum_x.clone()
            self.sum_x.add_(c, alpha=self.count)
            self.gram.addr_(rest, c).addr_(c, self.sum_x)
            if self.cross is not None and self.sum_y is not None and d is not None:
                self.sum_y.add_(d, alpha=self.count)
                self.cross.addr_(rest, d).addr_(c, self.sum_y)
        self.origin = None

    def finish(self, consumer: nn.Module) -> Statistics:
        """Divide by the number of rows, in place; for the layer's own target derive Y = X W0.

        Args:
            consumer: The layer whose inputs were summed.

        Returns:
            Statistics in the sums' own memory, which are of no use afterwards.
        """
        self._forget_origin()
        gram, mean_x = self.gram.div_(self.count), self.sum_x.div_(self.count)
        for low, high in _blocks(gram.shape[0]):
            own = gram[low:high, low:high]
            own.copy_((own + own.T) / 2)
            gram[low:high, high:] = gram[high:, low:high].T
        cross = None if self.cross is None else self.cross.div_(self.count)
        order = _weight_order(consumer, gram.shape[0])
        if order is not None:
            order = order.to(gram.device)
            gram, mean_x = gram[order][:, order], mean_x[order]
            cross = None if cross is None else cross[order]
        if cross is None or self.sum_y is None or self.power_y is None:
            W0 = consumer_matrix(consumer)
            cross = gram @ W0
            return Statistics(
                count=self.count,
                gram=gram,
                cross=cross,
                mean_x=mean_x,
                mean_y=mean_x @ W0,
                power_y=(W0 * cross).sum(0),
            )
        return Statistics(
            count=self.count,
            gram=gram,
            cross=cross,
            mean_x=mean_x,
            mean_y=self.sum_y.div_(self.count),
            power_y=self.power_y.div_(self.count),
        )


def _blocks(features: int) -> Iterator[tuple[int, int]]:
    """Yield the block columns in which a gram is computed."""
    width = max(_NARROWEST_BLOCK, -(-features // _BLOCKS))
    for low in range(0, features, width):
        yield low, min(low + width, features)


def _multiplies_half(rows: Tensor) -> bool:
    """Return whether rows are multiplied as they are and added in float32."""
    return rows.is_cuda and rows.dtype in (torch.float16, torch.bfloat16)


def _coarse(values: Tensor) -> Tensor:
    """Return values rounded to a few binary digits.

    Such a number can be taken from others of about its size without rounding. The error of
    rounding would be the same in all numbers of one magnitude, and add up.
    """
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**_ORIGIN_BITS).round() / 2**_ORIGIN_BITS, exponent)


def _product(A: Tensor, B: Tensor) -> Tensor:
    """Return ``A^T B`` in float32."""
    if A.dtype == torch.float32:
        return A.t() @ B
    return torch.mm(A.t(), B, out_dtype=torch.float32)


def _parts(Y: Tensor, dtype: torch.dtype) -> Iterator[Tensor]:
    """Yield what adds up to Y: itself in float32, or two numbers of half precision."""
    if dtype == torch.float32:
        yield Y
        return
    first = Y.to(dtype)
    yield first
    yield (Y - first.float()).to(dtype)


def _total(rows: Tensor) -> Tensor:
    """Return the sum of rows in float32, (n, p) -> (p,)."""
    if rows.dtype == torch.float32:
        return rows.t() @ rows.new_ones(rows.shape[0])
    return rows.sum(0, dtype=torch.float32)


def feature_rows(consumer: nn.Module, inputs: Tensor) -> Tensor:
    """Return the consumer's input as rows, one per token or output pixel.

    Returns:
        (N, p). A convolution's features are ordered (kh, kw, channel), so that building
        them copies runs of channels; `_weight_order` tells where each belongs.
    """
    if not isinstance(consumer, nn.Conv2d):
        return inputs.reshape(-1, inputs.shape[-1])
    if consumer.padding_mode != "zeros" or isinstance(consumer.padding, str):
        raise DataError(
            f"cannot calibrate a convolution with padding {consumer.padding!r} "
            f"in mode '{consumer.padding_mode}'",
            "Only explicit zero padding is supported",
        )
    (kh, kw), (step_h, step_w) = consumer.kernel_size, consumer.stride
    (pad_h, pad_w), (dil_h, dil_w) = consumer.padding, consumer.dilation
    pixels = F.pad(inputs.permute(0, 2, 3, 1), (0, 0, pad_w, pad_w, pad_h, pad_h))  # (B, H, W, C)
    batch, height, width, channels = pixels.shape
    out_h = (height - dil_h * (kh - 1) - 1) // step_h + 1
    out_w = (width - dil_w * (kw - 1) - 1) // step_w + 1
    rows = pixels.new_empty(batch, out_h, out_w, kh, kw, channels)
    for i in range(kh):
        down = slice(i * dil_h, i * dil_h + (out_h - 1) * step_h + 1, step_h)
        for j in range(kw):
            across = slice(j * dil_w, j * dil_w + (out_w - 1) * step_w + 1, step_w)
            rows[:, :, :, i, j] = pixels[:, down, across]
    return rows.view(-1, kh * kw * channels)


def _weight_order(consumer: nn.Module, features: int) -> Tensor | None:
    """Return where `feature_rows` put each row of the consumer's matrix, if elsewhere."""
    taps = features_per_channel(consumer)
    if taps == 1:
        return None
    return torch.arange(features).view(taps, -1).t().flatten()
