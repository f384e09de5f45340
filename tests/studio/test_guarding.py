"""Protected groups as the app enters and tells them."""

from __future__ import annotations

import math

import pytest

from osscar_core.guards import Guard, GuardReport, GuardResult, GuardTry
from osscar_core.studio import guarding, texts


def report(*losses: float, allowed: float = 0.01, metric: str = "top1") -> GuardReport:
    guard = Guard("tier", "gold", allowed)
    tries = tuple(
        GuardTry(
            1 / (1 + index),
            10**6,
            round(8e6 * (1 + index)),
            (GuardResult(guard, 400, 0.9, 0.9, loss, loss - 0.002, loss + 0.002),),
        )
        for index, loss in enumerate(losses)
    )
    return GuardReport(tries, len(tries) - 1, metric, "demo:factory", "mix:demo:factory", "how")


def test_an_empty_field_is_no_limit_and_zero_is_one() -> None:
    rows = [
        {"key": "tier=gold", "allowed": 0.5},
        {"key": "tier=silver", "allowed": math.nan},
        {"key": "line=A", "allowed": None},
        {"key": "line=B", "allowed": 0.0},
    ]
    assert guarding.from_rows(rows) == {"tier=gold": 0.005, "line=B": 0.0}


def test_a_limit_finer_than_one_item_is_told() -> None:
    known = {"tier": {"gold": 40, "silver": 4000}}
    (told,) = guarding.contradictions({"tier=gold": 0.01, "tier=silver": 0.01}, known, "image")
    assert "40 items" in told
    assert "+2.50 pt" in told
    assert guarding.contradictions({"tier=gold": 0.03}, known, "image") == []
    assert len(guarding.contradictions({"tier=gold": 0.0}, known, "text")) == 1


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_outcome_is_told_with_its_proof_and_price(monkeypatch, lang: str) -> None:
    monkeypatch.setattr(texts, "_source", lambda: lang)
    words = {
        "en": ("kept", "could not be kept", "The price"),
        "ja": ("上限内", "守れません", "その代わり"),
    }
    kept, broken, price = words[lang]
    proven = guarding.proof(report(0.004)).replace("\\", "")
    assert kept in proven
    assert "tier=gold" in proven
    assert price not in proven
    assert broken in guarding.proof(report(0.03, 0.02))
    cheap = guarding.proof(report(0.03, 0.004))
    assert price in cheap
    assert "50%" in cheap
    assert "16.0 MB" in cheap
    assert "%" in guarding.proof(report(0.004, metric="perplexity"))
