"""What came of runs, drawn: numbers, what went wrong, and the table of everything.

The decision hidden here: how good and bad news looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from osscar_core.studio.evidence import Finished, Rival
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.summary import Metric, rival_rows, rows, winner
from osscar_core.studio.texts import say
from osscar_core.studio.told import told

_GOOD = {True: "green", False: "red", None: "gray"}


def show_metrics(metrics: Sequence[Metric]) -> None:
    """Show speed, quality and size beside each other."""
    for place, (column, metric) in enumerate(zip(st.columns(3, gap="small"), metrics, strict=True)):
        with column, st.container(key=f"number_{metric.standing}_{place}"):
            st.metric(
                f"{metric.label} · {say(f'metric.is.{metric.standing}')}",
                metric.value,
                metric.span or metric.note or None,
                delta_color=_GOOD[metric.is_good],  # type: ignore[arg-type]
                delta_arrow="off",
                delta_description=(metric.note or None) if metric.span else None,
                help=metric.help,
                border=True,
                height="stretch",
            )


def show_rivals(rivals: Sequence[Rival]) -> None:
    """Show methods at equal widths: who kept most quality, and the numbers that differ."""
    st.markdown(f"#### {say('rivals.title')}")
    st.markdown(winner(rivals))
    st.dataframe(rival_rows(rivals), hide_index=True, alt=say("rivals.title"))
    st.markdown(f":gray[{say('rivals.note')}]")


def show_table(finished: Sequence[Finished]) -> None:
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
    """Return in Markdown what became of a run that is over and has no result."""
    status = run.status
    if status.state is State.FINISHED:
        return say("outcome.damaged")
    if status.state is not State.FAILED:
        return say(f"outcome.{status.state.value}")
    parts = [say("outcome.failed"), *told(status.reason, status.remedy)]
    if status.error_id:
        parts.append(say("outcome.id", error_id=status.error_id))
    return " ".join(parts)


def show_outcome(run: Run) -> None:
    """Show what became of a run that is over and has no result."""
    if run.status.state in (State.FAILED, State.FINISHED):
        st.error(outcome(run), icon=":material/error:")
    else:
        st.warning(outcome(run), icon=":material/block:")
