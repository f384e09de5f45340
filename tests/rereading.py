"""Exports of many models, read back by one process that knows nothing of this project.

Starting a process that imports torch takes longer than all that is done in it here, so the
families share one. `export_model` starts one for every export; the tests of each format run
that, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from families import Family
from osscar_core.export import comparing
from osscar_core.export.comparing import Answers, Comparison
from osscar_core.export.items import open_items
from osscar_core.export.job import Job, Logits, Written
from osscar_core.models import LoadedModel, load_model
from osscar_core.pruner import prune
from osscar_core.records import PruneSpec
from osscar_core.tracing import traceable

SEQLEN = 24
_READ = """
import json, runpy, sys
main = runpy.run_path(sys.argv[1])["main"]
for job in json.loads(sys.argv[2]):
    main(job)
"""


@dataclass
class Waiting:
    """An export that was written and not yet read back."""

    model: LoadedModel
    job: Job
    written: Written
    asked: Path
    answers: Answers
    labels: Tensor | None


def wait(
    family: Family,
    folder: Path,
    write: Callable[[Job], Written],
    make: Callable[[PruneSpec, Path], object] = lambda spec, out: prune(spec, out=out),
    **changes: object,
) -> Waiting:
    """Prune a family's model, write it with one format, and ask the model in memory."""
    request = family.request(folder, seqlen=family.seqlen and SEQLEN, **changes)
    make(request, folder / "small")
    model = load_model(str(folder / "small"), device="cpu")
    items = open_items(model, request.calibration, 6, family.seqlen and SEQLEN)
    module = Logits(traceable(model), is_text=family.seqlen is not None).eval()
    out, asked = folder / "out", folder / "asked"
    out.mkdir()
    asked.mkdir()
    job = Job(model, module, items, family.name, out, None)
    written = write(job)
    answers, labels = comparing._asked(job, asked, len(items))
    return Waiting(model, job, written, asked, answers, labels)


def read_back(waiting: Mapping[str, Waiting], reader: int = 0) -> dict[str, Comparison]:
    """Read exports back in one process and compare each with its model.

    Raises:
        OutputError: One of them is not its model.
    """
    readers = {name: one.written.readers[reader] for name, one in waiting.items()}
    (program,) = {one.program for one in readers.values()}
    jobs: Sequence[Sequence[str]] = [
        [*readers[name].arguments, str(one.asked), str(one.job.items.at_once), "1"]
        for name, one in waiting.items()
    ]
    ended = subprocess.run(
        [sys.executable, "-P", "-c", _READ, str(program), json.dumps(jobs)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = {}
    for name, one in waiting.items():
        replayed = comparing.replayed_answers(one.asked, len(one.answers.logits))
        comparing._check_shapes(one.answers, replayed, name)
        compared = comparing._compared(one.answers, replayed, one.labels, one.job.items, {})
        comparing._judge(compared, 6, one.answers.best.numel(), name, readers[name].name)
        comparing._check_continued(one.answers.continued, replayed.continued, name, readers[name])
        found[name] = compared
    return found


def run_alone(code: str, *arguments: str, cwd: Path) -> list[str]:
    """Run code in a process of its own, and return the lines that it prints."""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "home")},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
