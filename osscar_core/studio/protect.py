"""What must not be removed: a dialog over layers and structures, and what that costs.

The decision hidden here: how caps are entered: a row for each kind of structure, then one for
each layer, with "never touch" as a tick and any other limit as a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from osscar_core.explorer import UnreachableGoal
from osscar_core.figures import short_names
from osscar_core.records import UnitReport
from osscar_core.studio import guarding
from osscar_core.studio.guarding import GUARDS
from osscar_core.studio.identity import desk
from osscar_core.studio.outlook import cost_words, unreachable
from osscar_core.studio.scene import PROTECT, Layer, Scene, gather
from osscar_core.studio.texts import as_plain, say
from osscar_core.studio.whatif import exceeding, is_named

_COLUMNS = ("layer", "structure", "now", "never", "most")


def show_button(scene: Scene) -> None:
    """Offer the dialog, with the number of limits there are."""
    count = len(scene.caps) + len(scene.guards)
    label = say("protect.count", count=count) if count else say("protect")
    if st.button(label, icon=":material/shield:", help=say("protect.help"), key="protect_open"):
        st.dialog(say("protect.title"), width="large")(_dialog)()


def rows(
    layers: Sequence[Layer], widths: Mapping[str, int] | None, caps: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return one row for each kind of structure, then one for each layer.

    Args:
        layers: The layers that may be removed from.
        widths: Groups that every layer would keep now; ``None`` if that is not known.
        caps: The limits so far, by pattern.
    """
    structures = list(dict.fromkeys(layer.structure for layer in layers))
    keys = [structure.value for structure in structures] + [layer.name for layer in layers]
    names = [
        say("protect.all", structure=say(f"structure.{structure.value}"))
        for structure in structures
    ] + short_names([layer.name for layer in layers])
    found = []
    for key, name in zip(keys, names, strict=True):
        mine = [one for one in layers if is_named(one.name, one.structure, key)]
        most = caps.get(key)
        found.append(
            {
                "key": key,
                "layer": name,
                "structure": say(f"structure.{mine[0].structure.value}"),
                "now": None if widths is None else 100 * _removed(mine, widths),
                "never": most == 0.0,
                "most": None if most in (None, 0.0) else round(100 * most),
            }
        )
    return found


def from_rows(edited: Sequence[Mapping[str, Any]], caps: Mapping[str, float]) -> dict[str, float]:
    """Return the limits that edited rows ask for; other patterns stay as they are."""
    shown = {str(row["key"]) for row in edited}
    found = {pattern: share for pattern, share in caps.items() if pattern not in shown}
    for row in edited:
        most = row["most"]
        if row["never"]:
            found[str(row["key"])] = 0.0
        elif most is not None and most == most and most < 100:
            found[str(row["key"])] = max(0.0, float(most) / 100)
    return found


def cost(scene: Scene, caps: Mapping[str, float]) -> str:
    """Return what limits cost where the slider stands, or that they leave no way."""
    free, held = scene.answers, scene.answers_under(caps)
    if free is None or held is None:
        return say("protect.unknown")
    if not caps:
        return say("protect.none")
    without = held.unprotected(scene.wish)
    try:
        answer = held.at(scene.wish)
    except UnreachableGoal:
        return unreachable(
            scene.wish,
            held.task,
            is_protected=without is not None,
            has_options=bool(held.options(scene.wish)),
        )
    return say("protect.free") if without is None else cost_words(answer, without, held)


def proof(caps: Mapping[str, float], units: Sequence[UnitReport]) -> str:
    """Return whether a run kept what was protected, from its own report."""
    named = [
        unit
        for unit in units
        if any(is_named(unit.name, unit.structure, pattern) for pattern in caps)
    ]
    broken = exceeding(caps, units)
    if broken:
        return say("protect.broken", names=as_plain(", ".join(broken)))
    whole = sum(unit.kept == unit.groups for unit in named)
    return say("protect.kept", count=len(named), whole=whole)


def _dialog() -> None:
    scene = gather(desk())
    view = scene.view
    answer = None if view is None else view.answer
    st.markdown(say("protect.body"))
    table = rows(scene.layers, None if answer is None else answer.widths, scene.caps)
    has_kinds = len({layer.structure for layer in scene.layers}) > 1
    edited = st.data_editor(
        pd.DataFrame(table).astype({"now": float, "most": float}),
        key="protect_rows",
        hide_index=True,
        height=250,
        disabled=("layer", "structure", "now"),
        column_order=[name for name in _COLUMNS if name != "structure" or has_kinds],
        placeholder="",
        column_config={
            "layer": st.column_config.TextColumn(say("protect.layer"), pinned=True),
            "structure": st.column_config.TextColumn(say("protect.structure")),
            "now": st.column_config.ProgressColumn(
                say("protect.now"), format="%d%%", min_value=0, max_value=100
            ),
            "never": st.column_config.CheckboxColumn(say("protect.never")),
            "most": st.column_config.NumberColumn(
                say("protect.most"), min_value=0, max_value=100, step=1, format="%d%%"
            ),
        },
    )
    caps = from_rows(edited.to_dict("records"), scene.caps)
    st.markdown(f":material/balance: {cost(scene, caps)}")
    request = scene.settings.request
    task = scene.choice.task
    guards = {} if request is None else guarding.edit(request.data, task, scene.guards)
    with st.container(horizontal=True, gap="small"):
        if st.button(say("protect.apply"), type="primary", key="protect_apply"):
            _keep(scene, caps, guards)
        is_bare = not scene.caps and not scene.guards
        if st.button(say("protect.clear"), key="protect_clear", disabled=is_bare):
            _keep(scene, {}, {})


def _keep(scene: Scene, caps: Mapping[str, float], guards: Mapping[str, float]) -> None:
    """Make these the limits of this model; those of others stay."""
    state = st.session_state
    held = {guard.name for guard in scene.guards}
    unheld = {name: most for name, most in state.get(GUARDS, {}).items() if name not in held}
    state[GUARDS] = {**unheld, **guards}
    others = {
        pattern: share
        for pattern, share in state.get(PROTECT, {}).items()
        if pattern not in scene.caps
    }
    state[PROTECT] = {**others, **caps}
    st.rerun()


def _removed(layers: Sequence[Layer], widths: Mapping[str, int]) -> float:
    groups = sum(layer.groups for layer in layers)
    kept = sum(widths.get(layer.name, layer.groups) for layer in layers)
    return 1 - kept / groups
