"""What a link to the app carries.

The decision hidden here: which choices are in the URL (never a path, a name or data),
how a bad value is met, and when the page's state and its address are brought in line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from osscar_core.studio.texts import say

_SEEN = "_query_seen"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of the URL.

    Attributes:
        default: Value that is not written into the address.
        is_valid: Whether a value from a link may be used.
    """

    default: str
    is_valid: Callable[[str], bool]


def load(parameters: dict[str, Parameter]) -> None:
    """Take valid values from the address into the session, once per change of it."""
    query = {key: st.query_params[key] for key in parameters if key in st.query_params}
    if st.session_state.get(_SEEN) != query:
        st.session_state[_SEEN] = query
        for key, parameter in parameters.items():
            value = query.get(key, parameter.default)
            if value == parameter.default or parameter.is_valid(value):
                st.session_state[key] = value
            else:
                st.session_state[key] = parameter.default
                st.toast(
                    say("notice.no_run") if key == "run" else say("notice.ignored", key=key),
                    icon=":material/link_off:",
                )
    for key, parameter in parameters.items():
        st.session_state.setdefault(key, parameter.default)


def current(parameters: dict[str, Parameter]) -> dict[str, str]:
    """Return the values that differ from their default, for links to other pages."""
    values = {key: st.session_state.get(key, p.default) for key, p in parameters.items()}
    return {key: value for key, value in values.items() if value != parameters[key].default}


def save(parameters: dict[str, Parameter]) -> None:
    """Bring the address in line with the session."""
    wanted = current(parameters)
    present = {key: st.query_params[key] for key in parameters if key in st.query_params}
    if wanted != present:
        for key in present.keys() - wanted.keys():
            del st.query_params[key]
        for key, value in wanted.items():
            st.query_params[key] = value
    st.session_state[_SEEN] = wanted
