"""What a run rests on: what the solver did, and where every number comes from."""

from __future__ import annotations

import statistics

import streamlit as st

from osscar_core.notation import in_code
from osscar_core.studio.explain_layers import share
from osscar_core.studio.jobs import Run
from osscar_core.studio.numbers import date_time, duration, megabytes, significant, whole
from osscar_core.studio.requests import RunResult
from osscar_core.studio.summary import method_name
from osscar_core.studio.texts import as_plain, say


def solver_facts(result: RunResult) -> str:
    """Return what the solver did, in one line."""
    report, spec = result.prune, result.prune.plan.spec
    errors = [unit.relative_error for unit in report.units]
    return say(
        "explain.solver.body",
        method=method_name(spec.method),
        objective=say("explain.objective"),
        median=share(statistics.median(errors)),
        most=share(max(errors)),
        target=say(f"target.{spec.target.value}") if spec.target else say("form.auto"),
        intercept=say(f"intercept.{spec.intercept.value}"),
        damping=significant(spec.damping, 1),
        seed=spec.seed,
        swaps=sum(unit.swaps for unit in report.units),
        search=duration(sum(unit.seconds for unit in report.units)),
        total=duration(report.seconds),
        memory=megabytes(report.peak_memory_bytes),
    )


def budget_facts(result: RunResult) -> str:
    """Return how removal was spread over the layers, in one line; empty for equal shares."""
    budget = result.prune.budget
    if budget is None:
        return ""
    return say(
        "explain.budget",
        predicted=significant(budget.predicted),
        bound=significant(budget.bound),
        probes=budget.probes,
    )


def provenance(run: Run, result: RunResult) -> list[tuple[str, str]]:
    """Return where every number of the run comes from, as pairs of a name and a value."""
    plan, data = result.prune.plan, result.dense.data
    items = say("explain.images")
    if plan.calibration.kind == "text":
        items = say("explain.windows", seqlen=plan.calibration.seqlen or "?")
    facts = {
        "run": run.id,
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
    }
    return [(say(f"explain.key.{key}"), value) for key, value in facts.items() if value]


def show_facts(run: Run, result: RunResult) -> None:
    """Show what the solver did and what every number rests on."""
    st.markdown(f"## {say('explain.solver')}")
    st.markdown("  \n".join(text for text in (solver_facts(result), budget_facts(result)) if text))
    if result.prune.warnings:
        st.info(
            "\n".join(f"- {as_plain(text)}" for text in result.prune.warnings),
            icon=":material/info:",
            title=say("explain.warnings"),
        )
    st.markdown(f"## {say('explain.provenance')}")
    show_pairs(
        [(name, f"`{in_code(fact)}`") for name, fact in provenance(run, result)], key="facts"
    )


def show_pairs(pairs: list[tuple[str, str]], key: str) -> None:
    """Show names and values as a plain table."""
    lines = ["|{}|{}|".format(*(text.replace("|", "\\|") for text in pair)) for pair in pairs]
    with st.container(key=key):
        st.markdown("\n".join(["| | |", "|-|-|", *lines]))
