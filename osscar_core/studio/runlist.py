"""The list of runs: what is at work, which are shown, and which of them are selected.

The decision hidden here: how a selection lives on. Tables report rows by number, and rows
move when a run is added or a filter changes; the session keeps ids. One selected run is the
run of the whole app, and a run that is chosen elsewhere or by a link is selected here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from osscar_core.studio import chosen, examples
from osscar_core.studio.access import Act
from osscar_core.studio.bundle import MAX_BYTES
from osscar_core.studio.cards import failure
from osscar_core.studio.choices import shown_name
from osscar_core.studio.desk import Desk
from osscar_core.studio.frame import go, job_card, run_title
from osscar_core.studio.identity import desk
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import whole
from osscar_core.studio.runcard import SELECTED, attempt
from osscar_core.studio.runtable import (
    Entry,
    Value,
    columns_for,
    common_to_all,
    entry_of,
    title_of,
    values_of,
)
from osscar_core.studio.summary import asked, method_name
from osscar_core.studio.texts import as_plain, say

if TYPE_CHECKING:
    from streamlit.elements.lib.column_types import ColumnConfig

PAGE = 100
"""Runs that the table shows at first, and how many more on demand."""

_FOLLOWED = "_runs_followed"
_COUNT = "_runs_count"
_IMPORTS = "_runs_imports"
_TABLES = "_runs_tables"
_QUEUE_CARDS = 6
_POLL = 1.0
# Pixels for the columns of a table in a window of 1366, and of 768.
_ROOM = {"wide": 900, "middle": 690}
_ROW, _ROWS_SEEN = 35, 9


def show_queue(store: Desk) -> None:
    """Show what works and what waits, for as long as anything does."""
    live = tuple(run.id for run in store.everyones_live())
    if live:
        st.fragment(_guarded_queue, run_every=_POLL)(live)


def listed(store: Desk) -> list[Run]:
    """Return the runs that the list is about: one's own and shared ones, or everybody's."""
    if not store.person.sees_all:
        return store.runs()
    own, everyones = store.runs(), store.everyones()
    if len(own) == len(everyones):
        return own
    shows_all = st.toggle(
        say("runs.everyones"),
        key="runs_everyones",
        persist_state="session",
        help=say("runs.everyones.help"),
    )
    return everyones if shows_all else own


def show_filters(runs: Sequence[Run]) -> list[Run]:
    """Let the person narrow the list down; return what is left of it."""
    state = st.session_state
    models = {run.request.spec.model: None for run in runs}
    states = {run.status.state.value: None for run in runs}
    for key, options in (("runs_model", models), ("runs_state", states)):
        if state.get(key, "") not in options:
            state[key] = ""
    if not runs:
        # Without runs of one's own, the examples show what there will be.
        state.setdefault("runs_examples", True)
    with st.container(key="runsfilters"):
        search, by_model, by_state = st.columns([4, 3, 2], gap="small")
        with search:
            text = st.text_input(
                say("runs.search"),
                key="runs_text",
                placeholder=say("runs.search.example"),
                persist_state="session",
            )
        with by_model:
            model = st.selectbox(
                say("runs.by_model"),
                ["", *models],
                key="runs_model",
                format_func=lambda name: shown_name(name) if name else say("runs.any"),
                persist_state="session",
            )
        with by_state:
            end = st.selectbox(
                say("runs.by_state"),
                ["", *states],
                key="runs_state",
                format_func=lambda name: say(f"runs.state.{name}") if name else say("runs.any"),
                persist_state="session",
            )
        with st.container(horizontal=True, gap="medium"):
            is_starred = st.toggle(say("runs.by_star"), key="runs_starred", persist_state="session")
            with_examples = st.toggle(
                say("runs.with_examples"),
                key="runs_examples",
                persist_state="session",
                help=say("runs.with_examples.help"),
            )
    found = [
        run
        for run in runs
        if (not model or run.request.spec.model == model)
        and (not end or run.status.state.value == end)
        and (run.is_starred or not is_starred)
        and matches(run, text)
    ]
    if with_examples:
        found += [
            item.run
            for item in examples.examples()
            if (not model or item.run.request.spec.model == model) and matches(item.run, text)
        ]
    return found


def show_count(runs: Sequence[Run], listed: Sequence[Run]) -> None:
    """Say how many runs there are, and how many of them the filters leave."""
    shown = sum(not examples.is_example(run) for run in listed)
    if shown == len(runs):
        st.markdown(say("runs.count", count=shown))
    else:
        st.markdown(say("runs.count.some", shown=whole(shown), count=len(runs)))


def matches(run: Run, text: str) -> bool:
    """Return whether every word of a search is found in what a run is called and was asked."""
    if not text.strip():
        return True
    spec = run.request.spec
    said = f"{run.id} {run.name} {run.note} {shown_name(spec.model)} {run_title(run)}"
    said += f" {asked(spec)} {method_name(spec.method)} {spec.method.value}"
    return all(word in said.casefold() for word in text.casefold().split())


def show_table(store: Desk, runs: Sequence[Run]) -> None:
    """Show the runs as a table in which they can be selected.

    Args:
        store: The runs of the workspace.
        runs: What is left after filtering. Results are read of those that are seen only.
    """
    state = st.session_state
    count = state.get(_COUNT, PAGE)
    entries = [entry_of(store, run) for run in runs[:count]]
    rows = [values_of(entry) for entry in entries]
    ids = tuple(entry.run.id for entry in entries)
    # A page does not know how wide its window is: the style sheet shows one of these.
    for place, room in _ROOM.items():
        with st.container(key=f"runs{place}"):
            _wide(place, room, rows, ids)
    with st.container(key="runsnarrow"):
        _narrow(entries, ids)
    notes = [say("runs.table.note")]
    if device := common_to_all(rows, "device"):
        notes.insert(0, say("runs.table.device", device=as_plain(device)))
    if model := common_to_all(rows, "model"):
        notes.insert(0, say("runs.table.model", model=as_plain(model)))
    st.markdown(f":gray[{' '.join(notes)}]")
    if len(runs) > count:
        st.button(
            say("runs.more", count=min(PAGE, len(runs) - count)),
            icon=":material/expand_more:",
            on_click=_show_more,
        )


def selected(store: Desk) -> list[Run]:
    """Return the selected runs that there still are, in the order of the list."""
    state = st.session_state
    if state.get(_FOLLOWED) != state["run"]:
        state[_FOLLOWED] = state["run"]
        if state["run"] and state["run"] not in state.get(SELECTED, ()):
            state[SELECTED] = (state["run"],)
    found = (chosen.find(store, run_id) for run_id in state.get(SELECTED, ()))
    return [run for run in found if run is not None]


def show_import(store: Desk) -> None:
    """Let the person take in a run that was computed elsewhere."""
    if not store.may(Act.BRING):
        return
    state = st.session_state
    # A new key is a new, empty uploader.
    key = f"import_{state.get(_IMPORTS, 0)}"

    def take_in() -> None:
        file = state.get(key)
        state[_IMPORTS] = state.get(_IMPORTS, 0) + 1
        if file is None:
            return
        run = store.unpack(file.getvalue())
        state[SELECTED] = (run.id,)
        chosen.choose_run(run)
        st.toast(
            say("runs.imported", title=as_plain(run_title(run))),
            icon=":material/move_to_inbox:",
            duration="long",
        )

    with st.expander(say("runs.import"), icon=":material/upload_file:"):
        st.markdown(say("runs.import.body", megabytes=MAX_BYTES // 2**20))
        st.file_uploader(
            say("runs.import.label"),
            type=["zip"],
            key=key,
            max_upload_size=MAX_BYTES // 2**20,
            on_change=attempt,
            args=(take_in,),
        )


def show_empty() -> None:
    """Say what will be here, and how something comes to be here."""
    with st.container(border=True):
        st.markdown(f"#### {say('runs.none')}")
        st.markdown(say("runs.none.body"))
        if st.button(say("explain.go"), icon=":material/tune:", type="primary"):
            go("explore")


def _guarded_queue(shown: tuple[str, ...]) -> None:
    # A fragment that runs by itself is outside the boundary of its page.
    try:
        _queue(shown)
    except Exception as error:  # noqa: BLE001
        failure(error)


def _queue(shown: tuple[str, ...]) -> None:
    live = desk().everyones_live()
    if tuple(run.id for run in live) != shown:
        st.rerun()
    working = sum(run.status.state is State.RUNNING for run in live)
    with st.container(border=True, key="queue", gap="small"):
        words = say("runs.queue", working=working, waiting=len(live) - working)
        st.markdown(f"**:material/pending: {words}**")
        for run in live[:_QUEUE_CARDS]:
            with st.container(key=f"queued_{run.id}", gap="xsmall"):
                job_card(run.id, "queue")
        if len(live) > _QUEUE_CARDS:
            st.markdown(say("strip.more", count=len(live) - _QUEUE_CARDS))


def _wide(place: str, room: int, rows: Sequence[dict[str, Value]], ids: tuple[str, ...]) -> None:
    columns = columns_for(rows, room)
    config: dict[str, ColumnConfig] = {}
    for column in columns:
        label, told = say(f"runs.column.{column.key}"), say(f"runs.column.{column.key}.help")
        config[column.key] = (
            st.column_config.NumberColumn(
                label, width=column.width, format=column.format, help=told
            )
            if column.format
            else st.column_config.TextColumn(label, width=column.width, help=told)
        )
    data = {column.key: [row[column.key] for row in rows] for column in columns}
    _table(place, data, ids, config)


def _narrow(entries: Sequence[Entry], ids: tuple[str, ...]) -> None:
    config = {
        "run": st.column_config.TextColumn(say("runs.column.run"), width=210),
        "state": st.column_config.TextColumn(say("runs.column.state"), width=80),
    }
    data: dict[str, list[Value]] = {
        "run": [title_of(entry) for entry in entries],
        "state": [say(f"runs.state.{entry.standing.value}") for entry in entries],
    }
    _table("narrow", data, ids, config)


def _table(
    place: str,
    data: dict[str, list[Value]],
    ids: tuple[str, ...],
    config: Mapping[str, ColumnConfig],
) -> None:
    """Show one of the tables; all show, and change, the same selection.

    A table keeps its own selection for as long as its key is the same. It gets a new key,
    and begins with the selection of the session, whenever the two would not agree.
    """
    state = st.session_state
    rows = tuple(index for index, name in enumerate(ids) if name in state.get(SELECTED, ()))
    tables = state.setdefault(_TABLES, {})
    number, *shown = tables.get(place, (0, ids, rows))
    if shown != [ids, rows]:
        number += 1
    tables[place] = (number, ids, rows)
    key = f"runs_{place}_{number}"
    st.dataframe(
        data,
        hide_index=True,
        column_config=config,
        key=key,
        on_select=functools.partial(_rows_selected, key, place, ids),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": list(rows)}},
        height=min(len(ids), _ROWS_SEEN) * _ROW + _ROW + 3,
        row_height=_ROW,
        placeholder="",
        alt=say("runs.table.alt", count=len(ids)),
    )


def _rows_selected(key: str, place: str, ids: tuple[str, ...]) -> None:
    state = st.session_state
    rows = tuple(sorted(row for row in state[key]["selection"]["rows"] if row < len(ids)))
    state[SELECTED] = tuple(ids[row] for row in rows)
    number, *_ = state[_TABLES][place]
    state[_TABLES][place] = (number, ids, rows)
    if len(rows) < 2:
        first = next(iter(state[SELECTED]), "")
        attempt(lambda: chosen.choose_run(chosen.find(desk(), first)))
        state[_FOLLOWED] = state["run"]


def _show_more() -> None:
    st.session_state[_COUNT] = st.session_state.get(_COUNT, PAGE) + PAGE
