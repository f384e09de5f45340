"""Requests become units, limits and widths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osscar_core.errors import DataError, SpecError
from osscar_core.preparation import calibration_inputs, chosen_units, resolve
from osscar_core.records import PruneSpec, Structure
from osscar_core.units import Unit
from osscar_core.widths import caps, least_kept, uniform_widths
from surveyed import Surveyed

SIZES = {"a.heads": 4, "a.neurons": 48, "b.heads": 4, "b.neurons": 48}


def units(sizes: dict[str, int]) -> tuple[Unit, ...]:
    return tuple(
        Unit(
            block=name.partition(".")[0],
            structure=Structure.HEADS if name.endswith("heads") else Structure.NEURONS,
            groups=groups,
            width=1,
            consumer=name,
            producers=(),
        )
        for name, groups in sizes.items()
    )


def limits(*given: tuple[str, float]) -> dict[str, float]:
    return caps(PruneSpec("m", "text:a", 0.5, caps=given), units(SIZES))


def test_without_caps_everything_may_go() -> None:
    assert limits() == dict.fromkeys(SIZES, 1.0)


def test_a_cap_names_a_structure_a_unit_or_a_pattern() -> None:
    assert limits(("heads", 0.0)) == {
        "a.heads": 0.0, "a.neurons": 1.0, "b.heads": 0.0, "b.neurons": 1.0
    }  # fmt: skip
    assert limits(("b.*", 0.25)) == {
        "a.heads": 1.0, "a.neurons": 1.0, "b.heads": 0.25, "b.neurons": 0.25
    }  # fmt: skip
    assert limits(("a.neurons", 0.5))["a.neurons"] == 0.5
    assert limits(("[ab].heads", 0.5)) == limits(("heads", 0.5))


@pytest.mark.parametrize("order", [1, -1])
def test_the_smallest_cap_holds_in_any_order(order: int) -> None:
    given = (("neurons", 0.5), ("b.*", 0.25), ("*", 0.75))[::order]
    assert limits(*given) == {
        "a.heads": 0.75, "a.neurons": 0.5, "b.heads": 0.25, "b.neurons": 0.25
    }  # fmt: skip


@pytest.mark.parametrize("pattern", ["channels", "c.*", "Heads", ""])
def test_a_cap_on_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(SpecError, match=r"nothing that may be removed is called.*such as a\.heads"):
        limits((pattern, 0.5))


@pytest.mark.parametrize(
    ("groups", "cap", "kept"),
    [
        (48, 0.0, 48), (48, 0.5, 24), (48, 1.0, 1), (4, 0.3, 3), (100, 0.29, 71), (10, 0.7, 3),
        (1, 1.0, 1),
    ],
)  # fmt: skip
def test_a_cap_rounds_to_the_careful_side(groups: int, cap: float, kept: int) -> None:
    assert least_kept(groups, cap) == kept


@given(
    st.integers(1, 200),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1),
    st.integers(1, 70),
)
def test_uniform_widths_keep_within_every_limit(
    groups: int, sparsity: float, cap: float, multiple: int
) -> None:
    (unit,) = units({"u": groups})
    (width,) = uniform_widths([unit], sparsity, {"u": cap}, multiple).values()
    assert 1 <= width <= groups
    assert width == groups or width % multiple == 0
    assert width >= groups * (1 - cap) - 1e-6
    assert width >= groups * (1 - sparsity) - 0.5 - 1e-6


def test_uniform_widths_take_the_same_share_everywhere() -> None:
    most = dict.fromkeys(SIZES, 1.0) | {"b.neurons": 0.25, "b.heads": 0.0}
    widths = uniform_widths(units(SIZES), 0.5, most)
    assert widths == {"a.heads": 2, "a.neurons": 24, "b.heads": 4, "b.neurons": 36}
    assert uniform_widths(units(SIZES), 0.0, most) == SIZES


def test_inputs_are_cut_into_micro_batches(surveyed: Callable[[str], Surveyed]) -> None:
    text, image = surveyed("opt"), surveyed("resnet-bottleneck")
    inputs, data = calibration_inputs(text.model, text.request(batch_size=3), exactly=True)
    assert [tuple(one["input_ids"].shape) for one in inputs] == [(3, 24), (3, 24), (2, 24)]
    assert {one["use_cache"] for one in inputs} == {False}
    assert data.count == 8
    inputs, data = calibration_inputs(image.model, image.request(batch_size=6), exactly=True)
    assert [len(one["x"]) for one in inputs] == [6, 6, 4]
    assert data.count == 16


def test_too_few_samples_matter_only_if_they_were_asked_for(
    surveyed: Callable[[str], Surveyed],
) -> None:
    case = surveyed("opt")
    many = case.request(samples=10**6)
    with pytest.raises(DataError, match="1000000 were asked for"):
        calibration_inputs(case.model, many, exactly=True)
    _, data = calibration_inputs(case.model, many, exactly=False)
    assert data.count < 10**6


def test_defaults_are_resolved_once_and_for_all(surveyed: Callable[[str], Surveyed]) -> None:
    case = surveyed("resnet-bottleneck")
    spec = resolve(case.model, case.request(samples=None))
    assert spec.samples == 512
    assert spec.seqlen is None
    assert spec.structures == (Structure.CHANNELS,)
    assert resolve(case.model, spec) == spec


def test_units_come_in_forward_order_whatever_was_asked_first(
    surveyed: Callable[[str], Surveyed],
) -> None:
    case = surveyed("opt")
    spec = case.request(structures=(Structure.NEURONS, Structure.HEADS))
    assert chosen_units(case.model, spec) == case.model.adapter.units(case.model.module)
    (first, second) = chosen_units(case.model, case.request(structures=(Structure.HEADS,)))
    assert (first.structure, second.structure) == (Structure.HEADS, Structure.HEADS)
