"""Both models side by side: what is marked, and what can do no harm."""

from __future__ import annotations

import pytest

from osscar_core.showcase import Continuation, Fate, Showcase
from osscar_core.studio import examples, explain_showcase, texts
from osscar_core.studio.jobs import RunStore
from test_sample import sample, shown, with_showcases
from test_showcase import passage, picture


def test_the_mark_begins_where_the_other_model_says_something_else() -> None:
    found = explain_showcase.continuation(Continuation(" runs well"), 6)
    assert found == "runs <mark>well</mark><span>…</span>"
    same = explain_showcase.continuation(Continuation(" runs well", is_over=True), None)
    assert same == "runs well<span>(end)</span>"
    whole = explain_showcase.continuation(Continuation(" runs"), 0)
    assert whole == "<mark>runs</mark><span>…</span>"


def test_what_a_model_writes_is_text_and_never_markup() -> None:
    found = explain_showcase.continuation(Continuation("<b>&<script>alert(1)</script>"), 3)
    assert "<b>" not in found
    assert "<script>" not in found
    assert found.startswith("&lt;b&gt;<mark>&amp;&lt;script&gt;")


def test_the_choice_of_pictures_is_told_with_counts() -> None:
    made = Showcase("image", "demo:factory", 256, fates={"lost": 3, "wrong": 9, "right": 244})
    text = explain_showcase._how_chosen(made)
    assert "Of the first 256 test pictures of `demo:factory`" in text
    assert "3 right before and wrong now, 0 wrong before and right now, 9 wrong in the same" in text
    assert "wrong in another way" not in text
    assert "**they are no random sample**" in text
    drawn = explain_showcase._how_chosen(Showcase("image", "x", 256, seed=3))
    assert "drawn at random" in drawn


def test_the_choice_of_passages_is_told() -> None:
    made = Showcase("text", "demo:plant-log", 64, passages=(passage(),))
    text = explain_showcase._how_chosen(made)
    assert "1 passage, cut at even distances from the first 64 windows" in text


def test_every_fate_has_its_words() -> None:
    for kind in Fate:
        assert {f"showcase.fate.{kind}", f"showcase.fate.{kind}.short"} <= texts.all_keys()
    assert explain_showcase._short(picture(0, 0, 1)) == "lost"
    assert explain_showcase._short(passage()) == "The pump…"


@pytest.mark.parametrize(("name", "expected"), [("pit", "pit"), ("", "class 4")])
def test_a_class_without_a_name_goes_by_its_number(name: str, expected: str) -> None:
    assert explain_showcase.class_name(4, name) == expected


def test_examples_have_theirs_and_runs_their_own(home, samples, monkeypatch) -> None:
    monkeypatch.setattr(examples, "sample_runs", lambda: (with_showcases(sample()),))
    store = RunStore(home)
    found = {item.run.id: examples.showcase_of(store, item.run) for item in examples.examples()}
    assert found["example-resnet50-osscar-removed-0.5"] == shown(0.5)
    assert found["example-resnet50-magnitude-refit-removed-0.5"] is None
    asked = samples.image_request()
    samples.write_run(home, "20260101-000000-000000", asked, samples.result(asked))
    assert examples.showcase_of(store, store.runs()[0]) is None
