"""Sums of calibration rows are those of float64, however they were made."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from osscar_core import moments
from osscar_core.moments import Sums
from osscar_core.solver.problem import Statistics

CPU = torch.device("cpu")
ROWS, FEATURES, OUTPUTS = 700, 600, 5


def rows(seed: int = 0, mean: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(ROWS, FEATURES, generator=generator) + mean
    Y = torch.randn(ROWS, OUTPUTS, generator=generator) - mean
    return X, Y


def layer() -> nn.Linear:
    made = nn.Linear(FEATURES, OUTPUTS)
    with torch.no_grad():
        made.weight.copy_(rows(seed=1)[0][:OUTPUTS] / FEATURES)
    return made


def summed(X: Tensor, Y: Tensor | None, *, origin: bool = False, step: int = 300) -> Statistics:
    consumer = layer()
    sums = Sums.zeros(FEATURES, consumer, Y is not None, X.device)
    if origin:
        sums.origin = (X[0].float(), None if Y is None else Y[0])
    for start in range(0, ROWS, step):
        piece = slice(start, start + step)
        sums.add(X[piece], None if Y is None else Y[piece])
    return sums.finish(consumer.to(X.device))


def assert_exact(found: Statistics, X: Tensor, Y: Tensor, tolerance: float) -> None:
    x, y = X.double(), Y.double()

    def close(value: Tensor, expected: Tensor) -> None:
        assert float((value - expected).norm() / expected.norm()) < tolerance

    assert found.count == len(X)
    close(found.gram, x.T @ x / len(x))
    close(found.cross, x.T @ y / len(x))
    close(found.mean_x, x.mean(0))
    close(found.mean_y, y.mean(0))
    close(found.power_y, y.square().mean(0))
    assert torch.equal(found.gram, found.gram.T)


@pytest.mark.parametrize("origin", [False, True])
def test_sums_are_those_of_float64(origin: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_ROWS_AT_ONCE", 128)
    X, Y = rows()
    assert_exact(summed(X, Y, origin=origin), X, Y, 1e-6)


def test_an_origin_keeps_what_the_rows_vary_by() -> None:
    """With a mean of 1,000 times the spread, the centred gram is still right."""
    X, Y = rows(mean=1000.0)
    found = summed(X, Y, origin=True)
    x = X.double() - X.double().mean(0)
    centred = found.gram - torch.outer(found.mean_x, found.mean_x)
    expected = x.T @ x / len(x)
    assert float((centred - expected).norm() / expected.norm()) < 1e-4


def test_sums_of_several_processes_add_up() -> None:
    X, Y = rows()
    consumer = layer()
    parts = []
    for index, piece in enumerate((slice(0, 250), slice(250, ROWS))):
        sums = Sums.zeros(FEATURES, consumer, True, CPU)
        sums.origin = (X[index], Y[index])  # each has its own
        sums.add(X[piece], Y[piece])
        parts.append(sums)
    first, second = parts
    for own, other in zip(first.tensors(), second.tensors(), strict=True):
        own.add_(other)
    first.count += second.count
    assert_exact(first.finish(consumer), X, Y, 1e-6)


def test_with_one_origin_the_order_of_rows_is_all_that_differs() -> None:
    """Products are the same to the last bit, and are added up in float64."""
    X, Y = rows()
    first, second = slice(0, 300), slice(300, ROWS)

    def started() -> Sums:
        sums = Sums.zeros(FEATURES, layer(), True, CPU)
        sums.origin = (X[0], Y[0])
        return sums

    whole = started()
    whole.add(X[first], Y[first])
    whole.add(X[second], Y[second])
    members = [started(), started()]
    for sums, piece in zip(members, (second, first), strict=True):
        sums.add(X[piece], Y[piece])
    for parts in zip(whole.tensors(), *(one.tensors() for one in members), strict=True):
        assert float((parts[0] - parts[1] - parts[2]).norm() / parts[0].norm()) < 1e-14


def test_the_layers_own_output_is_the_target_where_none_is_given() -> None:
    X, _ = rows()
    consumer = layer()
    sums = Sums.zeros(FEATURES, consumer, False, CPU)
    sums.add(X, None)
    Y = X.double() @ consumer.weight.detach().double().T
    assert_exact(sums.finish(consumer), X, Y, 1e-6)


@pytest.mark.parametrize("bits", [2.0, 3.0, 0.4, -7.7, 1234.5, 0.0])
def test_an_origin_has_few_digits(bits: float) -> None:
    found = moments._coarse(torch.tensor([bits]))
    assert float(found) == pytest.approx(bits, rel=1 / 16)
    mantissa, _ = torch.frexp(found)
    assert float(mantissa) * 16 == round(float(mantissa) * 16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_a_gpu(dtype: torch.dtype) -> None:
    X, Y = rows()
    X = X.to("cuda", dtype)
    Y = Y.cuda()
    assert_exact(summed(X, Y), X, Y, 5e-5)
