"""Findings, rule and savings as rows and sentences, ready to be shown anywhere.

The decision hidden here: which phrase and which digits stand for a record. A terminal, a
page and a printed report show the same.
"""

from __future__ import annotations

from osscar_core.notation import percent
from osscar_core.phrases import Words
from osscar_core.savings import (
    DEFAULTS,
    Currency,
    Quantity,
    Range,
    SavingsInputs,
    SavingsReport,
    Source,
    default_prices,
)
from osscar_core.verdict import Criterion, Finding, Grade, Verdict

SYMBOLS = {"go": "●", "pilot": "◐", "dont": "○"}

_FORMULAS = ("left", "busy", "machines", "energy", "co2", "money", "net", "break_even")


def finding_text(finding: Finding, verdict: Verdict, currency: Currency, words: Words) -> str:
    """Return why a criterion was graded as it was, with its interval."""
    interval = ""
    if finding.low is not None and finding.high is not None:
        interval = _interval(finding, verdict, currency, words)
    names = ", ".join(finding.names)
    return words.say(f"finding.{finding.criterion}.{finding.key}", interval=interval, names=names)


def _interval(finding: Finding, verdict: Verdict, currency: Currency, words: Words) -> str:
    low, high = finding.low or 0.0, finding.high or 0.0
    match finding.criterion:
        case Criterion.SPEED:
            return words.between(f"{low:.2f}", words.factor(high))
        case Criterion.SAVINGS:
            return words.between(words.money(low, currency), words.money(high, currency))
        case _:
            return words.loss_range(low, high, verdict.metric or "")


def rule_rows(words: Words) -> list[tuple[str, str, str, str]]:
    """Return the printed rule: the criterion, and when it is met, open, not met."""
    return [
        (
            words.say(f"criterion.{criterion}"),
            words.say(f"rule.{criterion}.{Grade.GOOD}"),
            words.say(f"rule.{criterion}.{Grade.OPEN}"),
            words.say(f"rule.{criterion}.{Grade.BAD}"),
        )
        for criterion in Criterion
    ]


def rule_header(words: Words) -> tuple[str, str, str, str]:
    """Return the heads of the printed rule's columns."""
    return (
        words.say("rule.head.criterion"),
        words.say("rule.head.good"),
        words.say("rule.head.open"),
        words.say("rule.head.bad"),
    )


def input_name(name: str, inputs: SavingsInputs, words: Words) -> str:
    """Return an input's name with its unit."""
    return words.say(
        f"savings.input.{name}", money=words.say(f"savings.currency.{inputs.prices_in}")
    )


def reason(name: str, inputs: SavingsInputs, words: Words) -> str:
    """Return why an input has its values: as given, or the default's reason."""
    quantity: Quantity = getattr(inputs, name)
    if quantity.reason:
        return quantity.reason
    is_default = {**DEFAULTS, **default_prices(inputs.prices_in)}.get(name) == quantity
    is_timed = name == "speedup" and quantity.source is Source.MEASURED
    return words.say(f"savings.reason.{name if is_default or is_timed else 'given'}")


def input_rows(inputs: SavingsInputs, words: Words) -> list[tuple[str, str, str, str, str, str]]:
    """Return one row an input: name, low, typical, high, where from, why."""
    rows = [
        (
            input_name(name, inputs, words),
            words.number(quantity.low),
            words.number(quantity.typical),
            words.number(quantity.high),
            words.say(f"savings.source.{quantity.source}"),
            reason(name, inputs, words),
        )
        for name, quantity in inputs.quantities()
        if name != "yen_per_dollar" or inputs.converts
    ]
    assumed = words.say(f"savings.source.{Source.ASSUMED}")
    for name in ("is_capacity_bound", "is_power_included"):
        answer = words.say("savings.yes" if getattr(inputs, name) else "savings.no")
        rows.append((input_name(name, inputs, words), "", answer, "", assumed, ""))
    return rows


def result_rows(report: SavingsReport, words: Words) -> list[tuple[str, str, str, str]]:
    """Return one row a result: name, low, typical, high."""
    currency = report.currency

    def money(name: str, row: Range, **values: object) -> tuple[str, str, str, str]:
        ends = (row.low, row.typical, row.high)
        low, typical, high = (words.money(end, currency) for end in ends)
        return words.say(f"savings.result.{name}", **values), low, typical, high

    def plain(name: str, row: Range) -> tuple[str, str, str, str]:
        low, typical, high = (
            words.number(float(f"{end:.3g}")) for end in (row.low, row.typical, row.high)
        )
        return words.say(f"savings.result.{name}"), low, typical, high

    first, middle, last = (words.months(end) for end in report.break_even)
    years = words.number(report.inputs.horizon_years.typical)
    return [
        money("money", report.money),
        money("money_machines", report.money_machines),
        money("money_energy", report.money_energy),
        money("one_time", report.one_time),
        money("net", report.net, years=years),
        (words.say("savings.result.break_even"), first, middle, last),
        plain("machines", report.machines),
        plain("machines_exact", report.machines_exact),
        plain("kwh", report.kwh),
        plain("co2_kg", report.co2_kg),
    ]


def formula_lines(inputs: SavingsInputs, words: Words) -> list[str]:
    """Return the arithmetic, one formula a line."""
    names = [*_FORMULAS, *(("rate",) if inputs.converts else ()), "size"]
    return [words.say(f"savings.formula.{name}") for name in names]


def method_text(report: SavingsReport, words: Words) -> str:
    """Return how the ranges came about."""
    return words.say("savings.method", draws=f"{report.draws:,}", seed=report.seed)


def remark_texts(report: SavingsReport, words: Words) -> list[str]:
    """Return what has to be said beside the figures."""
    return [words.say(f"savings.remark.{remark}") for remark in report.remarks]


def matters_text(report: SavingsReport, words: Words) -> str:
    """Return which input moves the net result most."""
    most = report.matters_most
    if most is None:
        return words.say("savings.result.nothing_matters")
    name = input_name(most.name, report.inputs, words)
    return words.say("savings.result.matters_most", name=name)


def chance_text(report: SavingsReport) -> str:
    """Return the share of cases with a net gain."""
    return percent(report.chance)
