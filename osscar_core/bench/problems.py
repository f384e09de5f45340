"""Layer problems to measure on: generated ones of any size, and real ones kept in files.

The decision hidden here: what a layer looks like. A generated problem has the traits of
measured ones: a gram whose spectrum falls as a power law, features of very different
scales, a few with huge activations, some dead, dense weights of uneven rows, and a target
that differs from the dense output as it does in a model that is already partly pruned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from osscar_core.errors import DataError
from osscar_core.progress import Progress
from osscar_core.records import PruneSpec, check_range
from osscar_core.solver import LayerProblem, Statistics

_OUTLIER_SCALE = 30.0
_DRIFT = 0.1  # relative size of what the target has beyond the dense output
_MOST = 2**20
_NOISE = 0.05
_FORMAT = "osscar-problem"


@dataclass(frozen=True, slots=True)
class SyntheticProblem:
    """The recipe of a generated layer problem, deterministic by seed on one kind of device.

    Attributes:
        features: Input features p, a multiple of ``group_size``.
        outputs: Outputs m.
        group_size: Features per group g.
        decay: Exponent of the power law of the gram's spectrum.
        outliers: Share of features with huge activations.
        dead: Share of features that are always zero.
        damping: Relative ridge.
        intercept: Whether the bias is re-fitted.
        seed: Seed.
    """

    features: int
    outputs: int
    group_size: int = 1
    decay: float = 0.6
    outliers: float = 0.002
    dead: float = 0.005
    damping: float = 1e-2
    intercept: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the sizes."""
        check_range("features", self.features, 2, _MOST)
        check_range("outputs", self.outputs, 1, _MOST)
        check_range("group_size", self.group_size, 1, self.features)
        if self.features % self.group_size:
            check_range("features modulo group_size", self.features % self.group_size, 0, 0)

    def build(self, device: torch.device) -> LayerProblem:
        """Return the problem, made on ``device``."""
        p, m = self.features, self.outputs
        generator = torch.Generator(device).manual_seed(self.seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64, device=device)

        def share(part: float) -> Tensor:
            return torch.rand(p, generator=generator, device=device) < part

        # X = Z B + E, with Z white, so that the gram is B^T B plus a diagonal.
        rank = max(1, p // 4)
        B = normal(rank, p)
        B *= torch.arange(1, rank + 1, device=device).double().pow(-self.decay / 2)[:, None]
        scale = torch.exp(0.7 * normal(p))
        scale = torch.where(share(self.outliers), _OUTLIER_SCALE * scale, scale)
        scale = torch.where(share(self.dead), 0.0, scale)
        B *= scale
        own = (0.3 * B.square().sum(0)) + 1e-4 * scale.square()
        mean = 0.4 * own.sqrt() * normal(p)
        gram = B.T @ B
        del B
        gram.diagonal().add_(own)
        gram.addr_(mean, mean)
        W0 = normal(p, m) * torch.exp(0.4 * normal(p))[:, None] / p**0.5
        answer = W0 + _DRIFT * normal(p, m) / p**0.5
        cross = gram @ answer
        power = (answer * cross).sum(0)
        del answer
        statistics = Statistics(
            count=max(4 * p, 1),
            gram=gram,
            cross=cross,
            mean_x=mean,
            mean_y=cross.new_zeros(m),
            power_y=power * (1 + _NOISE),
        )
        return LayerProblem.build(
            statistics, W0, p // self.group_size, damping=self.damping, intercept=self.intercept
        )


def save_problem(problem: LayerProblem, file: Path, *, name: str) -> None:
    """Write a layer problem to a safetensors file.

    Args:
        problem: The problem; everything that defines it is kept in float64.
        file: The file to write.
        name: What layer it is, for reports.

    Raises:
        DataError: The file cannot be written.
    """
    raw = problem.statistics
    tensors = {
        "gram": raw.gram,
        "cross": raw.cross,
        "mean_x": raw.mean_x,
        "mean_y": raw.mean_y,
        "power_y": raw.power_y,
        "W0": problem.W0,
    }
    if problem.output_weights is not None:
        tensors["output_weights"] = problem.output_weights
    about = {
        "name": name,
        "count": raw.count,
        "groups": problem.groups,
        "damping": problem.damping,
        "intercept": problem.intercept,
    }
    try:
        save_file(
            {key: value.cpu().contiguous() for key, value in tensors.items()},
            file,
            metadata={_FORMAT: json.dumps(about)},
        )
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the problem cannot be written to {file} ({error})", "Choose another place"
        ) from error


def load_problem(file: Path, device: torch.device) -> tuple[str, LayerProblem]:
    """Read a layer problem that `save_problem` wrote.

    Returns:
        Its name, and the problem on ``device``.

    Raises:
        DataError: The file is missing, damaged or no layer problem.
    """
    if file.exists() and not file.is_file():
        raise DataError(f"{file} is no file", "Write a layer problem with 'bench capture'")
    try:
        with safe_open(file, framework="pt") as stored:
            about = json.loads((stored.metadata() or {})[_FORMAT])
            tensors = {key: stored.get_tensor(key).to(device) for key in stored.keys()}  # noqa: SIM118
        names = ("gram", "cross", "mean_x", "mean_y", "power_y")
        statistics = Statistics(int(about["count"]), *(tensors[name] for name in names))
        problem = LayerProblem.build(
            statistics,
            tensors["W0"],
            int(about["groups"]),
            damping=float(about["damping"]),
            intercept=bool(about["intercept"]),
            output_weights=tensors.get("output_weights"),
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{file} is no stored layer problem ({reason})",
            "Write one with 'bench capture'",
        ) from error
    return str(about["name"]), problem


def capture(spec: PruneSpec, folder: Path, *, progress: Progress | None = None) -> tuple[Path, ...]:
    """Prune a model and keep the problem of every unit on the way.

    Args:
        spec: The run whose problems are wanted.
        folder: Directory to write to; made if missing.
        progress: Callback.

    Returns:
        The files, one a unit, in forward order.

    Raises:
        OsscarError: The run fails, or a file cannot be written.
    """
    from osscar_core.pruner import prune

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make {folder} ({error})", "Choose another place") from error
    files: list[Path] = []

    def keep(name: str, problem: LayerProblem) -> None:
        file = folder / f"{len(files):03d}-{name}.safetensors"
        save_problem(problem, file, name=f"{spec.model} {name}")
        files.append(file)

    prune(spec, progress=progress, observe=keep)
    return tuple(files)
