"""What can be done about a position of the slider: measure, compare, survey, time, protect.

The decision hidden here: what is offered in which situation, so that no button is dead and
nothing is started twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import streamlit as st

from osscar_core.datasets.spec import shown_spec
from osscar_core.records import Method, PruneSpec
from osscar_core.studio import chosen, protect, results
from osscar_core.studio.access import Act
from osscar_core.studio.briefs import survey_request
from osscar_core.studio.examples import is_example
from osscar_core.studio.form import TRIED
from osscar_core.studio.frame import go, watch
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import about, duration
from osscar_core.studio.orders import expected_seconds
from osscar_core.studio.requests import JobKind, JobRequest
from osscar_core.studio.scene import Scene
from osscar_core.studio.texts import as_plain, say
from osscar_core.studio.whatif import View

COMPARED = (
    Method.OSSCAR,
    Method.PAPER,
    Method.MAGNITUDE_REFIT,
    Method.MAGNITUDE,
    Method.RANDOM,
)
"""What is compared at one position of the slider."""

# Seconds to which a duration is told that is only expected, and from when on in minutes.
_STEP = 5
_LONG = 90


def show_primary(scene: Scene, view: View) -> None:
    """Offer to measure, or show how far that is, or that it was done."""
    request = scene.point(view)
    if not _has_weights(scene) or request is None:
        return
    if scene.answers is None:
        _without_survey(scene)
        return
    if _is_watched(scene, request):
        return
    run = scene.latest(request)
    if run is not None and scene.finished_run(run) is not None:
        if st.button(
            say("act.explain"),
            icon=":material/account_tree:",
            width="stretch",
            help=say("act.explain.help", id=run.id),
        ):
            chosen.choose_run(run)
            go("explain")
    elif can_run(scene) and st.button(
        _timed(_measure_key(view), scene, request),
        key="measure",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        help=_what_is_measured(request),
    ):
        _submit(scene, [request])


def can_run(scene: Scene) -> bool:
    """Return whether this person may start anything, and the model's weights can be had."""
    return scene.store.may(Act.START) and _has_weights(scene)


def _has_weights(scene: Scene) -> bool:
    return scene.choice.state != "weights missing" and "weights" not in scene.settings.problems


def _measure_key(view: View) -> str:
    """Return what the button is called: what was learned since may lead to other widths."""
    if view.shown is None:
        return "act.measure"
    return "act.again" if is_example(view.shown.run) else "act.closer"


def _timed(key: str, scene: Scene, request: JobRequest) -> str:
    """Return a button's label with the time that its work will take, where that is known."""
    seconds = expected_seconds(request, scene.runs)
    if seconds is None:
        return say(key)
    return f"{say(key)} ({about(roughly(seconds))})"


def roughly(seconds: float) -> str:
    """Return a duration that is only expected, in steps."""
    if seconds < _LONG:
        return duration(_STEP * max(1, round(seconds / _STEP)))
    return say("act.minutes", count=round(seconds / 60))


def _what_is_measured(request: JobRequest) -> str:
    spec = request.spec
    return say(
        "act.measure.help",
        calibration=as_plain(shown_spec(spec.calibration)),
        samples=spec.samples or say("form.auto"),
        data=as_plain(shown_spec(request.data)),
        limit=request.limit or say("act.all"),
        repeats=request.repeats or say("form.auto"),
    )


def _is_watched(scene: Scene, request: JobRequest) -> bool:
    """Show how far the run of a request is, while there is one at work."""
    run = scene.latest(request)
    if run is None or not run.status.state.is_live:
        return False
    watch(run.id, "here")
    return True


def _without_survey(scene: Scene) -> None:
    """Offer to survey the model, after which answers take no time."""
    if scene.settings.survey is None or not can_run(scene):
        return
    survey = _survey_job(scene.settings.survey)
    if not _is_watched(scene, survey) and st.button(
        _timed("act.survey", scene, survey),
        key="survey",
        type="primary",
        icon=":material/travel_explore:",
        width="stretch",
        help=say("act.survey.help"),
    ):
        _submit(scene, [survey])


def _survey_job(spec: PruneSpec) -> JobRequest:
    return JobRequest(survey_request(spec), data="", kind=JobKind.SURVEY)


def _submit(scene: Scene, requests: Sequence[JobRequest]) -> None:
    """Start what was asked for, unless a field of the settings is wrong."""
    state = st.session_state
    if scene.settings.problems:
        state[TRIED] = True
        st.rerun()
    state[TRIED] = False
    for request in requests:
        scene.store.submit(request)
    if len(requests) > 1:
        st.toast(say("rivals.started", count=len(requests)), icon=":material/compare_arrows:")
    st.rerun()


def show_actions(scene: Scene, view: View) -> None:
    """Offer what goes beyond one measurement."""
    with st.container(horizontal=True, key="exploreacts", vertical_alignment="bottom", gap="small"):
        if scene.answers is not None or scene.finished:
            if st.session_state.get("w_x") != st.session_state["x"]:
                st.session_state["w_x"] = st.session_state["x"]
            st.segmented_control(
                say("figure.axis"),
                ["latency", "size"],
                key="w_x",
                format_func=lambda axis: say(f"figure.by.{axis}"),
                on_change=_axis_chosen,
                required=True,
                label_visibility="collapsed",
            )
        request = scene.point(view) if can_run(scene) else None
        if request is not None:
            if scene.answers is None:
                _plain_button(scene, request)
            _compare_button(scene, request)
        if scene.answers is not None:
            protect.show_button(scene)
        if can_run(scene):
            _timing_button(scene)
    spec = scene.settings.survey if scene.answers is None else None
    survey = None if spec is None else _survey_job(spec)
    for job in (request, survey, _timing_job(scene)):
        if job is not None:
            _what_became(scene, scene.latest(job))


def _plain_button(scene: Scene, request: JobRequest) -> None:
    """Offer to measure a point without a survey."""
    if _is_watched(scene, request):
        return
    run = scene.latest(request)
    if (run is None or scene.finished_run(run) is None) and st.button(
        _timed("act.plain", scene, request),
        key="measure_plain",
        icon=":material/play_arrow:",
        help=f"{say('act.plain.help')} {_what_is_measured(request)}",
    ):
        _submit(scene, [request])


def _axis_chosen() -> None:
    st.session_state["x"] = st.session_state["w_x"]


def _compare_button(scene: Scene, request: JobRequest) -> None:
    requests = _rival_requests(request)
    runs = [run for each in requests if (run := scene.latest(each)) is not None]
    done = sum(scene.finished_run(run) is not None for run in runs)
    live = sum(run.status.state.is_live for run in runs)
    if live and len(runs) > 1:
        st.markdown(say("rivals.progress", done=done, count=len(requests)))
    elif done < len(requests) and st.button(
        say("act.compare"), icon=":material/compare_arrows:", help=say("act.compare.help")
    ):
        _submit(scene, requests)


def _rival_requests(request: JobRequest) -> list[JobRequest]:
    """Return the requests that measure all methods at the widths of one."""
    return [
        dataclasses.replace(
            request,
            spec=dataclasses.replace(request.spec, method=method),
            estimate=request.estimate if method is request.spec.method else None,
        )
        for method in COMPARED
    ]


def _timing_button(scene: Scene) -> None:
    """Offer to time this machine where speeds are those of another."""
    job = _timing_job(scene)
    if job is None:
        return
    if not _is_watched(scene, job) and st.button(
        _timed("act.timing", scene, job), icon=":material/timer:", help=say("act.timing.help")
    ):
        _submit(scene, [job])


def _timing_job(scene: Scene) -> JobRequest | None:
    survey = scene.settings.survey
    if scene.answers is None or survey is None or scene.is_timed_here:
        return None
    return JobRequest(survey_request(survey), data="", kind=JobKind.TIMING)


def _what_became(scene: Scene, run: Run | None) -> None:
    """Say what went wrong with a run, if it did."""
    if run is None or run.status.state.is_live or scene.finished_run(run) is not None:
        return
    if run.kind is not JobKind.PRUNE and run.status.state is State.FINISHED:
        return
    results.show_outcome(run)


def show_survey_note(scene: Scene) -> None:
    """Say that the survey was made with other settings than the form's, where it was."""
    survey = scene.settings.survey
    if survey is None or scene.is_exact:
        return
    if scene.brief is None:
        st.markdown(f":material/info: {say('survey.none')}")
        return
    count = scene.brief.record.calibration.count
    st.markdown(f":material/info: {say('survey.other', count=count)}")
    job = _survey_job(survey)
    run = scene.latest(job)
    is_live = run is not None and run.status.state.is_live
    if (
        not is_live
        and can_run(scene)
        and st.button(_timed("act.survey_again", scene, job), icon=":material/travel_explore:")
    ):
        _submit(scene, [job])
