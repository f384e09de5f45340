"""The model card that lies beside the weights.

The decision hidden here: what a reader needs to know before trusting a demo model. All
numbers come from the record of the training; nothing is typed in.
"""

from __future__ import annotations

from collections.abc import Mapping

from osscar_core.demo.training import TrainingRecord

_LICENCE = "Weights: Apache-2.0, like the code that made them."


def model_card(
    record: TrainingRecord, *, title: str, limits: tuple[str, ...], sources: str = ""
) -> str:
    """Return the card as Markdown.

    Args:
        record: How the model came about.
        title: What it is for, in one sentence.
        limits: What it must not be used for, or what does not hold.
        sources: Licences of the training data, in a sentence.
    """
    parts = [
        f"# {record.model}",
        title,
        f"{record.architecture}, {record.parameters:,} parameters, stored in half precision.",
        "## Quality\n\nMeasured on the stored weights.\n\n" + _quality(record.quality),
        "## Data\n\n" + _listed(record.data),
        "## Recipe\n\n" + _listed({**record.recipe, "seed": str(record.seed)}),
        "## Where and when\n\n"
        + _listed(
            {
                **record.hardware,
                **{f"{name} version": version for name, version in record.versions.items()},
                **{f"{step}": f"{s:.0f} s" for step, s in record.seconds.items()},
                "created": record.created,
            }
        ),
    ]
    if record.samples:
        quoted = "\n\n".join(
            "\n".join(f"> {line}".rstrip() for line in text.split("\n")) for text in record.samples
        )
        parts.append(f"## What it writes\n\n{quoted}")
    parts.append("## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits))
    parts.append("## Licence\n\n" + " ".join(filter(None, (_LICENCE, sources))))
    return "\n\n".join(parts) + "\n"


def _listed(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _quality(quality: Mapping[str, Mapping[str, float]]) -> str:
    if not quality:
        return "Nothing."
    measures = list(dict.fromkeys(name for found in quality.values() for name in found))
    rows = [
        f"| {name} | " + " | ".join(_number(found.get(m)) for m in measures) + " |"
        for name, found in quality.items()
    ]
    head = f"| | {' | '.join(measures)} |"
    return "\n".join((head, "| --- |" + " --- |" * len(measures), *rows))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and value > 1 else f"{value:.4g}"
