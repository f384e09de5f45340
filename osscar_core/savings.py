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

from osscar_core.errors import SpecError
from osscar_core.records import BeforeAfter, SpeedComparison, check_range

DRAWS = 4000
TAIL = 0.05
HOURS = 8760.0
"""Hours of a year of 365 days."""

_ALMOST_WHOLE = 1e-9


class Source(StrEnum):
    """Where a value comes from."""

    MEASURED = "measured"
    ASSUMED = "assumed"


class Currency(StrEnum):
    """In what money is counted."""

    YEN = "yen"
    DOLLAR = "dollar"


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
class Quantity:
    """One input: a range and where it comes from.

    Attributes:
        low: Lowest value that is thought possible, or the lower end of a measured interval.
        typical: The most likely one.
        high: The highest.
        source: Measured, or somebody's assumption.
        reason: Why these values, in a few words; empty for the default's own reason.
    """

    low: float
    typical: float
    high: float
    source: Source = Source.ASSUMED
    reason: str = ""

    def __post_init__(self) -> None:
        """Check that the three values are finite and in order."""
        values = (self.low, self.typical, self.high)
        if not all(map(math.isfinite, values)):
            raise SpecError(
                f"the range {self.low:g}, {self.typical:g}, {self.high:g} is not finite",
                "Give numbers for low, typical and high",
            )
        if not self.low <= self.typical <= self.high:
            raise SpecError(
                f"the range {self.low:g}, {self.typical:g}, {self.high:g} is not in order",
                "Give the low, the typical and the high value, in that order",
            )

    @classmethod
    def exact(cls, value: float, source: Source = Source.ASSUMED, reason: str = "") -> Quantity:
        """Return a quantity that is known without a range."""
        return cls(value, value, value, source, reason)

    @property
    def is_range(self) -> bool:
        """Whether low and high differ."""
        return self.low < self.high

    def at(self, share: float) -> float:
        """Return the value below which that share of the triangle's draws lies."""
        width = self.high - self.low
        if width <= 0:
            return self.typical
        rise = self.typical - self.low
        if share * width < rise:
            return self.low + math.sqrt(share * width * rise)
        return self.high - math.sqrt((1 - share) * width * (self.high - self.typical))


def _assumed(low: float, typical: float, high: float) -> Quantity:
    return Quantity(low, typical, high)


DEFAULTS: dict[str, Quantity] = {
    "model_share": _assumed(0.7, 0.9, 1.0),
    "requests_per_day": _assumed(50_000, 100_000, 200_000),
    "machines": _assumed(4, 4, 4),
    "utilisation": _assumed(0.3, 0.5, 0.7),
    "busy_watts": _assumed(150, 250, 400),
    "idle_watts": _assumed(70, 110, 150),
    "price_per_kwh": _assumed(20, 27, 35),
    "price_per_machine_hour": _assumed(40, 80, 160),
    "grid_kg_per_kwh": _assumed(0.38, 0.43, 0.48),
    "effort_days": _assumed(5, 10, 20),
    "cost_per_day": _assumed(40_000, 60_000, 90_000),
    "yen_per_dollar": _assumed(135, 150, 165),
    "horizon_years": _assumed(3, 3, 3),
}
"""Assumptions to be replaced, in yen; the catalogue of phrases has a reason for each."""

_IN_DOLLARS: dict[str, Quantity] = {
    "price_per_kwh": _assumed(0.13, 0.18, 0.23),
    "price_per_machine_hour": _assumed(0.25, 0.5, 1.0),
    "cost_per_day": _assumed(270, 400, 600),
}


def default_prices(currency: Currency) -> dict[str, Quantity]:
    """Return the assumed prices in a currency."""
    if currency is Currency.DOLLAR:
        return dict(_IN_DOLLARS)
    return {name: DEFAULTS[name] for name in _IN_DOLLARS}


_LOWEST: dict[str, float] = {
    "speedup": 0.01,
    "model_share": 0.0,
    "requests_per_day": 1.0,
    "machines": 1.0,
    "utilisation": 0.01,
    "busy_watts": 0.0,
    "idle_watts": 0.0,
    "price_per_kwh": 0.0,
    "price_per_machine_hour": 0.0,
    "grid_kg_per_kwh": 0.0,
    "effort_days": 0.0,
    "cost_per_day": 0.0,
    "yen_per_dollar": 0.01,
    "horizon_years": 0.1,
}
_HIGHEST: dict[str, float] = {
    "speedup": 1000.0,
    "model_share": 1.0,
    "machines": 1e6,
    "utilisation": 1.0,
    "horizon_years": 20.0,
}
_MOST = 1e12


@dataclass(frozen=True, slots=True)
class SavingsInputs:
    """Everything a saving is computed from.

    Attributes:
        speedup: Latency of the dense over that of the pruned model; measured, with its
            interval, unless it is marked as assumed.
        size: Bytes of both weights files. Shown, and not turned into money.
        model_share: Share of a machine's busy time that the model takes; the rest, such as
            decoding pictures, stays as it is.
        requests_per_day: Requests; they set the figures per request, not the total.
        machines: Machines that run now, whole ones.
        utilisation: Share of the time that they are busy.
        is_capacity_bound: Whether their number follows from the load. If it follows from
            something else, such as one machine a line, a faster model frees none.
        busy_watts: Average power of a busy machine.
        idle_watts: Average power of a waiting one.
        price_per_kwh: Of electricity, in ``prices_in``.
        price_per_machine_hour: Of a machine that runs, busy or not, in ``prices_in``.
        is_power_included: Whether that price contains the electricity, as rent does.
        grid_kg_per_kwh: Carbon dioxide of the electricity.
        effort_days: Days of work to check, deploy and document the smaller model, once.
        cost_per_day: Of such a day, in ``prices_in``.
        prices_in: Currency of the three prices.
        currency: Currency of the result.
        yen_per_dollar: Rate; of consequence only if the two currencies differ.
        horizon_years: How long the smaller model is going to be used.
    """

    speedup: Quantity
    size: BeforeAfter | None = None
    model_share: Quantity = DEFAULTS["model_share"]
    requests_per_day: Quantity = DEFAULTS["requests_per_day"]
    machines: Quantity = DEFAULTS["machines"]
    utilisation: Quantity = DEFAULTS["utilisation"]
    is_capacity_bound: bool = False
    busy_watts: Quantity = DEFAULTS["busy_watts"]
    idle_watts: Quantity = DEFAULTS["idle_watts"]
    price_per_kwh: Quantity = DEFAULTS["price_per_kwh"]
    price_per_machine_hour: Quantity = DEFAULTS["price_per_machine_hour"]
    is_power_included: bool = True
    grid_kg_per_kwh: Quantity = DEFAULTS["grid_kg_per_kwh"]
    effort_days: Quantity = DEFAULTS["effort_days"]
    cost_per_day: Quantity = DEFAULTS["cost_per_day"]
    prices_in: Currency = Currency.YEN
    currency: Currency = Currency.YEN
    yen_per_dollar: Quantity = DEFAULTS["yen_per_dollar"]
    horizon_years: Quantity = DEFAULTS["horizon_years"]

    def __post_init__(self) -> None:
        """Check the range of every value."""
        for name, quantity in self.quantities():
            low, high = _LOWEST[name], _HIGHEST.get(name, _MOST)
            for end in ("low", "typical", "high"):
                check_range(f"{name} ({end})", getattr(quantity, end), low, high)
        for count in (self.machines.low, self.machines.typical, self.machines.high):
            if not float(count).is_integer():
                raise SpecError(f"machines is {count:g}", "Give whole machines")
        if self.prices_in is Currency.DOLLAR:
            for name in _IN_DOLLARS:
                if getattr(self, name) == DEFAULTS[name]:
                    raise SpecError(
                        f"{name} is the default in yen, and prices are in dollars",
                        "Give it in dollars, or take default_prices(Currency.DOLLAR)",
                    )
        busy, idle = self.busy_watts.typical, self.idle_watts.typical
        if busy < idle:
            raise SpecError(
                f"a busy machine takes {busy:g} W and a waiting one {idle:g} W",
                "Give the power of a busy machine as busy_watts; it is the greater one",
            )

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Yield the inputs that have a range, by name."""
        for name in _LOWEST:
            yield name, getattr(self, name)

    @property
    def converts(self) -> bool:
        """Whether the rate of exchange is used."""
        return self.prices_in is not self.currency


QUANTITIES = tuple(_LOWEST)
"""Names of all inputs that have a range."""


def measured_speedup(speed: SpeedComparison) -> Quantity:
    """Return a measured speed-up with its 95% interval as an input."""
    low, high = speed.interval
    middle = min(max(speed.speedup, low), high)
    return Quantity(low, middle, high, Source.MEASURED)


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
