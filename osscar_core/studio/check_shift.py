"""Is this data like the data that the model was made with, and does the difference matter.

The decision hidden here: what a distance is told beside. Never alone: a light with its
word, the threshold, the attributes that differ most, and what the shift costs the pruned
model beyond the dense one.
"""

from __future__ import annotations

import dataclasses

import streamlit as st

from osscar_core.checks.records import ShiftReport, StressReport, StressRow
from osscar_core.figures import QualityLine, stress_curve
from osscar_core.studio import owndata
from osscar_core.studio.check_bench import job, offer, pick, show_basis
from osscar_core.studio.check_data import Data
from osscar_core.studio.check_found import Subject
from osscar_core.studio.check_words import (
    ICONS,
    attribute_rows,
    data_name,
    distance_text,
    disturbance,
    extra_icon,
    extra_numbers,
    extra_rows,
    extra_verdict,
    loss,
    other_warnings,
    quality,
    stress_verdict,
    traffic_light,
    unseen,
)
from osscar_core.studio.frame import is_dark
from osscar_core.studio.identity import desk
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import percent, whole
from osscar_core.studio.requests import CheckKind, CheckResult
from osscar_core.studio.texts import as_plain, say

_MOST_ATTRIBUTES = 5
# Every item is looked at some twenty times by both models.
_DISTURBED = 150
_CURVE = 400
_QUIET = {"displayModeBar": False}


def show_shift(subject: Subject, data: Data | None) -> None:
    """Show whether new data is like the reference, then both models on disturbed copies."""
    if data is not None:
        reference = _choose_reference(subject, data)
        request = job(subject, data, CheckKind.SHIFT, reference=reference)
        offer(subject, request, say("check.run.shift"), key="check_run_shift", primary=True)
    found = pick(subject, CheckKind.SHIFT)
    if found is not None:
        show_shift_report(*found)
    st.markdown(f"## {say('check.stress')}", help=say("check.stress.help"))
    st.markdown(say(f"check.stress.body.{subject.task}", count=_DISTURBED))
    if data is not None:
        fewer = dataclasses.replace(data, limit=_DISTURBED)
        request = job(subject, fewer, CheckKind.STRESS)
        offer(subject, request, say("check.run.stress"), key="check_run_stress", primary=False)
    stressed = pick(subject, CheckKind.STRESS)
    if stressed is not None:
        show_stress_report(*stressed)


def _choose_reference(subject: Subject, data: Data) -> str:
    mine = desk().data(subject.task)
    names = {subject.spec.calibration: ""} | {owndata.spec_of(info): info.name for info in mine}
    names.pop(data.spec if data.spec != subject.spec.calibration else "", None)
    if len(names) == 1:
        st.markdown(say("check.reference.default"))
        return subject.spec.calibration
    chosen: str = st.selectbox(
        say("check.reference"),
        list(names),
        key=f"check_reference_{subject.run.id}",
        format_func=lambda spec: names.get(spec) or say("check.reference.calibration"),
        help=say("check.reference.help"),
    )
    return chosen


def show_shift_report(run: Run, result: CheckResult) -> None:
    """Show what a comparison with the reference found."""
    report = result.shift
    if report is None:
        return
    with st.container(key="verdict"):
        st.markdown(f"{ICONS[report.light]} {traffic_light(report)}")
    st.markdown(distance_text(report))
    for words in unseen(report):
        st.warning(words, icon=":material/new_releases:")
    _show_extra(report)
    if report.attributes:
        st.markdown(f"### {say('check.attributes', count=_MOST_ATTRIBUTES)}")
        st.dataframe(
            attribute_rows(report, _MOST_ATTRIBUTES),
            hide_index=True,
            alt=say("check.attributes", count=_MOST_ATTRIBUTES),
        )
    if warnings := other_warnings(report):
        st.info(
            "\n".join(f"- {say('check.told', text=as_plain(text))}" for text in warnings),
            icon=":material/info:",
        )
    reference = say(
        "check.basis.reference",
        name=as_plain(data_name(report.reference.spec)),
        count=whole(report.reference.count),
    )
    show_basis(run, result, more=reference)


def _show_extra(report: ShiftReport) -> None:
    extra = report.extra
    st.markdown(f"### {say('check.extra')}", help=say("check.extra.help"))
    st.markdown(f"{extra_icon(extra)} **{extra_verdict(extra)}**")
    if extra is not None:
        st.markdown(extra_numbers(extra))
        st.dataframe(extra_rows(extra), hide_index=True, alt=say("check.extra"), width="content")


def show_stress_report(run: Run, result: CheckResult) -> None:
    """Show both models on disturbed copies of the same items."""
    report = result.stress
    if report is None:
        return
    st.markdown(f"**{stress_verdict(report)}**")
    with st.container(horizontal=True, gap="medium", key="check_curves"):
        for row in report.rows:
            with st.container(width=_CURVE, gap="xsmall"):
                _show_curve(report, row)
    with st.expander(say("check.stress.table"), icon=":material/table:"):
        st.dataframe(_stress_rows(report), hide_index=True, alt=say("check.stress.table"))
    show_basis(run, result)


def _show_curve(report: StressReport, row: StressRow) -> None:
    metric = report.metric
    scale = 100.0 if metric == "top1" else 1.0
    name = disturbance(row.disturbance)
    st.markdown(f"#### {as_plain(name)}", help=say("check.told", text=as_plain(row.meaning)))
    line = QualityLine(
        tuple(100 * point.strength for point in row.points),
        tuple(scale * point.dense for point in row.points),
        tuple(scale * point.pruned for point in row.points),
    )
    words = {
        "strength": say("check.axis.strength"),
        "quality": say(f"check.axis.quality.{metric}"),
        "dense": say("check.model.dense"),
        "pruned": say("check.model.pruned"),
    }
    last = row.points[-1]
    st.plotly_chart(
        stress_curve(line, words=words, dark=is_dark()),
        key=f"stress_{row.disturbance}",
        config=_QUIET,
        alt=say(
            "check.stress.alt",
            disturbance=name,
            dense=quality(last.dense, metric),
            pruned=quality(last.pruned, metric),
        ),
    )
    st.markdown(
        say(
            "check.stress.extra",
            extra=loss(row.extra, metric),
            low=loss(row.low, metric),
            high=loss(row.high, metric),
        )
    )


def _stress_rows(report: StressReport) -> dict[str, list[str]]:
    metric = report.metric
    points = [(row, point) for row in report.rows for point in row.points]
    return {
        say("check.column.disturbance"): [disturbance(row.disturbance) for row, _ in points],
        say("check.axis.strength"): [percent(point.strength) for _, point in points],
        say(f"check.column.dense.{metric}"): [quality(p.dense, metric) for _, p in points],
        say(f"check.column.pruned.{metric}"): [quality(p.pruned, metric) for _, p in points],
        say("check.column.loss"): [loss(p.loss, metric) for _, p in points],
        say("check.column.low"): [loss(p.low, metric) for _, p in points],
        say("check.column.high"): [loss(p.high, metric) for _, p in points],
    }
