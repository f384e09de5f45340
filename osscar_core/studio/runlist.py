"""One run as a card: what became of it and what can be done with it.

The decision hidden here: which actions a run offers in which state.
"""

from __future__ import annotations

import functools

import streamlit as st

from osscar_core.records import to_json
from osscar_core.studio.frame import go, owner, run_title, watch
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.numbers import date_time
from osscar_core.studio.requests import RunResult
from osscar_core.studio.results import outcome
from osscar_core.studio.summary import verdict
from osscar_core.studio.texts import say

_BADGES = {
    State.QUEUED: "gray",
    State.RUNNING: "blue",
    State.FINISHED: "green",
    State.FAILED: "red",
    State.CANCELLED: "gray",
    State.INTERRUPTED: "orange",
}


def show_run(store: RunStore, run: Run) -> None:
    """Show one run as a card with its actions."""
    result = store.result(run)
    with st.container(border=True, gap="xsmall"):
        when = date_time(run.created)
        state = run.status.state
        head, actions = st.columns([7, 4], vertical_alignment="center")
        with head, st.container(key=f"runhead_{run.id}", gap="xsmall"):
            st.markdown(
                f"**{run_title(run)}** &nbsp; "
                f":{_BADGES[state]}-badge[{say(f'runs.state.{state.value}')}]"
            )
            st.markdown(f":gray[{say('runs.when', when=when, id=run.id)}]")
            if result is not None:
                st.markdown(verdict(result))
            elif not state.is_live:
                st.markdown(outcome(run))
        if state.is_live:
            watch(run.id, "list")
            return
        with actions, st.container(horizontal=True, gap="small", horizontal_alignment="right"):
            if result is not None:
                _open_buttons(run)
            else:
                _again_button(store, run)
            _more(store, run, result)


def _open_buttons(run: Run) -> None:
    for page, icon in (("explore", ":material/tune:"), ("explain", ":material/account_tree:")):
        label = say("runs.open" if page == "explore" else "runs.explain")
        if st.button(label, key=f"{page}_{run.id}", icon=icon):
            st.session_state["run"] = run.id
            go(page)


def _again_button(store: RunStore, run: Run) -> None:
    if st.button(say("runs.again"), key=f"again_{run.id}", icon=":material/replay:"):
        st.session_state["run"] = store.submit(run.request, owner()).id
        go("explore")


def _more(store: RunStore, run: Run, result: RunResult | None) -> None:
    with st.popover(say("runs.more"), icon=":material/more_horiz:"):
        if result is not None:
            for name, record in (("plan", result.prune.plan), ("report", result)):
                st.download_button(
                    say(f"runs.{name}"),
                    data=functools.partial(to_json, record, indent=1),
                    file_name=f"osscar-{name}-{run.id}.json",
                    mime="application/json",
                    key=f"{name}_{run.id}",
                    on_click="ignore",
                    icon=":material/download:",
                    width="stretch",
                )
            st.markdown(say("runs.model_at", path=run.model_folder))
        st.download_button(
            say("runs.log"),
            data=lambda: store.log(run),
            file_name=f"osscar-log-{run.id}.txt",
            mime="text/plain",
            key=f"log_{run.id}",
            on_click="ignore",
            icon=":material/description:",
            width="stretch",
        )
        sure = st.checkbox(say("runs.delete.sure"), key=f"sure_{run.id}")
        if st.button(
            say("runs.delete.yes"),
            key=f"delete_{run.id}",
            icon=":material/delete:",
            disabled=not sure,
            width="stretch",
        ):
            store.delete(run)
            if st.session_state["run"] == run.id:
                st.session_state["run"] = ""
            st.rerun()
