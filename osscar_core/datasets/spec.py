"""How a person names data.

The decision hidden here: the spelling ``PREFIX:LOCATION``, what each prefix means and
what a part (``split``) of a data set is called. No torch.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from osscar_core.datasets.mix import MixPart, parse_mix
from osscar_core.errors import DataError, MissingDependencyError, SpecError, unknown_name
from osscar_core.records import Task
from osscar_core.storage import given_path

Kind = Literal["text", "images", "own", "hf", "demo", "mix"]
Split = Literal["calibration", "evaluation"]

PREFIXES: dict[Kind, str] = {
    "text": "text:PATH",
    "images": "images:PATH",
    "own": "own:PATH",
    "hf": "hf:NAME",
    "demo": "demo:NAME",
    "mix": "mix:3*DATA+1*DATA",
}
SPLITS: tuple[Split, ...] = ("calibration", "evaluation")
_PART_NAMES: dict[Split, tuple[str, ...]] = {
    "calibration": ("train",),
    "evaluation": ("test", "validation", "valid", "val"),
}
PART_NAMES = frozenset(name for names in _PART_NAMES.values() for name in names)
_TASKS: dict[Kind, Task] = {"text": "text", "images": "image"}


@dataclass(frozen=True, slots=True)
class DemoData:
    """Data that needs no file.

    Attributes:
        task: The kind of model that reads it.
        parts: What may stand behind the name and a slash.
    """

    task: Task
    parts: tuple[str, ...] = ()


DEMOS: dict[str, DemoData] = {
    "factory": DemoData("image", ("line-a", "line-b", "line-c")),
    "plant-log": DemoData("text", ("plant-1", "plant-2", "plant-3")),
    "python-docs": DemoData("text"),
}


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A parsed data specification.

    Attributes:
        kind: The prefix: what sort of place the data comes from.
        location: The rest: a path or a name.
    """

    kind: Kind
    location: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.location}"


def parse_data_spec(text: str) -> DataSpec:
    """Return the data specification that ``text`` spells.

    ==================  ====================================================================
    ``text:PATH``       a ``.txt``, ``.jsonl``, ``.jsonl.gz``, ``.jsonl.xz`` or ``.parquet``
                        file, or a folder of them
    ``images:PATH``     a ``.parquet`` file or folder of them, a folder with one subfolder
                        per class, or an unpacked ``cifar-10-batches-py``
    ``own:PATH``        a ``.csv`` or ``.jsonl`` file for text, a ``.zip`` file or folder of
                        labelled pictures, checked strictly; or a set that was imported
    ``hf:NAME``         ``wikitext2``, ``ptb``, ``c4``, ``cifar10``, any other data set name
                        or local data set directory, optionally with ``/train`` and so on
    ``demo:NAME``       ``factory`` (images), ``plant-log`` or ``python-docs`` (text): made on
                        the spot; ``factory/line-a`` and so on for one part
    ``mix:PART+PART``   a weighted mix of the others, such as
                        ``mix:3*demo:factory+1*demo:factory/line-c[tier=gold]~blur=0.5``:
                        ``[COLUMN=VALUE,...]`` keeps some items of a part, and
                        ``~DISTURBANCE=STRENGTH`` disturbs them; see
                        `osscar_core.datasets.mix`
    ==================  ====================================================================

    Args:
        text: The specification as a person wrote it.

    Raises:
        SpecError: There is no known prefix, nothing behind it, no such demo data, or a mix
            that cannot be read or is of several kinds of data.
    """
    prefix, colon, location = text.partition(":")
    if prefix in PREFIXES and colon and location:
        if prefix == "demo":
            demo_part(location)
        spec = DataSpec(prefix, location)
        if prefix == "mix":
            _check_mix(spec)
        return spec
    forms = ", ".join(PREFIXES.values())
    if prefix in PREFIXES:
        raise SpecError(f"the data '{text}' lacks a place", f"Write it as {PREFIXES[prefix]}")
    # One letter before the colon is a Windows drive, not a prefix.
    if not colon or len(prefix) == 1 or "/" in prefix or _is_there(text):
        raise SpecError(
            f"the data '{text}' does not say what it is",
            f"{_likely_spelling(text)}All forms: {forms}",
        )
    error = unknown_name("data prefix", prefix, tuple(PREFIXES))
    raise SpecError(error.problem, f"{error.remedy} (as in {forms})")


def demo_part(location: str) -> tuple[str, str | None]:
    """Return the name of demo data and which part of it is meant.

    Args:
        location: What stands behind ``demo:``, such as ``factory`` or ``factory/line-a``.

    Returns:
        The name, and the part; ``None`` where none was named.

    Raises:
        SpecError: There is no such data, or no such part of it.
    """
    name, slash, part = location.partition("/")
    if name not in DEMOS:
        raise unknown_name("demo data", name, tuple(DEMOS))
    parts = DEMOS[name].parts
    if not slash:
        return name, None
    if not parts:
        raise SpecError(f"'demo:{name}' has no part '{part}'", f"Write it as demo:{name}")
    if part not in parts:
        raise unknown_name(f"part of demo:{name}", part, parts)
    return name, part


def data_task(spec: DataSpec) -> Task | None:
    """Return the kind of model that reads such data; ``None`` where only the hub knows."""
    if spec.kind == "demo":
        return DEMOS[demo_part(spec.location)[0]].task
    if spec.kind == "own":
        from osscar_core.datasets.own import own_task

        return own_task(spec.location)
    if spec.kind == "mix":
        return next(iter(_mix_tasks(spec)), None)
    return _TASKS.get(spec.kind)


def mix_parts(spec: DataSpec) -> tuple[MixPart, ...]:
    """Return the parts of a mix; of any other data, none."""
    return parse_mix(spec.location, PREFIXES) if spec.kind == "mix" else ()


def check_place(spec: DataSpec) -> None:
    """Refuse data whose files are not there, before anything expensive begins.

    Raises:
        DataError: A path does not exist.
    """
    for part in mix_parts(spec):
        check_place(parse_data_spec(part.data))
    if spec.kind in {"text", "images", "own"}:
        existing_path(spec)


def shown_spec(text: str) -> str:
    """Return how reports call the data that ``text`` names: own data without its path."""
    prefix, _, location = text.partition(":")
    if prefix == "mix":
        parts = (shown_part(part) for part in parse_mix(location, PREFIXES))
        return f"mix:{'+'.join(f'{part.weight:g}*{part}' for part in parts)}"
    if prefix != "own":
        return text
    from osscar_core.datasets.own import own_name

    return f"own:{own_name(location)}"


def shown_part(part: MixPart) -> MixPart:
    """Return how reports call a part of a mix: own data without its path."""
    return dataclasses.replace(part, data=shown_spec(part.data))


def _check_mix(spec: DataSpec) -> None:
    if any(part.data.startswith("mix:") for part in mix_parts(spec)):
        raise SpecError(f"'{shown_spec(str(spec))}' holds a mix in a mix", "Write all side by side")
    if len(_mix_tasks(spec)) > 1:
        raise SpecError(
            f"'{shown_spec(str(spec))}' mixes images and text", "A mix is one kind of data"
        )


def _mix_tasks(spec: DataSpec) -> set[Task]:
    """Return what the parts of a mix, and what is done to them, are known to be."""
    parts = mix_parts(spec)
    changed: set[Task] = {part.change.task for part in parts if part.change is not None}
    named = (data_task(parse_data_spec(part.data)) for part in parts)
    return changed | {task for task in named if task is not None}


def check_split(split: Split) -> Split:
    """Return ``split`` if it is one.

    Raises:
        SpecError: It is neither ``calibration`` nor ``evaluation``.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    return split


def pick_part(names: Iterable[str], split: Split) -> str:
    """Return which of a data set's parts to use.

    Args:
        names: Names of the parts there are, such as ``train`` and ``test``; at least one.
        split: What it is for.

    Returns:
        The part made for that; failing that, the first one there is.
    """
    available = tuple(names)
    return next((name for name in _PART_NAMES[split] if name in available), available[0])


def existing_path(spec: DataSpec) -> Path:
    """Return the path that ``spec`` names.

    Raises:
        DataError: Nothing is there, or what is neither a file nor a folder.
    """
    path = given_path(spec.location)
    if not path.exists() and spec.kind == "own":
        raise DataError(
            f"the data '{shown_spec(str(spec))}' is not there",
            "Import it again, or check its path",
        )
    if not path.exists():
        raise DataError(
            f"'{spec.location}' does not exist (asked for as {spec})",
            "Check the path; it is relative to the directory you are in",
        )
    if not path.is_file() and not path.is_dir():
        raise DataError(
            f"'{shown_spec(str(spec))}' is a device or a pipe", "Name a file or a folder"
        )
    return path


def import_optional(name: str, purpose: str) -> types.ModuleType:
    """Import a package that only some requests need.

    Args:
        name: Module name.
        purpose: What it is needed for, as in "reading parquet files".

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingDependencyError(
            f"{purpose} needs the package '{package}' ({error})", f"Run: pip install {package}"
        ) from error


def _is_there(text: str) -> bool:
    try:
        return given_path(text).exists()
    except SpecError:
        return False


def _likely_spelling(text: str) -> str:
    name = text.lower()
    if name.endswith((".csv", ".zip")):
        return f"Did you mean 'own:{text}'? "
    if name.endswith((".txt", ".jsonl", ".jsonl.xz", ".jsonl.gz")):
        return f"Did you mean 'text:{text}'? "
    if name.endswith((".png", ".jpg", ".jpeg")):
        return "Images are named by the folder or parquet file that holds them. "
    if name.endswith(".parquet") or (_is_there(text) and Path(text).is_dir()):
        return f"Did you mean 'text:{text}' or 'images:{text}'? "
    if name in {"wikitext2", "ptb", "c4", "cifar10"}:
        return f"Did you mean 'hf:{name}'? "
    if name.partition("/")[0] in DEMOS:
        return f"Did you mean 'demo:{name}'? "
    return ""
