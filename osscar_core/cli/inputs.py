"""What a command works on: data that is there, and models.

The decision hidden here: which options belong to a model, and what is refused before
seconds or minutes are spent on loading one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from osscar_core.errors import SpecError
from osscar_core.storage import read_sealed

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel


_RECORD_BYTES = 256 * 2**20


def read_record(file: Path, what: str, remedy: str) -> bytes:
    """Return what a file with a record holds.

    Args:
        file: The file.
        what: What it should be, such as ``the plan``.
        remedy: What to name instead.

    Raises:
        SpecError: It is no file, is too large to be one, or cannot be read.
        DamagedError: It is not what was written.
    """
    try:
        if not file.is_file() and file.exists():
            raise SpecError(f"cannot read {what} {file}, which is no file", remedy)
        if file.is_file() and file.stat().st_size > _RECORD_BYTES:
            raise SpecError(f"{what} {file} takes more than {_RECORD_BYTES:,} bytes", remedy)
        return read_sealed(file)
    except OSError as error:
        raise SpecError(f"cannot read {what} {file} ({error.strerror})", remedy) from error


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
