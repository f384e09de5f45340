"""Which model and which run the app is about, on every page.

The decision hidden here: what stands where nothing was chosen, what one choice does to the
others, and how a link names a model of one's own without its path. The session keeps the
model under ``m`` and the run under ``run``; an empty run means the newest one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from osscar_core.storage import given_path
from osscar_core.studio import examples
from osscar_core.studio.choices import LOCAL, ModelChoice, listed_as, local_choice, offered
from osscar_core.studio.desk import Desk
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.requests import JobKind

_OWN = "own-"
_NAMED = "_own_models"
_MOST_OWN = 20


def models(store: Desk) -> dict[str, ModelChoice]:
    """Return what can be chosen by its key in links: the offered models, then one's own.

    One's own are those named in this session and those of earlier runs.
    """
    listed = offered()
    known = {choice.name for choice in listed.values()}
    named = [
        *st.session_state.get(_NAMED, ()),
        *(run.request.spec.model for run in store.runs()),
    ]
    own = [name for name in dict.fromkeys(named) if name not in known][:_MOST_OWN]
    return listed | {_own_key(name): local_choice(name) for name in own}


def key_of(model: str) -> str:
    """Return the key in links of what `load_model` is given: a listed name, or a digest."""
    listed = listed_as(model)
    return _own_key(model) if listed == LOCAL else listed


def model(store: Desk) -> ModelChoice:
    """Return the chosen model."""
    found = models(store)
    return found.get(st.session_state["m"]) or found[_opening(store)]


def run(store: Desk) -> Run | None:
    """Return the chosen run, else the newest finished one of the model, else its example."""
    named = find(store, st.session_state["run"])
    if named is not None:
        return named
    finished = runs(store)
    own = [item for item in finished if not examples.is_example(item)]
    shown = examples.opening(examples.of_model(model(store).name))
    return next(iter([*own, *([shown.run] if shown else [])]), None)


def runs(store: Desk) -> list[Run]:
    """Return the finished runs of the chosen model, the newest first; then its examples."""
    name = model(store).name
    own = [
        item
        for item in store.runs()
        if item.request.spec.model == name
        and item.request.kind is JobKind.PRUNE
        and item.status.state is State.FINISHED
    ]
    return [*own, *(item.run for item in examples.of_model(name))]


def find(store: Desk, run_id: str) -> Run | None:
    """Return the run of the workspace, or the example, of that id."""
    if not run_id:
        return None
    own, example = store.get(run_id), examples.find(run_id)
    return example.run if own is None and example is not None else own


def is_own(key: str) -> bool:
    """Return whether a key stands for a model that is not listed."""
    return key.startswith(_OWN)


def choose_model(key: str) -> None:
    """Make this the model; no run of another one stays chosen."""
    state = st.session_state
    if state["m"] != key:
        state["m"], state["run"] = key, ""


def choose_path(path: str) -> None:
    """Make a local model that was named by its path the model."""
    name = str(given_path(path.strip()))
    named: Sequence[str] = st.session_state.get(_NAMED, ())
    st.session_state[_NAMED] = tuple(dict.fromkeys([name, *named]))
    choose_model(key_of(name))


def choose_run(chosen: Run | None) -> None:
    """Make this the run, and its model the model; ``None`` is the newest run."""
    st.session_state["run"] = chosen.id if chosen is not None else ""
    if chosen is not None:
        st.session_state["m"] = key_of(chosen.request.spec.model)


def settle(store: Desk) -> None:
    """Bring model and run in line after a link was read: a run brings its model."""
    chosen = find(store, st.session_state["run"])
    if chosen is not None:
        choose_run(chosen)
    elif not st.session_state["m"]:
        st.session_state["m"] = _opening(store)


def _opening(store: Desk) -> str:
    """Return the model to begin with: that of the newest run, else one with an example."""
    newest = [item.request.spec.model for item in store.runs()[:1]]
    shown = [item.run.request.spec.model for item in examples.examples()[:1]]
    return next((key_of(name) for name in [*newest, *shown]), next(iter(offered())))


def _own_key(name: str) -> str:
    return _OWN + hashlib.sha256(name.encode()).hexdigest()[:12]
