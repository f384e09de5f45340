"""What can be taken home: the model, the report, the monitoring kit, the numbers.

The decision hidden here: what stands behind a check mark, and what is said where something
cannot be had. What other programs load is in `take_formats`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence

import streamlit as st

from osscar_core.errors import OsscarError
from osscar_core.monitoring.records import KitReport
from osscar_core.records import to_json
from osscar_core.report import ReportContent, report_html
from osscar_core.studio import chosen, examples
from osscar_core.studio.access import Act
from osscar_core.studio.actions import roughly
from osscar_core.studio.attempt import KIT
from osscar_core.studio.bundle import pathless
from osscar_core.studio.check_found import Subject
from osscar_core.studio.decide_evidence import Case, content_of
from osscar_core.studio.desk import Desk
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import about, duration, megabytes, percent, significant, whole
from osscar_core.studio.orders import expected_seconds
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest
from osscar_core.studio.runcard import attempt
from osscar_core.studio.summary import value_of
from osscar_core.studio.take_cards import (
    Order,
    Sum,
    show_checked,
    show_download,
    show_facts,
    show_folder,
    show_head,
    show_info,
    show_order,
)
from osscar_core.studio.take_formats import show_formats
from osscar_core.studio.takehome import (
    MANIFEST,
    WEIGHTS,
    kit_of,
    read_record,
)
from osscar_core.studio.texts import LANGUAGES, as_plain, say
from osscar_core.studio.told import told

_LOADING = """from osscar_core import load_model

small = load_model("{folder}")  # the unpacked folder
"""


def show_take_home(case: Case) -> None:
    """Show every file with its size, its checksum and what was verified."""
    st.header(say("decide.take"), anchor="take")
    st.markdown(say("decide.take.what"))
    store = case.subject.store
    if not store.may(Act.EXPORT, case.subject.run):
        _show_report(case)
        show_info(say("decide.take.limits"))
        return
    # What others share can be looked at, not taken away.
    runs = [run for run in store.runs() if store.may(Act.EXPORT, run)]
    sums = [
        *_show_model(case),
        *show_formats(case.subject, runs),
        *_show_report(case),
        *_show_kit(case.subject, runs),
        *_show_numbers(case),
    ]
    with st.expander(say("decide.sums"), icon=":material/tag:"):
        st.markdown(say("decide.sums.what"))
        st.code("\n".join(f"{each.sha256}  {each.name}" for each in sums), language=None)


def _show_model(case: Case) -> Sequence[Sum]:
    subject, run = case.subject, case.subject.run
    with st.container(border=True, key="take_model", gap="small"):
        show_head(say("decide.model"), say("decide.model.what"), "deployed_code")
        if examples.is_example(run) or not run.model_folder.is_dir():
            _show_no_model(subject)
            return ()
        record = read_record(run)
        weights = record.weights if record is not None else None
        size = record.bytes if record is not None else subject.result.prune.bytes.pruned
        folder = f"{run.id}-model"
        found = Sum(f"{folder}/{WEIGHTS}", weights.sha256) if weights is not None else None
        show_facts(megabytes(size), found)
        if record is not None:
            quality = subject.result.pruned
            show_checked(
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
        show_folder(
            say("decide.model.get"),
            size,
            run.model_folder,
            "model",
            run,
            functools.partial(subject.store.pack_model, run),
            is_first=True,
        )
        with st.expander(say("decide.model.load"), icon=":material/code:"):
            st.code(_LOADING.format(folder=folder), language="python")
        files = record.files if record is not None else ()
        return [Sum(f"{folder}/{file.name}", file.sha256) for file in files]


def _show_no_model(subject: Subject) -> None:
    """Say why there is no model here, and offer to make it."""
    run = subject.run
    kind = "example" if examples.is_example(run) else "imported" if run.is_imported else "gone"
    show_info(say(f"decide.model.none.{kind}"))
    # Asking again for what was computed here gives the run that there is.
    if kind == "gone":
        return
    seconds = expected_seconds(run.request, subject.store.runs())
    label = say("decide.model.make")
    st.button(
        f"{label} ({about(roughly(seconds))})" if seconds else label,
        key="take_make_model",
        icon=":material/play_arrow:",
        on_click=attempt,
        args=(functools.partial(_measure_here, subject),),
    )


def _measure_here(subject: Subject) -> None:
    chosen.choose_run(subject.store.submit(subject.run.request))


def _show_report(case: Case) -> Sequence[Sum]:
    run_id = case.subject.run.id
    with st.container(border=True, key="take_report", gap="small"):
        show_head(say("decide.report"), say("decide.report.what"), "description")
        try:
            content = content_of(case)
            pages = {code: _html(content, code) for code in LANGUAGES}
        except OsscarError as error:
            problem, remedy = told(error.problem, error.remedy)
            show_info(f"{say('decide.report.none')} {problem} {remedy}")
            return ()
        sums = []
        for code, name in LANGUAGES.items():
            data, file_name = pages[code], f"osscar-report-{run_id}-{code}.html"
            sums.append(Sum(file_name, hashlib.sha256(data).hexdigest()))
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"report_{code}"
            ):
                show_download(
                    say("decide.report.get", language=name),
                    functools.partial(bytes, data),
                    file_name,
                    "text/html",
                    f"take_report_{code}_{run_id}",
                )
                show_facts(megabytes(len(data)), sums[-1])
        show_checked(say("decide.report.checked"))
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


def _show_kit(subject: Subject, runs: Sequence[Run]) -> Sequence[Sum]:
    def made(run: Run) -> Callable[[], Sequence[Sum]] | None:
        kit = kit_of(run)
        return None if kit is None else functools.partial(_show_made_kit, subject.store, run, kit)

    request = JobRequest(
        subject.spec,
        # The reference is what the model was calibrated on.
        data=subject.spec.calibration,
        kind=JobKind.KIT,
        check=CheckRequest(CheckKind.AB, subject.run.id),
    )
    with st.container(border=True, key="take_kit", gap="small"):
        show_head(say("decide.kit"), say("decide.kit.what"), "monitor_heart")
        return show_order(subject, Order("kit", "kit", request), runs, made)


def _show_made_kit(store: Desk, run: Run, kit: KitReport) -> Sequence[Sum]:
    found = Sum(f"{run.id}-kit/{MANIFEST}", kit.manifest_sha256)
    show_facts(megabytes(kit.bytes), found)
    show_checked(say("decide.kit.same", difference=significant(kit.max_difference, 2)))
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
        show_info(say("decide.kit.note", text=as_plain(note)))
    pack = functools.partial(store.pack_kit, run, kit)
    show_folder(say("decide.kit.get"), kit.bytes, run.folder / KIT, "kit", run, pack)
    st.markdown(say("decide.kit.took", time=duration(run.status.seconds), id=run.id))
    return (found,)


def _show_numbers(case: Case) -> Sequence[Sum]:
    subject, run = case.subject, case.subject.run
    with st.container(border=True, key="take_numbers", gap="small"):
        show_head(say("decide.numbers"), say("decide.numbers.what"), "data_object")
        files = {
            f"osscar-result-{run.id}.json": to_json(pathless(subject.result), indent=1).encode()
        }
        if not examples.is_example(run):
            files[f"osscar-run-{run.id}.zip"] = subject.store.pack(run)
        sums = []
        for file_name, data in files.items():
            kind = file_name.rpartition(".")[2]
            sums.append(Sum(file_name, hashlib.sha256(data).hexdigest()))
            with st.container(
                horizontal=True, vertical_alignment="center", gap="small", key=f"numbers_{kind}"
            ):
                show_download(
                    say(f"decide.numbers.get.{kind}"),
                    functools.partial(subject.store.take_out, run, functools.partial(bytes, data)),
                    file_name,
                    f"application/{kind}",
                    f"take_{kind}_{run.id}",
                )
                show_facts(megabytes(len(data)), sums[-1])
        if examples.is_example(run):
            show_info(say("decide.numbers.example"))
        return sums
