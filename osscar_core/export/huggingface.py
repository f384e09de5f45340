"""A directory that `transformers` loads, with the model's own configuration where that will do.

The decision hidden here: how widths are said. One number for all layers goes into the family's
own configuration, and nothing else is needed. Widths that differ go into `per_layer_config`,
and a modelling file in the directory reads them.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osscar_core.export import replay_torch
from osscar_core.export.job import Job, Reader, Written
from osscar_core.export.records import NEEDS_CODE, NO_TOKENIZER, PLAIN, WITH_CODE
from osscar_core.loadable import why_not_plain
from osscar_core.models import LoadedModel, stored_state
from osscar_core.records import Structure

CODE = "modeling_pruned.py"
LARGEST_SHARD = "5GB"

_CONFIG = "config.json"
_LOADING = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this directory
model = AutoModelForCausalLM.from_pretrained(folder{extra})
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer("The pump", return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=20)[0]))
```"""
_PREFIX = "Pruned"
_OF_CODE = ("auto_map", "per_layer_config", "allow_global_per_layer_attribute_access")
_BIASES = {
    Structure.HEADS: "attention_output_bias",
    Structure.NEURONS: "mlp_output_bias",
}


@dataclass(frozen=True, slots=True)
class Widths:
    """The widths of all layers as a configuration says them.

    Attributes:
        layers: Of every layer, by the configuration's own names.
        reason: Why one number for all layers will not do; empty if it does.
    """

    layers: tuple[dict[str, Any], ...]
    reason: str = ""


def write_hf(job: Job) -> Written:
    """Write weights, configuration and tokenizer of a language model.

    Raises:
        NumericalError: A weight does not fit the type in which it is to be stored.
    """
    loaded = job.loaded
    module: Any = loaded.module
    found = widths_of(loaded)
    _write_weights(loaded, job.folder)
    _write_config(_config_of(loaded, found), job.folder / _CONFIG)
    if found.reason:
        shutil.copyfile(Path(__file__).parent / "carried" / CODE, job.folder / CODE)
    if getattr(module, "generation_config", None) is not None:
        module.generation_config.to_json_file(job.folder / "generation_config.json")
    notes: tuple[str, ...] = (f"{NEEDS_CODE}{found.reason}",) if found.reason else ()
    if loaded.tokenizer is None:
        notes = (*notes, NO_TOKENIZER)
    else:
        loaded.tokenizer.save_pretrained(job.folder)
    kind = "hf-code" if found.reason else "hf"
    reader = Reader("transformers", Path(replay_torch.__file__), (kind, str(job.folder)))
    needs = WITH_CODE if found.reason else PLAIN
    return Written((reader,), needs, notes, usage=_usage(found.reason))


def _usage(reason: str) -> str:
    extra = ", trust_remote_code=True" if reason else ""
    code = _LOADING.format(extra=extra)
    if not reason:
        return f"It loads in plain `transformers`, and in what builds on it.\n\n{code}"
    return (
        f"It loads in `transformers` with the small modelling file beside it, `{CODE}`, because "
        f"{reason}. Read the file; it needs nothing but `transformers`.\n\n{code}"
    )


def widths_of(loaded: LoadedModel) -> Widths:
    """Return the widths of a language model's layers, as its configuration would say them."""
    module, adapter = loaded.module, loaded.adapter
    plan, units = loaded.plan, adapter.units(module)
    reason = (plan and why_not_plain(plan, units)) or ""
    if type(module).__name__.startswith(_PREFIX):
        reason = reason or "the model that it was made from needed one"
    layers = {path: dict[str, Any]() for path in adapter.blocks(module)}
    for unit in units:
        layers[unit.block].update(adapter.config_values(module, unit))
        if reason:
            bias = module.get_submodule(unit.consumer).bias
            layers[unit.block][_BIASES[unit.structure]] = bias is not None
    return Widths(tuple(layers.values()), reason)


def _config_of(loaded: LoadedModel, found: Widths) -> dict[str, Any]:
    """Return what is to stand in the configuration file."""
    module: Any = loaded.module
    said: dict[str, Any] = copy.deepcopy(module.config).to_dict()
    for name in _OF_CODE:  # of a model that was made small before
        said.pop(name, None)
    said["dtype"] = str(loaded.dtype).removeprefix("torch.")
    heads = next(unit for unit in loaded.adapter.units(module) if unit.structure == Structure.HEADS)
    if "head_dim" in said or found.reason:
        attention: Any = module.get_submodule(heads.consumer.rpartition(".")[0])
        said["head_dim"] = attention.head_dim
    base = type(module).__name__.removeprefix(_PREFIX)
    said["architectures"] = [base]
    if not found.reason:
        return {**said, **found.layers[0]}
    code = CODE.removesuffix(".py")
    said["architectures"] = [f"{_PREFIX}{base}"]
    said["auto_map"] = {"AutoModelForCausalLM": f"{code}.{_PREFIX}{base}"}
    if base.startswith("Llama"):
        said["auto_map"]["AutoConfig"] = f"{code}.{_PREFIX}LlamaConfig"
        # Who reads the configuration without the code, like a tokenizer, checks it by the
        # dense model's numbers; without this, it would not be read at all.
        said["allow_global_per_layer_attribute_access"] = True
    digits = len(str(len(found.layers) - 1))
    said["per_layer_config"] = {
        str(number).zfill(digits): layer for number, layer in enumerate(found.layers)
    }
    return said


def _write_config(said: dict[str, Any], file: Path) -> None:
    kept = {name: value for name, value in said.items() if not name.startswith("_name_or")}
    file.write_text(json.dumps(kept, indent=2, sort_keys=True, default=str) + "\n", encoding="utf8")


def _write_weights(loaded: LoadedModel, folder: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    stored = stored_state(loaded.module, loaded.dtype)
    save_torch_state_dict(stored, folder, max_shard_size=LARGEST_SHARD, metadata={"format": "pt"})
