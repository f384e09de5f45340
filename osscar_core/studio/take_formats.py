"""The cards of what other programs load, one a format.

The decision hidden here: which formats are offered and which are only explained, and what of
an export a person is told before opening it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import streamlit as st

from osscar_core.export.availability import missing_packages, why_not
from osscar_core.export.records import (
    DENSE,
    INT8,
    PLAIN,
    PRUNED,
    Contest,
    ExportFormat,
    ExportReport,
    Timing,
)
from osscar_core.loadable import why_not_plain
from osscar_core.notation import ratio
from osscar_core.studio.check_found import Subject
from osscar_core.studio.export_words import format_name, plain_reason, remark
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import (
    between,
    duration,
    factor,
    megabytes,
    milliseconds,
    percent,
    tiny,
    whole,
)
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from osscar_core.studio.summary import value_of
from osscar_core.studio.take_cards import (
    Order,
    Sum,
    show_checked,
    show_facts,
    show_folder,
    show_head,
    show_info,
    show_order,
)
from osscar_core.studio.takehome import (
    export_folder,
    export_of,
    main_file,
    packed_as,
    snippets,
)
from osscar_core.studio.texts import as_plain, say

_ICONS = {
    ExportFormat.HF: "folder_open",
    ExportFormat.ONNX: "swap_horiz",
    ExportFormat.TORCH: "local_fire_department",
    ExportFormat.GGUF: "memory",
}
_READERS = ("onnxruntime", "transformers", "torch")
"""What exports are read back with; the first one whose version is known did it."""


def show_formats(subject: Subject, runs: Sequence[Run]) -> Sequence[Sum]:
    """Show a card for each format that suits the model, and why the others do not.

    Args:
        subject: The model.
        runs: All runs of the reader, the newest first.
    """
    reasons = {kind: _why_not(subject, kind) for kind in ExportFormat}
    sums = [
        each
        for kind, reason in reasons.items()
        if reason is None
        for each in _show_format(subject, kind, runs)
    ]
    unsuited = {kind: reason for kind, reason in reasons.items() if reason is not None}
    if unsuited:
        lines = [f"- **{format_name(kind)}** · {unsuited[kind]}" for kind in unsuited]
        with st.container(key="take_unsuited", gap="xsmall"):
            st.markdown(say("decide.unsuited"))
            st.markdown("\n".join(lines))
    return sums


def _why_not(subject: Subject, kind: ExportFormat) -> str | None:
    """Return in Markdown why the model cannot be written in a format; ``None`` if it can."""
    plan = subject.result.prune.plan
    reason = why_not(kind, subject.task, plan.source.family)
    if reason is not None:
        return remark(reason)
    if kind is ExportFormat.GGUF and (unsaid := why_not_plain(plan)) is not None:
        return say("decide.unsuited.widths", reason=plain_reason(unsaid), option=say("form.plain"))
    return None


def _show_format(subject: Subject, kind: ExportFormat, runs: Sequence[Run]) -> Sequence[Sum]:
    def made(run: Run) -> Callable[[], Sequence[Sum]] | None:
        found = export_of(run)
        return None if found is None else functools.partial(_show_made, subject, run, found)

    request = JobRequest(
        subject.spec,
        # It is compared on what the model was judged on.
        data=subject.run.request.data,
        kind=JobKind.EXPORT,
        check=CheckRequest(CheckKind.AB, subject.run.id),
        format=kind,
    )
    name = format_name(kind)
    # Of ONNX files the one with eight bits lies beside the other; nothing has to be chosen.
    richer = dataclasses.replace(request, int8=True) if kind is ExportFormat.ONNX else None
    order = Order(kind.value, "format", request, name, richer)
    with st.container(border=True, key=f"take_{kind.value}", gap="small"):
        show_head(name, say(f"format.{kind.value}.what"), _ICONS[kind])
        missing = missing_packages(kind)
        if missing and not order.among(runs):
            show_info(say("decide.format.missing", names=", ".join(missing)))
            return ()
        return show_order(subject, order, runs, made)


def _show_made(subject: Subject, run: Run, found: ExportReport) -> Sequence[Sum]:
    main = main_file(found)
    folder = packed_as(run, found)
    show_facts(megabytes(found.bytes), Sum(main.name, main.sha256))
    show_checked(_compared(found))
    show_checked(_judged(subject, found))
    if found.needs == PLAIN:
        show_checked(say("decide.format.plain"))
    for note in found.notes:
        show_info(remark(note))
    if found.contest is not None:
        _show_contest(subject, found.contest, found.format)
    show_folder(
        say("decide.format.get", name=format_name(found.format)),
        found.bytes,
        export_folder(run, found),
        found.format.value,
        run,
        functools.partial(subject.store.pack_export, run, found),
    )
    parts = snippets(run, found)
    if parts:
        with st.expander(say("decide.model.load"), icon=":material/code:"):
            for language, code in parts:
                st.code(code, language=language or None)
    took = say("decide.format.took", time=duration(run.status.seconds), id=run.id)
    st.markdown(say("decide.format.both", first=took, second=f":gray[{_versions(found)}]"))
    return [Sum(f"{folder}/{file.name}", file.sha256) for file in found.files]


def _compared(found: ExportReport) -> str:
    """Return how far what was read back is from the model."""
    known = found.versions
    reader = next((f"{name} {known[name]}" for name in _READERS if name in known), found.needs)
    is_identical = found.max_difference == 0 and found.same == 1
    text = say(
        "decide.format.identical" if is_identical else "decide.format.same",
        reader=as_plain(reader),
        difference=tiny(found.max_difference),
        relative=tiny(found.relative_difference),
        same=percent(found.same, 2),
    )
    if not found.continued:
        return text
    continued = say("decide.format.continued", count=whole(found.continued))
    return say("decide.format.both", first=text, second=continued)


def _judged(subject: Subject, found: ExportReport) -> str:
    """Return the quality of what was read back, beside the model's and the dense one's."""
    quality = subject.result.pruned
    values = {
        "metric": say(f"metric.name.{found.metric}"),
        "quality": value_of(quality, found.quality),
        "model": value_of(quality, found.model_quality),
        "count": whole(found.count),
        "items": say(f"decide.format.items.{found.metric}"),
    }
    if found.dense_quality is None:
        return say("decide.format.quality", **values)
    return say(
        "decide.format.quality.dense", dense=value_of(quality, found.dense_quality), **values
    )


def _show_contest(subject: Subject, contest: Contest, kind: ExportFormat) -> None:
    """Show size, quality and speed of the files that were measured in turns."""
    quality = subject.result.pruned
    names = [_contender(each.name) for each in contest.contenders]
    first = contest.contenders[0]
    works = [(each.work, each.size) for each in first.timings]
    rows = [
        [say("decide.contest.size"), *(megabytes(each.bytes) for each in contest.contenders)],
        [
            say(f"metric.name.{contest.metric}"),
            *(value_of(quality, each.quality) for each in contest.contenders),
        ],
        *(
            [
                say(f"decide.contest.{work}", size=size),
                *(_timing(one.timings[row], is_first=one is first) for one in contest.contenders),
            ]
            for row, (work, size) in enumerate(works)
        ),
    ]
    lines = [["", *names], ["---"] * (1 + len(names)), *rows]
    with st.container(key=f"contest_{kind.value}", gap="xsmall"):
        st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))
        facts = contest.conditions
        told = say(
            "decide.contest.how",
            device=as_plain(facts["device"]),
            threads=int(facts["threads"]),
            count=whole(contest.count),
            items=say(f"decide.format.items.{contest.metric}"),
        )
        st.markdown(f":gray[{told}]")


def _contender(name: str) -> str:
    """Return what a file of a contest is called, such as ``pruned, int8``."""
    known = {DENSE, PRUNED, INT8}
    parts = (say(f"decide.contest.{p}") if p in known else as_plain(p) for p in name.split(", "))
    return " · ".join(parts)


def _timing(found: Timing, *, is_first: bool) -> str:
    """Return a latency and, but for the first file's, how much faster that is."""
    if is_first:
        return milliseconds(found.latency.median)
    low, high = (ratio(value) for value in found.interval)
    return say(
        "decide.contest.faster",
        time=milliseconds(found.latency.median),
        factor=factor(found.speedup),
        interval=between(low, high),
    )


def _versions(found: ExportReport) -> str:
    parts = [f"{name} {version}" for name, version in found.versions.items()]
    if found.opset is not None:
        parts.insert(0, f"opset {found.opset}")
    return as_plain(" · ".join(parts))
