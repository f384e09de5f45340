"""Groups of data that may lose only so much: how they are chosen, and what came of them.

The decision hidden here: which groups there are to choose from (those of the test data), and
that an allowed loss is entered in points of accuracy or per cent of perplexity.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from osscar_core.checks.records import FEWEST_ITEMS
from osscar_core.datasets.groups import groups
from osscar_core.datasets.spec import parse_data_spec
from osscar_core.errors import OsscarError
from osscar_core.guards import Guard, GuardReport, GuardResult
from osscar_core.records import Task
from osscar_core.storage import workspace
from osscar_core.studio.identity import desk
from osscar_core.studio.numbers import between, megabytes, percent, points, signed_percent
from osscar_core.studio.owndata import located
from osscar_core.studio.texts import as_plain, say

GUARDS = "guards"
"""Session key of the allowed losses, as fractions, by ``column=value``."""

_LOCAL = frozenset({"demo", "own", "text", "images"})
_MOST_VALUES = 20
_MOST_ROWS = 60
_LEAST_ALLOWED = 0.01
_TABLE_PIXELS, _ROW_PIXELS = 250, 35


def chosen_guards(data: str) -> tuple[Guard, ...]:
    """Return the protected groups that the test data has."""
    wanted: Mapping[str, float] = st.session_state.get(GUARDS, {})
    if not wanted:
        return ()
    known = groups_of(data)
    found = []
    for name, allowed in sorted(wanted.items()):
        column, _, value = name.partition("=")
        if known.get(column, {}).get(value, 0) >= FEWEST_ITEMS:
            found.append(Guard(column, value, allowed))
    return tuple(found)


def groups_of(data: str) -> dict[str, dict[str, int]]:
    """Return the groups of test data with their sizes; nothing where they cannot be known."""
    try:
        if parse_data_spec(data).kind not in _LOCAL or not desk().may_read(data):
            return {}
        return _groups(located(data, workspace()))
    except OsscarError:
        return {}


@st.cache_data(max_entries=16, ttl=600, show_spinner=False)
def _groups(data: str) -> dict[str, dict[str, int]]:
    return {
        column: counts for column, counts in groups(data).items() if 1 < len(counts) <= _MOST_VALUES
    }


def edit(data: str, task: Task, guards: Sequence[Guard]) -> dict[str, float]:
    """Draw the groups as a table with the loss that is allowed to each; return what it says."""
    st.markdown(f"## {say('guard.title')}")
    known = groups_of(data)
    if not known:
        st.markdown(say("guard.none", data=as_plain(data)))
        return {}
    st.markdown(say(f"guard.body.{task}"))
    allowed = {guard.name: 100 * guard.allowed for guard in guards}
    rows = [
        {"key": f"{column}={value}", "group": f"{column} = {value}", "items": count}
        for column, counts in known.items()
        for value, count in sorted(counts.items())
        if count >= FEWEST_ITEMS
    ][:_MOST_ROWS]
    table = pd.DataFrame(rows).assign(allowed=[allowed.get(str(row["key"])) for row in rows])
    edited = st.data_editor(
        table.astype({"allowed": float}),
        key="guard_rows",
        hide_index=True,
        height=min(_TABLE_PIXELS, _ROW_PIXELS * (len(rows) + 1) + 3),
        disabled=("group", "items"),
        column_order=("group", "items", "allowed"),
        placeholder="",
        column_config={
            "group": st.column_config.TextColumn(say("guard.group"), pinned=True, width="medium"),
            "items": st.column_config.NumberColumn(
                say("guard.items"), format="localized", width="small"
            ),
            "allowed": st.column_config.NumberColumn(
                say(f"guard.allowed.{task}"), min_value=0.0, max_value=50.0, step=0.1, format="%.1f"
            ),
        },
    )
    small = sum(count < FEWEST_ITEMS for counts in known.values() for count in counts.values())
    if small:
        st.markdown(f":gray[{say('guard.small', count=small, least=FEWEST_ITEMS)}]")
    found = from_rows(edited.to_dict("records"))
    for text in contradictions(found, known, task):
        st.markdown(f":orange[:material/warning:] {text}")
    return found


def from_rows(edited: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the allowed losses of edited rows, as fractions, by ``column=value``."""
    found = {}
    for row in edited:
        allowed = row["allowed"]
        if allowed is not None and allowed == allowed:
            found[str(row["key"])] = round(max(0.0, float(allowed)) / 100, 6)
    return found


def contradictions(
    wanted: Mapping[str, float], known: Mapping[str, Mapping[str, int]], task: Task
) -> list[str]:
    """Return what cannot be as demanded, in words, before anything runs."""
    told = []
    for name, allowed in wanted.items():
        column, _, value = name.partition("=")
        count = known.get(column, {}).get(value, 0)
        if task == "image" and count and allowed < 1 / count:
            told.append(
                say("guard.coarse", group=as_plain(name), count=count, one=points(100 / count, 2))
            )
        elif task == "text" and allowed * 100 < _LEAST_ALLOWED:
            told.append(say("guard.nothing", group=as_plain(name)))
    return told


def proof(report: GuardReport) -> str:
    """Return whether protected groups kept what they may lose, as measured, and the price."""
    parts = [_told(result, report.metric) for result in report.final.results]
    key = "guard.kept" if report.is_kept else "guard.broken"
    listed = functools.reduce(lambda one, two: say("guard.and", before=one, after=two), parts)
    words = say(key, groups=listed)
    first, final = report.tries[0], report.final
    if final.share < 1:
        words += " " + say(
            "guard.price",
            share=percent(final.share),
            now=megabytes(final.bytes),
            instead=megabytes(first.bytes),
        )
    return words


def _told(result: GuardResult, metric: str) -> str:
    write = (lambda share: points(100 * share)) if metric == "top1" else _as_percent
    key = "guard.result" if result.is_proven or not result.is_kept else "guard.unproven"
    return say(
        key,
        group=as_plain(result.guard.name),
        loss=write(result.loss),
        interval=between(write(result.low), write(result.high)),
        allowed=write(result.guard.allowed),
        count=result.count,
    )


def _as_percent(share: float) -> str:
    return signed_percent(share, 1)
