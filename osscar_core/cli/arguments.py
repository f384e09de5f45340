"""The grammar of the command line.

The decision hidden here: names and defaults of the options. Values that a record
checks (ranges, names of methods) are passed on as they are, so that the command line,
the app and the Python API refuse them in the same words. An option that was not given
is ``None``.
"""

from __future__ import annotations

import argparse
from typing import Any

from osscar_core import __version__
from osscar_core.cli.checks import add_checks
from osscar_core.cli.data import add_data
from osscar_core.cli.grammar import DATA_HELP as _DATA_HELP
from osscar_core.cli.grammar import Parser
from osscar_core.cli.grammar import names as _names
from osscar_core.cli.grammar import new_command as _command
from osscar_core.cli.grammar import number as _number
from osscar_core.cli.grammar import numbers as _numbers
from osscar_core.cli.grammar import size as _size
from osscar_core.cli.grammar import whole as _whole
from osscar_core.cli.store import add_store

PROGRAM = "python -m osscar_core"

_OWN_DATA = "(demo models: their own)"


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog=PROGRAM,
        description="One-shot structured pruning: smaller dense models, no training.",
    )
    parser.add_argument("--version", action="version", version=f"osscar-studio {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_models(commands)
    _add_plan(commands)
    _add_prune(commands)
    _add_survey(commands)
    _add_estimate(commands)
    _add_deploy(commands)
    _add_evaluate(commands)
    _add_measure(commands)
    _add_sweep(commands)
    _add_savings(commands)
    _add_report(commands)
    _add_export(commands)
    _add_monitor(commands)
    _add_doctor(commands)
    _add_bench(commands)
    add_checks(commands)
    add_data(commands)
    add_store(commands)
    return parser


def _add_models(commands: Any) -> None:
    _command(commands, "models", "List the models known by name.")


def _add_plan(commands: Any) -> None:
    parser = _command(commands, "plan", "Say what pruning a model takes, before it is there.")
    parser.add_argument("model", metavar="MODEL", help="as for prune")
    parser.add_argument("--sparsity", type=_number, help="share of groups removed (default: 0.5)")
    parser.add_argument("--samples", type=_whole, help="calibration items (default: as for prune)")
    parser.add_argument(
        "--gpu", metavar="NAME", help="such as h200 or a100 (default: this machine's)"
    )
    _add_model_options(parser)
    _add_batch_options(parser)
    _add_memory_options(parser)


def _add_prune(commands: Any) -> None:
    parser = _command(commands, "prune", "Prune a model and write the smaller one.")
    parser.add_argument("model", metavar="MODEL", help="name, hub id, directory or .gguf file")
    parser.add_argument("--sparsity", type=_number, help="share of groups removed, in [0, 1)")
    _add_goal_options(parser)
    parser.add_argument(
        "--survey", metavar="DIR", help="a survey of this model, instead of making one"
    )
    parser.add_argument("--method", help="how groups are chosen (default: osscar)")
    parser.add_argument(
        "--seed", type=_whole, help="0 (default): the first calibration items; else a sample"
    )
    parser.add_argument(
        "--plan", metavar="FILE", help="repeat a stored plan: the same groups, re-fitted again"
    )
    _add_prune_options(parser)
    _add_model_options(parser)
    _add_batch_options(parser)
    _add_memory_options(parser)
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep finished blocks there; the same command goes on from them",
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="directory to create")


def _add_survey(commands: Any) -> None:
    parser = _command(
        commands, "survey", "Calibrate once, so that any goal can be answered or deployed later."
    )
    parser.add_argument("model", metavar="MODEL", help="as for prune")
    parser.add_argument("--seed", type=_whole, help="as for prune")
    _add_prune_options(parser)
    _add_model_options(parser)
    _add_batch_options(parser)
    _add_memory_options(parser)
    parser.add_argument("--out", metavar="DIR", required=True, help="directory to create")


def _add_estimate(commands: Any) -> None:
    parser = _command(commands, "estimate", "Say what goals would lead to, from a survey.")
    parser.add_argument("survey", metavar="SURVEY", help="directory written by survey")
    parser.add_argument(
        "--goal",
        action="append",
        required=True,
        metavar="KIND=VALUE",
        help="as for prune; may be given several times",
    )
    _add_survey_options(parser)
    parser.add_argument(
        "--latency", action="store_true", help="measure block latencies, unless that was done"
    )
    parser.add_argument(
        "--deployed", action="store_true", help="quality of deploy instead of prune"
    )


def _add_deploy(commands: Any) -> None:
    parser = _command(
        commands, "deploy", "Make a small model from a survey, without calibrating again."
    )
    parser.add_argument("survey", metavar="SURVEY", help="directory written by survey")
    parser.add_argument("--goal", required=True, metavar="KIND=VALUE", help="as for prune")
    parser.add_argument(
        "--data", metavar="SPEC", help=f"for quality_loss; {_DATA_HELP} {_OWN_DATA}"
    )
    _add_survey_options(parser)
    parser.add_argument("--out", metavar="DIR", required=True, help="directory to create")


def _add_survey_options(parser: Parser) -> None:
    group = parser.add_argument_group("limits")
    _add_budget_options(group)
    group.add_argument(
        "--structures", type=_names, metavar="LIST", help="such as heads,neurons (default: all)"
    )
    group.add_argument("--round-to", type=_whole, help="keep widths in multiples of this")
    group.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")


def _add_evaluate(commands: Any) -> None:
    parser = _command(commands, "evaluate", "Measure a model's quality.")
    parser.add_argument("model", metavar="MODEL_OR_DIR", help="as for prune, or its result")
    parser.add_argument("--data", metavar="SPEC", help=f"{_DATA_HELP} {_OWN_DATA}")
    parser.add_argument("--limit", type=_whole, help="use only the first so many items")
    parser.add_argument("--stride", type=_whole, help="tokens between two windows' starts")
    _add_model_options(parser)
    _add_batch_options(parser)


def _add_measure(commands: Any) -> None:
    parser = _command(commands, "measure", "Measure a model's speed on this machine.")
    parser.add_argument("model", metavar="MODEL_OR_DIR", help="as for prune, or its result")
    parser.add_argument("--repeats", type=_whole, help="timed passes")
    parser.add_argument("--threads", type=_whole, help="CPU threads (default: torch's choice)")
    parser.add_argument(
        "--compare",
        metavar="DENSE",
        help="time this model too, in turns; --weights and --image-size are then its",
    )
    _add_model_options(parser)
    _add_batch_options(parser)


def _add_sweep(commands: Any) -> None:
    parser = _command(
        commands, "sweep", "Prune, evaluate and time a grid of settings; resumes where it stopped."
    )
    parser.add_argument("model", metavar="MODEL", help="as for prune")
    parser.add_argument(
        "--sparsities", type=_numbers, default=(), metavar="LIST", help="such as 0.3,0.5,0.7"
    )
    parser.add_argument(
        "--goals",
        type=_names,
        default=(),
        metavar="LIST",
        help="as for prune, such as speedup=1.5,quality_loss=0.01",
    )
    parser.add_argument(
        "--survey", metavar="DIR", help="a survey of this model, instead of making one"
    )
    parser.add_argument(
        "--methods",
        type=_names,
        default=("osscar",),
        metavar="LIST",
        help="such as osscar,paper,magnitude",
    )
    parser.add_argument("--seeds", type=_wholes, default=(0,), metavar="LIST", help="such as 0,1,2")
    parser.add_argument("--data", metavar="SPEC", help=f"to evaluate on; {_DATA_HELP} {_OWN_DATA}")
    parser.add_argument("--limit", type=_whole, help="evaluate on the first so many items only")
    parser.add_argument("--no-latency", action="store_true", help="skip the timing")
    _add_budget_options(parser.add_argument_group("budget"))
    _add_prune_options(parser)
    _add_model_options(parser)
    _add_batch_options(parser)
    _add_memory_options(parser)
    parser.add_argument(
        "--out", metavar="DIR", required=True, help="directory that collects the finished points"
    )
    many = parser.add_argument_group("many machines")
    many.add_argument(
        "--ray", metavar="ADDRESS", help="run the points on this Ray cluster; auto for the one here"
    )
    many.add_argument(
        "--artifacts",
        metavar="URL",
        help="folder or URL that all machines reach (default: in --out, on a shared disk)",
    )


def _add_savings(commands: Any) -> None:
    parser = _command(commands, "savings", "Say what a faster model saves in a year.")
    speed = parser.add_argument_group("speed (one of these)")
    speed.add_argument("--run", metavar="DIR", help="folder of a finished run of the app")
    speed.add_argument("--measure", metavar="FILE", help="what measure --compare --json wrote")
    speed.add_argument("--speedup", type=_range, metavar="N", help="an assumption, not measured")
    group = parser.add_argument_group("inputs", "a number, or LOW,TYPICAL,HIGH")
    for name, what in (
        ("requests-per-day", "requests"),
        ("machines", "machines that run now"),
        ("utilisation", "share of the time that they are busy, in (0, 1]"),
        ("model-share", "share of the busy time that the model takes"),
        ("busy-watts", "average power of a busy machine"),
        ("idle-watts", "and of a waiting one"),
        ("price-per-kwh", "of electricity that is paid beside the machines"),
        ("price-per-machine-hour", "of a machine that runs"),
        ("grid-kg-per-kwh", "carbon dioxide of the electricity"),
        ("effort-days", "days of work, once"),
        ("cost-per-day", "of such a day"),
        ("yen-per-dollar", "rate of exchange"),
        ("horizon-years", "how long the model is going to be used"),
    ):
        group.add_argument(f"--{name}", type=_range, metavar="N", help=what)
    group.add_argument(
        "--capacity-bound", action="store_true", help="the load decides the number of machines"
    )
    group.add_argument(
        "--power-included",
        action="store_true",
        help="the price of a machine includes electricity (so without --price-per-kwh)",
    )
    group.add_argument(
        "--measured", type=_names, metavar="LIST", help="inputs that were measured, not assumed"
    )
    group.add_argument("--prices-in", default="yen", help="yen (default) or dollar")
    group.add_argument("--currency", help="of the result (default: that of the prices)")
    parser.add_argument("--draws", type=_whole, help="random draws behind the ranges")
    parser.add_argument("--seed", type=_whole, help="of the draws (default: 0)")


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", "Write two pages and an appendix as one HTML file.")
    run = parser.add_argument_group("the run")
    run.add_argument("--run", metavar="DIR", help="folder of a finished run of the app")
    run.add_argument("--prune", metavar="FILE", help="instead: what prune --json wrote")
    run.add_argument("--dense", metavar="FILE", help="evaluate --json of the dense model")
    run.add_argument("--pruned", metavar="FILE", help="evaluate --json of the pruned model")
    run.add_argument("--speed", metavar="FILE", help="measure --compare --json")
    run.add_argument("--id", help="what to call the run")
    checks = parser.add_argument_group("evidence, each what a command wrote with --json")
    checks.add_argument("--ab", metavar="FILE", help="check ab")
    checks.add_argument("--shift", metavar="FILE", help="check shift")
    checks.add_argument("--stress", metavar="FILE", help="check stress")
    checks.add_argument("--savings", metavar="FILE", help="savings")
    checks.add_argument("--sweep", metavar="FILE", help="sweep, for the chart of other models")
    checks.add_argument(
        "--protected", help="kept, not-kept, not-proven or none-demanded (default: not known)"
    )
    parser.add_argument("--language", default="en", help="en (default) or ja")
    parser.add_argument("--out", metavar="FILE", required=True, help="HTML file to write")


def _add_export(commands: Any) -> None:
    parser = _command(
        commands, "export", "Write a model for other programs, read it back and compare it."
    )
    parser.add_argument("model", metavar="MODEL", help="directory written by prune, or any model")
    parser.add_argument("--format", metavar="NAME", required=True, help="hf, onnx, torch or gguf")
    parser.add_argument("--out", metavar="DIR", required=True, help="directory to create")
    parser.add_argument("--data", metavar="SPEC", help=f"to compare on; {_DATA_HELP} {_OWN_DATA}")
    parser.add_argument(
        "--limit", type=_whole, help="items to compare on (default: 500 images, 20 windows)"
    )
    parser.add_argument("--seqlen", type=_whole, help="tokens a window")
    parser.add_argument("--weights", metavar="FILE", help="weights, for networks built from code")
    parser.add_argument(
        "--int8", action="store_true", help="weights of eight bits, too (onnx), or only (gguf)"
    )
    parser.add_argument(
        "--dense", metavar="MODEL", help="the model before pruning (default: as the plan names it)"
    )
    parser.add_argument(
        "--dense-weights", metavar="FILE", help="its weights, for networks built from code"
    )


def _add_monitor(commands: Any) -> None:
    summary = "Watch a pruned model in use, without this program."
    parser: Parser = commands.add_parser("monitor", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="monitor", required=True, metavar="WHAT")
    export = _command(kinds, "export", "Write a folder that raises an alarm when data drifts.")
    export.add_argument("model", metavar="PRUNED", help="directory written by prune")
    export.add_argument(
        "--reference", metavar="SPEC", help=f"data as it should be; {_DATA_HELP} {_OWN_DATA}"
    )
    export.add_argument("--out", metavar="DIR", required=True, help="directory to create")
    export.add_argument(
        "--dense", metavar="MODEL", help="the model before pruning, to compare with and go back to"
    )
    export.add_argument(
        "--dense-weights", metavar="FILE", help="its weights, for networks built from code"
    )
    export.add_argument(
        "--alarm-rate", type=_number, help="wanted rate of false alarms (default: 0.01)"
    )
    export.add_argument("--limit", type=_whole, help="reference items at most (default: 2000)")
    export.add_argument("--seqlen", type=_whole, help="tokens a window (default: 128)")
    export.add_argument("--language", help="of its README: en, ja or both (default)")
    export.add_argument("--device", help="auto (default), cpu, cuda or cuda:N, for the reference")
    export.add_argument("--seed", type=_whole, help="of items and resamples (default: 0)")


def _add_doctor(commands: Any) -> None:
    parser = _command(commands, "doctor", "Check this installation, its store and its server.")
    parser.add_argument(
        "--workspace", metavar="DIR", help="directory for runs to check (default: workspace)"
    )
    parser.add_argument("--port", type=_whole, help="the app's port (default: 8501)")


def _add_bench(commands: Any) -> None:
    summary = "Compare the library with what it replaces, in one run."
    parser: Parser = commands.add_parser("bench", help=summary, description=summary)
    kinds = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    solver = _command(kinds, "solver", "Time the search against the published recipe.")
    solver.add_argument("--features", type=_whole, help="input features p (default: 1536)")
    solver.add_argument("--outputs", type=_whole, help="outputs m (default: a quarter of p)")
    solver.add_argument("--group-size", type=_whole, help="features per group (default: 1)")
    solver.add_argument("--seed", type=_whole, help="seed of the generated problem (default: 0)")
    solver.add_argument(
        "--problem", metavar="FILE", nargs="+", help="stored problems instead of a generated one"
    )
    solver.add_argument("--remove", type=_number, help="share of groups removed (default: 0.5)")
    solver.add_argument(
        "--methods",
        type=_names,
        metavar="LIST",
        help="of ours, ours+swaps, published, recipe, recipe+swaps, naive (default: all)",
    )
    solver.add_argument("--repeats", type=_whole, help="runs of each; the best counts (default: 1)")
    solver.add_argument("--no-bound", action="store_true", help="skip the bound of the optimum")
    solver.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    pipeline = _command(kinds, "pipeline", "Time a whole run on random weights of a real shape.")
    pipeline.add_argument("shape", metavar="SHAPE", help="such as facebook/opt-6.7b, or llama-8b")
    pipeline.add_argument("--blocks", type=_whole, help="blocks to run (default: all)")
    pipeline.add_argument("--samples", type=_whole, help="windows (default: 128)")
    pipeline.add_argument("--seqlen", type=_whole, help="tokens a window (default: 2048)")
    pipeline.add_argument("--sparsity", type=_number, help="share removed (default: 0.5)")
    _add_memory_options(pipeline)
    pipeline.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    capture = _command(kinds, "capture", "Store the problems of a model's units, for bench solver.")
    capture.add_argument("model", metavar="MODEL", help="as for prune")
    capture.add_argument("--sparsity", type=_number, help="share removed on the way (default: 0.5)")
    _add_prune_options(capture)
    _add_model_options(capture)
    _add_batch_options(capture)
    capture.add_argument("--out", metavar="DIR", required=True, help="directory for the files")


def _add_prune_options(parser: Parser) -> None:
    group = parser.add_argument_group("pruning")
    group.add_argument("--calibration", metavar="SPEC", help=f"{_DATA_HELP} {_OWN_DATA}")
    group.add_argument(
        "--samples", type=_whole, help="calibration items (default: 64 windows or 512 images)"
    )
    group.add_argument(
        "--structures", type=_names, metavar="LIST", help="such as heads,neurons (default: all)"
    )
    group.add_argument("--target", help="layer, dense or residual (default: the method's)")
    group.add_argument("--intercept", help="auto (default), on or off: may the bias change")
    group.add_argument("--damping", type=_number, help="relative ridge (default: 0.01)")
    group.add_argument("--swaps", type=_whole, help="most swap rounds a unit")
    group.add_argument(
        "--certify", help="auto (default), off, bound or prove: how far from the best support"
    )
    group.add_argument("--round-to", type=_whole, help="keep widths in multiples of this")
    group.add_argument(
        "--no-refit-head",
        dest="refit_head",
        action="store_const",
        const=False,
        help="leave an image model's classifier as it is",
    )


def _add_goal_options(parser: Parser) -> None:
    group = parser.add_argument_group("goal")
    group.add_argument(
        "--goal",
        metavar="KIND=VALUE",
        help="instead of a sparsity: speedup=2, latency=15ms, quality_loss=0.01, removed=0.5; "
        "or what is left: bytes=50MB, flops=0.5, parameters=0.6",
    )
    group.add_argument(
        "--data", metavar="SPEC", help=f"for quality_loss and --guard; {_DATA_HELP} {_OWN_DATA}"
    )
    group.add_argument(
        "--guard",
        dest="guards",
        action="append",
        metavar="COLUMN=VALUE:LOSS",
        help="a group of the data that may lose only so much, such as tier=gold:0.005 for half a "
        "point, or half a percent of perplexity; may be given again",
    )
    group.add_argument(
        "--refine", type=_whole, metavar="N", help="rounds of exchange between units (default: 0)"
    )
    _add_budget_options(group)


def _add_budget_options(group: Any) -> None:
    group.add_argument(
        "--budget",
        help="uniform: the same share everywhere; loss-weighted: most where it matters least "
        "(default: loss-weighted with a goal, uniform without)",
    )
    group.add_argument(
        "--cap",
        type=_shares,
        metavar="LIST",
        help="most that may be removed, such as layer4.*=0.5,heads=0.25",
    )
    group.add_argument(
        "--protect", type=_names, metavar="LIST", help="units or structures that stay whole"
    )
    group.add_argument(
        "--plain-loadable",
        action="store_true",
        default=None,
        help="the best that plain transformers can load: the same widths in every layer, of "
        "structures that the family's configuration can say",
    )


def _add_model_options(parser: Parser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--weights", metavar="FILE", help="the model's weights, or 'random' for untrained ones"
    )
    group.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    group.add_argument("--dtype", help="auto (default), float32, float16 or bfloat16")
    group.add_argument("--image-size", type=_whole, help="side of the input in pixels")
    group.add_argument(
        "--trust-remote-code",
        action="store_true",
        default=None,
        help="allow the repository's own modelling code to run",
    )


def _add_batch_options(parser: Parser) -> None:
    group = parser.add_argument_group("batches")
    group.add_argument("--seqlen", type=_whole, help="tokens a window")
    group.add_argument("--batch-size", type=_whole, help="items a micro-batch")


def _add_memory_options(parser: Parser) -> None:
    group = parser.add_argument_group("memory")
    group.add_argument(
        "--gpu-memory", type=_size, metavar="SIZE", help="of each GPU, such as 32GiB"
    )
    group.add_argument(
        "--host-memory", type=_size, metavar="SIZE", help="of this process, such as 48GiB"
    )
    group.add_argument("--gpus", type=_whole, metavar="N", help="GPUs to share the work")


def _range(text: str) -> tuple[float, float, float]:
    """Return low, typical and high, which are one if one number is given."""
    values = tuple(_number(part) for part in text.split(","))
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number nor LOW,TYPICAL,HIGH")
    return values[0], values[len(values) // 2], values[-1]


def _shares(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [part.partition("=") for part in _names(text)]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise argparse.ArgumentTypeError(f"'{text}' is not a list of NAME=SHARE")
    return tuple((name.strip(), _number(value)) for name, _, value in pairs)


def _wholes(text: str) -> tuple[int, ...]:
    return tuple(_whole(part) for part in _names(text))
