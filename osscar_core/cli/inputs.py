"""What a command works on: data that is there, and models.

The decision hidden here: which options belong to a model, and what is refused before
seconds or minutes are spent on loading one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


def check_data(text: str) -> None:
    """Refuse data that cannot be there, before a model is loaded for seconds or minutes."""
    from osscar_core.datasets.spec import check_place, parse_data_spec

    check_place(parse_data_spec(text))


def load(args: argparse.Namespace, name: str) -> LoadedModel:
    """Load a model with the options of the command line."""
    from osscar_core.models import load_model

    return load_model(
        name,
        weights=args.weights,
        device=args.device or "auto",
        dtype=args.dtype or "auto",
        image_size=args.image_size,
        trust_remote_code=bool(args.trust_remote_code),
    )
