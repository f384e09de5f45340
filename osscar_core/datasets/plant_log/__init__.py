"""Maintenance and shift reports of three plants, written on demand.

The decision hidden here: how many documents there are and which of them are held out. A
document is a function of its split, plant and index alone (and the seed).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from osscar_core.datasets.plant_log.plants import PLANTS, TRAINED_PLANTS, PlantName
from osscar_core.datasets.plant_log.reports import write_report
from osscar_core.datasets.plant_log.scenes import Dice
from osscar_core.datasets.spec import Split

__all__ = ["DOCUMENTS", "PLANT_NAMES", "TRAINED_PLANTS", "PlantName", "document", "documents"]

PLANT_NAMES: tuple[PlantName, ...] = tuple(PLANTS)
DOCUMENTS: dict[Split, int] = {"calibration": 20_000, "evaluation": 120}
"""Documents a plant has for training and calibration, and for evaluation."""

DEFAULT_SEED = 0
_STREAMS: dict[Split, int] = {"calibration": 1, "evaluation": 2}


def document(split: Split, plant: PlantName, index: int, seed: int = DEFAULT_SEED) -> str:
    """Return one document.

    Args:
        split: Documents for training and calibration, or for evaluation: their random
            streams differ.
        plant: Whose document it is.
        index: Which one, from 0.
        seed: Another seed gives other documents of the same kind.
    """
    key = (seed, _STREAMS[split], PLANT_NAMES.index(plant), index)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    return write_report(Dice(rng), PLANTS[plant])


def documents(
    split: Split, plants: tuple[PlantName, ...] = TRAINED_PLANTS, *, order: int = 0
) -> Iterator[str]:
    """Yield the documents of one part, plants taking turns.

    Args:
        split: Which part.
        plants: Whose documents.
        order: 0 for the order of their indices; any other number for a random order.
    """
    numbers = np.arange(DOCUMENTS[split])
    if order:
        numbers = np.random.Generator(np.random.Philox(order)).random(len(numbers)).argsort()
    for number in numbers.tolist():
        for plant in plants:
            yield document(split, plant, number)
