"""Directories for transformers: which need code, that they come back, and that they write alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from families import FAMILIES, Family
from osscar_core.errors import OutputError
from osscar_core.evaluation import evaluate
from osscar_core.export import ExportFormat, ExportReport, export_model, huggingface
from osscar_core.export.card import without_folders
from osscar_core.models import load_model
from osscar_core.pruner import prune
from osscar_core.records import Intercept, PruneSpec, Structure
from rereading import SEQLEN, Waiting, read_back, run_alone, wait

TEXTS = sorted(name for name in FAMILIES if FAMILIES[name]().seqlen is not None)
# Halved alike: of heads, OPT's and Qwen2's configurations cannot say that some are gone.
_CODE = {name for name in TEXTS if name.startswith(("opt", "qwen2"))}
NEURONS = (Structure.NEURONS,)


def _uneven(structures: tuple[Structure, ...] | None = None) -> dict[str, Any]:
    return {"caps": (("*.1.*", 0.25),), "structures": structures}


_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in TEXTS},
    "opt-neurons": ("opt", {"structures": NEURONS}),
    "llama-uneven": ("llama", _uneven()),
    "llama-bias-uneven": ("llama-bias", _uneven(NEURONS)),
    "qwen2-uneven": ("qwen2", _uneven()),
    "mistral-new-bias": ("mistral", {"intercept": Intercept.ON}),
    "opt-no-bias-new-bias": ("opt-no-bias", {"intercept": Intercept.ON, "structures": NEURONS}),
}
_CODE |= {name for name in _CASES if "uneven" in name or "new-bias" in name}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Waiting]:
    return {
        case: wait(FAMILIES[name](), tmp_path_factory.mktemp(case), huggingface.write_hf, **changes)
        for case, (name, changes) in _CASES.items()
    }


def test_every_family_comes_back_and_writes_the_same_words(waiting: dict[str, Waiting]) -> None:
    for name, found in read_back(waiting).items():
        assert found.max_difference == 0.0, name
        assert (found.same, found.quality) == (1.0, found.model_quality)
        assert waiting[name].answers.continued is not None


def test_code_is_carried_only_where_one_number_will_not_do(waiting: dict[str, Waiting]) -> None:
    for name, one in waiting.items():
        config = json.loads((one.job.folder / "config.json").read_bytes())
        has_code = name in _CODE
        assert (one.job.folder / "modeling_pruned.py").is_file() is has_code, name
        assert ("auto_map" in config, "per_layer_config" in config) == (has_code, has_code)
        assert one.written.needs == (huggingface.WITH_CODE if has_code else huggingface.PLAIN)
        assert bool(one.written.notes) is has_code
    assert "OPTConfig cannot say" in waiting["opt"].written.notes[0]
    assert "layers keep between" in waiting["llama-uneven"].written.notes[0]
    assert "a bias was added to" in waiting["mistral-new-bias"].written.notes[0]
    assert json.loads((waiting["opt-neurons"].job.folder / "config.json").read_bytes())[
        "ffn_dim"
    ] == (24)


_OTHER_WAYS = """
import sys
sys.path.insert(0, ".")
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging
logging.set_verbosity_error()
logging.disable_progress_bar()
for number, name in enumerate(sys.argv[1:]):
    def load(place, **options):
        return AutoModelForCausalLM.from_pretrained(place, trust_remote_code=True, **options)
    model = load(name)
    ids = torch.arange(4, 16)[None]
    with torch.no_grad():
        wanted = model(ids).logits
        again = f"again-{number}"
        model.save_pretrained(again)
        apart = [(load(again)(ids).logits - wanted).abs().max()]
        apart.append((load(name, device_map="cpu")(ids).logits - wanted).abs().max())
        model.set_attn_implementation("eager")
        eager = (model(ids).logits - wanted).abs().max()
        half = load(name, dtype=torch.bfloat16)(ids).logits
        static = model.generate(ids, max_new_tokens=4, do_sample=False,
                                cache_implementation="static")
        dynamic = model.generate(ids, max_new_tokens=4, do_sample=False)
        config = AutoConfig.from_pretrained(name, trust_remote_code=True)
        fresh = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    spread = [p.std().item() for n, p in fresh.named_parameters() if n.endswith("v_proj.weight")]
    print(max(apart).item(), float(eager) < 1e-4, str(half.dtype), bool((static == dynamic).all()),
          all(0.01 < one < 0.03 for one in spread))
"""


def test_directories_can_be_saved_again_and_used_in_other_ways(
    waiting: dict[str, Waiting], tmp_path: Path
) -> None:
    names = ["opt", "llama-uneven", "qwen2-uneven", "mistral-new-bias"]
    folders = [str(waiting[name].job.folder) for name in names]
    ended = run_alone(_OTHER_WAYS, *folders, cwd=tmp_path)
    assert ended == ["0.0 True torch.bfloat16 True True"] * len(names)


def test_what_was_exported_can_be_judged_and_pruned_again(
    waiting: dict[str, Waiting], tmp_path: Path
) -> None:
    for name in ("llama", "llama-uneven", "opt"):
        folder, data = waiting[name].job.folder, waiting[name].job.items.info.spec
        again = load_model(str(folder), trust_remote_code=True)
        one = evaluate(again, data, seqlen=SEQLEN, limit=4)
        two = evaluate(waiting[name].model, data, seqlen=SEQLEN, limit=4)
        assert one.value == two.value
        groups = [unit.groups for unit in again.adapter.units(again.module)]
        assert groups == [len(unit.kept) for unit in waiting[name].model.plan.units]
    spec = PruneSpec(
        model=str(waiting["mistral-new-bias"].job.folder),
        calibration=waiting["mistral-new-bias"].job.items.info.spec,
        sparsity=0.3,
        samples=4,
        seqlen=SEQLEN,
        trust_remote_code=True,
    )
    prune(spec, out=tmp_path / "smaller")
    smaller = load_model(str(tmp_path / "smaller"), trust_remote_code=True)
    report = export_model(
        smaller, tmp_path / "out", ExportFormat.HF, data=spec.calibration, limit=4, seqlen=SEQLEN
    )
    assert (report.max_difference, report.needs) == (0.0, huggingface.WITH_CODE)
    config = json.loads((tmp_path / "out" / "config.json").read_bytes())
    assert config["architectures"] == ["PrunedMistralForCausalLM"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportReport, Path]:
    """A directory as a user makes it, in shards, of a source with a licence."""
    folder, family = tmp_path_factory.mktemp("exported"), FAMILIES["llama"]()
    request = _licensed(family, folder)
    prune(request, out=folder / "small")
    small = load_model(str(folder / "small"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface, "LARGEST_SHARD", "60KB")
        report = export_model(
            small,
            folder / "out",
            ExportFormat.HF,
            data=request.calibration,
            limit=4,
            seqlen=SEQLEN,
            dense=load_model(request.model),
        )
    return report, folder


def _licensed(family: Family, folder: Path) -> PruneSpec:
    request = family.request(folder, seqlen=SEQLEN)
    card = Path(request.model) / "README.md"
    card.write_text("---\nlicense: mit\ntags:\n- x\n---\n# A model\n", encoding="utf8")
    return request


def test_the_card_tells_where_the_model_came_from(exported: tuple[ExportReport, Path]) -> None:
    report, folder = exported
    card = (folder / "out" / "README.md").read_text("utf8")
    assert card.startswith("---\nlicense: mit\nlibrary_name: transformers\n")
    assert "| licence of the source | mit |" in card
    assert "from_pretrained(folder)\n" in card
    assert f"| {report.dense_quality:.4f} | {report.model_quality:.4f} |" in card
    assert "calibrated on | 8 windows of 24 tokens of `text:calibration.txt`" in card
    for file in ("README.md", "pruning.json", "config.json", "tokenizer_config.json"):
        assert str(folder) not in (folder / "out" / file).read_text("utf8"), file


def test_the_report_counts_all_shards(exported: tuple[ExportReport, Path]) -> None:
    report, folder = exported
    shards = [file for file in report.files if file.name.endswith(".safetensors")]
    assert len(shards) > 1
    assert any(file.name == "model.safetensors.index.json" for file in report.files)
    assert report.bytes == sum(path.stat().st_size for path in (folder / "out").iterdir())
    assert {path.stat().st_mode & 0o044 for path in (folder / "out").iterdir()} == {0o044}
    assert (report.needs, report.continued) == ("transformers", 3)


def test_a_directory_that_is_not_the_model_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = FAMILIES["llama"]()
    model, data = family.loaded(tmp_path), family.calibration_spec(tmp_path)
    true = huggingface.stored_state

    def wrong(module: torch.nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        state = true(module, dtype)
        name = "model.norm.weight"
        return {**state, name: state[name] * 1.5}

    monkeypatch.setattr(huggingface, "stored_state", wrong)
    with pytest.raises(OutputError, match="read back by transformers, is not the model"):
        export_model(model, tmp_path / "out", ExportFormat.HF, data=data, limit=4, seqlen=SEQLEN)
    assert not (tmp_path / "out").exists()


def test_folders_of_this_machine_are_left_out() -> None:
    for text, wanted in {
        "text:/home/me/data/a.txt": "text:a.txt",
        "mix:3*text:/a/b.txt+1*own:/c/d[x=y/z]": "mix:3*text:b.txt+1*own:d[x=y/z]",
        "facebook/opt-125m": "facebook/opt-125m",
        "demo:factory/line-c": "demo:factory/line-c",
        "~/models/small": "small",
        "images:imagenet/train": "images:imagenet/train",
    }.items():
        assert without_folders(text) == wanted
