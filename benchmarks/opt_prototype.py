"""Trains an OPT of 32 M parameters on English, by the code that trains `demo/opt`.

    python -m benchmarks.opt_prototype train --data FOLDER --out DIR

FOLDER holds documents as .jsonl.xz files. DIR is then a model like any other, for this
project and for transformers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from osscar_core.demo.train_opt import COMMON_LIMITS, Design, Recipe, Shape, add_options, run

PROTOTYPE = Design(
    name="opt-prototype",
    shape=Shape(vocabulary=12_000, hidden=512, layers=8, heads=8, neurons=2048),
    recipe=Recipe(minutes=4.0, rate=1.5e-3),
    sources=("english",),
    held_out=(),
    prompts=("The history of the town", "The committee decided that", "In mathematics, a"),
    title="Writes English. A dense model for the project's measurements.",
    limits=COMMON_LIMITS,
    licences="Training text: English Wikipedia (CC BY-SA 3.0), public-domain books and speeches.",
)


def main(argv: Sequence[str] | None = None, design: Design = PROTOTYPE) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    add_options(actions.add_parser("train", help="train, write the model, measure it"), design)
    run(parser.parse_args(argv), design)


if __name__ == "__main__":
    main()
