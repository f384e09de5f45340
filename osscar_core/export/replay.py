"""Run an ONNX file on stored items: a program of its own, with onnxruntime and numpy alone.

The decision hidden here: nothing of this project is imported, so that what the file gives
is what it gives elsewhere. A file with a cache reads the batches that are compared in full
in pieces, and writes on after prompts of unlike length that are padded to one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

_POSITIONS_AT_ONCE = 256
_PAST = "past_key_values."


class Network:
    """A file that is asked."""

    def __init__(self, file: str, threads: int, provider: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(file, options, providers=[provider])
        if self.session.get_providers()[0] != provider:
            raise SystemExit(f"{provider} is not here, {self.session.get_providers()[0]} is")
        inputs = self.session.get_inputs()
        self.items = inputs[0].name
        self.caches = [(one.name, one.shape) for one in inputs if one.name.startswith(_PAST)]

    def answer(self, items: Any) -> Any:
        """Return the logits of items, read at once."""
        if not self.caches:
            return self.session.run(["logits"], {self.items: np.ascontiguousarray(items)})[0]
        return self.read(items, np.ones(items.shape, np.int64), self.empty(len(items)))[0]

    def in_pieces(self, items: Any) -> Any:
        """Return the logits of items; text is read in a half, a rest and one token."""
        if not self.caches:
            return self.answer(items)
        cache = self.empty(len(items))
        found: list[Any] = []
        for piece in np.split(items, (items.shape[1] // 2, items.shape[1] - 1), axis=1):
            if piece.shape[1]:
                end = sum(each.shape[1] for each in found) + piece.shape[1]
                mask = np.ones((len(items), end), np.int64)
                logits, cache = self.read(piece, mask, cache)
                found.append(logits)
        return np.concatenate(found, 1)

    def write(self, prompts: Any, mask: Any, steps: int) -> tuple[Any, Any]:
        """Return the likeliest tokens after prompts, (B, steps), and their logits.

        Args:
            prompts: Token ids, padded before the text, (B, T).
            mask: 1 for text and 0 for padding, (B, T).
            steps: Tokens to write.
        """
        ids, cache = prompts, self.empty(len(prompts))
        tokens, scores = [], []
        for step in range(steps):
            ones = np.ones((len(prompts), step), np.int64)
            logits, cache = self.read(ids, np.concatenate([mask, ones], 1), cache)
            scores.append(logits[:, -1])
            ids = scores[-1].argmax(-1)[:, None]
            tokens.append(ids)
        return np.concatenate(tokens, 1), np.stack(scores, 1)

    def empty(self, texts: int) -> dict[str, Any]:
        """Return the cache of no tokens."""
        return {
            name: np.zeros((texts, shape[1], 0, shape[3]), np.float32)
            for name, shape in self.caches
        }

    def read(self, ids: Any, mask: Any, cache: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the logits of further tokens, and the cache then."""
        given = {self.items: np.ascontiguousarray(ids), "attention_mask": mask, **cache}
        logits, *present = self.session.run(None, given)
        return logits, dict(zip(cache, present, strict=True))


def main(arguments: Sequence[str]) -> int:
    """Answer all batches and items of a folder; one line on standard output is one step.

    Args:
        arguments: The ONNX file, where it runs, the folder, items at once, and threads.
    """
    folder, at_once, threads = Path(arguments[2]), *map(int, arguments[3:5])
    network = Network(arguments[0], threads, arguments[1])
    for batch in sorted(folder.glob("batch-*.npy")):
        logits = network.in_pieces(np.load(batch))
        np.save(folder / batch.name.replace("batch", "logits"), logits)
    prompts = folder / "prompts.json"
    if network.caches and prompts.is_file():
        given = json.loads(prompts.read_bytes())
        ids, mask = np.array(given["ids"], np.int64), np.array(given["mask"], np.int64)
        told = {"ids": network.write(ids, mask, given["new"])[0].tolist(), "text": None}
        (folder / "continued.json").write_text(json.dumps(told), encoding="utf8")
    items = np.load(folder / "items.npy", mmap_mode="r")
    best, losses = [], []
    for start in range(0, len(items), at_once):
        part = items[start : start + at_once]
        logits = network.answer(part)
        best.append(logits.argmax(-1))
        if logits.ndim == 3:
            losses += [token_losses(each, ids) for each, ids in zip(logits, part, strict=True)]
        print(min(start + at_once, len(items)), flush=True)  # noqa: T201 - read by the parent
    np.save(folder / "best.npy", np.concatenate(best))
    if losses:
        np.save(folder / "losses.npy", np.stack(losses))
    (folder / "replayed.json").write_text(
        json.dumps({"onnxruntime": ort.__version__, "numpy": np.__version__}), encoding="utf8"
    )
    return 0


def token_losses(logits: Any, ids: Any) -> Any:
    """Return the loss in nats of every token but the first, float64, (T-1,).

    Args:
        logits: (T, V), float32.
        ids: (T,), int64.
    """
    found = []
    for start in range(0, len(ids) - 1, _POSITIONS_AT_ONCE):
        part = logits[start : min(start + _POSITIONS_AT_ONCE, len(ids) - 1)].astype(np.float64)
        target = ids[start + 1 : start + 1 + len(part)]
        top = part.max(-1)
        total = top + np.log(np.exp(part - top[:, None]).sum(-1))
        found.append(total - part[np.arange(len(part)), target])
    return np.concatenate(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
