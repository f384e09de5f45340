"""What a link to the app carries.

The decision hidden here: how the session and its address are kept in line. The address is
read when it changes by another hand (a link, Back, Forward) and written when a choice
changes, never on mere opening: an entry of the history that the app adds by itself would
turn Back into a trap. Where a link had grown old before it was followed, the entry that the
browser made for it is corrected in its place.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

_SEEN = "_query_seen"
_WRITTEN = "_query_written"
_OFFERED = "_query_offered"
_STALE = "_query_stale"


def _anything(_value: str, _others: Mapping[str, str]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key of the URL.

    Attributes:
        default: Value that is not written into the address.
        is_valid: Whether a value from a link may be used, given those of the keys before it.
        is_kept: Whether a link without this key leaves the session's value as it is.
    """

    default: str = ""
    is_valid: Callable[[str, Mapping[str, str]], bool] = _anything
    is_kept: bool = False


def load(
    parameters: Mapping[str, Parameter],
    settle: Callable[[], None] | None = None,
    *,
    is_arrival: bool = False,
) -> dict[str, str]:
    """Take valid values from the address into the session, once per change of it.

    Args:
        parameters: The keys. One whose validity depends on another comes after it.
        settle: Brings values that depend on each other in line after the address was read.
        is_arrival: Whether the session comes from another page. If it followed a link of
            `offer`, what was chosen since that link was drawn counts, not the link.

    Returns:
        The values that were refused and replaced by their defaults, by key.
    """
    state = st.session_state
    query = _present(parameters)
    refused: dict[str, str] = {}
    if is_arrival:
        state[_STALE] = None
        if query == state.get(_OFFERED):
            state[_SEEN] = state[_WRITTEN] = query
            state[_STALE] = query if query != current(parameters) else None
    if query not in (state.get(_SEEN), state.get(_STALE)):
        taken: dict[str, str] = {}
        for key, parameter in parameters.items():
            kept = state.get(key, parameter.default) if parameter.is_kept else parameter.default
            value = query.get(key, kept)
            if value not in (kept, parameter.default) and not parameter.is_valid(value, taken):
                refused[key], value = value, kept
            taken[key] = state[key] = value
        if settle is not None:
            settle()
        state[_SEEN], state[_WRITTEN] = query, current(parameters)
    for key, parameter in parameters.items():
        # What a widget holds is dropped with it on other pages, unless it is assigned.
        state[key] = state.get(key, parameter.default)
    return refused


def current(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Return the values that differ from their default, for links to other pages."""
    values = {key: st.session_state.get(key, p.default) for key, p in parameters.items()}
    return {key: value for key, value in values.items() if value != parameters[key].default}


def offer(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """Return the values for links that stay drawn while parts of the page go on."""
    offered = current(parameters)
    st.session_state[_OFFERED] = offered
    return offered


def save(parameters: Mapping[str, Parameter]) -> None:
    """Bring the address in line with the session, where a choice has changed."""
    state = st.session_state
    wanted = current(parameters)
    if wanted == state.get(_WRITTEN):
        return
    state[_SEEN] = state[_WRITTEN] = wanted
    present = _present(parameters)
    if wanted == present:
        return
    others = {key: value for key, value in st.query_params.items() if key not in parameters}
    if present == state.get(_STALE):
        _correct({**others, **wanted})
    else:
        # All at once: each write of its own would be a step of the browser's history.
        st.query_params.from_dict({**others, **wanted})


def _correct(query: Mapping[str, str]) -> None:
    """Put another query into the browser's present entry, and let the app hear of it."""
    target = json.dumps(f"?{urllib.parse.urlencode(query)}")
    st.html(
        f"<script>history.replaceState(history.state, '', location.pathname + {target});"
        "dispatchEvent(new PopStateEvent('popstate', {state: history.state}));</script>",
        unsafe_allow_javascript=True,
    )


def _present(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    return {key: st.query_params[key] for key in parameters if key in st.query_params}
