"""Reads files of weights that nobody vouches for.

The decision hidden here: how a file may fail. Nothing in a file is ever executed;
whatever is wrong with it (not such a file, cut short, other names, other shapes, values
that are not finite) becomes one `WeightsError` that names the file and the tensor.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from osscar_core.errors import WeightsError
from osscar_core.models.untrusted import check_archive, indexed_files

SAFETENSORS = ".safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLES = (".pth", ".pt", ".bin")

# What readers of binary formats raise on bytes that mean nothing to them.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.PickleError,
    struct.error,
)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU.

    A pickle is read by torch's restricted unpickler, which knows tensors only. A state
    dict nested under ``state_dict`` or ``model``, and a ``module.`` before every name,
    are unwrapped.

    Args:
        path: ``.safetensors``, or ``.pth``, ``.pt`` or ``.bin`` as written by
            ``torch.save``; or a folder with safetensors files and their index.

    Raises:
        WeightsError: There is no such file, or it cannot be read safely.
    """
    if path.is_dir():
        return {name: tensor for shard in shards(path) for name, tensor in read_safetensors(shard)}
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}", "Check the path")
    suffix = path.suffix.lower()
    if suffix == SAFETENSORS:
        return dict(read_safetensors(path))
    if suffix in PICKLES:
        return _unwrap(unpickle(path), path)
    if suffix == ".gguf":
        raise WeightsError(
            f"{path} is a GGUF file, which holds a whole language model",
            "Give it as the model itself, without --weights",
        )
    raise WeightsError(
        f"{path} is no weights file: its name ends in '{suffix}'",
        f"Use {SAFETENSORS}, or {', '.join(PICKLES)} holding a state dict",
    )


def shards(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files that hold the weights in a folder, in order of name.

    Raises:
        WeightsError: The index cannot be read, or a file that it names is missing.
    """
    index = folder / INDEX_FILE
    names = set(indexed_files(index).values()) if index.is_file() else {f"model{SAFETENSORS}"}
    found = tuple(folder / name for name in sorted(names))
    for file in found:
        if not file.is_file():
            raise WeightsError(f"{folder} lacks {file.name}", "Copy the folder again")
    return found


def read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of everything in a safetensors file, as own memory.

    Raises:
        WeightsError: The file is missing, damaged or cut short.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name).clone()
    except (SafetensorError, *DAMAGE) as error:
        raise damaged(path, error) from error


def stored_types(path: Path) -> dict[str, str]:
    """Return the names of the types in a safetensors file, by tensor; its header is checked.

    Raises:
        WeightsError: The file is missing, damaged or cut short.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, *DAMAGE) as error:
        raise damaged(path, error) from error


def fill_(module: nn.Module, state: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    """Put tensors in the place of a module's own, in place, checking every one.

    Args:
        module: Parameters may be on the meta device. Parameters that are one object
            under several names are expected once, under the first.
        state: Tensors by name; nothing may be missing or left over, except a batch
            norm's ``num_batches_tracked``. It is emptied on the way, to save memory.
        path: File that the tensors came from, for messages.
        dtype: Floating-point type to convert to.

    Raises:
        WeightsError: A tensor is missing, unknown, of another shape or kind, or not finite.
    """
    expected = unique_tensors(module)
    optional = {name for name in expected if name.endswith(".num_batches_tracked")}
    _check_names(set(expected) - optional, set(expected), state.keys(), path)
    ready = {}
    for name, own in expected.items():
        if name in state:
            _check_tensor(name, state[name], own, path)
            kind = dtype if own.is_floating_point() else own.dtype
            ready[name] = state.pop(name).detach().to(kind).contiguous()
    check_finite(ready.items(), path)
    module.load_state_dict(ready, strict=False, assign=True)


def unique_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return what a module stores, by name: shared tensors once, under their first name."""
    seen: set[int] = set()
    unique = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            unique[name] = tensor
    return unique


def check_finite(tensors: Iterable[tuple[str, Tensor]], where: Path | str) -> None:
    """Check that no tensor holds NaN or infinity.

    Raises:
        WeightsError: Naming the first tensor that does.
    """
    for name, tensor in tensors:
        if not is_finite(tensor):
            bad = int((~torch.isfinite(tensor)).sum())
            raise WeightsError(
                f"tensor {name} of {where} has {bad} of {tensor.numel()} values that are "
                f"NaN or infinite",
                "The weights are damaged or training diverged; use another checkpoint",
            )


def is_finite(tensor: Tensor) -> bool:
    """Return whether every value is finite, without a temporary of the tensor's size."""
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return True
    low, high = torch.aminmax(tensor.detach())
    return bool(torch.isfinite(low) & torch.isfinite(high))


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file, in hexadecimal.

    Of a folder, it is that of the lines ``DIGEST  NAME`` of its weights files.
    """
    if path.is_dir():
        lines = "".join(f"{sha256(shard)}  {shard.name}\n" for shard in shards(path))
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def counted(names: Sequence[str]) -> str:
    """Return how many tensors there are, and the first: ``2 tensors (a.weight, ...)``."""
    if len(names) == 1:
        return f"the tensor {names[0]}"
    return f"{len(names)} tensors ({names[0]}, ...)"


def first_sentence(error: BaseException) -> str:
    """Return the gist of a library's message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return f"{type(error).__name__} {' '.join(lines)}".strip()
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text.split(". ")[0][:200].rstrip(". ")


def refused_pickle(where: Path | str, error: pickle.UnpicklingError) -> WeightsError:
    """Return the error for a pickle that torch's restricted unpickler did not read.

    Torch explains at length, and advises to lift the restriction: not here.
    """
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f"asks for {named[1]}" if named else "holds more than tensors, or is damaged,"
    return WeightsError(
        f"{where} {what} and was not read, because a pickle can run code",
        "Save the model's state dict alone, best as .safetensors",
    )


def unpickle(path: Path, *, is_mapped: bool = False) -> object:
    """Return what a pickle holds, on the CPU, read by torch's restricted unpickler.

    Args:
        path: The file.
        is_mapped: Whether its tensors are mapped, and read where they are used.

    Raises:
        WeightsError: It holds more than tensors, or is damaged.
    """
    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever matters becomes an error below
            found: object = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except pickle.UnpicklingError as error:
        raise refused_pickle(path, error) from error
    except DAMAGE as error:
        raise damaged(path, error) from error
    return found


def _unwrap(found: object, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise WeightsError(
            f"{path} holds a {type(found).__name__}, not a state dict",
            "Save model.state_dict(), best as .safetensors",
        )
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise WeightsError(
                f"{path} has an entry {str(name)[:60]!r} of type {type(tensor).__name__}, and a "
                f"state dict holds tensors by name",
                "Save model.state_dict(), best as .safetensors",
            )
    if all(name.startswith("module.") for name in found):
        return {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found


def _check_names(required: set[str], allowed: set[str], given: Iterable[str], path: Path) -> None:
    names = set(given)
    missing, unknown = sorted(required - names), sorted(names - allowed)
    if missing or unknown:
        lacks = f"it lacks {counted(missing)}" if missing else ""
        holds = f"it holds {counted(unknown)} unknown to the model" if unknown else ""
        raise WeightsError(
            f"{path} does not fit the model: {' and '.join(filter(None, (lacks, holds)))}",
            "Choose the model that these weights were trained with",
        )


def _check_tensor(name: str, tensor: Tensor, own: Tensor, path: Path) -> None:
    if tensor.shape != own.shape:
        raise WeightsError(
            f"tensor {name} of {path} has the shape {tuple(tensor.shape)}, and the model "
            f"wants {tuple(own.shape)}",
            "Choose the model that these weights were trained with",
        )
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
    if not plain or tensor.is_floating_point() != own.is_floating_point():
        wanted = "floating-point" if own.is_floating_point() else "integer"
        raise WeightsError(
            f"tensor {name} of {path} is of the kind {tensor.dtype} ({tensor.layout}), and the "
            f"model wants plain {wanted} values",
            "Use weights that are neither quantised nor sparse",
        )


def damaged(path: Path, error: BaseException) -> WeightsError:
    """Return the error for a file that its reader could make nothing of."""
    reason = first_sentence(error)
    return WeightsError(
        f"{path} cannot be read as {path.suffix.lstrip('.')} weights ({reason})",
        "The file is damaged, cut short or of another kind; copy or download it again",
    )
