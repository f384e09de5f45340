"""Explain: what a finished run removed, layer by layer, and where its numbers come from."""

import streamlit as st

from osscar_core.studio import examples, explain
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.texts import say

frame("explain")
with boundary():
    st.title(say("page.explain"), anchor=False)
    store = RunStore()
    run = explain.choose(store)
    result = examples.result_of(store, run) if run is not None else None
    if run is not None and result is None:
        st.error(say("outcome.damaged"), icon=":material/error:")
    elif run is not None and result is not None:
        explain.show_lead(result)
        explain.show_figures(result)
        explain.show_warnings(result)
        explain.show_table(result)
        explain.show_facts(run, result)
