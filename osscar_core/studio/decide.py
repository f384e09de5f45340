"""The Decide page: the verdict, what it saves, and what is taken home.

The decision hidden here: the order. What to do comes first, the assumptions behind the
money second, files last; all three are about the run of the sidebar.
"""

from __future__ import annotations

import streamlit as st

from osscar_core.studio.check import choose
from osscar_core.studio.decide_evidence import case_of
from osscar_core.studio.decide_savings import confirmed, show_savings
from osscar_core.studio.decide_take import show_take_home
from osscar_core.studio.decide_verdict import show_verdict
from osscar_core.studio.frame import run_title
from osscar_core.studio.identity import desk
from osscar_core.studio.runcard import show_problem
from osscar_core.studio.texts import as_plain, say


def show() -> None:
    """Show the page."""
    show_problem()
    subject = choose(desk(), "decide")
    if subject is None:
        return
    title = as_plain(run_title(subject.run))
    st.markdown(say("decide.lead", title=title, id=subject.run.id))
    case = case_of(subject, confirmed(subject))
    show_verdict(case)
    show_savings(case)
    show_take_home(case)
