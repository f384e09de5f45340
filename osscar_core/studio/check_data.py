"""The data of a check: brought once, used by every question.

The decision hidden here: when a file needs a person's word before it is kept. One whose
columns are clear and that holds nothing that looks personal is kept at once, so that no
change of page can lose it; any other is shown first. What is wrong with a file is told
place by place and never written to a log.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import streamlit as st

from osscar_core.catalogue import DEMO_MODELS
from osscar_core.datasets.own import (
    LIMITS,
    Mapping,
    OwnDataError,
    OwnInfo,
    Preview,
    Problem,
    preview,
    sample_own,
    template,
)
from osscar_core.datasets.spec import DEMOS
from osscar_core.errors import OsscarError
from osscar_core.records import Task
from osscar_core.studio import owndata
from osscar_core.studio.cards import card, failure
from osscar_core.studio.check_found import Subject
from osscar_core.studio.identity import desk
from osscar_core.studio.numbers import date, date_time, megabytes, whole
from osscar_core.studio.texts import as_plain, language, say
from osscar_core.studio.told import told

CHOSEN = "_check_data"
"""Where the session keeps which data is chosen, by the kind of model."""

CLASS = "class"
"""The column that pictures have besides their own."""

DEMO_ITEMS = 500
"""So many items of demo data are looked at."""

_PENDING, _PROBLEM, _UPLOADS = "_check_pending", "_check_problem", "_check_uploads"
_TYPES: dict[Task, list[str]] = {"image": ["zip"], "text": ["csv", "tsv", "jsonl", "ndjson"]}
_SAMPLES: dict[Task, str] = {"image": "sample-pictures.zip", "text": "sample-reports.csv"}
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Data:
    """The data that is chosen.

    Attributes:
        spec: How a request names it.
        name: What it is called, as plain text.
        columns: What results can be split by; ``None`` if that is not known beforehand.
        limit: Look at so many items at most; ``None`` for all.
        info: What is known of it, if it is somebody's own.
    """

    spec: str
    name: str
    columns: tuple[str, ...] | None
    limit: int | None = None
    info: OwnInfo | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    """A file that waits for a person's word; kept by the session, not by the workspace."""

    name: str
    content: bytes
    found: Preview
    task: Task


def choose_data(subject: Subject) -> Data | None:
    """Let the person choose data, or bring some; ``None`` while there is none."""
    task = subject.task
    mine = desk().data(task)
    offered = {data.spec: data for data in (*map(_own, mine), *_demos(subject))}
    st.markdown(f"## {say('check.data')}")
    _show_problem()
    chosen = _selected(subject, mine, offered)
    if chosen is not None:
        _show_choice(task, offered, chosen)
    pending = st.session_state.get(_PENDING)
    if pending is not None and pending.task == task:
        _show_pending(pending, _classes(subject))
    elif chosen is not None:
        with st.expander(say("check.data.add"), icon=":material/upload_file:"):
            _show_ways(subject)
    else:
        with st.container(border=True, key="check_bring"):
            st.markdown(f"**{say('check.data.none')}**")
            _show_ways(subject)
        if offered:
            with st.expander(say("check.data.demo"), icon=":material/science:"):
                for spec, data in offered.items():
                    st.button(
                        say("check.data.demo.use", name=data.name),
                        key=f"check_demo_{spec}",
                        on_click=functools.partial(_choose, task, spec),
                    )
    return chosen


def _own(info: OwnInfo) -> Data:
    columns = (CLASS, *info.columns) if info.task == "image" else info.columns
    return Data(owndata.spec_of(info), as_plain(info.name), columns, info=info)


def _demos(subject: Subject) -> list[Data]:
    """Return the parts of the demo data that the model was trained for, and was not."""
    demo = DEMO_MODELS.get(subject.spec.model)
    if demo is None or demo.task != subject.task:
        return []
    parts = DEMOS[demo.data.removeprefix("demo:")].parts
    specs = [f"{demo.data}/{part}" for part in parts]
    return [Data(spec, spec.removeprefix("demo:"), None, limit=DEMO_ITEMS) for spec in specs]


def _selected(subject: Subject, mine: Sequence[OwnInfo], offered: dict[str, Data]) -> Data | None:
    """Return what was chosen, else what the opened check is about, else the newest."""
    kept: dict[str, str] = st.session_state.get(CHOSEN, {})
    opened = subject.opened.request.data if subject.opened is not None else ""
    newest = owndata.spec_of(mine[0]) if mine else ""
    for spec in (kept.get(subject.task, ""), opened, newest):
        if spec in offered:
            return offered[spec]
    return None


def _choose(task: Task, spec: str) -> None:
    state = st.session_state
    state[CHOSEN] = {**state.get(CHOSEN, {}), task: spec}


def _show_choice(task: Task, offered: dict[str, Data], chosen: Data) -> None:
    state = st.session_state
    state["check_data"] = chosen.spec
    st.selectbox(
        say("check.data.choose"),
        list(offered),
        key="check_data",
        format_func=lambda spec: _label(offered.get(spec)),
        on_change=lambda: _choose(task, state["check_data"]),
    )
    _show_set(chosen)


def _label(data: Data | None) -> str:
    if data is None:
        return ""
    if data.info is None:
        return say("check.data.label.demo", name=data.name)
    info = data.info
    return say(
        f"check.data.label.{info.task}",
        name=info.name,
        count=info.count,
        date=date_time(info.created),
    )


def _show_set(data: Data) -> None:
    """Show what is known of a set, when it goes, and a way to remove it now."""
    info = data.info
    if info is None:
        st.markdown(say("check.data.demo.facts", count=data.limit or 0))
        return
    facts = [
        say(f"check.data.count.{info.task}", count=info.count),
        megabytes(info.bytes),
        say("check.data.columns", names=as_plain(", ".join(info.columns)))
        if info.columns
        else say("check.data.columns.none"),
    ]
    if info.class_counts:
        facts.append(say("check.data.classes", count=len(info.class_counts)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(" · ".join(facts), width="stretch")
        with st.popover(say("check.data.delete"), icon=":material/delete:", key="check_delete"):
            st.markdown(say("check.data.delete.what", name=data.name))
            st.button(
                say("check.data.delete.now"),
                key=f"check_delete_{info.id}",
                icon=":material/delete_forever:",
                type="primary",
                on_click=functools.partial(_guarded, functools.partial(_remove, info)),
            )
    gone = date((datetime.fromisoformat(info.created) + _KEPT).timestamp())
    st.markdown(f":material/lock: {say('check.data.kept', date=gone)}")
    if info.warnings:
        st.warning(
            "\n".join(f"- {say('check.told', text=as_plain(text))}" for text in info.warnings),
            icon=":material/warning:",
        )


_KEPT = timedelta(days=owndata.KEPT_DAYS)


def _remove(info: OwnInfo) -> None:
    desk().remove_data(info.id)
    st.toast(say("check.data.deleted", name=as_plain(info.name)), icon=":material/delete:")


def _show_ways(subject: Subject) -> None:
    """Show how data can be brought: a sample, a template, a file of one's own."""
    task, state = subject.task, st.session_state
    key = f"check_upload_{state.get(_UPLOADS, 0)}"
    classes = _classes(subject)
    st.markdown(
        say(
            f"check.upload.{task}",
            size=LIMITS.upload_bytes // _MIB,
            fewest=LIMITS.fewest,
            days=owndata.KEPT_DAYS,
        )
    )
    st.markdown(f":material/privacy_tip: {say('check.upload.personal', days=owndata.KEPT_DAYS)}")
    with st.container(horizontal=True, gap="small"):
        if task == "text" or subject.spec.model in DEMO_MODELS:
            st.button(
                say("check.sample"),
                key="check_sample",
                type="primary",
                icon=":material/science:",
                help=say(f"check.sample.help.{task}"),
                on_click=functools.partial(
                    _guarded, functools.partial(_take_sample, task, classes)
                ),
            )
        name, content = template(task, classes, "ja" if language() == "ja" else "en")
        st.download_button(
            say("check.template"),
            data=content,
            file_name=name,
            mime="text/csv" if task == "text" else "application/zip",
            key="check_template",
            on_click="ignore",
            icon=":material/description:",
        )
    st.file_uploader(
        say(f"check.upload.label.{task}"),
        type=_TYPES[task],
        key=key,
        max_upload_size=LIMITS.upload_bytes // _MIB,
        on_change=functools.partial(_guarded, functools.partial(_take_in, key, task, classes)),
    )


def _classes(subject: Subject) -> tuple[str, ...] | None:
    return subject.result.prune.plan.source.class_names


def _guarded(work: Callable[[], None]) -> None:
    """Do what a button asks for; what goes wrong is told on the page that follows."""
    st.session_state.pop(_PROBLEM, None)
    try:
        work()
    # A button's work is outside the boundary of the page.
    except Exception as error:  # noqa: BLE001
        st.session_state[_PROBLEM] = error


def _take_sample(task: Task, classes: tuple[str, ...] | None) -> None:
    known = next((i for i in desk().data(task) if i.name == _SAMPLES[task]), None)
    if known is None:
        name, content = sample_own(task)
        known = desk().keep_data(content, name, task=task, class_names=classes)
    _choose(task, owndata.spec_of(known))


def _take_in(key: str, task: Task, classes: tuple[str, ...] | None) -> None:
    state = st.session_state
    file = state.get(key)
    # A new key is a new, empty uploader.
    state[_UPLOADS] = state.get(_UPLOADS, 0) + 1
    if file is None:
        return
    state.pop(_PENDING, None)
    content = file.getvalue()
    found = preview(content, file.name)
    if found.task != task:
        raise OwnDataError((Problem("", say(f"check.upload.other.{task}"), ""),), 1)
    if _is_clear(found):
        _keep(content, file.name, task, classes, None)
    else:
        state[_PENDING] = _Pending(file.name, content, found, task)


def _is_clear(found: Preview) -> bool:
    """Return whether a file can be kept without asking."""
    mapping = found.mapping
    needed = (mapping.text,) if found.task == "text" else (mapping.label, mapping.file)
    return None not in needed and not found.personal and found.encoding in (None, "utf-8")


def _keep(
    content: bytes,
    name: str,
    task: Task,
    classes: tuple[str, ...] | None,
    mapping: Mapping | None,
) -> None:
    info = desk().keep_data(content, name, task=task, mapping=mapping, class_names=classes)
    st.session_state.pop(_PENDING, None)
    _choose(task, owndata.spec_of(info))
    st.toast(say("check.data.taken", name=as_plain(info.name)), icon=":material/check_circle:")


def _show_pending(pending: _Pending, classes: tuple[str, ...] | None) -> None:
    """Show a file before it is kept, and let the person say what its columns are."""
    found, state = pending.found, st.session_state
    mapping = found.mapping
    with st.container(border=True, key="check_pending"):
        st.markdown(f"### {say('check.pending', name=as_plain(pending.name))}")
        encoding = say("check.pending.cp932") if found.encoding == "cp932" else ""
        count = say(f"check.data.count.{found.task}", count=found.count)
        st.markdown(f"{count} · {as_plain(found.kind.upper())} {encoding}")
        for hint in found.personal:
            st.warning(
                say(
                    f"check.pending.{hint.kind}",
                    column=as_plain(hint.column),
                    rows=whole(hint.rows),
                ),
                icon=":material/privacy_tip:",
            )
        rows = {
            name: [row[index] for row in found.rows] for index, name in enumerate(found.columns)
        }
        st.dataframe(rows, hide_index=True, alt=say("check.pending.alt"))
        roles = ("text",) if pending.task == "text" else ("file", "label")
        chosen = {role: _column(role, found, getattr(mapping, role)) for role in roles}
        rest = [name for name in found.columns if name not in chosen.values()]
        guessed = [name for name in mapping.attributes or () if name in rest]
        slices = st.multiselect(
            say("check.pending.slices"),
            rest,
            default=guessed,
            key="check_map_slices",
            help=say("check.columns.help"),
        )
        if None in chosen.values():
            st.markdown(f":material/arrow_upward: {say('check.pending.needed')}")
        work = functools.partial(
            _keep,
            pending.content,
            pending.name,
            pending.task,
            classes,
            Mapping(**chosen, attributes=tuple(slices)),
        )
        with st.container(horizontal=True, gap="small"):
            st.button(
                say("check.pending.use"),
                key="check_use",
                type="primary",
                icon=":material/check:",
                disabled=None in chosen.values(),
                on_click=functools.partial(_guarded, work),
            )
            st.button(
                say("check.pending.discard"),
                key="check_discard",
                icon=":material/close:",
                on_click=functools.partial(state.pop, _PENDING, None),
            )


def _column(role: str, found: Preview, guess: str | None) -> str | None:
    return st.selectbox(
        say(f"check.pending.{role}"),
        found.columns,
        index=None if guess is None else found.columns.index(guess),
        key=f"check_map_{role}",
        placeholder=say("check.pending.choose"),
    )


def _show_problem() -> None:
    """Tell what was wrong with the last file, place by place, until the next one."""
    error = st.session_state.get(_PROBLEM)
    if error is None:
        return
    if isinstance(error, OwnDataError):
        lines = [_place(problem) for problem in error.problems]
        if error.total > len(lines):
            lines.append(say("check.problem.more", count=error.total - len(lines)))
        st.error("\n".join(lines), title=say("check.problem"), icon=":material/error:")
    elif isinstance(error, OsscarError):
        problem, remedy = told(error.problem, error.remedy)
        card(
            say("check.problem"),
            safe=problem,
            todo=remedy,
        )
    else:
        st.session_state.pop(_PROBLEM)
        failure(error)


def _place(problem: Problem) -> str:
    where = ""
    if problem.row is not None and problem.column is not None:
        where = say("check.problem.cell", row=whole(problem.row), column=problem.column)
    elif problem.row is not None:
        where = say("check.problem.row", row=whole(problem.row))
    elif problem.where:
        where = as_plain(problem.where)
    what = say("check.told", text=as_plain(problem.what)) if problem.remedy else problem.what
    remedy = say("check.told", text=as_plain(problem.remedy)) if problem.remedy else ""
    place = f"**{where}** — " if where else ""
    return f"- {place}{what}{'.' if remedy else ''}" + (f"  \n  {remedy}." if remedy else "")
