"""Decide: is it worth it, and how is it taken away and watched."""

import streamlit as st

from osscar_core.studio import decide
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.texts import say

frame("decide")
with boundary():
    st.title(say("page.decide"), anchor=False)
    decide.show()
