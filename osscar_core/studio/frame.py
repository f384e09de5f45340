"""What every page has in common: title, menu, link state, the job at work, the error card.

The decision hidden here: the order in which a page is built. Each page script calls
`frame` first and does everything else inside `boundary`.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from osscar_core.studio import examples, numbers, texts, urlstate
from osscar_core.studio.choices import offered, shown_name
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.numbers import duration, percent
from osscar_core.studio.pace import STEPS
from osscar_core.studio.summary import method_name
from osscar_core.studio.texts import LANGUAGES, language, say
from osscar_core.studio.urlstate import Parameter

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PAGES = {
    "explore": ("app.py", ":material/tune:"),
    "explain": ("pages/explain.py", ":material/account_tree:"),
    "runs": ("pages/runs.py", ":material/history:"),
}
PARAMETERS = {
    "lang": Parameter(is_valid=lambda value, _: value in LANGUAGES, is_kept=True),
    "m": Parameter(is_valid=lambda value, _: value in offered()),
    "run": Parameter(
        is_valid=lambda value, _: bool(RunStore().get(value) or examples.find(value)),
        refusal="notice.no_run",
    ),
    "x": Parameter("latency", lambda value, _: value in {"latency", "size"}),
}
_POLL = 0.7
_SILENCE = 30.0
_STRIP_LENGTH = 3


def frame(page: str) -> None:
    """Set up a page: configuration, link state, sidebar with the menu and the job at work.

    Args:
        page: A key of `PAGES`.
    """
    refused = urlstate.load(PARAMETERS)
    st.set_page_config(
        page_title=f"{say(f'menu.{page}')} · {say('app.name')}",
        page_icon=str(ASSETS / "icon.svg"),
        layout="wide",
    )
    st.html(ASSETS / "style.css")
    # Framework and browser go by this: hyphenation, fonts, the voice of a screen reader.
    st.html(
        f"<script>document.documentElement.lang = '{language()}'</script>",
        unsafe_allow_javascript=True,
    )
    for key in refused:
        st.toast(say(PARAMETERS[key].refusal, key=key), icon=":material/link_off:")
    with st.sidebar:
        with st.container(key="brand"):
            st.markdown(f":material/content_cut: **{say('app.name')}**")
        for name, (path, icon) in PAGES.items():
            st.page_link(
                path,
                label=say(f"menu.{name}"),
                icon=icon,
                width="stretch",
                query_params=urlstate.current(PARAMETERS),
            )
        _language_control()
        st.space("small")
        _job_strip()


@contextlib.contextmanager
def boundary() -> Iterator[None]:
    """Show an error card instead of a traceback, and bring the address in line at the end."""
    try:
        yield
    # The boundary of a page: whatever was not foreseen becomes a card with a mark.
    except Exception:
        error_id = secrets.token_hex(4)
        logger.exception("page failed, mark %s", error_id)
        st.error(
            say("error.body", error_id=error_id),
            title=say("error.title"),
            icon=":material/error:",
        )
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
    """Return a run's name as shown: model, share removed, method."""
    spec = run.request.spec
    return say(
        "runs.title",
        model=shown_name(spec.model),
        sparsity=percent(spec.sparsity),
        method=method_name(spec.method),
    )


def job_card(run_id: str, place: str) -> None:
    """Show how far a live run is, with a button to cancel it; call it inside a fragment.

    Args:
        run_id: The run.
        place: Where on the page this is, to keep the buttons apart.
    """
    store = RunStore()
    store.ensure_dispatched()
    run = store.get(run_id)
    if run is None or not run.status.state.is_live:
        st.rerun()
    status = run.status
    if place != "list":
        st.markdown(f"**{run_title(run)}**")
    if status.state is State.RUNNING:
        st.progress(min(1.0, status.overall), text=_progress_text(run))
    else:
        st.markdown(_queue_text(store, run))
    if place == "main":
        st.markdown(_step_list(run))
    is_stopping = run.is_stopping
    if st.button(
        say("strip.stopping") if is_stopping else say("strip.cancel"),
        key=f"cancel_{place}_{run_id}",
        icon=":material/stop_circle:",
        disabled=is_stopping,
    ):
        store.cancel(run)
        st.rerun(scope="fragment")


def watch(run_id: str, place: str) -> None:
    """Show a live run and keep it up to date until it ends."""
    st.fragment(job_card, run_every=_POLL)(run_id, place)


def _language_control() -> None:
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


def _language_here() -> str:
    """Return the language of the session at work: as chosen, or as the browser asks."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    chosen = st.session_state.get("lang") or (st.context.locale or "").partition("-")[0]
    return str(chosen).lower()


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


def _queue_text(store: RunStore, run: Run) -> str:
    is_next = run.place == 1 and all(r.status.state is State.QUEUED for r in store.live())
    return say("strip.next") if is_next else say("strip.queued", place=run.place)


def _progress_text(run: Run) -> str:
    if run.silent_seconds > _SILENCE:
        return say("strip.silent", time=duration(run.silent_seconds))
    status = run.status
    steps = tuple(STEPS[run.kind])
    index = steps.index(status.step) + 1
    text = say("strip.step", index=index, count=len(steps), step=say(f"step.{status.step}"))
    left = status.seconds_left
    return text if left is None else f"{text} · {say('strip.left', time=duration(left))}"


def _step_list(run: Run) -> str:
    """Return the steps as a list, marked as done, at hand or to come."""
    steps, step_now = tuple(STEPS[run.kind]), run.status.step
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


def _job_strip() -> None:
    store = RunStore()
    store.ensure_dispatched()
    live = store.live()
    before = st.session_state.get("_live", ())
    st.session_state["_live"] = tuple(run.id for run in live)
    for run_id in before:
        run = store.get(run_id)
        if run is not None and run.status.state is State.FINISHED:
            st.toast(
                say("notice.done", title=run_title(run)), icon=":material/check:", duration="long"
            )
    if not live:
        return
    with st.container(border=True, key="jobstrip", gap="xsmall"):
        for run in live[:_STRIP_LENGTH]:
            watch(run.id, "strip")
        if len(live) > _STRIP_LENGTH:
            st.markdown(say("strip.more", count=len(live) - _STRIP_LENGTH))
