"""What the tests of data loading share: tokenizers without files."""

from __future__ import annotations

from typing import Any

import pytest

import families


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """One token per byte; no special tokens by default; ``</s>`` is the end of text."""
    return families.byte_tokenizer()


@pytest.fixture(scope="session")
def bos_tokenizer() -> Any:
    """The same with ``<s>`` put before every text by default."""
    from tokenizers.processors import TemplateProcessing

    made = families.byte_tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.bos_token_id)]
    )
    return made
