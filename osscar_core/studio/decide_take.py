"""What can be taken home: the model, the report, the monitoring kit, the numbers.

The decision hidden here: what stands behind a check mark, and what is said where something
cannot be had. Large files are packed on disk at the first download, never while a page is
drawn.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.export.records import FLOAT32, NO_CACHE, NO_PADDING, ONNX_FILE, ExportReport
from osscar_core.monitoring.records import KitReport
from osscar_core.records import to_json
from osscar_core.report import ReportContent, report_html
from osscar_core.studio import chosen, examples
from osscar_core.studio.actions import roughly
from osscar_core.studio.attempt import KIT, ONNX
from osscar_core.studio.check_found import Subject
from osscar_core.studio.decide_evidence import Case, content_of
from osscar_core.studio.frame import watch
from osscar_core.studio.identity import owner
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import about, duration, megabytes, percent, significant, tiny, whole
from osscar_core.studio.orders import expected_seconds
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from osscar_core.studio.results import show_outcome
from osscar_core.studio.runcard import attempt
from osscar_core.studio.summary import value_of
from osscar_core.studio.takehome import (
    MANIFEST,
    MOST_BYTES,
    WEIGHTS,
    export_of,
    kit_of,
    pack_export,
    pack_kit,
    pack_model,
    read_record,
)
from osscar_core.studio.texts import LANGUAGES, as_plain, say
from osscar_core.studio.told import told

_SHORT = 12
_LOADING = """from osscar_core import load_model

small = load_model("{folder}")  # the unpacked folder
"""

_KNOWN_NOTES = {
    FLOAT32: "decide.onnx.float32",
    NO_CACHE: "decide.onnx.cache",
    NO_PADDING: "decide.onnx.padding",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """A checksum to hold a file against."""

    name: str
    sha256: str


def show_take_home(case: Case) -> None:
    """Show every file with its size, its checksum and what was verified."""
    st.header(say("decide.take"), anchor="take")
    st.markdown(say("decide.take.what"))
    sums = [
        *_show_model(case),
        *_show_onnx(case),
        *_show_report(case),
        *_show_kit(case),
        *_show_numbers(case),
    ]
    with st.expander(say("decide.sums"), icon=":material/tag:"):
        st.markdown(say("decide.sums.what"))
        st.code("\n".join(f"{each.sha256}  {each.name}" for each in sums), language=None)


def _head(name: str, icon: str) -> None:
    st.markdown(f"#### :material/{icon}: {say(f'decide.{name}')}")
    st.markdown(say(f"decide.{name}.what"))


def _facts(size: str, found: Sum | None) -> None:
    """Show size and checksum in one line."""
    parts = [size]
    if found is not None:
        parts.append(say("decide.sum", name=found.name, sha256=f"{found.sha256[:_SHORT]}…"))
    st.markdown(" · ".join(parts), help=f"`{found.sha256}`" if found is not None else None)


def _checked(text: str) -> None:
    st.markdown(f":green[:material/verified:] {text}")


def _download(
    label: str,
    data: Callable[[], bytes],
    file_name: str,
    mime: str,
    key: str,
    *,
    is_first: bool = False,
) -> None:
    st.download_button(
        label,
        data=data,
        file_name=file_name,
        mime=mime,
        key=key,
        on_click="ignore",
        icon=":material/download:",
        type="primary" if is_first else "secondary",
    )


def _read(pack: Callable[[], Path]) -> bytes:
    return pack().read_bytes()


def _show_model(case: Case) -> Sequence[Sum]:
    subject, run = case.subject, case.subject.run
    with st.container(border=True, key="take_model", gap="small"):
        _head("model", "deployed_code")
        if examples.is_example(run) or not run.model_folder.is_dir():
            _show_no_model(subject)
            return ()
        record = read_record(run)
        weights = record.weights if record is not None else None
        size = record.bytes if record is not None else subject.result.prune.bytes.pruned
        found = Sum(WEIGHTS, weights.sha256) if weights is not None else None
        _facts(megabytes(size), found)
        if record is not None:
            quality = subject.result.pruned
            _checked(
                say(
                    "decide.model.checked",
                    metric=say(f"metric.name.{record.metric}"),
                    value=value_of(quality, record.value),
                    count=whole(record.count),
                    items=say(f"metric.items.{quality.metric}"),
                )
            )
        else:
            st.markdown(f":material/help: {say('decide.model.unchecked')}")
        if size > MOST_BYTES:
            st.markdown(f":material/folder: {say('decide.too_large', size=megabytes(MOST_BYTES))}")
            st.code(str(run.model_folder), language=None)
        else:
            _download(
                say("decide.model.get"),
                functools.partial(_read, functools.partial(pack_model, run)),
                f"osscar-model-{run.id}.zip",
                "application/zip",
                f"take_model_{run.id}",
                is_first=True,
            )
        with st.expander(say("decide.model.load"), icon=":material/code:"):
            st.code(_LOADING.format(folder=f"{run.id}-model"), language="python")
        return () if found is None else (found,)


def _show_no_model(subject: Subject) -> None:
    """Say why there is no model here, and offer to make it."""
    run = subject.run
    kind = "example" if examples.is_example(run) else "imported" if run.is_imported else "gone"
    st.markdown(f":material/info: {say(f'decide.model.none.{kind}')}")
    # Asking again for what was computed here gives the run that there is.
    if kind == "gone":
        return
    seconds = expected_seconds(run.request, subject.store.runs(owner()))
    label = say("decide.model.make")
    st.button(
        f"{label} ({about(roughly(seconds))})" if seconds else label,
        key="take_make_model",
        icon=":material/play_arrow:",
        on_click=attempt,
        args=(functools.partial(_measure_here, subject),),
    )


def _measure_here(subject: Subject) -> None:
    chosen.choose_run(subject.store.submit(subject.run.request, owner()))


def _show_report(case: Case) -> Sequence[Sum]:
    run_id = case.subject.run.id
    with st.container(border=True, key="take_report", gap="small"):
        _head("report", "description")
        try:
            content = content_of(case)
            pages = {code: _html(content, code) for code in LANGUAGES}
        except OsscarError as error:
            problem, remedy = told(error.problem, error.remedy)
            st.markdown(f":material/info: {say('decide.report.none')} {problem} {remedy}")
            return ()
        sums = []
        for code, name in LANGUAGES.items():
            data, file_name = pages[code], f"osscar-report-{run_id}-{code}.html"
            sums.append(Sum(file_name, hashlib.sha256(data).hexdigest()))
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"report_{code}"
            ):
                _download(
                    say("decide.report.get", language=name),
                    functools.partial(bytes, data),
                    file_name,
                    "text/html",
                    f"take_report_{code}_{run_id}",
                )
                _facts(megabytes(len(data)), sums[-1])
        _checked(say("decide.report.checked"))
        return sums


def _html(content: ReportContent, language: str) -> bytes:
    key = (hashlib.sha256(to_json(content).encode()).hexdigest(), language)
    reports: dict[tuple[str, str], bytes] = st.session_state.setdefault("_decide_reports", {})
    if key not in reports:
        # The latest in every language; older ones are of evidence that has changed.
        kept = {old: page for old, page in reports.items() if old[0] == key[0]}
        st.session_state["_decide_reports"] = reports = kept
        reports[key] = report_html(content, language).encode()
    return reports[key]


def _show_kit(case: Case) -> Sequence[Sum]:
    def made(run: Run) -> Callable[[], Sequence[Sum]] | None:
        kit = kit_of(run)
        return None if kit is None else functools.partial(_show_made_kit, run, kit)

    # The reference is what the model was calibrated on.
    data = case.subject.spec.calibration
    return _show_order(case.subject, "kit", "monitor_heart", JobKind.KIT, data, made)


def _show_onnx(case: Case) -> Sequence[Sum]:
    subject = case.subject

    def made(run: Run) -> Callable[[], Sequence[Sum]] | None:
        found = export_of(run)
        return None if found is None else functools.partial(_show_made_onnx, subject, run, found)

    # It is compared on what the model was judged on.
    data = subject.run.request.data
    return _show_order(subject, "onnx", "swap_horiz", JobKind.EXPORT, data, made)


def _show_order(
    subject: Subject,
    name: str,
    icon: str,
    kind: JobKind,
    data: str,
    made: Callable[[Run], Callable[[], Sequence[Sum]] | None],
) -> Sequence[Sum]:
    """Show what a worker makes of the model when asked, or offer to make it."""
    runs = [
        run
        for run in subject.store.runs(owner())
        if run.kind is kind
        and run.request.check is not None
        and run.request.check.run == subject.run.id
    ]
    with st.container(border=True, key=f"take_{name}", gap="small"):
        _head(name, icon)
        live = next((run for run in runs if run.status.state.is_live), None)
        if live is not None:
            watch(live.id, "here")
            return ()
        show = next((show for run in runs if (show := made(run)) is not None), None)
        if show is not None:
            return show()
        if not subject.has_model:
            st.markdown(f":material/info: {say(f'decide.{name}.none')}")
            return ()
        if runs and runs[0].status.state is State.FINISHED:
            # Asking again gives the run that there is.
            st.warning(say(f"decide.{name}.damaged"), icon=":material/broken_image:")
            return ()
        if runs:
            show_outcome(runs[0])
        check = CheckRequest(CheckKind.AB, subject.run.id)
        request = JobRequest(subject.spec, data=data, kind=kind, check=check)
        seconds = expected_seconds(request, runs) or 0.0
        label = say(f"decide.{name}.make")
        st.button(
            f"{label} ({about(roughly(seconds))})" if seconds else label,
            key=f"take_make_{name}",
            icon=":material/play_arrow:",
            on_click=attempt,
            args=(functools.partial(_submit, subject, request),),
        )
        return ()


def _submit(subject: Subject, request: JobRequest) -> None:
    subject.store.submit(request, owner())


def _show_made_onnx(subject: Subject, run: Run, found: ExportReport) -> Sequence[Sum]:
    sums = [Sum(f.name, f.sha256) for f in found.files if f.name.startswith(ONNX_FILE)]
    _facts(megabytes(found.bytes), sums[0] if sums else None)
    _checked(
        say(
            "decide.onnx.same",
            difference=tiny(found.max_difference),
            relative=tiny(found.relative_difference),
            same=percent(found.same, 2),
        )
    )
    quality = subject.result.pruned
    _checked(
        say(
            "decide.onnx.quality",
            metric=say(f"metric.name.{found.metric}"),
            quality=value_of(quality, found.quality),
            model=value_of(quality, found.model_quality),
            count=whole(found.count),
            items=say(f"decide.onnx.items.{found.metric}"),
        )
    )
    for note in found.notes:
        known = _KNOWN_NOTES.get(note)
        text = say(known) if known else say("decide.kit.note", text=as_plain(note))
        st.markdown(f":material/info: {text}")
    _offer(
        found.bytes,
        run.folder / ONNX,
        "onnx",
        run,
        functools.partial(pack_export, run, found),
    )
    versions = found.versions
    made = say(
        "decide.onnx.versions",
        opset=found.opset,
        torch=as_plain(versions.get("torch", "?")),
        runtime=as_plain(versions.get("onnxruntime", "?")),
    )
    st.markdown(f":gray[{made}]")
    st.markdown(say("decide.onnx.took", time=duration(run.status.seconds), id=run.id))
    return sums


def _offer(size: int, folder: Path, name: str, run: Run, pack: Callable[[], Path]) -> None:
    """Offer a folder as a zip, or say where it lies if it is too large for a browser."""
    if size > MOST_BYTES:
        st.markdown(f":material/folder: {say('decide.too_large', size=megabytes(MOST_BYTES))}")
        st.code(str(folder), language=None)
        return
    _download(
        say(f"decide.{name}.get"),
        functools.partial(_read, pack),
        f"osscar-{name}-{run.id}.zip",
        "application/zip",
        f"take_{name}_{run.id}",
    )


def _show_made_kit(run: Run, kit: KitReport) -> Sequence[Sum]:
    found = Sum(MANIFEST, kit.manifest_sha256)
    _facts(megabytes(kit.bytes), found)
    _checked(say("decide.kit.same", difference=significant(kit.max_difference, 2)))
    for each in kit.false_alarms:
        st.markdown(
            ":material/notifications: "
            + say(
                "decide.kit.alarms",
                size=whole(each.size),
                alarms=whole(each.alarms),
                resamples=whole(each.resamples),
                rate=percent(each.rate, 1),
                low=percent(each.low, 1),
                high=percent(each.high, 1),
                wanted=percent(kit.alarm_rate),
            )
        )
    for note in kit.notes:
        st.markdown(f":material/info: {say('decide.kit.note', text=as_plain(note))}")
    _offer(kit.bytes, run.folder / KIT, "kit", run, functools.partial(pack_kit, run, kit))
    st.markdown(say("decide.kit.took", time=duration(run.status.seconds), id=run.id))
    return (found,)


def _show_numbers(case: Case) -> Sequence[Sum]:
    subject, run = case.subject, case.subject.run
    with st.container(border=True, key="take_numbers", gap="small"):
        _head("numbers", "data_object")
        files = {f"osscar-result-{run.id}.json": to_json(subject.result, indent=1).encode()}
        if not examples.is_example(run):
            files[f"osscar-run-{run.id}.zip"] = subject.store.pack(run)
        sums = []
        for file_name, data in files.items():
            kind = file_name.rpartition(".")[2]
            sums.append(Sum(file_name, hashlib.sha256(data).hexdigest()))
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"numbers_{kind}"
            ):
                _download(
                    say(f"decide.numbers.get.{kind}"),
                    functools.partial(bytes, data),
                    file_name,
                    f"application/{kind}",
                    f"take_{kind}_{run.id}",
                )
                _facts(megabytes(len(data)), sums[-1])
        if examples.is_example(run):
            st.markdown(f":material/info: {say('decide.numbers.example')}")
        return sums
