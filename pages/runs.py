"""Runs: everything that was asked for, what became of it, and what to do with it."""

import streamlit as st

from osscar_core.studio import runcard, runlist
from osscar_core.studio.compare import show_comparison
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.identity import desk
from osscar_core.studio.runtable import entry_of
from osscar_core.studio.texts import say

frame("runs")
with boundary():
    store = desk()
    st.title(say("page.runs"), anchor=False)
    runcard.show_problem()
    runcard.show_undo(store)
    runlist.show_queue(store)
    runs = runlist.listed(store)
    if not runs:
        runlist.show_empty()
    listed = runlist.show_filters(runs)
    selected = runlist.selected(store)
    if listed:
        if runs:
            runlist.show_count(runs, listed)
        runlist.show_table(store, listed)
    elif runs:
        st.markdown(say("runs.no_match"))
    if len(selected) > 1:
        show_comparison(store, selected)
    elif selected:
        runcard.show_run(store, entry_of(store, selected[0]))
    elif listed:
        st.markdown(say("runs.select"))
    runlist.show_import(store)
