"""How often a monitoring kit raises an alarm on pictures that it has not seen.

python -m benchmarks.monitoring KIT

KIT was exported with ``--reference demo:factory``. Batches are drawn without replacement from
new pictures of lines A and B (another seed of the generator: no picture is in the baseline),
and from line C. Alarms are counted with the kit's own code and thresholds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from osscar_core.cli.console import table
from osscar_core.datasets.factory import FactoryPictures
from osscar_core.evaluation.accuracy import wilson_interval
from osscar_core.monitoring.kit import monitor
from osscar_core.monitoring.thresholds import select

SIZES = (64, 256)
BATCHES = 200
SEED = 7


def main(argv: list[str] | None = None) -> int:
    """Draw the batches and print the alarms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kit", type=Path)
    parser.add_argument("--pictures", type=int, default=2000, help="new pictures of each kind")
    args = parser.parse_args(argv)
    kit = monitor.Kit(args.kit)
    baseline = kit.baseline()
    rows = []
    for name, lines in (("A and B", ("A", "B")), ("C", ("C",))):
        images = pictures(lines, args.pictures)
        seen = kit.observe("model.pt2", monitor.prepare_images(images, kit.record["input"]))
        inside, across = monitor.kernels(baseline, seen)
        generator = torch.Generator().manual_seed(SEED)
        for size in (one for one in SIZES if one <= int(baseline["sizes"][-1])):
            alarms = 0
            for _ in range(BATCHES):
                chosen = torch.randperm(len(images), generator=generator)[:size]
                known = inside[chosen][:, chosen], across[chosen]
                values = monitor.statistics(baseline, select(seen, chosen), known)
                alarms += monitor.judge(baseline, values, size).is_alarm
            low, high = wilson_interval(alarms, BATCHES)
            spread = f"{low:.1%} to {high:.1%}"
            took = f"{seconds(args.kit, images[:size]):.2f}"
            rows.append((name, str(size), f"{alarms} of {BATCHES}", spread, took))
    header = ("line", "items a batch", "alarms", "95% interval", "seconds to score")
    sys.stdout.write(table(header, rows) + "\n")
    sys.stdout.write(json.dumps(kit.record["false_alarms"]) + "\n")
    return 0


def pictures(lines: tuple[str, ...], count: int) -> torch.Tensor:
    """Return pictures that no split of the demo data holds, uint8, (count, 3, S, S)."""
    source = FactoryPictures("evaluation", lines, seed=SEED)
    drawn = [source.pixels(index) for index in range(min(count, len(source)))]
    return torch.stack([torch.from_numpy(one.copy()).permute(2, 0, 1) for one in drawn])


def seconds(kit: Path, images: torch.Tensor) -> float:
    """Return how long one score takes, the loading of the kit and of the batch included."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "batch.pt"
        torch.save(images, file)
        started = time.perf_counter()
        monitor.score(monitor.Kit(kit), file, note=False)
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
