"""From a pruned model and reference data to a folder that watches it.

The decision hidden here: what a monitoring kit holds. The folder appears complete or not
at all.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from osscar_core import __version__
from osscar_core.datasets import ImageSet, load_images, load_windows
from osscar_core.errors import DataError, SpecError
from osscar_core.evaluation.perplexity import check_vocabulary
from osscar_core.evaluation.size import prompt_length
from osscar_core.models import LoadedModel, check_output
from osscar_core.monitoring.kit import monitor
from osscar_core.monitoring.kit.monitor import Observed
from osscar_core.monitoring.program import write_program
from osscar_core.monitoring.readme import Facts, readme
from osscar_core.monitoring.records import FalseAlarms, KitReport, Language
from osscar_core.monitoring.thresholds import Division, calibrate, measure_false_alarms
from osscar_core.notation import as_markdown, in_code
from osscar_core.progress import Progress, report
from osscar_core.records import DataInfo, check_range, to_dict
from osscar_core.storage import FileDigest, whole_folder

DEFAULT_LIMIT = 2000
DEFAULT_SEQLEN = 128
_EXAMPLE_ITEMS = 32
_TRACED_ITEMS = 5
_RATES = (0.0005, 0.2)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Reference items, and how the kit has to prepare others like them.

    Attributes:
        info: What they are.
        input: The preparation, as `monitor` reads it.
        images: The items, for images; they are decoded on demand.
        ids: The items, for text.
        class_names: Names of all classes, for images.
    """

    info: DataInfo
    input: dict[str, Any]
    images: ImageSet | None = None
    ids: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return self.info.count

    def raw(self, rows: list[int]) -> Tensor:
        """Return items as a user of the kit gives them."""
        if self.images is not None:
            return torch.stack([self.images.pixels(row) for row in rows])
        assert self.ids is not None  # noqa: S101 - one of the two is there
        return self.ids[rows]

    def prepared(self, rows: list[int]) -> Tensor:
        """Return items as the network reads them, prepared by the kit's own code."""
        prepare = monitor.prepare_text if self.images is None else monitor.prepare_images
        return prepare(self.raw(rows), self.input)


def export_kit(
    pruned: LoadedModel,
    reference_data: str,
    out: Path,
    *,
    dense: LoadedModel | None = None,
    limit: int = DEFAULT_LIMIT,
    alarm_rate: float = 0.01,
    language: Language = "both",
    seed: int = 0,
    seqlen: int | None = None,
    progress: Progress | None = None,
) -> KitReport:
    """Write a folder that watches a model with torch alone.

    Args:
        pruned: The model in use. It is left as it is.
        reference_data: Data like that on which it was found good enough, unseen by it in
            training; see `osscar_core.datasets.parse_data_spec`.
        out: Folder to make; it must not exist or be empty.
        dense: The model before pruning, for shadow comparison and for going back.
        limit: Reference items at most.
        alarm_rate: Wanted rate of false alarms, of all tests of a batch together.
        language: Of the kit's README.
        seed: Of the choice of items and of all resamples.
        seqlen: Tokens a window, for text; ``None`` for 128.
        progress: Called after every batch.

    Raises:
        SpecError: A setting outside its range, or models that do not belong together.
        DataError: Data missing, unreadable or too few.
        OutputError: ``out`` is taken, or a model cannot be exported faithfully.
    """
    started = time.perf_counter()
    _check(pruned, dense, limit, alarm_rate, language)
    check_output(out)
    reference = _open(pruned, reference_data, limit, seed, seqlen)
    division = Division.of(len(reference), seed)
    with whole_folder(out) as folder:
        seen, difference = _exported(pruned, reference, folder / "model.pt2", progress)
        agreed = dense_difference = None
        if dense is not None:
            other, dense_difference = _exported(dense, reference, folder / "dense.pt2", progress)
            agreed = float(monitor.agreement(seen, other).mean())
        classes = None if reference.class_names is None else len(reference.class_names)
        baseline = calibrate(
            seen, division, classes=classes, alarm_rate=alarm_rate, seed=seed, progress=progress
        )
        false_alarms = measure_false_alarms(seen, division, baseline, seed)
        torch.save(baseline, folder / "baseline.pt")
        example = reference.raw(division.held_out[:_EXAMPLE_ITEMS].tolist())
        torch.save(example, folder / "example.pt")
        notes = _write_tokenizer(pruned, folder)
        record = _record(pruned, dense, reference, division, baseline, false_alarms)
        record |= {"alarm_rate": alarm_rate, "max_difference": difference}
        if agreed is not None:
            record["shadow"] = {"agreement": agreed, "max_difference": dense_difference}
        _write_json(folder / "baseline.json", record)
        facts = Facts(
            model=as_markdown(pruned.source.model),
            dense=None if dense is None else as_markdown(dense.source.model),
            data=in_code(reference.info.spec),
            task=pruned.task,
            input=reference.input,
            division=division,
            alarm_rate=alarm_rate,
            false_alarms=false_alarms,
            difference=difference,
            agreement=agreed,
            torch=torch.__version__.partition("+")[0],
            has_tokenizer=(folder / "tokenizer.json").is_file(),
        )
        (folder / "README.md").write_text(readme(facts, language), encoding="utf8")
        shutil.copyfile(monitor.__file__, folder / "monitor.py")
        files = _write_manifest(folder)
    return KitReport(
        out=str(out),
        model=pruned.source.model,
        dense=None if dense is None else dense.source.model,
        data=reference.info,
        baseline_items=division.baseline,
        threshold_items=len(division.pool),
        held_out_items=len(division.held_out),
        sizes=division.sizes,
        thresholds=_distances(division, baseline),
        alarm_rate=alarm_rate,
        false_alarms=false_alarms,
        max_difference=difference,
        dense_difference=dense_difference,
        agreement=agreed,
        files=files,
        manifest_sha256=monitor.sha256(out / "manifest.json"),
        seconds=time.perf_counter() - started,
        notes=(*reference.info.warnings, *notes),
    )


def _check(
    pruned: LoadedModel,
    dense: LoadedModel | None,
    limit: int,
    alarm_rate: float,
    language: Language,
) -> None:
    check_range("limit", limit, 1)
    check_range("alarm_rate", alarm_rate, *_RATES)
    if language not in get_args(Language):
        raise SpecError(f"language is '{language}'", "Choose from: en, ja, both")
    if dense is None:
        return
    one, two = pruned.source, dense.source
    if (one.task, one.classes, one.preprocess) != (two.task, two.classes, two.preprocess):
        raise SpecError(
            f"{two.model} and {one.model} do not read the same items or know the same classes",
            "Give the model that this one was pruned from",
        )


def _open(pruned: LoadedModel, data: str, limit: int, seed: int, seqlen: int | None) -> _Reference:
    # Seed 0 would mean the first items as stored, and neighbours are alike.
    drawn = seed + 1
    if pruned.task == "image":
        preprocess = pruned.preprocess
        images = load_images(
            data, preprocess, limit=limit, seed=drawn, classes=pruned.source.classes
        )
        count = pruned.source.classes or int(images.labels.max()) + 1
        names = pruned.source.class_names or tuple(str(label) for label in range(count))
        settings = {
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
            "size": preprocess.size,
            "resize": preprocess.resize,
        }
        return _Reference(images.info, settings, images=images, class_names=names)
    length = prompt_length(pruned, seqlen, DEFAULT_SEQLEN)
    windows = load_windows(
        data, pruned.tokenizer, seqlen=length, samples=limit, seed=drawn, exactly=False
    )
    check_vocabulary(pruned, windows.ids)
    settings = {
        "seqlen": length,
        "vocabulary": int(pruned.module.get_input_embeddings().num_embeddings),  # type: ignore[operator]
        "end_of_text": pruned.tokenizer.eos_token_id,  # type: ignore[union-attr]
    }
    return _Reference(windows.info, settings, ids=windows.ids)


def _exported(
    loaded: LoadedModel, reference: _Reference, file: Path, progress: Progress | None
) -> tuple[Observed, float]:
    """Write a model as a program, and return what it makes of all reference items."""
    stage = f"export {file.stem}"
    report(progress, stage, 0, len(reference), loaded.source.model)
    sample = reference.prepared(list(range(_TRACED_ITEMS)))
    wrapped, difference = write_program(loaded, sample, file)
    place = next(loaded.module.parameters()).device
    wrapped.to(place)

    def run(items: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = wrapped(items.to(place))
        return logits.cpu(), features.cpu()

    size = monitor.at_once(reference.input)
    parts = []
    for start in range(0, len(reference), size):
        rows = list(range(start, min(start + size, len(reference))))
        try:
            parts.append(monitor.observe(run, reference.prepared(rows), loaded.task, size))
        except monitor.KitError as error:
            raise DataError(
                f"{loaded.source.model} gives outputs that are not finite on items "
                f"{rows[0]} to {rows[-1]}",
                "Look at these items, and at the model's weights",
            ) from error
        report(progress, stage, rows[-1] + 1, len(reference), loaded.source.model)
    return Observed(
        *(torch.cat([getattr(part, name) for part in parts]) for name in Observed.__annotations__)
    ), difference


def _record(
    pruned: LoadedModel,
    dense: LoadedModel | None,
    reference: _Reference,
    division: Division,
    baseline: dict[str, Tensor],
    false_alarms: tuple[FalseAlarms, ...],
) -> dict[str, Any]:
    """Return ``baseline.json``: what a person, or another program, may want to read."""
    tests = ["distance", "confidence"]
    mix = {}
    if reference.class_names is not None:
        tests.append("class mix")
        shares = baseline["class_shares"].tolist()
        mix = dict(zip(reference.class_names, shares, strict=True))
    return {
        "made_by": f"osscar-studio {__version__}, torch {torch.__version__}",
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "task": pruned.task,
        "model": to_dict(pruned.source),
        "dense": None if dense is None else to_dict(dense.source),
        "data": to_dict(reference.info),
        "input": reference.input,
        "tests": tests,
        "class_names": reference.class_names,
        "class_mix": mix,
        "confidence": {
            "mean": float(baseline["confidence_mean"]),
            "sd": float(baseline["confidence_sd"]),
        },
        "distance": {"form": "squared energy distance / unit", "unit": float(baseline["unit"])},
        "items": {
            "baseline": division.baseline,
            "thresholds": len(division.pool),
            "held_out": len(division.held_out),
        },
        "sizes": division.sizes,
        "thresholds": _distances(division, baseline),
        "resamples": baseline["null"].shape[-1],
        "false_alarms": [{**to_dict(one), "rate": one.rate} for one in false_alarms],
    }


def _distances(division: Division, baseline: dict[str, Tensor]) -> tuple[float, ...]:
    """Return for each size the squared distance that raises an alarm."""
    m = division.baseline
    return tuple(
        monitor.threshold_at(null[0], allowed) * (size + m) / (size * m)
        for size, null, allowed in zip(
            division.sizes, baseline["null"], baseline["allowed"].tolist(), strict=True
        )
    )


def _write_tokenizer(pruned: LoadedModel, folder: Path) -> tuple[str, ...]:
    if pruned.task == "image":
        return ()
    backend = getattr(pruned.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ("the tokenizer has no tokenizer.json; the kit takes token ids only",)
    backend.save(str(folder / "tokenizer.json"))
    return ()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf8")


def _write_manifest(folder: Path) -> tuple[FileDigest, ...]:
    files = tuple(FileDigest.of(path, folder) for path in sorted(folder.iterdir()))
    _write_json(folder / "manifest.json", {"files": {file.name: file.sha256 for file in files}})
    return files
