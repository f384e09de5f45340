"""Whether plain `transformers` loads a model: the first reason why not, in words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from osscar_core.adapters import ADAPTERS
from osscar_core.loadable import why_not_plain, wording
from osscar_core.records import DataInfo, Plan, PruneSpec, SourceInfo, Structure, UnitPlan
from osscar_core.units import Unit

GROUPS = 8


def plan_of(
    family: str, widths: Mapping[Structure, tuple[int, ...]], *, biased: tuple[str, ...] = ()
) -> Plan:
    """A plan in which layer ``i`` keeps ``widths[structure][i]`` of 8 groups."""
    units = tuple(
        UnitPlan(
            name=f"layers.{layer}.{structure}",
            structure=structure,
            block=f"layers.{layer}",
            groups=GROUPS,
            kept=tuple(range(width)),
            adds_bias=f"layers.{layer}.{structure}" in biased,
        )
        for structure, each in widths.items()
        for layer, width in enumerate(each)
    )
    return Plan(
        source=SourceInfo("model", family, "text", "weights"),
        spec=PruneSpec("model", "text:data"),
        calibration=DataInfo("text:data", "text", 1, "0"),
        units=units,
        dtype="float32",
    )


def test_equal_widths_load() -> None:
    assert why_not_plain(plan_of("opt", {Structure.NEURONS: (5, 5, 5)})) is None
    both = {Structure.HEADS: (3, 3, 3), Structure.NEURONS: (5, 5, 5)}
    assert why_not_plain(plan_of("llama", both)) is None


def test_a_structure_that_is_named_but_complete_does_no_harm() -> None:
    widths = {Structure.HEADS: (GROUPS, GROUPS), Structure.NEURONS: (5, 5)}
    assert why_not_plain(plan_of("opt", widths)) is None


@pytest.mark.parametrize(
    ("family", "widths", "reason"),
    [
        ("opt", {Structure.NEURONS: (2, 7, 5)}, "layers keep between 2 and 7 neurons"),
        ("llama", {Structure.HEADS: (8, 7)}, "layers keep between 7 and 8 heads"),
        ("opt", {Structure.HEADS: (3, 3)}, "heads were removed, which OPTConfig cannot say"),
        (
            "resnet",
            {Structure.CHANNELS: (3, 3)},
            "transformers has no configuration for the family resnet",
        ),
    ],
)
def test_the_first_reason_is_named(
    family: str, widths: dict[Structure, tuple[int, ...]], reason: str
) -> None:
    assert why_not_plain(plan_of(family, widths)) == reason


def test_an_added_bias_is_named() -> None:
    found = why_not_plain(plan_of("opt", {Structure.NEURONS: (5, 5)}, biased=("layers.1.neurons",)))
    assert found == "a bias was added to layers.1.neurons, which OPTConfig cannot say"


def units_of(structure: Structure, said: tuple[int, ...] | None = None) -> list[Unit]:
    """The units of three layers."""
    return [
        Unit(structure, f"layers.{layer}", f"layers.{layer}.{structure}", (), GROUPS, 1, said=said)
        for layer in range(3)
    ]


def test_layers_that_a_plan_leaves_out_are_complete() -> None:
    plan = plan_of("opt", {Structure.NEURONS: (5, 5)})
    units = units_of(Structure.NEURONS)
    assert why_not_plain(plan, units[:2]) is None
    assert why_not_plain(plan, units) == "layers keep between 5 and 8 neurons"
    complete = plan_of("opt", {Structure.NEURONS: (8, 8)})
    assert why_not_plain(complete, units) is None


def test_a_number_that_cannot_be_said_is_named() -> None:
    plan = plan_of("llama", {Structure.HEADS: (5, 5, 5)})
    assert why_not_plain(plan, units_of(Structure.HEADS, (4, 5, 8))) is None
    found = why_not_plain(plan, units_of(Structure.HEADS, (4, 8)))
    assert found == "the family's configuration cannot say 5 groups of heads in every layer"


def test_what_a_configuration_can_say_is_what_the_family_has() -> None:
    for adapter in ADAPTERS:
        words = wording(adapter.family)
        if words is not None:
            assert set(words.structures) <= set(adapter.structures)
        assert (words is None) is (adapter.task == "image")
