"""Explore: choose a model and how much to remove, run the solver, see what it costs."""

import streamlit as st

from osscar_core.studio import form, results
from osscar_core.studio.explore import follow_link, show_empty, submit, unfinished
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.texts import say

frame("explore")
with boundary():
    store = RunStore()
    follow_link(store)
    top = st.container()
    left, right = st.columns([4, 9], gap="medium")
    with left, st.container(border=True, key="form", gap="xsmall"):
        filled = form.show()
    if filled.pressed and filled.request is not None:
        submit(store, filled.request)
    finished = results.finished_like(store, filled.draft)
    shown = results.choose_shown(finished)
    pending = unfinished(store, filled.draft)
    with top:
        st.title(say("page.explore"), anchor=False)
        if shown is not None:
            results.show_headline(shown)
    with right, st.container(key="results"):
        if pending is not None:
            results.show_outcome(pending)
        if shown is not None:
            results.show_metrics(shown)
            results.show_figure(finished, shown)
        elif pending is None:
            show_empty(store)
    if shown is not None:
        results.show_table(finished)
