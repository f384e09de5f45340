"""The Check page: whose pruned model, on which data, and which of three questions.

The decision hidden here: what a check is about. The run of the sidebar is the model; where
that run is itself a check, the model is that of the run which it names, and its answer is
the one on screen. Only the question that is looked at is computed.
"""

from __future__ import annotations

import functools

import streamlit as st

from osscar_core.studio import chosen, examples
from osscar_core.studio.access import Act
from osscar_core.studio.cards import card
from osscar_core.studio.check_ab import show_ab, show_report
from osscar_core.studio.check_bench import MAKING_SECONDS
from osscar_core.studio.check_data import choose_data
from osscar_core.studio.check_found import Subject, checks_of, question, result_of
from osscar_core.studio.check_monthly import show_monthly
from osscar_core.studio.check_shift import show_shift, show_shift_report, show_stress_report
from osscar_core.studio.desk import Desk
from osscar_core.studio.frame import go, run_title, watch
from osscar_core.studio.identity import desk
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import about, duration
from osscar_core.studio.requests import CheckKind, JobKind
from osscar_core.studio.results import outcome
from osscar_core.studio.runcard import attempt, show_problem
from osscar_core.studio.texts import as_plain, say

TAB = "check_tab"
"""Session key: which question is looked at, a key of `_TABS`."""

_OPENED = "_check_opened"
_TABS = {
    "ab": (":material/compare_arrows:", show_ab),
    "shift": (":material/traffic:", show_shift),
    "monthly": (":material/calendar_month:", show_monthly),
}
_TAB_OF = {CheckKind.AB: "ab", CheckKind.SHIFT: "shift", CheckKind.STRESS: "shift"}


def show() -> None:
    """Show the page."""
    store = desk()
    show_problem()
    subject = choose(store)
    if subject is None:
        return
    _show_lead(subject)
    may_start = store.may(Act.START)
    data = choose_data(subject) if may_start else None
    tab = _choose_question(subject)
    if data is None and may_start:
        st.markdown(f":material/arrow_upward: {say('check.data.needed')}")
    with st.container(key=f"check_{tab}"):
        _TABS[tab][1](subject, data)


def choose(store: Desk, page: str = "check") -> Subject | None:
    """Return what a page is about; where there is nothing, say why and what to do."""
    run = chosen.run(store)
    opened = run if run is not None and question(run) is not None else None
    if run is not None and run.request.check is not None:
        made_by = chosen.find(store, run.request.check.run)
        if made_by is None:
            _show_orphan(run)
            return None
        run = made_by
    if run is not None and run.kind is not JobKind.PRUNE:
        # A survey has no pruned model; the newest run of its model may have one.
        run = next(iter(chosen.runs(store)), None)
    if run is None:
        with st.container(border=True):
            st.markdown(f"## {say('check.none')}")
            st.markdown(say(f"{page}.none.body"))
            if st.button(say("explain.go"), icon=":material/tune:", type="primary"):
                go("explore")
        return None
    result = examples.result_of(store, run)
    if result is None:
        _show_without_result(run)
        return None
    checks = checks_of(store.runs(), run.id)
    return Subject(store, run, result, checks, opened)


def _show_lead(subject: Subject) -> None:
    run = subject.run
    title = as_plain(run_title(run))
    st.markdown(say("check.lead", title=title, id=run.id))
    if examples.is_example(run):
        if subject.is_made_first:
            st.markdown(
                ":material/inventory_2: "
                + say("check.lead.example", time=about(duration(MAKING_SECONDS)))
            )
    elif not subject.has_model:
        card(
            say("check.no_model.imported" if run.is_imported else "check.no_model"),
            safe=say("check.no_model.safe"),
            todo=say("check.no_model.again" if run.is_imported else "check.no_model.todo"),
            kind="warning",
        )
        # Asking again for what was computed here gives the run that there is.
        if run.is_imported and subject.store.may(Act.START):
            st.button(
                say("runs.again"),
                icon=":material/replay:",
                key="check_again",
                on_click=attempt,
                args=(functools.partial(_again, subject),),
            )


def _again(subject: Subject) -> None:
    chosen.choose_run(subject.store.submit(subject.run.request))


def _show_without_result(run: Run) -> None:
    st.markdown(f"**{as_plain(run_title(run))}** · `{run.id}`")
    state = run.status.state
    if state.is_live:
        st.info(say("check.live"), icon=":material/hourglass_top:")
        with st.container(border=True, key="main_live"):
            watch(run.id, "main")
    elif state is State.FINISHED:
        card(say("outcome.damaged"), safe=say("explain.damaged"), todo=say("explain.damaged.todo"))
    else:
        card(outcome(run), kind="error" if state is State.FAILED else "warning")
    if st.button(say("explain.to_runs"), icon=":material/history:"):
        go("runs")


def _show_orphan(run: Run) -> None:
    """Show a check whose model is gone."""
    card(
        say("check.orphan"),
        safe=say("check.orphan.safe"),
        todo=say("check.orphan.todo"),
        kind="warning",
    )
    result = result_of(run)
    if result is not None:
        show_report(run, result)
        show_shift_report(run, result)
        show_stress_report(run, result)


def _choose_question(subject: Subject) -> str:
    """Let the person choose the question; a link to a check brings its own."""
    state, opened = st.session_state, subject.opened
    if opened is not None and state.get(_OPENED) != opened.id:
        kind = question(opened)
        state[TAB] = _TAB_OF[kind] if kind is not None else "ab"
    state[_OPENED] = opened.id if opened is not None else ""
    state.setdefault(TAB, "ab")
    with st.container(key="check_tabs"):
        st.segmented_control(
            say("check.question"),
            list(_TABS),
            key=TAB,
            required=True,
            format_func=lambda tab: f"{_TABS[tab][0]} {say(f'check.tab.{tab}')}",
            width="stretch",
            persist_state="session",
        )
    tab: str = state[TAB]
    st.markdown(say(f"check.tab.{tab}.what"))
    return tab
