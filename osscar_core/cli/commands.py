"""What each command does: arguments to a record, one call, a record to text.

The decision hidden here: which call of the library stands behind a command. Each
command imports what it needs when it runs, so that the light ones stay light.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osscar_core.cli.checks import run_check
from osscar_core.cli.console import list_table, scaled
from osscar_core.cli.data import run_data
from osscar_core.cli.inputs import check_data as _check_data
from osscar_core.cli.inputs import load as _load
from osscar_core.cli.inputs import read_record
from osscar_core.cli.outcome import Outcome
from osscar_core.cli.reports import (
    comparison_text,
    estimate_text,
    evaluation_text,
    export_text,
    kit_text,
    measure_text,
    pipeline_bench_text,
    prune_text,
    solver_bench_text,
    survey_text,
    sweep_text,
)
from osscar_core.cli.store import diagnosis_outcome, run_store
from osscar_core.errors import OsscarError, SpecError
from osscar_core.goals import TIMED, Budget, Goal
from osscar_core.guards import Guard
from osscar_core.progress import Progress
from osscar_core.records import (
    Certify,
    Intercept,
    Method,
    Plan,
    PruneSpec,
    Structure,
    Target,
    check_range,
    from_json,
    parse_choice,
    to_dict,
)

if TYPE_CHECKING:
    from osscar_core.cluster import Machines
    from osscar_core.models import LoadedModel
    from osscar_core.survey import Survey

_MOST_THREADS = 4096

_FIXED_BY_PLAN = (
    "sparsity",
    "goal",
    "budget",
    "caps",
    "plain_loadable",
    "refine",
    "structures",
    "round_to",
    "swaps",
)


def run_command(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Carry out parsed arguments.

    Raises:
        OsscarError: With the reason in words.
    """
    match args.command:
        case "models":
            return _models()
        case "plan":
            return _plan(args)
        case "prune":
            return _prune(args, progress)
        case "survey":
            return _survey(args, progress)
        case "estimate":
            return _estimate(args, progress)
        case "deploy":
            return _deploy(args, progress)
        case "evaluate":
            return _evaluate(args, progress)
        case "measure":
            return _measure(args, progress)
        case "sweep":
            return _sweep(args, progress)
        case "savings" | "report":
            return _decide(args)
        case "export":
            return _export(args, progress)
        case "monitor":
            return _monitor_export(args, progress)
        case "doctor":
            return _doctor(args.workspace, args.port)
        case "bench" if args.bench == "solver":
            return _bench_solver(args, progress)
        case "bench" if args.bench == "pipeline":
            return _bench_pipeline(args, progress)
        case "bench":
            return _bench_capture(args, progress)
        case "check":
            return run_check(args, progress)
        case "data":
            return run_data(args)
        case "store":
            return run_store(args)
        case _:
            raise SpecError(f"no command is called '{args.command}'", "See --help")


def _models() -> Outcome:
    from osscar_core.catalogue import OTHER_SOURCES, catalogue

    entries = catalogue()
    rows = [
        (
            entry.name,
            entry.family,
            entry.task,
            scaled(entry.parameters),
            scaled(entry.memory_bytes, "B"),
            entry.state,
            entry.hint,
        )
        for entry in entries
    ]
    header = ("model", "family", "task", "parameters", "memory", "weights", "")
    listing = list_table(header, rows)
    models = [{**to_dict(entry), "memory_bytes": entry.memory_bytes} for entry in entries]
    payload = {"models": models}
    memory = "Memory: about what pruning takes on a CPU."
    return Outcome(payload, f"{listing}\n\n{memory}\nAlso: {OTHER_SOURCES}.")


def _plan(args: argparse.Namespace) -> Outcome:
    from osscar_core.cli.plans import plan_text
    from osscar_core.planning import plan_resources

    names = ("samples", "seqlen", "sparsity", "gpu", "gpu_memory", "host_memory", "gpus")
    options = (*names, "device", "dtype", "weights", "image_size", "trust_remote_code")
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    found = plan_resources(args.model, batch=args.batch_size, **given)
    payload = to_dict(found)
    return Outcome({**payload.pop("forecast"), **payload}, plan_text(found))


def _prune(args: argparse.Namespace, progress: Progress) -> Outcome:
    repeat = None if args.plan is None else _read_plan(Path(args.plan))
    spec = _prune_spec(args, repeat)
    _check_data(spec.calibration)
    if spec.data is not None:
        _check_data(spec.data)
    if args.survey is not None and (repeat is not None or not (spec.goal or spec.is_weighted)):
        raise SpecError(
            "--survey is of no use to a plan or an equal share",
            "Leave it out, or add --goal or --budget loss-weighted",
        )
    survey = _survey_of(args)
    from osscar_core.pruner import prune

    report = prune(
        spec,
        out=Path(args.out),
        repeat=repeat,
        checkpoint=None if args.checkpoint is None else Path(args.checkpoint),
        survey=survey,
        progress=progress,
    )
    return Outcome(to_dict(report), prune_text(report))


def _survey(args: argparse.Namespace, progress: Progress) -> Outcome:
    spec = PruneSpec(**_with_calibration(_settings(args)))
    _check_data(spec.calibration)
    from osscar_core.models import check_output
    from osscar_core.pruner import dense_model
    from osscar_core.survey import make_survey

    out = Path(args.out)
    check_output(out)
    record = make_survey(dense_model(spec), spec, progress=progress).save(out)
    size = sum(file.stat().st_size for file in out.iterdir())
    payload = {"out": str(out), "bytes": size, **to_dict(record)}
    return Outcome(payload, survey_text(record, out, size))


def _estimate(args: argparse.Namespace, progress: Progress) -> Outcome:
    goals = [Goal.parse(text) for text in args.goal]
    from osscar_core.explorer import Explorer
    from osscar_core.survey import load_survey

    survey = load_survey(Path(args.survey))
    spec = dataclasses.replace(
        survey.record.spec, **{"budget": Budget.LOSS_WEIGHTED, **_limits(args)}
    )
    table = None
    if args.latency or any(goal.kind in TIMED for goal in goals):
        from osscar_core.pruner import surveyed_model
        from osscar_core.pursuit import measured_latencies

        table = measured_latencies(surveyed_model(survey, spec), spec, progress)
    explorer = Explorer.of(survey.brief(), spec, table=table, is_deployed=args.deployed)
    answers = [explorer.what_if(goal) for goal in goals]
    text = estimate_text(answers, survey.record)
    return Outcome({"estimates": [to_dict(answer) for answer in answers]}, text)


def _deploy(args: argparse.Namespace, progress: Progress) -> Outcome:
    goal = Goal.parse(args.goal)
    if args.data is not None:
        _check_data(args.data)
    from osscar_core.survey import load_survey

    survey = load_survey(Path(args.survey))
    spec = dataclasses.replace(
        survey.record.spec, goal=goal, data=args.data or survey.record.spec.data, **_limits(args)
    )
    from osscar_core.pruner import deploy

    report = deploy(survey, spec, out=Path(args.out), progress=progress)
    return Outcome(to_dict(report), prune_text(report))


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a survey's request that its users may replace."""
    settings = _settings(args)
    names = ("budget", "caps", "plain_loadable", "structures", "round_to", "device")
    return {name: settings[name] for name in names if name in settings}


def _evaluate(args: argparse.Namespace, progress: Progress) -> Outcome:
    _check_counts(args, limit=1, seqlen=2, stride=1, batch_size=1)
    data = args.data or _own_data(args.model)
    _check_data(data)
    from osscar_core.evaluation import evaluate

    report = evaluate(
        _load(args, args.model),
        data,
        limit=args.limit,
        seqlen=args.seqlen,
        stride=args.stride,
        batch_size=args.batch_size,
        progress=progress,
    )
    return Outcome(to_dict(report), evaluation_text(report))


def _measure(args: argparse.Namespace, progress: Progress) -> Outcome:
    _check_counts(args, repeats=1, seqlen=2, batch_size=1)
    if args.threads is not None:
        check_range("threads", args.threads, 1, _MOST_THREADS)
    from osscar_core.evaluation import compare, measure
    from osscar_core.models import load_model

    settings = {
        name: getattr(args, name)
        for name in ("batch_size", "seqlen", "repeats")
        if getattr(args, name) is not None
    }
    with _threads(args.threads):
        if args.compare is None:
            report = measure(_load(args, args.model), **settings, progress=progress)
            return Outcome(to_dict(report), measure_text(report))
        pruned = load_model(args.model, device=args.device or "auto", dtype=args.dtype or "auto")
        result = compare(_load(args, args.compare), pruned, **settings, progress=progress)
    payload = to_dict(result)
    return Outcome({**payload.pop("pruned"), **payload}, comparison_text(result))


def _sweep(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.sweep import SweepSpec, pareto, sweep

    # The data is that of every point's evaluation, and not a setting of the runs.
    settings = {name: value for name, value in _settings(args).items() if name != "data"}
    spec = SweepSpec(
        base=PruneSpec(**{"sparsity": 0.0, **_with_calibration(settings)}),
        sparsities=args.sparsities,
        goals=tuple(Goal.parse(text) for text in args.goals),
        methods=tuple(parse_choice("method", name, Method) for name in args.methods),
        data=args.data or _own_data(args.model),
        seeds=args.seeds,
        limit=args.limit,
        latency=not args.no_latency,
    )
    _check_data(spec.base.calibration)
    _check_data(spec.data)
    report = sweep(
        spec,
        out=Path(args.out),
        survey=_survey_of(args),
        machines=_machines(args),
        progress=progress,
    )
    payload = {**to_dict(report), "pareto": list(pareto(report.points))}
    return Outcome(payload, sweep_text(report))


def _machines(args: argparse.Namespace) -> Machines | None:
    if args.ray is None:
        if args.artifacts is not None:
            raise SpecError("--artifacts is for many machines", "Give --ray too, or leave it out")
        return None
    from osscar_core.cluster import Machines

    return Machines(args.ray, args.artifacts or str((Path(args.out) / "artifacts").resolve()))


def _decide(args: argparse.Namespace) -> Outcome:
    from osscar_core.cli import decide

    payload, text = (decide.savings if args.command == "savings" else decide.report)(args)
    return Outcome(payload, text)


def _export(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.export.records import ExportFormat

    kind = parse_choice("format", args.format, ExportFormat)
    data = args.data or _own_data(args.model)
    _check_data(data)
    from osscar_core.export import export_model
    from osscar_core.models import load_model

    loaded = load_model(args.model, weights=args.weights, device="cpu", dtype="auto")
    report = export_model(
        loaded,
        Path(args.out),
        kind,
        data=data,
        limit=args.limit,
        seqlen=args.seqlen,
        dense=_dense_of(args, loaded),
        int8=args.int8,
        progress=progress,
    )
    return Outcome({**to_dict(report), "bytes": report.bytes}, export_text(report))


def _dense_of(args: argparse.Namespace, loaded: LoadedModel) -> LoadedModel | None:
    """Return the dense model as named, or as the plan names it if it is still there."""
    from osscar_core.models import load_model

    if args.dense is not None:
        return load_model(args.dense, weights=args.dense_weights, device="cpu", dtype="auto")
    if loaded.plan is None:
        return None
    spec = loaded.plan.spec
    try:
        return load_model(
            spec.model,
            weights=spec.weights,
            device="cpu",
            dtype="auto",
            image_size=spec.image_size,
            trust_remote_code=spec.trust_remote_code,
        )
    except OsscarError:
        return None  # it went since; the report says that nothing was compared with it


def _monitor_export(args: argparse.Namespace, progress: Progress) -> Outcome:
    reference = args.reference or _own_data(args.model)
    _check_data(reference)
    from osscar_core.models import load_model
    from osscar_core.monitoring import export_kit

    names = ("alarm_rate", "limit", "seqlen", "language", "seed")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    place: dict[str, Any] = {"device": args.device or "auto", "dtype": "float32"}
    pruned = load_model(args.model, **place)
    dense = args.dense and load_model(args.dense, weights=args.dense_weights, **place)
    report = export_kit(pruned, reference, Path(args.out), dense=dense, **given, progress=progress)
    return Outcome({**to_dict(report), "bytes": report.bytes}, kit_text(report))


def _doctor(workspace: str | None, port: int | None) -> Outcome:
    from osscar_core import storage
    from osscar_core.diagnosis import Check, Diagnosis, Status
    from osscar_core.doctor import diagnose

    home = storage.workspace() if workspace is None else Path(workspace)
    checks = list(diagnose(home).checks)
    try:
        from osscar_core.studio import checkup
    except ImportError as error:
        # What is missing is among the checks above.
        checks.append(Check("store", Status.WARN, f"not looked at: {error}", "Install the rest"))
    else:
        checks += checkup.check_server(port)
        checks += checkup.check_store(home)
    return diagnosis_outcome(Diagnosis(tuple(checks)))


def _bench_solver(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.bench import Contender, SyntheticProblem, bench_solver, load_problem
    from osscar_core.evaluation.speed import device_name
    from osscar_core.models import resolve_device

    device = resolve_device(args.device or "auto")
    names = tuple(Contender) if args.methods is None else args.methods
    settings: dict[str, Any] = {
        "remove": 0.5 if args.remove is None else args.remove,
        "device": device,
        "device_name": device_name(device),
        "contenders": tuple(parse_choice("method", name, Contender) for name in names),
        "repeats": args.repeats or 1,
        "with_bound": not args.no_bound,
        "progress": progress,
    }
    if args.problem is None:
        features = 1536 if args.features is None else args.features
        outputs = max(1, features // 4) if args.outputs is None else args.outputs
        recipe = SyntheticProblem(features, outputs, args.group_size or 1, seed=args.seed or 0)
        result = bench_solver(recipe, **settings)
        return Outcome(to_dict(result), solver_bench_text(result))
    results = []
    for file in args.problem:
        name, problem = load_problem(Path(file), device)
        results.append(bench_solver(problem, name=name, **settings))
    text = "\n\n".join(solver_bench_text(result) for result in results)
    return Outcome({"problems": [to_dict(result) for result in results]}, text)


def _bench_pipeline(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.bench import bench_pipeline
    from osscar_core.models import resolve_device

    result = bench_pipeline(
        args.shape,
        device=resolve_device(args.device or "auto"),
        blocks=args.blocks,
        samples=args.samples or 128,
        seqlen=args.seqlen or 2048,
        sparsity=0.5 if args.sparsity is None else args.sparsity,
        gpu_memory=args.gpu_memory,
        host_memory=args.host_memory,
        gpus=args.gpus or 1,
        progress=progress,
    )
    return Outcome(to_dict(result), pipeline_bench_text(result))


def _bench_capture(args: argparse.Namespace, progress: Progress) -> Outcome:
    from osscar_core.bench import capture

    spec = PruneSpec(**{"sparsity": 0.5, **_with_calibration(_settings(args))})
    _check_data(spec.calibration)
    files = capture(spec, Path(args.out), progress=progress)
    names = [str(file) for file in files]
    return Outcome({"files": names}, "\n".join(names))


def _prune_spec(args: argparse.Namespace, repeat: Plan | None) -> PruneSpec:
    """Return the request: the plan's settings where there is one, replaced by those given."""
    settings = _settings(args)
    if repeat is not None:
        for name in _FIXED_BY_PLAN:
            if name in settings:
                option = name.replace("_", "-")
                raise SpecError(f"--{option} does not go with --plan", "The plan fixes it")
        return dataclasses.replace(repeat.spec, **settings)
    if "sparsity" not in settings and "goal" not in settings:
        raise SpecError(
            "neither a goal nor a sparsity was given",
            "Add --goal, such as --goal speedup=2, or --sparsity, such as --sparsity 0.5",
        )
    return PruneSpec(**_with_calibration(settings))


def _with_calibration(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the model's own data, where it has some and none was named."""
    from osscar_core.catalogue import own_data

    return {"calibration": own_data(settings["model"]) or "", **settings}


def _own_data(model: str) -> str:
    """Return the data that comes with a model, or with the one that it was made from.

    Raises:
        SpecError: It brings none.
    """
    from osscar_core.catalogue import own_data

    data = own_data(model)
    if data is None and _is_pruned(Path(model)):
        data = own_data(_read_plan(Path(model)).source.model)
    if data is None:
        raise SpecError(
            f"no data was given to evaluate {model} on",
            "Add --data text:PATH, images:PATH, own:PATH, hf:NAME or demo:NAME",
        )
    return data


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a `PruneSpec` that were given as options."""
    names = [field.name for field in dataclasses.fields(PruneSpec)]
    values = {name: getattr(args, name, None) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    if "structures" in given:
        given["structures"] = tuple(
            parse_choice("structure", name, Structure) for name in given["structures"]
        )
    for name, enum in (
        ("method", Method),
        ("target", Target),
        ("intercept", Intercept),
        ("certify", Certify),
        ("budget", Budget),
    ):
        if name in given:
            given[name] = parse_choice(name, given[name], enum)
    if isinstance(given.get("goal"), str):
        given["goal"] = Goal.parse(given["goal"])
    else:
        given.pop("goal", None)
    if "guards" in given:
        given["guards"] = tuple(Guard.parse(text) for text in given["guards"])
    protected = tuple((name, 0.0) for name in getattr(args, "protect", None) or ())
    limits = (*(getattr(args, "cap", None) or ()), *protected)
    return {**given, "caps": limits} if limits else given


def _survey_of(args: argparse.Namespace) -> Survey | None:
    if args.survey is None:
        return None
    from osscar_core.survey import load_survey

    return load_survey(Path(args.survey))


def _is_pruned(path: Path) -> bool:
    if not path.is_dir():
        return False
    from osscar_core.models.store import PLAN_FILE

    return (path / PLAN_FILE).is_file()


def _read_plan(path: Path) -> Plan:
    if path.is_dir():
        from osscar_core.models.store import PLAN_FILE

        return _read_plan(path / PLAN_FILE)
    remedy = "Name the plan's file or the directory of a pruned model"
    return from_json(Plan, read_record(path, "the plan", remedy))


def _check_counts(args: argparse.Namespace, **lowest: int) -> None:
    for name, low in lowest.items():
        value = getattr(args, name)
        if value is not None:
            check_range(name, value, low)


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
