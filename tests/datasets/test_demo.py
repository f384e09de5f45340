from __future__ import annotations

from typing import Any

import pytest
import torch

from osscar_core.datasets import load_windows
from osscar_core.datasets.demo import demo_corpus
from osscar_core.errors import SpecError


def paragraphs(split: Any) -> set[str]:
    text = "\n\n".join(demo_corpus("python-docs", split).texts)
    return {part.strip() for part in text.split("\n\n") if part.strip()}


def test_parts_share_no_paragraph() -> None:
    assert not paragraphs("calibration") & paragraphs("evaluation")


def test_about_a_fifth_is_held_out() -> None:
    calibration = sum(map(len, paragraphs("calibration")))
    evaluation = sum(map(len, paragraphs("evaluation")))
    assert 0.08 < evaluation / (calibration + evaluation) < 0.35
    assert calibration > 200_000


def test_it_is_english_and_repeatable(tokenizer: Any) -> None:
    text = "\n\n".join(demo_corpus("python-docs", "calibration").texts)
    assert text.count(" the ") > 1000
    first = load_windows("demo:python-docs", tokenizer, seqlen=512, samples=8)
    second = load_windows("demo:python-docs", tokenizer, seqlen=512, samples=8)
    other = load_windows("demo:python-docs", tokenizer, seqlen=512, samples=8, split="calibration")
    assert first.info.digest == second.info.digest != other.info.digest
    assert torch.equal(first.ids, second.ids)
    assert "help topics" in first.info.notes[1]


def test_other_names_list_what_there_is() -> None:
    with pytest.raises(SpecError, match=r"unknown demo data 'shakespeare'. Choose from: factory"):
        demo_corpus("shakespeare", "calibration")
    with pytest.raises(SpecError, match=r"is images, and the model reads text. Use demo:plant-log"):
        demo_corpus("factory/line-a", "calibration")
