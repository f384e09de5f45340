"""Too little memory: smaller micro-batches with the very result that they give, then words."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

import families
from osscar_core.cli import main
from osscar_core.errors import MemoryShortageError
from osscar_core.evaluation import evaluate
from osscar_core.models import load_model
from osscar_core.pruner import prune
from osscar_core.records import PruneReport, PruneSpec, to_json
from osscar_core.shortage import halving, in_batches_of, is_shortage
from osscar_core.survey import make_survey

TOO_MUCH = 2**46


class Memory:
    """Lets every layer's forward pass fail for more than so many items, from a call on."""

    def __init__(self) -> None:
        self.most: int | None = None
        self.after = 0
        self.refused = 0
        self.error: Callable[[], Exception] = lambda: torch.OutOfMemoryError("CUDA out of memory")

    def check(self, items: int) -> None:
        if self.most is None or items <= self.most:
            return
        self.after -= 1
        if self.after < 0:
            self.refused += 1
            raise self.error()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    found = Memory()
    for kind in (nn.Linear, nn.Conv2d):
        real = kind.forward

        def forward(layer: nn.Module, given: Tensor, real: Any = real) -> Tensor:
            # The layers of OPT see (items * tokens) rows at times; those say nothing here.
            if given.dim() > 2 and not isinstance(given, FakeTensor):
                found.check(given.shape[0])
            return real(layer, given)

        monkeypatch.setattr(kind, "forward", forward)
    return found


def request(name: str, folder: Path, **changes: object) -> PruneSpec:
    return dataclasses.replace(families.FAMILIES[name]().request(folder), **changes)


def bare(report: PruneReport) -> str:
    """Return what a run found, without what differs from run to run."""
    units = tuple(dataclasses.replace(unit, seconds=0.0) for unit in report.units)
    plan = dataclasses.replace(report.plan, created="")
    return to_json(
        dataclasses.replace(
            report, units=units, plan=plan, seconds=0.0, out=None, warnings=(), peak_memory_bytes=0
        )
    )


def state(folder: Path) -> dict[str, Tensor]:
    return load_model(str(folder)).module.state_dict()


@pytest.mark.parametrize(("name", "after"), [("opt", 0), ("opt", 60), ("cifar-resnet20", 7)])
def test_pruning_begins_again_with_half_the_micro_batch_and_counts_nothing_twice(
    tmp_path: Path, memory: Memory, name: str, after: int
) -> None:
    spec = request(name, tmp_path, batch_size=4)
    wanted = prune(dataclasses.replace(spec, batch_size=2), out=tmp_path / "wanted")
    memory.most, memory.after = 2, after
    kept = tmp_path / "kept"
    found = prune(spec, out=tmp_path / "found", checkpoint=kept)
    assert memory.refused == 1
    assert bare(found) == bare(wanted)
    assert found.warnings[-1].startswith("memory did not suffice for larger micro-batches; 2")
    assert found.warnings[:-1] == wanted.warnings
    assert not kept.exists()
    one, other = state(tmp_path / "wanted"), state(tmp_path / "found")
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("name", ["opt", "cifar-resnet20"])
def test_quality_is_that_of_the_smaller_micro_batch(
    tmp_path: Path, memory: Memory, name: str
) -> None:
    spec = request(name, tmp_path)
    model = load_model(spec.model, weights=spec.weights)
    wanted = evaluate(model, spec.calibration, batch_size=1, limit=6)
    memory.most = 1
    found = evaluate(model, spec.calibration, batch_size=4, limit=6)
    assert memory.refused == 2
    assert dataclasses.replace(found, seconds=0.0) == dataclasses.replace(wanted, seconds=0.0)


def test_a_survey_is_that_of_the_smaller_micro_batch(tmp_path: Path, memory: Memory) -> None:
    spec = request("opt", tmp_path, batch_size=4)
    model = load_model(spec.model)
    wanted = make_survey(model, dataclasses.replace(spec, batch_size=2))
    memory.most, memory.after = 2, 5
    found = make_survey(model, spec)
    assert memory.refused == 1
    assert found.record.spec == wanted.record.spec
    assert [unit.divergences for unit in found.record.units] == [
        unit.divergences for unit in wanted.record.units
    ]
    assert found.curves() == wanted.curves()


def test_one_item_that_is_too_much_is_told_in_words_and_leaves_nothing(
    tmp_path: Path, memory: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = request("opt", tmp_path)
    memory.most, memory.error = 0, MemoryError
    out = tmp_path / "out"
    arguments = ["prune", spec.model, "--calibration", spec.calibration, "--sparsity", "0.5"]
    assert main([*arguments, "--seqlen", str(spec.seqlen), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "memory ran out in a forward pass of one item. Free memory" in said
    assert "Traceback" not in said
    assert not out.exists()
    assert memory.refused >= 3  # a half, a quarter, and so on


def real_shortages() -> list[tuple[str, Callable[[], object]]]:
    return [
        ("torch", lambda: torch.empty(TOO_MUCH, dtype=torch.int64)),
        ("numpy", lambda: np.empty(TOO_MUCH)),
        ("python", lambda: bytearray(TOO_MUCH)),
    ]


@pytest.mark.parametrize("ask", [ask for _, ask in real_shortages()])
def test_what_a_full_host_says_is_recognised(ask: Callable[[], object]) -> None:
    # Not at the top: the library is tested without the app, too.
    from osscar_core.studio.worker import _unexpected

    with pytest.raises((MemoryError, RuntimeError)) as caught:
        ask()
    assert is_shortage(caught.value)
    assert _unexpected(caught.value)[0] == "memory ran out"
    with pytest.raises(MemoryShortageError, match="pass of 3 items"), in_batches_of(3):
        ask()


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"),
                                   OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])  # fmt: skip
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert not is_shortage(error)
    with pytest.raises(type(error)), in_batches_of(2):
        raise error


def test_what_micro_batches_do_not_change_is_not_tried_again() -> None:
    asked: list[int | None] = []

    def work(size: int | None) -> None:
        asked.append(size)
        raise MemoryShortageError("memory ran out", "Free memory")

    with pytest.raises(MemoryShortageError):
        halving(work, 8)
    assert asked == [8]


def test_the_size_goes_down_by_halves_to_one() -> None:
    asked: list[int | None] = []

    def work(size: int | None) -> None:
        asked.append(size)
        with in_batches_of(size or 11):
            raise MemoryError

    with pytest.raises(MemoryShortageError, match="one item"):
        halving(work)
    assert asked == [None, 5, 2, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_with_little_memory_takes_smaller_micro_batches(tmp_path: Path) -> None:
    """A real limit, between what a quarter of the windows and all of them need at once."""
    family = families.FAMILIES["opt"]()
    windows, seqlen = 64, 256
    wide = dataclasses.replace(family, model=wide_opt(seqlen), samples=windows, seqlen=seqlen)
    spec = wide.request(tmp_path, device="cuda", batch_size=windows)

    def reserved(batch: int) -> int:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        prune(dataclasses.replace(spec, batch_size=batch), out=tmp_path / f"of {batch}")
        return torch.cuda.max_memory_reserved()

    reserved(1)  # what the libraries keep for themselves is there from here on
    few, all_at_once = reserved(windows // 4), reserved(windows)
    assert few < all_at_once
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((few + all_at_once) / 2 / total)
    try:
        found = prune(spec, out=tmp_path / "found")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = found.warnings[-1]
    assert "memory did not suffice for larger micro-batches" in said
    taken = int(said.split("; ")[1].split()[0])
    assert windows // 4 <= taken < windows
    wanted = prune(dataclasses.replace(spec, batch_size=taken), out=tmp_path / "wanted")
    assert [unit.kept for unit in found.plan.units] == [unit.kept for unit in wanted.plan.units]


def wide_opt(seqlen: int) -> nn.Module:
    """Return a model of two blocks whose activations take more room than its weights."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=260, hidden_size=256, ffn_dim=1024, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=seqlen, word_embed_proj_dim=256,
        do_layer_norm_before=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return families.randomise_(OPTForCausalLM(config)).eval()
