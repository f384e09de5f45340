from __future__ import annotations

import pytest
import torch

from osscar_core.solver.blocks import (
    add_lower_,
    diagonal_blocks,
    half_trace_ratio,
    mirror_lower_,
)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_diagonal_blocks_are_copies(width):
    matrix = torch.arange(100, dtype=torch.float64).view(10, 10)
    blocks = diagonal_blocks(matrix, width)
    assert blocks.shape == (10 // width, width, width)
    for j, block in enumerate(blocks):
        part = slice(j * width, (j + 1) * width)
        assert block.equal(matrix[part, part])
    blocks.zero_()
    assert matrix[9, 9] == 99


@pytest.mark.parametrize("width", [1, 4])
def test_half_trace_ratio_is_its_formula(width):
    factors = torch.randn(2, 6, width, width, generator=torch.Generator().manual_seed(0)).double()
    divisor, dividend = factors @ factors.mT
    values, sound = half_trace_ratio(divisor, dividend)
    expected = [
        0.5 * torch.trace(torch.linalg.inv(a) @ b) for a, b in zip(divisor, dividend, strict=True)
    ]
    torch.testing.assert_close(values, torch.stack(expected), rtol=1e-6, atol=1e-9)
    assert sound.all()


@pytest.mark.parametrize("width", [1, 3])
def test_half_trace_ratio_reports_blocks_that_are_not_positive(width):
    blocks = torch.eye(width).double().repeat(3, 1, 1)
    blocks[1] *= -1
    _, sound = half_trace_ratio(blocks, torch.eye(width).double().expand(3, -1, -1))
    assert sound.tolist() == [True, False, True]


@pytest.mark.parametrize("size", [7, 256, 600])
def test_add_lower_is_the_lower_triangle_of_the_product(size):
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 5, size, generator=generator, dtype=torch.float64)
    both, swapped = torch.cat((left[None], right[None])), torch.cat((right[None], left[None]))
    target = torch.eye(size, dtype=torch.float64)
    add_lower_(target, both.view(-1, size), swapped.view(-1, size), sign=-2.0)
    mixed = left.T @ right
    expected = torch.eye(size, dtype=torch.float64) - 2 * (mixed + mixed.T)
    torch.testing.assert_close(target.tril(), expected.tril())
    mirrored = mirror_lower_(target)
    torch.testing.assert_close(mirrored, expected)
    assert mirrored.equal(mirrored.T)
