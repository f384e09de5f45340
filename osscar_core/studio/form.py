"""The settings behind the what-if screen: how a point is measured, and on what.

The decision hidden here: which settings are asked for, in what order, with which defaults,
and what is checked before anything starts. What the slider sets is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import streamlit as st

from osscar_core.catalogue import own_data
from osscar_core.driver import gpu_name
from osscar_core.errors import OsscarError
from osscar_core.records import Intercept, Method, PruneSpec, Target
from osscar_core.studio.choices import (
    DATA_EXAMPLE,
    DEFAULT_DATA,
    ModelChoice,
    check_data,
    check_weights,
    is_same_data,
)
from osscar_core.studio.identity import places
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.summary import method_name
from osscar_core.studio.texts import as_plain, say

QUICK_SAMPLES = {"demo/opt": 24, "demo/resnet50": 64}
"""Calibration items of a run with a model of the project: so few that two cores are quick."""

QUICK_REPEATS = 20
"""Rounds of the timing in such a run."""

T = TypeVar("T")

TRIED = "_tried"
"""Session key: whether something was to be started with settings that are wrong."""

DEVICES = ("auto", "cpu", "cuda")
_LARGEST_SEED = 2**31


@dataclass(frozen=True, slots=True)
class Settings:
    """What the form holds.

    Attributes:
        request: What would be measured, but for the goal; wrong fields as they stand, to find
            comparable runs. ``None`` while a field is empty that every request has.
        survey: What a survey would be asked for; ``None`` likewise.
        problems: What is wrong, by field.
    """

    request: JobRequest | None
    survey: PruneSpec | None
    problems: dict[str, str] = field(default_factory=dict)


def fill(request: JobRequest, choice: ModelChoice) -> None:
    """Put a request into the form; call it before `read`."""
    spec, state = request.spec, st.session_state
    is_quick = spec.model in QUICK_SAMPLES
    state["f_weights"] = spec.weights or ""
    state["f_method"] = spec.method
    state["f_structures"] = list(spec.structures or choice.structures)
    state["f_calibration"] = spec.calibration
    state["f_data"] = request.data
    state["f_plain"] = spec.plain_loadable
    state["f_target"] = spec.target
    state["f_intercept"] = spec.intercept
    state["f_samples"] = None if spec.samples == QUICK_SAMPLES.get(spec.model) else spec.samples
    state["f_limit"] = request.limit
    state["f_seqlen"] = spec.seqlen
    state["f_image_size"] = spec.image_size
    state["f_batch"] = request.batch_size
    is_customary = is_quick and request.repeats == QUICK_REPEATS
    state["f_repeats"] = None if is_customary else request.repeats
    state["f_seed"] = spec.seed
    state["f_device"] = spec.device if spec.device in DEVICES else "auto"
    state["_for_model"], state["_for_task"] = spec.model, choice.task


def read(choice: ModelChoice) -> Settings:
    """Return what the form holds for a model, after giving empty fields their defaults."""
    _match_defaults(choice)
    return Settings(_request(choice), _survey(choice), _problems(choice))


def show(choice: ModelChoice, settings: Settings, *, has_weights: bool) -> None:
    """Draw the form, with what is wrong beside each field.

    Args:
        choice: The model.
        settings: What the form holds.
        has_weights: Whether the field for a weights file stands elsewhere on the page.
    """
    problems = settings.problems
    first, second = st.columns(2, gap="medium")
    with first:
        _select("method", list(Method), method_name)
        st.multiselect(
            say("form.structures"),
            choice.structures,
            key="f_structures",
            format_func=lambda s: say(f"structure.{s.value}"),
            help=say("form.structures.help"),
            persist_state="session",
        )
        _problem(problems, "structures")
        if choice.plain:
            st.checkbox(
                say("form.plain"),
                key="f_plain",
                help=say("form.plain.help"),
                persist_state="session",
            )
        if choice.takes_weights and not has_weights:
            show_weights(choice, settings)
    with second:
        for name in ("calibration", "data"):
            st.text_input(
                say(f"form.{name}"),
                key=f"f_{name}",
                help=say(f"form.{name}.help"),
                placeholder=DATA_EXAMPLE[choice.task],
                persist_state="session",
            )
            if st.session_state[f"f_{name}"] or st.session_state.get(TRIED):
                _problem(problems, name)
        if is_same_data(st.session_state["f_calibration"], st.session_state["f_data"]):
            st.markdown(f":orange[:material/warning:] {say('form.data.same')}")
    sizes = ("samples", "limit", "seqlen" if choice.task == "text" else "image_size")
    for names in (sizes, ("batch", "repeats", "seed")):
        for column, name in zip(st.columns(3, gap="medium"), names, strict=True):
            with column:
                _number(name, choice)
    columns = st.columns(3, gap="medium")
    with columns[0]:
        _select(
            "target", [None, *Target], lambda t: say(f"target.{t.value}") if t else say("form.auto")
        )
    with columns[1]:
        _select("intercept", list(Intercept), lambda i: say(f"intercept.{i.value}"))
        _problem(problems, "intercept")
    with columns[2]:
        _select("device", list(DEVICES), lambda device: say(f"device.{device}"))
        _problem(problems, "device")


def show_weights(choice: ModelChoice, settings: Settings) -> None:
    """Draw the field for a weights file; for some models nothing goes without it."""
    st.text_input(
        say("form.weights"),
        key="f_weights",
        help=say("form.weights.help"),
        placeholder=say(
            "form.weights.example" if choice.needs_weights else "form.weights.optional"
        ),
        persist_state="session",
    )
    if st.session_state.get("f_weights"):
        _problem(settings.problems, "weights")


def _match_defaults(choice: ModelChoice) -> None:
    """Give fields their defaults, and again where another kind of model needs others."""
    state = st.session_state
    defaults = {
        "f_method": Method.OSSCAR,
        "f_intercept": Intercept.AUTO,
        "f_device": "auto",
        "f_seed": 0,
        "f_weights": "",
        "f_plain": False,
    }
    for key, value in defaults.items():
        state.setdefault(key, value)
    for name in ("target", "samples", "limit", "seqlen", "image_size", "batch", "repeats"):
        state.setdefault(f"f_{name}", None)
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


def _problems(choice: ModelChoice) -> dict[str, str]:
    state = st.session_state
    allowed = places()
    found = {
        name: check_data(state[f"f_{name}"], choice.task, allowed)
        for name in ("calibration", "data")
    }
    if choice.takes_weights:
        found["weights"] = check_weights(
            state["f_weights"], needed=choice.needs_weights, places=allowed
        )
    if not state["f_structures"]:
        found["structures"] = say("form.structures.missing")
    elif _is_plain(choice) and not set(choice.plain) & set(state["f_structures"]):
        unsaid, said = (
            ", ".join(say(f"structure.{structure.value}") for structure in structures)
            for structures in (state["f_structures"], choice.plain)
        )
        found["structures"] = say("form.plain.structures", unsaid=unsaid, said=said)
    if _has_lost_bias(choice):
        found["intercept"] = say("form.plain.intercept", auto=say("intercept.auto"))
    if state["f_device"] == "cuda" and not gpu_name():
        found["device"] = say("form.device.missing")
    return {name: problem for name, problem in found.items() if problem}


def _request(choice: ModelChoice) -> JobRequest | None:
    state, quick = st.session_state, QUICK_SAMPLES.get(choice.name)
    survey = _survey(choice)
    if survey is None:
        return None
    is_plain = _is_plain(choice)
    wanted = tuple(s for s in choice.structures if s in state["f_structures"])
    if is_plain and wanted != choice.structures:
        wanted = tuple(s for s in wanted if s in choice.plain)
    spec = replace(
        survey,
        structures=None if wanted in ((), choice.structures) else wanted,
        plain_loadable=is_plain,
        method=state["f_method"],
        target=state["f_target"],
        samples=state["f_samples"] or quick,
    )
    return JobRequest(
        spec,
        data=state["f_data"].strip(),
        limit=state["f_limit"],
        batch_size=state["f_batch"],
        repeats=state["f_repeats"] or (QUICK_REPEATS if quick else None),
    )


def _survey(choice: ModelChoice) -> PruneSpec | None:
    state = st.session_state
    weights = state["f_weights"].strip() or None if choice.takes_weights else None
    try:
        return PruneSpec(
            model=choice.name.strip(),
            calibration=state["f_calibration"].strip(),
            weights=weights,
            samples=state["f_samples"],
            seqlen=state["f_seqlen"] if choice.task == "text" else None,
            seed=state["f_seed"] or 0,
            device=state["f_device"],
            image_size=state["f_image_size"] if choice.task == "image" else None,
            # Where it cannot be had, answers are those without it, and nothing is started.
            intercept=Intercept.AUTO if _has_lost_bias(choice) else state["f_intercept"],
        )
    except OsscarError:
        return None


def _is_plain(choice: ModelChoice) -> bool:
    """Return whether plain `transformers` is to load what comes out."""
    return bool(choice.plain) and bool(st.session_state["f_plain"])


def _has_lost_bias(choice: ModelChoice) -> bool:
    """Return whether biases are asked for that plain `transformers` could not load."""
    return _is_plain(choice) and st.session_state["f_intercept"] is Intercept.ON


def _select(name: str, options: Sequence[T], words: Callable[[T], str]) -> None:
    st.selectbox(
        say(f"form.{name}"),
        options,
        key=f"f_{name}",
        format_func=words,
        help=say(f"form.{name}.help"),
        persist_state="session",
    )


def _number(name: str, choice: ModelChoice) -> None:
    automatic = {"samples": QUICK_SAMPLES.get(choice.name)}
    if choice.name in QUICK_SAMPLES:
        automatic["repeats"] = QUICK_REPEATS
    customary = automatic.get(name)
    st.number_input(
        say(f"form.{name}"),
        min_value={"seed": 0, "seqlen": 2}.get(name, 1),
        max_value=_LARGEST_SEED,
        step=1,
        key=f"f_{name}",
        placeholder=say("form.auto.value", value=customary) if customary else say("form.auto"),
        help=say(f"form.{name}.help"),
        persist_state="session",
    )


def _problem(problems: dict[str, str], name: str) -> None:
    if name in problems:
        st.markdown(f":red[:material/error: {as_plain(problems[name])}]")
