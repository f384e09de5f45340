"""What it saves: inputs that are tagged, a range, and which assumption matters most.

The decision hidden here: when assumptions count. They are a form, so that typing computes
nothing; they are kept for each run once they were confirmed, and the next run begins with
the latest. Prices are asked for in the currency that results are shown in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.figures import SwingBar, swings
from osscar_core.phrases import Words
from osscar_core.phrases.sentences import (
    chance_text,
    formula_lines,
    input_name,
    matters_text,
    method_text,
    reason,
    remark_texts,
    result_rows,
)
from osscar_core.savings import (
    Currency,
    Quantity,
    SavingsInputs,
    SavingsReport,
    Source,
    bounds,
    compute_savings,
    default_prices,
    measured_speedup,
)
from osscar_core.studio.cards import card
from osscar_core.studio.check_found import Subject
from osscar_core.studio.decide_evidence import Case, speed_of
from osscar_core.studio.decide_verdict import table
from osscar_core.studio.frame import is_dark
from osscar_core.studio.texts import as_plain, language, say
from osscar_core.studio.told import told

MAIN = (
    *("requests_per_day", "machines", "utilisation", "busy_watts"),
    *("price_per_kwh", "price_per_machine_hour", "effort_days", "cost_per_day"),
    "grid_kg_per_kwh",
)
MORE = ("model_share", "idle_watts", "horizon_years", "yen_per_dollar")
ENDS = ("low", "typical", "high")

_KEPT, _LATEST, _REFUSED = "_decide_savings", "_decide_inputs", "_decide_refused"
_CURRENCY = "decide_currency"
_SIGNS = {Currency.YEN: "¥", Currency.DOLLAR: "$"}
_MOST_BARS = 8
_QUIET = {"displayModeBar": False}
# Japanese counts money in ten thousands; its axis does, too.
_AXES = {("ja", Currency.YEN): (1e4, ",")}
_AXIS = (1.0, "~s")


def confirmed(subject: Subject) -> SavingsReport | None:
    """Return the savings of a run whose assumptions somebody has confirmed.

    They are told in the currency that is chosen now, at the rate that was given.
    """
    state = st.session_state
    found: SavingsReport | None = state.get(_KEPT, {}).get(subject.run.id)
    wanted: str | None = state.get(_CURRENCY)
    if found is None or wanted is None or found.currency.value == wanted:
        return found
    found = compute_savings(dataclasses.replace(found.inputs, currency=Currency(wanted)))
    state[_KEPT] = {**state[_KEPT], subject.run.id: found}
    return found


def show_savings(case: Case) -> None:
    """Show the form and, once it was sent, what comes of it."""
    words = Words(language())
    st.header(say("decide.savings"), anchor="savings")
    st.markdown(say("decide.savings.what"))
    st.segmented_control(
        say("decide.currency"),
        [each.value for each in Currency],
        default=_latest(case).currency.value,
        key=_CURRENCY,
        required=True,
        format_func=lambda value: f"{_SIGNS[Currency(value)]} {say(f'decide.currency.{value}')}",
        persist_state="session",
    )
    _show_form(case, Currency(st.session_state[_CURRENCY]), words)
    if case.savings is not None:
        _show_result(case.savings, words)


def _latest(case: Case) -> SavingsInputs:
    """Return the inputs to begin with: this run's, else the latest of any run, else customary."""
    if case.savings is not None:
        return case.savings.inputs
    found: SavingsInputs | None = st.session_state.get(_LATEST)
    speedup = measured_speedup(case.speed)
    return SavingsInputs(speedup) if found is None else dataclasses.replace(found, speedup=speedup)


def _show_form(case: Case, currency: Currency, words: Words) -> None:
    run_id, inputs = case.subject.run.id, _latest(case)
    first: dict[str, Any] = dict(_starting_values(inputs, currency))
    named = dataclasses.replace(inputs, **first, prices_in=currency, currency=currency)
    with st.form("savings_form", enter_to_submit=False), st.container(key="savings_inputs"):
        _show_speed(case, named, words)
        _show_heads(words, "main")
        for name in MAIN:
            _show_row(run_id, name, named, words)
        st.checkbox(
            input_name("is_capacity_bound", named, words),
            value=inputs.is_capacity_bound,
            key=_key(run_id, "is_capacity_bound"),
            help=as_plain(words.say("savings.remark.not-capacity-bound")),
        )
        st.checkbox(
            input_name("is_power_included", named, words),
            value=inputs.is_power_included,
            key=_key(run_id, "is_power_included"),
            help=as_plain(words.say("savings.remark.power-included")),
        )
        with st.expander(say("decide.more"), icon=":material/tune:"):
            _show_heads(words, "more")
            for name in MORE:
                _show_row(run_id, name, named, words)
        st.form_submit_button(
            say("decide.compute"),
            key="savings_compute",
            type="primary",
            icon=":material/calculate:",
            on_click=_compute,
            args=(case.subject, currency),
        )
    _show_refusal()
    if case.savings is None:
        st.markdown(f":material/hourglass_empty: {say('decide.savings.not_yet')}")


def _starting_values(inputs: SavingsInputs, currency: Currency) -> dict[str, Quantity]:
    """Return what the fields begin with; prices in the currency that they are asked for in."""
    values = {name: getattr(inputs, name) for name in (*MAIN, *MORE)}
    if inputs.prices_in is currency:
        return values
    rate = inputs.yen_per_dollar.typical
    factor = 1 / rate if currency is Currency.DOLLAR else rate
    for name, customary in default_prices(currency).items():
        given: Quantity = values[name]
        is_own = given != default_prices(inputs.prices_in)[name]
        values[name] = _converted(given, factor) if is_own else customary
    return values


def _converted(quantity: Quantity, factor: float) -> Quantity:
    low, typical, high = (float(f"{factor * getattr(quantity, end):.3g}") for end in ENDS)
    return dataclasses.replace(quantity, low=low, typical=typical, high=high)


def _show_speed(case: Case, inputs: SavingsInputs, words: Words) -> None:
    speedup = inputs.speedup
    interval = words.between(f"{speedup.low:.2f}", words.factor(speedup.high))
    st.markdown(
        f":material/straighten: **{as_plain(input_name('speedup', inputs, words))}** · "
        + say(
            "decide.speedup",
            value=words.factor(speedup.typical),
            interval=interval,
            device=as_plain(case.speed.pruned.conditions.get("device", "?")),
        )
    )


def _show_heads(words: Words, place: str) -> None:
    """Show what the fields of each row are."""
    with st.container(horizontal=True, gap="small", key=f"row_heads_{place}"):
        st.markdown("", width="stretch")
        for end in ENDS:
            st.markdown(f"**{as_plain(words.say(f'report.head.{end}'))}**", width="stretch")
        st.markdown(f"**{say('decide.source')}**", width="stretch")


def _show_row(run_id: str, name: str, inputs: SavingsInputs, words: Words) -> None:
    quantity: Quantity = getattr(inputs, name)
    title, (least, most) = input_name(name, inputs, words), bounds(name)
    is_whole = name == "machines"
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"row_{name}"):
        st.markdown(as_plain(title), help=as_plain(reason(name, inputs, words)), width="stretch")
        for end in ENDS:
            value = getattr(quantity, end)
            st.number_input(
                f"{title}: {words.say(f'report.head.{end}')}",
                value=round(value) if is_whole else float(value),
                min_value=int(least) if is_whole else least,
                max_value=int(most) if is_whole else most,
                step=1 if is_whole else None,
                format="%d" if is_whole else "%g",
                key=_key(run_id, name, end, inputs.prices_in),
                label_visibility="collapsed",
            )
        st.selectbox(
            f"{title}: {say('decide.source')}",
            [each.value for each in (Source.ASSUMED, Source.MEASURED)],
            index=int(quantity.source is Source.MEASURED),
            format_func=lambda value: say(f"decide.source.{value}"),
            key=_key(run_id, name, "source", inputs.prices_in),
            label_visibility="collapsed",
        )


def _key(run_id: str, name: str, end: str = "", currency: Currency = Currency.YEN) -> str:
    """Return the key of a field; a price in another currency is another field."""
    is_price = name in default_prices(Currency.DOLLAR)
    return "_".join(part for part in ("sv", name, end, currency.value * is_price, run_id) if part)


def _compute(subject: Subject, currency: Currency) -> None:
    """Take the form as confirmed."""
    state, run_id = st.session_state, subject.run.id
    state[_REFUSED] = None
    given: dict[str, Quantity] = {}
    for name in (*MAIN, *MORE):
        ends = [state[_key(run_id, name, end, currency)] for end in ENDS]
        if any(end is None for end in ends) or list(ends) != sorted(ends):
            state[_REFUSED] = ("order", name, currency)
            return
        source = Source(state[_key(run_id, name, "source", currency)])
        low, typical, high = map(float, ends)
        given[name] = Quantity(low, typical, high, source)
    if given["busy_watts"].typical < given["idle_watts"].typical:
        state[_REFUSED] = ("watts", "busy_watts", currency)
        return
    try:
        inputs = SavingsInputs(
            measured_speedup(speed_of(subject.result)),
            subject.result.prune.bytes,
            **given,
            is_capacity_bound=state[_key(run_id, "is_capacity_bound")],
            is_power_included=state[_key(run_id, "is_power_included")],
            prices_in=currency,
            currency=currency,
        )
        report = compute_savings(inputs)
    except OsscarError as error:
        state[_REFUSED] = error
        return
    state[_KEPT] = {**state.get(_KEPT, {}), run_id: report}
    state[_LATEST] = inputs


def _show_refusal() -> None:
    """Say which value cannot be computed with."""
    refused = st.session_state.get(_REFUSED)
    if isinstance(refused, OsscarError):
        problem, remedy = told(refused.problem, refused.remedy)
        card(say("runs.problem"), safe=problem, todo=remedy)
    elif refused is not None:
        kind, name, currency = refused
        money = Words(language()).say(f"savings.currency.{currency}")
        title = Words(language()).say(f"savings.input.{name}", money=money)
        card(
            say(f"decide.refused.{kind}", name=as_plain(title)),
            safe=say("decide.refused.safe"),
            todo=say(f"decide.refused.{kind}.todo"),
            kind="warning",
        )


def _show_result(report: SavingsReport, words: Words) -> None:
    def money(value: float) -> str:
        return as_plain(words.money(value, report.currency))

    net, yearly = report.net, report.money
    kind = "gain" if net.is_positive else "loss" if net.is_negative else "unclear"
    years = words.number(report.inputs.horizon_years.typical)
    icon = {"gain": "trending_up", "loss": "trending_down", "unclear": "help"}[kind]
    with st.container(border=True, key="savings_result"):
        st.markdown(
            f"#### :material/{icon}: "
            + say(
                f"decide.result.{kind}",
                years=years,
                net=money(abs(net.typical) if kind == "loss" else net.typical),
                low=money(net.low),
                high=money(net.high),
            )
        )
        key = "decide.result.yearly" if yearly.typical > 0 else "decide.result.yearly.none"
        month = as_plain(words.months(report.break_even[1]))
        st.markdown(
            say(
                key,
                money=money(yearly.typical),
                low=money(yearly.low),
                high=money(yearly.high),
                month=month,
                chance=chance_text(report),
            )
        )
        for remark in remark_texts(report, words):
            st.markdown(f":material/info: {as_plain(remark)}")
        heads = [words.say(f"report.head.{name}") for name in ("result", *ENDS)]
        with st.container(key="savings_table"):
            st.markdown(table(heads, result_rows(report, words)))
        _show_swings(report, words)
        with st.expander(words.say("savings.formula.title"), icon=":material/function:"):
            lines = formula_lines(report.inputs, words)
            st.markdown("\n".join(f"- {as_plain(line)}" for line in lines))
            st.markdown(as_plain(method_text(report, words)))


def _show_swings(report: SavingsReport, words: Words) -> None:
    matters = as_plain(matters_text(report, words))
    st.markdown(f"**{matters}**")
    moving = [swing for swing in report.swings if swing.size > 0][:_MOST_BARS]
    if not moving:
        return
    currency = report.currency
    scale, form = _AXES.get((language(), currency), _AXIS)
    bars = []
    for swing in moving:
        quantity: Quantity = getattr(report.inputs, swing.name)
        name = words.say(f"savings.short.{swing.name}")
        low, high = (
            say("decide.swing.told", name=name, value=words.number(value), net=net)
            for value, net in (
                (quantity.low, words.money(swing.at_low, currency)),
                (quantity.high, words.money(swing.at_high, currency)),
            )
        )
        bars.append(SwingBar(name, swing.at_low / scale, swing.at_high / scale, low, high))
    years = words.number(report.inputs.horizon_years.typical)
    labels = {
        "axis": say(f"decide.swing.axis.{currency.value}", years=years),
        "low": say("decide.swing.low"),
        "high": say("decide.swing.high"),
        "format": form,
    }
    st.plotly_chart(
        swings(bars, typical=report.net.typical / scale, words=labels, dark=is_dark()),
        key="swings",
        config=_QUIET,
        alt=say(
            "decide.swing.alt",
            matters=matters_text(report, words),
            low=bars[0].told_low,
            high=bars[0].told_high,
        ),
    )
