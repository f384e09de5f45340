"""Savings: cases worked by hand, and what holds for any inputs."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from decisions import measured_runs
from osscar_core.errors import SpecError
from osscar_core.records import BeforeAfter, from_json, to_json
from osscar_core.savings import (
    DEFAULTS,
    QUANTITIES,
    Currency,
    Quantity,
    Range,
    Remark,
    SavingsInputs,
    SavingsReport,
    Source,
    compute_savings,
    default_prices,
    measured_speedup,
)

exact = Quantity.exact


def plain(speedup: float = 2.0, **values: object) -> SavingsInputs:
    """Ten machines, half busy, 200 W and 100 W, 100 yen an hour, 500,000 yen of effort."""
    settings: dict[str, object] = {
        "model_share": exact(1.0),
        "requests_per_day": exact(1_000_000),
        "machines": exact(10),
        "utilisation": exact(0.5),
        "is_capacity_bound": True,
        "busy_watts": exact(200),
        "idle_watts": exact(100),
        "price_per_kwh": exact(30),
        "price_per_machine_hour": exact(100),
        "grid_kg_per_kwh": exact(0.4),
        "effort_days": exact(10),
        "cost_per_day": exact(50_000),
        "yen_per_dollar": exact(150),
        "horizon_years": exact(3),
    }
    return SavingsInputs(exact(speedup, Source.MEASURED), **{**settings, **values})  # type: ignore[arg-type]


def same(value: float) -> Range:
    return Range(*[pytest.approx(value)] * 3)  # type: ignore[arg-type]


def test_half_the_time_frees_half_the_machines() -> None:
    report = compute_savings(plain())
    assert report.machines == same(5)
    assert report.money == same(5 * 8760 * 100)
    assert report.money_energy == same(0)
    assert report.kwh == same(13_140 - 6_570)
    assert report.co2_kg == same(2_628)
    assert report.one_time == same(500_000)
    assert report.net == same(3 * 4_380_000 - 500_000)
    assert report.break_even == pytest.approx((12 * 500_000 / 4_380_000,) * 3)
    assert report.chance == 1
    assert report.swings == ()
    assert report.matters_most is None
    assert report.remarks == (Remark.POWER_INCLUDED,)


def test_before_and_after_at_typical_values() -> None:
    report = compute_savings(plain())
    before, after = report.before, report.after
    assert (before.machines, after.machines) == (10, 5)
    assert before.utilisation == after.utilisation == pytest.approx(0.5)
    assert before.busy_hours == pytest.approx(43_800)
    assert before.kwh == pytest.approx(13_140)
    assert before.money == pytest.approx(8_760_000)
    assert before.money_per_thousand == pytest.approx(1000 * 8_760_000 / 365e6)
    # Five busy machines for a day, over a million requests.
    assert before.seconds_per_request == pytest.approx(5 * 86_400 / 1e6)
    assert after.seconds_per_request == pytest.approx(2.5 * 86_400 / 1e6)


def test_without_a_limit_of_capacity_only_energy_falls() -> None:
    report = compute_savings(plain(is_capacity_bound=False))
    assert report.machines == report.money == same(0)
    assert report.kwh == same(13_140 - 10_950)
    assert report.net == same(-500_000)
    assert report.break_even == (None, None, None)
    assert Remark.NOT_CAPACITY_BOUND in report.remarks
    assert report.remarks[0] is Remark.NEVER_PAID_BACK


def test_electricity_that_is_paid_apart_is_money() -> None:
    report = compute_savings(plain(is_capacity_bound=False, is_power_included=False))
    assert report.money == report.money_energy == same(2_190 * 30)
    assert Remark.POWER_INCLUDED not in report.remarks
    assert report.remarks[0] is Remark.LATE_PAID_BACK


def test_less_than_a_whole_machine_frees_none() -> None:
    report = compute_savings(plain(1.05))
    assert report.machines == same(0)
    assert report.machines_exact == same(10 - 10 / 1.05)
    assert Remark.NO_WHOLE_MACHINE in report.remarks


def test_the_last_machine_stays() -> None:
    report = compute_savings(plain(100.0, machines=exact(2)))
    assert report.after.machines == 1
    assert report.machines == same(1)


def test_an_exact_quotient_is_not_rounded_up_by_the_arithmetic() -> None:
    report = compute_savings(plain(10 / 3, machines=exact(10)))
    assert report.after.machines == 3


def test_a_slower_model_costs_machines() -> None:
    report = compute_savings(plain(0.8))
    assert report.machines == same(-3)
    assert report.money == same(-3 * 8760 * 100)
    assert report.net.is_negative
    assert report.chance == 0
    assert report.remarks[:2] == (Remark.NEVER_PAID_BACK, Remark.SLOWER)
    assert report.kwh.high < 0


def test_a_load_that_no_longer_fits_needs_more_machines() -> None:
    report = compute_savings(plain(0.8, is_capacity_bound=False, utilisation=exact(0.9)))
    assert report.after.machines == 12
    assert report.after.utilisation == pytest.approx(11.25 / 12)
    assert Remark.OVERLOADED in report.remarks


def test_only_the_model_gets_faster() -> None:
    report = compute_savings(plain(2.0, model_share=exact(0.4)))
    assert report.machines_exact == same(10 * 0.2)
    assert compute_savings(plain(2.0, model_share=exact(0.0))).machines == same(0)


@pytest.mark.parametrize(
    ("prices", "result", "rate"),
    [
        (Currency.YEN, Currency.DOLLAR, 1 / 150),
        (Currency.DOLLAR, Currency.YEN, 150),
        (Currency.YEN, Currency.YEN, 1),
    ],
)
def test_the_other_currency_is_converted(prices: Currency, result: Currency, rate: float) -> None:
    report = compute_savings(plain(prices_in=prices, currency=result))
    assert report.net == same(12_640_000 * rate)
    assert report.one_time == same(500_000 * rate)


def test_default_prices_in_yen_are_not_taken_for_dollars() -> None:
    with pytest.raises(SpecError, match="price_per_kwh is the default in yen"):
        SavingsInputs(exact(2), prices_in=Currency.DOLLAR)
    inputs = SavingsInputs(exact(2), prices_in=Currency.DOLLAR, **default_prices(Currency.DOLLAR))
    assert inputs.cost_per_day.typical == 400


def test_every_default_is_an_assumption_in_its_range() -> None:
    inputs = SavingsInputs(exact(1.5))
    assert all(quantity.source is Source.ASSUMED for quantity in DEFAULTS.values())
    assert [name for name, _ in inputs.quantities()] == list(QUANTITIES)
    assert set(QUANTITIES) == {"speedup", *DEFAULTS}


def test_a_measured_comparison_is_measured_with_its_interval() -> None:
    speed = measured_runs("demo/resnet50")[3].speed
    assert speed is not None
    found = measured_speedup(speed)
    assert (found.low, found.high) == speed.interval
    assert found.typical == speed.speedup
    assert found.source is Source.MEASURED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"utilisation": exact(0.0)}, "utilisation"),
        ({"utilisation": exact(1.01)}, "utilisation"),
        ({"machines": exact(2.5)}, "whole machines"),
        ({"machines": exact(0)}, "machines"),
        ({"model_share": exact(1.2)}, "model_share"),
        ({"price_per_kwh": exact(-1)}, "price_per_kwh"),
        ({"busy_watts": exact(50)}, "waiting one 100 W"),
        ({"horizon_years": exact(0)}, "horizon_years"),
    ],
)
def test_impossible_inputs_are_refused(change: dict[str, Quantity], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        plain(**change)


@pytest.mark.parametrize("values", [(2, 1, 3), (1, 3, 2), (1, 2, float("nan"))])
def test_a_range_is_in_order_and_finite(values: tuple[float, float, float]) -> None:
    with pytest.raises(SpecError, match="range"):
        Quantity(*values)


def test_draws_follow_the_triangle() -> None:
    quantity = Quantity(0, 1, 4)
    assert quantity.at(0) == 0
    assert quantity.at(1) == 4
    # The area left of the mode is (mode - low) / (high - low).
    assert quantity.at(0.25) == pytest.approx(1)
    shares = [step / 1000 for step in range(1001)]
    drawn = [quantity.at(share) for share in shares]
    assert drawn == sorted(drawn)
    assert sum(drawn) / len(drawn) == pytest.approx(5 / 3, abs=0.01)
    assert Quantity(2, 2, 2).at(0.7) == 2
    assert Quantity(1, 1, 2).at(0.0) == 1
    assert Quantity(1, 2, 2).at(1.0) == 2


def some_inputs(seed: int, speedup: Quantity | None = None) -> SavingsInputs:
    chance = random.Random(seed)
    low = chance.uniform(0.7, 1.5)
    machines = chance.randint(1, 30)
    return SavingsInputs(
        speedup or Quantity(low, low + 0.2, low + 0.5),
        machines=Quantity(machines, machines + 1, machines + 3),
        is_capacity_bound=chance.random() < 0.7,
        is_power_included=chance.random() < 0.5,
        currency=chance.choice(list(Currency)),
    )


@pytest.mark.parametrize("seed", range(12))
def test_every_range_holds_its_typical_value(seed: int) -> None:
    report = compute_savings(some_inputs(seed), draws=200)
    ranges = [v for v in map(report.__getattribute__, _names(report)) if isinstance(v, Range)]
    assert len(ranges) == 9
    assert all(each.low <= each.typical <= each.high for each in ranges)
    months = [9e99 if month is None else month for month in report.break_even]
    assert months == sorted(months)
    assert report.money.typical == pytest.approx(
        report.money_machines.typical + report.money_energy.typical
    )
    years = report.inputs.horizon_years.typical
    assert report.net.typical == pytest.approx(
        years * report.money.typical - report.one_time.typical
    )
    assert report.before.money - report.after.money == pytest.approx(report.money.typical)
    assert report.before.kwh - report.after.kwh == pytest.approx(report.kwh.typical)


def _names(record: object) -> list[str]:
    return [each.name for each in dataclasses.fields(record)]  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_more_speed_never_saves_less(seed: int) -> None:
    speeds = [Quantity(s - 0.1, s, s + 0.1) for s in (0.8, 1.0, 1.3, 2.0, 5.0)]
    found = [compute_savings(some_inputs(seed, speed), draws=200) for speed in speeds]
    for worse, better in itertools.pairwise(found):
        for name in ("net", "kwh", "machines", "money"):
            low, high = getattr(worse, name), getattr(better, name)
            assert low.low <= high.low + 1e-9
            assert low.typical <= high.typical + 1e-9
            assert low.high <= high.high + 1e-9


def test_the_same_seed_gives_the_same_result() -> None:
    inputs = some_inputs(3)
    assert compute_savings(inputs, draws=100) == compute_savings(inputs, draws=100)
    other = compute_savings(inputs, draws=100, seed=1)
    assert other.net.typical == compute_savings(inputs, draws=100).net.typical
    assert other.net != compute_savings(inputs, draws=100).net


def test_swings_are_the_formula_at_each_end_the_greatest_first() -> None:
    hour, day = Quantity(50, 100, 200), Quantity(10_000, 50_000, 60_000)
    report = compute_savings(plain(price_per_machine_hour=hour, cost_per_day=day))
    first, second = report.swings
    assert first.name == "price_per_machine_hour"
    assert first.at_low == pytest.approx(3 * 5 * 8760 * 50 - 500_000)
    assert first.at_high == pytest.approx(3 * 5 * 8760 * 200 - 500_000)
    assert second.name == "cost_per_day"
    assert second.size == pytest.approx(500_000)
    assert report.matters_most == first


def test_an_assumed_speed_is_said() -> None:
    inputs = dataclasses.replace(plain(), speedup=Quantity(0.9, 1.2, 1.3))
    remarks = compute_savings(inputs, draws=50).remarks
    assert Remark.SPEED_ASSUMED in remarks
    assert Remark.MAYBE_SLOWER in remarks


def test_a_report_survives_json() -> None:
    inputs = dataclasses.replace(some_inputs(5), size=BeforeAfter(10, 5))
    report = compute_savings(inputs, draws=20)
    assert from_json(SavingsReport, to_json(report)) == report
    never = compute_savings(plain(0.8), draws=20)
    assert from_json(SavingsReport, to_json(never)) == never
