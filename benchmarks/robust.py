"""Is a shift found, is no alarm false, and what does calibrating on a mix buy?

    python -m benchmarks.robust shift [--work DIR] [--json]
    python -m benchmarks.robust prune --work DIR [--sparsity 0.9] [--samples 256]
                                      [--weights 3,1] [--json]

``shift``: line C against lines A and B in the features of demo/resnet50, alarms over 100
resamples of lines A and B, and the extra loss of pruned models made so. ``prune``: the same
model pruned with calibration on lines A and B and on a mix with line C, then compared on
both; what is in DIR already is not pruned again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from osscar_core.checks.distance import compare_samples, pairwise, with_threshold
from osscar_core.checks.observed import answer, load_items, observe
from osscar_core.checks.paired import PairedLabels
from osscar_core.checks.shift import extra_loss
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune
from osscar_core.records import Certify, PruneSpec

MODEL = "demo/resnet50"
TRAINED, SHIFTED = "demo:factory", "demo:factory/line-c"
ALARM_RATE = 0.05
REPEATS = 100
POOL = {"reference": 2000, "AB": 2000, "C": 500}
SIZES = {
    "A and B": ((500, 500), (1000, 200), (200, 500)),
    "A": ((500, 200),),
    "B": ((500, 200),),
    "C": ((500, 30), (500, 100)),
}
LEVEL = 0.95


def told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def seen(work: Path | None) -> dict[str, np.ndarray]:
    """Features of every picture and whether it was told rightly, kept in ``work``."""
    kept = None if work is None else work / "features.npz"
    if kept is not None and kept.is_file():
        with np.load(kept) as file:
            return dict(file)
    model = load_model(MODEL)
    found = {}
    for name, data, split in (
        ("reference", TRAINED, "calibration"),
        ("AB", TRAINED, "evaluation"),
        ("C", SHIFTED, "evaluation"),
    ):
        items = load_items(model, data, limit=POOL[name], split=split)
        observed, answers = observe(model, items)
        found |= {name: observed.features, f"{name} right": answers.is_right}
    if kept is not None:
        np.savez(kept, **found)
    return found


def shift(work: Path | None, repeats: int) -> dict[str, Any]:
    pools = seen(work)
    # The pictures of lines A and B take turns.
    features = {
        "reference": pools["reference"],
        "A and B": pools["AB"],
        "A": pools["AB"][0::2],
        "B": pools["AB"][1::2],
        "C": pools["C"],
    }
    once = {}
    for name in ("A and B", "A", "B", "C"):
        found = compare_samples(features["reference"][:1000], features[name][:1000], ALARM_RATE)
        once[name] = {
            "items": len(features[name][:1000]),
            "distance": found.distance,
            "threshold": found.threshold,
            "p": found.p_value,
            "light": found.light.value,
        }
        told(f"{name:8} {once[name]}")
    rates = []
    for name in ("A and B", "A", "B", "C"):
        # Two samples of one pool without a common picture are as far apart as fresh ones;
        # two finite pools would hide a part of the chance.
        is_same = name == "A and B"
        pool = [features[name]] if is_same else [features["reference"], features[name]]
        whole = pairwise(np.concatenate(pool))
        first = 0 if is_same else len(features["reference"])
        for old, new in SIZES[name]:
            alarms = sum(alarm(whole, first, old, new, seed) for seed in range(repeats))
            rates.append({"reference": old, "new": name, "items": new, "alarms": alarms})
            told(f"{alarms:3} alarms in {repeats}: {old} reference, {new} of {name}")
    right = {"A and B": pools["AB right"], "C": pools["C right"]}
    return {"once": once, "rates": rates, "extra": made_cases(right, repeats)}


def alarm(whole: np.ndarray, first: int, old: int, new: int, seed: int) -> bool:
    """Whether random pictures raise the alarm: ``old`` of the reference against ``new``.

    The reference is the first so many pictures; with 0, both are drawn from all.
    """
    rng = np.random.default_rng(seed)
    if first:
        others = first + rng.permutation(len(whole) - first)[:new]
        chosen = np.concatenate([rng.permutation(first)[:old], others])
    else:
        chosen = rng.permutation(len(whole))[: old + new]
    distance, threshold = with_threshold(whole[np.ix_(chosen, chosen)], old, ALARM_RATE, rng)
    return distance > threshold


def made_cases(right: dict[str, np.ndarray], repeats: int) -> list[dict[str, Any]]:
    """Pruned models that forget a share of what the dense one knew, on each set."""
    cases = []
    for old, new in ((0.03, 0.03), (0.03, 0.15), (0.0, 0.0), (0.15, 0.03)):
        found = []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            pairs = [
                PairedLabels(known, known & (rng.random(len(known)) >= share), seed)
                for known, share in ((right["A and B"], old), (right["C"], new))
            ]
            found.append(extra_loss(*pairs))
        truth = new * right["C"].mean() - old * right["A and B"].mean()
        case = {
            "forgotten": [old, new],
            "true_extra": float(truth),
            "found_more": sum(one.is_found for one in found),
            "found_less": sum(one.high < 0 for one in found),
            "covered": sum(bool(one.low <= truth <= one.high) for one in found),
        }
        told(str(case))
        cases.append(case)
    return cases


def pruned(work: Path, name: str, calibration: str, args: argparse.Namespace) -> LoadedModel:
    folder = work / f"{name}-{args.sparsity:g}-{args.samples}"
    if not folder.is_dir():
        spec = PruneSpec(
            model=MODEL,
            calibration=calibration,
            sparsity=args.sparsity,
            samples=args.samples,
            certify=Certify.OFF,
        )
        prune(spec, out=folder)
    return load_model(str(folder))


def robust(args: argparse.Namespace) -> dict[str, Any]:
    first, second = args.weights.split(",")
    mix = f"mix:{first}*{TRAINED}+{second}*{SHIFTED}"
    models = {
        "dense": load_model(MODEL),
        "plain": pruned(args.work, "plain", TRAINED, args),
        "robust": pruned(args.work, f"robust-{first}-{second}", mix, args),
    }
    right: dict[str, dict[str, np.ndarray]] = {}
    for data in (TRAINED, SHIFTED):
        items = load_items(models["dense"], data, limit=None, split="evaluation")
        right[data] = {name: answer(model, items).is_right for name, model in models.items()}
    rows = []
    for data, answers in right.items():
        for name in ("plain", "robust"):
            pairs = PairedLabels(answers["dense"], answers[name])
            rows.append(row(data, name, pairs))
        rows.append(
            row(data, "robust over plain", PairedLabels(answers["plain"], answers["robust"]))
        )
    extra = {
        name: extra_loss(
            PairedLabels(right[TRAINED]["dense"], right[TRAINED][name]),
            PairedLabels(right[SHIFTED]["dense"], right[SHIFTED][name]),
        )
        for name in ("plain", "robust")
    }
    on_c = {name: extra[name].new_loss for name in extra}
    summary = {
        "calibration": mix,
        "sparsity": args.sparsity,
        "samples": args.samples,
        "extra": {n: [one.extra, one.low, one.high] for n, one in extra.items()},
        "recovered_of_loss_on_c": 1 - on_c["robust"] / on_c["plain"],
        "recovered_of_extra": 1 - extra["robust"].extra / extra["plain"].extra,
    }
    told(str(summary))
    return {"rows": rows, **summary}


def row(data: str, name: str, pairs: PairedLabels) -> dict[str, Any]:
    low, high = pairs.interval(LEVEL)
    told(
        f"{data:22} {name:18} {pairs.dense:.2%} > {pairs.pruned:.2%}: "
        f"{100 * pairs.loss:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})"
    )
    return {
        "data": data,
        "model": name,
        "before": pairs.dense,
        "after": pairs.pruned,
        "loss": pairs.loss,
        "interval": [low, high],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("shift", "prune"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--weights", default="3,1")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.what == "prune" and args.work is None:
        parser.error("prune needs --work DIR")
    result = shift(args.work, args.repeats) if args.what == "shift" else robust(args)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
