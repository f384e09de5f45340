"""The choices that stand on every page: model, run and language.

The decision hidden here: how they are asked for, and what each of their states is called.
What a choice means is in `chosen`.
"""

from __future__ import annotations

import streamlit as st

from osscar_core.studio import chosen, examples
from osscar_core.studio.access import Act
from osscar_core.studio.choices import (
    LOCAL,
    ModelChoice,
    as_sentence,
    check_model_path,
    shown_name,
)
from osscar_core.studio.desk import Desk
from osscar_core.studio.identity import desk
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import date_time
from osscar_core.studio.requests import JobKind
from osscar_core.studio.summary import asked, kind_name, method_name
from osscar_core.studio.texts import LANGUAGES, as_plain, language, say

_ASKS_PATH = "_asks_path"


def choose_model(store: Desk) -> None:
    """Let the person choose a model, and say what the chosen one needs first."""
    state = st.session_state
    models = chosen.models(store)
    choice = chosen.model(store)
    asks = state.get(_ASKS_PATH, False) and store.may(Act.START)
    state["g_model"] = LOCAL if asks else chosen.key_of(choice.name)
    st.selectbox(
        say("control.model"),
        [*models, *([LOCAL] if store.may(Act.START) else [])],
        key="g_model",
        format_func=lambda key: _model_label(key, models),
        on_change=_model_chosen,
        help=say("control.model.help"),
    )
    if asks:
        st.text_input(
            say("control.path"),
            key="g_path",
            help=say("control.path.help"),
            on_change=_path_given,
        )
        if problem := state.get("g_path") and check_model_path(state["g_path"], store.places):
            st.markdown(f":red[:material/error: {as_plain(problem)}]")
    elif choice.state != "ready":
        st.markdown(
            f":gray[:material/info: {say(f'state.{choice.state}.todo')}]",
            help=as_plain(as_sentence(choice.hint)) if choice.hint else None,
        )


def choose_run(store: Desk) -> None:
    """Let the person choose a run of the model; the newest stands for none."""
    state = st.session_state
    runs = {run.id: run for run in chosen.runs(store)}
    current = chosen.find(store, state["run"])
    if current is not None:
        runs = {current.id: current, **runs} if current.id not in runs else runs
    state["g_run"] = state["run"]
    st.selectbox(
        say("control.run"),
        ["", *runs],
        key="g_run",
        format_func=lambda run_id: _run_label(runs.get(run_id), has_any=bool(runs)),
        on_change=_run_chosen,
        help=say("control.run.help"),
    )


def choose_language() -> None:
    """Let the person choose the language, each written in its own words."""
    st.session_state["g_lang"] = language()
    st.segmented_control(
        say("control.language"),
        list(LANGUAGES),
        key="g_lang",
        format_func=LANGUAGES.__getitem__,
        on_change=_language_chosen,
        required=True,
        width="stretch",
    )


def _model_label(key: str, models: dict[str, ModelChoice]) -> str:
    if key == LOCAL or key not in models:
        return say("control.model.local")
    choice = models[key]
    return f"{shown_name(choice.name)} · {say(f'state.{choice.state}')}"


def _run_label(run: Run | None, *, has_any: bool) -> str:
    if run is None:
        return say("control.run.newest" if has_any else "control.run.none")
    spec, state = run.request.spec, run.status.state
    name = run.name or f"{asked(spec)} · {method_name(spec.method)}"
    if run.kind is not JobKind.PRUNE:
        name = run.name or kind_name(run.request)
    if examples.is_example(run):
        end = say("control.run.example")
    elif state is State.FINISHED:
        end = date_time(run.created)
    else:
        end = say(f"runs.state.{state.value}")
    return f"{name} · {end}"


def _model_chosen() -> None:
    key = st.session_state["g_model"]
    st.session_state[_ASKS_PATH] = key == LOCAL
    if key != LOCAL:
        chosen.choose_model(key)


def _path_given() -> None:
    path = st.session_state["g_path"]
    if path and not check_model_path(path, desk().places):
        st.session_state[_ASKS_PATH] = False
        chosen.choose_path(path)


def _run_chosen() -> None:
    chosen.choose_run(chosen.find(desk(), st.session_state["g_run"]))


def _language_chosen() -> None:
    """Switch the language and leave everything else as it was.

    A browser reports what is selected by its label, and the old labels mean nothing in the
    new language. Values that are assigned go back to the browser with their new labels.
    """
    state = st.session_state
    state["lang"] = state["g_lang"]
    for key, value in state.items():
        if _is_assignable(value):
            state[key] = value


def _is_assignable(value: object) -> bool:
    """Return whether Streamlit lets a widget with this value be set: not buttons, not files."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_assignable(item) for item in value)
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)
