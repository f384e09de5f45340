"""Reports as text for a terminal.

The decision hidden here: which numbers a person sees first. The complete report is
what ``--json`` prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from osscar_core.cli.console import change, scaled, table
from osscar_core.export.records import WORKS
from osscar_core.goals import Budget, GoalKind
from osscar_core.guards import GuardReport
from osscar_core.notation import gibibytes
from osscar_core.records import (
    BeforeAfter,
    EvaluationReport,
    Latency,
    MeasureReport,
    PruneReport,
    SpeedComparison,
    SweepPoint,
    SweepReport,
    UnitReport,
    UnreachablePoint,
)
from osscar_core.resources import Resources
from osscar_core.sweep import pareto

if TYPE_CHECKING:
    from pathlib import Path

    from osscar_core.bench import PipelineBench, SolverBench
    from osscar_core.brief import SurveyRecord
    from osscar_core.explorer import WhatIf
    from osscar_core.export import ExportReport
    from osscar_core.export.records import Contest
    from osscar_core.monitoring import KitReport


def prune_text(report: PruneReport) -> str:
    """Return the units' errors and the sizes before and after."""
    units = table(
        ("unit", "kept/groups", "error", "magnitude", "swaps", "gap"),
        [
            (
                f"{unit.name} ({unit.structure})",
                f"{unit.kept}/{unit.groups}",
                f"{unit.relative_error:.4f}",
                f"{unit.magnitude_error:.4f}",
                str(unit.swaps),
                _gap(unit),
            )
            for unit in report.units
        ],
    )
    sizes = table(
        ("", "before", "after", "change"),
        [
            _size_row("parameters", report.parameters, ""),
            _size_row("file", report.bytes, "B"),
            _size_row("FLOPs", report.flops, ""),
        ],
    )
    lines = [units, "", sizes, "", f"FLOPs of {report.flops_input}."]
    lines += [*_budget_lines(report), *_goal_lines(report), *_guard_lines(report.guards)]
    lines += [f"warning: {warning}" for warning in report.warnings]
    memory = scaled(report.peak_memory_bytes, "B")
    lines.append(f"{report.out}: {report.seconds:.1f} s, peak memory {memory}")
    if report.resources is not None:
        lines.append(resources_text(report.resources))
    return "\n".join(lines)


def _guard_lines(report: GuardReport | None) -> list[str]:
    """Return what protected groups lost, and what their protection cost."""
    if report is None:
        return []
    word = "kept" if report.is_kept else "NOT kept"
    lines = [f"protected groups {word}, measured on {report.data}:"]
    for result in report.final.results:
        beyond = "" if result.is_proven else ", beyond chance not proven"
        lines.append(
            f"  {result.guard.name}: lost {result.loss:.4f} ({result.low:.4f} to "
            f"{result.high:.4f}), allowed {result.guard.allowed:g}{beyond}; {result.count} items"
        )
    first, final = report.tries[0], report.final
    if final.share < 1:
        lines.append(
            f"  the price: {final.share:.0%} of the removal asked for, file "
            f"{scaled(final.bytes, 'B')} instead of {scaled(first.bytes, 'B')} "
            f"({len(report.tries)} models measured)"
        )
    return lines


def _budget_lines(report: PruneReport) -> list[str]:
    budget = report.budget
    if budget is None:
        return []
    is_weighted = budget.budget is Budget.LOSS_WEIGHTED
    bound = f" (no choice is below {budget.bound:.4f})" if is_weighted else ""
    first = (
        f"budget {budget.budget}: predicted divergence {budget.predicted:.4f} nats{bound}, "
        f"measured on {budget.probes} items"
    )
    times = (
        f"  survey {budget.survey_seconds:.1f} s, sensitivities {budget.probe_seconds:.1f} s, "
        f"choice {budget.budget_seconds:.1f} s"
    )
    lines = [first, times]
    if budget.divergence is not None:
        before, after = budget.divergence
        exchanges = "1 exchange" if budget.exchanges == 1 else f"{budget.exchanges} exchanges"
        lines.append(f"  {exchanges} kept: measured divergence {before:.4f} to {after:.4f} nats")
    return lines


def _goal_lines(report: PruneReport) -> list[str]:
    goal = report.goal
    if goal is None:
        return []
    kind = goal.goal.kind
    between = ""
    if goal.interval is not None:
        between = f" (95% interval {_amount(kind, goal.interval[0])} to "
        between += f"{_amount(kind, goal.interval[1])})"
    expected = "" if goal.estimate is None else f", expected {_amount(kind, goal.estimate)}"
    verdict = "reached" if goal.is_met else "missed"
    asked, achieved = _amount(kind, goal.asked), _amount(kind, goal.achieved)
    line = f"goal {kind}: asked {asked}, achieved {achieved}{between}{expected}: {verdict}"
    return [line, f"  {goal.protocol}"] if goal.protocol else [line]


def _amount(kind: GoalKind, value: float) -> str:
    match kind:
        case GoalKind.SPEEDUP:
            return f"{value:.2f}x"
        case GoalKind.LATENCY:
            return f"{value:.2f} ms"
        case GoalKind.BYTES:
            return scaled(value, "B")
        case GoalKind.PARAMETERS | GoalKind.FLOPS:
            return scaled(value)
        case _:
            return f"{value:.2%}"


def survey_text(record: SurveyRecord, out: Path, size: int) -> str:
    """Return how much each unit means to the model's output."""
    # The last width is the complete one, at which nothing diverges.
    probed = [
        [
            f"{width}: {value:.4f}"
            for width, value in zip(unit.widths[:-1], unit.divergences[:-1], strict=True)
        ]
        for unit in record.units
    ]
    most = max(len(cells) for cells in probed)
    title = "divergence in nats at so many groups kept"
    units = table(
        ("unit", "groups", "rows", *[""] * most),
        [
            (unit.name, str(unit.groups), f"{unit.count:,}", *[""] * (most - len(cells)), *cells)
            for unit, cells in zip(record.units, probed, strict=True)
        ],
    )
    header, *rows = units.splitlines()
    lines = [f"{header}  {title}", *rows, ""]
    lines.append(
        f"calibrated and searched in {record.survey_seconds:.1f} s, sensitivities on "
        f"{record.probes} items in {record.probe_seconds:.1f} s"
    )
    lines.append(f"{out}: {scaled(size, 'B')}")
    return "\n".join(lines)


def estimate_text(answers: Sequence[WhatIf], record: SurveyRecord) -> str:
    """Return one row a goal: sizes exact, speed from the latency table, quality estimated."""
    word = "points lost" if _is_image(record) else "perplexity"
    header = ["goal", "removed", "parameters", "file", "FLOPs"]
    rows = [
        [
            answer.goal.describe(),
            f"{answer.removed:.1%}",
            scaled(answer.parameters),
            scaled(answer.bytes, "B"),
            scaled(answer.flops),
        ]
        for answer in answers
    ]
    if any(answer.speedup is not None for answer in answers):
        header.append("speed-up")
        for row, answer in zip(rows, answers, strict=True):
            row.append("" if answer.speedup is None else f"≈{answer.speedup:.2f}x")
    header += [word, "95% band"]
    for row, answer in zip(rows, answers, strict=True):
        row += _band(answer, record)
    return f"{table(header, rows)}\n\n≈ is an estimate; parameters, file and FLOPs are exact."


def _band(answer: WhatIf, record: SurveyRecord) -> tuple[str, str]:
    quality = answer.quality
    if quality is None:
        return "", ""
    low, high = _lost(quality.low, record), _lost(quality.high, record)
    return f"≈{_lost(quality.median, record)}", f"{low} to {high}"


def _lost(value: float, record: SurveyRecord) -> str:
    # No model loses more points than there are.
    return f"{min(100.0, 100 * value):.2f}" if _is_image(record) else f"+{math.expm1(value):.1%}"


def _is_image(record: SurveyRecord) -> bool:
    return record.source.task == "image"


def _gap(unit: UnitReport) -> str:
    if unit.gap is None:
        return ""
    return "best" if unit.is_proven else f"≤{unit.gap:.0%}"


def _size_row(name: str, both: BeforeAfter, unit: str) -> tuple[str, str, str, str]:
    return (
        name,
        scaled(both.dense, unit),
        scaled(both.pruned, unit),
        change(both.dense, both.pruned),
    )


def _quality(report: EvaluationReport) -> tuple[str, str]:
    low, high = report.interval
    if report.metric == "top1":
        return f"{report.value:.2%}", f"{low:.2%} to {high:.2%}"
    return f"{report.value:.2f}", f"{low:.2f} to {high:.2f}"


def evaluation_text(report: EvaluationReport) -> str:
    """Return the metric with its interval and protocol."""
    value, interval = _quality(report)
    top5 = "" if report.top5 is None else f", top5 {report.top5:.2%}"
    lines = [
        f"{report.metric} {value} (95% interval {interval}){top5}, loss {report.loss:.4f}",
        f"{report.protocol}; n = {report.count:,}; {report.seconds:.1f} s",
    ]
    lines += [f"note: {note}" for note in (*report.data.notes, *report.data.warnings)]
    return "\n".join(lines)


def measure_text(report: MeasureReport) -> str:
    """Return the timings with the conditions they hold for."""

    def line(name: str, latency: Latency) -> str:
        return (
            f"{name} {latency.median:.2f} ms (median of {latency.repeats}, "
            f"p95 {latency.p95:.2f}, minimum {latency.minimum:.2f})"
        )

    lines = [report.model, line("  forward pass", report.latency_ms)]
    if report.decode_ms is not None:
        lines.append(line("  next token", report.decode_ms))
    lines.append(f"  throughput {scaled(report.throughput)} {report.throughput_unit}")
    lines.append("  " + ", ".join(f"{key} {value}" for key, value in report.conditions.items()))
    return "\n".join(lines)


def comparison_text(result: SpeedComparison) -> str:
    """Return both models' timings and the speed-up with its interval."""
    lines = [measure_text(result.pruned), measure_text(result.dense)]
    low, high = result.interval
    lines.append(f"speed-up {result.speedup:.2f} (95% interval {low:.2f} to {high:.2f})")
    if result.decode_speedup is not None and result.decode_interval is not None:
        low, high = result.decode_interval
        lines.append(
            f"speed-up of the next token {result.decode_speedup:.2f} "
            f"(95% interval {low:.2f} to {high:.2f})"
        )
    return "\n".join(lines)


def sweep_text(report: SweepReport) -> str:
    """Return one row a point, the dense model first, and what cannot be reached."""
    dense = report.dense.evaluation
    goals = [*(point.goal for point in report.points), *(one.goal for one in report.unreachable)]
    has_goals = any(goal is not None for goal in goals)
    asked = ("asked", "achieved") if has_goals else ("sparsity",)
    nothing = ("", "") if has_goals else ("0",)
    header = ("method", *asked, "seed", "parameters", "FLOPs", dense.metric, "95% interval")
    rows = [("dense", *nothing, "", "", "", *_quality(dense), "", "")]
    for point, is_best in zip(report.points, pareto(report.points), strict=True):
        pruned = point.prune
        rows.append(
            (
                point.method.value,
                *((_asked(point), _achieved(point)) if has_goals else (f"{point.sparsity:g}",)),
                str(point.seed),
                change(pruned.parameters.dense, pruned.parameters.pruned),
                change(pruned.flops.dense, pruned.flops.pruned),
                *_quality(point.evaluation),
                "" if point.speed is None else f"{point.speed.speedup:.2f}x",
                "*" if is_best else "",
            )
        )
    lines = [table((*header, "speed", ""), rows)]
    if report.points:
        is_timed = all(point.speed is not None for point in report.points)
        measure = "speed" if is_timed else "FLOPs"
        lines += ["", f"* on the front of {measure} and {dense.metric}"]
    lines += [_unreachable(point) for point in report.unreachable]
    return "\n".join(lines)


def _asked(point: SweepPoint | UnreachablePoint) -> str:
    return f"sparsity={point.sparsity:g}" if point.goal is None else point.goal.describe()


def _achieved(point: SweepPoint) -> str:
    goal = point.prune.goal
    if goal is None:
        return ""
    return _amount(goal.goal.kind, goal.achieved) + ("" if goal.is_met else " (missed)")


def _unreachable(point: UnreachablePoint) -> str:
    nearest = " or ".join(goal.describe() for goal in point.nearest)
    return f"unreachable: {point.method} {_asked(point)}, seed {point.seed}: nearest are {nearest}"


def solver_bench_text(result: SolverBench) -> str:
    """Return one row a contender, and what was solved where."""
    header = (
        "",
        "seconds",
        "vs published",
        "vs recipe",
        "memory",
        "objective",
        "error",
        "gap",
        "swaps",
    )
    rows = [
        (
            row.contender.value,
            f"{row.seconds:.3f}",
            "" if row.speedup is None else f"{row.speedup:.2f}x",
            "" if row.speedup_over_recipe is None else f"{row.speedup_over_recipe:.2f}x",
            "" if row.peak_bytes is None else scaled(row.peak_bytes, "B"),
            f"{row.objective:.10g}",
            f"{row.relative_error:.6f}",
            "" if row.gap is None else f"{row.gap:.1%}",
            str(row.swaps),
        )
        for row in result.rows
    ]
    where = f"{result.device}, {result.threads} threads, torch {result.torch}"
    sizes = f"p = {result.features:,}, m = {result.outputs:,}, groups of {result.group_size}"
    lines = [f"{result.problem}: {sizes}, {result.keep:,} kept; {where}", table(header, rows)]
    if result.bound is not None and result.bound_seconds is not None:
        lines.append(f"no support is below {result.bound:.10g} ({result.bound_seconds:.3f} s)")
    return "\n".join(lines)


def pipeline_bench_text(result: PipelineBench) -> str:
    """Return where the time of a run went, and what it took."""
    several = f"{result.gpus} x " if result.gpus > 1 else ""
    where = f"{several}{result.device}, torch {result.torch}"
    tokens = f"{result.samples} x {result.seqlen:,} tokens"
    rows = [
        (one.stage, f"{one.seconds:.2f}", f"{one.seconds / result.blocks:.3f}")
        for one in sorted(result.stages, key=lambda one: -one.seconds)
    ]
    whole = f"{result.all_seconds:.1f} s for all {result.all_blocks} blocks"
    if result.is_extrapolated:
        whole += f" (extrapolated from {result.blocks})"
    before = f"{result.load_seconds:.1f} s to load, {result.enter_seconds:.1f} s to the first block"
    lines = [
        f"{result.shape}, {scaled(result.parameters)} parameters, {tokens}; {where}",
        table(("stage", "seconds", "a block"), rows),
        f"{result.seconds:.1f} s for {result.blocks} blocks, of which {before}; {whole}",
        f"{result.calibration_seconds:.2f} s of that to calibrate",
        f"{scaled(result.disk_bytes, 'B')} written",
    ]
    if result.resources is not None:
        lines.append(resources_text(result.resources))
    return "\n".join(lines)


def resources_text(found: Resources) -> str:
    """Return what a run took beside what was foreseen and allowed."""
    rows = [("host memory", found.measured_host_bytes, found.predicted_host_bytes)]
    limits = [found.host_memory]
    if found.measured_gpu_bytes is not None:
        rows.insert(0, ("GPU memory", found.measured_gpu_bytes, found.predicted_gpu_bytes))
        limits.insert(0, found.gpu_memory)
    cells = [
        (name, gibibytes(took), gibibytes(said), "" if limit is None else gibibytes(limit))
        for (name, took, said), limit in zip(rows, limits, strict=True)
    ]
    seconds = f"{found.measured_seconds:.1f} s"
    cells.append(("time", seconds, f"{found.predicted_seconds:.1f} s", ""))
    header = ("", "measured", "estimated before", "allowed")
    return f"{found.placement.describe()}\n{table(header, cells)}"


def export_text(report: ExportReport) -> str:
    """Return the files of an export and how it compares with the model, read back."""
    files = table(
        ("file", "bytes", "SHA-256"),
        [(file.name, scaled(file.bytes, "B"), file.sha256) for file in report.files],
    )
    shapes = ", ".join("x".join(map(str, shape)) for shape in report.shapes)
    is_top1 = report.metric == "top1"
    name = "top-1 accuracy" if is_top1 else "perplexity"
    before, after, whole = (
        "" if value is None else f"{value:.2%}" if is_top1 else f"{value:.4f}"
        for value in (report.model_quality, report.quality, report.dense_quality)
    )
    dense = f", dense {whole}" if whole else ""
    continued = [] if not report.continued else [f"{report.continued} prompts continued alike"]
    lines = [
        files,
        "",
        f"loads in {report.needs}",
        f"read back with {_versions(report)} on inputs of shape {shapes}",
        (
            f"largest difference {report.max_difference:.1e}, {report.relative_difference:.1e} of "
            f"the largest output; {report.same:.2%} of the predictions are the same"
        ),
        f"{name} {after}, in memory {before}{dense}, on the same {report.count} items",
        *continued,
        *contest_lines(report.contest),
        *report.notes,
        f"{report.out}: README.md says how to use it",
    ]
    return "\n".join(lines)


def contest_lines(contest: Contest | None) -> list[str]:
    """Return a table of files that were measured in turns."""
    if contest is None:
        return []
    first = contest.contenders[0]
    header = ["in onnxruntime", "bytes", contest.metric]
    header += [WORKS[one.work].format(size=one.size) for one in first.timings]
    is_top1 = contest.metric == "top1"
    rows = [
        (
            one.name,
            scaled(one.bytes, "B"),
            f"{one.quality:.2%}" if is_top1 else f"{one.quality:.4f}",
            *(f"{each.latency.median:.3g} ms, {each.speedup:.2f}x" for each in one.timings),
        )
        for one in contest.contenders
    ]
    where = ", ".join(f"{name} {value}" for name, value in contest.conditions.items())
    return ["", table(tuple(header), rows), f"medians of turns in one process; {where}", ""]


def _versions(report: ExportReport) -> str:
    return ", ".join(f"{name} {version}" for name, version in report.versions.items())


def kit_text(report: KitReport) -> str:
    """Return the files of a monitoring kit and how often it raises a false alarm."""
    files = table(
        ("file", "bytes"), [(file.name, scaled(file.bytes, "B")) for file in report.files]
    )
    rates = table(
        ("items a batch", "false alarms", "95% interval", "wanted"),
        [
            (
                str(one.size),
                f"{one.rate:.1%} of {one.resamples}",
                f"{one.low:.1%} to {one.high:.1%}",
                f"{report.alarm_rate:.1%}",
            )
            for one in report.false_alarms
        ],
    )
    items = (
        f"{report.baseline_items} baseline items of {report.threshold_items} that set thresholds; "
        f"{report.held_out_items} held out"
    )
    lines = [
        files,
        "",
        items,
        rates,
        "",
        f"exported program: differs by {report.max_difference:.1e} of its largest output",
    ]
    if report.agreement is not None:
        lines.append(f"pruned and dense model agree on {report.agreement:.2%} of the predictions")
    lines += [f"manifest.json SHA-256 {report.manifest_sha256}", *report.notes]
    return "\n".join([*lines, f"{report.out}: README.md says how to use it"])
