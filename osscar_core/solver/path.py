"""The result of one elimination: every width at once.

The decision hidden here: how a search is kept for later. A path is small (a few bytes a
group) next to the statistics it came from, and says which problem it belongs to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path as FilePath

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from osscar_core.errors import DataError, SpecError
from osscar_core.solver.problem import LayerProblem, complement, refit

PATH_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """The greedy order of removal; one pass gives the support at every width.

    Attributes:
        groups: Number of groups at the start.
        order: Groups in order of removal, (removed,) int64.
        initial: The objective f with nothing removed.
        costs: f after each removal, (removed,) float64, ascending.
        forced: How many of the first removals were demanded; fewer is no width of this path.
        problem: Digest of the problem it was found on.
    """

    groups: int
    order: Tensor
    initial: float
    costs: Tensor
    forced: int = 0
    problem: str = ""

    @property
    def fewest(self) -> int:
        """The smallest width that the path reaches."""
        return self.groups - self.order.numel()

    @property
    def most(self) -> int:
        """The largest width that the path covers."""
        return self.groups - self.forced

    def support(self, keep: int) -> Tensor:
        """Return the ascending indices of the ``keep`` groups left at that width.

        Raises:
            SpecError: The path does not cover that width.
        """
        if not self.fewest <= keep <= self.most:
            raise SpecError(
                f"the path has no support of {keep} groups",
                f"It covers {self.fewest} to {self.most} groups",
            )
        return complement(self.groups, self.order[: self.groups - keep])

    def cost(self, keep: int) -> float:
        """Return f of the support of ``keep`` groups.

        Raises:
            SpecError: The path does not cover that width.
        """
        removed = self.groups - self.support(keep).numel()
        return self.initial if removed == 0 else float(self.costs[removed - 1])

    def weights(self, problem: LayerProblem, keep: int) -> tuple[Tensor, Tensor | None]:
        """Return the re-fitted weights at a width, by one Cholesky factorisation.

        Args:
            problem: The problem that the path was found on.
            keep: A width that the path covers.

        Returns:
            As `refit`: the weights, (keep g, m) float64, and the bias change or ``None``.

        Raises:
            SpecError: The path does not cover that width or is another problem's.
            NumericalError: The hessian on the support is not positive definite.
        """
        self.check_problem(problem)
        return refit(problem, self.support(keep))

    def check_problem(self, problem: LayerProblem) -> None:
        """Raise `SpecError` unless the path was found on ``problem``."""
        if problem.groups != self.groups or (self.problem and problem.digest() != self.problem):
            raise SpecError(
                "the path belongs to another problem",
                "Use it with the statistics and settings it was found on, or search again",
            )

    def save(self, file: FilePath) -> None:
        """Write the path as a safetensors file.

        Raises:
            DataError: The file cannot be written.
        """
        about = {
            "version": PATH_VERSION,
            "groups": self.groups,
            "initial": self.initial.hex(),
            "forced": self.forced,
            "problem": self.problem,
        }
        tensors = {"order": self.order.cpu().contiguous(), "costs": self.costs.cpu().contiguous()}
        try:
            save_file(tensors, file, metadata={"osscar-path": json.dumps(about)})
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"the path cannot be written to {file} ({error})", "Choose another place"
            ) from error

    @classmethod
    def load(cls, file: FilePath) -> Path:
        """Read a path that `save` wrote; it arrives in host memory.

        Raises:
            DataError: The file is missing, damaged, newer than this release or no path.
        """
        try:
            with safe_open(file, framework="pt") as stored:
                about = json.loads((stored.metadata() or {})["osscar-path"])
                order, costs = stored.get_tensor("order"), stored.get_tensor("costs")
            version = int(about["version"])
            path = cls(
                int(about["groups"]),
                order,
                float.fromhex(about["initial"]),
                costs,
                int(about["forced"]),
                str(about["problem"]),
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(f"{file} is no stored path ({reason})", "Search again") from error
        if version > PATH_VERSION:
            raise DataError(
                f"the path {file} has format version {version}",
                f"This release reads up to {PATH_VERSION}; update it or search again",
            )
        path.check()
        return path

    def check(self) -> None:
        """Raise `DataError` unless order and costs make sense together."""
        order, costs = self.order, self.costs
        sound = (
            order.dtype == torch.int64
            and costs.dtype == torch.float64
            and order.dim() == 1
            and order.shape == costs.shape
            and 0 <= self.forced <= order.numel() < max(self.groups, 1)
        )
        if sound and order.numel():
            inside = bool((order >= 0).all() & (order < self.groups).all())
            sound = inside and len(set(order.tolist())) == order.numel()
            sound = sound and bool(costs.isfinite().all())
        if not sound:
            raise DataError("the stored path contradicts itself", "Search again")
