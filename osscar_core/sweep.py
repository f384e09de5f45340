"""A grid of pruning runs over one model, each measured, resumable at any point.

The decision hidden here: what makes two points the same, and so need no second run.
A point is stored as soon as it is finished, under a digest of every setting it rests
on, including this release and the size and age of the local files it read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from osscar_core import __version__
from osscar_core.errors import OsscarError, OutputError, SpecError
from osscar_core.progress import Progress, ProgressEvent
from osscar_core.records import (
    DensePoint,
    EvaluationReport,
    Method,
    PruneSpec,
    SpeedComparison,
    SweepPoint,
    SweepReport,
    check_range,
    from_json,
    to_dict,
    to_json,
)
from osscar_core.storage import write_atomically

if TYPE_CHECKING:
    from osscar_core.models import LoadedModel

_Record = TypeVar("_Record")
_TIMED_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """A grid of runs: every method at every sparsity with every seed.

    Attributes:
        base: The request whose ``sparsity``, ``method`` and ``seed`` are replaced.
        sparsities: Shares of groups to remove.
        methods: Selection methods.
        data: Data specification to evaluate on.
        seeds: Seeds; see `PruneSpec`.
        limit: Evaluate on at most this many windows or images; ``None`` for all.
        latency: Whether each small model is also timed against the dense one.
    """

    base: PruneSpec
    sparsities: tuple[float, ...]
    methods: tuple[Method, ...]
    data: str
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    latency: bool = True

    def __post_init__(self) -> None:
        """Check that every axis has values, and every point is a legal request."""
        for name in ("sparsities", "methods", "seeds"):
            if not getattr(self, name):
                raise SpecError(f"the list of {name} is empty", "Give at least one")
        if self.limit is not None:
            check_range("limit", self.limit, 1)
        self.points()

    def points(self) -> tuple[PruneSpec, ...]:
        """Return the request of every point, by method, then sparsity, then seed."""
        return tuple(
            dataclasses.replace(self.base, method=method, sparsity=sparsity, seed=seed)
            for method in dict.fromkeys(self.methods)
            for sparsity in dict.fromkeys(self.sparsities)
            for seed in dict.fromkeys(self.seeds)
        )


def sweep(spec: SweepSpec, *, out: Path, progress: Progress | None = None) -> SweepReport:
    """Run every point that is not stored yet, and return all of them.

    Args:
        spec: The grid.
        out: Directory that collects the points; made if needed. One that holds other
            things than a sweep is refused.
        progress: Callback; raising `osscar_core.errors.Cancelled` from it stops. The
            points finished by then stay and are not computed again.

    Returns:
        The dense model's quality and every point.

    Raises:
        OsscarError: With the reason in words; finished points stay.
    """
    folder = _points_folder(out)
    requests = spec.points()
    # The evaluation uses the calibration's window length, which only a finished point knows
    # when it was left open, so the dense model is judged after the first point.
    points: list[SweepPoint] = []
    lab = _Lab(spec, out)
    for number, request in enumerate(requests, start=1):
        path = folder / f"{_point_name(spec, request)}.json"
        point = _read(SweepPoint, path)
        if point is None:
            point = lab.run(request, _labelled(progress, f"point {number}/{len(requests)}"))
            write_atomically(path, to_json(point))
        points.append(point)
    path = out / f"{_dense_name(spec)}.json"
    dense = _read(DensePoint, path)
    if dense is None:
        seqlen = points[0].prune.plan.spec.seqlen
        dense = DensePoint(lab.evaluate(lab.dense(), seqlen, _labelled(progress, "dense")))
        write_atomically(path, to_json(dense))
    return SweepReport(dense, tuple(points))


class _Lab:
    """Prunes, evaluates and times single points. The dense model is loaded at most once."""

    def __init__(self, spec: SweepSpec, out: Path) -> None:
        self._spec = spec
        self._out = out
        self._dense: LoadedModel | None = None

    def run(self, request: PruneSpec, progress: Progress | None) -> SweepPoint:
        from osscar_core.models import load_model
        from osscar_core.pruner import prune

        with tempfile.TemporaryDirectory(dir=self._out, prefix=".work-") as folder:
            small = Path(folder) / "model"
            report = prune(request, out=small, progress=progress)
            loaded = load_model(str(small), device=request.device, dtype=request.dtype)
            evaluation = self.evaluate(loaded, report.plan.spec.seqlen, progress)
            speed = self._time(loaded, request, progress) if self._spec.latency else None
        return SweepPoint(
            method=request.method,
            sparsity=request.sparsity,
            seed=request.seed,
            prune=dataclasses.replace(report, out=None),
            evaluation=dataclasses.replace(evaluation, model=request.model),
            speed=speed,
        )

    def dense(self) -> LoadedModel:
        from osscar_core.models import load_model

        if self._dense is None:
            base = self._spec.base
            self._dense = load_model(
                base.model,
                weights=base.weights,
                device=base.device,
                dtype=base.dtype,
                image_size=base.image_size,
                trust_remote_code=base.trust_remote_code,
            )
        return self._dense

    def evaluate(
        self, loaded: LoadedModel, seqlen: int | None, progress: Progress | None
    ) -> EvaluationReport:
        from osscar_core.evaluation import evaluate

        return evaluate(
            loaded,
            self._spec.data,
            limit=self._spec.limit,
            seqlen=seqlen,
            batch_size=self._spec.base.batch_size,
            progress=progress,
        )

    def _time(
        self, loaded: LoadedModel, request: PruneSpec, progress: Progress | None
    ) -> SpeedComparison:
        from osscar_core.evaluation import compare

        result = compare(
            self.dense(),
            loaded,
            batch_size=request.batch_size,
            repeats=_TIMED_ROUNDS,
            progress=progress,
        )
        return dataclasses.replace(
            result, pruned=dataclasses.replace(result.pruned, model=request.model)
        )


def _points_folder(out: Path) -> Path:
    folder = out / "points"
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file", "Name a directory with --out")
    if out.is_dir() and any(out.iterdir()) and not folder.is_dir():
        raise OutputError(
            f"{out} holds other files", "Name a new directory, or that of an earlier sweep"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write to {out} ({error.strerror})", "Name a directory that can be written"
        ) from error
    return folder


def _point_name(spec: SweepSpec, request: PruneSpec) -> str:
    settings = {"spec": to_dict(request), "latency": spec.latency}
    return _digest(spec, settings, request.calibration)


def _dense_name(spec: SweepSpec) -> str:
    """Return the name of the dense model's quality, which pruning settings do not touch."""
    names = ("model", "weights", "device", "dtype", "seqlen", "batch_size", "image_size")
    settings = {name: getattr(spec.base, name) for name in names}
    return "dense-" + _digest(spec, settings)


def _digest(spec: SweepSpec, settings: dict[str, Any], *sources: str) -> str:
    files = (spec.base.model, spec.base.weights or "", spec.data, *sources)
    complete = {
        **settings,
        "release": __version__,
        "data": spec.data,
        "limit": spec.limit,
        "files": [list(_fingerprint(name)) for name in files],
    }
    text = json.dumps(complete, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _fingerprint(name: str) -> Iterator[tuple[str, int, int]]:
    """Yield size and age of the local files that a model name or data specification names."""
    for location in filter(None, (name, name.partition(":")[2])):
        with contextlib.suppress(OSError, ValueError):
            path = Path(location)
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                stat = file.stat()
                yield (file.name, stat.st_size, stat.st_mtime_ns)


def _read(record_type: type[_Record], path: Path) -> _Record | None:
    """Return a stored record; one that is damaged or absent counts as not computed."""
    try:
        return from_json(record_type, path.read_text(encoding="utf8"))
    except (OSError, UnicodeDecodeError, OsscarError):
        return None


def _labelled(progress: Progress | None, label: str) -> Progress | None:
    """Return a callback that says in front of every stage where in the sweep it is."""
    if progress is None:
        return None

    def forward(event: ProgressEvent) -> None:
        progress(ProgressEvent(f"{label}: {event.stage}", event.done, event.total, event.detail))

    return forward
