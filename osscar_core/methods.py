"""What each method does, without doing it: its target, its re-fit, its intercept.

The decision hidden here: what a request leaves to its method.
"""

from __future__ import annotations

from enum import StrEnum

from osscar_core.records import Intercept, Method, PruneSpec, Target

_REFITTING = frozenset({Method.OSSCAR, Method.PAPER, Method.ZIPLM, Method.MAGNITUDE_REFIT})


class InterceptPlace(StrEnum):
    """Where a consumer's changed intercept can be stored."""

    BIAS = "bias"
    NORM = "norm"
    NEW_BIAS = "new bias"


def default_target(method: Method) -> Target:
    """Return what a method reconstructs unless told otherwise."""
    return Target.RESIDUAL if method is Method.OSSCAR else Target.LAYER


def wants_intercept(method: Method) -> bool | None:
    """Return whether a method changes the bias.

    Returns:
        ``True`` if it needs one even where the layer has none, ``False`` if it leaves
        the bias alone, ``None`` if the request decides.
    """
    if method is Method.FLAP:
        return True
    return None if method in (Method.OSSCAR, Method.MAGNITUDE_REFIT) else False


def refits(method: Method) -> bool:
    """Return whether a method changes the weights that stay."""
    return method in _REFITTING


def gains_bias(spec: PruneSpec) -> bool:
    """Return whether a request adds a bias to layers that cannot store an intercept."""
    changes_it = refits(spec.method) or spec.method is Method.FLAP
    return changes_it and fits_intercept(spec, InterceptPlace.NEW_BIAS)


def fits_intercept(spec: PruneSpec, place: InterceptPlace) -> bool:
    """Return whether a request re-fits the intercept of a layer that can store it there."""
    match spec.intercept:
        case Intercept.ON:
            return True
        case Intercept.OFF:
            return False
        case Intercept.AUTO:
            wish = wants_intercept(spec.method)
            return place is not InterceptPlace.NEW_BIAS if wish is None else wish
