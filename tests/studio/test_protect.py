"""What must stay: rows to limits and back, and the proof that limits were kept."""

from __future__ import annotations

import dataclasses

from osscar_core.records import Structure
from osscar_core.studio import protect
from osscar_core.studio.scene import Layer

LAYERS = (
    Layer("b.0.attn.out", Structure.HEADS, 8),
    Layer("b.0.fc2", Structure.NEURONS, 100),
    Layer("b.1.attn.out", Structure.HEADS, 8),
    Layer("b.1.fc2", Structure.NEURONS, 300),
)
WIDTHS = {"b.0.attn.out": 4, "b.0.fc2": 100, "b.1.attn.out": 8, "b.1.fc2": 100}


def test_structures_come_first_then_every_layer_with_what_would_go() -> None:
    rows = protect.rows(LAYERS, WIDTHS, {})
    assert [row["key"] for row in rows] == ["heads", "neurons", *(layer.name for layer in LAYERS)]
    assert [round(row["now"]) for row in rows] == [25, 50, 50, 0, 0, 67]
    assert rows[0]["layer"] == "all attention heads"
    assert not any(row["never"] for row in rows)
    assert {row["most"] for row in rows} == {None}


def test_limits_survive_the_way_into_rows_and_back() -> None:
    caps = {"heads": 0.0, "b.1.fc2": 0.25, "layer4.*": 0.5}
    rows = protect.rows(LAYERS, WIDTHS, caps)
    assert [row["key"] for row in rows if row["never"]] == ["heads"]
    assert protect.from_rows(rows, caps) == caps


def test_a_tick_outranks_a_number_and_taking_it_off_frees_the_layer() -> None:
    rows = protect.rows(LAYERS, None, {"b.0.fc2": 0.0})
    assert rows[3]["now"] is None
    edited = [row | {"never": False} for row in rows]
    assert protect.from_rows(edited, {"b.0.fc2": 0.0}) == {}
    edited[0] |= {"never": True, "most": 30.0}
    edited[1] |= {"most": 30.0}
    edited[2] |= {"most": 100.0}
    edited[3] |= {"most": float("nan")}
    assert protect.from_rows(edited, {}) == {"heads": 0.0, "neurons": 0.3}


def test_it_is_proven_from_the_report_that_limits_were_kept(samples) -> None:
    units = samples.result(samples.image_request(0.5)).prune.units
    whole = dataclasses.replace(units[0], kept=units[0].groups)
    units = (whole, *units[1:])
    said = protect.proof({units[0].name: 0.0, "layer2.*": 0.5}, units)
    assert "Limits kept in 4 layers; 1 kept all groups." in said
    broken = protect.proof({"layer3.*": 0.1}, units)
    assert "More was removed than allowed from layer3" in broken
