from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from osscar_core.errors import SpecError
from osscar_core.evaluation import compare, measure
from osscar_core.evaluation.speed import (
    DECODE_STEPS,
    WARM_UP,
    device_name,
    ratio_of,
    summary_of,
)
from osscar_core.models import LoadedModel
from osscar_core.progress import ProgressEvent
from osscar_core.records import MeasureReport, SpeedComparison, from_json, to_json

MakeImage = Callable[[int], LoadedModel]
MakeText = Callable[[str], LoadedModel]


def count_calls(module: nn.Module) -> list[tuple[int, ...]]:
    """Note the shape of every input of ``module``."""
    shapes: list[tuple[int, ...]] = []

    def note(_: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple((args[0] if args else kwargs["input_ids"]).shape))

    module.register_forward_pre_hook(note, with_kwargs=True)
    return shapes


def test_images(image_model: MakeImage) -> None:
    loaded = image_model(4)
    shapes = count_calls(loaded.module)
    report = measure(loaded, batch_size=3, repeats=5)
    assert shapes == [(3, 3, 8, 8)] * (WARM_UP + 5)
    latency = report.latency_ms
    assert latency.repeats == 5
    assert 0 < latency.minimum <= latency.median <= latency.p95
    assert report.throughput_unit == "images/s"
    assert report.throughput == pytest.approx(3 / latency.median * 1000)
    assert report.decode_ms is None
    conditions = dict(report.conditions)
    assert conditions.pop("memory", "kept by malloc") == "kept by malloc"  # glibc only
    assert conditions == {
        "device": device_name(torch.device("cpu")),
        "dtype": "float32",
        "batch": "3",
        "threads": str(torch.get_num_threads()),
        "warm-up": f"{WARM_UP} rounds",
        "torch": str(torch.__version__),
        "input": "3 x 8 x 8",
    }
    assert from_json(MeasureReport, to_json(report)) == report


@pytest.mark.parametrize("family", ["opt", "llama", "mistral"])
def test_prefill_and_decode_apart(text_model: MakeText, family: str) -> None:
    loaded = text_model(family)
    shapes = count_calls(loaded.module)
    report = measure(loaded, batch_size=2, seqlen=20, repeats=4)
    assert shapes == ([(2, 20)] + [(2, 1)] * DECODE_STEPS) * (WARM_UP + 4)
    assert report.throughput_unit == "tokens/s"
    assert report.throughput == pytest.approx(40 / report.latency_ms.median * 1000)
    assert report.decode_ms is not None
    assert report.decode_ms.repeats == 4
    assert report.decode_ms.minimum > 0
    assert report.conditions["prompt"] == "20 tokens"
    assert report.conditions["decode"] == f"mean of {DECODE_STEPS} tokens after the prompt"


def test_decoding_continues_from_the_prompts_cache(text_model: MakeText) -> None:
    loaded = text_model("llama")
    lengths: list[int] = []
    attention = loaded.module.model.layers[0].self_attn

    def note(_: nn.Module, __: object, kwargs: dict[str, object]) -> None:
        lengths.append(kwargs["past_key_values"].get_seq_length())  # type: ignore[attr-defined]

    attention.register_forward_pre_hook(note, with_kwargs=True)
    measure(loaded, seqlen=10, repeats=1)
    one_round = [0, *range(10, 10 + DECODE_STEPS)]
    assert lengths == one_round * (WARM_UP + 1)


@pytest.mark.parametrize(("seqlen", "steps"), [(60, 4), (64, 0), (None, 0)])
def test_decoding_stays_within_the_models_positions(
    text_model: MakeText, seqlen: int | None, steps: int
) -> None:
    loaded = text_model("opt")
    shapes = count_calls(loaded.module)
    report = measure(loaded, seqlen=seqlen, repeats=1)
    assert shapes[-1 - steps :] == [(1, seqlen or 64)] + [(1, 1)] * steps
    assert (report.decode_ms is None) == (steps == 0)


def test_rounds_fit_the_budget_but_ten_at_least(
    image_model: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[measure.__module__]
    monkeypatch.setattr(module, "_BUDGET_SECONDS", 0.0)
    events: list[ProgressEvent] = []
    report = measure(image_model(4), batch_size=1, progress=events.append)
    assert report.latency_ms.repeats == 10
    assert events[0].done == 0
    assert events[-1].done == events[-1].total == 50
    monkeypatch.setattr(module, "_BUDGET_SECONDS", 1000.0)
    assert measure(image_model(4), batch_size=1).latency_ms.repeats == 50
    monkeypatch.setattr(module, "_BUDGET_SECONDS", 0.0)
    assert measure(image_model(4), batch_size=1, repeats=13).latency_ms.repeats == 13


def test_compare_takes_turns(image_model: MakeImage) -> None:
    dense, pruned = image_model(4), image_model(4)
    order: list[str] = []
    dense.module.register_forward_pre_hook(lambda *_: order.append("d"))
    pruned.module.register_forward_pre_hook(lambda *_: order.append("p"))
    result = compare(dense, pruned, batch_size=1, repeats=4)
    assert "".join(order) == "dp" * WARM_UP + "dppddppd"
    assert result.speedup == pytest.approx(
        result.dense.latency_ms.median / result.pruned.latency_ms.median
    )
    assert result.interval[0] <= result.speedup <= result.interval[1]
    assert result.decode_speedup is None
    assert from_json(SpeedComparison, to_json(result)) == result


def test_compare_text(text_model: MakeText) -> None:
    result = compare(text_model("opt"), text_model("llama"), seqlen=16, repeats=3)
    assert result.decode_speedup is not None
    assert result.decode_speedup > 0
    assert result.decode_interval is not None
    assert result.dense.model == "tiny-opt"
    assert result.pruned.conditions["prompt"] == "16 tokens"


def test_ratio_of_medians_with_interval() -> None:
    ratio, (low, high) = ratio_of([4.0] * 12, [2.0] * 12)
    assert (ratio, low, high) == (2.0, 2.0, 2.0)
    generator = torch.Generator().manual_seed(0)
    # A slow spell hits both models of a round alike.
    noise = 1 + 3 * torch.rand(40, generator=generator).double()
    jitter = 1 + 0.02 * torch.rand(40, generator=generator).double()
    ratio, (low, high) = ratio_of((3 * noise * jitter).tolist(), (2 * noise).tolist())
    assert low < 1.515 < high
    assert 1.4 < low <= ratio <= high < 1.65


def test_latency_summary() -> None:
    latency = summary_of([float(n) for n in range(1, 22)])
    assert (latency.median, latency.p95, latency.minimum, latency.repeats) == (11, 20, 1, 21)


def test_compare_without_a_length_fits_both(text_model: MakeText) -> None:
    result = compare(text_model("opt"), text_model("opt"), repeats=1)
    assert result.dense.conditions["prompt"] == "64 tokens"
    assert result.decode_interval is None  # no positions left to decode into


def test_device_name_reads_the_processor() -> None:
    name = device_name(torch.device("cpu"))
    listing = Path("/proc/cpuinfo")
    assert name
    if listing.is_file() and "model name" in listing.read_text(encoding="utf8"):
        assert name in listing.read_text(encoding="utf8")


def test_what_cannot_be_timed(text_model: MakeText, image_model: MakeImage) -> None:
    with pytest.raises(SpecError, match="Compare two models of the same task"):
        compare(text_model("opt"), image_model(4))
    with pytest.raises(SpecError, match="reads images, not tokens"):
        measure(image_model(4), seqlen=8)
    with pytest.raises(SpecError, match="repeats is 0"):
        measure(image_model(4), repeats=0)
    with pytest.raises(SpecError, match="batch_size is 0"):
        measure(image_model(4), batch_size=0)
    with pytest.raises(SpecError, match="seqlen is 65"):
        measure(text_model("opt"), seqlen=65)


def test_the_model_stays_in_its_state(text_model: MakeText) -> None:
    loaded = text_model("llama")
    before = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    measure(loaded, seqlen=8, repeats=1)
    for name, value in loaded.module.state_dict().items():
        assert torch.equal(value, before[name])
    assert not loaded.module.training
