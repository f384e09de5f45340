"""What every page has in common: menu, controls, link state, notices, the error card.

The decision hidden here: the order in which a page is built, and what is left of it when a
part fails. Each page script calls `frame` first and does everything else inside `boundary`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from osscar_core.studio import chosen, numbers, texts, urlstate
from osscar_core.studio.access import Act
from osscar_core.studio.cards import card, failure
from osscar_core.studio.choices import shown_name
from osscar_core.studio.controls import choose_language, choose_model, choose_run
from osscar_core.studio.desk import Desk
from osscar_core.studio.identity import desk, needs_login, show_login, show_logout
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import duration
from osscar_core.studio.pace import steps_of
from osscar_core.studio.requests import JobKind
from osscar_core.studio.summary import asked, kind_name, method_name
from osscar_core.studio.texts import LANGUAGES, as_plain, language, say
from osscar_core.studio.urlstate import Parameter

__all__ = [
    "boundary",
    "card",
    "frame",
    "go",
    "is_dark",
    "job_card",
    "run_title",
    "save_link",
    "watch",
]

T = TypeVar("T")

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PAGES = {
    "explore": ("app.py", ":material/tune:"),
    "explain": ("pages/explain.py", ":material/account_tree:"),
    "check": ("pages/check.py", ":material/fact_check:"),
    "decide": ("pages/decide.py", ":material/balance:"),
    "runs": ("pages/runs.py", ":material/history:"),
}
GOALS = {
    "removed": (0.0, 99.0),
    "speed": (1.0, 100.0),
    "loss": (0.1, 100.0),
    "size": (1.0, 100.0),
}
"""What a link may ask for, with the range of its value: per cent removed, a factor, points or
per cent lost at most, per cent of the file left at most. Explore narrows it down by the model."""

_NUMBER = re.compile(r"[0-9]{1,7}(\.[0-9]{1,4})?")
_LAYER = re.compile(r"[\w.:-]{1,120}")


def _is_value(text: str, others: Mapping[str, str]) -> bool:
    low, high = GOALS[others["goal"]]
    return bool(_NUMBER.fullmatch(text)) and low <= float(text) <= high


PARAMETERS = {
    "lang": Parameter(is_valid=lambda value, _: value in LANGUAGES, is_kept=True),
    "m": Parameter(is_valid=lambda value, _: value in chosen.models(desk())),
    "run": Parameter(is_valid=lambda value, _: chosen.find(desk(), value) is not None),
    "goal": Parameter("removed", lambda value, _: value in GOALS),
    "val": Parameter(is_valid=_is_value),
    "x": Parameter("latency", lambda value, _: value in {"latency", "size"}),
    "layer": Parameter(is_valid=lambda value, _: bool(_LAYER.fullmatch(value))),
}
"""What a link carries; see `urlstate`. An empty value means that nothing was chosen."""

_ENDS = {
    State.FINISHED: ":material/check_circle:",
    State.FAILED: ":material/error:",
    State.CANCELLED: ":material/block:",
    State.INTERRUPTED: ":material/warning:",
}
_POLL = 1.0
_SILENCE = 30.0
_STRIP_LENGTH = 3
_PAGE = "_page"
_UNTOLD = "_refused"


def frame(page: str) -> None:
    """Set up a page: configuration, login, link state, sidebar with controls and jobs.

    Args:
        page: A key of `PAGES`.
    """
    is_stranger, barred = _attempt(needs_login)
    fault: Exception | None = None
    refused: dict[str, str] | None = None
    if is_stranger is False:
        is_arrival = st.session_state.get(_PAGE, page) != page
        st.session_state[_PAGE] = page
        refused, fault = _attempt(lambda: urlstate.load(PARAMETERS, _settle, is_arrival=is_arrival))
    st.set_page_config(
        page_title=f"{say(f'menu.{page}')} · {say('app.name')}",
        page_icon=str(ASSETS / "icon.svg"),
        layout="wide",
    )
    st.html(ASSETS / "style.css")
    # Browsers go by the language: line breaks, the glyphs of a font, the voice of a screen
    # reader. The style sheet goes by the theme when a page is printed.
    theme = "dark" if is_dark() else "light"
    st.html(
        "<script>Object.assign(document.documentElement, "
        f"{{lang: '{language()}'}}).dataset.theme = '{theme}'</script>",
        unsafe_allow_javascript=True,
    )
    if is_stranger is not False:
        if is_stranger:
            _, barred = _attempt(show_login)
        if barred is not None:
            failure(barred)
        st.stop()
    # A run of the script that is cut short before it has told leaves that to the next one.
    untold = st.session_state[_UNTOLD] = st.session_state.get(_UNTOLD, {}) | (refused or {})
    for key, value in untold.items():
        words = say(_refusal(key, value), key=key)
        st.toast(words, icon=":material/link_off:", duration="long")
    st.session_state[_UNTOLD] = {}
    with st.sidebar:
        fault = _sidebar(page, fault)
    if fault is not None:
        failure(fault)
        st.stop()


@contextlib.contextmanager
def boundary() -> Iterator[None]:
    """Show an error card instead of a traceback, and bring the address in line at the end."""
    try:
        yield
    # The boundary of a page: whatever was not foreseen becomes a card with a mark.
    except Exception as error:  # noqa: BLE001
        failure(error)
    save_link()


def save_link() -> None:
    """Bring the address in line with what is shown."""
    urlstate.save(PARAMETERS)


def go(page: str) -> None:
    """Leave for another page, keeping the link state."""
    st.switch_page(PAGES[page][0], query_params=urlstate.current(PARAMETERS))


def is_dark() -> bool:
    """Return whether the page is shown dark."""
    return st.context.theme.type == "dark"


def run_title(run: Run) -> str:
    """Return a run's name as plain text: as its owner calls it, or what was asked for."""
    if run.name:
        return run.name
    spec, kind = run.request.spec, run.kind
    model = shown_name(spec.model)
    if run.request.check is not None and kind is JobKind.CHECK:
        return say(f"runs.title.check.{run.request.check.kind.value}", model=model)
    if run.request.writes is not None:
        return say("runs.title.export", model=model, name=kind_name(run.request))
    if kind is not JobKind.PRUNE:
        return say(f"runs.title.{kind.value}", model=model)
    return say("runs.title", model=model, asked=asked(spec), method=method_name(spec.method))


def _sidebar(page: str, fault: Exception | None) -> Exception | None:
    """Show menu and controls; what needs the workspace only if that is in order.

    Returns:
        What was wrong with the workspace, if anything.
    """
    store = None
    st.html(f'<div class="brand"><img src="{_icon()}" alt="">{say("app.name")}</div>')
    links = urlstate.offer(PARAMETERS)
    with st.container(key="menu", gap="xsmall"):
        for name, (path, icon) in PAGES.items():
            with st.container(key="menu_here" if name == page else f"menu_{name}"):
                st.page_link(
                    path,
                    label=say(f"menu.{name}"),
                    icon=icon,
                    width="stretch",
                    query_params=links,
                )
    with st.container(key="controls", gap="small"):
        if fault is None:
            store, fault = _attempt(_controls)
        choose_language()
    if store is not None:
        _, fault = _attempt(functools.partial(_job_strip, store))
        _show_limits(store)
    show_logout()
    return fault


@functools.cache
def _icon() -> str:
    data = base64.b64encode((ASSETS / "icon.svg").read_bytes()).decode()
    return f"data:image/svg+xml;base64,{data}"


def _show_limits(store: Desk) -> None:
    """Say quietly why there is nothing to press, where there is not."""
    if not store.person.may_act:
        kind = "shown" if store.person.is_shown else "viewer"
        with st.container(key="limits"):
            st.markdown(f":gray[:material/visibility: {say(f'access.{kind}')}]")


def _controls() -> Desk:
    store = desk()
    choose_model(store)
    choose_run(store)
    return store


def _settle() -> None:
    chosen.settle(desk())


def _attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Return what some work gives, or what went wrong."""
    try:
        return work(), None
    # A workspace that cannot be read must leave a page with a menu and a card, not a blank.
    except Exception as error:  # noqa: BLE001
        return None, error


def _refusal(key: str, value: str) -> str:
    """Return the key of the sentence for a value of a link that may not be used."""
    if key == "m" and chosen.is_own(value):
        return "notice.own_model"
    return {"m": "notice.no_model", "run": "notice.no_run"}.get(key, "notice.ignored")


def job_card(run_id: str, place: str) -> None:
    """Show how far a live run is, with a button to cancel it; call it inside a fragment.

    Args:
        run_id: The run.
        place: Where on the page this is, to keep the buttons apart; ``here`` is one line.
    """
    store = desk()
    store.ensure_dispatched()
    run = store.get(run_id)
    if run is None or not run.status.state.is_live:
        st.rerun()
    status = run.status
    if place not in ("list", "here"):
        st.markdown(f"**{as_plain(run_title(run))}**")
    with st.container(
        horizontal=place == "here",
        vertical_alignment="bottom",
        gap="small",
        key=f"job_{place}_{run_id}",
    ):
        if status.state is State.RUNNING:
            st.progress(min(1.0, status.overall), text=_progress_text(run))
        else:
            st.markdown(_queue_text(store, run), width="stretch")
        if place == "main":
            st.markdown(_step_list(run))
        _cancel_button(store, run, place)


def _cancel_button(store: Desk, run: Run, place: str) -> None:
    if not store.may(Act.STOP, run):
        return
    is_stopping = run.is_stopping
    if st.button(
        say("strip.stopping") if is_stopping else say("strip.cancel"),
        key=f"cancel_{place}_{run.id}",
        icon=":material/stop_circle:",
        disabled=is_stopping,
    ):
        store.cancel(run)
        st.rerun(scope="fragment")


def watch(run_id: str, place: str) -> None:
    """Show a live run and keep it up to date until it ends."""
    st.fragment(_guarded_card, run_every=_POLL)(run_id, place)


def _guarded_card(run_id: str, place: str) -> None:
    """Show a live run; a fragment that runs by itself is outside the boundary of its page."""
    _, fault = _attempt(lambda: job_card(run_id, place))
    if fault is not None:
        failure(fault)


def _language_here() -> str:
    """Return the language of the session at work: as chosen, or as the browser asks."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    asked_for = st.query_params.get("lang", "")
    linked = asked_for if asked_for in LANGUAGES else ""
    spoken = st.session_state.get("lang", linked) or (st.context.locale or "").partition("-")[0]
    return str(spoken).lower()


def _zone_here() -> tzinfo | None:
    """Return the time zone of the browser at work; ``None`` if it does not say."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    # An unknown or hostile name is an error of one of several kinds.
    with contextlib.suppress(ValueError, OSError, LookupError):
        if st.context.timezone:
            return ZoneInfo(st.context.timezone)
    offset = st.context.timezone_offset
    return None if offset is None else timezone(timedelta(minutes=-offset))


texts.speak(_language_here)
numbers.tell_time(_zone_here)


def _queue_text(store: Desk, run: Run) -> str:
    return say("strip.next") if store.is_next(run) else say("strip.queued", place=run.place)


def _progress_text(run: Run) -> str:
    if run.silent_seconds > _SILENCE:
        return say("strip.silent", time=duration(run.silent_seconds))
    status = run.status
    steps = tuple(steps_of(run.kind, run.request.writes))
    index = steps.index(status.step) + 1
    text = say("strip.step", index=index, count=len(steps), step=say(f"step.{status.step}"))
    left = status.seconds_left
    return text if left is None else f"{text} · {say('strip.left', time=duration(left))}"


def _step_list(run: Run) -> str:
    """Return the steps as a list, marked as done, at hand or to come."""
    steps, step_now = tuple(steps_of(run.kind, run.request.writes)), run.status.step
    at = steps.index(step_now) if step_now else -1
    lines = []
    for index, step in enumerate(steps):
        words = say(f"step.{step}")
        if index < at:
            lines.append(f":green[:material/check_circle:] {words}")
        elif index == at:
            lines.append(f":blue[:material/pending:] **{words}**")
        else:
            lines.append(f":gray[:material/radio_button_unchecked: {words}]")
    return "  \n".join(lines)


def _job_strip(store: Desk) -> None:
    store.ensure_dispatched()
    live = store.live()
    before = st.session_state.get("_live", ())
    st.session_state["_live"] = tuple(run.id for run in live)
    for run_id in before:
        run = store.get(run_id)
        if run is not None and (icon := _ENDS.get(run.status.state)):
            words = say(f"notice.{run.status.state.value}", title=as_plain(run_title(run)))
            st.toast(words, icon=icon, duration="long")
    if not live:
        return
    with st.container(border=True, key="jobstrip", gap="xsmall"):
        for run in live[:_STRIP_LENGTH]:
            watch(run.id, "strip")
        if len(live) > _STRIP_LENGTH:
            st.markdown(say("strip.more", count=len(live) - _STRIP_LENGTH))
