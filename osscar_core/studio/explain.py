"""What a run removed, layer by layer, in sentences and rows.

The decision hidden here: which facts of a pruning report make someone trust it.
"""

from __future__ import annotations

import statistics

import streamlit as st

from osscar_core.figures import short_names, unit_errors, unit_shares
from osscar_core.records import UnitReport
from osscar_core.studio import chosen
from osscar_core.studio.frame import go, is_dark, run_title
from osscar_core.studio.jobs import Run, RunStore, State
from osscar_core.studio.numbers import (
    date_time,
    duration,
    megabytes,
    percent,
    significant,
    whole,
)
from osscar_core.studio.requests import RunResult
from osscar_core.studio.summary import method_name
from osscar_core.studio.texts import as_plain, say


def lead(units: tuple[UnitReport, ...]) -> str:
    """Return how much went, and where the output changed most and least."""
    short = [
        say("explain.layer.number", number=name) if name.isdigit() else name
        for name in short_names([unit.name for unit in units])
    ]
    names = dict(zip((unit.name for unit in units), short, strict=True))
    worst = max(units, key=lambda unit: unit.relative_error)
    best = min(units, key=lambda unit: unit.relative_error)
    structures = dict.fromkeys(say(f"structure.{unit.structure.value}") for unit in units)
    text = say(
        "explain.lead",
        removed=whole(sum(unit.groups - unit.kept for unit in units)),
        groups=whole(sum(unit.groups for unit in units)),
        structures=" + ".join(structures),
        units=len(units),
        worst=names[worst.name],
        error=share(worst.relative_error),
        best=names[best.name],
        least=share(best.relative_error),
    )
    compared = [unit for unit in units if unit.magnitude_error > 0]
    if compared:
        ratios = [unit.relative_error / unit.magnitude_error for unit in compared]
        text += " " + say(
            "explain.beats",
            better=sum(ratio < 1 for ratio in ratios),
            count=len(compared),
            factor=percent(statistics.median(ratios)),
        )
    return text


def share(value: float) -> str:
    """Return a relative error as per cent with three digits."""
    return f"{significant(100 * value)}%"


def rows(units: tuple[UnitReport, ...]) -> list[dict[str, object]]:
    """Return one row a unit, for the table."""
    return [
        {
            say("explain.layer"): unit.name,
            say("explain.structure"): say(f"structure.{unit.structure.value}"),
            say("explain.before"): unit.groups,
            say("explain.after"): unit.kept,
            say("explain.removed"): percent(1 - unit.kept / unit.groups, 1),
            say("explain.relative"): 100 * unit.relative_error,
            say("explain.magnitude"): 100 * unit.magnitude_error,
            say("explain.swaps"): unit.swaps,
            say("explain.gap"): None if unit.gap is None else 100 * unit.gap,
            say("explain.seconds"): unit.seconds,
        }
        for unit in units
    ]


def solver_facts(result: RunResult) -> str:
    """Return what the solver did, in one line."""
    report, spec = result.prune, result.prune.plan.spec
    return say(
        "explain.solver.body",
        method=method_name(spec.method),
        target=say(f"target.{spec.target.value}") if spec.target else say("form.auto"),
        intercept=say(f"intercept.{spec.intercept.value}"),
        damping=significant(spec.damping, 1),
        seed=spec.seed,
        swaps=sum(unit.swaps for unit in report.units),
        search=duration(sum(unit.seconds for unit in report.units)),
        total=duration(report.seconds),
        memory=megabytes(report.peak_memory_bytes),
    )


def provenance(run: Run, result: RunResult) -> list[tuple[str, str]]:
    """Return where every number of the run comes from, as pairs of a name and a value."""
    plan, data = result.prune.plan, result.dense.data
    items = say("explain.images")
    if plan.calibration.kind == "text":
        items = say("explain.windows", seqlen=plan.calibration.seqlen or "?")
    facts = {
        "model": plan.source.model,
        "weights": plan.source.weights,
        "revision": plan.source.revision,
        "sha": plan.source.sha256,
        "calibration": say(
            "explain.items",
            spec=plan.calibration.spec,
            count=whole(plan.calibration.count),
            items=items,
        ),
        "digest": plan.calibration.digest,
        "test": f"{data.spec}, {whole(data.count)}",
        "test_digest": data.digest,
        "protocol": result.dense.protocol,
        "environment": ", ".join(f"{k} {v}" for k, v in plan.environment.items()),
        "created": date_time(plan.created),
        "run": run.id,
    }
    return [(say(f"explain.key.{key}"), value) for key, value in facts.items() if value]


def choose(store: RunStore) -> Run | None:
    """Return the chosen run if it is finished, else the newest; offer a way out without any."""
    run = chosen.run(store)
    if run is None or run.status.state is not State.FINISHED:
        run = next(iter(chosen.runs(store)), None)
    if run is None:
        with st.container(border=True):
            st.markdown(f"#### {say('explain.none')}")
            st.markdown(say("explain.none.body"))
            if st.button(say("explain.go"), icon=":material/tune:", type="primary"):
                go("explore")
        return None
    st.markdown(f"**{as_plain(run_title(run))}**")
    return run


def show_lead(result: RunResult) -> None:
    """Say in words what was removed."""
    with st.container(key="verdict"):
        st.markdown(lead(result.prune.units))


def show_figures(result: RunResult) -> None:
    """Draw what was kept and how much each layer's output changed."""
    units, method = result.prune.units, method_name(result.prune.plan.spec.method)
    words = {"kept": say("explain.kept.share"), "removed": say("explain.removed")}
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"#### {say('explain.kept')}")
        st.plotly_chart(
            unit_shares(units, words=words, dark=is_dark()),
            key="shares",
            config={"displayModeBar": False},
            alt=say("explain.kept.alt", count=len(units)),
        )
    with right:
        st.markdown(f"#### {say('explain.error')}", help=say("explain.error.help"))
        st.plotly_chart(
            unit_errors(units, method=method, baseline=say("explain.magnitude"), dark=is_dark()),
            key="errors",
            config={"displayModeBar": False},
            alt=say("explain.error.alt", count=len(units), method=method),
        )


def show_warnings(result: RunResult) -> None:
    """Show what the pruner wants a careful reader to know."""
    if result.prune.warnings:
        st.info(
            "\n".join(f"- {as_plain(text)}" for text in result.prune.warnings),
            icon=":material/info:",
            title=say("explain.warnings"),
        )


def show_table(result: RunResult) -> None:
    """Show every layer's numbers."""
    st.markdown(f"#### {say('explain.table')}")
    columns = {
        say(f"explain.{name}"): st.column_config.NumberColumn(format="%.3g%%")
        for name in ("relative", "magnitude", "gap")
    }
    columns[say("explain.seconds")] = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        rows(result.prune.units),
        hide_index=True,
        column_config=columns,
        alt=say("explain.table"),
    )


def show_facts(run: Run, result: RunResult) -> None:
    """Show what the solver did and what every number rests on."""
    st.markdown(f"#### {say('explain.solver')}")
    st.markdown(solver_facts(result))
    st.markdown(f"#### {say('explain.provenance')}")
    lines = [f"|{name}|`{fact}`|" for name, fact in provenance(run, result)]
    with st.container(key="facts"):
        st.markdown("\n".join(["| | |", "|-|-|", *lines]))
