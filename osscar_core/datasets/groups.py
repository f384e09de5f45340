"""Which groups there are in data: by attribute and value, with their sizes.

The decision hidden here: how much is looked at to know. No torch.
"""

from __future__ import annotations

from collections import Counter

from osscar_core.datasets.image_sources import described, open_images
from osscar_core.datasets.mix import spelled
from osscar_core.datasets.spec import Split, data_task, parse_data_spec

LOOKED_AT = 2_000
"""Items that are looked at, from the first on."""


def groups(data: str, *, split: Split = "evaluation") -> dict[str, dict[str, int]]:
    """Return how often each value of each attribute occurs among the first items.

    Args:
        data: Data specification.
        split: Which part, where the data has parts.

    Returns:
        By attribute and value, the number of items; empty where nothing is known of them.

    Raises:
        SpecError: A specification that cannot be read.
        DataError: Data missing or unreadable.
    """
    found: dict[str, Counter[str]] = {}
    for attributes in _attributes(data, split):
        for column, value in attributes.items():
            name = spelled(value)
            if name is not None:
                found.setdefault(column, Counter())[name] += 1
    return {column: dict(counts) for column, counts in found.items()}


def _attributes(data: str, split: Split) -> list[dict[str, str | float]]:
    spec = parse_data_spec(data)
    if data_task(spec) == "image":
        source = open_images(spec, split)
        return [described(source, i) for i in range(min(LOOKED_AT, len(source.labels)))]
    from osscar_core.datasets.documents import load_documents

    return list(load_documents(data, limit=LOOKED_AT, split=split).attributes)
