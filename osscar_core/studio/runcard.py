"""One run: what became of it, where its numbers come from, and what can be done with it.

The decision hidden here: which actions a run offers in which state, and for how long a
deletion can be taken back.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.goals import GoalKind
from osscar_core.records import GoalReport, to_json
from osscar_core.studio import chosen, examples
from osscar_core.studio.access import Act
from osscar_core.studio.bundle import pathless
from osscar_core.studio.cards import card, failure
from osscar_core.studio.check_found import result_of
from osscar_core.studio.check_words import one_line
from osscar_core.studio.choices import shown_name
from osscar_core.studio.desk import Desk
from osscar_core.studio.frame import go, run_title, watch
from osscar_core.studio.identity import is_login_asked, is_own_machine
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import (
    counted,
    date_time,
    duration,
    factor,
    megabytes,
    milliseconds,
    percent,
    whole,
)
from osscar_core.studio.requests import JobKind, RunResult
from osscar_core.studio.results import outcome
from osscar_core.studio.runtable import STAR, Entry, Standing
from osscar_core.studio.summary import asked, is_untrained, kind_name, method_name, verdict
from osscar_core.studio.texts import as_plain, say
from osscar_core.studio.told import told

SELECTED = "_runs_selected"
"""Where the session keeps the ids of the runs that are selected in the list."""

UNDO_SECONDS = 9 * 60.0
"""For how long a deletion can be taken back; the store keeps the files a little longer."""

_DELETED = "_runs_deleted"
_PROBLEM = "_runs_problem"
_SHARE = 1.0
_BADGES = {
    Standing.QUEUED: ("gray", "schedule"),
    Standing.RUNNING: ("blue", "pending"),
    Standing.FINISHED: ("green", "check_circle"),
    Standing.IMPORTED: ("blue", "move_to_inbox"),
    Standing.EXAMPLE: ("blue", "inventory_2"),
    Standing.DAMAGED: ("red", "broken_image"),
    Standing.FAILED: ("red", "error"),
    Standing.CANCELLED: ("gray", "block"),
    Standing.INTERRUPTED: ("orange", "warning"),
}

# Asking again for what was computed here gives the run that there is.
_REPEATABLE = (Standing.DAMAGED, Standing.IMPORTED, Standing.EXAMPLE)


def attempt(work: Callable[[], None]) -> None:
    """Do what a button asks for; what goes wrong is told on the page that follows."""
    try:
        work()
    # A button's work is outside the boundary of the page.
    except Exception as error:  # noqa: BLE001
        st.session_state[_PROBLEM] = error


def show_problem() -> None:
    """Tell once what went wrong with what a button asked for."""
    error = st.session_state.pop(_PROBLEM, None)
    if isinstance(error, OsscarError):
        problem, remedy = told(error.problem, error.remedy)
        card(say("runs.problem"), safe=problem, todo=remedy)
    elif error is not None:
        failure(error)


def show_undo(store: Desk) -> None:
    """Offer to bring back what was deleted in the last minutes, on whatever page that was."""
    now = time.time()
    recent = [item for item in st.session_state.get(_DELETED, ()) if now - item[1] < UNDO_SECONDS]
    st.session_state[_DELETED] = tuple(recent)
    if not recent:
        return
    run = recent[-1][0]
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key="undo", gap="small"
    ):
        st.markdown(
            f":material/delete: {say('runs.deleted', title=as_plain(run_title(run)))}",
            width="stretch",
        )
        st.button(
            say("runs.undo"),
            key=f"undo_{run.id}",
            icon=":material/undo:",
            on_click=attempt,
            args=(functools.partial(_undo, store, run),),
        )


def show_run(store: Desk, entry: Entry) -> None:
    """Show one run as a card with its actions."""
    run = entry.run
    result = examples.result_of(store, run) if entry.figures is not None else None
    with st.container(border=True, key="runcard", gap="small"):
        _show_head(entry)
        if run.status.state.is_live:
            watch(run.id, "list")
            return
        if result is not None:
            with st.container(key="verdict"):
                st.markdown(verdict(result))
            _show_goal(run, result)
            if is_untrained(result):
                st.warning(say("verdict.untrained"), icon=":material/science:")
        elif (found := result_of(run)) is not None:
            with st.container(key="verdict"):
                st.markdown(one_line(found))
        elif run.kind is not JobKind.PRUNE and run.status.state is State.FINISHED:
            model, name = as_plain(_model(run)), kind_name(run.request)
            st.markdown(say(f"runs.done.{run.kind.value}", model=model, name=name))
        else:
            st.markdown(outcome(run))
        facts = [_facts(run, result), *_whose(store, run)]
        st.markdown(f":gray[{' · '.join(facts)}]")
        if result is not None:
            st.markdown(_model_place(run))
        _show_actions(store, entry, result)
        if store.may(Act.CHANGE, run):
            _show_fields(store, run)


def _show_head(entry: Entry) -> None:
    run, standing = entry.run, entry.standing
    colour, icon = _BADGES[standing]
    words = say(f"runs.state.{standing.value}")
    star = f" {STAR}" if run.is_starred else ""
    st.markdown(
        f"#### {as_plain(run_title(run))}{star} &nbsp; :{colour}-badge[:material/{icon}: {words}]"
    )
    if run.name and run.kind is JobKind.PRUNE:
        spec = run.request.spec
        asked_for = f"{_model(run)} · {asked(spec)} · {method_name(spec.method)}"
        st.markdown(f":gray[{as_plain(asked_for)}]")


def _show_goal(run: Run, result: RunResult) -> None:
    reached = result.asked or result.prune.goal
    if reached is None:
        return
    achieved = goal_value(reached, reached.achieved)
    if reached.interval is not None:
        low, high = (goal_value(reached, bound) for bound in reached.interval)
        achieved = say("runs.goal.interval", value=achieved, low=low, high=high)
    key = "runs.goal.met" if reached.is_met else "runs.goal.missed"
    st.markdown(say(key, asked=asked(run.request.spec), achieved=achieved))


def goal_value(reached: GoalReport, value: float) -> str:
    """Return a quantity of a goal with its unit; shares were made numbers when it was checked."""
    match reached.goal.kind:
        case GoalKind.REMOVED:
            return percent(value, 1)
        case GoalKind.SPEEDUP:
            return factor(value)
        case GoalKind.LATENCY:
            return milliseconds(value)
        case GoalKind.QUALITY_LOSS:
            return percent(value, 1)
        case GoalKind.BYTES if value > _SHARE:
            return megabytes(value)
        case _:
            return percent(value, 1) if value <= _SHARE else counted(value)


def _facts(run: Run, result: RunResult | None) -> str:
    """Return in one line where the numbers come from."""
    parts = []
    if result is not None:
        speed = result.pruned_speed
        conditions = speed.conditions
        parts = [
            as_plain(conditions.get("device", "")),
            say("runs.fact.batch", batch=as_plain(conditions.get("batch", "?"))),
            as_plain(conditions.get("dtype", "")),
            say("runs.fact.timings", count=speed.latency_ms.repeats),
            say(
                "runs.fact.tested",
                count=whole(result.pruned.count),
                items=say(f"metric.items.{result.pruned.metric}"),
            ),
        ]
    if run.status.seconds:
        parts.append(say("runs.fact.took", time=duration(run.status.seconds)))
    if examples.is_example(run) and result is not None:
        parts.append(date_time(result.prune.plan.created))
    elif run.created:
        parts.append(date_time(run.created))
    parts.append(f"`{run.id}`")
    return " · ".join(part for part in parts if part)


def _whose(store: Desk, run: Run) -> list[str]:
    """Return whose a run is, if it is not the reader's, and whether everybody sees it."""
    if examples.is_example(run):
        return []
    found = []
    if run.owner != store.person.owner:
        found.append(say("runs.fact.owner", owner=as_plain(run.owner)))
    if store.is_shared(run):
        found.append(say("runs.fact.shared"))
    return found


def _model_place(run: Run) -> str:
    if not examples.is_example(run) and run.model_folder.is_dir():
        if not is_own_machine():
            return say("runs.model.here")
        return say("runs.model_at", path=run.model_folder)
    return say("runs.model.example" if examples.is_example(run) else "runs.model.none")


def _show_actions(store: Desk, entry: Entry, result: RunResult | None) -> None:
    run = entry.run
    may_start, may_change = store.may(Act.START), store.may(Act.CHANGE, run)
    with st.container(horizontal=True, gap="small", key="runactions"):
        if result is not None:
            for page, icon in (("explore", "tune"), ("explain", "account_tree")):
                if st.button(
                    say(f"runs.open.{page}"),
                    key=f"{page}_{run.id}",
                    icon=f":material/{icon}:",
                    type="primary" if page == "explore" else "secondary",
                ):
                    chosen.choose_run(run)
                    go(page)
        if result_of(run) is not None and st.button(
            say("check.open"),
            key=f"check_{run.id}",
            icon=":material/fact_check:",
            type="primary",
        ):
            chosen.choose_run(run)
            go("check")
        if run.can_resume and store.may(Act.RESUME, run):
            _button(
                "resume", "play_arrow", run, functools.partial(_resume, store, run), primary=True
            )
        is_repeatable = entry.standing in _REPEATABLE or run.status.state is not State.FINISHED
        if may_start and is_repeatable:
            _button("again", "replay", run, functools.partial(_again, store, run))
        if may_change:
            star = functools.partial(_star, store, run, not run.is_starred)
            _button("unstar" if run.is_starred else "star", "star", run, star)
            if is_login_asked() and run.status.state is State.FINISHED:
                is_shared = store.is_shared(run)
                share = functools.partial(store.share, run, not is_shared)
                _button("unshare" if is_shared else "share", "group", run, share)
        if store.may(Act.EXPORT, run):
            _show_downloads(store, run, result)
        if store.may(Act.DELETE, run):
            _button("delete", "delete", run, functools.partial(delete, store, [run]))


def _button(
    name: str, icon: str, run: Run, work: Callable[[], None], *, primary: bool = False
) -> None:
    st.button(
        say(f"runs.{name}"),
        key=f"{name}_{run.id}",
        icon=f":material/{icon}:",
        on_click=attempt,
        args=(work,),
        type="primary" if primary else "secondary",
    )


def _show_downloads(store: Desk, run: Run, result: RunResult | None) -> None:
    is_mine = not examples.is_example(run)
    if not is_mine and result is None:
        return
    with st.popover(say("runs.download"), icon=":material/download:"):
        if result is not None:
            for name, record in (("plan", result.prune.plan), ("report", pathless(result))):
                text = functools.partial(to_json, record, indent=1)
                data = functools.partial(store.take_out, run, text)
                _download(name, run, data, f"osscar-{name}-{run.id}.json", "application/json")
        if is_mine and result is not None:
            pack = functools.partial(store.pack, run)
            _download("bundle", run, pack, f"osscar-run-{run.id}.zip", "application/zip")
            st.markdown(f":gray[{say('runs.bundle.what')}]")
        if is_mine:
            log = functools.partial(store.log, run)
            _download("log", run, log, f"osscar-log-{run.id}.txt", "text/plain")


def _download(
    name: str, run: Run, data: Callable[[], str | bytes], file_name: str, mime: str
) -> None:
    st.download_button(
        say(f"runs.{name}"),
        data=data,
        file_name=file_name,
        mime=mime,
        key=f"{name}_{run.id}",
        on_click="ignore",
        icon=":material/description:",
        width="stretch",
    )


def _show_fields(store: Desk, run: Run) -> None:
    """Let the owner call the run something and write on it; both are kept on leaving the field."""
    state = st.session_state
    name_key, note_key = f"name_{run.id}", f"note_{run.id}"
    state[name_key], state[note_key] = run.name, run.note

    def rename() -> None:
        attempt(lambda: _keep(store.rename(run, state[name_key])))

    def annotate() -> None:
        attempt(lambda: _keep(store.annotate(run, state[note_key])))

    left, right = st.columns([2, 3], gap="small")
    with left:
        st.text_input(
            say("runs.name"),
            key=name_key,
            max_chars=200,
            placeholder=run_title(run) if not run.name else "",
            help=say("runs.name.help"),
            on_change=rename,
        )
    with right:
        st.text_area(
            say("runs.note"), key=note_key, max_chars=10_000, height=70, on_change=annotate
        )


def delete(store: Desk, runs: Sequence[Run]) -> None:
    """Delete runs so that the last minutes' can be brought back."""
    state = st.session_state
    for run in runs:
        store.delete(run)
        state[_DELETED] = (*state.get(_DELETED, ()), (run, time.time()))
        state[SELECTED] = tuple(name for name in state.get(SELECTED, ()) if name != run.id)
        if state["run"] == run.id:
            chosen.choose_run(None)


def _undo(store: Desk, run: Run) -> None:
    state = st.session_state
    state[_DELETED] = tuple(item for item in state.get(_DELETED, ()) if item[0].id != run.id)
    back = store.undelete(run)
    state[SELECTED] = (back.id,)
    chosen.choose_run(back)


def _again(store: Desk, run: Run) -> None:
    """Ask for the same once more; a damaged run makes way, or it would be the answer."""
    if run.status.state is State.FINISHED and not run.is_imported and not examples.is_example(run):
        delete(store, [run])
    _select(store.submit(run.request))


def _resume(store: Desk, run: Run) -> None:
    _select(store.resume(run))


def _star(store: Desk, run: Run, is_starred: bool) -> None:
    _keep(store.star(run, is_starred))


def _select(run: Run) -> None:
    st.session_state[SELECTED] = (run.id,)
    chosen.choose_run(run)


def _keep(_run: Run) -> None:
    """Take note of a change; the page that follows reads it again."""


def _model(run: Run) -> str:
    return shown_name(run.request.spec.model)
