"""What a saving is computed from: measurements and visible assumptions.

The decision hidden here: the inputs, their defaults, and what is possible at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from osscar_core.errors import SpecError
from osscar_core.records import BeforeAfter, SpeedComparison, check_range


class Source(StrEnum):
    """Where a value comes from."""

    MEASURED = "measured"
    ASSUMED = "assumed"


class Currency(StrEnum):
    """In what money is counted."""

    YEN = "yen"
    DOLLAR = "dollar"


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
        size: Bytes of both weights files; kept with the inputs, not turned into money.
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
            low, high = bounds(name)
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


def bounds(name: str) -> tuple[float, float]:
    """Return the least and the most that an input may be."""
    return _LOWEST[name], _HIGHEST.get(name, _MOST)


QUANTITIES = tuple(_LOWEST)
"""Names of all inputs that have a range."""


def measured_speedup(speed: SpeedComparison) -> Quantity:
    """Return a measured speed-up with its 95% interval as an input."""
    low, high = speed.interval
    middle = min(max(speed.speedup, low), high)
    return Quantity(low, middle, high, Source.MEASURED)
