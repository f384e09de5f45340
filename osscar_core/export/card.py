"""The model card: what this model is, where it came from, what it lost, how to load it.

The decision hidden here: which facts follow a model to wherever it goes. Places on this
machine do not.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osscar_core.evaluation.size import count_parameters
from osscar_core.export.comparing import Comparison
from osscar_core.export.job import Job, Written
from osscar_core.export.records import WORKS, Contest, ExportFormat
from osscar_core.export.usage import onnx_usage
from osscar_core.models import LoadedModel, state_bytes
from osscar_core.notation import as_markdown, in_code
from osscar_core.records import DataInfo, Plan, to_json

PLAN = "pruning.json"

_FOLDERS = re.compile(r"(?<![\w.-])(?:~|[A-Za-z]:)?(?:[\\/][^\s+*\[\]~\\/:]+)+[\\/]")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model came from and what it was worth before and after.

    Attributes:
        source: Name of the dense model.
        revision: Its revision on the hub, if it came from there.
        sha256: Digest of its weights, where they were local files.
        licence: What its source says of its licence.
        plan: What was removed and how; ``None`` for a model that was not pruned.
        parameters: Parameters of the model.
        bytes: Bytes of its weights.
        dense_parameters: Parameters of the dense model, if it was here.
        dense_bytes: Bytes of its weights, in the type they are stored in.
        metric: Measure of quality.
        quality: Quality of the model.
        dense_quality: Quality of the dense model, if it was here.
        data: What both were measured on.
    """

    source: str
    revision: str | None
    sha256: str | None
    licence: str | None
    plan: Plan | None
    parameters: int
    bytes: int
    dense_parameters: int | None
    dense_bytes: int | None
    metric: str
    quality: float
    dense_quality: float | None
    data: DataInfo

    @classmethod
    def of(
        cls,
        loaded: LoadedModel,
        dense: LoadedModel | None,
        found: Comparison,
        data: DataInfo,
        dense_quality: float | None,
    ) -> Provenance:
        """Gather the facts."""
        source = loaded.source if loaded.plan is None else loaded.plan.source
        return cls(
            source=without_folders(source.model),
            revision=source.revision,
            sha256=source.sha256,
            licence=source.licence,
            plan=None if loaded.plan is None else _portable(loaded.plan),
            parameters=count_parameters(loaded.module),
            bytes=state_bytes(loaded.module, loaded.dtype),
            dense_parameters=None if dense is None else count_parameters(dense.module),
            dense_bytes=None if dense is None else state_bytes(dense.module, dense.dtype),
            metric=found.metric,
            quality=found.model_quality,
            dense_quality=dense_quality,
            data=data,
        )

    def write_plan(self, folder: Path) -> None:
        """Write what was removed, by which it can be removed again."""
        if self.plan is not None:
            (folder / PLAN).write_text(to_json(self.plan, indent=1) + "\n", encoding="utf8")


def without_folders(text: str) -> str:
    """Return a name or data specification with the folders of this machine left out."""
    return _FOLDERS.sub("", text)


def model_card(
    kind: ExportFormat,
    job: Job,
    written: Written,
    found: Comparison,
    facts: Provenance,
    contest: Contest | None = None,
) -> str:
    """Return the README of an export."""
    head = _front_matter(facts) if kind in (ExportFormat.HF, ExportFormat.GGUF) else ""
    if kind is ExportFormat.ONNX:
        has_tokenizer = (job.folder / "tokenizer.json").is_file()
        usage = onnx_usage(
            job.name, found, job.items, written.opset or 0, has_tokenizer=has_tokenizer
        )
    else:
        usage = f"# {_text(job.name)}\n\n{written.usage}\n\n{_checked(job, written, found)}"
    raced = "" if contest is None else f"\n\n{_raced(contest)}"
    return f"{head}{usage.rstrip()}{raced}\n\n{_origin(facts)}\n"


def _front_matter(facts: Provenance) -> str:
    lines = ["---"]
    if facts.licence is not None:
        # Text from elsewhere: in quotes it is one value of YAML, whatever it holds.
        is_plain = re.fullmatch(r"[\w.+-]{1,100}", facts.licence)
        lines.append(f"license: {facts.licence if is_plain else json.dumps(facts.licence)}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", facts.source) and not facts.source.startswith("demo/"):
        lines.append(f"base_model: {facts.source}")
    lines += ["library_name: transformers", "pipeline_tag: text-generation"]
    if facts.plan is not None:
        lines += ["tags:", "- pruned", "- structured-pruning"]
    return "\n".join([*lines, "---", "", ""])


def _checked(job: Job, written: Written, found: Comparison) -> str:
    names = " and ".join(reader.name for reader in written.readers)
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    same = "continues every prompt with the model's own words; " if found.continued else ""
    return (
        f"It was read back with {names} in a process of its own ({versions}) and compared with the "
        f"model it was written from, on {len(job.items)} items of "
        f"`{_data(job.items.info)}`: it {same}its outputs differ by at most "
        f"{found.max_difference:.1e} ({found.relative_difference:.1e} of the largest one), and "
        f"{found.same:.2%} of the predictions are the same."
    )


def _raced(contest: Contest) -> str:
    """Return the table of files that were measured in turns."""
    works = [(one.work, one.size) for one in contest.contenders[0].timings]
    is_top1 = contest.metric == "top1"
    header = ["in onnxruntime", "MB", "top-1 accuracy" if is_top1 else "perplexity"]
    header += [WORKS[work].format(size=size) for work, size in works]
    rows = [header, ["---"] * len(header)]
    for one in contest.contenders:
        quality = f"{one.quality:.2%}" if is_top1 else f"{one.quality:.4f}"
        times = [f"{each.latency.median:.3g} ms ({each.speedup:.2f}x)" for each in one.timings]
        rows.append([one.name, f"{one.bytes / 1e6:,.1f}", quality, *times])
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    where = ", ".join(f"{name} {value}" for name, value in contest.conditions.items())
    return (
        f"{lines}\n\nMeasured in turns in one process ({where}), medians; quality on "
        f"{contest.count:,} items of `{_data(contest.data)}`."
    )


def _origin(facts: Provenance) -> str:
    rows = [("made from", f"`{_cell(facts.source)}`")]
    if facts.revision:
        rows.append(("revision", f"`{_cell(facts.revision)}`"))
    if facts.sha256:
        rows.append(("SHA-256 of its weights", f"`{facts.sha256}`"))
    rows.append(
        ("licence of the source", _text(facts.licence or "not stated there; ask its owner"))
    )
    plan = facts.plan
    if plan is not None:
        rows += _pruning(plan)
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    parts = ["## Where it comes from", f"| | |\n| --- | --- |\n{table}", _before_after(facts)]
    if plan is not None:
        parts.append(
            f"`{PLAN}` holds the whole request and what is kept of every layer. The weights that "
            "stayed were re-fitted on the calibration data; nothing was trained. What that data "
            "does not show may have got worse: measure on data of your own."
        )
    return "\n\n".join(parts)


def _pruning(plan: Plan) -> list[tuple[str, str]]:
    spec, data = plan.spec, plan.calibration
    removed: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    for unit in plan.units:
        removed[unit.structure] += unit.groups - len(unit.kept)
        groups[unit.structure] += unit.groups
    words = ", ".join(
        f"{removed[name]:,} of {groups[name]:,} {name} ({removed[name] / groups[name]:.1%})"
        for name in groups
    )
    asked = spec.goal.describe() if spec.goal is not None else f"sparsity {spec.sparsity:g}"
    settings = [f"seed {spec.seed}", f"damping {spec.damping:g}"]
    if spec.target is not None:
        settings.insert(0, f"target {spec.target}")
    if spec.budget is not None:
        settings.insert(0, f"budget {spec.budget}")
    length = f" of {data.seqlen} tokens" if data.seqlen else ""
    items = "windows" if data.kind == "text" else "images"
    rows = [
        ("method", f"{spec.method} (arXiv 2403.12983), {asked}, {', '.join(settings)}"),
        ("removed", words),
        ("calibrated on", f"{data.count:,} {items}{length} of `{_data(data)}`"),
        ("their SHA-256", f"`{data.digest}`"),
        ("made", _text(", ".join((plan.created, *_versions(plan))))),
    ]
    return [row for row in rows if row[1]]


def _versions(plan: Plan) -> Iterator[str]:
    return (f"{name} {version}" for name, version in plan.environment.items())


def _data(data: DataInfo) -> str:
    return _cell(without_folders(data.spec))


def _text(text: str) -> str:
    """Return text from elsewhere as it may stand on one line of Markdown."""
    return as_markdown(" ".join(text.split()))


def _cell(text: str) -> str:
    """Return text from elsewhere as it may stand between backticks in a table."""
    return in_code(text).replace("|", "/")


def _before_after(facts: Provenance) -> str:
    def quality(value: float | None) -> str:
        if value is None:
            return "not measured"
        return f"{value:.2%}" if facts.metric == "top1" else f"{value:.4f}"

    name = "top-1 accuracy" if facts.metric == "top1" else "perplexity"
    count = f"{facts.data.count:,} items of `{_data(facts.data)}`"
    dense = (
        "not counted" if facts.dense_parameters is None else f"{facts.dense_parameters:,}",
        "not counted" if facts.dense_bytes is None else f"{facts.dense_bytes / 1e6:,.1f}",
        quality(facts.dense_quality),
    )
    here = (f"{facts.parameters:,}", f"{facts.bytes / 1e6:,.1f}", quality(facts.quality))
    names = ("parameters", "weights, MB", f"{name} on {count}")
    rows = zip(names, dense, here, strict=True)
    lines = "\n".join(f"| {row[0]} | {row[1]} | {row[2]} |" for row in rows)
    return f"| measured | dense | this model |\n| --- | --- | --- |\n{lines}"


def _portable(plan: Plan) -> Plan:
    """Return a plan that names no folder of this machine."""
    source = dataclasses.replace(
        plan.source,
        model=without_folders(plan.source.model),
        weights=without_folders(plan.source.weights),
        tokenizer=plan.source.tokenizer and without_folders(plan.source.tokenizer),
    )
    spec = dataclasses.replace(
        plan.spec,
        model=without_folders(plan.spec.model),
        weights=plan.spec.weights and without_folders(plan.spec.weights),
        calibration=without_folders(plan.spec.calibration),
        data=plan.spec.data and without_folders(plan.spec.data),
    )
    data = dataclasses.replace(
        plan.calibration,
        spec=without_folders(plan.calibration.spec),
        tokenizer=plan.calibration.tokenizer and without_folders(plan.calibration.tokenizer),
    )
    return dataclasses.replace(plan, source=source, spec=spec, calibration=data)
