"""Explain: what a run removed, layer by layer, what speaks for it, and where numbers come from."""

import streamlit as st

from osscar_core.studio import explain
from osscar_core.studio.explain_facts import show_facts
from osscar_core.studio.explain_layers import layers_of
from osscar_core.studio.explain_showcase import show_showcase
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.identity import desk
from osscar_core.studio.texts import say

frame("explain")
with boundary():
    st.title(say("page.explain"), anchor=False)
    store = desk()
    found = explain.choose(store)
    if found is not None:
        run, result = found
        layers = layers_of(result)
        explain.show_lead(run, result, layers)
        explain.show_layers(run, result, layers)
        show_showcase(store, run)
        explain.show_table(result)
        show_facts(run, result)
