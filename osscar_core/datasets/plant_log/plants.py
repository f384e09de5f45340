"""Three plants and their habits.

The decision hidden here: what makes the same event read differently from plant to plant:
machines, people, units, dates, products and turns of phrase. Plant 3 shares few of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

PlantName = Literal["plant-1", "plant-2", "plant-3"]
Style = Literal["prose", "terse", "telegram"]


@dataclass(frozen=True, slots=True)
class Unit:
    """How a plant writes a reading: ``value * factor + offset``, rounded to ``decimals``."""

    symbol: str
    factor: float = 1.0
    offset: float = 0.0
    decimals: int = 1

    def write(self, value: float) -> str:
        """Return a reading given in the unit of plant 1."""
        gap = "" if self.symbol == "%" else " "
        return f"{value * self.factor + self.offset:.{self.decimals}f}{gap}{self.symbol}"


QUANTITIES = {
    "pressure": "pressure",
    "flow": "flow",
    "vibration": "vibration",
    "temperature": "temperature",
    "level": "level",
    "gap": "clearance",
    "current": "motor current",
    "speed": "speed",
    "weight": "fill weight",
    "torque": "torque",
}

_METRIC = {
    "pressure": Unit("bar"),
    "flow": Unit("l/min", decimals=0),
    "vibration": Unit("mm/s"),
    "temperature": Unit("°C"),
    "level": Unit("%", decimals=0),
    "gap": Unit("mm", decimals=2),
    "current": Unit("A"),
    "speed": Unit("m/min", decimals=0),
    "weight": Unit("g", decimals=0),
    "torque": Unit("Nm"),
}

UNITS: dict[PlantName, dict[str, Unit]] = {
    "plant-1": _METRIC,
    "plant-2": {
        **_METRIC,
        "pressure": Unit("psi", 14.504, decimals=0),
        "flow": Unit("gpm", 0.2642),
        "vibration": Unit("in/s", 0.03937, decimals=2),
        "temperature": Unit("°F", 1.8, 32.0, decimals=0),
        "gap": Unit("thou", 39.37),
        "speed": Unit("ft/min", 3.281, decimals=0),
    },
    "plant-3": {
        **_METRIC,
        "pressure": Unit("kPa", 100.0, decimals=0),
        "flow": Unit("m3/h", 0.06, decimals=2),
        "vibration": Unit("mm/s rms"),
        "temperature": Unit("K", 1.0, 273.15, decimals=0),
        "gap": Unit("um", 1000.0, decimals=0),
        "speed": Unit("m/s", 1 / 60, decimals=2),
    },
}
"""How each plant writes each reading."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One plant.

    Attributes:
        name: As in the data specification.
        site: What its people call it.
        style: How its people write.
        machines: Names of single machines, by kind.
        people: Who does the work.
        leads: Who leads a shift.
        products: What is made, with the number made in an hour.
        units: Unit of the product count.
        shifts: Name and first hour.
        date: How a date is written.
        clock: How minutes after midnight are written.
        stores: Where spare parts come from.
    """

    name: PlantName
    site: str
    style: Style
    machines: dict[str, tuple[str, ...]]
    people: tuple[str, ...]
    leads: tuple[str, ...]
    products: tuple[tuple[str, int], ...]
    units: str
    shifts: tuple[tuple[str, int], ...]
    date: Callable[[datetime.date], str]
    clock: Callable[[int], str]
    stores: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of machine there are."""
        return tuple(self.machines)


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def _long_date(day: datetime.date) -> str:
    return f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def _slash_date(day: datetime.date) -> str:
    return f"{day.day:02d}/{day.month:02d}/{day.year % 100:02d}"


def _colon_clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _hours_clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}{minutes % 60:02d} hrs"


PLANTS: dict[PlantName, Plant] = {
    "plant-1": Plant(
        name="plant-1",
        site="the Harwick bottling works",
        style="prose",
        machines={
            "filler": ("filler 1", "filler 2", "filler 3"),
            "capper": ("capper 1", "capper 2"),
            "labeller": ("the labeller on line 1", "the labeller on line 2"),
            "conveyor": ("conveyor C4", "conveyor C7", "the infeed conveyor", "conveyor C12"),
            "compressor": ("compressor K1", "compressor K2"),
            "chiller": ("the north chiller", "the south chiller"),
            "boiler": ("boiler 1", "boiler 2"),
            "pump": ("syrup pump 2", "the rinse pump", "glycol pump 1", "feed pump 3"),
        },
        people=(
            "Anna Kowalska", "Tom Whitfield", "Priya Nair", "Graham Ellis", "Marta Lindqvist",
            "Joseph Adeyemi", "Helen Marsh", "Callum Reid", "Sofia Duarte", "Ben Hartley",
            "Nadia Rahman", "Owen Price",
        ),
        leads=("Ruth Calloway", "Dermot Keane", "Ingrid Solberg", "Martin Oyelaran"),
        products=(("lemonade", 9600), ("sparkling water", 12000), ("apple juice", 7200),
                  ("ginger beer", 8400)),
        units="bottles",
        shifts=(("early", 6), ("late", 14), ("night", 22)),
        date=_long_date,
        clock=_colon_clock,
        stores=("the spare parts store", "the cabinet in the workshop", "the store upstairs"),
    ),
    "plant-2": Plant(
        name="plant-2",
        site="Ridgeway Metal Works",
        style="terse",
        machines={
            "press": ("Press 4", "Press 7", "Press 11"),
            "lathe": ("Lathe L2", "Lathe L5", "Lathe L9"),
            "furnace": ("Furnace A", "Furnace B"),
            "crane": ("Crane 1", "Crane 3"),
            "saw": ("Saw 2", "Saw 6"),
            "compressor": ("Compressor West", "Compressor East"),
            "conveyor": ("Scrap Conveyor", "Billet Conveyor", "Cooling Conveyor"),
            "pump": ("Coolant Pump 3", "Quench Pump", "Transfer Pump 1"),
        },
        people=(
            "M. Ortiz", "D. Kowalczyk", "J. Tran", "R. Hutchins", "L. Beaumont", "S. Okafor",
            "K. Lindgren", "P. Castellano", "T. Nguyen", "W. Brandt", "E. Salazar", "C. Doyle",
        ),
        leads=("H. Petersen", "V. Morales", "G. Stanton", "A. Whitaker"),
        products=(("brackets", 540), ("drive shafts", 46), ("flanges", 120), ("end plates", 310)),
        units="pieces",
        shifts=(("Shift 1", 7), ("Shift 2", 15), ("Shift 3", 23)),
        date=datetime.date.isoformat,
        clock=_colon_clock,
        stores=("crib A", "crib B", "tool crib"),
    ),
    "plant-3": Plant(
        name="plant-3",
        site="Nordhavn mill",
        style="telegram",
        machines={
            "agitator": ("AG-2101", "AG-2104", "AG-2210"),
            "dryer": ("DR-301", "DR-302"),
            "fan": ("FN-3110", "FN-3125A", "FN-3125B"),
            "valve": ("FV-1408", "LV-1522", "PV-1760"),
            "centrifuge": ("CF-410", "CF-411"),
            "refiner": ("RF-11", "RF-12"),
            "pump": ("P-1203A", "P-1203B", "P-1417"),
            "boiler": ("BL-01", "BL-02"),
        },
        people=(
            "fitter 317", "fitter 322", "fitter 340", "el. 204", "el. 211", "instr. 118",
            "instr. 125", "operator 56", "operator 61", "operator 73",
        ),
        leads=("SL Haugen", "SL Voss", "SL Mbeki"),
        products=(("kraft liner", 31), ("fluting", 27), ("resin R4", 12), ("size emulsion", 9)),
        units="tonnes",
        shifts=(("A-shift", 6), ("B-shift", 18)),
        date=_slash_date,
        clock=_hours_clock,
        stores=("stores 2", "central stores", "fitters' cage"),
    ),
}  # fmt: skip
"""All plants by name."""

TRAINED_PLANTS: tuple[PlantName, ...] = ("plant-1", "plant-2")
"""The plants whose reports the demo model is trained on; plant 3 is the data shift."""
