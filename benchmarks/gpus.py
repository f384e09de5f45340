"""What several GPUs of one machine gain over one, on the same work, and whether they agree.

    python -m benchmarks.gpus facebook/opt-6.7b [--gpus 2] [--blocks 8] [--turns 2]

Each turn prunes random weights of the model's shape on one GPU, then on several, each time in
fresh processes; the fastest of the turns counts. Calibration is what is shared: forward
passes, sums, and adding them up. Random weights have many groups that are almost as good as
others, so a difference in the last digit can choose another; errors tell whether that matters.
"""

from __future__ import annotations

import argparse

from osscar_core.bench import PipelineBench
from osscar_core.bench.pipeline import bench_member, bench_request
from osscar_core.together import work_together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="+")
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--seqlen", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=2)
    args = parser.parse_args()
    for shape in args.shapes:
        runs: dict[int, list[PipelineBench]] = {1: [], args.gpus: []}
        for _ in range(args.turns):
            for gpus, done in runs.items():
                spec = bench_request(shape, samples=args.samples, seqlen=args.seqlen, gpus=gpus)
                given = (spec, args.blocks)
                done.append(work_together(bench_member, given, spec.device, gpus, None))
        one, several = (
            min(done, key=lambda run: run.calibration_seconds) for done in runs.values()
        )
        print(f"{shape}, {one.blocks} of {one.all_blocks} blocks, {one.samples} x {one.seqlen}")
        print(f"{one.device}, torch {one.torch}")
        print(f"{'seconds':14}{'1 GPU':>9}{f'{args.gpus} GPUs':>9}{'':>8}")
        for name in ("forward", "statistics", "exchange", "read", "search", "baseline", "write"):
            line(name, seconds(one, name), seconds(several, name))
        line("calibration", one.calibration_seconds, several.calibration_seconds)
        line("the run", one.seconds, several.seconds)
        agree(one, several)


def agree(one: PipelineBench, several: PipelineBench) -> None:
    """Print how much of the plan and of its errors two runs have in common."""
    same = sum(one.kept[name] == several.kept[name] for name in one.kept)
    left, right = ([int(run.kept[name], 16) for name in one.kept] for run in (one, several))
    both = sum((a & b).bit_count() for a, b in zip(left, right, strict=True))
    every = sum(a.bit_count() for a in left)
    gaps = [abs(several.errors[name] / error - 1) for name, error in one.errors.items() if error]
    print(f"{same} of {len(left)} units keep the very same groups, {both / every:.3%} of all")
    print(f"the error of no unit differs by more than {max(gaps):.1e} of itself\n", flush=True)


def seconds(run: PipelineBench, name: str) -> float:
    return sum(stage.seconds for stage in run.stages if stage.stage == name)


def line(name: str, one: float, several: float) -> None:
    gain = f"{one / several:7.2f}x" if one and several else ""
    print(f"{name:14}{one:9.2f}{several:9.2f}{gain:>8}")


if __name__ == "__main__":
    main()
