"""How a check is asked for and followed, and how one of the earlier ones is chosen.

The decision hidden here: which answer of a question is on screen: the one that was chosen,
else the one that a link is about, else the newest. A check that was just asked for becomes
the chosen one.
"""

from __future__ import annotations

from statistics import median

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.records import DataInfo
from osscar_core.studio import chosen
from osscar_core.studio.access import Act
from osscar_core.studio.actions import roughly
from osscar_core.studio.cards import card
from osscar_core.studio.check_data import Data
from osscar_core.studio.check_found import Subject, question, report_of, result_of
from osscar_core.studio.check_words import data_name, in_a_word
from osscar_core.studio.frame import watch
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import about, date_time, duration, whole
from osscar_core.studio.requests import (
    CheckKind,
    CheckRequest,
    CheckResult,
    JobKind,
    JobRequest,
)
from osscar_core.studio.results import show_outcome
from osscar_core.studio.texts import as_plain, say
from osscar_core.studio.told import told

_SHOWN = "_check_shown"
_PROBLEM = "_check_not_started"
MAKING_SECONDS = 40.0
"""What it takes to make the model of an example again, on two cores."""

_LOADING_SECONDS = 10.0
# What a check itself takes on two cores and some hundred items.
_CUSTOMARY = {CheckKind.AB: 15.0, CheckKind.SHIFT: 30.0, CheckKind.STRESS: 120.0}


def job(
    subject: Subject,
    data: Data,
    kind: CheckKind,
    *,
    margin: float = 0.01,
    columns: tuple[str, ...] | None = None,
    reference: str = "",
) -> JobRequest:
    """Return what is asked of a worker."""
    wanted = CheckRequest(
        kind=kind, run=subject.run.id, margin=margin, columns=columns, reference=reference
    )
    return JobRequest(
        subject.spec, data=data.spec, limit=data.limit, kind=JobKind.CHECK, check=wanted
    )


def offer(subject: Subject, request: JobRequest, label: str, *, key: str, primary: bool) -> None:
    """Offer to run a check, with the time that it will take; show how far it is instead."""
    kind = request.check.kind if request.check is not None else CheckKind.AB
    live = next((run for run in subject.of_kind(kind) if run.status.state.is_live), None)
    if live is not None:
        with st.container(border=True, key=f"live_{key}"):
            watch(live.id, "here" if key != "check_run_ab" else "main")
        return
    if not subject.has_model or not subject.store.may(Act.START):
        return
    st.button(
        f"{label} ({about(roughly(expected_seconds(subject, kind)))})",
        key=key,
        type="primary" if primary else "secondary",
        icon=":material/play_arrow:",
        on_click=_start,
        args=(subject, request, kind),
    )
    _show_problem(kind)
    ended = next(iter(subject.of_kind(kind)), None)
    if ended is not None and ended.status.state is not State.FINISHED:
        show_outcome(ended)


def expected_seconds(subject: Subject, kind: CheckKind) -> float:
    """Return how long a check will take: as before, or by habit; the making comes on top."""
    reports = (report_of(result) for _, result in subject.finished(kind))
    before = [report.seconds for report in reports if report is not None]
    making = MAKING_SECONDS if subject.is_made_first else 0.0
    return _LOADING_SECONDS + (median(before) if before else _CUSTOMARY[kind]) + making


def _start(subject: Subject, request: JobRequest, kind: CheckKind) -> None:
    state = st.session_state
    try:
        run = subject.store.submit(request)
    except OsscarError as error:
        state[_PROBLEM] = {kind: error}
        return
    state[_SHOWN] = {**state.get(_SHOWN, {}), (subject.run.id, kind): run.id}
    if subject.opened is not None:
        chosen.choose_run(subject.run)


def _show_problem(kind: CheckKind) -> None:
    error = st.session_state.get(_PROBLEM, {}).get(kind)
    if error is not None:
        del st.session_state[_PROBLEM]
        problem, remedy = told(error.problem, error.remedy)
        card(
            say("runs.problem"),
            safe=problem,
            todo=remedy,
        )


def pick(subject: Subject, kind: CheckKind) -> tuple[Run, CheckResult] | None:
    """Return the answer to show, and let the person choose another one."""
    state = st.session_state
    found = {run.id: (run, result) for run, result in subject.finished(kind)}
    damaged = [run for run in subject.of_kind(kind) if _is_damaged(run)]
    if damaged:
        st.warning(say("check.damaged"), icon=":material/broken_image:")
    if not found:
        return None
    opened = subject.opened
    linked = opened.id if opened is not None and question(opened) is kind else ""
    wanted = state.get(_SHOWN, {}).get((subject.run.id, kind), linked)
    shown = wanted if wanted in found else next(iter(found))
    # Even one of them: it says which data the answer below is about.
    key = f"check_pick_{kind.value}"
    state[key] = shown

    def changed() -> None:
        state[_SHOWN] = {**state.get(_SHOWN, {}), (subject.run.id, kind): state[key]}

    st.selectbox(
        say("check.earlier", count=len(found)),
        list(found),
        key=key,
        format_func=lambda run_id: _label(*found[run_id]) if run_id in found else "",
        on_change=changed,
    )
    return found[shown]


def _is_damaged(run: Run) -> bool:
    return run.status.state is State.FINISHED and result_of(run) is None


def _label(run: Run, result: CheckResult) -> str:
    name = data_name(data_info(result).spec)
    return " · ".join(part for part in (date_time(run.created), name, in_a_word(result)) if part)


def data_info(result: CheckResult) -> DataInfo:
    """Return the data that a check looked at."""
    found = report_of(result)
    if found is None:
        return DataInfo("", "text", 0, "")
    return found.new if result.shift is not None else found.data  # type: ignore[union-attr]


def show_basis(run: Run, result: CheckResult, *, more: str = "") -> None:
    """Show what a result rests on: run, data, protocol."""
    found = report_of(result)
    if found is None:
        return
    info = data_info(result)
    facts = [
        say("check.basis.run", id=run.id),
        say("check.basis.data", name=as_plain(data_name(info.spec)), count=whole(info.count)),
        say("check.basis.took", time=duration(found.seconds)),
        date_time(run.created),
    ]
    with st.container(key=f"basis_{run.id}", gap="xsmall"):
        st.markdown(" · ".join(facts))
        if more:
            st.markdown(more)
        st.markdown(say("check.basis.protocol", text=as_plain(found.protocol)))
