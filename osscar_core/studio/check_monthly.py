"""The same question every month: one dot a file, on one line of time.

The decision hidden here: what stays the same from month to month. The baseline is the data
that the model was calibrated with; every check is a run and kept as such.
"""

from __future__ import annotations

import streamlit as st

from osscar_core.checks.distance import RED
from osscar_core.checks.records import ShiftReport
from osscar_core.figures import Dot, shift_timeline
from osscar_core.studio.check_bench import job, offer
from osscar_core.studio.check_data import Data
from osscar_core.studio.check_found import Subject
from osscar_core.studio.check_words import (
    ACTION_ICONS,
    action_of,
    data_name,
    extra_amount,
    extra_verdict,
    ratio,
)
from osscar_core.studio.frame import is_dark
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import date_time, local_iso, significant
from osscar_core.studio.requests import CheckKind
from osscar_core.studio.texts import as_plain, say

_QUIET = {"displayModeBar": False}


def show_monthly(subject: Subject, data: Data | None) -> None:
    """Show all checks against the same baseline over time, and take in another one."""
    st.markdown(say("check.monthly.body"))
    st.markdown(say("check.monthly.rule", times=significant(RED, 1)))
    if data is not None:
        request = job(subject, data, CheckKind.SHIFT, reference=subject.spec.calibration)
        offer(subject, request, say("check.run.monthly"), key="check_run_monthly", primary=True)
    months = _months(subject)
    if not months:
        st.markdown(say("check.monthly.none"))
        return
    run, last = months[-1]
    action = action_of(last)
    with st.container(key="verdict"):
        st.markdown(f"{ACTION_ICONS[action]} **{say(f'check.action.{action}')}**")
    st.markdown(
        say(
            "check.monthly.last",
            name=as_plain(data_name(last.new.spec)),
            date=date_time(run.created),
            times=significant(ratio(last), 2),
            extra=extra_verdict(last.extra),
        )
    )
    _show_timeline(months)
    with st.expander(say("check.monthly.table"), icon=":material/table:", expanded=True):
        st.dataframe(_rows(months), hide_index=True, alt=say("check.monthly.table"))
    st.markdown(say("check.monthly.kept"))


def _months(subject: Subject) -> list[tuple[Run, ShiftReport]]:
    """Return the checks against the model's own calibration data, the oldest first."""
    found = [
        (run, result.shift)
        for run, result in subject.finished(CheckKind.SHIFT)
        if result.shift is not None
        and run.request.check is not None
        and run.request.check.reference == subject.spec.calibration
    ]
    return sorted(found, key=lambda pair: pair[0].created)


def _show_timeline(months: list[tuple[Run, ShiftReport]]) -> None:
    dots = [
        Dot(
            local_iso(run.created),
            ratio(report),
            action_of(report),
            say(
                "check.monthly.dot",
                name=data_name(report.new.spec),
                times=significant(ratio(report), 2),
                action=say(f"check.action.{action_of(report)}"),
            ),
        )
        for run, report in months
    ]
    words = {
        "axis": say("check.axis.ratio"),
        "when": say("check.axis.when"),
        "limit.watch": say("check.axis.limit.watch"),
        "limit.recheck": say("check.axis.limit.recheck"),
        **{action: say(f"check.action.{action}") for action in ("none", "watch", "recheck")},
    }
    st.plotly_chart(
        shift_timeline(dots, limits={"watch": 1.0, "recheck": RED}, words=words, dark=is_dark()),
        key="timeline",
        config=_QUIET,
        alt=say("check.monthly.alt", count=len(dots), last=dots[-1].told),
    )


def _rows(months: list[tuple[Run, ShiftReport]]) -> dict[str, list[str]]:
    newest = months[::-1]
    return {
        say("check.axis.when"): [date_time(run.created) for run, _ in newest],
        say("check.column.data"): [data_name(report.new.spec) for _, report in newest],
        say("check.column.action"): [
            say(f"check.action.{action_of(report)}") for _, report in newest
        ],
        say("check.axis.ratio"): [significant(ratio(report), 2) for _, report in newest],
        say("check.column.extra"): [extra_amount(report.extra) for _, report in newest],
        say("check.column.run"): [run.id for run, _ in newest],
    }
