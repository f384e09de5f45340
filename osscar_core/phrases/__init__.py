"""What savings, verdict and report say, in English and Japanese.

The decision hidden here: the wording outside the app, and units and order by language. The
app's own sentences are elsewhere; numbers are written alike. Each module of this package
holds the phrases of one area, once a language, with the same keys and placeholders.
"""

from __future__ import annotations

import math

from osscar_core.difference import Change
from osscar_core.errors import unknown_name
from osscar_core.notation import MINUS, ratio, signed, signed_percent, significant
from osscar_core.notation import percent as as_percent
from osscar_core.phrases import report, savings, verdict
from osscar_core.savings import Currency

LANGUAGES = ("en", "ja")

AREAS = (savings, verdict, report)
_PHRASES: dict[str, dict[str, str]] = {
    "en": {key: text for area in AREAS for key, text in area.ENGLISH.items()},
    "ja": {key: text for area in AREAS for key, text in area.JAPANESE.items()},
}
_MONEY = {
    ("en", Currency.YEN): (("¥", 1.0, ""),),
    ("ja", Currency.YEN): (("", 1e8, "億円"), ("", 1e4, "万円"), ("", 1.0, "円")),
    ("en", Currency.DOLLAR): (("$", 1.0, ""),),
    ("ja", Currency.DOLLAR): (("", 1.0, "ドル"),),
}


class Words:
    """The phrases and forms of one language.

    Args:
        language: ``en`` or ``ja``.

    Raises:
        SpecError: It is neither.
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise unknown_name("language", language, LANGUAGES)
        self.language = language

    def say(self, key: str, /, **values: object) -> str:
        """Return the phrase of that key with its placeholders filled in."""
        return _PHRASES[self.language][key].format(**values)

    def has(self, key: str) -> bool:
        """Return whether there is such a phrase."""
        return key in _PHRASES[self.language]

    def factor(self, value: float) -> str:
        """Return a ratio with its sign of multiplication."""
        return self.say("unit.factor", value=ratio(value))

    def between(self, low: str, high: str) -> str:
        """Return an interval of two numbers that are written already."""
        return self.say("unit.between", low=low, high=high)

    def points(self, value: float, digits: int = 1) -> str:
        """Return a difference of percentages, in points, with its sign."""
        return self.say("unit.points", value=signed(value, digits))

    def quality(self, value: float, metric: str) -> str:
        """Return a quality in the form customary for its metric."""
        return as_percent(value, 1) if metric == "top1" else significant(value)

    def change(self, change: Change, metric: str) -> tuple[str, str]:
        """Return a change of quality with its unit, and its interval without."""
        if metric == "top1":
            return self.points(change.value), self.between(signed(change.low), signed(change.high))
        low, high = (signed_percent(end, 1) for end in (change.low, change.high))
        return signed_percent(change.value, 1), self.between(low, high)

    def loss(self, value: float, metric: str, digits: int = 1) -> str:
        """Return a loss in the units of a margin: points of accuracy, or per cent."""
        if metric == "top1":
            return self.points(100 * value, digits)
        return signed_percent(value, digits)

    def loss_range(self, low: float, high: float, metric: str, digits: int = 1) -> str:
        """Return an interval of a loss, its unit once."""
        if metric == "top1":
            start = signed(100 * low, digits)
            return self.between(start, self.points(100 * high, digits))
        return self.between(signed_percent(low, digits), signed_percent(high, digits))

    def number(self, value: float) -> str:
        """Return a plain number of any size with separators, three significant digits."""
        if abs(value) >= 1000 and float(value).is_integer():
            return f"{value:,.0f}".replace("-", MINUS)
        return f"{value:g}".replace("-", MINUS) if _is_short(value) else significant(value)

    def money(self, value: float, currency: Currency) -> str:
        """Return an amount to three significant digits, as its readers write it."""
        rounded = float(f"{value:.3g}")
        sign = MINUS if rounded < 0 else ""
        for before, size, after in _MONEY[self.language, currency]:
            if abs(rounded) >= size or size == 1.0:
                amount = abs(rounded) / size
                return f"{sign}{before}{_grouped(amount)}{after}"
        return ""  # pragma: no cover - the last unit is 1

    def months(self, value: float | None) -> str:
        """Return a number of months, rounded up; a word for never."""
        if value is None:
            return self.say("savings.never")
        count = math.ceil(value)
        return self.say("unit.month" if count == 1 else "unit.months", value=f"{count:,}")


def _is_short(value: float) -> bool:
    return abs(value) < 1000 and len(f"{value:g}") <= 6 and "e" not in f"{value:g}"


def _grouped(amount: float) -> str:
    if amount >= 100 or amount.is_integer():
        return f"{amount:,.0f}"
    return significant(amount) if amount < 1 else f"{amount:.3g}"


def phrases(language: str) -> dict[str, str]:
    """Return all phrases of a language by their keys, for the check of completeness."""
    return dict(_PHRASES[language])
