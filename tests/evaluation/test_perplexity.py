from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core.errors import Cancelled, DataError, NumericalError, SpecError
from osscar_core.evaluation import evaluate
from osscar_core.evaluation.perplexity import Z95
from osscar_core.models import LoadedModel
from osscar_core.progress import ProgressEvent

MakeModel = Callable[[str], LoadedModel]
WORDS = "The pump starts. A valve leaks, and the motor of pump two holds its speed. " * 9


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "log.txt"
    path.write_text(WORDS, encoding="utf8")
    return f"text:{path}"


def window_losses(loaded: LoadedModel, seqlen: int) -> list[float]:
    """Mean loss of every window, as transformers computes it from labels."""
    ids = torch.tensor(loaded.tokenizer(WORDS)["input_ids"])
    windows = ids[: len(ids) // seqlen * seqlen].view(-1, 1, seqlen)
    return [float(loaded.module(input_ids=one, labels=one).loss) for one in windows]


@pytest.mark.parametrize("family", ["opt", "opt-350m", "llama", "mistral"])
def test_agrees_with_transformers_own_loss(text_model: MakeModel, text: str, family: str) -> None:
    loaded = text_model(family)
    losses = window_losses(loaded, 32)
    report = evaluate(loaded, text, seqlen=32)
    assert report.metric == "perplexity"
    assert report.value == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5)
    assert report.loss == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert report.count == 31 * len(losses)
    assert report.data.count == len(losses)


def test_interval_is_the_windows_standard_error(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    losses = torch.tensor(window_losses(loaded, 32), dtype=torch.float64)
    error = float(losses.std()) / math.sqrt(len(losses))
    report = evaluate(loaded, text, seqlen=32)
    mean = float(losses.mean())
    assert report.interval == pytest.approx(
        (math.exp(mean - Z95 * error), math.exp(mean + Z95 * error)), rel=1e-4
    )
    assert report.interval[0] < report.value < report.interval[1]


def test_interval_of_one_window_comes_from_its_tokens(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    ids = torch.tensor(loaded.tokenizer(WORDS)["input_ids"])[None, :40]
    log_probabilities = loaded.module(input_ids=ids).logits.log_softmax(-1)
    losses = -log_probabilities[0, :-1].gather(1, ids[0, 1:, None]).double()
    error = float(losses.std(correction=0)) / math.sqrt(39)
    report = evaluate(loaded, text, seqlen=40, limit=1)
    assert report.value == pytest.approx(float(losses.mean().exp()), rel=1e-5)
    assert report.interval[1] == pytest.approx(report.value * math.exp(Z95 * error), rel=1e-4)


@pytest.mark.parametrize("stride", [1, 5, 15, 16])
def test_sliding_windows_against_brute_force(
    text_model: MakeModel, tmp_path: Path, stride: int
) -> None:
    loaded = text_model("llama")
    path = tmp_path / "short.txt"
    path.write_text(WORDS[:70], encoding="utf8")
    ids = torch.tensor(loaded.tokenizer(WORDS[:70])["input_ids"])
    seqlen = 16
    nll: dict[int, float] = {}
    for start in range(0, len(ids) - seqlen + 1, stride):
        window = ids[start : start + seqlen]
        log_probabilities = loaded.module(input_ids=window[None]).logits[0].log_softmax(-1)
        for position in range(1, seqlen):
            token = start + position
            if token not in nll:
                nll[token] = -float(log_probabilities[position - 1, ids[token]])
    report = evaluate(loaded, f"text:{path}", seqlen=seqlen, stride=stride)
    assert report.count == len(nll)
    assert report.loss == pytest.approx(sum(nll.values()) / len(nll), rel=1e-5)


def test_sliding_counts_every_token_but_the_first_once(text_model: MakeModel, text: str) -> None:
    report = evaluate(text_model("opt"), text, seqlen=32, stride=8, limit=10)
    assert report.count == 31 + 9 * 8
    assert "stride 8" in report.protocol
    assert "later ones their last 8 tokens" in report.protocol


def test_batch_size_does_not_matter(text_model: MakeModel, text: str) -> None:
    loaded = text_model("llama")
    one = evaluate(loaded, text, seqlen=32, stride=24, batch_size=1)
    many = evaluate(loaded, text, seqlen=32, stride=24, batch_size=7)
    assert many.loss == pytest.approx(one.loss, rel=1e-6)
    assert many.data.digest == one.data.digest


def test_defaults_and_protocol(text_model: MakeModel, text: str) -> None:
    report = evaluate(text_model("opt"), text)
    assert report.data.seqlen == 64  # the model's limit, below 1,024
    for part in (
        f"{report.data.count} windows of 64 tokens, stride 64",
        "every token but a window's first predicted",
        f"({report.count} tokens)",
        "tokenised as one string",
        f"tokenizer {report.data.tokenizer}",
        text,
        report.data.digest[:12],
    ):
        assert part in report.protocol


def test_long_windows_are_summed_in_pieces(
    text_model: MakeModel, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = text_model("opt")
    whole = evaluate(loaded, text, seqlen=64)
    monkeypatch.setattr("osscar_core.evaluation.perplexity._POSITIONS_AT_ONCE", 10)
    assert evaluate(loaded, text, seqlen=64).loss == pytest.approx(whole.loss, rel=1e-7)


def test_half_precision_sums_in_float32(text_model: MakeModel, text: str) -> None:
    loaded = text_model("llama")
    full = evaluate(loaded, text, seqlen=32)
    loaded.module.to(torch.bfloat16)
    assert evaluate(loaded, text, seqlen=32).value == pytest.approx(full.value, rel=0.05)


def test_progress_is_reported_and_can_stop(text_model: MakeModel, text: str) -> None:
    events: list[ProgressEvent] = []
    report = evaluate(
        text_model("opt"), text, seqlen=32, limit=5, batch_size=2, progress=events.append
    )
    assert [(event.done, event.total) for event in events] == [(2, 5), (4, 5), (5, 5)]
    assert events[-1].detail == f"perplexity {report.value:.2f} so far"

    def stop(_: ProgressEvent) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        evaluate(text_model("opt"), text, seqlen=32, progress=stop)


def test_model_is_left_alone(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    before = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    evaluate(loaded, text, seqlen=32, limit=2)
    assert not loaded.module.training
    for name, value in loaded.module.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_loss_that_is_not_finite(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    loaded.module.lm_head.weight.data[0, 0] = math.nan
    with pytest.raises(NumericalError, match="tiny-opt on window 0 is nan"):
        evaluate(loaded, text, seqlen=32)


def test_a_loss_too_large_for_a_perplexity(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    loaded.module.lm_head.weight.data *= 1e4
    with pytest.raises(NumericalError, match="has no finite perplexity"):
        evaluate(loaded, text, seqlen=32)


def test_a_foreign_tokenizer(text_model: MakeModel, text: str) -> None:
    class Foreign:
        eos_token_id = 0

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [999] * len(text)}

    loaded = dataclasses.replace(text_model("opt"), tokenizer=Foreign())
    with pytest.raises(DataError, match="gives the id 999, and tiny-opt knows 260 tokens"):
        evaluate(loaded, text, seqlen=32)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seqlen": 65}, "seqlen is 65, more than the 64 positions of tiny-opt"),
        ({"seqlen": 1}, "seqlen is 1"),
        ({"seqlen": 32, "stride": 33}, "stride is 33"),
        ({"stride": 0}, "stride is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_settings_are_checked(
    text_model: MakeModel, text: str, settings: dict[str, int], words: str
) -> None:
    with pytest.raises(SpecError, match=words):
        evaluate(text_model("opt"), text, **settings)


def test_wrong_kinds_of_data(text_model: MakeModel, text: str) -> None:
    loaded = text_model("opt")
    with pytest.raises(SpecError, match="tiny-opt reads text, and 'images:x' is images"):
        evaluate(loaded, "images:x")
    with pytest.raises(SpecError, match="without a tokenizer"):
        evaluate(dataclasses.replace(loaded, tokenizer=None), text)
    with pytest.raises(SpecError, match="is images, and the model reads text"):
        evaluate(loaded, "hf:cifar10")


def test_evaluation_uses_the_held_out_demo_part(text_model: MakeModel) -> None:
    report = evaluate(text_model("opt"), "demo:python-docs", limit=2)
    assert "evaluation part" in report.protocol
