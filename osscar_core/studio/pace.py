"""How far a run is, and how long it will still take.

The decision hidden here: which share of the time each step takes. It is learned from
earlier runs of the same model, and guessed until there are any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from osscar_core.export.records import ExportFormat
from osscar_core.studio.requests import JobKind

STEPS: dict[JobKind, dict[str, float]] = {
    JobKind.PRUNE: {
        "load": 0.05,
        "prune": 0.55,
        "pruned": 0.12,
        "dense": 0.08,
        "speed": 0.15,
        "showcase": 0.05,
    },
    JobKind.SURVEY: {"load": 0.05, "survey": 0.4, "probe": 0.25, "latency": 0.3},
    JobKind.TIMING: {"load": 0.1, "latency": 0.9},
    JobKind.CHECK: {"load": 0.1, "prune": 0.3, "check": 0.6},
    JobKind.KIT: {"load": 0.1, "prune": 0.3, "kit": 0.6},
    JobKind.EXPORT: {"load": 0.1, "prune": 0.3, "export": 0.6},
}
"""The steps of each kind of run in order, with their customary shares of the time."""

_ONNX_STEPS = {"load": 0.1, "prune": 0.2, "export": 0.4, "contest": 0.3}

CUSTOMARY: dict[tuple[str, JobKind | ExportFormat], float] = {
    ("demo/opt", JobKind.PRUNE): 40.0,
    ("demo/resnet50", JobKind.PRUNE): 50.0,
    ("demo/opt", JobKind.SURVEY): 60.0,
    ("demo/resnet50", JobKind.SURVEY): 150.0,
    ("demo/opt", JobKind.TIMING): 20.0,
    ("demo/resnet50", JobKind.TIMING): 40.0,
    ("demo/opt", JobKind.KIT): 40.0,
    ("demo/resnet50", JobKind.KIT): 60.0,
    ("demo/opt", ExportFormat.HF): 30.0,
    ("demo/opt", ExportFormat.ONNX): 75.0,
    ("demo/resnet50", ExportFormat.ONNX): 55.0,
    ("demo/resnet50", ExportFormat.TORCH): 45.0,
}
"""Seconds that a run takes on two cores, for the models that come with the project."""

# A step that hardly took time before, such as one that was answered from a cache, may this time.
_LEAST_SHARE = 0.01
# With this share done, what the run itself shows counts alone.
_TRUSTED = 0.25
_EARLY_SHARE, _EARLY_SECONDS = 0.05, 2.0


def steps_of(kind: JobKind, writes: ExportFormat | None = None) -> dict[str, float]:
    """Return the steps of a run in order, with their customary shares of the time.

    Args:
        kind: The kind of run.
        writes: What an export writes; an ONNX file is also timed against the dense model's.
    """
    return _ONNX_STEPS if writes is ExportFormat.ONNX else STEPS[kind]


def customary_seconds(
    model: str, kind: JobKind, writes: ExportFormat | None, *, int8: bool = False
) -> float | None:
    """Return what a run takes by habit; ``None`` if there is none.

    Args:
        model: The model.
        kind: The kind of run.
        writes: What an export writes; ``None`` for anything else.
        int8: Whether it has weights of eight bits; of that there is no habit.
    """
    return None if int8 else CUSTOMARY.get((model, writes or kind))


@dataclass(frozen=True, slots=True)
class Pace:
    """What is expected of one run.

    Attributes:
        shares: The steps in order, with their shares of the time; they sum to 1.
        seconds: What such a run took before; ``None`` if there was none.
    """

    shares: dict[str, float]
    seconds: float | None = None

    @classmethod
    def learned(
        cls,
        customary: Mapping[str, float],
        earlier: Sequence[Mapping[str, float]],
        habit: float | None = None,
    ) -> Pace:
        """Return what earlier runs of the same kind lead to expect, or habit without any.

        Args:
            customary: The steps; see `steps_of`.
            earlier: Seconds a step, one mapping a finished run.
            habit: Seconds it takes where there were none; see `customary_seconds`.
        """
        totals = [sum(run.values()) for run in earlier]
        if not totals or median(totals) <= 0:
            return cls(dict(customary), habit)
        typical = {step: median(run.get(step, 0.0) for run in earlier) for step in customary}
        least = _LEAST_SHARE * sum(typical.values())
        raised = {step: max(least, seconds) for step, seconds in typical.items()}
        whole = sum(raised.values())
        if whole <= 0:
            return cls(dict(customary))
        return cls({step: part / whole for step, part in raised.items()}, median(totals))

    def overall(self, step: str, fraction: float = 0.0) -> float:
        """Return the share of the run that is done, a fraction of a step included."""
        names = list(self.shares)
        before = sum(self.shares[name] for name in names[: names.index(step)])
        return min(1.0, before + self.shares[step] * fraction)

    def left(self, overall: float, elapsed: float) -> float | None:
        """Return the seconds until the end; ``None`` while nothing can be said.

        Earlier runs speak first, and the run itself the more, the further it is.

        Args:
            overall: The share of the run that is done.
            elapsed: Seconds since its start.
        """
        is_early = overall < _EARLY_SHARE or elapsed < _EARLY_SECONDS
        own = None if is_early else elapsed / overall
        if own is None or self.seconds is None:
            whole = self.seconds if own is None else own
        else:
            trust = min(1.0, overall / _TRUSTED)
            whole = trust * own + (1 - trust) * self.seconds
        return None if whole is None else whole * (1.0 - overall)
