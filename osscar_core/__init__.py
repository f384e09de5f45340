"""One-shot structured pruning: remove whole structures, re-fit what stays, no training.

The decision hidden here: which names are the public API. They are loaded on first use,
so that ``import osscar_core`` costs milliseconds and pulls in no torch.

Example:
    >>> from pathlib import Path
    >>> from osscar_core import PruneSpec, evaluate, load_model, prune
    >>> spec = PruneSpec("facebook/opt-125m", "text:valid.txt", sparsity=0.3)
    >>> report = prune(spec, out=Path("opt-small"))  # doctest: +SKIP
    >>> evaluate(load_model("opt-small"), "text:test.txt").value  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osscar_core.errors import (
        Cancelled,
        DamagedError,
        DataError,
        MemoryShortageError,
        MissingDependencyError,
        NumericalError,
        OsscarError,
        OutputError,
        SpecError,
        UnknownModelError,
        WeightsError,
    )
    from osscar_core.evaluation import evaluate, measure
    from osscar_core.explorer import Explorer
    from osscar_core.goals import Budget, Goal, GoalKind
    from osscar_core.models import load_model
    from osscar_core.planning import plan_resources
    from osscar_core.pruner import deploy, prune
    from osscar_core.records import (
        EvaluationReport,
        Intercept,
        MeasureReport,
        Method,
        Plan,
        PruneReport,
        PruneSpec,
        Structure,
        Target,
    )
    from osscar_core.survey import load_survey, make_survey

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "Cancelled",
    "DamagedError",
    "DataError",
    "EvaluationReport",
    "Explorer",
    "Goal",
    "GoalKind",
    "Intercept",
    "MeasureReport",
    "MemoryShortageError",
    "Method",
    "MissingDependencyError",
    "NumericalError",
    "OsscarError",
    "OutputError",
    "Plan",
    "PruneReport",
    "PruneSpec",
    "SpecError",
    "Structure",
    "Target",
    "UnknownModelError",
    "WeightsError",
    "__version__",
    "deploy",
    "evaluate",
    "load_model",
    "load_survey",
    "make_survey",
    "measure",
    "plan_resources",
    "prune",
]

_HOMES = {
    "Budget": "goals",
    "Explorer": "explorer",
    "Goal": "goals",
    "GoalKind": "goals",
    "deploy": "pruner",
    "load_survey": "survey",
    "make_survey": "survey",
    "evaluate": "evaluation",
    "measure": "evaluation",
    "load_model": "models",
    "plan_resources": "planning",
    "prune": "pruner",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it, on first use."""
    if name in __all__:
        for home in (_HOMES[name],) if name in _HOMES else ("errors", "records"):
            module = importlib.import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
