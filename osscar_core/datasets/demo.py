"""Data that needs no file: what each name stands for.

The decision hidden here: which parts make up a demo data set by default. The parts that
the demo models never saw, line C and plant 3, are left out unless named: they are the
data shift.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osscar_core.datasets.corpus import Corpus
from osscar_core.datasets.python_docs import python_docs
from osscar_core.datasets.spec import DEMOS, Split, demo_part
from osscar_core.errors import SpecError
from osscar_core.records import Task

if TYPE_CHECKING:
    from osscar_core.datasets.factory import FactoryPictures

_MOST_WINDOWS = 256  # of a text that goes on for longer than anyone wants to wait


def demo_corpus(location: str, split: Split, seed: int = 0) -> Corpus:
    """Return a demo text.

    Args:
        location: ``python-docs``: the topics behind Python's ``help()``; ``plant-log`` for the
            reports of plants 1 and 2, or ``plant-log/plant-1`` and so on.
        split: Which of two parts that have nothing in common.
        seed: Reports come in their own order for 0, otherwise in a random one.

    Raises:
        SpecError: There is no such text.
    """
    name, part = _check_task(location, "text")
    if name == "plant-log":
        return _plant_log(part, split, seed)
    note = f"{split} part of Python {platform.python_version()}'s help topics; versions differ"
    return Corpus(python_docs(split), is_whole=True, notes=(note,))


def _plant_log(part: str | None, split: Split, seed: int) -> Corpus:
    from osscar_core.datasets.plant_log import PLANT_NAMES, TRAINED_PLANTS, documents

    plants = tuple(plant for plant in PLANT_NAMES if plant == part) or TRAINED_PLANTS

    def reports() -> Iterator[str]:
        yield from documents(split, plants, order=seed)

    note = f"{split} part of {' and '.join(plants)}"
    return Corpus(reports(), is_whole=False, window_cap=_MOST_WINDOWS, notes=(note,))


def demo_pictures(location: str, split: Split) -> FactoryPictures:
    """Return demo images.

    Args:
        location: ``factory`` for lines A and B, or ``factory/line-a`` and so on.
        split: Which of two parts that have nothing in common.

    Raises:
        SpecError: There are no such images.
    """
    from osscar_core.datasets.factory import LINES, TRAINED_LINES, FactoryPictures

    _, part = _check_task(location, "image")
    lines = tuple(line for line in LINES if part == f"line-{line.lower()}") or TRAINED_LINES
    return FactoryPictures(split, lines)


def _check_task(location: str, task: Task) -> tuple[str, str | None]:
    name, part = demo_part(location)
    if DEMOS[name].task != task:
        words = {"text": "text", "image": "images"}
        others = ", ".join(f"demo:{other}" for other, data in DEMOS.items() if data.task == task)
        raise SpecError(
            f"'demo:{location}' is {words[DEMOS[name].task]}, and the model reads {words[task]}",
            f"Use {others}",
        )
    return name, part
