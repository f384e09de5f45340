"""The measured side of Explore: verdict, three numbers, figure and table.

The decision hidden here: which finished runs belong on one figure, and which of them
is the one spoken about.
"""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from osscar_core.figures import tradeoff
from osscar_core.records import Method
from osscar_core.studio import examples
from osscar_core.studio.frame import is_dark, owner, watch
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.numbers import date
from osscar_core.studio.requests import JobRequest
from osscar_core.studio.summary import (
    Finished,
    Metric,
    group_of,
    is_untrained,
    method_name,
    metrics,
    points,
    rows,
    verdict,
)
from osscar_core.studio.texts import as_plain, say

_FIGURE = "tradeoff"
_COLOURS = {True: "green", False: "red", None: "gray"}


def finished_like(store: RunStore, draft: JobRequest | None) -> list[Finished]:
    """Return the finished runs of the same model and data, the newest first; then examples."""
    if draft is None:
        return []
    comparable = [
        item for item in examples.examples() if group_of(item.run.request) == group_of(draft)
    ]
    found = []
    for run in store.runs(owner()):
        if group_of(run.request) == group_of(draft):
            result = store.result(run)
            if result is not None:
                found.append(Finished(run, result))
    return [*found, *comparable]


def choose_shown(finished: list[Finished]) -> Finished | None:
    """Return the run that the page speaks about: the one in the link, or the newest."""
    wanted = st.session_state["run"]
    own = [item for item in finished if not examples.is_example(item.run)]
    chosen = next((item for item in finished if item.run.id == wanted), None)
    return chosen or (own[0] if own else examples.opening(finished))


def show_headline(item: Finished) -> None:
    """Say in one sentence what the run gained and cost, and whether it is an example."""
    if examples.is_example(item.run):
        device = as_plain(item.result.pruned_speed.conditions.get("device", ""))
        when = date(item.result.prune.plan.created)
        st.markdown(
            f":blue-badge[:material/inventory_2: {say('example.label', device=device, date=when)}]",
            help=say("example.help"),
        )
    with st.container(key="verdict"):
        st.markdown(verdict(item.result))
    if is_untrained(item.result):
        st.warning(say("verdict.untrained"), icon=":material/science:")


def show_metrics(item: Finished) -> None:
    """Show speed, quality and size, dense against pruned."""
    for column, metric in zip(st.columns(3, gap="small"), metrics(item.result), strict=True):
        with column:
            _metric(metric)


def _metric(metric: Metric) -> None:
    st.metric(
        metric.label,
        metric.value,
        metric.delta,
        delta_color=_COLOURS[metric.is_good],  # type: ignore[arg-type]
        delta_arrow="off",
        delta_description=metric.note or None,
        help=metric.help,
        border=True,
        height="stretch",
    )


def show_figure(finished: list[Finished], shown: Finished) -> None:
    """Draw every comparable run; a click on a mark makes it the one spoken about."""
    chosen = st.segmented_control(
        say("figure.axis"),
        ["latency", "size"],
        key="x",
        format_func=lambda axis: say(f"figure.by.{axis}"),
        required=True,
    )
    by: Literal["latency", "size"] = "size" if chosen == "size" else "latency"
    figure = tradeoff(
        points(finished, shown), by=by, shown=shown.run.id, names=_series_name, dark=is_dark()
    )
    st.plotly_chart(
        figure,
        key=_FIGURE,
        on_select=_clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt=say("figure.alt", axis=say(f"figure.by.{by}").lower(), count=len(finished)),
    )
    device = shown.result.pruned_speed.conditions.get("device", "")
    note = say("figure.note", device=device)
    if len({examples.is_example(item.run) for item in finished}) == 2:
        note += f" {say('example.mixed')}"
    st.markdown(f":gray[{note}]")


def show_table(finished: list[Finished]) -> None:
    """Show every number of the figure as a table."""
    st.markdown(f"#### {say('table.title')}")
    number: dict[str, Any] = {
        say(f"table.{name}"): st.column_config.NumberColumn(format=form)
        for name, form in (
            ("median", "%.2f"),
            ("p95", "%.2f"),
            ("size", "%.2f"),
            ("parameters", "localized"),
        )
    }
    st.dataframe(rows(finished), hide_index=True, column_config=number, alt=say("table.title"))
    st.markdown(f":gray[{say('table.note')}]")


def outcome(run: Run) -> str:
    """Return what became of a run that is over and has no result."""
    status = run.status
    if status.state is State.FINISHED:
        return say("outcome.damaged")
    if status.state is not State.FAILED:
        return say(f"outcome.{status.state.value}")
    text = f"{say('outcome.failed', reason=status.reason)}. {status.remedy}."
    if status.error_id:
        text += f" {say('outcome.id', error_id=status.error_id)}"
    return as_plain(text)


def show_outcome(run: Run) -> None:
    """Show where a run without a result is: at work, failed, cancelled or interrupted."""
    state = run.status.state
    if state.is_live:
        with st.container(border=True, key="main_live"):
            watch(run.id, "main")
    elif state in (State.FAILED, State.FINISHED):
        st.error(outcome(run), icon=":material/error:")
    else:
        st.warning(outcome(run), icon=":material/block:")


def _clicked() -> None:
    selected = st.session_state[_FIGURE].get("selection", {}).get("points", [])
    for point in selected:
        run_id = (point.get("customdata") or ["", ""])[1]
        if run_id:
            st.session_state["run"] = run_id


def _series_name(series: str) -> str:
    return say("table.dense") if series == "dense" else method_name(Method(series))
