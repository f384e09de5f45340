"""How exact and how fast rows in half precision are summed, against float64.

    python -m benchmarks.statistics [--features 8192] [--outputs 2048] [--rows 65536]

Rows are made with means, outliers and scales as hidden layers have them; the target is a
sum of half-precision parts, kept in float32. Compared: all in float64; each row turned into
float32 first; and what the library does on this device.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn

from osscar_core.moments import Sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=8192)
    parser.add_argument("--outputs", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=65536)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{args.rows:,} rows, p = {args.features:,}, m = {args.outputs:,}, {device}")
    print(f"{'rows in':10}{'summed':10}{'seconds':>9}{'gram':>11}{'cross':>11}{'mean':>11}")
    for dtype in (torch.float16, torch.bfloat16):
        X, Y = rows(args, device, dtype)
        exact = float64(X, Y)
        for name, given in (("float32", X.float()), ("as given", X)):
            sums, seconds = timed(given, Y)
            sums.tensors()  # without an origin
            gram = sums.gram.tril() + sums.gram.tril(-1).T
            pairs = ((gram, exact[0]), (sums.cross, exact[1]), (sums.sum_x, exact[2]))
            errors = "".join(f"{float((a - b).norm() / b.norm()):11.1e}" for a, b in pairs)
            print(f"{str(dtype).removeprefix('torch.'):10}{name:10}{seconds:9.3f}{errors}")


def rows(
    args: argparse.Namespace, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator(device).manual_seed(0)
    p, m, n = args.features, args.outputs, args.rows

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    scale = torch.exp(0.7 * normal(p))
    scale[:: max(1, p // 8)] *= 30
    X = torch.relu(normal(n, p) + 0.3 * normal(p)).mul_(scale).to(dtype)
    W = (normal(p, m) / p**0.5).to(dtype)
    Y = (X @ W).float() + 0.1 * normal(n, m)
    return X, Y


def float64(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gram = torch.zeros(X.shape[1], X.shape[1], dtype=torch.float64, device=X.device)
    cross = torch.zeros(X.shape[1], Y.shape[1], dtype=torch.float64, device=X.device)
    total = torch.zeros(X.shape[1], dtype=torch.float64, device=X.device)
    for x, y in zip(X.split(4096), Y.split(4096), strict=True):
        x, y = x.double(), y.double()
        gram += x.T @ x
        cross += x.T @ y
        total += x.sum(0)
    return gram, cross, total


def timed(X: Tensor, Y: Tensor) -> tuple[Sums, float]:
    layer = nn.Linear(X.shape[1], Y.shape[1], device="meta")
    best = float("inf")
    for _ in range(3):
        sums = Sums.zeros(X.shape[1], layer, True, X.device)
        wait(X.device)
        began = time.perf_counter()
        sums.add(X, Y)
        wait(X.device)
        best = min(best, time.perf_counter() - began)
    return sums, best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
