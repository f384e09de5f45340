"""Runs: everything that was asked for, what became of it, and what to do with it."""

import streamlit as st

from osscar_core.studio.frame import boundary, frame, go, owner
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.runlist import show_run
from osscar_core.studio.texts import say

frame("runs")
with boundary():
    store = RunStore()
    runs = store.runs(owner())
    st.title(say("page.runs"), anchor=False)
    if not runs:
        with st.container(border=True):
            st.markdown(f"#### {say('runs.none')}")
            st.markdown(say("runs.none.body"))
            if st.button(say("explain.go"), icon=":material/tune:", type="primary"):
                go("explore")
    else:
        st.markdown(f":gray[{say('runs.count', count=len(runs))}]")
    for run in runs:
        show_run(store, run)
