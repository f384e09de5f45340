"""The Explain page: which run, what was removed of it, and one layer in detail.

The decision hidden here: how a layer is chosen. A click on any figure, the list of layers
and the link all write one value of the session, ``layer``, and every figure marks it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from osscar_core.brief import Brief
from osscar_core.figures import (
    MOST_SQUARES,
    Layer,
    is_wide,
    kept_map,
    output_errors,
    removed_shares,
    sensitivity,
)
from osscar_core.records import UnitReport
from osscar_core.studio import chosen, examples
from osscar_core.studio.briefs import find_brief
from osscar_core.studio.cards import card
from osscar_core.studio.desk import Desk
from osscar_core.studio.explain_facts import show_pairs
from osscar_core.studio.explain_layers import (
    bin_size,
    by_structure,
    describe_cell,
    describe_layer,
    evidence,
    facts,
    joined,
    lead,
    rows,
)
from osscar_core.studio.frame import go, is_dark, run_title, watch
from osscar_core.studio.jobs import Run, State
from osscar_core.studio.numbers import date, percent, significant, whole
from osscar_core.studio.requests import RunResult
from osscar_core.studio.results import outcome
from osscar_core.studio.summary import is_untrained, method_name
from osscar_core.studio.texts import as_plain, say

PROTECTED = "protect"
"""Key of the session: the most that may be removed of a unit in the next run, by its name."""

_SHOWN_RUN = "_explained_run"
_ICONS = {True: ":green[:material/check_circle:]", False: ":red[:material/warning:]"}
_NEUTRAL = ":gray[:material/info:]"
_QUIET = {"displayModeBar": False}
# A narrow map keeps its squares square; a wide one fills the page.
_SQUARE_PIXELS, _LABEL_PIXELS, _NARROW_PIXELS = 22, 96, 420


def choose(store: Desk) -> tuple[Run, RunResult] | None:
    """Return the chosen run with its result; where there is none, say why and what to do."""
    run = chosen.run(store)
    if run is None:
        with st.container(border=True):
            st.markdown(f"## {say('explain.none')}")
            st.markdown(say("explain.none.body"))
            if st.button(say("explain.go"), icon=":material/tune:", type="primary"):
                go("explore")
        return None
    _show_title(run)
    result = examples.result_of(store, run)
    if result is None:
        _show_without_result(store, run)
        return None
    return run, result


def _show_title(run: Run) -> None:
    st.markdown(f"**{as_plain(run_title(run))}** · `{run.id}`")


def _show_without_result(store: Desk, run: Run) -> None:
    state = run.status.state
    if state.is_live:
        st.info(say("explain.live"), icon=":material/hourglass_top:")
        with st.container(border=True, key="main_live"):
            watch(run.id, "main")
    elif state is State.FINISHED:
        card(say("outcome.damaged"), safe=say("explain.damaged"), todo=say("explain.damaged.todo"))
    else:
        card(outcome(run), kind="error" if state is State.FAILED else "warning")
    finished = [other for other in chosen.runs(store) if other.id != run.id]
    with st.container(horizontal=True, gap="small"):
        if st.button(say("explain.to_runs"), icon=":material/history:"):
            go("runs")
        if finished and st.button(say("explain.to_newest"), icon=":material/account_tree:"):
            chosen.choose_run(finished[0])
            st.rerun()


def show_lead(run: Run, result: RunResult, layers: Sequence[Layer]) -> None:
    """Say in words what was removed, and what speaks for it and against."""
    if examples.is_example(run):
        device = as_plain(result.pruned_speed.conditions.get("device", ""))
        when = date(result.prune.plan.created)
        label = say("example.label", device=device, date=when)
        badge = f":blue-badge[:material/inventory_2: {label}]"
        st.markdown(badge, help=say("example.help", id=run.id))
    with st.container(key="verdict"):
        st.markdown(lead(layers))
    st.markdown(
        "\n".join(
            f"- {_NEUTRAL if reason.is_good is None else _ICONS[reason.is_good]} {reason.text}"
            for reason in evidence(result)
        )
    )
    if is_untrained(result):
        st.warning(say("verdict.untrained"), icon=":material/science:")


def show_layers(run: Run, result: RunResult, layers: Sequence[Layer]) -> None:
    """Show the kept map with one layer in detail, then shares and errors of all."""
    selected = _selected(run, layers)
    left, right = st.columns([8, 5], gap="medium")
    with left:
        _show_maps(layers, selected)
    with right, st.container(border=True, key="layer_detail", gap="small"):
        _show_detail(run, result, layers, selected)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"## {say('explain.shares')}")
        figure = removed_shares(
            layers,
            words={
                "layer": say("explain.layer"),
                "removed": say("explain.axis.removed"),
            },
            describe=describe_layer,
            selected=selected.id,
            dark=is_dark(),
        )
        _clickable(figure, "shares", say("explain.shares.alt", count=len(layers)))
    with right:
        _show_errors(result, layers, selected)


def _show_maps(layers: Sequence[Layer], selected: Layer) -> None:
    st.markdown(f"## {say('explain.map')}", help=say("explain.map.help"))
    if any(layer.support is None for layer in layers):
        st.info(say("explain.map.unknown"), icon=":material/info:")
    for index, part in enumerate(by_structure(layers)):
        structure = part[0].structure
        figure = kept_map(
            part,
            words={
                "kept": say("explain.kept"),
                "removed": say("explain.removed"),
                "layer": say("explain.layer"),
                "group": say("explain.map.axis", structure=structure[:1].upper() + structure[1:]),
            },
            describe=describe_cell,
            selected=selected.id,
            dark=is_dark(),
        )
        columns = max(min(layer.groups, MOST_SQUARES) for layer in part)
        wanted = _LABEL_PIXELS + _SQUARE_PIXELS * columns
        alt = say(
            "explain.map.alt",
            structure=structure,
            count=len(part),
            kept=whole(sum(layer.kept for layer in part)),
            groups=whole(sum(layer.groups for layer in part)),
        )
        width: int | Literal["stretch"] = wanted if wanted <= _NARROW_PIXELS else "stretch"
        _clickable(figure, f"map_{index}", alt, width)
    st.markdown(f":gray[{_legend(layers)}]")


def _legend(layers: Sequence[Layer]) -> str:
    notes = []
    if all(layer.support is not None for layer in layers):
        notes.append(say("explain.map.legend"))
        size = bin_size(layers, MOST_SQUARES)
        if size > 1:
            notes.append(say("explain.map.bins", most=size))
    if any(layer.is_protected for layer in layers):
        notes.append(f":material/lock: {say('explain.map.lock')}")
    notes.append(say("explain.map.click"))
    return joined(notes, "explain.sentences")


def _show_errors(result: RunResult, layers: Sequence[Layer], selected: Layer) -> None:
    method = result.prune.plan.spec.method
    st.markdown(f"## {say('explain.error')}", help=say("explain.error.help"))
    figure = output_errors(
        layers,
        words={
            "layer": say("explain.layer"),
            "error": say("explain.axis.error"),
            "error_log": say("explain.axis.error_log"),
            "method": method_name(method),
            "baseline": say("explain.magnitude"),
        },
        series=method.value,
        selected=selected.id,
        dark=is_dark(),
    )
    alt = say("explain.error.alt", count=len(layers), method=method_name(method))
    _clickable(figure, "errors", alt)
    untouched = sum(layer.error == 0 for layer in layers)
    if untouched and is_wide(layers):
        st.markdown(f":gray[{say('explain.error.zero', count=untouched)}]")


def _clickable(
    figure: object, key: str, alt: str, width: int | Literal["stretch"] = "stretch"
) -> None:
    st.plotly_chart(
        figure,
        width=width,
        key=key,
        on_select=functools.partial(_clicked, key),
        selection_mode="points",
        config=_QUIET,
        alt=alt,
    )


def _clicked(key: str) -> None:
    """Keep what was clicked: the figure forgets its selection as soon as it is redrawn."""
    for point in st.session_state[key].get("selection", {}).get("points", []):
        if point.get("customdata"):
            st.session_state["layer"] = point["customdata"][0]


def _selected(run: Run, layers: Sequence[Layer]) -> Layer:
    """Return the layer of the link or the last click; else the one that changed most."""
    state = st.session_state
    found = next((layer for layer in layers if layer.id == state["layer"]), None)
    if found is None and state["layer"]:
        # A layer of the run shown before means nothing here; any other came with a link.
        if state.get(_SHOWN_RUN, run.id) == run.id:
            st.toast(say("notice.ignored", key="layer"), icon=":material/link_off:")
        state["layer"] = ""
    state[_SHOWN_RUN] = run.id
    return found or max(layers, key=lambda layer: layer.error)


def _show_detail(run: Run, result: RunResult, layers: Sequence[Layer], selected: Layer) -> None:
    state = st.session_state
    state["_layer"] = selected.id
    names = {layer.id: layer.name for layer in layers}
    st.selectbox(
        say("explain.detail"),
        list(names),
        key="_layer",
        format_func=lambda layer: names[layer],
        on_change=_layer_chosen,
        help=say("explain.detail.help"),
    )
    unit = result.prune.units[[layer.id for layer in layers].index(selected.id)]
    brief = find_brief(run.request.spec)
    show_pairs(facts(unit, selected, result, brief), key="layer_facts")
    _show_sensitivity(unit, selected, brief)
    _offer_protection(unit, selected)


def _layer_chosen() -> None:
    st.session_state["layer"] = st.session_state["_layer"]


def _show_sensitivity(unit: UnitReport, layer: Layer, brief: Brief | None) -> None:
    """Draw what cutting this layer alone does to the model, where a survey measured it."""
    surveyed = next((u for u in brief.record.units if u.name == unit.name), None) if brief else None
    if brief is None or surveyed is None or surveyed.groups != unit.groups:
        st.markdown(f":gray[{say('explain.sensitivity.none')}]")
        return
    st.markdown(
        f"**{say('explain.sensitivity')}**",
        help=say("explain.sensitivity.help", count=whole(brief.record.predictions)),
    )
    loss = brief.curves()[unit.name]
    step = max(1, unit.groups // MOST_SQUARES)
    every = sorted({*range(unit.groups, loss.widths[0], -step), loss.widths[0]}, reverse=True)
    curve = [(width, float(loss.at([width])[0])) for width in every]
    is_known = unit.kept >= loss.widths[0]
    here = (unit.kept, float(loss.at([unit.kept])[0])) if is_known else None
    figure = sensitivity(
        unit.groups,
        surveyed.widths,
        surveyed.divergences,
        curve=curve,
        here=here,
        words={
            "removed": say("explain.axis.removed"),
            "divergence": say("explain.axis.divergence"),
            "measured": say("explain.sensitivity.measured"),
            "estimate": say("explain.sensitivity.between"),
            "here": say("explain.sensitivity.here"),
        },
        dark=is_dark(),
    )
    pairs = zip(surveyed.widths, surveyed.divergences, strict=True)
    told = joined(
        f"{percent(1 - width / unit.groups)}: {significant(value)}"
        for width, value in sorted(pairs, reverse=True)
    )
    st.plotly_chart(
        figure,
        key="sensitivity",
        config=_QUIET,
        alt=say("explain.sensitivity.alt", layer=layer.name, values=told),
    )


def _offer_protection(unit: UnitReport, layer: Layer) -> None:
    protected: dict[str, float] = st.session_state.get(PROTECTED, {})
    if protected.get(unit.name) == 0:
        st.markdown(f":material/lock: {say('explain.protect.next')}")
        if st.button(say("explain.protect.undo"), key="unprotect", icon=":material/lock_open:"):
            rest = {name: most for name, most in protected.items() if name != unit.name}
            st.session_state[PROTECTED] = rest
            st.rerun()
    elif st.button(
        say("explain.protect"),
        key="protect_layer",
        icon=":material/lock:",
        help=say("explain.protect.help", layer=layer.name),
    ):
        st.session_state[PROTECTED] = {**protected, unit.name: 0.0}
        go("explore")


def show_table(result: RunResult) -> None:
    """Show every layer's numbers."""
    st.markdown(f"## {say('explain.table')}")
    columns = {
        say(f"explain.{name}"): st.column_config.NumberColumn(format="%.3g%%")
        for name in ("relative", "magnitude")
    }
    columns[say("explain.seconds")] = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(rows(result), hide_index=True, column_config=columns, alt=say("explain.table"))
