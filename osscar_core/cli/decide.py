"""Savings and report: files of other commands to records, one call, a record to text.

The decision hidden here: which file holds which record.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from osscar_core.cli.console import list_table, table
from osscar_core.errors import SpecError
from osscar_core.records import (
    BeforeAfter,
    EvaluationReport,
    MeasureReport,
    PruneReport,
    SpeedComparison,
    SweepReport,
    from_dict,
    parse_choice,
    to_dict,
)
from osscar_core.storage import read_sealed

if TYPE_CHECKING:
    from osscar_core.report import MeasuredRun
    from osscar_core.savings import Quantity, SavingsReport
    from osscar_core.verdict import Verdict

_Record = TypeVar("_Record")

_RESULT = "result.json"
_COMPARED = ("dense", "speedup", "interval", "decode_speedup", "decode_interval")

Answer = tuple[dict[str, Any], str]
"""The payload for ``--json``, and the text."""


def savings(args: argparse.Namespace) -> Answer:
    """Compute what a faster model saves."""
    from osscar_core.phrases import Words
    from osscar_core.savings import (
        DRAWS,
        Currency,
        SavingsInputs,
        compute_savings,
        default_prices,
    )

    words = Words("en")
    speedup, size = _speedup(args)
    prices_in = parse_choice("currency", args.prices_in, Currency)
    inputs = SavingsInputs(
        speedup=speedup,
        size=size,
        is_capacity_bound=args.capacity_bound,
        is_power_included=args.power_included or args.price_per_kwh is None,
        prices_in=prices_in,
        currency=parse_choice("currency", args.currency or args.prices_in, Currency),
        **{**default_prices(prices_in), **_given(args)},
    )
    report = compute_savings(
        inputs, draws=DRAWS if args.draws is None else args.draws, seed=args.seed or 0
    )
    return to_dict(report), _savings_text(report, words)


def _given(args: argparse.Namespace) -> dict[str, Quantity]:
    """Return the inputs that were given, each marked as measured or assumed."""
    from osscar_core.errors import unknown_name
    from osscar_core.savings import DEFAULTS, Quantity, Source

    measured = {name.replace("-", "_") for name in args.measured or ()}
    for name in measured:
        if name not in DEFAULTS:
            raise unknown_name("input", name, tuple(DEFAULTS))
        if getattr(args, name) is None:
            option = name.replace("_", "-")
            raise SpecError(f"{option} is marked as measured, and not given", f"Add --{option}")
    found = {}
    for name in DEFAULTS:
        values = getattr(args, name)
        if values is not None:
            low, typical, high = values
            source = Source.MEASURED if name in measured else Source.ASSUMED
            found[name] = Quantity(low, typical, high, source)
    return found


def _speedup(args: argparse.Namespace) -> tuple[Quantity, BeforeAfter | None]:
    from osscar_core.savings import Quantity, Source, measured_speedup

    given = [name for name in ("speedup", "run", "measure") if getattr(args, name) is not None]
    if len(given) != 1:
        raise SpecError(
            f"{len(given)} of --speedup, --run and --measure were given",
            "Give one: a run or a measured comparison, or an assumed --speedup",
        )
    if args.run is not None:
        run = read_run(Path(args.run))
        if run.speed is None:
            raise SpecError(f"the run {args.run} was not timed", "Give --measure FILE instead")
        return measured_speedup(run.speed), run.prune.bytes
    if args.measure is not None:
        return measured_speedup(_comparison(_values(Path(args.measure)))), None
    low, typical, high = args.speedup
    return Quantity(low, typical, high, Source.ASSUMED), None


def _savings_text(report: SavingsReport, words: Any) -> str:
    from osscar_core.phrases.sentences import (
        chance_text,
        formula_lines,
        input_rows,
        matters_text,
        method_text,
        remark_texts,
        result_rows,
    )

    heads = [words.say(f"report.head.{name}") for name in ("low", "typical", "high")]
    inputs = list_table(
        (words.say("report.head.input"), *heads, "", ""), input_rows(report.inputs, words)
    )
    results = table((words.say("report.head.result"), *heads), result_rows(report, words))
    chance = f"{words.say('savings.result.chance')}: {chance_text(report)}"
    formulas = [f"  {line}" for line in formula_lines(report.inputs, words)]
    return "\n".join(
        [
            inputs,
            "",
            results,
            "",
            *remark_texts(report, words),
            chance,
            matters_text(report, words),
            "",
            words.say("savings.formula.title"),
            *formulas,
            method_text(report, words),
        ]
    )


def report(args: argparse.Namespace) -> Answer:
    """Write the report; the payload holds the verdict and the file's digest."""
    from osscar_core.checks.records import ABReport, ShiftReport, StressReport
    from osscar_core.phrases import Words
    from osscar_core.report import ReportContent, write_report
    from osscar_core.savings import SavingsReport
    from osscar_core.verdict import Protection, gather, judge

    Words(args.language)  # an unknown one is refused before anything is read
    run = _measured_run(args)
    ab = _read(args.ab, ABReport)
    shift = _read(args.shift, ShiftReport)
    saved = _read(args.savings, SavingsReport)
    stress = _read(args.stress, StressReport)
    protected = None
    if args.protected is not None:
        protected = parse_choice("state of protection", args.protected, Protection)
    verdict = judge(
        gather(
            speed=run.speed,
            size=run.prune.bytes,
            ab=ab,
            protected=protected,
            shift=shift,
            savings=saved,
        )
    )
    content = ReportContent(
        run=run,
        verdict=verdict,
        others=() if args.sweep is None else _swept(Path(args.sweep)),
        ab=ab,
        shift=shift,
        stress=stress,
        savings=saved,
        created=datetime.now(UTC).date().isoformat(),
    )
    out = write_report(content, args.language, Path(args.out))
    data = out.read_bytes()
    payload = {
        "out": str(out),
        "language": args.language,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "verdict": to_dict(verdict),
    }
    return payload, _verdict_text(verdict, saved, Words("en")) + f"\n{out}"


def _verdict_text(verdict: Verdict, saved: SavingsReport | None, words: Any) -> str:
    from osscar_core.phrases.sentences import SYMBOLS, finding_text
    from osscar_core.savings import Currency

    currency = Currency.YEN if saved is None else saved.currency
    choice = f"{SYMBOLS[verdict.choice]} {words.say(f'verdict.{verdict.choice}')}"
    rows = [
        (
            words.say(f"criterion.{finding.criterion}"),
            words.say(f"grade.{finding.grade}"),
            finding_text(finding, verdict, currency, words),
        )
        for finding in verdict.findings
    ]
    heads = [words.say(f"report.head.{name}") for name in ("criterion", "grade", "why")]
    return f"{words.say('report.verdict', choice=choice)}\n\n{list_table(heads, rows)}\n"


def _measured_run(args: argparse.Namespace) -> MeasuredRun:
    from osscar_core.report import MeasuredRun, record_id

    parts = ("prune", "dense", "pruned", "speed")
    if args.run is not None:
        doubled = [f"--{name}" for name in parts if getattr(args, name) is not None]
        if doubled:
            raise SpecError(
                f"{doubled[0]} was given beside --run", "The run holds it; leave it out"
            )
        run = read_run(Path(args.run))
        return run if args.id is None else dataclasses.replace(run, id=args.id)
    if args.prune is None:
        raise SpecError(
            "no run was given", "Add --run DIR, or --prune FILE as prune --json wrote it"
        )
    prune = from_dict(PruneReport, _values(Path(args.prune)))
    speed = None if args.speed is None else _comparison(_values(Path(args.speed)))
    return MeasuredRun(
        id=args.id or record_id(prune),
        prune=prune,
        dense=_read(args.dense, EvaluationReport),
        pruned=_read(args.pruned, EvaluationReport),
        speed=speed,
    )


def read_run(folder: Path) -> MeasuredRun:
    """Return the finished run that the app keeps in a folder, or in an exported bundle.

    Raises:
        SpecError: There is none, or it cannot be read.
    """
    from osscar_core.report import MeasuredRun

    values = _values(folder / _RESULT if folder.is_dir() else folder)
    lacking = [
        name
        for name in ("prune", "dense", "pruned", "dense_speed", "pruned_speed", "speedup")
        if name not in values
    ]
    if lacking:
        raise SpecError(
            f"{folder} holds no finished run: {', '.join(lacking)} missing",
            "Name the folder of a finished run, with its result.json",
        )
    speed = {
        "dense": values["dense_speed"],
        "pruned": values["pruned_speed"],
        "speedup": values["speedup"],
        "interval": values.get("speedup_interval"),
    }
    return MeasuredRun(
        id=folder.resolve().name if folder.is_dir() else folder.resolve().parent.name,
        prune=from_dict(PruneReport, values["prune"]),
        dense=from_dict(EvaluationReport, values["dense"]),
        pruned=from_dict(EvaluationReport, values["pruned"]),
        speed=from_dict(SpeedComparison, speed),
    )


def _comparison(values: dict[str, Any]) -> SpeedComparison:
    """Return the record behind ``measure --compare --json``, which has the pruned one flat."""
    if "dense" not in values:
        raise SpecError(
            "the measurement holds one model only", "Make it with measure PRUNED --compare DENSE"
        )
    if "pruned" in values:
        return from_dict(SpeedComparison, values)
    compared = {name: values[name] for name in _COMPARED if name in values}
    pruned = {name: value for name, value in values.items() if name not in _COMPARED}
    from_dict(MeasureReport, pruned)
    return from_dict(SpeedComparison, {**compared, "pruned": pruned})


def _swept(file: Path) -> tuple[MeasuredRun, ...]:
    from osscar_core.report import MeasuredRun

    values = {name: value for name, value in _values(file).items() if name != "pareto"}
    sweep = from_dict(SweepReport, values)
    return tuple(
        MeasuredRun(
            f"{point.method} {point.goal.describe() if point.goal else f'{point.sparsity:g}'} "
            f"seed {point.seed}",
            point.prune,
            sweep.dense.evaluation,
            point.evaluation,
            point.speed,
        )
        for point in sweep.points
    )


def _read(file: str | None, record: type[_Record]) -> _Record | None:
    """Return the record in a file; ``None`` without one."""
    if file is None:
        return None
    try:
        return from_dict(record, _values(Path(file)))
    except SpecError as error:
        raise SpecError(f"{file}: {error.problem}", error.remedy) from error


def _values(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_sealed(file))
    except OSError as error:
        raise SpecError(
            f"cannot read {file} ({error.strerror})", "Name a file that a command wrote with --json"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"{file} is not JSON", "Name a file that a command wrote with --json"
        ) from error
    if not isinstance(values, dict):
        raise SpecError(
            f"{file} holds a {type(values).__name__}",
            "It must hold one object, as a command writes with --json",
        )
    return values
