"""The form that turns a person's wishes into one request.

The decision hidden here: which settings are asked for, in what order, with which
defaults, and what is checked before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from osscar_core.catalogue import own_data
from osscar_core.errors import OsscarError
from osscar_core.records import Intercept, Method, PruneSpec, Structure, Target
from osscar_core.studio import chosen
from osscar_core.studio.choices import (
    DATA_EXAMPLE,
    DEFAULT_DATA,
    LOCAL,
    ModelChoice,
    check_data,
    check_weights,
    is_same_data,
    listed_as,
    local_choice,
    offered,
    packaged_gguf,
)
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.summary import method_name
from osscar_core.studio.texts import as_plain, say

EXAMPLE_SPARSITY = 0.3


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form holds.

    Attributes:
        request: The request; ``None`` while a field is empty or wrong.
        draft: The request with wrong fields as they stand, to find comparable runs.
        pressed: Whether the button was pressed just now.
    """

    request: JobRequest | None
    draft: JobRequest | None
    pressed: bool


def fill(request: JobRequest) -> None:
    """Put a request into the form; call it before `show`."""
    spec = request.spec
    state = st.session_state
    listed = listed_as(spec.model)
    choice = local_choice(spec.model) if listed == LOCAL else offered()[listed]
    state["f_weights"] = spec.weights or ""
    state["f_sparsity"] = round(100 * spec.sparsity)
    state["f_method"] = spec.method
    state["f_structures"] = list(spec.structures or choice.structures)
    state["f_calibration"] = spec.calibration
    state["f_data"] = request.data
    state["f_target"] = spec.target
    state["f_intercept"] = spec.intercept
    state["f_samples"] = spec.samples
    state["f_limit"] = request.limit
    state["f_seqlen"] = spec.seqlen
    state["f_image_size"] = spec.image_size
    state["f_seed"] = spec.seed
    state["_for_model"] = spec.model
    state["_for_task"] = choice.task


def example() -> JobRequest | None:
    """Return a request that runs offline on this machine, if there is one."""
    for choice in offered().values():
        if choice.data and choice.state == "ready":
            return JobRequest(PruneSpec(choice.name, choice.data, EXAMPLE_SPARSITY), choice.data)
    path = packaged_gguf()
    if path is None:
        return None
    spec = PruneSpec(
        model=str(path),
        calibration=DEFAULT_DATA["text"],
        sparsity=EXAMPLE_SPARSITY,
        structures=(Structure.NEURONS,),
        target=Target.LAYER,  # so few tokens would fit noise with any other
        samples=16,
        seqlen=256,
    )
    return JobRequest(spec, data=DEFAULT_DATA["text"], limit=32)


def show() -> Filled:
    """Draw the form and return what it holds."""
    state = st.session_state
    pressed_before = bool(state.get("_tried"))
    choice, problems = _model_fields(pressed_before)
    _match_defaults(choice)
    st.slider(
        say("form.sparsity"),
        0,
        95,
        key="f_sparsity",
        step=5,
        format="%d%%",
        help=say("form.sparsity.help"),
        persist_state="session",
    )
    st.selectbox(
        say("form.method"),
        list(Method),
        key="f_method",
        format_func=method_name,
        help=say("form.method.help"),
        persist_state="session",
    )
    st.multiselect(
        say("form.structures"),
        choice.structures,
        key="f_structures",
        format_func=lambda s: say(f"structure.{s.value}"),
        help=say("form.structures.help"),
        persist_state="session",
    )
    if not state["f_structures"]:
        problems.append(_problem(say("form.structures.missing")))
    for name in ("calibration", "data"):
        problems += _data_field(name, choice, pressed_before)
    if is_same_data(state["f_calibration"], state["f_data"]):
        st.markdown(f":orange[:material/warning:] {say('form.data.same')}")
    with st.expander(say("form.advanced")):
        _advanced(choice)
    pressed = st.button(
        say("form.submit"), type="primary", icon=":material/play_arrow:", width="stretch"
    )
    state["_tried"] = pressed or (pressed_before and bool(problems))
    if pressed and problems and not pressed_before:
        st.rerun()
    if problems and state["_tried"]:
        _problem(say("form.attention"))
    draft = _request(choice)
    return Filled(None if problems else draft, draft, pressed and not problems)


def _model_fields(pressed: bool) -> tuple[ModelChoice, list[str]]:
    choice = chosen.model(RunStore())
    problems: list[str] = []
    if choice.takes_weights:
        text = st.text_input(
            say("form.weights"),
            key="f_weights",
            help=say("form.weights.help"),
            placeholder=say(
                "form.weights.example" if choice.needs_weights else "form.weights.optional"
            ),
            persist_state="session",
        )
        problem = check_weights(text, needed=choice.needs_weights)
        problems += _checked(problem, bool(text) or pressed)
    return choice, problems


def _match_defaults(choice: ModelChoice) -> None:
    """Give fields their defaults, and again where another kind of model needs others."""
    state = st.session_state
    state.setdefault("f_sparsity", 50)
    state.setdefault("f_method", Method.OSSCAR)
    if state.get("_for_task") != choice.task:
        state["_for_task"] = choice.task
        state["f_calibration"] = state["f_data"] = choice.data or DEFAULT_DATA[choice.task]
    if state.get("_for_model") != choice.name:
        if choice.data or own_data(state.get("_for_model") or ""):
            state["f_calibration"] = state["f_data"] = choice.data or DEFAULT_DATA[choice.task]
        state["_for_model"] = choice.name
        state["f_structures"] = list(choice.structures)
    kept = [s for s in state.get("f_structures", ()) if s in choice.structures]
    if kept != state.get("f_structures"):
        state["f_structures"] = kept


def _data_field(name: str, choice: ModelChoice, pressed: bool) -> list[str]:
    text = st.text_input(
        say(f"form.{name}"),
        key=f"f_{name}",
        help=say(f"form.{name}.help"),
        placeholder=DATA_EXAMPLE[choice.task],
        persist_state="session",
    )
    return _checked(check_data(text, choice.task), bool(text) or pressed)


def _advanced(choice: ModelChoice) -> None:
    st.selectbox(
        say("form.target"),
        [None, *Target],
        key="f_target",
        format_func=lambda t: say(f"target.{t.value}") if t else say("form.auto"),
        help=say("form.target.help"),
        persist_state="session",
    )
    st.selectbox(
        say("form.intercept"),
        list(Intercept),
        key="f_intercept",
        format_func=lambda i: say(f"intercept.{i.value}"),
        help=say("form.intercept.help"),
        persist_state="session",
    )
    numbers = ["samples", "limit", "seqlen" if choice.task == "text" else "image_size"]
    for name in numbers:
        st.session_state.setdefault(f"f_{name}", None)
        st.number_input(
            say(f"form.{name}"),
            min_value=2 if name == "seqlen" else 1,
            step=1,
            key=f"f_{name}",
            placeholder=say("form.auto"),
            help=say(f"form.{name}.help"),
            persist_state="session",
        )
    st.session_state.setdefault("f_seed", 0)
    st.number_input(
        say("form.seed"),
        min_value=0,
        max_value=2**31,
        step=1,
        key="f_seed",
        help=say("form.seed.help"),
        persist_state="session",
    )


def _checked(problem: str, is_due: bool) -> list[str]:
    """Show what is wrong with the field above, once the person had a chance to fill it."""
    if problem and is_due:
        _problem(problem)
    return [problem] if problem else []


def _problem(text: str) -> str:
    st.markdown(f":red[:material/error: {as_plain(text)}]")
    return text


def _request(choice: ModelChoice) -> JobRequest | None:
    state = st.session_state
    weights = state.get("f_weights", "").strip() or None if choice.takes_weights else None
    wanted = tuple(s for s in choice.structures if s in state["f_structures"])
    try:
        spec = PruneSpec(
            model=choice.name.strip(),
            calibration=state["f_calibration"].strip(),
            sparsity=state["f_sparsity"] / 100,
            weights=weights,
            structures=None if wanted == choice.structures else wanted,
            method=state["f_method"],
            target=state["f_target"],
            samples=state["f_samples"],
            seqlen=state["f_seqlen"] if choice.task == "text" else None,
            seed=state["f_seed"],
            image_size=state["f_image_size"] if choice.task == "image" else None,
            intercept=state["f_intercept"],
        )
        return JobRequest(spec, data=state["f_data"].strip(), limit=state["f_limit"])
    except OsscarError:
        return None
