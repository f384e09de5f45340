"""Trains a dense ResNet50 on CIFAR-10 at 64 x 64, by the recipe of `demo/resnet50`.

    python -m benchmarks.cifar_resnet50 train --data FOLDER --out resnet50.safetensors

FOLDER holds train.parquet and test.parquet. The weights are for ``torchvision/resnet50``
with ``--weights resnet50.safetensors --image-size 64``, and pictures are prepared here by
the code that prepares them there. The pictures are varied more than the demo's: there are
no more to be had.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from osscar_core.datasets import ImageSet, load_images
from osscar_core.demo.train_resnet50 import Pictures, Recipe, train
from osscar_core.demo.training import hardware, say, stored_state, worker_pool
from osscar_core.evaluation import evaluate
from osscar_core.models import load_model, resolve_device
from osscar_core.records import ImagePreprocess

MODEL, SIDE, CLASSES = "torchvision/resnet50", 64, 10
RECIPE = Recipe(epochs=80, shift=8, brightness=0.2, tint=0.1, hole=20)
CHUNK = 250


def read_pictures(
    pool: Pool | None, spec: str, preprocess: ImagePreprocess, limit: int | None
) -> Pictures:
    """Decode the first images, on all cores if there is a pool."""
    images = _open(spec, preprocess, limit)
    jobs = [
        (spec, preprocess, limit, start, min(start + CHUNK, len(images)))
        for start in range(0, len(images), CHUNK)
    ]
    parts = pool.starmap(_decode, jobs, 1) if pool else [_decode(*job) for job in jobs]
    return Pictures(torch.from_numpy(np.concatenate(parts)), images.labels)


@functools.cache
def _open(spec: str, preprocess: ImagePreprocess, limit: int | None) -> ImageSet:
    return load_images(spec, preprocess, limit=limit, classes=CLASSES, split="calibration")


def _decode(
    spec: str, preprocess: ImagePreprocess, limit: int | None, start: int, stop: int
) -> np.ndarray:
    """Return images as uint8, (stop - start, SIDE, SIDE, 3)."""
    images = _open(spec, preprocess, limit)
    return np.stack([images.pixels(i).permute(1, 2, 0).numpy() for i in range(start, stop)])


def _build() -> nn.Module:
    import torchvision

    return torchvision.models.resnet50(num_classes=CLASSES)


def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    train_spec, test_spec = (f"images:{args.data / part}.parquet" for part in ("train", "test"))
    started = time.perf_counter()
    with worker_pool() as pool:
        preprocess = load_model(MODEL, weights="random", image_size=SIDE).source.preprocess
        assert preprocess is not None
        pictures = read_pictures(pool, train_spec, preprocess, args.images)
    decoded = time.perf_counter()
    device = resolve_device(args.device)
    recipe = dataclasses.replace(
        RECIPE,
        epochs=args.epochs,
        minutes=args.minutes,
        images=len(pictures.labels),
        batch=args.batch_size,
        rate=args.rate,
        hole=args.hole,
        seed=args.seed,
    )
    module, losses = train(pictures, recipe, device, _build, preprocess)
    trained = time.perf_counter()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(stored_state(module), args.out)
    dense = load_model(MODEL, weights=str(args.out), image_size=SIDE, device=str(device))
    report = evaluate(dense, test_spec, limit=args.eval_images)
    say(
        out=str(args.out),
        top1=report.value,
        interval=list(report.interval),
        images=report.count,
        epochs=len(losses),
        losses=[round(value, 4) for value in losses[:: max(1, len(losses) // 12)]],
        last_loss=round(losses[-1], 4),
        images_a_second=round(len(losses) * recipe.images / (trained - decoded)),
        seconds={
            "decoding": round(decoded - started, 1),
            "training": round(trained - decoded, 1),
            "evaluation": round(time.perf_counter() - trained, 1),
        },
        hardware=hardware(device),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("train", help="train, write the weights, measure them")
    one.add_argument("--data", type=Path, required=True, help="folder of the two parquet files")
    one.add_argument("--out", type=Path, required=True, help="file for the weights")
    one.add_argument("--minutes", type=float, default=RECIPE.minutes, help="of training")
    one.add_argument("--epochs", type=int, default=RECIPE.epochs, help="at most")
    one.add_argument("--batch-size", type=int, default=RECIPE.batch)
    one.add_argument("--rate", type=float, default=RECIPE.rate)
    one.add_argument("--hole", type=int, default=RECIPE.hole, help="side of the greyed-out square")
    one.add_argument("--seed", type=int, default=RECIPE.seed)
    one.add_argument("--images", type=int, help="use only the first so many to train on")
    one.add_argument("--eval-images", type=int, help="use only the first so many to test on")
    one.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    main()
