"""Whether a file with a cache writes what its model writes.

The decision hidden here: the file gets prompts of unlike length in one batch, padded, and
goes on token by token with its cache; the model reads each text alone and whole for every
token. Where the two first take different tokens, the model must hold both for as likely,
within what any output may differ by; what follows such a tie is not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from osscar_core.errors import OutputError
from osscar_core.export.items import Items
from osscar_core.export.onnx_graph import Logits
from osscar_core.export.records import Written
from osscar_core.tracing import TOLERANCE, differences

STEPS = 8
_SHARES = (1, 2, 5)
_LONGEST = 48


@dataclass(frozen=True, slots=True)
class Continued:
    """What was written after prompts.

    Attributes:
        tokens: The likeliest tokens, (N, steps).
        logits: What they were taken from, (N, steps, V).
    """

    tokens: Tensor
    logits: Tensor


def continued(module: Logits, items: Items, folder: Path) -> Continued | None:
    """Let a model write on, and leave in the folder what the file is to write on from.

    Returns:
        ``None`` for images, and where prompts leave no room for a token.
    """
    if items.ids is None:
        return None
    limit = items.settings["max_tokens"]
    longest = min(items.ids.shape[1], _LONGEST, max(1, limit - STEPS))
    steps = min(STEPS, limit - longest)
    if steps < 1:
        return None
    texts = zip(items.ids[: len(_SHARES)], _SHARES, strict=True)
    prompts = [ids[: max(1, longest // part)] for ids, part in texts]
    ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, -len(prompt) :] = prompt
        mask[row, -len(prompt) :] = 1
    np.savez(folder / "prompts.npz", ids=ids.numpy(), mask=mask.numpy(), steps=steps)
    rows = [_alone(module, prompt, steps) for prompt in prompts]
    return Continued(torch.stack([one for one, _ in rows]), torch.stack([two for _, two in rows]))


def _alone(module: Logits, prompt: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    ids, scores = prompt[None], []
    for _ in range(steps):
        scores.append(module(ids)[0, -1])
        ids = torch.cat([ids, scores[-1].argmax()[None, None]], 1)
    return ids[0, len(prompt) :], torch.stack(scores)


def judged(wanted: Continued, folder: Path, model: str) -> Written:
    """Compare what a file wrote, left in the folder, with what its model wrote.

    Raises:
        OutputError: It is something else.
    """
    stored = np.load(folder / "written.npz")
    found = Continued(torch.from_numpy(stored["tokens"]), torch.from_numpy(stored["logits"]))
    apart, same = [0.0], 0
    for row, (one, two) in enumerate(zip(wanted.tokens, found.tokens, strict=True)):
        other = (one != two).nonzero().flatten().tolist()
        end = other[0] + 1 if other else len(one)
        scores = wanted.logits[row, :end]
        apart.append(differences(scores, found.logits[row, :end])[1])
        same += not other
        if other:
            gap = float(scores[-1, one[end - 1]] - scores[-1, two[end - 1]])
            apart.append(gap / 2 / float(scores.abs().max()))
    if not max(apart) <= TOLERANCE:
        raise OutputError(
            f"the exported {model} does not write on as the model does: with its cache and with "
            f"padding its outputs differ by {max(apart):.1e} of the largest one, and at most "
            f"{TOLERANCE:.0e} is allowed",
            "Nothing was kept. Try other versions of torch, transformers and onnxruntime",
        )
    return Written(len(wanted.tokens), wanted.tokens.shape[1], same, max(apart))
