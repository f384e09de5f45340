from __future__ import annotations

import pytest
import torch

from osscar_core.errors import NumericalError
from osscar_core.solver import inverse
from osscar_core.solver.inverse import invert_


def spd(size, condition, seed=0):
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    values = torch.logspace(0, -condition, size, dtype=torch.float64)
    matrix = (basis * values) @ basis.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("size", [1, 5, 16, 17, 90])
@pytest.mark.parametrize("block", [1, 4, 16, 200])
def test_it_is_the_inverse(monkeypatch, size, block):
    monkeypatch.setattr(inverse, "_HOST_BLOCK", block)
    matrix = spd(size, 3)
    expected = torch.linalg.inv(matrix)
    got = matrix.clone()
    assert invert_(got, 0.0) is got
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    assert got.equal(got.T)


def test_it_reads_the_lower_triangle_only(monkeypatch):
    monkeypatch.setattr(inverse, "_HOST_BLOCK", 8)
    matrix = spd(30, 2)
    spoiled = matrix.tril() + torch.full_like(matrix, 7.0).triu(1)
    torch.testing.assert_close(invert_(spoiled, 0.0), torch.linalg.inv(matrix))


@pytest.mark.parametrize("condition", [6, 9, 12])
def test_ill_conditioned_matrices_lose_no_more_than_they_must(condition):
    """As near to the identity as LAPACK's own inverse comes, within a small factor."""
    matrix = spd(300, condition)
    ours = invert_(matrix.clone(), 0.0) @ matrix
    lapack = torch.cholesky_inverse(torch.linalg.cholesky(matrix)) @ matrix
    eye = torch.eye(300, dtype=torch.float64)
    assert float((ours - eye).norm()) <= 10 * float((lapack - eye).norm())


@pytest.mark.parametrize("block", [4, 200])
def test_a_matrix_without_an_inverse_is_refused(monkeypatch, block):
    monkeypatch.setattr(inverse, "_HOST_BLOCK", block)
    flat = spd(20, 2)
    flat[7] = flat[3]
    flat[:, 7] = flat[:, 3]
    for matrix in (flat, -spd(20, 2), torch.full((3, 3), torch.nan, dtype=torch.float64)):
        with pytest.raises(NumericalError, match=r"for example to 0\.05"):
            invert_(matrix.clone(), 0.005)
