"""What a smaller model saves in a year, and whether that pays its effort back.

The decision hidden here: how a faster model becomes machines, money and energy. Busy time
falls with the share of it that the model takes. Machines fall only where capacity is the
limit, and only as whole ones. Every figure is a range: the typical value is the formula at
all typical inputs; the ends are the 5th and 95th percentile of seeded draws, each input from
a triangle between its low, typical and high value, independently of the others.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from osscar_core.records import check_range
from osscar_core.savings.inputs import DEFAULTS as DEFAULTS
from osscar_core.savings.inputs import QUANTITIES as QUANTITIES
from osscar_core.savings.inputs import Currency as Currency
from osscar_core.savings.inputs import Quantity as Quantity
from osscar_core.savings.inputs import SavingsInputs as SavingsInputs
from osscar_core.savings.inputs import Source as Source
from osscar_core.savings.inputs import bounds as bounds
from osscar_core.savings.inputs import default_prices as default_prices
from osscar_core.savings.inputs import measured_speedup as measured_speedup

DRAWS = 4000
TAIL = 0.05
HOURS = 8760.0
"""Hours of a year of 365 days."""

_ALMOST_WHOLE = 1e-9


class Remark(StrEnum):
    """What a reader has to know of a result, good or bad."""

    NOT_CAPACITY_BOUND = "not-capacity-bound"
    NO_WHOLE_MACHINE = "no-whole-machine"
    SLOWER = "slower"
    MAYBE_SLOWER = "maybe-slower"
    OVERLOADED = "overloaded"
    POWER_INCLUDED = "power-included"
    NEVER_PAID_BACK = "never-paid-back"
    LATE_PAID_BACK = "late-paid-back"
    SPEED_ASSUMED = "speed-assumed"


@dataclass(frozen=True, slots=True)
class Range:
    """A result: the formula at typical inputs, and the 5th and 95th percentile of draws.

    The ends are widened, where need be, to hold the typical value.
    """

    low: float
    typical: float
    high: float

    @property
    def is_negative(self) -> bool:
        """Whether nothing in it is above zero."""
        return self.high <= 0

    @property
    def is_positive(self) -> bool:
        """Whether everything in it is above zero."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Footing:
    """Machines and energy of one year, with one of the two models, at typical inputs.

    Attributes:
        machines: Whole machines.
        machines_exact: The same without rounding up.
        utilisation: Share of the time that they are busy.
        busy_hours: Machine-hours a year that they are busy.
        kwh: Electricity a year.
        co2_kg: Carbon dioxide a year.
        money: Cost a year, in the currency of the result.
        money_per_thousand: Of 1,000 requests.
        seconds_per_request: Busy time of one request, as follows from the inputs. A time
            far from the measured one means that an input is wrong.
    """

    machines: int
    machines_exact: float
    utilisation: float
    busy_hours: float
    kwh: float
    co2_kg: float
    money: float
    money_per_thousand: float
    seconds_per_request: float


@dataclass(frozen=True, slots=True)
class Swing:
    """How far the net result over the horizon moves with one input, all others typical.

    Attributes:
        name: Field of `SavingsInputs`.
        at_low: Net result at the input's low value.
        at_high: And at its high one.
    """

    name: str
    at_low: float
    at_high: float

    @property
    def size(self) -> float:
        """How far apart they are."""
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True, slots=True)
class SavingsReport:
    """What is saved. Below zero, the smaller model costs more.

    Attributes:
        inputs: What it was computed from.
        before: The dense model at typical inputs.
        after: The pruned one.
        machines: Whole machines freed.
        machines_exact: The same without rounding.
        kwh: Electricity saved a year.
        co2_kg: Carbon dioxide saved a year.
        money: Saved a year, before the effort.
        money_machines: The part that machines save.
        money_energy: The part that electricity saves; 0 if it is in the price of machines.
        one_time: Cost of the effort, once.
        net: Saved over the horizon, less the effort.
        break_even: Months until the effort is paid back at the low, typical and high yearly
            saving in ``payback``; ``None`` for never.
        chance: Share of the draws in which the net result is above zero.
        swings: Every input with a range, the most important first.
        remarks: What has to be said beside the figures.
        draws: Draws behind the ranges.
        seed: Of the draws.
    """

    inputs: SavingsInputs
    before: Footing
    after: Footing
    machines: Range
    machines_exact: Range
    kwh: Range
    co2_kg: Range
    money: Range
    money_machines: Range
    money_energy: Range
    one_time: Range
    net: Range
    break_even: tuple[float | None, float | None, float | None]
    chance: float
    swings: tuple[Swing, ...]
    remarks: tuple[Remark, ...]
    draws: int
    seed: int

    @property
    def currency(self) -> Currency:
        """In what all amounts of money are."""
        return self.inputs.currency

    @property
    def matters_most(self) -> Swing | None:
        """The input that moves the net result most; ``None`` if none moves it."""
        return self.swings[0] if self.swings and self.swings[0].size > 0 else None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The saving at one set of numbers."""

    machines: float
    machines_exact: float
    kwh: float
    co2_kg: float
    money_machines: float
    money_energy: float
    one_time: float
    years: float

    @property
    def money(self) -> float:
        return self.money_machines + self.money_energy

    @property
    def net(self) -> float:
        return self.money * self.years - self.one_time

    @property
    def months(self) -> float:
        if self.one_time <= 0 and self.money >= 0:
            return 0.0
        return 12 * self.one_time / self.money if self.money > 0 else math.inf


def compute_savings(inputs: SavingsInputs, *, draws: int = DRAWS, seed: int = 0) -> SavingsReport:
    """Return what a faster model saves a year, and over its horizon.

    Args:
        inputs: Measurements and assumptions.
        draws: Random draws behind the ranges.
        seed: Of the draws. With one seed, every input's draws rise with its values, so two
            results differ only by what was changed.

    Raises:
        SpecError: ``draws`` or ``seed`` is out of range.
    """
    check_range("draws", draws, 1, 1_000_000)
    check_range("seed", seed, 0)
    typical = {name: quantity.typical for name, quantity in inputs.quantities()}
    middle = _outcome(inputs, typical)
    cases = list(_cases(inputs, draws, seed))

    def spread(read: Callable[[_Outcome], float]) -> Range:
        return _range(read(middle), [read(case) for case in cases])

    months = _range(middle.months, [case.months for case in cases])
    before, after = _footings(inputs, typical)
    report = SavingsReport(
        inputs=inputs,
        before=before,
        after=after,
        machines=spread(lambda case: case.machines),
        machines_exact=spread(lambda case: case.machines_exact),
        kwh=spread(lambda case: case.kwh),
        co2_kg=spread(lambda case: case.co2_kg),
        money=spread(lambda case: case.money),
        money_machines=spread(lambda case: case.money_machines),
        money_energy=spread(lambda case: case.money_energy),
        one_time=spread(lambda case: case.one_time),
        net=spread(lambda case: case.net),
        break_even=(_finite(months.low), _finite(months.typical), _finite(months.high)),
        chance=sum(case.net > 0 for case in cases) / draws,
        swings=_swings(inputs, typical),
        remarks=(),
        draws=draws,
        seed=seed,
    )
    return dataclasses.replace(report, remarks=tuple(_remarks(report)))


def _left(values: dict[str, float]) -> float:
    """Return the share of the busy time that is left: Amdahl's law."""
    share = values["model_share"]
    return 1 - share + share / values["speedup"]


def _needed(inputs: SavingsInputs, machines: float, utilisation: float, left: float) -> float:
    """Return the machines that the pruned model needs, not rounded."""
    if inputs.is_capacity_bound:
        return machines * left
    # The number does not follow from the load, unless the load no longer fits.
    return max(machines, machines * utilisation * left)


def _rounded_up(machines: float) -> float:
    return max(1.0, float(math.ceil(machines - _ALMOST_WHOLE)))


def _rate(inputs: SavingsInputs, values: dict[str, float]) -> float:
    """Return how much of the result's currency one unit of the prices' currency is."""
    if not inputs.converts:
        return 1.0
    rate = values["yen_per_dollar"]
    return 1 / rate if inputs.currency is Currency.DOLLAR else rate


def _kwh(values: dict[str, float], machines: float, busy: float) -> float:
    """Return the electricity of a year: busy machines, and the others waiting."""
    watts = busy * values["busy_watts"] + (machines - busy) * values["idle_watts"]
    return HOURS * watts / 1000


def _outcome(inputs: SavingsInputs, values: dict[str, float]) -> _Outcome:
    machines, left, rate = float(round(values["machines"])), _left(values), _rate(inputs, values)
    needed = _needed(inputs, machines, values["utilisation"], left)
    after = _rounded_up(needed)
    busy = machines * values["utilisation"]
    kwh = _kwh(values, machines, busy) - _kwh(values, after, busy * left)
    power = 0.0 if inputs.is_power_included else values["price_per_kwh"]
    return _Outcome(
        machines=machines - after,
        machines_exact=machines - needed,
        kwh=kwh,
        co2_kg=kwh * values["grid_kg_per_kwh"],
        money_machines=(machines - after) * HOURS * values["price_per_machine_hour"] * rate,
        money_energy=kwh * power * rate,
        one_time=values["effort_days"] * values["cost_per_day"] * rate,
        years=values["horizon_years"],
    )


def _footings(inputs: SavingsInputs, values: dict[str, float]) -> tuple[Footing, Footing]:
    machines, left, rate = float(round(values["machines"])), _left(values), _rate(inputs, values)
    busy = machines * values["utilisation"]
    needed = _needed(inputs, machines, values["utilisation"], left)
    power = 0.0 if inputs.is_power_included else values["price_per_kwh"]

    def footing(exact: float, whole: float, working: float) -> Footing:
        kwh = _kwh(values, whole, working)
        money = (whole * HOURS * values["price_per_machine_hour"] + kwh * power) * rate
        requests = 365 * values["requests_per_day"]
        return Footing(
            machines=int(whole),
            machines_exact=exact,
            utilisation=working / whole,
            busy_hours=working * HOURS,
            kwh=kwh,
            co2_kg=kwh * values["grid_kg_per_kwh"],
            money=money,
            money_per_thousand=1000 * money / requests,
            seconds_per_request=3600 * working * HOURS / requests,
        )

    return footing(machines, machines, busy), footing(needed, _rounded_up(needed), busy * left)


def _cases(inputs: SavingsInputs, draws: int, seed: int) -> Iterator[_Outcome]:
    """Yield the outcome of every draw; each input uses one number a draw, range or not."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    named = tuple(inputs.quantities())
    for _ in range(draws):
        yield _outcome(inputs, {name: quantity.at(chance.random()) for name, quantity in named})


def _range(typical: float, found: list[float]) -> Range:
    ordered = sorted(found)
    last = len(ordered) - 1
    low, high = ordered[math.floor(TAIL * last)], ordered[math.ceil((1 - TAIL) * last)]
    return Range(min(low, typical), typical, max(high, typical))


def _finite(months: float) -> float | None:
    return months if math.isfinite(months) else None


def _swings(inputs: SavingsInputs, typical: dict[str, float]) -> tuple[Swing, ...]:
    """Return every input's swing, the greatest first; equal ones by their order."""
    swings = [
        Swing(
            name,
            _outcome(inputs, {**typical, name: quantity.low}).net,
            _outcome(inputs, {**typical, name: quantity.high}).net,
        )
        for name, quantity in inputs.quantities()
        if quantity.is_range
    ]
    return tuple(sorted(swings, key=lambda swing: -swing.size))


def _remarks(report: SavingsReport) -> Iterator[Remark]:
    """Yield what has to be said, the bad news first."""
    inputs, months = report.inputs, report.break_even[1]
    if months is None:
        yield Remark.NEVER_PAID_BACK
    elif months > 12 * inputs.horizon_years.typical:
        yield Remark.LATE_PAID_BACK
    if inputs.speedup.high < 1:
        yield Remark.SLOWER
    elif inputs.speedup.low <= 1:
        yield Remark.MAYBE_SLOWER
    if not inputs.is_capacity_bound and report.machines.low < 0:
        yield Remark.OVERLOADED
    if inputs.speedup.source is Source.ASSUMED:
        yield Remark.SPEED_ASSUMED
    if not inputs.is_capacity_bound:
        yield Remark.NOT_CAPACITY_BOUND
    elif report.machines.typical <= 0 < report.machines_exact.typical:
        yield Remark.NO_WHOLE_MACHINE
    if inputs.is_power_included:
        yield Remark.POWER_INCLUDED
