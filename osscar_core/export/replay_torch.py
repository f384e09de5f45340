"""Run an export on stored items with torch: a program of its own.

The decision hidden here: importing this project is forbidden, so that what is read is read as
elsewhere. What reads images needs torch and torchvision only, and numpy to hand over answers.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name

_OURS = "osscar_core"


class Forbidden:
    """An import hook that finds no module of certain packages."""

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def find_spec(self, name: str, *_: Any) -> None:
        """Refuse a module of a forbidden package; leave others to the next hook."""
        if name.partition(".")[0] in self.packages:
            raise ImportError(f"{name} is not to be used here")


def main(arguments: Sequence[str]) -> int:
    """Answer all batches and items of a folder; one line on standard output is one step.

    Args:
        arguments: What the export is (``hf``, ``hf-code``, ``gguf``, ``loader`` or
            ``program``), its file or folder, the folder of items, items at once, threads.
    """
    kind, source, folder = arguments[0], Path(arguments[1]), Path(arguments[2])
    at_once, threads = int(arguments[3]), int(arguments[4])
    torch.set_num_threads(threads)
    torch.set_grad_enabled(mode=False)
    with tempfile.TemporaryDirectory() as modules:
        os.environ["HF_MODULES_CACHE"] = modules
        os.environ["HF_HUB_OFFLINE"] = "1"
        network, versions = _READERS[kind](source)
        logits_of = network if kind in _IMAGES else _text_logits(network)
        _answer(logits_of, folder, at_once)
        prompts = folder / "prompts.json"
        if kind not in _IMAGES and prompts.is_file():
            _continue(network, json.loads(prompts.read_bytes()), _tokenizer(source), folder)
    (folder / "replayed.json").write_text(json.dumps(versions), encoding="utf8")
    return 0


def _language_model(source: Path, **options: Any) -> tuple[Any, dict[str, str]]:
    sys.meta_path.insert(0, Forbidden(_OURS))
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, attn_implementation="sdpa", **options
    )
    model.eval()
    return model, {**_torch_versions(), "transformers": transformers.__version__}


def _gguf(source: Path) -> tuple[Any, dict[str, str]]:
    model, versions = _language_model(source.parent, gguf_file=source.name)
    return model, {**versions, "gguf": importlib.metadata.version("gguf")}


def _loader(source: Path) -> tuple[Any, dict[str, str]]:
    sys.meta_path.insert(0, Forbidden(_OURS, "transformers", "safetensors"))
    spec = importlib.util.spec_from_file_location("loader", source)
    assert spec is not None  # noqa: S101 - it is a Python file
    assert spec.loader is not None  # noqa: S101 - it is a Python file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(source.parent), _torch_versions()


def _program(source: Path) -> tuple[Any, dict[str, str]]:
    sys.meta_path.insert(0, Forbidden(_OURS, "transformers", "safetensors", "torchvision"))
    return torch.export.load(source).module(), _torch_versions()


def _torch_versions() -> dict[str, str]:
    known = {"torch": str(torch.__version__)}
    vision = sys.modules.get("torchvision")
    return known if vision is None else {**known, "torchvision": vision.__version__}


_READERS: dict[str, Callable[[Path], tuple[Any, dict[str, str]]]] = {
    "hf": _language_model,
    "hf-code": lambda source: _language_model(source, trust_remote_code=True),
    "gguf": _gguf,
    "loader": _loader,
    "program": _program,
}
_IMAGES = ("loader", "program")


def _text_logits(model: Any) -> Callable[[Any], Any]:
    return lambda ids: model(input_ids=ids, use_cache=False).logits


def _answer(logits_of: Callable[[Any], Any], folder: Path, at_once: int) -> None:
    for batch in sorted(folder.glob("batch-*.npy")):
        found = logits_of(torch.from_numpy(np.load(batch))).float()
        np.save(folder / batch.name.replace("batch", "logits"), found.numpy())
    items = np.load(folder / "items.npy", mmap_mode="r")
    best, losses = [], []
    for start in range(0, len(items), at_once):
        part = torch.from_numpy(np.array(items[start : start + at_once]))
        logits = logits_of(part).float()
        best.append(logits.argmax(-1))
        if logits.ndim == 3:
            for each, ids in zip(logits, part, strict=True):
                losses.append(F.cross_entropy(each[:-1].double(), ids[1:], reduction="none"))
        print(min(start + at_once, len(items)), flush=True)  # noqa: T201 - read by the parent
    np.save(folder / "best.npy", torch.cat(best).numpy())
    if losses:
        np.save(folder / "losses.npy", torch.stack(losses).numpy())


def _tokenizer(source: Path) -> Any | None:
    from transformers import AutoTokenizer

    if source.is_file():
        return AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    has_one = (source / "tokenizer_config.json").is_file()
    return AutoTokenizer.from_pretrained(source) if has_one else None


def _continue(model: Any, prompts: dict[str, Any], tokenizer: Any | None, folder: Path) -> None:
    ids = torch.tensor(prompts["ids"])
    found = model.generate(
        ids,
        attention_mask=torch.tensor(prompts["mask"]),
        pad_token_id=prompts["pad"],
        eos_token_id=prompts["pad"],
        do_sample=False,
        num_beams=1,
        min_new_tokens=prompts["new"],
        max_new_tokens=prompts["new"],
    )
    new = found[:, ids.shape[1] :].tolist()
    first = prompts["ids"][0][-sum(prompts["mask"][0]) :]  # the rest is padding
    text = None if tokenizer is None else tokenizer.decode(first)
    encoded = None if tokenizer is None else tokenizer(prompts["sample"]).input_ids
    told = json.dumps({"ids": new, "text": text, "encoded": encoded})
    (folder / "continued.json").write_text(told, encoding="utf8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
