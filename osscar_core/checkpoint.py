"""What is finished of a run, kept so that the same request goes on from there.

The decision hidden here: what lies in that folder, and when it may be trusted. A block's
tensors are written first and the list of finished blocks last, each under another name
and then renamed, so that a run that is killed leaves the list as it was before or after a
block. What was kept counts only for the very same run, and only as far as every byte is
the one that was written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

from osscar_core.adapters.base import Adapter
from osscar_core.errors import OutputError, WeightsError
from osscar_core.models import check_output
from osscar_core.models.store import write_tensors
from osscar_core.models.weights import read_state, sha256, unique_tensors
from osscar_core.records import UnitPlan, UnitReport, from_dict, to_dict
from osscar_core.surgery import reshape_

CHECKPOINT_VERSION = 2
STATE_FILE = "checkpoint.json"
_OWN = re.compile(r"(checkpoint\.json|block-\d+\.safetensors)|\..+\.[0-9a-f]{8}\.unfinished")


@dataclass(frozen=True, slots=True)
class FinishedBlock:
    """What a run has to know of a block that it need not search again.

    Attributes:
        path: The block's module path.
        plans: What is kept of its units.
        reports: How they fared.
        rows: Of every unit that was calibrated: name, calibration rows, input features.
        file: Name of the file with the block's tensors; empty if it is as it was.
        sha256: Digest of that file.
    """

    path: str
    plans: tuple[UnitPlan, ...]
    reports: tuple[UnitReport, ...]
    rows: tuple[tuple[str, int, int], ...]
    file: str = ""
    sha256: str = ""


class Checkpoint:
    """The finished blocks of one run, in forward order; made by `Checkpoint.open`.

    Attributes:
        blocks: Those that need no search.
        warning: What was found in the folder and not used; empty if all was.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, str],
        blocks: Sequence[FinishedBlock] = (),
        warning: str = "",
    ) -> None:
        self.blocks = tuple(blocks)
        self.warning = warning
        self._folder = folder
        self._about = dict(about)

    @classmethod
    def open(cls, folder: Path, about: Mapping[str, Any]) -> Checkpoint:
        """Take up what a folder holds of a run, or start anew there.

        Args:
            folder: The folder; made if needed.
            about: All that the run's result rests on, by what a person calls it; records
                and plain values.

        Raises:
            OutputError: The folder holds other things or cannot be written.
        """
        check_checkpoint(folder)
        digests = {name: _digest(part) for name, part in about.items()}
        digests["format"] = _digest(CHECKPOINT_VERSION)
        checkpoint = cls(folder, digests, *_trusted(folder, digests))
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint._list(checkpoint.blocks)
            _remove_own(folder, {STATE_FILE, *(block.file for block in checkpoint.blocks)})
        return checkpoint

    def add(self, block: FinishedBlock, model: nn.Module) -> None:
        """Keep one more block.

        Args:
            block: The block, without ``file``.
            model: The model that holds it.

        Raises:
            OutputError: The disk is full or the folder cannot be written; what was kept
                before still is.
            NumericalError: A weight is not finite.
        """
        with _writing(self._folder):
            if block.rows:
                file = self._folder / f"block-{len(self.blocks):03d}.safetensors"
                with _replaced(file) as stream:
                    prefix = f"{block.path}."
                    write_tensors(model.get_submodule(block.path), None, stream, prefix=prefix)
                block = dataclasses.replace(block, file=file.name, sha256=sha256(file))
            blocks = (*self.blocks, block)
            self._list(blocks)
        self.blocks = blocks

    @torch.no_grad()
    def restore_(self, block: FinishedBlock, model: nn.Module, adapter: type[Adapter]) -> None:
        """Cut a dense block as it was cut and give it the tensors it had then, in place.

        Args:
            block: One of ``blocks``.
            model: The model that holds it.
            adapter: The model's family.

        Raises:
            WeightsError: The file vanished, or holds a block of other shapes.
        """
        if not block.file:
            return
        reshape_(model, adapter, block.plans)
        path = self._folder / block.file
        prefix = f"{block.path}."
        stored = {name.removeprefix(prefix): one for name, one in read_state(path).items()}
        own = unique_tensors(model.get_submodule(block.path))
        if {name: (value.shape, value.dtype) for name, value in own.items()} != {
            name: (value.shape, value.dtype) for name, value in stored.items()
        }:
            raise WeightsError(
                f"{path} does not fit the block {block.path}",
                f"Delete {self._folder} and start again",
            )
        for name, value in own.items():
            value.detach().copy_(stored[name])

    def file(self, path: str) -> Path | None:
        """Return the file of a finished block's tensors, by their names in the model.

        ``None`` if the block is not here, or is as it was.
        """
        found = next((block.file for block in self.blocks if block.path == path), "")
        return self._folder / found if found else None

    def _list(self, blocks: Sequence[FinishedBlock]) -> None:
        state = {"about": self._about, "blocks": [to_dict(block) for block in blocks]}
        text = json.dumps({"sha256": _digest(state), "state": state})
        with _replaced(self._folder / STATE_FILE) as stream:
            stream.write(text.encode())


def check_checkpoint(folder: Path) -> None:
    """Check, before any work, that a checkpoint can be kept in a folder.

    Raises:
        OutputError: It holds other things, or cannot be written.
    """
    if not folder.is_dir():
        check_output(folder)
        return
    names = {path.name for path in folder.iterdir()}
    if STATE_FILE not in names and not all(_OWN.fullmatch(name) for name in names):
        raise OutputError(
            f"{folder} holds other files than a checkpoint",
            "Choose a new folder, or that of the interrupted run",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to", "Choose another place")


def discard(folder: Path) -> None:
    """Remove a checkpoint, and its folder if nothing else lies there."""
    with contextlib.suppress(OSError):
        _remove_own(folder, set())
        folder.rmdir()


def _trusted(folder: Path, about: Mapping[str, str]) -> tuple[tuple[FinishedBlock, ...], str]:
    """Return the blocks that may be used, and why others may not."""
    path = folder / STATE_FILE
    if not path.exists():
        return (), ""
    anew = "it was not used, and the run started anew"
    try:
        stored = json.loads(path.read_bytes())
        state = stored["state"]
        if stored["sha256"] != _digest(state):
            return (), f"the checkpoint {path} is not what was written; {anew}"
        different = [name for name in about if state["about"].get(name) != about[name]]
        if different:
            others = " and another ".join(different)
            return (), f"the checkpoint {folder} is of a run with another {others}; {anew}"
        blocks = tuple(from_dict(FinishedBlock, block) for block in state["blocks"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return (), f"the checkpoint {path} cannot be read; {anew}"
    for number, block in enumerate(blocks):
        file = folder / Path(block.file).name
        if block.file and not _is_whole(file, block.sha256):
            trouble = f"the checkpoint {file} is not what was written"
            return blocks[:number], f"{trouble}; {block.path} and what follows were pruned anew"
    return blocks, ""


def _is_whole(file: Path, digest: str) -> bool:
    try:
        return sha256(file) == digest
    except OSError:
        return False


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=to_dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _remove_own(folder: Path, but: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in but and _OWN.fullmatch(path.name):
            path.unlink()


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``path`` once it is complete, or vanishes."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with unfinished.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the checkpoint {folder} could not be written ({error.strerror or error})",
            "Free space or choose another place; the blocks finished before are kept",
        ) from error
