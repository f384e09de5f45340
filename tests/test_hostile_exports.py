"""Texts from elsewhere in what leaves the program: model cards, tables, histories."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from osscar_core.export import card
from osscar_core.export.card import Provenance
from osscar_core.monitoring.kit import monitor
from osscar_core.studio import comparison

LIVE = (
    "x` ![p](http://evil.example/p.png) [l](http://evil.example) <script>alert(1)</script> | y\n"
    "base_model: evil\n# h"
)
FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"]


@pytest.fixture(scope="module")
def facts(samples: ModuleType) -> Provenance:
    plan = samples.result(samples.image_request()).prune.plan
    data = dataclasses.replace(plan.calibration, spec=LIVE)
    plan = dataclasses.replace(
        plan, environment={LIVE: LIVE}, created=LIVE, calibration=data,
        source=dataclasses.replace(plan.source, model=LIVE),
    )  # fmt: skip
    return Provenance(
        source=LIVE, revision=LIVE, sha256="ab" * 32, licence=LIVE, plan=plan, parameters=10,
        bytes=40, dense_parameters=None, dense_bytes=None, metric="top1", quality=0.5,
        dense_quality=None, data=data,
    )  # fmt: skip


def test_a_licence_is_one_value_whatever_it_holds(facts: Provenance) -> None:
    found = yaml.safe_load(card._front_matter(facts).strip().strip("-"))
    assert found["license"] == LIVE
    assert "base_model" not in found
    plain = dataclasses.replace(facts, licence="apache-2.0")
    assert "\nlicense: apache-2.0\n" in card._front_matter(plain)


def test_nothing_in_a_model_card_is_alive(facts: Provenance) -> None:
    text = card._origin(facts)
    assert "evil.example" in text
    outside = re.sub(r"(?<!\\)`[^`\n]*`", "", text)
    assert not re.search(
        r"(?<!\\)\]\(http|(?<!\\)<script|^\\?# h|^base_model", outside, re.MULTILINE
    )
    table = text.split("\n\n")[1]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in table.splitlines())


@pytest.mark.parametrize("text", FORMULAS)
def test_no_table_holds_a_formula(tmp_path: Path, text: str) -> None:
    assert comparison._cell(text) == f"'{text}"
    measured = dict.fromkeys(("sha256", "items", "distance", "threshold", "p_value"), 0)
    result: dict[str, Any] = {**measured, "batch": text, "alarm": False, "tests": ()}
    monitor._note(tmp_path / "history.csv", result)
    with (tmp_path / "history.csv").open(newline="", encoding="utf8") as file:
        (row,) = csv.DictReader(file)
    assert row["batch"] == f"'{text}"


def test_numbers_of_a_table_stay_numbers() -> None:
    assert (comparison._cell(-0.5), comparison._cell("-0.5")) == (-0.5, "-0.5")
