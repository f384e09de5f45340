"""What is looked at in a model from elsewhere before a library opens it.

The decision hidden here: how much a model may ask for. Readers of the formats refuse what is
malformed, but build whatever a configuration describes, follow an index to wherever it points
and unpack whatever a pickle's archive holds; what is refused here never gets that far.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osscar_core.errors import WeightsError
from osscar_core.storage import read_small

# The most that a configuration may say; what is published stays far below.
_MOST = {
    "vocab_size": 2**24,
    "hidden_size": 2**18,
    "word_embed_proj_dim": 2**18,
    "intermediate_size": 2**21,
    "ffn_dim": 2**21,
    "num_hidden_layers": 2_000,
    "num_attention_heads": 2**14,
    "num_key_value_heads": 2**14,
    "head_dim": 2**14,
    "max_position_embeddings": 2**30,
    "num_labels": 2**20,
}
_CONFIG_BYTES = 32 * 2**20
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_PARAMETERS_A_BYTE = 8  # no format stores a parameter in less than a bit
_HARMLESS = 2**24  # so many parameters may be allocated without a look at the files
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
_INTEGERS = frozenset({"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL"})
_GGUF_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, metadata entries
_SMALLEST_GGUF_ENTRY = 16
_ZIP = b"PK\x03\x04"
_LONGEST = 1_000  # characters that a normaliser may make of one
_GET_ANOTHER = "Get the model from a source that you trust"


def check_folder(folder: Path) -> None:
    """Refuse a model's folder that leads elsewhere.

    Raises:
        WeightsError: It holds a device or a pipe, or an index that points out of it.
    """
    for entry in folder.iterdir():
        if entry.exists() and not entry.is_file() and not entry.is_dir():
            raise WeightsError(f"{entry} is a device or a pipe, not a file", _GET_ANOTHER)
    for name in _INDEXES:
        if (folder / name).is_file():
            indexed_files(folder / name)


def indexed_files(index: Path) -> dict[str, str]:
    """Return in which file of the index's folder each tensor lies.

    Raises:
        WeightsError: The index cannot be read, or names what is no file beside it.
    """
    try:
        found = json.loads(index.read_bytes())["weight_map"]
        places = {str(name): str(file) for name, file in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{index} cannot be read as an index of weights ({type(error).__name__})",
            "The file is damaged; copy or download it again",
        ) from error
    for file in dict.fromkeys(places.values()):
        if not _is_plain_name(file) or file == index.name:
            raise WeightsError(
                f"{index} says that weights lie in '{file:.80}', which is no weights file "
                "beside it",
                _GET_ANOTHER,
            )
    return places


def check_config_file(file: Path) -> None:
    """Refuse a configuration file whose size or values nobody could build.

    Raises:
        WeightsError: It is too large, no JSON object, or asks for too much.
    """
    try:
        if file.stat().st_size > _CONFIG_BYTES:
            raise WeightsError(f"{file} takes {file.stat().st_size:,} bytes", _GET_ANOTHER)
        values = json.loads(read_small(file, _CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return  # whoever reads it says what is wrong
    if isinstance(values, dict):
        check_sizes(values, file)


def check_sizes(values: Mapping[str, Any], where: Path | str) -> None:
    """Refuse sizes of a model that cannot be meant.

    Args:
        values: A configuration.
        where: What it is of.

    Raises:
        WeightsError: One is no whole number, below 1 or absurdly large.
    """
    for name, most in _MOST.items():
        value = values.get(name)
        if value is None:
            continue
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not 1 <= value <= most:
            raise WeightsError(
                f"{where} gives {name} as {value!r:.40}, and a model has from 1 to {most:,}",
                "Restore the file that belongs to the weights",
            )


def check_proportion(parameters: int, folder: Path, file: Path | None) -> None:
    """Refuse a model that is far larger than the files it would be filled from.

    Args:
        parameters: What its configuration describes.
        folder: Where its weights lie.
        file: The one file with them, if it is one.

    Raises:
        WeightsError: The files cannot hold so many.
    """
    if parameters <= _HARMLESS:
        return
    files = (file,) if file else {one for kind in _WEIGHTS for one in folder.glob(kind)}
    size = sum(one.stat().st_size for one in files if one.is_file())
    if parameters > _PARAMETERS_A_BYTE * size:
        raise WeightsError(
            f"the configuration of {file or folder} describes {parameters:,} parameters, and its "
            f"weights take {size:,} bytes",
            "Weights and configuration do not belong together; download the model again",
        )


def check_stored_types(kinds: Mapping[str, str], file: Path) -> None:
    """Refuse weights that are stored as whole numbers.

    Args:
        kinds: Names of the stored types, by the tensors' names.
        file: Where they are.

    Raises:
        WeightsError: Naming the first one.
    """
    for name, kind in kinds.items():
        if kind in _INTEGERS and name.endswith((".weight", ".bias")):
            raise WeightsError(
                f"tensor {name} of {file} is of the kind {kind}, and weights are floating-point "
                "values",
                "Use weights that are neither quantised nor damaged",
            )


def check_tokenizer_file(file: Path) -> None:
    """Refuse a tokenizer whose rules make a text longer without end.

    A rule replaces a text by another, and the next one works on what came out: with every rule
    the length is multiplied, and memory is used up by a single word.

    Raises:
        WeightsError: One character could become more than a thousand.
    """
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return  # whoever reads it says what is wrong
    for part in ("normalizer", "decoder"):
        if _longest(values.get(part) if isinstance(values, dict) else None) > _LONGEST:
            raise WeightsError(
                f"the {part} in {file} makes more than {_LONGEST:,} characters of one",
                _GET_ANOTHER,
            )


def check_archive(file: Path) -> None:
    """Refuse a pickle's archive that unpacks to more than it takes.

    What `torch.save` writes is packed without compression.

    Raises:
        WeightsError: It is compressed, or its directory cannot be read.
    """
    with file.open("rb") as source:
        if source.read(len(_ZIP)) != _ZIP:
            return
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, LookupError):
        return  # whoever reads it says what is wrong
    if unpacked > file.stat().st_size:
        raise WeightsError(
            f"{file} takes {file.stat().st_size:,} bytes and would unpack to {unpacked:,}, which "
            "no file that torch saved does",
            "Save the model's state dict again, best as .safetensors",
        )


def check_gguf(path: Path) -> None:
    """Check magic, version and counts, so that no reader loops over an absurd count.

    Raises:
        WeightsError: The file is missing or no GGUF file.
    """
    if path.exists() and not path.is_file():
        raise WeightsError(f"the model file {path} is no file", "Name a .gguf file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_GGUF_HEADER.size)
    except OSError as error:
        raise WeightsError(
            f"the model file {path} cannot be read ({error.strerror})", "Check the path"
        ) from error
    plausible = False
    if len(header) == _GGUF_HEADER.size:
        magic, version, tensors, entries = _GGUF_HEADER.unpack(header)
        most = size // _SMALLEST_GGUF_ENTRY
        plausible = magic == b"GGUF" and version in (2, 3) and max(tensors, entries) <= most
    if not plausible:
        raise WeightsError(
            f"{path} is not a GGUF file of version 2 or 3, or is damaged",
            "Copy or download it again",
        )


def _longest(rule: Any) -> float:
    """Return how many characters a rule of `tokenizers` makes of one at most, or is thought to."""
    if not isinstance(rule, dict):
        return 1
    length = 1.0
    for name in ("normalizers", "decoders"):
        inner = rule.get(name)
        for one in inner if isinstance(inner, list) else ():
            length *= _longest(one)
    content, pattern = rule.get("content"), rule.get("pattern")
    if isinstance(content, str) and isinstance(pattern, dict):
        replaced = pattern.get("String")
        if isinstance(replaced, str) and replaced:
            length *= max(1, len(content) / len(replaced))
        else:
            length *= max(1, len(content) + _may_match_nothing(pattern.get("Regex")))
    prepended = rule.get("prepend")
    return length * (1 + len(prepended) if isinstance(prepended, str) else 1)


def _may_match_nothing(pattern: Any) -> bool:
    """Return whether an expression may be found between two characters, as a safe guess."""
    try:
        return bool(re.search(pattern, "") or re.search(r"\(\?|\\[bBG]", pattern))
    except (re.error, TypeError, RecursionError, OverflowError):
        return True


def _is_plain_name(name: str) -> bool:
    is_one_part = name not in {"", ".", ".."} and not set(name) & {"/", "\\", "\0"}
    return is_one_part and len(name.encode(errors="replace")) < 256
