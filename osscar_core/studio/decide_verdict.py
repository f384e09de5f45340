"""The verdict on screen: the word, three reasons, what is missing, the rule.

The decision hidden here: which page has the evidence of which criterion, and what of the
evidence is told beside the finding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import streamlit as st

from osscar_core.phrases import Words
from osscar_core.phrases.sentences import finding_text, rule_header, rule_rows
from osscar_core.savings import Currency
from osscar_core.studio import guarding, urlstate
from osscar_core.studio.check import TAB
from osscar_core.studio.check_bench import data_info
from osscar_core.studio.check_found import result_of
from osscar_core.studio.check_words import data_name, listed_margins, margin_text
from osscar_core.studio.decide_evidence import Case
from osscar_core.studio.frame import PAGES, PARAMETERS, go
from osscar_core.studio.numbers import date, whole
from osscar_core.studio.requests import CheckKind
from osscar_core.studio.summary import is_untrained
from osscar_core.studio.texts import as_plain, language, say
from osscar_core.verdict import Choice, Criterion, Finding, Grade

CHOICES = {
    Choice.GO: ":green[:material/check_circle:]",
    Choice.PILOT: ":orange[:material/contrast:]",
    Choice.DONT: ":red[:material/block:]",
}
GRADES = {
    Grade.GOOD: ":green[:material/check_circle:]",
    Grade.OPEN: ":orange[:material/help:]",
    Grade.MISSING: ":gray[:material/hourglass_empty:]",
    Grade.BAD: ":red[:material/cancel:]",
}
_CELL_MARKS = ("", "✓ ", "? ", "✗ ")


def show_verdict(case: Case) -> None:
    """Show what to do and why."""
    words, verdict = Words(language()), case.verdict
    with st.container(key="verdict"):
        choice = words.say(f"verdict.{verdict.choice}")
        st.markdown(f"## {CHOICES[verdict.choice]} {as_plain(choice)}")
        st.markdown(as_plain(words.say(f"verdict.{verdict.choice}.text")))
    if is_untrained(case.subject.result):
        st.warning(say("verdict.untrained"), icon=":material/science:")
    st.markdown(f"### {say('decide.reasons')}")
    _show_findings(case, verdict.reasons, words, "reason")
    _show_missing(case, words)
    reasons = {finding.criterion for finding in verdict.reasons}
    rest = [finding for finding in verdict.findings if finding.criterion not in reasons]
    st.markdown(f"### {say('decide.rest')}")
    _show_findings(case, rest, words, "rest")
    with st.expander(words.say("rule.title"), icon=":material/rule:"), st.container(key="rule"):
        st.markdown(as_plain(words.say("rule.text")))
        st.markdown(
            table(
                rule_header(words),
                [
                    [f"{mark}{cell}" for mark, cell in zip(_CELL_MARKS, row, strict=True)]
                    for row in rule_rows(words)
                ],
            )
        )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return plain texts as a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell if cell == "---" else as_plain(cell) for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _show_findings(case: Case, findings: Sequence[Finding], words: Words, place: str) -> None:
    for finding in findings:
        with st.container(
            horizontal=True,
            vertical_alignment="center",
            gap="small",
            key=f"{place}_{finding.criterion.value}",
        ):
            name = words.say(f"criterion.{finding.criterion}")
            grade = words.say(f"grade.{finding.grade}")
            text = finding_text(finding, case.verdict, currency_of(case), words)
            told = f"{GRADES[finding.grade]} " + say(
                "decide.finding", name=as_plain(name), grade=as_plain(grade), text=as_plain(text)
            )
            basis = _basis(case, finding.criterion)
            st.markdown(f"{told}  \n{basis}" if basis else told, width="stretch")
            _link(case, finding)


def _show_missing(case: Case, words: Words) -> None:
    missing, count = case.verdict.missing, len(case.verdict.findings)
    if not missing:
        st.markdown(f":material/done_all: {say('decide.complete', count=count)}")
        return
    names = (words.say(f"criterion.{each}") for each in missing)
    named = functools.reduce(lambda one, two: say("decide.and", first=one, second=two), names)
    told = say("decide.missing", missing=len(missing), count=count)
    st.markdown(
        f":material/hourglass_empty: **{told}** "
        + say("decide.missing.which", names=as_plain(named))
    )


def _link(case: Case, finding: Finding) -> None:
    """Offer the way to the evidence, or to where it can be made."""
    criterion, run = finding.criterion, case.source(finding.criterion)
    is_missing = finding.grade is Grade.MISSING
    if criterion is Criterion.SAVINGS:
        st.markdown(f"[{say('decide.link.savings')}](#savings)", width="content")
        return
    # What is to be protected is said where a model is made.
    page = "explore" if criterion is Criterion.PROTECTED else finding.pointer.page
    label = say(f"decide.link.{'make' if is_missing else 'see'}.{page}")
    if criterion is Criterion.SHIFT and is_missing:
        if st.button(label, icon=PAGES[page][1], type="tertiary", key="to_shift"):
            st.session_state[TAB] = "shift"
            go(page)
        return
    query = {**urlstate.current(PARAMETERS), "run": (run or case.subject.run).id}
    st.page_link(
        PAGES[page][0],
        label=label,
        icon=PAGES[page][1],
        query_params=query,
    )


def _basis(case: Case, criterion: Criterion) -> str:
    """Return what a finding rests on: device, data, run, day."""
    match criterion:
        case Criterion.SPEED:
            device = as_plain(case.speed.pruned.conditions.get("device", "?"))
            key = "decide.basis.elsewhere" if case.is_from_elsewhere else "decide.basis.here"
            return say(key, device=device, id=case.subject.run.id)
        case Criterion.QUALITY | Criterion.SHIFT:
            return _check_basis(case, criterion)
        case Criterion.PROTECTED if case.subject.result.prune.guards is not None:
            return guarding.proof(case.subject.result.prune.guards)
        case _:
            return ""


def _check_basis(case: Case, criterion: Criterion) -> str:
    run = case.source(criterion)
    result = result_of(run) if run is not None else None
    if run is None or result is None:
        return ""
    info = data_info(result)
    parts = [
        say(
            "decide.basis.check",
            name=as_plain(data_name(info.spec)),
            count=whole(info.count),
            date=date(run.created),
            id=run.id,
        )
    ]
    if case.ab is not None and criterion is Criterion.QUALITY:
        report = case.ab[1]
        margin = margin_text(report.margin, report.metric)
        parts.append(say("decide.basis.margin", margin=margin))
        found = [r.ab for _, r in case.subject.finished(CheckKind.AB) if r.ab]
        same = [each for each in found if each.data.digest == report.data.digest]
        parts.append(listed_margins(same))
    return " ".join(part for part in parts if part)


def currency_of(case: Case) -> Currency:
    """Return in what money is told."""
    return case.savings.currency if case.savings is not None else Currency.YEN
