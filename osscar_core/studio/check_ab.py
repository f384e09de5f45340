"""What is lost on this data: a margin fixed first, then a verdict, groups, and what changed.

The decision hidden here: in which order the answer is told. The verdict in words comes
first, then the worst groups, then single items; the numbers of every figure are a table.
"""

from __future__ import annotations

import base64
import functools
import html
import io
from collections.abc import Sequence

import streamlit as st

from osscar_core.checks.export import changes_csv
from osscar_core.checks.records import ABReport, Drift, Flip
from osscar_core.errors import OsscarError
from osscar_core.figures import forest
from osscar_core.studio import owndata
from osscar_core.studio.check_bench import job, offer, pick, show_basis
from osscar_core.studio.check_data import Data
from osscar_core.studio.check_found import Subject
from osscar_core.studio.check_words import (
    MARKS,
    difference,
    forest_rows,
    group_name,
    listed_margins,
    loss,
    margin_text,
    needed,
    numbers_of,
    slice_rows,
    verdict,
)
from osscar_core.studio.frame import is_dark
from osscar_core.studio.identity import desk
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import percent, significant, whole
from osscar_core.studio.requests import CheckKind, CheckResult
from osscar_core.studio.texts import as_plain, say

_MOST_GROUPS = 24
_FLIPS_SHOWN = 8
_THUMB, _CARD = 128, 136
_THUMBS, _MOST = "_check_thumbs", "_check_flips"
_QUIET = {"displayModeBar": False}


def show_ab(subject: Subject, data: Data | None) -> None:
    """Show the comparison of both models: how it is asked for, and what it found."""
    if data is not None:
        _show_form(subject, data)
    found = pick(subject, CheckKind.AB)
    if found is not None:
        show_report(*found, others=[r.ab for _, r in subject.finished(CheckKind.AB) if r.ab])


def _show_form(subject: Subject, data: Data) -> None:
    unit = "points" if subject.metric == "top1" else "percent"
    left, right = st.columns([2, 5], gap="medium", vertical_alignment="bottom")
    with left:
        margin = st.number_input(
            say(f"check.margin.{unit}"),
            min_value=0.0,
            max_value=50.0,
            value=1.0,
            step=0.5,
            format="%.1f",
            key="check_margin",
            help=say("check.margin.help"),
            persist_state="session",
        )
    columns = None
    with right:
        if data.columns:
            # Another set has other columns: its choice is its own.
            key = f"check_columns_{data.spec}"
            chosen = st.multiselect(
                say("check.columns"),
                data.columns,
                default=data.columns,
                key=key,
                help=say("check.columns.help"),
            )
            # All of them leaves out what makes no groups; some are meant as they stand.
            columns = None if len(chosen) == len(data.columns) else tuple(chosen)
        else:
            st.markdown(
                say("check.columns.none" if data.columns is not None else "check.columns.all")
            )
    request = job(
        subject, data, CheckKind.AB, margin=round((margin or 0.0) / 100, 6), columns=columns
    )
    offer(subject, request, say("check.run.ab"), key="check_run_ab", primary=True)


def show_report(run: Run, result: CheckResult, others: Sequence[ABReport] = ()) -> None:
    """Show what a comparison found."""
    report = result.ab
    if report is None:
        return
    with st.container(key="verdict"):
        st.markdown(f"{MARKS[report.overall.conclusion]} **{verdict(report)}**")
    same = [other for other in others if other.data.digest == report.data.digest]
    lines = (numbers_of(report), difference(report), needed(report.overall), listed_margins(same))
    st.markdown("\n".join(f"- {line}" for line in lines if line))
    if report.slices:
        _show_groups(report)
    _show_changes(run, report)
    correction = say("check.ab.correction", text=as_plain(report.correction))
    show_basis(run, result, more=correction)


def _show_groups(report: ABReport) -> None:
    st.markdown(f"### {say('check.groups')}", help=say("check.groups.help"))
    judged = [found for found in report.slices if not found.is_small]
    if judged and judged[0].loss > 0:
        worst = judged[0]
        st.markdown(
            say(
                "check.groups.worst",
                name=as_plain(group_name(worst)),
                loss=loss(worst.loss, report.metric),
                low=loss(worst.low, report.metric),
                high=loss(worst.high, report.metric),
                count=whole(worst.count),
            )
        )
    rows = forest_rows(report, _MOST_GROUPS)
    margin = margin_text(report.margin, report.metric)
    words = {
        "axis": say(f"check.axis.loss.{report.metric}"),
        "margin": say("check.axis.margin", margin=margin),
        **{
            state: say(f"check.verdict.{state}")
            for state in ("confirmed", "not-proven", "loss-found", "small")
        },
    }
    told = "; ".join(row.told for row in rows[:4])
    st.plotly_chart(
        forest(rows, margin=100 * report.margin, words=words, dark=is_dark()),
        key="forest",
        config=_QUIET,
        alt=say("check.groups.alt", count=len(rows), told=told),
    )
    if len(report.slices) > _MOST_GROUPS:
        st.markdown(say("check.groups.more", count=len(report.slices) - _MOST_GROUPS))
    with st.expander(say("check.groups.table"), icon=":material/table:"):
        st.dataframe(slice_rows(report), hide_index=True, alt=say("check.groups.table"))


def _show_changes(run: Run, report: ABReport) -> None:
    items: tuple[Flip | Drift, ...] = report.flips or report.drifts
    kind = "flips" if report.metric == "top1" else "drifts"
    st.markdown(f"### {say(f'check.{kind}')}", help=say(f"check.{kind}.help"))
    if not items:
        st.markdown(say(f"check.{kind}.none"))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        way = st.segmented_control(
            say("check.way"),
            ["lost", "gained"],
            key=f"check_way_{run.id}",
            default="lost" if any(item.is_lost for item in items) else "gained",
            required=True,
            wrap=True,
            format_func=lambda way: say(f"check.{kind}.{way}", count=_count(report, way)),
        )
        st.download_button(
            say("check.download"),
            data=functools.partial(_table, report),
            file_name=f"osscar-changes-{run.id}.csv",
            mime="text/csv",
            key=f"check_download_{run.id}",
            on_click="ignore",
            icon=":material/download:",
        )
    mine = [item for item in items if item.is_lost == (way == "lost")]
    most = st.session_state.get(_MOST, {}).get(run.id, _FLIPS_SHOWN)
    if not mine:
        st.markdown(say("check.way.none"))
    elif report.metric == "top1":
        _show_flips(run, [item for item in mine[:most] if isinstance(item, Flip)])
    else:
        _show_drifts([item for item in mine[:most] if isinstance(item, Drift)])
    if len(mine) > most:
        st.button(
            say("check.more", count=min(_FLIPS_SHOWN, len(mine) - most)),
            key=f"check_more_{run.id}",
            icon=":material/expand_more:",
            on_click=_more,
            args=(run.id, most),
        )


def _more(run_id: str, most: int) -> None:
    state = st.session_state
    state[_MOST] = {**state.get(_MOST, {}), run_id: most + _FLIPS_SHOWN}


def _count(report: ABReport, way: str) -> str:
    return whole(report.lost if way == "lost" else report.gained)


def _table(report: ABReport) -> bytes:
    # Without the mark, spreadsheets take UTF-8 for something else.
    return f"\ufeff{changes_csv(report)}".encode()


def _show_flips(run: Run, flips: Sequence[Flip]) -> None:
    pictures = _thumbnails(run, [flip.name for flip in flips])
    if not any(flip.name in pictures for flip in flips):
        st.markdown(f":material/hide_image: {say('check.flips.no_pictures')}")
    with st.container(horizontal=True, gap="small", key="check_flips"):
        for flip in flips:
            with st.container(border=True, width=_CARD + 34, gap="xsmall"):
                picture = pictures.get(flip.name)
                if picture is not None:
                    alt = say("check.flips.alt", name=flip.name, truth=flip.truth)
                    st.image(picture, width=_CARD, alt=alt)
                st.markdown(_told(flip))


def _told(flip: Flip) -> str:
    lines = [
        f"`{flip.name.rpartition('/')[2].replace('`', '')}`",
        say("check.flips.truth", name=as_plain(flip.truth)),
    ]
    answers = (("dense", flip.dense, flip.dense_share), ("pruned", flip.pruned, flip.pruned_share))
    for which, answer, share in answers:
        icon = "check" if answer == flip.truth else "close"
        lines.append(
            f":material/{icon}: "
            + say(f"check.flips.{which}", name=as_plain(answer), share=percent(share))
        )
    if flip.attributes:
        told = " · ".join(f"{name}={value}" for name, value in flip.attributes.items())
        lines.append(f":gray[{as_plain(told)}]")
    return "  \n".join(lines)


def _thumbnails(run: Run, names: Sequence[str]) -> dict[str, str]:
    """Return small copies of own pictures; of this session only, and of one set at a time."""
    state, spec = st.session_state, run.request.data
    info = desk().find_data(spec)
    if info is None:
        state.pop(_THUMBS, None)
        return {}
    kept_of: str
    kept: dict[str, str]
    kept_of, kept = state.get(_THUMBS, ("", {}))
    if kept_of != spec:
        kept = {}
    missing = [name for name in names if name not in kept]
    if missing:
        try:
            found = owndata.pictures_of(info, missing)
        except OsscarError:
            found = {}
        kept = {**kept, **{name: _small(content) for name, content in found.items()}}
        state[_THUMBS] = (spec, kept)
    return kept


def _small(content: bytes) -> str:
    """Return a small picture as an address that holds it.

    One that the server held would be gone for a browser that asks a moment after its page
    went on.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (2 * _THUMB, 2 * _THUMB))
        small = image.convert("RGB")
        small.thumbnail((2 * _THUMB, 2 * _THUMB))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _show_drifts(drifts: Sequence[Drift]) -> None:
    for drift in drifts:
        with st.container(border=True, gap="xsmall"):
            told = " · ".join(f"{name}={value}" for name, value in drift.attributes.items())
            st.markdown(
                f"**{as_plain(drift.name)}** · "
                + say(
                    "check.drifts.loss",
                    dense=significant(drift.dense),
                    pruned=significant(drift.pruned),
                    tokens=whole(drift.tokens),
                )
                + (f" · {as_plain(told)}" if told else "")
            )
            st.html(f'<div class="passage">{html.escape(drift.beginning)}</div>')
