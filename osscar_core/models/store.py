"""Writes a pruned model to a directory, and reads it back.

The decision hidden here: what lies in that directory (``model.safetensors``, or one such
file a block with an index; ``plan.json`` and, for text, configuration and tokenizer), and
how it comes into being as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from osscar_core.adapters import find_adapter
from osscar_core.errors import NumericalError, OutputError, SpecError, WeightsError, unknown_name
from osscar_core.models.images import ARCHITECTURES, finished, skeleton
from osscar_core.models.loaded import LoadedModel, Precision, requested_dtype
from osscar_core.models.text import load_config, load_tokenizer, text_skeleton
from osscar_core.models.weights import (
    DAMAGE,
    INDEX_FILE,
    fill_,
    is_finite,
    read_state,
    sha256,
    unique_tensors,
)
from osscar_core.records import Plan, from_json, to_json
from osscar_core.surgery import reshape_
from osscar_core.tensorfile import StoredTensor, file_header, place

PLAN_FILE = "plan.json"
WEIGHTS_FILE = "model.safetensors"
_GENERATION_FILE = "generation_config.json"

# Types by their name in a safetensors file.
_TYPES = {
    "I64": torch.int64,
    "F64": torch.float64,
    "F32": torch.float32,
    "I32": torch.int32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_TYPE_NAMES = {kind: name for name, kind in _TYPES.items()}


def check_output(out: Path) -> None:
    """Check, before any work, that a directory can be made at ``out``.

    Raises:
        OutputError: Something is there already, or the place cannot be written.
    """
    if out.is_dir():
        if any(out.iterdir()):
            raise OutputError(f"{out} is not empty", "Choose a new directory; nothing is replaced")
    elif out.exists() or out.is_symlink():
        raise OutputError(f"{out} is a file", "Choose a new directory")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{above} cannot be written to", "Choose another place")


def save_pruned(loaded: LoadedModel, plan: Plan, out: Path) -> int:
    """Write a model and its plan as a directory that `load_model` reads.

    The directory appears complete or not at all: it is written beside ``out`` under
    another name and renamed at the end.

    Args:
        loaded: The pruned model.
        plan: What was removed, with its origin.
        out: Directory to make; it must not exist or be empty.

    Returns:
        Bytes of the weights file.

    Raises:
        OutputError: ``out`` is taken, cannot be written, or the disk is full.
        NumericalError: A weight does not fit the type in which it is to be stored.
    """
    check_output(out)
    with _made_whole(out) as folder:
        with (folder / WEIGHTS_FILE).open("wb") as file:
            size = write_tensors(loaded.module, loaded.dtype, file)
            _sync(file)
        if loaded.task == "text":
            _write_text_files(loaded, folder)
        with (folder / PLAN_FILE).open("wb") as file:
            file.write(to_json(plan, indent=2).encode() + b"\n")
            _sync(file)
    return size


def save_streamed(
    loaded: LoadedModel, plan: Plan, out: Path, finished: Callable[[str], Path | None]
) -> int:
    """Write a pruned model whose blocks are in files already; see `save_pruned`.

    There is one file a block, and one for the rest, with an index of them all. A file that
    holds a block as it is to be stored is not copied, but given a second name where the
    file system can do that.

    Args:
        loaded: The pruned model; the parameters of its blocks have shapes alone.
        plan: What was removed, with its origin.
        out: Directory to make; it must not exist or be empty.
        finished: Returns the file of a block's tensors, by their names in the model, or
            ``None`` for a block that is as the dense model has it.

    Returns:
        Bytes of all weights files.

    Raises:
        OutputError: ``out`` is taken, cannot be written, or the disk is full.
        NumericalError: A weight does not fit the type in which it is to be stored.
        WeightsError: A block cannot be read again.
    """
    check_output(out)
    paths = loaded.adapter.blocks(loaded.module)
    in_blocks = tuple(f"{path}." for path in paths)
    outer = {
        name: tensor
        for name, tensor in unique_tensors(loaded.module).items()
        if not name.startswith(in_blocks)
    }
    with _made_whole(out) as folder:
        weight_map: dict[str, str] = {}
        size = 0
        for number in range(len(paths) + 1):
            file = folder / f"model-{number + 1:05d}-of-{len(paths) + 1:05d}.safetensors"
            names = _write_part(loaded, outer, paths, number, finished, file)
            weight_map |= dict.fromkeys(names, file.name)
            size += file.stat().st_size
        with (folder / INDEX_FILE).open("w", encoding="utf8") as index:
            json.dump({"metadata": {"total_size": size}, "weight_map": weight_map}, index, indent=1)
        _write_text_files(loaded, folder)
        with (folder / PLAN_FILE).open("wb") as stream:
            stream.write(to_json(plan, indent=2).encode() + b"\n")
            _sync(stream)
    return size


def _write_part(
    loaded: LoadedModel,
    outer: Mapping[str, Tensor],
    paths: Sequence[str],
    number: int,
    finished: Callable[[str], Path | None],
    file: Path,
) -> tuple[str, ...]:
    """Write what belongs to no block (number 0), or one block; return the names in it."""
    if number == 0:
        held = dict(outer)
    else:
        path = paths[number - 1]
        source = finished(path)
        if source is not None:
            names = _stored_as_wanted(source, loaded.dtype)
            if names:
                _second_name(source, file)
                return names
            held = read_state(source)
        elif loaded.blocks is not None:
            held = {f"{path}.{name}": one for name, one in loaded.blocks.read(path).items()}
        else:
            raise SpecError(f"the weights of {path} are nowhere", "Use save_pruned")
    with file.open("wb") as stream:
        _write(_Layout.of(held, loaded.dtype), stream)
        _sync(stream)
    return tuple(held)


def _stored_as_wanted(file: Path, dtype: torch.dtype) -> tuple[str, ...]:
    """Return the names in a safetensors file if all its values have this type, else none."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as source:
        names = tuple(source.keys())
        kinds = {source.get_slice(name).get_dtype() for name in names}
    return names if kinds == {_TYPE_NAMES[dtype]} else ()


def _second_name(source: Path, file: Path) -> None:
    try:
        os.link(source, file)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, file)


def state_bytes(module: nn.Module, dtype: torch.dtype | None = None) -> int:
    """Return the size of the weights file that `save_pruned` would write.

    Args:
        module: The model.
        dtype: Floating-point type of the file; ``None`` for the tensors' own types.
    """
    layout = _Layout.of(unique_tensors(module), dtype)
    return len(layout.header) + layout.data_bytes


def write_tensors(
    module: nn.Module, dtype: torch.dtype | None, file: BinaryIO, *, prefix: str = ""
) -> int:
    """Write what a module stores as a safetensors file, without a second copy in memory.

    Args:
        module: The model, or a part of it.
        dtype: Floating-point type of the file; ``None`` for the tensors' own types.
        file: Where to write.
        prefix: What comes before every name in the file.

    Returns:
        Number of bytes written.

    Raises:
        NumericalError: A value does not fit that type.
    """
    return _write(_Layout.of(unique_tensors(module), dtype, prefix), file)


def _write(layout: _Layout, file: BinaryIO) -> int:
    file.write(layout.header)
    for name, tensor, kind in layout.tensors:
        stored = as_stored(name, tensor, kind)
        file.write(stored.reshape(-1).view(torch.uint8).numpy().data)
    return len(layout.header) + layout.data_bytes


def stored_state(module: nn.Module, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return what a module stores, by name, in the type it is stored in, on the CPU.

    Args:
        module: The model.
        dtype: Floating-point type; ``None`` for the tensors' own types.

    Raises:
        NumericalError: A value does not fit that type.
    """
    return {
        name: as_stored(name, tensor, _stored_type(tensor, dtype))
        for name, tensor in unique_tensors(module).items()
    }


def stored_tensors(module: nn.Module, dtype: torch.dtype | None) -> tuple[StoredTensor, ...]:
    """Return what `save_pruned` would write of a module, in file order.

    Args:
        module: The model.
        dtype: Floating-point type of the file; ``None`` for the tensors' own types.
    """
    return _in_file_order(unique_tensors(module), dtype)


def _in_file_order(
    held: Mapping[str, Tensor], dtype: torch.dtype | None
) -> tuple[StoredTensor, ...]:
    tensors = (
        StoredTensor(name, _TYPE_NAMES[_stored_type(tensor, dtype)], tuple(tensor.shape))
        for name, tensor in held.items()
    )
    return tuple(sorted(tensors, key=place))


def load_pruned(
    folder: Path, *, name: str, dtype: str, device: torch.device, trust_remote_code: bool
) -> LoadedModel:
    """Rebuild a model written by `save_pruned`, without the original weights.

    Args:
        folder: The directory.
        name: How the user called it.
        dtype: Floating-point type, or ``auto`` for the stored one.
        device: Where forward passes will run.
        trust_remote_code: Allow code that came with the dense model to run.

    Raises:
        SpecError: The plan is damaged or names an unknown model.
        WeightsError: The weights are damaged or do not fit the plan.
    """
    try:
        plan = from_json(Plan, (folder / PLAN_FILE).read_bytes())
    except OSError as error:
        raise WeightsError(
            f"{folder / PLAN_FILE} cannot be read ({error.strerror})", "Copy the directory again"
        ) from error
    stored = requested_dtype(plan.dtype)
    if stored is None:
        raise SpecError(f"the plan's dtype is '{plan.dtype}'", "Make the model again")
    precision = Precision.choose(dtype, stored, device)
    module, tokenizer = _dense_skeleton(folder, plan, trust_remote_code)
    adapter = find_adapter(module)
    reshape_(module, adapter, plan.units)
    path = folder / WEIGHTS_FILE
    if not path.is_file() and (folder / INDEX_FILE).is_file():
        path = folder  # one file a block, with an index
    fill_(module, read_state(path), path, precision.compute)
    if tokenizer is not _NO_TEXT:
        _complete_text_(module, folder, precision.compute)
        if tokenizer is not None and plan.source.tokenizer:
            # It is the dense model's, and reports say so, not where this copy happens to lie.
            tokenizer.name_or_path = plan.source.tokenizer
    return LoadedModel(
        module=finished(module),
        adapter=adapter,
        source=replace(
            plan.source, model=name, weights=str(path), revision=None, sha256=sha256(path)
        ),
        dtype=precision.storage,
        tokenizer=None if tokenizer is _NO_TEXT else tokenizer,
        plan=plan,
    )


_NO_TEXT = object()


def _dense_skeleton(
    folder: Path, plan: Plan, trust_remote_code: bool
) -> tuple[nn.Module, Any | None]:
    if plan.source.task == "text":
        config = load_config(folder, trust_remote_code=trust_remote_code)
        module = text_skeleton(config, trust_remote_code=trust_remote_code)
        return module, load_tokenizer(folder)
    architecture = ARCHITECTURES.get(plan.source.model)
    if architecture is None:
        raise unknown_name("model", plan.source.model, tuple(ARCHITECTURES))
    return skeleton(architecture, plan.source.classes or architecture.classes), _NO_TEXT


def _complete_text_(module: Any, folder: Path, dtype: torch.dtype) -> None:
    """Tie what shares weights, and take over the dense model's generation settings."""
    from transformers import GenerationConfig

    module.tie_weights()
    module.config.dtype = dtype
    if (folder / _GENERATION_FILE).is_file():
        try:
            module.generation_config = GenerationConfig.from_pretrained(str(folder))
        except DAMAGE as error:
            raise WeightsError(
                f"{folder / _GENERATION_FILE} cannot be read", "Copy the directory again"
            ) from error


def _write_text_files(loaded: LoadedModel, folder: Path) -> None:
    module: Any = loaded.module
    config = copy.deepcopy(module.config)
    config.dtype = loaded.dtype
    config.architectures = [type(module).__name__]
    if getattr(module, "_auto_class", None) is not None:  # its code came with it, and goes along
        from transformers.dynamic_module_utils import custom_object_save

        custom_object_save(module, folder, config=config)
    config.save_pretrained(folder)
    if getattr(module, "generation_config", None) is not None:
        module.generation_config.to_json_file(folder / _GENERATION_FILE)
    if loaded.tokenizer is not None:
        loaded.tokenizer.save_pretrained(folder)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything goes in a safetensors file.

    Attributes:
        header: Length, JSON and padding.
        tensors: Name, tensor and stored type, in file order.
        data_bytes: Length of what follows the header.
    """

    header: bytes
    tensors: tuple[tuple[str, Tensor, torch.dtype], ...]
    data_bytes: int

    @classmethod
    def of(
        cls, named: Mapping[str, Tensor], dtype: torch.dtype | None, prefix: str = ""
    ) -> _Layout:
        held = {f"{prefix}{name}": tensor for name, tensor in named.items()}
        listed = _in_file_order(held, dtype)
        header, data_bytes = file_header(listed)
        tensors = tuple((one.name, held[one.name], _TYPES[one.kind]) for one in listed)
        return cls(header, tensors, data_bytes)


def as_stored(name: str, tensor: Tensor, kind: torch.dtype) -> Tensor:
    """Return a tensor in the type it is stored in, on the CPU.

    Raises:
        NumericalError: A value does not fit that type.
    """
    stored = tensor.detach().to("cpu", kind).contiguous()
    if not is_finite(stored):
        raise NumericalError(
            f"tensor {name} holds values that {str(kind).removeprefix('torch.')} cannot",
            "Store it in a wider type: --dtype bfloat16 or float32",
        )
    return stored


def _stored_type(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    return dtype if dtype and tensor.is_floating_point() else tensor.dtype


@contextlib.contextmanager
def _made_whole(out: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes ``out`` at the end, or vanishes on failure."""
    target = out.absolute()
    made = [folder for folder in target.parents if not folder.exists()]
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(target)
        _sync_folder(target.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise OutputError(
                f"{out} could not be written ({error.strerror or error})",
                "Free space or choose another place; nothing was left behind",
            ) from error
        raise


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
