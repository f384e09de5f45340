"""What is asked of a worker for one position of the slider, and how long that takes.

The decision hidden here: which widths a run gets, and what it remembers of the estimate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import median

from osscar_core.explorer import WhatIf
from osscar_core.studio.pace import customary_seconds
from osscar_core.studio.requests import JobRequest, PointEstimate
from osscar_core.studio.runs import Run, State
from osscar_core.studio.wishes import Wish


def point_request(
    request: JobRequest,
    wish: Wish,
    widths: Mapping[str, int],
    estimate: PointEstimate | None = None,
) -> JobRequest:
    """Return the request that measures a wish at the widths that the survey proposes."""
    spec = dataclasses.replace(request.spec, sparsity=0.0, goal=wish.goal)
    return dataclasses.replace(request, spec=spec, widths=dict(widths), estimate=estimate)


def plain_request(request: JobRequest, wish: Wish) -> JobRequest:
    """Return the request that takes the same share from every unit; it needs no survey."""
    spec = dataclasses.replace(request.spec, sparsity=wish.goal.value, goal=None)
    return dataclasses.replace(request, spec=spec)


def prediction(answer: WhatIf) -> PointEstimate:
    """Return an estimate in the form in which a request keeps it."""
    quality = answer.quality
    return PointEstimate(
        speedup=answer.speedup,
        bytes=answer.bytes,
        loss=None if quality is None else quality.median,
        low=None if quality is None else quality.low,
        high=None if quality is None else quality.high,
    )


def expected_seconds(request: JobRequest, runs: Sequence[Run]) -> float | None:
    """Return how long a run will take: as the same kind of run took before, or by habit."""
    spec = request.spec
    before = [
        run.status.seconds
        for run in runs
        if run.status.state is State.FINISHED
        and run.kind is request.kind
        and (run.request.writes, run.request.int8) == (request.writes, request.int8)
        and run.status.seconds > 0
        and (run.request.spec.model, run.request.spec.samples) == (spec.model, spec.samples)
        and run.request.spec.device == spec.device
    ]
    return (
        median(before)
        if before
        else customary_seconds(spec.model, request.kind, request.writes, int8=request.int8)
    )
