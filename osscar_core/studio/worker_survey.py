"""What a worker does to get to know a dense model: calibrate it once, time its blocks.

The decision hidden here: where the answers go, so that every later request of the model
finds them without a worker. Only workers import this: it needs torch.
"""

from __future__ import annotations

from osscar_core.pruner import dense_model
from osscar_core.pursuit import measured_latencies
from osscar_core.studio.attempt import Job
from osscar_core.studio.briefs import is_timed_here, keep_brief, keep_table
from osscar_core.survey import make_survey


def survey(attempt: Job) -> None:
    """Survey the model of a request, and time it unless that was done on this machine.

    Raises:
        OsscarError: With the reason in words.
    """
    spec, home = attempt.request.spec, attempt.home
    model = dense_model(spec)
    made = make_survey(model, spec, progress=attempt.progress)
    keep_brief(made.brief(), spec, home)
    if not is_timed_here(spec, home):
        keep_table(measured_latencies(model, spec, attempt.progress), spec, home)


def time_blocks(attempt: Job) -> None:
    """Time the blocks of a request's model on this machine.

    Raises:
        OsscarError: With the reason in words.
    """
    spec = attempt.request.spec
    model = dense_model(spec)
    keep_table(measured_latencies(model, spec, attempt.progress), spec, attempt.home)
