"""A byte that changes in what is kept: noticed wherever it is, and made again, never used."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osscar_core.brief import read_brief, write_brief
from osscar_core.errors import DamagedError, OsscarError
from osscar_core.latencies import LatencyTable
from osscar_core.records import (
    DensePoint,
    EvaluationReport,
    PruneSpec,
    from_json,
    to_json,
)
from osscar_core.sample import brief_file, read_sample_run, sample_runs, write_sample_run
from osscar_core.storage import read_sealed, write_sealed
from osscar_core.studio.briefs import find_brief, keep_brief, keep_table
from osscar_core.studio.jobs import RunStore, State
from osscar_core.studio.ledger import Ledger
from osscar_core.studio.processes import Process
from osscar_core.studio.requests import JobKind, JobRequest, RunResult
from osscar_core.studio.runs import Run
from osscar_core.studio.takehome import ModelRecord, read_record
from osscar_core.sweep import read_stored

FLIPS = 120


def flipped(content: bytes, seed: int) -> bytes:
    """Return a file in which one bit, or a stretch of bytes, is another."""
    chance = random.Random(seed)
    changed = bytearray(content)
    at = chance.randrange(len(changed))
    if seed % 4:
        changed[at] ^= 1 << chance.randrange(8)
        return bytes(changed)
    return (
        bytes(changed[:at]) if seed % 8 else bytes(changed[:at] + b"\0" * 64 + changed[at + 64 :])
    )


def table() -> LatencyTable:
    found = read_brief(brief_file("demo/opt")).table
    assert found is not None
    return found


Kept = tuple[Callable[[Path, Any], None], Callable[[Path], object], Callable[[Any], object]]


def kept(samples: Any) -> dict[str, Kept]:
    """Return how each kind of file that is kept is written, read, and what it holds."""
    asked = samples.image_request()
    result = samples.result(asked)

    def as_json(record: object) -> Callable[[Path, Any], None]:
        return lambda path, _: write_sealed(path, to_json(record))

    def of(kind: type) -> Callable[[Path], object]:
        return lambda path: from_json(kind, read_sealed(path))

    record = ModelRecord((), "top1", 0.7, 2000)
    return {
        "result": (as_json(result), of(RunResult), lambda _: result),
        "quality of the dense model": (as_json(result.dense), of(EvaluationReport),
                                       lambda _: result.dense),
        "latencies": (as_json(table()), of(LatencyTable), lambda _: table()),
        "record of a model": (as_json(record), of(ModelRecord), lambda _: record),
        "dense point of a sweep": (as_json(DensePoint(result.dense)),
                                   lambda path: read_stored(DensePoint, path),
                                   lambda _: DensePoint(result.dense)),
        "survey": (lambda path, _: write_brief(read_brief(brief_file("demo/opt")), path),
                   read_brief, lambda _: read_brief(brief_file("demo/opt"))),
    }  # fmt: skip


NAMES = ("result", "quality of the dense model", "latencies", "record of a model",
         "dense point of a sweep", "survey")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_changed_byte_of_what_is_kept_is_read_as_if_it_were_right(
    samples: Any, tmp_path: Path, name: str
) -> None:
    write, read, what = kept(samples)[name]
    file = tmp_path / "file.json"
    write(file, None)
    assert read(file) == what(None)
    content = file.read_bytes()
    for seed in range(FLIPS if len(content) < 10**5 else 12):
        changed = flipped(content, seed)
        if changed == content:
            continue
        file.write_bytes(changed)
        try:
            found = read(file)
        except OsscarError:
            continue
        assert found is None, f"seed {seed}: a damaged {name} was read"


def test_a_shipped_run_that_is_written_anew_carries_its_seal(tmp_path: Path) -> None:
    if not sample_runs():
        pytest.skip("the sample run is not there")
    run = sample_runs()[0]
    file = write_sample_run(run, tmp_path)
    assert read_sample_run(file) == run
    content = file.read_bytes()
    at = content.rindex(b'"created": "2') + len(b'"created": "')
    file.write_bytes(content[:at] + b"3" + content[at + 1 :])
    with pytest.raises(DamagedError, match="is not what was written"):
        read_sample_run(file)


def test_a_file_without_a_seal_is_read_as_before(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(to_json(ModelRecord((), "top1", 0.7, 3)))
    assert from_json(ModelRecord, read_sealed(file)).count == 3


def test_a_damaged_survey_is_made_again_when_it_is_asked_for(still: RunStore) -> None:
    spec = PruneSpec("demo/opt", "demo:plant-log", seed=3)
    brief = read_brief(brief_file("demo/opt"))
    keep_brief(brief, spec, still.home)
    keep_table(table(), spec, still.home)
    asked = [JobRequest(spec, data="", kind=kind) for kind in (JobKind.SURVEY, JobKind.TIMING)]
    me, ledger = Process.of(1), Ledger(still.database)
    done = []
    for request in asked:
        done.append(still.submit(request).id)
        assert ledger.claim(()).id == done[-1]
        assert ledger.take_up(done[-1], me) is not None
        assert ledger.end(done[-1], me, State.FINISHED)
    assert [still.submit(request).id for request in asked] == done
    for place, request, run_id in zip(("surveys", "timings"), asked, done, strict=True):
        (file,) = (still.home / place).iterdir()
        content = file.read_bytes()
        at = content.index(b'": 0.') + 5 if b'": 0.' in content else len(content) // 2
        file.write_bytes(content[:at] + b"7" + content[at + 1 :])
        assert still.submit(request).id != run_id
    assert find_brief(spec, still.home) is None


def test_a_damaged_record_of_a_model_is_none(tmp_path: Path, samples: Any) -> None:
    asked = samples.image_request()
    folder = samples.write_run(tmp_path, "20260101-000000-000000", asked, samples.result(asked))
    run = RunStore(tmp_path).get(folder.name)
    assert isinstance(run, Run)
    write_sealed(folder / "model.json", to_json(ModelRecord((), "top1", 0.7, 2000)))
    assert read_record(run).value == 0.7
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace("0.7", "0.9"))
    assert read_record(run) is None
