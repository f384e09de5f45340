"""A pruned language model still generates: with a cache, in batches, with padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import families
from families import halve_
from osscar_core.models import load_model

TEXT_FAMILIES = sorted(
    name for name, build in families.FAMILIES.items() if "input_ids" in build().inputs
)
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module", params=[*TEXT_FAMILIES, "facebook/opt-125m"])
def pruned(request: pytest.FixtureRequest) -> Any:
    if request.param == "facebook/opt-125m":  # the real shape, never trained
        return halve_(load_model(request.param, weights="random").module)
    return halve_(families.FAMILIES[request.param]().model)


def prompt(model: Any, length: int, rows: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(4, min(model.config.vocab_size, 1000), (rows, length), generator=generator)


@torch.no_grad()
def test_cached_steps_give_the_logits_of_the_whole_sequence(pruned: Any) -> None:
    ids = prompt(pruned, 12, rows=2)
    whole = pruned(input_ids=ids, use_cache=False).logits
    step = pruned(input_ids=ids[:, :5], use_cache=True)
    pieces = [step.logits]
    for position in range(5, 12):
        step = pruned(
            input_ids=ids[:, position : position + 1],
            past_key_values=step.past_key_values,
            use_cache=True,
        )
        pieces.append(step.logits)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, **TOLERANCE)


@torch.no_grad()
def test_generate_is_the_same_with_and_without_the_cache(pruned: Any) -> None:
    ids = prompt(pruned, 6, rows=2)
    settings = {
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": 10,
        "min_new_tokens": 10,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    cached = pruned.generate(ids, use_cache=True, **settings)
    plain = pruned.generate(ids, use_cache=False, **settings)
    assert torch.equal(cached.sequences, plain.sequences)
    assert cached.sequences.shape == (2, 16)
    torch.testing.assert_close(torch.stack(cached.logits), torch.stack(plain.logits), **TOLERANCE)


@torch.no_grad()
def test_a_padded_batch_generates_what_each_prompt_does_alone(pruned: Any) -> None:
    short, long = prompt(pruned, 4), prompt(pruned, 7)
    padding = torch.full((1, 3), pruned.config.pad_token_id)
    ids = torch.cat((torch.cat((padding, short), 1), long))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    settings = {
        "max_new_tokens": 8,
        "min_new_tokens": 8,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    batch = pruned.generate(ids, attention_mask=mask, **settings)
    together = torch.stack(batch.logits, 1)  # (2, 8, vocabulary)
    for row, alone in enumerate((short, long)):
        one = pruned.generate(alone, attention_mask=torch.ones_like(alone), **settings)
        torch.testing.assert_close(together[row : row + 1], torch.stack(one.logits, 1), **TOLERANCE)
        assert torch.equal(batch.sequences[row, 7:], one.sequences[0, alone.shape[1] :])
