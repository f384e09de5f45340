"""How far estimates of quality are off: learn from some goals, foretell others, then measure.

python -m benchmarks.estimates SURVEY --data SPEC --learn removed=0.3,... --hold-out removed=0.4,...
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from statistics import median

from osscar_core.cli.console import table
from osscar_core.estimates import lost_quality, measured_point
from osscar_core.evaluation import evaluate
from osscar_core.goals import Goal
from osscar_core.pruner import prune_, surveyed_model
from osscar_core.records import Certify
from osscar_core.survey import load_survey


def main(argv: list[str] | None = None) -> int:
    """Measure every goal and print how far each estimate was off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("survey")
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--learn", type=_goals, required=True)
    parser.add_argument("--hold-out", type=_goals, required=True)
    args = parser.parse_args(argv)
    survey = load_survey(Path(args.survey))
    survey.folder = None  # measure here, teach nobody else
    spec = dataclasses.replace(survey.record.spec, certify=Certify.OFF)

    def quality(model: object) -> object:
        return evaluate(model, args.data, limit=args.limit, seqlen=spec.seqlen)  # type: ignore[arg-type]

    dense = quality(surveyed_model(survey, spec))
    rows, errors = [], []
    for goal in (*args.learn, *args.hold_out):
        model = surveyed_model(survey, spec)
        report = prune_(model, dataclasses.replace(spec, goal=goal), survey=survey)
        measured = quality(model)
        lost = lost_quality(dense, measured)
        predicted = report.budget.predicted
        guess = survey.quality().estimate(predicted)
        is_held_out = goal in args.hold_out
        error = abs(guess.median - lost) / lost if lost > 0 else float("nan")
        if is_held_out:
            errors.append(error)
        else:
            survey.add(measured_point(predicted, lost, measured))
        rows.append(
            (
                goal.describe(),
                "held out" if is_held_out else "learned",
                f"{predicted:.4f}",
                f"{lost:.4f}",
                f"{guess.median:.4f}",
                f"{guess.low:.4f} to {guess.high:.4f}",
                "yes" if guess.low <= lost <= guess.high else "no",
                f"{error:.0%}",
            )
        )
        print(" | ".join(rows[-1]), flush=True)
    header = ("goal", "", "predicted", "lost", "estimate", "95% band", "inside", "error")
    print(f"\n{table(header, rows)}\n\nmedian error of the held-out goals {median(errors):.0%}")
    return 0


def _goals(text: str) -> tuple[Goal, ...]:
    return tuple(Goal.parse(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
