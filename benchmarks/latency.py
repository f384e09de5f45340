"""Does the latency table predict what pruned models take? Predicted against timed in turns.

    python -m benchmarks.latency [--device cuda] [--cases demo/resnet50:32,demo/opt:1]
                                 [--sets 8] [--rounds 15] [--json]

A case is a model and a batch size. Every width set draws a share for the whole model and one
around it for every unit, so that no two units are alike: in every second set any width, in the
others the nearest of the table's fast widths, as a search for a fast model chooses them. Each
narrowed model is timed in turns with the dense one. The table is measured anew.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from osscar_core.evaluation import compare
from osscar_core.evaluation.latency_table import latency_table
from osscar_core.latencies import LatencyTable
from osscar_core.models import LoadedModel, load_model
from osscar_core.surgery import shrink_

CASES = "demo/resnet50:32,demo/resnet50:8,demo/resnet50:1,demo/opt:1"
SPREAD = 0.25


def width_set(
    loaded: LoadedModel, table: LatencyTable, rng: random.Random, *, is_fast: bool
) -> dict[str, int]:
    """Draw a width for every unit, around a share drawn for the model."""
    mean = rng.uniform(0.2, 0.9)
    widths = {}
    for unit in loaded.adapter.units(loaded.module):
        share = rng.uniform(max(0.0, mean - SPREAD), min(1.0, mean + SPREAD))
        width = max(1, round(share * unit.groups))
        if is_fast:
            width = min(table.fast_widths(unit.name), key=lambda w, want=width: abs(w - want))
        widths[unit.name] = width
    return widths


def narrowed(dense: LoadedModel, widths: dict[str, int]) -> LoadedModel:
    module = copy.deepcopy(dense.module)
    for unit in dense.adapter.units(module):
        shrink_(module, unit, torch.arange(widths[unit.name]))
    return dataclasses.replace(dense, module=module)


def case(name: str, batch: int, device: str, sets: int, rounds: int) -> dict[str, Any]:
    dense = load_model(name, device=device)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        table = latency_table(dense, batch_size=batch, cache=Path(folder))
    points = sum(len(one.ms) for one in table.tables.values())
    print(
        f"\n{name}, batch {batch}: {len(table.tables)} blocks, {points} points in "
        f"{table.seconds:.1f} s; dense {table.dense_ms:.2f} ms, outside blocks "
        f"{table.overhead_ms:.2f} ms, scale {table.scale:.3f}, residual {table.residual:.1%}, "
        f"noise {table.noise:.1%}, load average {load:.1f}",
        file=sys.stderr,
    )
    rng = random.Random(0)  # noqa: S311 - repeatable draws
    rows = []
    for number in range(sets):
        is_fast = number % 2 == 1
        widths = width_set(dense, table, rng, is_fast=is_fast)
        speed = compare(dense, narrowed(dense, widths), batch_size=batch, repeats=rounds)
        predicted = table.speedup(widths)
        rows.append(
            {
                "is_fast": is_fast,
                "predicted": predicted,
                "measured": speed.speedup,
                "interval": list(speed.interval),
                "error": predicted / speed.speedup - 1,
                "dense_ms": speed.dense.latency_ms.median,
                "load": os.getloadavg()[0],
            }
        )
        low, high = speed.interval
        print(
            f"  {'fast' if is_fast else 'any ':4} predicted {predicted:5.2f}x, measured "
            f"{speed.speedup:5.2f}x ({low:.2f} to {high:.2f}), {rows[-1]['error']:+6.1%}; "
            f"dense {rows[-1]['dense_ms']:.1f} ms, load {rows[-1]['load']:.1f}",
            file=sys.stderr,
        )
    errors = [abs(row["error"]) for row in rows]
    print(
        f"  error: median {statistics.median(errors):.1%}, largest {max(errors):.1%}",
        file=sys.stderr,
    )
    return {
        "model": name,
        "batch": batch,
        "seconds": table.seconds,
        "points": points,
        "scale": table.scale,
        "residual": table.residual,
        "noise": table.noise,
        "median_error": statistics.median(errors),
        "max_error": max(errors),
        "rows": rows,
        "conditions": table.conditions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--sets", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for one in args.cases.split(","):
        name, _, batch = one.rpartition(":")
        rows.append(case(name, int(batch), args.device, args.sets, args.rounds))
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
