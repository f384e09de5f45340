"""Check: does the pruned model hold on one's own data, today and every month."""

import streamlit as st

from osscar_core.studio import check
from osscar_core.studio.frame import boundary, frame
from osscar_core.studio.texts import say

frame("check")
with boundary():
    st.title(say("page.check"), anchor=False)
    check.show()
