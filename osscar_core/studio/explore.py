"""How Explore is entered and left: links into it, the example, and the start of a run.

The decision hidden here: which request the form shows when the page is opened.
"""

from __future__ import annotations

import streamlit as st

from osscar_core.studio import chosen, form
from osscar_core.studio.choices import shown_name
from osscar_core.studio.frame import owner, save_link
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.numbers import percent
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.summary import group_of
from osscar_core.studio.texts import say

_FOLLOWED = "_followed_run"


def follow_link(store: RunStore) -> None:
    """Put the chosen run into the form; without one, the newest of the model or its example."""
    state = st.session_state
    stands = state["run"] or state["m"]
    if state.get(_FOLLOWED) == stands:
        return
    is_first = _FOLLOWED not in state
    state[_FOLLOWED] = stands
    run = chosen.run(store)
    if run is not None:
        form.fill(run.request)
    elif is_first:
        request = form.example()
        if request is not None and request.spec.model == chosen.model(store).name:
            form.fill(request)


def submit(store: RunStore, request: JobRequest) -> None:
    """Start a run, or go to the one that answers the request already."""
    run = store.submit(request, owner())
    chosen.choose_run(run)
    st.session_state[_FOLLOWED] = run.id
    save_link()
    if run.status.state is State.FINISHED:
        st.toast(say("form.known"), icon=":material/history:", duration="long")
    st.rerun()


def unfinished(store: RunStore, draft: JobRequest | None) -> Run | None:
    """Return the run of the link if it has no result and is what the form is about."""
    run = store.get(st.session_state["run"], owner())
    if run is None or draft is None or group_of(run.request) != group_of(draft):
        return None
    return None if store.result(run) is not None else run


def show_empty(store: RunStore) -> None:
    """Say what this page is for, and offer something that works at once."""
    with st.container(border=True):
        st.markdown(f"#### {say('empty.title')}")
        st.markdown(say("empty.body"))
        request = form.example()
        if request is None:
            st.markdown(say("empty.add"))
        else:
            st.markdown(
                say(
                    "empty.example.body",
                    model=shown_name(request.spec.model),
                    sparsity=percent(request.spec.sparsity),
                )
            )
            if st.button(say("empty.example"), icon=":material/play_arrow:"):
                submit(store, request)
        others = sum(run.status.state is State.FINISHED for run in store.runs(owner()))
        if others:
            st.markdown(f":gray[{say('empty.other', count=others)}]")
