"""What a loss-weighted budget saves: methods compared at equal parameters or FLOPs.

For every share, the published recipe and ours remove that share from every unit of the
reference structures; the loss-weighted rows then keep exactly as many parameters (or
FLOPs), from whatever units it pays to take them. One survey serves all of them.

    python -m benchmarks.budgets MODEL --calibration SPEC --data SPEC --shares 0.3,0.5,0.7
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

from osscar_core.cli.console import table
from osscar_core.estimates import lost_quality, measured_point
from osscar_core.evaluation import evaluate
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.models import LoadedModel, load_model
from osscar_core.preparation import resolve
from osscar_core.pruner import prune_
from osscar_core.pursuit import Pursuit
from osscar_core.records import (
    Certify,
    EvaluationReport,
    Method,
    PruneReport,
    PruneSpec,
    Structure,
)
from osscar_core.survey import Survey, make_survey


class Bench:
    """Runs and rows over one model."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.spec = PruneSpec(
            args.model,
            args.calibration,
            weights=args.weights,
            samples=args.samples,
            seqlen=args.seqlen,
            device=args.device,
            dtype=args.dtype,
            image_size=args.image_size,
            structures=args.structures,
            certify=Certify.OFF,
            seed=args.seed,
        )
        self.dense = self.evaluate(self.load("auto"))
        self.rows: list[tuple[str, ...]] = []

    def load(self, device: str = "cpu") -> LoadedModel:
        spec = self.spec
        return load_model(
            spec.model,
            weights=spec.weights,
            device=device if device == "cpu" else spec.device,
            dtype=spec.dtype,
            compute_device=None,
            image_size=spec.image_size,
        )

    def evaluate(self, model: LoadedModel) -> EvaluationReport:
        import torch

        if self.args.device != "cpu" and torch.cuda.is_available():
            model.module.to("cuda")
        args = self.args
        result = evaluate(model, args.data, limit=args.limit, seqlen=args.seqlen)
        model.module.to("cpu")
        return result

    def row(self, name: str, share: float, model: LoadedModel, report: PruneReport) -> float:
        quality = self.evaluate(model)
        lost = lost_quality(self.dense, quality)
        value = 100 * quality.value if quality.metric == "top1" else quality.value
        added = f"{100 * lost:.2f} points" if quality.metric == "top1" else f"{lost:.4f} nats"
        budget = report.budget
        self.rows.append(
            (
                name,
                f"{share:g}",
                f"{report.parameters.pruned / report.parameters.dense:.4f}",
                f"{report.flops.pruned / report.flops.dense:.4f}",
                f"{value:.3f}",
                added,
                f"{quality.loss - self.dense.loss:+.4f}",
                f"{report.seconds:.1f}",
                "" if budget is None else f"{budget.predicted:.4f}",
                "" if budget is None or budget.divergence is None else f"{budget.exchanges}",
            )
        )
        print(" | ".join(self.rows[-1]), flush=True)
        self.last_quality = quality
        return lost

    def run(self) -> None:
        args = self.args
        survey: Survey | None = None
        for share in args.shares:
            whole = dataclasses.replace(
                self.spec, sparsity=share, structures=args.reference or self.spec.structures
            )
            reference = None
            for method in args.methods:
                model = self.load()
                report = prune_(model, dataclasses.replace(whole, method=method))
                self.row(f"{method}, uniform", share, model, report)
                reference = report
            if reference is None:
                continue
            after = reference.flops if args.price == "flops" else reference.parameters
            goal = Goal(GoalKind(args.price), after.pruned)
            weighted = dataclasses.replace(self.spec, goal=goal, budget=Budget.LOSS_WEIGHTED)
            if survey is None:
                survey = make_survey(self.load(), weighted)
                record = survey.record
                print(
                    f"survey {record.survey_seconds:.1f} s, sensitivities on {record.probes} items "
                    f"{record.probe_seconds:.1f} s",
                    flush=True,
                )
            for rounds in args.refine:
                model = self.load()
                report = prune_(model, dataclasses.replace(weighted, refine=rounds), survey=survey)
                name = "loss-weighted" + (f", {rounds} rounds" if rounds else "")
                lost = self.row(name, share, model, report)
                if rounds == 0 and report.budget is not None:
                    point = measured_point(report.budget.predicted, lost, self.last_quality)
                    survey.add(point)
                if args.shapes:
                    print([unit.kept for unit in report.units])
            if args.deploy:
                model = self.load()
                spec = resolve(model, weighted)
                outcome = Pursuit(model, spec, survey=survey, is_deployed=True).run()
                self.row("deployed from the survey", share, outcome.model, outcome.report)
        for value in args.extra:
            if survey is not None:
                self.further(survey, value)
        if survey is not None:
            self.estimates(survey)

    def further(self, survey: Survey, value: float) -> None:
        """Measure one more goal, for the estimates."""
        goal = Goal(GoalKind(self.args.price), value)
        model = self.load()
        spec = dataclasses.replace(self.spec, goal=goal, budget=Budget.LOSS_WEIGHTED)
        report = prune_(model, spec, survey=survey)
        lost = self.row(goal.describe(), value, model, report)
        if report.budget is not None:
            survey.add(measured_point(report.budget.predicted, lost, self.last_quality))

    def estimates(self, survey: Survey) -> None:
        quality = survey.quality()
        errors = sorted(quality.leave_one_out())
        if errors:
            middle = errors[len(errors) // 2]
            shown = ", ".join(f"{error:.0%}" for error in errors)
            print(f"estimates, each point from the others: median error {middle:.0%} ({shown})")
        for point in quality.points:
            print(f"  predicted {point.predicted:.4f}, lost {point.added:.4f} ± {point.error:.4f}")


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weights")
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--seqlen", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--structures", type=_structures)
    parser.add_argument("--reference", type=_structures, help="structures of the uniform rows")
    parser.add_argument("--shares", type=_numbers, default=(0.3, 0.5, 0.7))
    parser.add_argument("--methods", type=_methods, default=(Method.PAPER, Method.OSSCAR))
    parser.add_argument("--price", choices=("flops", "parameters"), default="parameters")
    parser.add_argument("--refine", type=_wholes, default=(0,))
    parser.add_argument("--extra", type=_numbers, default=(), help="further goals, for estimates")
    parser.add_argument("--deploy", action="store_true")
    parser.add_argument("--shapes", action="store_true")
    args = parser.parse_args(argv)
    began = time.perf_counter()
    bench = Bench(args)
    dense = bench.dense
    shown = 100 * dense.value if dense.metric == "top1" else dense.value
    print(f"dense {dense.metric} {shown:.3f}, n = {dense.count:,}", flush=True)
    bench.run()
    header = (
        "budget",
        "share",
        "parameters",
        "FLOPs",
        dense.metric,
        "added",
        "cross-entropy",
        "seconds",
        "predicted",
        "exchanges",
    )
    print(f"\n{table(header, bench.rows)}\n\n{time.perf_counter() - began:.0f} s in all")
    return 0


def _structures(text: str) -> tuple[Structure, ...]:
    return tuple(Structure(part) for part in text.split(","))


def _methods(text: str) -> tuple[Method, ...]:
    return tuple(Method(part) for part in text.split(",") if part)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _wholes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
