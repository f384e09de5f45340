"""Surgery on single layers; whole models are covered by the conformance suite."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from osscar_core.errors import SpecError
from osscar_core.methods import InterceptPlace
from osscar_core.records import Structure
from osscar_core.surgery import (
    Cut,
    consumer_matrix,
    cuts,
    features_per_channel,
    intercept_place,
    shrink_,
    write_consumer_,
)
from osscar_core.units import Counter, Producer, Unit


class Pair(nn.Module):
    """A producer, an optional norm after the consumer, and a counter."""

    def __init__(self, *, bias: bool, conv: bool) -> None:
        super().__init__()
        if conv:
            self.first: nn.Module = nn.Conv2d(3, 6, 3, padding=1)
            self.second: nn.Module = nn.Conv2d(6, 5, 3, padding=1, bias=bias)
        else:
            self.first = nn.Linear(3, 6)
            self.second = nn.Linear(6, 5, bias=bias)
        self.norm = nn.BatchNorm2d(5)
        self.count = 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu())


def unit(*, norm: bool = False) -> Unit:
    return Unit(
        structure=Structure.NEURONS,
        block="",
        consumer="second",
        producers=(Producer("first", 2),),
        groups=3,
        width=2,
        norm="norm" if norm else None,
        counters=(Counter("", "count", 1),),
    )


KEPT = torch.tensor([0, 2])


def test_linear_keeps_the_right_columns_and_rows() -> None:
    model = Pair(bias=True, conv=False)
    dense = {name: value.clone() for name, value in model.state_dict().items()}
    shrink_(model, unit(), KEPT)
    index = torch.tensor([0, 1, 4, 5])
    assert torch.equal(model.second.weight, dense["second.weight"][:, index])
    assert torch.equal(model.first.weight, dense["first.weight"][index])
    assert torch.equal(model.first.bias, dense["first.bias"][index])
    assert (model.first.out_features, model.second.in_features, model.count) == (4, 4, 2)


@pytest.mark.parametrize("bias", [False, True])
def test_cuts_are_the_dimensions_that_shrink(bias: bool) -> None:
    model = Pair(bias=bias, conv=True)
    both = replace(unit(), producers=(Producer("first", 2), Producer("between", 2)))
    model.between = nn.BatchNorm2d(6)
    found = cuts(model, both)
    assert found[0] == Cut("first", "weight", 0, 2)
    assert found[-1] == Cut("second", "weight", 1, 2)
    before = {name: list(value.shape) for name, value in model.state_dict().items()}
    shrink_(model, both, KEPT)
    for cut in found:
        before[cut.tensor][cut.dim] = len(KEPT) * cut.width
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == before


def test_nothing_changes_where_a_layer_is_not_supported() -> None:
    model = Pair(bias=True, conv=True)
    model.second = nn.Conv2d(6, 4, 3, groups=2)
    with pytest.raises(SpecError, match="Conv2d"):
        shrink_(model, unit(), KEPT)
    assert model.first.weight.shape[0] == model.first.out_channels == 6


def test_consumer_matrix_of_a_convolution_multiplies_unfolded_patches() -> None:
    model = Pair(bias=False, conv=True)
    x = torch.randn(2, 6, 7, 7)
    patches = nn.functional.unfold(x, 3, padding=1).transpose(1, 2).double()
    expected = model.second(x).flatten(2).transpose(1, 2).double()
    torch.testing.assert_close(
        patches @ consumer_matrix(model.second), expected, rtol=1e-5, atol=1e-5
    )
    assert features_per_channel(model.second) == 9


@pytest.mark.parametrize("conv", [False, True])
def test_write_consumer_puts_weights_back_in_layout(conv: bool) -> None:
    model = Pair(bias=True, conv=conv)
    before = model.second.weight.clone()
    write_consumer_(model, unit(), consumer_matrix(model.second) * 2, None)
    torch.testing.assert_close(model.second.weight.detach(), before * 2)


def test_intercept_goes_into_the_bias() -> None:
    model = Pair(bias=True, conv=False)
    before = model.second.bias.clone()
    assert intercept_place(model, unit()) is InterceptPlace.BIAS
    write_consumer_(model, unit(), consumer_matrix(model.second), torch.ones(5).double())
    torch.testing.assert_close(model.second.bias.detach(), before + 1)


def test_intercept_goes_into_the_running_mean_of_a_following_norm() -> None:
    model = Pair(bias=False, conv=True).eval()
    model.norm.running_mean.normal_()
    model.norm.weight.data.normal_()
    x = torch.randn(2, 3, 5, 5)
    change = torch.randn(5).double()
    place = unit(norm=True)
    expected = model.norm(model(x) + change.float().view(5, 1, 1))
    assert intercept_place(model, place) is InterceptPlace.NORM
    write_consumer_(model, place, consumer_matrix(model.second), change)
    torch.testing.assert_close(model.norm(model(x)), expected)


def test_intercept_becomes_a_new_bias_where_there_is_none() -> None:
    model = Pair(bias=False, conv=False)
    assert intercept_place(model, unit()) is InterceptPlace.NEW_BIAS
    change = torch.arange(5).double()
    write_consumer_(model, unit(), consumer_matrix(model.second), change)
    torch.testing.assert_close(model.second.bias.detach().double(), change)


def test_meta_tensors_shrink_without_data() -> None:
    with torch.device("meta"):
        model = Pair(bias=True, conv=True)
    shrink_(model, unit(), KEPT)
    assert model.second.weight.shape == (5, 4, 3, 3)
    assert model.second.weight.is_meta


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 4, 3, groups=2), nn.Embedding(3, 4)])
def test_unsupported_layers_are_named(layer: nn.Module) -> None:
    with pytest.raises(SpecError, match=type(layer).__name__):
        consumer_matrix(layer)
