"""What of a workspace goes along with a run that is computed on another machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from osscar_core.datasets.own import sample_own
from osscar_core.records import PruneSpec
from osscar_core.studio import owndata, worker_elsewhere
from osscar_core.studio.attempt import MODEL
from osscar_core.studio.requests import CheckKind, CheckRequest, JobKind, JobRequest

RUN = "20260101-000000-000000"


def test_data_and_models_of_the_workspace_go_along_also_those_in_a_mix(home: Path) -> None:
    name, content = sample_own("text")
    own = [
        owndata.spec_of(
            owndata.keep(
                content + f"note {number},north\n".encode(), name, task="text", owner="local"
            )
        )
        for number in range(3)
    ]
    folders = [f"data/{spec.removeprefix(owndata.PREFIX)}" for spec in own]
    spec = PruneSpec("demo/opt", f"mix:2*{own[0]}+1*demo:plant-log", 0.5)
    request = JobRequest(spec, own[1])

    def needed(asked: JobRequest) -> set[str]:
        return set(worker_elsewhere._needed(asked, home))

    assert needed(request) == set(folders[:2])
    assert needed(JobRequest(dataclasses.replace(spec, calibration="demo:plant-log"), "own:0")) == (
        set()
    )
    (home / "runs" / RUN / MODEL).mkdir(parents=True)
    question = CheckRequest(CheckKind.SHIFT, RUN, reference=own[2])
    asked = dataclasses.replace(request, kind=JobKind.CHECK, check=question)
    assert needed(asked) == {*folders, f"runs/{RUN}/{MODEL}"}
